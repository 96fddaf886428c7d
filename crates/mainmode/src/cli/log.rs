//! `log query|follow|info|clear|verify`.

use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use audit::{Outcome as Audited, Reason, Record, StoredRecord, printable, spec};
use clap::ValueEnum as _;
use eventlog::{Reader, Writer, hex};
use jiff::Timestamp;
use serde_json::json;

use super::args::{Filter, Format, FormatWord, Head, LogCommand, OutcomeWord};
use super::output::{BAD, Columns, FAINT, GOOD, cell, coloured, note, styled};
use super::{Context, Failure, Outcome, Way, not_yet};
use crate::config::Places;
use crate::control::{Client, LogInfo, Peer, QuerySpec, Request, Response};
use crate::records::{self, ReadError, Step};

/// `log …`.
pub fn run(command: LogCommand, context: &mut Context) -> Outcome {
    match command {
        LogCommand::Query {
            filter,
            reverse,
            file,
            format,
        } => query(
            &QuerySpec {
                reverse,
                ..filter.into()
            },
            file.as_deref(),
            &format,
            context,
        ),
        LogCommand::Follow { filter, format } => follow(&filter.into(), &format, context),
        LogCommand::Info { file } => info(file.as_deref(), context),
        LogCommand::Export { .. } => Err(not_yet("exporting the log to Windows' format")),
        LogCommand::Clear { backup } => clear(backup.as_deref(), context),
        LogCommand::Verify { head, file } => verify(head, file.as_deref(), context),
    }
}

impl From<Filter> for QuerySpec {
    fn from(filter: Filter) -> Self {
        // Beyond these years no record can have been written: the bounds say nothing then.
        let nanoseconds = |at: Timestamp| i64::try_from(at.as_nanosecond()).ok();
        let outcome = filter.outcome.map(|outcome| match outcome {
            OutcomeWord::Success => Audited::Success,
            OutcomeWord::Failure => Audited::Failure,
            OutcomeWord::None => Audited::None,
        });
        Self {
            ids: filter.id,
            since: filter.since.and_then(nanoseconds),
            until: filter.until.and_then(nanoseconds),
            peer: filter.peer,
            outcome: outcome.map(|outcome| outcome.word().to_owned()),
            limit: filter.limit,
            reverse: false,
            after_record: None,
            xpath: filter.xpath,
        }
    }
}

fn read_failure(error: &ReadError) -> Failure {
    match error {
        ReadError::Query(why) => Failure::usage(why.clone()),
        ReadError::Log(error) => Failure::of(error),
    }
}

/// How records are printed.
#[derive(Clone, Copy)]
enum Style {
    Table,
    Json { raw: bool },
    Xml,
}

impl Style {
    /// As the words say; they may not say two things.
    fn of(format: &Format, context: &Context) -> Result<Self, Failure> {
        let asked = format.format;
        if let Some(other @ (FormatWord::Table | FormatWord::Xml)) = asked {
            let word = other.to_possible_value();
            let word = word.as_ref().map_or("", |word| word.get_name());
            for (is_there, option) in [(context.json, "--json"), (format.raw, "--raw")] {
                if is_there {
                    let why = format!("{option} is about JSON: leave it out, or --format {word}");
                    return Err(Failure::usage(why));
                }
            }
        }
        let plain = if context.json || format.raw {
            FormatWord::Json
        } else {
            FormatWord::Table
        };
        Ok(match asked.unwrap_or(plain) {
            FormatWord::Table => Self::Table,
            FormatWord::Json => Self::Json { raw: format.raw },
            FormatWord::Xml => Self::Xml,
        })
    }
}

fn print_one(style: Style, record: &StoredRecord, out: &mut impl Write) -> io::Result<()> {
    match style {
        Style::Json { raw } => writeln!(out, "{}", record.json_line(raw)),
        Style::Xml => writeln!(out, "{}", record.xml()),
        Style::Table => {
            let row = Row::of(record);
            let outcome = match record.record.outcome() {
                Audited::Success => styled(GOOD, row.outcome),
                Audited::Failure => styled(BAD, row.outcome),
                Audited::None => styled(FAINT, row.outcome),
            };
            writeln!(
                out,
                "{} {} {} {outcome} {} {} {}",
                record.record_id,
                row.time,
                record.record.event_id,
                printable(&row.peer),
                printable(&row.connection),
                printable(&row.what)
            )
        }
    }
}

