//! The log on a thread of its own: what waits goes to disk in one transaction.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SendError, Sender, SyncSender, TryRecvError, channel, sync_channel,
};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use audit::{Policy, Subject};

use crate::account::{Counters, Entry, Pending};
use crate::writer::now;
use crate::{LogError, Writer};

/// Entries that may wait for the disk. At the slowest disk worth having (100 transactions a second,
/// each of [`BATCH`] entries) this is a third of a second's worth.
pub const QUEUE: usize = 8192;
/// Most entries of one transaction: some two milliseconds of work, so that the first of them does not
/// wait long for the last.
pub const BATCH: usize = 256;
/// How long a transaction waits for company, where the one before it had some: a sync costs the same for
/// one event as for many. An event that comes alone never waits.
pub const GATHER: Duration = Duration::from_millis(4);
/// Entries that are company enough: with so many the sync is a small part of the work.
const COMPANY: usize = 32;
/// How often it is looked whether a full queue has room again: a transaction takes longer.
const LOOK_FOR_ROOM: Duration = Duration::from_millis(1);
/// How far the account on disk may lie behind for changes that have no record: they are written at once, but not by more
/// than one transaction in this time.
pub const ACCOUNT_DELAY: Duration = Duration::from_secs(1);

/// What is told when an entry is on disk: its record's ID, or none when it has no record.
type Done = Box<dyn FnOnce(Result<Option<u64>, LogError>) + Send>;
type Call = Box<dyn FnOnce(&mut Writer) + Send>;

#[expect(
    clippy::large_enum_variant,
    reason = "nearly every request is the largest"
)]
enum Request {
    Append(i64, Entry, Done),
    Call(Call),
    Close(SyncSender<Result<(), LogError>>),
}

/// The way to the thread. A channel's receiver spins for some microseconds before it sleeps, which at an
/// event at a time is a good part of what an event costs: this one is woken instead.
#[derive(Clone, Debug)]
struct Requests {
    /// `None` only while it is dropped.
    sender: Option<Sender<Request>>,
    /// Entries that wait, [`QUEUE`] at most. Each caller has one call beside them, whose answer it waits for.
    waiting: Arc<AtomicUsize>,
    thread: Thread,
}

impl Requests {
    fn send(&self, request: Request) -> Result<(), LogError> {
        let sent = match &self.sender {
            Some(sender) => sender.send(request).map_err(|_| LogError::Stopped),
            None => Err(LogError::Stopped),
        };
        self.thread.unpark();
        sent
    }

    fn has_room(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) < QUEUE
    }

    /// Never waits. Gives back who is to be told of an entry that was not taken, and why it was not.
    fn try_append(&self, time: i64, entry: Entry, done: Done) -> Result<(), (Done, LogError)> {
        let Some(sender) = &self.sender else {
            return Err((done, LogError::Stopped));
        };
        if self.waiting.fetch_add(1, Ordering::SeqCst) >= QUEUE {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            return Err((done, LogError::QueueFull));
        }
        let sent = sender.send(Request::Append(time, entry, done));
        if let Err(SendError(Request::Append(_, _, done))) = sent {
            return Err((done, LogError::Stopped));
        }
        self.thread.unpark();
        Ok(())
    }
}

impl Drop for Requests {
    /// The thread has to see that nobody is left.
    fn drop(&mut self) {
        self.sender = None;
        self.thread.unpark();
    }
}

/// A [`Writer`] on a thread of its own. An event waits for the transaction before it, and under load for
/// [`GATHER`] beyond that.
#[derive(Debug)]
pub struct Service {
    requests: Requests,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(writer: Writer) -> Result<Service, LogError> {
        let (sender, inbox) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let taken = waiting.clone();
        let directory = writer.options.directory.clone();
        let thread = thread::Builder::new()
            .name("eventlog".to_owned())
            .spawn(move || Worker::new(writer, taken).run(&inbox))
            .map_err(LogError::io("start the thread that writes", &directory))?;
        let requests = Requests {
            sender: Some(sender),
            waiting,
            thread: thread.thread().clone(),
        };
        Ok(Service {
            requests,
            thread: Some(thread),
        })
    }

    /// Hands in an entry. `on_done` is called once, from the log's thread or from this one, and must
    /// be quick: for an entry with a record, when it is on disk or has failed; for one without, when
    /// the log has taken it, since nothing waits for it (it is on disk within [`ACCOUNT_DELAY`], or
    /// with the next record).
    ///
    /// This never waits. When [`QUEUE`] entries wait already, `on_done` gets [`LogError::QueueFull`], and nothing of
    /// the entry counts; see [`Service::wait_for_room`].
    ///
    /// Gives the time of its record, in nanoseconds since 1970 UTC.
    pub fn submit(
        &self,
        entry: Entry,
        on_done: impl FnOnce(Result<Option<u64>, LogError>) + Send + 'static,
    ) -> i64 {
        let time = now();
        let taken = self.requests.try_append(time, entry, Box::new(on_done));
        if let Err((done, why)) = taken {
            done(Err(why));
        }
        time
    }

