//! The control socket: how the commands talk to the daemon.
//!
//! A Unix stream socket. The client sends one [`Request`] as one line of JSON and gets [`Response`]s,
//! one line each, the last of which [is final](Response::is_final); then the connection is closed.
//! Lines have a bounded length, clients a bounded number, and nobody can hold a place for ever.
//!
//! The daemon knows its caller by `SO_PEERCRED`: root and the daemon's own user are administrators;
//! everybody else whom the socket's permissions let in may look and not change.

mod client;
pub mod fuzzing;
pub mod monitor;
mod protocol;
mod reload;
mod server;
pub mod status;

pub use client::{Client, ClientError};
pub use protocol::{
    ChildVerdict, Governed, LogInfo, PolicyChange, PolicyView, QuerySpec, Request, Response,
    Verdict,
};
pub use reload::{Finding, Reloaded};
pub use server::{Clients, Gone, Handler, Peer, Replies, Server, ServerError};
