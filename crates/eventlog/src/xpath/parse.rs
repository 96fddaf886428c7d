//! From text to [`XPath`].

use super::{Compare, Expr, Literal, MAX_DEPTH, MAX_LENGTH, Step, Value, XPath, XPathError};

pub(super) fn parse(text: &str) -> Result<XPath, XPathError> {
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
    };
    if text.len() > MAX_LENGTH {
        return Err(parser.error(format!("a query has at most {MAX_LENGTH} bytes")));
    }
    let condition = parser.or(Parser::selector)?;
    parser.space();
    if parser.rest().is_empty() {
        Ok(XPath { condition })
    } else {
        Err(parser.error("the query should end here, or go on with `and` or `or`".to_owned()))
    }
}

/// Reads one of the terms that `and`, `or` and parentheses connect.
type Term<'a> = fn(&mut Parser<'a>) -> Result<Expr, XPathError>;

struct Parser<'a> {
    text: &'a str,
    /// In bytes, at the beginning of a character.
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn error(&self, what: String) -> XPathError {
        XPathError {
            position: self.text[..self.at].chars().count() + 1,
            what,
        }
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Takes a sign when it comes next.
    fn sign(&mut self, sign: &str) -> bool {
        self.space();
        let there = self.rest().starts_with(sign);
        if there {
            self.at += sign.len();
        }
        there
    }

    fn need(&mut self, sign: &str) -> Result<(), XPathError> {
        if self.sign(sign) {
            return Ok(());
        }
        let found = match self.rest().chars().next() {
            Some(found) => format!("not `{found}`"),
            None => "but the query ends".to_owned(),
        };
        Err(self.error(format!("`{sign}` should stand here, {found}")))
    }

    /// Takes a word (`and`, `or`) when it comes next and ends there.
    fn word(&mut self, word: &str) -> bool {
        self.space();
        let after = self.rest().strip_prefix(word);
        let there = after.is_some_and(|after| !after.starts_with(is_name));
        if there {
            self.at += word.len();
        }
        there
    }

    fn name(&mut self) -> Result<&'a str, XPathError> {
        self.space();
        let rest = self.rest();
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let name = &rest[..end];
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            return Err(self.error(
                "a name should stand here: System, EventID, EventData, Data, @Name, …".to_owned(),
            ));
        }
        self.at += end;
        Ok(name)
    }

    fn deeper<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, XPathError>,
    ) -> Result<T, XPathError> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(format!("brackets nest at most {MAX_DEPTH} deep")));
        }
        self.depth += 1;
        let value = inner(self);
        self.depth -= 1;
        value
    }

    /// `*[…]…` or `Event[…]/System[…]`.
    fn selector(&mut self) -> Result<Expr, XPathError> {
        if !self.sign("*") && !self.word("Event") {
            return Err(self.error(
                "what is looked for begins with `*`: for instance *[System[EventID=4653]]"
                    .to_owned(),
            ));
        }
        let mut conditions = self.conditions()?;
        if self.sign("/") {
            let path = self.path()?;
            let compare = self.compare()?;
            conditions.push(Expr::Test {
                value: Value::Path(path),
                compare,
            });
        }
        Ok(only(conditions, Expr::And))
    }

    /// `[…][…]`
    fn conditions(&mut self) -> Result<Vec<Expr>, XPathError> {
        let mut conditions = Vec::new();
        while self.sign("[") {
            conditions.push(self.deeper(|parser| parser.or(Self::term))?);
            self.need("]")?;
        }
        Ok(conditions)
    }

    fn or(&mut self, term: Term<'a>) -> Result<Expr, XPathError> {
        let mut terms = vec![self.and(term)?];
        while self.word("or") {
            terms.push(self.and(term)?);
        }
        Ok(only(terms, Expr::Or))
    }

    fn and(&mut self, term: Term<'a>) -> Result<Expr, XPathError> {
        let mut terms = vec![self.grouped(term)?];
        while self.word("and") {
            terms.push(self.grouped(term)?);
        }
        Ok(only(terms, Expr::And))
    }

    fn grouped(&mut self, term: Term<'a>) -> Result<Expr, XPathError> {
        if !self.sign("(") {
            return term(self);
        }
        let inner = self.deeper(|parser| parser.or(term))?;
        self.need(")")?;
        Ok(inner)
    }

    fn term(&mut self) -> Result<Expr, XPathError> {
        let start = self.at;
        let value = self.value()?;
        let compare = self.compare()?;
        if compare.is_none() && matches!(value, Value::TimeDiff(..)) {
            self.at = start;
            return Err(self.error("this is a number: compare it with one".to_owned()));
        }
        Ok(Expr::Test { value, compare })
    }

    fn value(&mut self) -> Result<Value, XPathError> {
        let start = self.at;
        for (function, known) in [
            ("timediff", true),
            ("band", true),
            ("not", false),
            ("position", false),
            ("contains", false),
            ("starts-with", false),
        ] {
            if !self.word(function) {
                continue;
            }
            if !self.sign("(") {
                self.at = start;
                break;
            }
            if !known {
                self.at = start;
                return Err(self.error(format!(
                    "`{function}` is not among the functions of event queries: timediff, band"
                )));
            }
            let path = self.path()?;
            let value = if function == "band" {
                self.need(",")?;
                let Literal::Number(mask) = self.literal()? else {
                    return Err(self.error("band takes a number".to_owned()));
                };
                Value::Band(path, mask)
            } else {
                let to = if self.sign(",") {
                    Some(self.time()?)
                } else {
                    None
                };
                Value::TimeDiff(path, to)
            };
            self.need(")")?;
            return Ok(value);
        }
        Ok(Value::Path(self.path()?))
    }

    fn path(&mut self) -> Result<Vec<Step>, XPathError> {
        let mut path = Vec::new();
        loop {
            if self.sign("@") {
                path.push(Step::Attribute(self.name()?.to_owned()));
                return Ok(path);
            }
            let name = if self.sign("*") { "*" } else { self.name()? };
            path.push(Step::Child {
                name: name.to_owned(),
                conditions: self.conditions()?,
            });
            if path.len() > MAX_DEPTH {
                return Err(self.error(format!("a path has at most {MAX_DEPTH} steps")));
            }
            if !self.sign("/") {
                return Ok(path);
            }
        }
    }

    fn compare(&mut self) -> Result<Option<(Compare, Literal)>, XPathError> {
        let compare = [
            ("!=", Compare::NotEqual),
            ("<=", Compare::LessOrEqual),
            (">=", Compare::GreaterOrEqual),
            ("=", Compare::Equal),
            ("<", Compare::Less),
            (">", Compare::Greater),
        ]
        .into_iter()
        .find(|(sign, _)| self.sign(sign));
        match compare {
            None => Ok(None),
            Some((_, compare)) => Ok(Some((compare, self.literal()?))),
        }
    }

    /// `'text'`, `"text"`, `17`, `0x1f`.
    fn literal(&mut self) -> Result<Literal, XPathError> {
        self.space();
        let rest = self.rest();
        if let Some(quote @ ('\'' | '"')) = rest.chars().next() {
            let inner = &rest[1..];
            let Some(end) = inner.find(quote) else {
                return Err(self.error(format!("this text has no closing {quote}")));
            };
            self.at += end + 2;
            return Ok(Literal::Text(inner[..end].to_owned()));
        }
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        let number = number(&rest[..end]);
        let Some(number) = number else {
            return Err(
                self.error("a whole number or a text in quotes should stand here".to_owned())
            );
        };
        self.at += end;
        Ok(Literal::Number(number))
    }

    fn time(&mut self) -> Result<i64, XPathError> {
        self.space();
        let start = self.at;
        if let Literal::Text(text) = self.literal()?
            && let Some(time) = time(&text)
        {
            return Ok(time);
        }
        self.at = start;
        Err(self.error("a time should stand here: '2026-11-23T09:00:00Z'".to_owned()))
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn only(mut terms: Vec<Expr>, many: fn(Vec<Expr>) -> Expr) -> Expr {
    match terms.pop() {
        Some(term) if terms.is_empty() => term,
        Some(term) => {
            terms.push(term);
            many(terms)
        }
        None => many(terms),
    }
}

/// A number as event queries write them, decimal or hexadecimal.
pub(super) fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        None => None,
    }
}

/// A time in nanoseconds since 1970 UTC; without a zone it is UTC, as in Windows' events.
pub(super) fn time(text: &str) -> Option<i64> {
    let time = text
        .parse::<jiff::Timestamp>()
        .ok()
        .or_else(|| format!("{text}Z").parse().ok())?;
    i64::try_from(time.as_nanosecond()).ok()
}
