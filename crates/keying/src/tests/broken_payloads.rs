//! Message 5 and 6, decrypted: a payload that is missing, there twice, out of place or broken has the code of its own
//! (RFC 2409 section 5.4; the codes are those of `IKE_PROCESS_ERR_…`).

use crypto::{Cipher, Hash, Secret};
use isakmp::{Cookie, Datagram, ExchangeType, Flags, Header, PayloadType, RawPayload, emit_chain};

use crate::ikev1::authentication::Proves;
use crate::ikev1::messages::{Unread, open_identity};
use crate::ikev1::negotiation::Failure;
use crate::ikev1::protection::Keys;

const IV: [u8; 16] = [9; 16];

fn keys() -> Keys {
    let secret = |byte, len| Secret::new(vec![byte; len]);
    Keys {
        cipher: Cipher::Aes128,
        hash: Hash::Sha256,
        d: secret(1, 32),
        a: secret(2, 32),
        cipher_key: secret(3, 16),
    }
}

fn raw(kind: PayloadType, body: &[u8]) -> RawPayload {
    RawPayload {
        kind,
        body: body.to_vec(),
    }
}

/// What a message of these payloads, encrypted, is refused with; none: it is read.
fn refused(payloads: &[RawPayload]) -> Option<(&'static str, Option<u32>)> {
    let (next_payload, chain) = emit_chain(payloads);
    refused_chain(next_payload, &chain)
}

fn refused_chain(next_payload: PayloadType, chain: &[u8]) -> Option<(&'static str, Option<u32>)> {
    let (failure, _) = unread(next_payload, chain)?;
    Some((failure.cause.token(), failure.cause.code()))
}

/// Why a message is refused, and who it says it is of.
fn unread(next_payload: PayloadType, chain: &[u8]) -> Option<(Failure, Option<String>)> {
    let body = keys().seal(&IV, chain).unwrap();
    let mut message = Vec::new();
    Header {
        initiator_cookie: Cookie([1; 8]),
        responder_cookie: Cookie([2; 8]),
        next_payload,
        major: 1,
        minor: 0,
        exchange: ExchangeType::IDENTITY_PROTECTION,
        flags: Flags::ENCRYPTION,
        message_id: 0,
        length: u32::try_from(28 + body.len()).unwrap(),
    }
    .emit(&mut message);
    message.extend(body);
    let datagram = Datagram::parse(&message).unwrap();
    match open_identity(&keys(), &IV, &datagram, Proves::Psk) {
        Ok(_) => None,
        Err(Unread::Damning(failure, said)) => Some((failure, said)),
        Err(Unread::Noise(why)) => panic!("noise: {why}"),
    }
}

#[test]
fn each_payload_of_a_decrypted_message_has_a_code_of_its_own() {
    let id = raw(PayloadType::ID, &[1, 0, 0, 0, 192, 0, 2, 1]);
    let hash = raw(PayloadType::HASH, &[7; 32]);
    let with = |kind, body: &[u8]| vec![id.clone(), hash.clone(), raw(kind, body)];
    assert_eq!(refused(&[id.clone(), hash.clone()]), None);
    // DOI 1, situation 1, and one proposal: number 1, protocol 1, no SPI, one transform.
    let sa = |proposal: &[u8]| [&[0, 0, 0, 1, 0, 0, 0, 1][..], proposal].concat();
    let transform = [0, 0, 0, 12, 1, 1, 0, 0, 0x80, 1, 0, 7];
    let proposal = [&[0, 0, 0, 20, 1, 1, 0, 1][..], &transform].concat();
    let mut short_transform = proposal.clone();
    short_transform[11] = 13;
    let cases: Vec<(&str, u32, Vec<RawPayload>)> = vec![
        ("malformed-id", 13_834, vec![hash.clone()]),
        ("malformed-hash", 13_837, vec![id.clone()]),
        (
            "malformed-id",
            13_834,
            vec![id.clone(), hash.clone(), id.clone()],
        ),
        (
            "malformed-hash",
            13_837,
            vec![id.clone(), hash.clone(), hash.clone()],
        ),
        (
            "malformed-id",
            13_834,
            vec![hash.clone(), raw(PayloadType::ID, &[1])],
        ),
        (
            "malformed-sa",
            13_830,
            with(PayloadType::SA, &sa(&proposal)),
        ),
        ("malformed-sa", 13_830, with(PayloadType::SA, &[0])),
        (
            "malformed-proposal",
            13_831,
            with(PayloadType::SA, &sa(&proposal[..4])),
        ),
        (
            "malformed-transform",
            13_832,
            with(PayloadType::SA, &sa(&short_transform)),
        ),
        ("malformed-ke", 13_833, with(PayloadType::KE, &[5; 32])),
        ("malformed-cert", 13_835, with(PayloadType::CERT, &[])),
        (
            "malformed-cert-request",
            13_836,
            with(PayloadType::CERT_REQUEST, &[]),
        ),
        (
            "malformed-sig",
            13_838,
            with(PayloadType::SIGNATURE, &[5; 64]),
        ),
        (
            "malformed-nonce",
            13_839,
            with(PayloadType::NONCE, &[5; 16]),
        ),
        (
            "malformed-notify",
            13_840,
            with(PayloadType::NOTIFY, &[0, 0, 0, 1]),
        ),
        (
            "malformed-delete",
            13_841,
            with(PayloadType::DELETE, &[0, 0, 0, 1]),
        ),
        (
            "malformed-payload",
            13_843,
            with(PayloadType::FRAGMENT, &[0]),
        ),
    ];
    for (token, code, payloads) in cases {
        let kinds: Vec<PayloadType> = payloads.iter().map(|payload| payload.kind).collect();
        assert_eq!(refused(&payloads), Some((token, Some(code))), "{kinds:?}");
    }
}

#[test]
fn who_a_message_says_it_is_of_is_told_whatever_else_is_wrong_with_it() {
    let id = raw(PayloadType::ID, &[1, 0, 0, 0, 192, 0, 2, 1]);
    let hash = raw(PayloadType::HASH, &[7; 32]);
    let signature = raw(PayloadType::SIGNATURE, &[5; 64]);
    let nonce = raw(PayloadType::NONCE, &[5; 16]);
    for payloads in [
        vec![id.clone()],
        vec![id.clone(), hash.clone(), hash.clone()],
        vec![id.clone(), signature],
        vec![id.clone(), hash.clone(), nonce],
    ] {
        let (next_payload, chain) = emit_chain(&payloads);
        let (_, said) = unread(next_payload, &chain).unwrap();
        assert_eq!(said.as_deref(), Some("192.0.2.1"));
    }
    let (next_payload, chain) = emit_chain(&[hash]);
    assert_eq!(unread(next_payload, &chain).unwrap().1, None);
}

/// A first payload that is unsound is another key's doing; a later one is the peer's.
#[test]
fn a_length_that_is_wrong_behind_a_sound_identity_is_the_fault_of_its_payload() {
    for (kind, token) in [
        (PayloadType::HASH, "malformed-hash"),
        (PayloadType::VENDOR_ID, "malformed-vendor"),
    ] {
        let id = raw(PayloadType::ID, &[1, 0, 0, 0, 192, 0, 2, 1]);
        let (next_payload, mut chain) = emit_chain(&[id, raw(kind, &[7; 32])]);
        // The second payload's length goes past the end.
        chain[14] = 0xff;
        assert_eq!(
            refused_chain(next_payload, &chain).map(|(token, _)| token),
            Some(token)
        );
    }
}
