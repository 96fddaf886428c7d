//! `explain`: what an event, a reason or a cause means, and what to do about it.

use std::fmt;

use crate::catalogue::{EventSpec, spec};
use crate::cause::{CAUSES, Cause, CauseRow};
use crate::reason::Reason;

/// What is known about an event, a Windows reason or a cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Explanation {
    /// An event.
    Event(EventExplanation),
    /// A Windows reason.
    Reason(ReasonExplanation),
    /// A cause.
    Cause(&'static CauseRow),
}

/// An event, and the causes that it can carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventExplanation {
    /// The event's row in the catalogue: title, fields with their meanings, advice.
    pub event: &'static EventSpec,
    /// The causes that `Extra.Cause` can name.
    pub causes: Vec<Cause>,
}

/// A Windows reason, and the causes that are written with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReasonExplanation {
    /// The reason.
    pub reason: Reason,
    /// The causes with this code; none when this version never gives it.
    pub causes: Vec<Cause>,
}

/// Explains an event by its id, a reason by its code or symbol, or a cause by its token.
///
/// `None` when the text names none of them.
pub fn explain(text: &str) -> Option<Explanation> {
    let text = text.trim();
    if let Some(event) = text.parse().ok().and_then(spec) {
        let causes = Cause::ALL
            .iter()
            .copied()
            .filter(|cause| cause.event_ids().contains(&event.id))
            .collect();
        return Some(Explanation::Event(EventExplanation { event, causes }));
    }
    if let Some(reason) = Reason::from_code_or_symbol(text) {
        let causes = Cause::ALL
            .iter()
            .copied()
            .filter(|cause| cause.reason() == Some(reason))
            .collect();
        return Some(Explanation::Reason(ReasonExplanation { reason, causes }));
    }
    let row = CAUSES
        .iter()
        .find(|row| row.token.eq_ignore_ascii_case(text))?;
    Some(Explanation::Cause(row))
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Explanation::Event(event) => event.fmt(f),
            Explanation::Reason(reason) => reason.fmt(f),
            Explanation::Cause(row) => {
                write!(f, "{}", row.token)?;
                if let Some(reason) = row.cause.reason() {
                    write!(f, " ({} {})", reason.0, reason.text())?;
                }
                write!(f, "\n{}\n", row.cause.explain())
            }
        }
    }
}

impl fmt::Display for EventExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = self.event;
        writeln!(f, "{} {}", event.id, event.title)?;
        writeln!(f, "\nRaised when {}", event.raised)?;
        if !event.raised_yet {
            writeln!(f, "This version does not raise it yet.")?;
        }
        writeln!(f, "What to do: {}", event.advice)?;
        let width = event.fields().iter().map(|x| x.name.len()).max();
        if let Some(width) = width {
            writeln!(f, "\nFields:")?;
            for field in event.fields() {
                writeln!(f, "  {:width$}  {}", field.name, field.meaning)?;
            }
        }
        if !self.causes.is_empty() {
            writeln!(f, "\nCauses:")?;
            write_causes(f, &self.causes)?;
        }
        Ok(())
    }
}

impl fmt::Display for ReasonExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let symbol = self.reason.symbol().unwrap_or_default();
        writeln!(f, "{} ERROR_IPSEC_{symbol}", self.reason.0)?;
        writeln!(f, "{}", self.reason.text())?;
        if self.causes.is_empty() {
            return writeln!(f, "\nThis version never gives this reason.");
        }
        for cause in &self.causes {
            writeln!(f, "\n{}\n{}", cause.token(), cause.explain())?;
        }
        Ok(())
    }
}

fn write_causes(f: &mut fmt::Formatter<'_>, causes: &[Cause]) -> fmt::Result {
    let width = causes.iter().map(|c| c.token().len()).max().unwrap_or(0);
    for cause in causes {
        writeln!(f, "  {:width$}  {}", cause.token(), cause.title())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EVENTS, REASONS};

    #[test]
    fn an_event_is_explained_with_its_fields_causes_and_what_to_do() {
        let text = explain("4653").unwrap().to_string();
        for part in [
            "4653 An IPsec Main Mode negotiation failed.",
            "Raised when ",
            "What to do: ",
            "FailureReason",
            "psk-mismatch",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("not raise it yet"));
        assert!(
            explain("4651")
                .unwrap()
                .to_string()
                .contains("not raise it yet")
        );
        let ended = explain("4655").unwrap().to_string();
        assert!(ended.contains("orphaned-by-crash") && !ended.contains("psk-mismatch"));
    }

    #[test]
    fn a_reason_is_explained_by_code_and_by_symbol_with_its_causes() {
        let text = explain("13868").unwrap().to_string();
        for part in [
            "ERROR_IPSEC_IKE_POLICY_MATCH",
            "Policy match error",
            "no-acceptable-proposal",
            "no-proposal-chosen",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(explain("ike_policy_match"), explain("13868"));
        assert_eq!(explain("ERROR_IPSEC_IKE_POLICY_MATCH"), explain("13868"));
        assert!(
            explain("13844")
                .unwrap()
                .to_string()
                .contains("never gives this reason")
        );
    }

    #[test]
    fn a_cause_is_explained_with_its_reason_and_advice() {
        let text = explain("PSK-mismatch").unwrap().to_string();
        for part in [
            "psk-mismatch (13801 IKE authentication credentials are unacceptable)",
            "The pre-shared keys of the two sides differ. ",
            Cause::PskMismatch.advice(),
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn everything_that_has_a_name_is_explained_and_nothing_else() {
        for event in EVENTS {
            assert!(
                matches!(explain(&event.id.to_string()), Some(Explanation::Event(e)) if e.event.id == event.id)
            );
        }
        for &(code, symbol, _) in REASONS {
            assert_eq!(explain(&code.to_string()), explain(symbol));
            assert!(matches!(explain(symbol), Some(Explanation::Reason(r)) if r.reason.0 == code));
        }
        for cause in Cause::ALL {
            assert!(
                matches!(explain(cause.token()), Some(Explanation::Cause(row)) if row.cause == *cause)
            );
        }
        for text in ["", "9999", "13800", "70000", "sunspots", "-1"] {
            assert_eq!(explain(text), None, "{text}");
        }
    }
}
