//! Who a peer says it is: the identities of RFC 2407 section 4.6.2, as phase 1 uses them.
//!
//! One type for both ends of the comparison: what the operator wrote (`id = "gw.example"`) and what the
//! Identification payload carried. [`Identity`]'s text form reads back as the same identity, so that a
//! peer cannot pass off one kind of name as another in a log: an FQDN that consists of the characters
//! `192.0.2.1` is shown as `@192.0.2.1`.

mod dn;

pub use dn::DnError;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use isakmp::IdType;

/// The longest identity that we take, in bytes. Distinguished names in use stay far below it; a longer
/// one would only be there to fill the log.
pub const MAX_LEN: usize = 2048;

/// An identity: its type, and its value exactly as the Identification payload carries it.
///
/// Equality is of the type and of the whole value. Whether a peer's identity satisfies the configured
/// one is the question of [`Identity::matches`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The ID type (RFC 2407 section 4.6.2.1).
    pub kind: IdType,
    /// The identification data: 4 or 16 bytes of address, a name's characters, a DN in DER, a key ID.
    pub data: Vec<u8>,
}

/// Why a text or a payload is no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// Nothing was there.
    #[error("the identity is empty")]
    Empty,
    /// More than [`MAX_LEN`] bytes.
    #[error("the identity has {0} bytes; {MAX_LEN} are the most")]
    TooLong(usize),
    /// The text looks like an address and is none.
    #[error("\"{0}\" looks like an address and is none; to use it as a name, write \"@{0}\"")]
    NotAnAddress(String),
    /// A subnet or range, which names no single peer.
    #[error("\"{0}\" is a subnet; an identity names one peer")]
    Subnet(String),
    /// A pattern, which names no single peer.
    #[error(
        "\"{0}\" is a pattern; an identity names one peer (leave `id` out where any identity will do)"
    )]
    Pattern(String),
    /// A name with a character that names do not have.
    #[error("the name has {0}, which no name may have")]
    BadCharacter(String),
    /// A distinguished name that cannot be read.
    #[error("the distinguished name is not valid: {0}")]
    BadDn(#[from] DnError),
    /// `keyid:0x` with something that is not pairs of hexadecimal digits.
    #[error("after \"keyid:0x\" come pairs of hexadecimal digits")]
    BadKeyId,
    /// strongSwan's `@#6162`.
    #[error("a key ID is written \"keyid:0x6162\", not \"@#6162\"")]
    HashKeyId,
    /// An address of the wrong length on the wire.
    #[error("an identity of type {kind} has {len} bytes; {expected} are right")]
    WrongLength {
        /// The ID type.
        kind: u8,
        /// How many bytes there were.
        len: usize,
        /// How many there must be.
        expected: usize,
    },
    /// An ID type that does not name a peer in phase 1 (subnets, ranges, general names, unknown ones).
    #[error("identities of type {0} are not supported in phase 1")]
    Unsupported(u8),
}

