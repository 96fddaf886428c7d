use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use audit::{
    ActivityId, AuthMethod, Cause, Event, Extra, FailurePoint, InvalidPacket, KeyMod,
    MainModeFailed, MmState, Record, Role, Subject,
};
use eventlog::Entry;

use crate::place::Place;

fn failed(peer: &str, name: &str) -> Record {
    let event = Event::MainModeFailed(MainModeFailed {
        local_name: None,
        remote_name: Some(name.to_owned()),
        local: "192.0.2.1:500".parse().expect("an address"),
        remote: SocketAddr::new(peer.parse().expect("an address"), 500),
        key_mod: KeyMod::IkeV1,
        point: FailurePoint::Local,
        cause: Cause::PskMismatch,
        auth: AuthMethod::PresharedKey,
        state: MmState::SentSecond,
        role: Role::Responder,
        filter_id: 1,
        initiator_cookie: [1; 8],
        responder_cookie: [2; 8],
    });
    let connection = Some("branch".to_owned());
    event.into_record(
        Some(ActivityId([7; 16])),
        Extra {
            connection,
            ..Extra::default()
        },
    )
}

fn invalid(peer: &str) -> Record {
    let event = Event::InvalidPacket(InvalidPacket {
        local: "192.0.2.1".parse().expect("an address"),
        remote: peer.parse().expect("an address"),
        key_mod: KeyMod::IkeV1,
    });
    event.into_record(
        None,
        Extra {
            cause: Some(Cause::PacketReplayed),
            ..Extra::default()
        },
    )
}

fn entry(record: Record) -> Entry {
    Entry {
        record: Some(record),
        account: Vec::new(),
    }
}

/// Four records: 4653 and 4976 of one peer, 4653 of two others, the last of which sends an escape.
fn written() -> Place {
    let place = Place::new("");
    let records = [
        failed("198.51.100.7", "branch.example"),
        invalid("198.51.100.7"),
        failed("2001:db8::7", "six.example"),
        failed("198.51.100.9", "gw\u{1b}[2J"),
    ];
    place.writer().append(&records.map(entry)).expect("written");
    place
}

fn ids(place: &Place, words: &[&str]) -> Vec<u64> {
    let words = [&["log", "query", "--json"], words].concat();
    let id = |record: &serde_json::Value| record["EventRecordID"].as_u64().expect("a number");
    place.run(&words).json().iter().map(id).collect()
}

#[test]
fn records_are_chosen_by_what_is_asked() {
    let place = written();
    assert_eq!(ids(&place, &[]), [1, 2, 3, 4]);
    assert_eq!(ids(&place, &["--id", "4653"]), [1, 3, 4]);
    assert_eq!(ids(&place, &["--id", "4976,4650"]), [2]);
    assert_eq!(ids(&place, &["--peer", "198.51.100.7"]), [1, 2]);
    assert_eq!(ids(&place, &["--peer", "2001:DB8:0::7"]), [3]);
    assert_eq!(ids(&place, &["--outcome", "success"]), [2]);
    assert_eq!(ids(&place, &["--limit", "2"]), [1, 2]);
    assert_eq!(ids(&place, &["--limit", "2", "--reverse"]), [4, 3]);
    assert_eq!(
        ids(&place, &["*[System[EventID=4653 and EventRecordID>1]]"]),
        [3, 4]
    );
    assert_eq!(ids(&place, &["--since", "1h"]), [1, 2, 3, 4]);
    assert_eq!(ids(&place, &["--until", "1h"]), [0_u64; 0]);
    assert_eq!(
        ids(&place, &["--since", "2001-01-01", "--until", "2001-01-02"]),
        [0_u64; 0]
    );
}

#[test]
fn what_cannot_be_asked_is_a_wrong_word() {
    let place = written();
    for words in [
        &["--since", "yesterday"][..],
        &["--outcome", "good"],
        &["--peer", "gw.example"],
        &["*[System[EventID="],
        &["--format", "yaml"],
    ] {
        let words = [&["log", "query"], words].concat();
        assert_eq!(place.run(&words).code, 2, "{words:?}");
    }
}

