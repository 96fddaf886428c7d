//! What needs no ESP in the kernel: policies, traps, sockets, and what is said when there is none.

use std::net::UdpSocket;
use std::time::Duration;

use crypto::esp::Protocol;
use dataplane::{ChildSa, Mode, Plane, PlaneError, PlaneEvent, Selector, Trap};

use crate::lab::{Host, Lab, ensure, same};
use crate::{Outcome, OwnTrial, crash, sas};

pub const TRIALS: &[OwnTrial] = &[
    (
        "a_trap_is_what_ip_xfrm_would_install",
        a_trap_is_what_ip_xfrm_would_install,
    ),
    (
        "more_specific_traffic_comes_first",
        more_specific_traffic_comes_first,
    ),
    (
        "a_policy_of_somebody_else_is_left_alone",
        a_policy_of_somebody_else_is_left_alone,
    ),
    (
        "what_was_left_behind_is_removed_and_nothing_else",
        what_was_left_behind_is_removed_and_nothing_else,
    ),
    ("traffic_asks_for_an_sa", traffic_asks_for_an_sa),
    (
        "an_exempt_socket_passes_any_policy",
        an_exempt_socket_passes_any_policy,
    ),
    ("who_may_not_is_told_so", who_may_not_is_told_so),
    (
        "a_kernel_without_a_protocol_is_named",
        a_kernel_without_a_protocol_is_named,
    ),
    (
        "a_route_is_set_where_packets_would_not_find_their_way",
        a_route_is_set_where_packets_would_not_find_their_way,
    ),
];

pub fn net(words: &str) -> Selector {
    Selector::subnet(words.parse().unwrap())
}

pub fn trap(mode: Mode) -> Trap {
    let (sa, _) = sas::pair(&sas::SUITES[0], mode, 1);
    Trap {
        name: "net".into(),
        protocol: Protocol::Esp,
        mode,
        compress: false,
        local: sa.local,
        remote: sa.remote,
        local_selectors: vec![sa.local_selector],
        remote_selectors: vec![sa.remote_selector],
        mark: None,
        interface_id: None,
    }
}

/// Two traps of which the second, for a part of the first's traffic, has the name that comes later: within a subnet, and
/// within a range that has its subnet in common with it. 10.2.2.1 is the first's alone, 10.2.0.1 the second's.
pub fn wide_and_narrow() -> [[Trap; 2]; 2] {
    let named = |name: &str, remote| Trap {
        name: name.into(),
        remote_selectors: vec![remote],
        ..trap(Mode::Tunnel)
    };
    let range = Selector {
        last: [10, 2, 2, 255].into(),
        ..net("10.2.0.0/23")
    };
    [net("10.2.0.0/16"), range]
        .map(|wide| [named("a-wide", wide), named("narrow", net("10.2.0.0/23"))])
}

/// An SA for what a trap waits for, at both ends.
pub fn sas_of(trap: &Trap, number: u32) -> (ChildSa, ChildSa) {
    let (sa, other) = sas::pair(&sas::SUITES[0], trap.mode, number);
    let remote_selector = trap.remote_selectors[0];
    let there = ChildSa {
        local_selector: remote_selector,
        ..other
    };
    let here = ChildSa {
        remote_selector,
        ..sa
    };
    (here, there)
}

/// The number behind a word in what `ip` shows, of the first line that has it.
pub fn number_after(text: &str, word: &str) -> Outcome<String> {
    let mut words = text.split_whitespace();
    words.find(|w| *w == word);
    let number = words
        .next()
        .ok_or_else(|| format!("no {word} in\n{text}"))?;
    Ok(number.to_owned())
}

