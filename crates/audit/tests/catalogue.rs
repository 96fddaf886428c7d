//! The tables of the crate against the manifest's facts in `tests/data`.

use audit::{Data, EVENTS, Governor, Outcome, REASONS, parameter, spec};
use serde_json::Value;

fn manifest() -> Value {
    serde_json::from_str(include_str!("data/windows-audit-events.json")).unwrap()
}

fn fields_of(event: &Value) -> Vec<(&str, &str)> {
    let fields = match event.get("userData") {
        Some(user) => &user["fields"],
        None => &event["fields"],
    };
    fields
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["name"].as_str().unwrap(), f["inType"].as_str().unwrap()))
        .collect()
}

#[test]
fn every_event_of_the_manifest_is_in_the_catalogue_and_no_other() {
    let manifest = manifest();
    let ids: Vec<u64> = manifest["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["id"].as_u64().unwrap())
        .collect();
    let ours: Vec<u64> = EVENTS.iter().map(|e| u64::from(e.id)).collect();
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    assert_eq!(ours, sorted);
    assert_eq!(ours.len(), 34);
}

#[test]
fn every_event_has_the_manifests_header_fields_and_message() {
    let manifest = manifest();
    for event in manifest["events"].as_array().unwrap() {
        let id = event["id"].as_u64().unwrap();
        let ours = spec(u16::try_from(id).unwrap()).unwrap();
        assert_eq!(
            u64::from(ours.task),
            event["task"].as_u64().unwrap(),
            "{id}"
        );
        let number = |key: &str| event.get(key).map_or(0, |v| v.as_u64().unwrap());
        assert_eq!(u64::from(ours.version), number("version"), "{id}");
        assert_eq!(u64::from(ours.level), number("level"), "{id}");
        let fields: Vec<_> = ours
            .fields()
            .iter()
            .map(|f| (f.name, f.in_type.name()))
            .collect();
        assert_eq!(fields, fields_of(event), "{id}");
        assert_eq!(ours.message, event["message"].as_str().unwrap(), "{id}");

        let log = event.get("eventlog");
        let (provider, guid) = match log {
            Some(log) => (&log["provider"], &log["guid"]),
            None => (&manifest["provider"], &manifest["guid"]),
        };
        assert_eq!(ours.provider.name(), provider.as_str().unwrap(), "{id}");
        assert_eq!(ours.provider.guid(), guid.as_str().unwrap(), "{id}");
        let (outcome, keywords) = match (log, event.get("outcome").and_then(Value::as_str)) {
            (Some(log), None) => (Outcome::None, &log["keywords"]),
            (None, Some("success")) => (Outcome::Success, &manifest["keywords"]["success"]),
            (None, Some("failure")) => (Outcome::Failure, &manifest["keywords"]["failure"]),
            other => panic!("{id}: {other:?}"),
        };
        assert_eq!(ours.outcome, outcome, "{id}");
        assert_eq!(ours.keywords(), keywords.as_str().unwrap(), "{id}");
        match (event.get("always").is_some(), ours.governor) {
            (true, Governor::Always) => {}
            (false, Governor::Setting(subcategory)) => {
                assert_eq!(subcategory.name(), event["subcategory"], "{id}");
                let category = event
                    .get("category")
                    .map_or("Logon/Logoff", |c| c.as_str().unwrap());
                assert_eq!(subcategory.category().name(), category, "{id}");
            }
            other => panic!("{id}: {other:?}"),
        }
        match (event.get("userData"), ours.data) {
            (Some(user), Data::User { element, .. }) => {
                assert_eq!(element, user["element"], "{id}");
            }
            (None, Data::Event(_)) => {}
            other => panic!("{id}: {other:?}"),
        }
    }
}

#[test]
fn every_parameter_has_the_manifests_string() {
    let manifest = manifest();
    let parameters = manifest["parameters"].as_object().unwrap();
    for (number, string) in parameters {
        assert_eq!(
            parameter(number.parse().unwrap()),
            string.as_str(),
            "{number}"
        );
    }
    let known = (0..=70_000).filter(|&n| parameter(n).is_some()).count();
    assert_eq!(known, parameters.len());
}

#[test]
fn every_reason_has_windows_symbol_and_text() {
    let table: Vec<(u32, &str, &str)> = include_str!("data/ike-failure-reasons.tsv")
        .lines()
        .map(|line| {
            let mut columns = line.split('\t');
            let mut next = || columns.next().unwrap();
            (next().parse().unwrap(), next(), next())
        })
        .collect();
    assert_eq!(REASONS, table);
}

#[test]
fn every_message_uses_every_field_of_its_event_and_no_other() {
    for event in EVENTS {
        let mut used: Vec<usize> = event
            .message
            .split('%')
            .skip(1)
            .map(|rest| {
                let digits = rest
                    .find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(rest.len());
                rest[..digits].parse().unwrap()
            })
            .collect();
        used.sort_unstable();
        used.dedup();
        let all: Vec<usize> = (1..=event.fields().len()).collect();
        assert_eq!(used, all, "{}", event.id);
    }
}

#[test]
fn what_a_peer_can_choose_is_never_a_word() {
    for event in EVENTS {
        for field in event.fields() {
            let chosen = [
                "Name", "CA", "Hash", "Address", "Path", "Cookie", "Reason", "Error",
            ];
            let ours = ["KeyModName", "KeyingModuleName"];
            if chosen.iter().any(|c| field.name.ends_with(c)) && !ours.contains(&field.name) {
                assert!(!field.word, "{} {}", event.id, field.name);
            }
        }
    }
}
