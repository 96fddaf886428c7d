//! Aggressive Mode: three messages, with a pre-shared key and with certificates, and what can go wrong.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use audit::{Cause, FailurePoint, MmState};
use isakmp::{Datagram, ExchangeType, Flags, Header, NotifyType};

use super::net::{A, B, Net, filtered};
use super::sim::translate;
use super::{address, pair_with};
use crate::config::{Auth, Connection, CredentialId, RemoteAddress};
use crate::identity::Identity;
use crate::ikev1::messages;
use crate::ikev1::state::State;
use crate::job::{Job, JobResult};
use crate::pki;

const CERTIFICATE: CredentialId = CredentialId(2);

/// Two hosts that use Aggressive Mode.
fn aggressive(certificates: bool, change: impl Fn(usize, &mut Connection)) -> Net {
    let mut net = pair_with(91, |host, connection| {
        connection.aggressive = true;
        if certificates {
            connection.auth = vec![Auth::Signatures(pki::signatures(CERTIFICATE))];
        }
        change(host, connection);
    });
    for host in [A, B] {
        let side = pki::both()[host].clone();
        net.hosts[host].keys.1.insert(CERTIFICATE, side);
    }
    net
}

fn one_verdict(net: &mut Net) {
    net.up(A);
    net.run(Duration::from_mins(2));
    for host in &net.hosts {
        assert!(host.verdicts.len() <= 1);
        assert!(host.endpoint.negotiations.is_empty());
    }
}

#[test]
fn three_messages_establish_with_a_key_and_with_certificates() {
    for certificates in [false, true] {
        let mut net = aggressive(certificates, |_, connection| {
            connection.fragment_size = 4_000;
        });
        net.establish();
        assert_eq!(net.hosts[A].sent.len() + net.hosts[B].sent.len(), 3);
        let id = if certificates { 4651 } else { 4650 };
        for host in &net.hosts {
            assert_eq!(host.of(id).len(), 1);
        }
        net.run(Duration::from_secs(40));
        net.finish();
    }
}

#[test]
fn a_lost_message_of_each_kind_is_made_good() {
    for certificates in [false, true] {
        for lost in 1..=3 {
            let mut net = aggressive(certificates, |_, _| {});
            let mut count = 0;
            net.path = filtered(move |_| {
                count += 1;
                count != lost
            });
            net.up(A);
            net.run(Duration::from_secs(20));
            for host in &net.hosts {
                host.established();
            }
            net.agree();
            net.finish();
        }
    }
}

#[test]
fn a_nat_is_found_and_both_go_on_behind_it() {
    for certificates in [false, true] {
        let mut net = aggressive(certificates, |host, connection| {
            connection.local_id = Some(Identity::from(address(if host == A { 1 } else { 2 })));
            if host == B {
                connection.remote_address = RemoteAddress::Any;
                connection.remote_id = None;
            }
        });
        net.path = Box::new(|_, packet| vec![(Duration::from_millis(5), translate(packet))]);
        net.up(A);
        net.run(Duration::from_secs(5));
        let established = net.hosts[A].established();
        assert_eq!(established.remote.port(), 4500);
        net.hosts[B].established();
        net.agree();
        net.finish();
    }
}

#[test]
fn a_wrong_key_is_told_as_such_by_the_initiator_and_the_responder_hears_nothing() {
    let mut net = aggressive(false, |_, _| {});
    let other = crypto::Secret::new(b"another secret".to_vec());
    net.hosts[B].keys.0.insert(CredentialId(1), other);
    one_verdict(&mut net);
    let failed = net.hosts[A].failure();
    assert_eq!(failed.cause, Cause::PskMismatch);
    assert_eq!(
        (failed.point, failed.state),
        (FailurePoint::Local, MmState::SentFirst)
    );
    assert_eq!(net.hosts[B].failure().cause, Cause::SilenceAfterMessage1);
    net.finish();
}

#[test]
fn a_connection_has_to_allow_it() {
    let mut net = aggressive(false, |host, connection| connection.aggressive = host == A);
    one_verdict(&mut net);
    assert_eq!(net.hosts[B].failure().cause, Cause::AggressiveModeRefused);
    let told = net.hosts[A].failure();
    assert_eq!(told.cause.token(), "peer-unsupported-exchange-type");
    net.finish();
    let mut net = aggressive(false, |host, connection| connection.aggressive = host == B);
    one_verdict(&mut net);
    assert_eq!(net.hosts[B].failure().cause, Cause::MainModeRefused);
    net.finish();
}

