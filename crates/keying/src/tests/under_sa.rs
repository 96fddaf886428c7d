//! What happens under an SA, and how it ends.

use std::net::SocketAddr;
use std::time::Duration;

use audit::Cause;
use isakmp::{ExchangeType, Notification, NotifyType, Payload, ProtocolId, SecurityAssociation};

use super::net::{A, B, Net, below, filtered};
use super::{address, pair, pair_with};
use crate::config::{Connection, CredentialId, Dpd};
use crate::endpoint::Party;
use crate::identity::Identity;
use crate::ikev1::messages::Payloads;
use crate::ikev1::negotiation::header;
use crate::ikev1::sa::{Sa, Volume};
use crate::io::Command;
use crate::limits::{MAX_MESSAGE_IDS, MAX_RESENDS, REPLACE_MESSAGE_IDS};

const SECOND: Duration = Duration::from_secs(1);

fn sa(net: &Net, host: usize) -> &Sa {
    net.hosts[host].endpoint.sas.values().next().expect("an SA")
}

/// A message under the keys of `from`'s SA.
pub(super) fn protected(
    net: &Net,
    from: usize,
    exchange: ExchangeType,
    message_id: u32,
    payloads: &[isakmp::RawPayload],
) -> Vec<u8> {
    let sa = sa(net, from);
    let (_, rest) = isakmp::emit_chain(payloads);
    let hash = sa.keys.hash_1(message_id, &rest).unwrap();
    let mut all = vec![Payload::Hash(hash).to_raw()];
    all.extend_from_slice(payloads);
    let (first, chain) = isakmp::emit_chain(&all);
    let iv = sa.keys.exchange_iv(&sa.last_block, message_id).unwrap();
    let ciphertext = sa.keys.seal(&iv, &chain).unwrap();
    let header = header(sa.cookies(), exchange, message_id);
    isakmp::build::encrypted_message(header, first, &ciphertext)
}

/// What a message under the SA says, HASH apart.
fn opened(net: &Net, host: usize, message: &[u8]) -> Vec<Payload> {
    let datagram = isakmp::Datagram::parse(message).unwrap();
    let sa = sa(net, host);
    let id = datagram.header.message_id;
    let iv = sa.keys.exchange_iv(&sa.last_block, id).unwrap();
    let opened = sa.keys.open(&datagram.header, &iv, datagram.body).unwrap();
    assert!(sa.keys.authenticated(id, &opened).is_some());
    Payloads::of(opened.chain).unwrap().all()[1..].to_vec()
}

fn quick_mode_1() -> [isakmp::RawPayload; 2] {
    let offer = SecurityAssociation {
        doi: isakmp::DOI_IPSEC,
        situation: isakmp::SIT_IDENTITY_ONLY,
        proposals: vec![isakmp::Proposal {
            number: 1,
            protocol: ProtocolId(3),
            spi: vec![1, 2, 3, 4],
            transforms: vec![isakmp::Transform {
                number: 1,
                id: 12,
                attributes: Vec::new(),
            }],
        }],
    };
    [
        Payload::Sa(offer).to_raw(),
        Payload::Nonce(vec![7; 32]).to_raw(),
    ]
}

#[test]
fn a_quick_mode_gets_a_protected_refusal_and_leaves_the_sa_alone() {
    let mut net = pair(60);
    net.establish();
    let (a, b) = net.ends();
    let message = protected(&net, A, ExchangeType::QUICK_MODE, 0x1234, &quick_mode_1());
    let before = (net.hosts[B].sent.len(), net.hosts[B].events.len());
    for _ in 0..25 {
        net.inject(B, a, b, &message);
    }
    let answers = &net.hosts[B].sent[before.0..];
    // One refusal, and the same bytes for retransmissions.
    assert_eq!(answers.len(), 21);
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    let payloads = opened(&net, A, &answers[0]);
    let [
        Payload::Notification(Notification {
            kind,
            spi,
            protocol,
            ..
        }),
    ] = payloads.as_slice()
    else {
        panic!("{payloads:?}");
    };
    assert_eq!(
        (*kind, spi.as_slice()),
        (NotifyType::NO_PROPOSAL_CHOSEN, &[1, 2, 3, 4][..])
    );
    assert_eq!(*protocol, ProtocolId(3));
    assert_eq!(net.hosts[B].events.len(), before.1);
    assert!(!net.hosts[B].endpoint.sas.is_empty());
    net.finish();
}

