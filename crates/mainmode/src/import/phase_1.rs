//! What a connection says of Main Mode: its version, its proposals, its times, its fragments.

use super::auth::Skip;
use super::child::Action;
use super::given::{Given, Remarks};
use super::proposals::{self, List};
use super::toml::Lines;
use super::words;
use crate::config::{MAX_PROPOSALS, values};

/// Charon's lifetime of a Main Mode SA without a key that says another, in seconds.
const REKEY_TIME: u64 = 4 * 3600;
/// How long charon asks a silent peer, in seconds: five times again, after 4 s, each wait 1.8 times as long.
const SILENCE: u64 = 165;

/// The longest wait that `dpd` has here, in seconds.
const MAX_WAIT: u64 = 24 * 3600;

pub(super) fn version(given: &mut Given<'_>, remarks: &mut Remarks) -> Result<(), Skip> {
    let version = given
        .get("version")
        .map_or(Some(0), |value| words::number(&value.text));
    match version {
        Some(1) => Ok(()),
        Some(0) => {
            let why = "IKEv2 is left out: without version = 1 charon takes both, and begins with IKEv2; here it is IKEv1 alone";
            given.left_out("version", why, remarks);
            Ok(())
        }
        Some(2) => {
            let why = "the connection is left out: it is of IKEv2 alone, which mainmode has not";
            given.left_out("version", why, remarks);
            Err(Skip)
        }
        _ => {
            given.left_out(
                "version",
                "the connection is left out: there is no such version",
                remarks,
            );
            Err(Skip)
        }
    }
}

/// `send-certificate`, where there is something to say.
pub(super) fn send_cert(given: &mut Given<'_>, psk: bool, remarks: &mut Remarks) -> Lines {
    let mut lines = Lines::default();
    let Some(value) = given.get("send_cert").filter(|_| !psk) else {
        return lines;
    };
    match value.text.to_ascii_lowercase().as_str() {
        "ifasked" => {}
        "always" | "yes" => lines.put("send-certificate", "always"),
        "never" | "no" => lines.put("send-certificate", "never"),
        _ => given.left_out("send_cert", "charon knows no such word", remarks),
    }
    lines
}

/// `proposals`, where the connection may begin with one peer, or waits.
pub(super) fn proposals(
    given: &mut Given<'_>,
    one_peer: bool,
    lines: &mut Lines,
    remarks: &mut Remarks,
) -> Result<(), Skip> {
    const KEY: &str = "proposals";
    let mut list = List::default();
    let texts = given.list(KEY);
    for text in &texts {
        if text.eq_ignore_ascii_case("default") {
            list.add_default();
            continue;
        }
        match proposals::Ike::read(text) {
            Ok(read) => {
                if !read.prfs.is_empty() {
                    let why = format!(
                        "IKEv1 negotiates no pseudo-random function, it is that of the hash: as with charon the proposal is \
                         taken without {}",
                        read.prfs.join(", ").escape_debug()
                    );
                    given.note(KEY, why, remarks);
                }
                list.add(read.all());
            }
            Err(why) => given.left_out(KEY, why, remarks),
        }
    }
    if texts.is_empty() {
        list.add_default();
    }
    if list.has_default() {
        let why = format!(
            "charon's default is written as far as the {MAX_PROPOSALS} proposals that a connection has here go, and one \
             datagram where it begins: without AES-CTR, Camellia, 3DES, AES-XCBC, AES-CMAC and some groups, and with little or \
             nothing of AES-192; what the peer needs of these is to be named in `proposals`"
        );
        given.note(KEY, why, remarks);
    }
    if let Some(beyond) = list.beyond {
        given.left_out(KEY, proposals::too_many(&beyond), remarks);
    }
    let all = list.with_default(&proposals::ike_default(one_peer));
    if all.is_empty() {
        let why = "the connection is left out: none of its proposals can be had";
        remarks.left_out(&given.section.place, given.path.clone(), why);
        return Err(Skip);
    }
    if one_peer && all.len() > proposals::ONE_DATAGRAM {
        let why = format!(
            "with {} proposals the first message has some {} bytes: IP cuts it where a link takes less, and not every way \
             carries the parts; {} are good everywhere, and fewer if the peer is known",
            all.len(),
            proposals::message_len(all.len()),
            proposals::ONE_DATAGRAM
        );
        given.note(KEY, why, remarks);
    }
    let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
    lines.put_list(KEY, &texts);
    Ok(())
}

