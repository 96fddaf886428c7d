//! The daemon: the log, the sockets, the workers and the endpoint, put together.
//!
//! Three kinds of threads and two channels: the [agent](agent) owns the endpoint and the sockets; the
//! [workers] have the keys; the log's thread writes. What the endpoint asks of the others comes back as
//! messages.

mod agent;
mod control;
mod convert;
mod journal;
mod keylog;
mod mailbox;
mod monitor;
mod names;
mod passed;
mod planes;
mod reload;
mod revocation;
mod sas;
mod settle;
mod sockets;
mod traps;
mod words;
mod workers;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use audit::{Event, Policy};
use crossbeam_channel::unbounded;
use eventlog::{Caller, Counters, LogError, Service, Writer};
use keying::{Command, Endpoint, EndpointConfig, Input};

use crate::cli::{Context, Failure, Outcome};
use crate::config::{AuditConfig, Config};
use crate::control::{Clients, Peer, Server, ServerError};
pub use words::shown;

use agent::Agent;
use journal::{Journal, Told, Trouble};
use keylog::{KeyLog, KeyLogError};
use mailbox::{Mailbox, Message, Nudge};
use names::Names;
use planes::{Orders, Planes};
use sockets::{SocketError, Sockets};
use traps::Traps;
use workers::{Keyring, Keys, Workers};

/// Main Mode SA IDs that are reserved on disk at once: few enough that a crash wastes no meaningful part
/// of 64 bits, enough that a flood of negotiations does not wait for the disk each time.
const MM_ID_BLOCK: u64 = 1_024;

/// The same for Quick Mode SA IDs.
const QM_ID_BLOCK: u64 = 1_024;

