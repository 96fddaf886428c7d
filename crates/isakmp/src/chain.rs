//! The chain of payloads in a message body (RFC 2408 section 3.2).

use zeroize::Zeroize as _;

use crate::{
    error::ParseError,
    payload::PayloadType,
    reader::{Reader, length_field},
};

/// Payloads in one message. Real first messages have up to 20 (most are vendor IDs); a message 3 or 4 has a
/// certificate request for each CA that its sender trusts, which are hundreds where that is a system's whole store.
pub const MAX_PAYLOADS: usize = 1_024;
/// What a message in clear is padded to by libreswan and its forebears, in bytes.
const WORD: usize = 4;

/// One payload without its generic header: what HASH(1) and its like are computed over, once
/// [`emit_chain`] has put the headers back.
///
/// The body of an attributes payload, which may have a password, is wiped when it is dropped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawPayload {
    /// What kind of payload.
    pub kind: PayloadType,
    /// The bytes after the 4-byte generic header.
    pub body: Vec<u8>,
}

impl Drop for RawPayload {
    fn drop(&mut self) {
        if self.kind == PayloadType::ATTRIBUTES {
            self.body.zeroize();
        }
    }
}

/// All payloads of a message, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chain {
    /// The payloads.
    pub payloads: Vec<RawPayload>,
    /// Bytes that they took, headers included and padding not.
    pub consumed: usize,
}

/// Whether bytes may follow the last payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trailing {
    /// As many zeros as bring a message in clear to a multiple of four bytes, and no more: some peers pad so.
    Alignment,
    /// Yes: a decrypted message was padded to the cipher's block (RFC 2409 appendix B). What the
    /// padding holds is left unread, so that an attacker learns nothing from its check.
    Padding,
}

/// Cuts a body into payloads. `first` is the header's next-payload field.
///
/// Time and memory are linear in the body's length; types are not looked at, so that unknown payloads
/// are kept.
///
/// # Errors
/// [`ParseError::Payload`] with the payload whose generic header is wrong,
/// [`ParseError::TooManyPayloads`], [`ParseError::TrailingBytes`].
pub fn parse_chain(
    first: PayloadType,
    body: &[u8],
    trailing: Trailing,
) -> Result<Chain, ParseError> {
    let mut reader = Reader::new(body);
    let mut payloads = Vec::new();
    let mut kind = first;
    while kind != PayloadType::NONE {
        if payloads.len() == MAX_PAYLOADS {
            return Err(ParseError::TooManyPayloads {
                limit: MAX_PAYLOADS,
            });
        }
        let (next, content) = reader
            .u8()
            .and_then(|next| Ok((PayloadType(next), reader.after_next_payload()?)))
            .map_err(|fault| ParseError::new(kind, fault))?;
        payloads.push(RawPayload {
            kind,
            body: content.to_vec(),
        });
        kind = next;
    }
    let left = reader.remaining();
    let behind = &body[body.len() - left..];
    // The header has a multiple of four bytes.
    let aligns =
        left < WORD && body.len().is_multiple_of(WORD) && behind.iter().all(|byte| *byte == 0);
    if trailing == Trailing::Alignment && left != 0 && !aligns {
        return Err(ParseError::TrailingBytes { count: left });
    }
    Ok(Chain {
        payloads,
        consumed: body.len() - left,
    })
}

/// Puts payloads back into a chain: the header's next-payload field and the body.
///
/// A body of more than 65,531 bytes, which no datagram can carry, is given the length 65,535; every
/// receiver refuses it.
pub fn emit_chain(payloads: &[RawPayload]) -> (PayloadType, Vec<u8>) {
    let mut out = Vec::with_capacity(payloads.iter().map(|p| p.body.len() + 4).sum());
    let nexts = payloads
        .iter()
        .skip(1)
        .map(|payload| payload.kind)
        .chain([PayloadType::NONE]);
    for (payload, next) in payloads.iter().zip(nexts) {
        emit_payload(&mut out, next, &payload.body);
    }
    let first = payloads.first().map_or(PayloadType::NONE, |p| p.kind);
    (first, out)
}

