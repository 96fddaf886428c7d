//! Quick Modes that fail: what each side's verdict says, and what the peer is told.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use audit::{Cause, Event, FailurePoint, QmState, QuickModeFailed};
use isakmp::{Datagram, ExchangeType};

use super::net::{A, B, Net, Packet, filtered, perfect};
use super::quick::{SUITE, child, pair_of, stands, up};
use super::{address, pair_with};
use crate::child::{Child, ChildOutcome, Mode, SelectorConfig};
use crate::io::{Command, Input};
use crate::selector::Selector;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// The only 4654 of a host.
fn failure(net: &Net, host: usize) -> QuickModeFailed {
    let all = net.hosts[host].of(4654);
    let [one] = all.as_slice() else {
        panic!("{} failures: {:?}", all.len(), net.hosts[host].causes(4654));
    };
    match one.event {
        Event::QuickModeFailed(failed) => failed,
        ref other => panic!("{other:?}"),
    }
}

/// What each side says of a Quick Mode that A begins.
fn outcome(change: impl FnMut(usize, &mut Child)) -> [QuickModeFailed; 2] {
    let mut net = pair_of(400, change);
    up(&mut net, A);
    net.run(2 * SECOND);
    assert_eq!(net.hosts[A].endpoint.sas.len(), 1, "the Main Mode SA stays");
    assert!(net.hosts.iter().all(|host| host.plane.is_empty()));
    let both = [failure(&net, A), failure(&net, B)];
    for (host, failed) in net.hosts.iter().zip(&both) {
        let [verdict] = host.child_verdicts.as_slice() else {
            panic!("{:?}", host.child_verdicts);
        };
        assert!(matches!(verdict.outcome,
            ChildOutcome::Failed { cause, point, .. } if (cause, point) == (failed.cause, failed.point)));
    }
    assert_eq!(both[A].state, QmState::SentFirst);
    assert_eq!(both[B].state, QmState::None);
    assert_eq!(both[A].point, FailurePoint::Remote);
    assert_eq!(both[B].point, FailurePoint::Local);
    assert_eq!(both[A].message_id, both[B].message_id);
    net.finish();
    both
}

#[test]
fn what_does_not_fit_is_one_failure_on_each_side_with_its_reason() {
    let suite = |text: &'static str| {
        move |host: usize, child: &mut Child| {
            if host == B {
                child.proposals = vec![text.parse().unwrap()];
            }
        }
    };
    let causes = |both: [QuickModeFailed; 2]| both.map(|failed| failed.cause);
    assert_eq!(
        causes(outcome(suite("aes256gcm16-x25519"))),
        [Cause::EspNotChosen, Cause::EspNotAcceptable]
    );
    for text in ["aes128gcm16", "aes128gcm16-ecp256"] {
        assert_eq!(
            causes(outcome(suite(text))),
            [Cause::EspNotChosen, Cause::PfsRefused]
        );
    }
    let mode = |host: usize, child: &mut Child| {
        if host == B {
            child.mode = Mode::Transport;
        }
    };
    assert_eq!(
        causes(outcome(mode)),
        [Cause::EspNotChosen, Cause::ModeRefused]
    );
    let other = Selector::subnet([172, 16, 0, 0].into(), 12);
    let selectors = |host: usize, child: &mut Child| {
        if host == B {
            child.local = vec![SelectorConfig::Fixed(other)];
        }
    };
    let both = outcome(selectors);
    assert_eq!(both[A].filter_id, 3);
    assert_eq!(both[B].filter_id, 0);
    assert_eq!(
        causes(both),
        [Cause::SelectorsRefusedByPeer, Cause::SelectorsRefused]
    );
}

#[test]
fn a_main_mode_that_fails_is_the_answer_to_whoever_asked_for_its_child() {
    let mut net = pair_of(401, |_, _| {});
    net.path = filtered(|_| false);
    up(&mut net, A);
    up(&mut net, A);
    net.run(60 * SECOND);
    let [verdict] = net.hosts[A].child_verdicts.as_slice() else {
        panic!("{:?}", net.hosts[A].child_verdicts);
    };
    assert!(matches!(
        verdict.outcome,
        ChildOutcome::Failed {
            cause: Cause::NoAnswer,
            ..
        }
    ));
    assert_eq!(net.hosts[A].of(4653).len(), 1);
    assert!(net.hosts[A].of(4654).is_empty());
    // And one that is not known.
    let unknown = net.hosts[A].initiate_child("nobody", address(2));
    net.command(A, unknown);
    assert!(matches!(
        net.hosts[A].child_verdicts[1].outcome,
        ChildOutcome::Failed {
            cause: Cause::NoConnection,
            ..
        }
    ));
    net.path = perfect();
    net.finish();
}

