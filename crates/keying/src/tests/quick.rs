//! Quick Mode from message 1 to 5452, with nothing in its way: what is agreed, and what each side installs.

use std::sync::Arc;
use std::time::Duration;

use audit::Cause;

use super::net::{A, B, Net};
use super::sim::translate;
use super::{address, pair_with};
use crate::child::{Child, ChildOutcome, Mode, SelectorConfig};
use crate::config::RemoteAddress;
use crate::io::Command;
use crate::selector::Selector;

const SECOND: Duration = Duration::from_secs(1);

/// The selectors of a side in most tests.
pub(super) fn net(host: usize) -> Selector {
    Selector::subnet([10, [1, 2][host], 0, 0].into(), 16)
}

/// A child between the two nets, as a host has it.
pub(super) fn child(host: usize, name: &str, proposals: &[&str]) -> Child {
    Child {
        name: name.to_owned(),
        filter_id: 3,
        local: vec![SelectorConfig::Fixed(net(host))],
        remote: vec![SelectorConfig::Fixed(net(1 - host))],
        mode: Mode::Tunnel,
        proposals: proposals
            .iter()
            .map(|text| text.parse().expect("a proposal"))
            .collect(),
        compress: false,
        lifetime: Duration::from_hours(1),
        lifetime_bytes: None,
        lifetime_packets: None,
        replay_window: 64,
        auto: false,
        plane: String::new(),
    }
}

pub(super) const SUITE: &str = "aes128gcm16-x25519";

/// Two hosts with one child, "net", which is changed first.
pub(super) fn pair_of(seed: u64, mut change: impl FnMut(usize, &mut Child)) -> Net {
    pair_with(seed, |host, connection| {
        let mut child = child(host, "net", &[SUITE]);
        change(host, &mut child);
        connection.children = vec![Arc::new(child)];
    })
}

/// Brings the child "net" up from a host.
pub(super) fn up(net: &mut Net, host: usize) {
    let command = net.hosts[host].initiate_child("net", net.hosts[1 - host].address);
    net.command(host, command);
}

/// Whether the only child SA stands at both.
pub(super) fn stands(net: &Net) -> bool {
    net.shared() == 1 && net.hosts.iter().all(|host| host.plane.len() == 1)
}

#[test]
fn every_suite_keys_both_directions_alike() {
    for (seed, suite) in [
        "aes128gcm16-x25519",
        "aes256-sha256",
        "aes256gcm16-ecp256",
        "null-sha384-x25519",
        "aes128-sha1-esn",
        "3des-md5",
        "ah-sha256-x25519",
        "aes256ctr-aesxcbc-x25519",
        "aes128ccm12",
    ]
    .into_iter()
    .enumerate()
    {
        let mut net = pair_of(seed as u64, |host, child| {
            let other = if host == A {
                "aes192-sha512"
            } else {
                "aes128gmac"
            };
            child.proposals = [suite, other].map(|text| text.parse().unwrap()).to_vec();
        });
        up(&mut net, A);
        net.run(SECOND);
        assert!(stands(&net), "{suite}");
        net.agree();
        for host in &net.hosts {
            let sa = host.plane.values().next().unwrap();
            assert_eq!(sa.suite.to_string(), suite);
            assert_eq!(host.of(5451).len(), 1);
            assert_eq!(host.of(4654).len(), 0);
            assert!(
                matches!(host.child_verdicts[..], [ref v] if matches!(v.outcome,
                ChildOutcome::Established { id, .. } if id == sa.id))
            );
        }
        net.finish();
        for host in &net.hosts {
            assert_eq!(host.of(5452).len(), 1);
            assert!(host.plane.is_empty());
        }
    }
}

#[test]
fn both_roles_and_either_side_first_and_a_second_request_is_answered_by_what_stands() {
    for host in [A, B] {
        let mut net = pair_of(20, |_, _| {});
        up(&mut net, host);
        net.run(SECOND);
        assert!(stands(&net));
        up(&mut net, host);
        up(&mut net, 1 - host);
        net.run(SECOND);
        assert!(stands(&net));
        assert_eq!(net.hosts[host].child_verdicts.len(), 2);
        assert_eq!(net.hosts[1 - host].child_verdicts.len(), 2);
        assert_eq!(net.hosts[A].of(5451).len(), 1);
        net.finish();
    }
}

