//! `explain`: what an event, a reason, a cause or a parameter means, and what to do about it.

use std::fmt;

use crate::catalogue::{EVENTS, EventSpec, Field, Governor, spec};
use crate::cause::{CAUSES, Cause, CauseRow};
use crate::reason::Reason;
use crate::text::number;
use crate::words::{fields_of, parameter};

/// What is known about an event, a Windows reason, a cause or a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Explanation {
    /// An event.
    Event(EventExplanation),
    /// A Windows reason.
    Reason(ReasonExplanation),
    /// A cause.
    Cause(&'static CauseRow),
    /// A parameter.
    Parameter(ParameterExplanation),
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

/// A parameter (`%%8222`), as XML and `--raw` show it, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterExplanation {
    /// Its number.
    pub number: u32,
    /// The words that it is shown as.
    pub words: &'static str,
    /// The fields that can hold it, each with the ids of its events.
    pub fields: Vec<(&'static Field, Vec<u16>)>,
}

impl ParameterExplanation {
    fn of(number: u32) -> Option<ParameterExplanation> {
        let words = parameter(number)?;
        let (names, of) = fields_of(number);
        let meant = |event: &EventSpec| {
            of.is_none_or(|subcategory| event.governor == Governor::Setting(subcategory))
        };
        let fields = names.iter().filter_map(|name| {
            let mut with = EVENTS
                .iter()
                .filter(|event| meant(event))
                .filter_map(|event| {
                    let field = event.fields().iter().find(|field| field.name == *name)?;
                    Some((field, event.id))
                })
                .peekable();
            let (field, _) = *with.peek()?;
            Some((field, with.map(|(_, id)| id).collect()))
        });
        Some(ParameterExplanation {
            number,
            words,
            fields: fields.collect(),
        })
    }
}

/// Explains an event by its id, a reason by its code or symbol, a cause by its token, or a parameter as
/// `%%8222`. Ids and codes may be hexadecimal, `0x35E9`.
///
/// `None` when the text names none of them.
pub fn explain(text: &str) -> Option<Explanation> {
    let text = text.trim();
    if let Some(digits) = text.strip_prefix("%%") {
        let all = digits.bytes().all(|b| b.is_ascii_digit());
        let number = all.then(|| digits.parse().ok())??;
        return ParameterExplanation::of(number).map(Explanation::Parameter);
    }
    let id = number(text).and_then(|id| u16::try_from(id).ok());
    if let Some(event) = id.and_then(spec) {
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
            Explanation::Parameter(parameter) => parameter.fmt(f),
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
        writeln!(f, "{} {symbol}", self.reason.0)?;
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

impl fmt::Display for ParameterExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "%%{} {}", self.number, self.words)?;
        writeln!(f, "\nStands in:")?;
        let width = self.fields.iter().map(|(field, _)| field.name.len()).max();
        let width = width.unwrap_or(0);
        for (field, events) in &self.fields {
            let events: Vec<String> = events.iter().map(u16::to_string).collect();
            let events = events.join(", ");
            writeln!(
                f,
                "  {:width$}  {} (in {events})",
                field.name, field.meaning
            )?;
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
    use crate::REASONS;
    use crate::words::PARAMETERS;

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
            explain("4979")
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
    fn ids_and_codes_may_be_hexadecimal() {
        assert_eq!(explain("0x35E9"), explain("13801"));
        assert_eq!(explain("0X35e9"), explain("13801"));
        assert_eq!(explain("0x122D"), explain("4653"));
        assert!(explain("0x122D").is_some());
    }

    #[test]
    fn a_parameter_is_explained_by_its_words_and_its_fields() {
        let text = explain("%%8222").unwrap().to_string();
        for part in [
            "%%8222 IKEv1\n",
            "KeyModName        the keying module: IKEv1, AuthIP or IKEv2 (in ",
            "4653",
            "KeyingModuleName",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        // The same words, of another mode.
        let fields = |text: &str| match explain(text) {
            Some(Explanation::Parameter(parameter)) => parameter.fields,
            other => panic!("{other:?}"),
        };
        assert_eq!(fields("%%8202")[0].1, [4652, 4653]);
        assert_eq!(fields("%%8208")[0].1, [4654]);
    }

    #[test]
    fn every_parameter_stands_in_a_field_of_words_and_every_such_field_has_one() {
        let mut named = std::collections::BTreeSet::new();
        for &(number, words) in PARAMETERS {
            let Some(Explanation::Parameter(found)) = explain(&format!("%%{number}")) else {
                panic!("{number}");
            };
            assert_eq!(found.words, words);
            assert_eq!(found.fields.len(), fields_of(number).0.len(), "{number}");
            assert!(!found.fields.is_empty(), "{number}");
            for (field, events) in &found.fields {
                assert!(field.word, "{}", field.name);
                named.extend(events.iter().map(|event| (*event, field.name)));
            }
        }
        let all = EVENTS.iter().flat_map(|event| {
            let words = event.fields().iter().filter(|field| field.word);
            words.map(|field| (event.id, field.name))
        });
        assert_eq!(named, all.collect());
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
        for text in [
            "",
            "9999",
            "13800",
            "70000",
            "sunspots",
            "-1",
            "%%",
            "%%1",
            "%%x",
            "%%+8222",
            "%%0x201e",
            "%8222",
            "0x",
            "0x+1",
            "0x270F",
            "0x1000035E9",
        ] {
            assert_eq!(explain(text), None, "{text}");
        }
    }
}
