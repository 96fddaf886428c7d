//! The plane in user space, at both ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crypto::esp::{EspCipher as C, EspIntegrity as I, Protocol};
use dataplane::{
    ChildSa, Limits, Mark, Mode, Plane, PlaneError, PlaneEvent, Selector, User, UserOptions,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::{Host, Lab, PATIENCE, Watched, carried, ensure, same};
use crate::policies::{net, number_after, sas_of, trap, wide_and_narrow};
use crate::sas::{ENCAP, Suite, other_end, pair};
use crate::{Outcome, OwnTrial};

/// The word that makes this program a process that opens a plane and waits to be killed.
pub const VICTIM: &str = "--user-victim";
/// What it says when everything is installed.
const READY: &str = "ready";

const fn esp(name: &'static str, cipher: C, integrity: Option<I>) -> Suite {
    Suite {
        name,
        protocol: Protocol::Esp,
        cipher: Some(cipher),
        integrity,
        esn: false,
        replay_window: 1024,
    }
}

const fn esn(suite: Suite) -> Suite {
    Suite { esn: true, ..suite }
}

/// One of each cipher and each integrity algorithm that the plane has, and some with extended sequence numbers.
pub static SUITES: [Suite; 22] = [
    esp("aes128gcm16", C::Aes128Gcm16, None),
    esp("aes192gcm16", C::Aes192Gcm16, None),
    esp("aes256gcm16", C::Aes256Gcm16, None),
    esp("aes128gcm12", C::Aes128Gcm12, None),
    esp("aes256gcm8", C::Aes256Gcm8, None),
    esn(esp("aes256gcm16_esn", C::Aes256Gcm16, None)),
    esp("chacha20poly1305", C::ChaCha20Poly1305, None),
    esp("aes128ccm16", C::Aes128Ccm16, None),
    esp("aes192ccm12", C::Aes192Ccm12, None),
    esp("aes256ccm8", C::Aes256Ccm8, None),
    esp("aes128gmac", C::Aes128Gmac, None),
    esn(esp("aes256gmac_esn", C::Aes256Gmac, None)),
    esp("aes128_sha1", C::Aes128, Some(I::HmacSha1)),
    esp("aes192_md5", C::Aes192, Some(I::HmacMd5)),
    esp("aes256_sha256", C::Aes256, Some(I::HmacSha256)),
    esn(esp("aes128_sha384_esn", C::Aes128, Some(I::HmacSha384))),
    esp("aes256_sha512", C::Aes256, Some(I::HmacSha512)),
    esp("aes128ctr_sha256", C::Aes128Ctr, Some(I::HmacSha256)),
    esp("aes256ctr_sha1", C::Aes256Ctr, Some(I::HmacSha1)),
    esp("null_sha256", C::Null, Some(I::HmacSha256)),
    esn(esp("null_sha1_esn", C::Null, Some(I::HmacSha1))),
    esp("3des_md5", C::TripleDes, Some(I::HmacMd5)),
];

pub const TRIALS: &[OwnTrial] = &[
    ("every_suite_carries_pings", every_suite_carries_pings),
    (
        "ip_versions_inside_and_outside_may_differ",
        ip_versions_inside_and_outside_may_differ,
    ),
    (
        "tcp_arrives_as_it_was_sent_with_and_without_udp",
        tcp_arrives_as_it_was_sent_with_and_without_udp,
    ),
    (
        "a_peer_in_its_own_selector_is_reached",
        a_peer_in_its_own_selector_is_reached,
    ),
    (
        "what_does_not_fit_the_path_is_told_or_fragmented",
        what_does_not_fit_the_path_is_told_or_fragmented,
    ),
    (
        "traffic_asks_for_an_sa_and_gets_it",
        traffic_asks_for_an_sa_and_gets_it,
    ),
    (
        "what_a_trap_waits_for_goes_by_no_wider_sa",
        what_a_trap_waits_for_goes_by_no_wider_sa,
    ),
    (
        "packets_leave_from_the_address_of_the_newest_sa_though_a_trap_had_the_route_before",
        packets_leave_from_the_address_of_the_newest_sa_though_a_trap_had_the_route_before,
    ),
    (
        "limits_are_told_and_end_the_sa",
        limits_are_told_and_end_the_sa,
    ),
    (
        "a_replacement_takes_over_and_the_old_one_still_receives",
        a_replacement_takes_over_and_the_old_one_still_receives,
    ),
    (
        "an_sa_moves_to_other_addresses",
        an_sa_moves_to_other_addresses,
    ),
    (
        "what_cannot_be_had_is_refused_in_words",
        what_cannot_be_had_is_refused_in_words,
    ),
    (
        "what_is_next_door_is_not_led_into_a_tunnel_for_everything",
        what_is_next_door_is_not_led_into_a_tunnel_for_everything,
    ),
    (
        "a_local_lan_is_reached_past_the_tunnel",
        a_local_lan_is_reached_past_the_tunnel,
    ),
    (
        "workers_keep_the_order_that_a_small_window_wants",
        workers_keep_the_order_that_a_small_window_wants,
    ),
    (
        "a_killed_plane_leaves_nothing_that_the_next_does_not_remove",
        a_killed_plane_leaves_nothing_that_the_next_does_not_remove,
    ),
];

/// Why no plane can be opened here.
pub fn missing_tun() -> Option<String> {
    let tried = Lab::new().and_then(|lab| plane(&lab, &lab.left, Vec::new()).map(drop));
    let why = tried.err()?;
    Some(why.message().unwrap_or("no TUN devices").to_owned())
}

/// Opens a plane on a host.
pub fn plane(lab: &Lab, host: &Host, nat_sockets: Vec<UdpSocket>) -> Outcome<Watched<User>> {
    let mut options = UserOptions::new(lab.state_file(host));
    options.nat_sockets = nat_sockets.into_iter().map(OwnedFd::from).collect();
    options.workers = 2;
    open(host, options)
}

/// Opens a plane on a host, as the options say.
pub fn open(host: &Host, options: UserOptions) -> Outcome<Watched<User>> {
    let (sender, events) = channel();
    let tell = move |event| drop(sender.send(event));
    let plane = host.inside(|| dataplane::user(options, tell))?;
    Ok(Watched {
        plane: Box::new(plane),
        events,
    })
}

/// A NAT-T socket.
pub fn nat_socket(host: &Host, address: &str) -> Outcome<UdpSocket> {
    Ok(host.inside(|| UdpSocket::bind(address))?)
}

/// Does something with a plane, as its host does it: `/proc/sys/net` is that of the thread's namespace.
pub fn install(host: &Host, plane: &mut Watched<User>, sa: &ChildSa) -> Outcome {
    Ok(host.inside(|| plane.plane.install(sa))?)
}

/// Planes on both hosts, with NAT-T sockets.
pub fn planes(lab: &Lab) -> Outcome<(Watched<User>, Watched<User>)> {
    let sockets = |host, n: u8| -> Outcome<Vec<UdpSocket>> {
        Ok(vec![
            nat_socket(host, &format!("192.0.2.{n}:4500"))?,
            nat_socket(host, &format!("[2001:db8::{n}]:4500"))?,
        ])
    };
    let left = plane(lab, &lab.left, sockets(&lab.left, 1)?)?;
    let right = plane(lab, &lab.right, sockets(&lab.right, 2)?)?;
    Ok((left, right))
}

/// Both planes with both ends of a child SA.
pub fn joined(lab: &Lab, sa: &ChildSa) -> Outcome<(Watched<User>, Watched<User>)> {
    let (mut left, mut right) = planes(lab)?;
    install(&lab.left, &mut left, sa)?;
    install(&lab.right, &mut right, &other_end(sa))?;
    Ok((left, right))
}

pub const THROUGH: &str = "-I 10.1.0.1 10.2.0.1";

fn every_suite_carries_pings() -> Outcome {
    let lab = Lab::new()?;
    let (mut left, mut right) = planes(&lab)?;
    for (number, suite) in SUITES.iter().enumerate() {
        let mut carries = |udp: bool| -> Outcome {
            let (mut sa, _) = pair(
                suite,
                Mode::Tunnel,
                u32::try_from(number * 2)? + u32::from(udp),
            );
            sa.encap = udp.then_some(ENCAP);
            install(&lab.left, &mut left, &sa)?;
            install(&lab.right, &mut right, &other_end(&sa))?;
            lab.left.pings(THROUGH)?;
            carried(&left.plane.counters(sa.id)?, 3)?;
            carried(&right.plane.counters(sa.id)?, 3)?;
            left.plane.remove(sa.id)?;
            right.plane.remove(sa.id)?;
            // The way is there no more.
            let routes = lab.left.ip("route show table 221")?;
            same("routes", routes.trim(), "")
        };
        let named = |why: libtest_mimic::Failed| {
            format!("{}: {}", suite.name, why.message().unwrap_or_default())
        };
        carries(false).map_err(named)?;
        carries(true).map_err(named)?;
    }
    Ok(())
}

fn ip_versions_inside_and_outside_may_differ() -> Outcome {
    let lab = Lab::new()?;
    let (mut left, mut right) = planes(&lab)?;
    for (number, (outer_v6, inner_v6, udp)) in [
        (false, true, false),
        (false, true, true),
        (true, false, false),
        (true, false, true),
        (true, true, false),
        (true, true, true),
    ]
    .into_iter()
    .enumerate()
    {
        let (mut sa, _) = pair(&SUITES[0], Mode::Tunnel, u32::try_from(number)?);
        if outer_v6 {
            (sa.local, sa.remote) = ("2001:db8::1".parse()?, "2001:db8::2".parse()?);
        }
        if inner_v6 {
            sa.local_selector = net("2001:db8:1::/48");
            sa.remote_selector = net("2001:db8:2::/48");
        }
        sa.encap = udp.then_some(ENCAP);
        install(&lab.left, &mut left, &sa)?;
        install(&lab.right, &mut right, &other_end(&sa))?;
        lab.left.pings(if inner_v6 {
            "-Q 0xb8 -s 1200 -I 2001:db8:1::1 2001:db8:2::1"
        } else {
            "-Q 0xb8 -s 1200 -I 10.1.0.1 10.2.0.1"
        })?;
        carried(&left.plane.counters(sa.id)?, 3)?;
        left.plane.remove(sa.id)?;
        right.plane.remove(sa.id)?;
    }
    Ok(())
}

/// What is sent, by its place: a lost, doubled or misplaced piece shows.
fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| u8::try_from((at ^ at >> 8 ^ at >> 16) & 0xff).expect("a byte"))
        .collect()
}

