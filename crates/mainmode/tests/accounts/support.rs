//! Daemons that run as processes of their own, each with a folder and an address of its own.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mainmode::control::status::{Counters, QuickModeCounters, Status};
use mainmode::control::{Client, Request, Response};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Long enough for anything here, so that only what never comes fails.
pub const PATIENCE: Duration = Duration::from_secs(30);
pub const MAIN_MODE: &str = "IPsec Main Mode";
const KEY: &str = "a key that is long enough to be one";

/// Waits until something holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "it never came: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// An address of a test's own, with two ports that nobody has at the moment. `test` tells the tests of a
/// process apart, the process those that run side by side.
#[derive(Clone, Copy)]
pub struct Place {
    pub address: Ipv4Addr,
    pub ports: [u16; 2],
}

impl Place {
    pub fn new(test: u8, host: u8) -> Self {
        let process = u8::try_from(std::process::id() % 100).expect("small");
        let address = Ipv4Addr::new(127, 100 + process, test, host);
        let sockets = [(); 2].map(|()| UdpSocket::bind((address, 0)).expect("bound"));
        let ports = sockets.map(|socket| socket.local_addr().expect("an address").port());
        Self { address, ports }
    }

    pub fn socket(self) -> SocketAddr {
        (self.address, self.ports[0]).into()
    }

    /// Somebody who takes what comes and never answers.
    pub fn silent(self) -> [UdpSocket; 2] {
        self.ports
            .map(|port| UdpSocket::bind((self.address, port)).expect("bound"))
    }
}

/// What a test has otherwise than the others.
#[derive(Clone, Copy)]
pub struct Setup {
    /// Lines of `[audit]`; none: no such table.
    pub audit: Option<&'static str>,
    /// Lines of `[log]` beside its directory.
    pub log: &'static str,
    /// Lines of the connection.
    pub connection: &'static str,
    pub key: &'static str,
}

pub const EVERYTHING: Setup = Setup {
    audit: Some("ipsec-main-mode = [\"success\", \"failure\"]"),
    log: "max-size = \"4MiB\"",
    connection: "",
    key: KEY,
};

pub const QUICK_MODE_TOO: Setup = Setup {
    audit: Some(
        "ipsec-main-mode = [\"success\", \"failure\"]\nipsec-quick-mode = [\"success\", \"failure\"]",
    ),
    ..EVERYTHING
};

/// What a run of the program gave.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn good(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    /// The standard error of a run that must have failed, in one line.
    pub fn failed(self) -> String {
        assert_eq!(self.code, Some(1), "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        self.stderr
    }
}