/// A record in one line.
struct Row {
    time: String,
    outcome: &'static str,
    peer: String,
    connection: String,
    what: String,
}

impl Row {
    fn of(record: &StoredRecord) -> Self {
        let extra = record.record.extra.as_ref();
        let cause = extra.and_then(|extra| extra.cause.as_deref());
        let reason = extra.and_then(|extra| extra.reason_code).map(Reason);
        let title = spec(record.record.event_id).map_or("", |event| event.title);
        let title = title.trim_end_matches('.');
        let what = match (cause, reason) {
            (Some(cause), Some(reason)) => format!("{cause} ({reason})"),
            (Some(cause), None) => format!("{title} ({cause})"),
            _ => transform(&record.record)
                .or_else(|| policy_change(&record.record))
                .unwrap_or_else(|| title.to_owned()),
        };
        let absent = || "-".to_owned();
        Self {
            time: Timestamp::from_nanosecond(record.time.into()).map_or_else(
                |_| absent(),
                |at| at.strftime("%Y-%m-%d %H:%M:%S%.3fZ").to_string(),
            ),
            outcome: record.record.outcome().word(),
            // As `--peer` has it: the RemoteAddress of a Quick Mode's event is a net.
            peer: record
                .record
                .peer()
                .map_or_else(absent, |peer| peer.to_string()),
            connection: extra
                .and_then(|extra| extra.connection.clone())
                .unwrap_or_else(absent),
            what,
        }
    }
}

/// The words that a parameter string such as `%%8237` stands for; anything else stands for itself.
fn words(value: &str) -> &str {
    let number = value
        .strip_prefix("%%")
        .and_then(|number| number.parse().ok());
    number.and_then(audit::parameter).unwrap_or(value)
}

/// Whose setting changed, and how.
fn policy_change(record: &Record) -> Option<String> {
    let subcategory = words(record.value("SubcategoryId")?);
    let changes = record.value("AuditPolicyChanges")?;
    let changes: Vec<&str> = changes.split(", ").map(words).collect();
    Some(format!("{subcategory}: {}", changes.join(", ")))
}

/// What an SA was established with.
fn transform(record: &Record) -> Option<String> {
    let word = |field| record.value(field).map(words);
    let (cipher, integrity) = (word("MMCipherAlg")?, word("MMIntegrityAlg")?);
    let group = word("DHGroup")?;
    Some(format!("established with {cipher}, {integrity}, {group}"))
}

/// Rows that are laid out together: a table of everything would have to hold everything.
const PAGE: usize = 1000;

/// Prints records; tables in pages.
struct Printer<'a, W: Write> {
    style: Style,
    out: &'a mut W,
    page: Vec<StoredRecord>,
    error: Option<io::Error>,
}

impl<'a, W: Write> Printer<'a, W> {
    fn new(style: Style, out: &'a mut W) -> Self {
        Self {
            style,
            out,
            page: Vec::new(),
            error: None,
        }
    }

    /// Whether more is wanted.
    fn take(&mut self, record: StoredRecord) -> bool {
        let done = if let Style::Table = self.style {
            self.page.push(record);
            if self.page.len() < PAGE {
                Ok(())
            } else {
                self.print_page()
            }
        } else {
            print_one(self.style, &record, self.out)
        };
        self.error = done.err();
        self.error.is_none()
    }

    fn print_page(&mut self) -> io::Result<()> {
        if self.page.is_empty() {
            return Ok(());
        }
        let mut table = Columns::new(&[
            "Record",
            "Time",
            "Event",
            "Outcome",
            "Peer",
            "Connection",
            "What",
        ]);
        table.right(0);
        for record in self.page.drain(..) {
            let row = Row::of(&record);
            let outcome = match record.record.outcome() {
                Audited::None => cell(row.outcome),
                outcome => coloured(row.outcome, outcome == Audited::Success),
            };
            table.row([
                cell(record.record_id.to_string()),
                cell(&row.time),
                cell(record.record.event_id.to_string()),
                outcome,
                cell(&row.peer),
                cell(&row.connection),
                cell(&row.what),
            ]);
        }
        table.print(self.out)
    }

    fn finish(mut self) -> io::Result<()> {
        match self.error.take() {
            Some(error) => Err(error),
            None => self.print_page(),
        }
    }
}

