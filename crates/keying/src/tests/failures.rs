//! Every way to fail, with its one verdict: the cause, who found it, the state, the names.

use std::time::Duration;

use audit::{Cause, Event, FailurePoint, KeyMod, MmState, NotifyErr};
use isakmp::{NotifyType, vendor};

use super::host::connection;
use super::net::{A, B, Net, filtered, perfect};
use super::{address, pair, pair_with};
use crate::config::{CredentialId, RemoteAddress};
use crate::endpoint::Party;
use crate::identity::Identity;
use crate::ikev1::messages;
use crate::io::{Command, JobId, VerdictOutcome};
use crate::job::{Job, JobResult};
use crate::limits::MAX_JOBS;

/// How many messages of the exchange pass before the network goes silent.
fn silent_after(net: &mut Net, messages: u32) {
    let mut passed = 0;
    net.path = filtered(move |_| {
        passed += 1;
        passed <= messages
    });
}

/// Runs until both sides had their verdicts and all is quiet; checks that each said one thing.
fn fail(net: &mut Net) {
    net.up(A);
    net.run(Duration::from_mins(1));
    assert!(net.hosts.iter().all(|h| h.endpoint.negotiations.is_empty()));
    for host in &net.hosts {
        for verdict in &host.verdicts {
            assert!(!matches!(
                verdict.outcome,
                VerdictOutcome::Established { .. }
            ));
        }
    }
}

fn wrong_key(net: &mut Net) {
    let other = crypto::Secret::new(b"another secret".to_vec());
    net.hosts[B].keys.0.insert(CredentialId(1), other);
}

#[test]
fn nobody_answers() {
    let mut net = pair(10);
    silent_after(&mut net, 0);
    fail(&mut net);
    let failed = net.hosts[A].failure();
    assert_eq!(failed.cause, Cause::NoAnswer);
    assert_eq!(failed.point, FailurePoint::Local);
    assert_eq!(failed.state, MmState::SentFirst);
    assert_eq!(failed.responder_cookie, [0; 8]);
    assert_eq!(failed.filter_id, 7);
    assert_eq!((&failed.local_name, &failed.remote_name), (&None, &None));
    assert_eq!(failed.auth, audit::AuthMethod::Unknown);
    // The first sending and three more.
    assert_eq!(net.hosts[A].sent.len(), 4);
    assert!(net.hosts[A].sent.iter().all(|m| *m == net.hosts[A].sent[0]));
    assert!(net.hosts[B].events.is_empty());
    net.finish();
}

/// A brings the connection up, and is told what of what it sends does not go out, by its place.
fn not_sent(net: &mut Net, out_of_memory: bool, unsent: impl Fn(usize) -> bool) {
    net.up(A);
    net.run_unsent(A, out_of_memory, |place, _| unsent(place));
}

#[test]
fn what_could_not_be_sent_is_not_called_silence() {
    let none: fn(usize) -> bool = |_| true;
    let last_went: fn(usize) -> bool = |place| place < 3;
    let first_went: fn(usize) -> bool = |place| place > 0;
    let cases = [
        (false, none, Cause::NotSent, Some("Network is unreachable")),
        (
            true,
            none,
            Cause::OutOfMemory,
            Some("Network is unreachable"),
        ),
        // What was sent once and not answered is silence.
        (false, last_went, Cause::NoAnswer, None),
        (
            false,
            first_went,
            Cause::NoAnswer,
            Some("the last try was not sent: Network is unreachable"),
        ),
    ];
    for (out_of_memory, unsent, cause, detail) in cases {
        let mut net = pair(11);
        silent_after(&mut net, 0);
        not_sent(&mut net, out_of_memory, unsent);
        let failed = net.hosts[A].failure();
        assert_eq!(failed.cause, cause);
        let sent = match cause {
            Cause::NoAnswer => MmState::SentFirst,
            _ => MmState::None,
        };
        assert_eq!(failed.state, sent);
        let extra = &net.hosts[A].of(4653)[0].extra;
        assert_eq!(extra.detail.as_deref(), detail);
        net.finish();
    }
    // Of the messages before it the peer had the first.
    let mut net = pair(11);
    silent_after(&mut net, 2);
    not_sent(&mut net, false, |place| place > 0);
    let failed = net.hosts[A].failure();
    assert_eq!(failed.cause, Cause::NotSent);
    assert_eq!(failed.state, MmState::SentFirst);
    net.finish();
}