#[test]
fn copies_from_elsewhere_use_up_none_of_the_answers_to_the_peer() {
    const COPIES: usize = 2 * MAX_RESENDS as usize;
    let answered = |net: &mut Net, source: SocketAddr, message: &[u8]| {
        let (_, b) = net.ends();
        let before = net.hosts[B].sent.len();
        for _ in 0..COPIES {
            net.inject(B, source, b, message);
        }
        net.hosts[B].sent.len() - before
    };
    let check = |net: &mut Net, message: &[u8]| {
        let (a, _) = net.ends();
        let elsewhere = SocketAddr::new(address(9), a.port());
        assert_eq!(answered(net, elsewhere, message), 0);
        // The port is a NAT's to change.
        let behind_nat = SocketAddr::new(a.ip(), 12345);
        assert_eq!(
            answered(net, behind_nat, message),
            usize::try_from(MAX_RESENDS).unwrap()
        );
    };
    let mut net = pair(61);
    let mut answers = 0;
    net.path = filtered(move |packet| {
        answers += u32::from(packet.sender == B);
        packet.sender == A || answers == 1
    });
    net.up(A);
    net.run(SECOND / 10);
    let message_3 = net.hosts[A].sent[1].clone();
    check(&mut net, &message_3);

    let mut net = pair(62);
    net.establish();
    let message_5 = net.hosts[A].sent[2].clone();
    check(&mut net, &message_5);
    let message = protected(&net, A, ExchangeType::QUICK_MODE, 0x1234, &quick_mode_1());
    let (a, b) = net.ends();
    net.inject(B, a, b, &message);
    check(&mut net, &message);
    net.finish();
}

#[test]
fn a_delete_counts_wherever_in_its_message_it_stands() {
    let of_esp = Payload::Delete(isakmp::Delete {
        doi: isakmp::DOI_IPSEC,
        protocol: ProtocolId(3),
        spi_size: 4,
        spis: vec![vec![1, 2, 3, 4]],
    });
    let other = Payload::Notification(Notification {
        doi: isakmp::DOI_IPSEC,
        protocol: ProtocolId::ISAKMP,
        spi: Vec::new(),
        kind: NotifyType(24_576),
        data: Vec::new(),
    });
    for before in [of_esp.to_raw(), other.to_raw()] {
        let mut net = pair(62);
        net.establish();
        let (a, b) = net.ends();
        let delete = crate::ikev1::informational::delete(sa(&net, A).cookies());
        let payloads = [before, delete.clone(), delete];
        let message = protected(&net, A, ExchangeType::INFORMATIONAL, 0x77, &payloads);
        net.inject(B, a, b, &message);
        net.run(SECOND);
        assert_eq!(net.hosts[B].causes(4655), [Cause::DeletedByPeer]);
    }
}

#[test]
fn every_changed_bit_of_a_message_under_the_sa_is_refused() {
    let mut net = pair(61);
    net.establish();
    let (a, b) = net.ends();
    let delete = crate::ikev1::informational::delete(sa(&net, A).cookies());
    let message = protected(&net, A, ExchangeType::INFORMATIONAL, 0x77, &[delete]);
    for at in 0..message.len() {
        for bit in 0..8 {
            // The flags COMMIT and AUTHENTICATION ONLY: nothing proves them, and nothing hangs on them.
            if at == 19 && (1..=2).contains(&bit) {
                continue;
            }
            let mut changed = message.clone();
            changed[at] ^= 1 << bit;
            let mut endpoint = net.hosts[B].endpoint.clone();
            endpoint.handle(
                net.now,
                crate::Input::Datagram {
                    local: b,
                    remote: a,
                    bytes: changed,
                },
            );
            assert_eq!(endpoint.sas.len(), 1, "byte {at} bit {bit}");
            assert!(sa_is_same(&endpoint, &net.hosts[B].endpoint));
        }
    }
    net.inject(B, a, b, &message);
    assert_eq!(net.hosts[B].causes(4655), vec![Cause::DeletedByPeer]);
    net.finish();
}

fn sa_is_same(one: &crate::Endpoint, other: &crate::Endpoint) -> bool {
    let of = |e: &crate::Endpoint| {
        let sa = e.sas.values().next().expect("an SA");
        (
            sa.last_block.clone(),
            sa.route,
            sa.last_heard,
            sa.message_ids.clone(),
        )
    };
    of(one) == of(other)
}