fn a_trap_is_what_ip_xfrm_would_install() -> Outcome {
    let lab = Lab::new()?;
    let mut left = lab.plane(&lab.left)?;
    let mut tcp = trap(Mode::Tunnel);
    tcp.local_selectors = vec![net("10.1.0.0/16"), net("2001:db8:1::/48")];
    tcp.remote_selectors = vec![
        Selector {
            protocol: 6,
            port: 443,
            ..net("10.2.0.0/16")
        },
        net("2001:db8:2::/48"),
    ];
    tcp.mark = Some(dataplane::Mark {
        value: 0x10,
        mask: 0xf0,
    });
    tcp.interface_id = Some(7);
    left.plane.trap(&tcp)?;
    let ours = lab.left.xfrm()?;
    // Each pair has one of its own.
    let reqid = |of: &str| {
        let policy = ours.split("\nsrc ").find(|policy| policy.contains(of));
        number_after(policy.unwrap_or_default(), "reqid")
    };
    let reqids = [reqid("10.1.0.0/16")?, reqid("2001:db8:1::/48")?];
    ensure(reqids[0] != reqids[1], || ours.clone())?;
    // The priorities stand in the trial below.
    for (path, four, six) in [
        (
            "in",
            "src 10.2.0.0/16 dst 10.1.0.0/16 proto tcp sport 443",
            "src 2001:db8:2::/48 dst 2001:db8:1::/48",
        ),
        (
            "fwd",
            "src 10.2.0.0/16 dst 10.1.0.0/16 proto tcp sport 443",
            "src 2001:db8:2::/48 dst 2001:db8:1::/48",
        ),
        (
            "out",
            "src 10.1.0.0/16 dst 10.2.0.0/16 proto tcp dport 443",
            "src 2001:db8:1::/48 dst 2001:db8:2::/48",
        ),
    ] {
        let ends = if path == "out" {
            "src 192.0.2.1 dst 192.0.2.2"
        } else {
            "src 192.0.2.2 dst 192.0.2.1"
        };
        for (selector, priority, reqid) in [
            (four, 400_000 - 32 * 1024 - 512 - 128, &reqids[0]),
            (six, 400_000 - 96 * 1024, &reqids[1]),
        ] {
            lab.right.ip(&format!(
                "xfrm policy add {selector} dir {path} priority {priority} mark 0x10 mask 0xf0 if_id 7 \
                 tmpl {ends} proto esp mode tunnel reqid {reqid}"
            ))?;
        }
    }
    let sorted = |text: &str| {
        let mut policies: Vec<String> = text
            .split("\nsrc ")
            .map(|p| p.trim_start_matches("src ").trim_end().to_owned())
            .collect();
        policies.sort();
        policies.join("\n")
    };
    same("our policies", &sorted(&ours), &sorted(&lab.right.xfrm()?))?;
    left.plane.untrap("net")?;
    same("what is left", &lab.left.xfrm()?, "")
}

fn more_specific_traffic_comes_first() -> Outcome {
    let lab = Lab::new()?;
    let mut left = lab.plane(&lab.left)?;
    let host = Selector::host("10.2.0.1".parse().unwrap());
    let mut priorities = Vec::new();
    for (name, remote) in [
        (
            "port",
            Selector {
                protocol: 17,
                port: 53,
                ..host
            },
        ),
        (
            "protocol",
            Selector {
                protocol: 17,
                ..host
            },
        ),
        ("host", host),
        ("net", net("10.2.0.0/16")),
        ("all", Selector::any_v4()),
    ] {
        left.plane.trap(&Trap {
            name: name.into(),
            remote_selectors: vec![remote],
            ..trap(Mode::Tunnel)
        })?;
        priorities.push(number_after(&lab.left.ip("xfrm policy")?, "priority")?.parse::<u32>()?);
        left.plane.untrap(name)?;
    }
    ensure(
        priorities.is_sorted() && priorities.windows(2).all(|p| p[0] != p[1]),
        || format!("{priorities:?}"),
    )
}

/// A policy and, where there is ESP, a state that an operator has installed.
pub fn foreign(host: &Host) -> Outcome {
    host.ip(
        "xfrm policy add src 10.1.0.0/16 dst 10.9.0.0/16 dir out tmpl src 192.0.2.1 dst 192.0.2.9 proto esp \
         mode tunnel reqid 1",
    )?;
    Ok(())
}

fn a_policy_of_somebody_else_is_left_alone() -> Outcome {
    let lab = Lab::new()?;
    foreign(&lab.left)?;
    let before = lab.left.xfrm()?;
    let mut left = lab.plane(&lab.left)?;
    let same_traffic = Trap {
        remote_selectors: vec![net("10.9.0.0/16")],
        ..trap(Mode::Tunnel)
    };
    match left.plane.trap(&same_traffic) {
        Err(PlaneError::PolicyTaken { policy }) => {
            same("whose", &policy, "10.1.0.0/16 => 10.9.0.0/16 (out)")?;
        }
        other => return Err(format!("{other:?}").into()),
    }
    same("the kernel", &lab.left.xfrm()?, &before)?;
    left.plane.trap(&trap(Mode::Tunnel))?;
    left.plane.close()?;
    same("the kernel, at the end", &lab.left.xfrm()?, &before)
}