#[test]
fn an_answer_that_could_not_be_sent_is_not_called_silence_either() {
    let cases = [
        (1, MmState::None, Cause::SilenceAfterMessage1),
        (3, MmState::SentFirst, Cause::SilenceAfterMessage3),
    ];
    for (heard, state, silence) in cases {
        for unsent in [true, false] {
            let mut net = pair(11);
            silent_after(&mut net, heard);
            net.up(A);
            let last = usize::from(heard > 1);
            net.run_unsent(B, false, |place, _| unsent && place >= last);
            let failed = net.hosts[B].failure();
            let cause = if unsent { Cause::NotSent } else { silence };
            assert_eq!(failed.cause, cause);
            assert_eq!(failed.state == state, unsent);
            let extra = &net.hosts[B].of(4653)[0].extra;
            let detail = unsent.then_some("Network is unreachable");
            assert_eq!(extra.detail.as_deref(), detail);
            net.finish();
        }
    }
}

#[test]
fn when_our_own_diffie_hellman_fails_it_is_called_so_in_both_roles() {
    for host in [A, B] {
        let mut net = pair(12);
        net.hosts[host].spoil = Some(|job| match job {
            Job::MakeShare { .. } | Job::Derive(_) => {
                Some(JobResult::Failed("no random numbers".to_owned()))
            }
            _ => None,
        });
        fail(&mut net);
        let failed = net.hosts[host].failure();
        assert_eq!(failed.cause, Cause::DhFailure);
        assert_eq!(failed.cause.code(), Some(13_864));
        assert_eq!(failed.point, FailurePoint::Local);
        let extra = &net.hosts[host].of(4653)[0].extra;
        assert_eq!(extra.detail.as_deref(), Some("no random numbers"));
        net.finish();
    }
}

#[test]
fn with_too_many_jobs_waiting_a_negotiation_fails_and_says_so_in_both_roles() {
    for host in [A, B] {
        let mut net = pair(13);
        net.establish();
        let sa = Party::Sa(*net.hosts[host].endpoint.sas.keys().next().expect("an SA"));
        let ids = (0..MAX_JOBS as u64).map(|n| JobId(u64::MAX - n));
        let jobs = &mut net.hosts[host].endpoint.core.jobs;
        jobs.extend(ids.clone().map(|id| (id, sa)));
        // Before it ends, the SA is to be replaced.
        for _ in 0..3_600 {
            if net.hosts[host].of(4653).is_empty() {
                net.run(Duration::from_secs(1));
            }
        }
        let failed = net.hosts[host].failure();
        assert_eq!(failed.cause, Cause::QueueFull);
        assert_eq!(failed.cause.code(), Some(13_811));
        assert_eq!(failed.point, FailurePoint::Local);
        for id in ids {
            net.hosts[host].endpoint.core.jobs.remove(&id);
        }
        net.finish();
    }
}

#[test]
fn silence_after_each_message_is_told_apart() {
    let causes = [
        (1, Some(Cause::NoAnswer), Some(Cause::SilenceAfterMessage1)),
        (
            2,
            Some(Cause::SilenceAfterMessage2),
            Some(Cause::SilenceAfterMessage1),
        ),
        (
            3,
            Some(Cause::SilenceAfterMessage2),
            Some(Cause::SilenceAfterMessage3),
        ),
        (
            4,
            Some(Cause::SilenceAfterMessage4),
            Some(Cause::SilenceAfterMessage3),
        ),
    ];
    for (messages, at_initiator, at_responder) in causes {
        let mut net = pair(11);
        silent_after(&mut net, messages);
        fail(&mut net);
        for (host, cause) in [(A, at_initiator), (B, at_responder)] {
            let got = net.hosts[host].causes(4653).first().copied();
            assert_eq!(got, cause, "host {host} after message {messages}");
            assert_eq!(net.hosts[host].failure().point, FailurePoint::Local);
        }
        let names: Vec<_> = net
            .hosts
            .iter()
            .map(|h| h.failure().local_name.clone())
            .collect();
        let sent = (messages == 4).then(|| "192.0.2.1".to_owned());
        assert_eq!(names, vec![sent, None]);
        net.finish();
    }
}

