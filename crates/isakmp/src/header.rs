//! The ISAKMP header (RFC 2408 section 3.1) and the datagram that it opens.

use std::fmt;

use crate::{error::ParseError, payload::PayloadType};

/// One side's cookie (RFC 2408 section 2.5.3). Shown as 16 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Cookie(pub [u8; 8]);

impl Cookie {
    /// No cookie yet: what the responder's is in the first message.
    pub const ZERO: Self = Self([0; 8]);

    /// Whether all eight bytes are zero.
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }
}

impl fmt::Display for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The exchange type (RFC 2408 section 3.1, RFC 2409 section 5, [MS-AIPS] section 2.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ExchangeType(pub u8);

impl ExchangeType {
    /// Base exchange (RFC 2408 section 4.4).
    pub const BASE: Self = Self(1);
    /// Identity Protection, which IKE calls Main Mode (RFC 2409 section 5).
    pub const IDENTITY_PROTECTION: Self = Self(2);
    /// Authentication Only (RFC 2408 section 4.6).
    pub const AUTHENTICATION_ONLY: Self = Self(3);
    /// Aggressive Mode (RFC 2409 section 5).
    pub const AGGRESSIVE: Self = Self(4);
    /// Informational (RFC 2408 section 4.8).
    pub const INFORMATIONAL: Self = Self(5);
    /// Transaction, of mode configuration and XAUTH (draft-dukes-ike-mode-cfg-02).
    pub const TRANSACTION: Self = Self(6);
    /// Quick Mode (RFC 2409 section 5.5).
    pub const QUICK_MODE: Self = Self(32);
    /// New Group Mode (RFC 2409 section 5.6).
    pub const NEW_GROUP_MODE: Self = Self(33);
    /// `IKE_SA_INIT` of IKE version 2 (RFC 7296 section 3.1).
    pub const IKE_SA_INIT: Self = Self(34);
    /// Main mode of AuthIP ([MS-AIPS] section 2.2.1).
    pub const AUTHIP_MAIN_MODE: Self = Self(243);
    /// Quick mode of AuthIP ([MS-AIPS] section 2.2.1).
    pub const AUTHIP_QUICK_MODE: Self = Self(244);
    /// Extended mode of AuthIP ([MS-AIPS] section 2.2.1).
    pub const AUTHIP_EXTENDED_MODE: Self = Self(245);
    /// Notify exchange of AuthIP ([MS-AIPS] section 2.2.1).
    pub const AUTHIP_NOTIFY: Self = Self(246);

    /// Whether the exchange belongs to IKE version 2 (34 to 37, RFC 7296 section 3.1).
    pub fn is_of_version_2(self) -> bool {
        (34..=37).contains(&self.0)
    }

    /// Whether the exchange belongs to AuthIP (243 to 246).
    pub fn is_authip(self) -> bool {
        (Self::AUTHIP_MAIN_MODE..=Self::AUTHIP_NOTIFY).contains(&self)
    }

    /// The field's name for it, if it has one.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::BASE => "Base",
            Self::IDENTITY_PROTECTION => "Identity Protection (Main Mode)",
            Self::AUTHENTICATION_ONLY => "Authentication Only",
            Self::AGGRESSIVE => "Aggressive",
            Self::INFORMATIONAL => "Informational",
            Self::TRANSACTION => "Transaction (Config Mode)",
            Self::QUICK_MODE => "Quick Mode",
            Self::NEW_GROUP_MODE => "New Group Mode",
            Self::AUTHIP_MAIN_MODE => "AuthIP Main Mode",
            Self::AUTHIP_QUICK_MODE => "AuthIP Quick Mode",
            Self::AUTHIP_EXTENDED_MODE => "AuthIP Extended Mode",
            Self::AUTHIP_NOTIFY => "AuthIP Notify",
            _ => return None,
        })
    }
}

impl fmt::Display for ExchangeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "exchange type {}", self.0),
        }
    }
}

