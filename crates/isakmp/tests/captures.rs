//! Real exchanges, as captured on the wire, against what Wireshark's dissector makes of them.
//!
//! A file of `captures/` holds datagrams in hexadecimal, decrypted bodies where there are any, and below
//! each the facts that tshark decoded. The same lines are written here from our parse.

use std::{fmt::Write as _, fs, path::PathBuf};

use isakmp::{
    Attribute, AttributeValue, Datagram, Payload, RawPayload, SecurityAssociation, Trailing, build,
    emit_chain, parse_chain,
};

#[derive(Default)]
struct Capture {
    datagram: Vec<u8>,
    plaintext: Option<Vec<u8>>,
    facts: Vec<String>,
    refused: Option<String>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes anything");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    assert_eq!(text.len() % 2, 0);
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal"))
        .collect()
}

fn captures(name: &str) -> Vec<Capture> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/captures")
        .join(name)
        .with_extension("txt");
    let mut captures: Vec<Capture> = Vec::new();
    for line in fs::read_to_string(path).expect("the capture").lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "" | "#" => {}
            "datagram" => captures.push(Capture {
                datagram: unhex(rest),
                ..Capture::default()
            }),
            _ => {
                let capture = captures.last_mut().expect("a datagram first");
                match word {
                    "plaintext" => capture.plaintext = Some(unhex(rest)),
                    "refused" => capture.refused = Some(rest.to_owned()),
                    _ => capture.facts.push(line.to_owned()),
                }
            }
        }
    }
    assert!(!captures.is_empty(), "{name} holds no datagram");
    captures
}

fn attribute(attribute: &Attribute) -> String {
    let value = match &attribute.value {
        AttributeValue::Short(value) => format!("short={value:04x}"),
        AttributeValue::Long(value) => format!("long={}", hex(value)),
    };
    format!("attribute class={} {value}", attribute.class)
}

/// The facts of an SA with its proposals and transforms.
fn sa_facts(sa: &SecurityAssociation, facts: &mut Vec<String>) {
    facts.push(format!("sa doi={} situation={}", sa.doi, sa.situation));
    for (index, proposal) in sa.proposals.iter().enumerate() {
        let transforms: Vec<(usize, Vec<String>)> = proposal
            .transforms
            .iter()
            .map(|transform| {
                let attributes: usize = transform
                    .attributes
                    .iter()
                    .map(|attribute| match &attribute.value {
                        AttributeValue::Short(_) => 4,
                        AttributeValue::Long(value) => 4 + value.len(),
                    })
                    .sum();
                (
                    8 + attributes,
                    transform.attributes.iter().map(attribute).collect(),
                )
            })
            .collect();
        facts.push(format!(
            "proposal length={} next={} number={} protocol={} spi={} transforms={}",
            8 + proposal.spi.len() + transforms.iter().map(|(length, _)| length).sum::<usize>(),
            if index + 1 == sa.proposals.len() {
                0
            } else {
                2
            },
            proposal.number,
            proposal.protocol.0,
            hex(&proposal.spi),
            proposal.transforms.len()
        ));
        for (index, (transform, (length, lines))) in
            proposal.transforms.iter().zip(transforms).enumerate()
        {
            facts.push(format!(
                "transform length={length} next={} number={} id={}",
                if index + 1 == proposal.transforms.len() {
                    0
                } else {
                    3
                },
                transform.number,
                transform.id
            ));
            facts.extend(lines);
        }
    }
}

/// The facts of one payload in the words of the capture files. Lengths are those of the raw payload.
fn payload_facts(raw: &RawPayload, next: u8, facts: &mut Vec<String>) {
    facts.push(format!(
        "payload type={} length={} next={next}",
        raw.kind.0,
        raw.body.len() + 4
    ));
    match Payload::parse(raw).expect("a real payload") {
        Payload::Sa(sa) => sa_facts(&sa, facts),
        Payload::Identification(id) => facts.push(format!(
            "identification type={} protocol={} port={} data={}",
            id.id_type.0,
            id.protocol,
            id.port,
            hex(&id.data)
        )),
        Payload::Certificate(certificate) => facts.push(format!(
            "certificate encoding={} data={}",
            certificate.encoding.0,
            hex(&certificate.data)
        )),
        Payload::CertificateRequest(request) => facts.push(format!(
            "certificate encoding={} data={}",
            request.encoding.0,
            hex(&request.authority)
        )),
        Payload::Notification(notification) => facts.push(format!(
            "notification doi={} protocol={} type={} spi={} data={}",
            notification.doi,
            notification.protocol.0,
            notification.kind.0,
            hex(&notification.spi),
            hex(&notification.data)
        )),
        Payload::Delete(delete) => {
            facts.push(format!(
                "delete doi={} protocol={} spi_size={} spis={}",
                delete.doi,
                delete.protocol.0,
                delete.spi_size,
                delete.spis.len()
            ));
            facts.extend(delete.spis.iter().map(|spi| format!("spi {}", hex(spi))));
        }
        Payload::Attributes(config) => {
            facts.push(format!(
                "config type={} identifier={}",
                config.kind.0, config.identifier
            ));
            facts.extend(config.attributes.iter().map(attribute));
        }
        Payload::Fragment(fragment) => facts.push(format!(
            "fragment id={} number={} last={} data={}",
            fragment.id,
            fragment.number,
            u8::from(fragment.last),
            hex(&fragment.data)
        )),
        Payload::KeyExchange(data)
        | Payload::Hash(data)
        | Payload::Signature(data)
        | Payload::Nonce(data)
        | Payload::VendorId(data)
        | Payload::NatD(data) => facts.push(format!("data {}", hex(&data))),
        Payload::NatOa(_) => facts.push(format!("data {}", hex(&raw.body))),
        other => panic!("no capture has {other:?}"),
    }
}