    /// Waits until there is room for an entry, for `patience` at most. Whoever calls this must hold nothing that a
    /// [`Caller::call`] may wait for: that one's turn may come before there is room.
    pub fn wait_for_room(&self, patience: Duration) {
        let begun = Instant::now();
        while !self.requests.has_room() && begun.elapsed() < patience {
            thread::sleep(LOOK_FOR_ROOM);
        }
    }

    /// [`Service::submit`], waiting until the entry is on disk. For callers that may wait.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn append(&self, entry: Entry) -> Result<Option<u64>, LogError> {
        let time = now();
        self.call(move |writer| {
            let appended = writer.append_stamped(&[(time, &entry)], &Pending::default())?;
            Ok(appended.ids.first().copied().flatten())
        })
    }

    /// [`Caller::call`].
    ///
    /// # Errors
    /// As there.
    pub fn call<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Writer) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        self.caller().call(f)
    }

    /// A way to the writer for another thread.
    pub fn caller(&self) -> Caller {
        Caller {
            requests: self.requests.clone(),
        }
    }

    /// [`Writer::reserve_mmsa_ids`].
    ///
    /// # Errors
    /// As there.
    pub fn reserve_mmsa_ids(&self, n: u64) -> Result<Range<u64>, LogError> {
        self.call(move |writer| writer.reserve_mmsa_ids(n))
    }

    /// [`Writer::reserve_qmsa_ids`].
    ///
    /// # Errors
    /// As there.
    pub fn reserve_qmsa_ids(&self, n: u64) -> Result<Range<u64>, LogError> {
        self.call(move |writer| writer.reserve_qmsa_ids(n))
    }

    /// [`Writer::give_mmsa_ids`].
    ///
    /// # Errors
    /// [`LogError::Stopped`].
    pub fn give_mmsa_ids(&self, n: u64) -> Result<Range<u64>, LogError> {
        self.call(move |writer| Ok(writer.give_mmsa_ids(n)))
    }

    /// [`Writer::give_qmsa_ids`].
    ///
    /// # Errors
    /// [`LogError::Stopped`].
    pub fn give_qmsa_ids(&self, n: u64) -> Result<Range<u64>, LogError> {
        self.call(move |writer| Ok(writer.give_qmsa_ids(n)))
    }

    /// [`Writer::filter_id`].
    ///
    /// # Errors
    /// As there.
    pub fn filter_id(&self, connection: &str) -> Result<u64, LogError> {
        let connection = connection.to_owned();
        self.call(move |writer| writer.filter_id(&connection))
    }

    /// [`Writer::counters`], with everything that was handed in before.
    ///
    /// # Errors
    /// [`LogError::Stopped`].
    pub fn counters(&self) -> Result<Counters, LogError> {
        self.call(|writer| Ok(writer.counters()))
    }

    /// [`Writer::policy`].
    ///
    /// # Errors
    /// As there.
    pub fn policy(&self) -> Result<Policy, LogError> {
        self.call(Writer::policy)
    }

    /// [`Writer::clear`].
    ///
    /// # Errors
    /// As there.
    pub fn clear(&self, subject: Subject, backup: Option<PathBuf>) -> Result<(), LogError> {
        self.call(move |writer| writer.clear(subject, backup.as_deref()))
    }

    /// Writes what waits, then 1100, and ends the thread.
    ///
    /// # Errors
    /// As [`Writer::close`].
    pub fn close(mut self) -> Result<(), LogError> {
        let (reply, answer) = sync_channel(1);
        self.requests.send(Request::Close(reply))?;
        let closed = answer.recv().map_err(|_| LogError::Stopped)?;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        closed
    }
}

/// A way to a [`Service`]'s writer, in turn with the entries. Works until the service is closed.
#[derive(Clone, Debug)]
pub struct Caller {
    requests: Requests,
}

impl Caller {
    /// Does something with the writer, in turn with the entries: everything handed in before is on
    /// disk by then. Waits for it.
    ///
    /// # Errors
    /// What `f` gives; [`LogError::Stopped`] when the thread has ended.
    pub fn call<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Writer) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let (reply, answer) = sync_channel(1);
        let call: Call = Box::new(move |writer| {
            let _ = reply.send(f(writer));
        });
        self.requests.send(Request::Call(call))?;
        answer.recv().map_err(|_| LogError::Stopped)?
    }
}

