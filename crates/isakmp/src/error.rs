//! What can be wrong with a message, in the operator's words.

use crate::payload::PayloadType;

/// Why a datagram or one of its payloads was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The datagram cannot hold the header of RFC 2408 section 3.1.
    #[error("datagram of {length} bytes is shorter than an ISAKMP header (28 bytes)")]
    Runt {
        /// Bytes in the datagram.
        length: usize,
    },
    /// The header names a version other than 1.0.
    #[error("ISAKMP version {major}.{minor}, expected 1.0")]
    Version {
        /// Major version as received.
        major: u8,
        /// Minor version as received.
        minor: u8,
    },
    /// Reserved bits of the header's flags are set.
    #[error("reserved bits are set in the header's flags: {flags:#04x}")]
    ReservedFlags {
        /// All eight bits as received.
        flags: u8,
    },
    /// The header's length is not that of the datagram.
    #[error("the header says {told} bytes, the datagram has {received}")]
    Length {
        /// The header's length field.
        told: u32,
        /// Bytes in the datagram.
        received: usize,
    },
    /// Bytes follow the last payload of a message in clear.
    #[error("{count} bytes follow the last payload")]
    TrailingBytes {
        /// How many bytes are left over.
        count: usize,
    },
    /// More payloads than [`crate::MAX_PAYLOADS`].
    #[error("more than {limit} payloads in one message")]
    TooManyPayloads {
        /// The limit.
        limit: usize,
    },
    /// One payload is malformed.
    #[error("{payload} payload: {fault}")]
    Payload {
        /// Which payload; of an SA the innermost part, proposal or transform.
        payload: PayloadType,
        /// What is wrong with it.
        fault: Fault,
    },
}

impl ParseError {
    pub(crate) fn new(payload: PayloadType, fault: Fault) -> Self {
        Self::Payload { payload, fault }
    }

    /// The payload that was malformed; none when the header or the chain as a whole was.
    pub fn payload(&self) -> Option<PayloadType> {
        match self {
            Self::Payload { payload, .. } => Some(*payload),
            _ => None,
        }
    }

    /// What is wrong within [`ParseError::payload`].
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Payload { fault, .. } => Some(fault),
            _ => None,
        }
    }

    /// The Domain of Interpretation of an SA payload, when it is that which was refused.
    pub fn unknown_doi(&self) -> Option<u32> {
        match self.fault() {
            Some(Fault::UnknownDoi(doi)) => Some(*doi),
            _ => None,
        }
    }

    /// The situation of an SA payload, when it is that which was refused.
    pub fn unknown_situation(&self) -> Option<u32> {
        match self.fault() {
            Some(Fault::UnknownSituation(situation)) => Some(*situation),
            _ => None,
        }
    }
}

/// What is wrong with one payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A field ends past the end of what holds it.
    #[error("cut short: {needed} bytes needed, {available} there")]
    Truncated {
        /// Bytes that the field takes.
        needed: usize,
        /// Bytes that are left.
        available: usize,
    },
    /// A payload's length field is less than its own generic header.
    #[error("length field {told} is less than the payload's own header")]
    LengthTooSmall {
        /// The length field.
        told: u16,
    },
    /// A payload's length field points past the end of the message.
    #[error("length field {told} runs past the {available} bytes that are left")]
    LengthPastEnd {
        /// The length field.
        told: u16,
        /// Bytes left, the generic header included.
        available: usize,
    },
    /// A reserved field is not zero.
    #[error("reserved field is {0:#x}, expected 0")]
    Reserved(u32),
    /// A length that no value of this kind can have.
    #[error("{length} bytes, expected {expected}")]
    BadLength {
        /// Bytes received.
        length: usize,
        /// What would have been right.
        expected: &'static str,
    },
    /// A mask of IPv4 whose ones are not all in front.
    #[error("{0:#010x} is no mask")]
    BadMask(u32),
    /// There is nothing in it.
    #[error("no {0} in it")]
    Empty(&'static str),
    /// A count that does not agree with what is there.
    #[error("says {told} {what}, has {found}")]
    Count {
        /// What is counted.
        what: &'static str,
        /// The count field.
        told: usize,
        /// How many there are.
        found: usize,
    },
    /// More parts than the limit for them.
    #[error("more than {limit} {what}")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The next-payload field of a proposal or transform names something else.
    #[error("next payload is {found}, expected {expected} or none")]
    NextPayload {
        /// What the field says.
        found: PayloadType,
        /// What alone may follow.
        expected: PayloadType,
    },
    /// Bytes are left over after the last part.
    #[error("{0} bytes left over")]
    Trailing(usize),
    /// An SA of another Domain of Interpretation than IPsec's (RFC 2407).
    #[error("unknown domain of interpretation {0}, expected 1 (IPsec)")]
    UnknownDoi(u32),
    /// An SA in a situation other than identity only.
    #[error("unknown situation {0:#x}, expected 1 (identity only)")]
    UnknownSituation(u32),
    /// A fragment with number 0: they count from 1.
    #[error("fragment number 0")]
    FragmentNumber,
    /// An address type where only IPv4 or IPv6 addresses have a meaning.
    #[error("identification type {0} is not an address")]
    NotAnAddress(u8),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_where_and_what_in_words() {
        let error = ParseError::new(
            PayloadType::NONCE,
            Fault::BadLength {
                length: 7,
                expected: "8 to 256",
            },
        );
        assert_eq!(
            error.to_string(),
            "nonce payload: 7 bytes, expected 8 to 256"
        );
        assert_eq!(error.payload(), Some(PayloadType::NONCE));
        assert_eq!(
            ParseError::new(PayloadType(99), Fault::Trailing(3)).to_string(),
            "type 99 payload: 3 bytes left over"
        );
        let error = ParseError::Length {
            told: 30,
            received: 28,
        };
        assert_eq!(
            error.to_string(),
            "the header says 30 bytes, the datagram has 28"
        );
        assert_eq!(error.payload(), None);
        assert_eq!(error.fault(), None);
    }
}