#[test]
fn a_replayed_message_is_seen_and_does_nothing() {
    let mut net = pair(62);
    net.establish();
    let (a, b) = net.ends();
    let spi = {
        let (i, r) = sa(&net, A).cookies();
        [i.0, r.0].concat()
    };
    let question = Payload::Notification(Notification {
        doi: isakmp::DOI_IPSEC,
        protocol: ProtocolId::ISAKMP,
        spi,
        kind: NotifyType::R_U_THERE,
        data: vec![0, 0, 0, 9],
    });
    let message = protected(
        &net,
        A,
        ExchangeType::INFORMATIONAL,
        0x55,
        &[question.to_raw()],
    );
    let before = net.hosts[B].sent.len();
    for _ in 0..3 {
        net.inject(B, a, b, &message);
    }
    assert_eq!(net.hosts[B].sent.len(), before + 1);
    let answer = opened(&net, A, net.hosts[B].sent.last().unwrap());
    assert!(matches!(&answer[..], [Payload::Notification(n)]
        if n.kind == NotifyType::R_U_THERE_ACK && n.data == [0, 0, 0, 9]));
    assert_eq!(net.hosts[B].causes(4976), vec![Cause::PacketReplayed; 2]);
    net.finish();
}

#[test]
fn what_is_not_encrypted_ends_no_sa() {
    let mut net = pair(63);
    net.establish();
    let (a, b) = net.ends();
    let cookies = sa(&net, A).cookies();
    for payload in [
        crate::ikev1::informational::delete(cookies),
        crate::ikev1::messages::notification(cookies, NotifyType::INITIAL_CONTACT, Vec::new()),
        crate::ikev1::messages::notification(cookies, NotifyType::R_U_THERE, vec![0; 4]),
    ] {
        let header = header(cookies, ExchangeType::INFORMATIONAL, 3);
        net.inject(B, a, b, &isakmp::build::message(header, &[payload]));
    }
    assert_eq!(net.hosts[B].causes(4976), vec![Cause::PacketOutOfPlace; 3]);
    assert_eq!(net.hosts[B].endpoint.sas.len(), 1);
    net.finish();
}

#[test]
fn a_peer_that_answers_lives_and_one_that_does_not_is_dead() {
    let mut net = pair_with(64, |_, c| {
        c.dpd = Some(Dpd {
            delay: 5 * SECOND,
            timeout: 20 * SECOND,
        });
    });
    net.establish();
    net.run(300 * SECOND);
    assert!(
        net.hosts
            .iter()
            .all(|h| h.endpoint.sas.len() == 1 && h.events.len() == 1)
    );
    let began = net.now;
    net.path = filtered(|_| false);
    net.run_until(|net| net.hosts.iter().all(|h| h.endpoint.sas.is_empty()));
    assert!(net.now - began <= 26 * SECOND);
    assert!(
        net.hosts
            .iter()
            .all(|h| h.causes(4655) == [Cause::PeerDead])
    );
    net.finish();
}

#[test]
fn a_clock_that_jumps_gives_the_peer_time_to_answer() {
    let mut net = pair_with(65, |_, c| {
        c.dpd = Some(Dpd {
            delay: 5 * SECOND,
            timeout: 20 * SECOND,
        });
    });
    net.establish();
    net.now += 1_000 * SECOND;
    for host in [A, B] {
        net.input(host, crate::Input::Timeout);
    }
    net.run(100 * SECOND);
    assert!(net.hosts.iter().all(|h| h.endpoint.sas.len() == 1));
    net.finish();
}

#[test]
fn odd_times_never_make_a_timer_spin_or_overflow() {
    let times = [Duration::ZERO, Duration::from_nanos(1), Duration::MAX];
    for time in times {
        for factor in [0.0, f64::NAN, f64::INFINITY, 1e300] {
            let mut net = pair_with(66, |_, c| {
                c.dpd = Some(Dpd {
                    delay: time,
                    timeout: time,
                });
                c.evidence_hold = time;
                c.retransmit.first = time;
                c.retransmit.factor = factor;
                c.retransmit.tries = 40;
                if time > Duration::ZERO {
                    c.half_open_timeout = time;
                    c.lifetime = time.max(SECOND);
                }
            });
            net.up(A);
            net.run(SECOND);
            net.path = filtered(|_| false);
            net.run(5 * SECOND);
        }
    }
}