/// A Main Mode SA stands; then the messages of Quick Mode go through `keep`, which sees their number.
fn lossy(seed: u64, mut keep: impl FnMut(u32, &Packet) -> bool + 'static) -> Net {
    let mut net = pair_of(seed, |_, _| {});
    net.up(A);
    net.run(SECOND);
    let mut number = 0;
    net.path = filtered(move |packet| {
        number += 1;
        keep(number, packet)
    });
    up(&mut net, A);
    net
}

#[test]
fn every_loss_of_one_message_is_healed_by_the_same_bytes() {
    for lost in 1..=3 {
        let mut net = lossy(402, move |number, _| number != lost);
        let before: Vec<usize> = net.hosts.iter().map(|host| host.sent.len()).collect();
        net.run(10 * SECOND);
        assert!(stands(&net), "message {lost}");
        net.agree();
        for (host, before) in net.hosts.iter().zip(before) {
            let mut sent = host.sent[before.min(host.sent.len())..].to_vec();
            sent.sort();
            sent.dedup();
            assert!(sent.len() <= 2, "message {lost}: {}", sent.len());
            assert!(host.of(4977).is_empty(), "message {lost}");
            assert_eq!(host.of(5451).len(), 1);
        }
        net.finish();
    }
}

#[test]
fn what_could_not_be_sent_is_not_called_silence_in_either_role() {
    let of_quick_mode = |bytes: &[u8]| {
        let datagram = Datagram::parse(bytes).expect("our own message");
        datagram.header.exchange == ExchangeType::QUICK_MODE
    };
    for (host, out_of_memory, cause) in [
        (A, false, Cause::NotSent),
        (A, true, Cause::OutOfMemory),
        (B, false, Cause::NotSent),
        (B, true, Cause::OutOfMemory),
    ] {
        let mut net = lossy(411, move |_, packet| packet.sender != host);
        net.run_unsent(host, out_of_memory, |_, bytes| of_quick_mode(bytes));
        let failed = failure(&net, host);
        assert_eq!((failed.cause, failed.state), (cause, QmState::None));
        let extra = &net.hosts[host].of(4654)[0].extra;
        assert_eq!(extra.detail.as_deref(), Some("Network is unreachable"));
        net.path = perfect();
        net.finish();
    }
    // What went out once and was not answered is silence.
    let mut net = lossy(412, |_, packet| packet.sender == B);
    let first = net.hosts[A].sent.len();
    net.run_unsent(A, false, |place, bytes| {
        place > first && of_quick_mode(bytes)
    });
    let failed = failure(&net, A);
    assert_eq!(failed.cause, Cause::QuickModeNoAnswer);
    assert_eq!(failed.state, QmState::SentFirst);
    let detail = net.hosts[A].of(4654)[0].extra.detail.clone();
    assert_eq!(
        detail.as_deref(),
        Some("the last try was not sent: Network is unreachable")
    );
    net.path = perfect();
    net.finish();
}

#[test]
fn silence_is_a_verdict_at_each_stage() {
    // Of message 2 and 3 all are lost.
    let mut net = lossy(403, |_, packet| packet.sender == A);
    net.run(30 * SECOND);
    assert_eq!(failure(&net, A).cause, Cause::QuickModeNoAnswer);
    assert_eq!(failure(&net, B).cause, Cause::QuickModeUnconfirmed);
    assert_eq!(failure(&net, B).state, QmState::SentFirst);
    net.path = perfect();
    net.finish();
    let mut net = lossy(404, |number, packet| packet.sender == B || number == 1);
    net.run(30 * SECOND);
    // The initiator has what it proved; the responder gives up, and says so.
    assert_eq!(failure(&net, B).cause, Cause::QuickModeUnconfirmed);
    assert_eq!(net.hosts[A].causes(5452), [Cause::DeletedByPeer]);
    net.path = perfect();
    net.finish();
}

