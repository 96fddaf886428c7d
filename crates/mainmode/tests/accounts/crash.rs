//! `kill -9`, and what the next start makes of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mainmode::control::Request;

use crate::support::{EVERYTHING, Setup, account_written, alone, cause, finish, pair, under_way};

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
fn killed_at_any_moment_the_account_balances_and_every_4650_has_its_4655() {
    let (mut north, mut south) = pair(4, EVERYTHING, EVERYTHING);
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
    }
    let c = north.settled();
    let sas = |id| {
        let mut sas: BTreeMap<String, u32> = BTreeMap::new();
        for event in north.of(id) {
            *sas.entry(event["EventData"]["MMSAID"].to_string())
                .or_default() += 1;
        }
        sas
    };
    let (began, ended) = (sas(4650), sas(4655));
    assert_eq!(began, ended);
    assert_eq!(began.len() as u64, c.established, "{c:?}");
    assert!(began.values().all(|&count| count == 1));
    assert!(c.established >= 6, "{c:?}");
    north.verify();
    // The other side saw each of these crashes, and stops in good order.
    south.stop();
    south.verify();
}
