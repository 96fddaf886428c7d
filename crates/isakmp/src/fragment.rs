//! A fragment of an IKE message ([MS-IKEE] section 2.2.4), the same at Windows, Cisco and strongSwan.

use crate::{
    error::{Fault, ParseError},
    payload::PayloadType,
    reader::Reader,
};

/// Flag of the last fragment of a message.
const LAST: u8 = 1;

/// One fragment. The data of all, in the order of their numbers, is a whole message with a header of its
/// own.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Fragment {
    /// The same for all fragments of one message.
    pub id: u16,
    /// Counts from 1.
    pub number: u8,
    /// Whether it is the last.
    pub last: bool,
    /// The piece; never empty.
    pub data: Vec<u8>,
}

impl Fragment {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ParseError> {
        Self::read(&mut Reader::new(body))
            .map_err(|fault| ParseError::new(PayloadType::FRAGMENT, fault))
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let id = reader.u16()?;
        let number = reader.u8()?;
        if number == 0 {
            return Err(Fault::FragmentNumber);
        }
        let flags = reader.u8()?;
        if flags & !LAST != 0 {
            return Err(Fault::Reserved(flags.into()));
        }
        if reader.is_empty() {
            return Err(Fault::Empty("data"));
        }
        Ok(Self {
            id,
            number,
            last: flags & LAST != 0,
            data: reader.rest().to_vec(),
        })
    }

    pub(crate) fn emit(&self) -> Vec<u8> {
        let mut out = self.id.to_be_bytes().to_vec();
        out.extend_from_slice(&[self.number, u8::from(self.last)]);
        out.extend_from_slice(&self.data);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_has_its_fields_where_the_specification_puts_them() {
        let body = [0x12, 0x34, 3, 1, 7, 8];
        let fragment = Fragment::parse(&body).expect("a fragment");
        assert_eq!(
            fragment,
            Fragment {
                id: 0x1234,
                number: 3,
                last: true,
                data: vec![7, 8]
            }
        );
        assert_eq!(fragment.emit(), body);
        assert!(!Fragment::parse(&[0, 1, 1, 0, 7]).expect("the first").last);
    }
}
