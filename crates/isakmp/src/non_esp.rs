//! The non-ESP marker (RFC 3948 section 2.2), which tells IKE from ESP on the NAT traversal port.

/// Four zero bytes before the ISAKMP header, where ESP would have its SPI.
pub const MARKER: [u8; 4] = [0; 4];

/// The message behind the marker; none when the datagram does not begin with it. An initiator cookie
/// that begins with four zero bytes looks the same: cookies of one's own must not.
pub fn strip(datagram: &[u8]) -> Option<&[u8]> {
    datagram.strip_prefix(&MARKER)
}

/// The message with the marker before it.
pub fn prepend(message: &[u8]) -> Vec<u8> {
    [&MARKER[..], message].concat()
}

/// The keepalive that holds a NAT's mapping open (RFC 3948 section 2.3).
pub const KEEPALIVE: [u8; 1] = [0xff];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_is_taken_away_and_put_back() {
        let marked = prepend(b"message");
        assert_eq!(strip(&marked), Some(&b"message"[..]));
        assert_eq!(strip(b"message"), None);
        assert_eq!(strip(&[0, 0, 0]), None);
        assert_eq!(strip(&[0, 0, 0, 0]), Some(&[][..]));
    }
}