#[test]
fn the_identity_chooses_connection_and_key() {
    let mut net = aggressive(false, |host, connection| {
        if host == A {
            connection.local_id = Some(Identity::parse("carol@example").unwrap());
        }
    });
    let other = crypto::Secret::new(b"another secret".to_vec());
    net.hosts[B].keys.0.insert(CredentialId(5), other);
    let of = |name: &str, id: &str, credential| {
        let mut connection: Connection = (*net.hosts[B].connections[0]).clone();
        connection.name = name.to_owned();
        connection.remote_address = RemoteAddress::Any;
        connection.remote_id = Some(Identity::parse(id).unwrap());
        connection.auth = vec![Auth::Psk(credential)];
        std::sync::Arc::new(connection)
    };
    let connections = vec![
        of("dave", "dave@example", CredentialId(5)),
        of("carol", "carol@example", CredentialId(1)),
    ];
    net.command(B, crate::Command::Connections(connections));
    net.up(A);
    net.run(Duration::from_secs(5));
    let established = net.hosts[B].of(4650);
    assert_eq!(established.len(), 1);
    assert_eq!(established[0].extra.connection.as_deref(), Some("carol"));
    net.finish();
}

#[test]
fn a_connection_that_names_the_peer_comes_before_one_that_takes_anybody() {
    let carol = || Some(Identity::parse("carol@example").unwrap());
    let mut net = aggressive(false, |host, connection| {
        if host == A {
            connection.local_id = carol();
        }
    });
    let of = |name: &str, id: Option<Identity>| {
        let mut connection: Connection = (*net.hosts[B].connections[0]).clone();
        connection.name = name.to_owned();
        connection.remote_address = RemoteAddress::Any;
        connection.remote_id = id;
        std::sync::Arc::new(connection)
    };
    let connections = vec![of("anybody", None), of("carol", carol())];
    net.command(B, crate::Command::Connections(connections));
    net.up(A);
    net.run(Duration::from_secs(5));
    let established = net.hosts[B].of(4650);
    assert_eq!(established[0].extra.connection.as_deref(), Some("carol"));
    net.finish();
}

#[test]
fn an_identity_that_no_connection_names_is_refused_at_once() {
    let mut net = aggressive(false, |host, connection| {
        if host == A {
            connection.local_id = Some(Identity::parse("mallory@example").unwrap());
        }
    });
    one_verdict(&mut net);
    let failed = net.hosts[B].failure();
    assert_eq!(failed.cause, Cause::IdentityMismatch);
    assert_eq!(failed.remote_name.as_deref(), Some("mallory@example"));
    assert_eq!(
        net.hosts[A].failure().cause.token(),
        "peer-invalid-id-information"
    );
    net.finish();
}

#[test]
fn a_false_message_2_before_the_true_one_ends_nothing() {
    for certificates in [false, true] {
        let mut net = aggressive(certificates, |_, _| {});
        let mut done = false;
        net.path = Box::new(move |_, packet| {
            let wait = Duration::from_millis(5);
            if packet.sender == B && !done {
                done = true;
                // Another responder's cookie, and a nonce that it did not choose.
                let mut forged = packet.clone();
                forged.bytes[8] ^= 1;
                let len = forged.bytes.len();
                forged.bytes[len / 2] ^= 1;
                return vec![(wait, forged), (wait * 40, packet)];
            }
            vec![(wait, packet)]
        });
        net.up(A);
        net.run(Duration::from_secs(10));
        for host in &net.hosts {
            host.established();
        }
        net.agree();
        net.finish();
    }
}

#[test]
fn a_notification_in_clear_while_message_2_is_looked_into_ends_nothing() {
    for certificates in [false, true] {
        let mut net = aggressive(certificates, |_, _| {});
        net.hosts[A].hold_tickets = true;
        net.work = Duration::from_millis(200);
        net.up(A);
        let deriving = |net: &Net| {
            let mut negotiations = net.hosts[A].endpoint.negotiations.values();
            negotiations.any(|n| matches!(n.state, State::AggressiveDeriving { .. }))
        };
        net.run_until(deriving);
        let n = net.hosts[A].endpoint.negotiations.values().next().unwrap();
        let (cookies, [from, to]) = (n.cookies(), [n.route.remote, n.route.local]);
        let refusal = messages::refusal(cookies, 7, NotifyType::NO_PROPOSAL_CHOSEN);
        net.inject(A, from, to, &refusal);
        // Longer than evidence is held: the log is slow.
        net.run(Duration::from_secs(20));
        net.release_tickets(A);
        net.run(Duration::from_secs(1));
        net.hosts[A].established();
        assert_eq!(net.hosts[A].causes(4976), [Cause::PacketTampered]);
        net.agree();
        net.finish();
    }
}

