//! Distinguished names: text to DER and back, and when two are the same.
//!
//! Encoding and decoding are `x509-cert`'s; the text is ours, because that crate writes names in RFC
//! 4514's order (last first) and IKE's operators read them in the order of the encoding
//! (`C=CH, O=Example, CN=gw`). Escapes are RFC 4514's.

use std::fmt::Write as _;

use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::asn1::{Any, ObjectIdentifier, SetOfVec};
use x509_cert::der::{Decode, Encode, Tag, Tagged};
use x509_cert::name::{RdnSequence, RelativeDistinguishedName};

/// The most attributes of one name. Names in use have fewer than ten.
pub const MAX_ATTRIBUTES: usize = 64;

/// Why a distinguished name cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DnError {
    /// A part without `=`.
    #[error("\"{0}\" is no attribute; write TYPE=value, separated by commas")]
    NoEquals(String),
    /// A type that is neither known nor an object identifier.
    #[error("\"{0}\" is no attribute type; known are {known}, or an object identifier in dots", known = known_types())]
    UnknownType(String),
    /// An attribute without a value.
    #[error("{0} has no value")]
    NoValue(String),
    /// A value that the attribute's string type cannot hold.
    #[error("the value of {0} has characters that this attribute cannot have")]
    BadValue(String),
    /// A backslash that escapes nothing, or `#` without DER in hexadecimal.
    #[error(
        "in the value of {0}, \"\\\" must be followed by a special character or two hexadecimal digits, and \"#\" by DER in hexadecimal"
    )]
    BadEscape(String),
    /// More than [`MAX_ATTRIBUTES`].
    #[error("it has more than {MAX_ATTRIBUTES} attributes")]
    TooMany,
    /// Bytes that are not the DER of a name.
    #[error("the bytes are not the DER of a name")]
    NotDer,
}

/// How an attribute's value is encoded when we write it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Syntax {
    /// `PrintableString` where the characters allow it, else `UTF8String`.
    Directory,
    /// `PrintableString` always.
    Printable,
    /// `IA5String` always.
    Ia5,
}

struct AttributeRow {
    /// The first is what we print; all are read, without regard to case.
    names: &'static [&'static str],
    oid: &'static str,
    syntax: Syntax,
}

/// The attribute types that have a name (RFC 4519, RFC 5280 appendix A.1, PKCS #9).
const ATTRIBUTES: &[AttributeRow] = &[
    row(&["C"], "2.5.4.6", Syntax::Printable),
    row(&["ST"], "2.5.4.8", Syntax::Directory),
    row(&["L"], "2.5.4.7", Syntax::Directory),
    row(&["STREET"], "2.5.4.9", Syntax::Directory),
    row(&["postalCode"], "2.5.4.17", Syntax::Directory),
    row(&["O"], "2.5.4.10", Syntax::Directory),
    row(&["OU"], "2.5.4.11", Syntax::Directory),
    row(&["CN"], "2.5.4.3", Syntax::Directory),
    row(&["SN"], "2.5.4.4", Syntax::Directory),
    row(&["G", "GN", "givenName"], "2.5.4.42", Syntax::Directory),
    row(&["I", "initials"], "2.5.4.43", Syntax::Directory),
    row(&["T", "title"], "2.5.4.12", Syntax::Directory),
    row(&["D", "description"], "2.5.4.13", Syntax::Directory),
    row(&["N", "name"], "2.5.4.41", Syntax::Directory),
    row(&["dnQualifier"], "2.5.4.46", Syntax::Printable),
    row(&["serialNumber"], "2.5.4.5", Syntax::Printable),
    row(&["pseudonym"], "2.5.4.65", Syntax::Directory),
    row(&["UID"], "0.9.2342.19200300.100.1.1", Syntax::Directory),
    row(&["DC"], "0.9.2342.19200300.100.1.25", Syntax::Ia5),
    row(
        &["E", "email", "emailAddress"],
        "1.2.840.113549.1.9.1",
        Syntax::Ia5,
    ),
];

const fn row(names: &'static [&'static str], oid: &'static str, syntax: Syntax) -> AttributeRow {
    AttributeRow { names, oid, syntax }
}

fn known_types() -> String {
    let names: Vec<&str> = ATTRIBUTES.iter().map(|row| row.names[0]).collect();
    names.join(", ")
}

