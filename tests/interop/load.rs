//! Load on a tunnel: iperf3 from host to host, and pings of which each has to be answered however long they go on.

use crate::Outcome;
use crate::process::{Background, both, output_in, until};
use crate::scenario::{Iperf, Pinging};
use crate::trial::Stage;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Pings under way.
pub struct Pings {
    program: Background,
    log: PathBuf,
    interval: f32,
}

/// Of the last pings, those that may still be under way when they are told to end: what is sent in so many seconds.
const UNDER_WAY: f32 = 0.25;

/// Starts pings that go on until [`Pings::end`].
pub fn pinging(stage: &Stage, pinging: &Pinging) -> Outcome<Pings> {
    let (source, to) = (
        stage.vars.fill(&pinging.source)?,
        stage.vars.fill(&pinging.to)?,
    );
    let interval = pinging.interval.to_string();
    let log = stage.folder.join("pings.out");
    let words = [
        "ping", "-n", "-D", "-i", &interval, "-I", &source, "-W", "5", &to,
    ];
    let namespace = namespace(stage, &pinging.from)?;
    let program = Background::start(&namespace, &log, &[], &words)?;
    Ok(Pings {
        program,
        log,
        interval: pinging.interval,
    })
}

impl Pings {
    /// Ends them: at least so many were sent, and each was answered, or all but so many.
    pub fn end(self, least: u32, but: usize) -> Outcome {
        self.program.interrupt()?;
        let said = std::fs::read_to_string(&self.log)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a handful"
        )]
        let under_way = (UNDER_WAY / self.interval).ceil() as u32;
        check(&said, least, under_way, but).map_err(Into::into)
    }
}

/// What `ping` printed: one line for each answer, and at its end how many were sent.
fn check(said: &str, least: u32, under_way: u32, but: usize) -> Result<(), String> {
    let number = |line: &str, after: &str| -> Option<u32> {
        let rest = line.split_once(after)?.1;
        rest.split(' ').next()?.parse().ok()
    };
    let answered: BTreeSet<u32> = said
        .lines()
        .filter_map(|line| number(line, "icmp_seq="))
        .collect();
    let sent: u32 = said
        .lines()
        .find(|line| line.contains(" packets transmitted, "))
        .and_then(|line| line.split(' ').next()?.parse().ok())
        .ok_or_else(|| format!("ping did not say how many it sent: {said}"))?;
    let lost: Vec<u32> = (1..=sent.saturating_sub(under_way))
        .filter(|number| !answered.contains(number))
        .collect();
    let Some(first) = lost.get(but).and(lost.first()) else {
        return if sent >= least {
            Ok(())
        } else {
            Err(format!("{sent} pings are fewer than {least}"))
        };
    };
    // When that was: the answers beside it have their times.
    let beside: Vec<&str> = said
        .lines()
        .filter(|line| number(line, "icmp_seq=").is_some_and(|n| n.abs_diff(*first) <= 2))
        .collect();
    Err(format!(
        "of {sent} pings these were lost: {lost:?}; beside the first:\n{}",
        beside.join("\n")
    ))
}

/// What the kernels at both ends say that they dropped, and where: a packet without an SA is another thing than one for which
/// a queue had no room.
pub fn dropped(stage: &Stage) -> String {
    const ASK: &str = "grep -v '\\s0$' /proc/net/xfrm_stat; echo queue: $(cut -d' ' -f2 /proc/net/softnet_stat); \
                       ip -s link show eth0 | grep -A1 -E 'RX:|TX:'";
    let of = |host: &str| {
        let said = stage.lab.on(host, &["sh", "-c", ASK]);
        let said = said.unwrap_or_else(|why| why.message().unwrap_or_default().to_owned());
        format!("{host} dropped:\n{said}")
    };
    ["us", "peer"].map(of).join("\n")
}

/// iperf3 both ways at once: bytes have arrived at either end.
pub fn iperf(stage: &Stage, iperf: &Iperf) -> Outcome {
    let _server = server(stage, iperf)?;
    let seconds = iperf.seconds.to_string();
    let words = client(stage, iperf, &["-t", &seconds, "--json"])?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let namespace = namespace(stage, &iperf.from)?;
    let said = both(&output_in(&namespace, iperf.seconds + 20, &words)?);
    let report: Value =
        serde_json::from_str(&said).map_err(|e| format!("iperf3 printed {said}: {e}"))?;
    for way in ["sum_received", "sum_received_bidir_reverse"] {
        let arrived = report["end"][way]["bytes"].as_u64().unwrap_or_default();
        if arrived < iperf.least {
            return Err(format!("{arrived} bytes of {way}: iperf3 says {report}").into());
        }
    }
    Ok(())
}

