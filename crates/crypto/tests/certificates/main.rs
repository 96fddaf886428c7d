//! Certificates, CRLs and OCSP answers made by the `openssl` command, keys of `SoftHSM`, and the vectors of RFC
//! 4754, against `crypto::cert`.
//!
//! What needs a program that is not installed is ignored by name; with `CI=true` it fails.

mod chains;
mod keys;
mod lab;
mod remembered;
mod revocation;
mod signatures;
mod token;
