//! What the daemon answers on the control socket.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use super::mailbox::Message;
use super::monitor;
use super::sas::Times;
use super::words;
use super::{Shared, convert, names, sas};
use crate::config::{self, Config};
use crate::control::status::{
    ConnectionStatus, Counters, MainModeSa, QuickModeCounters, QuickModeSa, Status,
};
use crate::control::{self, Gone, Handler, Peer, PolicyChange, Replies, Request, Response};
use crate::{policy, records};

/// How often a client that waits is looked at: has it gone?
const LOOK: Duration = Duration::from_millis(100);

impl Handler for Shared {
    fn handle(&self, peer: &Peer, request: Request, replies: &mut Replies<'_>) -> Result<(), Gone> {
        let response = match &request {
            Request::LogQuery { .. } | Request::LogFollow { .. } | Request::LogInfo => {
                let closed = || self.log_closed.load(Ordering::SeqCst);
                let answered =
                    records::answer(&self.first.log.directory, &request, &closed, replies);
                return answered.unwrap_or(Ok(()));
            }
            Request::Ping => Response::done(),
            Request::Up { connection } => match self.up(connection, &|| replies.is_over()) {
                Ok(verdict) => Response::Verdict(verdict),
                Err(why) => Response::failed(why),
            },
            Request::Down { connection } => match self.down(connection, &|| replies.is_over()) {
                Ok(0) => Response::Done {
                    notes: vec!["there was nothing to end".to_owned()],
                },
                Ok(1) => Response::Done {
                    notes: vec!["ended".to_owned()],
                },
                Ok(n) => Response::Done {
                    notes: vec![format!("ended: {n} negotiations and SAs")],
                },
                Err(why) => Response::failed(why),
            },
            Request::Status => match self.status() {
                Some(status) => Response::Status(Box::new(status)),
                None => Response::failed("the daemon is stopping"),
            },
            Request::AuditGet => {
                let audit = self.audit.clone();
                let seen = self.log.call(move |writer| {
                    let audit = audit.lock().unwrap_or_else(PoisonError::into_inner);
                    Ok(policy::view(&writer.policy()?, &audit))
                });
                match seen {
                    Ok(view) => Response::Policy(view),
                    Err(error) => Response::failed(crate::with_causes(&error)),
                }
            }
            Request::Reload => Response::Reloaded(self.reload(&peer.subject())),
            Request::Monitor { snapshot } => return self.monitor(*snapshot, replies),
            Request::AuditChange { change } => self.change_policy(change.clone(), peer),
            Request::LogClear { witness, .. }
                if witness.as_ref().is_some_and(|witness| !witness.exists()) =>
            {
                Response::failed(
                    "the daemon sees another folder there: it runs with a /tmp, /home or the like of its own (PrivateTmp, \
                     ProtectHome); nothing was cleared. Name a folder that is the same for both, such as the log's",
                )
            }
            Request::LogClear { backup, .. } => {
                let (subject, backup) = (peer.subject(), backup.clone());
                match self
                    .log
                    .call(move |writer| writer.clear(subject, backup.as_deref()))
                {
                    Ok(()) => {
                        // There is room again, at once for what the log must tell of itself.
                        self.trouble.over();
                        self.mailbox.nudge();
                        Response::done()
                    }
                    Err(error) => Response::failed(crate::with_causes(&error)),
                }
            }
        };
        replies.send(&response)
    }
}

impl Shared {
    /// Tells a client what happens until it goes.
    fn monitor(&self, snapshot: bool, replies: &mut Replies<'_>) -> Result<(), Gone> {
        let (reply, answer) = bounded(1);
        self.mailbox.send(Message::Monitor { snapshot, reply });
        let Some(watching) = wait(&answer, &|| replies.is_over()) else {
            return replies.send(&Response::failed("the daemon is stopping"));
        };
        replies.send(&Response::Following)?;
        // Until the end of the agent, which comes before the server's: its last events are told.
        while !replies.is_gone() {
            match watching.next(LOOK) {
                Ok(Some(event)) => replies.send(&Response::Event(Box::new((*event).clone())))?,
                Ok(None) => {}
                Err(monitor::Ended) => return replies.send(&Response::done()),
            }
        }
        Err(Gone)
    }

    /// Brings a connection up and waits for the verdict.
    pub(super) fn up(
        &self,
        name: &str,
        gone: &dyn Fn() -> bool,
    ) -> Result<control::Verdict, String> {
        let config = self.config();
        let connection = config
            .connection(name)
            .ok_or_else(|| unknown(&config, name))?;
        let named = match names::name(connection) {
            Some(name) => wait(&self.names.ask(&name), gone).ok_or("the daemon is stopping")?,
            None => Vec::new(),
        };
        let (local, remote) = convert::route(connection, &named, 0, &config.listen.addresses)?;
        let (reply, answer) = bounded(1);
        let connection = name.to_owned();
        self.mailbox.send(Message::Up {
            connection,
            local,
            remote,
            reply,
        });
        let answer = wait(&answer, gone).ok_or("the daemon is stopping")?;
        Ok(words::answer(
            name,
            &answer.verdict,
            answer.already,
            &answer.children,
        ))
    }