fn tcp_arrives_as_it_was_sent_with_and_without_udp() -> Outcome {
    const LEN: usize = 8 << 20;
    for udp in [true, false] {
        let lab = Lab::new()?;
        let (mut sa, _) = pair(&SUITES[0], Mode::Tunnel, 1);
        sa.encap = udp.then_some(ENCAP);
        let (mut left, mut right) = joined(&lab, &sa)?;
        let listener = lab.right.inside(|| TcpListener::bind("10.2.0.1:7000"))?;
        let sent = pattern(LEN);
        let mut sending = lab.left.inside(|| TcpStream::connect("10.2.0.1:7000"))?;
        let (mut receiving, from) = listener.accept()?;
        same("source", &from.ip().to_string(), "10.1.0.1")?;
        let received = std::thread::scope(|scope| -> Outcome<Vec<u8>> {
            let sender = scope.spawn(|| {
                sending.write_all(&sent)?;
                sending.shutdown(std::net::Shutdown::Write)
            });
            receiving.set_read_timeout(Some(PATIENCE))?;
            let mut received = Vec::new();
            receiving.read_to_end(&mut received)?;
            sender.join().expect("it does not panic")?;
            Ok(received)
        })?;
        ensure(received == sent, || {
            format!("{} bytes arrived, or others", received.len())
        })?;
        let counters = [left.plane.counters(1)?, right.plane.counters(1)?];
        ensure(
            counters[0].outbound.bytes > LEN as u64
                && counters[1].inbound.bytes > LEN as u64
                && counters
                    .iter()
                    .all(|c| c.replayed + c.integrity_failures == 0),
            || format!("{counters:?}"),
        )?;
    }
    Ok(())
}

