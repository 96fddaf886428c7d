//! Another set of connections: what stays, what ends, and what is told.

use std::sync::Arc;
use std::time::Duration;

use audit::Cause;

use super::net::{A, B, Net, filtered, perfect};
use super::quick::{SUITE, child, pair_of, stands, up};
use super::{address, pair_with};
use crate::child::{Child, ChildOutcome};
use crate::config::{Connection, RemoteAddress};
use crate::identity::Identity;
use crate::io::{Command, Output, Replaced};

const SECOND: Duration = Duration::from_secs(1);

/// Gives a host its only connection anew, changed; and what was told of it.
fn replace(net: &mut Net, host: usize, change: impl FnOnce(&mut Connection)) -> Replaced {
    let mut connection = (*net.hosts[host].connections[0]).clone();
    change(&mut connection);
    net.hosts[host].connections = vec![Arc::new(connection)];
    let connections = net.hosts[host].connections.clone();
    net.command(host, Command::Connections(connections));
    net.hosts[host].replaced.pop().expect("it was told")
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn with(children: &[&Child]) -> Vec<Arc<Child>> {
    children
        .iter()
        .map(|child| Arc::new((*child).clone()))
        .collect()
}

#[test]
fn each_connection_is_told_by_what_became_of_it() {
    let mut net = pair_with(200, |_, _| {});
    let one = (*net.hosts[A].connections[0]).clone();
    let named = |name: &str, lifetime: Duration, may_initiate: bool| {
        Arc::new(Connection {
            name: name.to_owned(),
            lifetime,
            may_initiate,
            ..one.clone()
        })
    };
    let list = |list: &[(&str, Duration, bool)]| {
        let all = list
            .iter()
            .map(|(name, life, may)| named(name, *life, *may));
        Command::Connections(all.collect())
    };
    net.command(
        A,
        list(&[
            ("a", SECOND, true),
            ("b", SECOND, true),
            ("c", SECOND, true),
            ("d", SECOND, true),
        ]),
    );
    let told = net.hosts[A].replaced.pop().expect("it was told");
    assert_eq!(told.added, names(&["a", "b", "c", "d"]));
    assert_eq!(told.removed, names(&["to-b"]));
    net.command(
        A,
        list(&[
            ("e", SECOND, true),
            ("c", 2 * SECOND, true),
            ("b", SECOND, false),
            ("a", SECOND, true),
        ]),
    );
    let told = net.hosts[A].replaced.pop().expect("it was told");
    let expected = Replaced {
        kept: names(&["a"]),
        amended: names(&["b"]),
        changed: names(&["c"]),
        added: names(&["e"]),
        removed: names(&["d"]),
    };
    assert_eq!(told, expected);
    net.finish();
}

#[test]
fn a_child_that_is_added_leaves_all_that_stands_and_begins_where_it_is_to() {
    for auto in [false, true] {
        let mut net = pair_of(201, |_, _| {});
        up(&mut net, A);
        net.run(SECOND);
        assert!(stands(&net));
        let mut other = child(A, "other", &[SUITE]);
        other.auto = auto;
        let mut theirs = child(B, "other", &[SUITE]);
        for (host, child) in [(A, &mut other), (B, &mut theirs)] {
            let narrow = |host: usize| {
                crate::SelectorConfig::Fixed(crate::Selector::subnet(
                    [10, [3, 4][host], 0, 0].into(),
                    16,
                ))
            };
            child.local = vec![narrow(host)];
            child.remote = vec![narrow(1 - host)];
        }
        replace(&mut net, B, |c| {
            c.children = with(&[&child(B, "net", &[SUITE]), &theirs]);
        });
        let told = replace(&mut net, A, |c| {
            c.children = with(&[&child(A, "net", &[SUITE]), &other]);
        });
        assert_eq!(told.amended, names(&["to-b"]));
        net.run(SECOND);
        for host in [A, B] {
            let host = &net.hosts[host];
            assert_eq!((host.of(4650).len(), host.of(4655).len()), (1, 0));
            assert_eq!(host.of(5452).len(), 0);
            assert_eq!(host.plane.len(), if auto { 2 } else { 1 });
        }
        // The Main Mode SA knows of it: it comes up when it is asked for.
        let command = net.hosts[A].initiate_child("other", address(2));
        net.command(A, command);
        net.run(SECOND);
        assert_eq!(net.shared(), 2);
        net.finish();
    }
}

#[test]
fn a_child_that_is_taken_out_ends_alone() {
    let mut net = pair_of(202, |_, _| {});
    up(&mut net, A);
    net.run(SECOND);
    let told = replace(&mut net, A, |c| c.children.clear());
    assert_eq!(told.amended, names(&["to-b"]));
    net.run(SECOND);
    assert_eq!(net.hosts[A].causes(5452), vec![Cause::DeletedByOperator]);
    assert_eq!(net.hosts[B].causes(5452), vec![Cause::DeletedByPeer]);
    for host in &net.hosts {
        assert!(host.plane.is_empty());
        assert_eq!(host.endpoint.sas.len(), 1);
        assert_eq!(host.of(4655).len(), 0);
    }
    net.finish();
}

#[test]
fn a_child_that_changed_ends_and_an_auto_one_begins_as_it_is_now() {
    let changes: [fn(&mut Child); 3] = [
        |child| child.proposals = vec!["aes256-sha256-x25519".parse().unwrap()],
        |child| child.lifetime *= 2,
        |child| child.plane = "with a mark".to_owned(),
    ];
    for change in changes {
        let mut net = pair_of(203, |_, child| {
            child
                .proposals
                .push("aes256-sha256-x25519".parse().unwrap());
        });
        up(&mut net, A);
        net.run(SECOND);
        let before = net.hosts[A].installs.len();
        replace(&mut net, A, |c| {
            let mut child = (*c.children[0]).clone();
            change(&mut child);
            child.auto = true;
            c.children = with(&[&child]);
        });
        net.run(SECOND);
        assert_eq!(net.hosts[A].causes(5452), vec![Cause::DeletedByOperator]);
        assert_eq!(net.hosts[A].installs.len(), before + 1);
        assert!(stands(&net));
        assert_eq!(net.hosts[A].of(4650).len(), 1);
        net.finish();
    }
}

#[test]
fn who_may_begin_is_changed_without_an_end() {
    let mut net = pair_of(204, |_, _| {});
    up(&mut net, A);
    net.run(SECOND);
    for _ in 0..2 {
        let told = replace(&mut net, A, |c| {
            c.may_initiate ^= true;
            let mut child = (*c.children[0]).clone();
            child.auto ^= true;
            c.children = with(&[&child]);
        });
        assert_eq!(told.amended, names(&["to-b"]));
    }
    net.run(SECOND);
    assert!(stands(&net));
    assert!(
        net.hosts
            .iter()
            .all(|host| host.of(5452).is_empty() && host.of(5451).len() == 1)
    );
    net.finish();
}

#[test]
fn a_quick_mode_under_way_ends_with_its_child_and_goes_on_without_a_change_of_it() {
    for gone in [false, true] {
        let mut net = pair_of(205, |_, _| {});
        net.establish();
        // Message 1 gets lost.
        net.path = filtered(|_| false);
        up(&mut net, A);
        net.run(SECOND / 10);
        assert_eq!(net.hosts[A].endpoint.quick.len(), 1);
        replace(&mut net, A, |c| {
            if gone {
                c.children.clear();
            } else {
                c.children.push(Arc::new(child(A, "other", &[SUITE])));
            }
        });
        net.path = super::net::perfect();
        net.run(5 * SECOND);
        if gone {
            assert_eq!(net.hosts[A].causes(4654), vec![Cause::PolicyChanged]);
            assert!(net.hosts[A].plane.is_empty());
        } else {
            assert!(stands(&net));
        }
        assert_eq!(net.hosts[A].of(4655).len(), 0);
        net.finish();
    }
}

#[test]
fn a_child_that_is_taken_out_while_the_4650_is_written_is_not_negotiated() {
    let mut net = pair_of(209, |_, _| {});
    net.hosts[B].hold_tickets = true;
    up(&mut net, A);
    net.run(SECOND);
    assert_eq!(net.hosts[B].of(4650).len(), 1);
    replace(&mut net, B, |c| c.children.clear());
    net.release_tickets(B);
    net.run(5 * SECOND);
    net.hosts[B].established();
    assert!(net.hosts.iter().all(|host| host.plane.is_empty()));
    assert!(net.hosts[B].of(5451).is_empty());
    net.finish();
}

#[test]
fn who_waits_for_a_child_that_is_taken_out_is_told_and_main_mode_goes_on() {
    let mut net = pair_of(206, |_, _| {});
    up(&mut net, A);
    replace(&mut net, A, |c| c.children.clear());
    let told = &net.hosts[A].child_verdicts;
    assert!(matches!(
        told[..],
        [ref v] if matches!(v.outcome, ChildOutcome::Failed { cause: Cause::PolicyChanged, .. })
            && v.remote.ip() == address(2)
    ));
    net.run(SECOND);
    assert_eq!(net.hosts[A].of(4650).len(), 1);
    net.finish();
}

#[test]
fn who_waits_for_a_child_of_an_sa_that_falls_as_soon_as_it_stands_is_told() {
    let mut net = pair_of(207, |_, _| {});
    net.hosts[A].hold_tickets = true;
    up(&mut net, A);
    net.run(SECOND);
    assert_eq!(net.hosts[A].of(4650).len(), 1);
    let connection = "to-b".to_owned();
    net.command(A, Command::Terminate { connection });
    net.release_tickets(A);
    net.run(SECOND);
    assert!(matches!(
        net.hosts[A].child_verdicts[..],
        [ref v] if matches!(v.outcome, ChildOutcome::Failed { .. })
    ));
    net.finish();
}

/// Host B has two connections that A's address fits, and A's identity tells that it is for the second. A's message 5 is
/// on its way, and has to be sent again.
fn undetermined(seed: u64) -> (Net, [Arc<Connection>; 2]) {
    let id = |text: &str| Some(Identity::parse(text).unwrap());
    let mut net = pair_with(seed, |host, c| {
        if host == A {
            c.local_id = id("a.example");
        } else {
            c.remote_address = RemoteAddress::Any;
            c.remote_id = id("somebody.example");
        }
    });
    let first = net.hosts[B].connections[0].clone();
    let second = Arc::new(Connection {
        name: "for-a".to_owned(),
        remote_id: id("a.example"),
        ..(*first).clone()
    });
    let both = [first, second];
    net.command(B, Command::Connections(both.to_vec()));
    // Until message 5 only the address speaks, and that fits both.
    net.path = filtered(|packet| packet.bytes.get(19).is_none_or(|flags| flags & 1 == 0));
    net.up(A);
    net.run(SECOND / 2);
    assert_eq!(net.hosts[B].endpoint.negotiations.len(), 1);
    net.path = perfect();
    (net, both)
}

/// What host B failed: by connection and cause.
fn failures(net: &Net) -> Vec<(Option<String>, Cause)> {
    let failed = net.hosts[B].of(4653).into_iter();
    let of = failed.map(|audit| (audit.extra.connection.clone(), audit.extra.cause.unwrap()));
    of.collect()
}

#[test]
fn a_peer_whose_connection_is_taken_away_before_it_says_who_it_is_hears_that() {
    let (mut net, [first, _]) = undetermined(208);
    net.command(B, Command::Connections(vec![first]));
    net.run(5 * SECOND);
    let expected = (Some("for-a".to_owned()), Cause::PolicyChanged);
    assert_eq!(failures(&net), vec![expected]);
    net.finish();

    let (mut net, _) = undetermined(209);
    let connection = "for-a".to_owned();
    net.command(B, Command::Terminate { connection });
    net.run(5 * SECOND);
    let expected = (Some("for-a".to_owned()), Cause::StoppedByOperator);
    assert_eq!(failures(&net), vec![expected]);
    net.finish();
}

/// How one of two connections is taken away.
type Way<'a> = &'a dyn Fn(&mut Net, [Arc<Connection>; 2]);

#[test]
fn a_peer_that_has_not_said_who_it_is_goes_on_without_the_connections_that_it_is_not_for() {
    let replaced = |net: &mut Net, [first, second]: [Arc<Connection>; 2]| {
        let changed = Connection {
            lifetime: first.lifetime / 2,
            ..(*first).clone()
        };
        net.command(B, Command::Connections(vec![Arc::new(changed), second]));
    };
    let removed = |net: &mut Net, [_, second]: [Arc<Connection>; 2]| {
        net.command(B, Command::Connections(vec![second]));
    };
    let ended = |net: &mut Net, [first, _]: [Arc<Connection>; 2]| {
        let connection = first.name.clone();
        net.command(B, Command::Terminate { connection });
    };
    let ways: [Way; 3] = [&replaced, &removed, &ended];
    for (seed, way) in (220..).zip(ways) {
        let (mut net, both) = undetermined(seed);
        way(&mut net, both);
        net.run(5 * SECOND);
        assert_eq!(failures(&net), vec![]);
        let sa = net.hosts[B].endpoint.sas.values().next().expect("an SA");
        assert_eq!(sa.connection.name, "for-a");
        net.agree();
        net.finish();
    }
}

#[test]
fn a_peer_whose_connection_is_taken_away_does_not_fall_to_one_that_takes_anybody() {
    let mut net = pair_with(214, |host, c| {
        if host == A {
            c.local_id = Some(Identity::parse("a.example").unwrap());
        } else {
            c.remote_address = RemoteAddress::Any;
        }
    });
    let first = net.hosts[B].connections[0].clone();
    let second = Arc::new(Connection {
        name: "for-a".to_owned(),
        remote_id: Some(Identity::parse("a.example").unwrap()),
        ..(*first).clone()
    });
    net.command(B, Command::Connections(vec![first, second]));
    net.path = filtered(|packet| packet.bytes.get(19).is_none_or(|flags| flags & 1 == 0));
    net.up(A);
    net.run(SECOND / 2);
    let connection = "for-a".to_owned();
    net.command(B, Command::Terminate { connection });
    net.path = perfect();
    net.run(5 * SECOND);
    let expected = (Some("for-a".to_owned()), Cause::StoppedByOperator);
    assert_eq!(failures(&net), vec![expected]);
    net.finish();
}

#[test]
fn when_the_last_connection_that_fits_is_taken_away_the_negotiation_ends() {
    let (mut net, _) = undetermined(210);
    net.command(B, Command::Connections(Vec::new()));
    assert_eq!(net.hosts[B].causes(4653), vec![Cause::PolicyChanged]);
    assert!(net.hosts[B].endpoint.negotiations.is_empty());
    net.run(60 * SECOND);
    net.finish();
}

#[test]
fn the_connection_that_a_peer_is_for_says_who_we_are() {
    let id = |text: &str| Some(Identity::parse(text).unwrap());
    let mut net = pair_with(211, |host, c| {
        if host == A {
            c.local_id = id("a.example");
        } else {
            c.remote_id = id("somebody.example");
            c.local_id = id("gw.example");
        }
    });
    let first = net.hosts[B].connections[0].clone();
    let second = Connection {
        name: "for-a".to_owned(),
        remote_id: id("a.example"),
        local_id: None,
        ..(*first).clone()
    };
    net.command(B, Command::Connections(vec![first, Arc::new(second)]));
    net.establish();
    let sa = net.hosts[B].endpoint.sas.values().next().expect("an SA");
    assert_eq!(sa.local_id, Identity::from(address(2)));
    net.finish();
}

#[test]
fn a_connection_that_names_the_peer_comes_before_one_that_takes_anybody() {
    let id = |text: &str| Some(Identity::parse(text).unwrap());
    let mut net = pair_with(212, |host, c| {
        if host == A {
            c.local_id = id("a.example");
        } else {
            c.remote_address = RemoteAddress::Any;
        }
    });
    let first = net.hosts[B].connections[0].clone();
    let second = Connection {
        name: "for-a".to_owned(),
        remote_id: id("a.example"),
        ..(*first).clone()
    };
    net.command(B, Command::Connections(vec![first, Arc::new(second)]));
    net.establish();
    let sa = net.hosts[B].endpoint.sas.values().next().expect("an SA");
    assert_eq!(sa.connection.name, "for-a");
    net.finish();
}

#[test]
fn the_answer_comes_before_the_ends_are_on_disk() {
    let mut net = pair_with(209, |_, _| {});
    net.establish();
    net.hosts[A].hold_tickets = true;
    net.command(A, Command::Connections(Vec::new()));
    assert_eq!(
        net.hosts[A].replaced.pop().expect("told").removed,
        names(&["to-b"])
    );
    assert!(net.hosts[A].endpoint.poll().is_none());
    assert!(
        !net.hosts[A]
            .out
            .iter()
            .any(|o| matches!(o, Output::Terminated { .. }))
    );
    net.release_tickets(A);
    net.finish();
}
