//! `audit get|set|list|backup|restore|clear`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;

use audit::{Category, Policy, Subcategory, printable};
use eventlog::{LogError, Reader, Writer, folder_of};
use serde_json::{Value, json};

use super::args::{AuditCommand, Switch, Which};
use super::output::{Columns, cell, note};
use super::{Context, Failure, Outcome, Way};
use crate::config::Places;
use crate::control::{Peer, PolicyChange, PolicyView, Request, Response};
use crate::policy::{self, PolicyError};

/// The largest policy file that is read, in bytes. One of Windows with every subcategory has some
/// thousands.
const MAX_FILE: u64 = 1 << 20;

/// `audit …`.
pub fn run(command: AuditCommand, context: &mut Context) -> Outcome {
    match command {
        AuditCommand::Get { which } => get(&which, context),
        AuditCommand::List { which } => list(&which, context),
        AuditCommand::Set {
            which,
            success,
            failure,
        } => set(&which, success, failure, context),
        AuditCommand::Backup { file } => backup(&file, context),
        AuditCommand::Restore { file } => restore(&file, context),
        AuditCommand::Clear => {
            change(PolicyChange::Clear, context)?;
            done(context, "every subcategory is Not configured")
        }
    }
}

/// The policy in force: the daemon's, or without one what the log keeps.
fn view(context: &Context) -> Result<PolicyView, Failure> {
    let places = match context.way()? {
        Way::Here(places) => places,
        Way::Daemon(mut client) => {
            return match client.ask(&Request::AuditGet) {
                Ok(Response::Policy(view)) => Ok(view),
                Ok(Response::Failed { message }) => Err(Failure::new(printable(&message))),
                Ok(_) => Err(Failure::new("the daemon gave an answer of another kind")),
                Err(error) => Err(Failure::of(&error)),
            };
        }
    };
    let stored = if is_there(&places) {
        writer(&places)?
            .policy()
            .map_err(|error| Failure::of(&error))?
    } else {
        Policy::default()
    };
    Ok(policy::view(&stored, &places.audit))
}

/// Opening a log for writing makes it where there is none.
fn is_there(places: &Places) -> bool {
    !matches!(Reader::open(&places.log.directory), Err(LogError::NoLog(_)))
}

fn writer(places: &Places) -> Result<Writer, Failure> {
    Writer::open(places.log.options())
        .map(|(writer, _)| writer)
        .map_err(|error| Failure::of(&error))
}

/// Changes the stored policy, through the daemon where one runs.
fn change(change: PolicyChange, context: &Context) -> Outcome {
    let places = match context.way()? {
        Way::Here(places) => places,
        Way::Daemon(mut client) => {
            return match client.ask(&Request::AuditChange { change }) {
                Ok(Response::Failed { message }) => Err(Failure::new(printable(&message))),
                Ok(_) => Ok(()),
                Err(error) => Err(Failure::of(&error)),
            };
        }
    };
    let cannot = |error: PolicyError| Failure::of(&error);
    // What is refused, or changes nothing, makes no log.
    if !is_there(&places)
        && !policy::is_change(&Policy::default(), &places.audit, &change).map_err(cannot)?
    {
        return Ok(());
    }
    let subject = Peer::this_process().subject();
    policy::change(&mut writer(&places)?, &places.audit, &change, &subject)
        .map(|_| ())
        .map_err(cannot)
}

fn done(context: &mut Context, what: &str) -> Outcome {
    if context.json {
        writeln!(context.out, "{}", json!({ "done": what }))?;
    } else {
        writeln!(context.out, "{what}")?;
    }
    Ok(())
}

fn subcategory(text: &str) -> Result<Subcategory, Failure> {
    Subcategory::from_name_or_guid(text).ok_or_else(|| {
        let known: Vec<&str> = Subcategory::ALL.iter().map(|s| s.name()).collect();
        Failure::usage(format!(
            "\"{}\" is no subcategory; there are: {}",
            printable(text),
            known.join(", ")
        ))
    })
}

