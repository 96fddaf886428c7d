//! The tables of a segment, and whether a file has these and no others.

use std::collections::BTreeSet;

use rusqlite::Connection;

/// `user_version`: the layout below.
pub(crate) const LAYOUT: i64 = 2;
/// The layout before the account had Quick Mode. Read as it is; a writer takes the active segment to the
/// new one.
pub(crate) const WITHOUT_QUICK_MODE: i64 = 1;

pub(crate) const SCHEMA: &str = "
CREATE TABLE segment (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  number INTEGER NOT NULL, first INTEGER NOT NULL, seed BLOB NOT NULL, dictionary BLOB NOT NULL
) STRICT;
CREATE TABLE state (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  head INTEGER NOT NULL, head_hash BLOB NOT NULL, floor INTEGER NOT NULL, floor_hash BLOB NOT NULL,
  oldest_time INTEGER, newest_time INTEGER, next_mmsa INTEGER NOT NULL, full INTEGER NOT NULL,
  negotiations INTEGER NOT NULL, established INTEGER NOT NULL, failed INTEGER NOT NULL,
  superseded INTEGER NOT NULL, interrupted INTEGER NOT NULL, ended INTEGER NOT NULL,
  held_back INTEGER NOT NULL,
  quick_negotiations INTEGER NOT NULL, quick_established INTEGER NOT NULL, quick_failed INTEGER NOT NULL,
  quick_interrupted INTEGER NOT NULL, quick_ended INTEGER NOT NULL
) STRICT;
CREATE TABLE origin (id INTEGER PRIMARY KEY, computer TEXT NOT NULL, process INTEGER NOT NULL) STRICT;
CREATE TABLE record (
  id INTEGER PRIMARY KEY, time INTEGER NOT NULL, event INTEGER NOT NULL, origin INTEGER NOT NULL,
  peer BLOB, body BLOB NOT NULL, hash BLOB NOT NULL
) STRICT;
CREATE INDEX peer ON record (peer) WHERE peer IS NOT NULL;
CREATE TABLE live (
  mmsa INTEGER PRIMARY KEY, local TEXT NOT NULL, remote TEXT NOT NULL, key_mod INTEGER NOT NULL,
  activity BLOB NOT NULL, connection TEXT
) STRICT;
CREATE TABLE filter (connection TEXT PRIMARY KEY, id INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE archive (number INTEGER PRIMARY KEY, path TEXT NOT NULL) STRICT;
";

/// The other table of SAs, which the layout before had not.
pub(crate) const LIVE_IPSEC: &str = "
CREATE TABLE live_ipsec (
  qmsa INTEGER PRIMARY KEY,
  local TEXT NOT NULL, local_prefix INTEGER NOT NULL, local_port INTEGER NOT NULL,
  remote TEXT NOT NULL, remote_prefix INTEGER NOT NULL, remote_port INTEGER NOT NULL,
  protocol INTEGER NOT NULL, mode INTEGER NOT NULL, local_endpoint TEXT, remote_endpoint TEXT,
  activity BLOB NOT NULL, connection TEXT
) STRICT;
";

/// What the layout before had not in `state`.
pub(crate) const QUICK_MODE_COUNTERS: &str = "
ALTER TABLE state ADD COLUMN quick_negotiations INTEGER NOT NULL DEFAULT 0;
ALTER TABLE state ADD COLUMN quick_established INTEGER NOT NULL DEFAULT 0;
ALTER TABLE state ADD COLUMN quick_failed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE state ADD COLUMN quick_interrupted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE state ADD COLUMN quick_ended INTEGER NOT NULL DEFAULT 0;
";

/// From the tables of now to those of [`WITHOUT_QUICK_MODE`].
const TAKE_QUICK_MODE_AWAY: &str = "
ALTER TABLE state DROP COLUMN quick_negotiations;
ALTER TABLE state DROP COLUMN quick_established;
ALTER TABLE state DROP COLUMN quick_failed;
ALTER TABLE state DROP COLUMN quick_interrupted;
ALTER TABLE state DROP COLUMN quick_ended;
";

/// What a file's schema holds: kind, name, table, and text without its spaces.
type Items = BTreeSet<(String, String, String, String)>;

/// What in a segment's schema a log does not have, or should have: a trigger, a view or another index would
/// make the tables say something else than their rows. None when it is as we make it.
pub(crate) fn alteration(connection: &Connection, layout: i64) -> rusqlite::Result<Option<String>> {
    let found = items(connection)?;
    let mut nearest: Option<Vec<String>> = None;
    for steps in ways_to(layout) {
        let made = Connection::open_in_memory()?;
        for step in *steps {
            made.execute_batch(step)?;
        }
        let differing: Vec<String> = found
            .symmetric_difference(&items(&made)?)
            .map(|(kind, name, ..)| format!("its {kind} \"{name}\""))
            .collect();
        if nearest
            .as_ref()
            .is_none_or(|other| differing.len() < other.len())
        {
            nearest = Some(differing);
        }
    }
    Ok(nearest.and_then(|differing| differing.into_iter().next()))
}

/// How a segment of this layout can have come about: made so, or taken there from the one before.
fn ways_to(layout: i64) -> &'static [&'static [&'static str]] {
    match layout {
        WITHOUT_QUICK_MODE => &[&[SCHEMA, TAKE_QUICK_MODE_AWAY]],
        _ => &[
            &[SCHEMA, LIVE_IPSEC],
            &[
                SCHEMA,
                TAKE_QUICK_MODE_AWAY,
                QUICK_MODE_COUNTERS,
                LIVE_IPSEC,
            ],
        ],
    }
}

fn items(connection: &Connection) -> rusqlite::Result<Items> {
    connection
        .prepare("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema")?
        .query_map([], |row| {
            let sql: String = row.get(3)?;
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, without_spaces(&sql)))
        })?
        .collect()
}

/// The engine lays out a text anew when it changes a table. A space between two words stays: only there it
/// means something, as no text of ours has a literal in quotes.
fn without_spaces(sql: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::with_capacity(sql.len());
    let mut parted = false;
    for c in sql.chars() {
        if c.is_ascii_whitespace() {
            parted = true;
            continue;
        }
        if parted && is_word(c) && out.chars().next_back().is_some_and(is_word) {
            out.push(' ');
        }
        parted = false;
        out.push(c);
    }
    out
}
