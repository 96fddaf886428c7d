//! What the audit policy lets through, while the account is the same.

use std::fs;

use serde_json::Value;

use crate::support::{
    EVERYTHING, MAIN_MODE, Setup, Side, account_written, alone, cause, finish, pair,
};

/// A negotiation that succeeds and one that fails: what is in the log then, beside the log's own.
fn one_of_each(test: u8, audit: Option<&'static str>) -> (Side, Vec<u64>) {
    let setup = Setup {
        audit,
        ..EVERYTHING
    };
    let (mut north, mut south) = pair(test, setup, EVERYTHING);
    north.run(&["up", "peer"]).good();
    north.run(&["down", "peer"]).good();
    south.stop();
    north.run(&["up", "peer"]).failed();
    let c = north.settled();
    assert_eq!((c.negotiations, c.established), (2, 1));
    assert_eq!((c.ended, c.failed, c.live), (1, 1, 0));
    north.stop();
    north.verify();
    let ids = north.ids();
    north.start();
    assert_eq!(north.counters(), c);
    (north, ids)
}

#[test]
fn with_success_alone_failures_are_counted_and_not_written() {
    let (_, ids) = one_of_each(10, Some("ipsec-main-mode = [\"success\"]"));
    assert_eq!(ids, [4650, 4655, 1100]);
}

#[test]
fn with_failure_alone_successes_are_counted_and_not_written() {
    let (_, ids) = one_of_each(11, Some("ipsec-main-mode = [\"failure\"]"));
    assert_eq!(ids, [4653, 1100]);
}

#[test]
fn with_nothing_configured_negotiations_are_silent_and_counted() {
    let (_, ids) = one_of_each(12, None);
    assert_eq!(ids, [1100]);
}

#[test]
fn with_no_auditing_negotiations_are_silent_and_counted() {
    let (side, ids) = one_of_each(13, Some("ipsec-main-mode = []"));
    assert_eq!(ids, [1100]);
    let shown = side
        .run(&["audit", "get", "--subcategory", MAIN_MODE])
        .good();
    assert!(shown.contains("No Auditing"), "{shown}");
}

#[test]
fn with_failure_alone_a_crash_leaves_no_4655_without_4650() {
    let failure = Setup {
        audit: Some("ipsec-main-mode = [\"failure\"]"),
        ..EVERYTHING
    };
    let (mut north, _south) = pair(14, failure, EVERYTHING);
    north.run(&["up", "peer"]).good();
    account_written();
    north.kill();
    north.start();
    let c = north.counters();
    assert_eq!((c.established, c.ended, c.interrupted), (1, 1, 0));
    assert!(north.of(4655).is_empty());
    north.verify();
}

fn changes(event: &Value) -> (&str, &str) {
    let data = &event["EventData"];
    let text = |name: &str| data[name].as_str().expect("text");
    (text("SubcategoryGuid"), text("AuditPolicyChanges"))
}

#[test]
fn a_policy_changed_before_the_verdict_governs_the_verdict() {
    let silent = Setup {
        audit: None,
        ..EVERYTHING
    };
    let (side, _peer) = alone(15, silent);
    for (switch, written) in [("enable", 1), ("disable", 1)] {
        let before = side.counters();
        let asking = side.begin(&["up", "peer"]);
        side.account("it begins", |c| c.negotiations > before.negotiations);
        side.audit("--failure", switch);
        finish(asking).failed();
        assert_eq!(side.settled().failed, before.failed + 1);
        assert_eq!(side.of(4653).len(), written, "{switch}");
    }
    let events = side.of(4719);
    let changed: Vec<_> = events.iter().map(changes).collect();
    let guid = "{0CCE9218-69AE-11D9-BED3-505054503030}";
    assert_eq!(changed, [(guid, "%%8451"), (guid, "%%8450")]);
    assert_eq!(side.ids(), [4719, 4653, 4719]);
    side.verify();
}

#[test]
fn a_policy_changed_between_4650_and_4655_governs_the_4655_and_the_account_balances() {
    let silent = Setup {
        audit: None,
        ..EVERYTHING
    };
    let (mut north, _south) = pair(16, silent, EVERYTHING);
    north.audit("--success", "enable");
    north.run(&["up", "peer"]).good();
    north.audit("--success", "disable");
    north.run(&["down", "peer"]).good();
    assert_eq!(north.ids(), [4719, 4650, 4719]);
    // Begun in silence, ended aloud.
    north.run(&["up", "peer"]).good();
    north.audit("--success", "enable");
    north.run(&["down", "peer"]).good();
    assert_eq!(north.ids(), [4719, 4650, 4719, 4719, 4655]);
    let c = north.settled();
    assert_eq!((c.established, c.ended), (2, 2));
    // An SA with its 4650, a policy that asks for no more, a crash: counted, and nothing written.
    north.run(&["up", "peer"]).good();
    north.audit("--success", "disable");
    north.kill();
    north.start();
    let c = north.counters();
    assert_eq!((c.established, c.ended, c.live), (3, 3, 0));
    assert_eq!(north.of(4655).len(), 1);
    north.verify();
}

