//! What every exchange needs and no negotiation owns: randomness, numbers, the queue of outputs, rates.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use audit::{ActivityId, Event, Extra};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use crate::config::{Connection, EndpointConfig};
use crate::ikev1::negotiation::{NegotiationId, Route};
use crate::io::{AuditOutput, JobId, Output, Ticket};
use crate::job::Job;
use crate::limits::{
    ALL_VERDICTS_BURST, ALL_VERDICTS_REFILL, Bucket, INVALID_BURST, INVALID_REFILL, MAX_JOBS,
    MAX_RATED_SOURCES, MAX_WAIT, MIN_WAIT, REFUSAL_BURST, REFUSAL_REFILL, TOTAL_BURST,
    TOTAL_REFILL, VERDICT_BURST, VERDICT_REFILL,
};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Core {
    pub config: EndpointConfig,
    pub connections: Vec<Arc<Connection>>,
    pub rng: ChaCha20Rng,
    pub out: VecDeque<Output>,
    /// Which negotiation waits for a job.
    pub jobs: BTreeMap<JobId, NegotiationId>,
    pub rates: Rates,
    next_id: u64,
    mm_ids: VecDeque<Range<u64>>,
    mm_ids_asked: bool,
}

/// When fewer Main Mode SA IDs than this are left, more are asked for.
const MM_IDS_LOW: u64 = 64;

impl Core {
    pub(crate) fn new(config: EndpointConfig, now: Instant) -> Self {
        Core {
            connections: Vec::new(),
            rng: ChaCha20Rng::from_seed(config.seed),
            config,
            out: VecDeque::new(),
            jobs: BTreeMap::new(),
            rates: Rates::new(now),
            next_id: 0,
            mm_ids: VecDeque::new(),
            mm_ids_asked: false,
        }
    }

    /// A number that was not given out before.
    pub(crate) fn number(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    pub(crate) fn activity(&mut self) -> ActivityId {
        let mut bytes = [0; 16];
        self.rng.fill_bytes(&mut bytes);
        ActivityId(bytes)
    }

    /// A wait with up to a tenth added, so that a thousand peers that lost the same link do not come
    /// back in the same millisecond.
    pub(crate) fn jitter(&mut self, wait: Duration) -> Duration {
        let share = f64::from(self.rng.next_u32()) / f64::from(u32::MAX);
        wait.clamp(MIN_WAIT, MAX_WAIT).mul_f64(1.0 + share / 10.0)
    }

    pub(crate) fn transmit(&mut self, route: Route, datagrams: &[Vec<u8>]) {
        for bytes in datagrams {
            self.out.push_back(Output::Transmit {
                local: route.local,
                remote: route.remote,
                bytes: bytes.clone(),
            });
        }
    }

    /// Hands out a job; `None` when too many are waiting.
    pub(crate) fn start_job(&mut self, for_whom: NegotiationId, job: Job) -> Option<JobId> {
        if self.jobs.len() >= MAX_JOBS {
            return None;
        }
        let id = JobId(self.number());
        self.jobs.insert(id, for_whom);
        self.out.push_back(Output::Job(id, job));
        Some(id)
    }

    pub(crate) fn audit(
        &mut self,
        event: Event,
        activity: Option<ActivityId>,
        extra: Extra,
    ) -> Ticket {
        let ticket = Ticket(self.number());
        self.out.push_back(Output::Audit(Box::new(AuditOutput {
            ticket,
            event,
            activity,
            extra,
        })));
        ticket
    }

    /// The next Main Mode SA ID; `None` when the daemon gave none in time.
    pub(crate) fn mm_id(&mut self) -> Option<u64> {
        let id = self.mm_ids.front_mut().and_then(Range::next);
        self.mm_ids.pop_front_if(|ids| ids.is_empty());
        // Whoever did not answer may have forgotten.
        self.mm_ids_asked &= id.is_some();
        self.ask_for_mm_ids();
        id
    }

    /// A message ID for an exchange beside Main Mode: anything but zero.
    pub(crate) fn message_id(&mut self) -> u32 {
        loop {
            let id = self.rng.next_u32();
            if id != 0 {
                return id;
            }
        }
    }

    pub(crate) fn add_mm_ids(&mut self, ids: Range<u64>) {
        self.mm_ids_asked = false;
        if !ids.is_empty() {
            self.mm_ids.push_back(ids);
        }
    }

    /// Takes all IDs away.
    #[cfg(test)]
    pub(crate) fn take_mm_ids(&mut self) {
        self.mm_ids.clear();
    }

    fn ask_for_mm_ids(&mut self) {
        let left = self.mm_ids.iter().map(|ids| ids.end - ids.start);
        let left = left.fold(0, u64::saturating_add);
        if left < MM_IDS_LOW && !self.mm_ids_asked {
            self.mm_ids_asked = true;
            self.out.push_back(Output::NeedMainModeIds);
        }
    }
}

/// How often what nobody authenticated may make us write or send.
#[derive(Clone, Debug)]
pub(crate) struct Rates {
    total: Bucket,
    verdicts: Bucket,
    sources: BTreeMap<IpAddr, PerSource>,
    shared: PerSource,
    /// When `sources` may be searched again for those that need not be kept.
    search: Instant,
}

#[derive(Clone, Debug)]
struct PerSource {
    invalid: Bucket,
    refusals: Bucket,
    verdicts: Bucket,
}

impl PerSource {
    fn new(now: Instant) -> Self {
        PerSource {
            invalid: Bucket::new(now, INVALID_BURST),
            refusals: Bucket::new(now, REFUSAL_BURST),
            verdicts: Bucket::new(now, VERDICT_BURST),
        }
    }
}

impl Rates {
    fn new(now: Instant) -> Self {
        Rates {
            total: Bucket::new(now, TOTAL_BURST),
            verdicts: Bucket::new(now, ALL_VERDICTS_BURST),
            sources: BTreeMap::new(),
            shared: PerSource::new(now),
            search: now,
        }
    }