/// The thread's side.
struct Worker {
    writer: Writer,
    /// [`Requests::waiting`].
    waiting: Arc<AtomicUsize>,
    /// What goes into the next transaction.
    batch: Vec<(i64, Entry, Done)>,
    /// Account changes that wait for company.
    account: Pending,
    /// When the last transaction of such changes alone was.
    alone: Option<Instant>,
    /// The last transaction held more than one entry.
    crowded: bool,
}

impl Worker {
    fn new(writer: Writer, waiting: Arc<AtomicUsize>) -> Worker {
        Worker {
            writer,
            waiting,
            batch: Vec::new(),
            account: Pending::default(),
            alone: None,
            crowded: false,
        }
    }

    fn run(mut self, inbox: &Receiver<Request>) {
        let mut next: VecDeque<Request> = VecDeque::new();
        loop {
            let request = match next.pop_front() {
                Some(request) => request,
                None => match self.wait(inbox) {
                    Ok(request) => request,
                    Err(RecvTimeoutError::Timeout) => {
                        self.flush();
                        continue;
                    }
                    // Dropped without a close: what waits is written, 1100 is not.
                    Err(RecvTimeoutError::Disconnected) => return self.flush(),
                },
            };
            match request {
                Request::Append(time, entry, done) => {
                    self.take(time, entry, done);
                    next.extend(self.take_waiting(inbox));
                    if self.crowded && next.is_empty() && self.batch.len() < COMPANY {
                        thread::sleep(GATHER);
                        next.extend(self.take_waiting(inbox));
                    }
                    if !self.batch.is_empty() {
                        self.flush();
                    }
                }
                Request::Call(call) => {
                    self.flush();
                    call(&mut self.writer);
                }
                Request::Close(reply) => {
                    self.flush();
                    let _ = reply.send(self.writer.close());
                    return;
                }
            }
        }
    }

    /// Takes along everything that waits already, up to what is no entry.
    fn take_waiting(&mut self, inbox: &Receiver<Request>) -> Option<Request> {
        while self.batch.len() < BATCH {
            match inbox.try_recv().ok()? {
                Request::Append(time, entry, done) => self.take(time, entry, done),
                other => return Some(other),
            }
        }
        None
    }

    /// The next request; asleep until there is one, or until the account has waited long enough.
    fn wait(&self, inbox: &Receiver<Request>) -> Result<Request, RecvTimeoutError> {
        loop {
            match inbox.try_recv() {
                Ok(request) => return Ok(request),
                Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
                Err(TryRecvError::Empty) => {}
            }
            if self.account.is_empty() {
                thread::park();
                continue;
            }
            let left = self.alone.map_or(Duration::ZERO, |alone| {
                ACCOUNT_DELAY.saturating_sub(alone.elapsed())
            });
            if left.is_zero() {
                return Err(RecvTimeoutError::Timeout);
            }
            thread::park_timeout(left);
        }
    }

    fn take(&mut self, time: i64, entry: Entry, done: Done) {
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        if entry.record.is_some() {
            self.batch.push((time, entry, done));
        } else {
            for change in &entry.account {
                self.account.note(change);
            }
            done(Ok(None));
        }
    }

    /// One transaction with everything that waits.
    fn flush(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        self.crowded = batch.len() > 1;
        if batch.is_empty() && self.account.is_empty() {
            return;
        }
        if batch.is_empty() {
            self.account_alone();
        } else {
            self.append(batch);
        }
        // After those who waited were told. What fails here is tried again.
        let _ = self.writer.tidy();
    }

    /// Records, and the account with them.
    fn append(&mut self, batch: Vec<(i64, Entry, Done)>) {
        let entries: Vec<(i64, &Entry)> = batch
            .iter()
            .map(|(time, entry, _)| (*time, entry))
            .collect();
        match self.writer.append_stamped(&entries, &self.account) {
            Ok(appended) => {
                self.account = Pending::default();
                for ((_, _, done), id) in batch.into_iter().zip(appended.ids) {
                    done(Ok(id));
                }
            }
            Err(error) => {
                for (_, _, done) in batch {
                    done(Err(error.clone()));
                }
                self.account_alone();
            }
        }
    }

    /// Nothing comes with it, or records were refused: the account is kept all the same, now or a little later.
    fn account_alone(&mut self) {
        if self.account.is_empty() {
            return;
        }
        self.alone = Some(Instant::now());
        if self.writer.append_stamped(&[], &self.account).is_ok() {
            self.account = Pending::default();
        }
    }
}