#[test]
fn a_wrong_key_is_seen_by_both_roles() {
    let mut net = pair(12);
    wrong_key(&mut net);
    fail(&mut net);
    // The responder cannot read message 5; it says nothing that anybody could read either.
    let failed = net.hosts[B].failure();
    assert_eq!(failed.cause, Cause::PskMismatch);
    assert_eq!(failed.state, MmState::SentSecond);
    assert_eq!(failed.remote_name, None);
    assert_eq!(net.hosts[A].failure().cause, Cause::SilenceAfterMessage4);
    net.finish();
}

#[test]
fn an_answer_to_message_5_that_cannot_be_read_is_a_wrong_key() {
    let mut net = pair(13);
    silent_after(&mut net, 4);
    net.up(A);
    net.run(Duration::from_secs(1));
    let (a, b) = net.ends();
    let cookies = net.hosts[A]
        .endpoint
        .negotiations
        .values()
        .next()
        .unwrap()
        .cookies();
    let mut header =
        crate::ikev1::negotiation::header(cookies, isakmp::ExchangeType::INFORMATIONAL, 77);
    header.flags = isakmp::Flags::NONE;
    let noise = isakmp::build::encrypted_message(header, isakmp::PayloadType::HASH, &[0x5a; 64]);
    net.inject(A, b, a, &noise);
    net.run(Duration::from_secs(6));
    let failed = net.hosts[A].failure();
    assert_eq!(failed.cause, Cause::PskMismatch);
    assert_eq!(failed.state, MmState::SentThird);
    assert_eq!(failed.local_name.as_deref(), Some("192.0.2.1"));
    net.finish();
}

#[test]
fn a_hash_that_is_wrong_under_the_right_key_is_told_apart() {
    // The responder saw another message 1 than the initiator sent: its lifetime was altered on the way.
    let mut net = pair(14);
    net.path = filtered(|packet| {
        let lifetime = 0x0e10_u16.to_be_bytes();
        if packet.bytes[18] == 2 && packet.bytes[8..16] == [0; 8] {
            let at = packet
                .bytes
                .windows(2)
                .rposition(|w| w == lifetime)
                .unwrap();
            packet.bytes[at + 1] ^= 1;
        } else if packet.bytes[18] == 2 && packet.sender == B && packet.bytes.len() < 300 {
            let altered = (0x0e10_u16 ^ 1).to_be_bytes();
            if let Some(at) = packet.bytes.windows(2).rposition(|w| w == altered) {
                packet.bytes[at + 1] ^= 1;
            }
        }
        true
    });
    fail(&mut net);
    let failed = net.hosts[B].failure();
    assert_eq!(failed.cause, Cause::HashMismatch);
    assert_eq!(failed.remote_name.as_deref(), Some("192.0.2.1"));
    net.finish();
}

#[test]
fn a_proven_peer_with_another_identity_is_refused_at_once_and_told() {
    let name = |text: &str| Some(Identity::parse(text).unwrap());
    // The responder refuses the initiator.
    let mut net = pair_with(15, |host, c| {
        if host == B {
            c.remote_id = name("branch.example");
        }
    });
    net.up(A);
    net.run(Duration::from_secs(1));
    let failed = net.hosts[B].failure();
    assert_eq!(failed.cause, Cause::IdentityMismatch);
    assert_eq!(failed.point, FailurePoint::Local);
    assert_eq!(failed.remote_name.as_deref(), Some("192.0.2.1"));
    assert_eq!(failed.local_name, None);
    let failed = net.hosts[A].failure();
    assert_eq!(failed.cause, Cause::AuthenticationRefused);
    assert_eq!(failed.point, FailurePoint::Remote);
    net.finish();
    // The initiator refuses the responder, which had established.
    let mut net = pair_with(16, |host, c| {
        if host == A {
            c.remote_id = name("gw.example");
        }
    });
    net.up(A);
    net.run(Duration::from_secs(1));
    assert_eq!(net.hosts[A].failure().cause, Cause::IdentityMismatch);
    assert_eq!(
        net.hosts[A].failure().remote_name.as_deref(),
        Some("192.0.2.2")
    );
    assert_eq!(net.hosts[B].of(4650).len(), 1);
    assert_eq!(net.hosts[B].causes(4655), vec![Cause::DeletedByPeer]);
    net.finish();
}

