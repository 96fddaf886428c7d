//! What a query says of event, ID, time and peer, so that the log's columns can find them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::parse::time;
use super::{Compare, Expr, Literal, Step, Value};
use crate::query::Bounds;

const NANOSECONDS_A_MILLISECOND: i64 = 1_000_000;

/// Narrows bounds by what must hold under `above`, the names on the way from the event. What is not
/// understood here narrows nothing: the whole query is asked of every record that is left.
pub(super) fn narrow(bounds: &mut Bounds, expr: &Expr, above: &[&str], now: i64) {
    match expr {
        Expr::And(all) => {
            for expr in all {
                narrow(bounds, expr, above, now);
            }
        }
        Expr::Or(any) => {
            let branch = |expr| {
                let mut bounds = Bounds::default();
                narrow(&mut bounds, expr, above, now);
                bounds
            };
            if let Some(either) = any.iter().map(branch).reduce(Bounds::or) {
                bounds.and(either);
            }
        }
        Expr::Test { value, compare } => {
            if let Some(event) = one_event(expr, above) {
                bounds.only_events(BTreeSet::from([event]));
            }
            test(bounds, value, compare.as_ref(), above, now);
        }
    }
}

/// The event of `EventID=n`.
fn one_event(expr: &Expr, above: &[&str]) -> Option<u16> {
    match expr {
        Expr::Test {
            value: Value::Path(path),
            compare: Some((Compare::Equal, Literal::Number(event))),
        } if names(path, above)? == ["System", "EventID"] => u16::try_from(*event).ok(),
        _ => None,
    }
}

/// The names from the event to the end of a path without conditions on the way.
fn names<'a>(path: &'a [Step], above: &[&'a str]) -> Option<Vec<&'a str>> {
    let mut names = above.to_vec();
    for step in path {
        match step {
            Step::Child { name, conditions } if conditions.is_empty() => names.push(name),
            Step::Child { .. } => return None,
            Step::Attribute(name) => names.push(name),
        }
    }
    Some(names)
}

fn test(
    bounds: &mut Bounds,
    value: &Value,
    compare: Option<&(Compare, Literal)>,
    above: &[&str],
    now: i64,
) {
    let (Value::Path(path) | Value::TimeDiff(path, _) | Value::Band(path, _)) = value;
    // Conditions on the way to the end of the path must hold as well.
    let mut names = above.to_vec();
    for step in path {
        match step {
            Step::Child { name, conditions } => {
                names.push(name);
                for expr in conditions {
                    narrow(bounds, expr, &names, now);
                }
            }
            Step::Attribute(name) => names.push(name),
        }
    }
    let Some((compare, literal)) = compare else {
        return;
    };
    match (value, names.as_slice(), literal) {
        (Value::Path(_), ["System", "EventRecordID"], Literal::Number(id)) => {
            let (from, to) = range(*compare, *id, u64::MIN, u64::MAX);
            bounds.only_ids(from, to);
        }
        (Value::Path(_), ["System", "TimeCreated", "SystemTime"], Literal::Text(text)) => {
            if let Some(time) = time(text) {
                let (from, to) = range(*compare, time, i64::MIN, i64::MAX);
                bounds.only_times(from, to);
            }
        }
        (
            Value::TimeDiff(_, to),
            ["System", "TimeCreated", "SystemTime"],
            Literal::Number(milliseconds),
        ) => {
            // Rounded towards zero: one millisecond more on either side is always enough.
            if matches!(compare, Compare::Less | Compare::LessOrEqual)
                && let Ok(milliseconds) = i64::try_from(*milliseconds)
            {
                let span = milliseconds
                    .saturating_add(1)
                    .saturating_mul(NANOSECONDS_A_MILLISECOND);
                bounds.only_times(to.unwrap_or(now).saturating_sub(span), i64::MAX);
            }
        }
        (Value::Path(path), ["EventData", "Data"], Literal::Text(text))
            if *compare == Compare::Equal && is_remote_address(path) =>
        {
            // Only an address in its one form: the column holds addresses, not texts.
            if let Ok(peer) = text.parse::<IpAddr>() {
                bounds.peer = Some(peer);
            }
        }
        _ => {}
    }
}

/// `Data[@Name='RemoteAddress']` at the end of the path.
fn is_remote_address(path: &[Step]) -> bool {
    let Some(Step::Child { conditions, .. }) = path.last() else {
        return false;
    };
    conditions.iter().any(|expr| {
        matches!(
            expr,
            Expr::Test {
                value: Value::Path(path),
                compare: Some((Compare::Equal, Literal::Text(name))),
            } if name == "RemoteAddress" && matches!(path.as_slice(), [Step::Attribute(at)] if at == "Name")
        )
    })
}

/// The least and the greatest number that compares so.
fn range<T: Copy + Ord>(compare: Compare, with: T, least: T, greatest: T) -> (T, T) {
    match compare {
        Compare::Equal => (with, with),
        Compare::NotEqual => (least, greatest),
        // One too many is sorted out by the query itself.
        Compare::Less | Compare::LessOrEqual => (least, with),
        Compare::Greater | Compare::GreaterOrEqual => (with, greatest),
    }
}
