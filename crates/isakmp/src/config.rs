//! The attributes payload of mode configuration and XAUTH (draft-dukes-ike-mode-cfg-02 section 3.2).

use std::fmt;

use zeroize::Zeroize as _;

use crate::{
    attribute::{Attribute, AttributeValue},
    error::{Fault, ParseError},
    payload::PayloadType,
    reader::Reader,
};

/// What an attributes payload does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ConfigType(pub u8);

impl ConfigType {
    /// Asks for values.
    pub const REQUEST: Self = Self(1);
    /// Answers a request.
    pub const REPLY: Self = Self(2);
    /// Sets values.
    pub const SET: Self = Self(3);
    /// Answers a set.
    pub const ACK: Self = Self(4);
}

impl fmt::Display for ConfigType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::REQUEST => f.write_str("ISAKMP_CFG_REQUEST"),
            Self::REPLY => f.write_str("ISAKMP_CFG_REPLY"),
            Self::SET => f.write_str("ISAKMP_CFG_SET"),
            Self::ACK => f.write_str("ISAKMP_CFG_ACK"),
            Self(other) => write!(f, "configuration type {other}"),
        }
    }
}

/// Attribute classes of mode configuration (draft-dukes-ike-mode-cfg-02 section 3.3) and XAUTH
/// (draft-beaulieu-ike-xauth-02 section 6.2).
pub mod class {
    /// The address that the client is given.
    pub const INTERNAL_IP4_ADDRESS: u16 = 1;
    /// Its mask.
    pub const INTERNAL_IP4_NETMASK: u16 = 2;
    /// A name server.
    pub const INTERNAL_IP4_DNS: u16 = 3;
    /// A NetBIOS name server.
    pub const INTERNAL_IP4_NBNS: u16 = 4;
    /// How long the address may be used, in seconds.
    pub const INTERNAL_ADDRESS_EXPIRY: u16 = 5;
    /// A DHCP server.
    pub const INTERNAL_IP4_DHCP: u16 = 6;
    /// The version of the software, as text.
    pub const APPLICATION_VERSION: u16 = 7;
    /// The IPv6 address that the client is given.
    pub const INTERNAL_IP6_ADDRESS: u16 = 8;
    /// A net behind the gateway.
    pub const INTERNAL_IP4_SUBNET: u16 = 13;
    /// Which attributes are supported.
    pub const SUPPORTED_ATTRIBUTES: u16 = 14;
    /// How XAUTH authenticates.
    pub const XAUTH_TYPE: u16 = 16520;
    /// The user's name.
    pub const XAUTH_USER_NAME: u16 = 16521;
    /// The user's password.
    pub const XAUTH_USER_PASSWORD: u16 = 16522;
    /// The user's passcode.
    pub const XAUTH_PASSCODE: u16 = 16523;
    /// Text for the user.
    pub const XAUTH_MESSAGE: u16 = 16524;
    /// A challenge.
    pub const XAUTH_CHALLENGE: u16 = 16525;
    /// A domain.
    pub const XAUTH_DOMAIN: u16 = 16526;
    /// Whether the user passed.
    pub const XAUTH_STATUS: u16 = 16527;
    /// Nets that the client is to send through the tunnel (Cisco Unity), see [`crate::unity`].
    pub const UNITY_SPLIT_INCLUDE: u16 = 28676;
    /// Nets that the client is to leave outside of the tunnel (Cisco Unity), see [`crate::unity`].
    pub const UNITY_LOCAL_LAN: u16 = 28678;
}

/// An attributes payload. XAUTH's have a password: the values do not print, and are wiped when they are dropped.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ConfigAttributes {
    /// Request, reply, set or acknowledgement.
    pub kind: ConfigType,
    /// Tells the requests of one exchange apart.
    pub identifier: u16,
    /// The values, or what is asked for with empty ones.
    pub attributes: Vec<Attribute>,
}

impl fmt::Debug for ConfigAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let classes: Vec<u16> = self.attributes.iter().map(|a| a.class).collect();
        f.debug_struct("ConfigAttributes")
            .field("kind", &self.kind)
            .field("identifier", &self.identifier)
            .field("classes", &classes)
            .finish_non_exhaustive()
    }
}

impl Drop for ConfigAttributes {
    fn drop(&mut self) {
        for attribute in &mut self.attributes {
            if let AttributeValue::Long(value) = &mut attribute.value {
                value.zeroize();
            }
        }
    }
}

impl ConfigAttributes {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ParseError> {
        Self::read(&mut Reader::new(body))
            .map_err(|fault| ParseError::new(PayloadType::ATTRIBUTES, fault))
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let kind = ConfigType(reader.u8()?);
        reader.reserved_u8()?;
        let identifier = reader.u16()?;
        Ok(Self {
            kind,
            identifier,
            attributes: Attribute::parse_all(reader.rest())?,
        })
    }

    pub(crate) fn emit(&self) -> Vec<u8> {
        let mut out = vec![self.kind.0, 0];
        out.extend_from_slice(&self.identifier.to_be_bytes());
        Attribute::emit_all(&self.attributes, &mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_asks_with_empty_values() {
        let body = [1, 0, 0x12, 0x34, 0, 1, 0, 0, 0, 3, 0, 0];
        let request = ConfigAttributes::parse(&body).expect("a request");
        assert_eq!(request.kind, ConfigType::REQUEST);
        assert_eq!(request.identifier, 0x1234);
        assert_eq!(
            request.attributes,
            [
                Attribute::long(class::INTERNAL_IP4_ADDRESS, []),
                Attribute::long(class::INTERNAL_IP4_DNS, [])
            ]
        );
        assert_eq!(request.emit(), body);
    }

    #[test]
    fn its_values_do_not_print() {
        let attributes = ConfigAttributes {
            kind: ConfigType::REPLY,
            identifier: 7,
            attributes: vec![Attribute::long(class::XAUTH_USER_PASSWORD, *b"4711")],
        };
        let shown = format!(
            "{attributes:?} {:?}",
            crate::Payload::Attributes(attributes.clone())
        );
        assert!(
            shown.contains("16522") && !shown.contains("52, 55"),
            "{shown}"
        );
    }

    #[test]
    fn its_reserved_byte_must_be_zero() {
        assert!(ConfigAttributes::parse(&[1, 1, 0, 0]).is_err());
    }
}
