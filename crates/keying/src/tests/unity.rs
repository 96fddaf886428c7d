//! Nets that a server of Mode Config names (Cisco Unity), and the children of its client.

use std::sync::Arc;
use std::time::Duration;

use audit::Cause;
use isakmp::unity::Net as Named;

use super::mode_config::pair_of;
use super::net::{A, B, Net};
use super::quick::{self, stands};
use crate::child::{ChildOutcome, SelectorConfig};
use crate::config::{Connection, ModeConfig};
use crate::selector::Selector;

const ALL: ([u8; 4], u8) = ([0; 4], 0);
const BEHIND: ([u8; 4], u8) = ([10, 2, 0, 0], 17);
const POOL: ([u8; 4], u8) = ([10, 3, 0, 0], 24);
const LAN: ([u8; 4], u8) = ([10, 2, 3, 0], 24);

fn selector((address, prefix): ([u8; 4], u8)) -> Selector {
    Selector::subnet(address.into(), prefix)
}

fn named((address, prefix): ([u8; 4], u8)) -> Named {
    Named::new(address.into(), prefix).unwrap()
}

/// The client asks for nets, and its child is for `remote`; the server names two, and a local LAN.
fn asking(host: usize, connection: &mut Connection, remote: ([u8; 4], u8)) {
    match &mut connection.mode_config {
        Some(ModeConfig::Client(client)) => client.unity = true,
        Some(ModeConfig::Server(server)) => {
            server.split_include = vec![named(BEHIND), named(POOL)];
            server.local_lan = vec![named(LAN)];
        }
        None => {}
    }
    let child = Arc::make_mut(&mut connection.children[0]);
    *(if host == A {
        &mut child.remote
    } else {
        &mut child.local
    }) = vec![SelectorConfig::Fixed(selector(if host == A {
        remote
    } else {
        ALL
    }))];
}

/// The peer's side of each child SA of the client, and what of it stays outside.
fn of_client(net: &Net) -> Vec<(Selector, Vec<Selector>)> {
    let sas = net.hosts[A].plane.values();
    let mut all: Vec<_> = sas
        .map(|sa| (sa.remote_selector, sa.local_lan.clone()))
        .collect();
    all.sort();
    all
}

#[test]
fn a_client_negotiates_the_nets_that_the_server_names_and_leaves_the_local_lan_outside() {
    for push in [false, true] {
        let mut net = pair_of(push, |host, connection| asking(host, connection, ALL));
        quick::up(&mut net, A);
        net.run(Duration::from_secs(5));
        let expected = [
            (selector(BEHIND), vec![selector(LAN)]),
            (selector(POOL), Vec::new()),
        ];
        assert_eq!(of_client(&net), expected, "push: {push}");
        assert!(
            net.hosts[B]
                .plane
                .values()
                .all(|sa| sa.local_lan.is_empty())
        );
        net.agree();
        net.finish();
    }
}

#[test]
fn a_child_that_has_none_of_the_nets_is_not_begun_and_who_asked_hears_why() {
    let elsewhere = ([172, 16, 0, 0], 12);
    let mut net = pair_of(false, |host, connection| {
        asking(host, connection, elsewhere);
    });
    quick::up(&mut net, A);
    net.run(Duration::from_secs(5));
    let [verdict] = &net.hosts[A].child_verdicts[..] else {
        panic!("{:?}", net.hosts[A].child_verdicts)
    };
    assert!(
        matches!(
            &verdict.outcome,
            ChildOutcome::Failed {
                cause: Cause::OutsideSplitInclude,
                ..
            }
        ),
        "{verdict:?}"
    );
    assert!(net.hosts[A].plane.is_empty());
    assert_eq!(net.hosts[A].endpoint.sas.len(), 1);
    net.finish();
}

#[test]
fn who_does_not_ask_is_not_told_and_who_is_not_told_has_its_whole_child() {
    for silent in [A, B] {
        let mut net = pair_of(false, |host, connection| {
            asking(host, connection, ALL);
            match &mut connection.mode_config {
                Some(ModeConfig::Client(client)) if silent == A => client.unity = false,
                Some(ModeConfig::Server(server)) if silent == B => {
                    server.split_include.clear();
                    server.local_lan.clear();
                }
                _ => {}
            }
        });
        quick::up(&mut net, A);
        net.run(Duration::from_secs(5));
        assert!(stands(&net));
        assert_eq!(of_client(&net), [(selector(ALL), Vec::new())], "{silent}");
        net.finish();
    }
}

#[test]
fn a_net_that_the_server_no_longer_names_ends_with_the_main_mode_sa_that_it_was_named_under() {
    let mut net = pair_of(false, |host, connection| {
        asking(host, connection, ALL);
        connection.lifetime = Duration::from_mins(10);
    });
    quick::up(&mut net, A);
    net.run(Duration::from_secs(5));
    assert_eq!(of_client(&net).len(), 2);
    let connections = &mut net.hosts[B].endpoint.core.connections;
    if let Some(ModeConfig::Server(server)) = &mut Arc::make_mut(&mut connections[0]).mode_config {
        server.split_include = vec![named(POOL)];
    }
    net.run(Duration::from_mins(9) + Duration::from_secs(30));
    assert_eq!(net.hosts[A].of(4650).len(), 2);
    assert_eq!(of_client(&net), [(selector(POOL), Vec::new())]);
    net.finish();
}
