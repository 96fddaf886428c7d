use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::esp::{ESP_CIPHERS, ESP_INTEGRITIES};

/// Every suite that can be sealed.
fn suites() -> Vec<(EspCipher, Option<EspIntegrity>)> {
    let ciphers = ESP_CIPHERS.iter().map(|row| row.cipher);
    let usable = ciphers.filter(|cipher| implementation(*cipher).is_some());
    usable
        .flat_map(|cipher| {
            if cipher.row().aead {
                return vec![(cipher, None)];
            }
            let integrities = ESP_INTEGRITIES.iter().map(|row| row.integrity);
            let integrities = integrities.filter(|i| *i != EspIntegrity::AesXcbc);
            integrities.map(|i| (cipher, Some(i))).collect()
        })
        .collect()
}

fn keys(cipher: EspCipher, integrity: Option<EspIntegrity>, seed: u8) -> [Secret; 2] {
    let key = |len: usize, from: u8| {
        let bytes = (0..len).map(|i| from.wrapping_add(u8::try_from(i).unwrap().wrapping_mul(7)));
        Secret::new(bytes.collect())
    };
    [
        key(cipher.row().keymat_len(), seed),
        key(integrity.map_or(0, |i| i.row().key_len), !seed),
    ]
}

fn pair(
    (cipher, integrity): (EspCipher, Option<EspIntegrity>),
    esn: bool,
    seed: u8,
) -> (Sealer, Opener) {
    let [e, a] = keys(cipher, integrity, seed);
    (
        Sealer::new(cipher, integrity, esn, 0x1234_5678, &e, &a).unwrap(),
        Opener::new(cipher, integrity, esn, &e, &a).unwrap(),
    )
}

fn sealed(sealer: &mut Sealer, payload: &[u8], next_header: u8, sequence: u64) -> Vec<u8> {
    let mut packet = vec![0; sealer.sealed_len(payload.len())];
    let at = sealer.header_len();
    packet[at..at + payload.len()].copy_from_slice(payload);
    let len = sealer.seal(&mut packet, payload.len(), next_header, sequence);
    assert_eq!(len.unwrap(), packet.len());
    packet
}

proptest! {
    #[test]
    fn what_was_sealed_opens_to_itself_in_every_suite(
        suite in select(suites()),
        esn: bool,
        seed: u8,
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..4),
        next_header: u8,
        first in 1_u64..u64::MAX - 4,
    ) {
        let (mut sealer, mut opener) = pair(suite, esn, seed);
        for (payload, sequence) in payloads.iter().zip(first..) {
            let mut packet = sealed(&mut sealer, payload, next_header, sequence);
            prop_assert_eq!(&packet[..4], &0x1234_5678_u32.to_be_bytes());
            prop_assert_eq!(&packet[4..8], &sequence.to_be_bytes()[4..]);
            let found = opener.open(&mut packet, sequence).unwrap();
            prop_assert_eq!(&packet[found.payload], payload);
            prop_assert_eq!(found.next_header, next_header);
        }
    }

    #[test]
    fn what_one_library_seals_the_other_seals_alike_and_opens(
        cipher in select(vec![
            EspCipher::Aes128Gcm16,
            EspCipher::Aes192Gcm16,
            EspCipher::Aes256Gcm16,
            EspCipher::ChaCha20Poly1305,
        ]),
        esn: bool,
        seed: u8,
        payload in prop::collection::vec(any::<u8>(), 0..1500),
        sequence: u64,
    ) {
        let (mut ours, _) = pair((cipher, None), esn, seed);
        let (mut theirs, mut opener) = pair((cipher, None), esn, seed);
        let [key, _] = keys(cipher, None, seed);
        let row = cipher.row();
        let openssl = |direction| {
            let (kind, name) = implementation(cipher).unwrap();
            let key = &key.as_bytes()[..row.key_len];
            Engine::OpenSsl(context(direction, kind, row, name.unwrap(), key).unwrap())
        };
        theirs.suite.engine = openssl(Direction::Seal);
        opener.suite.engine = openssl(Direction::Open);
        prop_assert!(matches!(ours.suite.engine, Engine::AwsLc(_)));
        let mut packet = sealed(&mut ours, &payload, 4, sequence);
        prop_assert_eq!(&packet, &sealed(&mut theirs, &payload, 4, sequence));
        let found = opener.open(&mut packet, sequence).unwrap();
        prop_assert_eq!(&packet[found.payload], payload);
    }

    #[test]
    fn a_packet_with_any_bit_changed_is_refused(
        suite in select(suites()),
        esn: bool,
        payload in prop::collection::vec(any::<u8>(), 0..80),
        sequence: u64,
        at: prop::sample::Index,
        bit in 0..8_u8,
    ) {
        let (mut sealer, mut opener) = pair(suite, esn, 1);
        let packet = sealed(&mut sealer, &payload, 4, sequence);
        let mut changed = packet.clone();
        changed[at.index(packet.len())] ^= 1 << bit;
        prop_assert_eq!(opener.open(&mut changed, sequence), Err(OpenError::NotAuthentic));
        // And the context is none the worse for it.
        prop_assert!(opener.open(&mut packet.clone(), sequence).is_ok());
        // The number's upper half is authenticated though it is not there.
        let other = opener.open(&mut packet.clone(), sequence ^ 1 << 40);
        prop_assert_eq!(other.is_ok(), !esn);
    }

    #[test]
    fn no_bytes_at_all_make_it_panic(
        suite in select(suites()),
        mut bytes in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        let (_, mut opener) = pair(suite, true, 1);
        prop_assert!(opener.open(&mut bytes, 1).is_err());
    }

    #[test]
    fn the_longest_payload_is_the_longest(suite in select(suites()), room in 0_usize..1600) {
        let (sealer, _) = pair(suite, false, 1);
        match sealer.longest_payload(room) {
            Some(longest) => {
                prop_assert!(sealer.sealed_len(longest) <= room);
                prop_assert!(sealer.sealed_len(longest + 1) > room);
            }
            None => prop_assert!(sealer.sealed_len(0) > room),
        }
    }
}

