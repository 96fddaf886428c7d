//! Those who watch: each has a queue of its own, and what does not fit is counted. The agent never waits for any
//! of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use keying::{Change, ChildOutcome, ChildVerdict, Verdict, VerdictOutcome};

use super::sas::{self, Times};
use super::words;
use crate::config::Config;
use crate::control::monitor::{Failed, Happened, MonitorEvent, Peer, Traffic};

/// Events that wait for one reader: a thousand tunnels that come up at once, with a child each.
const QUEUE: usize = 2_048;

/// Who watches, seen from the agent.
struct Watcher {
    sender: Sender<Arc<MonitorEvent>>,
    /// Events that found no room since the last that did.
    missed: Arc<AtomicU64>,
}

/// All of them.
#[derive(Default)]
pub struct Watchers(Vec<Watcher>);

/// A reader's end.
pub struct Watching {
    receiver: Receiver<Arc<MonitorEvent>>,
    missed: Arc<AtomicU64>,
}

impl Watching {
    /// The next event; nothing when none came for so long.
    ///
    /// # Errors
    ///
    /// When none will come any more.
    pub fn next(&self, patience: Duration) -> Result<Option<Arc<MonitorEvent>>, Ended> {
        match self.receiver.recv_timeout(patience) {
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Disconnected) => Err(Ended),
            // Where nothing comes any more, what was missed is told all the same.
            Err(RecvTimeoutError::Timeout) => Ok(missed(&self.missed)),
        }
    }
}

/// The daemon stops.
#[derive(Debug)]
pub struct Ended;

/// What was missed, once.
fn missed(count: &AtomicU64) -> Option<Arc<MonitorEvent>> {
    let count = count.swap(0, Ordering::SeqCst);
    (count > 0).then(|| Arc::new(MonitorEvent::now(Happened::Missed { count })))
}

impl Watcher {
    /// False: it has gone.
    fn tell(&self, event: &Arc<MonitorEvent>) -> bool {
        // A gap is told where it is, and only with what comes after it. Nobody else fills the queue.
        let gap = self.missed.load(Ordering::SeqCst) > 0;
        if gap && self.sender.len() + 2 > QUEUE {
            self.missed.fetch_add(1, Ordering::SeqCst);
            return true;
        }
        let gap = missed(&self.missed).into_iter();
        for event in gap.chain([event.clone()]) {
            match self.sender.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => drop(self.missed.fetch_add(1, Ordering::SeqCst)),
                Err(TrySendError::Disconnected(_)) => return false,
            }
        }
        true
    }
}

impl Watchers {
    /// One more; what is so already comes first.
    pub fn add(&mut self, snapshot: impl Iterator<Item = Happened>) -> Watching {
        let (sender, receiver) = bounded(QUEUE);
        let missed = Arc::default();
        let watcher = Watcher {
            sender,
            missed: Arc::clone(&missed),
        };
        for what in snapshot {
            watcher.tell(&Arc::new(MonitorEvent::now(what)));
        }
        self.0.push(watcher);
        Watching { receiver, missed }
    }

    /// Whether nobody watches.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells all of them.
    pub fn tell(&mut self, what: impl FnOnce() -> Option<Happened>) {
        if !self.is_empty()
            && let Some(what) = what()
        {
            let event = Arc::new(MonitorEvent::now(what));
            self.0.retain(|watcher| watcher.tell(&event));
        }
    }
}

/// A change of the endpoint's in the words of the stream.
pub fn happened(change: &Change, times: &Times, config: &Config) -> Happened {
    match change {
        Change::Up { sa, first } => {
            let peer = peer(sa, times);
            if *first {
                Happened::ConnectionUp(peer)
            } else {
                Happened::ConnectionRekeyed(peer)
            }
        }
        Change::Down { sa, cause } => Happened::ConnectionDown(Peer {
            cause: Some(cause.token().to_owned()),
            ..peer(sa, times)
        }),
        Change::Moved { sa, from } => Happened::PeerMoved(Peer {
            from: Some(*from),
            ..peer(sa, times)
        }),
        Change::ChildUp { sa, first } => {
            let traffic = traffic(sa, times, config);
            if *first {
                Happened::ChildUp(traffic)
            } else {
                Happened::ChildRekeyed(traffic)
            }
        }
        Change::ChildDown { sa, cause } => Happened::ChildDown(Traffic {
            cause: Some(cause.token().to_owned()),
            ..traffic(sa, times, config)
        }),
    }
}

/// All that is up.
pub fn snapshot(status: &keying::Status, times: &Times, config: &Config) -> Vec<Happened> {
    let replaced = |sa: &&keying::ChildSaStatus| sa.state == "installed";
    let mut seen = std::collections::BTreeSet::new();
    // Of two Main Mode SAs with one peer the newer one.
    let mut peers: Vec<Happened> = status
        .sas
        .iter()
        .rev()
        .filter(|sa| seen.insert((&sa.connection, &sa.remote_name, &sa.user)))
        .map(|sa| {
            Happened::ConnectionUp(Peer {
                snapshot: true,
                ..peer(sa, times)
            })
        })
        .collect();
    peers.reverse();
    let children = status.child_sas.iter().filter(replaced).map(|sa| {
        Happened::ChildUp(Traffic {
            snapshot: true,
            ..traffic(sa, times, config)
        })
    });
    peers.into_iter().chain(children).collect()
}

