//! What the log and the counters must say when a scenario has played.

use crate::Outcome;
use crate::home;
use crate::process::until;
use crate::scenario::Expected;
use crate::trial::Stage;
use crate::vars::Vars;
use crate::words;
use libtest_mimic::Failed;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Kinds of event, from `common/events.toml`.
type Kinds = BTreeMap<String, Kind>;

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct Kind {
    id: u16,
    #[serde(default)]
    version: u8,
    #[serde(default = "main_mode")]
    task: u16,
    outcome: String,
    /// Whether it belongs to a negotiation, and so carries its `ActivityID`.
    activity: bool,
    /// Name and expected value of every field, in the manifest's order.
    fields: Vec<(String, String)>,
}

/// The task of Main Mode's events.
fn main_mode() -> u16 {
    12_547
}

/// Events of the log's own life, which every run has.
const OF_THE_LOG: &[u64] = &[1100, 4719, 5478, 5479];

/// How long to look whether a verdict too many comes after the last one that is expected.
const GRACE: std::time::Duration = std::time::Duration::from_millis(300);

/// Waits for the expected number of events while the daemon runs, then holds its counters against them.
pub fn settled(stage: &Stage, expected: &[Expected]) -> Outcome {
    let kinds = kinds()?;
    // The end of the daemon still writes the ends of what lives.
    let now: Vec<&Expected> = expected
        .iter()
        .filter(|e| !e.at_end && e.cause.as_deref() != Some("shutdown"))
        .collect();
    let wanted: usize = now.iter().map(|e| e.times).sum();
    let seen = || -> Outcome<usize> { Ok(of_negotiations(&stage.daemon.events()?).len()) };
    until(10, &format!("{wanted} events of negotiations"), || {
        Ok((seen()? >= wanted).then_some(()))
    })
    .map_err(|why| {
        let events = stage.daemon.events().unwrap_or_default();
        format!(
            "{}; there are\n{}",
            why.message().unwrap_or_default(),
            summary(&events)
        )
    })?;
    std::thread::sleep(GRACE);
    let count = |id: u16| -> Outcome<u64> {
        let mut times = 0;
        for one in &now {
            let kind = kinds.get(&stage.vars.fill(&one.event)?);
            times += if kind.is_some_and(|k| k.id == id) {
                one.times
            } else {
                0
            };
        }
        Ok(u64::try_from(times)?)
    };
    let established = count(4650)? + count(4651)?;
    let (failed, ended) = (count(4653)? + count(4652)?, count(4655)?);
    let status = stage.daemon.status()?;
    for (counter, value) in [
        ("negotiations", established + failed),
        ("established", established),
        ("failed", failed),
        ("superseded", 0),
        ("interrupted", 0),
        ("ended", ended),
        ("live", established - ended),
    ] {
        if status["counters"][counter] != value {
            return Err(format!("counters.{counter} is not {value} in {status}").into());
        }
    }
    let sas = status["main_mode_sas"].as_array().map(Vec::len);
    if sas.and_then(|n| u64::try_from(n).ok()) != Some(established - ended) {
        return Err(format!("main_mode_sas are not {} in {status}", established - ended).into());
    }
    Ok(())
}

/// The whole log, read while the daemon is down: its chain holds, and it has the expected events and no others.
pub fn log(stage: &Stage, expected: &[Expected]) -> Outcome {
    stage.daemon.verify()?;
    let events = stage.daemon.events()?;
    check(&kinds()?, &events, expected, &stage.vars).map_err(|why| {
        let why = why.message().unwrap_or_default();
        format!("{why}\nevents:\n{}", summary(&events)).into()
    })
}

/// One line for each event: what a person would look at first.
pub fn summary(events: &[Value]) -> String {
    let mut lines = String::new();
    for event in events {
        let _ = writeln!(
            lines,
            "  {} {} {}",
            event["EventID"], event["EventData"], event["Extra"]
        );
    }
    lines
}

fn kinds() -> Outcome<Kinds> {
    let file = home().join("common/events.toml");
    Ok(toml::from_str(&std::fs::read_to_string(file)?)?)
}