#[test]
fn either_side_ends_the_sa_and_tells_the_other() {
    for host in [A, B] {
        let mut net = pair(67);
        net.establish();
        let connection = net.hosts[host].connections[0].name.clone();
        net.command(
            host,
            Command::Terminate {
                connection: connection.clone(),
            },
        );
        net.run(SECOND);
        assert_eq!(net.hosts[host].causes(4655), vec![Cause::DeletedByOperator]);
        assert_eq!(net.hosts[1 - host].causes(4655), vec![Cause::DeletedByPeer]);
        assert_eq!(net.hosts[host].terminated, vec![(connection.clone(), 1)]);
        net.command(
            host,
            Command::Terminate {
                connection: connection.clone(),
            },
        );
        assert_eq!(net.hosts[host].terminated[1], (connection, 0));
        net.finish();
    }
}

#[test]
fn a_changed_connection_ends_what_it_made_and_an_unchanged_one_does_not() {
    let mut net = pair(68);
    net.establish();
    let same = (*net.hosts[A].connections[0]).clone();
    net.command(A, Command::Connections(vec![same.clone().into()]));
    assert_eq!(net.hosts[A].endpoint.sas.len(), 1);
    let mut changed = same;
    changed
        .proposals
        .push("aes256-sha256-x25519".parse().unwrap());
    net.command(A, Command::Connections(vec![changed.into()]));
    assert_eq!(net.hosts[A].causes(4655), vec![Cause::DeletedByOperator]);
    assert!(net.hosts[A].terminated.is_empty());
    net.run(SECOND);
    assert_eq!(net.hosts[B].causes(4655), vec![Cause::DeletedByPeer]);
    net.finish();
}

#[test]
fn without_replacement_an_sa_expires() {
    let mut net = pair_with(69, |_, c| {
        c.may_initiate = false;
        c.lifetime = 60 * SECOND;
    });
    net.establish();
    assert_eq!(net.hosts[A].established().lifetime, 60 * SECOND);
    net.path = filtered(|_| false);
    net.run(61 * SECOND);
    assert!(net.hosts.iter().all(|h| h.endpoint.sas.is_empty()));
    net.finish();
}

#[test]
fn the_lesser_lifetime_counts_and_the_offer_is_echoed() {
    let mut net = pair_with(70, |host, c| {
        c.lifetime = [3_600, 600][host] * SECOND;
    });
    net.establish();
    assert_eq!(net.hosts[A].established().lifetime, 3_600 * SECOND);
    assert_eq!(net.hosts[B].established().lifetime, 600 * SECOND);
    net.finish();
}

/// Gives host B an SA more, a copy of the one that it has, changed.
pub(super) fn another(net: &mut Net, number: u64, change: impl FnOnce(&mut Sa)) {
    let host = &mut net.hosts[B];
    host.unaccounted = true;
    let mut sa = host.endpoint.sas.values().next().unwrap().clone();
    sa.mmsa_id = number;
    sa.initiator_cookie = isakmp::Cookie(number.to_be_bytes());
    change(&mut sa);
    let endpoint = &mut host.endpoint;
    endpoint.by_cookies.insert(sa.cookies(), Party::Sa(number));
    endpoint.sas_by_peer.insert(&sa.remote_id, number);
    endpoint.sas_by_holder.insert(sa.holder(), number);
    endpoint.sas.insert(number, sa);
}

