//! The workers: threads that do the keying endpoint's jobs, with the keys that it does not have.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crypto::{Group, Secret};
use keying::{CredentialId, Credentials, Job, JobId, JobResult};

/// The keys, by handle.
#[derive(Debug, Default)]
pub struct Keyring(BTreeMap<CredentialId, Secret>);

impl Keyring {
    /// Takes a key in, and gives its handle: one and the same for the same key, so that connections
    /// that share a key are known to.
    pub fn add(&mut self, secret: &Secret) -> CredentialId {
        let known = self.0.iter().find(|(_, known)| {
            known.len() == secret.len() && crypto::ct_eq(known.as_bytes(), secret.as_bytes())
        });
        if let Some((id, _)) = known {
            return *id;
        }
        let id = CredentialId(u32::try_from(self.0.len()).unwrap_or(u32::MAX));
        self.0.insert(id, secret.clone());
        id
    }
}

impl Credentials for Keyring {
    fn preshared_key(&self, id: CredentialId) -> Option<&Secret> {
        self.0.get(&id)
    }
}

/// Jobs that wait. A channel's receiver would spin for some microseconds before it sleeps, as much as a
/// tenth of what a job takes.
#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The endpoint bounds how many there are.
    jobs: VecDeque<(JobId, Job)>,
    over: bool,
}

impl Queue {
    fn change(&self, change: impl FnOnce(&mut Waiting)) {
        change(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The next job; `None` when there will be no more.
    fn next(&self) -> Option<(JobId, Job)> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = self
            .more
            .wait_while(waiting, |waiting| waiting.jobs.is_empty() && !waiting.over)
            .unwrap_or_else(PoisonError::into_inner);
        waiting.jobs.pop_front()
    }
}

/// Threads that do jobs.
#[derive(Debug)]
pub struct Workers {
    queue: Arc<Queue>,
    keyring: Arc<Keyring>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts a worker for each core. `done` is called on their threads.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn start(
        keyring: Keyring,
        done: impl Fn(JobId, JobResult) + Clone + Send + 'static,
    ) -> std::io::Result<Self> {
        let keyring = Arc::new(keyring);
        let count = thread::available_parallelism().map_or(1, usize::from);
        let mut workers = Workers {
            queue: Arc::default(),
            keyring: keyring.clone(),
            threads: Vec::with_capacity(count),
        };
        for number in 0..count {
            let (queue, keyring, done) = (workers.queue.clone(), keyring.clone(), done.clone());
            let worker = thread::Builder::new().name(format!("worker-{number}"));
            workers.threads.push(worker.spawn(move || {
                while let Some((id, job)) = queue.next() {
                    done(id, job.run(&*keyring));
                }
            })?);
        }
        Ok(workers)
    }

    /// Hands out jobs. When all workers have panicked, they run into their time-outs.
    pub fn submit(&self, jobs: Vec<(JobId, Job)>) {
        let count = jobs.len();
        self.queue.change(|waiting| waiting.jobs.extend(jobs));
        for _ in 0..count.min(self.threads.len()) {
            self.queue.more.notify_one();
        }
    }

    /// Does a job on this thread.
    pub fn run_here(&self, job: &Job) -> JobResult {
        job.run(&*self.keyring)
    }

    /// Whether a job is short enough for a thread that others wait for: a tenth of a millisecond or two.
    pub fn is_short(job: &Job) -> bool {
        match job {
            Job::MakeShare { group } | Job::Agree { group, .. } => is_quick(*group),
            Job::Derive(derive) => is_quick(derive.group),
        }
    }
}

fn is_quick(group: Group) -> bool {
    matches!(group, Group::X25519 | Group::Ecp256)
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.queue.change(|waiting| waiting.over = true);
        self.queue.more.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
