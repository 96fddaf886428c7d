//! `connections.<conn>.children.<child>`: what is protected.

use crypto::esp::{EspProposal, Protocol};
use keying::SelectorConfig;

use super::given::{Given, Lacking, NO, Remarks, UNUSED, YES, lacking};
use super::proposals::{self, List};
use super::toml::Lines;
use super::words;
use crate::config::{DataPlane, child as rules, values};

/// Charon's lifetime of an SA without a key that says another, in seconds.
const REKEY_TIME: u64 = 3600;
/// The least limit in bytes or packets of a child here.
const LEAST: u64 = 1024;
/// Why what the kernel alone has is left out.
const NOT_IN_USER_SPACE: &str =
    "the data plane in user space does not have it: import with --dataplane kernel";

/// Keys that have no equal.
const LACKING: &[Lacking] = &[
    lacking(
        "rand_time",
        &[],
        "when an SA is replaced before its end is mainmode's own choice",
    ),
    lacking(
        "rand_bytes",
        &[],
        "when an SA is replaced before its end is mainmode's own choice",
    ),
    lacking(
        "rand_packets",
        &[],
        "when an SA is replaced before its end is mainmode's own choice",
    ),
    lacking(
        "updown",
        &[],
        "no program is run; `mainmode monitor` tells what comes up and goes down",
    ),
    lacking(
        "hostaccess",
        NO,
        "no program is run that it could be passed to",
    ),
    lacking("policies", YES, "policies are always installed"),
    lacking(
        "policies_fwd_out",
        NO,
        "there are no outbound forward policies",
    ),
    lacking(
        "inactivity",
        &["0", "0s"],
        "an SA is not closed because nothing passes",
    ),
    lacking("reqid", &["0"], "mainmode chooses the reqid"),
    lacking(
        "priority",
        &["0"],
        "mainmode chooses the priority of policies",
    ),
    lacking(
        "interface",
        &[],
        "policies are not restricted to an interface",
    ),
    lacking("mark_in_sa", NO, "the mark is not set on the inbound SA"),
    lacking(
        "set_mark_in",
        &["0", "0/0"],
        "packets are not marked after an SA",
    ),
    lacking(
        "set_mark_out",
        &["0", "0/0"],
        "packets are not marked after an SA",
    ),
    lacking("tfc_padding", &["0"], "ESP is not padded to hide sizes"),
    lacking("hw_offload", NO, "there is no offloading to hardware"),
    lacking("copy_df", YES, "DF is always copied"),
    lacking("copy_ecn", YES, "ECN is always copied"),
    lacking("copy_dscp", &["out"], "DSCP is copied outward alone"),
    lacking("label", UNUSED, ""),
    lacking("label_mode", UNUSED, ""),
    lacking("per_cpu_sas", NO, "there is one SA for all processors"),
    lacking("icmp", NO, "ICMP errors are not carried specially"),
    lacking(
        "sha256_96",
        NO,
        "the integrity of SHA-256 has 128 bits: a peer that cuts it to 96 is not understood",
    ),
];

/// When a child begins, and what charon does when it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    #[default]
    None,
    /// When there is traffic.
    Trap,
    /// At once.
    Start,
}

/// A child as it is written here.
pub struct Draft {
    /// Its keys.
    pub lines: Lines,
    /// When it begins.
    pub start: Action,
}

/// XFRM interface IDs and what else children have from their connection.
#[derive(Clone, Copy, Default)]
pub struct Inherited<'a> {
    /// `if_id_in` and `if_id_out` of the connection.
    pub interfaces: (Option<&'a str>, Option<&'a str>),
}