#[test]
fn a_first_contact_ends_what_its_peer_has_proven_to_be_its_own_and_nothing_else() {
    const OWN: u64 = 1 << 40;
    let elsewhere = |sa: &mut Sa| sa.route.remote.set_ip(address(77));
    let with_another_key = |sa: &mut Sa| sa.proven_by.credential = Some(CredentialId(77));
    let of_another = |sa: &mut Sa| sa.remote_id = Identity::parse("@another").unwrap();
    for named in [false, true] {
        let mut net = pair_with(90, |host, c| {
            if named && host == B {
                c.remote_id = Some(Identity::from(address(1)));
            }
        });
        net.establish();
        another(&mut net, OWN, |_| {});
        another(&mut net, OWN + 1, elsewhere);
        another(&mut net, OWN + 2, with_another_key);
        another(&mut net, OWN + 3, of_another);
        net.hosts[A].unaccounted = true;
        net.crash(A);
        net.up(A);
        net.run(5 * SECOND);
        let kept: Vec<u64> = net.hosts[B].endpoint.sas.keys().copied().collect();
        // Who calls himself by an address that he does not have has shown nothing but the key: unless the connection
        // names that very identity, it is not his.
        let expected: &[u64] = if named { &[2, 3] } else { &[1, 2, 3] };
        let expected = expected.iter().map(|number| OWN + number);
        assert!(kept[1..].iter().copied().eq(expected), "{named}: {kept:?}");
        assert!(kept[0] < OWN);
        assert_eq!(net.hosts[B].causes(4655)[0], Cause::Replaced);
    }
}

#[test]
fn a_second_connection_to_a_peer_is_no_first_contact() {
    let mut net = pair(91);
    let connections = |net: &Net, host: usize, name: &str| {
        let first = net.hosts[host].connections[0].clone();
        let second = Connection {
            name: name.to_owned(),
            ..(*first).clone()
        };
        vec![first, std::sync::Arc::new(second)]
    };
    let both = connections(&net, A, "again-to-b");
    net.hosts[A].connections.clone_from(&both);
    net.command(A, Command::Connections(both));
    net.establish();
    let (local, remote) = net.ends();
    net.command(
        A,
        Command::Initiate {
            connection: "again-to-b".to_owned(),
            local,
            remote,
        },
    );
    net.run(5 * SECOND);
    for host in &net.hosts {
        assert_eq!((host.of(4650).len(), host.of(4655).len()), (2, 0));
    }
    net.finish();
}

#[test]
fn an_sa_is_replaced_before_it_ends_where_it_stands_and_without_initial_contact() {
    for forced in [false, true] {
        let mut net = pair_with(71, |host, c| {
            c.lifetime = 100 * SECOND;
            c.force_encap = forced && host == A;
        });
        net.establish();
        let old = sa(&net, A).mmsa_id;
        let port = if forced { 4500 } else { 500 };
        net.run(95 * SECOND);
        for host in &net.hosts {
            assert_eq!(host.of(4650).len(), 2);
            assert_eq!(host.endpoint.sas.len(), 1);
            assert!(
                host.endpoint
                    .sas
                    .values()
                    .all(|sa| sa.route.remote.port() == port)
            );
        }
        assert!(!net.hosts[A].endpoint.sas.contains_key(&old));
        assert_eq!(net.hosts[A].causes(4655), vec![Cause::Replaced]);
        // By the delete, not by an INITIAL-CONTACT.
        assert_eq!(net.hosts[B].causes(4655), vec![Cause::DeletedByPeer]);
        net.run(3_000 * SECOND);
        assert!(net.hosts.iter().all(|h| h.endpoint.sas.len() == 1));
        assert!(net.hosts[A].of(4650).len() > 30);
        net.finish();
    }
}

/// Both sides ask each other all the time whether they live, and may carry little.
fn talkative(seed: u64, begins: bool) -> Net {
    pair_with(seed, |_, c| {
        c.lifetime_bytes = Some(4_096);
        c.may_initiate = begins;
        c.dpd = Some(Dpd {
            delay: SECOND,
            timeout: 10 * SECOND,
        });
    })
}

#[test]
fn an_sa_that_carried_nearly_as_much_as_it_may_is_replaced() {
    let mut net = talkative(73, true);
    net.establish();
    net.run(100 * SECOND);
    let replaced = net.hosts[A].causes(4655);
    assert!(replaced.len() > 3, "{replaced:?}");
    for host in &net.hosts {
        assert!(
            host.causes(4655)
                .iter()
                .all(|cause| *cause != Cause::Expired)
        );
        assert_eq!(host.endpoint.sas.len(), 1);
    }
    net.agree();
    net.finish();
}

#[test]
fn an_sa_that_nobody_replaces_ends_when_it_carried_as_much_as_it_may() {
    let mut net = talkative(74, false);
    net.establish();
    // Whoever began it would replace it.
    for sa in net.hosts[A].endpoint.sas.values_mut() {
        sa.volume = Volume::new(Some(4_096), None);
    }
    net.run(100 * SECOND);
    assert!(net.hosts.iter().all(|h| h.endpoint.sas.is_empty()));
    let causes: Vec<_> = net.hosts.iter().flat_map(|h| h.causes(4655)).collect();
    assert!(causes.contains(&Cause::Expired), "{causes:?}");
    net.finish();
}