fn a_peer_in_its_own_selector_is_reached() -> Outcome {
    for udp in [true, false] {
        let lab = Lab::new()?;
        for host in [&lab.left, &lab.right] {
            host.sysctl("net/ipv4/conf/eth0/rp_filter", "1")?;
        }
        let before = lab.left.routes()?;
        let (mut sa, _) = pair(&SUITES[0], Mode::Tunnel, 1);
        sa.local_selector = net("192.0.2.1/32");
        sa.remote_selector = net("192.0.2.2/32");
        sa.encap = udp.then_some(ENCAP);
        let (left, right) = {
            let (mut left, mut right) = joined(&lab, &sa)?;
            lab.left.pings("192.0.2.2")?;
            carried(&left.plane.counters(1)?, 3)?;
            carried(&right.plane.counters(1)?, 3)?;
            (left, right)
        };
        // IKE's own packets pass by the tunnel.
        let ike = nat_socket(&lab.left, "192.0.2.1:500")?;
        dataplane::bypass(&ike, UserOptions::new("").mark)?;
        let peer = nat_socket(&lab.right, "192.0.2.2:500")?;
        dataplane::bypass(&peer, UserOptions::new("").mark)?;
        peer.set_read_timeout(Some(PATIENCE))?;
        ike.send_to(b"ike", "192.0.2.2:500")?;
        let (len, from) = peer.recv_from(&mut [0; 9])?;
        ensure(len == 3 && from.port() == 500, || from.to_string())?;
        lab.left.inside(|| left.plane.close())?;
        lab.right.inside(|| right.plane.close())?;
        let filter = lab.left.run("cat /proc/sys/net/ipv4/conf/eth0/rp_filter")?;
        same("rp_filter", filter.trim(), "1")?;
        same("routes", &lab.left.routes()?, &before)?;
    }
    Ok(())
}