/// Reads a child; nothing when it is none without what cannot be had. What is left out has been said.
pub fn read(
    given: &mut Given<'_>,
    name: &str,
    inherited: Inherited<'_>,
    plane: DataPlane,
    remarks: &mut Remarks,
) -> Option<Draft> {
    let mut lines = Lines::default();
    lines.put("name", name);
    let mode = given
        .get("mode")
        .map_or("tunnel", |value| value.text.as_str());
    match mode.to_ascii_lowercase().as_str() {
        "tunnel" => {}
        "transport" if plane == DataPlane::User => {
            let why = format!("the child is left out: transport mode: {NOT_IN_USER_SPACE}");
            given.left_out("mode", why, remarks);
            return None;
        }
        "transport" => lines.put("mode", "transport"),
        other => {
            let why = format!(
                "the child is left out: there is no mode \"{}\", but tunnel and transport",
                other.escape_debug()
            );
            given.left_out("mode", why, remarks);
            return None;
        }
    }
    for (key, here) in [("local_ts", "local"), ("remote_ts", "remote")] {
        if !selectors(given, key, here, &mut lines, remarks) {
            return None;
        }
    }
    if let [Some(ours), Some(theirs)] = ["local_ts", "remote_ts"].map(|key| is_v4(given, key))
        && ours != theirs
    {
        let why = "the child is left out: the two sides are of different IP versions";
        given.left_out("remote_ts", why, remarks);
        return None;
    }
    if !proposals(given, plane, &mut lines, remarks) {
        return None;
    }
    compress(given, plane, &mut lines, remarks);
    lifetimes(given, &mut lines, remarks);
    if let Some(value) = given.get("replay_window") {
        match words::number(&value.text) {
            Some(window) if window <= u64::from(dataplane::MAX_REPLAY_WINDOW) => {
                lines.put("replay-window", i64::try_from(window).unwrap_or_default());
            }
            _ => given.left_out("replay_window", "a window has 0 to 4096 packets", remarks),
        }
    }
    mark(given, plane, &mut lines, remarks);
    interface(given, inherited, plane, &mut lines, remarks);
    let start = action(given, "start_action", remarks);
    for (key, what) in [
        ("dpd_action", "the peer is found dead"),
        ("close_action", "the peer closes it"),
    ] {
        let action = action(given, key, remarks);
        let wrong = match (start, action) {
            (_, Action::None) => false,
            (start, action) => start != action,
        };
        if wrong {
            let why = format!(
                "what a connection does when {what} follows from its start: with start = \"auto\" it comes up again, \
                 with \"on-demand\" when there is traffic"
            );
            given.left_out(key, why, remarks);
        }
    }
    given.rest(LACKING, remarks);
    given.rest_of_sections(|_| false, remarks);
    Some(Draft { lines, start })
}

/// Whether one side of the traffic is of IPv4; nothing where its addresses are those of IKE.
fn is_v4(given: &mut Given<'_>, key: &'static str) -> Option<bool> {
    let written = words::selector(given.list(key).first()?).ok()?;
    match rules::selector(&written).ok()? {
        SelectorConfig::Fixed(fixed) => Some(fixed.first.is_ipv4()),
        SelectorConfig::Dynamic { .. } => None,
    }
}

/// One side of the traffic; whether it can be had.
fn selectors(
    given: &mut Given<'_>,
    key: &'static str,
    here: &str,
    lines: &mut Lines,
    remarks: &mut Remarks,
) -> bool {
    let texts = given.list(key);
    let Some(first) = texts.first() else {
        return true;
    };
    match words::selector(first) {
        Ok(selector) => lines.put_list(here, &[selector]),
        Err(why) => {
            given.left_out(key, format!("the child is left out: {why}"), remarks);
            return false;
        }
    }
    if texts.len() > 1 {
        let why = format!(
            "with IKEv1 charon takes the first selector alone, and so does what is written; {}",
            beyond_the_first(&texts, here)
        );
        given.note(key, why, remarks);
    }
    true
}

/// What could be written of several selectors, as it would stand there, and what could not.
fn beyond_the_first(texts: &[&str], here: &str) -> String {
    let same = |one: &str, other: &str| rules::selector(one) == rules::selector(other);
    let mut good: Vec<String> = Vec::new();
    let mut bad: Vec<String> = Vec::new();
    // No more than can be written: they are compared with each other.
    let considered = texts.iter().take(rules::MAX_SELECTORS);
    for text in considered {
        match words::selector(text) {
            // 10.1.0.1 and 10.1.0.1/32 are one, which cannot stand there twice.
            Ok(selector) if good.iter().any(|other| same(other, &selector)) => {}
            Ok(selector) => good.push(selector),
            Err(why) => bad.push(format!("\"{}\": {why}", text.escape_debug())),
        }
    }
    let mut parts: Vec<String> = Vec::new();
    if good.len() > 1 {
        let mut line = Lines::default();
        line.put_list(here, &good);
        let all = if bad.is_empty() && texts.len() <= rules::MAX_SELECTORS {
            "all"
        } else {
            "several"
        };
        let written: Vec<&str> = line.lines().collect();
        parts.push(format!(
            "mainmode can have {all} of them, each pair with an SA of its own: {}",
            written.concat()
        ));
    }
    if !bad.is_empty() {
        parts.push(format!("it cannot be had here: {}", bad.join("; ")));
    }
    if parts.is_empty() {
        "the others are the same".to_owned()
    } else {
        parts.join("; ")
    }
}