#[test]
fn an_identity_of_an_unknown_type_is_refused_at_once() {
    for (refusing, other) in [(A, B), (B, A)] {
        let mut net = pair_with(17, |host, c| {
            if host == other {
                c.local_id = Some(Identity {
                    kind: isakmp::IdType(200),
                    data: b"who".to_vec(),
                });
            }
        });
        net.up(A);
        net.run(Duration::from_secs(1));
        assert_eq!(
            net.hosts[refusing].failure().cause,
            Cause::UnsupportedIdentity
        );
        net.finish();
    }
}

#[test]
fn no_acceptable_proposal() {
    let mut net = pair_with(18, |host, c| {
        let suite = ["aes256-sha512-x25519", "aes128-sha256-x25519"][host];
        c.proposals = vec![suite.parse().unwrap()];
    });
    fail(&mut net);
    let failed = net.hosts[B].failure();
    assert_eq!(failed.cause, Cause::NoAcceptableProposal);
    assert_eq!(failed.state, MmState::None);
    let failed = net.hosts[A].failure();
    assert_eq!(
        (failed.cause, failed.point),
        (Cause::NoProposalChosen, FailurePoint::Remote)
    );
    // Unproven: held, and message 1 sent again meanwhile, which got the same answer and no verdict.
    assert!(net.hosts[A].sent.len() > 1);
    assert!(net.hosts[B].sent.len() > 1);
    assert!(net.hosts[B].sent.iter().all(|m| *m == net.hosts[B].sent[0]));
    net.finish();
}

#[test]
fn no_connection_for_this_peer() {
    let mut net = pair_with(19, |host, c| {
        if host == B {
            c.remote_address = RemoteAddress::Host(address(77));
        }
    });
    fail(&mut net);
    assert_eq!(net.hosts[B].failure().cause, Cause::NoConnection);
    assert_eq!(net.hosts[B].failure().filter_id, 0);
    net.finish();
}

#[test]
fn an_aggressive_authip_or_ikev2_first_message_gets_one_verdict_however_often_it_comes() {
    for (exchange, version, flags, cause, answers) in [
        (4, 0x10, 0, Cause::AggressiveModeRefused, 3),
        (243, 0x10, 0, Cause::KeyingModuleRefused, 0),
        (34, 0x20, 8, Cause::KeyingModuleRefused, 0),
    ] {
        let mut net = pair(20);
        let (a, b) = net.ends();
        net.path = filtered(|_| false);
        net.up(A);
        let message = changed(&net.hosts[A].sent[0], [version, exchange, flags]);
        for _ in 0..3 {
            net.inject(B, a, b, &message);
        }
        assert_eq!(net.hosts[B].failure().cause, cause);
        assert!(net.hosts[B].of(4976).is_empty());
        assert_eq!(net.hosts[B].sent.len(), answers);
        net.finish();
    }
}

/// That message with another version, exchange and flags.
fn changed(message: &[u8], to: [u8; 3]) -> Vec<u8> {
    let mut message = message.to_vec();
    message[17..20].copy_from_slice(&to);
    message
}

/// That message, as the first of AuthIP, and of version 2.
fn of_other_modules(first: &[u8]) -> [Vec<u8>; 2] {
    [[0x10, 243, 0], [0x20, 34, 8]].map(|to| changed(first, to))
}

