//! What the daemon promises about verdicts, accounts and the log, tried with real daemons on loopback:
//! they are stopped, killed, refused their disk and asked for other policies in the middle of it.

mod crash;
mod flood;
mod keylog;
mod monitor;
mod policy;
mod reload;
mod retention;
mod start;
mod stop;
mod support;
