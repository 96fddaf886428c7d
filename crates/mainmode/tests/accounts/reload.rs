//! Another configuration while the daemon runs: what did not change goes on, what did ends with its events,
//! and what is wrong changes nothing.

use std::fs;
use std::os::unix::net::UnixDatagram;

use mainmode::control::Reloaded;
use nix::sys::signal::{Signal, kill};
use serde_json::Value;

use crate::support::{
    EVERYTHING, Place, Setup, Side, alone, cause, finish, pair, until, write_private,
};

/// `reload --json`, which must have gone well.
fn reload(side: &Side) -> Reloaded {
    let text = side.run(&["reload", "--json"]).good();
    serde_json::from_str(&text).expect("an answer")
}

/// The same of a reload that must have been refused: its exit code and what it says.
fn refused(side: &Side) -> String {
    let ran = side.run(&["reload"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(ran.stdout, "", "{ran:?}");
    ran.stderr
}

fn one(name: &str) -> Vec<String> {
    vec![name.to_owned()]
}

#[test]
fn an_equal_connection_keeps_its_sa_whatever_changes_beside_it() {
    let (north, _south) = pair(60, EVERYTHING, EVERYTHING);
    north.run(&["up", "peer"]).good();
    assert_eq!(reload(&north).kept, one("peer"));
    // Written otherwise, and saying the same.
    north.edit(
        "half-open-timeout = \"2s\"",
        "# a remark\nhalf-open-timeout = '2000ms'",
    );
    north.append(
        "[[connection]]\nname = \"new\"\nremote = { address = \"192.0.2.77\" }\n\
         auth = { psk = \"another key that is long enough\" }\n",
    );
    let answer = reload(&north);
    assert_eq!((answer.kept, answer.added), (one("peer"), one("new")));
    let status = north.status();
    assert_eq!(status.connections.len(), 2);
    assert_eq!(status.main_mode_sas.len(), 1);
    assert_eq!(north.ids(), [4650]);
    north.edit("name = \"new\"", "name = \"newer\"");
    let answer = reload(&north);
    assert_eq!((answer.added, answer.removed), (one("newer"), one("new")));
    let said = north.run(&["up", "new"]).failed();
    assert!(said.contains("there is no connection \"new\""), "{said}");
    assert_eq!(north.counters().live, 1);
    north.run(&["down", "peer"]).good();
    assert_eq!(north.ids(), [4650, 4655]);
    north.verify();
}

#[test]
fn a_changed_or_removed_connection_ends_with_its_4655_on_disk_before_the_answer() {
    let (north, south) = pair(61, EVERYTHING, EVERYTHING);
    north.run(&["up", "peer"]).good();
    north.edit("aes256-sha256-x25519", "aes256-sha512-x25519");
    south.edit("aes256-sha256-x25519", "aes256-sha512-x25519");
    assert_eq!(reload(&north).changed, one("peer"));
    assert_eq!(north.ids(), [4650, 4655]);
    assert_eq!(cause(&north.of(4655)[0]), "deleted-by-operator");
    south.account("the peer heard of it", |c| c.live == 0);
    assert_eq!(reload(&south).changed, one("peer"));
    north.run(&["up", "peer"]).good();
    let word = &north.of(4650)[1]["EventData"]["MMIntegrityAlg"];
    assert_eq!(word, "SHA 512");
    let text = fs::read_to_string(north.path("m.toml")).expect("there");
    let (bare, _) = text.split_once("[[connection]]").expect("one");
    write_private(&north.path("m.toml"), bare);
    assert_eq!(reload(&north).removed, one("peer"));
    assert_eq!(north.ids(), [4650, 4655, 4650, 4655]);
    let c = north.settled();
    assert_eq!((c.established, c.ended, c.failed), (2, 2, 0));
    north.verify();
}

#[test]
fn a_negotiation_under_way_goes_on_and_one_of_a_changed_connection_gets_its_verdict() {
    let slow = Setup {
        connection: "retransmit = { tries = 5, first = \"20s\" }",
        ..EVERYTHING
    };
    let (side, _peer) = alone(62, slow);
    let asking = side.begin(&["up", "peer"]);
    side.account("it begins", |c| c.negotiations == 1);
    assert_eq!(reload(&side).kept, one("peer"));
    assert_eq!(side.counters().failed, 0);
    side.edit("first = \"20s\"", "first = \"21s\"");
    assert_eq!(reload(&side).changed, one("peer"));
    finish(asking).failed();
    assert_eq!(side.settled().failed, 1);
    assert_eq!(cause(&side.of(4653)[0]), "policy-changed");
    side.verify();
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_nothing_changes() {
    let (north, _south) = pair(63, EVERYTHING, EVERYTHING);
    north.run(&["up", "peer"]).good();
    let good = fs::read_to_string(north.path("m.toml")).expect("there");
    for (from, to, said) in [
        (
            "half-open-timeout = \"2s\"",
            "half-open-timeout = \"2 parsecs\"",
            "is no duration",
        ),
        (
            "[[connection]]",
            "[[conection]]",
            "did you mean \"connection\"?",
        ),
        ("[audit]", "[audit", "this is not TOML"),
        (
            "auth = { psk =",
            "auth = { psk-file = \"nowhere\", x =",
            "unknown key \"x\"",
        ),
    ] {
        // What else the file says is not taken either.
        let other = good.replace("\"success\", \"failure\"", "\"failure\"");
        write_private(&north.path("m.toml"), &other.replace(from, to));
        let told = refused(&north);
        let place = format!("{}:", north.path("m.toml").display());
        assert!(told.contains(said) && told.contains(&place), "{told}");
    }
    let ran = north.run(&["reload", "--json"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let answer: Value = serde_json::from_str(&ran.stdout).expect("json");
    assert_eq!(answer["reloaded"], false);
    let finding = &answer["findings"][0];
    assert!(
        finding["line"].is_u64() && finding["column"].is_u64(),
        "{finding}"
    );
    write_private(&north.path("m.toml"), &good);
    assert_eq!(north.ids(), [4650]);
    assert_eq!(north.counters().live, 1);
    let shown = north.run(&["audit", "get", "--json"]).good();
    assert!(shown.contains("Success and Failure"), "{shown}");
    assert_eq!(reload(&north).kept, one("peer"));
    north.verify();
}

#[test]
fn a_key_file_that_was_rewritten_changes_its_connection() {
    let (north, south) = pair(64, EVERYTHING, EVERYTHING);
    let text = fs::read_to_string(north.path("m.toml")).expect("there");
    let line = text
        .lines()
        .find(|line| line.starts_with("auth"))
        .expect("a key");
    let (first, second) = ("the first key of the two", "the second key of the two");
    for side in [&north, &south] {
        side.edit(line, "auth = { psk-file = \"peer.psk\" }");
        write_private(&side.path("peer.psk"), first);
        reload(side);
    }
    north.run(&["up", "peer"]).good();
    // The same key again, in a file that is another one.
    write_private(&north.path("other.psk"), first);
    north.edit("peer.psk", "other.psk");
    assert_eq!(reload(&north).kept, one("peer"));
    for side in [&north, &south] {
        write_private(&side.path("peer.psk"), second);
    }
    north.edit("other.psk", "peer.psk");
    assert_eq!(reload(&north).changed, one("peer"));
    assert_eq!(north.ids(), [4650, 4655]);
    // The peer still has the old one.
    south.account("the peer heard of it", |c| c.live == 0);
    north.run(&["up", "peer"]).failed();
    assert_eq!(reload(&south).changed, one("peer"));
    north.run(&["up", "peer"]).good();
    north.verify();
}

/// A child between two networks of documentation; negotiated and audited, and carried by nobody.
const CHILD: &str = "[[connection.child]]\nname = \"net\"\nproposals = [\"aes256gcm16-x25519\"]\n";

#[test]
fn children_come_and_go_under_the_main_mode_sa() {
    let setup = Setup {
        audit: Some(
            "ipsec-main-mode = [\"success\", \"failure\"]\nipsec-quick-mode = [\"success\", \"failure\"]",
        ),
        ..EVERYTHING
    };
    let (north, south) = pair(65, setup, setup);
    north.run(&["up", "peer"]).good();
    for side in [&north, &south] {
        side.append(CHILD);
        assert_eq!(reload(side).amended, one("peer"));
    }
    north.run(&["up", "peer"]).good();
    assert_eq!(north.ids(), [4650, 5451]);
    // One that changed ends; the connection's start begins it again.
    for side in [&north, &south] {
        side.edit("aes256gcm16-x25519", "aes128gcm16-x25519");
    }
    assert_eq!(reload(&south).amended, one("peer"));
    until("the peer's end was heard", || north.of(5452).len() == 1);
    north.edit("retransmit =", "start = \"auto\"\nretransmit =");
    assert_eq!(reload(&north).amended, one("peer"));
    until("it stands again", || north.of(5451).len() == 2);
    let cipher = &north.of(5451)[1]["EventData"]["CipherType"];
    assert_eq!(cipher, "AES-GCM-128");
    north.edit(&CHILD.replace("aes256", "aes128"), "");
    assert_eq!(reload(&north).amended, one("peer"));
    assert_eq!(north.of(5452).len(), 2);
    assert_eq!(north.of(5049).len(), 2);
    let status = north.status();
    assert_eq!(
        (status.main_mode_sas.len(), status.quick_mode_sas.len()),
        (1, 0)
    );
    assert!(north.of(4655).is_empty());
    north.verify();
}

#[test]
fn start_is_changed_both_ways_without_an_end() {
    let (north, mut south) = pair(66, EVERYTHING, EVERYTHING);
    north.edit("retransmit =", "start = \"auto\"\nretransmit =");
    assert_eq!(reload(&north).amended, one("peer"));
    north.account("it is up", |c| c.live == 1);
    north.edit("start = \"auto\"\n", "");
    assert_eq!(reload(&north).amended, one("peer"));
    assert_eq!(north.counters().live, 1);
    // What is not to be kept up is not begun again.
    south.stop();
    north.account("the peer ended it", |c| c.live == 0);
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(north.settled().negotiations, 1);
    north.verify();
}

#[test]
fn the_audit_policy_changes_at_its_4719_and_the_new_file_governs() {
    let silent = Setup {
        audit: None,
        ..EVERYTHING
    };
    let (north, _south) = pair(67, silent, EVERYTHING);
    north.run(&["up", "peer"]).good();
    north.run(&["down", "peer"]).good();
    north.edit("[log]", "[audit]\nipsec-main-mode = [\"success\"]\n[log]");
    let answer = reload(&north);
    assert_eq!(answer.kept, one("peer"));
    assert_eq!(
        answer.notes,
        one("audit policy: IPsec Main Mode is now Success")
    );
    north.run(&["up", "peer"]).good();
    let set = [
        "audit",
        "set",
        "--subcategory",
        "IPsec Main Mode",
        "--failure",
        "enable",
    ];
    let said = north.run(&set).failed();
    assert!(said.contains("m.toml:2"), "{said}");
    // No difference, no event.
    reload(&north);
    north.edit("[audit]\nipsec-main-mode = [\"success\"]\n", "");
    let answer = reload(&north);
    assert_eq!(
        answer.notes,
        one("audit policy: IPsec Main Mode is now Not configured")
    );
    north.run(&["down", "peer"]).good();
    north.run(&set).good();
    assert_eq!(north.ids(), [4719, 4650, 4719, 4719]);
    let changed = &north.of(4719)[0]["EventData"];
    assert_eq!(changed["AuditPolicyChanges"], "%%8449");
    let subject = changed["SubjectUserSid"].as_str().expect("text");
    assert!(subject.starts_with("S-1-22-1-"), "{subject}");
    north.verify();
}

#[test]
fn the_limits_of_the_log_change_while_it_is_written() {
    let (side, _peer) = alone(68, EVERYTHING);
    side.edit(
        "max-size = \"4MiB\"",
        "max-size = \"9MiB\"\nretention = \"archive\"",
    );
    let answer = reload(&side);
    assert_eq!(answer.notes.len(), 2, "{:?}", answer.notes);
    let info: Value =
        serde_json::from_str(&side.run(&["log", "info", "--json"]).good()).expect("json");
    assert_eq!(
        (&info["max_size"], &info["retention"]),
        (&(9 << 20).into(), &"archive".into())
    );
    side.run(&["up", "peer"]).failed();
    assert_eq!(side.ids(), [4653]);
    side.verify();
}

#[test]
fn what_takes_a_restart_is_named_and_nothing_is_taken() {
    let (mut north, _south) = pair(69, EVERYTHING, EVERYTHING);
    north.run(&["up", "peer"]).good();
    let good = fs::read_to_string(north.path("m.toml")).expect("there");
    let other = Place::new(69, 3);
    let port = format!("nat-port = {}", other.ports[1]);
    for (from, to, named) in [
        (
            "[[connection]]",
            "[[connection]]\ndataplane = \"kernel\"".to_owned(),
            "`dataplane` of connection \"peer\"",
        ),
        (
            "[[connection]]",
            format!(
                "[[connection]]\nname = \"x\"\nlocal = {{ address = \"{a}\", {port} }}\nremote = {{ address = \"192.0.2.9\" }}\nauth = {{ psk = \"a key that is long enough to be one\" }}\n[[connection]]",
                a = other.address
            ),
            "is not open",
        ),
    ] {
        north.edit(from, &to);
        north.edit("aes256-sha256-x25519", "aes256-sha512-x25519");
        let said = refused(&north);
        assert!(said.contains(named) && said.contains("restart"), "{said}");
        write_private(&north.path("m.toml"), &good);
    }
    // The commands look where the file says, so the daemon is asked by signal.
    let log = north.path("log").display().to_string();
    north.edit(&log, &format!("{log}-elsewhere"));
    kill(north.pid(), Signal::SIGHUP).expect("told");
    until("it is refused", || {
        north.said().contains("`directory` in [log]")
    });
    write_private(&north.path("m.toml"), &good);
    assert!(!north.path("log-elsewhere").exists());
    assert_eq!(north.ids(), [4650]);
    assert_eq!(north.counters().live, 1);
    north.stop();
    north.verify();
}

#[test]
fn a_hangup_reloads_and_a_wrong_file_is_told_on_stderr() {
    let (mut north, _south) = pair(70, EVERYTHING, EVERYTHING);
    north.run(&["up", "peer"]).good();
    kill(north.pid(), Signal::SIGHUP).expect("told");
    until("it says so", || {
        north.said().contains("reloaded; kept: peer")
    });
    north.edit("[[connection]]", "[[connection]]\ncolour = 1");
    kill(north.pid(), Signal::SIGHUP).expect("told");
    until("it says why not", || {
        north.said().contains("unknown key \"colour\"")
    });
    assert!(north.said().contains("m.toml:"), "{}", north.said());
    north.edit("colour = 1", "");
    north.edit("aes256-sha256-x25519", "aes256-sha512-x25519");
    kill(north.pid(), Signal::SIGHUP).expect("told");
    until("the SA ended", || north.of(4655).len() == 1);
    north.stop();
    assert_eq!(north.ids(), [4650, 4655, 1100]);
    north.verify();
}

#[test]
fn the_service_manager_hears_of_each_reload_and_of_its_end() {
    let (a, b) = (Place::new(71, 1), Place::new(71, 2));
    let _peer = b.silent();
    let mut side = Side::new(a, b, EVERYTHING);
    let path = side.path("notify");
    let manager = UnixDatagram::bind(&path).expect("bound");
    manager
        .set_read_timeout(Some(crate::support::PATIENCE))
        .expect("set");
    let heard = || {
        let mut bytes = [0; 256];
        let length = manager.recv(&mut bytes).expect("told");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    side.start_with(&[("NOTIFY_SOCKET", &path)]);
    assert_eq!(heard(), "READY=1\n");
    for good in [true, false] {
        if !good {
            side.edit("[[connection]]", "[[connection]]\ncolour = 1");
        }
        assert_eq!(side.run(&["reload"]).code, Some(i32::from(!good)));
        let said = heard();
        let (reloading, time) = said.split_once('\n').expect("two lines");
        assert_eq!(reloading, "RELOADING=1");
        assert!(time.starts_with("MONOTONIC_USEC="), "{time}");
        assert_eq!(heard(), "READY=1\n");
    }
    side.edit("colour = 1", "");
    side.stop();
    assert_eq!(heard(), "STOPPING=1\n");
}
