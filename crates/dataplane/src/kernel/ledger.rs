//! The list of what is in the kernel because of us, in a file, so that whoever comes after a crash can
//! remove it.
//!
//! A line is written before the kernel is asked, and taken back after the kernel has undone it. It is not
//! flushed to the disk: what a loss of power takes from the file it takes from the kernel as well. So is a
//! last line that is not whole of something that the kernel was never asked for.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::policy::PolicyKey;
use super::route::{RouteKey, RuleKey};
use super::state::StateKey;
use crate::PlaneError;

/// The first line. The number is that of the format.
const HEADER: &str = "mainmode-dataplane 1\n";
/// Lines that are of no use any more before the file is written anew.
const SLACK: usize = 4096;

/// One thing in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Entry {
    /// A state; ours when it has this `reqid`.
    State { key: StateKey, reqid: u32 },
    /// A policy; ours when its template has this `reqid`.
    Policy { key: PolicyKey, reqid: u32 },
    /// A route.
    Route(RouteKey),
    /// The rule that makes the routes count.
    Rule(RuleKey),
}

#[derive(Serialize, Deserialize)]
enum Line<E> {
    #[serde(rename = "+")]
    Added(E),
    #[serde(rename = "-")]
    Removed(E),
}

/// What a list can hold.
pub(crate) trait Listed: Copy + Ord + Serialize + DeserializeOwned {}

impl<E: Copy + Ord + Serialize + DeserializeOwned> Listed for E {}

/// The file, and what is in it.
#[derive(Debug)]
pub(crate) struct Ledger<E> {
    path: PathBuf,
    file: File,
    entries: BTreeSet<E>,
    /// Lines in the file.
    lines: usize,
    /// The last one may not be whole: the disk was full.
    torn: bool,
}

impl<E: Listed> Ledger<E> {
    /// Opens the list, or begins one. What it already holds is what another process has left behind.
    ///
    /// # Errors
    /// [`PlaneError::StateFileInUse`], and [`PlaneError::StateFile`] also for a file that is something
    /// else.
    pub(crate) fn open(path: &Path) -> Result<Self, PlaneError> {
        let fault = |source| PlaneError::StateFile {
            path: path.to_owned(),
            source,
        };
        let mut file = options()
            .append(true)
            .read(true)
            .open(path)
            .map_err(fault)?;
        lock(&file, path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(fault)?;
        let entries = parse(&bytes).map_err(fault)?;
        let mut ledger = Self {
            path: path.to_owned(),
            file,
            entries,
            lines: 0,
            torn: false,
        };
        ledger.rewrite()?;
        Ok(ledger)
    }

    /// What is listed.
    pub(crate) fn entries(&self) -> Vec<E> {
        self.entries.iter().copied().collect()
    }

    /// Whether this is listed.
    pub(crate) fn has(&self, entry: &E) -> bool {
        self.entries.contains(entry)
    }

    /// Lists something, before the kernel is asked for it.
    pub(crate) fn add(&mut self, entry: E) -> Result<(), PlaneError> {
        if self.entries.contains(&entry) {
            return Ok(());
        }
        self.write(&Line::Added(entry))?;
        self.entries.insert(entry);
        Ok(())
    }

    /// Takes something off the list, after the kernel has removed it.
    pub(crate) fn remove(&mut self, entry: &E) -> Result<(), PlaneError> {
        if self.entries.remove(entry) {
            self.write(&Line::Removed(*entry))?;
            if self.lines > 2 * self.entries.len() + SLACK {
                self.rewrite()?;
            }
        }
        Ok(())
    }

    fn write(&mut self, line: &Line<E>) -> Result<(), PlaneError> {
        let result = text(line).and_then(|text| {
            // After half a line a new one: the two together nobody could read.
            let begin = if self.torn { "\n" } else { "" };
            self.torn = true;
            self.file.write_all(format!("{begin}{text}").as_bytes())?;
            self.torn = false;
            Ok(())
        });
        self.lines += 1;
        result.map_err(|source| PlaneError::StateFile {
            path: self.path.clone(),
            source,
        })
    }

    /// Puts a file with only what is listed in the place of the old one, at once.
    fn rewrite(&mut self) -> Result<(), PlaneError> {
        let fault = |source| PlaneError::StateFile {
            path: self.path.clone(),
            source,
        };
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let new = PathBuf::from(name);
        let mut text = HEADER.to_owned();
        for entry in &self.entries {
            text.push_str(&self::text(&Line::Added(*entry)).map_err(fault)?);
        }
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(fault(error)),
            _ => {}
        }
        let mut file = options()
            .append(true)
            .create_new(true)
            .open(&new)
            .map_err(fault)?;
        lock(&file, &self.path)?;
        file.write_all(text.as_bytes()).map_err(fault)?;
        std::fs::rename(&new, &self.path).map_err(fault)?;
        self.file = file;
        self.lines = self.entries.len();
        self.torn = false;
        Ok(())
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).mode(0o600);
    options
}