#[test]
fn a_message_that_comes_again_is_answered_with_the_same_bytes_and_never_worked_on_twice() {
    let log = Rc::new(RefCell::new(Vec::new()));
    let copy = log.clone();
    let mut net = lossy(405, move |_, packet| {
        copy.borrow_mut().push(packet.clone());
        true
    });
    net.run(SECOND);
    let all: Vec<Packet> = log.borrow().clone();
    assert_eq!(all.len(), 3);
    let counts = |net: &Net| {
        let of = |host: &super::host::Host| (host.events.len(), host.installs.len());
        net.hosts.iter().map(of).collect::<Vec<_>>()
    };
    let before = counts(&net);
    for packet in &all {
        for _ in 0..30 {
            net.inject(1 - packet.sender, packet.from, packet.to, &packet.bytes);
        }
    }
    assert_eq!(counts(&net), before);
    net.run(5 * SECOND);
    // Message 2 is answered with message 3, so often as any; messages 1 and 3 need no answer any more.
    let again: Vec<Packet> = log.borrow()[3..].to_vec();
    assert_eq!(again.len(), 20);
    assert!(again.iter().all(|packet| packet.bytes == all[2].bytes));
    // Long after, they are replays.
    net.run(70 * SECOND);
    net.inject(B, all[0].from, all[0].to, &all[0].bytes);
    assert_eq!(net.hosts[B].causes(4977), [Cause::PacketReplayed]);
    net.finish();
}

#[test]
fn a_data_plane_that_does_not_take_an_sa_ends_it_and_tells_the_peer() {
    for broken in [A, B] {
        let mut net = pair_of(406, |_, _| {});
        net.hosts[broken].broken_plane = true;
        up(&mut net, A);
        net.run(20 * SECOND);
        assert!(net.hosts.iter().all(|host| host.plane.is_empty()));
        let host = &net.hosts[broken];
        assert_eq!(host.of(5451).len(), 1);
        assert_eq!(host.causes(5452), [Cause::LostByDataPlane]);
        assert!(
            matches!(host.child_verdicts[..], [ref verdict] if matches!(verdict.outcome,
            ChildOutcome::Failed { cause: Cause::InstallFailed, .. }))
        );
        if broken == A {
            // Message 3 never went out.
            assert_eq!(failure(&net, B).cause, Cause::DeletedEarly);
            assert!(net.hosts[B].installs.is_empty());
        } else {
            assert_eq!(net.hosts[A].causes(5452), [Cause::DeletedByPeer]);
        }
        net.finish();
    }
    // One that never answers is the same.
    let mut net = pair_of(407, |_, _| {});
    net.lose_install = 1;
    up(&mut net, A);
    net.run(30 * SECOND);
    assert_eq!(net.hosts[A].causes(5452), [Cause::LostByDataPlane]);
    net.finish();
}

#[test]
fn no_sa_is_installed_before_its_event_is_on_disk_nor_when_it_cannot_be() {
    let mut net = pair_of(408, |_, _| {});
    net.up(A);
    net.run(SECOND);
    for host in &mut net.hosts {
        host.hold_tickets = true;
    }
    up(&mut net, A);
    net.run(SECOND / 2);
    assert!(net.hosts.iter().all(|host| host.installs.is_empty()));
    let sent = net.hosts[A].sent.len();
    let held = std::mem::take(&mut net.hosts[A].held_tickets);
    net.hosts[A].hold_tickets = false;
    for ticket in held {
        net.input(A, Input::Durable(ticket));
    }
    assert_eq!(net.hosts[A].installs.len(), 1);
    assert_eq!(
        net.hosts[A].sent.len(),
        sent,
        "message 3 waits for the data plane"
    );
    net.run(SECOND / 2);
    assert_eq!(net.hosts[A].sent.len(), sent + 1);
    assert!(net.hosts[B].installs.is_empty());
    let held = std::mem::take(&mut net.hosts[B].held_tickets);
    net.hosts[B].hold_tickets = false;
    for ticket in held {
        net.input(B, Input::Durable(ticket));
    }
    net.run(SECOND);
    assert!(stands(&net));
    net.finish();
    for refusing in [A, B] {
        let mut net = pair_of(409, |_, _| {});
        net.up(A);
        net.run(SECOND);
        net.hosts[refusing].refuse_writes = true;
        up(&mut net, A);
        net.run(20 * SECOND);
        assert!(net.hosts[refusing].installs.is_empty());
        assert!(net.hosts.iter().all(|host| host.plane.is_empty()));
        assert_eq!(failure(&net, refusing).cause, Cause::LogUnwritable);
        net.hosts[refusing].refuse_writes = false;
        net.finish();
    }
}

