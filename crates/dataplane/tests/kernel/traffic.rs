//! Packets through the kernel's ESP and AH: needs both.

use std::net::UdpSocket;

use dataplane::{ChildSa, Limits, Mark, Mode, Plane, PlaneError, PlaneEvent, Selector, UdpEncap};

use crate::lab::{Host, Lab, both, carried, ensure, same};
use crate::policies::{net, sas_of, trap, wide_and_narrow};
use crate::sas::{SUITES, other_end, pair};
use crate::{Outcome, OwnTrial};

pub const TRIALS: &[OwnTrial] = &[
    ("every_suite_in_tunnel_mode", every_suite_in_tunnel_mode),
    (
        "every_suite_in_transport_mode",
        every_suite_in_transport_mode,
    ),
    (
        "states_are_what_ip_xfrm_would_install",
        states_are_what_ip_xfrm_would_install,
    ),
    (
        "ip_versions_inside_and_outside_may_differ",
        ip_versions_inside_and_outside_may_differ,
    ),
    (
        "ranges_protocols_and_ports_are_kept_to",
        ranges_protocols_and_ports_are_kept_to,
    ),
    ("limits_are_told_once_each", limits_are_told_once_each),
    (
        "an_sa_for_a_trap_carries_what_asked_for_it",
        an_sa_for_a_trap_carries_what_asked_for_it,
    ),
    (
        "what_a_trap_waits_for_goes_by_no_wider_sa",
        what_a_trap_waits_for_goes_by_no_wider_sa,
    ),
    (
        "a_pair_of_a_trap_that_has_no_sa_goes_by_none_of_another",
        a_pair_of_a_trap_that_has_no_sa_goes_by_none_of_another,
    ),
    (
        "a_local_lan_is_reached_past_the_sa",
        a_local_lan_is_reached_past_the_sa,
    ),
    ("a_mark_chooses_the_sa", a_mark_chooses_the_sa),
    (
        "a_refused_sa_leaves_nothing_and_says_why",
        a_refused_sa_leaves_nothing_and_says_why,
    ),
    (
        "replayed_and_forged_packets_are_counted",
        replayed_and_forged_packets_are_counted,
    ),
];

/// Pings that go through a child SA of [`pair`].
fn through(mode: Mode) -> &'static str {
    match mode {
        Mode::Tunnel => "-I 10.1.0.1 10.2.0.1",
        Mode::Transport => "192.0.2.2",
    }
}

fn every_suite_in_tunnel_mode() -> Outcome {
    suites_carry_pings(Mode::Tunnel)
}

fn every_suite_in_transport_mode() -> Outcome {
    suites_carry_pings(Mode::Transport)
}

fn suites_carry_pings(mode: Mode) -> Outcome {
    let lab = Lab::new()?;
    for suite in &SUITES {
        let carries = || -> Outcome {
            let (mut left, mut right) = both(&lab, &pair(suite, mode, 1))?;
            lab.left.pings(through(mode))?;
            carried(&left.plane.counters(1)?, 3)?;
            carried(&right.plane.counters(1)?, 3)?;
            left.plane.close()?;
            right.plane.close()?;
            same("what is left", &(lab.left.xfrm()? + &lab.right.xfrm()?), "")
        };
        carries()
            .map_err(|why| format!("{}: {}", suite.name, why.message().unwrap_or_default()))?;
    }
    Ok(())
}

/// What `ip xfrm state` needs to install a direction of an SA.
fn by_hand(host: &Host, sa: &ChildSa, inbound: bool, reqid: &str, words: &str) -> Outcome {
    let (half, from, to) = if inbound {
        (&sa.inbound, sa.remote, sa.local)
    } else {
        (&sa.outbound, sa.local, sa.remote)
    };
    let hex = |key: &crypto::Secret| {
        key.as_bytes()
            .iter()
            .fold("0x".to_owned(), |hex, byte| format!("{hex}{byte:02x}"))
    };
    let words = words
        .replace("ENC", &hex(&half.encryption))
        .replace("AUTH", &hex(&half.integrity));
    host.ip(&format!(
        "xfrm state add src {from} dst {to} proto esp spi {:#x} reqid {reqid} {words}",
        half.spi
    ))
    .map(drop)
}

