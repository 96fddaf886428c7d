//! `kill -9`, and what the next start makes of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mainmode::control::Request;
use nix::sys::signal::{Signal, kill};

use crate::support::{
    EVERYTHING, QUICK_MODE_TOO, Setup, account_written, alone, cause, child, finish, pair,
    pair_with_child, quick_under_way, under_way,
};

#[test]
fn sas_that_a_crash_orphaned_get_their_4655_at_the_next_start_and_once_only() {
    let (mut north, mut south) = pair(1, EVERYTHING, EVERYTHING);
    north.run(&["up", "peer"]).good();
    south.account("the SA stands", |c| c.live == 1);
    for side in [&mut north, &mut south] {
        side.kill();
        side.start();
        let c = side.counters();
        assert_eq!((c.negotiations, c.established, c.ended), (1, 1, 1));
        let (established, ended) = (side.of(4650), side.of(4655));
        assert_eq!((established.len(), ended.len()), (1, 1), "{ended:?}");
        assert_eq!(cause(&ended[0]), "orphaned-by-crash");
        assert_eq!(ended[0]["ActivityID"], established[0]["ActivityID"]);
        assert_eq!(ended[0]["Extra"]["Connection"], "peer");
        for field in ["MMSAID", "LocalAddress", "RemoteAddress", "KeyModName"] {
            let (before, after) = (&established[0], &ended[0]);
            assert_eq!(before["EventData"][field], after["EventData"][field]);
        }
        // The next crash finds nothing that was owed.
        side.kill();
        side.start();
        assert_eq!(side.of(4655).len(), 1);
        assert_eq!(side.counters().ended, 1);
        side.verify();
    }
}

#[test]
fn ipsec_sas_that_a_crash_orphaned_get_their_5452_at_the_next_start_and_once_only() {
    let (mut north, mut south) = pair_with_child(5, QUICK_MODE_TOO, QUICK_MODE_TOO);
    north.run(&["up", "peer"]).good();
    south.quick_account("the IPsec SA stands", |q| q.live == 1);
    for side in [&mut north, &mut south] {
        let before = side.quick_counters();
        assert_eq!((before.negotiations, before.established), (1, 1));
        side.kill();
        side.start();
        let q = side.quick_counters();
        assert_eq!((q.negotiations, q.established), (1, 1));
        assert_eq!((q.interrupted, q.ended, q.live), (0, 1, 0));
        let (established, ended) = (side.of(5451), side.of(5452));
        assert_eq!((established.len(), ended.len()), (1, 1), "{ended:?}");
        assert_eq!(cause(&ended[0]), "orphaned-by-crash");
        assert_eq!(ended[0]["ActivityID"], established[0]["ActivityID"]);
        assert_eq!(ended[0]["Extra"]["Connection"], "peer");
        let fields = ended[0]["EventData"].as_object().expect("fields");
        assert_eq!(
            fields["LocalTunnelEndpoint"].as_str().map(|a| &a[..4]),
            Some("127.")
        );
        for (field, value) in fields {
            assert_eq!(
                Some(value),
                established[0]["EventData"].get(field),
                "{field}"
            );
        }
        // Nobody deleted it, and what it stood under ends after it.
        assert_eq!(side.ids(), [4650, 5451, 5452, 4655]);
        // The next crash finds nothing that was owed.
        side.kill();
        side.start();
        assert_eq!(side.of(5452).len(), 1);
        assert_eq!(side.quick_counters(), q);
        side.verify();
    }
}

#[test]
fn a_policy_that_audits_nothing_keeps_the_account_of_quick_mode_over_a_crash() {
    let silent = Setup {
        audit: None,
        ..EVERYTHING
    };
    let (mut north, mut south) = pair_with_child(6, silent, QUICK_MODE_TOO);
    north.run(&["up", "peer"]).good();
    south.quick_account("the IPsec SA stands", |q| q.live == 1);
    account_written();
    north.kill();
    north.start();
    let q = north.quick_counters();
    assert_eq!((q.negotiations, q.established), (1, 1));
    assert_eq!((q.failed, q.interrupted, q.ended), (0, 0, 1));
    assert!(north.ids().is_empty());
    // In good order too what one start counted the next one has.
    south.stop();
    south.start();
    let q = south.quick_counters();
    assert_eq!((q.negotiations, q.established, q.ended), (1, 1, 1));
    assert_eq!(cause(&south.of(5452)[0]), "shutdown");
    north.verify();
}

