//! The identification payload (RFC 2407 section 4.6.2).

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{
    error::{Fault, ParseError},
    payload::PayloadType,
    reader::Reader,
};

/// What an identification names (RFC 2407 section 4.6.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct IdType(pub u8);

impl IdType {
    /// An IPv4 address: 4 bytes.
    pub const IPV4_ADDR: Self = Self(1);
    /// A host's name.
    pub const FQDN: Self = Self(2);
    /// A user's name, `user@host`.
    pub const USER_FQDN: Self = Self(3);
    /// IPv4 address and mask: 8 bytes.
    pub const IPV4_ADDR_SUBNET: Self = Self(4);
    /// An IPv6 address: 16 bytes.
    pub const IPV6_ADDR: Self = Self(5);
    /// IPv6 address and mask: 32 bytes.
    pub const IPV6_ADDR_SUBNET: Self = Self(6);
    /// First and last IPv4 address: 8 bytes.
    pub const IPV4_ADDR_RANGE: Self = Self(7);
    /// First and last IPv6 address: 32 bytes.
    pub const IPV6_ADDR_RANGE: Self = Self(8);
    /// A distinguished name in DER.
    pub const DER_ASN1_DN: Self = Self(9);
    /// A general name in DER.
    pub const DER_ASN1_GN: Self = Self(10);
    /// Anything the two sides agreed on.
    pub const KEY_ID: Self = Self(11);

    /// RFC 2407's name for it, without `ID_`.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::IPV4_ADDR => "IPV4_ADDR",
            Self::FQDN => "FQDN",
            Self::USER_FQDN => "USER_FQDN",
            Self::IPV4_ADDR_SUBNET => "IPV4_ADDR_SUBNET",
            Self::IPV6_ADDR => "IPV6_ADDR",
            Self::IPV6_ADDR_SUBNET => "IPV6_ADDR_SUBNET",
            Self::IPV4_ADDR_RANGE => "IPV4_ADDR_RANGE",
            Self::IPV6_ADDR_RANGE => "IPV6_ADDR_RANGE",
            Self::DER_ASN1_DN => "DER_ASN1_DN",
            Self::DER_ASN1_GN => "DER_ASN1_GN",
            Self::KEY_ID => "KEY_ID",
            _ => return None,
        })
    }

    /// Bytes that an identification of this type has, where the type alone tells.
    fn fixed_length(self) -> Option<(usize, &'static str)> {
        Some(match self {
            Self::IPV4_ADDR => (4, "4"),
            Self::IPV4_ADDR_SUBNET | Self::IPV4_ADDR_RANGE => (8, "8"),
            Self::IPV6_ADDR => (16, "16"),
            Self::IPV6_ADDR_SUBNET | Self::IPV6_ADDR_RANGE => (32, "32"),
            _ => return None,
        })
    }
}

impl fmt::Display for IdType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "identification type {}", self.0),
        }
    }
}

/// An identification payload. Names are kept as bytes: they may hold anything, zero bytes included.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Identification {
    /// What kind of identification.
    pub id_type: IdType,
    /// IP protocol; in phase 1 zero or UDP.
    pub protocol: u8,
    /// Port; in phase 1 zero or 500.
    pub port: u16,
    /// The identification itself.
    pub data: Vec<u8>,
}

impl Identification {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ParseError> {
        Self::read(&mut Reader::new(body)).map_err(|fault| ParseError::new(PayloadType::ID, fault))
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let id_type = IdType(reader.u8()?);
        let protocol = reader.u8()?;
        let port = reader.u16()?;
        let data = reader.rest();
        match id_type.fixed_length() {
            Some((length, expected)) if data.len() != length => Err(Fault::BadLength {
                length: data.len(),
                expected,
            }),
            None if data.is_empty() => Err(Fault::Empty("identification")),
            _ => Ok(Self {
                id_type,
                protocol,
                port,
                data: data.to_vec(),
            }),
        }
    }

    /// The payload's body, which is also what `HASH_I` and `HASH_R` are computed over (`IDii_b`, `IDir_b`
    /// of RFC 2409 section 5).
    pub fn emit(&self) -> Vec<u8> {
        let mut out = vec![self.id_type.0, self.protocol];
        out.extend_from_slice(&self.port.to_be_bytes());
        out.extend_from_slice(&self.data);
        out
    }

    /// The address of an `IPV4_ADDR` or `IPV6_ADDR`.
    pub fn address(&self) -> Option<IpAddr> {
        match self.id_type {
            IdType::IPV4_ADDR => <[u8; 4]>::try_from(self.data.as_slice())
                .ok()
                .map(|octets| Ipv4Addr::from(octets).into()),
            IdType::IPV6_ADDR => <[u8; 16]>::try_from(self.data.as_slice())
                .ok()
                .map(|octets| Ipv6Addr::from(octets).into()),
            _ => None,
        }
    }
}

impl From<IpAddr> for Identification {
    /// Protocol and port zero, as in phase 1.
    fn from(address: IpAddr) -> Self {
        let (id_type, data) = match address {
            IpAddr::V4(address) => (IdType::IPV4_ADDR, address.octets().to_vec()),
            IpAddr::V6(address) => (IdType::IPV6_ADDR, address.octets().to_vec()),
        };
        Self {
            id_type,
            protocol: 0,
            port: 0,
            data,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_identification_and_back() {
        for text in ["192.0.2.1", "2001:db8::1"] {
            let address: IpAddr = text.parse().expect("an address");
            let id = Identification::from(address);
            assert_eq!(id.address(), Some(address));
            assert_eq!(Identification::parse(&id.emit()), Ok(id));
        }
    }

    #[test]
    fn a_name_is_no_address_even_of_four_bytes() {
        let id = Identification::parse(&[2, 0, 0, 0, b'a', b'.', b'b', b'c']).expect("a name");
        assert_eq!(id.address(), None);
        assert_eq!(id.id_type.to_string(), "FQDN");
    }

    #[test]
    fn a_body_without_an_identification_is_refused() {
        for body in [&[][..], &[2], &[2, 0, 0], &[2, 0, 0, 0], &[99, 0, 0, 0]] {
            assert!(Identification::parse(body).is_err());
        }
    }
}