#[test]
fn lost_and_late_results_of_jobs_are_a_verdict_or_nothing() {
    for host in [A, B] {
        let mut net = pair_of(410, |_, _| {});
        net.up(A);
        net.run(SECOND);
        net.hosts[host].hold_jobs = true;
        up(&mut net, A);
        net.run(60 * SECOND);
        assert_eq!(failure(&net, host).cause, Cause::QuickModeWorkerTimeout);
        for (id, result) in std::mem::take(&mut net.hosts[host].held_jobs) {
            net.input(host, Input::JobDone(id, result));
        }
        net.hosts[host].hold_jobs = false;
        up(&mut net, A);
        net.run(5 * SECOND);
        assert!(stands(&net));
        net.finish();
    }
}

#[test]
fn an_end_that_comes_while_the_log_writes_follows_the_5451() {
    for by_child in [false, true] {
        let mut net = pair_of(411, |_, _| {});
        net.up(A);
        net.run(SECOND);
        net.hosts[A].hold_tickets = true;
        up(&mut net, A);
        net.run(100 * MS);
        let connection = net.hosts[A].connections[0].name.clone();
        let child = "net".to_owned();
        net.command(
            A,
            if by_child {
                Command::TerminateChild { connection, child }
            } else {
                Command::Terminate { connection }
            },
        );
        assert!(net.hosts[A].terminated.is_empty() && net.hosts[A].child_terminated.is_empty());
        net.hosts[A].hold_tickets = false;
        for _ in 0..3 {
            for ticket in std::mem::take(&mut net.hosts[A].held_tickets) {
                net.input(A, Input::Durable(ticket));
            }
            net.run(SECOND);
        }
        assert_eq!(net.hosts[A].causes(5452), [Cause::DeletedByOperator]);
        assert!(net.hosts[A].installs.is_empty());
        let told = net.hosts[A].terminated.len() + net.hosts[A].child_terminated.len();
        assert_eq!(told, 1);
        net.finish();
    }
}

#[test]
fn a_peer_without_children_refuses_and_keeps_silent_about_it() {
    let mut net = pair_with(412, |host, connection| {
        if host == A {
            connection.children = vec![std::sync::Arc::new(child(A, "net", &[SUITE]))];
        }
    });
    up(&mut net, A);
    net.run(5 * SECOND);
    assert_eq!(failure(&net, A).cause, Cause::EspNotChosen);
    assert_eq!(net.hosts[B].events.len(), 1);
    assert_eq!(net.hosts[B].endpoint.counters().quick_modes, 0);
    net.finish();
}

#[test]
fn a_failure_names_the_peer_whatever_traffic_it_asks_for() {
    let both = outcome(|host, child| {
        if host == B {
            child.proposals = vec!["aes256gcm16-x25519".parse().unwrap()];
        }
    });
    for (host, failed) in both.into_iter().enumerate() {
        let (own, peer) = ([1, 2][host], [2, 1][host]);
        assert_eq!(failed.ends, [address(own), address(peer)]);
        let record = Event::QuickModeFailed(failed).into_record(None, audit::Extra::default());
        assert_eq!(record.peer(), Some(address(peer)));
    }
}

#[test]
fn a_quick_mode_under_an_sa_that_the_peer_deletes_says_whose_doing_it_was() {
    let mut net = pair_of(410, |_, _| {});
    net.establish();
    let first = Rc::new(RefCell::new(false));
    let seen = Rc::clone(&first);
    // The peer never hears of it.
    net.path = filtered(move |packet| {
        let quick = packet.bytes.get(18) == Some(&ExchangeType::QUICK_MODE.0);
        *seen.borrow_mut() |= quick;
        !quick
    });
    up(&mut net, A);
    net.run(100 * MS);
    assert!(*first.borrow());
    let connection = net.hosts[B].connections[0].name.clone();
    net.command(B, Command::Terminate { connection });
    net.run(SECOND);
    let failed = failure(&net, A);
    assert_eq!(failed.cause, Cause::MainModeLost);
    assert_eq!(failed.point, FailurePoint::Remote);
    net.finish();
}