#[test]
fn json_has_the_pinned_members_and_raw_values_where_asked() {
    let place = written();
    let line = place
        .run(&["log", "query", "--json", "--limit", "1"])
        .good();
    let record: serde_json::Value = serde_json::from_str(&line).expect("json");
    let members: Vec<&str> = line
        .split('"')
        .filter(|word| record.get(word).is_some())
        .collect();
    let pinned = "EventRecordID EventID Version Provider Channel TimeCreated Computer Outcome Task \
                  ActivityID EventData Extra Message";
    let mut seen = Vec::new();
    for member in members {
        if !seen.contains(&member) {
            seen.push(member);
        }
    }
    assert_eq!(seen, pinned.split_whitespace().collect::<Vec<_>>());
    assert_eq!(record["Extra"]["Cause"], "psk-mismatch");
    assert_eq!(record["Extra"]["Connection"], "branch");
    assert_eq!(record["EventData"]["KeyModName"], "IKEv1");
    let raw = &place.run(&["log", "query", "--raw", "--limit", "1"]).json()[0];
    assert_eq!(raw["EventData"]["KeyModName"], "%%8222");
    let xml = place
        .run(&["log", "query", "--format", "xml", "--limit", "1"])
        .good();
    assert!(
        xml.starts_with("<Event xmlns=") && xml.contains("%%8222"),
        "{xml}"
    );
}

#[test]
fn the_table_is_plain_when_piped_and_holds_no_control_characters() {
    let place = written();
    let table = place.run(&["log", "query"]).good();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 5, "{table}");
    assert!(lines[0].starts_with("Record"), "{table}");
    assert!(
        lines[1].contains("psk-mismatch") && lines[1].contains("198.51.100.7"),
        "{table}"
    );
    for words in [
        &["log", "query"][..],
        &["log", "query", "--json"],
        &["log", "query", "--format", "xml"],
    ] {
        let text = place.run(words).good();
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}

#[test]
fn words_that_ask_for_two_ways_to_print_are_wrong() {
    let place = written();
    for (format, option) in [
        ("table", "--json"),
        ("xml", "--json"),
        ("table", "--raw"),
        ("xml", "--raw"),
    ] {
        for command in ["query", "follow"] {
            let words = ["log", command, "--format", format, option];
            let said = place.run(&words).failed(2);
            assert!(said.contains(option) && said.contains(format), "{said}");
        }
    }
    place
        .run(&["log", "query", "--format", "json", "--json", "--raw"])
        .good();
}

#[test]
fn info_gives_the_head_that_verify_takes() {
    let place = written();
    let info = &place.run(&["log", "info", "--json"]).json()[0];
    assert_eq!(
        (&info["records"], &info["first"], &info["last"]),
        (&4.into(), &1.into(), &4.into())
    );
    assert_eq!(info["retention"], "overwrite");
    let head = info["head"].as_str().expect("a text").to_owned();
    let text = place.run(&["log", "info"]).good();
    assert!(text.contains(&head), "{text}");
    let verified = &place
        .run(&["log", "verify", "--json", "--head", &head])
        .json()[0];
    assert_eq!(
        (&verified["verified"], &verified["anchored"]),
        (&true.into(), &true.into())
    );
    let other = format!("4:{}", "00".repeat(32));
    let said = place.run(&["log", "verify", "--head", &other]).failed(1);
    assert!(said.contains("record 4"), "{said}");
    let ran = place.run(&["log", "verify", "--json", "--head", &other]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("\"verified\":false"), "{}", ran.stdout);
    place.run(&["log", "verify", "--head", "4:xyz"]).failed(2);
}

#[test]
fn a_cleared_log_begins_with_who_cleared_it_and_the_backup_holds_the_rest() {
    let place = written();
    place.run(&["log", "clear", "--backup", "old.db"]).good();
    assert_eq!(ids(&place, &[]), [5]);
    let record = &place.run(&["log", "query", "--json"]).json()[0];
    assert_eq!(record["EventID"], 1102);
    assert!(
        record["UserData"]["SubjectUserSid"]
            .as_str()
            .expect("a text")
            .starts_with("S-1-22-1-")
    );
    place.run(&["log", "verify"]).good();
    let backup = eventlog::Reader::open(place.path("old.db")).expect("a log");
    assert_eq!(backup.info().expect("info").records, 4);
    // A backup never overwrites.
    let said = place.run(&["log", "clear", "--backup", "old.db"]).failed(1);
    assert!(said.contains("old.db exists already"), "{said}");
    assert_eq!(ids(&place, &[]), [5]);
}

#[test]
fn a_backup_with_a_name_of_the_logs_own_is_refused_and_nothing_is_cleared() {
    let place = written();
    for name in ["next.tmp", "security-0000000099.db", "../log/lock"] {
        let path = format!("log/{name}");
        let said = place.run(&["log", "clear", "--backup", &path]).failed(1);
        assert!(said.contains("one of the log's own files"), "{said}");
        assert_eq!(ids(&place, &[]), [1, 2, 3, 4]);
    }
    place.run(&["log", "clear", "--backup", "log/old"]).good();
    assert_eq!(ids(&place, &["--file", "log/old"]), [1, 2, 3, 4]);
    place.run(&["log", "verify"]).good();
}