    /// Whether another 4976 about this source may be written.
    pub(crate) fn invalid(&mut self, now: Instant, source: IpAddr) -> bool {
        self.source(now, source)
            .invalid
            .take(now, INVALID_BURST, INVALID_REFILL)
            && self.total.take(now, TOTAL_BURST, TOTAL_REFILL)
    }

    /// Whether another refusal in clear may be sent to this source.
    pub(crate) fn refusal(&mut self, now: Instant, source: IpAddr) -> bool {
        self.source(now, source)
            .refusals
            .take(now, REFUSAL_BURST, REFUSAL_REFILL)
    }

    /// Whether another verdict about a message 1 alone, from this source, may be written.
    pub(crate) fn verdict(&mut self, now: Instant, source: IpAddr) -> bool {
        self.source(now, source)
            .verdicts
            .take(now, VERDICT_BURST, VERDICT_REFILL)
            && self
                .verdicts
                .take(now, ALL_VERDICTS_BURST, ALL_VERDICTS_REFILL)
    }

    fn source(&mut self, now: Instant, source: IpAddr) -> &mut PerSource {
        if !self.sources.contains_key(&source) {
            if self.sources.len() >= MAX_RATED_SOURCES && self.search <= now {
                self.search = now + INVALID_REFILL;
                self.sources.retain(|_, rates| {
                    !(rates.invalid.is_full(now, INVALID_BURST, INVALID_REFILL)
                        && rates.refusals.is_full(now, REFUSAL_BURST, REFUSAL_REFILL)
                        && rates.verdicts.is_full(now, VERDICT_BURST, VERDICT_REFILL))
                });
            }
            if self.sources.len() >= MAX_RATED_SOURCES {
                return &mut self.shared;
            }
        }
        self.sources
            .entry(source)
            .or_insert_with(|| PerSource::new(now))
    }
}
