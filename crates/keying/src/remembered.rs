//! Cookies of what is over: retransmissions that come late are known for what they are, begin nothing
//! and are no event.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use audit::KeyMod;
use isakmp::Cookie;

use crate::limits::{MAX_REMEMBERED, MAX_RESENDS};

/// By whom a negotiation was begun, and with which cookie: what a message 1 is known by.
pub(crate) type Origin = (SocketAddr, Cookie);
/// What was refused: a peer may begin with one keying module after another, by the same cookie.
type First = (Origin, KeyMod);

#[derive(Clone, Debug)]
struct Refused {
    until: Instant,
    reply: Vec<Vec<u8>>,
    resent: u32,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remembered {
    origins: BTreeMap<First, Refused>,
    origin_order: VecDeque<First>,
    pairs: BTreeMap<(Cookie, Cookie), Instant>,
    pair_order: VecDeque<(Cookie, Cookie)>,
}

impl Remembered {
    /// Remembers a message 1 whose negotiation is over, and what answered it.
    pub(crate) fn refuse(
        &mut self,
        now: Instant,
        hold: Duration,
        origin: First,
        reply: Vec<Vec<u8>>,
    ) {
        if self
            .origins
            .insert(
                origin,
                Refused {
                    until: now + hold,
                    reply,
                    resent: 0,
                },
            )
            .is_none()
        {
            self.origin_order.push_back(origin);
        }
        while self.origins.len() > MAX_REMEMBERED {
            let Some(oldest) = self.origin_order.pop_front() else {
                break;
            };
            self.origins.remove(&oldest);
        }
    }

    /// Remembers the cookies of a negotiation or an SA that is over.
    pub(crate) fn end(&mut self, now: Instant, hold: Duration, cookies: (Cookie, Cookie)) {
        if self.pairs.insert(cookies, now + hold).is_none() {
            self.pair_order.push_back(cookies);
        }
        while self.pairs.len() > MAX_REMEMBERED {
            let Some(oldest) = self.pair_order.pop_front() else {
                break;
            };
            self.pairs.remove(&oldest);
        }
    }

    /// Whether this message 1 was refused before; then with what it is to be answered again.
    pub(crate) fn refused(&mut self, now: Instant, origin: &First) -> Option<Vec<Vec<u8>>> {
        let refused = self
            .origins
            .get_mut(origin)
            .filter(|refused| now < refused.until)?;
        refused.resent += 1;
        Some(if refused.resent <= MAX_RESENDS {
            refused.reply.clone()
        } else {
            Vec::new()
        })
    }

    /// Whether these cookies are of something that is over.
    pub(crate) fn ended(&self, now: Instant, cookies: &(Cookie, Cookie)) -> bool {
        self.pairs.get(cookies).is_some_and(|until| now < *until)
    }

    /// When the oldest memory fades.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let origin = self
            .origin_order
            .front()
            .and_then(|origin| self.origins.get(origin));
        let pair = self
            .pair_order
            .front()
            .and_then(|pair| self.pairs.get(pair));
        [origin.map(|refused| refused.until), pair.copied()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Forgets what is old.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(origin) = self.origin_order.front() {
            if self
                .origins
                .get(origin)
                .is_some_and(|refused| refused.until > now)
            {
                break;
            }
            self.origins.remove(origin);
            self.origin_order.pop_front();
        }
        while let Some(pair) = self.pair_order.front() {
            if self.pairs.get(pair).is_some_and(|until| *until > now) {
                break;
            }
            self.pairs.remove(pair);
            self.pair_order.pop_front();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.origins.len() + self.pairs.len()
    }
}