fn what_was_left_behind_is_removed_and_nothing_else() -> Outcome {
    let lab = Lab::new()?;
    foreign(&lab.left)?;
    let before = lab.left.xfrm()?;
    let routes = lab.left.routes()?;
    let mut left = lab.plane(&lab.left)?;
    left.plane.trap(&trap(Mode::Tunnel))?;
    let trapped = lab.left.xfrm()?;
    ensure(trapped.contains("dst 10.2.0.0/16"), || trapped.clone())?;
    // As after a crash: nothing is cleaned up, and the lock has gone with the process.
    let list = std::fs::read(lab.state_file(&lab.left))?;
    drop(left);
    lab.left.ip("xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out tmpl src 192.0.2.1 dst 192.0.2.2 proto esp mode tunnel reqid 99")?;
    let with_another = lab.left.xfrm()?;
    std::fs::write(lab.state_file(&lab.left), &list)?;
    // Whose traffic is that of a policy on the list, but not its reqid: somebody else's by now.
    drop(lab.plane(&lab.left)?);
    same("the kernel", &lab.left.xfrm()?, &with_another)?;
    lab.left
        .ip("xfrm policy delete src 10.1.0.0/16 dst 10.2.0.0/16 dir out")?;
    same("the kernel", &lab.left.xfrm()?, &before)?;
    same("the routes", &lab.left.routes()?, &routes)
}

fn traffic_asks_for_an_sa() -> Outcome {
    let lab = Lab::new()?;
    let mut left = lab.plane(&lab.left)?;
    left.plane.trap(&trap(Mode::Tunnel))?;
    lab.left.pings_in_vain("-I 10.1.0.1 10.2.0.1")?;
    let asked = left.event(|event| match event {
        PlaneEvent::Acquire {
            trap,
            local,
            remote,
        } => Some((trap.clone(), *local, *remote)),
        _ => None,
    })?;
    let (name, local, remote) = asked;
    same("the trap", &name, "net")?;
    ensure(
        local.first == "10.1.0.1".parse::<std::net::IpAddr>()? && local.protocol == 1,
        || format!("{local}"),
    )?;
    ensure(
        remote.first == "10.2.0.1".parse::<std::net::IpAddr>()?,
        || format!("{remote}"),
    )?;
    left.plane.untrap("net")?;
    ensure(left.plane.untrap("net").is_err(), || {
        "untrapped twice".into()
    })
}

fn an_exempt_socket_passes_any_policy() -> Outcome {
    let lab = Lab::new()?;
    let mut left = lab.plane(&lab.left)?;
    let mut right = lab.plane(&lab.right)?;
    left.plane.trap(&trap(Mode::Transport))?;
    let mut there = trap(Mode::Transport);
    std::mem::swap(&mut there.local, &mut there.remote);
    std::mem::swap(&mut there.local_selectors, &mut there.remote_selectors);
    right.plane.trap(&there)?;
    let open = |host: &Host, address: &str| {
        host.inside(|| -> std::io::Result<UdpSocket> {
            let socket = UdpSocket::bind(address)?;
            socket.set_read_timeout(Some(Duration::from_millis(500)))?;
            Ok(socket)
        })
    };
    let here = open(&lab.left, "192.0.2.1:500")?;
    let there = open(&lab.right, "192.0.2.2:500")?;
    let passes = || -> Outcome<bool> {
        // A packet that waits for an SA is refused, or swallowed.
        let _ = here.send_to(b"ike", "192.0.2.2:500");
        Ok(there.recv_from(&mut [0; 16]).is_ok())
    };
    ensure(!passes()?, || "the trap holds nothing back".into())?;
    dataplane::exempt(&here, "192.0.2.1".parse()?)?;
    ensure(!passes()?, || {
        "the other side takes what is unprotected".into()
    })?;
    dataplane::exempt(&there, "192.0.2.2".parse()?)?;
    ensure(passes()?, || "IKE does not pass".into())?;
    let six = lab.left.inside(|| UdpSocket::bind("[::]:0"))?;
    Ok(dataplane::exempt(&six, "::".parse()?)?)
}

