//! What the plane in user space puts on the wire, as tshark reads it, and what it makes of outer headers.

use std::fmt::Write as _;
use std::os::fd::AsFd;

use crypto::esp::{EspCipher as C, EspIntegrity as I};
use dataplane::{ChildSa, Mode, Plane};
use nix::sys::socket::{setsockopt, sockopt};

use crate::capture::{Capture, dissect};
use crate::lab::{Lab, ensure, same};
use crate::policies::net;
use crate::sas::{ENCAP, Suite, other_end, pair};
use crate::user::{SUITES, THROUGH, install, joined, planes};
use crate::user_refusals::{Bare, echo};
use crate::{Outcome, OwnTrial};

pub const TRIALS: &[OwnTrial] = &[
    (
        "tshark_reads_every_suite_that_it_knows",
        tshark_reads_every_suite_that_it_knows,
    ),
    (
        "outer_headers_carry_class_and_no_hops_of_the_inner",
        outer_headers_carry_class_and_no_hops_of_the_inner,
    ),
    (
        "a_packet_that_is_passed_on_has_one_hop_less",
        a_packet_that_is_passed_on_has_one_hop_less,
    ),
    (
        "congestion_on_the_way_is_told_to_the_receiver",
        congestion_on_the_way_is_told_to_the_receiver,
    ),
    (
        "long_packets_arrive_in_fragments",
        long_packets_arrive_in_fragments,
    ),
];

/// tshark's words for a cipher and an integrity algorithm; `None` for what it cannot open.
fn words(suite: &Suite) -> Option<(&'static str, &'static str)> {
    if suite.esn {
        // It knows nothing of the upper half, which the ICV is over.
        return None;
    }
    let cipher = match suite.cipher? {
        C::Aes128Gcm16 | C::Aes192Gcm16 | C::Aes256Gcm16 => "AES-GCM with 16 octet ICV [RFC4106]",
        C::Aes128Gcm12 | C::Aes192Gcm12 | C::Aes256Gcm12 => "AES-GCM with 12 octet ICV [RFC4106]",
        C::Aes128Gcm8 | C::Aes192Gcm8 | C::Aes256Gcm8 => "AES-GCM with 8 octet ICV [RFC4106]",
        C::Aes128 | C::Aes192 | C::Aes256 => "AES-CBC [RFC3602]",
        C::Aes128Ctr | C::Aes192Ctr | C::Aes256Ctr => "AES-CTR [RFC3686]",
        C::TripleDes => "TripleDES-CBC [RFC2451]",
        C::Null => "NULL",
        _ => return None,
    };
    let integrity = match suite.integrity {
        None => "NULL",
        Some(I::HmacMd5) => "HMAC-MD5-96 [RFC2403]",
        Some(I::HmacSha1) => "HMAC-SHA-1-96 [RFC2404]",
        Some(I::HmacSha256) => "HMAC-SHA-256-128 [RFC4868]",
        Some(I::HmacSha384) => "HMAC-SHA-384-192 [RFC4868]",
        Some(I::HmacSha512) => "HMAC-SHA-512-256 [RFC4868]",
        Some(I::AesXcbc) => return None,
    };
    Some((cipher, integrity))
}

/// tshark's options for reading both directions of an SA.
fn keys(sa: &ChildSa, (cipher, integrity): (&str, &str)) -> Vec<String> {
    let hex = |bytes: &[u8]| {
        let start = String::from(if bytes.is_empty() { "" } else { "0x" });
        bytes.iter().fold(start, |mut digits, byte| {
            // Nothing refuses to go into a string.
            let _ = write!(digits, "{byte:02x}");
            digits
        })
    };
    let mut options = vec![
        "esp.enable_encryption_decode:TRUE".to_owned(),
        "esp.enable_authentication_check:TRUE".to_owned(),
    ];
    for half in [&sa.inbound, &sa.outbound] {
        let version = if sa.local.is_ipv4() { "IPv4" } else { "IPv6" };
        options.push(format!(
            "uat:esp_sa:\"{version}\",\"*\",\"*\",\"{:#010x}\",\"{cipher}\",\"{}\",\"{integrity}\",\"{}\"",
            half.spi,
            hex(half.encryption.as_bytes()),
            hex(half.integrity.as_bytes()),
        ));
    }
    options
}

