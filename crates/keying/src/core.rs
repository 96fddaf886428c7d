//! What every exchange needs and no negotiation owns: randomness, numbers, the queue of outputs, rates.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use audit::{ActivityId, Event, Extra, Role};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use crate::config::{Connection, EndpointConfig, Names};
use crate::endpoint::Party;
use crate::ikev1::negotiation::Route;
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
    /// What the connections' host names stand for.
    pub names: Names,
    pub rng: ChaCha20Rng,
    pub out: VecDeque<Output>,
    /// Which negotiation waits for a job.
    pub jobs: BTreeMap<JobId, Party>,
    pub rates: Rates,
    /// Somebody wants to hear of changes.
    pub watched: bool,
    /// The operator wants to have the keys of negotiations.
    pub log_keys: bool,
    next_id: u64,
    mm_ids: Numbers,
    qm_ids: Numbers,
}

/// Numbers that are reserved on disk and given in blocks: IDs of SAs.
#[derive(Clone, Debug, Default)]
struct Numbers {
    blocks: VecDeque<Range<u64>>,
    /// More were asked for.
    asked: bool,
}

/// When fewer IDs than this are left, more are asked for.
const IDS_LOW: u64 = 64;

impl Numbers {
    /// The next one; `None` when the daemon gave none in time. `true`: more are to be asked for.
    fn next(&mut self) -> (Option<u64>, bool) {
        let id = self.blocks.front_mut().and_then(Range::next);
        self.blocks.pop_front_if(|ids| ids.is_empty());
        // Whoever did not answer may have forgotten.
        self.asked &= id.is_some();
        let left = self.blocks.iter().map(|ids| ids.end - ids.start);
        let left = left.fold(0, u64::saturating_add);
        let ask = left < IDS_LOW && !self.asked;
        self.asked |= ask;
        (id, ask)
    }

    fn add(&mut self, ids: Range<u64>) {
        self.asked = false;
        if !ids.is_empty() {
            self.blocks.push_back(ids);
        }
    }
}

impl Core {
    pub(crate) fn new(config: EndpointConfig, now: Instant) -> Self {
        Core {
            connections: Vec::new(),
            names: Names::new(),
            rng: ChaCha20Rng::from_seed(config.seed),
            config,
            out: VecDeque::new(),
            jobs: BTreeMap::new(),
            rates: Rates::new(now),
            watched: false,
            log_keys: false,
            next_id: 0,
            mm_ids: Numbers::default(),
            qm_ids: Numbers::default(),
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
    pub(crate) fn start_job(&mut self, for_whom: Party, job: Job) -> Option<JobId> {
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
        let (id, ask) = self.mm_ids.next();
        if ask {
            self.out.push_back(Output::NeedMainModeIds);
        }
        id
    }

    /// The next Quick Mode SA ID; `None` when the daemon gave none in time.
    pub(crate) fn qm_id(&mut self) -> Option<u64> {
        let (id, ask) = self.qm_ids.next();
        if ask {
            self.out.push_back(Output::NeedQuickModeIds);
        }
        id
    }

    /// After which part of its lifetime an SA is replaced: the initiator does it first, so that both sides
    /// do not do it at once.
    pub(crate) fn rekey_part(&mut self, role: Role) -> f64 {
        let share = f64::from(self.rng.next_u32()) / f64::from(u32::MAX);
        match role {
            Role::Initiator => 0.85 + 0.05 * share,
            Role::Responder => 0.94 + 0.04 * share,
        }
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

    /// Tells one TRANSACTION of ours from another.
    pub(crate) fn identifier(&mut self) -> u16 {
        u16::try_from(self.rng.next_u32() >> 16).unwrap_or_default()
    }

    pub(crate) fn add_mm_ids(&mut self, ids: Range<u64>) {
        self.mm_ids.add(ids);
    }

    pub(crate) fn add_qm_ids(&mut self, ids: Range<u64>) {
        self.qm_ids.add(ids);
    }

    /// Takes all IDs away.
    #[cfg(test)]
    pub(crate) fn take_mm_ids(&mut self) {
        self.mm_ids.blocks.clear();
    }
}

/// How often what nobody authenticated may make us write or send: so often for each source, and in all.
#[derive(Clone, Debug)]
pub struct Rates {
    total: Bucket,
    verdicts: Bucket,
    gave_way: Bucket,
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
    /// Full ones.
    pub fn new(now: Instant) -> Self {
        Rates {
            total: Bucket::new(now, TOTAL_BURST),
            verdicts: Bucket::new(now, ALL_VERDICTS_BURST),
            gave_way: Bucket::new(now, ALL_VERDICTS_BURST),
            sources: BTreeMap::new(),
            shared: PerSource::new(now),
            search: now,
        }
    }

    /// Whether another event about a packet that is not as it should be, of this source, may be written: 4976, and
    /// whatever else tells of such packets.
    pub fn invalid(&mut self, now: Instant, source: IpAddr) -> bool {
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

    /// Whether another verdict of what gave way after message 3 may be written: whoever forges addresses has no part in that.
    pub(crate) fn gave_way(&mut self, now: Instant) -> bool {
        self.gave_way
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
