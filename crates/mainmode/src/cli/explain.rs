//! `explain`.

use std::io::Write as _;

use audit::{Cause, Explanation, Reason};
use serde_json::{Value, json};

use super::{Context, Failure, Outcome};

/// Says what an event, a reason, a cause or a parameter means and what to do about it.
pub fn run(what: &str, context: &mut Context) -> Outcome {
    let explanation = audit::explain(what).ok_or_else(|| {
        Failure::new(format!(
            "\"{}\" is no event, reason, cause or parameter; try 4653, 13801, psk-mismatch or %%8222",
            audit::printable(what)
        ))
    })?;
    if context.json {
        writeln!(context.out, "{}", as_json(&explanation))?;
    } else {
        writeln!(context.out, "{}", explanation.to_string().trim_end())?;
    }
    Ok(())
}

fn as_json(explanation: &Explanation) -> Value {
    match explanation {
        Explanation::Event(event) => json!({
            "kind": "event",
            "id": event.event.id,
            "title": event.event.title,
            "outcome": event.event.outcome.word(),
            "raised_when": event.event.raised,
            "raised_yet": event.event.raised_yet,
            "advice": event.event.advice,
            "fields": event.event.fields().iter()
                .map(|field| json!({ "name": field.name, "meaning": field.meaning }))
                .collect::<Vec<_>>(),
            "causes": event.causes.iter().map(|cause| cause.token()).collect::<Vec<_>>(),
        }),
        Explanation::Reason(reason) => json!({
            "kind": "reason",
            "code": reason.reason.0,
            "symbol": reason.reason.symbol(),
            "text": reason.reason.text(),
            "causes": reason.causes.iter().map(|cause| cause_json(*cause)).collect::<Vec<_>>(),
        }),
        Explanation::Cause(row) => {
            let mut object = cause_json(row.cause);
            object["kind"] = "cause".into();
            object
        }
        Explanation::Parameter(parameter) => json!({
            "kind": "parameter",
            "parameter": format!("%%{}", parameter.number),
            "words": parameter.words,
            "fields": parameter.fields.iter()
                .map(|(field, events)| json!({
                    "name": field.name,
                    "meaning": field.meaning,
                    "events": events,
                }))
                .collect::<Vec<_>>(),
        }),
    }
}

fn cause_json(cause: Cause) -> Value {
    json!({
        "cause": cause.token(),
        "code": cause.code(),
        "reason": cause.reason().map(Reason::text),
        "title": cause.title(),
        "advice": cause.advice(),
    })
}
