//! A message on its way: sent, sent again, or never sent.

use std::time::{Duration, Instant};

use super::negotiation::{Failure, Route};
use crate::config::Retransmit;
use crate::core::Core;
use crate::limits::{MAX_WAIT, after};

/// The message that was sent last and what is still to be done with it.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub datagrams: Vec<Vec<u8>>,
    pub left: u32,
    pub wait: Duration,
    pub next: Instant,
    pub fate: Fate,
}

/// Whether the system sent a message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fate {
    /// Why it did not, the last time.
    pub unsent: Option<Failure>,
    /// An earlier try went out.
    went_out: bool,
}

impl Fate {
    /// It is tried once more.
    pub(crate) fn again(&mut self) {
        self.went_out |= self.unsent.is_none();
        self.unsent = None;
    }

    /// Why it never went out, where it did not.
    pub(crate) fn never_sent(&self) -> Option<&Failure> {
        self.unsent.as_ref().filter(|_| !self.went_out)
    }

    /// What it means that nothing answered: `silence`, unless the system never sent it.
    pub(crate) fn silence(&self, silence: Failure) -> Failure {
        match (self.never_sent(), &self.unsent) {
            (Some(why), _) => why.clone(),
            (
                None,
                Some(Failure {
                    detail: Some(why), ..
                }),
            ) => silence.with(format!("the last try was not sent: {why}")),
            _ => silence,
        }
    }
}

impl Flight {
    /// What was sent just now.
    pub(crate) fn new(
        core: &mut Core,
        now: Instant,
        retransmit: Retransmit,
        datagrams: Vec<Vec<u8>>,
    ) -> Self {
        let Retransmit { tries, first, .. } = retransmit;
        let wait = core.jitter(first);
        Flight {
            datagrams,
            left: tries,
            wait: first,
            next: after(now, wait),
            fate: Fate::default(),
        }
    }

    /// Sends it once more, and waits longer than before; `false`: it was sent as often as it may.
    pub(crate) fn again(
        &mut self,
        core: &mut Core,
        now: Instant,
        route: Route,
        factor: f64,
    ) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        self.wait = longer(self.wait, factor);
        self.next = after(now, core.jitter(self.wait));
        self.fate.again();
        core.transmit(route, &self.datagrams);
        true
    }
}

/// A wait and the next one after it.
fn longer(wait: Duration, factor: f64) -> Duration {
    let seconds = wait.as_secs_f64() * factor.max(1.0);
    Duration::try_from_secs_f64(seconds).map_or(MAX_WAIT, |wait| wait.min(MAX_WAIT))
}