/// A time, in seconds.
fn seconds(given: &mut Given<'_>, key: &'static str, remarks: &mut Remarks) -> Option<u64> {
    let value = given.get(key)?;
    let seconds = words::seconds(&value.text);
    if seconds.is_none() {
        given.left_out(key, "this is no time of charon's", remarks);
    }
    seconds
}

/// The lifetime that charon offers: until it replaces the SA, and what it waits beyond.
pub(super) fn lifetime(given: &mut Given<'_>, lines: &mut Lines, remarks: &mut Remarks) {
    let mut read = |key| seconds(given, key, remarks);
    let (rekey, reauth, over) = (read("rekey_time"), read("reauth_time"), read("over_time"));
    let (rekey, reauth) = match (rekey, reauth) {
        (None, None) => (REKEY_TIME, 0),
        (rekey, reauth) => (rekey.unwrap_or(0), reauth.unwrap_or(0)),
    };
    let over = over.unwrap_or(rekey.max(reauth) / 10);
    // With IKEv1 each is a new Main Mode: the other counts where this is none.
    let until = if reauth == 0 { rekey } else { reauth };
    if until == 0 {
        let why =
            "an SA without an end is not to be had; it lives for eight hours, and is replaced";
        given.left_out("rekey_time", why, remarks);
        return;
    }
    let lifetime = until.saturating_add(over);
    if lifetime > values::MAX_DURATION.as_secs() {
        let key = if reauth == 0 {
            "rekey_time"
        } else {
            "reauth_time"
        };
        let why = "an SA does not live for more than ten years; it lives for eight hours, and is replaced";
        given.left_out(key, why, remarks);
        return;
    }
    lines.put("lifetime", format!("{lifetime}s"));
}

pub(super) fn dpd(given: &mut Given<'_>, lines: &mut Lines, remarks: &mut Remarks) {
    let mut read = |key| seconds(given, key, remarks).filter(|seconds| *seconds > 0);
    let (delay, timeout) = (read("dpd_delay"), read("dpd_timeout"));
    let Some(delay) = delay else {
        return;
    };
    if delay.saturating_add(SILENCE) > MAX_WAIT {
        let why = "a peer that may be silent for a day is not asked here";
        given.left_out("dpd_delay", why, remarks);
        return;
    }
    let mut timeout = timeout.unwrap_or(delay.saturating_add(SILENCE));
    if timeout > MAX_WAIT {
        given.left_out("dpd_timeout", "it is a day at most", remarks);
        timeout = MAX_WAIT;
    }
    if timeout <= delay {
        given.left_out(
            "dpd_timeout",
            "it is not longer than the delay: the peer would never be asked",
            remarks,
        );
        timeout = delay.saturating_add(SILENCE);
    }
    let mut table = Lines::default();
    table.put("delay", format!("{delay}s"));
    table.put("timeout", format!("{timeout}s"));
    lines.put_table("dpd", &table);
}

pub(super) fn fragmentation(given: &mut Given<'_>, lines: &mut Lines, remarks: &mut Remarks) {
    let Some(value) = given.get("fragmentation") else {
        return;
    };
    match value.text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "enabled" | "1" => {}
        "no" | "false" | "disabled" | "0" => lines.put("fragmentation", "no"),
        "force" => lines.put("fragmentation", "force"),
        "accept" => {
            let why = "fragments are sent too, to a peer that takes them: to take them alone is not to be had";
            given.left_out("fragmentation", why, remarks);
        }
        _ => given.left_out("fragmentation", "charon knows no such word", remarks),
    }
}

pub(super) fn keyingtries(given: &mut Given<'_>, start: Action, remarks: &mut Remarks) {
    let Some(value) = given.get("keyingtries") else {
        return;
    };
    match words::number(&value.text) {
        Some(1) => {}
        Some(0) if start == Action::Start => {
            let why = "start = \"auto\" is what is written: one attempt follows the other, as long as it takes";
            given.note("keyingtries", why, remarks);
        }
        _ => {
            let why = "each beginning has one attempt; with start = \"auto\" another follows, as long as it takes";
            given.left_out("keyingtries", why, remarks);
        }
    }
}