#[test]
fn a_first_message_of_another_module_with_a_cookie_that_is_in_use_touches_nothing() {
    let mut net = pair(22);
    let (a, b) = net.ends();
    net.path = filtered(|_| false);
    net.up(A);
    let first = net.hosts[A].sent[0].clone();
    net.inject(B, a, b, &first);
    let others = of_other_modules(&first);
    let odd = |net: &mut Net, to: usize| {
        let before = net.hosts[to].of(4976).len();
        let from = if to == A { b } else { a };
        let at = if to == A { a } else { b };
        for message in &others {
            net.inject(to, from, at, message);
        }
        let causes = net.hosts[to].causes(4976);
        assert_eq!(causes[before..], [Cause::PacketOutOfPlace; 2]);
        let modules: Vec<KeyMod> = (net.hosts[to].of(4976)[before..].iter())
            .map(|odd| match &odd.event {
                Event::InvalidPacket(event) => event.key_mod,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(modules, [KeyMod::AuthIp, KeyMod::IkeV2]);
    };
    odd(&mut net, A);
    odd(&mut net, B);
    assert_eq!(net.hosts[B].endpoint.half_open.total(), 1);
    assert_eq!(net.hosts[B].endpoint.counters().negotiations, 1);
    net.path = perfect();
    net.run(Duration::from_secs(5));
    net.hosts[A].established();
    net.hosts[B].established();
    assert_eq!(net.hosts[B].endpoint.half_open.total(), 0);
    odd(&mut net, A);
    odd(&mut net, B);
    assert_eq!(net.hosts[B].endpoint.counters().failed, 0);
    // It is still the SA's: message 1 again is a duplicate.
    net.inject(B, a, b, &first);
    assert_eq!(net.hosts[B].endpoint.counters().negotiations, 1);
    net.finish();
}

#[test]
fn a_peer_that_turns_to_ike_with_the_cookie_it_began_another_module_with_is_served() {
    let mut net = pair(24);
    let (a, b) = net.ends();
    net.path = filtered(|_| false);
    net.up(A);
    let first = net.hosts[A].sent[0].clone();
    let others = of_other_modules(&first);
    for message in others.iter().chain([&first]).chain(&others) {
        net.inject(B, a, b, message);
    }
    let causes = net.hosts[B].causes(4653);
    assert_eq!(causes, [Cause::KeyingModuleRefused; 2]);
    assert!(net.hosts[B].of(4976).is_empty());
    net.path = perfect();
    net.run(Duration::from_secs(5));
    net.hosts[A].established();
    net.hosts[B].established();
    net.finish();
}

#[test]
fn a_first_message_that_was_refused_hides_nothing_that_others_send_with_its_cookie() {
    let mut net = pair_with(23, |host, c| {
        if host == B {
            c.remote_address = RemoteAddress::Host(address(77));
        }
    });
    let (a, b) = net.ends();
    net.path = filtered(|_| false);
    net.up(A);
    let first = net.hosts[A].sent[0].clone();
    net.inject(B, a, b, &first);
    assert_eq!(net.hosts[B].failure().cause, Cause::NoConnection);
    let mut later = first;
    later[8..16].copy_from_slice(&[7; 8]);
    let elsewhere = std::net::SocketAddr::new(address(9), 500);
    for from in [a, elsewhere] {
        net.inject(B, from, b, &later);
    }
    assert_eq!(net.hosts[B].causes(4976).len(), 2);
    net.finish();
}

#[test]
fn a_choice_that_was_not_offered_is_named() {
    let mut net = pair(21);
    net.path = filtered(|packet| {
        if packet.sender == B && packet.bytes.len() > 90 {
            // The hash in the answer: SHA-256 becomes SHA-384.
            let at = packet.bytes.windows(4).position(|w| w == [0x80, 2, 0, 4]);
            if let Some(at) = at {
                packet.bytes[at + 3] = 5;
            }
        }
        true
    });
    fail(&mut net);
    let failed = net.hosts[A].failure();
    assert_eq!(
        (failed.cause, failed.point),
        (Cause::ProposalAltered, FailurePoint::Local)
    );
    net.finish();
}

#[test]
fn a_public_value_that_is_none_is_refused_and_the_true_one_still_taken() {
    // X25519: a point of small order, which only the worker sees.
    for true_follows in [false, true] {
        let mut net = pair(22);
        net.path = filtered(|packet| packet.sender == A || packet.bytes.len() < 250);
        let mut count = 0;
        net.path = filtered(move |packet| {
            let is_message_3 = packet.sender == A && packet.bytes[16] == 4;
            if is_message_3 {
                count += 1;
                if count == 1 || !true_follows {
                    packet.bytes[32..64].fill(0);
                }
            }
            true
        });
        net.up(A);
        net.run(Duration::from_secs(20));
        if true_follows {
            assert_eq!(net.hosts[B].of(4650).len(), 1);
            assert_eq!(net.hosts[B].causes(4976), vec![Cause::PacketTampered]);
        } else {
            let failed = net.hosts[B].failure();
            assert_eq!(
                (failed.cause, failed.point),
                (Cause::KeInvalid, FailurePoint::Local)
            );
        }
        net.finish();
    }
}

#[test]
fn a_public_value_of_the_wrong_size_never_reaches_a_worker() {
    let mut net = pair(23);
    let (a, b) = net.ends();
    net.path = filtered(|packet| packet.bytes[16] != 4);
    net.up(A);
    net.run(Duration::from_millis(500));
    let n = net.hosts[B].endpoint.negotiations.values().next().unwrap();
    let header = n.header(isakmp::ExchangeType::IDENTITY_PROTECTION, 0);
    let payloads = [
        isakmp::Payload::KeyExchange(vec![1; 256]).to_raw(),
        isakmp::Payload::Nonce(vec![2; 32]).to_raw(),
    ];
    net.inject(B, a, b, &isakmp::build::message(header, &payloads));
    assert!(net.hosts[B].endpoint.core.jobs.is_empty());
    net.run(Duration::from_secs(30));
    assert_eq!(net.hosts[B].failure().cause, Cause::KeInvalid);
    net.finish();
}

#[test]
fn a_proof_that_was_not_given_is_not_called_refused_and_what_the_peer_said_keeps_its_name() {
    for (kind, said) in [
        (
            NotifyType::AUTHENTICATION_FAILED,
            NotifyErr::AuthenticationFailed,
        ),
        (
            NotifyType::INVALID_HASH_INFORMATION,
            NotifyErr::InvalidHashInformation,
        ),
        (
            NotifyType::INVALID_PAYLOAD_TYPE,
            NotifyErr::InvalidPayloadType,
        ),
    ] {
        for answered in [1, 3] {
            let failed = answered_by(kind, answered);
            assert_eq!(failed.cause, Cause::PeerNotify(said), "{answered}");
            assert_eq!(failed.point, FailurePoint::Remote);
        }
    }
}

#[test]
fn a_notify_that_no_standard_names_is_called_that() {
    for answered in [1, 3] {
        let failed = answered_by(NotifyType(7777), answered);
        assert_eq!(failed.cause, Cause::PeerNotifyOther);
    }
}

/// The verdict of an initiator whose message 1 or 3 is answered with this notification.
fn answered_by(kind: NotifyType, answered: u32) -> audit::MainModeFailed {
    let mut net = pair(24);
    silent_after(&mut net, answered - 1);
    net.up(A);
    net.run(Duration::from_secs(1));
    let (a, b) = net.ends();
    let n = net.hosts[A].endpoint.negotiations.values().next().unwrap();
    let state = match answered {
        1 => MmState::SentFirst,
        _ => MmState::SentSecond,
    };
    assert_eq!(n.sent, state);
    let mut cookies = n.cookies();
    if cookies.1.is_zero() {
        cookies.1 = isakmp::Cookie([9; 8]);
    }
    let notify = messages::refusal(cookies, 3, kind);
    net.inject(A, b, a, &notify);
    net.run(Duration::from_secs(6));
    let failed = net.hosts[A].failure().clone();
    net.finish();
    failed
}

#[test]
fn a_lost_job_is_a_workers_failure_and_its_late_result_is_dropped() {
    for host in [A, B] {
        let mut net = pair(25);
        net.hosts[host].hold_jobs = true;
        net.up(A);
        net.run(Duration::from_secs(40));
        assert_eq!(net.hosts[host].failure().cause, Cause::WorkerTimeout);
        let held = std::mem::take(&mut net.hosts[host].held_jobs);
        assert!(!held.is_empty());
        for (id, result) in held {
            net.input(host, crate::Input::JobDone(id, result));
        }
        assert_eq!(net.hosts[host].of(4653).len(), 1);
        net.finish();
    }
}

#[test]
fn a_credential_that_is_gone_is_a_change_of_policy() {
    let mut net = pair(26);
    net.hosts[B].keys.0.clear();
    fail(&mut net);
    assert_eq!(net.hosts[B].failure().cause, Cause::PolicyChanged);
    net.finish();
}

#[test]
fn a_log_that_refuses_leaves_no_sa_on_either_side() {
    for host in [A, B] {
        let mut net = pair(27);
        net.hosts[host].refuse_writes = true;
        net.up(A);
        net.run(Duration::from_secs(20));
        let failed = net.hosts[host].failure();
        assert_eq!(failed.cause, Cause::LogUnwritable);
        // A responder had not sent message 6.
        let (sent, name) = [
            (MmState::SentThird, Some("192.0.2.1")),
            (MmState::SentSecond, None),
        ][host];
        assert_eq!((failed.state, failed.local_name.as_deref()), (sent, name));
        assert!(net.hosts.iter().all(|h| h.endpoint.sas.is_empty()));
        let other = &net.hosts[1 - host];
        if host == A {
            assert_eq!(other.causes(4655), vec![Cause::DeletedByPeer]);
        } else {
            assert_eq!(other.failure().cause, Cause::DeletedEarly);
        }
        net.finish();
    }
}

#[test]
fn without_an_id_for_the_sa_it_fails_and_more_are_asked_for() {
    let mut net = pair(28);
    net.hosts[B].endpoint.core.take_mm_ids();
    net.up(A);
    net.run(Duration::from_secs(2));
    assert_eq!(net.hosts[B].failure().cause, Cause::LogUnwritable);
    assert_eq!(net.hosts[A].failure().cause, Cause::DeletedEarly);
    // The block that was asked for is there by now.
    net.up(A);
    net.run(Duration::from_secs(2));
    assert_eq!(net.hosts[B].of(4650).len(), 1);
    net.finish();
}

#[test]
fn the_operator_stops_a_negotiation() {
    let commands = [
        (
            Command::Terminate {
                connection: "to-b".to_owned(),
            },
            Cause::StoppedByOperator,
        ),
        (Command::Connections(Vec::new()), Cause::PolicyChanged),
        (Command::Shutdown, Cause::ShuttingDown),
    ];
    for (command, cause) in commands {
        let mut net = pair(29);
        silent_after(&mut net, 2);
        net.up(A);
        net.run(Duration::from_millis(500));
        net.command(A, command);
        net.run(Duration::from_secs(1));
        assert_eq!(net.hosts[A].failure().cause, cause);
        net.finish();
    }
}

#[test]
fn where_only_we_begin_the_peer_has_a_verdict_and_no_answer() {
    for other_may in [false, true] {
        let mut net = pair_with(29, |host, c| c.initiator_only = host == B);
        if other_may {
            let other = connection("other", address(77));
            let all = vec![
                net.hosts[B].endpoint.core.connections[0].clone(),
                other.into(),
            ];
            net.command(B, Command::Connections(all));
        }
        let (_, b) = net.ends();
        net.up(A);
        net.run(Duration::from_secs(90));
        assert_eq!(net.hosts[A].failure().cause, Cause::NoAnswer);
        assert_eq!(net.hosts[B].causes(4653), [Cause::InitiatorOnly]);
        assert_eq!(net.hosts[B].sent.len(), 0);
        // A stranger learns nothing more, unless there is a connection that it could mean.
        let first = net.hosts[A].sent[0].clone();
        let stranger = std::net::SocketAddr::new(address(99), 500);
        net.inject(B, stranger, b, &first);
        let cause = if other_may {
            Cause::NoConnection
        } else {
            Cause::InitiatorOnly
        };
        assert_eq!(net.hosts[B].causes(4653).last(), Some(&cause));
        assert_eq!(net.hosts[B].sent.len(), usize::from(other_may));
        net.up(B);
        net.run(Duration::from_secs(1));
        net.hosts[B].established();
        net.finish();
    }
}

#[test]
fn of_too_many_half_open_negotiations_the_oldest_gives_way_and_a_peer_whose_address_is_forged_is_served()
 {
    let mut c = connection("any", address(2));
    c.remote_address = RemoteAddress::Any;
    let mut net = pair_with(30, |host, old| {
        if host == B {
            *old = c.clone();
        }
    });
    let (_, b) = net.ends();
    net.path = filtered(|_| false);
    net.up(A);
    let first = net.hosts[A].sent[0].clone();
    let flood = |net: &mut Net, source: u8, cookie: u16| {
        let mut message = first.clone();
        message[..2].copy_from_slice(&cookie.to_be_bytes());
        message[2] ^= source;
        let from = std::net::SocketAddr::new(address(source), 500);
        net.inject(B, from, b, &message);
    };
    for cookie in 1..=60 {
        flood(&mut net, 9, cookie);
    }
    assert_eq!(net.hosts[B].endpoint.half_open.total(), 50);
    assert_eq!(
        net.hosts[B].causes(4653),
        vec![Cause::SilenceAfterMessage1; 10]
    );
    assert_eq!(net.hosts[B].sent.len(), 60);
    for source in 10..=60 {
        for cookie in 1..=20 {
            flood(&mut net, source, cookie);
        }
    }
    assert_eq!(net.hosts[B].endpoint.half_open.total(), 500);
    // What is refused anyway takes no place, and nobody gives way for it: the first is the oldest still.
    let oldest = *net.hosts[B].endpoint.negotiations.keys().next().unwrap();
    let mut of_another_doi = first.clone();
    of_another_doi[3] ^= 1;
    of_another_doi[35] = 9;
    let from = std::net::SocketAddr::new(address(62), 500);
    net.inject(B, from, b, &of_another_doi);
    assert_eq!(net.hosts[B].causes(4653).last(), Some(&Cause::UnknownDoi));
    assert!(net.hosts[B].endpoint.negotiations.contains_key(&oldest));
    // Each has its verdict in the log, until one source goes beyond its rate: that one's are counted.
    let failed = 10 + 51 * 20 - 450 + 1;
    assert_eq!(net.hosts[B].endpoint.counters().failed, failed);
    assert_eq!(net.hosts[B].of(4653).len() as u64, failed);
    for cookie in 61..=460 {
        flood(&mut net, 9, cookie);
    }
    assert_eq!(net.hosts[B].endpoint.counters().failed, failed + 400);
    assert_eq!(net.hosts[B].of(4653).len() as u64, failed + 190);
    flood(&mut net, 61, 1);
    assert_eq!(net.hosts[B].of(4653).len() as u64, failed + 191);
    // In the name of the peer that begins now, and on while it does.
    let (a, _) = net.ends();
    for cookie in 1..=60 {
        let mut message = first.clone();
        message[..2].copy_from_slice(&u16::to_be_bytes(cookie));
        net.inject(B, a, b, &message);
    }
    net.path = perfect();
    net.run(Duration::from_secs(10));
    net.hosts[A].established();
    net.hosts[B].established();
    net.finish();
}

#[test]
fn vendor_ids_tell_nothing_but_what_the_negotiation_needs() {
    let mut net = pair(31);
    net.establish();
    for message in net.hosts.iter().flat_map(|h| &h.sent) {
        let known = [
            vendor::NAT_T_RFC3947.id,
            vendor::DPD.id,
            vendor::FRAGMENTATION.id,
        ];
        let Ok(datagram) = isakmp::Datagram::parse(message) else {
            continue;
        };
        if datagram.header.flags.encrypted() {
            continue;
        }
        let payloads = messages::Payloads::clear(&datagram).unwrap();
        for payload in payloads.all() {
            if let isakmp::Payload::VendorId(id) = payload {
                assert!(known.iter().any(|known| known == id));
            }
        }
    }
    net.finish();
}

#[test]
fn a_silence_in_which_something_unreadable_came_tells_what_was_wrong_with_it() {
    // Message 2, and message 3: a byte that is reserved.
    for (seed, sender, host, cause) in [
        (190, B, A, Cause::NoAnswer),
        (191, A, B, Cause::SilenceAfterMessage1),
    ] {
        let mut net = pair(seed);
        net.path = filtered(move |packet| {
            let known = packet.bytes[8..16] != [0; 8];
            if packet.sender == sender && known {
                packet.bytes[29] = 1;
            }
            true
        });
        net.up(A);
        net.run(Duration::from_mins(1));
        let failed = net.hosts[host].of(4653);
        assert_eq!(failed.len(), 1);
        assert_eq!(failed[0].extra.cause, Some(cause));
        let detail = failed[0].extra.detail.as_deref().unwrap_or_default();
        assert!(
            detail.starts_with("what came in its place cannot be read: "),
            "{detail}"
        );
        net.finish();
    }
}

#[test]
fn a_message_to_another_of_our_addresses_is_none_of_the_negotiation() {
    let mut net = pair(192);
    net.path = filtered(|packet| packet.bytes[19] & 1 == 0);
    net.up(A);
    net.run(Duration::from_millis(500));
    let message_5 = net.hosts[A].sent.last().cloned();
    let (a, b) = net.ends();
    let elsewhere = std::net::SocketAddr::new(address(50), b.port());
    net.inject(B, a, elsewhere, &message_5.unwrap());
    assert_eq!(net.hosts[B].causes(4976), vec![Cause::PacketOutOfPlace]);
    net.path = perfect();
    net.run(Duration::from_secs(5));
    net.agree();
    net.finish();
}
