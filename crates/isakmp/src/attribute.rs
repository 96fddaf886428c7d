//! Data attributes (RFC 2408 section 3.3), in both encodings.

use crate::{
    error::Fault,
    reader::{Reader, length_field},
};

/// Attributes in one transform or one mode configuration payload. A full phase 1 transform has ten, a
/// phase 2 one eleven, a mode configuration reply of Cisco's some thirty.
pub const MAX_ATTRIBUTES: usize = 64;

/// The AF bit: the value stands in the two bytes after the type.
const SHORT: u16 = 0x8000;

/// One attribute. The encoding is kept, because a chosen transform must come back as it was offered.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Attribute {
    /// The attribute's type, 15 bits; which list it is from depends on where it stands.
    pub class: u16,
    /// Its value.
    pub value: AttributeValue,
}

/// The value of an [`Attribute`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum AttributeValue {
    /// Two bytes, type/value encoding.
    Short(u16),
    /// Any number of bytes, type/length/value encoding.
    Long(Vec<u8>),
}

impl Attribute {
    /// An attribute in type/value encoding.
    pub fn short(class: u16, value: u16) -> Self {
        Self {
            class,
            value: AttributeValue::Short(value),
        }
    }

    /// An attribute in type/length/value encoding.
    pub fn long(class: u16, value: impl Into<Vec<u8>>) -> Self {
        Self {
            class,
            value: AttributeValue::Long(value.into()),
        }
    }

    /// The value as a number, in either encoding. None when it is empty or takes more than 64 bits;
    /// leading zero bytes do not count.
    pub fn number(&self) -> Option<u64> {
        match &self.value {
            AttributeValue::Short(value) => Some((*value).into()),
            AttributeValue::Long(bytes) => {
                if bytes.is_empty() {
                    return None;
                }
                let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
                let digits = bytes.get(zeros..)?;
                if digits.len() > 8 {
                    return None;
                }
                Some(
                    digits
                        .iter()
                        .fold(0, |number, byte| (number << 8) | u64::from(*byte)),
                )
            }
        }
    }

    /// A list of attributes: a transform's, or the data of a RESPONDER-LIFETIME (RFC 2407 section 4.6.3.1).
    ///
    /// # Errors
    /// [`Fault::Truncated`], [`Fault::TooMany`].
    pub fn parse_all(bytes: &[u8]) -> Result<Vec<Self>, Fault> {
        let mut reader = Reader::new(bytes);
        let mut attributes = Vec::new();
        while !reader.is_empty() {
            if attributes.len() == MAX_ATTRIBUTES {
                return Err(Fault::TooMany {
                    what: "attributes",
                    limit: MAX_ATTRIBUTES,
                });
            }
            let class = reader.u16()?;
            let word = reader.u16()?;
            attributes.push(if class & SHORT != 0 {
                Self::short(class & !SHORT, word)
            } else {
                Self::long(class, reader.take(word.into())?)
            });
        }
        Ok(attributes)
    }

    /// Appends a list of attributes.
    pub fn emit_all(attributes: &[Self], out: &mut Vec<u8>) {
        for attribute in attributes {
            match &attribute.value {
                AttributeValue::Short(value) => {
                    out.extend_from_slice(&(attribute.class | SHORT).to_be_bytes());
                    out.extend_from_slice(&value.to_be_bytes());
                }
                AttributeValue::Long(bytes) => {
                    out.extend_from_slice(&(attribute.class & !SHORT).to_be_bytes());
                    out.extend_from_slice(&length_field(bytes.len()));
                    out.extend_from_slice(bytes);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_in_either_encoding() {
        assert_eq!(Attribute::short(12, 28_800).number(), Some(28_800));
        assert_eq!(
            Attribute::long(12, [0, 0, 0x70, 0x80]).number(),
            Some(28_800)
        );
        assert_eq!(Attribute::long(12, [0; 20]).number(), Some(0));
        assert_eq!(Attribute::long(12, [0xff; 8]).number(), Some(u64::MAX));
        assert_eq!(
            Attribute::long(12, [&[0; 9][..], &[0xff; 8]].concat()).number(),
            Some(u64::MAX)
        );
    }

    #[test]
    fn what_is_no_number_is_none() {
        assert_eq!(Attribute::long(12, []).number(), None);
        assert_eq!(
            Attribute::long(12, [1, 0, 0, 0, 0, 0, 0, 0, 0]).number(),
            None
        );
    }

    #[test]
    fn both_encodings_have_the_bytes_of_the_specification() {
        let attributes = [
            Attribute::short(1, 7),
            Attribute::long(12, [0, 0, 0x70, 0x80]),
        ];
        let mut out = Vec::new();
        Attribute::emit_all(&attributes, &mut out);
        assert_eq!(out, [0x80, 1, 0, 7, 0, 12, 0, 4, 0, 0, 0x70, 0x80]);
        assert_eq!(Attribute::parse_all(&out), Ok(attributes.to_vec()));
    }

    #[test]
    fn a_value_that_is_cut_short_is_refused() {
        for cut in [
            &[0x80, 1, 0][..],
            &[0x80],
            &[0, 12, 0, 4, 0, 0, 0],
            &[0, 12, 0xff, 0xff],
        ] {
            assert!(matches!(
                Attribute::parse_all(cut),
                Err(Fault::Truncated { .. })
            ));
        }
    }

    #[test]
    fn more_attributes_than_the_limit_are_refused() {
        let full = [0x80, 1, 0, 7].repeat(MAX_ATTRIBUTES);
        assert!(Attribute::parse_all(&full).is_ok());
        assert!(matches!(
            Attribute::parse_all(&[&full[..], &[0x80, 1, 0, 7]].concat()),
            Err(Fault::TooMany { .. })
        ));
    }
}
