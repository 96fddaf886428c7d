//! IKE version 1: Main Mode, Quick Mode and the INFORMATIONAL exchange (RFC 2409), sans I/O.

pub(crate) mod aggressive;
pub(crate) mod answers;
pub(crate) mod authentication;
pub(crate) mod certificates;
pub(crate) mod duplicates;
pub(crate) mod flight;
pub(crate) mod fragments;
pub(crate) mod informational;
pub(crate) mod initiator;
pub(crate) mod messages;
pub(crate) mod mode_config;
pub(crate) mod nat;
pub(crate) mod negotiation;
pub(crate) mod proposals;
pub(crate) mod protection;
pub(crate) mod quick;
pub(crate) mod responder;
pub(crate) mod sa;
pub(crate) mod shared;
pub(crate) mod state;
pub(crate) mod transaction;
pub(crate) mod unity;
pub(crate) mod xauth;
