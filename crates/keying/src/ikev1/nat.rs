//! NAT detection (RFC 3947 section 3.2).

use std::net::{IpAddr, SocketAddr};

use crypto::{CryptoError, Hash};
use isakmp::Cookie;

use crate::limits::MAX_NAT_D;

/// Where NATs were found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Nat {
    /// We are behind one.
    pub here: bool,
    /// The peer is behind one.
    pub there: bool,
}

impl Nat {
    pub(crate) fn any(self) -> bool {
        self.here || self.there
    }
}

/// HASH(CKY-I | CKY-R | IP | Port).
pub(crate) fn digest(
    hash: Hash,
    cookies: (Cookie, Cookie),
    address: SocketAddr,
) -> Result<Vec<u8>, CryptoError> {
    let port = address.port().to_be_bytes();
    match address.ip() {
        IpAddr::V4(ip) => crypto::digest(hash, &[&cookies.0.0, &cookies.1.0, &ip.octets(), &port]),
        IpAddr::V6(ip) => crypto::digest(hash, &[&cookies.0.0, &cookies.1.0, &ip.octets(), &port]),
    }
}

/// The two NAT-D payloads to send: the destination's first. A forced NAT is a wrong source.
pub(crate) fn payloads(
    hash: Hash,
    cookies: (Cookie, Cookie),
    local: SocketAddr,
    remote: SocketAddr,
    force: bool,
) -> Result<[Vec<u8>; 2], CryptoError> {
    let mut source = digest(hash, cookies, local)?;
    if force && let Some(byte) = source.first_mut() {
        *byte = !*byte;
    }
    Ok([digest(hash, cookies, remote)?, source])
}

/// What the peer's NAT-D payloads say; `None` where there are fewer than two.
pub(crate) fn detect(
    hash: Hash,
    cookies: (Cookie, Cookie),
    local: SocketAddr,
    remote: SocketAddr,
    received: &[Vec<u8>],
) -> Result<Option<Nat>, CryptoError> {
    let [destination, sources @ ..] = received else {
        return Ok(None);
    };
    if sources.is_empty() {
        return Ok(None);
    }
    let theirs = digest(hash, cookies, remote)?;
    Ok(Some(Nat {
        here: *destination != digest(hash, cookies, local)?,
        there: !sources
            .iter()
            .take(MAX_NAT_D)
            .any(|source| *source == theirs),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nat_is_found_on_the_side_where_it_is() {
        let cookies = (Cookie([1; 8]), Cookie([2; 8]));
        let a: SocketAddr = "192.0.2.1:500".parse().unwrap();
        let b: SocketAddr = "[2001:db8::2]:500".parse().unwrap();
        let mapped: SocketAddr = "203.0.113.9:1024".parse().unwrap();
        let hash = Hash::Sha256;
        let sent = |force| payloads(hash, cookies, a, b, force).unwrap().to_vec();
        let seen =
            |local, remote, sent: &[Vec<u8>]| detect(hash, cookies, local, remote, sent).unwrap();
        assert_eq!(
            seen(b, a, &sent(false)),
            Some(Nat {
                here: false,
                there: false
            })
        );
        assert_eq!(
            seen(b, mapped, &sent(false)),
            Some(Nat {
                here: false,
                there: true
            })
        );
        assert_eq!(
            seen(mapped, a, &sent(false)),
            Some(Nat {
                here: true,
                there: false
            })
        );
        assert_eq!(
            seen(b, a, &sent(true)),
            Some(Nat {
                here: false,
                there: true
            })
        );
        assert_eq!(seen(b, a, &sent(false)[..1]), None);
        assert_eq!(seen(b, a, &[]), None);
    }
}
