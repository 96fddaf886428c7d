//! The way of an event to the log: the policy's filter, the account, and what happens when the log
//! cannot be written.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use audit::{Event, Extra, Policy};
use eventlog::{AccountChange, Entry, LiveSa, LogError, Service};
use keying::{Account, AuditOutput, Ticket};

use crate::config::WhenUnwritable;

/// How long what was held back is gathered before one 4612 tells of it.
const DISCARDED_EVERY: Duration = Duration::from_secs(60);

/// What an event meant for its ticket.
pub type Told = Arc<dyn Fn(Ticket, bool) + Send + Sync>;

/// See the module.
pub struct Journal {
    service: Service,
    policy: Arc<RwLock<Policy>>,
    when_unwritable: WhenUnwritable,
    told: Told,
    trouble: Arc<Trouble>,
    /// Account changes whose event could not be written: they count all the same.
    unrecorded: Arc<Mutex<Vec<AccountChange>>>,
    discarded_since: Option<Instant>,
}

/// What went wrong with the log.
#[derive(Debug, Default)]
pub struct Trouble {
    /// Events that the policy asks for and that are not in the log; for the next 4612.
    discarded: AtomicU64,
    unwritable: AtomicBool,
    why: Mutex<String>,
}

impl Trouble {
    /// The log could not be written.
    pub fn note(&self, error: &LogError) {
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = crate::with_causes(error);
        if !self.unwritable.swap(true, Ordering::SeqCst) {
            eprintln!(
                "mainmode: the log cannot be written: {}",
                crate::with_causes(error)
            );
        }
    }

    fn over(&self) {
        if self.unwritable.swap(false, Ordering::SeqCst) {
            eprintln!("mainmode: the log can be written again");
        }
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
    ) -> Self {
        Journal {
            service,
            policy,
            when_unwritable,
            told,
            trouble: Arc::default(),
            unrecorded: Arc::default(),
            discarded_since: None,
        }
    }

    /// The log's troubles.
    pub fn trouble(&self) -> Arc<Trouble> {
        self.trouble.clone()
    }

    /// The log.
    pub fn service(&self) -> &Service {
        &self.service
    }

    fn asks_for(&self, event_id: u16) -> bool {
        self.policy
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .asks_for(event_id)
    }

    /// Takes an event of the endpoint.
    pub fn audit(&self, output: AuditOutput) {
        let AuditOutput {
            ticket,
            event,
            activity,
            extra,
        } = output;
        let asked = self.asks_for(event.id());
        let establishes = matches!(event, Event::MainModeEstablished(_));
        let account = account_of(&event, asked, activity, &extra);
        let told = self.told.clone();
        if !asked {
            // Durable at once; the account follows on its own time.
            self.service.submit(
                Entry {
                    record: None,
                    account,
                },
                |_| (),
            );
            told(ticket, true);
            return;
        }
        let refuses = establishes && self.when_unwritable == WhenUnwritable::Refuse;
        let entry = Entry {
            record: Some(event.into_record(activity, extra)),
            account: account.clone(),
        };
        let trouble = self.trouble.clone();
        let unrecorded = self.unrecorded.clone();
        self.service.submit(entry, move |written| match written {
            Ok(_) => {
                trouble.over();
                told(ticket, true);
            }
            Err(error) => {
                trouble.note(&error);
                trouble.discarded.fetch_add(1, Ordering::SeqCst);
                if !refuses {
                    let account = account.into_iter().map(without_event);
                    unrecorded
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .extend(account);
                }
                told(ticket, !refuses);
            }
        });
    }
    /// Takes a change of the account that has no event.
    pub fn account(&self, change: Account) {
        let account = match change {
            Account::Started => vec![AccountChange::Started],
            Account::FailedHeldBack => {
                self.held_back(4653);
                vec![AccountChange::Failed, AccountChange::HeldBack(1)]
            }
            Account::InvalidHeldBack => {
                self.held_back(4976);
                vec![AccountChange::HeldBack(1)]
            }
        };
        self.unrecorded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(account);
    }

    fn held_back(&self, event_id: u16) {
        if self.asks_for(event_id) {
            self.trouble.discarded.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// An event of the daemon itself. Written if the policy asks for it.
    pub fn own(&self, event: Event) {
        if self.asks_for(event.id()) {
            let record = Some(event.into_record(None, Extra::default()));
            let trouble = self.trouble.clone();
            self.service.submit(
                Entry {
                    record,
                    account: Vec::new(),
                },
                move |written| match written {
                    Ok(_) => trouble.over(),
                    Err(error) => trouble.note(&error),
                },
            );
        }
    }

    /// Does what is due: hands in account changes without event, and tells of events that were
    /// discarded (4612). Gives when it wants to be called again.
    pub fn tick(&mut self, now: Instant, at_once: bool) -> Option<Instant> {
        let account = std::mem::take(
            &mut *self
                .unrecorded
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        if !account.is_empty() {
            let unrecorded = self.unrecorded.clone();
            let again = account.clone();
            self.service.submit(
                Entry {
                    record: None,
                    account,
                },
                move |taken| {
                    if taken.is_err() {
                        unrecorded
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .extend(again);
                    }
                },
            );
        }
        let discarded = self.trouble.discarded.load(Ordering::SeqCst);
        if discarded == 0 {
            self.discarded_since = None;
            return None;
        }
        let since = *self.discarded_since.get_or_insert(now);
        if !at_once && now < since + DISCARDED_EVERY {
            return Some(since + DISCARDED_EVERY);
        }
        self.discarded_since = None;
        self.trouble
            .discarded
            .fetch_sub(discarded, Ordering::SeqCst);
        let count = u32::try_from(discarded).unwrap_or(u32::MAX);
        let record = Some(Event::AuditsDiscarded(count).into_record(None, Extra::default()));
        let trouble = self.trouble.clone();
        self.service.submit(
            Entry {
                record,
                account: Vec::new(),
            },
            move |written| {
                if written.is_err() {
                    // Told with the next one.
                    trouble.discarded.fetch_add(discarded, Ordering::SeqCst);
                }
            },
        );
        Some(now + DISCARDED_EVERY)
    }

    /// Writes what is left to write and ends the log's thread (1100).
    ///
    /// # Errors
    ///
    /// What the log says.
    pub fn close(mut self) -> Result<(), LogError> {
        self.tick(Instant::now(), true);
        self.service.close()
    }
}

/// What an event means for the account. Only an SA whose 4650 is written is owed a 4655 after a crash.
fn account_of(
    event: &Event,
    recorded: bool,
    activity: Option<audit::ActivityId>,
    extra: &Extra,
) -> Vec<AccountChange> {
    match event {
        Event::MainModeEstablished(established) => {
            let live = activity.filter(|_| recorded).map(|activity| LiveSa {
                mmsa_id: established.mmsa_id,
                local: established.local.ip(),
                remote: established.remote.ip(),
                key_mod: established.key_mod,
                activity,
                connection: extra.connection.clone(),
            });
            vec![AccountChange::Established(live)]
        }
        Event::MainModeFailed(_) => vec![AccountChange::Failed],
        Event::MainModeEnded(ended) => vec![AccountChange::Ended {
            mmsa_id: ended.mmsa_id,
        }],
        _ => Vec::new(),
    }
}

/// The same change for an entry without record.
fn without_event(change: AccountChange) -> AccountChange {
    match change {
        AccountChange::Established(_) => AccountChange::Established(None),
        other => other,
    }
}