/// Takes records from the daemon until its last response.
fn receive(client: &mut Client, mut sink: impl FnMut(Step) -> bool) -> Outcome {
    loop {
        let wanted = match client.receive().map_err(|error| Failure::of(&error))? {
            Response::Record(record) => sink(Step::Record(record)),
            Response::Removed { first, last } => sink(Step::Removed(first..=last)),
            Response::Following => sink(Step::Ready),
            Response::Done { .. } => return Ok(()),
            Response::Failed { message } => return Err(Failure::new(printable(&message))),
            _ => return Err(Failure::new("the daemon gave an answer of another kind")),
        };
        if !wanted {
            return Ok(());
        }
    }
}

/// The way to the log, or to one file of it: that is read here, whether a daemon runs or not.
fn way_to(file: Option<&Path>, context: &Context) -> Result<Source, Failure> {
    let Some(file) = file else {
        return Ok(match context.way()? {
            Way::Daemon(client) => Source::Daemon(client),
            Way::Here(places) => Source::Here(places.log.directory),
        });
    };
    Reader::open_file(file).map_err(|error| Failure::of(&error))?;
    Ok(Source::Here(file.to_owned()))
}

/// What records are read from.
enum Source {
    /// The daemon.
    Daemon(Client),
    /// A log's directory, or a file.
    Here(PathBuf),
}

fn query(spec: &QuerySpec, file: Option<&Path>, format: &Format, context: &mut Context) -> Outcome {
    let style = Style::of(format, context)?;
    let source = way_to(file, context)?;
    let mut printer = Printer::new(style, &mut context.out);
    let outcome = match source {
        Source::Daemon(mut client) => {
            let query = spec.clone();
            client
                .send(&Request::LogQuery { query })
                .map_err(|error| Failure::of(&error))?;
            receive(&mut client, |step| match step {
                Step::Record(record) => printer.take(*record),
                Step::Ready | Step::Idle | Step::Removed(_) => true,
            })
        }
        Source::Here(place) => records::query(&place, spec, |record| printer.take(record))
            .map_err(|error| read_failure(&error)),
    };
    // What came before a failure is shown too.
    printer.finish()?;
    outcome
}

/// What a follower is told of records that it never saw.
fn went(removed: &RangeInclusive<u64>) -> String {
    let (first, last) = (removed.start(), removed.end());
    if first == last {
        format!("record {first} was removed before it could be shown")
    } else {
        format!("records {first} to {last} were removed before they could be shown")
    }
}

fn follow(spec: &QuerySpec, format: &Format, context: &mut Context) -> Outcome {
    let style = Style::of(format, context)?;
    let way = context.way()?;
    let mut error = None;
    let out = &mut context.out;
    let sink = |step: Step| {
        let printed = match step {
            // A follower is read as it writes.
            Step::Record(record) => print_one(style, &record, out).and_then(|()| out.flush()),
            Step::Removed(removed) => {
                note(&went(&removed));
                Ok(())
            }
            Step::Ready | Step::Idle => Ok(()),
        };
        error = printed.err();
        error.is_none()
    };
    let outcome = match way {
        Way::Daemon(mut client) => {
            let query = spec.clone();
            client
                .send(&Request::LogFollow { query })
                .map_err(|error| Failure::of(&error))?;
            receive(&mut client, sink)
        }
        Way::Here(places) => records::follow(&places.log.directory, spec, &|| false, sink)
            .map_err(|error| read_failure(&error)),
    };
    match error {
        Some(error) => Err(error.into()),
        None => outcome,
    }
}

fn info(file: Option<&Path>, context: &mut Context) -> Outcome {
    let info = match way_to(file, context)? {
        Source::Daemon(mut client) => match client.ask(&Request::LogInfo) {
            Ok(Response::LogInfo(info)) => info,
            Ok(Response::Failed { message }) => return Err(Failure::new(printable(&message))),
            Ok(_) => return Err(Failure::new("the daemon gave an answer of another kind")),
            Err(error) => return Err(Failure::of(&error)),
        },
        Source::Here(place) => records::info(&place).map_err(|error| Failure::of(&error))?,
    };
    if context.json {
        let text = serde_json::to_string(&info).map_err(|error| Failure::of(&error))?;
        writeln!(context.out, "{text}")?;
        return Ok(());
    }
    print_info(&info, file.is_some(), context)
}

