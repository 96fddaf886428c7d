//! The commands with daemons that run: two of them, on loopback, without privileges.

use std::io::{BufRead as _, BufReader};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use mainmode::control::{Client, Request, Response};

use crate::place::Place;

/// Long enough for anything here, so that only what never comes fails.
const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn a_demonstration_that_is_interrupted_leaves_nothing_behind() {
    use nix::sys::signal::{Signal, kill};
    let folder = tempfile::tempdir().expect("a folder");
    let left = || std::fs::read_dir(folder.path()).expect("listed").count();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_mainmode"))
        .arg("demo")
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut said = BufReader::new(demo.stdout.take().expect("piped"));
    said.read_line(&mut String::new()).expect("it begins");
    assert_eq!(left(), 1);
    let process = Pid::from_raw(i32::try_from(demo.id()).expect("a process"));
    kill(process, Signal::SIGINT).expect("told");
    let code = demo.wait().expect("it ends").code();
    assert_eq!((code, left()), (Some(130), 0));
}

/// A daemon on a place of its own; stopped in good order at the end.
struct Daemon {
    place: Place,
    process: Child,
}

impl Daemon {
    fn start(configuration: &str) -> Self {
        let place = Place::new(configuration);
        let process = Command::new(env!("CARGO_BIN_EXE_mainmode"))
            .args(["-c", place.path("m.toml").to_str().expect("text"), "run"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let mut daemon = Self { place, process };
        let begun = Instant::now();
        while daemon.place.run(&["status"]).code != 0 {
            let ended = daemon.process.try_wait().expect("asked");
            assert!(
                ended.is_none() && begun.elapsed() < PATIENCE,
                "no daemon: {ended:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        daemon
    }

    /// Ends the daemon as a service manager does, and gives its exit code.
    fn stop(&mut self) -> Option<i32> {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.process.id()).expect("a process"));
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::SIGTERM);
        self.process.wait().expect("ended").code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.process.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.stop();
        }
    }
}

/// Ports that nobody has at the moment.
fn ports<const N: usize>() -> [u16; N] {
    let sockets = [(); N].map(|()| UdpSocket::bind("127.0.0.1:0").expect("bound"));
    sockets.map(|socket| socket.local_addr().expect("an address").port())
}

fn configuration(us: [u16; 2], peer: [u16; 2], psk: &str) -> String {
    format!(
        "[listen]\naddresses = [\"127.0.0.1\"]\nport = {}\nnat-port = {}\n\
         [[connection]]\nname = \"peer\"\nremote = {{ address = \"127.0.0.1\", port = {}, nat-port = {} }}\n\
         auth = {{ psk = \"{psk}\" }}\nproposals = [\"aes256-sha256-x25519\"]\n\
         retransmit = {{ tries = 1, first = \"100ms\" }}\n",
        us[0], us[1], peer[0], peer[1]
    )
}

fn pair(our_psk: &str, their_psk: &str) -> (Daemon, Daemon) {
    let [a, b, c, d] = ports();
    let us = Daemon::start(&configuration([a, b], [c, d], our_psk));
    let peer = Daemon::start(&configuration([c, d], [a, b], their_psk));
    (us, peer)
}

const PSK: &str = "correct horse battery staple";

fn audit_everything(daemon: &Daemon) {
    let words = ["audit", "set", "--subcategory", "IPsec Main Mode"];
    let halves = ["--success", "enable", "--failure", "enable"];
    daemon.place.run(&[&words[..], &halves].concat()).good();
}

fn events(daemon: &Daemon) -> Vec<u64> {
    let records = daemon.place.run(&["log", "query", "--json"]).json();
    records
        .iter()
        .map(|record| record["EventID"].as_u64().expect("a number"))
        .collect()
}

#[test]
fn a_connection_goes_up_is_shown_and_goes_down() {
    let (mut us, _peer) = pair(PSK, PSK);
    audit_everything(&us);
    let said = us.place.run(&["up", "peer"]).good();
    assert!(said.starts_with("peer: established: "), "{said}");
    let again = &us.place.run(&["up", "peer", "--json"]).json()[0];
    assert_eq!(
        (&again["established"], &again["already"]),
        (&true.into(), &true.into())
    );
    let status = &us.place.run(&["status", "--json"]).json()[0];
    let sa = &status["main_mode_sas"][0];
    assert_eq!(
        (&sa["connection"], &sa["state"]),
        (&"peer".into(), &"established".into())
    );
    assert_eq!(sa["lifetime_seconds"], 28_800);
    let event = &us
        .place
        .run(&["log", "query", "--id", "4650", "--json"])
        .json()[0];
    // The event has seven decimals.
    let decimals = |time: &serde_json::Value| {
        let time = time.as_str().expect("a text");
        let time: jiff::Timestamp = time.parse().expect("a time");
        time.as_nanosecond() / 100
    };
    assert_eq!(
        decimals(&sa["established"]),
        decimals(&event["TimeCreated"])
    );
    assert_eq!(status["counters"]["live"], 1);
    assert!(us.place.run(&["status"]).good().contains("1 established"));
    us.place.run(&["down", "peer"]).good();
    // Nothing to end is no failure.
    us.place.run(&["down", "peer"]).good();
    assert_eq!(events(&us), [4719, 4650, 4655]);
    us.place.run(&["log", "verify"]).good();
    assert_eq!(us.stop(), Some(0));
    assert_eq!(events(&us), [4719, 4650, 4655, 1100]);
}

