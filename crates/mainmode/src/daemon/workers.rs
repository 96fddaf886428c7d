//! The workers: threads that do the keying endpoint's jobs, with the keys that it does not have.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Sender, unbounded};
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

/// Threads that do jobs.
#[derive(Debug)]
pub struct Workers {
    jobs: Option<Sender<(JobId, Job)>>,
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
        // The endpoint bounds how many jobs wait.
        let (jobs, inbox) = unbounded::<(JobId, Job)>();
        let keyring = Arc::new(keyring);
        let count = thread::available_parallelism().map_or(1, usize::from);
        let threads = (0..count)
            .map(|number| {
                let (inbox, keyring, done) = (inbox.clone(), keyring.clone(), done.clone());
                thread::Builder::new()
                    .name(format!("worker-{number}"))
                    .spawn(move || {
                        for (id, job) in inbox {
                            done(id, job.run(&*keyring));
                        }
                    })
            })
            .collect::<Result<_, _>>()?;
        Ok(Workers {
            jobs: Some(jobs),
            threads,
        })
    }

    /// Hands out a job.
    pub fn submit(&self, id: JobId, job: Job) {
        if let Some(jobs) = &self.jobs {
            // No worker is left only when all have panicked: the job then runs into its time-out.
            let _ = jobs.send((id, job));
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
