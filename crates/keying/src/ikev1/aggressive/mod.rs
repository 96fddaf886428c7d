//! Aggressive Mode: phase 1 in three messages, identities in clear (RFC 2409 section 5.1 and 5.4). With a
//! pre-shared key whoever hears message 2 can try keys at leisure, so that a connection has to allow it.

pub(crate) mod initiator;
pub(crate) mod responder;
