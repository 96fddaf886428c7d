//! Verdicts in words, for those who asked and for `status`.

use audit::{Cause, FailurePoint, parameter};
use keying::{ChildOutcome, ChildVerdict, Mode, Verdict, VerdictOutcome};

use crate::control;

/// A stored word as it is shown.
pub fn shown(word: &str) -> String {
    word.strip_prefix("%%")
        .and_then(|number| number.parse().ok())
        .and_then(parameter)
        .unwrap_or(word)
        .to_owned()
}

/// A verdict in one line.
pub fn verdict(verdict: &Verdict) -> String {
    match &verdict.outcome {
        VerdictOutcome::Established {
            mmsa_id,
            remote_name,
            suite,
        } => {
            let [cipher, hash, group] = suite.map(shown);
            let remote = verdict.remote;
            format!(
                "Main Mode SA {mmsa_id} with {remote_name} at {remote}: {cipher}, {hash}, {group}"
            )
        }
        VerdictOutcome::Failed {
            cause,
            point,
            detail,
        } => failure(*cause, *point, detail.as_deref(), verdict.remote),
    }
}

/// In one line how an SA ended that had the last verdict.
pub fn ended(mmsa_id: u64, cause: Cause) -> String {
    format!("Main Mode SA {mmsa_id} ended: {}", cause.title())
}

/// A mode as the configuration has it.
pub fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Tunnel => "tunnel",
        Mode::Transport => "transport",
    }
}

/// A Quick Mode's verdict for the one who asked for it.
fn child(verdict: &ChildVerdict) -> control::ChildVerdict {
    let (message, cause, qmsa_id) = match &verdict.outcome {
        ChildOutcome::Established {
            id,
            suite,
            mode,
            local,
            remote,
            inbound_spi,
            outbound_spi,
        } => {
            let message = format!(
                "IPsec SA {}: {local} to {remote}, {} {suite} in {} mode, SPIs {inbound_spi:#010x} in and \
                 {outbound_spi:#010x} out",
                id.0,
                suite.protocol.name(),
                self::mode(*mode),
            );
            (message, None, Some(id.0))
        }
        ChildOutcome::Failed {
            cause,
            point,
            detail,
        } => {
            let message = failure(*cause, *point, detail.as_deref(), verdict.remote);
            (message, Some(*cause), None)
        }
    };
    control::ChildVerdict {
        child: verdict.child.clone().unwrap_or_default(),
        established: qmsa_id.is_some(),
        message,
        advice: cause.map(|cause| cause.advice().to_owned()),
        reason_code: cause.and_then(audit::Cause::code),
        cause: cause.map(|cause| cause.token().to_owned()),
        qmsa_id,
    }
}

pub fn failure(
    cause: Cause,
    point: FailurePoint,
    detail: Option<&str>,
    remote: std::net::SocketAddr,
) -> String {
    let who = match point {
        FailurePoint::Local => "found here",
        FailurePoint::Remote => "said by the peer",
    };
    let reason = cause.reason().map_or("", audit::Reason::text);
    let detail = detail.map_or_else(String::new, |detail| format!(": {detail}"));
    let title = cause.title();
    format!("{title} ({reason}; {who}, peer {remote}){detail}")
}

/// A verdict for the one who asked for it.
pub fn answer(
    connection: &str,
    verdict: &Verdict,
    already: bool,
    children: &[ChildVerdict],
) -> control::Verdict {
    let (established, cause, mmsa_id) = match &verdict.outcome {
        VerdictOutcome::Established { mmsa_id, .. } => (true, None, Some(*mmsa_id)),
        VerdictOutcome::Failed { cause, .. } => (false, Some(*cause), None),
    };
    control::Verdict {
        connection: connection.to_owned(),
        established,
        already,
        message: self::verdict(verdict),
        advice: cause.map(|cause| cause.advice().to_owned()),
        reason_code: cause.and_then(audit::Cause::code),
        cause: cause.map(|cause| cause.token().to_owned()),
        mmsa_id,
        children: children.iter().map(child).collect(),
    }
}
