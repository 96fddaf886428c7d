//! `auto` children whose Quick Mode failed, or whose SA ended, while the Main Mode SA stands: they come again.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use audit::Cause;

use super::net::{A, B, Net, filtered, perfect};
use super::pair_with;
use super::quick::{SUITE, child, stands, up};
use crate::child::{ChildOutcome, SelectorConfig};
use crate::io::{Command, Input};
use crate::selector::Selector;

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

#[test]
fn two_that_keep_the_same_child_up_do_not_ask_without_end_either() {
    let mut net = pair_with(706, |host, connection| {
        let mut child = child(host, "net", &[SUITE]);
        child.auto = true;
        connection.children = vec![Arc::new(child)];
        connection.dpd = None;
    });
    net.up(A);
    net.path = filtered(|packet| packet.bytes.get(18) != Some(&isakmp::ExchangeType::QUICK_MODE.0));
    net.run(Duration::from_hours(2));
    let (main, quick) = begun(&net);
    assert!(main <= 50 && quick <= 50, "{main} {quick}");
    net.path = perfect();
    net.run(25 * MINUTE);
    assert!(stands(&net));
    net.finish();
}

#[test]
fn one_that_no_data_plane_takes_is_tried_again_less_and_less_often() {
    for refuses in [A, B] {
        let mut net = kept(707, Duration::from_hours(1));
        net.up(A);
        for _ in 0..3600 {
            net.run(SECOND);
            let ids: Vec<_> = net.hosts[refuses].plane.keys().copied().collect();
            for id in ids {
                net.input(refuses, Input::InstallFailed(id, "no".to_owned()));
            }
        }
        let (main, quick) = begun(&net);
        assert!(main == 1 && quick <= 14, "{main} {quick}");
        net.finish();
    }
}

#[test]
fn a_peer_that_was_heard_while_it_was_asked_is_in_no_doubt() {
    let mut net = pair_with(708, |host, connection| {
        let mut child = child(host, "net", &[SUITE]);
        child.auto = host == A;
        connection.children = vec![Arc::new(child)];
        if let Some(dpd) = &mut connection.dpd {
            dpd.delay = 2 * SECOND;
        }
    });
    net.up(A);
    net.path = filtered(|packet| packet.bytes.get(18) != Some(&isakmp::ExchangeType::QUICK_MODE.0));
    net.run(10 * MINUTE);
    assert_eq!(begun(&net).0, 1);
    net.finish();
}

#[test]
fn a_reload_tries_what_it_changed_at_once() {
    let mut net = kept(709, Duration::from_hours(1));
    let good = net.hosts[A].connections.clone();
    let mut wrong = (*good[0]).clone();
    let mut child = (*wrong.children[0]).clone();
    child.proposals = vec!["aes256-sha512".parse().unwrap()];
    wrong.children = vec![Arc::new(child)];
    let wrong = vec![Arc::new(wrong)];
    net.hosts[A].connections = wrong.clone();
    net.command(A, Command::Connections(wrong));
    net.up(A);
    net.run(10 * MINUTE);
    assert!(net.hosts[A].plane.is_empty());
    net.hosts[A].connections = good.clone();
    net.command(A, Command::Connections(good));
    net.run(SECOND);
    assert!(stands(&net));
    net.finish();
}

#[test]
fn one_that_stood_for_long_is_back_at_once_though_it_was_just_replaced_and_another_is_always_refused()
 {
    let mut net = pair_with(710, |host, connection| {
        let mut good = child(host, "net", &[SUITE]);
        good.auto = host == A;
        good.lifetime = 2 * MINUTE;
        connection.children = vec![Arc::new(good)];
        if host == A {
            let mut bad = child(host, "bad", &[SUITE]);
            bad.auto = true;
            bad.local = vec![SelectorConfig::Fixed(Selector::host(super::address(77)))];
            connection.children.push(Arc::new(bad));
        }
    });
    net.up(A);
    net.run(30 * MINUTE);
    let replaced = net.hosts[A].of(5451).len();
    // Until just after it was replaced once more.
    net.run_until_of(A, 5451, replaced + 1);
    net.run(2 * SECOND);
    let terminate = Command::TerminateChild {
        connection: net.hosts[B].connections[0].name.clone(),
        child: "net".to_owned(),
    };
    net.command(B, terminate);
    net.run(SECOND / 2);
    assert_eq!(net.shared(), 0);
    net.run(2 * SECOND);
    assert_eq!(net.shared(), 1);
    net.finish();
}

#[test]
fn who_waits_for_a_child_gets_it_though_the_sa_in_doubt_ends_before_its_successor_stands() {
    let mut net = pair_with(711, |host, connection| {
        connection.children = vec![Arc::new(child(host, "net", &[SUITE]))];
        if let Some(dpd) = &mut connection.dpd {
            (dpd.delay, dpd.timeout) = (12 * SECOND, 14 * SECOND);
        }
    });
    net.up(A);
    net.run(SECOND);
    net.path = filtered(|_| false);
    up(&mut net, A);
    net.run_until_of(A, 4654, 1);
    up(&mut net, A);
    net.run_until_of(A, 4655, 1);
    assert_eq!(net.hosts[A].causes(4655), [Cause::PeerDead]);
    net.path = perfect();
    net.run(10 * SECOND);
    assert!(stands(&net));
    let last = net.hosts[A].child_verdicts.last().expect("a verdict");
    assert!(matches!(last.outcome, ChildOutcome::Established { .. }));
    assert_eq!(net.hosts[A].child_verdicts.len(), 2);
    net.finish();
}

#[test]
fn one_that_a_peers_quick_mode_was_to_bring_begins_itself_when_that_fails() {
    let mut net = pair_with(712, |host, connection| {
        let mut child = child(host, "net", &[SUITE]);
        child.auto = host == B;
        connection.children = vec![Arc::new(child)];
        connection.dpd = None;
    });
    // Of A's Quick Modes message 1 comes through, and nothing after it.
    let first = Cell::new(true);
    net.path = filtered(move |packet| {
        let quick = packet.bytes.get(18) == Some(&isakmp::ExchangeType::QUICK_MODE.0);
        !quick || first.replace(false)
    });
    up(&mut net, A);
    net.run_until_of(B, 4654, 1);
    assert!(net.hosts[B].plane.is_empty());
    net.path = perfect();
    net.run(MINUTE);
    assert!(stands(&net));
    net.finish();
}

#[test]
fn who_asks_for_a_child_without_selectors_of_one_version_is_told() {
    let mut net = pair_with(713, |host, connection| {
        let mut child = child(host, "net", &[SUITE]);
        let six = Selector::subnet("2001:db8::".parse().unwrap(), 32);
        child.remote = vec![SelectorConfig::Fixed(six)];
        connection.children = vec![Arc::new(child)];
    });
    up(&mut net, A);
    net.run(SECOND);
    let [verdict] = &net.hosts[A].child_verdicts[..] else {
        panic!("one verdict");
    };
    assert!(matches!(
        verdict.outcome,
        ChildOutcome::Failed {
            cause: Cause::NoSelectorPair,
            ..
        }
    ));
    net.finish();
}