fn lock(file: &File, path: &Path) -> Result<(), PlaneError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(PlaneError::StateFileInUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(PlaneError::StateFile {
            path: path.to_owned(),
            source,
        }),
    }
}

fn text<E: Serialize>(line: &Line<E>) -> io::Result<String> {
    Ok(serde_json::to_string(line)? + "\n")
}

/// What a file lists. Lines that cannot be read are passed over: what is not whole was not asked for.
fn parse<E: Listed>(bytes: &[u8]) -> io::Result<BTreeSet<E>> {
    let header = HEADER.as_bytes();
    let Some(mut rest) = bytes.strip_prefix(header) else {
        if header.starts_with(bytes) {
            return Ok(BTreeSet::new());
        }
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            "this is no list of a data plane; it was left alone, name another file",
        ));
    };
    let mut entries = BTreeSet::new();
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        match serde_json::from_slice(&rest[..end]) {
            Ok(Line::Added(entry)) => {
                entries.insert(entry);
            }
            Ok(Line::Removed(entry)) => {
                entries.remove(&entry);
            }
            Err(_) => {}
        }
        rest = &rest[end + 1..];
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(spi: u32) -> Entry {
        let key = StateKey {
            destination: "192.0.2.1".parse().unwrap(),
            protocol: 50,
            spi,
            mark: None,
        };
        Entry::State { key, reqid: 77 }
    }

    fn reopened(path: &Path) -> Vec<Entry> {
        Ledger::open(path).unwrap().entries()
    }

    #[test]
    fn what_was_added_and_not_removed_is_found_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plane");
        let mut ledger = Ledger::open(&path).unwrap();
        assert!(ledger.entries().is_empty());
        for spi in 1..=3 {
            ledger.add(entry(spi)).unwrap();
        }
        ledger.remove(&entry(2)).unwrap();
        drop(ledger);
        assert_eq!(reopened(&path), [entry(1), entry(3)]);
        assert_eq!(reopened(&path), [entry(1), entry(3)]);
    }

    #[test]
    fn a_file_cut_anywhere_still_lists_every_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plane");
        let mut ledger = Ledger::open(&path).unwrap();
        for spi in 1..=3 {
            ledger.add(entry(spi)).unwrap();
        }
        drop(ledger);
        let whole = std::fs::read(&path).unwrap();
        for len in 0..whole.len() {
            std::fs::write(&path, &whole[..len]).unwrap();
            let lines = whole[..len].split(|byte| *byte == b'\n').count() - 1;
            assert_eq!(reopened(&path).len(), lines.saturating_sub(1), "{len}");
        }
    }

    #[test]
    fn a_line_that_the_disk_had_no_room_for_takes_no_other_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plane");
        let mut ledger = Ledger::open(&path).unwrap();
        ledger.add(entry(1)).unwrap();
        // Of the next a part alone.
        ledger.file.write_all(b"{\"+\":{\"Sta").unwrap();
        ledger.torn = true;
        ledger.add(entry(3)).unwrap();
        ledger.add(entry(4)).unwrap();
        drop(ledger);
        assert_eq!(reopened(&path), [entry(1), entry(3), entry(4)]);
        // What cannot be written at all is such a line.
        let mut ledger = Ledger::open(&path).unwrap();
        ledger.file = File::open(&path).unwrap();
        assert!(ledger.add(entry(5)).is_err() && ledger.torn);
    }

    #[test]
    fn a_line_that_cannot_be_read_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plane");
        let good = text(&Line::Added(entry(1))).unwrap();
        let file = [HEADER.as_bytes(), b"\xff\x00{\n", good.as_bytes()].concat();
        std::fs::write(&path, file).unwrap();
        assert_eq!(reopened(&path), [entry(1)]);
    }

    #[test]
    fn a_file_that_is_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plane");
        std::fs::write(&path, "dear diary").unwrap();
        let error = Ledger::<Entry>::open(&path).unwrap_err().to_string();
        assert!(error.contains("no list of a data plane"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"dear diary");
    }

    #[test]
    fn two_at_once_are_refused_also_after_the_file_was_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plane");
        let mut ledger = Ledger::open(&path).unwrap();
        for spi in 0..=u32::try_from(SLACK).unwrap() {
            ledger.add(entry(spi)).unwrap();
            ledger.remove(&entry(spi)).unwrap();
        }
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= SLACK + 1, "{lines} lines and nothing in them");
        let second = Ledger::<Entry>::open(&path).unwrap_err();
        assert!(
            matches!(second, PlaneError::StateFileInUse { .. }),
            "{second}"
        );
    }
}
