//! Two hosts as network namespaces, joined by a cable, each with a plane when a trial wants one.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use dataplane::{ChildSa, Counters, Kernel, KernelOptions, Plane, PlaneError, PlaneEvent};
use libtest_mimic::Failed;
use nix::sched::{CloneFlags, setns};

use crate::{Outcome, sas};

/// What every namespace of ours begins with; the owner's process id follows.
const PREFIX: &str = "mmdp-";

/// Seconds that something may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Two hosts: `left` is 192.0.2.1 and `2001:db8::1` with 10.1.0.1/16 and `2001:db8:1::1` behind it, `right`
/// the same with 2.
pub struct Lab {
    pub left: Host,
    pub right: Host,
    behind: Option<Host>,
    folder: tempfile::TempDir,
}

#[derive(Clone)]
pub struct Host(pub String);

/// A plane, and what it tells.
pub struct Watched<P = Kernel> {
    pub plane: Box<P>,
    pub events: Receiver<PlaneEvent>,
}

/// Why no trial can run here.
pub fn missing() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("not root: namespaces cannot be made".into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = |program: &&str| std::env::split_paths(&path).any(|p| p.join(program).is_file());
    if let Some(program) = ["ip", "ping", "setpriv"]
        .iter()
        .find(|program| !on_path(program))
    {
        return Some(format!("{program} is not installed"));
    }
    match Lab::new() {
        Ok(_) => None,
        Err(why) => Some(
            why.message()
                .unwrap_or("namespaces cannot be made")
                .to_owned(),
        ),
    }
}

/// Why no trial with packets can run here.
pub fn missing_esp() -> Option<String> {
    static WHY: OnceLock<Option<String>> = OnceLock::new();
    WHY.get_or_init(look_for_esp).clone()
}

fn look_for_esp() -> Option<String> {
    let tried = Lab::new().and_then(|lab| {
        let mut left = lab.plane(&lab.left)?;
        let (sa, _) = sas::pair(&sas::SUITES[0], dataplane::Mode::Tunnel, 1);
        Ok(left.plane.install(&sa)?)
    });
    let why = tried.err()?;
    Some(why.message().unwrap_or("this kernel has no ESP").to_owned())
}

impl Lab {
    pub fn new() -> Outcome<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        sweep();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = |side| Host(format!("{PREFIX}{}-{number}-{side}", std::process::id()));
        let lab = Self {
            left: name("left"),
            right: name("right"),
            behind: None,
            folder: tempfile::tempdir()?,
        };
        // A program takes its time to start in a guest: few of them, with much to do.
        for host in [&lab.left, &lab.right] {
            run(&["ip", "netns", "add", &host.0])?;
            // What asks for an SA in vain is forgotten soon.
            host.sysctl("net/core/xfrm_acq_expires", "1")?;
        }
        for (host, n) in [(&lab.left, 1), (&lab.right, 2)] {
            // Not every kernel has dummy devices: `lan` is a cable to nowhere.
            let mut batch = format!(
                "link set lo up\n\
                 link add lan type veth peer name nowhere\n\
                 addr add 10.{n}.0.1/16 dev lan\n\
                 addr add 2001:db8:{n}::1/48 dev lan nodad\n\
                 link set lan up\n\
                 link set nowhere up\n"
            );
            if n == 1 {
                let other = &lab.right.0;
                writeln!(
                    batch,
                    "link add eth0 type veth peer name eth0 netns {other}"
                )?;
            }
            write!(
                batch,
                "addr add 192.0.2.{n}/24 dev eth0\n\
                 addr add 2001:db8::{n}/64 dev eth0 nodad\n\
                 link set eth0 up\n"
            )?;
            run_with(&["ip", "-n", &host.0, "-batch", "-"], &batch)?;
        }
        Ok(lab)
    }

    /// 10.1.0.9, at the other end of `lan`, which has `left` for its router.
    pub fn behind_left(&mut self) -> Outcome<Host> {
        let host = Host(format!("{}-behind", self.left.0));
        run(&["ip", "netns", "add", &host.0])?;
        self.behind = Some(host.clone());
        self.left
            .ip(&format!("link set nowhere netns {}", host.0))?;
        host.ip("addr add 10.1.0.9/16 dev nowhere")?;
        host.ip("link set nowhere up")?;
        host.ip("route add default via 10.1.0.1")?;
        Ok(host)
    }

    /// Opens a plane on a host.
    pub fn plane(&self, host: &Host) -> Outcome<Watched> {
        Ok(host.plane(&self.state_file(host))?)
    }

    pub fn state_file(&self, host: &Host) -> std::path::PathBuf {
        self.file(&host.0)
    }

    /// A file of the trial's own.
    pub fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Planes on both hosts.
    pub fn planes(&self) -> Outcome<(Watched, Watched)> {
        Ok((self.plane(&self.left)?, self.plane(&self.right)?))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for host in [&self.left, &self.right].into_iter().chain(&self.behind) {
            // Nothing can be done about a namespace that does not go; the next run sweeps.
            let _ = run(&["ip", "netns", "del", &host.0]);
        }
    }
}

