//! What is built is parsed back as it was, and what is accepted comes back as the same bytes.

use std::net::IpAddr;

use isakmp::{
    Attribute, AttributeValue, Certificate, CertificateEncoding, CertificateRequest,
    ConfigAttributes, ConfigType, Cookie, Datagram, Delete, ExchangeType, Flags, Fragment, Header,
    IdType, Identification, NatOa, Notification, NotifyType, Payload, PayloadType, Proposal,
    ProtocolId, RawPayload, SecurityAssociation, Trailing, Transform, build, emit_chain, fuzzing,
    parse_chain,
};
use proptest::{collection::vec, prelude::*};

fn bytes(range: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), range)
}

fn attribute() -> impl Strategy<Value = Attribute> {
    let value = prop_oneof![
        any::<u16>().prop_map(AttributeValue::Short),
        bytes(0..40).prop_map(AttributeValue::Long),
    ];
    (0..0x8000_u16, value).prop_map(|(class, value)| Attribute { class, value })
}

fn transform() -> impl Strategy<Value = Transform> {
    (any::<u8>(), any::<u8>(), vec(attribute(), 0..8)).prop_map(|(number, id, attributes)| {
        Transform {
            number,
            id,
            attributes,
        }
    })
}

fn proposal() -> impl Strategy<Value = Proposal> {
    (
        any::<u8>(),
        any::<u8>(),
        bytes(0..=255),
        vec(transform(), 1..6),
    )
        .prop_map(|(number, protocol, spi, transforms)| Proposal {
            number,
            protocol: ProtocolId(protocol),
            spi,
            transforms,
        })
}

fn identification() -> impl Strategy<Value = Identification> {
    let data = any::<u8>().prop_flat_map(|id_type| {
        let length = match IdType(id_type) {
            IdType::IPV4_ADDR => 4..=4,
            IdType::IPV4_ADDR_SUBNET | IdType::IPV4_ADDR_RANGE => 8..=8,
            IdType::IPV6_ADDR => 16..=16,
            IdType::IPV6_ADDR_SUBNET | IdType::IPV6_ADDR_RANGE => 32..=32,
            _ => 1..=80,
        };
        (Just(IdType(id_type)), bytes(length))
    });
    (data, any::<u8>(), any::<u16>()).prop_map(|((id_type, data), protocol, port)| Identification {
        id_type,
        protocol,
        port,
        data,
    })
}

fn notification() -> impl Strategy<Value = Notification> {
    (
        any::<u32>(),
        any::<u8>(),
        bytes(0..=255),
        any::<u16>(),
        bytes(0..80),
    )
        .prop_map(|(doi, protocol, spi, kind, data)| Notification {
            doi,
            protocol: ProtocolId(protocol),
            spi,
            kind: NotifyType(kind),
            data,
        })
}

fn delete() -> impl Strategy<Value = Delete> {
    let spis = any::<u8>().prop_flat_map(|size| {
        let count = if size == 0 { 0..=0 } else { 0..=9 };
        (
            Just(size),
            vec(bytes(usize::from(size)..=usize::from(size)), count),
        )
    });
    (any::<u32>(), any::<u8>(), spis).prop_map(|(doi, protocol, (spi_size, spis))| Delete {
        doi,
        protocol: ProtocolId(protocol),
        spi_size,
        spis,
    })
}

fn payload() -> impl Strategy<Value = Payload> {
    let nat = any::<IpAddr>().prop_map(|address| NatOa { address });
    let unknown = (15..=19_u8, bytes(0..80)).prop_map(|(kind, body)| RawPayload {
        kind: PayloadType(kind),
        body,
    });
    let encoding = any::<u8>().prop_map(CertificateEncoding);
    prop_oneof![
        vec(proposal(), 1..5)
            .prop_map(|proposals| Payload::Sa(SecurityAssociation::new(proposals))),
        bytes(1..600).prop_map(Payload::KeyExchange),
        identification().prop_map(Payload::Identification),
        (encoding.clone(), bytes(1..900))
            .prop_map(|(encoding, data)| Payload::Certificate(Certificate { encoding, data })),
        (encoding, bytes(0..200)).prop_map(|(encoding, authority)| {
            Payload::CertificateRequest(CertificateRequest {
                encoding,
                authority,
            })
        }),
        bytes(1..80).prop_map(Payload::Hash),
        bytes(1..600).prop_map(Payload::Signature),
        bytes(8..=256).prop_map(Payload::Nonce),
        notification().prop_map(Payload::Notification),
        delete().prop_map(Payload::Delete),
        bytes(0..60).prop_map(Payload::VendorId),
        (any::<u8>(), any::<u16>(), vec(attribute(), 0..10)).prop_map(
            |(kind, identifier, attributes)| {
                Payload::Attributes(ConfigAttributes {
                    kind: ConfigType(kind),
                    identifier,
                    attributes,
                })
            }
        ),
        bytes(1..64).prop_map(Payload::NatD),
        bytes(1..64).prop_map(Payload::NatDDraft),
        nat.clone().prop_map(Payload::NatOa),
        nat.prop_map(Payload::NatOaDraft),
        (any::<u16>(), 1..=255_u8, any::<bool>(), bytes(1..900)).prop_map(
            |(id, number, last, data)| {
                Payload::Fragment(Fragment {
                    id,
                    number,
                    last,
                    data,
                })
            }
        ),
        unknown.prop_map(Payload::Unknown),
    ]
}