fn peer(sa: &keying::MainModeSa, times: &Times) -> Peer {
    Peer {
        remote_id: sa.remote_name.clone(),
        cause: None,
        from: None,
        snapshot: false,
        sa: sas::main_mode(sa, times),
    }
}

fn traffic(sa: &keying::ChildSaStatus, times: &Times, config: &Config) -> Traffic {
    let connection = config.connection(&sa.connection);
    let child = connection.and_then(|connection| connection.child(&sa.child));
    let mark = child.and_then(|child| child.mark);
    Traffic {
        remote_id: sa.remote_name.clone(),
        cause: None,
        snapshot: false,
        mark: mark.map(|mark| format!("{:#x}/{:#x}", mark.value, mark.mask)),
        interface_id: child.and_then(|child| child.interface_id),
        sa: sas::quick_mode(sa, times, None),
    }
}

/// A Main Mode negotiation that failed; nothing of one that did not.
pub fn main_mode_failed(verdict: &Verdict) -> Option<Happened> {
    let VerdictOutcome::Failed { cause, point, .. } = &verdict.outcome else {
        return None;
    };
    Some(Happened::MainModeFailed(Failed {
        connection: verdict.connection.clone(),
        child: None,
        remote: verdict.remote,
        role: sas::role(verdict.role),
        failure_point: point_word(*point),
        cause: cause.token().to_owned(),
        reason_code: cause.code(),
        message: words::verdict(verdict),
        advice: cause.advice().to_owned(),
    }))
}

/// A Quick Mode negotiation that failed; nothing of one that did not.
pub fn quick_mode_failed(verdict: &ChildVerdict) -> Option<Happened> {
    let ChildOutcome::Failed {
        cause,
        point,
        detail,
    } = &verdict.outcome
    else {
        return None;
    };
    Some(Happened::QuickModeFailed(Failed {
        connection: Some(verdict.connection.clone()),
        child: verdict.child.clone(),
        remote: verdict.remote,
        role: sas::role(verdict.role),
        failure_point: point_word(*point),
        cause: cause.token().to_owned(),
        reason_code: cause.code(),
        message: words::failure(*cause, *point, detail.as_deref(), verdict.remote),
        advice: cause.advice().to_owned(),
    }))
}

fn point_word(point: audit::FailurePoint) -> String {
    match point {
        audit::FailurePoint::Local => "local".to_owned(),
        audit::FailurePoint::Remote => "remote".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(count: u64) -> Happened {
        Happened::Missed { count }
    }

    fn told(watching: &Watching) -> Vec<u64> {
        let mut all = Vec::new();
        while let Ok(Some(event)) = watching.next(Duration::ZERO) {
            let Happened::Missed { count } = event.what else {
                panic!("{event:?}");
            };
            all.push(count);
        }
        all
    }

    // What was missed is told apart by numbers that no event here has.
    const FIRST: u64 = 1 << 32;

    #[test]
    fn who_reads_too_slowly_hears_how_much_was_missed_where_it_was_missed() {
        let mut watchers = Watchers::default();
        let slow = watchers.add([event(FIRST)].into_iter());
        let last = FIRST + QUEUE as u64 + 9;
        for number in FIRST + 1..=last {
            watchers.tell(|| Some(event(number)));
        }
        // Ten found no room; the gap is told though nothing else comes.
        let all = told(&slow);
        assert_eq!(all.len(), QUEUE + 1);
        assert_eq!(all[QUEUE - 1..], [FIRST + QUEUE as u64 - 1, 10]);
        // Filled again: the gap stands between what came before it and what came after it.
        for number in FIRST..FIRST + QUEUE as u64 + 3 {
            watchers.tell(|| Some(event(number)));
        }
        let first = slow.next(Duration::ZERO).unwrap().unwrap();
        assert_eq!(first.what, event(FIRST));
        watchers.tell(|| Some(event(FIRST + 70_000)));
        for _ in 0..5 {
            slow.next(Duration::ZERO).unwrap();
        }
        watchers.tell(|| Some(event(FIRST + 70_001)));
        let all = told(&slow);
        assert_eq!(all[all.len() - 2..], [4, FIRST + 70_001]);
    }

    #[test]
    fn who_has_gone_is_forgotten_and_nobody_waits_for_the_others() {
        let mut watchers = Watchers::default();
        let (gone, stays) = (watchers.add([].into_iter()), watchers.add([].into_iter()));
        drop(gone);
        watchers.tell(|| Some(event(FIRST)));
        assert_eq!(watchers.0.len(), 1);
        assert_eq!(told(&stays), [FIRST]);
        drop(stays);
        watchers.tell(|| Some(event(FIRST)));
        assert!(watchers.is_empty());
        watchers.tell(|| panic!("nobody wants to know"));
    }

    #[test]
    fn a_daemon_that_stops_ends_the_stream() {
        let mut watchers = Watchers::default();
        let watching = watchers.add([].into_iter());
        drop(watchers);
        assert!(watching.next(Duration::ZERO).is_err());
    }
}
