//! `auto` children whose Quick Mode failed, or whose SA ended, while the Main Mode SA stands: they come again.

use std::sync::Arc;
use std::time::Duration;

use audit::Cause;

use super::net::{A, B, Net, filtered, perfect};
use super::pair_with;
use super::quick::{SUITE, child, stands, up};
use crate::child::ChildOutcome;
use crate::io::Command;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

/// Two hosts that never ask whether the other lives, with a child that A keeps up.
fn kept(seed: u64, lifetime: Duration) -> Net {
    pair_with(seed, |host, connection| {
        let mut child = child(host, "net", &[SUITE]);
        child.auto = host == A;
        child.lifetime = lifetime;
        connection.children = vec![Arc::new(child)];
        connection.dpd = None;
        connection.lifetime = Duration::from_hours(8);
    })
}

/// How many Main Modes and Quick Modes A has begun.
fn begun(net: &Net) -> (usize, usize) {
    let host = &net.hosts[A];
    let main = host.of(4650).len() + host.of(4653).len();
    (main, host.of(5451).len() + host.of(4654).len())
}

#[test]
fn one_that_expired_in_an_outage_comes_back_soon_after_the_path_does() {
    let mut net = kept(700, MINUTE);
    net.up(A);
    net.run(30 * SECOND);
    assert!(stands(&net));
    net.path = filtered(|_| false);
    net.run(3 * MINUTE);
    assert!(net.hosts.iter().all(|host| host.plane.is_empty()));
    assert!(net.hosts[A].causes(5452).contains(&Cause::Expired));
    net.path = perfect();
    net.run(3 * MINUTE);
    assert!(stands(&net));
    net.finish();
}

#[test]
fn one_that_the_peer_refused_is_tried_again_less_and_less_often() {
    let mut net = kept(701, Duration::from_hours(1));
    let mut other = (*net.hosts[B].connections[0]).clone();
    other.children = Vec::new();
    let good = std::mem::replace(&mut net.hosts[B].connections, vec![Arc::new(other)]);
    let connections = net.hosts[B].connections.clone();
    net.command(B, Command::Connections(connections));
    net.up(A);
    net.run(Duration::from_hours(1));
    // After 5, 15, 35 … 635 s, and then each ten minutes.
    let (main, quick) = begun(&net);
    assert_eq!(main, 1);
    assert!((10..=14).contains(&quick), "{quick}");
    assert_eq!(net.hosts[A].endpoint.sas.len(), 1);
    net.hosts[B].connections = good.clone();
    net.command(B, Command::Connections(good));
    net.run(11 * MINUTE);
    assert!(stands(&net));
    net.finish();
}

#[test]
fn one_that_the_peer_deletes_comes_back_and_one_that_is_brought_down_here_does_not() {
    let mut net = kept(702, Duration::from_hours(1));
    net.up(A);
    net.run(10 * SECOND);
    for (host, back) in [(B, true), (A, false)] {
        assert!(stands(&net));
        let terminate = Command::TerminateChild {
            connection: net.hosts[host].connections[0].name.clone(),
            child: "net".to_owned(),
        };
        net.command(host, terminate);
        net.run(MINUTE);
        assert_eq!(stands(&net), back);
    }
    net.finish();
}

#[test]
fn a_peer_that_lost_everything_is_asked_for_main_mode_once_it_leaves_a_quick_mode_unanswered() {
    let mut net = kept(703, 2 * MINUTE);
    net.up(A);
    net.run(10 * SECOND);
    net.crash(B);
    net.run(6 * MINUTE);
    assert!(stands(&net));
    assert_eq!(net.hosts[A].endpoint.sas.len(), 1);
    assert_eq!(net.hosts[A].causes(4655), [Cause::Replaced]);
    net.finish();
}

#[test]
fn who_asks_for_a_child_of_a_peer_that_lost_everything_gets_it_at_the_second_time() {
    let mut net = kept(704, Duration::from_hours(1));
    for host in [A, B] {
        let mut changed = (*net.hosts[host].connections[0]).clone();
        let mut child = (*changed.children[0]).clone();
        child.auto = false;
        changed.children = vec![Arc::new(child)];
        net.hosts[host].connections = vec![Arc::new(changed)];
        let connections = net.hosts[host].connections.clone();
        net.command(host, Command::Connections(connections));
    }
    net.up(A);
    net.run(10 * SECOND);
    net.crash(B);
    for established in [false, true] {
        up(&mut net, A);
        net.run(MINUTE);
        let last = net.hosts[A].child_verdicts.last().expect("a verdict");
        let outcome = matches!(last.outcome, ChildOutcome::Established { .. });
        assert_eq!(outcome, established, "{:?}", last.outcome);
    }
    assert!(stands(&net));
    net.finish();
}

#[test]
fn a_peer_that_never_says_no_is_not_asked_without_end() {
    let mut net = kept(705, Duration::from_hours(1));
    net.up(A);
    // Quick Modes are lost, and nothing else.
    net.path = filtered(|packet| {
        let header = packet.bytes.get(18);
        header != Some(&isakmp::ExchangeType::QUICK_MODE.0)
    });
    net.run(Duration::from_hours(2));
    let (main, quick) = begun(&net);
    assert!(main <= 25 && quick <= 25, "{main} {quick}");
    net.path = perfect();
    net.run(25 * MINUTE);
    assert!(stands(&net));
    net.finish();
}