#[test]
fn what_we_begin_ourselves_has_its_verdict_however_many_strangers_there_were() {
    let mut net = aggressive(false, |_, _| {});
    net.hosts[A].spoil = Some(|job| match job {
        Job::MakeShare { .. } => Some(JobResult::Failed("no random numbers".to_owned())),
        _ => None,
    });
    let (now, peer) = (net.now, net.hosts[B].address);
    while net.hosts[A].endpoint.core.rates.verdict(now, peer) {}
    net.up(A);
    net.run(Duration::from_millis(500));
    let failed = net.hosts[A].failure();
    assert_eq!(
        (failed.cause, failed.state),
        (Cause::DhFailure, MmState::None)
    );
    assert_eq!(net.hosts[A].verdicts.len(), 1);
    net.finish();
}

/// A message 3 that B awaits, as it would be without encryption.
fn in_clear(net: &Net, bytes: &[u8]) -> Vec<u8> {
    let datagram = Datagram::parse(bytes).unwrap();
    let mut negotiations = net.hosts[B].endpoint.negotiations.values();
    let State::AggressiveAnswered { proving, .. } = &negotiations.next().unwrap().state else {
        panic!("message 2 is not out");
    };
    let opened = proving
        .keys
        .open(&datagram.header, &proving.iv, datagram.body)
        .unwrap();
    let header = Header {
        flags: Flags::default(),
        ..datagram.header
    };
    isakmp::build::message(header, &opened.chain.payloads)
}

#[test]
fn first_contact_is_taken_from_nobody_who_adds_it_to_a_message_3_in_clear() {
    // Message 3 may be in clear, and its proof covers no notification.
    for (encrypted, ends) in [(true, 1), (false, 0)] {
        let mut net = aggressive(false, |_, connection| connection.lifetime *= 10);
        net.establish();
        net.crash(A);
        let third = Rc::new(RefCell::new(None));
        let seen = Rc::clone(&third);
        net.path = filtered(move |packet| {
            let datagram = Datagram::parse(&packet.bytes).unwrap();
            let third = packet.sender == A
                && datagram.header.exchange == ExchangeType::AGGRESSIVE
                && !datagram.header.responder_cookie.is_zero();
            if third && !encrypted {
                *seen.borrow_mut() = Some(packet.clone());
            }
            !third || encrypted
        });
        net.up(A);
        net.run(Duration::from_millis(300));
        let taken = third.borrow_mut().take();
        if let Some(packet) = taken {
            let bytes = in_clear(&net, &packet.bytes);
            net.inject(B, packet.from, packet.to, &bytes);
        }
        net.run(Duration::from_secs(1));
        assert_eq!(net.hosts[B].of(4650).len(), 2, "encrypted: {encrypted}");
        assert_eq!(net.hosts[B].of(4655).len(), ends, "encrypted: {encrypted}");
        net.path = super::net::perfect();
        net.finish();
    }
}

#[test]
fn an_initiator_whose_certificate_is_refused_hears_of_it() {
    let mut net = aggressive(true, |_, _| {});
    let mut side = pki::both()[B].clone();
    side.trust = pki::side(pki::STRANGER, include_str!("../pki/other-ca.pem")).trust;
    net.hosts[B].keys.1.insert(CERTIFICATE, side);
    net.up(A);
    net.run(Duration::from_secs(20));
    assert_eq!(net.hosts[B].failure().cause, Cause::CertificateUntrusted);
    // By its own message 3 it was established.
    net.hosts[A].established();
    assert_eq!(net.hosts[A].causes(4655), [Cause::DeletedByPeer]);
    net.finish();
}

#[test]
fn a_replaced_sa_is_replaced_by_the_same_exchange() {
    let mut net = aggressive(true, |_, connection| {
        connection.lifetime = Duration::from_secs(20);
    });
    net.establish();
    net.run(Duration::from_secs(50));
    let count = net.hosts[A].of(4651).len();
    assert!(count >= 2, "{count}");
    net.finish();
}
