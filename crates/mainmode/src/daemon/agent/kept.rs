//! What the agent begins by itself: connections that are to be up, and those that traffic waits for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use audit::{Cause, Role};
use keying::{Command, Input, Verdict, VerdictOutcome};

use super::Agent;
use crate::config::Connection;
use crate::daemon::mailbox::Message;
use crate::daemon::{convert, say};

/// The first wait before a connection that failed is tried again: a peer that restarts is back by then.
/// It doubles.
const RETRY_FIRST: Duration = Duration::from_secs(5);
/// The longest.
const RETRY_LAST: Duration = Duration::from_mins(10);
/// The wait before a connection that was lost is brought up again.
const AGAIN: Duration = Duration::from_secs(1);

/// What the daemon does for a connection with `start = "auto"`.
#[derive(Debug)]
pub(super) struct Kept {
    connection: Arc<Connection>,
    /// When it is begun again; `None` while it is up, under way, or was brought down.
    pub(super) next: Option<Instant>,
    wait: Duration,
    /// Its peer's name is being resolved, to begin it then.
    pub(super) resolving: bool,
}

impl Kept {
    /// To be begun at once.
    pub(super) fn new(connection: Arc<Connection>, now: Instant) -> Self {
        Kept {
            connection,
            next: Some(now),
            wait: RETRY_FIRST,
            resolving: false,
        }
    }

    /// To be begun again after a wait that grows.
    pub(super) fn retry(&mut self, now: Instant) {
        self.next = Some(now + self.wait);
        self.wait = (self.wait * 2).min(RETRY_LAST);
    }
}

impl Agent {
    /// Whether a connection is to be begun now; it need not be begun again then. False where the operator
    /// brought it down while its peer's name was resolved.
    pub(super) fn begins(&mut self, connection: &str, by_operator: bool) -> bool {
        let Some(kept) = self.kept.get_mut(connection) else {
            return true;
        };
        if !by_operator && !kept.resolving {
            return false;
        }
        kept.next = None;
        kept.resolving = false;
        true
    }

    /// A negotiation of a connection that is kept up has its verdict.
    pub(super) fn kept_verdict(&mut self, name: &str, verdict: &Verdict) {
        let Some(kept) = self.kept.get_mut(name) else {
            return;
        };
        match verdict.outcome {
            VerdictOutcome::Established { .. } => {
                kept.next = None;
                kept.wait = RETRY_FIRST;
            }
            VerdictOutcome::Failed {
                cause: Cause::StoppedByOperator | Cause::ShuttingDown,
                ..
            } => {}
            VerdictOutcome::Failed { .. } => {
                if verdict.role == Role::Initiator && self.stopping.is_none() {
                    kept.retry(Instant::now());
                }
            }
        }
    }

    /// Traffic waits for a child, and it is known where to.
    pub(super) fn demand(
        &mut self,
        now: Instant,
        connection: String,
        child: String,
        route: Option<(SocketAddr, SocketAddr)>,
    ) {
        self.demanded.remove(&(connection.clone(), child.clone()));
        let Some((local, remote)) = route.filter(|_| self.stopping.is_none()) else {
            return;
        };
        let command = Command::InitiateChild {
            connection,
            child,
            local,
            remote,
        };
        self.endpoint.handle(now, Input::Command(command));
    }

    /// An SA of a connection ended: one that is to be kept up is begun again.
    pub(super) fn lost(&mut self, connection: Option<&str>, cause: Option<Cause>) {
        let again = matches!(
            cause,
            Some(Cause::Expired | Cause::DeletedByPeer | Cause::PeerDead)
        );
        if let Some(kept) = connection.and_then(|name| self.kept.get_mut(name))
            && again
            && self.stopping.is_none()
        {
            kept.next = Some(Instant::now() + AGAIN);
        }
    }

    /// Begins what is due. Names are resolved on a thread of their own.
    pub(super) fn keep_up(&mut self, now: Instant) {
        if self.stopping.is_some() {
            return;
        }
        for kept in self
            .kept
            .values_mut()
            .filter(|kept| kept.next.is_some_and(|next| next <= now))
        {
            kept.next = None;
            kept.resolving = true;
            let (connection, mailbox) = (kept.connection.clone(), self.mailbox.clone());
            let spawned = std::thread::Builder::new()
                .name("resolve".to_owned())
                .spawn(move || match convert::route(&connection) {
                    Ok((local, remote)) => mailbox.send(Message::Up {
                        connection: connection.name.clone(),
                        local,
                        remote,
                        reply: None,
                    }),
                    Err(why) => {
                        say(&why);
                        mailbox.send(Message::Unresolved {
                            connection: connection.name.clone(),
                        });
                    }
                });
            if spawned.is_err() {
                kept.resolving = false;
                kept.next = Some(now + kept.wait);
            }
        }
    }

    /// Traffic waits for a child: finds its peer's address, on a thread of its own.
    pub(super) fn look_up(&mut self, connection: String, child: String) {
        let (shared, mailbox) = (self.shared.clone(), self.mailbox.clone());
        if self.stopping.is_some() || !self.demanded.insert((connection.clone(), child.clone())) {
            return;
        }
        let (for_connection, for_child) = (connection.clone(), child.clone());
        let spawned = std::thread::Builder::new()
            .name("resolve".to_owned())
            .spawn(move || {
                let known = shared.config.connection(&connection);
                let route =
                    known.and_then(|known| convert::route(known).map_err(|why| say(&why)).ok());
                mailbox.send(Message::Demand {
                    connection,
                    child,
                    route,
                });
            });
        if spawned.is_err() {
            self.demanded.remove(&(for_connection, for_child));
        }
    }
}
