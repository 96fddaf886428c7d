//! `docs/events.md` against the tables of the crate.

use std::path::Path;

use audit::{Cause, EVENTS, REASONS, Reason, spec};

#[path = "../examples/events-md/tables.rs"]
mod tables;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/events.md");
    std::fs::read_to_string(path).expect("docs/events.md stands beside the crates")
}

/// The cells of each row of the tables in a text, without heads and rules.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .iter()
        .enumerate()
        .filter(|(i, line)| {
            let head = lines
                .get(i + 1)
                .is_some_and(|next| next.starts_with("| ---"));
            line.starts_with('|') && !line.starts_with("| ---") && !head
        })
        .map(|(_, line)| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

fn part<'a>(page: &'a str, name: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("<!-- begin: {name} -->")).unwrap();
    rest.split_once(&format!("<!-- end: {name} -->")).unwrap().0
}

#[test]
fn the_tables_are_those_of_the_code() {
    let page = page();
    assert!(
        tables::rewritten(&page).unwrap() == page,
        "docs/events.md is behind the code: cargo run -p audit --example events-md"
    );
}

#[test]
fn every_event_is_documented_with_its_fields_in_order() {
    let page = page();
    let mut documented = Vec::new();
    for section in part(&page, "events").split("\n### ").skip(1) {
        let (id, body) = section.split_once('\n').unwrap();
        let event = spec(id.parse().unwrap()).expect("an event of the catalogue");
        documented.push(event.id);
        for words in [event.title, event.raised, event.advice] {
            assert!(body.contains(words), "{id}: {words}");
        }
        assert_eq!(body.contains("Not raised yet."), !event.raised_yet, "{id}");
        let fields: Vec<_> = event
            .fields()
            .iter()
            .map(|f| vec![f.name, f.meaning])
            .collect();
        assert_eq!(rows(body), fields, "{id}");
    }
    let all: Vec<u16> = EVENTS.iter().map(|e| e.id).collect();
    assert_eq!(documented, all);
}

#[test]
fn every_cause_is_documented_with_its_code_and_advice_and_no_other_is() {
    let page = page();
    let documented = rows(part(&page, "causes"));
    assert_eq!(documented.len(), Cause::ALL.len());
    for (row, &cause) in documented.iter().zip(Cause::ALL) {
        let [token, code, title, advice, events] = row[..] else {
            panic!("{row:?}");
        };
        assert_eq!(token.trim_matches('`'), cause.token());
        assert_eq!(code.parse().ok(), cause.code(), "{cause}");
        assert_eq!((title, advice), (cause.title(), cause.advice()), "{cause}");
        let ids: Vec<u16> = events.split(", ").map(|id| id.parse().unwrap()).collect();
        assert_eq!(ids, cause.event_ids(), "{cause}");
    }
}

#[test]
fn every_reason_that_is_given_is_documented() {
    let page = page();
    let documented = rows(part(&page, "reasons"));
    let given: Vec<Reason> = REASONS
        .iter()
        .map(|row| Reason(row.0))
        .filter(|&r| Cause::ALL.iter().any(|c| c.reason() == Some(r)))
        .collect();
    assert_eq!(documented.len(), given.len());
    for (row, reason) in documented.iter().zip(given) {
        assert_eq!(row[0].parse(), Ok(reason.0));
        assert_eq!(Some(row[1]), reason.symbol().as_deref());
        assert_eq!(row[2], reason.text());
    }
}

#[test]
fn the_prose_names_no_event_code_or_cause_that_is_not_there() {
    let page = page();
    for word in page.split(|c: char| !c.is_ascii_digit()) {
        if let Ok(code @ 13_800..=13_999) = word.parse::<u32>() {
            assert!(Reason(code).symbol().is_some(), "{code}");
        }
    }
    for token in page.split('`').skip(1).step_by(2) {
        let kebab = token.contains('-')
            && token.starts_with(|c: char| c.is_ascii_lowercase())
            && token.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        let settings = ["max-size", "when-unwritable"];
        if kebab && !settings.contains(&token) {
            assert!(Cause::from_token(token).is_some(), "{token}");
        }
    }
}

#[test]
fn the_events_that_this_version_raises_are_told_from_those_it_does_not() {
    let raised: Vec<u16> = EVENTS
        .iter()
        .filter(|e| e.raised_yet)
        .map(|e| e.id)
        .collect();
    assert_eq!(
        raised,
        [
            1100, 1102, 1104, 1105, 4612, 4650, 4651, 4652, 4653, 4654, 4655, 4719, 4960, 4961,
            4962, 4963, 4965, 4976, 4977, 5049, 5451, 5452, 5478, 5479
        ]
    );
}