#[test]
fn who_answers_replaces_what_the_peer_would_let_end() {
    for bytes in [false, true] {
        let mut net = pair_with(76, |host, c| {
            c.may_initiate = host == A;
            c.lifetime = if bytes || host == A { 10_000 } else { 100 } * SECOND;
            c.lifetime_bytes = (bytes && host == B).then_some(8_192);
            c.dpd = bytes.then_some(Dpd {
                delay: SECOND,
                timeout: 10 * SECOND,
            });
        });
        net.establish();
        for _ in 0..300 {
            net.run(SECOND);
            assert!(net.hosts.iter().all(|h| !h.endpoint.sas.is_empty()));
        }
        let causes: Vec<_> = net.hosts.iter().flat_map(|h| h.causes(4655)).collect();
        assert!(causes.contains(&Cause::Replaced), "{causes:?}");
        assert!(!causes.contains(&Cause::Expired), "{causes:?}");
        net.finish();
    }
}

#[test]
fn an_sa_whose_message_ids_are_used_up_ends_by_a_proven_message_and_says_so() {
    let mut net = pair_with(77, |_, c| c.may_initiate = false);
    net.establish();
    let used = u32::try_from(MAX_MESSAGE_IDS).unwrap();
    let sa = net.hosts[B].endpoint.sas.values_mut().next().unwrap();
    sa.message_ids.extend(0x4000_0000..0x4000_0000 + used);
    sa.volume = Volume::new(None, None);
    // A stranger, who knows the cookies alone, ends nothing.
    let (a, b) = net.ends();
    let mut forged = protected(&net, A, ExchangeType::INFORMATIONAL, 9, &[]);
    if let Some(last) = forged.last_mut() {
        *last ^= 1;
    }
    net.inject(B, a, b, &forged);
    assert!(net.hosts[B].causes(4655).is_empty());
    let connection = net.hosts[A].connections[0].name.clone();
    net.command(A, Command::Terminate { connection });
    net.run(SECOND);
    assert_eq!(net.hosts[B].causes(4655), [Cause::MessageIdsUsedUp]);
    net.finish();
}

#[test]
fn an_sa_is_replaced_before_its_message_ids_are_used_up() {
    let mut net = pair_with(75, |_, c| {
        c.lifetime = 100_000 * SECOND;
        c.dpd = Some(Dpd {
            delay: 5 * SECOND,
            timeout: 20 * SECOND,
        });
    });
    net.establish();
    let used = u32::try_from(REPLACE_MESSAGE_IDS).unwrap();
    let sa = net.hosts[A].endpoint.sas.values_mut().next().unwrap();
    sa.message_ids.extend(0x4000_0000..0x4000_0000 + used);
    net.run(20 * SECOND);
    for host in [A, B] {
        let causes = net.hosts[host].causes(4655);
        assert!(
            causes.len() == 1 && causes[0] != Cause::Expired,
            "{causes:?}"
        );
        assert_eq!(net.hosts[host].endpoint.sas.len(), 1);
    }
    net.agree();
    net.finish();
}

#[test]
fn when_both_replace_at_once_neither_deletes_the_others_successor() {
    for seed in 72..92 {
        let mut net = pair_with(seed, |_, c| c.lifetime = 1_000 * SECOND);
        net.establish();
        let soon = net.now + SECOND;
        for host in [A, B] {
            let wait = Duration::from_millis(u64::from(below(&mut net.rng, 30)));
            for sa in net.hosts[host].endpoint.sas.values_mut() {
                sa.replace_at = Some(soon + wait);
            }
            let id = *net.hosts[host].endpoint.sas.keys().next().unwrap();
            net.hosts[host]
                .endpoint
                .schedule(crate::endpoint::Party::Sa(id));
        }
        net.run(10 * SECOND);
        let stand: Vec<usize> = net.hosts.iter().map(|h| h.endpoint.sas.len()).collect();
        assert!(stand == [2, 2] || stand == [1, 1], "{stand:?}");
        net.agree();
        let mut cookies: Vec<Vec<_>> = net
            .hosts
            .iter()
            .map(|h| h.endpoint.sas.values().map(|sa| sa.cookies()).collect())
            .collect();
        for list in &mut cookies {
            list.sort();
        }
        assert_eq!(cookies[0], cookies[1]);
        net.run(3_600 * SECOND);
        assert!(
            net.hosts
                .iter()
                .all(|h| (1..=2).contains(&h.endpoint.sas.len()))
        );
        net.finish();
    }
}