/// What a command said, which must end.
pub fn finish(mut child: Child) -> Ran {
    let begun = Instant::now();
    // What is said here fits into a pipe, but for queries: those end when they are read.
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let read = |from: Option<Box<dyn std::io::Read + Send>>| {
        std::thread::spawn(move || {
            let mut text = String::new();
            if let Some(mut from) = from {
                std::io::Read::read_to_string(&mut from, &mut text).expect("text");
            }
            text
        })
    };
    let out = read(out.map(|out| Box::new(out) as _));
    let err = read(err.map(|err| Box::new(err) as _));
    let code = loop {
        if let Some(status) = child.try_wait().expect("asked") {
            break status.code();
        }
        if begun.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("a command did not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Ran {
        code,
        stdout: out.join().expect("read"),
        stderr: err.join().expect("read"),
    }
}

/// One daemon, running or not.
pub struct Side {
    folder: tempfile::TempDir,
    process: Option<Child>,
}

impl Side {
    /// A daemon that is to run at `us` and has one connection, `peer`.
    pub fn new(us: Place, peer: Place, setup: Setup) -> Self {
        let side = Self {
            folder: tempfile::tempdir().expect("a folder"),
            process: None,
        };
        side.configure(us, peer, setup);
        side
    }

    /// Writes the configuration anew.
    pub fn configure(&self, us: Place, peer: Place, setup: Setup) {
        let audit = setup
            .audit
            .map_or_else(String::new, |lines| format!("[audit]\n{lines}\n"));
        let ([port, nat], [peer_port, peer_nat]) = (us.ports, peer.ports);
        let (us, peer) = (us.address, peer.address);
        let text = format!(
            "{audit}[log]\ndirectory = \"{log}\"\n{log_lines}\n[control]\nsocket = \"{control}\"\n\
             [listen]\naddresses = [\"{us}\"]\nport = {port}\nnat-port = {nat}\n\
             [[connection]]\nname = \"peer\"\n\
             local = {{ address = \"{us}\", port = {port}, nat-port = {nat} }}\n\
             remote = {{ address = \"{peer}\", port = {peer_port}, nat-port = {peer_nat} }}\n\
             auth = {{ psk = \"{key}\" }}\nproposals = [\"aes256-sha256-x25519\"]\n\
             half-open-timeout = \"2s\"\nevidence-hold = \"300ms\"\n{connection}\n{retransmit}\n",
            log = self.path("log").display(),
            log_lines = setup.log,
            control = self.path("control").display(),
            key = setup.key,
            connection = setup.connection,
            retransmit = if setup.connection.contains("retransmit") {
                ""
            } else {
                "retransmit = { tries = 2, first = \"150ms\", factor = 1.0 }"
            },
        );
        write_private(&self.path("m.toml"), &text);
    }

    /// Changes the configuration.
    pub fn edit(&self, from: &str, to: &str) {
        let path = self.path("m.toml");
        let text = fs::read_to_string(&path).expect("there");
        assert!(text.contains(from), "{text}");
        write_private(&path, &text.replace(from, to));
    }

    /// Puts lines behind the configuration.
    pub fn append(&self, lines: &str) {
        let path = self.path("m.toml");
        let text = fs::read_to_string(&path).expect("there");
        write_private(&path, &format!("{text}{lines}"));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command of the program.
    pub fn run(&self, words: &[&str]) -> Ran {
        finish(self.begin(words))
    }

    /// Begins a command; [`finish`] waits for it.
    pub fn begin(&self, words: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_mainmode"))
            .arg("-c")
            .arg(self.path("m.toml"))
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started")
    }

    /// Starts the daemon and waits until it answers. What it says goes to the file `said`.
    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    /// The same with these variables of the environment.
    pub fn start_with(&mut self, environment: &[(&str, &Path)]) {
        let said = File::options()
            .create(true)
            .append(true)
            .open(self.path("said"))
            .expect("a file");
        let child = Command::new(env!("CARGO_BIN_EXE_mainmode"))
            .arg("-c")
            .arg(self.path("m.toml"))
            .arg("run")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(said.try_clone().expect("a file"))
            .stderr(said)
            .spawn()
            .expect("started");
        self.process = Some(child);
        until("the daemon answers", || {
            let process = self.process.as_mut().expect("started");
            let ended = process.try_wait().expect("asked");
            assert!(ended.is_none(), "{}", self.said());
            self.ask(&Request::Status).is_some()
        });
    }

    /// What the daemon said, over all its starts.
    pub fn said(&self) -> String {
        fs::read_to_string(self.path("said")).unwrap_or_default()
    }

    pub fn pid(&self) -> Pid {
        let process = self.process.as_ref().expect("it runs");
        Pid::from_raw(i32::try_from(process.id()).expect("a process"))
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().expect("killed");
        process.wait().expect("gone");
    }

    /// Ends it as a service manager does. It must go well, and soon.
    pub fn stop(&mut self) {
        kill(self.pid(), Signal::SIGTERM).expect("told");
        let mut process = self.process.take().expect("it runs");
        let mut status = None;
        until("the daemon stops", || {
            status = process.try_wait().expect("asked");
            status.is_some()
        });
        let code = status.and_then(|status| status.code());
        assert_eq!(code, Some(0), "{}", self.said());
    }

    pub fn ask(&self, request: &Request) -> Option<Response> {
        let mut client = Client::connect(&self.path("control")).ok()?;
        client.ask(request).ok()
    }

    pub fn status(&self) -> Status {
        let text = self.run(&["status", "--json"]).good();
        serde_json::from_str(&text).expect("a status")
    }

    /// The account, which balances at any moment.
    pub fn counters(&self) -> Counters {
        let status = self.status();
        let c = status.counters;
        assert_eq!(c.established - c.ended, c.live, "{c:?}");
        assert_eq!(c.live, status.main_mode_sas.len() as u64, "{status:?}");
        let decided = c.established + c.failed + c.superseded + c.interrupted;
        assert!(c.negotiations >= decided, "{c:?}");
        c
    }

    /// The account of Quick Mode, which balances at any moment too.
    pub fn quick_counters(&self) -> QuickModeCounters {
        let status = self.status();
        let q = status.quick_mode_counters;
        assert_eq!(q.established - q.ended, q.live, "{q:?}");
        assert_eq!(q.live, status.quick_mode_sas.len() as u64, "{status:?}");
        let decided = q.established + q.failed + q.interrupted;
        assert!(q.negotiations >= decided, "{q:?}");
        q
    }

    /// Waits for an account of Quick Mode.
    pub fn quick_account(
        &self,
        what: &str,
        holds: impl Fn(&QuickModeCounters) -> bool,
    ) -> QuickModeCounters {
        let mut last = QuickModeCounters::default();
        until(what, || {
            last = self.quick_counters();
            holds(&last)
        });
        last
    }

    /// The account when nothing is under way: all are decided.
    pub fn settled(&self) -> Counters {
        let mut last = Counters::default();
        until("all negotiations are decided", || {
            last = self.counters();
            under_way(&last) == 0
        });
        last
    }

    /// Waits for an account.
    pub fn account(&self, what: &str, holds: impl Fn(&Counters) -> bool) -> Counters {
        let mut last = Counters::default();
        until(what, || {
            last = self.counters();
            holds(&last)
        });
        last
    }

    /// Every record of the log.
    pub fn events(&self) -> Vec<Value> {
        let text = self.run(&["log", "query", "--json", "--raw"]).good();
        let read = |line: &str| serde_json::from_str(line).expect("json");
        text.lines().map(read).collect()
    }

    /// Those with this ID.
    pub fn of(&self, id: u64) -> Vec<Value> {
        let mut events = self.events();
        events.retain(|event| event["EventID"] == id);
        events
    }

    pub fn ids(&self) -> Vec<u64> {
        let id = |event: &Value| event["EventID"].as_u64().expect("a number");
        self.events().iter().map(id).collect()
    }

    pub fn verify(&self) {
        self.run(&["log", "verify"]).good();
    }

    /// `audit set` of Main Mode.
    pub fn audit(&self, half: &str, switch: &str) {
        self.run(&["audit", "set", "--subcategory", MAIN_MODE, half, switch])
            .good();
    }
}

/// Waits until the account on disk is as it is now: what has no event of its own goes there within little more than
/// [`eventlog::ACCOUNT_DELAY`].
pub fn account_written() {
    std::thread::sleep(eventlog::ACCOUNT_DELAY + Duration::from_millis(500));
}

/// A child of north's; south's is turned.
const CHILD: &str = "[[connection.child]]\nname = \"net\"\nlocal = [\"10.1.0.0/16\"]\n\
                     remote = [\"10.2.0.0/16\"]\nproposals = [\"aes256gcm16-x25519\"]\nmark = \"0x10/0xff\"\n";

/// Two sides with a child.
pub fn with_children(test: u8) -> (Side, Side) {
    let (north, south) = pair(test, EVERYTHING, EVERYTHING);
    north.append(CHILD);
    let turned = CHILD.replace("10.1", "10.x").replace("10.2", "10.1");
    south.append(&turned.replace("10.x", "10.2"));
    for side in [&north, &south] {
        side.run(&["reload"]).good();
    }
    (north, south)
}

impl Drop for Side {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- a daemon said:\n{}", self.said());
        }
    }
}