impl Host {
    /// Does something with this host as the network. What it opens stays there.
    pub fn inside<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.0)).expect("the host is there");
        let entered = || {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("root may enter it");
            what()
        };
        std::thread::scope(|scope| scope.spawn(entered).join().expect("it does not panic"))
    }

    /// Opens a plane here.
    pub fn plane(&self, state_file: &Path) -> Result<Watched, PlaneError> {
        let (sender, events) = channel();
        let tell = move |event| drop(sender.send(event));
        let plane = self.inside(|| dataplane::kernel(&KernelOptions::new(state_file), tell))?;
        Ok(Watched {
            plane: Box::new(plane),
            events,
        })
    }

    /// Runs `ip` here.
    pub fn ip(&self, words: &str) -> Outcome<String> {
        let mut all = vec!["ip", "-n", &self.0];
        // As in a shell, '' is an empty word.
        all.extend(
            words
                .split_whitespace()
                .map(|word| if word == "''" { "" } else { word }),
        );
        run(&all)
    }

    /// The routes and routing rules that are there for good: those of link-local addresses come and go.
    pub fn routes(&self) -> Outcome<String> {
        let all = self.ip("route show table all")? + &self.ip("rule")? + &self.ip("-6 rule")?;
        Ok(all
            .lines()
            .filter(|line| !line.contains("fe80::"))
            .collect::<Vec<_>>()
            .join("\n"))
    }

    /// The states and policies here, as `ip xfrm` shows them.
    pub fn xfrm(&self) -> Outcome<String> {
        let states = self.ip("xfrm state")?;
        Ok(states + &self.ip("xfrm policy")?)
    }

    /// Runs a program here.
    pub fn run(&self, words: &str) -> Outcome<String> {
        let mut all = vec!["ip", "netns", "exec", &self.0];
        all.extend(words.split_whitespace());
        run(&all)
    }

    /// Pings three times, quickly; all must be answered.
    pub fn pings(&self, words: &str) -> Outcome {
        self.run(&format!("ping -n -c 3 -i 0.02 -w 20 {words}"))
            .map(drop)
    }

    /// Pings once; it must not be answered.
    pub fn pings_in_vain(&self, words: &str) -> Outcome {
        match self.run(&format!("ping -n -c 1 -w 1 {words}")) {
            Ok(_) => Err(format!("ping {words} was answered").into()),
            Err(_) => Ok(()),
        }
    }

    /// Packets that leave together pass the cable one by one, as on a real one: who looks on sees each.
    pub fn one_by_one(&self) -> Outcome {
        self.ip("link set eth0 gso_max_segs 1").map(drop)
    }

    /// Sets one of the kernel's settings here.
    pub fn sysctl(&self, name: &str, value: &str) -> Outcome {
        let path = Path::new("/proc/sys").join(name);
        Ok(self.inside(|| std::fs::write(path, value))?)
    }
}

impl<P> Watched<P> {
    /// Waits for an event that `wanted` takes.
    pub fn event<T>(&self, wanted: impl Fn(&PlaneEvent) -> Option<T>) -> Outcome<T> {
        let end = Instant::now() + PATIENCE;
        let mut others = Vec::new();
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            match self.events.recv_timeout(left) {
                Ok(event) => match wanted(&event) {
                    Some(found) => return Ok(found),
                    None => others.push(event),
                },
                Err(_) => break,
            }
        }
        Err(format!("the event did not come; others: {others:?}").into())
    }
}

/// Runs the words to their end; anything but exit code 0 is a failure. What may wait has a limit of its own.
pub fn run(words: &[&str]) -> Outcome<String> {
    run_with(words, "")
}

fn run_with(words: &[&str], input: &str) -> Outcome<String> {
    let mut program = Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = program.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let done = program.wait_with_output()?;
    let out = String::from_utf8_lossy(&done.stdout).into_owned();
    if done.status.success() {
        return Ok(out);
    }
    let errors = String::from_utf8_lossy(&done.stderr);
    Err(format!("`{}`: {}\n{out}{errors}", words.join(" "), done.status).into())
}

/// That both are equal, with words for when they are not.
pub fn same(what: &str, got: &str, expected: &str) -> Outcome {
    if got == expected {
        return Ok(());
    }
    Err(format!("{what}:\n{got}\nis not:\n{expected}").into())
}

/// That something is so, with words for when it is not.
pub fn ensure(so: bool, words: impl FnOnce() -> String) -> Outcome {
    if so {
        Ok(())
    } else {
        Err(Failed::from(words()))
    }
}

/// Planes on both hosts, with a child SA.
pub fn both(lab: &Lab, ends: &(ChildSa, ChildSa)) -> Outcome<(Watched, Watched)> {
    let (mut left, mut right) = lab.planes()?;
    left.plane.install(&ends.0)?;
    right.plane.install(&ends.1)?;
    Ok((left, right))
}

/// That so many packets passed each way, and none was refused. One more where a late answer had ping ask again.
pub fn carried(counters: &Counters, packets: u64) -> Outcome {
    let flows = [counters.inbound, counters.outbound];
    ensure(
        flows
            .iter()
            .all(|flow| flow.packets >= packets && flow.bytes > 0 && flow.last_used.is_some()),
        || format!("{counters:?}"),
    )?;
    ensure(
        counters.replayed == 0 && counters.integrity_failures == 0,
        || format!("{counters:?}"),
    )
}

/// Takes away namespaces of trials whose process is gone.
fn sweep() {
    let Ok(folder) = std::fs::read_dir("/run/netns") else {
        return;
    };
    for name in folder
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
    {
        let Some((pid, _)) = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('-'))
        else {
            continue;
        };
        if pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
            // Another trial may be sweeping as well.
            let _ = run(&["ip", "netns", "del", &name]);
        }
    }
}
