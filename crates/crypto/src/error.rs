//! What can go wrong, told apart by whose fault it is.

use openssl::error::ErrorStack;

/// Why a peer's Diffie-Hellman public value is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PublicValueFault {
    /// Not as long as every public value of the group is: the prime's length (RFC 2409 section 5), both
    /// coordinates (RFC 5903 section 7), or 32 bytes (RFC 7748 section 5).
    #[error("it is {got} bytes long, the group's are {expected}")]
    WrongSize {
        /// Bytes that the group's public values have.
        expected: usize,
        /// Bytes that came.
        got: usize,
    },
    /// A MODP value outside 2..=p-2: 0, 1, p-1, p or more. Such a value leaves the shared secret with
    /// at most two possibilities (RFC 6989 section 2.1).
    #[error("it is outside 2..=p-2")]
    OutOfRange,
    /// A value outside the subgroup of prime order that groups 22 to 24 work in: with it the shared
    /// secret would tell something of the exponent (RFC 6989 section 2.2).
    #[error("it is outside the group's subgroup of prime order")]
    NotInSubgroup,
    /// Coordinates that are no point of the curve (RFC 6989 section 2.3).
    #[error("it is not a point on the curve")]
    NotOnCurve,
    /// An X25519 value of small order: the shared secret would be zero (RFC 7748 section 6.1).
    #[error("it is a point of small order, which makes the shared secret zero")]
    SmallOrder,
    /// Our own public value, sent back to us.
    #[error("it is our own public value, sent back")]
    OurOwn,
}

/// Why a cryptographic operation did not give a result.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CryptoError {
    /// The peer's public value cannot be used. The only kind here that is the peer's doing.
    #[error("the peer's public value is refused: {0}")]
    BadPublicValue(#[from] PublicValueFault),
    /// Ciphertext (or, on our side, plaintext) that is empty or not a multiple of the cipher's block.
    #[error("{len} bytes are not a whole number of {block}-byte blocks")]
    NotWholeBlocks {
        /// Bytes that were given.
        len: usize,
        /// The cipher's block in bytes.
        block: usize,
    },
    /// A key, IV or private value of our own that does not fit the transform it is used with.
    #[error("the {what} is {got} bytes long, {expected} are needed")]
    WrongLength {
        /// What has the wrong length.
        what: &'static str,
        /// Bytes that are needed.
        expected: usize,
        /// Bytes that were given.
        got: usize,
    },
    /// A private value of our own that no key of the group can have.
    #[error("the private value does not fit the group")]
    BadPrivateValue,
    /// AWS-LC could not do its work: out of memory.
    #[error("AWS-LC failed, and does not say why")]
    AwsLc,
    /// OpenSSL could not do its work: out of memory, no randomness, an algorithm switched off.
    #[error("OpenSSL failed: {0}")]
    Library(#[from] ErrorStack),
}

impl CryptoError {
    /// Whether the peer sent something unusable, as opposed to our own machinery failing.
    pub fn is_peers_fault(&self) -> bool {
        match self {
            Self::BadPublicValue(_) | Self::NotWholeBlocks { .. } => true,
            Self::WrongLength { .. } | Self::BadPrivateValue | Self::AwsLc | Self::Library(_) => {
                false
            }
        }
    }
}