/// The control socket: its owner and group may ask; what changes something is for administrators.
const SOCKET_MODE: u32 = 0o660;

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The log.
    #[error("the log in {} cannot be used", directory.display())]
    Log {
        /// Where it is.
        directory: PathBuf,
        /// Why.
        source: LogError,
    },
    /// A UDP socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The control socket.
    #[error(transparent)]
    Control(#[from] ServerError),
    /// The key log.
    #[error(transparent)]
    KeyLog(#[from] KeyLogError),
    /// A data plane.
    #[error("the data plane cannot be used")]
    Plane(#[from] dataplane::PlaneError),
    /// No randomness.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// No thread or descriptor.
    #[error("the system gives no thread or descriptor")]
    System(#[from] std::io::Error),
}

/// What all threads of the daemon share.
struct Shared {
    /// What the daemon began with: its sockets, its log's place and its data planes are of that.
    first: Arc<Config>,
    /// What is in force.
    config: RwLock<Arc<Config>>,
    mailbox: Mailbox,
    /// What is in force: what is stored, and over it what the configuration sets.
    policy: Arc<RwLock<Policy>>,
    /// What the configuration sets of it. Locked by who has the log's writer alone.
    audit: Arc<Mutex<AuditConfig>>,
    keys: Keys,
    traps: Traps,
    names: Names,
    /// One configuration is read at a time.
    reloading: Mutex<()>,
    /// The account of earlier starts.
    before: Counters,
    trouble: Arc<Trouble>,
    /// The log's writer, in turn with the events.
    log: Caller,
    planes: Orders,
    started: jiff::Timestamp,
    stopping: Arc<AtomicBool>,
    /// The log has its last record.
    log_closed: AtomicBool,
}

/// A daemon that runs.
pub struct Daemon {
    shared: Arc<Shared>,
    agent: Option<JoinHandle<Journal>>,
    control: Option<JoinHandle<Clients>>,
    /// Last: what carries traffic goes when nothing can ask for it any more.
    planes: Planes,
}

impl Daemon {
    /// Starts it: log, sockets, workers, endpoint, control socket.
    ///
    /// # Errors
    ///
    /// What could not be had. Nothing runs then.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let log_error = |source| StartError::Log {
            directory: config.log.directory.clone(),
            source,
        };
        let folder = config.debug.key_log.as_deref();
        let key_log = folder.map(KeyLog::open).transpose()?;
        let mut sockets = Sockets::open(&config.listen_sockets())?;
        let server = Server::bind(&config.control.socket, SOCKET_MODE)?;
        let (mut writer, recovery) = Writer::open(eventlog::Options {
            directory: config.log.directory.clone(),
            max_size: config.log.max_size,
            retention: config.log.retention,
            computer: crate::host_name(),
            process_id: std::process::id(),
        })
        .map_err(log_error)?;
        let stored = writer.policy().map_err(log_error)?;
        let policy = config.audit.over(&stored);
        let trouble = Arc::new(Trouble::default());
        let before =
            settle::settle(&mut writer, &policy, &recovery, &trouble).map_err(log_error)?;
        let mut keyring = Keyring::default();
        let now = Instant::now();
        let endpoint = endpoint(&config, &mut writer, &mut keyring, now)?;

        let nudge = Arc::new(Nudge::new()?);
        // Bounded by what the endpoint has under way, and by the clients of the control socket.
        let (sender, inbox) = unbounded();
        let mailbox = Mailbox::new(sender, nudge.clone());
        let (to_jobs, to_tickets) = (mailbox.clone(), mailbox.clone());
        let planes = Planes::start(&config, &mut sockets, mailbox.clone())?;
        let keys = Keys::default();
        keys.replace(keyring);
        let workers = Workers::start(&keys, move |id, result| {
            to_jobs.send(Message::JobDone(id, result));
        })?;
        let told: Told = Arc::new(move |ticket, ok| to_tickets.send(Message::Ticket(ticket, ok)));
        let service = Service::start(writer).map_err(log_error)?;
        let log = service.caller();
        let policy = Arc::new(RwLock::new(policy));
        let journal = Journal::new(
            service,
            policy.clone(),
            config.log.when_unwritable,
            told,
            trouble,
        );
        journal.own(Event::ServicesStarted);

        let config = Arc::new(config);
        let traps = Traps::start(planes.orders(), config.clone())?;
        let (to_resolved, to_traps) = (mailbox.clone(), traps.clone());
        let names = Names::start(&config, names::ask_system, move |name, addresses| {
            to_traps.resolved(name, addresses);
            to_resolved.send(Message::Resolved {
                name: name.to_owned(),
                addresses: addresses.to_vec(),
            });
        })?;
        names.settle(names::AT_START);
        let shared = Arc::new(Shared {
            first: config.clone(),
            config: RwLock::new(config.clone()),
            mailbox: mailbox.clone(),
            policy,
            audit: Arc::new(Mutex::new(config.audit.clone())),
            keys,
            traps,
            names,
            reloading: Mutex::default(),
            before,
            trouble: journal.trouble(),
            log,
            planes: planes.orders(),
            started: jiff::Timestamp::now(),
            stopping: Arc::default(),
            log_closed: AtomicBool::default(),
        });
        let mut agent = Agent::new(
            endpoint,
            sockets,
            journal,
            workers,
            inbox,
            nudge,
            mailbox,
            shared.clone(),
            now,
        );
        agent.log_keys(now, key_log);
        let agent = thread::Builder::new()
            .name("agent".to_owned())
            .spawn(move || agent.run())?;
        let handler = shared.clone();
        let control = thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || server.run(&handler, &handler.stopping))?;
        Ok(Daemon {
            shared,
            agent: Some(agent),
            control: Some(control),
            planes,
        })
    }

    /// Whether the agent still works; it ends by itself only when something is badly wrong.
    pub fn is_running(&self) -> bool {
        self.agent
            .as_ref()
            .is_some_and(|agent| !agent.is_finished())
    }

    /// Ends all negotiations and SAs, tells the peers, writes the last events, closes the log.
    ///
    /// # Errors
    ///
    /// What the log says, or that the agent had failed.
    pub fn stop(mut self) -> Result<(), Failure> {
        self.shared.mailbox.send(Message::Stop);
        let journal = self.agent.take().and_then(|agent| agent.join().ok());
        self.shared.stopping.store(true, Ordering::SeqCst);
        let clients = self.control.take().and_then(|control| control.join().ok());
        drop(self.planes);
        let closed = match journal {
            Some(journal) => {
                journal.own(Event::ServicesStopped);
                journal.close().map_err(|error| Failure::of(&error))
            }
            None => Err(Failure::new(
                "the agent's thread has failed; its message stands above",
            )),
        };
        self.shared.log_closed.store(true, Ordering::SeqCst);
        // Who follows the log is told of its last records too.
        if let Some(clients) = clients {
            clients.farewell();
        }
        closed
    }
}

impl Shared {
    /// The configuration in force.
    fn config(&self) -> Arc<Config> {
        self.config
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// From now on it is this one.
    fn take(&self, config: Arc<Config>) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }
}

