//! XAUTH and hybrid authentication: a user after phase 1, in both parts and roles, and what can go wrong.

use std::sync::Arc;
use std::time::Duration;

use audit::{Cause, FailurePoint};
use crypto::Secret;
use isakmp::{ConfigAttributes, ConfigType, ExchangeType};

use super::net::{A, B, Net, filtered};
use super::quick;
use super::{address, pair_with};
use crate::config::{Auth, Connection, CredentialId, RemoteAddress, Xauth};
use crate::identity::Identity;
use crate::ikev1::sa::Sa;
use crate::ikev1::state::State;
use crate::ikev1::transaction;
use crate::job::User;
use crate::pki;

const CERTIFICATE: CredentialId = CredentialId(2);
const USERS: CredentialId = CredentialId(3);

fn user(name: &str, password: &str) -> User {
    User {
        name: name.to_owned(),
        password: Secret::new(password.as_bytes().to_vec()),
    }
}

/// Host B's connection once more, for anybody: of this name and for this user.
fn server_of(net: &Net, name: &str, user: &str) -> Arc<Connection> {
    Arc::new(Connection {
        name: name.to_owned(),
        remote_address: RemoteAddress::Any,
        xauth: Some(Xauth::Server {
            users: USERS,
            names: vec![user.to_owned()],
        }),
        ..(*net.hosts[B].connections[0]).clone()
    })
}

/// How the two sides prove who they are, before the user does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Psk,
    Certificates,
    Hybrid,
}

/// Two hosts; `client` names a user, and the other asks for it.
fn pair_of(client: usize, by: By, change: impl Fn(usize, &mut Connection)) -> Net {
    let mut net = pair_with(31, |host, connection| {
        if by != By::Psk {
            let mut signatures = pki::signatures(CERTIFICATE);
            signatures.hybrid = by == By::Hybrid;
            connection.auth = vec![Auth::Signatures(signatures)];
        }
        connection.xauth = Some(if host == client {
            Xauth::Client(USERS)
        } else {
            Xauth::Server {
                users: USERS,
                names: vec!["dave".to_owned(), "carol".to_owned()],
            }
        });
        change(host, connection);
    });
    for host in [A, B] {
        let side = pki::both()[host].clone();
        net.hosts[host].keys.1.insert(CERTIFICATE, side);
    }
    let all = vec![user("dave", "D4v3"), user("carol", "4iChxLT3")];
    net.hosts[1 - client].keys.2.insert(USERS, all);
    let own = vec![user("carol", "4iChxLT3")];
    net.hosts[client].keys.2.insert(USERS, own);
    net
}

#[test]
fn the_user_passes_in_either_role_with_every_method_and_exchange() {
    for by in [By::Psk, By::Certificates, By::Hybrid] {
        for (client, aggressive) in [(A, false), (B, false), (A, true), (B, true)] {
            let mut net = pair_of(client, by, |_, c| c.aggressive = aggressive);
            net.establish();
            let id = if by == By::Psk { 4650 } else { 4651 };
            for host in &net.hosts {
                let [event] = host.of(id)[..] else {
                    panic!("{by:?} {client} {aggressive}: {:?}", host.events);
                };
                assert_eq!(event.extra.user.as_deref(), Some("carol"));
                let words = event.extra.exchange.unwrap();
                assert_eq!(words.contains("Aggressive"), aggressive, "{words}");
                assert_eq!(words.contains("hybrid"), by == By::Hybrid, "{words}");
            }
            // The word about the user was confirmed.
            net.run(Duration::from_secs(1));
            assert!(
                net.hosts
                    .iter()
                    .all(|h| h.endpoint.sas.values().all(|sa| sa.asked.is_none()))
            );
            net.finish();
        }
    }
}

#[test]
fn a_wrong_password_or_user_is_one_failure_on_each_side_and_nothing_stays() {
    for (name, password) in [
        ("carol", "wrong"),
        ("eve", "4iChxLT3"),
        ("", ""),
        ("carol", ""),
    ] {
        let mut net = pair_of(A, By::Psk, |_, _| {});
        net.hosts[A]
            .keys
            .2
            .insert(USERS, vec![user(name, password)]);
        net.up(A);
        net.run(Duration::from_secs(30));
        let failed = net.hosts[B].failure();
        assert_eq!(failed.cause, Cause::XauthFailed);
        assert_eq!(failed.point, FailurePoint::Local);
        let [event] = net.hosts[B].of(4653)[..] else {
            panic!("{name}")
        };
        assert_eq!(event.extra.user.as_deref(), Some(name));
        let told = net.hosts[A].failure();
        assert_eq!(
            (told.cause, told.point),
            (Cause::XauthRefused, FailurePoint::Remote)
        );
        for host in &net.hosts {
            assert!(host.endpoint.sas.is_empty() && host.endpoint.negotiations.is_empty());
            assert!(host.of(4650).is_empty());
        }
        net.finish();
    }
}