fn states_are_what_ip_xfrm_would_install() -> Outcome {
    let cases: [(usize, Mode, &str); 4] = [
        (
            0,
            Mode::Tunnel,
            "mode tunnel replay-window 32 flag af-unspec aead rfc4106(gcm(aes)) ENC 128",
        ),
        (
            1,
            Mode::Tunnel,
            "mode tunnel replay-window 1024 flag af-unspec flag esn aead rfc4106(gcm(aes)) ENC 128",
        ),
        (
            2,
            Mode::Transport,
            "mode transport replay-window 32 enc cbc(aes) ENC auth-trunc hmac(sha256) AUTH 128",
        ),
        (
            5,
            Mode::Tunnel,
            "mode tunnel replay-window 32 flag af-unspec enc ecb(cipher_null) '' auth-trunc hmac(sha256) AUTH 128 encap espinudp 4500 4501 0.0.0.0",
        ),
    ];
    for (index, mode, words) in cases {
        let lab = Lab::new()?;
        let mut left = lab.plane(&lab.left)?;
        let (mut sa, _) = pair(&SUITES[index], mode, 1);
        if words.contains("encap") {
            sa.encap = Some(UdpEncap {
                local_port: 4501,
                remote_port: 4500,
            });
        }
        left.plane.install(&sa)?;
        let key = format!(
            "src {} dst {} proto esp spi {:#x}",
            sa.remote, sa.local, sa.inbound.spi
        );
        let ours = lab.left.ip(&format!("xfrm state get {key}"))?;
        let reqid = ours
            .split_whitespace()
            .skip_while(|w| *w != "reqid")
            .nth(1)
            .ok_or("reqid")?;
        let mut words = words.to_owned();
        if mode == Mode::Transport {
            words.push_str(" sel src 192.0.2.2 dst 192.0.2.1");
        }
        by_hand(&lab.right, &sa, true, reqid, &words)?;
        let theirs = lab.right.ip(&format!("xfrm state get {key}"))?;
        let known = |text: &str| -> String {
            let lines = text
                .lines()
                .filter(|line| !line.contains("add ") && !line.contains("anti-replay context"));
            lines.collect::<Vec<_>>().join("\n")
        };
        same(SUITES[index].name, &known(&ours), &known(&theirs))?;
    }
    Ok(())
}

fn ip_versions_inside_and_outside_may_differ() -> Outcome {
    let six = ["2001:db8::1".parse()?, "2001:db8::2".parse()?];
    let nets6 = [net("2001:db8:1::/48"), net("2001:db8:2::/48")];
    let (four_in_six, _) = pair(&SUITES[0], Mode::Tunnel, 1);
    let four_in_six = ChildSa {
        local: six[0],
        remote: six[1],
        ..four_in_six
    };
    let (six_in_four, _) = pair(&SUITES[2], Mode::Tunnel, 2);
    let six_in_four = ChildSa {
        local_selector: nets6[0],
        remote_selector: nets6[1],
        ..six_in_four
    };
    let (transport, _) = pair(&SUITES[0], Mode::Transport, 3);
    let transport = ChildSa {
        local: six[0],
        remote: six[1],
        local_selector: Selector::host(six[0]),
        remote_selector: Selector::host(six[1]),
        ..transport
    };
    for (sa, ping) in [
        (four_in_six, "-I 10.1.0.1 10.2.0.1"),
        (six_in_four, "-I 2001:db8:1::1 2001:db8:2::1"),
        (transport, "2001:db8::2"),
    ] {
        let lab = Lab::new()?;
        let id = sa.id;
        let other = other_end(&sa);
        let (mut left, _right) = both(&lab, &(sa, other))?;
        lab.left.pings(ping)?;
        ensure(left.plane.counters(id)?.outbound.packets >= 3, || {
            ping.into()
        })?;
    }
    Ok(())
}

fn ranges_protocols_and_ports_are_kept_to() -> Outcome {
    let lab = Lab::new()?;
    let (sa, _) = pair(&SUITES[0], Mode::Tunnel, 1);
    let range = Selector {
        first: "10.2.0.1".parse()?,
        last: "10.2.0.6".parse()?,
        protocol: 17,
        port: 7000,
    };
    let sa = ChildSa {
        remote_selector: range,
        ..sa
    };
    let other = other_end(&sa);
    let (mut left, _right) = both(&lab, &(sa, other))?;
    lab.right.ip("addr add 10.2.0.6/16 dev lan")?;
    let policies = lab.left.ip("xfrm policy")?;
    ensure(policies.matches("dir out").count() == 4, || {
        policies.clone()
    })?;
    let here = lab.left.inside(|| UdpSocket::bind("10.1.0.1:0"))?;
    for (to, packets) in [
        ("10.2.0.6:7000", 1),
        ("10.2.0.6:7001", 1),
        ("10.2.0.1:7000", 2),
    ] {
        here.send_to(b"hello", to)?;
        let sent = left.plane.counters(1)?.outbound.packets;
        ensure(sent == packets, || format!("{to}: {sent} packets"))?;
    }
    Ok(())
}

