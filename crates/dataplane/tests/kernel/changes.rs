//! Child SAs that are replaced or moved while packets pass: needs ESP in the kernel.

use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};

use dataplane::{ChildSa, Mode, Plane, PlaneEvent};

use crate::lab::{Host, Lab, both, carried, ensure, same};
use crate::sas::{ENCAP, SUITES, Suite, compressed, other_end, pair};
use crate::{Outcome, OwnTrial};

pub const TRIALS: &[OwnTrial] = &[
    ("a_replacement_loses_no_ping", a_replacement_loses_no_ping),
    (
        "a_replacement_with_ipcomp_loses_no_ping",
        a_replacement_with_ipcomp_loses_no_ping,
    ),
    (
        "esp_in_udp_follows_the_peer_to_another_port",
        esp_in_udp_follows_the_peer_to_another_port,
    ),
    ("a_moved_sa_goes_on_counting", a_moved_sa_goes_on_counting),
];

fn a_replacement_loses_no_ping() -> Outcome {
    replaced_under_pings(|suite, number| pair(suite, Mode::Tunnel, number.into()))
}

fn a_replacement_with_ipcomp_loses_no_ping() -> Outcome {
    replaced_under_pings(|suite, number| compressed(suite, Mode::Tunnel, number))
}

fn replaced_under_pings(pair: impl Fn(&Suite, u16) -> (ChildSa, ChildSa)) -> Outcome {
    const LAST: u16 = 8;
    let lab = Lab::new()?;
    let (mut left, mut right) = both(&lab, &pair(&SUITES[0], 1))?;
    let pinging = Command::new("ip")
        .args(["netns", "exec", &lab.left.0])
        .args("ping -n -q -s 200 -i 0.01 -w 60 -I 10.1.0.1 10.2.0.1".split(' '))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let replaced = (|| -> Outcome {
        for number in 2..=LAST {
            std::thread::sleep(std::time::Duration::from_millis(150));
            let suite = &SUITES[usize::from(number % 2)];
            let (mut sa, mut other) = pair(suite, number);
            let old = u64::from(number - 1);
            (sa.replaces, other.replaces) = (Some(old), Some(old));
            // As in life, with the right one slow, and now and then nothing comes of it at first.
            if number % 2 == 0 {
                right.plane.expect(&other)?;
                std::thread::sleep(std::time::Duration::from_millis(50));
                right.plane.remove(other.id)?;
            }
            // Or the peer was elsewhere when it began.
            let elsewhere = ChildSa {
                remote: "192.0.2.77".parse()?,
                ..other.clone()
            };
            right
                .plane
                .expect(if number % 3 == 0 { &elsewhere } else { &other })?;
            left.plane.install(&sa)?;
            std::thread::sleep(std::time::Duration::from_millis(50));
            other.take_over = std::time::Duration::ZERO;
            right.plane.install(&other)?;
            for plane in [&mut right.plane, &mut left.plane] {
                while let Some(wait) = plane.tend()? {
                    std::thread::sleep(wait);
                }
            }
            left.plane.remove(old)?;
            right.plane.remove(old)?;
        }
        Ok(())
    })();
    std::thread::sleep(std::time::Duration::from_millis(150));
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pinging.id().cast_signed()),
        nix::sys::signal::Signal::SIGINT,
    )?;
    let done = pinging.wait_with_output()?;
    replaced?;
    let said = String::from_utf8_lossy(&done.stdout);
    // The last may still be on its way when it is interrupted.
    let numbers: Vec<u64> = said
        .lines()
        .filter(|line| line.contains("transmitted"))
        .flat_map(|line| line.split([' ', ',']))
        .filter_map(|word| word.parse().ok())
        .collect();
    ensure(
        numbers.len() >= 2 && numbers[0] > 50 && numbers[0] - numbers[1] <= 1,
        || said.to_string(),
    )?;
    let counters = left.plane.counters(LAST.into())?;
    ensure(
        counters.inbound.packets > 0 && counters.outbound.packets > 0,
        || format!("{counters:?}"),
    )?;
    let states = lab.left.ip("xfrm state")?;
    ensure(states.matches("proto esp").count() == 2, || states.clone())
}

fn nat_t(host: &Host, address: &str) -> Outcome<UdpSocket> {
    let socket = host.inside(|| UdpSocket::bind(address))?;
    dataplane::take_esp_from(&socket)?;
    Ok(socket)
}

fn esp_in_udp_follows_the_peer_to_another_port() -> Outcome {
    for ends in [
        ["192.0.2.1", "192.0.2.2"],
        ["[2001:db8::1]", "[2001:db8::2]"],
    ] {
        let lab = Lab::new()?;
        let at = |side: usize, port: u16| format!("{}:{port}", ends[side]);
        let addresses: [SocketAddr; 3] = [
            at(0, 4500).parse()?,
            at(1, 4500).parse()?,
            at(1, 4999).parse()?,
        ];
        let _sockets = [
            nat_t(&lab.left, &at(0, 4500))?,
            nat_t(&lab.right, &at(1, 4500))?,
            nat_t(&lab.right, &at(1, 4999))?,
        ];
        let (sa, _) = pair(&SUITES[0], Mode::Tunnel, 1);
        let sa = ChildSa {
            local: addresses[0].ip(),
            remote: addresses[1].ip(),
            encap: Some(ENCAP),
            ..sa
        };
        let other = other_end(&sa);
        let (mut left, mut right) = both(&lab, &(sa, other))?;
        lab.left.pings("-I 10.1.0.1 10.2.0.1")?;
        // As when the NAT in front of `right` has given it another port.
        right.plane.move_to(1, addresses[2], addresses[0])?;
        let _ = lab.right.run("ping -n -c 1 -w 1 -I 10.2.0.1 10.1.0.1");
        let remote = left.event(|event| match event {
            PlaneEvent::MappingChanged { id: 1, remote } => Some(*remote),
            _ => None,
        })?;
        ensure(remote == addresses[2], || remote.to_string())?;
        left.plane.move_to(1, addresses[0], remote)?;
        lab.left.pings("-I 10.1.0.1 10.2.0.1")?;
        let states = lab.left.ip("xfrm state")?;
        ensure(states.matches("4999").count() == 2, || states.clone())?;
    }
    Ok(())
}

fn a_moved_sa_goes_on_counting() -> Outcome {
    for suite in &SUITES[..3] {
        let lab = Lab::new()?;
        lab.right.ip("addr add 192.0.2.3/24 dev eth0")?;
        let (mut left, mut right) = both(&lab, &pair(suite, Mode::Tunnel, 1))?;
        lab.left.pings("-I 10.1.0.1 10.2.0.1")?;
        let (here, there) = ("192.0.2.1:0".parse()?, "192.0.2.3:0".parse()?);
        right.plane.move_to(1, there, here)?;
        left.plane.move_to(1, here, there)?;
        lab.left.pings("-I 10.1.0.1 10.2.0.1")?;
        carried(&left.plane.counters(1)?, 6)?;
        carried(&right.plane.counters(1)?, 6)?;
        let kernel = lab.left.xfrm()?;
        ensure(!kernel.contains("192.0.2.2"), || kernel.clone())?;
        left.plane.close()?;
        same("what is left", &lab.left.xfrm()?, "")?;
    }
    Ok(())
}