fn what_does_not_fit_the_path_is_told_or_fragmented() -> Outcome {
    let lab = Lab::new()?;
    let (mut sa, _) = pair(&SUITES[0], Mode::Tunnel, 1);
    sa.encap = Some(ENCAP);
    for host in [&lab.left, &lab.right] {
        host.ip("link set eth0 mtu 1300")?;
    }
    let (_left, _right) = joined(&lab, &sa)?;
    // 1300 less 20 IP, 8 UDP, 8 ESP, 8 IV, 16 ICV is 1240, of which 2 are the trailer.
    let vain = lab
        .left
        .run("ping -n -c 2 -i 0.2 -w 5 -M do -s 1320 10.2.0.1");
    let words = vain.err().and_then(|why| why.message().map(str::to_owned));
    let words = words.unwrap_or_default();
    ensure(
        words.contains("mtu = 1238") || words.contains("mtu=1238"),
        || words.clone(),
    )?;
    lab.left.pings("-M do -s 1210 10.2.0.1")?;
    lab.left.ip("route flush cache")?;
    lab.right.pings("-M dont -s 1320 10.1.0.1")
}

fn traffic_asks_for_an_sa_and_gets_it() -> Outcome {
    let lab = Lab::new()?;
    let (mut left, mut right) = planes(&lab)?;
    let trap = trap(Mode::Tunnel);
    lab.left.inside(|| left.plane.trap(&trap))?;
    lab.left.pings_in_vain(THROUGH)?;
    let (local, remote) = left.event(|event| match event {
        PlaneEvent::Acquire {
            trap: name,
            local,
            remote,
        } if *name == trap.name => Some((*local, *remote)),
        _ => None,
    })?;
    same(
        "what asked",
        &format!("{local} {remote}"),
        "10.1.0.1/32[1] 10.2.0.1/32[1]",
    )?;
    let (sa, _) = pair(&SUITES[0], Mode::Tunnel, 1);
    install(&lab.left, &mut left, &sa)?;
    install(&lab.right, &mut right, &other_end(&sa))?;
    lab.left.pings(THROUGH)?;
    left.plane.remove(1)?;
    // Nothing leaves unprotected: the trap is still there.
    lab.left.pings_in_vain(THROUGH)?;
    left.plane.untrap(&trap.name)?;
    same("routes", lab.left.ip("route show table 221")?.trim(), "")?;
    let none = left.plane.untrap(&trap.name).err().map(|e| e.to_string());
    ensure(none.is_some(), || "a trap that is gone".into())
}