/// The header's flags (RFC 2408 section 3.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Flags(pub u8);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// The body is encrypted.
    pub const ENCRYPTION: Self = Self(1);
    /// The other side waits for CONNECTED.
    pub const COMMIT: Self = Self(2);
    /// Authenticated and not encrypted.
    pub const AUTH_ONLY: Self = Self(4);

    /// Whether the body is encrypted.
    pub fn encrypted(self) -> bool {
        self.0 & Self::ENCRYPTION.0 != 0
    }

    /// The bits that RFC 2408 has no meaning for; they must be zero.
    pub fn reserved(self) -> u8 {
        self.0 & !(Self::ENCRYPTION.0 | Self::COMMIT.0 | Self::AUTH_ONLY.0)
    }
}

impl std::ops::BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The fixed header of every ISAKMP message (RFC 2408 section 3.1), as it stands on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Cookie of the side that began the phase 1 exchange.
    pub initiator_cookie: Cookie,
    /// Cookie of the other side; zero in the first message.
    pub responder_cookie: Cookie,
    /// Kind of the first payload.
    pub next_payload: PayloadType,
    /// Major version, 4 bits.
    pub major: u8,
    /// Minor version, 4 bits.
    pub minor: u8,
    /// Which exchange the message belongs to.
    pub exchange: ExchangeType,
    /// Encryption, commit, authentication only.
    pub flags: Flags,
    /// Zero in phase 1.
    pub message_id: u32,
    /// Bytes of the whole message, this header included.
    pub length: u32,
}

impl Header {
    /// Bytes on the wire.
    pub const LEN: usize = 28;

    /// Reads the first 28 bytes and checks nothing but that they are there, so that what came from
    /// where can be told even of a message that is then refused.
    ///
    /// # Errors
    /// [`ParseError::Runt`].
    pub fn parse(datagram: &[u8]) -> Result<Self, ParseError> {
        let Some(bytes) = datagram.first_chunk::<{ Self::LEN }>() else {
            return Err(ParseError::Runt {
                length: datagram.len(),
            });
        };
        let [
            i0,
            i1,
            i2,
            i3,
            i4,
            i5,
            i6,
            i7, //
            r0,
            r1,
            r2,
            r3,
            r4,
            r5,
            r6,
            r7, //
            next_payload,
            version,
            exchange,
            flags, //
            m0,
            m1,
            m2,
            m3,
            l0,
            l1,
            l2,
            l3,
        ] = *bytes;
        Ok(Self {
            initiator_cookie: Cookie([i0, i1, i2, i3, i4, i5, i6, i7]),
            responder_cookie: Cookie([r0, r1, r2, r3, r4, r5, r6, r7]),
            next_payload: PayloadType(next_payload),
            major: version >> 4,
            minor: version & 0x0f,
            exchange: ExchangeType(exchange),
            flags: Flags(flags),
            message_id: u32::from_be_bytes([m0, m1, m2, m3]),
            length: u32::from_be_bytes([l0, l1, l2, l3]),
        })
    }

    /// Appends the 28 bytes.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.initiator_cookie.0);
        out.extend_from_slice(&self.responder_cookie.0);
        out.extend_from_slice(&[
            self.next_payload.0,
            (self.major << 4) | (self.minor & 0x0f),
            self.exchange.0,
            self.flags.0,
        ]);
        out.extend_from_slice(&self.message_id.to_be_bytes());
        out.extend_from_slice(&self.length.to_be_bytes());
    }
}