#[test]
fn padding_that_is_none_is_refused_though_it_is_authentic() {
    let suite = (EspCipher::Null, Some(EspIntegrity::HmacSha256));
    let (mut sealer, mut opener) = pair(suite, false, 1);
    // Pad length 1 behind a byte that is not 1; pad length beyond the packet.
    for (payload, refusal) in [
        ([9, 9, 9, 1, 4], true),
        ([9, 9, 1, 1, 4], false),
        ([9, 9, 9, 255, 4], true),
    ] {
        let mut packet = sealed(&mut sealer, &payload[..2], payload[4], 7);
        let at = sealer.header_len();
        packet[at..at + 4].copy_from_slice(&payload[1..]);
        let end = packet.len() - 16;
        let icv = sealer.suite.mac(&packet[..end], 7).unwrap();
        packet[end..].copy_from_slice(&icv[..16]);
        let result = opener.open(&mut packet, 7);
        assert_eq!(result == Err(OpenError::Padding), refusal, "{payload:?}");
    }
}

#[test]
fn a_cbc_iv_never_comes_twice_and_is_not_the_sequence_number() {
    let suite = (EspCipher::Aes128, Some(EspIntegrity::HmacSha1));
    let (mut sealer, _) = pair(suite, false, 1);
    let mut seen = std::collections::HashSet::new();
    for sequence in 1..1000 {
        let packet = sealed(&mut sealer, b"x", 4, sequence);
        assert!(seen.insert(packet[8..24].to_vec()));
    }
}

#[test]
fn what_openssl_does_not_have_and_what_is_no_esp_is_refused_in_words() {
    let refused = |cipher, integrity| {
        let [e, a] = keys(cipher, integrity, 1);
        let sealer = Sealer::new(cipher, integrity, false, 256, &e, &a);
        sealer.err().expect("refused").to_string()
    };
    let sha1 = Some(EspIntegrity::HmacSha1);
    assert!(refused(EspCipher::Camellia128, sha1).contains("camellia128"));
    assert!(refused(EspCipher::Aes128, Some(EspIntegrity::AesXcbc)).contains("aesxcbc"));
    assert!(refused(EspCipher::Aes128, None).contains("not at all"));
    assert!(refused(EspCipher::Aes128Gcm16, sha1).contains("twice"));
    let short = Secret::new(vec![0; 3]);
    let sealer = Sealer::new(EspCipher::Aes128Gcm16, None, false, 256, &short, &short);
    assert!(sealer.err().unwrap().to_string().contains("20"));
}