/// The DER of the name that `text` writes, attributes in the order of the text.
///
/// # Errors
/// Says what is wrong with the text, in words for the person who wrote it.
pub fn encode(text: &str) -> Result<Vec<u8>, DnError> {
    let mut rdns = Vec::new();
    let mut attributes = 0;
    for rdn_text in split(text, &[',', ';']) {
        let mut set = SetOfVec::new();
        for part in split(rdn_text, &['+']) {
            attributes += 1;
            if attributes > MAX_ATTRIBUTES {
                return Err(DnError::TooMany);
            }
            let attribute = read_attribute(part)?;
            // The same attribute twice in one set is not DER.
            set.insert(attribute)
                .map_err(|_| DnError::BadValue(part.trim().to_owned()))?;
        }
        rdns.push(RelativeDistinguishedName::from(set));
    }
    RdnSequence::from(rdns)
        .to_der()
        .map_err(|_| DnError::NotDer)
}

/// Splits at separators that are neither escaped nor inside quotes.
fn split<'a>(text: &'a str, separators: &'a [char]) -> impl Iterator<Item = &'a str> {
    let mut escaped = false;
    text.split(move |c: char| {
        if escaped {
            escaped = false;
            return false;
        }
        escaped = c == '\\';
        separators.contains(&c)
    })
}

fn read_attribute(part: &str) -> Result<AttributeTypeAndValue, DnError> {
    let (name, value) = part
        .split_once('=')
        .ok_or_else(|| DnError::NoEquals(part.trim().to_owned()))?;
    let name = name.trim();
    let known = ATTRIBUTES
        .iter()
        .find(|row| row.names.iter().any(|n| n.eq_ignore_ascii_case(name)));
    let (oid, syntax) = match known {
        Some(row) => (row.oid, row.syntax),
        None => (name, Syntax::Directory),
    };
    let oid = ObjectIdentifier::new(oid).map_err(|_| DnError::UnknownType(name.to_owned()))?;
    let value = trim_value(value);
    if value.is_empty() {
        return Err(DnError::NoValue(name.to_owned()));
    }
    if let Some(digits) = value.strip_prefix('#') {
        let value = unhex(digits)
            .and_then(|der| Any::from_der(&der).ok())
            .ok_or_else(|| DnError::BadEscape(name.to_owned()))?;
        return Ok(AttributeTypeAndValue { oid, value });
    }
    let text = unescape(value).ok_or_else(|| DnError::BadEscape(name.to_owned()))?;
    let tag = match syntax {
        Syntax::Ia5 if text.is_ascii() => Tag::Ia5String,
        Syntax::Directory | Syntax::Printable if text.bytes().all(is_printable_string) => {
            Tag::PrintableString
        }
        Syntax::Directory => Tag::Utf8String,
        Syntax::Ia5 | Syntax::Printable => return Err(DnError::BadValue(name.to_owned())),
    };
    let value = Any::new(tag, text.into_bytes()).map_err(|_| DnError::BadValue(name.to_owned()))?;
    Ok(AttributeTypeAndValue { oid, value })
}

/// White space around a value is not part of it, save where a backslash keeps the last.
fn trim_value(value: &str) -> &str {
    let value = value.trim_start();
    let trimmed = value.trim_end();
    let backslashes = trimmed.bytes().rev().take_while(|&b| b == b'\\').count();
    match value[trimmed.len()..].chars().next() {
        Some(kept) if backslashes % 2 == 1 => &value[..trimmed.len() + kept.len_utf8()],
        _ => trimmed,
    }
}

fn unescape(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escaped = rest.next()?;
        if let Some(high) = escaped.to_digit(16) {
            let low = rest.next()?.to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else if " \"#+,;<=>\\".contains(escaped) {
            bytes.push(u8::try_from(escaped).ok()?);
        } else {
            return None;
        }
    }
    String::from_utf8(bytes).ok()
}

fn is_printable_string(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte)
}

/// The name's parts, or nothing when the bytes are not a name that we take.
fn decode(der: &[u8]) -> Option<RdnSequence> {
    let name = RdnSequence::from_der(der).ok()?;
    let attributes: usize = name
        .as_ref()
        .iter()
        .map(RelativeDistinguishedName::len)
        .sum();
    (attributes <= MAX_ATTRIBUTES).then_some(name)
}

/// Whether the bytes are the DER of a name that has at least one attribute.
///
/// # Errors
/// [`DnError::NotDer`], or [`DnError::TooMany`].
pub fn check(der: &[u8]) -> Result<(), DnError> {
    let name = RdnSequence::from_der(der).map_err(|_| DnError::NotDer)?;
    if name.as_ref().is_empty()
        || name
            .as_ref()
            .iter()
            .any(RelativeDistinguishedName::is_empty)
    {
        return Err(DnError::NotDer);
    }
    decode(der).map(|_| ()).ok_or(DnError::TooMany)
}

