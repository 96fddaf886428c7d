//! IPComp in a bundle with the kernel's ESP and AH: needs all three.

use std::net::UdpSocket;
use std::time::Duration;

use dataplane::{ChildSa, Cpis, Mode, Plane, PlaneEvent, Trap};

use crate::lab::{Lab, both, ensure, same};
use crate::policies::{net, number_after, trap};
use crate::sas::{ENCAP, SUITES, Suite, compressed, other_end, pair};
use crate::{Outcome, OwnTrial};

pub const TRIALS: &[OwnTrial] = &[
    (
        "large_packets_shrink_and_small_ones_pass_in_both_modes",
        large_packets_shrink_and_small_ones_pass_in_both_modes,
    ),
    (
        "states_and_policies_are_what_ip_xfrm_would_install",
        states_and_policies_are_what_ip_xfrm_would_install,
    ),
    ("a_refused_sa_leaves_nothing", a_refused_sa_leaves_nothing),
    (
        "an_sa_for_a_trap_carries_what_asked_for_it",
        an_sa_for_a_trap_carries_what_asked_for_it,
    ),
    ("a_moved_sa_carries_on", a_moved_sa_carries_on),
];

/// A ping that DEFLATE makes small, of 8212 bytes with its IP header; and one too small for it.
const LARGE: &str = "-s 8184 -p deadbeef";
/// What the large one is at most within ESP or AH.
const SMALL: u64 = 400;

fn aes_gcm() -> &'static Suite {
    &SUITES[0]
}

fn large_packets_shrink_and_small_ones_pass_in_both_modes() -> Outcome {
    let ah = SUITES.last().ok_or("AH")?;
    for (suite, mode, way) in [
        (aes_gcm(), Mode::Tunnel, "-I 10.1.0.1 10.2.0.1"),
        (&SUITES[2], Mode::Transport, "192.0.2.2"),
        (ah, Mode::Tunnel, "-I 10.1.0.1 10.2.0.1"),
    ] {
        let lab = Lab::new()?;
        let (mut left, mut right) = both(&lab, &compressed(suite, mode, 1))?;
        lab.left.run(&format!("ping -n -c 1 -w 5 {LARGE} {way}"))?;
        for counters in [left.plane.counters(1)?, right.plane.counters(1)?] {
            for flow in [counters.inbound, counters.outbound] {
                ensure(flow.packets == 1 && flow.bytes < SMALL, || {
                    format!("{}, {mode:?}: {flow:?}", suite.name)
                })?;
            }
        }
        lab.left.pings(way)?;
        ensure(right.plane.counters(1)?.inbound.packets == 4, || {
            format!("{}, {mode:?}", suite.name)
        })?;
        left.plane.remove(1)?;
        right.plane.close()?;
        same("what is left", &(lab.left.xfrm()? + &lab.right.xfrm()?), "")?;
    }
    Ok(())
}

/// The order of both templates and the level are those of strongSwan 5.9.8.
fn states_and_policies_are_what_ip_xfrm_would_install() -> Outcome {
    let (here, there) = ("192.0.2.1", "192.0.2.2");
    for (mode, nets, paths) in [
        (
            "tunnel",
            ["10.1.0.0/16", "10.2.0.0/16"],
            &["in", "fwd", "out"][..],
        ),
        (
            "transport",
            ["192.0.2.1/32", "192.0.2.2/32"],
            &["in", "out"],
        ),
    ] {
        let lab = Lab::new()?;
        let mut left = lab.plane(&lab.left)?;
        let tunnel = mode == "tunnel";
        let number = if tunnel {
            Mode::Tunnel
        } else {
            Mode::Transport
        };
        let (sa, _) = compressed(aes_gcm(), number, 1);
        left.plane.install(&sa)?;
        let reqid = number_after(&lab.left.ip("xfrm state")?, "reqid")?;
        for (from, to, cpi, spi, traffic) in [
            (there, here, 0x2001, sa.inbound.spi, [nets[1], nets[0]]),
            (here, there, 0x3001, sa.outbound.spi, nets),
        ] {
            let selector = if tunnel {
                String::new()
            } else {
                format!(" sel src {} dst {}", traffic[0], traffic[1])
            };
            let flag = if tunnel { " flag af-unspec" } else { "" };
            lab.right.ip(&format!(
                "xfrm state add src {from} dst {to} proto comp spi {cpi} reqid {reqid} mode {mode}{flag} comp deflate{selector}"
            ))?;
            let get = format!("xfrm state get src {from} dst {to} proto comp spi {cpi}");
            let shown = |text: &str| -> String {
                let lines = text.lines().filter(|line| !line.contains("add "));
                lines.collect::<Vec<_>>().join("\n")
            };
            let [ours, theirs] = [&lab.left, &lab.right].map(|host| host.ip(&get));
            same("the state", &shown(&ours?), &shown(&theirs?))?;
            let esp = format!("xfrm state get src {from} dst {to} proto esp spi {spi:#x}");
            let esp = lab.left.ip(&esp)?;
            let any = "sel src 0.0.0.0/0 dst 0.0.0.0/0";
            ensure(
                esp.contains("mode transport") && esp.contains(any) == tunnel,
                || esp.clone(),
            )?;
        }
        for path in paths {
            let out = *path == "out";
            let (from, to, traffic) = if out {
                (here, there, nets)
            } else {
                (there, here, [nets[1], nets[0]])
            };
            let (cpi, spi, level) = if out {
                (" spi 0x3001", format!(" spi {:#x}", sa.outbound.spi), "")
            } else {
                ("", String::new(), " level use")
            };
            let key = format!("src {} dst {} dir {path}", traffic[0], traffic[1]);
            let ours = lab.left.ip(&format!("xfrm policy get {key}"))?;
            let priority = number_after(&ours, "priority")?;
            lab.right.ip(&format!(
                "xfrm policy add {key} priority {priority} \
                 tmpl src {from} dst {to} proto comp{cpi} reqid {reqid} mode {mode}{level} \
                 tmpl src {from} dst {to} proto esp{spi} reqid {reqid} mode transport"
            ))?;
            let theirs = lab.right.ip(&format!("xfrm policy get {key}"))?;
            same(path, &ours, &theirs)?;
        }
    }
    Ok(())
}

