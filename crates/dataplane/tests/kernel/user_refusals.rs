//! What comes from the network and must not pass: made here with the SA's own keys, or without.

use std::net::UdpSocket;
use std::sync::mpsc::{Receiver, channel};

use crypto::esp::Sealer;
use dataplane::{ChildSa, Mode, Plane, PlaneEvent, Refusal, User, UserOptions};

use crate::capture::Capture;
use crate::lab::{Lab, PATIENCE, Watched, ensure, same};
use crate::sas::{ENCAP, pair};
use crate::user::{self, SUITES, nat_socket, open};
use crate::{Outcome, OwnTrial};

pub const TRIALS: &[OwnTrial] = &[
    (
        "what_should_have_been_protected_is_dropped_and_told",
        what_should_have_been_protected_is_dropped_and_told,
    ),
    (
        "what_must_not_pass_is_refused_counted_and_told",
        what_must_not_pass_is_refused_counted_and_told,
    ),
    (
        "ike_is_passed_on_and_keepalives_are_not",
        ike_is_passed_on_and_keepalives_are_not,
    ),
    (
        "a_peer_behind_a_nat_that_changed_its_mind_is_noticed",
        a_peer_behind_a_nat_that_changed_its_mind_is_noticed,
    ),
];

/// A plane on the left with one SA; on the right a bare socket that plays its peer.
pub struct Bare {
    pub lab: Lab,
    pub left: Watched<User>,
    pub peer: UdpSocket,
    pub capture: Capture,
    sealer: Sealer,
    ike: Receiver<(String, Vec<u8>)>,
}

/// An echo request, from 10.2.0.X to 10.1.0.1.
pub fn echo(from: u8, traffic_class: u8) -> Vec<u8> {
    let mut packet = vec![
        0x45,
        traffic_class,
        0,
        28,
        0,
        1,
        0,
        0,
        64,
        1,
        0,
        0,
        10,
        2,
        0,
        from,
        10,
        1,
        0,
        1,
    ];
    let sum = packet.chunks(2).fold(0_u32, |sum, word| {
        sum + u32::from(word[0]) * 256 + u32::from(word[1])
    });
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).expect("a word");
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend([8, 0, 0xf7, 0xfe, 0, 1, 0, 0]);
    packet
}

impl Bare {
    pub fn new() -> Outcome<Self> {
        let lab = Lab::new()?;
        let (mut sa, _): (ChildSa, _) = pair(&SUITES[0], Mode::Tunnel, 1);
        sa.encap = Some(ENCAP);
        let (sender, ike) = channel();
        let mut options = UserOptions::new(lab.state_file(&lab.left));
        options.nat_sockets = vec![nat_socket(&lab.left, "0.0.0.0:4500")?.into()];
        options.ike = Box::new(move |datagram| {
            let ways = format!("{} {}", datagram.local, datagram.remote);
            let _ = sender.send((ways, datagram.bytes.to_vec()));
        });
        let mut left = open(&lab.left, options)?;
        left.plane.install(&sa)?;
        let capture = Capture::start(&lab.left)?;
        let peer = nat_socket(&lab.right, "192.0.2.2:4500")?;
        peer.set_read_timeout(Some(PATIENCE))?;
        let cipher = sa.cipher.ok_or("a cipher")?;
        let inbound = &sa.inbound;
        let sealer = Sealer::new(
            cipher,
            sa.integrity,
            sa.esn,
            inbound.spi,
            &inbound.encryption,
            &inbound.integrity,
        )?;
        Ok(Self {
            lab,
            left,
            peer,
            capture,
            sealer,
            ike,
        })
    }

    pub fn seal(&mut self, payload: &[u8], next_header: u8, sequence: u64) -> Outcome<Vec<u8>> {
        let mut packet = vec![0; self.sealer.sealed_len(payload.len())];
        let at = self.sealer.header_len();
        packet[at..at + payload.len()].copy_from_slice(payload);
        self.sealer
            .seal(&mut packet, payload.len(), next_header, sequence)?;
        Ok(packet)
    }

    pub fn send(&self, packet: &[u8]) -> Outcome {
        self.peer.send_to(packet, "192.0.2.1:4500")?;
        Ok(())
    }

