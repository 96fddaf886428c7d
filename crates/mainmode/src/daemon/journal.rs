//! The way of an event to the log: the policy's filter, the account, and what happens when the log
//! cannot be written.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use audit::{Event, Extra, Policy, QuickModeEnded};
use eventlog::{AccountChange, Counters, Entry, LiveIpsecSa, LiveSa, LogError, Service};
use jiff::Timestamp;
use keying::{Account, AuditOutput, Ticket};

use crate::config::WhenUnwritable;

/// How long what was held back is gathered before one 4612 tells of it.
const DISCARDED_EVERY: Duration = Duration::from_mins(1);
/// How long account changes without event wait for one to go with: waking the log's thread for them alone
/// costs as much as the event's own way there.
const ACCOUNT_HOLD: Duration = Duration::from_millis(50);
/// How long account changes wait that the log's queue had no room for.
const AGAIN: Duration = Duration::from_millis(100);

/// How long an event waits for room in the log's queue, and everything else behind it, while the log can be written: many SAs
/// may end at once, and each is owed its event. Longer than any transaction takes on a disk that works; a peer's
/// retransmissions cover it.
const ROOM: Duration = Duration::from_secs(2);
/// The same at the end, when there is nothing else to do.
const ROOM_AT_THE_END: Duration = Duration::from_secs(20);

/// In the operator's words.
const NEWEST_REMOVED: &str = "the log's newest file was removed, and its records with it: `mainmode log verify` says which \
     records it followed";

/// What an event meant for its ticket.
pub type Told = Arc<dyn Fn(Ticket, bool) + Send + Sync>;

/// See the module.
pub struct Journal {
    service: Service,
    policy: Arc<RwLock<Policy>>,
    when_unwritable: WhenUnwritable,
    patience: Duration,
    told: Told,
    trouble: Arc<Trouble>,
    unrecorded: Arc<Unrecorded>,
    /// When changes that found no event to go with are handed in.
    hand_in: Option<Instant>,
    discarded_since: Option<Instant>,
}

/// Account changes that have no event, or whose event could not be written: they count all the same.
/// They go with the next event, so that the account on disk knows no end without its beginning.
#[derive(Debug, Default)]
struct Unrecorded(Mutex<Changes>);

/// Changes in no more memory than the SAs need of which they tell: strangers can make the others without end.
#[derive(Debug, Default)]
struct Changes {
    counted: Counters,
    of_sas: Vec<AccountChange>,
}

impl Changes {
    fn add(&mut self, change: AccountChange) {
        if change.names_an_sa() {
            self.of_sas.push(change);
        } else {
            self.counted.apply(&change);
        }
    }

    fn is_empty(&self) -> bool {
        self.counted == Counters::default() && self.of_sas.is_empty()
    }
}

impl Unrecorded {
    fn with<T>(&self, f: impl FnOnce(&mut Changes) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, changes: impl IntoIterator<Item = AccountChange>) {
        self.with(|held| changes.into_iter().for_each(|change| held.add(change)));
    }

    fn take(&self) -> Vec<AccountChange> {
        let Changes { counted, of_sas } = self.with(std::mem::take);
        let counted = (counted != Counters::default()).then_some(AccountChange::Counted(counted));
        counted.into_iter().chain(of_sas).collect()
    }

    /// Puts back what was taken, before what came since.
    fn put_back(&self, taken: Vec<AccountChange>) {
        self.with(|held| {
            let since = std::mem::take(&mut held.of_sas);
            taken
                .into_iter()
                .chain(since)
                .for_each(|change| held.add(change));
        });
    }

    fn is_empty(&self) -> bool {
        self.with(|held| held.is_empty())
    }
}

/// What went wrong with the log.
#[derive(Debug, Default)]
pub struct Trouble {
    /// Events that the policy asks for and that are not in the log; for the next 4612.
    discarded: AtomicU64,
    /// Events of this start that were counted and not written.
    held_back: AtomicU64,
    unwritable: AtomicBool,
    /// Somebody took the newest of the log's files away before this start.
    newest_removed: AtomicBool,
    /// The log can be written again: time to tell what it missed.
    tell: AtomicBool,
    why: Mutex<String>,
}

impl Trouble {
    /// The log could not be written.
    pub fn note(&self, error: &LogError) {
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = crate::with_causes(error);
        if !self.unwritable.swap(true, Ordering::SeqCst) {
            let why = crate::with_causes(error);
            super::say(&format!("the log cannot be written: {why}"));
        }
    }