    /// Brings a connection down and waits until that is on disk. Gives how much ended.
    pub(super) fn down(&self, name: &str, gone: &dyn Fn() -> bool) -> Result<usize, String> {
        let config = self.config();
        config
            .connection(name)
            .ok_or_else(|| unknown(&config, name))?;
        let (reply, answer) = bounded(1);
        self.mailbox.send(Message::Down {
            connection: name.to_owned(),
            reply,
        });
        wait(&answer, gone).ok_or_else(|| "the daemon is stopping".to_owned())
    }

    fn change_policy(&self, change: PolicyChange, peer: &Peer) -> Response {
        let (audit, subject) = (self.audit.clone(), peer.subject());
        let in_force = self.policy.clone();
        // The policy in force changes between two events, at the 4719 itself.
        let changed = self.log.call(move |writer| {
            let audit = audit.lock().unwrap_or_else(PoisonError::into_inner);
            let mut in_force = in_force.write().unwrap_or_else(PoisonError::into_inner);
            let changed = policy::change(writer, &audit, &change, &subject);
            if let Ok(new) = &changed {
                in_force.clone_from(new);
            }
            Ok(changed)
        });
        match changed {
            Ok(Ok(_)) => Response::done(),
            Ok(Err(error)) => Response::failed(crate::with_causes(&error)),
            Err(error) => Response::failed(crate::with_causes(&error)),
        }
    }

    fn status(&self) -> Option<Status> {
        let (reply, answer) = bounded(1);
        self.mailbox.send(Message::Status { reply });
        let answer = wait(&answer, &|| false)?;
        let endpoint = answer.endpoint;
        let times = answer.times;
        let main_mode = endpoint.sas.iter().map(|sa| sas::main_mode(sa, &times));
        let mut main_mode_sas: Vec<MainModeSa> = main_mode.collect();
        main_mode_sas.sort_by_key(|sa| sa.id);
        let quick_mode_sas = self.quick_mode_sas(&endpoint, &times);
        let before = self.before;
        let own = endpoint.counters;
        let quick_mode_counters = QuickModeCounters {
            negotiations: before.quick_mode.negotiations + own.quick_modes,
            established: before.quick_mode.established + own.quick_established,
            failed: before.quick_mode.failed + own.quick_failed,
            interrupted: before.quick_mode.interrupted,
            ended: before.quick_mode.ended + own.quick_ended,
            live: quick_mode_sas.len() as u64,
        };
        let counters = Counters {
            negotiations: before.negotiations + own.negotiations,
            established: before.established + own.established,
            failed: before.failed + own.failed,
            superseded: before.superseded,
            interrupted: before.interrupted,
            ended: before.ended + own.ended,
            live: endpoint.sas.len() as u64,
            held_back: before.held_back + self.trouble.held_back(),
        };
        let config = self.config();
        let key_log = config.debug.key_log.as_deref();
        let connections = config
            .connections
            .iter()
            .map(|connection| {
                let name = &connection.name;
                let up = endpoint.sas.iter().any(|sa| sa.connection == *name);
                let negotiating = endpoint
                    .negotiations
                    .iter()
                    .any(|n| n.connection.as_ref() == Some(name));
                let state = match (up, negotiating) {
                    (true, _) => "up",
                    (false, true) => "negotiating",
                    (false, false) => "down",
                };
                ConnectionStatus {
                    name: name.clone(),
                    state: state.to_owned(),
                    local: connection
                        .local
                        .address
                        .map_or_else(|| "any".to_owned(), |address| address.to_string()),
                    remote: connection.remote.address.to_string(),
                    remote_addresses: names::name(connection)
                        .map(|name| self.names.known(&name))
                        .unwrap_or_default(),
                    last_verdict: answer.last_verdicts.get(name).cloned(),
                }
            })
            .collect();
        Some(Status {
            main_mode_sas,
            quick_mode_sas,
            counters,
            quick_mode_counters,
            connections,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: self.started.to_string(),
            key_log: key_log.map(|folder| folder.display().to_string()),
            alerts: key_log
                .map(config::key_log::alert)
                .into_iter()
                .chain(self.trouble.alert())
                .chain(self.trouble.removal_alert())
                .collect(),
        })
    }
}

impl Shared {
    fn quick_mode_sas(&self, endpoint: &keying::Status, times: &Times) -> Vec<QuickModeSa> {
        let ids = endpoint.child_sas.iter().map(|sa| sa.id.0).collect();
        let counted = self.planes.counters(ids);
        let mut sas: Vec<QuickModeSa> = endpoint
            .child_sas
            .iter()
            .map(|sa| sas::quick_mode(sa, times, counted.get(&sa.id.0)))
            .collect();
        sas.sort_by_key(|sa| sa.id);
        sas
    }
}

fn unknown(config: &Config, name: &str) -> String {
    let names: Vec<&str> = config.connections.iter().map(|c| c.name.as_str()).collect();
    let known = if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    };
    format!("there is no connection \"{name}\"; the configuration has: {known}")
}

/// Waits for an answer of the agent, as long as it works and somebody listens.
fn wait<T>(answer: &Receiver<T>, gone: &dyn Fn() -> bool) -> Option<T> {
    loop {
        match answer.recv_timeout(LOOK) {
            Ok(answer) => return Some(answer),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) if gone() => return None,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}