fn of_negotiations(events: &[Value]) -> Vec<&Value> {
    events
        .iter()
        .filter(|event| {
            event["EventID"]
                .as_u64()
                .is_none_or(|id| !OF_THE_LOG.contains(&id))
        })
        .collect()
}

fn check(kinds: &Kinds, events: &[Value], expected: &[Expected], vars: &Vars) -> Outcome {
    for (event, number) in events.iter().zip(1_u64..) {
        if event["EventRecordID"] != number {
            return Err(
                format!("record {number} says of itself {}", event["EventRecordID"]).into(),
            );
        }
    }
    let mut names = Names::default();
    let mut seen = of_negotiations(events).into_iter().peekable();
    for one in expected {
        let kind = kinds.get(&vars.fill(&one.event)?).ok_or_else(|| {
            format!(
                "\"{}\" is no kind of event in common/events.toml",
                one.event
            )
        })?;
        let second = one.with_second.then(|| vars.with_second()).transpose()?;
        let vars = second.as_ref().unwrap_or(vars);
        for _ in 0..one.times {
            let event = seen.next().ok_or_else(|| format!("no event for {one:?}"))?;
            names.check(kind, one, event, vars)?;
        }
        while one.or_more && seen.peek().is_some_and(|e| e["EventID"] == kind.id) {
            seen.next()
                .map_or(Ok(()), |event| names.check(kind, one, event, vars))?;
        }
    }
    match seen.next() {
        None => Ok(()),
        Some(event) => Err(format!("one event too many: {event}").into()),
    }
}

/// What earlier events said that later ones have to repeat.
#[derive(Default)]
struct Names {
    values: BTreeMap<(bool, String), String>,
    /// The `ActivityID` under which each MMSAID was established.
    activities: BTreeMap<String, Value>,
}

impl Names {
    fn check(&mut self, kind: &Kind, one: &Expected, event: &Value, vars: &Vars) -> Outcome {
        let wrong =
            |what: &str| Failed::from(format!("{what} is wrong in {event}, expected {one:?}"));
        let same = |key: &str, value: Value| {
            if event[key] == value {
                Ok(())
            } else {
                Err(wrong(key))
            }
        };
        same("EventID", kind.id.into())?;
        same("Version", kind.version.into())?;
        same("Provider", "Microsoft-Windows-Security-Auditing".into())?;
        same("Channel", "Security".into())?;
        same("Outcome", kind.outcome.as_str().into())?;
        same("Task", kind.task.into())?;
        same(
            "Computer",
            nix::unistd::gethostname()?.to_string_lossy().into(),
        )?;
        if event["TimeCreated"]
            .as_str()
            .is_none_or(|time| time.len() != "2026-11-23T09:00:00.1234567Z".len())
        {
            return Err(wrong("TimeCreated"));
        }
        if event["Message"].as_str().is_none_or(str::is_empty) {
            return Err(wrong("Message"));
        }
        if kind.activity && !event["ActivityID"].as_str().is_some_and(is_activity) {
            return Err(wrong("ActivityID"));
        }
        self.fields(kind, one, event, vars)?;
        self.activity_of_sa(event)?;
        extra(kind, one, &event["Extra"], vars).map_err(|what| wrong(&what))
    }

    fn fields(&mut self, kind: &Kind, one: &Expected, event: &Value, vars: &Vars) -> Outcome {
        let data = event["EventData"]
            .as_object()
            .ok_or("an event has no EventData")?;
        if !data.keys().eq(kind.fields.iter().map(|(name, _)| name)) {
            return Err(format!(
                "the fields are not those of {}, in its order: {event}",
                kind.id
            )
            .into());
        }
        if let Some(name) = one.fields.keys().find(|name| !data.contains_key(*name)) {
            return Err(format!("{} has no field {name}", kind.id).into());
        }
        for (name, usual) in &kind.fields {
            let expected = vars.fill(one.fields.get(name).unwrap_or(usual))?;
            let value = data[name]
                .as_str()
                .ok_or_else(|| format!("{name} is no string in {event}"))?;
            let right = match expected.strip_prefix('<').and_then(|e| e.strip_suffix('>')) {
                None => value == expected,
                Some("reason") => {
                    let reason = one.reason.as_ref().ok_or("a failure needs its reason")?;
                    value == words::of_reason(reason.value(vars)?)?
                }
                Some(pattern) => self.fits(pattern, value, one.with_second)?,
            };
            if !right {
                return Err(
                    format!("{name} is \"{value}\", expected {expected}, in {event}").into(),
                );
            }
        }
        Ok(())
    }

