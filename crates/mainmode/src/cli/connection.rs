//! `up`, `down`, `status`.

use std::net::{IpAddr, SocketAddr};

use std::io::Write as _;

use audit::printable;
use serde_json::json;

use super::output::{BAD, Columns, FAINT, GOOD, TITLE, cell, coloured, styled};
use super::{Context, Failure, Outcome, daemon_needed};
use crate::control::status::{ConnectionStatus, QuickModeSa, Status};
use crate::control::{Request, Response, Verdict};

/// Asks the daemon, and takes a failure for one.
pub(super) fn ask(request: &Request, context: &Context) -> Result<Response, Failure> {
    let mut client = daemon_needed(context)?;
    match client.ask(request).map_err(|error| Failure::of(&error))? {
        Response::Failed { message } => Err(Failure::new(printable(&message).into_owned())),
        response => Ok(response),
    }
}

pub(super) fn unexpected() -> Failure {
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
        return verdict.is_up().then_some(()).ok_or_else(Failure::said);
    }
    let message = printable(&verdict.message);
    if verdict.established {
        let word = if verdict.already {
            "established already"
        } else {
            "established"
        };
        writeln!(context.out, "{name}: {}: {message}", styled(GOOD, word))?;
        let mut failed = Vec::new();
        for child in &verdict.children {
            let (name, message) = (printable(&child.child), printable(&child.message));
            if child.established {
                writeln!(
                    context.out,
                    "{name}: {}: {message}",
                    styled(GOOD, "established")
                )?;
            } else {
                let advice = child
                    .advice
                    .as_deref()
                    .map_or_else(String::new, |advice| format!(". {}", printable(advice)));
                failed.push(format!("{name}: {message}{advice}"));
            }
        }
        if failed.is_empty() {
            return Ok(());
        }
        return Err(Failure::new(failed.join("\n")));
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
        "children": verdict.children,
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
pub(super) fn seconds(text: &str) -> String {
    text.parse::<jiff::Timestamp>().map_or_else(
        |_| printable(text).into_owned(),
        |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
    )
}

/// The peer's address, and what it stands for where it is a name.
fn remote(connection: &ConnectionStatus) -> String {
    let addresses = connection.remote_addresses.iter();
    match addresses.map(ToString::to_string).collect::<Vec<_>>() {
        none if none.is_empty() => connection.remote.clone(),
        some => format!("{} ({})", connection.remote, some.join(", ")),
    }
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
                cell(remote(connection)),
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
                cell(side(sa.local, None, &sa.inner_local)),
                cell(side(sa.remote, sa.user.as_deref(), &sa.inner_remote)),
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
    if !status.quick_mode_sas.is_empty() {
        print_quick_mode_sas(status, context)?;
    }
    let out = &mut context.out;
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
    let q = &status.quick_mode_counters;
    if q.negotiations > 0 {
        writeln!(out, "\n{}", styled(TITLE, "Quick Mode negotiations"))?;
        writeln!(
            out,
            "{} begun: {} established, {} failed, {} interrupted; {} SAs ended, {} live",
            q.negotiations, q.established, q.failed, q.interrupted, q.ended, q.live
        )?;
    }
    Ok(())
}

/// One end of a Main Mode SA: where IKE runs, and who and where that is within the tunnel.
fn side(address: SocketAddr, user: Option<&str>, inner: &[IpAddr]) -> String {
    let user = user.map(|user| audit::printable(user).into_owned());
    let inside: Vec<String> = user
        .into_iter()
        .chain(inner.iter().map(ToString::to_string))
        .collect();
    if inside.is_empty() {
        return address.to_string();
    }
    format!("{address} ({})", inside.join(", "))
}

fn print_quick_mode_sas(status: &Status, context: &mut Context) -> Outcome {
    let out = &mut context.out;
    writeln!(out, "\n{}", styled(TITLE, "IPsec SAs"))?;
    let titles = [
        "ID",
        "Child",
        "Traffic",
        "Proposal",
        "Mode",
        "State",
        "SPIs",
        "In",
        "Out",
        "Rekeyed in",
    ];
    let mut table = Columns::new(&titles);
    table.right(0);
    // What came and was refused, if anything was.
    let refused = |sa: &QuickModeSa| {
        let all = [sa.replayed, sa.integrity_failures, sa.unfit];
        match all.into_iter().flatten().sum::<u64>() {
            0 => String::new(),
            count => format!(", {count} refused"),
        }
    };
    let carried = |bytes: Option<u64>, packets: Option<u64>| match (bytes, packets) {
        (Some(bytes), Some(packets)) => {
            format!("{}, {packets} packets", bytesize::ByteSize(bytes))
        }
        _ => "-".to_owned(),
    };
    for sa in &status.quick_mode_sas {
        let encap = if sa.udp_encapsulation { " in UDP" } else { "" };
        let ipcomp = if sa.inbound_cpi.is_some() {
            " with IPComp"
        } else {
            ""
        };
        let rekey = sa.rekey_seconds.map(std::time::Duration::from_secs);
        table.row([
            cell(sa.id.to_string()),
            cell(format!("{}/{}", sa.connection, sa.child)),
            cell(format!("{} to {}", sa.local_traffic, sa.remote_traffic)),
            cell(format!("{} {}{ipcomp}", sa.protocol, sa.proposal)),
            cell(format!("{}{encap}", sa.mode)),
            cell(&sa.state),
            cell(format!("{} in, {} out", sa.inbound_spi, sa.outbound_spi)),
            cell(carried(sa.inbound_bytes, sa.inbound_packets) + &refused(sa)),
            cell(carried(sa.outbound_bytes, sa.outbound_packets)),
            cell(rekey.map_or_else(
                || "-".to_owned(),
                |wait| humantime::format_duration(wait).to_string(),
            )),
        ]);
    }
    table.print(out)?;
    Ok(())
}