/// In whatever order: an answer may take longer than the next question.
fn same_lines(what: &str, mut seen: Vec<String>, mut expected: Vec<String>) -> Outcome {
    seen.sort();
    expected.sort();
    same(what, &seen.join("\n"), &expected.join("\n"))
}

fn tshark_reads_every_suite_that_it_knows() -> Outcome {
    let lab = Lab::new()?;
    lab.left.one_by_one()?;
    lab.right.one_by_one()?;
    let (mut left, mut right) = planes(&lab)?;
    let mut read = 0;
    for (suite, number) in SUITES.iter().zip(1..) {
        let Some(words) = words(suite) else { continue };
        let (mut sa, _) = pair(suite, Mode::Tunnel, number);
        sa.encap = (number % 2 == 0).then_some(ENCAP);
        let capture = Capture::start(&lab.left)?;
        install(&lab.left, &mut left, &sa)?;
        install(&lab.right, &mut right, &other_end(&sa))?;
        // All at once: they leave together.
        lab.left.pings(&format!("-l 3 {THROUGH}"))?;
        left.plane.remove(sa.id)?;
        right.plane.remove(sa.id)?;
        let packets = capture.packets("eth0")?;
        let fields = [
            "esp.sequence",
            "esp.icv_good",
            "icmp.type",
            "icmp.checksum.status",
        ];
        let seen = dissect(&lab, &packets, &keys(&sa, words), &fields)?;
        let expected: Vec<String> = (1..=3)
            .flat_map(|sequence| [8, 0].map(|kind| format!("{sequence}\t1\t{kind}\t1")))
            .collect();
        same_lines(suite.name, seen, expected)?;
        read += 1;
    }
    ensure(read > SUITES.len() / 2, || format!("only {read} suites"))
}

fn outer_headers_carry_class_and_no_hops_of_the_inner() -> Outcome {
    for (v6, udp) in [(false, false), (false, true), (true, false), (true, true)] {
        let lab = Lab::new()?;
        lab.left.one_by_one()?;
        lab.right.one_by_one()?;
        let (mut sa, _) = pair(&SUITES[0], Mode::Tunnel, 1);
        if v6 {
            (sa.local, sa.remote) = ("2001:db8::1".parse()?, "2001:db8::2".parse()?);
        }
        sa.encap = udp.then_some(ENCAP);
        let (_left, _right) = joined(&lab, &sa)?;
        let capture = Capture::start(&lab.left)?;
        // AF11 with ECT(0).
        lab.left.pings(&format!("-t 33 -Q 0x2a {THROUGH}"))?;
        let packets = capture.packets("eth0")?;
        let fields: &[&str] = if v6 {
            &[
                "ipv6.src",
                "ipv6.tclass",
                "ipv6.hlim",
                "udp.srcport",
                "udp.dstport",
                "esp.spi",
            ]
        } else {
            &[
                "ip.src",
                "ip.dsfield",
                "ip.ttl",
                "ip.flags.df",
                "udp.srcport",
                "udp.dstport",
                "esp.spi",
            ]
        };
        let seen = dissect(&lab, &packets, &[], fields)?;
        let line = |end: &str, half: &dataplane::Half| {
            let outer = if v6 {
                format!("2001:db8::{end}\t0x0000002a\t64")
            } else {
                format!("192.0.2.{end}\t0x2a\t64\t1")
            };
            let ports = if udp { "4500\t4500" } else { "\t" };
            format!("{outer}\t{ports}\t{:#010x}", half.spi)
        };
        let (out, back) = (line("1", &sa.outbound), line("2", &sa.inbound));
        let expected = [out, back].into_iter().cycle().take(6).collect();
        same_lines(&format!("v6 {v6}, udp {udp}"), seen, expected)?;
    }
    Ok(())
}