fn print_info(info: &LogInfo, single: bool, context: &mut Context) -> Outcome {
    let number = |id: Option<u64>| id.map_or_else(|| "-".to_owned(), |id| id.to_string());
    let size = |bytes: u64| bytesize::ByteSize(bytes).display().iec().to_string();
    let rows = [
        (
            if single { "file" } else { "directory" },
            info.directory.display().to_string(),
        ),
        ("records", info.records.to_string()),
        ("first ID", number(info.first)),
        ("last ID", number(info.last)),
        ("size", size(info.size)),
        (
            "max-size",
            info.max_size.map_or_else(|| "-".to_owned(), size),
        ),
        (
            "retention",
            info.retention.clone().unwrap_or_else(|| "-".to_owned()),
        ),
        ("segments", info.segments.to_string()),
        ("head", info.head.clone()),
    ];
    for (name, value) in rows {
        writeln!(context.out, "{name:<10} {}", printable(&value))?;
    }
    if !info.complete {
        note("the newest segment is not readable for this user: ask the daemon, or root");
    }
    Ok(())
}

fn clear(backup: Option<&Path>, context: &mut Context) -> Outcome {
    let way = context.way()?;
    // The daemon has a working directory of its own.
    let backup: Option<PathBuf> = backup
        .map(std::path::absolute)
        .transpose()
        .map_err(|error| Failure::of(&error))?;
    match way {
        Way::Daemon(mut client) => {
            let folder = backup.as_deref().and_then(Path::parent);
            // Where we may not write, the daemon may.
            let witness = folder.and_then(|folder| tempfile::NamedTempFile::new_in(folder).ok());
            let request = Request::LogClear {
                backup: backup.clone(),
                witness: witness.as_ref().map(|witness| witness.path().to_owned()),
            };
            match client.ask(&request) {
                Ok(Response::Failed { message }) => return Err(Failure::new(printable(&message))),
                Ok(_) => {}
                Err(error) => return Err(Failure::of(&error)),
            }
        }
        Way::Here(places) => clear_here(&places, backup.as_deref())?,
    }
    if context.json {
        writeln!(
            context.out,
            "{}",
            json!({ "done": "cleared", "backup": backup })
        )?;
    } else {
        match backup {
            Some(backup) => writeln!(
                context.out,
                "cleared; the records are in {}",
                backup.display()
            )?,
            None => writeln!(context.out, "cleared")?,
        }
    }
    Ok(())
}

fn clear_here(places: &Places, backup: Option<&Path>) -> Outcome {
    // Opening for writing would make a log where there is none.
    Reader::open(&places.log.directory).map_err(|error| Failure::of(&error))?;
    let (mut writer, _) =
        Writer::open(places.log.options()).map_err(|error| Failure::of(&error))?;
    writer
        .clear(Peer::this_process().subject(), backup)
        .map_err(|error| Failure::of(&error))
}

fn verify(head: Option<Head>, file: Option<&Path>, context: &mut Context) -> Outcome {
    let reader = match file {
        Some(file) => Reader::open_file(file),
        None => Reader::open(context.places()?.log.directory),
    };
    let reader = reader.map_err(|error| Failure::of(&error))?;
    let anchor = head.map(|Head(id, hash)| (id, hash));
    let verified = match reader.verify(anchor) {
        Ok(verified) => verified,
        Err(fault) => {
            if context.json {
                let object = json!({
                    "verified": false,
                    "record": (fault.record_id > 0).then_some(fault.record_id),
                    "what": fault.to_string(),
                });
                writeln!(context.out, "{object}")?;
                return Err(Failure::said());
            }
            return Err(Failure::new(printable(&fault.to_string())));
        }
    };
    let end = format!("{}:{}", verified.head.0, hex(&verified.head.1));
    if context.json {
        let object = json!({
            "verified": true,
            "records": verified.records,
            "first": verified.first,
            "last": (verified.records > 0).then_some(verified.head.0),
            "head": end,
            "anchored": verified.anchored,
            "complete": verified.complete,
        });
        writeln!(context.out, "{object}")?;
        return Ok(());
    }
    let first = verified
        .first
        .map_or_else(|| "-".to_owned(), |id| id.to_string());
    writeln!(
        context.out,
        "{}: {} records, {first} to {}; head {end}",
        styled(GOOD, "verified"),
        verified.records,
        verified.head.0
    )?;
    if !verified.anchored {
        writeln!(
            context.out,
            "{}",
            styled(
                FAINT,
                "keep the head elsewhere: without --head this proves nothing against who can rewrite it all"
            )
        )?;
    }
    if !verified.complete {
        note("the newest segment is not readable for this user, and was not checked");
    }
    Ok(())
}