fn limits_are_told_once_each() -> Outcome {
    for limits in [
        Limits {
            soft_packets: Some(2),
            hard_packets: Some(4),
            ..Limits::default()
        },
        Limits {
            soft_bytes: Some(150),
            hard_bytes: Some(300),
            ..Limits::default()
        },
    ] {
        let lab = Lab::new()?;
        let (sa, other) = pair(&SUITES[0], Mode::Tunnel, 1);
        let (left, _right) = both(&lab, &(ChildSa { limits, ..sa }, other))?;
        // What the last pings ask for has the name of what is gone, and stays.
        lab.left.sysctl("net/core/xfrm_acq_expires", "60")?;
        let _ = lab
            .left
            .run("ping -n -c 8 -i 0.02 -w 1 -I 10.1.0.1 10.2.0.1");
        let mut seen = Vec::new();
        while seen.len() < 2 {
            seen.push(left.event(|event| match event {
                PlaneEvent::Expire { id: 1, hard } => Some(*hard),
                _ => None,
            })?);
        }
        ensure(seen == [false, true], || format!("{limits:?}: {seen:?}"))?;
        let more = left
            .events
            .try_iter()
            .filter(|event| matches!(event, PlaneEvent::Expire { .. }))
            .count();
        ensure(more == 0, || format!("{more} more"))?;
        lab.left.pings_in_vain("-I 10.1.0.1 10.2.0.1")?;
        // What the kernel has deleted itself can still be removed.
        let mut left = left;
        let counted = left.plane.counters(1);
        ensure(matches!(counted, Err(PlaneError::NoSuchSa(1))), || {
            format!("{limits:?}: counters: {counted:?}")
        })?;
        left.plane.remove(1)?;
        same("what is left", &lab.left.xfrm()?, "")?;
    }
    Ok(())
}

fn an_sa_for_a_trap_carries_what_asked_for_it() -> Outcome {
    let lab = Lab::new()?;
    let (mut left, mut right) = lab.planes()?;
    left.plane.trap(&trap(Mode::Tunnel))?;
    for number in 1..=2 {
        lab.left.pings_in_vain("-I 10.1.0.1 10.2.0.1")?;
        left.event(|event| {
            matches!(event, PlaneEvent::Acquire { trap, .. } if trap == "net").then_some(())
        })?;
        let (sa, other) = pair(&SUITES[0], Mode::Tunnel, number);
        let id = sa.id;
        right.plane.install(&other)?;
        left.plane.install(&sa)?;
        lab.left.pings("-I 10.1.0.1 10.2.0.1")?;
        left.plane.remove(id)?;
        right.plane.remove(id)?;
        // What had asked is forgotten after a second; nothing asks twice before.
        std::thread::sleep(std::time::Duration::from_millis(1500));
    }
    Ok(())
}

/// The trap that asks next.
fn asks(event: &PlaneEvent) -> Option<String> {
    match event {
        PlaneEvent::Acquire { trap, .. } => Some(trap.clone()),
        _ => None,
    }
}

fn what_a_trap_waits_for_goes_by_no_wider_sa() -> Outcome {
    for [wide, narrow] in wide_and_narrow() {
        let lab = Lab::new()?;
        lab.right.ip("addr add 10.2.2.1/32 dev lo")?;
        let (mut left, mut right) = lab.planes()?;
        left.plane.trap(&wide)?;
        left.plane.trap(&narrow)?;
        let (wide, there) = sas_of(&wide, 1);
        left.plane.install(&wide)?;
        right.plane.install(&there)?;
        lab.left.pings("-I 10.1.0.1 10.2.2.1")?;
        lab.left.pings_in_vain("-I 10.1.0.1 10.2.0.1")?;
        same("who asks", &left.event(asks)?, "narrow")?;
        carried(&left.plane.counters(1)?, 3)?;
        let (narrow, there) = sas_of(&narrow, 2);
        right.plane.install(&there)?;
        left.plane.install(&narrow)?;
        lab.left.pings("-I 10.1.0.1 10.2.0.1")?;
        carried(&left.plane.counters(2)?, 3)?;
        left.plane.remove(2)?;
        lab.left.pings_in_vain("-I 10.1.0.1 10.2.0.1")?;
        lab.left.pings("-I 10.1.0.1 10.2.2.1")?;
    }
    Ok(())
}

fn a_pair_of_a_trap_that_has_no_sa_goes_by_none_of_another() -> Outcome {
    let lab = Lab::new()?;
    let (mut left, mut right) = lab.planes()?;
    let mut pairs = trap(Mode::Tunnel);
    pairs.remote_selectors.push(net("10.3.0.0/16"));
    left.plane.trap(&pairs)?;
    let (sa, other) = pair(&SUITES[0], Mode::Tunnel, 1);
    left.plane.install(&sa)?;
    right.plane.install(&other)?;
    lab.left.pings("-I 10.1.0.1 10.2.0.1")?;
    let before = left.plane.counters(1)?.outbound;
    lab.left.pings_in_vain("-I 10.1.0.1 10.3.0.1")?;
    same("who asks", &left.event(asks)?, "net")?;
    let after = left.plane.counters(1)?.outbound;
    ensure(before.packets == after.packets, || format!("{after:?}"))
}