fn a_refused_sa_leaves_nothing() -> Outcome {
    let lab = Lab::new()?;
    let mut left = lab.plane(&lab.left)?;
    let (sa, _) = compressed(aes_gcm(), Mode::Tunnel, 1);
    // The outgoing CPI is taken.
    let taken = "src 192.0.2.1 dst 192.0.2.2 proto comp spi 0x3001";
    lab.left
        .ip(&format!("xfrm state add {taken} mode tunnel comp deflate"))?;
    let before = lab.left.xfrm()?;
    let Err(error) = left.plane.install(&sa) else {
        return Err("it was installed".into());
    };
    same(
        "the error",
        &error.to_string(),
        "the kernel already has an SA with SPI 0x00003001 to 192.0.2.2",
    )?;
    same("what is left", &lab.left.xfrm()?, &before)?;
    let six = ChildSa {
        local_selector: net("2001:db8:1::/48"),
        remote_selector: net("2001:db8:2::/48"),
        ..sa.clone()
    };
    let reserved = ChildSa {
        cpis: Some(Cpis {
            inbound: 2,
            outbound: 0x3002,
        }),
        ..sa
    };
    for (wrong, why) in [
        (
            six,
            "IPComp cannot put 2001:db8:1::/48 into packets of another IP version",
        ),
        (reserved, "CPI 0x2 is reserved"),
    ] {
        let Err(error) = left.plane.install(&wrong) else {
            return Err("it was installed".into());
        };
        same("the error", &error.to_string(), why)?;
    }
    same("what is left", &lab.left.xfrm()?, &before)
}

fn an_sa_for_a_trap_carries_what_asked_for_it() -> Outcome {
    let lab = Lab::new()?;
    let (mut left, mut right) = lab.planes()?;
    left.plane.trap(&Trap {
        compress: true,
        ..trap(Mode::Tunnel)
    })?;
    for number in 1..=2 {
        lab.left.pings_in_vain("-I 10.1.0.1 10.2.0.1")?;
        left.event(|event| {
            matches!(event, PlaneEvent::Acquire { trap, .. } if trap == "net").then_some(())
        })?;
        let (sa, other) = compressed(aes_gcm(), Mode::Tunnel, number);
        let id = sa.id;
        right.plane.install(&other)?;
        left.plane.install(&sa)?;
        // What the kernel waited for is there: it waits no more.
        let states = lab.left.ip("xfrm state")?;
        ensure(!states.contains("spi 0x00000000"), || states.clone())?;
        lab.left.pings(&format!("{LARGE} -I 10.1.0.1 10.2.0.1"))?;
        left.plane.remove(id)?;
        right.plane.remove(id)?;
        // What had asked is forgotten after a second; nothing asks twice before.
        std::thread::sleep(Duration::from_millis(1500));
    }
    // A peer without IPComp.
    lab.left.pings_in_vain("-I 10.1.0.1 10.2.0.1")?;
    let (sa, other) = pair(aes_gcm(), Mode::Tunnel, 3);
    right.plane.install(&other)?;
    left.plane.install(&sa)?;
    lab.left.pings("-I 10.1.0.1 10.2.0.1")
}

fn a_moved_sa_carries_on() -> Outcome {
    let lab = Lab::new()?;
    let socket = |host: &crate::lab::Host, address: &str| -> Outcome<UdpSocket> {
        let socket = host.inside(|| UdpSocket::bind(address))?;
        dataplane::take_esp_from(&socket)?;
        Ok(socket)
    };
    lab.right.ip("addr add 192.0.2.9/24 dev eth0")?;
    let _sockets = [
        socket(&lab.left, "192.0.2.1:4500")?,
        socket(&lab.right, "192.0.2.2:4500")?,
        socket(&lab.right, "192.0.2.9:4999")?,
    ];
    let (sa, _) = compressed(aes_gcm(), Mode::Tunnel, 1);
    let sa = ChildSa {
        encap: Some(ENCAP),
        ..sa
    };
    let other = other_end(&sa);
    let (mut left, mut right) = both(&lab, &(sa, other))?;
    let ping = format!("-c 1 -w 5 {LARGE} -I 10.1.0.1 10.2.0.1");
    lab.left.run(&format!("ping -n {ping}"))?;
    let before = left.plane.counters(1)?;
    let (here, there) = ("192.0.2.1:4500".parse()?, "192.0.2.9:4999".parse()?);
    left.plane.move_to(1, here, there)?;
    right.plane.move_to(1, there, here)?;
    lab.left.run(&format!("ping -n {ping}"))?;
    let after = left.plane.counters(1)?;
    for (before, after) in [
        (before.inbound, after.inbound),
        (before.outbound, after.outbound),
    ] {
        ensure(after.packets == 2 && after.bytes < 2 * SMALL, || {
            format!("{before:?}, {after:?}")
        })?;
    }
    let states = lab.left.ip("xfrm state")?;
    ensure(
        states.matches("proto comp").count() == 2 && !states.contains("192.0.2.2"),
        || states.clone(),
    )?;
    left.plane.close()?;
    right.plane.close()?;
    same("what is left", &(lab.left.xfrm()? + &lab.right.xfrm()?), "")
}
