//! A cursor over received bytes that cannot be read past its end.

use crate::error::Fault;

pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Fault::Truncated {
            needed: count,
            available: self.rest.len(),
        })?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Fault::Truncated {
            needed: N,
            available: self.rest.len(),
        })?;
        self.rest = rest;
        Ok(*taken)
    }

    pub fn u8(&mut self) -> Result<u8, Fault> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn u16(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_be_bytes)
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// A reserved field: any value but 0 is refused.
    pub fn reserved_u8(&mut self) -> Result<(), Fault> {
        match self.u8()? {
            0 => Ok(()),
            other => Err(Fault::Reserved(other.into())),
        }
    }

    /// A reserved field: any value but 0 is refused.
    pub fn reserved_u16(&mut self) -> Result<(), Fault> {
        match self.u16()? {
            0 => Ok(()),
            other => Err(Fault::Reserved(other.into())),
        }
    }

    /// The bytes of one payload after its generic header (RFC 2408 section 3.2), whose next-payload
    /// byte the caller has read: checks the reserved byte and the length field.
    pub fn after_next_payload(&mut self) -> Result<&'a [u8], Fault> {
        /// Next payload, reserved, length.
        const GENERIC_HEADER: u16 = 4;
        self.reserved_u8()?;
        let told = self.u16()?;
        let body = told
            .checked_sub(GENERIC_HEADER)
            .ok_or(Fault::LengthTooSmall { told })?;
        let available = self.remaining();
        self.take(body.into()).map_err(|_| Fault::LengthPastEnd {
            told,
            available: available + usize::from(GENERIC_HEADER),
        })
    }
}

/// A length for a 16-bit field. What does not fit saturates: no datagram can carry it, and every
/// receiver refuses the message rather than misread it.
pub(crate) fn length_field(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

/// A count or size for an 8-bit field; see [`length_field`].
pub(crate) fn count_field(count: usize) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}
