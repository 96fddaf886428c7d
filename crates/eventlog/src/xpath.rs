//! The subset of `XPath` that Windows takes for event queries, as `wevtutil qe Security /q:…` does.
//!
//! `*`, `*[System[EventID=4653]]`, `Event/System[(EventID=4650 or EventID=4653) and
//! TimeCreated[timediff(@SystemTime) <= 86400000]]`,
//! `*[EventData[Data[@Name='RemoteAddress']='192.0.2.1']]`, `*[System[band(Keywords,4503599627370496)]]`,
//! and several such selectors: `*[System[EventID=4653]] and (*[EventData[…]] or *[UserData])`.

mod bounds;
mod eval;
mod parse;

use audit::StoredRecord;

use crate::query::Bounds;

/// Longest query in bytes: Windows stops at 32 clauses, far below this.
pub const MAX_LENGTH: usize = 16 * 1024;
/// Deepest nesting of brackets and parentheses: `*[System[TimeCreated[@x]]]` has 3.
pub const MAX_DEPTH: usize = 32;

/// A query, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XPath {
    /// What holds for the event.
    condition: Expr,
}

/// Why a query is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("XPath, at character {position}: {what}")]
pub struct XPathError {
    /// In characters, from 1.
    pub position: usize,
    /// What is wrong there.
    pub what: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Expr {
    /// Of none, as in `*`: every record.
    And(Vec<Expr>),
    Or(Vec<Expr>),
    /// A node is there, and one of them compares so.
    Test {
        value: Value,
        compare: Option<(Compare, Literal)>,
    },
}

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Path(Vec<Step>),
    /// Milliseconds from an attribute of time to the other time, or to now.
    TimeDiff(Vec<Step>, Option<i64>),
    /// The bits that a number shares with another; compared with nothing, it holds when there are
    /// any, as in the filters that Windows' Event Viewer writes.
    Band(Vec<Step>, u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Child { name: String, conditions: Vec<Expr> },
    Attribute(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Compare {
    fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Compare::Equal => order.is_eq(),
            Compare::NotEqual => order.is_ne(),
            Compare::Less => order.is_lt(),
            Compare::LessOrEqual => order.is_le(),
            Compare::Greater => order.is_gt(),
            Compare::GreaterOrEqual => order.is_ge(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Literal {
    Number(u64),
    Text(String),
}

impl XPath {
    /// Parses a query.
    ///
    /// # Errors
    /// Where it is not one that is understood, and what is taken there.
    pub fn parse(text: &str) -> Result<XPath, XPathError> {
        parse::parse(text)
    }

    /// Whether a record is one of those asked for. `now` is what `timediff` counts to, in nanoseconds
    /// since 1970 UTC.
    pub fn matches(&self, record: &StoredRecord, now: i64) -> bool {
        if matches!(&self.condition, Expr::And(all) if all.is_empty()) {
            return true;
        }
        eval::holds(&self.condition, &eval::event(record), now)
    }

    /// What every match has in common, as far as the log's columns know it.
    pub(crate) fn bounds(&self, now: i64) -> Bounds {
        let mut bounds = Bounds::default();
        bounds::narrow(&mut bounds, &self.condition, &[], now);
        bounds
    }
}

impl std::str::FromStr for XPath {
    type Err = XPathError;

    fn from_str(text: &str) -> Result<XPath, XPathError> {
        XPath::parse(text)
    }
}