/// The endpoint, with its connections and the IDs of its first SAs; the keys go into the keyring.
fn endpoint(
    config: &Config,
    writer: &mut Writer,
    keyring: &mut Keyring,
    now: Instant,
) -> Result<Endpoint, StartError> {
    let log_error = |source| StartError::Log {
        directory: config.log.directory.clone(),
        source,
    };
    let ids = writer.reserve_mmsa_ids(MM_ID_BLOCK).map_err(log_error)?;
    let quick_ids = writer.reserve_qmsa_ids(QM_ID_BLOCK).map_err(log_error)?;
    let mut connections = Vec::new();
    for connection in &config.connections {
        let mut filter_id = |name: &str| writer.filter_id(name);
        connections
            .push(convert::connection(connection, keyring, &mut filter_id).map_err(log_error)?);
    }
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(StartError::Random)?;
    let sockets = config.listen_sockets();
    let nat = sockets.iter().filter(|socket| socket.nat);
    let nat_ports = nat.map(|socket| socket.address.port()).collect();
    let mut endpoint = Endpoint::new(EndpointConfig { nat_ports, seed }, now);
    endpoint.handle(now, Input::MainModeIds(ids));
    endpoint.handle(now, Input::QuickModeIds(quick_ids));
    endpoint.handle(now, Input::Command(Command::Connections(connections)));
    Ok(endpoint)
}

/// The control client of this process itself: what `up` and `down` do, without a socket.
impl Daemon {
    /// Brings a connection up and waits for the verdict.
    pub fn up(&self, name: &str) -> Result<crate::control::Verdict, String> {
        self.shared.up(name, &|| false)
    }

    /// Brings a connection down and waits until that is on disk.
    pub fn down(&self, name: &str) -> Result<usize, String> {
        self.shared.down(name, &|| false)
    }

    /// Reads the configuration again, on behalf of this process, on a thread: a disk may keep it waiting.
    fn begin_reload(&self) -> io::Result<thread::JoinHandle<()>> {
        let shared = self.shared.clone();
        thread::Builder::new()
            .name("reload".to_owned())
            .spawn(move || {
                // What came of it is said where the daemon says everything.
                drop(shared.reload(&Peer::this_process().subject()));
            })
    }

    /// This process as a client.
    pub fn peer() -> Peer {
        Peer::this_process()
    }
}

/// Runs the daemon in the foreground until a signal ends it.
pub fn run(config: Config, context: &mut Context) -> Outcome {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM]);
    let mut signals = signals.map_err(|error| Failure::of(&error))?;
    // A log that may not grow (RLIMIT_FSIZE) is one that cannot be written, not the daemon's end.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
    // Keys are in memory: a crash leaves no copy of them on disk. Where the system refuses, it is the
    // operator's limits that decide.
    let _ = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0);
    // What an SA keeps is scattered and small: pages of 2 MiB would be resident for a few kilobytes each.
    let _ = nix::sys::prctl::set_thp_disable(true);
    let mut lines = vec![];
    for socket in config.listen_sockets() {
        lines.push(format!("listening on {}", socket.address));
    }
    let daemon = Daemon::start(config).map_err(|error| Failure::of(&error))?;
    writeln!(context.out, "mainmode: started; {}", lines.join(", "))?;
    context.out.flush()?;
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let mut reload = false;
    let mut reloading: Option<thread::JoinHandle<()>> = None;
    while daemon.is_running() {
        let came: Vec<i32> = signals.pending().collect();
        if came.iter().any(|signal| *signal != SIGHUP) {
            break;
        }
        reload |= !came.is_empty();
        if reload
            && reloading
                .as_ref()
                .is_none_or(thread::JoinHandle::is_finished)
        {
            reload = false;
            match daemon.begin_reload() {
                Ok(thread) => reloading = Some(thread),
                Err(error) => say(&format!("the configuration was not read again: {error}")),
            }
        }
        thread::sleep(SIGNAL_LOOK);
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    daemon.stop()?;
    writeln!(context.out, "mainmode: stopped")?;
    Ok(())
}

/// Tells the operator something on standard error. Where that cannot be written (a file on the disk that
/// has no room) the daemon goes on.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "mainmode: {text}");
}

/// How often signals are looked for.
const SIGNAL_LOOK: std::time::Duration = std::time::Duration::from_millis(50);