    /// `KIND` or `KIND:NAME`: a name stands for the same value wherever it is used.
    fn fits(&mut self, pattern: &str, value: &str, second: bool) -> Outcome<bool> {
        let (kind, name) = pattern
            .split_once(':')
            .map_or((pattern, None), |(k, n)| (k, Some(n)));
        let is_cookie = value.len() == 16
            && value
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let is_zero = value.bytes().all(|b| b == b'0');
        let fits = match kind {
            "nonzero" => value.parse::<u64>().is_ok_and(|n| n > 0),
            "cookie" => is_cookie && !is_zero,
            "any-cookie" => is_cookie,
            "no-cookie" => is_cookie && is_zero,
            other => return Err(format!("\"{other}\" is no pattern").into()),
        };
        let repeats = name.is_none_or(|name| {
            let known = self
                .values
                .entry((second, name.to_owned()))
                .or_insert_with(|| value.to_owned());
            known == value
        });
        Ok(fits && repeats)
    }

    /// An SA ends under the `ActivityID` of the negotiation that made it.
    fn activity_of_sa(&mut self, event: &Value) -> Outcome {
        let Some(sa) = event["EventData"]["MMSAID"].as_str() else {
            return Ok(());
        };
        if event["EventID"] == 4655 {
            if self.activities.get(sa) != Some(&event["ActivityID"]) {
                return Err(format!(
                    "SA {sa} ends under another ActivityID than it began: {event}"
                )
                .into());
            }
        } else if self
            .activities
            .insert(sa.to_owned(), event["ActivityID"].clone())
            .is_some()
        {
            return Err(format!("MMSAID {sa} was used twice").into());
        }
        Ok(())
    }
}

/// `Extra`: connection and cause as expected; reason code and advice on failures alone.
fn extra(kind: &Kind, one: &Expected, extra: &Value, vars: &Vars) -> Result<(), String> {
    let because = |e: Failed| e.message().unwrap_or_default().to_owned();
    let fill = |text: &str| vars.fill(text).map_err(because);
    let text = |words: &str| {
        if words.is_empty() {
            Value::Null
        } else {
            words.into()
        }
    };
    let connection = one
        .connection
        .as_deref()
        .unwrap_or(if kind.activity { "peer" } else { "" });
    let connection = fill(connection)?;
    let cause = fill(one.cause.as_deref().unwrap_or_default())?;
    let reason = match &one.reason {
        Some(reason) => reason.value(vars).map_err(because)?.into(),
        None => Value::Null,
    };
    // What phase 1 was, on its verdicts.
    let verdict = (4650..=4653).contains(&kind.id);
    for (key, name) in [("Exchange", "exchange-words"), ("User", "user")] {
        let own = one.exchange.as_deref().filter(|_| key == "Exchange");
        let words = if verdict {
            fill(own.unwrap_or(vars.get(name)))?
        } else {
            String::new()
        };
        if extra[key] != text(&words) {
            return Err(format!("Extra.{key}"));
        }
    }
    let expected = [
        ("Connection", text(&connection)),
        ("Cause", text(&cause)),
        ("ReasonCode", reason),
    ];
    for (key, value) in expected {
        // An invalid packet's cause and connection are told where the scenario cares for them.
        if !kind.activity && value.is_null() {
            continue;
        }
        if extra[key] != value {
            return Err(format!("Extra.{key}"));
        }
    }
    let advice = extra["Advice"]
        .as_str()
        .is_some_and(|advice| !advice.is_empty());
    if advice == (kind.outcome == "failure") {
        Ok(())
    } else {
        Err("Extra.Advice".into())
    }
}