fn what_a_trap_waits_for_goes_by_no_wider_sa() -> Outcome {
    for [wide, narrow] in wide_and_narrow() {
        let lab = Lab::new()?;
        lab.right.ip("addr add 10.2.2.1/32 dev lo")?;
        let (mut left, mut right) = planes(&lab)?;
        for trap in [&wide, &narrow] {
            lab.left.inside(|| left.plane.trap(trap))?;
        }
        let (wide, there) = sas_of(&wide, 1);
        install(&lab.left, &mut left, &wide)?;
        install(&lab.right, &mut right, &there)?;
        lab.left.pings("-I 10.1.0.1 10.2.2.1")?;
        lab.left.pings_in_vain(THROUGH)?;
        let asks = |event: &PlaneEvent| match event {
            PlaneEvent::Acquire { trap, .. } => Some(trap.clone()),
            _ => None,
        };
        same("who asks", &left.event(asks)?, "narrow")?;
        carried(&left.plane.counters(1)?, 3)?;
        let (narrow, there) = sas_of(&narrow, 2);
        install(&lab.right, &mut right, &there)?;
        install(&lab.left, &mut left, &narrow)?;
        lab.left.pings(THROUGH)?;
        carried(&left.plane.counters(2)?, 3)?;
        left.plane.remove(2)?;
        lab.left.pings_in_vain(THROUGH)?;
        lab.left.pings("-I 10.1.0.1 10.2.2.1")?;
    }
    Ok(())
}

fn packets_leave_from_the_address_of_the_newest_sa_though_a_trap_had_the_route_before() -> Outcome {
    let lab = Lab::new()?;
    let (mut left, _right) = planes(&lab)?;
    lab.left.ip("addr add 10.1.0.9/32 dev lo")?;
    let source = || number_after(&lab.left.ip("route show table 221 dev mainmode0")?, "src");
    let mut trap = trap(Mode::Tunnel);
    let own = |address: [u8; 4]| Selector::host(address.into());
    trap.local_selectors = vec![own([192, 0, 2, 1])];
    lab.left.inside(|| left.plane.trap(&trap))?;
    same("a trap's source", &source()?, "192.0.2.1")?;
    for (id, last) in [(1, 1), (2, 9)] {
        let (mut sa, _) = pair(&SUITES[0], Mode::Tunnel, id);
        sa.local_selector = own([10, 1, 0, last]);
        install(&lab.left, &mut left, &sa)?;
        same("an SA's source", &source()?, &format!("10.1.0.{last}"))?;
    }
    left.plane.remove(2)?;
    same("the older SA's source", &source()?, "10.1.0.1")?;
    left.plane.remove(1)?;
    same("the trap's source again", &source()?, "192.0.2.1")?;
    left.plane.untrap(&trap.name)?;
    same("routes", lab.left.ip("route show table 221")?.trim(), "")
}