/// Messages under the keys of an SA whose exchange type says Quick Mode.
fn quick_modes(sa: &Sa) -> Vec<Vec<u8>> {
    let config = ConfigAttributes {
        kind: ConfigType::REQUEST,
        identifier: 1,
        attributes: Vec::new(),
    };
    (1..=20)
        .map(|id| {
            let (keys, block) = (&sa.keys, &sa.last_block);
            let built = transaction::build(keys, block, None, sa.cookies(), id, &config);
            let (mut message, _) = built.unwrap();
            // The exchange type (RFC 2408 section 3.1): HASH(1) does not cover it.
            message[18] = ExchangeType::QUICK_MODE.0;
            message
        })
        .collect()
}

#[test]
fn nothing_is_spoken_under_the_keys_before_the_user_has_passed() {
    let mut net = pair_of(A, By::Psk, |host, connection| {
        connection.children = vec![quick::child(host, "net", &[quick::SUITE]).into()];
    });
    quick::up(&mut net, A);
    net.path = filtered(|packet| {
        let header = isakmp::Datagram::parse(&packet.bytes).unwrap().header;
        header.exchange != ExchangeType::TRANSACTION
    });
    net.run(Duration::from_secs(1));
    // A client that does not wait for the question: its Quick Modes are under the right keys.
    let asked: Vec<Vec<u8>> = net.hosts[A]
        .endpoint
        .negotiations
        .values()
        .flat_map(|n| match &n.state {
            State::Xauth(pending) => quick_modes(&pending.sa),
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(asked.len(), 20);
    let answers = net.hosts[B].sent.len();
    let (a, b) = net.ends();
    for message in &asked {
        net.inject(B, a, b, message);
    }
    net.run(Duration::from_mins(2));
    let to_quick_mode = |bytes: &Vec<u8>| {
        isakmp::Datagram::parse(bytes).unwrap().header.exchange == ExchangeType::QUICK_MODE
    };
    assert!(!net.hosts[B].sent[answers..].iter().any(to_quick_mode));
    assert!(net.hosts[B].plane.is_empty() && net.hosts[A].plane.is_empty());
    assert!(net.hosts[B].of(5451).is_empty() && net.hosts[B].of(4654).is_empty());
    assert_eq!(net.hosts[B].failure().cause, Cause::XauthSilence);
    // It says so, under the keys.
    assert_eq!(net.hosts[A].failure().cause, Cause::DeletedEarly);
    net.finish();
}

#[test]
fn a_lost_message_of_each_kind_is_made_good() {
    // Four TRANSACTIONs: the question, the answer, the word, its acknowledgement.
    for lost in 1..=4 {
        let mut net = pair_of(A, By::Psk, |_, _| {});
        let mut count = 0;
        net.path = filtered(move |packet| {
            let header = isakmp::Datagram::parse(&packet.bytes).unwrap().header;
            count += usize::from(header.exchange == ExchangeType::TRANSACTION);
            header.exchange != ExchangeType::TRANSACTION || count != lost
        });
        net.up(A);
        net.run(Duration::from_secs(20));
        for host in &net.hosts {
            host.established();
            assert!(
                host.endpoint.sas.values().all(|sa| sa.asked.is_none()),
                "{lost}"
            );
            assert!(host.of(4976).is_empty(), "{lost}: {:?}", host.of(4976));
        }
        net.finish();
    }
}

/// The server asks for the user as soon as it has sent the last message of phase 1: the question may come first.
#[test]
fn a_question_that_overtakes_the_last_message_is_kept() {
    let phase_1 = [ExchangeType::IDENTITY_PROTECTION, ExchangeType::AGGRESSIVE];
    for (client, aggressive, last) in [(A, false, 6), (B, true, 3)] {
        let mut net = pair_of(client, By::Psk, |_, c| c.aggressive = aggressive);
        let mut count = 0;
        net.path = Box::new(move |_, packet| {
            let header = isakmp::Datagram::parse(&packet.bytes).unwrap().header;
            count += usize::from(phase_1.contains(&header.exchange));
            let late = phase_1.contains(&header.exchange) && count == last;
            let wait = Duration::from_millis(if late { 100 } else { 5 });
            vec![(wait, packet)]
        });
        net.up(A);
        net.run(Duration::from_millis(400));
        for host in &net.hosts {
            host.established();
            assert!(host.of(4976).is_empty(), "{last}: {:?}", host.of(4976));
        }
        net.finish();
    }
}

#[test]
fn one_side_alone_with_xauth_agrees_on_nothing() {
    for client in [A, B] {
        let mut net = pair_of(client, By::Psk, |host, connection| {
            if host == B {
                connection.xauth = None;
            }
        });
        net.up(A);
        net.run(Duration::from_secs(30));
        assert_eq!(net.hosts[B].failure().cause, Cause::AuthMethodRefused);
        assert_eq!(net.hosts[A].failure().cause.token(), "no-proposal-chosen");
        net.finish();
    }
}

#[test]
fn the_users_name_chooses_the_connection() {
    let mut net = pair_of(A, By::Psk, |host, connection| {
        if host == A {
            connection.local_id = Some(Identity::parse("group.example").unwrap());
        }
    });
    let of = |name: &str, user: &str| server_of(&net, name, user);
    let connections = vec![of("for-dave", "dave"), of("for-carol", "carol")];
    net.hosts[B].connections = connections.clone();
    net.command(B, crate::Command::Connections(connections));
    net.establish();
    let sa = net.hosts[B].endpoint.sas.values().next().unwrap();
    assert_eq!(sa.connection.name, "for-carol");
    assert_eq!(
        net.hosts[B].of(4650)[0].extra.connection.as_deref(),
        Some("for-carol")
    );
    net.finish();
}

#[test]
fn a_user_gets_into_no_connection_that_was_taken_away_while_the_name_was_typed() {
    let mut net = pair_of(A, By::Psk, |host, connection| {
        if host == A {
            connection.local_id = Some(Identity::parse("group.example").unwrap());
        }
    });
    let of = |name: &str, user: &str| server_of(&net, name, user);
    let (dave, carol) = (of("for-dave", "dave"), of("for-carol", "carol"));
    let both = vec![dave.clone(), carol];
    net.command(B, crate::Command::Connections(both));
    // The answer to the question does not arrive.
    net.path = filtered(|packet| {
        let header = isakmp::Datagram::parse(&packet.bytes).unwrap().header;
        packet.sender == B || header.exchange != ExchangeType::TRANSACTION
    });
    net.up(A);
    net.run(Duration::from_secs(1));
    net.command(B, crate::Command::Connections(vec![dave]));
    net.path = super::net::perfect();
    net.run(Duration::from_secs(30));
    assert!(
        net.hosts[B]
            .endpoint
            .sas
            .values()
            .all(|sa| sa.connection.name == "for-dave")
    );
    assert!(
        net.hosts[B]
            .of(4650)
            .iter()
            .all(|e| e.extra.connection.as_deref() == Some("for-dave"))
    );
    net.finish();
}

#[test]
fn the_users_name_chooses_the_connection_in_aggressive_mode_too() {
    let mut net = pair_of(A, By::Psk, |host, connection| {
        connection.aggressive = true;
        if host == A {
            connection.local_id = Some(Identity::parse("group.example").unwrap());
        }
    });
    let of = |name: &str, user: &str| server_of(&net, name, user);
    let connections = vec![of("for-dave", "dave"), of("for-carol", "carol")];
    net.hosts[B].connections.clone_from(&connections);
    net.command(B, crate::Command::Connections(connections));
    net.establish();
    let sa = net.hosts[B].endpoint.sas.values().next().unwrap();
    assert_eq!(sa.connection.name, "for-carol");
    net.finish();
}

#[test]
fn a_user_whom_no_connection_names_is_refused() {
    let mut net = pair_of(A, By::Psk, |host, connection| {
        if host == B {
            connection.xauth = Some(Xauth::Server {
                users: USERS,
                names: vec!["dave".to_owned()],
            });
        }
    });
    net.hosts[B]
        .keys
        .2
        .insert(USERS, vec![user("dave", "D4v3")]);
    net.up(A);
    net.run(Duration::from_secs(30));
    assert_eq!(net.hosts[B].failure().cause, Cause::XauthFailed);
    net.finish();
}

#[test]
fn a_user_leads_to_no_connection_whose_trust_or_policy_has_not_looked_at_the_certificate() {
    for alike in [true, false] {
        let mut net = pair_of(A, By::Certificates, |_, _| {});
        let of = |name: &str, user: &str, credential: CredentialId| {
            let mut connection = (*server_of(&net, name, user)).clone();
            connection.auth = vec![Auth::Signatures(pki::signatures(credential))];
            Arc::new(connection)
        };
        let other = if alike { CERTIFICATE } else { CredentialId(9) };
        let connections = vec![
            of("for-dave", "dave", CERTIFICATE),
            of("for-carol", "carol", other),
        ];
        let side = net.hosts[B].keys.1[&CERTIFICATE].clone();
        net.hosts[B].keys.1.insert(CredentialId(9), side);
        let only_dave = vec![user("dave", "D4v3")];
        if !alike {
            net.hosts[B].keys.2.insert(USERS, only_dave);
        }
        net.hosts[B].connections.clone_from(&connections);
        net.command(B, crate::Command::Connections(connections));
        net.up(A);
        net.run(Duration::from_secs(30));
        if alike {
            net.hosts[B].established();
            let sa = net.hosts[B].endpoint.sas.values().next().unwrap();
            assert_eq!(sa.connection.name, "for-carol");
        } else {
            assert_eq!(net.hosts[B].failure().cause, Cause::XauthFailed);
            assert!(net.hosts[B].endpoint.sas.is_empty());
        }
        net.finish();
    }
}

#[test]
fn two_users_of_one_group_do_not_end_each_others_sas() {
    let mut net = pair_of(A, By::Psk, |host, connection| {
        if host == A {
            connection.local_id = Some(Identity::parse("group.example").unwrap());
        } else {
            connection.remote_id = Some(Identity::parse("group.example").unwrap());
        }
    });
    net.establish();
    // The other user comes from the same host, which has forgotten the first.
    net.hosts[A]
        .keys
        .2
        .insert(USERS, vec![user("dave", "D4v3")]);
    net.crash(A);
    net.up(A);
    net.run(Duration::from_secs(5));
    let users: Vec<_> = net.hosts[B]
        .endpoint
        .sas
        .values()
        .map(|sa| sa.user.as_deref())
        .collect();
    assert_eq!(users, [Some("carol"), Some("dave")]);
    net.run(Duration::from_mins(5));
    net.finish();
}

#[test]
fn a_replacement_asks_for_the_user_again() {
    let mut net = pair_of(A, By::Psk, |_, connection| {
        connection.lifetime = Duration::from_mins(10);
    });
    net.establish();
    net.run(Duration::from_mins(9) + Duration::from_secs(30));
    for host in &net.hosts {
        assert_eq!(host.of(4650).len(), 2);
        assert_eq!(host.causes(4655).len(), 1);
        assert_eq!(host.endpoint.sas.len(), 1);
    }
    net.finish();
}

#[test]
fn hybrid_takes_no_certificate_of_the_client() {
    let mut net = pair_of(A, By::Hybrid, |_, _| {});
    net.hosts[A]
        .keys
        .1
        .get_mut(&CERTIFICATE)
        .unwrap()
        .own
        .clear();
    net.establish();
    net.finish();
}

#[test]
fn the_operator_ends_what_waits_for_a_user() {
    let mut net = pair_of(A, By::Psk, |_, _| {});
    net.path = filtered(|packet| {
        let header = isakmp::Datagram::parse(&packet.bytes).unwrap().header;
        header.exchange != ExchangeType::TRANSACTION
    });
    net.up(A);
    net.run(Duration::from_secs(1));
    net.command(
        A,
        crate::Command::Terminate {
            connection: "to-b".to_owned(),
        },
    );
    net.run(Duration::from_secs(5));
    assert_eq!(net.hosts[A].failure().cause, Cause::StoppedByOperator);
    assert_eq!(net.hosts[B].failure().cause, Cause::DeletedEarly);
    assert_eq!(net.hosts[B].address, address(2));
    net.finish();
}