#[test]
fn several_children_of_several_pairs_stand_under_one_main_mode() {
    let mut net = pair_with(21, |host, connection| {
        let mut nets = child(host, "nets", &["aes128gcm16"]);
        let more =
            |third: u8| SelectorConfig::Fixed(Selector::subnet([172, 16, third, 0].into(), 24));
        let (ours, theirs) = if host == A {
            (&mut nets.local, &mut nets.remote)
        } else {
            (&mut nets.remote, &mut nets.local)
        };
        ours.push(more(1));
        theirs.push(more(2));
        let mut ssh = child(host, "ssh", &["aes256-sha256-x25519"]);
        let port = |selector: &mut Vec<SelectorConfig>, port| {
            *selector = vec![SelectorConfig::Dynamic { protocol: 6, port }];
        };
        port(&mut ssh.local, if host == A { 0 } else { 22 });
        port(&mut ssh.remote, if host == A { 22 } else { 0 });
        (nets.auto, ssh.auto) = (host == A, host == A);
        connection.children = vec![Arc::new(nets), Arc::new(ssh)];
    });
    net.up(A);
    net.run(10 * SECOND);
    assert_eq!(net.hosts[A].endpoint.sas.len(), 1);
    assert_eq!(net.shared(), 5);
    net.agree();
    let ssh = net.hosts[B].plane.values().find(|sa| sa.child == "ssh");
    let ssh = ssh.unwrap();
    assert_eq!(ssh.local_selector, Selector::host(address(2)).with(6, 22));
    assert_eq!(ssh.remote_selector, Selector::host(address(1)).with(6, 0));
    // One child goes, and the others stay.
    let connection = net.hosts[B].connections[0].name.clone();
    let terminate = Command::TerminateChild {
        connection: connection.clone(),
        child: "nets".to_owned(),
    };
    net.command(B, terminate);
    net.run(SECOND);
    assert_eq!(net.shared(), 1);
    let done = (connection, "nets".to_owned(), 4);
    assert_eq!(net.hosts[B].child_terminated, [done]);
    for (host, cause) in [(A, Cause::DeletedByPeer), (B, Cause::DeletedByOperator)] {
        assert_eq!(net.hosts[host].causes(5452), [cause; 4]);
        assert_eq!(net.hosts[host].causes(5049), [cause; 4]);
    }
    assert_eq!(net.hosts[A].endpoint.sas.len(), 1);
    net.finish();
}

#[test]
fn an_ipsec_sa_that_a_shutdown_deletes_says_so_on_both_of_its_events() {
    let mut net = pair_of(33, |_, _| {});
    up(&mut net, A);
    net.run(10 * SECOND);
    assert_eq!(net.shared(), 1);
    net.command(A, Command::Shutdown);
    net.run(SECOND);
    for (host, cause) in [(A, Cause::Shutdown), (B, Cause::DeletedByPeer)] {
        for event in [5049, 5452] {
            assert_eq!(net.hosts[host].causes(event), [cause], "{host} {event}");
        }
    }
}

#[test]
fn auto_children_begin_with_the_sa_whoever_began_that_and_once() {
    for (seed, auto) in [[true, false], [false, true], [true, true]]
        .into_iter()
        .enumerate()
    {
        for host in [A, B] {
            let mut net = pair_of(30 + seed as u64, |host, child| child.auto = auto[host]);
            net.up(host);
            net.run(10 * SECOND);
            assert!(stands(&net), "{auto:?} {host}");
            assert_eq!(net.hosts[A].of(5451).len(), 1);
            net.finish();
        }
    }
}

#[test]
fn the_lesser_lifetimes_count_on_both_sides() {
    for (seed, hours) in [[1, 2], [2, 1]].into_iter().enumerate() {
        let mut net = pair_of(40 + seed as u64, |host, child| {
            child.lifetime = Duration::from_hours(hours[host]);
            child.lifetime_bytes = (host == B).then_some(1 << 30);
            child.lifetime_packets = (host == A).then_some(1_000_000);
        });
        up(&mut net, A);
        net.run(SECOND);
        for host in &net.hosts {
            let live = host.endpoint.children.values().next().unwrap();
            assert_eq!(live.lifetime, Duration::from_hours(1));
            let sa = host.plane.values().next().unwrap();
            assert_eq!(sa.hard_bytes, Some(1 << 30));
            assert!(sa.soft_bytes < sa.hard_bytes);
        }
        let packets = net
            .hosts
            .iter()
            .map(|h| h.plane.values().next().unwrap().hard_packets);
        assert_eq!(packets.collect::<Vec<_>>(), [Some(1_000_000), None]);
        net.finish();
    }
}

/// A child in this mode; in transport mode it is between the hosts themselves.
pub(super) fn in_mode(child: &mut Child, mode: Mode) {
    child.mode = mode;
    if mode == Mode::Transport {
        let own = SelectorConfig::Dynamic {
            protocol: 0,
            port: 0,
        };
        (child.local, child.remote) = (vec![own], vec![own]);
    }
}

