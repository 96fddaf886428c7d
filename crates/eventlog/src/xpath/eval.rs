//! A record as the XML that Windows would show, as far as queries see it, and whether it matches.

use std::borrow::Cow;

use audit::{Data, StoredRecord, spec};

use super::parse::{number, time};
use super::{Compare, Expr, Literal, Step, Value};

/// An element.
pub(super) struct Node<'a> {
    name: &'a str,
    attributes: Vec<(&'static str, Cow<'a, str>)>,
    text: Cow<'a, str>,
    children: Vec<Node<'a>>,
}

fn leaf<'a>(name: &'a str, text: impl Into<Cow<'a, str>>) -> Node<'a> {
    Node {
        name,
        attributes: Vec::new(),
        text: text.into(),
        children: Vec::new(),
    }
}

fn with<'a>(name: &'a str, attributes: Vec<(&'static str, Cow<'a, str>)>) -> Node<'a> {
    Node {
        attributes,
        ..leaf(name, "")
    }
}

fn parent<'a>(name: &'a str, children: Vec<Node<'a>>) -> Node<'a> {
    Node {
        children,
        ..leaf(name, "")
    }
}

/// The `Event` element of a record.
pub(super) fn event(stored: &StoredRecord) -> Node<'_> {
    let record = &stored.record;
    let spec = spec(record.event_id);
    let mut system = Vec::new();
    if let Some(spec) = spec {
        system.push(with(
            "Provider",
            vec![
                ("Name", spec.provider.name().into()),
                ("Guid", spec.provider.guid().into()),
            ],
        ));
    }
    system.push(leaf("EventID", record.event_id.to_string()));
    if let Some(spec) = spec {
        system.push(leaf("Version", spec.version.to_string()));
        system.push(leaf("Level", spec.level.to_string()));
        system.push(leaf("Task", spec.task.to_string()));
        system.push(leaf("Opcode", "0"));
        system.push(leaf("Keywords", spec.keywords()));
    }
    let written = jiff::Timestamp::from_nanosecond(stored.time.into()).unwrap_or_default();
    system.push(with(
        "TimeCreated",
        vec![("SystemTime", written.to_string().into())],
    ));
    system.push(leaf("EventRecordID", stored.record_id.to_string()));
    if let Some(activity) = &record.activity {
        system.push(with(
            "Correlation",
            vec![("ActivityID", activity.to_string().into())],
        ));
    }
    system.push(with(
        "Execution",
        vec![
            ("ProcessID", stored.process_id.to_string().into()),
            ("ThreadID", "0".into()),
        ],
    ));
    system.push(leaf("Channel", "Security"));
    system.push(leaf("Computer", stored.computer.as_str()));
    let mut parts = vec![parent("System", system)];
    if let Some(spec) = spec {
        let values = spec.fields().iter().zip(&record.values);
        match spec.data {
            Data::Event(_) => {
                let data = values.map(|(field, value)| Node {
                    text: value.into(),
                    ..with("Data", vec![("Name", field.name.into())])
                });
                parts.push(parent("EventData", data.collect()));
            }
            Data::User { element, .. } => {
                let fields = values.map(|(field, value)| leaf(field.name, value));
                parts.push(parent("UserData", vec![parent(element, fields.collect())]));
            }
        }
    }
    parent("Event", parts)
}

pub(super) fn holds(expr: &Expr, node: &Node<'_>, now: i64) -> bool {
    match expr {
        Expr::And(all) => all.iter().all(|expr| holds(expr, node, now)),
        Expr::Or(any) => any.iter().any(|expr| holds(expr, node, now)),
        Expr::Test { value, compare } => test(value, compare.as_ref(), node, now),
    }
}

fn test(value: &Value, compare: Option<&(Compare, Literal)>, node: &Node<'_>, now: i64) -> bool {
    match value {
        Value::Path(path) => any(path, node, now, &|attribute, text| match compare {
            None => true,
            Some((compare, literal)) => compared(attribute, text, *compare, literal),
        }),
        Value::TimeDiff(path, to) => any(path, node, now, &|_, text| {
            let (Some(from), Some((compare, Literal::Number(limit)))) = (time(text), compare)
            else {
                return false;
            };
            let nanoseconds = i128::from(to.unwrap_or(now)) - i128::from(from);
            compare.holds((nanoseconds / 1_000_000).cmp(&i128::from(*limit)))
        }),
        Value::Band(path, mask) => any(path, node, now, &|_, text| {
            let Some(shared) = number(text).map(|bits| bits & mask) else {
                return false;
            };
            match compare {
                None => shared != 0,
                Some((compare, Literal::Number(wanted))) => compare.holds(shared.cmp(wanted)),
                Some((_, Literal::Text(_))) => false,
            }
        }),
    }
}

/// Whether one of the nodes or attributes that a path leads to passes; `check` is told an attribute's
/// name.
fn any(
    path: &[Step],
    node: &Node<'_>,
    now: i64,
    check: &dyn Fn(Option<&str>, &str) -> bool,
) -> bool {
    match path.split_first() {
        None => check(None, &node.text),
        Some((Step::Attribute(name), _)) => node
            .attributes
            .iter()
            .any(|(there, text)| *there == name && check(Some(there), text)),
        Some((Step::Child { name, conditions }, rest)) => node.children.iter().any(|child| {
            (name == "*" || child.name == name)
                && conditions.iter().all(|expr| holds(expr, child, now))
                && any(rest, child, now, check)
        }),
    }
}

/// Numbers as numbers, times as times, the rest as text, which has no order.
fn compared(attribute: Option<&str>, text: &str, compare: Compare, literal: &Literal) -> bool {
    let order = match literal {
        Literal::Number(wanted) => number(text).map(|number| number.cmp(wanted)),
        Literal::Text(wanted) if attribute == Some("SystemTime") => time(text)
            .zip(time(wanted))
            .map(|(time, wanted)| time.cmp(&wanted)),
        Literal::Text(wanted) if matches!(compare, Compare::Equal | Compare::NotEqual) => {
            Some(text.cmp(wanted))
        }
        Literal::Text(wanted) => number(text)
            .zip(number(wanted))
            .map(|(number, wanted)| number.cmp(&wanted)),
    };
    order.is_some_and(|order| compare.holds(order))
}