    /// The log was written.
    pub fn over(&self) {
        if self.unwritable.swap(false, Ordering::SeqCst) {
            self.tell.store(true, Ordering::SeqCst);
            super::say("the log can be written again");
        }
    }

    /// Events that the policy asks for were not written, and never will be.
    pub fn lose(&self, events: u64) {
        self.discarded.fetch_add(events, Ordering::SeqCst);
        self.held_back.fetch_add(events, Ordering::SeqCst);
    }

    /// Events that an earlier start owed were not written, or not told of: the account has them already.
    pub fn missed(&self, events: u64) {
        self.discarded.fetch_add(events, Ordering::SeqCst);
        // They have waited long enough.
        self.tell.store(true, Ordering::SeqCst);
    }

    /// Events of this start that were counted and not written.
    pub fn held_back(&self) -> u64 {
        self.held_back.load(Ordering::SeqCst)
    }

    /// Somebody took the newest of the log's files away.
    pub fn newest_was_removed(&self) {
        self.newest_removed.store(true, Ordering::SeqCst);
        super::say(NEWEST_REMOVED);
    }

    /// What the operator must know of that.
    pub fn removal_alert(&self) -> Option<String> {
        let removed = self.newest_removed.load(Ordering::SeqCst);
        removed.then(|| NEWEST_REMOVED.to_owned())
    }

    /// What the operator must know, if the log cannot be written now.
    pub fn alert(&self) -> Option<String> {
        self.unwritable.load(Ordering::SeqCst).then(|| {
            let why = self.why.lock().unwrap_or_else(PoisonError::into_inner);
            format!("the log cannot be written: {why}")
        })
    }
}

impl Journal {
    /// A journal that writes to `service` what `policy` asks for, and says of each ticket whether its
    /// event is durable.
    pub fn new(
        service: Service,
        policy: Arc<RwLock<Policy>>,
        when_unwritable: WhenUnwritable,
        told: Told,
        trouble: Arc<Trouble>,
    ) -> Self {
        Journal {
            service,
            policy,
            when_unwritable,
            patience: ROOM,
            told,
            trouble,
            unrecorded: Arc::default(),
            hand_in: None,
            discarded_since: None,
        }
    }

    /// From now on this happens when the log cannot be written.
    pub fn when_unwritable(&mut self, when: WhenUnwritable) {
        self.when_unwritable = when;
    }

    /// From now on nobody waits for anything but the log.
    pub fn ends(&mut self) {
        self.patience = ROOM_AT_THE_END;
    }

    /// How long an event may wait for room: not at all behind a log that took nothing for as long before.
    fn patience(&self) -> Duration {
        if self.trouble.unwritable.load(Ordering::SeqCst) {
            Duration::ZERO
        } else {
            self.patience
        }
    }

    /// Numbers for so many Main Mode SAs: none where the log cannot be written and has to be, as with Quick Mode's.
    pub fn mmsa_ids(&self, n: u64) -> Range<u64> {
        let reserved = self.service.reserve_mmsa_ids(n);
        self.or_given(reserved, || self.service.give_mmsa_ids(n))
    }

    /// Numbers for so many Quick Mode SAs.
    pub fn qmsa_ids(&self, n: u64) -> Range<u64> {
        let reserved = self.service.reserve_qmsa_ids(n);
        self.or_given(reserved, || self.service.give_qmsa_ids(n))
    }

    fn or_given(
        &self,
        reserved: Result<Range<u64>, LogError>,
        give: impl FnOnce() -> Result<Range<u64>, LogError>,
    ) -> Range<u64> {
        reserved.unwrap_or_else(|error| {
            self.trouble.note(&error);
            match self.when_unwritable {
                WhenUnwritable::Refuse => 0..0,
                WhenUnwritable::Continue => give().unwrap_or(0..0),
            }
        })
    }

    /// The log's troubles.
    pub fn trouble(&self) -> Arc<Trouble> {
        self.trouble.clone()
    }

    /// The log.
    #[cfg(test)]
    fn service(&self) -> &Service {
        &self.service
    }

