//! Verdicts in words, for those who asked and for `status`.

use audit::{FailurePoint, parameter};
use keying::{Verdict, VerdictOutcome};

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
        } => {
            let who = match point {
                FailurePoint::Local => "found here",
                FailurePoint::Remote => "said by the peer",
            };
            let reason = cause.reason().map_or("", audit::Reason::text);
            let detail = detail
                .as_ref()
                .map_or_else(String::new, |detail| format!(": {detail}"));
            let (remote, title) = (verdict.remote, cause.title());
            format!("{title} ({reason}; {who}, peer {remote}){detail}")
        }
    }
}

/// A verdict for the one who asked for it.
pub fn answer(connection: &str, verdict: &Verdict, already: bool) -> control::Verdict {
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
    }
}
