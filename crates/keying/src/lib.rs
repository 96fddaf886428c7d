//! The negotiations: IKE version 1, sans I/O.
//!
//! An [`Endpoint`] takes [`Input`]s (datagrams, time, commands, results of jobs, the log's word) and
//! gives [`Output`]s (datagrams, jobs, audit events, verdicts). It has no socket, no clock, no key of a
//! credential and no randomness but the seed it was given, so that the whole of it runs in a simulated
//! network, and a recorded packet can be fed to a clone of it.
//!
//! ```text
//! datagram -> dispatch -> ikev1::{initiator, responder, informational} -> Step -> verdicts -> Output
//! ```

mod changes;
pub mod child;
pub mod config;
mod connections;
mod core;
mod dispatch;
mod endpoint;
mod first_message;
#[doc(hidden)]
pub mod fuzzing;
mod half_open;
pub mod identity;
mod ikev1;
mod index;
mod inner;
mod invalid;
mod io;
pub mod job;
pub mod limits;
mod pki;
mod plain;
mod remembered;
mod room;
pub mod selector;
mod status;
#[cfg(test)]
mod tests;
mod timers;
mod verdicts;

pub use changes::Change;
pub use child::{
    Child, ChildKeys, ChildOutcome, ChildSa, ChildSaId, ChildVerdict, Cpis, Mode, SelectorConfig,
};
pub use config::{
    Auth, ConfigClient, ConfigServer, Connection, CredentialId, EndpointConfig, ModeConfig,
    SendCertificate, Signatures, Xauth,
};
pub use core::Rates;
pub use endpoint::Endpoint;
pub use identity::Identity;
pub use inner::Pool;
pub use io::{
    Account, AuditOutput, Command, Input, JobId, Output, Replaced, Ticket, Verdict, VerdictOutcome,
};
pub use job::{Credentials, Job, JobResult, SignatureCredentials, User};
pub use selector::{Selector, has_ports};
pub use status::{ChildSaStatus, Counters, MainModeSa, NegotiationStatus, QuickModeStatus, Status};
