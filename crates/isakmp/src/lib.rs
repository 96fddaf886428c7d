//! The wire of ISAKMP and IKE version 1: headers, payloads and attributes, parsed and built.
//!
//! RFC 2408 (ISAKMP), RFC 2407 (the IPsec DOI) and RFC 2409 (IKE), with NAT traversal (RFC 3947 and
//! its drafts), dead peer detection (RFC 3706), IKE fragmentation as Windows, Cisco and strongSwan
//! have it, mode configuration, and the numbers of AuthIP ([MS-AIPS]) by name.
//!
//! No input or output, no cryptography, no clock. Three layers, from the outside in:
//!
//! 1. [`Datagram`] checks the header against the datagram that it came in;
//! 2. [`parse_chain`] cuts a body (clear or decrypted) into [`RawPayload`]s, whose bytes are what the
//!    hashes of RFC 2409 are computed over;
//! 3. [`Payload::parse`] turns one of them into a type.
//!
//! What is accepted is canonical: emitting what was parsed gives back the same bytes. Unknown payloads
//! and attributes are kept as they are, reserved bits must be zero, and no length that a peer tells is
//! believed or allocated by.

pub mod attribute;
pub mod build;
pub mod certificate;
pub mod chain;
pub mod config;
pub mod delete;
pub mod error;
pub mod fragment;
#[doc(hidden)]
pub mod fuzzing;
pub mod header;
pub mod identification;
pub mod ipsec;
pub mod nat;
pub mod non_esp;
pub mod notification;
pub mod oakley;
pub mod payload;
mod reader;
pub mod sa;
pub mod unity;
pub mod vendor;

pub use attribute::{Attribute, AttributeValue};
pub use certificate::{Certificate, CertificateEncoding, CertificateRequest};
pub use chain::{Chain, MAX_PAYLOADS, RawPayload, Trailing, emit_chain, parse_chain};
pub use config::{ConfigAttributes, ConfigType};
pub use delete::Delete;
pub use error::{Fault, ParseError};
pub use fragment::Fragment;
pub use header::{Cookie, Datagram, ExchangeType, Flags, Header};
pub use identification::{IdType, Identification};
pub use nat::NatOa;
pub use notification::{Notification, NotifyType};
pub use payload::{Payload, PayloadType};
pub use sa::{Proposal, ProtocolId, SecurityAssociation, Transform};

/// The Domain of Interpretation number of generic ISAKMP (RFC 2408 section 3.4): seen in notifications
/// and deletes of phase 1.
pub const DOI_ISAKMP: u32 = 0;
/// The IPsec Domain of Interpretation (RFC 2407 section 4.1).
pub const DOI_IPSEC: u32 = 1;
/// The situation of the IPsec DOI in which the identification payload says who the peer is (RFC 2407
/// section 4.2.1).
pub const SIT_IDENTITY_ONLY: u32 = 1;
/// The situation that asks for labelled secrecy (RFC 2407 section 4.2.2): refused.
pub const SIT_SECRECY: u32 = 2;
/// The situation that asks for labelled integrity (RFC 2407 section 4.2.3): refused.
pub const SIT_INTEGRITY: u32 = 4;