/// The subcategories that are meant, grouped by category.
fn chosen(which: &Which) -> Result<Vec<Subcategory>, Failure> {
    if !which.subcategory.is_empty() {
        let mut chosen = Vec::new();
        for text in &which.subcategory {
            if text == "*" {
                chosen.extend(Subcategory::ALL);
            } else {
                chosen.push(subcategory(text)?);
            }
        }
        return Ok(chosen);
    }
    let mut categories = Vec::new();
    for text in &which.category {
        if text == "*" {
            categories.extend(Category::ALL);
            continue;
        }
        let category = Category::from_name_or_guid(text).ok_or_else(|| {
            let known: Vec<&str> = Category::ALL.iter().map(|c| c.name()).collect();
            Failure::usage(format!(
                "\"{}\" is no category; there are: {}",
                printable(text),
                known.join(", ")
            ))
        })?;
        categories.push(category);
    }
    if categories.is_empty() {
        categories.extend(Category::ALL);
    }
    Ok(categories
        .into_iter()
        .flat_map(Category::subcategories)
        .collect())
}

fn get(which: &Which, context: &mut Context) -> Outcome {
    let chosen = chosen(which)?;
    let view = view(context)?;
    let governed = |subcategory: Subcategory| {
        view.governed
            .iter()
            .find(|governed| governed.subcategory == subcategory)
            .map(|governed| governed.place.as_str())
    };
    if context.json {
        for subcategory in chosen {
            let setting = view.effective.get(subcategory);
            let mut row = names(subcategory);
            row["setting"] = setting
                .map_or("Not configured", audit::Setting::words)
                .into();
            row["success"] = setting.map(|setting| setting.success).into();
            row["failure"] = setting.map(|setting| setting.failure).into();
            row["governed_by"] = governed(subcategory).into();
            writeln!(context.out, "{row}")?;
        }
        return Ok(());
    }
    let mut table = Columns::new(&["Category/Subcategory", "Setting", "Set by"]);
    let mut category = None;
    for subcategory in chosen {
        if category != Some(subcategory.category()) {
            category = Some(subcategory.category());
            table.row([cell(subcategory.category().name()), cell(""), cell("")]);
        }
        let setting = view.effective.get(subcategory);
        let set_by = governed(subcategory).or(setting.map(|_| "audit set"));
        table.row([
            cell(format!("  {}", subcategory.name())),
            cell(setting.map_or("Not configured", audit::Setting::words)),
            cell(set_by.unwrap_or("")),
        ]);
    }
    Ok(table.print(&mut context.out)?)
}

fn names(subcategory: Subcategory) -> Value {
    json!({
        "category": subcategory.category().name(),
        "subcategory": subcategory.name(),
        "guid": subcategory.guid(),
    })
}

fn list(which: &Which, context: &mut Context) -> Outcome {
    let chosen = chosen(which)?;
    if context.json {
        for subcategory in chosen {
            writeln!(context.out, "{}", names(subcategory))?;
        }
        return Ok(());
    }
    let mut table = Columns::new(&["Category/Subcategory", "GUID"]);
    let mut category = None;
    for subcategory in chosen {
        if category != Some(subcategory.category()) {
            category = Some(subcategory.category());
            let category = subcategory.category();
            table.row([cell(category.name()), cell(category.guid())]);
        }
        table.row([
            cell(format!("  {}", subcategory.name())),
            cell(subcategory.guid()),
        ]);
    }
    Ok(table.print(&mut context.out)?)
}

fn set(
    which: &Which,
    success: Option<Switch>,
    failure: Option<Switch>,
    context: &mut Context,
) -> Outcome {
    if which.subcategory.is_empty() && which.category.is_empty() && which.all.is_none() {
        let what = "say which: --subcategory NAME, or --category NAME; `audit list` has the names";
        return Err(Failure::usage(what));
    }
    let subcategories = chosen(which)?;
    let on = |switch: Option<Switch>| switch.map(|switch| switch == Switch::Enable);
    // As auditpol has it: success is meant where nothing is said.
    let success = on(success).or(failure.is_none().then_some(true));
    let shown: Vec<&str> = subcategories.iter().map(|s| s.name()).collect();
    let shown = format!("{}: set", shown.join(", "));
    change(
        PolicyChange::Set {
            subcategories,
            success,
            failure: on(failure),
        },
        context,
    )?;
    done(context, &shown)
}