#[test]
fn a_backup_is_read_and_verified_like_the_log() {
    let place = written();
    place.run(&["log", "clear", "--backup", "old.db"]).good();
    let cleared = &place.run(&["log", "query", "--json"]).json()[0];
    let head = cleared["Extra"]["PreviousHead"].as_str().expect("a head");
    assert_eq!(ids(&place, &["--file", "old.db"]), [1, 2, 3, 4]);
    assert_eq!(ids(&place, &["--file", "old.db", "--id", "4976"]), [2]);
    let info = &place
        .run(&["log", "info", "--json", "--file", "old.db"])
        .json()[0];
    assert_eq!((&info["records"], &info["head"]), (&4.into(), &head.into()));
    let text = place.run(&["log", "info", "--file", "old.db"]).good();
    assert!(text.starts_with("file       old.db\n"), "{text}");
    let verify = ["log", "verify", "--json", "--file", "old.db", "--head"];
    let verified = &place.run(&[&verify[..], &[head]].concat()).json()[0];
    assert_eq!(
        (&verified["anchored"], &verified["last"]),
        (&true.into(), &4.into())
    );
    let other = format!("4:{}", "00".repeat(32));
    assert_eq!(place.run(&[&verify[..], &[&other]].concat()).code, 1);
    // Without a configuration, and not by way of a daemon.
    std::fs::remove_file(place.path("m.toml")).expect("removed");
    place.run(&["log", "verify", "--file", "old.db"]).good();
    assert_eq!(ids(&place, &["--file", "old.db"]), [1, 2, 3, 4]);
    let socket = ["--socket", "control", "log", "query", "--file", "old.db"];
    place.run(&socket).failed(2);
}

#[test]
fn a_file_that_is_no_log_is_refused_by_its_name() {
    let place = Place::new("");
    for command in ["query", "info", "verify"] {
        let said = place.run(&["log", command, "--file", "m.toml"]).failed(1);
        assert!(said.contains("m.toml is no file of a log"), "{said}");
        let said = place.run(&["log", command, "--file", "none.db"]).failed(1);
        assert!(said.contains("cannot open none.db"), "{said}");
    }
}

#[test]
fn where_there_is_no_log_there_is_none_to_read_and_none_is_made() {
    let place = Place::new("");
    for words in [
        &["log", "query"][..],
        &["log", "info"],
        &["log", "verify"],
        &["log", "clear"],
        &["log", "follow"],
    ] {
        let said = place.run(words).failed(1);
        assert!(said.contains("there is no log in log"), "{words:?}: {said}");
    }
    assert!(!place.path("log").exists());
}