fn limits_are_told_and_end_the_sa() -> Outcome {
    let lab = Lab::new()?;
    let (mut sa, _) = pair(&SUITES[0], Mode::Tunnel, 1);
    sa.limits = Limits {
        soft_packets: Some(2),
        hard_packets: Some(3),
        ..Limits::default()
    };
    let (mut left, _right) = joined(&lab, &sa)?;
    lab.left.pings(THROUGH)?;
    lab.left.pings_in_vain(THROUGH)?;
    for expected in [false, true] {
        left.event(|event| match event {
            PlaneEvent::Expire { id: 1, hard } if *hard == expected => Some(()),
            _ => None,
        })?;
    }
    carried(&left.plane.counters(1)?, 3)
}

fn a_replacement_takes_over_and_the_old_one_still_receives() -> Outcome {
    let lab = Lab::new()?;
    let (first, _) = pair(&SUITES[0], Mode::Tunnel, 1);
    let (mut left, mut right) = joined(&lab, &first)?;
    std::thread::scope(|scope| -> Outcome {
        let pinging = scope.spawn(|| {
            lab.left
                .run(&format!("ping -n -q -c 100 -i 0.01 -W 5 {THROUGH}"))
        });
        for number in 2..12 {
            let (mut sa, _) = pair(&SUITES[0], Mode::Tunnel, number);
            sa.replaces = Some(u64::from(number) - 1);
            // As rekeying does: both receive before either sends.
            install(&lab.right, &mut right, &other_end(&sa))?;
            install(&lab.left, &mut left, &sa)?;
            std::thread::sleep(Duration::from_millis(50));
            left.plane.remove(u64::from(number) - 1)?;
            right.plane.remove(u64::from(number) - 1)?;
        }
        let said = pinging.join().expect("it does not panic")?;
        // A ping that the right end's new SA answers before the left has it is lost: at most one each time.
        let received: u32 = said
            .split(", ")
            .find_map(|part| part.strip_suffix(" received"))
            .and_then(|number| number.parse().ok())
            .unwrap_or(0);
        ensure(received >= 90, || said)
    })
}

fn an_sa_moves_to_other_addresses() -> Outcome {
    let lab = Lab::new()?;
    for (host, n) in [(&lab.left, 1), (&lab.right, 2)] {
        host.ip(&format!("addr add 203.0.113.{n}/24 dev eth0"))?;
    }
    let (sa, _) = pair(&SUITES[0], Mode::Tunnel, 1);
    let (mut left, mut right) = joined(&lab, &sa)?;
    lab.left.pings(THROUGH)?;
    let (here, there) = ("203.0.113.1:0".parse()?, "203.0.113.2:0".parse()?);
    left.plane.move_to(1, here, there)?;
    right.plane.move_to(1, there, here)?;
    lab.left.ip("addr del 192.0.2.1/24 dev eth0")?;
    lab.left.pings(THROUGH)?;
    carried(&left.plane.counters(1)?, 6)
}

fn what_cannot_be_had_is_refused_in_words() -> Outcome {
    let lab = Lab::new()?;
    let mut left = plane(&lab, &lab.left, Vec::new())?;
    let (good, _) = pair(&SUITES[0], Mode::Tunnel, 1);
    let mut transport = good.clone();
    transport.mode = Mode::Transport;
    let mut marked = good.clone();
    marked.mark = Some(Mark { value: 1, mask: 1 });
    let mut udp = good.clone();
    udp.encap = Some(ENCAP);
    let (ah, _) = pair(crate::sas::SUITES.last().expect("AH"), Mode::Tunnel, 1);
    let xcbc = esp("aes128_aesxcbc", C::Aes128, Some(I::AesXcbc));
    let (xcbc, _) = pair(&xcbc, Mode::Tunnel, 1);
    for (sa, words) in [
        (&transport, "transport mode cannot be had in user space"),
        (&ah, "AH cannot be had in user space"),
        (&marked, "a firewall mark cannot be had"),
        (&udp, "no NAT-T socket is bound to 192.0.2.1:4500"),
        (&xcbc, "aesxcbc"),
    ] {
        match left.plane.install(sa) {
            Err(PlaneError::Invalid { what }) if what.contains(words) => {}
            other => return Err(format!("{words}: {other:?}").into()),
        }
    }
    install(&lab.left, &mut left, &good)?;
    let twice = left.plane.install(&good);
    ensure(
        matches!(twice, Err(PlaneError::AlreadyInstalled(_))),
        || format!("{twice:?}"),
    )?;
    let second = plane(&lab, &lab.left, Vec::new()).err();
    let words = second.and_then(|why| why.message().map(str::to_owned));
    ensure(
        words
            .as_ref()
            .is_some_and(|words| words.contains("already running")),
        || format!("{words:?}"),
    )
}