    /// Takes an event of the endpoint. Gives the time that it has.
    pub fn audit(&self, output: AuditOutput) -> Timestamp {
        let AuditOutput {
            ticket,
            event,
            activity,
            extra,
        } = output;
        self.wait_for_room(event.id());
        // Held until the event is handed in: it is of the time before a change of policy, or after.
        let policy = self.policy.read().unwrap_or_else(PoisonError::into_inner);
        let asked = policy.asks_for(event.id());
        let establishes = event.main_mode_established().is_some()
            || matches!(event, Event::QuickModeEstablished(_));
        let own = account_of(&event, asked, activity, &extra);
        let told = self.told.clone();
        if !asked {
            // Durable at once; the account follows on its own time.
            self.unrecorded.add(own);
            told(ticket, true);
            return Timestamp::now();
        }
        let refuses = establishes && self.when_unwritable == WhenUnwritable::Refuse;
        let before = self.unrecorded.take();
        let entry = Entry {
            record: Some(event.into_record(activity, extra)),
            account: before.iter().chain(&own).cloned().collect(),
        };
        let (trouble, unrecorded) = (self.trouble.clone(), self.unrecorded.clone());
        self.write(entry, move |written| {
            if !written {
                let mut account = before;
                // What is refused never was: its negotiation gets another event.
                if !refuses {
                    account.extend(own.into_iter().map(without_event));
                    account.extend(discarded(1));
                    trouble.lose(1);
                }
                unrecorded.put_back(account);
            }
            told(ticket, written || !refuses);
        })
    }

    /// Waits for room for such an event, if the policy asks for it, and holds nothing meanwhile.
    fn wait_for_room(&self, event_id: u16) {
        let policy = self.policy.read().unwrap_or_else(PoisonError::into_inner);
        let asked = policy.asks_for(event_id);
        drop(policy);
        if asked {
            self.service.wait_for_room(self.patience());
        }
    }

    /// Hands in an entry with a record, which never waits. `done` hears whether it was written. Gives the record's time.
    fn write(&self, entry: Entry, done: impl FnOnce(bool) + Send + 'static) -> Timestamp {
        let trouble = self.trouble.clone();
        let time = self.service.submit(entry, move |written| {
            match &written {
                Ok(_) => trouble.over(),
                Err(error) => trouble.note(error),
            }
            done(written.is_ok());
        });
        Timestamp::from_nanosecond(time.into()).unwrap_or_else(|_| Timestamp::now())
    }

    /// Takes a change of the account that has no event.
    pub fn account(&self, change: Account) {
        match change {
            Account::Started => self.unrecorded.add([AccountChange::Started]),
            Account::FailedHeldBack => {
                self.unrecorded.add([AccountChange::Failed]);
                self.held_back(4653, 1);
            }
            Account::InvalidHeldBack => self.held_back(4976, 1),
            Account::InvalidQuickModeHeldBack => self.held_back(4977, 1),
            Account::QuickModeStarted => self.unrecorded.add([AccountChange::QuickModeStarted]),
        }
    }

    /// So many events were held back. They count for 4612 only if they would have been written.
    pub fn held_back(&self, event_id: u16, count: u64) {
        let policy = self.policy.read().unwrap_or_else(PoisonError::into_inner);
        if policy.asks_for(event_id) {
            self.unrecorded.add(discarded(count));
            self.trouble.lose(count);
        } else {
            self.unrecorded.add([AccountChange::HeldBack(count)]);
            self.trouble.held_back.fetch_add(count, Ordering::SeqCst);
        }
    }

    /// An event of the daemon itself. Written if the policy asks for it.
    pub fn own(&self, event: Event) {
        self.own_with(event, Extra::default());
    }

    /// The same, with what is known beside it.
    pub fn own_with(&self, event: Event, extra: Extra) {
        self.wait_for_room(event.id());
        let policy = self.policy.read().unwrap_or_else(PoisonError::into_inner);
        if policy.asks_for(event.id()) {
            let record = Some(event.into_record(None, extra));
            let (trouble, unrecorded) = (self.trouble.clone(), self.unrecorded.clone());
            let account = Vec::new();
            self.write(Entry { record, account }, move |written| {
                if !written {
                    unrecorded.add(discarded(1));
                    trouble.lose(1);
                }
            });
        }
    }

    /// Does what is due: hands in account changes without event, and tells of events that were
    /// discarded (4612): once in a while, and as soon as a log can be written again. Gives when it
    /// wants to be called again.
    pub fn tick(&mut self, now: Instant, at_once: bool) -> Option<Instant> {
        self.hand_in(now, at_once);
        let tell = self.tell_discarded(now, at_once);
        [self.hand_in, tell].into_iter().flatten().min()
    }

