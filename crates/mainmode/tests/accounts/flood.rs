//! Floods: what they may write is bounded, and what was held back is counted and told.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use crate::support::{EVERYTHING, Place, Side, account_written, alone, cause, finish, pair, until};

/// Sockets at loopback addresses of their own.
fn sources(test: u8, count: u8) -> Vec<UdpSocket> {
    let Place { address, .. } = Place::new(test, 1);
    let [a, b, c, _] = address.octets();
    (100..100 + count)
        .map(|host| UdpSocket::bind((Ipv4Addr::new(a, b, c, host), 0)).expect("bound"))
        .collect()
}

/// Sends `total` datagrams, no faster than they are taken: none is lost on the way.
fn send(
    side: &Side,
    to: SocketAddr,
    sources: &[UdpSocket],
    total: u64,
    message: impl Fn(u64) -> Vec<u8>,
    taken: impl Fn() -> u64,
) {
    for number in 0..total {
        let source = &sources[usize::try_from(number).expect("small") % sources.len()];
        source.send_to(&message(number), to).expect("sent");
        if number % 60 == 59 || number + 1 == total {
            until("the daemon took them all", || taken() == number + 1);
        }
    }
    side.verify();
}

/// Sends a daemon what no IKE message is.
fn send_noise(side: &Side, sources: &[UdpSocket], total: u64) {
    let address = {
        let text = std::fs::read_to_string(side.path("m.toml")).expect("there");
        let port = text.lines().find_map(|line| line.strip_prefix("port = "));
        let ip = text
            .lines()
            .find_map(|line| line.strip_prefix("addresses = [\"")?.strip_suffix("\"]"));
        format!("{}:{}", ip.expect("ip"), port.expect("port"))
    };
    send(
        side,
        address.parse().expect("an address"),
        sources,
        total,
        |number| vec![0xff; 28 + usize::try_from(number % 50).expect("small")],
        || side.counters().held_back + side.of(4976).len() as u64,
    );
}

/// What the log told as discarded, in all.
fn told(side: &Side) -> Vec<u64> {
    let number = |event: &serde_json::Value| {
        let text = event["EventData"]["AuditsDiscarded"].as_str();
        text.and_then(|text| text.parse().ok()).expect("a number")
    };
    side.of(4612).iter().map(number).collect()
}

#[test]
fn a_flood_of_noise_writes_a_bounded_number_of_4976_and_one_4612_with_the_rest() {
    let (mut north, south) = pair(40, EVERYTHING, EVERYTHING);
    let total = 900;
    send_noise(&north, &sources(40, 30), total);
    let written = north.of(4976).len() as u64;
    // 200 at once, then ten a second; and the promise is what it costs, not how fast this machine is.
    assert!((200..total / 2).contains(&written), "{written}");
    let c = north.counters();
    assert_eq!((c.held_back, c.negotiations), (total - written, 0));
    // An honest peer is served all the same.
    south.run(&["up", "peer"]).good();
    north.stop();
    assert_eq!(told(&north).iter().sum::<u64>(), total - written);
    assert_eq!(told(&north).len(), 1);
    north.verify();
    north.start();
    assert_eq!(north.counters().held_back, total - written);
}

#[test]
fn what_was_held_back_before_a_kill_is_told_after_the_next_start_and_once_only() {
    let (mut side, _silent) = alone(43, EVERYTHING);
    let total = 600;
    send_noise(&side, &sources(43, 2), total);
    let held_back = total - side.of(4976).len() as u64;
    account_written();
    assert!(told(&side).is_empty());
    side.kill();
    side.start();
    until("4612 tells of it", || !side.of(4612).is_empty());
    assert_eq!(told(&side), [held_back]);
    for stopped in [false, true] {
        if stopped {
            side.stop();
        } else {
            side.kill();
        }
        side.start();
        assert_eq!(side.counters().held_back, held_back);
        side.stop();
        assert_eq!(told(&side), [held_back]);
        side.start();
    }
    side.verify();
}

#[test]
fn a_flood_of_first_messages_gets_verdicts_that_are_counted_where_they_are_not_written() {
    // The first message of somebody else's negotiation, with other cookies.
    let (other, [peer, _]) = alone(41, EVERYTHING);
    let asking = other.begin(&["up", "peer"]);
    let mut message = vec![0; 2_048];
    let length = peer.recv(&mut message).expect("message 1");
    message.truncate(length);
    finish(asking).failed();

    let (mut side, _silent) = alone(42, EVERYTHING);
    let text = std::fs::read_to_string(side.path("m.toml")).expect("there");
    let port = text.lines().find_map(|line| line.strip_prefix("port = "));
    let port: u16 = port.and_then(|port| port.parse().ok()).expect("a port");
    let to = (Place::new(42, 1).address, port).into();
    let total = 600;
    send(
        &side,
        to,
        &sources(42, 2),
        total,
        |number| {
            let mut message = message.clone();
            // Four zero bytes in front would be the non-ESP marker.
            message[..8].copy_from_slice(&(number + (1 << 63)).to_be_bytes());
            message
        },
        || side.counters().failed,
    );
    let failed = side.of(4653);
    let written = failed.len() as u64;
    assert!(failed.iter().all(|event| cause(event) == "no-connection"));
    // Each source has 200 at once, and then one a second.
    assert!((400..total).contains(&written), "{written}");
    let c = side.settled();
    assert_eq!((c.negotiations, c.failed, c.live), (total, total, 0));
    assert_eq!(c.held_back, total - written);
    side.stop();
    assert_eq!(told(&side), [total - written]);
    side.start();
    assert_eq!(side.counters(), c);
    side.verify();
}
