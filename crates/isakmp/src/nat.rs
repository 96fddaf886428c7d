//! The original address of NAT traversal (RFC 3947 section 5.2). NAT-D is a bare hash and needs no type.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{
    error::{Fault, ParseError},
    identification::IdType,
    payload::PayloadType,
    reader::Reader,
};

/// The address that a side had before the NAT.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct NatOa {
    /// The address.
    pub address: IpAddr,
}

impl NatOa {
    pub(crate) fn parse(kind: PayloadType, body: &[u8]) -> Result<Self, ParseError> {
        Self::read(&mut Reader::new(body)).map_err(|fault| ParseError::new(kind, fault))
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let id_type = IdType(reader.u8()?);
        reader.reserved_u8()?;
        reader.reserved_u16()?;
        let address = match id_type {
            IdType::IPV4_ADDR => Ipv4Addr::from(reader.array::<4>()?).into(),
            IdType::IPV6_ADDR => Ipv6Addr::from(reader.array::<16>()?).into(),
            IdType(other) => return Err(Fault::NotAnAddress(other)),
        };
        if !reader.is_empty() {
            return Err(Fault::Trailing(reader.remaining()));
        }
        Ok(Self { address })
    }

    pub(crate) fn emit(self) -> Vec<u8> {
        let mut out = match self.address {
            IpAddr::V4(_) => vec![IdType::IPV4_ADDR.0, 0, 0, 0],
            IpAddr::V6(_) => vec![IdType::IPV6_ADDR.0, 0, 0, 0],
        };
        match self.address {
            IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
            IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &[u8]) -> Result<NatOa, Option<Fault>> {
        NatOa::parse(PayloadType::NAT_OA, body).map_err(|error| error.fault().cloned())
    }

    #[test]
    fn an_original_address_is_an_address_of_its_type() {
        assert_eq!(
            parse(&[1, 0, 0, 0, 192, 0, 2, 1]).map(|original| original.address.to_string()),
            Ok("192.0.2.1".to_owned())
        );
        assert_eq!(
            parse(&[2, 0, 0, 0, 192, 0, 2, 1]),
            Err(Some(Fault::NotAnAddress(2)))
        );
        assert!(parse(&[5, 0, 0, 0, 192, 0, 2, 1]).is_err());
        assert_eq!(
            parse(&[1, 0, 0, 0, 192, 0, 2, 1, 0]),
            Err(Some(Fault::Trailing(1)))
        );
    }

    #[test]
    fn its_reserved_bytes_must_be_zero() {
        assert_eq!(
            parse(&[1, 1, 0, 0, 192, 0, 2, 1]),
            Err(Some(Fault::Reserved(1)))
        );
        assert_eq!(
            parse(&[1, 0, 0, 1, 192, 0, 2, 1]),
            Err(Some(Fault::Reserved(1)))
        );
    }
}