#[test]
fn both_sides_may_initiate_at_once() {
    for seed in 100..140 {
        let mut net = pair(seed);
        net.up(A);
        let wait = Duration::from_millis(u64::from(below(&mut net.rng, 25)));
        net.run(wait);
        net.up(B);
        net.run(10 * SECOND);
        net.agree();
        let live: Vec<usize> = net.hosts.iter().map(|h| h.endpoint.sas.len()).collect();
        assert_eq!(live[0], live[1], "seed {seed}");
        assert!(live[0] >= 1);
        assert!(net.hosts.iter().all(|h| h.of(4653).is_empty()));
        net.finish();
    }
}

#[test]
fn a_peer_that_starts_anew_ends_its_former_sas_and_no_others() {
    let id = |text: &str| Some(Identity::parse(text).unwrap());
    let mut net = pair_with(150, |host, c| {
        c.local_id = id(["a.example", "b.example"][host]);
        c.remote_id = id(["b.example", "a.example"][host]);
    });
    net.establish();
    net.crash(A);
    net.run(SECOND);
    net.up(A);
    net.run(SECOND);
    assert_eq!(net.hosts[B].causes(4655), vec![Cause::Replaced]);
    assert_eq!(net.hosts[B].endpoint.sas.len(), 1);
    // Another peer of the same address and key, by another name.
    net.crash(A);
    for (host, name) in [(A, "c.example"), (B, "c.example")] {
        let mut changed = (*net.hosts[host].connections[0]).clone();
        if host == A {
            changed.local_id = id(name);
            net.command(A, Command::Connections(vec![changed.into()]));
        } else {
            changed.name = "other".to_owned();
            changed.remote_id = id(name);
            let both = vec![net.hosts[B].connections[0].clone(), changed.into()];
            net.command(B, Command::Connections(both));
        }
    }
    net.run(SECOND);
    net.up(A);
    net.run(SECOND);
    assert_eq!(net.hosts[B].endpoint.sas.len(), 2);
    assert_eq!(net.hosts[B].causes(4655).len(), 1);
    net.finish();
}

/// From now on A is seen elsewhere by B, and reached there.
fn seen_at(net: &mut Net, elsewhere: SocketAddr) {
    let home = SocketAddr::new(address(1), 4500);
    net.path = filtered(move |packet| {
        if packet.sender == A {
            packet.from = elsewhere;
        } else if packet.to == elsewhere {
            packet.to = home;
        } else {
            return false;
        }
        true
    });
}

fn asks_often(c: &mut crate::Connection) {
    c.dpd = Some(Dpd {
        delay: 5 * SECOND,
        timeout: 20 * SECOND,
    });
}

#[test]
fn the_address_and_port_of_a_peer_behind_a_nat_follow_what_it_proves() {
    let mut net = pair_with(151, |host, c| {
        c.force_encap = host == A;
        asks_often(c);
    });
    net.establish();
    let port = SocketAddr::new(address(1), 31_337);
    for elsewhere in [port, SocketAddr::new(address(77), 4_711)] {
        seen_at(&mut net, elsewhere);
        net.run(60 * SECOND);
        assert_eq!(sa(&net, B).route.remote, elsewhere);
        assert!(net.hosts.iter().all(|h| h.endpoint.sas.len() == 1));
    }
    // Who cannot prove anything leads nobody astray.
    let forged = net.hosts[A].sent.last().unwrap().clone();
    let (from, to) = (
        SocketAddr::new(address(66), 4500),
        SocketAddr::new(address(2), 4500),
    );
    net.inject(B, from, to, &forged);
    net.inject(B, from, to, &[0xff]);
    assert_eq!(sa(&net, B).route.remote.ip(), address(77));
    net.finish();
}

