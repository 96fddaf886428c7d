//! The notification payload (RFC 2408 section 3.14, RFC 2407 section 4.6.3) and its types.

use std::fmt;

use crate::{
    error::{Fault, ParseError},
    payload::PayloadType,
    reader::{Reader, count_field},
    sa::ProtocolId,
};

/// What a notification says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct NotifyType(pub u16);

/// The constants and the names from one list.
macro_rules! notify_types {
    ($($(#[$doc:meta])+ $constant:ident = $number:literal $name:literal;)+) => {
        impl NotifyType {
            $($(#[$doc])+ pub const $constant: Self = Self($number);)+

            /// Every type that has a name, errors first.
            pub const NAMED: &'static [Self] = &[$(Self::$constant),+];

            /// The specification's name for it, if it has one.
            pub fn name(self) -> Option<&'static str> {
                Some(match self {
                    $(Self::$constant => $name,)+
                    _ => return None,
                })
            }
        }
    };
}

notify_types! {
    /// A payload of a kind that is not known.
    INVALID_PAYLOAD_TYPE = 1 "INVALID-PAYLOAD-TYPE";
    /// The DOI is not supported.
    DOI_NOT_SUPPORTED = 2 "DOI-NOT-SUPPORTED";
    /// The situation is not supported.
    SITUATION_NOT_SUPPORTED = 3 "SITUATION-NOT-SUPPORTED";
    /// A cookie that belongs to no exchange.
    INVALID_COOKIE = 4 "INVALID-COOKIE";
    /// Major version not supported.
    INVALID_MAJOR_VERSION = 5 "INVALID-MAJOR-VERSION";
    /// Minor version not supported.
    INVALID_MINOR_VERSION = 6 "INVALID-MINOR-VERSION";
    /// Exchange type not supported.
    INVALID_EXCHANGE_TYPE = 7 "INVALID-EXCHANGE-TYPE";
    /// Flags that make no sense here.
    INVALID_FLAGS = 8 "INVALID-FLAGS";
    /// A message ID that belongs to no exchange.
    INVALID_MESSAGE_ID = 9 "INVALID-MESSAGE-ID";
    /// The protocol of a proposal is not supported.
    INVALID_PROTOCOL_ID = 10 "INVALID-PROTOCOL-ID";
    /// An SPI that is not right.
    INVALID_SPI = 11 "INVALID-SPI";
    /// A transform that is not known.
    INVALID_TRANSFORM_ID = 12 "INVALID-TRANSFORM-ID";
    /// An attribute that is not supported.
    ATTRIBUTES_NOT_SUPPORTED = 13 "ATTRIBUTES-NOT-SUPPORTED";
    /// Nothing in the SA payload is acceptable.
    NO_PROPOSAL_CHOSEN = 14 "NO-PROPOSAL-CHOSEN";
    /// A proposal with wrong syntax.
    BAD_PROPOSAL_SYNTAX = 15 "BAD-PROPOSAL-SYNTAX";
    /// A payload that cannot be read; what strongSwan says to a wrong key too.
    PAYLOAD_MALFORMED = 16 "PAYLOAD-MALFORMED";
    /// A public value that is not right.
    INVALID_KEY_INFORMATION = 17 "INVALID-KEY-INFORMATION";
    /// An identity that is not acceptable.
    INVALID_ID_INFORMATION = 18 "INVALID-ID-INFORMATION";
    /// A certificate's encoding is wrong.
    INVALID_CERT_ENCODING = 19 "INVALID-CERT-ENCODING";
    /// A certificate is not right.
    INVALID_CERTIFICATE = 20 "INVALID-CERTIFICATE";
    /// The certificate type asked for is not supported.
    CERT_TYPE_UNSUPPORTED = 21 "CERT-TYPE-UNSUPPORTED";
    /// The certificate authority asked for is not known.
    INVALID_CERT_AUTHORITY = 22 "INVALID-CERT-AUTHORITY";
    /// A hash that is not right.
    INVALID_HASH_INFORMATION = 23 "INVALID-HASH-INFORMATION";
    /// The peer is not who it says.
    AUTHENTICATION_FAILED = 24 "AUTHENTICATION-FAILED";
    /// A signature that is not right.
    INVALID_SIGNATURE = 25 "INVALID-SIGNATURE";
    /// An address notification.
    ADDRESS_NOTIFICATION = 26 "ADDRESS-NOTIFICATION";
    /// An SA's lifetime as a notification.
    NOTIFY_SA_LIFETIME = 27 "NOTIFY-SA-LIFETIME";
    /// The certificate asked for cannot be had.
    CERTIFICATE_UNAVAILABLE = 28 "CERTIFICATE-UNAVAILABLE";
    /// This kind of exchange is not supported.
    UNSUPPORTED_EXCHANGE_TYPE = 29 "UNSUPPORTED-EXCHANGE-TYPE";
    /// Payloads whose lengths do not add up.
    UNEQUAL_PAYLOAD_LENGTHS = 30 "UNEQUAL-PAYLOAD-LENGTHS";
    /// The SA stands; answer to the commit flag.
    CONNECTED = 16384 "CONNECTED";
    /// The lifetime that the responder uses (RFC 2407 section 4.6.3.1).
    RESPONDER_LIFETIME = 24576 "RESPONDER-LIFETIME";
    /// Whether replays are detected (RFC 2407 section 4.6.3.2).
    REPLAY_STATUS = 24577 "REPLAY-STATUS";
    /// The sender has no other SA with the receiver (RFC 2407 section 4.6.3.3).
    INITIAL_CONTACT = 24578 "INITIAL-CONTACT";
    /// Are you there? (RFC 3706 section 5.3)
    R_U_THERE = 36136 "R-U-THERE";
    /// Yes (RFC 3706 section 5.3).
    R_U_THERE_ACK = 36137 "R-U-THERE-ACK";
    /// Cisco's: a gateway to try instead.
    CISCO_LOAD_BALANCE = 40501 "CISCO-LOAD-BALANCE";
    /// Windows says why no SA came about ([MS-IKEE] section 2.2.6).
    MS_STATUS = 40003 "NOTIFY_STATUS";
    /// Windows asks for its cookie back while it is flooded ([MS-IKEE] section 2.2.6).
    MS_DOS_COOKIE = 40004 "NOTIFY_DOS_COOKIE";
    /// Windows' negotiation discovery ([MS-IKEE] section 2.2.6).
    MS_EXCHANGE_INFO = 40005 "EXCHANGE_INFO";
    /// AuthIP says why no SA came about ([MS-AIPS] section 2.2.3.5).
    AUTHIP_STATUS = 40020 "AuthIP NOTIFY_STATUS";
    /// AuthIP asks for its cookie back while it is flooded ([MS-AIPS] section 2.2.3.5).
    AUTHIP_DOS_COOKIE = 40021 "AuthIP NOTIFY_DOS_COOKIE";
}

/// The last number of RFC 2408's range of errors, private ones included.
const LAST_ERROR: u16 = 16383;
/// The last number that RFC 2408 section 3.14.1 reserves for errors of a DOI's own.
const LAST_ASSIGNED_ERROR: u16 = 8191;

impl NotifyType {
    /// Whether it is an error (1 to 8191) rather than a status.
    pub fn is_error(self) -> bool {
        (1..=LAST_ASSIGNED_ERROR).contains(&self.0)
    }

    /// Whether it is an error by somebody's private numbers (8192 to 16383).
    pub fn is_private_error(self) -> bool {
        (LAST_ASSIGNED_ERROR + 1..=LAST_ERROR).contains(&self.0)
    }
}

impl fmt::Display for NotifyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "notification type {}", self.0),
        }
    }
}

