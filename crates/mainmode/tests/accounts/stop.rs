//! A stop in good order: everybody is told, everything is written, and nothing hangs.

use std::io::{BufRead as _, BufReader};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::{EVERYTHING, Setup, alone, cause, finish, pair};

const WITH_DRIVER: Setup = Setup {
    audit: Some("ipsec-main-mode = [\"success\", \"failure\"]\nipsec-driver = [\"success\"]"),
    ..EVERYTHING
};

#[test]
fn a_stop_ends_each_sa_tells_the_peer_and_writes_1100_last() {
    let (mut north, mut south) = pair(30, WITH_DRIVER, EVERYTHING);
    north.run(&["up", "peer"]).good();
    south.account("the SA stands", |c| c.live == 1);
    north.stop();
    assert_eq!(north.ids(), [5478, 4650, 4655, 5479, 1100]);
    assert_eq!(cause(&north.of(4655)[0]), "shutdown");
    south.account("the peer heard of it", |c| c.live == 0);
    assert_eq!(cause(&south.of(4655)[0]), "deleted-by-peer");
    south.stop();
    assert_eq!(south.ids(), [4650, 4655, 1100]);
    assert!(!north.path("control").exists());
    for side in [&mut north, &mut south] {
        side.verify();
        side.start();
        let c = side.counters();
        assert_eq!((c.negotiations, c.established, c.ended), (1, 1, 1));
        assert_eq!(c.interrupted, 0);
    }
}

#[test]
fn a_follower_is_told_of_all_that_a_stop_writes() {
    let (mut north, _south) = pair(37, WITH_DRIVER, EVERYTHING);
    north.run(&["up", "peer"]).good();
    let followers = [
        (&[][..], &[5478, 4650, 4655, 5479, 1100][..]),
        (&["--id", "4650,1100"], &[4650, 1100]),
    ]
    .map(|(words, wanted)| {
        let follow = ["log", "follow", "--json", "--raw", "--since", "1h"];
        let mut process = north.begin(&[&follow, words].concat());
        let mut lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        // From its first line on it is one whom the daemon answers.
        let first = lines.next();
        (process, first.into_iter().chain(lines), wanted)
    });
    north.stop();
    for (mut process, lines, wanted) in followers {
        let id = |line: std::io::Result<String>| {
            let line = line.expect("text");
            let record: serde_json::Value = serde_json::from_str(&line).expect("json");
            record["EventID"].as_u64().expect("a number")
        };
        assert_eq!(lines.map(id).collect::<Vec<_>>(), wanted);
        assert_eq!(process.wait().expect("ended").code(), Some(0));
    }
}

#[test]
fn a_stop_waits_for_no_peer_that_is_dead() {
    let (mut north, mut south) = pair(31, EVERYTHING, EVERYTHING);
    north.run(&["up", "peer"]).good();
    south.kill();
    north.stop();
    assert_eq!(north.ids(), [4650, 4655, 1100]);
    north.verify();
}

#[test]
fn a_stop_gives_a_negotiation_under_way_its_verdict_and_its_asker_an_answer() {
    let slow = Setup {
        connection: "retransmit = { tries = 5, first = \"20s\" }",
        ..EVERYTHING
    };
    let (mut side, _peer) = alone(32, slow);
    let asking = [side.begin(&["up", "peer"]), side.begin(&["up", "peer"])];
    side.account("it begins", |c| c.negotiations == 1);
    side.stop();
    for asking in asking {
        finish(asking).failed();
    }
    assert_eq!(side.ids(), [4653, 1100]);
    assert_eq!(cause(&side.of(4653)[0]), "shutting-down");
    side.verify();
}

#[test]
fn a_negotiation_that_is_taken_down_answers_who_asked_for_it_and_gets_one_verdict() {
    let slow = Setup {
        connection: "retransmit = { tries = 5, first = \"20s\" }",
        ..EVERYTHING
    };
    let (mut side, _peer) = alone(33, slow);
    let asking = side.begin(&["up", "peer"]);
    side.account("it begins", |c| c.negotiations == 1);
    side.run(&["down", "peer"]).good();
    let said = finish(asking).failed();
    assert!(said.starts_with("error: peer: "), "{said}");
    assert_eq!(side.settled().failed, 1);
    side.stop();
    assert_eq!(side.ids(), [4653, 1100]);
    assert_eq!(cause(&side.of(4653)[0]), "stopped-by-operator");
    side.verify();
}

#[test]
fn a_reload_that_waits_for_its_file_keeps_no_stop_waiting() {
    let (mut north, _south) = pair(36, WITH_DRIVER, EVERYTHING);
    north.run(&["up", "peer"]).good();
    std::fs::remove_file(north.path("m.toml")).expect("removed");
    mkfifo(&north.path("m.toml"), Mode::S_IRWXU).expect("a pipe");
    kill(north.pid(), Signal::SIGHUP).expect("told");
    // Longer than the daemon takes to look.
    std::thread::sleep(std::time::Duration::from_millis(200));
    north.stop();
    assert!(north.said().ends_with("stopped\n"), "{}", north.said());
}