#[test]
fn a_peer_without_a_nat_is_nowhere_else_whatever_comes_from_there() {
    let mut net = pair_with(152, |_, c| asks_often(c));
    net.establish();
    let home = SocketAddr::new(address(1), 500);
    net.path = filtered(|packet| {
        if packet.sender == A {
            packet.from = SocketAddr::new(address(77), 500);
        }
        true
    });
    net.run(60 * SECOND);
    assert_eq!(sa(&net, B).route.remote, home);
    assert!(net.hosts.iter().all(|h| h.endpoint.sas.len() == 1));
    net.finish();
}

fn by_name(c: &mut crate::Connection) {
    c.remote_address = crate::config::RemoteAddress::Name("peer.example".to_owned());
}

fn resolve(net: &mut Net, host: usize, last: &[u8]) {
    let command = Command::Resolved {
        name: "peer.example".to_owned(),
        addresses: last.iter().map(|last| address(*last)).collect(),
    };
    net.command(host, command);
}

#[test]
fn a_responder_takes_a_peer_that_it_knows_by_name_where_the_name_leads_now() {
    let mut net = pair_with(153, |host, c| {
        if host == B {
            by_name(c);
        }
    });
    let attempt = |net: &mut Net| {
        net.up(A);
        net.run(SECOND);
        let stands = !net.hosts[A].endpoint.sas.is_empty();
        let connection = "to-b".to_owned();
        net.command(A, Command::Terminate { connection });
        net.run(SECOND);
        stands
    };
    assert!(!attempt(&mut net), "the name leads nowhere");
    for (leads, stands) in [
        (&[9, 1][..], true),
        (&[9][..], false),
        (&[1][..], true),
        (&[][..], false),
    ] {
        resolve(&mut net, B, leads);
        assert_eq!(attempt(&mut net), stands, "{leads:?}");
    }
    let causes = net.hosts[B].causes(4653);
    assert_eq!(causes, vec![Cause::NoConnection; 3]);
    // Another set of connections with the same name knows what it stood for.
    resolve(&mut net, B, &[1]);
    let connections = net.hosts[B].connections.clone();
    net.command(B, Command::Connections(connections));
    assert!(attempt(&mut net));
    // A name of no connection is forgotten.
    net.command(B, Command::Connections(Vec::new()));
    assert!(net.hosts[B].endpoint.core.names.is_empty());
    net.finish();
}

#[test]
fn an_sa_with_a_host_known_by_name_is_replaced_where_the_name_leads() {
    // Where the name leads, and whether the successor is negotiated there.
    for (leads, moves) in [(Some(3), true), (Some(2), false), (None, false)] {
        let mut net = pair_with(154, |host, c| {
            c.lifetime = 100 * SECOND;
            c.may_initiate = host == A;
            if host == A {
                by_name(c);
            }
        });
        net.establish();
        net.run(80 * SECOND);
        // The other host has both addresses.
        net.path = filtered(|packet| {
            if packet.to.ip() == address(3) {
                packet.to.set_ip(address(2));
            }
            true
        });
        let asked = net.hosts[A].routes_wanted.len();
        assert_eq!(asked, 0);
        net.run(11 * SECOND);
        let (mmsa_id, connection) = net.hosts[A].routes_wanted[0].clone();
        assert_eq!(
            (mmsa_id, connection.as_str()),
            (sa(&net, A).mmsa_id, "to-b")
        );
        assert_eq!(net.hosts[A].of(4650).len(), 1, "it waits for the answer");
        let local = SocketAddr::new(address(1), 500);
        let route = leads.map(|last| (local, SocketAddr::new(address(last), 500)));
        net.command(A, Command::Replace { mmsa_id, route });
        // Once is enough.
        net.command(A, Command::Replace { mmsa_id, route });
        net.run(SECOND / 10);
        let begun = net.hosts[A]
            .endpoint
            .negotiations
            .values()
            .map(|n| n.route.remote.ip());
        let begun: Vec<_> = begun.collect();
        let to = |n: u8| vec![address(n)];
        if moves {
            // To an address that answers from another one here: that it was asked there is enough.
            assert_eq!(begun, to(3));
        } else {
            net.run(SECOND);
            assert_eq!(net.hosts[A].of(4650).len(), 2);
            assert_eq!(sa(&net, A).route.remote.ip(), address(2));
        }
        net.hosts[A].endpoint.handle(
            net.now,
            crate::Input::Command(Command::Replace {
                mmsa_id: 999,
                route: None,
            }),
        );
        net.finish();
    }
}
