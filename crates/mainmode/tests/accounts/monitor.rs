//! The stream of events: each up has its down, each failure its cause, and a reader that is slow is told so.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use mainmode::control::monitor::Happened;
use mainmode::control::{Request, Response};
use serde_json::Value;

use crate::support::{EVERYTHING, PATIENCE, Setup, Side, pair, with_children};

/// How long to look before it is asked again.
const A_MOMENT: Duration = Duration::from_millis(200);

/// A `monitor --json` that runs.
struct Monitor {
    process: Child,
    lines: Receiver<String>,
    /// What was looked at and not yet taken.
    first: Option<String>,
}

impl Monitor {
    fn start(side: &Side, words: &[&str]) -> Self {
        let mut process = side.begin(&[&["monitor", "--json"], words].concat());
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            process,
            lines,
            first: None,
        }
    }

    /// The same, when it surely hears what happens from now on: its first events are reloads.
    fn listening(side: &Side, words: &[&str]) -> Self {
        let mut monitor = Self::start(side, words);
        let begun = Instant::now();
        while monitor.first.is_none() {
            assert!(begun.elapsed() < PATIENCE, "it never listened");
            side.run(&["reload"]).good();
            monitor.first = monitor.lines.recv_timeout(A_MOMENT).ok();
        }
        monitor
    }

    /// What it says when it ends by itself, and its exit code. All its events must have been taken.
    fn end(mut self) -> (Option<i32>, String) {
        assert_eq!(
            self.lines.recv_timeout(PATIENCE),
            Err(RecvTimeoutError::Disconnected)
        );
        let mut said = String::new();
        let mut errors = self.process.stderr.take().expect("a pipe");
        errors.read_to_string(&mut said).expect("text");
        (self.process.wait().expect("ended").code(), said)
    }

    fn next(&mut self) -> Value {
        let line = self.first.take().unwrap_or_else(|| {
            let line = self.lines.recv_timeout(PATIENCE);
            line.expect("a line in time")
        });
        let event: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"));
        assert_eq!(event["version"], 1, "{event}");
        let time = event["time"].as_str().expect("a time");
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
        let name = event["event"].as_str().expect("a name");
        assert!(Happened::NAMES.contains(&name), "{name}");
        event
    }

    /// The next event of this name; what comes before it may be reloads alone.
    fn until(&mut self, name: &str) -> Value {
        loop {
            let event = self.next();
            if event["event"] == name {
                return event;
            }
            assert_eq!(event["event"], "reloaded", "before {name}: {event}");
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn an_orderly_stop_tells_the_last_events_and_says_that_the_daemon_has_stopped() {
    let (mut north, _south) = pair(45, EVERYTHING, EVERYTHING);
    let mut monitor = Monitor::listening(&north, &[]);
    north.run(&["up", "peer"]).good();
    monitor.until("connection-up");
    north.stop();
    assert_eq!(monitor.until("connection-down")["cause"], "shutdown");
    let said = "error: the daemon has stopped\n".to_owned();
    assert_eq!(monitor.end(), (Some(1), said));
}

#[test]
fn what_comes_up_goes_down_and_fails_is_told_with_what_it_was() {
    let (north, mut south) = with_children(75);
    let mut monitor = Monitor::listening(&north, &[]);
    north.run(&["up", "peer"]).good();
    let up = monitor.until("connection-up");
    assert_eq!(up["connection"], "peer");
    assert_eq!(up["role"], "Initiator");
    assert_eq!(up["cipher"], "AES-256");
    assert_eq!(up["id"], 1);
    assert!(
        up["remote_id"]
            .as_str()
            .is_some_and(|id| id.starts_with("127.")),
        "{up}"
    );
    assert!(
        up.get("cause").is_none() && up.get("snapshot").is_none(),
        "{up}"
    );
    let child = monitor.next();
    assert_eq!(child["event"], "child-up");
    assert_eq!(
        (&child["child"], &child["connection"]),
        (&"net".into(), &"peer".into())
    );
    assert_eq!(child["local_traffic"], "10.1.0.0/16");
    assert_eq!(child["remote_traffic"], "10.2.0.0/16");
    assert_eq!(child["mark"], "0x10/0xff");
    // It is what `status` shows.
    let shown = &north.status().quick_mode_sas[0];
    assert_eq!(child["inbound_spi"], shown.inbound_spi);
    north.run(&["down", "peer"]).good();
    let gone = monitor.next();
    assert_eq!(
        (&gone["event"], &gone["cause"]),
        (&"child-down".into(), &"deleted-by-operator".into())
    );
    assert_eq!(gone["inbound_spi"], child["inbound_spi"]);
    let down = monitor.next();
    assert_eq!(
        (&down["event"], &down["cause"]),
        (&"connection-down".into(), &"deleted-by-operator".into())
    );
    assert_eq!(down["id"], up["id"]);
    south.kill();
    north.run(&["up", "peer"]).failed();
    let failed = monitor.next();
    assert_eq!(failed["event"], "main-mode-failed");
    assert_eq!(failed["cause"], "no-answer");
    assert_eq!(failed["failure_point"], "local");
    assert!(
        failed["reason_code"].is_u64() && failed["advice"].is_string(),
        "{failed}"
    );
    let failed = monitor.next();
    assert_eq!(
        (&failed["event"], &failed["child"]),
        (&"quick-mode-failed".into(), &"net".into())
    );
}

#[test]
fn an_sa_that_is_replaced_is_up_all_the_time() {
    let short = Setup {
        connection: "lifetime = \"6s\"",
        ..EVERYTHING
    };
    let (north, _south) = pair(76, short, EVERYTHING);
    let mut monitor = Monitor::listening(&north, &[]);
    north.run(&["up", "peer"]).good();
    let up = monitor.until("connection-up");
    let rekeyed = monitor.next();
    assert_eq!(rekeyed["event"], "connection-rekeyed");
    assert!(rekeyed["id"].as_u64() > up["id"].as_u64());
    north.account("the old one has gone", |c| {
        (c.established, c.live) == (2, 1)
    });
    north.run(&["down", "peer"]).good();
    let down = monitor.next();
    assert_eq!(
        (&down["event"], &down["id"]),
        (&"connection-down".into(), &rekeyed["id"])
    );
}

#[test]
fn who_comes_late_is_told_what_is_up_and_who_asks_for_one_connection_hears_of_it_alone() {
    let (north, _south) = with_children(77);
    north.run(&["up", "peer"]).good();
    let mut monitor = Monitor::start(&north, &["--snapshot"]);
    let up = monitor.next();
    assert_eq!(
        (&up["event"], &up["snapshot"]),
        (&"connection-up".into(), &true.into())
    );
    let child = monitor.next();
    assert_eq!(
        (&child["event"], &child["snapshot"]),
        (&"child-up".into(), &true.into())
    );
    let mut other = Monitor::listening(&north, &["--snapshot", "--connection", "other"]);
    assert_eq!(other.next()["event"], "reloaded");
    let _ = other.process.kill();
    let mut said = String::new();
    let mut stderr = other.process.stderr.take().expect("a pipe");
    stderr.read_to_string(&mut said).expect("what it said");
    assert!(
        said.contains("there is no connection \"other\" now"),
        "{said}"
    );
    drop(other);
    // People read words.
    let mut process = north.begin(&["monitor", "--snapshot"]);
    let mut words = BufReader::new(process.stdout.take().expect("a pipe"));
    let mut line = String::new();
    words.read_line(&mut line).expect("a line");
    assert!(
        line.contains("connection-up peer: Main Mode SA 1 with 127."),
        "{line}"
    );
    let _ = process.kill();
    let _ = process.wait();
}

#[test]
fn a_daemon_that_stops_ends_the_stream_after_the_last_event() {
    let (mut north, _south) = with_children(78);
    let mut monitor = Monitor::listening(&north, &[]);
    north.run(&["up", "peer"]).good();
    monitor.until("connection-up");
    assert_eq!(monitor.next()["event"], "child-up");
    north.stop();
    let last = [monitor.next(), monitor.next()].map(|event| event["event"].clone());
    assert_eq!(last, ["child-down", "connection-down"]);
    let rest = monitor.lines.recv_timeout(PATIENCE);
    assert_eq!(rest, Err(RecvTimeoutError::Disconnected), "an end");
    assert_eq!(monitor.process.wait().expect("ended").code(), Some(1));
}

#[test]
fn a_reader_that_is_slow_is_told_what_it_missed_and_nobody_waits_for_it() {
    const RELOADS: u64 = 3_000;
    let (side, _peer) = crate::support::alone(79, EVERYTHING);
    let mut stream = UnixStream::connect(side.path("control")).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    let request = Request::Monitor { snapshot: false };
    let text = serde_json::to_string(&request).expect("json");
    writeln!(stream, "{text}").expect("sent");
    let mut lines = BufReader::new(stream);
    let mut next = || {
        let mut line = String::new();
        lines.read_line(&mut line).expect("a line");
        serde_json::from_str::<Response>(&line).unwrap_or_else(|_| panic!("{line:?}"))
    };
    assert!(matches!(next(), Response::Following));
    // How many were seen, and how many missed.
    let mut read = || match next() {
        Response::Event(event) => match event.what {
            Happened::Missed { count } => (0, count),
            Happened::Reloaded { .. } => (1, 0),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let mut sum = (0, 0);
    let mut add = |(seen, missed)| {
        sum = (sum.0 + seen, sum.1 + missed);
        sum
    };
    for number in 0..RELOADS {
        let Some(Response::Reloaded(answer)) = side.ask(&Request::Reload) else {
            panic!("no answer");
        };
        assert!(answer.reloaded);
        // It reads, but far too slowly.
        if number % 100 == 99 {
            add(read());
        }
    }
    let (mut seen, mut missed) = (0, 0);
    while seen + missed < RELOADS {
        (seen, missed) = add(read());
    }
    assert_eq!(seen + missed, RELOADS);
    assert!(missed > 0, "it was never slow enough");
}