#[test]
fn a_policy_that_changed_while_no_daemon_ran_is_told_by_the_next_start_and_once_only() {
    let (mut north, _south) = pair(19, EVERYTHING, EVERYTHING);
    north.run(&["up", "peer"]).good();
    north.kill();
    let setting = EVERYTHING.audit.expect("a setting");
    north.edit(setting, "ipsec-main-mode = []");
    north.start();
    let told = north.of(4719);
    let told: Vec<_> = told.iter().map(changes).collect();
    let guid = "{0CCE9218-69AE-11D9-BED3-505054503030}";
    assert_eq!(told, [(guid, "%%8448, %%8450")]);
    // The 4719 first: what comes after it is by the new policy.
    assert_eq!(north.ids(), [4650, 4719]);
    north.stop();
    north.edit("ipsec-main-mode = []", "");
    // Stored while no daemon runs, and in force since.
    north.audit("--failure", "enable");
    assert_eq!(north.of(4719).len(), 2);
    for stopped in [false, true] {
        north.start();
        assert_eq!(north.of(4719).len(), 2, "{stopped}");
        north.stop();
    }
    north.verify();
}

#[test]
fn a_setting_that_audits_as_much_as_before_is_no_change_of_policy() {
    let (mut side, _peer) = alone(38, EVERYTHING);
    let setting = EVERYTHING.audit.expect("a setting");
    let more = format!("{setting}\nipsec-driver = []");
    // By a reload and by a start, in both directions.
    for (from, to) in [(setting, more.as_str()), (more.as_str(), setting)] {
        side.edit(from, to);
        side.run(&["reload"]).good();
    }
    side.stop();
    for (from, to) in [(setting, more.as_str()), (more.as_str(), setting)] {
        side.edit(from, to);
        side.start();
        side.stop();
    }
    assert_eq!(side.ids(), [1100, 1100, 1100]);
    side.verify();
}

#[test]
fn what_the_configuration_governs_is_refused_with_its_line_with_and_without_a_daemon() {
    let (mut side, _peer) = alone(17, EVERYTHING);
    let set = ["audit", "set", "--subcategory", MAIN_MODE];
    for running in [true, false] {
        let said = side
            .run(&[&set[..], &["--success", "disable"]].concat())
            .failed();
        assert!(said.contains("m.toml:2"), "{said}");
        let said = side.run(&["audit", "clear"]).failed();
        assert!(said.contains("m.toml:2"), "{said}");
        if running {
            side.stop();
        }
    }
    assert!(side.of(4719).is_empty());
    side.verify();
}

#[test]
fn a_policy_that_was_backed_up_is_restored_with_and_without_a_daemon() {
    let silent = Setup {
        audit: None,
        ..EVERYTHING
    };
    let (mut side, _peer) = alone(18, silent);
    side.audit("--failure", "enable");
    let file = side.path("policy.csv");
    let name = file.to_str().expect("text").to_owned();
    side.run(&["audit", "backup", &name]).good();
    let saved = fs::read_to_string(&file).expect("there");
    assert!(saved.contains(",Failure,,2"), "{saved}");
    // One row that is not ours stays where it is.
    let foreign = "gw,System,Logon,{0cce9215-69ae-11d9-bed3-505054503030},Success,,1\r\n";
    fs::write(&file, format!("{saved}{foreign}")).expect("written");
    for running in [true, false] {
        side.run(&["audit", "clear"]).good();
        let ran = side.run(&["audit", "restore", &name]);
        let said = format!("{}{}", ran.stdout, ran.stderr).to_lowercase();
        assert!(said.contains("0cce9215"), "{ran:?}");
        ran.good();
        let again = side.path("again.csv");
        side.run(&["audit", "backup", again.to_str().expect("text")])
            .good();
        assert_eq!(fs::read_to_string(again).expect("there"), saved);
        if running {
            side.stop();
        }
    }
    let events = side.of(4719);
    let words: Vec<_> = events.iter().map(|event| changes(event).1).collect();
    assert_eq!(words, ["%%8451", "%%8450", "%%8451", "%%8450", "%%8451"]);
    let subject = &events[0]["EventData"]["SubjectUserSid"];
    assert!(
        subject
            .as_str()
            .is_some_and(|sid| sid.starts_with("S-1-22-1-"))
    );
    side.start();
    side.run(&["up", "peer"]).failed();
    assert_eq!(cause(&side.of(4653)[0]), "no-answer");
    side.verify();
}