fn what_is_next_door_is_not_led_into_a_tunnel_for_everything() -> Outcome {
    let mut lab = Lab::new()?;
    let behind = lab.behind_left()?;
    lab.left.sysctl("net/ipv4/ip_forward", "1")?;
    let before = lab.left.routes()?;
    let (mut sa, _) = pair(&SUITES[0], Mode::Tunnel, 1);
    sa.remote_selector = net("0.0.0.0/0");
    let (mut left, mut right) = joined(&lab, &sa)?;
    behind.pings("10.2.0.1")?;
    carried(&left.plane.counters(1)?, 3)?;
    // Without the tunnel, and back from the tunnel.
    lab.left.pings("10.1.0.9")?;
    lab.left.pings("192.0.2.2")?;
    lab.right.pings("-I 10.2.0.1 10.1.0.9")?;
    carried(&left.plane.counters(1)?, 6)?;
    // Another for the same shares the exceptions, which are there until both have gone.
    let (mut second, _) = pair(&SUITES[0], Mode::Tunnel, 2);
    second.remote_selector = sa.remote_selector;
    second.replaces = Some(1);
    install(&lab.left, &mut left, &second)?;
    install(&lab.right, &mut right, &other_end(&second))?;
    left.plane.remove(1)?;
    right.plane.remove(1)?;
    behind.pings("10.2.0.1")?;
    lab.left.pings("10.1.0.9")?;
    left.plane.remove(2)?;
    same("routes", lab.left.ip("route show table 221")?.trim(), "")?;
    lab.left.inside(|| left.plane.close())?;
    same("routes", &lab.left.routes()?, &before)
}

fn a_local_lan_is_reached_past_the_tunnel() -> Outcome {
    let lab = Lab::new()?;
    lab.right.ip("addr add 10.2.9.1/32 dev lo")?;
    lab.left.ip("route add 10.2.9.0/24 via 192.0.2.2")?;
    let before = lab.left.routes()?;
    let (mut sa, _) = pair(&SUITES[0], Mode::Tunnel, 1);
    sa.local_lan = vec!["10.2.9.0/24".parse()?, "172.16.0.0/12".parse()?];
    let (mut left, mut right) = joined(&lab, &sa)?;
    let pinged = |left: &Host| -> Outcome {
        left.pings("10.2.9.1")?;
        left.pings("10.2.0.1")
    };
    pinged(&lab.left)?;
    carried(&left.plane.counters(1)?, 3)?;
    let table = lab.left.ip("route show table 221")?;
    ensure(table.contains("throw 10.2.9.0/24"), || table.clone())?;
    ensure(!table.contains("172.16.0.0"), || table.clone())?;
    // Another for the same, whose list is another, has its own beside it.
    let (mut second, _) = pair(&SUITES[0], Mode::Tunnel, 2);
    second.local_lan = vec!["10.2.8.0/24".parse()?];
    second.replaces = Some(1);
    install(&lab.left, &mut left, &second)?;
    install(&lab.right, &mut right, &other_end(&second))?;
    let table = lab.left.ip("route show table 221")?;
    ensure(table.contains("throw 10.2.8.0/24"), || table.clone())?;
    pinged(&lab.left)?;
    left.plane.remove(1)?;
    left.plane.remove(2)?;
    same("routes", lab.left.ip("route show table 221")?.trim(), "")?;
    lab.left.inside(|| left.plane.close())?;
    same("routes", &lab.left.routes()?, &before)
}