fn header() -> impl Strategy<Value = Header> {
    (
        any::<[u8; 8]>(),
        any::<[u8; 8]>(),
        any::<u8>(),
        0..8_u8,
        any::<u32>(),
    )
        .prop_map(
            |(initiator, responder, exchange, flags, message_id)| Header {
                initiator_cookie: Cookie(initiator),
                responder_cookie: Cookie(responder),
                next_payload: PayloadType::NONE,
                major: 1,
                minor: 0,
                exchange: ExchangeType(exchange),
                flags: Flags(flags),
                message_id,
                length: 0,
            },
        )
}

proptest! {
    #[test]
    fn every_payload_that_is_built_is_parsed_back_as_it_was(payload in payload()) {
        prop_assert_eq!(Payload::parse(&payload.to_raw()), Ok(payload));
    }

    #[test]
    fn every_message_that_is_built_is_parsed_back_as_it_was(
        header in header(),
        payloads in vec(payload(), 0..12),
    ) {
        let raws: Vec<RawPayload> = payloads.iter().map(Payload::to_raw).collect();
        let message = build::message(header, &raws);
        let datagram = Datagram::parse(&message).expect("a message of ours");
        prop_assert!(!datagram.header.flags.encrypted());
        prop_assert_eq!(datagram.header.message_id, header.message_id);
        let chain = parse_chain(datagram.header.next_payload, datagram.body, Trailing::Alignment)
            .expect("a chain of ours");
        prop_assert_eq!(&chain.payloads, &raws);
        prop_assert_eq!(chain.consumed, datagram.body.len());
        for (raw, payload) in raws.iter().zip(payloads) {
            prop_assert_eq!(Payload::parse(raw), Ok(payload));
        }
    }

    #[test]
    fn padding_behind_a_decrypted_chain_is_left_out_and_behind_a_clear_one_refused_unless_it_aligns(
        payloads in vec(payload(), 1..5),
        padding in bytes(1..32),
    ) {
        let raws: Vec<RawPayload> = payloads.iter().map(Payload::to_raw).collect();
        let (first, body) = emit_chain(&raws);
        let padded = [body.as_slice(), &padding].concat();
        let chain = parse_chain(first, &padded, Trailing::Padding).expect("padding is allowed");
        prop_assert_eq!(chain.consumed, body.len());
        prop_assert_eq!(chain.payloads, raws);
        let aligns = padding.len() < 4 && padded.len().is_multiple_of(4) && padding.iter().all(|b| *b == 0);
        prop_assert_eq!(parse_chain(first, &padded, Trailing::Alignment).is_ok(), aligns);
    }

    #[test]
    fn an_encrypted_message_keeps_its_ciphertext(header in header(), body in bytes(0..200)) {
        let message = build::encrypted_message(header, PayloadType::ID, &body);
        let datagram = Datagram::parse(&message).expect("a message of ours");
        prop_assert!(datagram.header.flags.encrypted());
        prop_assert_eq!(datagram.header.next_payload, PayloadType::ID);
        prop_assert_eq!(datagram.body, body.as_slice());
    }

    #[test]
    fn any_bytes_are_refused_or_come_back_the_same(
        target in 0..fuzzing::TARGETS.len(),
        data in bytes(0..400),
    ) {
        fuzzing::TARGETS[target].1(&data);
    }

    #[test]
    fn a_message_with_one_byte_changed_is_refused_or_comes_back_the_same(
        header in header(),
        payloads in vec(payload(), 1..6),
        at in any::<prop::sample::Index>(),
        change in 1..=255_u8,
    ) {
        let raws: Vec<RawPayload> = payloads.iter().map(Payload::to_raw).collect();
        let mut message = build::message(header, &raws);
        let at = at.index(message.len());
        message[at] ^= change;
        fuzzing::datagram(&message);
    }
}
