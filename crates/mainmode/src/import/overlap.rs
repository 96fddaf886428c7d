//! Connections whose pre-shared keys could not be told apart: the configuration refuses all of it for them.

use std::path::Path;

use zeroize::Zeroizing;

use super::toml::Lines;
use crate::config::{Config, Connection, clash};

/// The most connections that are compared with each other. Of more `check` tells.
const MAX_COMPARED: usize = 4096;

/// Which of these connections with pre-shared keys overlap with one that is before them and stays, each with what is
/// said of it.
pub fn find(connections: &[&Lines]) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    if connections.len() > MAX_COMPARED {
        return found;
    }
    let mut stay: Vec<Connection> = Vec::new();
    for (at, lines) in connections.iter().enumerate() {
        let Some(connection) = read(lines) else {
            continue;
        };
        match stay.iter().find(|other| clash(&connection, other)) {
            Some(other) => {
                let why = format!(
                    "the remote \"{}\" overlaps with \"{}\" of \"{}\", and their pre-shared keys differ: the key is chosen by \
                     the peer's address, before its identity is known",
                    connection.remote.address, other.remote.address, other.name
                );
                found.push((at, why));
            }
            None => stay.push(connection),
        }
    }
    found
}

/// A connection as the configuration reads it.
fn read(lines: &Lines) -> Option<Connection> {
    let text: Zeroizing<String> = super::table("[[connection]]", lines);
    let read = Config::from_text(Path::new("mainmode.toml"), text.to_string(), false).ok()?;
    read.config.connections.into_iter().next()
}
