//! The generated parts of `docs/events.md`.

use std::fmt::Write as _;

use audit::{Cause, EVENTS, EventSpec, Governor, REASONS, Reason};

/// A part of the page: its name in the marks, and what writes it.
type Part = (&'static str, fn() -> String);

/// The generated parts, each between `<!-- begin: NAME -->` and `<!-- end: NAME -->`.
const PARTS: [Part; 4] = [
    ("list", list),
    ("events", events),
    ("causes", causes),
    ("reasons", reasons),
];

/// The page with its generated parts written anew.
pub fn rewritten(page: &str) -> Result<String, String> {
    let mut page = page.to_owned();
    for (name, write) in PARTS {
        let begin = format!("<!-- begin: {name} -->\n");
        let end = format!("<!-- end: {name} -->\n");
        let (head, rest) = page
            .split_once(&begin)
            .ok_or(format!("docs/events.md has no line {begin}"))?;
        let (_, tail) = rest
            .split_once(&end)
            .ok_or(format!("docs/events.md has no line {end}"))?;
        page = format!("{head}{begin}\n{}\n{end}{tail}", write());
    }
    Ok(page)
}

/// Every event in one line.
fn list() -> String {
    let mut out = String::from(
        "| id | outcome | governed by | raised | what it says |\n| --- | --- | --- | --- | --- |\n",
    );
    for event in EVENTS {
        let governor = match event.governor {
            Governor::Always => "always written".to_owned(),
            Governor::Setting(subcategory) => subcategory.to_string(),
        };
        let raised = if event.raised_yet { "yes" } else { "not yet" };
        writeln!(
            out,
            "| [{id}](#{id}) | {} | {governor} | {raised} | {} |",
            event.outcome,
            event.title,
            id = event.id,
        )
        .unwrap();
    }
    out
}

/// A section for each event.
fn events() -> String {
    EVENTS.iter().map(section).collect::<Vec<_>>().join("\n")
}

fn section(event: &EventSpec) -> String {
    let mut out = format!("### {}\n\n**{}**\n\n", event.id, event.title);
    let yet = if event.raised_yet {
        ""
    } else {
        " Not raised yet."
    };
    writeln!(out, "Raised when {}{yet}\n", event.raised).unwrap();
    writeln!(out, "What to do: {}", event.advice).unwrap();
    if event.fields().is_empty() {
        out.push_str("\nNo fields.\n");
    } else {
        out.push_str("\n| field | what it holds |\n| --- | --- |\n");
        for field in event.fields() {
            writeln!(out, "| {} | {} |", field.name, field.meaning).unwrap();
        }
    }
    out
}

/// The causes, by the event that carries them.
fn causes() -> String {
    let mut out = String::new();
    for (ids, title) in [
        (
            &[4652, 4653, 4654][..],
            "Of a negotiation that failed (4652 with certificates, 4653 without, 4654 of Quick Mode)",
        ),
        (
            &[4655, 5452],
            "Of an SA that ended (4655, and 5452 and 5049 of an IPsec SA)",
        ),
        (
            &[4976, 4977],
            "Of an invalid packet (4976, and 4977 in Quick Mode)",
        ),
    ] {
        if !out.is_empty() {
            out.push('\n');
        }
        writeln!(out, "### {title}\n").unwrap();
        out.push_str("| cause | code | what happened | what to change | events |\n");
        out.push_str("| --- | --- | --- | --- | --- |\n");
        let of_these = |cause: &&Cause| ids.iter().any(|id| cause.event_ids().contains(id));
        for cause in Cause::ALL.iter().filter(of_these) {
            let code = cause.code().map_or("-".to_owned(), |c| c.to_string());
            let events: Vec<String> = cause.event_ids().iter().map(u16::to_string).collect();
            writeln!(
                out,
                "| `{cause}` | {code} | {} | {} | {} |",
                cause.title(),
                cause.advice(),
                events.join(", ")
            )
            .unwrap();
        }
    }
    out
}

/// The Windows reasons that this version gives.
fn reasons() -> String {
    let mut out = String::from("| code | symbol | text | causes |\n| --- | --- | --- | --- |\n");
    for &(code, _, text) in REASONS {
        let symbol = Reason(code).symbol().unwrap_or_default();
        let causes: Vec<String> = Cause::ALL
            .iter()
            .filter(|c| c.reason() == Some(Reason(code)))
            .map(|c| format!("`{c}`"))
            .collect();
        if !causes.is_empty() {
            writeln!(
                out,
                "| {code} | {symbol} | {text} | {} |",
                causes.join(", ")
            )
            .unwrap();
        }
    }
    out
}