/// A notification payload.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Notification {
    /// [`crate::DOI_IPSEC`], or [`crate::DOI_ISAKMP`] before an SA stands.
    pub doi: u32,
    /// The protocol of the SA it is about.
    pub protocol: ProtocolId,
    /// That SA: both cookies in phase 1, or nothing.
    pub spi: Vec<u8>,
    /// What it says.
    pub kind: NotifyType,
    /// What else belongs to it.
    pub data: Vec<u8>,
}

impl Notification {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ParseError> {
        Self::read(&mut Reader::new(body))
            .map_err(|fault| ParseError::new(PayloadType::NOTIFY, fault))
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let doi = reader.u32()?;
        let protocol = ProtocolId(reader.u8()?);
        let spi_size = reader.u8()?;
        let kind = NotifyType(reader.u16()?);
        let spi = reader.take(spi_size.into())?.to_vec();
        Ok(Self {
            doi,
            protocol,
            spi,
            kind,
            data: reader.rest().to_vec(),
        })
    }

    pub(crate) fn emit(&self) -> Vec<u8> {
        let mut out = self.doi.to_be_bytes().to_vec();
        out.extend_from_slice(&[self.protocol.0, count_field(self.spi.len())]);
        out.extend_from_slice(&self.kind.0.to_be_bytes());
        out.extend_from_slice(&self.spi);
        out.extend_from_slice(&self.data);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_has_its_fields_where_the_specification_puts_them() {
        let body = [0, 0, 0, 1, 1, 2, 0x60, 2, 0xaa, 0xbb, 7];
        let notification = Notification::parse(&body).expect("a notification");
        assert_eq!(notification.kind, NotifyType::INITIAL_CONTACT);
        assert_eq!(notification.protocol, ProtocolId::ISAKMP);
        assert_eq!(notification.spi, [0xaa, 0xbb]);
        assert_eq!(notification.data, [7]);
        assert_eq!(notification.emit(), body);
    }

    #[test]
    fn an_spi_past_the_end_is_refused() {
        assert!(Notification::parse(&[0, 0, 0, 1, 1, 4, 0, 14, 1, 2, 3]).is_err());
        assert!(Notification::parse(&[0, 0, 0, 1, 1, 0, 0]).is_err());
    }

    #[test]
    fn errors_are_the_numbers_up_to_8191_and_private_ones_apart() {
        for (number, error, private) in [
            (0, false, false),
            (1, true, false),
            (8191, true, false),
            (8192, false, true),
            (16383, false, true),
            (16384, false, false),
            (u16::MAX, false, false),
        ] {
            assert_eq!(NotifyType(number).is_error(), error);
            assert_eq!(NotifyType(number).is_private_error(), private);
        }
    }

    #[test]
    fn all_thirty_errors_have_names_and_others_their_number() {
        for number in 1..=30 {
            assert!(NotifyType(number).name().is_some(), "{number}");
        }
        assert_eq!(NotifyType(14).to_string(), "NO-PROPOSAL-CHOSEN");
        assert_eq!(NotifyType(36136).to_string(), "R-U-THERE");
        assert_eq!(NotifyType(31).to_string(), "notification type 31");
    }
}