/// Whether a file is one of a log: of the configured one, or, where there is no configuration to say which that is, of one
/// that is in its folder.
fn is_of_log(file: &Path, context: &Context) -> bool {
    let of = |folder: &Path| eventlog::is_own(folder, file);
    let folder = folder_of(file);
    let is_log = || !matches!(Reader::open(folder), Err(LogError::NoLog(_)));
    let configured = context.places();
    configured.is_ok_and(|places| of(&places.log.directory)) || of(folder) && is_log()
}

fn backup(file: &Path, context: &mut Context) -> Outcome {
    let csv = view(context)?.effective.to_csv(&crate::host_name());
    let cannot =
        |error: std::io::Error| Failure::new(format!("cannot write {}: {error}", file.display()));
    let there = fs::metadata(file).ok();
    if there.as_ref().is_some_and(|there| !there.is_file()) {
        // A terminal, a pipe, a device: it is written to, not put out of the way.
        let mut open = fs::File::options().write(true).open(file).map_err(cannot)?;
        return open.write_all(csv.as_bytes()).map_err(cannot);
    }
    // What a link names is written anew, and not the link.
    let file = &match there {
        Some(_) => fs::canonicalize(file).map_err(cannot)?,
        None => file.to_owned(),
    };
    if is_of_log(file, context) {
        return Err(Failure::of(&LogError::BackupIsOwn(file.clone())));
    }
    // Whole or not at all: a policy cut short would restore as another policy.
    let mut whole = tempfile::NamedTempFile::new_in(folder_of(file)).map_err(cannot)?;
    whole.write_all(csv.as_bytes()).map_err(cannot)?;
    whole.as_file().sync_all().map_err(cannot)?;
    whole.persist(file).map_err(|error| cannot(error.error))?;
    done(
        context,
        &format!("the policy in force is in {}", file.display()),
    )
}

fn restore(file: &Path, context: &mut Context) -> Outcome {
    let shown = file.display();
    let mut bytes = Vec::new();
    fs::File::open(file)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| Failure::new(format!("cannot read {shown}: {error}")))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Failure::new(format!(
            "{shown} has more than {MAX_FILE} bytes"
        )));
    }
    let text = text_of(&bytes)
        .ok_or_else(|| Failure::new(format!("{shown} is neither UTF-8 nor UTF-16 text")))?;
    let (policy, unknown) =
        Policy::from_csv(&text).map_err(|error| Failure::new(format!("{shown}: {error}")))?;
    for row in &unknown {
        let why = if Subcategory::from_name_or_guid(&row.guid).is_some() {
            format!("is for the account {} alone", printable(&row.target))
        } else {
            "is not about a subcategory of this program".to_owned()
        };
        note(&format!(
            "{shown}:{}: \"{}\" ({}) {why}, and is left alone",
            row.line,
            printable(&row.name),
            printable(&row.guid)
        ));
    }
    let wanted = policy.clone();
    change(PolicyChange::Restore { policy }, context)?;
    let effective = view(context)?.effective;
    for kept in Subcategory::ALL {
        if effective.get(kept) != wanted.get(kept) {
            note(&format!(
                "{shown} has no row for \"{}\", which the configuration decides: it stays as it is",
                kept.name()
            ));
        }
    }
    done(context, &format!("the policy is that of {shown}"))
}

/// The text of a file: UTF-8, or the UTF-16 with its mark that tools on Windows write.
fn text_of(bytes: &[u8]) -> Option<String> {
    let wide = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        if !rest.len().is_multiple_of(2) {
            return None;
        }
        let units = rest.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units)
            .collect::<Result<String, _>>()
            .ok()
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        _ => String::from_utf8(bytes.to_vec()).ok(),
    }
}