pub fn under_way(c: &Counters) -> u64 {
    c.negotiations - (c.established + c.failed + c.superseded + c.interrupted)
}

pub fn quick_under_way(q: &QuickModeCounters) -> u64 {
    q.negotiations - (q.established + q.failed + q.interrupted)
}

pub fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("mode");
}

/// Two daemons that are each other's peer, and run.
pub fn pair(test: u8, north: Setup, south: Setup) -> (Side, Side) {
    let (a, b) = (Place::new(test, 1), Place::new(test, 2));
    let (mut north, mut south) = (Side::new(a, b, north), Side::new(b, a, south));
    north.start();
    south.start();
    (north, south)
}

/// The same with a child between two networks, which nobody carries: it is negotiated and audited.
pub fn pair_with_child(test: u8, north: Setup, south: Setup) -> (Side, Side) {
    let (a, b) = (Place::new(test, 1), Place::new(test, 2));
    let (mut north, mut south) = (Side::new(a, b, north), Side::new(b, a, south));
    for (side, local, remote) in [(&mut north, 1, 2), (&mut south, 2, 1)] {
        side.append(&child(local, remote));
        side.start();
    }
    (north, south)
}

pub fn child(local: u8, remote: u8) -> String {
    format!(
        "[[connection.child]]\nname = \"net\"\nlocal = [\"10.{local}.0.0/16\"]\n\
         remote = [\"10.{remote}.0.0/16\"]\nproposals = [\"aes256gcm16-x25519\"]\n"
    )
}

/// One daemon whose peer never answers, and the peer.
pub fn alone(test: u8, setup: Setup) -> (Side, [UdpSocket; 2]) {
    let (a, b) = (Place::new(test, 1), Place::new(test, 2));
    let peer = b.silent();
    let mut side = Side::new(a, b, setup);
    side.start();
    (side, peer)
}

pub fn cause(event: &Value) -> &str {
    event["Extra"]["Cause"].as_str().unwrap_or_default()
}
