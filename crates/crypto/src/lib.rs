//! What a transform can name: ciphers, hashes, Diffie-Hellman groups, and the keys that IKE derives
//! with them (RFC 2409). The one crate that touches a cryptographic library, which is OpenSSL, and for
//! Camellia, which OpenSSL is built without, the `camellia` crate.
//!
//! - [`transforms`]: the one table. Parser, proposals, configuration, events and documentation read it.
//! - [`Proposal`]: one phase 1 proposal as an operator writes it, `aes256-sha256-modp2048`.
//! - [`generate`], [`agree`], [`generate_and_agree`], [`check_public`]: ephemeral Diffie-Hellman.
//! - [`prf`], [`digest`]: the hash of a transform, and the HMAC over it that IKE uses as its prf.
//! - [`skeyid_psk`], [`skeyid_signature`], [`keymat`], [`cipher_key`], [`phase1_iv`], [`phase2_iv`]:
//!   RFC 2409 section 5 and appendix B.
//! - [`esp`]: phase 2: the one table of its transforms, proposals, and the keys of an IPsec SA.
//! - [`cert`]: certificates, keys and signatures.
//! - [`encrypt`], [`decrypt`]: CBC over whole blocks, the padding being the caller's.
//!
//! Secrets travel in [`Secret`], which is wiped when dropped and does not print.

mod cbc;
pub mod cert;
mod dh;
mod error;
pub mod esp;
#[doc(hidden)]
pub mod fuzzing;
mod hash;
mod keymat;
mod mac;
mod proposal;
mod secret;
pub mod transforms;

pub use cbc::{decrypt, encrypt};
pub use dh::{KeyShare, agree, check_public, generate, generate_and_agree, share_from_private};
pub use error::{CryptoError, PublicValueFault};
pub use hash::{digest, prf};
pub use keymat::{Keymat, cipher_key, keymat, phase1_iv, phase2_iv, skeyid_psk, skeyid_signature};
pub use proposal::{Proposal, ProposalError};
pub use secret::{Secret, ct_eq, random};
pub use transforms::{CIPHERS, Cipher, CipherRow, GROUPS, Group, GroupRow, HASHES, Hash, HashRow};