fn workers_keep_the_order_that_a_small_window_wants() -> Outcome {
    const FLOWS: u16 = 8;
    const EACH: usize = 3000;
    let lab = Lab::new()?;
    let (mut sa, _) = pair(&SUITES[0], Mode::Tunnel, 1);
    (sa.replay_window, sa.encap) = (32, Some(ENCAP));
    let (left, mut right) = joined(&lab, &sa)?;
    std::thread::scope(|scope| -> Outcome {
        let mut senders = Vec::new();
        for flow in 0..FLOWS {
            let socket = nat_socket(&lab.left, "10.1.0.1:0")?;
            socket.connect(("10.2.0.1", 7000 + flow))?;
            senders.push(scope.spawn(move || {
                for _ in 0..EACH {
                    // Nobody listens there, and says so.
                    let _ = socket.send(&[7; 200]);
                }
            }));
        }
        for sender in senders {
            sender.join().expect("it does not panic");
        }
        Ok(())
    })?;
    drop(left);
    let counters = right.plane.counters(1)?;
    ensure(
        counters.inbound.packets > 1000 && counters.replayed + counters.integrity_failures == 0,
        || format!("{counters:?}"),
    )
}

/// Opens a plane, installs an SA for which a filter must be loosened, and a trap; then waits to be killed.
pub fn victim(namespace: &str, state_file: &Path) -> ! {
    let host = Host(namespace.to_owned());
    let installed = open(&host, UserOptions::new(state_file)).and_then(|mut opened| {
        let (mut sa, _) = pair(&SUITES[0], Mode::Tunnel, 1);
        sa.remote_selector = net("192.0.2.0/24");
        install(&host, &mut opened, &sa)?;
        host.inside(|| opened.plane.trap(&trap(Mode::Tunnel)))?;
        Ok(opened)
    });
    match installed {
        Ok(_opened) => {
            println!("{READY}");
            loop {
                std::thread::park();
            }
        }
        Err(why) => {
            println!("{}", why.message().unwrap_or_default());
            std::process::exit(1);
        }
    }
}

fn a_killed_plane_leaves_nothing_that_the_next_does_not_remove() -> Outcome {
    let lab = Lab::new()?;
    lab.left.sysctl("net/ipv4/conf/eth0/rp_filter", "1")?;
    let before = lab.left.routes()?;
    let mut program = Command::new(std::env::current_exe()?)
        .args([VICTIM, &lab.left.0])
        .arg(lab.state_file(&lab.left))
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = String::new();
    if let Some(out) = program.stdout.take() {
        BufReader::new(out).read_line(&mut said)?;
    }
    let during = lab.left.routes();
    kill(Pid::from_raw(i32::try_from(program.id())?), Signal::SIGKILL)?;
    program.wait()?;
    same("the victim's word", said.trim(), READY)?;
    ensure(during?.contains("dev mainmode0"), || "no routes".into())?;
    // Nothing leaves unprotected meanwhile.
    let stopped = lab.left.run("ping -n -c 1 -w 1 10.2.0.1").err();
    let words = stopped.and_then(|why| why.message().map(str::to_owned));
    let words = words.unwrap_or_default();
    ensure(words.contains("o route to host"), || words.clone())?;
    let filter = || lab.left.run("cat /proc/sys/net/ipv4/conf/eth0/rp_filter");
    same("rp_filter", filter()?.trim(), "2")?;
    let next = plane(&lab, &lab.left, Vec::new())?;
    same("rp_filter", filter()?.trim(), "1")?;
    lab.left.inside(|| next.plane.close())?;
    // The device goes when the last descriptor of it has.
    let end = Instant::now() + PATIENCE;
    while lab.left.routes()? != before && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    same("routes", &lab.left.routes()?, &before)
}