impl Identity {
    /// Reads an identity as the configuration has it.
    ///
    /// `192.0.2.1` and `2001:db8::1` are addresses, `C=CH, O=Example, CN=gw` (anything with `=`) is a
    /// distinguished name in the order of its encoding, `ops@example` a user FQDN, `keyid:text` and
    /// `keyid:0x6162` a key ID, anything else an FQDN. A leading `@` forces FQDN, `@@` user FQDN.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the text, in words for the person who wrote it.
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        if text.is_empty() {
            return Err(IdentityError::Empty);
        }
        if text.len() > MAX_LEN {
            return Err(IdentityError::TooLong(text.len()));
        }
        if let Some(name) = text.strip_prefix("@@") {
            return Self::from_payload(IdType::USER_FQDN.0, name.as_bytes());
        }
        if let Some(name) = text.strip_prefix('@') {
            if name.starts_with('#') {
                return Err(IdentityError::HashKeyId);
            }
            return Self::from_payload(IdType::FQDN.0, name.as_bytes());
        }
        if let Some(key_id) = text.strip_prefix("keyid:") {
            let data = match key_id.strip_prefix("0x") {
                Some(digits) => unhex(digits).ok_or(IdentityError::BadKeyId)?,
                None => key_id.as_bytes().to_vec(),
            };
            return Self::from_payload(IdType::KEY_ID.0, &data);
        }
        if text.contains('=') {
            let data = dn::encode(text)?;
            return Self::from_payload(IdType::DER_ASN1_DN.0, &data);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::from(address));
        }
        if text.contains('*') || text.starts_with('%') {
            return Err(IdentityError::Pattern(text.to_owned()));
        }
        if text.contains('@') {
            return Self::from_payload(IdType::USER_FQDN.0, text.as_bytes());
        }
        if text.contains('/') {
            return Err(IdentityError::Subnet(text.to_owned()));
        }
        if text.contains(':') || text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return Err(IdentityError::NotAnAddress(text.to_owned()));
        }
        Self::from_payload(IdType::FQDN.0, text.as_bytes())
    }

    /// Takes an identity from the ID type and the identification data of a payload.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Unsupported`] for a type that names no peer; the other errors mean that the
    /// data is malformed: an address of the wrong length, a name with a NUL or another character that
    /// would deceive a reader, a distinguished name that is not DER.
    pub fn from_payload(kind: u8, data: &[u8]) -> Result<Self, IdentityError> {
        let expected = match IdType(kind) {
            IdType::IPV4_ADDR => Some(4),
            IdType::IPV6_ADDR => Some(16),
            IdType::FQDN | IdType::USER_FQDN | IdType::DER_ASN1_DN | IdType::KEY_ID => None,
            _ => return Err(IdentityError::Unsupported(kind)),
        };
        if let Some(expected) = expected
            && data.len() != expected
        {
            return Err(IdentityError::WrongLength {
                kind,
                len: data.len(),
                expected,
            });
        }
        if data.is_empty() {
            return Err(IdentityError::Empty);
        }
        if data.len() > MAX_LEN {
            return Err(IdentityError::TooLong(data.len()));
        }
        match IdType(kind) {
            IdType::FQDN | IdType::USER_FQDN => check_name(IdType(kind), data)?,
            IdType::DER_ASN1_DN => dn::check(data)?,
            _ => {}
        }
        Ok(Self {
            kind: IdType(kind),
            data: data.to_vec(),
        })
    }

    /// Any ID payload's value in words that are safe to print, for payloads that
    /// [`Identity::from_payload`] refuses too: those are shown as `type 4: 0a000000ff000000`.
    pub fn describe(kind: u8, data: &[u8]) -> String {
        Self::from_payload(kind, data).map_or_else(
            |_| format!("type {kind}: {}", hex(&data[..data.len().min(MAX_LEN)])),
            |identity| identity.to_string(),
        )
    }

    /// Whether the identity `presented` by a peer is this one, as the operator means it: names without
    /// regard to case, distinguished names by their attributes' text whatever string type encodes it
    /// (RFC 5280 section 7.1), everything else byte for byte. The whole value always counts.
    pub fn matches(&self, presented: &Self) -> bool {
        if self.kind != presented.kind {
            return false;
        }
        match self.kind {
            IdType::FQDN | IdType::USER_FQDN => self.data.eq_ignore_ascii_case(&presented.data),
            IdType::DER_ASN1_DN => {
                self.data == presented.data || dn::same(&self.data, &presented.data)
            }
            _ => self.data == presented.data,
        }
    }

    /// The address, where the identity is one.
    pub fn address(&self) -> Option<IpAddr> {
        match self.kind {
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

impl From<IpAddr> for Identity {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self {
                kind: IdType::IPV4_ADDR,
                data: v4.octets().to_vec(),
            },
            IpAddr::V6(v6) => Self {
                kind: IdType::IPV6_ADDR,
                data: v6.octets().to_vec(),
            },
        }
    }
}

impl std::str::FromStr for Identity {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// How events say that there is no name.
const ABSENT: &str = "-";

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(address) = self.address() {
            return write!(f, "{address}");
        }
        match self.kind {
            IdType::FQDN | IdType::USER_FQDN => {
                let name = String::from_utf8_lossy(&self.data);
                if check_name(self.kind, &self.data).is_err() {
                    write!(f, "type {}: {}", self.kind.0, hex(&self.data))
                } else if name != ABSENT
                    && Self::parse(&name).is_ok_and(|read_back| read_back == *self)
                {
                    f.write_str(&name)
                } else if self.kind == IdType::FQDN {
                    write!(f, "@{name}")
                } else {
                    write!(f, "@@{name}")
                }
            }
            IdType::DER_ASN1_DN => match dn::render(&self.data) {
                Some(text) => f.write_str(&text),
                None => write!(f, "type {}: {}", self.kind.0, hex(&self.data)),
            },
            IdType::KEY_ID => write!(f, "keyid:{}", hex(&self.data)),
            _ => write!(f, "type {}: {}", self.kind.0, hex(&self.data)),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({self})")
    }
}

/// Refuses what would let a name read as another one: NUL and other controls, white space, characters
/// that turn or hide text, bytes that are no UTF-8; a missing `@` is no error, since `@@` shows it.
fn check_name(kind: IdType, data: &[u8]) -> Result<(), IdentityError> {
    let text = std::str::from_utf8(data)
        .map_err(|_| IdentityError::BadCharacter("bytes that are not UTF-8".to_owned()))?;
    if let Some(bad) = text
        .chars()
        .find(|&c| c.is_whitespace() || c.is_control() || is_deceptive(c) || c == '\\' || c == '"')
    {
        return Err(IdentityError::BadCharacter(format!(
            "U+{:04X}",
            u32::from(bad)
        )));
    }
    if kind == IdType::FQDN && text.starts_with(['@', '#']) {
        return Err(IdentityError::BadCharacter(format!(
            "\"{}\" at its beginning",
            &text[..1]
        )));
    }
    Ok(())
}

/// Characters without a shape of their own, which reorder or hide what stands beside them.
fn is_deceptive(c: char) -> bool {
    matches!(u32::from(c),
        0x00AD | 0x061C | 0x180E | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F
        | 0xFE00..=0xFE0F | 0xFEFF | 0xFFF9..=0xFFFF | 0xE0000..=0xE0FFF)
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            u8::try_from(high * 16 + low).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests;
