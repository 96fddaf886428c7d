//! `monitor`.

use std::io::Write as _;

use audit::printable;

use super::connection::{ask, seconds, unexpected};
use super::output::{BAD, CARE, FAINT, GOOD, note, styled};
use super::{Context, Failure, Outcome, daemon_needed};
use crate::control::monitor::{Failed, Happened, MonitorEvent, Peer, Traffic};
use crate::control::{Request, Response};

/// Prints what happens, until it is interrupted or the daemon ends.
pub fn run(snapshot: bool, connections: &[String], context: &mut Context) -> Outcome {
    if !connections.is_empty() {
        name_unknown(connections, context)?;
    }
    let mut client = daemon_needed(context)?;
    client
        .send(&Request::Monitor { snapshot })
        .map_err(|error| Failure::of(&error))?;
    loop {
        match client.receive().map_err(|error| Failure::of(&error))? {
            Response::Event(event) => {
                let about = event.what.connection();
                let of_those = |about: &str| connections.iter().any(|name| name == about);
                if connections.is_empty() || about.is_none_or(of_those) {
                    print(&event, context)?;
                }
            }
            Response::Following => {}
            Response::Done { .. } => return Err(Failure::new("the daemon has stopped")),
            Response::Failed { message } => return Err(Failure::new(printable(&message))),
            _ => return Err(unexpected()),
        }
    }
}

/// A reload may add what is not there yet, so it is waited for; but who mistyped a name is to know.
fn name_unknown(connections: &[String], context: &Context) -> Outcome {
    let Response::Status(status) = ask(&Request::Status, context)? else {
        return Err(unexpected());
    };
    for name in connections {
        if !status.connections.iter().any(|there| there.name == *name) {
            let name = printable(name);
            note(&format!(
                "there is no connection \"{name}\" now; events come when a reload adds it"
            ));
        }
    }
    Ok(())
}

fn print(event: &MonitorEvent, context: &mut Context) -> Outcome {
    if context.json {
        let text = serde_json::to_string(event).map_err(|error| Failure::of(&error))?;
        writeln!(context.out, "{text}")?;
    } else {
        let time = styled(FAINT, &seconds(&event.time));
        writeln!(context.out, "{time} {}", line(&event.what))?;
    }
    // It is read as it happens.
    Ok(context.out.flush()?)
}

/// An event in one line.
fn line(what: &Happened) -> String {
    let name = what.name();
    let style = match what {
        Happened::ConnectionUp(_) | Happened::ChildUp(_) => GOOD,
        Happened::MainModeFailed(_) | Happened::QuickModeFailed(_) | Happened::Missed { .. } => BAD,
        _ => CARE,
    };
    let text = match what {
        Happened::ConnectionUp(peer)
        | Happened::ConnectionRekeyed(peer)
        | Happened::ConnectionDown(peer)
        | Happened::PeerMoved(peer) => self::peer(peer),
        Happened::ChildUp(traffic)
        | Happened::ChildRekeyed(traffic)
        | Happened::ChildDown(traffic) => self::traffic(traffic),
        Happened::MainModeFailed(failed) | Happened::QuickModeFailed(failed) => {
            self::failed(failed)
        }
        Happened::Reloaded {
            changed,
            added,
            removed,
            amended,
            ..
        } => {
            let lists = [
                ("amended", amended),
                ("changed", changed),
                ("added", added),
                ("removed", removed),
            ];
            let said: Vec<String> = lists
                .iter()
                .filter(|(_, names)| !names.is_empty())
                .map(|(word, names)| format!("{word}: {}", names.join(", ")))
                .collect();
            said.join("; ")
        }
        Happened::Missed { count } => format!("{count} events came faster than they were read"),
    };
    format!("{} {}", styled(style, name), printable(&text))
}

fn peer(peer: &Peer) -> String {
    let sa = &peer.sa;
    let name = sa.connection.as_deref().unwrap_or("-");
    let from = peer
        .from
        .map_or_else(String::new, |from| format!(", from {from}"));
    let cause = cause(peer.cause.as_deref());
    format!(
        "{name}: Main Mode SA {} with {} at {}: {}, {}, {}{from}{cause}",
        sa.id, peer.remote_id, sa.remote, sa.cipher, sa.integrity, sa.dh_group
    )
}

fn traffic(traffic: &Traffic) -> String {
    let sa = &traffic.sa;
    let cause = cause(traffic.cause.as_deref());
    format!(
        "{}/{}: {} to {} with {} at {}: {} {}, SPIs {} in and {} out{cause}",
        sa.connection,
        sa.child,
        sa.local_traffic,
        sa.remote_traffic,
        traffic.remote_id,
        sa.remote.ip(),
        sa.protocol,
        sa.proposal,
        sa.inbound_spi,
        sa.outbound_spi
    )
}

fn failed(failed: &Failed) -> String {
    let connection = failed.connection.as_deref().unwrap_or("-");
    let child = failed
        .child
        .as_ref()
        .map_or_else(String::new, |child| format!("/{child}"));
    let (role, message) = (&failed.role, &failed.message);
    format!(
        "{connection}{child} as {role}: {message} [{}]",
        failed.cause
    )
}

fn cause(cause: Option<&str>) -> String {
    cause.map_or_else(String::new, |cause| format!(" [{cause}]"))
}