fn who_may_not_is_told_so() -> Outcome {
    let lab = Lab::new()?;
    let said = crash::victim_without_privilege(&lab.left, &lab.state_file(&lab.left))?;
    same(
        "what it said",
        said.trim(),
        "opening the kernel's IPsec: not permitted; CAP_NET_ADMIN is needed",
    )
}

fn a_kernel_without_a_protocol_is_named() -> Outcome {
    let lab = Lab::new()?;
    let mut left = lab.plane(&lab.left)?;
    let (sa, _) = sas::pair(&sas::SUITES[0], Mode::Tunnel, 1);
    match left.plane.install(&sa) {
        // It has ESP: then this has no more to show.
        Ok(()) => Ok(()),
        Err(error @ PlaneError::NoProtocol { .. }) => {
            same("what is left", &lab.left.xfrm()?, "")?;
            ensure(
                error.to_string().starts_with("the kernel has no ESP:"),
                || error.to_string(),
            )
        }
        Err(other) => Err(format!("{other:?}").into()),
    }
}

fn a_route_is_set_where_packets_would_not_find_their_way() -> Outcome {
    let lab = Lab::new()?;
    let before = lab.left.routes()?;
    let mut left = lab.plane(&lab.left)?;
    left.plane.trap(&trap(Mode::Tunnel))?;
    let way = lab.left.ip("route get 10.2.0.1")?;
    ensure(way.contains("dev eth0 table 220 src 10.1.0.1"), || {
        way.clone()
    })?;
    // What is next door stays there, also when everything else goes through a tunnel.
    for (name, all) in [("ten", net("10.0.0.0/8")), ("all", Selector::any_v4())] {
        left.plane.trap(&Trap {
            name: name.into(),
            remote_selectors: vec![all],
            ..trap(Mode::Tunnel)
        })?;
        for (to, through) in [
            ("10.200.0.1", "dev eth0 table 220 src 10.1.0.1"),
            ("10.1.0.7", "dev lan src 10.1.0.1"),
            ("192.0.2.2", "dev eth0 src 192.0.2.1"),
        ] {
            let way = lab.left.ip(&format!("route get {to}"))?;
            ensure(way.contains(through), || format!("{name}: {way}"))?;
        }
    }
    left.plane.untrap("ten")?;
    left.plane.untrap("all")?;
    // A peer behind a gateway, and traffic of both IP versions.
    lab.left.ip("route add 198.51.100.0/24 via 192.0.2.2")?;
    left.plane.trap(&Trap {
        name: "far".into(),
        remote: "198.51.100.1".parse()?,
        local_selectors: vec![net("10.1.0.0/16"), net("2001:db8:1::/48")],
        remote_selectors: vec![net("10.5.0.0/16"), net("2001:db8:5::/48")],
        ..trap(Mode::Tunnel)
    })?;
    for (to, through) in [
        ("10.5.0.1", "via 192.0.2.2 dev eth0 table 220 src 10.1.0.1"),
        ("2001:db8:5::1", "dev eth0 table 220"),
        ("2001:db8:5::1", "src 2001:db8:1::1"),
    ] {
        let way = lab.left.ip(&format!("route get {to}"))?;
        ensure(way.contains(through), || way.clone())?;
    }
    left.plane.untrap("far")?;
    lab.left.ip("route del 198.51.100.0/24")?;
    // Of no use to a host that has no address there.
    let elsewhere = Trap {
        name: "elsewhere".into(),
        local_selectors: vec![net("10.3.0.0/16")],
        remote_selectors: vec![net("10.4.0.0/16")],
        ..trap(Mode::Tunnel)
    };
    left.plane.trap(&elsewhere)?;
    let table = lab.left.ip("route show table 220")?;
    ensure(table.lines().count() == 1, || table.clone())?;
    // Shared by whoever needs it.
    let more = Trap {
        name: "more".into(),
        local_selectors: vec![net("10.1.0.0/24")],
        ..trap(Mode::Tunnel)
    };
    left.plane.trap(&more)?;
    left.plane.untrap("net")?;
    same("the table", &lab.left.ip("route show table 220")?, &table)?;
    left.plane.close()?;
    same("the routes", &lab.left.routes()?, &before)
}
