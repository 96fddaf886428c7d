//! The order in which packets leave. Workers seal side by side, each some packets with numbers in a row; what they
//! send is in the order of the numbers, however long one was kept from its processor: a peer's replay window may
//! have no more than 32.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the packets before these are waited for. Whoever takes longer has failed, and lost its turn: the slowest
/// processor seals and sends a batch in less.
const PATIENCE: Duration = Duration::from_secs(1);

/// Tickets from zero on; whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Turns {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The ticket whose turn it is.
    current: u64,
    waiting: usize,
}

impl Turns {
    /// Waits until it is this ticket's turn.
    pub(super) fn wait(&self, ticket: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.current >= ticket {
            return;
        }
        let end = Instant::now() + PATIENCE;
        state.waiting += 1;
        while state.current < ticket
            && let Some(left) = end.checked_duration_since(Instant::now())
        {
            let waited = self.moved.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.waiting -= 1;
    }

    /// The next one's turn.
    pub(super) fn done(&self, ticket: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.current = state.current.max(ticket + 1);
        if state.waiting > 0 {
            self.moved.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_turn_in_the_order_of_tickets() {
        const TICKETS: u64 = 400;
        let (turns, order) = (Turns::default(), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let (turns, order) = (&turns, &order);
                scope.spawn(move || {
                    for ticket in (worker..TICKETS).step_by(4) {
                        turns.wait(ticket);
                        order.lock().unwrap().push(ticket);
                        turns.done(ticket);
                    }
                });
            }
        });
        assert_eq!(
            order.into_inner().unwrap(),
            (0..TICKETS).collect::<Vec<_>>()
        );
    }

    #[test]
    fn one_who_never_comes_keeps_nobody_for_long() {
        let turns = Turns::default();
        turns.wait(3);
        turns.done(3);
        turns.wait(4);
        // It comes after all, and takes no turn from those after it.
        turns.done(1);
        assert_eq!(turns.state.lock().unwrap().current, 4);
    }
}