#[test]
fn a_wrong_key_is_1_with_the_advice() {
    let (us, _peer) = pair(PSK, "staple battery horse correct");
    let ran = us.place.run(&["up", "peer", "--json"]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    let verdict: serde_json::Value = serde_json::from_str(&ran.stdout).expect("json");
    assert_eq!(verdict["established"], false);
    assert!(
        verdict["reason_code"].is_u64() && verdict["advice"].is_string(),
        "{verdict}"
    );
}

#[test]
fn nobody_there_is_1_and_says_so() {
    let [a, b, c, d] = ports();
    let us = Daemon::start(&configuration([a, b], [c, d], PSK));
    let said = us.place.run(&["up", "peer"]).failed(1);
    assert!(
        said.starts_with("error: peer: ") && said.contains("Check"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    let said = us.place.run(&["up", "nix"]).failed(1);
    assert!(said.contains("there is no connection \"nix\""), "{said}");
    us.place.run(&["down", "nix"]).failed(1);
}

#[test]
fn a_second_daemon_on_the_same_place_is_refused() {
    let [a, b, c, d] = ports();
    let us = Daemon::start(&configuration([a, b], [c, d], PSK));
    us.place.run(&["run"]).failed(1);
    us.place.run(&["status"]).good();
}

#[test]
fn the_policy_and_the_log_are_changed_through_the_daemon() {
    let [a, b, c, d] = ports();
    let us = Daemon::start(&configuration([a, b], [c, d], PSK));
    audit_everything(&us);
    let row = &us
        .place
        .run(&["audit", "get", "--json", "--subcategory", "IPsec Main Mode"])
        .json()[0];
    assert_eq!(row["setting"], "Success and Failure");
    // As a daemon with a /tmp of its own would find it.
    let mut client = Client::connect(&us.place.path("control")).expect("the daemon");
    let request = Request::LogClear {
        backup: Some(us.place.path("old.db")),
        witness: Some(us.place.path("seen by the caller alone")),
    };
    let refused = client.ask(&request).expect("an answer");
    assert!(
        matches!(&refused, Response::Failed { message } if message.contains("nothing was cleared")),
        "{refused:?}"
    );
    assert!(!us.place.path("old.db").exists());
    us.place.run(&["log", "clear", "--backup", "old.db"]).good();
    assert_eq!(events(&us), [1102]);
    assert!(us.place.path("old.db").exists());
    let info = &us.place.run(&["log", "info", "--json"]).json()[0];
    assert_eq!((&info["records"], &info["first"]), (&1.into(), &2.into()));
}

#[test]
fn the_socket_alone_leads_to_the_daemon_whatever_the_file_says() {
    let [a, b, c, d] = ports();
    let us = Daemon::start(&configuration([a, b], [c, d], PSK));
    let good = std::fs::read_to_string(us.place.path("m.toml")).expect("read");
    for broken in [
        "[log\n".to_owned(),
        good.replace("\"control\"", "\"elsewhere\""),
    ] {
        us.place.write("m.toml", &broken);
        us.place.run(&["status"]).failed(1);
        let reach = |words: &[&str]| us.place.run(&[words, &["--socket", "control"]].concat());
        reach(&["status"]).good();
        reach(&["down", "peer"]).good();
        let set = ["audit", "set", "--subcategory", "IPsec Main Mode"];
        reach(&set).good();
        reach(&["audit", "get"]).good();
        for own in ["log/security-0000000001.db", "log/lock"] {
            let said = reach(&["audit", "backup", own]).failed(1);
            assert!(said.contains("one of the log's own files"), "{said}");
        }
        reach(&["log", "query"]).good();
        reach(&["log", "follow", "--until", "1h"]).good();
        reach(&["log", "info"]).good();
        reach(&["log", "clear"]).good();
        // The daemon reads the file for itself, and says what is wrong with it.
        let refused = reach(&["reload", "--json"]);
        assert_eq!(refused.code, 1, "{}", refused.stderr);
        let answer: serde_json::Value = serde_json::from_str(&refused.stdout).expect("one object");
        assert_eq!(answer["reloaded"], false);
    }
    us.place.write("m.toml", &good);
    us.place.run(&["reload"]).good();
}

#[test]
fn without_a_daemon_the_socket_leads_nowhere_and_nothing_else_is_looked_at() {
    let place = Place::new("");
    for words in [&["status"][..], &["log", "query"], &["audit", "get"]] {
        let words = [words, &["--socket", "nobody"]].concat();
        let said = place.run(&words).failed(1);
        assert!(said.contains("no daemon answers at nobody"), "{said}");
    }
    for words in [&["check"][..], &["audit", "list"], &["log", "verify"]] {
        let said = place
            .run(&[words, &["--socket", "control"]].concat())
            .failed(2);
        assert!(said.contains("--socket is for commands"), "{said}");
    }
    let said = place.run(&["status"]).failed(1);
    assert!(said.contains("start it with: mainmode run"), "{said}");
}

#[test]
fn a_reload_of_what_is_no_toml_is_one_object_as_well() {
    let place = Place::new("");
    place.write("m.toml", "\n[log\n");
    let ran = place.run(&["reload", "--json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    let answer: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one object");
    assert_eq!(answer["reloaded"], false);
    assert_eq!(answer["kept"], serde_json::json!([]));
    assert_eq!(answer["findings"][0]["severity"], "error");
    assert_eq!(answer["findings"][0]["line"], 2);
    let said = place.run(&["reload"]).failed(1);
    assert!(
        said.contains("m.toml:2") && said.contains("--socket"),
        "{said}"
    );
}
