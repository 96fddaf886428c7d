//! Main Mode from message 1 to 4655, with nothing in its way.

use std::time::Duration;

use isakmp::{Datagram, Payload, Trailing, parse_chain};

use super::net::{A, B, filtered};
use super::pair;

/// A message in clear with a vendor ID more, after which so many zeros bring it to a multiple of four bytes.
fn padded(message: &[u8], zeros: usize) -> Vec<u8> {
    let datagram = Datagram::parse(message).unwrap();
    let header = datagram.header;
    let chain = parse_chain(header.next_payload, datagram.body, Trailing::Alignment).unwrap();
    let mut payloads = chain.payloads;
    let len: usize = payloads.iter().map(|payload| payload.body.len()).sum();
    let vendor_id = vec![b'v'; 20 - (len + zeros) % 4];
    payloads.push(Payload::VendorId(vendor_id).to_raw());
    let mut message = isakmp::build::message(header, &payloads);
    message.resize(message.len() + zeros, 0);
    assert!(message.len().is_multiple_of(4));
    let len = u32::try_from(message.len()).unwrap();
    message[24..28].copy_from_slice(&len.to_be_bytes());
    message
}

#[test]
fn messages_in_clear_that_a_peer_pads_to_four_bytes_are_read() {
    for (seed, zeros) in (180..).zip(1..4) {
        let mut net = pair(seed);
        net.path = filtered(move |packet| {
            if packet.bytes[19] & 1 == 0 {
                packet.bytes = padded(&packet.bytes, zeros);
            }
            true
        });
        net.establish();
        net.finish();
    }
}

#[test]
fn two_endpoints_establish_and_end() {
    let mut net = pair(1);
    net.establish();
    for host in [A, B] {
        assert_eq!(net.hosts[host].of(4650).len(), 1);
        assert_eq!(net.hosts[host].verdicts.len(), 1);
    }
    net.run(Duration::from_secs(10));
    net.finish();
    for host in &net.hosts {
        assert_eq!(host.of(4655).len(), 1);
    }
}