fn facts(capture: &Capture) -> Vec<String> {
    let datagram = Datagram::parse(&capture.datagram).expect("a real datagram");
    let header = datagram.header;
    let mut facts = vec![format!(
        "header {} {} next={} version={}.{} exchange={} flags={} id={:08x} length={}",
        header.initiator_cookie,
        header.responder_cookie,
        header.next_payload.0,
        header.major,
        header.minor,
        header.exchange.0,
        header.flags.0,
        header.message_id,
        header.length
    )];
    assert_eq!(header.flags.encrypted(), capture.plaintext.is_some());
    let (body, trailing) = match &capture.plaintext {
        Some(plaintext) => (plaintext.as_slice(), Trailing::Padding),
        None => (datagram.body, Trailing::Alignment),
    };
    let chain = parse_chain(header.next_payload, body, trailing).expect("a real chain");
    for (index, raw) in chain.payloads.iter().enumerate() {
        let next = chain.payloads.get(index + 1).map_or(0, |raw| raw.kind.0);
        payload_facts(raw, next, &mut facts);
        assert_eq!(
            &Payload::parse(raw).expect("parsed before").to_raw(),
            raw,
            "comes back as it was"
        );
    }
    if chain.consumed < body.len() {
        facts.push(format!("padding {}", body.len() - chain.consumed));
    }

    let (first, emitted) = emit_chain(&chain.payloads);
    assert_eq!(first, header.next_payload);
    assert_eq!(emitted, body[..chain.consumed]);
    let rebuilt = match capture.plaintext {
        Some(_) => build::encrypted_message(header, first, datagram.body),
        None => build::message(header, &chain.payloads),
    };
    assert_eq!(rebuilt, capture.datagram);
    facts
}

fn check(name: &str) {
    for (number, capture) in captures(name).iter().enumerate() {
        let ours: Vec<String> = facts(capture)
            .iter()
            .map(|line| line.trim_end().to_owned())
            .collect();
        assert_eq!(ours, capture.facts, "{name}, datagram {number}");
    }
}

#[test]
fn main_mode_with_a_key_reads_as_wireshark_reads_it() {
    check("strongswan-main-mode-psk");
}

#[test]
fn main_mode_with_certificates_reads_as_wireshark_reads_it() {
    check("strongswan-main-mode-rsa");
}

#[test]
fn aggressive_mode_and_mode_configuration_read_as_wireshark_reads_them() {
    check("strongswan-aggressive-config");
}

#[test]
fn fragments_read_as_wireshark_reads_them() {
    check("strongswan-fragments");
}

#[test]
fn message_1_of_windows_reads_as_wireshark_reads_it() {
    check("windows-main-mode");
}

#[test]
fn scans_read_as_wireshark_reads_them() {
    check("ike-scan");
}

#[test]
fn the_odd_packets_of_a_scanner_are_refused_for_what_is_odd_in_them() {
    for capture in captures("ike-scan-odd") {
        let expected = capture.refused.expect("a reason");
        let error = Datagram::parse(&capture.datagram)
            .and_then(|datagram| {
                parse_chain(
                    datagram.header.next_payload,
                    datagram.body,
                    Trailing::Alignment,
                )
            })
            .and_then(|chain| {
                chain
                    .payloads
                    .iter()
                    .map(Payload::parse)
                    .collect::<Result<Vec<_>, _>>()
            })
            .expect_err("odd");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn the_fragments_of_a_message_make_a_datagram_of_its_own() {
    let mut whole = Vec::new();
    let mut messages = Vec::new();
    for capture in captures("strongswan-fragments") {
        let datagram = Datagram::parse(&capture.datagram).expect("a datagram");
        let chain = parse_chain(
            datagram.header.next_payload,
            datagram.body,
            Trailing::Alignment,
        )
        .expect("a chain");
        if let Ok(Payload::Fragment(fragment)) = Payload::parse(&chain.payloads[0]) {
            whole.extend(fragment.data);
            if fragment.last {
                messages.push(std::mem::take(&mut whole));
            }
        }
    }
    assert_eq!(messages.len(), 2, "messages 5 and 6");
    for message in messages {
        let inner = Datagram::parse(&message).expect("a whole message");
        assert!(inner.header.flags.encrypted());
    }
}

#[test]
fn windows_and_strongswan_are_known_by_their_vendor_ids() {
    let names = |name: &str| -> Vec<String> {
        let capture = &captures(name)[0];
        let datagram = Datagram::parse(&capture.datagram).expect("a datagram");
        parse_chain(
            datagram.header.next_payload,
            datagram.body,
            Trailing::Alignment,
        )
        .expect("a chain")
        .payloads
        .iter()
        .filter(|raw| raw.kind == isakmp::PayloadType::VENDOR_ID)
        .map(|raw| {
            isakmp::vendor::recognise(&raw.body)
                .unwrap_or_else(|| panic!("unknown {}", hex(&raw.body)))
                .name
                .to_owned()
        })
        .collect()
    };
    assert_eq!(
        names("windows-main-mode"),
        [
            "Windows keying modules",
            "Windows 8 or later",
            "RFC 3947 NAT traversal",
            "draft-ietf-ipsec-nat-t-ike-02 (with newline)",
            "IKE fragmentation",
            "MS-Negotiation Discovery Capable",
            "Vid-Initial-Contact",
            "IKE CGA version 1",
        ]
    );
    assert_eq!(
        names("strongswan-main-mode-psk"),
        [
            "XAUTH",
            "Dead Peer Detection",
            "IKE fragmentation",
            "RFC 3947 NAT traversal",
            "draft-ietf-ipsec-nat-t-ike-02 (with newline)",
        ]
    );
}
