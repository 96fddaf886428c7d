//! Connections whose pre-shared keys could not be told apart: the configuration refuses all of it for them.

use std::path::Path;

use zeroize::Zeroizing;

use super::toml::Lines;
use crate::config::{Config, Severity};

/// The longest text that is looked at, in bytes: connections are compared with each other. Of thousands `check` tells.
const MAX_TEXT: usize = 1 << 18;
/// How often the rest is looked at again without the first that overlaps with one before it. Then all that do are taken.
const MAX_ROUNDS: usize = 16;

/// Which of these connections with pre-shared keys overlap with one that is before them and stays, each with what is
/// said of it.
pub fn find(connections: &[&Lines]) -> Vec<(usize, String)> {
    let mut out: Vec<(usize, String)> = Vec::new();
    for round in 1..=MAX_ROUNDS {
        let left: Vec<usize> = (0..connections.len())
            .filter(|at| out.iter().all(|(gone, _)| gone != at))
            .collect();
        let mut found = look(connections, &left);
        if round < MAX_ROUNDS {
            found.truncate(1);
        }
        if found.is_empty() {
            break;
        }
        out.extend(found);
    }
    out
}

/// One look at those that are left.
fn look(connections: &[&Lines], left: &[usize]) -> Vec<(usize, String)> {
    let tables = left
        .iter()
        .map(|at| super::table("[[connection]]", connections[*at]));
    let tables: Vec<Zeroizing<String>> = tables.collect();
    // As long as its parts: a string that grows leaves copies of secrets behind.
    let len = tables.iter().map(|table| table.len()).sum();
    if len > MAX_TEXT {
        return Vec::new();
    }
    let mut text = String::with_capacity(len);
    let mut ends: Vec<usize> = Vec::with_capacity(left.len());
    let mut line = 0;
    for table in &tables {
        text.push_str(table);
        line += table.lines().count();
        ends.push(line);
    }
    let Err(errors) = Config::from_text(Path::new("mainmode.toml"), text, false) else {
        return Vec::new();
    };
    let errors = errors.0.into_iter();
    let mut found: Vec<(usize, String)> = errors
        .filter(|error| error.severity == Severity::Error)
        .filter_map(|error| {
            let line = error.location?.line;
            let at = ends.partition_point(|end| *end < line);
            Some((*left.get(at)?, without_lines(&error.message)))
        })
        .collect();
    found.dedup_by_key(|(at, _)| *at);
    found
}

/// A message without the lines that it names: they are no lines of what is written.
fn without_lines(message: &str) -> String {
    match message.split_once(" (line ") {
        Some((before, rest)) => {
            let behind = rest.split_once(')').map_or("", |(_, behind)| behind);
            format!("{before}{behind}")
        }
        None => message.to_owned(),
    }
}