    fn refused(&self, refusal: Refusal) -> Outcome {
        self.left.event(|event| match event {
            PlaneEvent::Refused(refused) if refused.refusal == refusal => Some(()),
            _ => None,
        })
    }

    /// That an echo was answered: the answer has come back sealed.
    pub fn answered(&self) -> Outcome {
        let (len, from) = self.peer.recv_from(&mut [0; 2000])?;
        ensure(len > 60 && from.port() == 4500, || format!("{len} {from}"))
    }
}

fn what_must_not_pass_is_refused_counted_and_told() -> Outcome {
    let mut bare = Bare::new()?;
    let good = bare.seal(&echo(1, 0), 4, 5000)?;
    bare.send(&good)?;
    bare.answered()?;
    bare.send(&good)?;
    bare.refused(Refusal::Replayed)?;
    // Inside of the window of 1,024 and not seen; and beyond.
    let late = bare.seal(&echo(1, 0), 4, 5000 - 1023)?;
    bare.send(&late)?;
    bare.answered()?;
    let too_late = bare.seal(&echo(1, 0), 4, 5000 - 1024)?;
    bare.send(&too_late)?;
    bare.refused(Refusal::TooOld)?;
    let mut forged = bare.seal(&echo(1, 0), 4, 6000)?;
    *forged.last_mut().ok_or("empty")? ^= 1;
    bare.send(&forged)?;
    bare.refused(Refusal::NotAuthentic)?;
    // What is not authentic does not move the window.
    let next = bare.seal(&echo(1, 0), 4, 5001)?;
    bare.send(&next)?;
    bare.answered()?;
    let mut stranger = next.clone();
    stranger[..4].copy_from_slice(&[7; 4]);
    bare.send(&stranger)?;
    bare.refused(Refusal::UnknownSpi)?;
    let mut outside = echo(1, 0);
    outside[13] = 3;
    let outside = bare.seal(&outside, 4, 5002)?;
    bare.send(&outside)?;
    bare.refused(Refusal::Selectors)?;
    for (payload, next_header, sequence) in [
        (vec![1; 40], 4, 5003),
        (echo(1, 0), 41, 5004),
        (echo(1, 0)[..27].to_vec(), 4, 5005),
        (echo(1, 0), 6, 5006),
    ] {
        let odd = bare.seal(&payload, next_header, sequence)?;
        bare.send(&odd)?;
        bare.refused(Refusal::Malformed)?;
    }
    // A dummy, and padding behind a packet, are no offence (RFC 4303 sections 2.6, 2.7).
    let dummy = bare.seal(&[9; 50], 59, 5007)?;
    bare.send(&dummy)?;
    let padded = bare.seal(&[echo(1, 0), vec![0; 100]].concat(), 4, 5008)?;
    bare.send(&padded)?;
    bare.answered()?;
    let counts: Vec<u64> = Refusal::ALL
        .iter()
        .map(|refusal| bare.left.plane.refused(*refusal))
        .collect();
    same("counts", &format!("{counts:?}"), "[1, 1, 1, 1, 1, 4, 0]")?;
    let counters = bare.left.plane.counters(1)?;
    ensure(
        counters.replayed == 2
            && counters.integrity_failures == 1
            && counters.unfit == Some(5)
            && counters.inbound.packets == 4,
        || format!("{counters:?}"),
    )
}

fn ike_is_passed_on_and_keepalives_are_not() -> Outcome {
    let bare = Bare::new()?;
    bare.send(&[0xff])?;
    bare.send(&[0, 0, 0, 0, 1, 2, 3])?;
    let (ways, bytes) = bare.ike.recv_timeout(PATIENCE)?;
    same("ways", &ways, "192.0.2.1:4500 192.0.2.2:4500")?;
    same("bytes", &format!("{bytes:?}"), "[0, 0, 0, 0, 1, 2, 3]")?;
    let refused: u64 = Refusal::ALL
        .iter()
        .map(|r| bare.left.plane.refused(*r))
        .sum();
    ensure(refused == 0, || format!("{refused} were refused"))
}

