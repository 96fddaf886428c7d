//! The workers: threads that do the keying endpoint's jobs, with the keys that it does not have.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::thread::{self, JoinHandle};

use crypto::cert::Evidence;
use crypto::{Group, Secret};
use keying::{CredentialId, Credentials, Job, JobId, JobResult, SignatureCredentials, User};

use super::revocation::{Fetchers, Known};
use crate::config::SignatureAuth;

/// The keys, by handle.
#[derive(Debug, Default)]
pub struct Keyring {
    keys: Keyrings,
    /// Those of the keyring before this one, whose handles are kept for the same keys.
    former: Keyrings,
    /// No handle is ever used for two keys.
    next: u32,
    revocation: Arc<Known>,
}

/// Keys of each kind.
#[derive(Clone, Debug, Default)]
struct Keyrings {
    shared: BTreeMap<CredentialId, Secret>,
    signatures: BTreeMap<CredentialId, SignatureAuth>,
    users: BTreeMap<CredentialId, Vec<User>>,
}

impl Keyring {
    /// An empty keyring that gives a key the handle which it has in this one.
    pub fn successor(&self) -> Self {
        Keyring {
            keys: Keyrings::default(),
            former: self.keys.clone(),
            next: self.next,
            revocation: self.revocation.clone(),
        }
    }

    /// Takes a pre-shared key in, and gives its handle: one and the same for the same key, so that connections
    /// that share a key are known to.
    pub fn add(&mut self, secret: &Secret) -> CredentialId {
        let same = |(_, known): &(&CredentialId, &Secret)| {
            known.len() == secret.len() && crypto::ct_eq(known.as_bytes(), secret.as_bytes())
        };
        let known = self
            .keys
            .shared
            .iter()
            .chain(&self.former.shared)
            .find(same);
        let known = known.map(|(id, _)| *id);
        let id = known.unwrap_or_else(|| self.new_handle());
        self.keys.shared.entry(id).or_insert_with(|| secret.clone());
        id
    }

    /// Takes in what a way to authenticate by signatures needs: the same handle for the same files.
    pub fn add_signatures(&mut self, way: &SignatureAuth) -> CredentialId {
        let same = |(_, known): &(&CredentialId, &SignatureAuth)| known.contents == way.contents;
        let all = self.keys.signatures.iter().chain(&self.former.signatures);
        let known = all.into_iter().find(same).map(|(id, _)| *id);
        let id = known.unwrap_or_else(|| self.new_handle());
        self.keys.signatures.insert(id, way.clone());
        id
    }

    /// Takes users of XAUTH in: the same handle for the same ones.
    pub fn add_users(&mut self, users: &[User]) -> CredentialId {
        let same_user = |a: &User, b: &User| {
            a.name == b.name && crypto::ct_eq(a.password.as_bytes(), b.password.as_bytes())
        };
        let same = |(_, known): &(&CredentialId, &Vec<User>)| {
            known.len() == users.len() && known.iter().zip(users).all(|(a, b)| same_user(a, b))
        };
        let mut all = self.keys.users.iter().chain(&self.former.users);
        let known = all.find(same).map(|(id, _)| *id);
        let id = known.unwrap_or_else(|| self.new_handle());
        self.keys.users.insert(id, users.to_vec());
        id
    }

    fn new_handle(&mut self) -> CredentialId {
        let id = CredentialId(self.next);
        self.next = self.next.saturating_add(1);
        id
    }

    /// Forgets the keys of the keyring before, but for those that were taken in again.
    pub fn forget_former(&mut self) {
        self.former = Keyrings::default();
    }
}

impl Credentials for Keyring {
    fn preshared_key(&self, id: CredentialId) -> Option<&Secret> {
        self.keys.shared.get(&id)
    }

    fn signatures(&self, id: CredentialId) -> Option<&SignatureCredentials> {
        self.keys.signatures.get(&id).map(|way| &way.credentials)
    }

    fn users(&self, id: CredentialId) -> Option<&[User]> {
        self.keys.users.get(&id).map(Vec::as_slice)
    }

    fn fetched(&self) -> Arc<Evidence> {
        self.revocation.evidence()
    }

    fn at(&self) -> i64 {
        crate::unix_seconds()
    }
}

/// The keyring in use, which another configuration replaces.
#[derive(Clone, Debug, Default)]
pub struct Keys(Arc<RwLock<Arc<Keyring>>>);

impl Keys {
    /// That keyring.
    pub fn now(&self) -> Arc<Keyring> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// From now on it is this one.
    pub fn replace(&self, mut keyring: Keyring) {
        keyring.forget_former();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keyring);
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
    keys: Keys,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts a worker for each core. `done` is called on their threads.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn start(
        keys: &Keys,
        done: impl Fn(JobId, JobResult) + Clone + Send + 'static,
    ) -> std::io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, usize::from);
        let fetchers = Arc::new(Fetchers::new(keys.now().revocation.clone()));
        let mut workers = Workers {
            queue: Arc::default(),
            keys: keys.clone(),
            threads: Vec::with_capacity(count),
        };
        for number in 0..count {
            let (queue, keys, done) = (workers.queue.clone(), keys.clone(), done.clone());
            let fetchers = fetchers.clone();
            let worker = thread::Builder::new().name(format!("worker-{number}"));
            workers.threads.push(worker.spawn(move || {
                while let Some((id, job)) = queue.next() {
                    if matches!(job, Job::CheckPeer { .. }) {
                        fetchers.refresh();
                    }
                    match job.run(&*keys.now()) {
                        JobResult::NeedsFetch(places) => {
                            let (keys, done) = (keys.clone(), done.clone());
                            fetchers.fetch(places, move || {
                                done(id, without_fetching(job).run(&*keys.now()));
                            });
                        }
                        result => done(id, result),
                    }
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
        job.run(&*self.keys.now())
    }

    /// Whether a job is short enough for a thread that others wait for: a tenth of a millisecond or two.
    pub fn is_short(job: &Job) -> bool {
        match job {
            Job::MakeShare { group } | Job::Agree { group, .. } => is_quick(*group),
            Job::Derive(derive) => is_quick(derive.group),
            Job::FetchUser { .. } => true,
            // A token may take its time, a chain may be long, and there may be many users.
            Job::Sign { .. } | Job::CheckPeer { .. } | Job::CheckUser { .. } => false,
        }
    }
}

fn is_quick(group: Group) -> bool {
    matches!(group, Group::X25519 | Group::Ecp256)
}

/// The same job, whose policy decides about what could not be learnt.
fn without_fetching(job: Job) -> Job {
    match job {
        Job::CheckPeer {
            credential,
            mut check,
        } => {
            check.may_fetch = false;
            Job::CheckPeer { credential, check }
        }
        other => other,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_its_handle_and_a_new_one_gets_its_own_over_all_keyrings() {
        let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
        let mut first = Keyring::default();
        let (a, b) = (first.add(&secret("a")), first.add(&secret("b")));
        assert_eq!((first.add(&secret("a")), a == b), (a, false));
        let mut second = first.successor();
        assert_eq!(second.add(&secret("b")), b);
        let c = second.add(&secret("c"));
        assert!(c != a && c != b);
        assert!(second.preshared_key(a).is_none(), "nobody took it in again");
        let keys = Keys::default();
        keys.replace(second);
        let mut third = keys.now().successor();
        // It was forgotten: its old handle may still be on its way to somebody.
        let again = third.add(&secret("a"));
        assert!(![a, b, c].contains(&again));
    }
}
