//! The workers: threads that do the keying endpoint's jobs, with the keys that it does not have.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crypto::Secret;
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

    /// Hands out a job. When all workers have panicked, it runs into its time-out.
    pub fn submit(&self, id: JobId, job: Job) {
        self.queue
            .change(|waiting| waiting.jobs.push_back((id, job)));
        self.queue.more.notify_one();
    }
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
