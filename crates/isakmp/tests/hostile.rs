//! Input made to hurt: lengths that lie, messages cut anywhere, a datagram packed with the smallest of
//! everything.

use std::fs;

use isakmp::{
    Attribute, Cookie, Datagram, ExchangeType, Fault, Flags, Header, ParseError, Payload,
    PayloadType, Proposal, ProtocolId, RawPayload, SecurityAssociation, Trailing, Transform, build,
    fuzzing, oakley, parse_chain, sa,
};

fn header() -> Header {
    Header {
        initiator_cookie: Cookie([1; 8]),
        responder_cookie: Cookie::ZERO,
        next_payload: PayloadType::NONE,
        major: 1,
        minor: 0,
        exchange: ExchangeType::IDENTITY_PROTECTION,
        flags: Flags::NONE,
        message_id: 0,
        length: 0,
    }
}

/// Every datagram and decrypted body of the captures.
fn captured() -> Vec<(PayloadType, Vec<u8>, bool)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures");
    let mut bodies = Vec::new();
    for file in fs::read_dir(folder).expect("the captures") {
        let text = fs::read_to_string(file.expect("a file").path()).expect("text");
        let mut first = PayloadType::NONE;
        for line in text.lines() {
            let Some((word, digits)) = line.split_once(' ') else {
                continue;
            };
            if !matches!(word, "datagram" | "plaintext") {
                continue;
            }
            let bytes: Vec<u8> = digits
                .as_bytes()
                .chunks(2)
                .map(|pair| {
                    let pair = std::str::from_utf8(pair).expect("ASCII");
                    u8::from_str_radix(pair, 16).expect("hexadecimal")
                })
                .collect();
            if word == "datagram" {
                first = PayloadType(bytes[16]);
            }
            bodies.push((first, bytes, word == "datagram"));
        }
    }
    assert!(bodies.len() > 60);
    bodies
}

fn parse_all(datagram: &[u8]) -> Result<Vec<Payload>, ParseError> {
    let datagram = Datagram::parse(datagram)?;
    parse_chain(
        datagram.header.next_payload,
        datagram.body,
        Trailing::Alignment,
    )?
    .payloads
    .iter()
    .map(Payload::parse)
    .collect()
}

#[test]
fn a_real_message_cut_anywhere_is_refused() {
    for (first, bytes, is_datagram) in captured() {
        for length in 0..bytes.len() {
            let cut = &bytes[..length];
            if is_datagram {
                fuzzing::datagram(cut);
                assert!(Datagram::parse(cut).is_err(), "the length is another");
            } else {
                fuzzing::chain(&[&[first.0], cut].concat());
            }
        }
    }
}

#[test]
fn a_real_message_with_any_length_field_changed_does_no_harm() {
    for (first, bytes, is_datagram) in captured() {
        // Any two bytes may be a length.
        for at in 0..bytes.len() - 1 {
            let was = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
            for now in [0, 1, 3, was.wrapping_sub(1), was.wrapping_add(1), 0xffff] {
                let mut bytes = bytes.clone();
                bytes[at..at + 2].copy_from_slice(&now.to_be_bytes());
                if is_datagram {
                    fuzzing::datagram(&bytes);
                } else {
                    fuzzing::chain(&[&[first.0], bytes.as_slice()].concat());
                }
            }
        }
    }
}

#[test]
fn a_header_length_that_is_not_the_datagrams_is_refused() {
    let message = build::message(header(), &[]);
    for told in [0, 1, 27, 29, 0xffff, 0x7fff_ffff, u32::MAX] {
        let mut message = message.clone();
        message[24..28].copy_from_slice(&told.to_be_bytes());
        assert_eq!(
            Datagram::parse(&message),
            Err(ParseError::Length { told, received: 28 })
        );
    }
}

#[test]
fn only_tabled_payload_kinds_mean_anything_in_any_exchange() {
    for exchange in 0..=255 {
        for kind in 1..=255 {
            let raw = RawPayload {
                kind: PayloadType(kind),
                body: vec![0; 12],
            };
            let header = Header {
                exchange: ExchangeType(exchange),
                ..header()
            };
            let message = build::message(header, std::slice::from_ref(&raw));
            let datagram = Datagram::parse(&message).expect("well formed");
            let chain = parse_chain(
                datagram.header.next_payload,
                datagram.body,
                Trailing::Alignment,
            )
            .expect("well formed");
            assert_eq!(chain.payloads, std::slice::from_ref(&raw));
            let known = matches!(kind, 1 | 4..=14 | 20 | 21 | 130..=132);
            let kept = Payload::parse(&raw) == Ok(Payload::Unknown(raw));
            assert_eq!(kept, !known, "kind {kind}");
        }
    }
}

#[test]
fn every_other_version_is_refused() {
    for version in (0..=255_u8).filter(|version| *version != 0x10) {
        let mut message = build::message(header(), &[]);
        message[17] = version;
        assert_eq!(
            Datagram::parse(&message),
            Err(ParseError::Version {
                major: version >> 4,
                minor: version & 15
            })
        );
    }
}

#[test]
fn every_number_of_an_attribute_is_kept_in_either_encoding() {
    for class in 0..0x8000 {
        let sa = Payload::Sa(SecurityAssociation::new(vec![Proposal {
            number: 1,
            protocol: ProtocolId::ISAKMP,
            spi: Vec::new(),
            transforms: vec![Transform {
                number: 1,
                id: oakley::TRANSFORM_KEY_IKE,
                attributes: vec![
                    Attribute::short(class, class),
                    Attribute::long(class, class.to_be_bytes()),
                ],
            }],
        }]));
        assert_eq!(Payload::parse(&sa.to_raw()), Ok(sa));
    }
}