/// What is offered; whether anything is.
fn proposals(
    given: &mut Given<'_>,
    plane: DataPlane,
    lines: &mut Lines,
    remarks: &mut Remarks,
) -> bool {
    let mut list = List::default();
    let mut asked = false;
    for (key, protocol) in [
        ("ah_proposals", Protocol::Ah),
        ("esp_proposals", Protocol::Esp),
    ] {
        for text in given.list(key) {
            asked = true;
            if text.eq_ignore_ascii_case("default") {
                default(given, key, protocol, plane, &mut list, remarks);
                continue;
            }
            match proposal(given, key, protocol, text, plane, remarks) {
                Ok(read) => list.add(read.all()),
                Err(why) => given.left_out(key, why, remarks),
            }
        }
        if let Some(beyond) = list.beyond.take() {
            given.left_out(key, proposals::too_many(&beyond), remarks);
        }
    }
    // Charon has its default where neither key is there, and then that of ESP.
    if !asked {
        default(
            given,
            "esp_proposals",
            Protocol::Esp,
            plane,
            &mut list,
            remarks,
        );
    }
    let all = list.with_default(&[]);
    if all.is_empty() {
        remarks.left_out(
            &given.section.place,
            given.path.clone(),
            "the child is left out: none of its proposals can be had",
        );
        return false;
    }
    let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
    lines.put_list("proposals", &texts);
    true
}

/// Charon's default.
fn default(
    given: &Given<'_>,
    key: &str,
    protocol: Protocol,
    plane: DataPlane,
    list: &mut List<EspProposal>,
    remarks: &mut Remarks,
) {
    let (all, out) = proposals::child_default(protocol, plane);
    if all.is_empty() {
        given.left_out(key, NOT_IN_USER_SPACE, remarks);
    } else if !out.is_empty() {
        let why = format!(
            "charon's default is written without {}: {NOT_IN_USER_SPACE}",
            out.join(", ")
        );
        given.note(key, why, remarks);
    }
    list.add(all.into_iter());
}

/// A proposal, of which what cannot be had has been named.
fn proposal(
    given: &Given<'_>,
    key: &str,
    protocol: Protocol,
    text: &str,
    plane: DataPlane,
    remarks: &mut Remarks,
) -> Result<proposals::Child, String> {
    let mut read = proposals::Child::read(protocol, text)?;
    for name in &read.no_number {
        let why = format!("{name} is left out: it has a number in IKEv2 and none in IKEv1");
        given.left_out(key, why, remarks);
    }
    if plane == DataPlane::User {
        let out = read
            .sealable()
            .map_err(|what| format!("{what}: {NOT_IN_USER_SPACE}"))?;
        if !out.is_empty() {
            let why = format!("{} is left out: {NOT_IN_USER_SPACE}", out.join(", "));
            given.left_out(key, why, remarks);
        }
    }
    if !read.stripped.is_empty() {
        let why = format!(
            "as with charon the proposal is taken without {}: phase 2 negotiates no pseudo-random function, and a cipher \
             that authenticates by itself has no integrity algorithm beside it",
            read.stripped.join(", ").escape_debug()
        );
        given.note(key, why, remarks);
    }
    Ok(read)
}

/// IPComp, which the kernel alone has here.
fn compress(given: &mut Given<'_>, plane: DataPlane, lines: &mut Lines, remarks: &mut Remarks) {
    const KEY: &str = "ipcomp";
    match (given.flag(KEY, false, remarks), plane) {
        (false, _) => {}
        (true, DataPlane::Kernel) => lines.put("compress", true),
        (true, _) => {
            let why = "IPComp is the kernel's alone: import with --dataplane kernel";
            given.left_out(KEY, why, remarks);
        }
    }
}

/// The limits of an SA: what charon offers is the hard one.
fn lifetimes(given: &mut Given<'_>, lines: &mut Lines, remarks: &mut Remarks) {
    let [time, bytes, packets] = [
        limit(
            given,
            "life_time",
            "rekey_time",
            words::seconds,
            Some(REKEY_TIME),
            remarks,
        ),
        limit(
            given,
            "life_bytes",
            "rekey_bytes",
            words::bytes,
            None,
            remarks,
        ),
        limit(
            given,
            "life_packets",
            "rekey_packets",
            words::number,
            None,
            remarks,
        ),
    ];
    match time {
        Some(0) => {
            let why =
                "an SA without an end is not to be had; it lives for an hour, and is replaced";
            given.left_out("life_time", why, remarks);
        }
        Some(seconds) if seconds > values::MAX_DURATION.as_secs() => {
            let why = "an SA does not live for more than ten years; it lives for an hour, and is replaced";
            given.left_out("life_time", why, remarks);
        }
        Some(seconds) => lines.put("lifetime", format!("{seconds}s")),
        None => {}
    }
    for (key, here, value) in [
        ("life_bytes", "lifetime-bytes", bytes),
        ("life_packets", "lifetime-packets", packets),
    ] {
        match value {
            None | Some(0) => {}
            Some(value) if value < LEAST => {
                given.left_out(key, format!("the least limit is {LEAST}"), remarks);
            }
            Some(value) if here == "lifetime-bytes" => lines.put(here, format!("{value}B")),
            Some(value) => lines.put(here, i64::try_from(value).unwrap_or(i64::MAX)),
        }
    }
}