fn a_local_lan_is_reached_past_the_sa() -> Outcome {
    let lab = Lab::new()?;
    lab.right.ip("addr add 10.2.9.1/32 dev lo")?;
    lab.left.ip("route add 10.2.9.0/24 via 192.0.2.2")?;
    let before = lab.left.routes()?;
    let (mut sa, other) = pair(&SUITES[0], Mode::Tunnel, 1);
    sa.local_lan = vec!["10.2.9.0/24".parse()?];
    let (mut left, mut right) = both(&lab, &(sa.clone(), other))?;
    lab.left.pings("10.2.9.1")?;
    lab.left.pings("10.2.0.1")?;
    carried(&left.plane.counters(1)?, 3)?;
    // Another for the same shares the route, and has a list of its own.
    let (mut second, other) = pair(&SUITES[0], Mode::Tunnel, 2);
    second.local_lan = vec!["10.2.8.0/24".parse()?];
    right.plane.install(&other)?;
    left.plane.install(&second)?;
    let table = lab.left.ip("route show table 220")?;
    for lan in ["throw 10.2.9.0/24", "throw 10.2.8.0/24"] {
        ensure(table.contains(lan), || table.clone())?;
    }
    left.plane.remove(1)?;
    left.plane.remove(2)?;
    lab.left.inside(|| left.plane.close())?;
    same("routes", &lab.left.routes()?, &before)
}

fn a_mark_chooses_the_sa() -> Outcome {
    let lab = Lab::new()?;
    let (sa, other) = pair(&SUITES[0], Mode::Tunnel, 1);
    let mark = Some(Mark {
        value: 5,
        mask: u32::MAX,
    });
    let (mut left, _right) = both(&lab, &(ChildSa { mark, ..sa }, other))?;
    lab.left.ip("route add 10.2.0.0/16 via 192.0.2.2")?;
    // What comes back is marked by the operator's firewall; only what leaves is looked at here.
    for (words, packets) in [("", 0), ("-m 5 ", 1)] {
        let _ = lab
            .left
            .run(&format!("ping -n -c 1 -w 1 {words}-I 10.1.0.1 10.2.0.1"));
        let sent = left.plane.counters(1)?.outbound.packets;
        ensure(sent == packets, || format!("'{words}': {sent} packets"))?;
    }
    Ok(())
}

fn a_refused_sa_leaves_nothing_and_says_why() -> Outcome {
    let lab = Lab::new()?;
    let mut left = lab.plane(&lab.left)?;
    let (sa, _) = pair(&SUITES[0], Mode::Tunnel, 1);
    // The outgoing SPI is taken: the incoming half has to go again.
    by_hand(
        &lab.left,
        &sa,
        false,
        "9",
        "mode tunnel aead rfc4106(gcm(aes)) ENC 128",
    )?;
    let before = lab.left.xfrm()?;
    match left.plane.install(&sa) {
        Err(PlaneError::SpiTaken { spi, .. }) => {
            ensure(spi == sa.outbound.spi, || spi.to_string())?;
        }
        other => return Err(format!("{other:?}").into()),
    }
    same("the kernel", &lab.left.xfrm()?, &before)?;
    let (twice, _) = pair(&SUITES[0], Mode::Tunnel, 3);
    left.plane.install(&twice)?;
    let again = left
        .plane
        .install(&twice)
        .err()
        .map(|error| error.to_string());
    same(
        "twice",
        &again.unwrap_or_default(),
        "child SA 3 is already installed",
    )
}

fn replayed_and_forged_packets_are_counted() -> Outcome {
    let lab = Lab::new()?;
    let (sa, mut other) = pair(&SUITES[0], Mode::Tunnel, 1);
    other.inbound.encryption = crypto::Secret::new(vec![9; 20]);
    let (_left, mut right) = both(&lab, &(sa, other))?;
    lab.left.pings_in_vain("-I 10.1.0.1 10.2.0.1")?;
    let counters = right.plane.counters(1)?;
    ensure(counters.integrity_failures == 1, || format!("{counters:?}"))?;
    // The sender begins anew at 1, as one would who replays.
    let lab = Lab::new()?;
    let (sa, other) = pair(&SUITES[0], Mode::Tunnel, 1);
    let (mut left, mut right) = both(&lab, &(sa.clone(), other))?;
    lab.left.pings("-I 10.1.0.1 10.2.0.1")?;
    left.plane.remove(1)?;
    left.plane.install(&sa)?;
    lab.left.pings_in_vain("-I 10.1.0.1 10.2.0.1")?;
    let counters = right.plane.counters(1)?;
    ensure(
        counters.replayed == 1 && counters.inbound.packets == 3,
        || format!("{counters:?}"),
    )
}