#[test]
fn a_follower_gets_what_is_written_from_now_on() {
    let place = written();
    let mut follower = Command::new(env!("CARGO_BIN_EXE_mainmode"))
        .args(["-c", place.path("m.toml").to_str().expect("text")])
        .args(["log", "follow", "--json", "--id", "4976", "--limit", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut lines = BufReader::new(follower.stdout.take().expect("piped")).lines();
    // It is not known when the follower has begun to look, so records come until it has one.
    let mut writer = place.writer();
    let got = std::thread::spawn(move || lines.next());
    while !got.is_finished() {
        let records = [failed("198.51.100.7", "x"), invalid("198.51.100.8")];
        writer.append(&records.map(entry)).expect("written");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let line = got.join().expect("joined").expect("a line").expect("text");
    let record: serde_json::Value = serde_json::from_str(&line).expect("json");
    assert_eq!(record["EventID"], 4976);
    assert_eq!(record["EventData"]["RemoteAddress"], "198.51.100.8");
    assert!(record["EventRecordID"].as_u64().expect("a number") > 4);
    assert!(follower.wait().expect("ended").success());
}

/// Runs `log follow`, which must end by itself, and gives the IDs that it printed.
fn followed(place: &Place, words: &[&str]) -> Vec<u64> {
    let mut follower = Command::new(env!("CARGO_BIN_EXE_mainmode"))
        .args(["-c", place.path("m.toml").to_str().expect("text")])
        .args(["log", "follow", "--json"])
        .args(words)
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let lines = BufReader::new(follower.stdout.take().expect("piped")).lines();
    let read = std::thread::spawn(move || {
        let id = |line: std::io::Result<String>| {
            let record: serde_json::Value =
                serde_json::from_str(&line.expect("text")).expect("json");
            record["EventRecordID"].as_u64().expect("a number")
        };
        lines.map(id).collect()
    });
    let deadline = Instant::now() + Duration::from_mins(1);
    while !read.is_finished() {
        if Instant::now() > deadline {
            follower.kill().expect("killed");
            panic!("{words:?}: it does not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(follower.wait().expect("ended").success(), "{words:?}");
    read.join().expect("joined")
}

#[test]
fn a_follower_since_a_time_gets_the_older_records_first_and_each_once() {
    let place = written();
    let mut writer = place.writer();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    // More come while it begins, and while it reads the older ones.
    let writing = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            let records = [failed("198.51.100.7", "x"), invalid("198.51.100.8")];
            writer.append(&records.map(entry)).expect("written");
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    let all = followed(&place, &["--since", "1h", "--limit", "300"]);
    let some = followed(&place, &["--since", "1h", "--id", "4976", "--limit", "300"]);
    stop.store(true, Ordering::Relaxed);
    writing.join().expect("joined");
    assert_eq!(all, (1..=300).collect::<Vec<_>>());
    let of_the_log = ids(&place, &["--id", "4976", "--limit", "300"]);
    assert_eq!(some, of_the_log);
}

#[test]
fn a_follower_until_a_time_ends_when_that_has_come() {
    let place = written();
    for past in [&["--until", "1h"][..], &["--since", "2h", "--until", "1h"]] {
        assert_eq!(followed(&place, past), [0_u64; 0]);
    }
    let soon = (jiff::Timestamp::now() + Duration::from_secs(2)).to_string();
    let mut writer = place.writer();
    let writing = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(1));
        let records = [invalid("198.51.100.8")];
        writer.append(&records.map(entry)).expect("written");
    });
    assert_eq!(
        followed(&place, &["--since", "1h", "--until", &soon]),
        [1, 2, 3, 4, 5]
    );
    writing.join().expect("joined");
    // It has come: what there is, and no more.
    place
        .writer()
        .append(&[entry(invalid("198.51.100.8"))])
        .expect("written");
    let words = ["--since", "1h", "--until", &soon];
    assert_eq!(followed(&place, &words), [1, 2, 3, 4, 5]);
}

#[test]
fn output_that_nobody_reads_ends_quietly() {
    let place = Place::new("");
    let records: Vec<Entry> = (0..2000).map(|_| entry(invalid("198.51.100.7"))).collect();
    place.writer().append(&records).expect("written");
    let mut query = Command::new(env!("CARGO_BIN_EXE_mainmode"))
        .args([
            "-c",
            place.path("m.toml").to_str().expect("text"),
            "log",
            "query",
            "--json",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    drop(query.stdout.take());
    let output = query.wait_with_output().expect("ended");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_follower_is_told_of_records_that_were_removed_before_it_could_show_them() {
    let place = written();
    let mut follower = Command::new(env!("CARGO_BIN_EXE_mainmode"))
        .args(["-c", place.path("m.toml").to_str().expect("text")])
        .args(["log", "follow", "--json", "--since", "1h"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let said = BufReader::new(follower.stderr.take().expect("piped")).lines();
    let said: std::thread::JoinHandle<Vec<_>> =
        std::thread::spawn(move || said.map_while(Result::ok).collect());
    let mut lines = BufReader::new(follower.stdout.take().expect("piped")).lines();
    let mut shown = Vec::new();
    let mut next = move || {
        let line = lines.next().expect("a line").expect("text");
        let record: serde_json::Value = serde_json::from_str(&line).expect("json");
        record["EventRecordID"].as_u64().expect("a number")
    };
    while shown.last() != Some(&4) {
        shown.push(next());
    }
    // Now and then the follower looks just between the two, and nothing is missing.
    let mut writer = place.writer();
    for _ in 0..10 {
        writer
            .append(&[entry(invalid("198.51.100.8"))])
            .expect("written");
        writer
            .clear(Subject::unix(0, "root", "gw", None), None)
            .expect("cleared");
        let cleared = writer.head().0;
        while shown.last() != Some(&cleared) {
            shown.push(next());
        }
    }
    follower.kill().expect("killed");
    follower.wait().expect("ended");
    let said = said.join().expect("joined");
    assert!(!said.is_empty());
    let mut accounted = shown;
    for line in &said {
        let id = line
            .split_once("record ")
            .and_then(|(_, rest)| rest.strip_suffix(" was removed before it could be shown"));
        accounted.push(id.expect(line).parse().expect("a number"));
    }
    accounted.sort_unstable();
    assert!(
        accounted.iter().copied().eq(1..=24),
        "{accounted:?}: {said:?}"
    );
}