/// The hard limit: as it is written, or a tenth more than the soft one.
fn limit(
    given: &mut Given<'_>,
    hard: &'static str,
    soft: &'static str,
    read: impl Fn(&str) -> Option<u64>,
    default: Option<u64>,
    remarks: &mut Remarks,
) -> Option<u64> {
    let mut value = |key: &'static str| {
        let value = given.get(key)?;
        let read = read(&value.text);
        if read.is_none() {
            given.left_out(key, "this is no number with a unit of charon's", remarks);
        }
        read
    };
    let (soft, hard) = (value(soft), value(hard));
    // A tenth of the soft limit more, as charon has it.
    hard.or_else(|| soft.or(default).map(|soft| soft.saturating_add(soft / 10)))
}

fn mark(given: &mut Given<'_>, plane: DataPlane, lines: &mut Lines, remarks: &mut Remarks) {
    let mut read = |key: &'static str| {
        let value = given.get(key)?;
        words::mark(&value.text).unwrap_or_else(|why| {
            given.left_out(key, why, remarks);
            None
        })
    };
    let marks = (read("mark_in"), read("mark_out"));
    match marks {
        (Some(_), Some(_)) if plane == DataPlane::User => {
            given.left_out("mark_in", NOT_IN_USER_SPACE, remarks);
        }
        (Some(inbound), Some(outbound)) if inbound == outbound => lines.put("mark", inbound),
        (None, None) => {}
        _ => {
            let key = if given.section.values.contains_key("mark_in") {
                "mark_in"
            } else {
                "mark_out"
            };
            let why = "the mark of a child is the same both ways here: mark_in and mark_out must be equal";
            given.left_out(key, why, remarks);
        }
    }
}

fn interface(
    given: &mut Given<'_>,
    inherited: Inherited<'_>,
    plane: DataPlane,
    lines: &mut Lines,
    remarks: &mut Remarks,
) {
    let own = (given.get("if_id_in"), given.get("if_id_out"));
    let text = |own: Option<&super::settings::Value>| own.map(|value| value.text.to_string());
    let inbound = text(own.0).or(inherited.interfaces.0.map(str::to_owned));
    let outbound = text(own.1).or(inherited.interfaces.1.map(str::to_owned));
    let number = |text: Option<&str>| {
        words::number(text.unwrap_or("0")).and_then(|id| u32::try_from(id).ok())
    };
    match (number(inbound.as_deref()), number(outbound.as_deref())) {
        (Some(0), Some(0)) => {}
        (Some(_), Some(_)) if plane == DataPlane::User => {
            given.left_out("if_id_in", NOT_IN_USER_SPACE, remarks);
        }
        (Some(inbound), Some(outbound)) if inbound == outbound => {
            lines.put("interface-id", i64::from(inbound));
        }
        _ => {
            let why = "the interface ID of a child is one number, the same both ways";
            given.left_out("if_id_in", why, remarks);
        }
    }
}

/// `start_action`, `dpd_action`, `close_action`.
fn action(given: &mut Given<'_>, key: &'static str, remarks: &mut Remarks) -> Action {
    let Some(value) = given.get(key) else {
        return Action::None;
    };
    let mut found = Action::None;
    for word in value.text.split('|').map(str::trim) {
        let one = match word.to_ascii_lowercase().as_str() {
            "none" | "clear" => Action::None,
            "start" | "restart" => Action::Start,
            "trap" | "route" => Action::Trap,
            _ => {
                given.left_out(key, "charon knows no such action", remarks);
                return Action::None;
            }
        };
        if found != Action::Start && one != Action::None {
            found = one;
        }
    }
    if value.text.contains('|') {
        let why = "trap and start are not to be had together: the connection is started";
        given.left_out(key, why, remarks);
    }
    found
}