/// A body of 64 KiB with as many proposals as fit, of one empty transform each.
fn packed_proposals() -> Vec<u8> {
    let mut body = vec![0, 0, 0, 1, 0, 0, 0, 1];
    while body.len() + 16 < 65_500 {
        body.extend([2, 0, 0, 16, 1, 1, 0, 1, 0, 0, 0, 8, 1, 1, 0, 0]);
    }
    let last = body.len() - 16;
    body[last] = 0;
    body
}

#[test]
fn a_datagram_packed_with_proposals_is_refused_at_the_limit() {
    let raw = RawPayload {
        kind: PayloadType::SA,
        body: packed_proposals(),
    };
    let message = build::message(header(), std::slice::from_ref(&raw));
    assert_eq!(
        parse_all(&message),
        Err(ParseError::Payload {
            payload: PayloadType::SA,
            fault: Fault::TooMany {
                what: "proposals",
                limit: sa::MAX_PROPOSALS
            }
        })
    );
}

#[test]
fn proposals_packed_with_transforms_are_refused_at_the_limit() {
    let transform = Transform {
        number: 1,
        id: 1,
        attributes: Vec::new(),
    };
    let proposal = Proposal {
        number: 1,
        protocol: ProtocolId::ISAKMP,
        spi: Vec::new(),
        transforms: vec![transform; 255],
    };
    let of = |count| {
        Payload::parse(
            &Payload::Sa(SecurityAssociation::new(vec![proposal.clone(); count])).to_raw(),
        )
    };
    assert!(of(sa::MAX_TRANSFORMS / 255).is_ok());
    let error = of(sa::MAX_TRANSFORMS / 255 + 1).expect_err("too many");
    assert_eq!(
        error.fault(),
        Some(&Fault::TooMany {
            what: "transforms",
            limit: sa::MAX_TRANSFORMS
        })
    );
}

#[test]
fn a_datagram_packed_with_empty_payloads_is_refused_at_the_limit() {
    let raws = vec![
        RawPayload {
            kind: PayloadType::VENDOR_ID,
            body: Vec::new()
        };
        isakmp::MAX_PAYLOADS + 1
    ];
    assert!(parse_all(&build::message(header(), &raws[1..])).is_ok());
    assert_eq!(
        parse_all(&build::message(header(), &raws)),
        Err(ParseError::TooManyPayloads {
            limit: isakmp::MAX_PAYLOADS
        })
    );
}

#[test]
fn spis_are_counted_by_the_bytes_that_are_there() {
    for told in [0_u16, 1, 2, 65_535] {
        for size in [0_u8, 4, 8, 16, 255] {
            for there in [
                0,
                1,
                usize::from(size),
                2 * usize::from(size),
                2 * usize::from(size) + 1,
            ] {
                let mut body = vec![0, 0, 0, 1, 1, size];
                body.extend(told.to_be_bytes());
                body.extend(vec![7; there]);
                let parsed = Payload::parse(&RawPayload {
                    kind: PayloadType::DELETE,
                    body,
                });
                let right =
                    usize::from(size) * usize::from(told) == there && (size > 0 || told == 0);
                assert_eq!(
                    parsed.is_ok(),
                    right,
                    "{told} SPIs of {size} bytes in {there}"
                );
                if let Ok(Payload::Delete(delete)) = parsed {
                    assert_eq!(delete.spis.len(), usize::from(told));
                }
            }
        }
    }
}

#[test]
fn an_identification_has_the_length_of_its_type() {
    for id_type in 0..=255_u8 {
        for length in 0..=40 {
            let mut body = vec![id_type, 17, 1, 244];
            body.extend(vec![b'*'; length]);
            let parsed = Payload::parse(&RawPayload {
                kind: PayloadType::ID,
                body,
            });
            let right = match id_type {
                1 => length == 4,
                4 | 7 => length == 8,
                5 => length == 16,
                6 | 8 => length == 32,
                _ => length > 0,
            };
            assert_eq!(parsed.is_ok(), right, "type {id_type}, {length} bytes");
        }
    }
}

#[test]
fn a_fragment_has_a_number_from_one_on_known_flags_and_data() {
    let parse = |body: &[u8]| {
        Payload::parse(&RawPayload {
            kind: PayloadType::FRAGMENT,
            body: body.to_vec(),
        })
        .map_err(|error| error.fault().cloned())
    };
    for length in 0..4 {
        assert!(parse(&vec![1; length]).is_err());
    }
    assert_eq!(parse(&[0, 1, 0, 0, 9]), Err(Some(Fault::FragmentNumber)));
    assert_eq!(parse(&[0, 1, 1, 2, 9]), Err(Some(Fault::Reserved(2))));
    assert_eq!(parse(&[0, 1, 1, 1]), Err(Some(Fault::Empty("data"))));
    for number in 1..=255 {
        assert!(parse(&[0, 1, number, 1, 9]).is_ok());
    }
}

#[test]
fn a_nonce_has_8_to_256_bytes() {
    for length in 0..300 {
        let parsed = Payload::parse(&RawPayload {
            kind: PayloadType::NONCE,
            body: vec![5; length],
        });
        assert_eq!(parsed.is_ok(), (8..=256).contains(&length));
    }
}