/// The name in words, attributes in the order of the encoding.
pub fn render(der: &[u8]) -> Option<String> {
    let name = decode(der)?;
    let rdns: Vec<String> = name
        .as_ref()
        .iter()
        .map(|rdn| {
            let parts: Vec<String> = rdn.iter().map(render_attribute).collect();
            parts.join("+")
        })
        .collect();
    Some(rdns.join(", "))
}

fn render_attribute(attribute: &AttributeTypeAndValue) -> String {
    let oid = attribute.oid.to_string();
    let known = ATTRIBUTES.iter().find(|row| row.oid == oid);
    if let Some(row) = known
        && let Some(text) = text_of(&attribute.value)
        && !text.is_empty()
    {
        return format!("{}={}", row.names[0], escape(&text));
    }
    let value = attribute.value.to_der().unwrap_or_default();
    format!("{oid}=#{}", hex(&value))
}

/// The characters of a value, whatever string type holds them; none when it is no string, or one that
/// breaks its type's rules.
fn text_of(value: &Any) -> Option<String> {
    let bytes = value.value();
    match value.tag() {
        Tag::PrintableString => bytes
            .iter()
            // `*`, `@`, `&` and `_` are not in the type's alphabet, and stand in certificates anyway.
            .all(|&b| is_printable_string(b) || b"*@&_".contains(&b))
            .then(|| String::from_utf8_lossy(bytes).into_owned()),
        Tag::Ia5String | Tag::NumericString | Tag::VisibleString if bytes.is_ascii() => {
            String::from_utf8(bytes.to_vec()).ok()
        }
        Tag::Utf8String => String::from_utf8(bytes.to_vec()).ok(),
        // T.61 as everybody reads it: ISO 8859-1.
        Tag::TeletexString => Some(bytes.iter().copied().map(char::from).collect()),
        Tag::BmpString if bytes.len().is_multiple_of(2) => {
            let units = bytes
                .chunks_exact(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).collect::<Result<_, _>>().ok()
        }
        _ => None,
    }
}

/// RFC 4514 section 2.4, and what cannot be seen or would deceive, byte by byte in hexadecimal.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (at, c) in text.chars().enumerate() {
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '#' | ' ' if at == 0 || (c == ' ' && at == last) => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() || is_deceptive(c) || (c.is_whitespace() && c != ' ') => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\{byte:02X}");
                }
            }
            c => out.push(c),
        }
    }
    out
}

/// Whether two names have the same attributes in the same order: types equal, text equal without regard
/// to case and to runs of white space (RFC 5280 section 7.1), values that are no text byte for byte.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    let (Some(a), Some(b)) = (decode(a), decode(b)) else {
        return false;
    };
    let (a, b) = (a.as_ref(), b.as_ref());
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_rdn(a, b))
}

/// Sets: string types may sort the same attributes differently, so each is looked for.
fn same_rdn(a: &RelativeDistinguishedName, b: &RelativeDistinguishedName) -> bool {
    let mut left: Vec<&AttributeTypeAndValue> = b.iter().collect();
    a.len() == b.len()
        && a.iter().all(|attribute| {
            let found = left
                .iter()
                .position(|other| same_attribute(attribute, other));
            found.map(|at| left.swap_remove(at)).is_some()
        })
}

fn same_attribute(a: &AttributeTypeAndValue, b: &AttributeTypeAndValue) -> bool {
    if a.oid != b.oid {
        return false;
    }
    match (text_of(&a.value), text_of(&b.value)) {
        (Some(a), Some(b)) => fold(&a) == fold(&b),
        (None, None) => a.value == b.value,
        _ => false,
    }
}

fn fold(text: &str) -> String {
    let words: Vec<String> = text
        .split(' ')
        .filter(|w| !w.is_empty())
        .map(str::to_lowercase)
        .collect();
    words.join(" ")
}

/// Characters without a shape of their own, which reorder or hide what stands beside them.
pub fn is_deceptive(c: char) -> bool {
    matches!(u32::from(c),
        0x00AD | 0x061C | 0x180E | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F
        | 0xFE00..=0xFE0F | 0xFEFF | 0xFFF9..=0xFFFF | 0xE0000..=0xE0FFF)
}

/// Bytes as hexadecimal digits in lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
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
