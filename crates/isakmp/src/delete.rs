//! The delete payload (RFC 2408 section 3.15).

use crate::{
    error::{Fault, ParseError},
    payload::PayloadType,
    reader::{Reader, length_field},
    sa::ProtocolId,
};

/// SPIs in one delete. Peers send one, or a few with the same number; a datagram has room for 65,000 of
/// one byte, each of which would cost an allocation.
pub const MAX_SPIS: usize = 1024;

/// A delete payload: SAs that the sender has given up.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Delete {
    /// [`crate::DOI_IPSEC`].
    pub doi: u32,
    /// The protocol of the SAs.
    pub protocol: ProtocolId,
    /// Bytes in each SPI: 16 in phase 1 (both cookies), 4 for ESP and AH, 2 for IPComp.
    pub spi_size: u8,
    /// The SAs, each with `spi_size` bytes.
    pub spis: Vec<Vec<u8>>,
}

impl Delete {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ParseError> {
        Self::read(&mut Reader::new(body))
            .map_err(|fault| ParseError::new(PayloadType::DELETE, fault))
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let doi = reader.u32()?;
        let protocol = ProtocolId(reader.u8()?);
        let spi_size = reader.u8()?;
        let told = usize::from(reader.u16()?);
        let list = reader.rest();
        // SPIs of no bytes could be told in any number.
        let found = list.len().checked_div(spi_size.into()).unwrap_or(0);
        if found != told {
            return Err(Fault::Count {
                what: "SPIs",
                told,
                found,
            });
        }
        if found > MAX_SPIS {
            return Err(Fault::TooMany {
                what: "SPIs",
                limit: MAX_SPIS,
            });
        }
        let pieces = list.chunks_exact(usize::from(spi_size).max(1));
        let left = if spi_size == 0 {
            list.len()
        } else {
            pieces.remainder().len()
        };
        if left != 0 {
            return Err(Fault::Trailing(left));
        }
        let spis = pieces.map(<[u8]>::to_vec).collect();
        Ok(Self {
            doi,
            protocol,
            spi_size,
            spis,
        })
    }

    pub(crate) fn emit(&self) -> Vec<u8> {
        let mut out = self.doi.to_be_bytes().to_vec();
        out.extend_from_slice(&[self.protocol.0, self.spi_size]);
        out.extend_from_slice(&length_field(self.spis.len()));
        for spi in &self.spis {
            out.extend_from_slice(spi);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delete_has_its_fields_where_the_specification_puts_them() {
        let body = [0, 0, 0, 1, 3, 4, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8];
        let delete = Delete::parse(&body).expect("a delete");
        assert_eq!(delete.protocol, ProtocolId::ESP);
        assert_eq!(delete.spis, [vec![1, 2, 3, 4], vec![5, 6, 7, 8]]);
        assert_eq!(delete.emit(), body);
    }

    #[test]
    fn spis_of_no_bytes_cannot_be_counted() {
        assert!(Delete::parse(&[0, 0, 0, 1, 3, 0, 0xff, 0xff]).is_err());
        let none = Delete::parse(&[0, 0, 0, 1, 3, 0, 0, 0]).expect("a delete of nothing");
        assert!(none.spis.is_empty());
    }

    #[test]
    fn more_spis_than_the_limit_are_refused() {
        let delete = |count| Delete {
            doi: 1,
            protocol: ProtocolId::ESP,
            spi_size: 1,
            spis: vec![vec![9]; count],
        };
        assert!(Delete::parse(&delete(MAX_SPIS).emit()).is_ok());
        let error = Delete::parse(&delete(MAX_SPIS + 1).emit()).expect_err("too many");
        assert!(matches!(error.fault(), Some(Fault::TooMany { .. })));
    }
}