fn a_peer_behind_a_nat_that_changed_its_mind_is_noticed() -> Outcome {
    let mut bare = Bare::new()?;
    let first = bare.seal(&echo(1, 0), 4, 1)?;
    bare.send(&first)?;
    bare.answered()?;
    let mut forged = bare.seal(&echo(1, 0), 4, 2)?;
    let second = bare.seal(&echo(1, 0), 4, 2)?;
    forged[30] ^= 1;
    let elsewhere = nat_socket(&bare.lab.right, "192.0.2.2:5555")?;
    for packet in [&forged, &second] {
        elsewhere.send_to(packet, "192.0.2.1:4500")?;
    }
    let remote = bare.left.event(|event| match event {
        PlaneEvent::MappingChanged { id: 1, remote } => Some(*remote),
        _ => None,
    })?;
    same("the peer", &remote.to_string(), "192.0.2.2:5555")?;
    // Until the caller has it moved, the answers go where the peer was.
    bare.answered()?;
    bare.left
        .plane
        .move_to(1, "192.0.2.1:4500".parse()?, remote)?;
    let third = bare.seal(&echo(1, 0), 4, 3)?;
    elsewhere.send_to(&third, "192.0.2.1:4500")?;
    elsewhere.set_read_timeout(Some(PATIENCE))?;
    elsewhere.recv_from(&mut [0; 2000])?;
    Ok(())
}

fn what_should_have_been_protected_is_dropped_and_told() -> Outcome {
    let mut lab = Lab::new()?;
    let behind = lab.behind_left()?;
    lab.left.sysctl("net/ipv4/ip_forward", "1")?;
    lab.right.ip("route add 10.1.0.0/16 via 192.0.2.1")?;
    let inside = nat_socket(&lab.left, "10.1.0.1:7000")?;
    let beyond = nat_socket(&behind, "10.1.0.9:7000")?;
    let peer = nat_socket(&lab.right, "10.2.0.1:7000")?;
    let stranger = nat_socket(&lab.right, "192.0.2.2:7000")?;
    for socket in [&inside, &beyond] {
        socket.set_read_timeout(Some(PATIENCE))?;
    }
    // The first of these that arrives is the one that is meant to.
    let arrives = |from: &UdpSocket, word: &str| -> Outcome {
        for (to, address) in [(&inside, "10.1.0.1:7000"), (&beyond, "10.1.0.9:7000")] {
            from.send_to(word.as_bytes(), address)?;
            let mut buffer = [0; 20];
            let (len, _) = to.recv_from(&mut buffer)?;
            same(
                "what arrived",
                &String::from_utf8_lossy(&buffer[..len]),
                word,
            )?;
        }
        Ok(())
    };
    arrives(&peer, "before")?;
    let mut left = user::plane(&lab, &lab.left, Vec::new())?;
    let is_lost = |left: &Watched<User>| -> Outcome {
        for address in ["10.1.0.1:7000", "10.1.0.9:7000"] {
            peer.send_to(b"in the clear", address)?;
            left.event(|event| match event {
                PlaneEvent::Refused(refused) => (refused.refusal == Refusal::ClearText
                    && refused.remote.to_string() == "10.2.0.1"
                    && refused.spi == 0)
                    .then_some(()),
                _ => None,
            })?;
        }
        Ok(())
    };
    let (sa, _) = pair(&SUITES[0], Mode::Tunnel, 1);
    user::install(&lab.left, &mut left, &sa)?;
    is_lost(&left)?;
    // What comes after it is not it; and all else is as it was.
    arrives(&stranger, "another's")?;
    behind.pings("10.1.0.1")?;
    lab.left.pings("-I 10.1.0.1 10.1.0.1")?;
    lab.left.inside(|| left.plane.remove(1))?;
    arrives(&peer, "after it")?;
    // What is waited for is as good; and a side that is everywhere leaves out the networks next door.
    let trap = crate::policies::trap(Mode::Tunnel);
    lab.left.inside(|| left.plane.trap(&trap))?;
    is_lost(&left)?;
    lab.left.inside(|| left.plane.untrap(&trap.name))?;
    arrives(&peer, "after the trap")?;
    let mut all = sa;
    all.remote_selector = crate::policies::net("0.0.0.0/0");
    user::install(&lab.left, &mut left, &all)?;
    is_lost(&left)?;
    behind.pings("10.1.0.1")?;
    arrives(&stranger, "next door")?;
    lab.left.inside(|| left.plane.close())?;
    arrives(&peer, "at the end")?;
    same("policies", lab.left.xfrm()?.trim(), "")
}
