//! What the fuzz targets call, and the ordinary tests with the targets' corpora.
//!
//! Each function takes any bytes. It must not panic, and what it accepts must come back from the emitter
//! as the same bytes: that is asserted here.

use crate::unity::Net;
use crate::{
    AttributeValue, Datagram, Header, Payload, PayloadType, RawPayload, Trailing, build,
    emit_chain, parse_chain, vendor,
};

/// A fuzz target: its name, which is also its corpus' folder, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("datagram", datagram),
    ("chain", chain),
    ("sa", |body| payload(PayloadType::SA, body)),
    ("identification", |body| payload(PayloadType::ID, body)),
    ("certificate", certificate),
    ("opaque", opaque),
    ("notification", |body| payload(PayloadType::NOTIFY, body)),
    ("delete", |body| payload(PayloadType::DELETE, body)),
    ("nat", nat),
    ("fragment", |body| payload(PayloadType::FRAGMENT, body)),
    ("config", config),
    ("vendor", vendor),
];

/// Runs one target by its name.
///
/// # Panics
/// When there is no such target, and when the target found a fault.
pub fn run(name: &str, data: &[u8]) {
    let (_, target) = TARGETS
        .iter()
        .find(|(known, _)| *known == name)
        .expect("a target of this name");
    target(data);
}

/// A datagram as it comes from a socket: header, chain, every payload; and back.
pub fn datagram(data: &[u8]) {
    let Ok(datagram) = Datagram::parse(data) else {
        // What was refused can still be told apart by its header.
        if let Ok(header) = Header::parse(data) {
            let mut out = Vec::new();
            header.emit(&mut out);
            assert_eq!(out, &data[..Header::LEN]);
        }
        return;
    };
    let header = datagram.header;
    if header.flags.encrypted() {
        let again = build::encrypted_message(header, header.next_payload, datagram.body);
        assert_eq!(again, data);
        return;
    }
    if let Ok(chain) = parse_chain(header.next_payload, datagram.body, Trailing::Alignment) {
        let (first, body) = emit_chain(&chain.payloads);
        assert_eq!(first, header.next_payload);
        assert_eq!(body, datagram.body[..chain.consumed]);
        if chain.consumed == datagram.body.len() {
            assert_eq!(build::message(header, &chain.payloads), data);
        }
        chain.payloads.iter().for_each(round_trip);
    }
}

/// A decrypted body with its padding. The first byte is the header's next-payload field.
pub fn chain(data: &[u8]) {
    let Some((first, body)) = data.split_first() else {
        return;
    };
    let first = PayloadType(*first);
    let padded = parse_chain(first, body, Trailing::Padding);
    let whole = parse_chain(first, body, Trailing::Alignment);
    let Ok(chain) = padded else {
        assert!(whole.is_err(), "refused with padding, accepted without");
        return;
    };
    let behind = &body[chain.consumed..];
    let aligns = behind.len() < 4 && body.len().is_multiple_of(4) && behind.iter().all(|b| *b == 0);
    assert_eq!(whole.is_ok(), behind.is_empty() || aligns);
    assert_eq!(
        emit_chain(&chain.payloads),
        (first, body[..chain.consumed].to_vec())
    );
    chain.payloads.iter().for_each(round_trip);
}

/// Certificate and certificate request have one layout.
fn certificate(body: &[u8]) {
    payload(PayloadType::CERT, body);
    payload(PayloadType::CERT_REQUEST, body);
}

/// The payloads whose body is a value without parts, and kinds that nobody knows. The first byte
/// chooses the kind.
fn opaque(data: &[u8]) {
    if let Some((kind, body)) = data.split_first() {
        payload(PayloadType(*kind), body);
    }
}

/// The original address under both numbers.
fn nat(body: &[u8]) {
    payload(PayloadType::NAT_OA, body);
    payload(PayloadType::NAT_OA_DRAFT, body);
    payload(PayloadType::NAT_D, body);
}

/// An attributes payload, and the nets that each of its values may be.
fn config(body: &[u8]) {
    payload(PayloadType::ATTRIBUTES, body);
    let raw = RawPayload {
        kind: PayloadType::ATTRIBUTES,
        body: body.to_vec(),
    };
    let Ok(Payload::Attributes(config)) = Payload::parse(&raw) else {
        return;
    };
    for attribute in &config.attributes {
        if let AttributeValue::Long(value) = &attribute.value
            && let Ok(nets) = Net::parse_all(value)
        {
            assert_eq!(Net::parse_all(&Net::emit_all(&nets)), Ok(nets));
        }
    }
}

/// A vendor ID: recognised or not, it stays what it is.
fn vendor(data: &[u8]) {
    let known = vendor::recognise(data);
    if let Some(known) = known {
        assert!(!known.name.is_empty());
    }
    if vendor::fragmentation_capabilities(data).is_some() {
        assert_eq!(
            known.map(|known| known.kind),
            Some(vendor::VendorKind::Fragmentation)
        );
    }
    payload(PayloadType::VENDOR_ID, data);
}

fn payload(kind: PayloadType, body: &[u8]) {
    round_trip(&RawPayload {
        kind,
        body: body.to_vec(),
    });
}

fn round_trip(raw: &RawPayload) {
    match Payload::parse(raw) {
        Ok(payload) => {
            assert_eq!(&payload.to_raw(), raw, "{payload:?}");
            assert_eq!(payload.kind(), raw.kind);
        }
        Err(error) => {
            assert!(error.payload().is_some(), "{error} names no payload");
            assert!(!error.to_string().is_empty());
        }
    }
}