/// The same for as long as its programs live.
pub fn iperf_beside(stage: &Stage, iperf: &Iperf) -> Outcome<[Background; 2]> {
    let server = server(stage, iperf)?;
    let words = client(stage, iperf, &["-t", FOR_EVER, "-b", &iperf.rate])?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let namespace = namespace(stage, &iperf.from)?;
    let log = stage.folder.join("iperf-client.out");
    let client = Background::start(&namespace, &log, &[], &words)?;
    Ok([client, server])
}

/// Seconds, longer than any trial.
const FOR_EVER: &str = "600";

/// An iperf3 that listens.
fn server(stage: &Stage, iperf: &Iperf) -> Outcome<Background> {
    let log = stage.folder.join("iperf.out");
    let to = stage.vars.fill(&iperf.to)?;
    let words = ["iperf3", "-s", "-B", &to, "--forceflush"];
    let mut server = Background::start(&namespace(stage, &iperf.with)?, &log, &[], &words)?;
    until(5, "an iperf3 that listens", || {
        let said = std::fs::read_to_string(&log)?;
        if let Some(why) = server.ended()? {
            return Err(format!("{why}\n{said}").into());
        }
        Ok(said.contains("Server listening").then_some(()))
    })?;
    Ok(server)
}

fn client(stage: &Stage, iperf: &Iperf, more: &[&str]) -> Outcome<Vec<String>> {
    let (to, source) = (stage.vars.fill(&iperf.to)?, stage.vars.fill(&iperf.source)?);
    let first = ["iperf3", "-c", &to, "-B", &source, "--bidir"];
    let words = first.iter().chain(more);
    Ok(words.map(|word| (*word).to_owned()).collect())
}

fn namespace(stage: &Stage, host: &str) -> Outcome<String> {
    let host = stage.vars.fill(host)?;
    Ok(stage.lab.namespace(stage.vars.host(&host)))
}

/// Each IPsec SA of a host's kernel has carried at least so many bytes; where the host is ours, our status says so too.
pub fn carried(stage: &Stage, on: &str, least: u64) -> Outcome {
    let on = stage.vars.host(on);
    let listed = stage
        .lab
        .on(on, &["ip", "-s", "xfrm", "state", "list", "proto", "esp"])?;
    // `252(bytes), 3(packets)` of what it is now; a limit, `(INF)(bytes)`, is no number.
    let counted: Vec<u64> = listed
        .lines()
        .filter_map(|line| line.split_once("(bytes), ")?.0.trim().parse().ok())
        .collect();
    if counted.len() < 2 || counted.iter().any(|bytes| *bytes < least) {
        return Err(format!("not each IPsec SA has carried {least} bytes: {listed}").into());
    }
    if on != "us" {
        return Ok(());
    }
    let status = stage.daemon.status()?;
    for sa in status["quick_mode_sas"].as_array().into_iter().flatten() {
        for way in ["inbound_bytes", "outbound_bytes"] {
            if sa[way].as_u64().is_none_or(|bytes| bytes < least) {
                return Err(format!("{way} is less than {least} in {sa}").into());
            }
        }
    }
    Ok(())
}

/// What the check of pings promises, as trials of their own.
pub const TRIALS: crate::OwnTrials = &[("a_lost_ping_is_found", lost_ping)];

fn lost_ping() -> Outcome {
    let said = |answered: &[u32], sent: u32| {
        let lines = answered
            .iter()
            .map(|n| format!("[1.5] 64 bytes from 10.2.0.1: icmp_seq={n} ttl=64 time=1 ms\n"));
        let all: String = lines.collect();
        format!("{all}\n{sent} packets transmitted, 1 received, 0% packet loss, time 9ms\n")
    };
    check(&said(&[1, 2, 3], 3), 3, 1, 0)?;
    check(&said(&[1, 2, 3], 4), 3, 1, 0)?;
    assert!(check(&said(&[1, 2, 3], 5), 3, 1, 0).is_err());
    assert!(check(&said(&[1, 3, 4], 4), 3, 1, 0).is_err());
    check(&said(&[1, 3, 4], 4), 3, 1, 1)?;
    assert!(check(&said(&[1, 4, 5], 5), 3, 1, 1).is_err());
    assert!(check(&said(&[1, 2, 3], 3), 4, 1, 0).is_err());
    assert!(check("ping: nothing", 0, 1, 0).is_err());
    Ok(())
}
