//! What the demonstration prints: scenes, and the events of both logs as they come.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anstyle::Style;
use audit::{Cause, StoredRecord, printable};
use eventlog::{Query, Reader};

use crate::cli::line::Line;
use crate::cli::output::{BAD, CARE, FAINT, GOOD, TITLE, styled};
use crate::cli::{Context, Failure, Outcome};

/// How often the logs are looked at.
const LOOK: Duration = Duration::from_millis(10);

/// One side's log.
struct Side {
    name: &'static str,
    log: PathBuf,
    seen: u64,
    events: usize,
}

/// An event that a scene must bring.
#[derive(Clone, PartialEq, Eq)]
pub struct Expected {
    side: &'static str,
    event: u16,
    cause: Option<&'static str>,
}

impl Expected {
    /// This event on this side's log.
    pub fn new(side: &'static str, event: u16) -> Self {
        Expected {
            side,
            event,
            cause: None,
        }
    }

    /// The same, for this reason.
    pub fn because(side: &'static str, event: u16, cause: &'static str) -> Self {
        Expected {
            side,
            event,
            cause: Some(cause),
        }
    }

    fn is(&self, side: &str, record: &StoredRecord) -> bool {
        let cause = record
            .record
            .extra
            .as_ref()
            .and_then(|extra| extra.cause.as_deref());
        self.side == side
            && self.event == record.record.event_id
            && (self.cause.is_none() || self.cause == cause)
    }
}

/// See the module.
pub struct Show<'a> {
    context: &'a mut Context,
    sides: Vec<Side>,
    begun: Instant,
    scenes: usize,
}

