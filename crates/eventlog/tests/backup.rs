//! Backups: what they may be called, and what the log makes of one that lies among its segments.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use audit::Subject;
use eventlog::{LogError, Query, Reader, Retention, Writer};
use support::*;
use tempfile::tempdir;

fn root() -> Subject {
    Subject::unix(0, "root", "gw", None)
}

fn names(directory: &Path) -> Vec<PathBuf> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    names
}

#[test]
fn no_backup_takes_a_name_that_the_log_gives_to_its_own_files() {
    let outer = tempdir().unwrap();
    let log = outer.path().join("log");
    let (mut writer, _) = open(&log, Retention::Archive);
    fill(&mut writer, 0, 10);
    let head = writer.head();
    symlink(&log, outer.path().join("link")).unwrap();
    fs::create_dir(log.join("within")).unwrap();
    let there = names(&log);
    for folder in ["log", "link", "log/within/..", "link/../log/."] {
        for name in [
            "next.tmp",
            "next.tmp-wal",
            "lock",
            "reserve",
            "security-0000000001.db",
            "security-0000000002.db",
            "security-0000000099.db",
            "security-0000000001.db-wal",
            "security-0000000099.db-journal",
            "Archive-Security-2099-01-01-00-00-00-000.db",
        ] {
            let backup = outer.path().join(folder).join(name);
            let refused = writer.clear(root(), Some(&backup)).unwrap_err();
            assert!(matches!(refused, LogError::BackupIsOwn(_)), "{refused}");
            assert!(refused.to_string().contains(name), "{refused}");
            // Before anything was written.
            assert_eq!((names(&log), writer.head()), (there.clone(), head));
        }
    }
    // In the same folder another name will do, and these names in another folder.
    for backup in [
        "log/old.db",
        "next.tmp",
        "log/within/security-0000000099.db",
    ] {
        let backup = outer.path().join(backup);
        let head = writer.head();
        writer.clear(root(), Some(&backup)).unwrap();
        assert_eq!(
            Reader::open_file(&backup).unwrap().info().unwrap().head,
            head
        );
    }
    Reader::open(&log).unwrap().verify(None).unwrap();
}

#[test]
fn no_backup_takes_the_place_of_a_link_that_leads_nowhere() {
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Overwrite);
    let link = dir.path().join("old.db");
    symlink(dir.path().join("elsewhere"), &link).unwrap();
    let refused = writer.clear(root(), Some(&link)).unwrap_err();
    assert!(matches!(refused, LogError::BackupExists(_)), "{refused}");
}

#[test]
fn a_file_of_another_number_than_its_name_says_is_no_segment_of_the_log() {
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Overwrite);
    fill(&mut writer, 0, 10);
    let backup = dir.path().join("old.db");
    writer.clear(root(), Some(&backup)).unwrap();
    fill(&mut writer, 10, 10);
    writer.close().unwrap();
    let cleared = segments(dir.path()).pop().unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let before = reader.verify(None).unwrap();
    for (file, is) in [(&backup, "a backup"), (&cleared, "segment 2")] {
        let stray = dir.path().join("security-0000000099.db");
        fs::copy(file, &stray).unwrap();
        let named = |error: &dyn std::fmt::Display| {
            let said = error.to_string();
            let wanted = said.contains("security-0000000099.db") && said.contains(is);
            assert!(wanted, "{said}");
        };
        named(&Writer::open(options(dir.path(), Retention::Overwrite)).unwrap_err());
        named(&reader.info().unwrap_err());
        named(&reader.verify(None).unwrap_err());
        let mut records = reader.query(&Query::default());
        named(&records.find_map(Result::err).unwrap());
        // And once it is gone, all is as it was.
        fs::remove_file(&stray).unwrap();
        assert_eq!(reader.verify(None).unwrap(), before);
    }
    open(dir.path(), Retention::Overwrite);
}