    fn hand_in(&mut self, now: Instant, at_once: bool) {
        if self.unrecorded.is_empty() {
            self.hand_in = None;
            return;
        }
        let due = *self.hand_in.get_or_insert(now + ACCOUNT_HOLD);
        if !at_once && now < due {
            return;
        }
        self.hand_in = None;
        let account = self.unrecorded.take();
        let (unrecorded, kept) = (self.unrecorded.clone(), account.clone());
        let record = None;
        self.service
            .submit(Entry { record, account }, move |taken| {
                if taken.is_err() {
                    unrecorded.put_back(kept);
                }
            });
        // Whether the log's queue has room for it is known by now.
        if !self.unrecorded.is_empty() {
            self.hand_in = Some(now + AGAIN);
        }
    }

    fn tell_discarded(&mut self, now: Instant, at_once: bool) -> Option<Instant> {
        let again = self.trouble.tell.swap(false, Ordering::SeqCst);
        let discarded = self.trouble.discarded.load(Ordering::SeqCst);
        if discarded == 0 {
            self.discarded_since = None;
            return None;
        }
        let since = *self.discarded_since.get_or_insert(now);
        if !at_once && !again && now < since + DISCARDED_EVERY {
            return Some(since + DISCARDED_EVERY);
        }
        self.discarded_since = Some(now);
        // What is discarded meanwhile is told with the next one.
        let told = u64::from(u32::try_from(discarded).unwrap_or(u32::MAX));
        self.trouble.discarded.fetch_sub(told, Ordering::SeqCst);
        let count = u32::try_from(told).unwrap_or(u32::MAX);
        let record = Some(Event::AuditsDiscarded(count).into_record(None, Extra::default()));
        let account = vec![AccountChange::DiscardedTold(told)];
        self.service.wait_for_room(self.patience());
        let trouble = self.trouble.clone();
        self.write(Entry { record, account }, move |written| {
            if !written {
                trouble.discarded.fetch_add(told, Ordering::SeqCst);
            }
        });
        Some(now + DISCARDED_EVERY)
    }

    /// Writes what is left to write and ends the log's thread (1100).
    ///
    /// # Errors
    ///
    /// What the log says.
    pub fn close(mut self) -> Result<(), LogError> {
        self.tick(Instant::now(), true);
        let closed = self.service.close();
        let events = self.trouble.discarded.load(Ordering::SeqCst);
        if events > 0 {
            super::say(&format!(
                "{events} events that the audit policy asks for are not in the log"
            ));
        }
        closed
    }
}

/// What an event means for the account. Only an SA whose 4650 is written is owed a 4655 after a crash, and
/// only an IPsec SA whose 5451 is, a 5452.
fn account_of(
    event: &Event,
    recorded: bool,
    activity: Option<audit::ActivityId>,
    extra: &Extra,
) -> Vec<AccountChange> {
    if let Some(established) = event.main_mode_established() {
        let live = activity.filter(|_| recorded).map(|activity| LiveSa {
            mmsa_id: established.mmsa_id,
            local: established.local.ip(),
            remote: established.remote.ip(),
            key_mod: established.key_mod,
            activity,
            connection: extra.connection.clone(),
        });
        return vec![AccountChange::Established(live)];
    }
    if event.main_mode_failed().is_some() {
        return vec![AccountChange::Failed];
    }
    match event {
        Event::MainModeEnded(ended) => vec![AccountChange::Ended {
            mmsa_id: ended.mmsa_id,
        }],
        Event::QuickModeEstablished(established) => {
            let live = activity.filter(|_| recorded).map(|activity| LiveIpsecSa {
                end: QuickModeEnded {
                    local: established.local,
                    remote: established.remote,
                    mode: established.mode,
                    protocol: established.protocol,
                    qmsa_id: established.qmsa_id,
                },
                activity,
                connection: extra.connection.clone(),
            });
            vec![AccountChange::QuickModeEstablished(live)]
        }
        Event::QuickModeFailed(_) => vec![AccountChange::QuickModeFailed],
        Event::QuickModeEnded(ended) => vec![AccountChange::QuickModeEnded {
            qmsa_id: ended.qmsa_id,
        }],
        _ => Vec::new(),
    }
}

/// So many events that the policy asks for are not in the log.
pub fn discarded(events: u64) -> [AccountChange; 2] {
    [
        AccountChange::HeldBack(events),
        AccountChange::Discarded(events),
    ]
}

/// The same change for an entry without record.
fn without_event(change: AccountChange) -> AccountChange {
    match change {
        AccountChange::Established(_) => AccountChange::Established(None),
        AccountChange::QuickModeEstablished(_) => AccountChange::QuickModeEstablished(None),
        other => other,
    }
}

#[cfg(test)]
mod tests;
