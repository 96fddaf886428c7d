//! More SAs than there may be, in all and of one holder.

use std::sync::Arc;
use std::time::Duration;

use audit::Cause;
use isakmp::Cookie;

use super::host::Host;
use super::net::{A, B, Net};
use super::{address, pair};
use crate::endpoint::{Endpoint, Party};
use crate::identity::Identity;
use crate::ikev1::negotiation::Route;
use crate::io::VerdictOutcome;
use crate::limits::{MAX_SAS, MAX_SAS_PER_HOLDER};
use crate::{Command, Input};

/// Where the numbers of SAs begin that nobody negotiated: they are younger than all others.
const FIRST: u64 = 1 << 40;

/// Gives a host so many SAs more, copies of the one that it has: of a connection of this name, each with its own cookies
/// and with an identity that none of the others has.
fn crowd(net: &mut Net, host: usize, count: usize, connection: &str) {
    let host = &mut net.hosts[host];
    host.unaccounted = true;
    let endpoint = &mut host.endpoint;
    let mut model = endpoint.sas.values().next().unwrap().clone();
    let mut of = (*model.connection).clone();
    connection.clone_into(&mut of.name);
    model.connection = Arc::new(of);
    for number in (FIRST..).take(count) {
        let mut sa = model.clone();
        sa.mmsa_id = number;
        sa.initiator_cookie = Cookie(number.to_be_bytes());
        sa.remote_id = Identity::parse(&format!("@{number}")).unwrap();
        endpoint.by_cookies.insert(sa.cookies(), Party::Sa(number));
        endpoint.sas_by_peer.insert(&sa.remote_id, number);
        endpoint.sas_by_holder.insert(sa.holder(), number);
        endpoint.sas.insert(number, sa);
    }
}

/// The SAs that were negotiated, by connection and number.
fn negotiated(endpoint: &Endpoint) -> Vec<u64> {
    let ids = endpoint.sas.keys().copied();
    ids.filter(|id| *id < FIRST).collect()
}

/// The cause of the last verdict, which is a failure.
fn refused(host: &Host) -> Cause {
    match host.verdicts.last().unwrap().outcome {
        VerdictOutcome::Failed { cause, .. } => cause,
        VerdictOutcome::Established { .. } => panic!("{:?}", host.verdicts),
    }
}

/// Host A gets another SA with its peer and does not say which it replaces.
fn begin_another(net: &mut Net) {
    let (local, remote) = net.ends();
    let route = Route {
        local,
        remote,
        marked: false,
    };
    net.hosts[A].unaccounted = true;
    let connection = net.hosts[A].connections[0].clone();
    let endpoint = &mut net.hosts[A].endpoint;
    endpoint.begin(net.now, &connection, route, None);
    net.input(A, Input::Timeout);
    net.run(Duration::from_secs(5));
}

/// The host's SA ends and its peer knows nothing of it.
fn forget(net: &mut Net, host: usize) {
    net.hosts[host].unaccounted = true;
    let (now, name) = (net.now, net.hosts[host].connections[0].name.clone());
    let endpoint = &mut net.hosts[host].endpoint;
    for id in negotiated(endpoint) {
        assert_eq!(endpoint.sas[&id].connection.name, name);
        endpoint.end_sa(now, id, Cause::Expired, false);
    }
}

#[test]
fn a_full_table_refuses_strangers_with_a_cause_of_its_own_and_lets_a_peer_replace_its_sa() {
    let mut net = pair(40);
    net.establish();
    let old = negotiated(&net.hosts[B].endpoint);
    crowd(&mut net, B, MAX_SAS - 1, "others");
    let (_, b) = net.ends();
    let first = net.hosts[A].sent[0].clone();
    for last in [1, 9] {
        let mut message = first.clone();
        message[0] ^= 1;
        let sent = net.hosts[B].sent.len();
        let from = std::net::SocketAddr::new(address(last), 500);
        net.inject(B, from, b, &message);
        let answered = net.hosts[B].sent.len() > sent;
        assert_eq!(answered, last == 1);
    }
    // The peer of an SA may begin, and nothing comes of it.
    assert_eq!(net.hosts[B].causes(4653), vec![Cause::TooManySas]);
    assert_eq!(Cause::TooManySas.code(), Some(13_882));
    begin_another(&mut net);
    assert_eq!(net.hosts[A].endpoint.sas.len(), 1);
    assert_eq!(net.hosts[B].endpoint.sas.len(), MAX_SAS);
    assert_eq!(net.hosts[B].causes(4655), vec![Cause::GaveWay]);
    let new = negotiated(&net.hosts[B].endpoint);
    assert!(new.len() == 1 && new != old);
}