fn is_activity(text: &str) -> bool {
    let hex = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
    let parts: Vec<&str> = text
        .trim_start_matches('{')
        .trim_end_matches('}')
        .split('-')
        .collect();
    text.len() == 38 && parts.len() == 5 && parts.iter().all(|p| hex(p)) && parts[0] != "00000000"
}

/// That a log which is not as expected is not taken for one that is, as trials of their own.
pub const TRIALS: crate::OwnTrials = &[
    ("a_log_as_expected_passes", || tried(|_| ()).map(drop)),
    ("each_wrong_field_is_found", each_field),
    ("a_missing_verdict_is_found", || {
        must_fail(|events| drop(events.pop()))
    }),
    ("a_second_verdict_is_found", || {
        must_fail(|events| {
            let mut again = events[0].clone();
            again["EventRecordID"] = 3.into();
            events.push(again);
        })
    }),
    ("a_gap_of_record_ids_is_found", || {
        must_fail(|events| events[1]["EventRecordID"] = 3.into())
    }),
    ("another_order_of_fields_is_found", || {
        must_fail(|events| {
            let first = events[1]["EventData"]
                .as_object_mut()
                .and_then(|data| data.shift_remove("LocalAddress"));
            events[1]["EventData"]["LocalAddress"] = first.unwrap_or_default();
        })
    }),
    ("the_end_of_another_sa_is_found", || {
        must_fail(|events| events[1]["EventData"]["MMSAID"] = "8".into())
    }),
];

/// A success as the log would tell it, changed by `change`, and held against what a success must be.
fn tried(change: impl FnOnce(&mut Vec<Value>)) -> Outcome<Vec<Value>> {
    let kinds = kinds()?;
    let vars = Vars::new([])?;
    let fields = |kind: &str| -> Outcome<Value> {
        let mut data = serde_json::Map::new();
        for (name, value) in &kinds[kind].fields {
            let value = vars.fill(value)?;
            data.insert(
                name.clone(),
                if value.starts_with('<') {
                    "7".into()
                } else {
                    value.into()
                },
            );
        }
        Ok(data.into())
    };
    let event = |record: u64, id: u16, data: Value, extra: Value| -> Outcome<Value> {
        Ok(serde_json::json!({
            "EventRecordID": record, "EventID": id, "Version": 0,
            "Provider": "Microsoft-Windows-Security-Auditing", "Channel": "Security",
            "TimeCreated": "2026-11-23T09:00:00.1234567Z", "Outcome": "success", "Task": 12547,
            "Computer": nix::unistd::gethostname()?.to_string_lossy(),
            "ActivityID": "{0A1B2C3D-0A1B-2C3D-4E5F-0A1B2C3D4E5F}",
            "EventData": data, "Extra": extra, "Message": "words"
        }))
    };
    let mut events = vec![
        event(
            1,
            4650,
            fields("established")?,
            serde_json::json!({"Connection": "peer"}),
        )?,
        event(
            2,
            4655,
            fields("ended")?,
            serde_json::json!({"Connection": "peer", "Cause": "deleted-by-peer"}),
        )?,
    ];
    change(&mut events);
    let expected: Vec<Expected> = [
        "event = \"established\"",
        "event = \"ended\"\ncause = \"deleted-by-peer\"",
    ]
    .iter()
    .map(|text| toml::from_str(text))
    .collect::<Result<_, _>>()?;
    check(&kinds, &events, &expected, &vars)?;
    Ok(events)
}

fn must_fail(change: impl FnOnce(&mut Vec<Value>)) -> Outcome {
    match tried(change) {
        Err(_) => Ok(()),
        Ok(events) => Err(format!("taken for right: {events:?}").into()),
    }
}

fn each_field() -> Outcome {
    for event in tried(|_| ())? {
        let place = usize::from(event["EventID"] == 4655);
        for name in event["EventData"]
            .as_object()
            .into_iter()
            .flat_map(serde_json::Map::keys)
        {
            must_fail(|events| events[place]["EventData"][name] = "0000".into())?;
        }
        for name in [
            "EventID",
            "Version",
            "Outcome",
            "Task",
            "ActivityID",
            "Extra",
            "Computer",
            "TimeCreated",
        ] {
            must_fail(|events| events[place][name] = "0000".into())?;
        }
    }
    Ok(())
}