fn a_packet_that_is_passed_on_has_one_hop_less() -> Outcome {
    let mut lab = Lab::new()?;
    let behind = lab.behind_left()?;
    lab.left.sysctl("net/ipv4/ip_forward", "1")?;
    let (sa, _) = pair(&SUITES[0], Mode::Tunnel, 1);
    let (_left, _right) = joined(&lab, &sa)?;
    let capture = Capture::start(&lab.right)?;
    behind.pings("-t 9 10.2.0.1")?;
    let packets = capture.packets("mainmode0")?;
    let seen = dissect(&lab, &packets, &[], &["ip.src", "ip.ttl"])?;
    let inner = ["10.1.0.9\t8", "10.2.0.1\t64"].map(str::to_owned);
    let expected = inner.into_iter().cycle().take(6).collect();
    same_lines("inner packets", seen, expected)?;
    let vain = behind.run("ping -n -c 1 -w 5 -t 1 10.2.0.1").err();
    let words = vain.and_then(|why| why.message().map(str::to_owned));
    let words = words.unwrap_or_default();
    ensure(
        words.contains("From 10.1.0.1") && words.contains("Time to live exceeded"),
        || words.clone(),
    )
}

fn congestion_on_the_way_is_told_to_the_receiver() -> Outcome {
    const CONGESTED: libc::c_int = 3;
    let mut bare = Bare::new()?;
    setsockopt(&bare.peer.as_fd(), sockopt::Ipv4Tos, &CONGESTED)?;
    for (inner, sequence) in [(0, 1), (2, 2), (1, 3), (3, 4)] {
        let packet = bare.seal(&echo(1, inner), 4, sequence)?;
        bare.send(&packet)?;
    }
    for _ in 0..3 {
        bare.answered()?;
    }
    let counters = bare.left.plane.counters(1)?;
    // The first one came, too; it was dropped for its sender does not listen.
    same("packets", &counters.inbound.packets.to_string(), "4")?;
    let packets = bare.capture.packets("mainmode0")?;
    let seen = dissect(&bare.lab, &packets, &[], &["ip.src", "ip.dsfield.ecn"])?;
    let came: Vec<&String> = seen
        .iter()
        .filter(|line| line.starts_with("10.2."))
        .collect();
    same(
        "what came",
        &format!("{came:?}"),
        &format!("{:?}", ["10.2.0.1\t3"; 3]),
    )
}

fn long_packets_arrive_in_fragments() -> Outcome {
    let lab = Lab::new()?;
    let (sa, _) = pair(&SUITES[0], Mode::Tunnel, 1);
    let mut v6 = other_end(&other_end(&sa));
    (v6.id, v6.inbound.spi, v6.outbound.spi) = (2, 0x2001, 0x2002);
    (v6.local_selector, v6.remote_selector) = (net("2001:db8:1::/48"), net("2001:db8:2::/48"));
    let (mut left, mut right) = joined(&lab, &sa)?;
    install(&lab.left, &mut left, &v6)?;
    install(&lab.right, &mut right, &other_end(&v6))?;
    let capture = Capture::start(&lab.left)?;
    // They are cut before they are sealed: each fits the path.
    lab.left.pings(&format!("-M dont -s 6000 {THROUGH}"))?;
    lab.left.pings("-s 6000 -I 2001:db8:1::1 2001:db8:2::1")?;
    let packets = capture.packets("eth0")?;
    let fields = ["esp.spi", "ip.flags.df", "ip.flags.mf", "ip.frag_offset"];
    let seen = dissect(&lab, &packets, &[], &fields)?;
    ensure(seen.len() == 2 * 2 * 3 * 5, || {
        format!("{} packets", seen.len())
    })?;
    let whole = |line: &String| line.starts_with("0x") && line.ends_with("\t1\t0\t0");
    ensure(seen.iter().all(whole), || seen.join("\n"))
}