/// Appends one payload with its generic header.
pub(crate) fn emit_payload(out: &mut Vec<u8>, next: PayloadType, body: &[u8]) {
    out.extend_from_slice(&[next.0, 0]);
    out.extend_from_slice(&length_field(body.len() + 4));
    out.extend_from_slice(body);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Fault;

    fn error(first: PayloadType, body: &[u8]) -> ParseError {
        parse_chain(first, body, Trailing::Alignment).expect_err("malformed")
    }

    #[test]
    fn no_payload_at_all_is_a_chain() {
        let chain = parse_chain(PayloadType::NONE, &[], Trailing::Alignment).expect("empty");
        assert_eq!((chain.payloads.len(), chain.consumed), (0, 0));
        assert_eq!(emit_chain(&[]), (PayloadType::NONE, Vec::new()));
    }

    #[test]
    fn payloads_without_a_body_and_of_unknown_kinds_are_kept() {
        let body = [77, 0, 0, 4, 0, 0, 0, 5, 9];
        let chain =
            parse_chain(PayloadType::HASH, &body, Trailing::Alignment).expect("two payloads");
        assert_eq!(
            chain.payloads,
            [
                RawPayload {
                    kind: PayloadType::HASH,
                    body: Vec::new()
                },
                RawPayload {
                    kind: PayloadType(77),
                    body: vec![9]
                }
            ]
        );
        assert_eq!(
            emit_chain(&chain.payloads),
            (PayloadType::HASH, body.to_vec())
        );
    }

    #[test]
    fn a_length_of_less_than_the_header_is_refused() {
        for told in 0..4 {
            assert_eq!(
                error(PayloadType::KE, &[0, 0, 0, told, 1, 2, 3, 4]),
                ParseError::new(PayloadType::KE, Fault::LengthTooSmall { told: told.into() })
            );
        }
    }

    #[test]
    fn a_length_past_the_end_is_refused() {
        for told in [9, 10, 0xffff_u16] {
            let [high, low] = told.to_be_bytes();
            assert_eq!(
                error(PayloadType::KE, &[0, 0, high, low, 1, 2, 3, 4]),
                ParseError::new(PayloadType::KE, Fault::LengthPastEnd { told, available: 8 })
            );
        }
    }

    #[test]
    fn the_reserved_byte_must_be_zero() {
        assert_eq!(
            error(PayloadType::KE, &[0, 0x80, 0, 4]),
            ParseError::new(PayloadType::KE, Fault::Reserved(0x80))
        );
    }

    #[test]
    fn a_payload_that_is_announced_and_not_there_is_named() {
        assert_eq!(
            error(PayloadType::KE, &[10, 0, 0, 4]).payload(),
            Some(PayloadType::NONCE)
        );
    }

    #[test]
    fn zeros_up_to_a_multiple_of_four_bytes_may_follow_in_clear_and_nothing_else() {
        let with = |data: &[u8], behind: &[u8]| {
            let raw = RawPayload {
                kind: PayloadType::KE,
                body: data.to_vec(),
            };
            let (first, mut body) = emit_chain(&[raw]);
            body.extend_from_slice(behind);
            parse_chain(first, &body, Trailing::Alignment)
        };
        for pad in 0..4 {
            let chain = with(&[1; 8][pad..], &[0; 4][..pad]).expect("aligned");
            assert_eq!(chain.payloads[0].body, &[1; 8][pad..]);
            assert_eq!(chain.consumed, 12 - pad);
        }
        for (data, behind) in [
            (&[1; 8][..], &[0; 4][..]),
            (&[1; 8], &[0; 2]),
            (&[1; 6], &[0; 1]),
            (&[1; 6], &[0; 6]),
            (&[1; 6], &[0, 1]),
            (&[1; 7], &[255]),
        ] {
            let count = behind.len();
            assert_eq!(with(data, behind), Err(ParseError::TrailingBytes { count }));
        }
    }

    #[test]
    fn a_body_that_no_length_field_can_tell_is_refused_by_the_receiver() {
        let raw = RawPayload {
            kind: PayloadType::KE,
            body: vec![0; 70_000],
        };
        let (first, body) = emit_chain(&[raw]);
        assert!(parse_chain(first, &body, Trailing::Alignment).is_err());
    }
}