impl<'a> Show<'a> {
    /// A show of these logs.
    pub fn new(context: &'a mut Context, logs: &[(&'static str, &Path)]) -> Self {
        let sides = logs
            .iter()
            .map(|(name, log)| Side {
                name,
                log: log.to_path_buf(),
                seen: 0,
                events: 0,
            })
            .collect();
        Show {
            context,
            sides,
            begun: Instant::now(),
            scenes: 0,
        }
    }

    fn json(&self) -> bool {
        self.context.json
    }

    /// What this is.
    pub fn welcome(&mut self) -> Outcome {
        if !self.json() {
            let out = &mut self.context.out;
            let what = Line::new(0, 0, out.width()).words(
                Style::new(),
                "Two peers, north and south, negotiate IKE over UDP on loopback. What follows is read from \
                 their logs.",
            );
            writeln!(out, "{}\n{}", styled(TITLE, "mainmode demo"), what.finish())?;
            out.flush()?;
        }
        Ok(())
    }

    /// A scene begins.
    pub fn scene(&mut self, title: &str) -> Outcome {
        self.scenes += 1;
        if !self.json() {
            let out = &mut self.context.out;
            let line = Line::new(0, 0, out.width())
                .part(FAINT, &format!("{}.", self.scenes), 0)
                .words(TITLE, title);
            writeln!(out, "\n{}", line.finish())?;
            out.flush()?;
        }
        Ok(())
    }

    /// Shows events until all that are expected have come.
    ///
    /// # Errors
    ///
    /// Those that did not come in time, or a log that cannot be read.
    pub fn until(&mut self, expected: &[Expected], limit: Duration) -> Outcome {
        let mut missing = expected.to_vec();
        let end = Instant::now() + limit;
        loop {
            for (side, record) in self.new_records()? {
                if let Some(found) = missing
                    .iter()
                    .position(|expected| expected.is(side, &record))
                {
                    missing.remove(found);
                }
                self.event(side, &record)?;
            }
            if missing.is_empty() {
                return Ok(());
            }
            if Instant::now() > end {
                let names: Vec<String> = missing
                    .iter()
                    .map(|e| format!("{} {} {}", e.side, e.event, e.cause.unwrap_or_default()))
                    .collect();
                return Err(Failure::new(format!(
                    "these events did not come: {}",
                    names.join(", ")
                )));
            }
            std::thread::sleep(LOOK);
        }
    }

    fn new_records(&mut self) -> Result<Vec<(&'static str, StoredRecord)>, Failure> {
        let mut found = Vec::new();
        for side in &mut self.sides {
            let reader = Reader::open(&side.log).map_err(|error| Failure::of(&error))?;
            let query = Query {
                after_record: Some(side.seen),
                ..Query::default()
            };
            for record in reader.query(&query) {
                let record = record.map_err(|error| Failure::of(&error))?;
                side.seen = record.record_id;
                side.events += 1;
                found.push((side.name, record));
            }
        }
        found.sort_by_key(|(_, record)| record.time);
        Ok(found)
    }

    fn event(&mut self, side: &str, record: &StoredRecord) -> Outcome {
        if self.json() {
            writeln!(
                self.context.out,
                "{{\"Side\":\"{side}\",\"Event\":{}}}",
                record.json_line(false)
            )?;
            self.context.out.flush()?;
            return Ok(());
        }
        let Some((style, what, plain)) = words(record) else {
            return Ok(());
        };
        let value = |field: &str| record.record.value(field).unwrap_or("-").to_owned();
        let (local, remote) = (value("LocalAddress"), value("RemoteAddress"));
        let out = &mut self.context.out;
        let id = record.record.event_id;
        let line = Line::new(3, 9, out.width())
            .part(TITLE, side, 5)
            .part(style, &format!("{id} {what}"), 17)
            .part(FAINT, &printable(&format!("{local} → {remote}")), 0)
            .words(Style::new(), &printable(&plain));
        writeln!(out, "{}", line.finish())?;
        out.flush()?;
        Ok(())
    }

    /// How to go on; the logs are closed by now, and are checked.
    ///
    /// # Errors
    ///
    /// A log whose chain of hashes is broken.
    pub fn farewell(mut self) -> Outcome {
        let mut verified = Vec::new();
        for (side, record) in self.new_records()? {
            self.event(side, &record)?;
        }
        for side in &self.sides {
            let reader = Reader::open(&side.log).map_err(|error| Failure::of(&error))?;
            reader.verify(None).map_err(|fault| Failure::of(&fault))?;
            verified.push(format!("{} ({} events)", side.name, side.events));
        }
        if self.json() {
            return Ok(());
        }
        let seconds = self.begun.elapsed().as_secs_f64();
        let out = &mut self.context.out;
        let width = out.width();
        let done = Line::new(0, 0, width).part(GOOD, "Done", 0).words(
            Style::new(),
            &format!(
                "in {seconds:.1} s; the chain of hashes holds in both logs: {}.",
                verified.join(", ")
            ),
        );
        writeln!(out, "\n{}\n", done.finish())?;
        let hints = [
            (
                "mainmode explain psk-mismatch",
                "what a cause, a code or an event means, and what to do",
            ),
            (
                "mainmode check -c FILE",
                "validate a configuration; docs/configuration.md has every key",
            ),
            (
                "mainmode run -c FILE",
                "the daemon; then `up NAME`, `status`, `log query`, `log follow`",
            ),
        ];
        let longest = hints.iter().map(|(command, _)| command.len()).max();
        for (command, what) in hints {
            let line = Line::new(2, 4, width)
                .part(TITLE, command, longest.unwrap_or_default())
                .words(FAINT, what);
            writeln!(out, "{}", line.finish())?;
        }
        out.flush()?;
        Ok(())
    }
}

/// Colour, a word, and a plain sentence for an event; nothing for those that say nothing here.
fn words(record: &StoredRecord) -> Option<(Style, &'static str, String)> {
    let value = |field: &str| record.record.value(field).unwrap_or("-").to_owned();
    let shown = |field: &str| crate::daemon::shown(&value(field));
    let cause = record
        .record
        .extra
        .as_ref()
        .and_then(|extra| extra.cause.as_deref())
        .and_then(Cause::from_token);
    let title = cause.map_or("", Cause::title);
    Some(match record.record.event_id {
        4650 => (
            GOOD,
            "established",
            format!(
                "as {}: {}, {}, {}; {} is proven",
                shown("Role").to_lowercase(),
                shown("MMCipherAlg"),
                shown("MMIntegrityAlg"),
                shown("DHGroup"),
                value("RemoteMMPrincipalName")
            ),
        ),
        4653 => (
            BAD,
            "failed",
            format!("{title} [{}]", cause.map_or("-", Cause::token)),
        ),
        4655 => (FAINT, "ended", title.to_owned()),
        4976 => (CARE, "odd packet", format!("{title}; the SA lives on")),
        _ => return None,
    })
}
