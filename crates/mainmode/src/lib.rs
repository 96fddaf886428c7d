//! The program `mainmode`: its configuration, its control socket and its commands.

pub mod config;
