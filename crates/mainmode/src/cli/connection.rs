//! `up`, `down`, `status`.

use std::io::Write as _;

use audit::printable;
use serde_json::json;

use super::output::{BAD, Columns, FAINT, GOOD, TITLE, cell, coloured, styled};
use super::{Context, Failure, Outcome, daemon};
use crate::control::status::Status;
use crate::control::{Request, Response, Verdict};

/// Asks the daemon, and takes a failure for one.
fn ask(request: &Request, context: &Context) -> Result<Response, Failure> {
    let places = context.places()?;
    let mut client = daemon(&places)?.ok_or_else(|| {
        Failure::new(format!(
            "no daemon answers at {}; start it with: mainmode run",
            places.control.socket.display()
        ))
    })?;
    match client.ask(request).map_err(|error| Failure::of(&error))? {
        Response::Failed { message } => Err(Failure::new(printable(&message).into_owned())),
        response => Ok(response),
    }
}

fn unexpected() -> Failure {
    Failure::new("the daemon gave an answer of another kind; is it of the same version?")
}

/// `up NAME`.
pub fn up(name: &str, context: &mut Context) -> Outcome {
    let connection = name.to_owned();
    let Response::Verdict(verdict) = ask(&Request::Up { connection }, context)? else {
        return Err(unexpected());
    };
    if context.json {
        writeln!(context.out, "{}", verdict_json(&verdict))?;
        return verdict.established.then_some(()).ok_or_else(Failure::said);
    }
    let message = printable(&verdict.message);
    if verdict.established {
        let word = if verdict.already {
            "established already"
        } else {
            "established"
        };
        writeln!(context.out, "{name}: {}: {message}", styled(GOOD, word))?;
        return Ok(());
    }
    let advice = verdict
        .advice
        .as_deref()
        .map_or_else(String::new, |advice| format!(". {}", printable(advice)));
    Err(Failure::new(format!("{name}: {message}{advice}")))
}

fn verdict_json(verdict: &Verdict) -> serde_json::Value {
    json!({
        "connection": verdict.connection,
        "established": verdict.established,
        "already": verdict.already,
        "message": verdict.message,
        "id": verdict.mmsa_id,
        "reason_code": verdict.reason_code,
        "cause": verdict.cause,
        "advice": verdict.advice,
    })
}

/// `down NAME`.
pub fn down(name: &str, context: &mut Context) -> Outcome {
    let connection = name.to_owned();
    let Response::Done { notes } = ask(&Request::Down { connection }, context)? else {
        return Err(unexpected());
    };
    if context.json {
        writeln!(
            context.out,
            "{}",
            json!({ "connection": name, "notes": notes })
        )?;
        return Ok(());
    }
    for note in &notes {
        writeln!(context.out, "{name}: {}", printable(note))?;
    }
    Ok(())
}

/// `status`.
pub fn status(context: &mut Context) -> Outcome {
    let Response::Status(status) = ask(&Request::Status, context)? else {
        return Err(unexpected());
    };
    if context.json {
        let text = serde_json::to_string(&status).map_err(|error| Failure::of(&error))?;
        writeln!(context.out, "{text}")?;
        return Ok(());
    }
    print_status(&status, context)
}

/// A point in time as people read it; what is none stays as it is.
fn seconds(text: &str) -> String {
    text.parse::<jiff::Timestamp>().map_or_else(
        |_| printable(text).into_owned(),
        |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
    )
}

fn print_status(status: &Status, context: &mut Context) -> Outcome {
    let out = &mut context.out;
    writeln!(
        out,
        "{} {}, process {}, since {}",
        styled(TITLE, "mainmode"),
        printable(&status.version),
        status.pid,
        seconds(&status.started)
    )?;
    for alert in &status.alerts {
        writeln!(out, "{} {}", styled(BAD, "!"), printable(alert))?;
    }
    writeln!(out, "\n{}", styled(TITLE, "Connections"))?;
    if status.connections.is_empty() {
        writeln!(out, "{}", styled(FAINT, "none"))?;
    } else {
        let mut table = Columns::new(&["Name", "State", "Local", "Remote", "Last verdict"]);
        for connection in &status.connections {
            table.row([
                cell(&connection.name),
                coloured(&connection.state, connection.state == "up"),
                cell(&connection.local),
                cell(&connection.remote),
                cell(connection.last_verdict.as_deref().unwrap_or("-")),
            ]);
        }
        table.print(out)?;
    }
    writeln!(out, "\n{}", styled(TITLE, "Main Mode SAs"))?;
    if status.main_mode_sas.is_empty() {
        writeln!(out, "{}", styled(FAINT, "none"))?;
    } else {
        let titles = [
            "ID",
            "Connection",
            "Local",
            "Remote",
            "Role",
            "State",
            "Transform",
            "Established",
            "Lifetime",
            "Peer's software",
        ];
        let mut table = Columns::new(&titles);
        table.right(0);
        for sa in &status.main_mode_sas {
            let lifetime = std::time::Duration::from_secs(sa.lifetime_seconds);
            table.row([
                cell(sa.id.to_string()),
                cell(sa.connection.as_deref().unwrap_or("-")),
                cell(sa.local.to_string()),
                cell(sa.remote.to_string()),
                cell(&sa.role),
                cell(&sa.state),
                cell(format!("{}, {}, {}", sa.cipher, sa.integrity, sa.dh_group)),
                cell(seconds(&sa.established)),
                cell(humantime::format_duration(lifetime).to_string()),
                cell(sa.peer_software.as_deref().unwrap_or("-")),
            ]);
        }
        table.print(out)?;
    }
    let c = &status.counters;
    writeln!(out, "\n{}", styled(TITLE, "Main Mode negotiations"))?;
    writeln!(
        out,
        "{} begun: {} established, {} failed, {} superseded, {} interrupted",
        c.negotiations, c.established, c.failed, c.superseded, c.interrupted
    )?;
    writeln!(
        out,
        "{} SAs ended, {} live; {} events held back",
        c.ended, c.live, c.held_back
    )?;
    Ok(())
}
