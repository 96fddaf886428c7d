//! What the agent begins by itself: connections that are to be up, and those that traffic waits for.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use audit::{Cause, Role};
use keying::limits::{AUTO_AGAIN, AUTO_RETRY_FIRST, AUTO_RETRY_LAST, AUTO_STEADY};
use keying::{Command, Input, Replaced, Verdict, VerdictOutcome};

use super::Agent;
use crate::config::{Config, Connection, Start};
use crate::daemon::convert::{self, Route};
use crate::daemon::mailbox::Message;
use crate::daemon::{names, say, words};

/// The connections that are to be kept up.
pub(super) fn kept_up(config: &Config) -> impl Iterator<Item = Arc<Connection>> {
    let auto = config.connections.iter().filter(|c| c.start == Start::Auto);
    auto.map(|connection| Arc::new(connection.clone()))
}

/// What the daemon does for a connection with `start = "auto"`.
#[derive(Debug)]
pub(super) struct Kept {
    connection: Arc<Connection>,
    /// When it is begun again; `None` while it is up, under way, or was brought down.
    pub(super) next: Option<Instant>,
    wait: Duration,
    /// The wait that there was before it came up.
    wait_before: Duration,
    /// When it came up.
    up_since: Option<Instant>,
    /// The wait after the next end.
    again: Duration,
    /// How often in a row it failed: of several addresses of its peer, each has its turn.
    failures: usize,
    /// The attempt for which its peer's address is being looked up, to begin it then.
    pub(super) looking_up: Option<u64>,
}

impl Kept {
    /// To be begun at once.
    pub(super) fn new(connection: Arc<Connection>, now: Instant) -> Self {
        Kept {
            connection,
            next: Some(now),
            wait: AUTO_RETRY_FIRST,
            wait_before: AUTO_RETRY_FIRST,
            up_since: None,
            again: AUTO_AGAIN,
            failures: 0,
            looking_up: None,
        }
    }

    /// To be begun again after a wait that grows.
    pub(super) fn retry(&mut self, now: Instant) {
        self.next = Some(now + self.wait);
        self.failures = self.failures.wrapping_add(1);
        self.wait = (self.wait * 2).min(AUTO_RETRY_LAST);
    }
}

