//! Whole messages, from a header and what is to stand in the body.

use crate::{
    chain::{RawPayload, emit_chain},
    header::{Flags, Header},
    payload::PayloadType,
};

/// A message in clear. Of the template's fields `next_payload` and `length` are set from the payloads,
/// and the encryption flag is taken away; the others stand as they are.
pub fn message(template: Header, payloads: &[RawPayload]) -> Vec<u8> {
    let (first, body) = emit_chain(payloads);
    let header = Header {
        next_payload: first,
        flags: Flags(template.flags.0 & !Flags::ENCRYPTION.0),
        ..template
    };
    assemble(header, &body)
}

/// A message whose body was encrypted by the caller. `first` is the kind of the first payload in the
/// plaintext; the encryption flag and the length are set.
pub fn encrypted_message(template: Header, first: PayloadType, ciphertext: &[u8]) -> Vec<u8> {
    let header = Header {
        next_payload: first,
        flags: template.flags | Flags::ENCRYPTION,
        ..template
    };
    assemble(header, ciphertext)
}

fn assemble(header: Header, body: &[u8]) -> Vec<u8> {
    let total = Header::LEN + body.len();
    let mut out = Vec::with_capacity(total);
    let header = Header {
        // Saturates where no datagram could carry it; every receiver refuses such a message.
        length: u32::try_from(total).unwrap_or(u32::MAX),
        ..header
    };
    header.emit(&mut out);
    out.extend_from_slice(body);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::{Cookie, Datagram, ExchangeType};

    const TEMPLATE: Header = Header {
        initiator_cookie: Cookie([7; 8]),
        responder_cookie: Cookie::ZERO,
        next_payload: PayloadType::NONE,
        major: 1,
        minor: 0,
        exchange: ExchangeType::INFORMATIONAL,
        flags: Flags::COMMIT,
        message_id: 9,
        length: 0,
    };

    #[test]
    fn a_clear_message_is_never_marked_encrypted() {
        let template = Header {
            flags: TEMPLATE.flags | Flags::ENCRYPTION,
            ..TEMPLATE
        };
        let bytes = message(template, &[]);
        let header = Datagram::parse(&bytes).expect("a message").header;
        assert_eq!(header.flags, Flags::COMMIT);
    }

    #[test]
    fn an_encrypted_message_is_marked_and_keeps_its_other_flags() {
        let bytes = encrypted_message(TEMPLATE, PayloadType::HASH, &[1; 16]);
        let datagram = Datagram::parse(&bytes).expect("a message");
        assert_eq!(datagram.header.flags, Flags::COMMIT | Flags::ENCRYPTION);
        assert_eq!(datagram.header.next_payload, PayloadType::HASH);
        assert_eq!(datagram.header.length, 44);
        assert_eq!(datagram.body, [1; 16]);
    }
}
