//! Those who wait for a connection to come up.

use std::net::SocketAddr;
use std::time::Instant;

use audit::{Cause, FailurePoint, Role};
use crossbeam_channel::Sender;
use keying::{ChildOutcome, ChildVerdict, Command, Input, Verdict, VerdictOutcome};

use super::Agent;
use crate::daemon::mailbox::UpAnswer;
use crate::daemon::words;

/// Somebody who waits for a connection's verdict.
pub(super) struct Waiting {
    reply: Sender<UpAnswer>,
    /// The connection was up when it was asked for.
    already: bool,
    /// Failures of negotiations that ended before, and that the log still has to deal with.
    earlier: usize,
    /// The Main Mode stands; what is awaited is the children.
    main: Option<Verdict>,
    children: Vec<ChildVerdict>,
    /// The connection was brought down after it was asked for.
    stopped: bool,
}

impl Waiting {
    /// Takes the verdict of one of a child's Quick Modes. Whoever began, what stands is up, though it failed before; a
    /// peer's failed attempt is no answer.
    fn child(&mut self, verdict: &ChildVerdict) {
        let established = matches!(verdict.outcome, ChildOutcome::Established { .. });
        if established {
            self.children.retain(|other| {
                other.child != verdict.child
                    || other.traffic != verdict.traffic
                    || matches!(other.outcome, ChildOutcome::Established { .. })
            });
        }
        if established || verdict.role == Role::Initiator {
            self.children.push(verdict.clone());
        }
    }
}

impl Agent {
    /// Brings a connection up. Who waits is told when it stands, with all its children, or has failed.
    pub(super) fn up(
        &mut self,
        now: Instant,
        connection: &str,
        (local, remote): (SocketAddr, SocketAddr),
        reply: Sender<UpAnswer>,
    ) {
        if self.stopping.is_some() {
            return;
        }
        self.by_operator(connection);
        let waiting = Waiting {
            reply,
            already: self.endpoint.is_up(connection),
            earlier: self.failing.get(connection).copied().unwrap_or_default(),
            main: None,
            children: Vec::new(),
            stopped: false,
        };
        self.waiting_up
            .entry(connection.to_owned())
            .or_default()
            .push(waiting);
        let children = self.children_of(connection);
        let command = Command::Initiate {
            connection: connection.to_owned(),
            local,
            remote,
        };
        self.endpoint.handle(now, Input::Command(command));
        for child in children {
            let command = Command::InitiateChild {
                connection: connection.to_owned(),
                child,
                local,
                remote,
            };
            self.endpoint.handle(now, Input::Command(command));
        }
    }

    fn children_of(&self, connection: &str) -> Vec<String> {
        let config = self.shared.config();
        let known = config.connection(connection);
        let children = known.into_iter().flat_map(|known| &known.children);
        children.map(|child| child.name.clone()).collect()
    }

    pub(super) fn verdict(&mut self, verdict: &Verdict) {
        let Some(name) = verdict.connection.clone() else {
            return;
        };
        let established = matches!(verdict.outcome, VerdictOutcome::Established { .. });
        // The last word of a connection that a reload took out is nobody's.
        if self.shared.config().connection(&name).is_some() {
            self.last_verdicts
                .insert(name.clone(), words::verdict(verdict));
        }
        // A peer's failed attempt is no answer to ours, nor is one from before we were asked.
        if established || verdict.role == Role::Initiator {
            for mut waiting in self.waiting_up.remove(&name).unwrap_or_default() {
                if !established && waiting.earlier > 0 {
                    waiting.earlier -= 1;
                    self.waiting_up
                        .entry(name.clone())
                        .or_default()
                        .push(waiting);
                    continue;
                }
                if established {
                    waiting.main.get_or_insert_with(|| verdict.clone());
                    self.waiting_up
                        .entry(name.clone())
                        .or_default()
                        .push(waiting);
                    continue;
                }
                // Who asked may have gone.
                let _ = waiting.reply.send(UpAnswer {
                    verdict: verdict.clone(),
                    already: waiting.already,
                    children: waiting.children,
                });
            }
            self.answer_up(&name);
        }
        if !established
            && verdict.role == Role::Initiator
            && let Some(failing) = self.failing.get_mut(&name)
        {
            *failing -= 1;
            if *failing == 0 {
                self.failing.remove(&name);
            }
        }
        self.kept_verdict(&name, verdict);
    }

    /// A Quick Mode has its verdict: those who wait for the whole connection have it when no other is
    /// under way.
    pub(super) fn child_verdict(&mut self, verdict: &ChildVerdict) {
        let name = &verdict.connection;
        for one in self.waiting_up.get_mut(name).into_iter().flatten() {
            one.child(verdict);
        }
        self.answer_up(name);
    }

    /// A connection is being brought down: who waits for it has nothing to wait for once it is.
    pub(super) fn stop_waiting(&mut self, name: &str) {
        for one in self.waiting_up.get_mut(name).into_iter().flatten() {
            one.stopped = true;
        }
    }

    /// A connection was brought down, with so many negotiations and SAs.
    pub(super) fn stopped(&mut self, name: &str, ended: usize) {
        for reply in self.waiting_down.remove(name).unwrap_or_default() {
            // Who asked may have gone.
            let _ = reply.send(ended);
        }
        let Some(waiting) = self.waiting_up.remove(name) else {
            return;
        };
        let (stopped, left): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|one| one.stopped);
        for one in stopped {
            let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
            let verdict = Verdict {
                connection: Some(name.to_owned()),
                role: Role::Initiator,
                remote: one.main.map_or(unknown, |main| main.remote),
                outcome: VerdictOutcome::Failed {
                    cause: Cause::StoppedByOperator,
                    point: FailurePoint::Local,
                    detail: None,
                },
            };
            // Who asked may have gone.
            let _ = one.reply.send(UpAnswer {
                verdict,
                already: false,
                children: one.children,
            });
        }
        if !left.is_empty() {
            self.waiting_up.insert(name.to_owned(), left);
        }
    }

    /// The connections are others: who waits for children that are gone waits no longer.
    pub(super) fn answer_all(&mut self) {
        let names: Vec<String> = self.waiting_up.keys().cloned().collect();
        for name in names {
            self.answer_up(&name);
        }
    }

    /// Answers those who wait for a connection whose Main Mode stands and whose children all have a verdict.
    fn answer_up(&mut self, name: &str) {
        let Some(waiting) = self.waiting_up.remove(name) else {
            return;
        };
        let wanted = self.children_of(name);
        let under_way = self.endpoint.owes_child_verdicts(name);
        let mut left = Vec::new();
        for one in waiting {
            let has = |child: &String| {
                let mut verdicts = one.children.iter();
                verdicts.any(|verdict| verdict.child.as_ref() == Some(child))
            };
            let answered = !under_way && wanted.iter().all(has);
            match one.main {
                Some(verdict) if answered => {
                    // Who asked may have gone.
                    let _ = one.reply.send(UpAnswer {
                        verdict,
                        already: one.already,
                        children: one.children,
                    });
                }
                main => left.push(Waiting { main, ..one }),
            }
        }
        if !left.is_empty() {
            self.waiting_up.insert(name.to_owned(), left);
        }
    }
}