impl Agent {
    /// It is known where to a connection goes that is to be kept up; or it has no address now.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        connection: String,
        attempt: u64,
        route: Option<Route>,
    ) {
        // The operator may have brought it down meanwhile, or up, or changed it.
        let Some(kept) = self
            .kept
            .get_mut(&connection)
            .filter(|kept| kept.looking_up == Some(attempt))
        else {
            return;
        };
        kept.looking_up = None;
        match route {
            Some((local, remote)) => {
                let command = Command::Initiate {
                    connection,
                    local,
                    remote,
                };
                self.endpoint.handle(now, Input::Command(command));
            }
            None => kept.retry(now),
        }
    }

    /// A connection need not be begun again by itself: the operator brings it up, or down.
    pub(super) fn by_operator(&mut self, connection: &str) {
        if let Some(kept) = self.kept.get_mut(connection) {
            kept.next = None;
            kept.looking_up = None;
        }
    }

    /// The connections that are to be kept up, and are.
    pub(super) fn kept_that_are_up(&self) -> BTreeSet<String> {
        let names = self.kept.keys().cloned();
        names.filter(|name| self.endpoint.is_up(name)).collect()
    }

    /// Another configuration: connections that are to be kept up. Those that are as they were go on as they do. `up`:
    /// those that were up before it.
    pub(super) fn keep(
        &mut self,
        now: Instant,
        config: &Config,
        replaced: &Replaced,
        up: &BTreeSet<String>,
    ) {
        let mut before = std::mem::take(&mut self.kept);
        for connection in kept_up(config) {
            let name = &connection.name;
            // It may have ended though it was amended alone: its peer had an address that is gone.
            let ended = up.contains(name) && !self.endpoint.is_up(name);
            let anew = ended || replaced.changed.contains(name);
            let kept = match before.remove(&connection.name) {
                Some(kept) if !anew => Kept {
                    connection: connection.clone(),
                    ..kept
                },
                _ => Kept::new(connection.clone(), now),
            };
            self.kept.insert(connection.name.clone(), kept);
        }
    }

    /// A negotiation of a connection that is kept up has its verdict.
    pub(super) fn kept_verdict(&mut self, name: &str, verdict: &Verdict) {
        let Some(kept) = self.kept.get_mut(name) else {
            return;
        };
        match verdict.outcome {
            VerdictOutcome::Established { .. } => {
                kept.next = None;
                kept.up_since.get_or_insert_with(Instant::now);
                kept.wait_before = std::mem::replace(&mut kept.wait, AUTO_RETRY_FIRST);
                kept.failures = 0;
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
        route: Option<Route>,
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
    pub(super) fn lost(&mut self, connection: Option<&str>, mmsa_id: u64, cause: Option<Cause>) {
        // Another one of the connection may stand.
        let Some(name) = connection.filter(|name| !self.endpoint.is_up(name)) else {
            return;
        };
        if let Some(cause) = cause
            && self.shared.config().connection(name).is_some()
        {
            let last = words::ended(mmsa_id, cause);
            self.last_verdicts.insert(name.to_owned(), last);
        }
        let Some(kept) = self.kept.get_mut(name) else {
            return;
        };
        let up_since = kept.up_since.take();
        if self.stopping.is_some() {
            return;
        }
        let now = Instant::now();
        match cause {
            Some(
                Cause::Expired | Cause::DeletedByPeer | Cause::PeerDead | Cause::MessageIdsUsedUp,
            ) => {
                if up_since.is_none_or(|since| now >= since + AUTO_STEADY) {
                    kept.again = AUTO_AGAIN;
                }
                kept.next = Some(now + kept.again);
                kept.again = (kept.again * 2).min(AUTO_RETRY_LAST);
            }
            // It came up and was of no use, and may so the next time.
            Some(Cause::InnerAddressRefused | Cause::InnerAddressSilence | Cause::GaveWay) => {
                kept.wait = kept.wait_before;
                kept.retry(now);
            }
            _ => {}
        }
    }

    /// Begins what is due.
    pub(super) fn keep_up(&mut self, now: Instant) {
        if self.stopping.is_some() {
            return;
        }
        let mut due = Vec::new();
        for kept in self
            .kept
            .values_mut()
            .filter(|kept| kept.next.is_some_and(|next| next <= now))
        {
            kept.next = None;
            self.attempts += 1;
            kept.looking_up = Some(self.attempts);
            due.push((kept.connection.clone(), self.attempts, kept.failures));
        }
        for (connection, attempt, failures) in due {
            let name = connection.name.clone();
            self.find_route(connection, failures, move |route| Message::Begin {
                connection: name,
                attempt,
                route,
            });
        }
    }

    /// Traffic waits for a child: finds its peer's address.
    pub(super) fn look_up(&mut self, connection: String, child: String) {
        let config = self.shared.config();
        let Some(known) = config.connection(&connection) else {
            return;
        };
        if self.stopping.is_some() || !self.demanded.insert((connection.clone(), child.clone())) {
            return;
        }
        self.find_route(Arc::new(known.clone()), 0, move |route| Message::Demand {
            connection,
            child,
            route,
        });
    }

    /// A Main Mode SA is to be replaced whose peer is known by name: finds out where that leads.
    pub(super) fn find_successor(&mut self, mmsa_id: u64, connection: &str) {
        let config = self.shared.config();
        // Without a connection there is no SA either.
        if let Some(known) = config.connection(connection) {
            self.find_route(Arc::new(known.clone()), 0, move |route| Message::Replace {
                mmsa_id,
                route,
            });
        }
    }

    /// Finds from where to where a connection goes, which comes back as a message: a peer's name has to be
    /// resolved first, and nobody waits for that here.
    fn find_route(
        &self,
        connection: Arc<Connection>,
        attempt: usize,
        message: impl FnOnce(Option<Route>) -> Message + Send + 'static,
    ) {
        let (mailbox, name) = (self.mailbox.clone(), names::name(&connection));
        let listens = self.shared.config().listen.addresses.clone();
        let found = move |addresses: Vec<IpAddr>| {
            let route = convert::route(&connection, &addresses, attempt, &listens);
            mailbox.send(message(route.map_err(|why| say(&why)).ok()));
        };
        match name {
            Some(name) => self.shared.names.look_up(&name, found),
            None => found(Vec::new()),
        }
    }
}