/// One datagram whose header was checked, with its body apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Datagram<'a> {
    /// The header: version 1.0, reserved flags zero, length that of the datagram.
    pub header: Header,
    /// What follows it: payloads, or their ciphertext.
    pub body: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Checks the header of a datagram (without a non-ESP marker) and takes it apart.
    ///
    /// # Errors
    /// [`ParseError::Runt`], [`ParseError::Version`], [`ParseError::ReservedFlags`] and
    /// [`ParseError::Length`], in this order.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, ParseError> {
        let header = Header::parse(datagram)?;
        let (_, body) = datagram
            .split_at_checked(Header::LEN)
            .ok_or(ParseError::Runt {
                length: datagram.len(),
            })?;
        if (header.major, header.minor) != (1, 0) {
            return Err(ParseError::Version {
                major: header.major,
                minor: header.minor,
            });
        }
        if header.flags.reserved() != 0 {
            return Err(ParseError::ReservedFlags {
                flags: header.flags.0,
            });
        }
        if usize::try_from(header.length) != Ok(datagram.len()) {
            return Err(ParseError::Length {
                told: header.length,
                received: datagram.len(),
            });
        }
        Ok(Self { header, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [u8; 28] = [
        0x08, 0x0f, 0xd6, 0xf2, 0x05, 0xd3, 0x87, 0x9d, 0, 0, 0, 0, 0, 0, 0, 0x2a, //
        1, 0x10, 2, 0, 0, 0, 0x12, 0x34, 0, 0, 0, 28,
    ];

    #[test]
    fn a_header_has_its_fields_where_the_specification_puts_them() {
        let header = Header::parse(&BYTES).expect("28 bytes");
        assert_eq!(header.initiator_cookie.to_string(), "080fd6f205d3879d");
        assert_eq!(format!("{:?}", header.responder_cookie), "000000000000002a");
        assert_eq!(header.next_payload, PayloadType::SA);
        assert_eq!((header.major, header.minor), (1, 0));
        assert_eq!(header.exchange, ExchangeType::IDENTITY_PROTECTION);
        assert_eq!(header.flags, Flags::NONE);
        assert_eq!(header.message_id, 0x1234);
        assert_eq!(header.length, 28);
        let mut out = Vec::new();
        header.emit(&mut out);
        assert_eq!(out, BYTES);
    }

    #[test]
    fn a_runt_is_refused_and_says_how_short_it_is() {
        for length in 0..28 {
            assert_eq!(
                Datagram::parse(&BYTES[..length]),
                Err(ParseError::Runt { length })
            );
        }
        assert!(Datagram::parse(&BYTES).is_ok());
    }

    #[test]
    fn bytes_behind_the_message_are_refused() {
        let longer = [&BYTES[..], &[0]].concat();
        assert_eq!(
            Datagram::parse(&longer),
            Err(ParseError::Length {
                told: 28,
                received: 29
            })
        );
        assert!(
            Header::parse(&longer).is_ok(),
            "its header can still be read"
        );
    }

    #[test]
    fn each_reserved_flag_is_refused_and_each_known_one_accepted() {
        for bit in 0..8 {
            let mut bytes = BYTES;
            bytes[19] = 1 << bit;
            let expected = if bit < 3 {
                None
            } else {
                Some(ParseError::ReservedFlags { flags: 1 << bit })
            };
            assert_eq!(Datagram::parse(&bytes).err(), expected);
        }
        assert!((Flags::COMMIT | Flags::ENCRYPTION).encrypted());
        assert!(!(Flags::COMMIT | Flags::AUTH_ONLY).encrypted());
    }

    #[test]
    fn exactly_the_four_exchanges_of_authip_are_its() {
        let authip: Vec<u8> = (0..=255)
            .filter(|number| ExchangeType(*number).is_authip())
            .collect();
        assert_eq!(authip, [243, 244, 245, 246]);
        assert_eq!(ExchangeType(243).to_string(), "AuthIP Main Mode");
        assert_eq!(ExchangeType(99).to_string(), "exchange type 99");
    }

    #[test]
    fn only_eight_zero_bytes_are_no_cookie() {
        assert!(Cookie::default().is_zero());
        assert!(!Cookie([0, 0, 0, 0, 0, 0, 0, 1]).is_zero());
    }
}