#[test]
fn a_quick_mode_under_way_at_a_crash_is_counted_as_interrupted() {
    let patient = Setup {
        connection: "retransmit = { tries = 5, first = \"10s\" }",
        ..QUICK_MODE_TOO
    };
    let (mut north, south) = pair(7, patient, QUICK_MODE_TOO);
    north.append(&child(1, 2));
    north.run(&["reload"]).good();
    // The peer has no such child: the Main Mode SA stands, and nothing under it.
    north.run(&["up", "peer"]).failed();
    north.quick_account("the peer refuses it", |q| q.failed == 1);
    assert_eq!(north.counters().live, 1);
    // It dies with the test all the same.
    kill(south.pid(), Signal::SIGSTOP).expect("stopped");
    let asking = north.begin(&["up", "peer"]);
    let q = north.quick_account("another begins", |q| q.negotiations == 2);
    assert_eq!(quick_under_way(&q), 1);
    account_written();
    north.kill();
    assert_eq!(finish(asking).code, Some(1));
    north.start();
    let q = north.quick_counters();
    assert_eq!((q.negotiations, q.failed, q.interrupted), (2, 1, 1));
    assert_eq!((q.established, q.ended, quick_under_way(&q)), (0, 0, 0));
    assert_eq!(north.of(4654).len(), 1);
    assert!(north.of(5452).is_empty());
    north.verify();
}

#[test]
fn a_number_of_an_sa_is_not_used_again_after_a_crash() {
    let (mut north, _south) = pair(2, EVERYTHING, EVERYTHING);
    north.run(&["up", "peer"]).good();
    let before = north.status().main_mode_sas[0].id;
    north.kill();
    north.start();
    north.run(&["up", "peer"]).good();
    assert!(north.status().main_mode_sas[0].id > before);
    north.verify();
}

#[test]
fn a_negotiation_under_way_at_a_crash_is_counted_as_interrupted() {
    let setup = Setup {
        connection: "retransmit = { tries = 5, first = \"10s\" }",
        ..EVERYTHING
    };
    let (mut side, _peer) = alone(3, setup);
    let asking = side.begin(&["up", "peer"]);
    let c = side.account("it begins", |c| c.negotiations == 1);
    assert_eq!(under_way(&c), 1);
    account_written();
    side.kill();
    assert_eq!(finish(asking).code, Some(1));
    side.start();
    let c = side.counters();
    assert_eq!((c.negotiations, c.interrupted, c.live), (1, 1, 0));
    assert_eq!(under_way(&c), 0);
    side.verify();
}

/// Connections go up and down while the daemon is killed again and again.
#[test]
fn killed_at_any_moment_the_account_balances_and_every_4650_and_5451_has_its_end() {
    let (mut north, mut south) = pair_with_child(4, QUICK_MODE_TOO, QUICK_MODE_TOO);
    for round in 0..6u64 {
        let path = north.path("control");
        let ups = Arc::new(AtomicU64::new(0));
        let counted = ups.clone();
        let busy = std::thread::spawn(move || {
            let ask = |request: &Request| {
                let mut client = mainmode::control::Client::connect(&path).ok()?;
                client.ask(request).ok()
            };
            let connection = || "peer".to_owned();
            let up = || Request::Up {
                connection: connection(),
            };
            let down = || Request::Down {
                connection: connection(),
            };
            while ask(&up()).is_some() {
                counted.fetch_add(1, Ordering::Relaxed);
                if ask(&down()).is_none() {
                    break;
                }
            }
        });
        let patience = Instant::now() + Duration::from_secs(20);
        while ups.load(Ordering::Relaxed) == 0 && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(5));
        }
        // A different point of the work each time.
        std::thread::sleep(Duration::from_millis(7 * round));
        north.kill();
        busy.join().expect("ended");
        north.start();
        let c = north.counters();
        assert_eq!((c.live, under_way(&c)), (0, 0), "{c:?}");
        let q = north.quick_counters();
        assert_eq!((q.live, quick_under_way(&q)), (0, 0), "{q:?}");
    }
    let c = north.settled();
    let sas = |id, number: &str| {
        let mut sas: BTreeMap<String, u32> = BTreeMap::new();
        for event in north.of(id) {
            *sas.entry(event["EventData"][number].to_string())
                .or_default() += 1;
        }
        sas
    };
    let q = north.quick_counters();
    for (begins, ends, number, established) in [
        (4650, 4655, "MMSAID", c.established),
        (5451, 5452, "QuickModeSaId", q.established),
    ] {
        let (began, ended) = (sas(begins, number), sas(ends, number));
        assert_eq!(began, ended);
        assert_eq!(began.len() as u64, established, "{c:?} {q:?}");
        assert!(began.values().all(|&count| count == 1));
        assert!(established >= 6, "{c:?} {q:?}");
    }
    north.verify();
    // The other side saw each of these crashes, and stops in good order.
    south.stop();
    south.verify();
}