#[test]
fn behind_a_nat_esp_is_in_udp_on_ikes_ports_and_transport_mode_tells_the_original_addresses() {
    for mode in [Mode::Tunnel, Mode::Transport] {
        let outside = address(201);
        let mut net = pair_with(50, |host, connection| {
            let mut child = child(host, "net", &[SUITE]);
            in_mode(&mut child, mode);
            connection.children = vec![Arc::new(child)];
            if host == B {
                connection.remote_address = RemoteAddress::Host(outside);
            }
        });
        net.path = Box::new(|_, packet| vec![(Duration::from_millis(5), translate(packet))]);
        up(&mut net, A);
        net.run(SECOND);
        assert!(stands(&net), "{mode:?}");
        net.agree();
        let sas: Vec<_> = net
            .hosts
            .iter()
            .map(|h| h.plane.values().next().unwrap().clone())
            .collect();
        assert!(sas.iter().all(|sa| sa.udp_encap && sa.mode == mode));
        assert_eq!((sas[A].local.port(), sas[A].remote.port()), (4500, 4500));
        assert_eq!((sas[B].local.port(), sas[B].remote.port()), (4500, 24_500));
        if mode == Mode::Transport {
            assert_eq!(sas[B].peer_original, Some(address(1)));
            assert_eq!(sas[B].remote_selector, Selector::host(outside));
            assert_eq!(sas[A].peer_original, Some(address(2)));
            assert_eq!(sas[A].own_original, Some(outside));
        } else {
            assert_eq!(sas[B].peer_original, None);
        }
        net.finish();
    }
}

#[test]
fn a_childs_outer_port_follows_the_nat() {
    let mut net = pair_with(51, |host, connection| {
        connection.force_encap = host == A;
        connection.dpd = Some(crate::config::Dpd {
            delay: 5 * SECOND,
            timeout: 20 * SECOND,
        });
        connection.children = vec![Arc::new(child(host, "net", &[SUITE]))];
    });
    up(&mut net, A);
    net.run(SECOND);
    assert!(stands(&net));
    net.path = super::net::filtered(|packet| {
        if packet.sender == A {
            packet.from.set_port(31_337);
        } else if packet.to.port() == 31_337 {
            packet.to.set_port(4500);
        } else {
            return false;
        }
        true
    });
    net.run(60 * SECOND);
    assert_eq!(
        net.hosts[B].plane.values().next().unwrap().remote.port(),
        31_337
    );
    net.finish();
}

#[test]
fn a_peer_that_asks_for_more_is_given_what_is_ours() {
    let mut net = pair_of(52, |host, child| {
        if host == A {
            child.remote = vec![SelectorConfig::Fixed(Selector::subnet(
                [10, 0, 0, 0].into(),
                8,
            ))];
        }
    });
    up(&mut net, A);
    net.run(SECOND);
    assert!(stands(&net));
    net.agree();
    let narrowed = net.hosts[A].plane.values().next().unwrap();
    assert_eq!(narrowed.remote_selector, self::net(B));
    // Asked for again, by an operator or by traffic for what the peer did not take, it stands.
    for _ in 0..3 {
        up(&mut net, A);
        net.run(SECOND);
    }
    assert!(stands(&net));
    for host in &net.hosts {
        assert_eq!((host.of(5451).len(), host.of(5452).len()), (1, 0));
    }
    assert_eq!(net.hosts[A].child_verdicts.len(), 4);
    net.finish();
}

#[test]
fn a_peer_whose_packets_come_from_elsewhere_is_there_with_all_its_sas() {
    for nat in [true, false] {
        let mut net = pair_with(60, |host, c| {
            c.force_encap = nat && host == A;
            c.children = ["one", "two"]
                .map(|name| Arc::new(child(host, name, &[SUITE])))
                .to_vec();
        });
        for name in ["one", "two"] {
            let command = net.hosts[A].initiate_child(name, address(2));
            net.command(A, command);
        }
        net.run(SECOND);
        assert_eq!(net.hosts[B].plane.len(), 2);
        let elsewhere = std::net::SocketAddr::new(address(77), 4_711);
        let id = *net.hosts[B].plane.keys().next().unwrap();
        net.input(B, crate::Input::Moved(id, elsewhere));
        net.input(B, crate::Input::Moved(crate::ChildSaId(999), elsewhere));
        let moved = |sa: &crate::ChildSa| sa.remote == elsewhere;
        assert!(net.hosts[B].plane.values().all(|sa| moved(sa) == nat));
        let sas = &net.hosts[B].endpoint.sas;
        assert!(sas.values().all(|sa| (sa.route.remote == elsewhere) == nat));
        net.input(
            B,
            crate::Input::Moved(id, std::net::SocketAddr::new(address(1), 4500)),
        );
        net.finish();
    }
}
