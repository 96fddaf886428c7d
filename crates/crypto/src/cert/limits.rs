//! Every bound of this module, with its reason.

/// The most certificates of one peer's message that are looked at. A chain in use has two or three; whoever
/// sends more wants us to work.
pub const MAX_CERTIFICATES: usize = 16;

/// The most chains that are remembered as good for whom a connection trusts, strongSwan's figure twice: each has some
/// ten thousand bytes, and a peer whose chain was forgotten costs a third of a millisecond more.
pub const MAX_REMEMBERED: usize = 64;

/// The longest certificate, in bytes. Those in use have one or two thousand; one with a few hundred names in
/// it still fits.
pub const MAX_CERTIFICATE_LEN: usize = 16 * 1024;

/// The most certificates between the peer's own and the one that is trusted: public hierarchies have two.
pub const MAX_INTERMEDIATES: u32 = 6;

/// The longest RSA modulus that is computed with, in bits. Checking a signature with it takes less than a
/// millisecond; four times that length takes sixteen times as long.
pub const MAX_RSA_BITS: u32 = 8192;

/// The longest RSA public exponent, in bits: a longer one makes checking a signature as slow as making one.
pub const MAX_RSA_EXPONENT_BITS: i32 = 33;

/// The least RSA public exponent. With 3, a verifier that reads a padded block loosely can be deceived, and
/// not every one that shares our peer's key reads strictly.
pub const MIN_RSA_EXPONENT: u32 = 65_537;

/// The shortest RSA modulus unless the policy says otherwise, in bits (NIST SP 800-57 part 1).
pub const MIN_RSA_BITS: u32 = 2048;

/// The least strength of a key that is not RSA, in bits: that of RSA with 2048, DSA with 2048, and curves of 224 bits (NIST
/// SP 800-57 part 1).
pub const MIN_SECURITY_BITS: u32 = 112;

/// The most names of one certificate that an identity is looked for in.
pub const MAX_NAMES: usize = 512;

/// The most certificates of one file or folder of trusted ones. The public CAs of the world are 150.
pub const MAX_TRUSTED: usize = 4096;

/// The longest file of certificates or keys, in bytes: [`MAX_TRUSTED`] certificates as PEM.
pub const MAX_FILE_LEN: u64 = 16 * 1024 * 1024;

/// The longest CRL, in bytes. Those of large CAs have a few million; whoever fetches one stops reading there.
pub const MAX_CRL_LEN: usize = 16 * 1024 * 1024;

/// The longest answer of an OCSP responder, in bytes: one status and the responder's chain.
pub const MAX_OCSP_LEN: usize = 64 * 1024;

/// The most statuses in an answer of an OCSP responder that are looked at: we ask for one.
pub const MAX_OCSP_STATUSES: usize = 32;

/// The most places that are asked about the revocation of one chain.
pub const MAX_FETCHES: usize = 8;

/// The longest address of such a place, in bytes.
pub const MAX_URL_LEN: usize = 1024;

/// How far another computer's clock may be ahead of ours, in seconds: a CRL or an OCSP answer that was made
/// this much in the future is taken for made now.
pub const CLOCK_SKEW: i64 = 300;

/// How long an OCSP answer without an end is believed, in seconds: a day.
pub const OCSP_AGE_WITHOUT_END: i64 = 86_400;