#[test]
fn who_proves_itself_and_finds_no_room_is_told_that_there_is_no_sa() {
    let mut net = pair(41);
    net.establish();
    crowd(&mut net, B, MAX_SAS - 2, "others");
    forget(&mut net, B);
    forget(&mut net, A);
    net.up(A);
    net.run(Duration::from_millis(5));
    assert_eq!(net.hosts[B].endpoint.half_open.total(), 1);
    // Others come to stand meanwhile.
    let mut last = net.hosts[B].endpoint.sas.pop_last().unwrap().1;
    for number in [1, 2, 3].map(|n| 2 * FIRST + n) {
        last.mmsa_id = number;
        net.hosts[B].endpoint.sas.insert(number, last.clone());
    }
    assert_eq!(net.hosts[B].endpoint.sas.len(), MAX_SAS);
    net.run(Duration::from_secs(5));
    assert_eq!(net.hosts[B].causes(4653), vec![Cause::TooManySas]);
    assert_eq!(net.hosts[A].causes(4653), vec![Cause::DeletedEarly]);
    assert_eq!(net.hosts[B].endpoint.sas.len(), MAX_SAS);
    assert_eq!(net.hosts[A].endpoint.sas.len(), 0);
}

#[test]
fn a_full_table_begins_nothing_new_and_replaces_what_there_is() {
    let mut net = pair(42);
    net.establish();
    let old = negotiated(&net.hosts[A].endpoint);
    crowd(&mut net, A, MAX_SAS - 1, "others");
    let lifetime = net.hosts[A].endpoint.sas[&old[0]].lifetime;
    net.run(lifetime);
    let new = negotiated(&net.hosts[A].endpoint);
    assert!(new.len() == 1 && new != old);
    assert_eq!(net.hosts[A].causes(4655), vec![Cause::Replaced]);
    assert_eq!(net.hosts[A].endpoint.sas.len(), MAX_SAS);
    // Of a connection that has no SA nothing begins, and whoever asked hears why.
    let mut another = (*net.hosts[A].connections[0]).clone();
    another.name = "another".to_owned();
    let connections = [net.hosts[A].connections[0].clone(), Arc::new(another)];
    net.command(A, Command::Connections(connections.to_vec()));
    let (local, remote) = net.ends();
    let negotiations = net.hosts[A].endpoint.counters().negotiations;
    let command = Command::Initiate {
        connection: "another".to_owned(),
        local,
        remote,
    };
    net.command(A, command);
    assert_eq!(refused(&net.hosts[A]), Cause::TooManySas);
    let counters = net.hosts[A].endpoint.counters();
    assert_eq!(counters.negotiations, negotiations);
}

#[test]
fn whoever_holds_half_of_all_sas_gets_new_ones_in_the_place_of_its_oldest_whatever_names_it_gives()
{
    let mut net = pair(43);
    net.establish();
    let old = negotiated(&net.hosts[B].endpoint);
    let ours = net.hosts[B].connections[0].name.clone();
    crowd(&mut net, B, MAX_SAS_PER_HOLDER, &ours);
    forget(&mut net, B);
    forget(&mut net, A);
    assert_eq!(net.hosts[B].endpoint.sas.len(), MAX_SAS_PER_HOLDER);
    net.up(A);
    net.run(Duration::from_secs(5));
    // The key is all that these proved: the oldest of them went.
    assert_eq!(net.hosts[B].endpoint.sas.len(), MAX_SAS_PER_HOLDER);
    let ended = vec![Cause::Expired, Cause::GaveWay];
    assert_eq!(net.hosts[B].causes(4655), ended);
    assert!(!net.hosts[B].endpoint.sas.contains_key(&FIRST));
    let new = negotiated(&net.hosts[B].endpoint);
    assert!(new.len() == 1 && new != old);
}

#[test]
fn with_half_of_all_sas_anothers_nobody_gives_way() {
    let mut net = pair(44);
    net.establish();
    crowd(&mut net, B, MAX_SAS_PER_HOLDER, "others");
    begin_another(&mut net);
    assert_eq!(net.hosts[B].causes(4655), vec![]);
    assert_eq!(net.hosts[B].endpoint.sas.len(), MAX_SAS_PER_HOLDER + 2);
}
