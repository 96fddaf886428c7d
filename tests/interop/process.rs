//! Programs that a trial runs: never longer than they should, never past its end.

use crate::Outcome;
use libtest_mimic::Failed;
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A program that is to be started. What is strongSwan's has few plugins, unless it is told otherwise.
fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    let settings = crate::home().join("common/swanctl-itself.conf");
    command.env("STRONGSWAN_CONF", settings).args(&words[1..]);
    command.stdin(Stdio::null());
    command
}

/// Runs the words to their end, at most `seconds` long: then it is killed, as its status tells.
pub fn output(seconds: u32, words: &[&str]) -> Outcome<Output> {
    output_of(seconds, words, "")
}

/// The same; it reads `input`, which a pipe has to hold.
fn output_of(seconds: u32, words: &[&str], input: &str) -> Outcome<Output> {
    let failed = |e: std::io::Error| Failed::from(format!("{}: {e}", words.join(" ")));
    let (read, mut write) = std::io::pipe()?;
    write.write_all(input.as_bytes())?;
    drop(write);
    let child = command(words)
        .stdin(read)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    let (ended, end) = std::sync::mpsc::channel();
    // Not another program that watches this one: a guest takes its time to start one.
    std::thread::spawn(move || ended.send(child.wait_with_output()));
    let done = end.recv_timeout(Duration::from_secs(seconds.into()));
    let done = done.or_else(|_| {
        // An error says that it has ended just now.
        let _ = kill(pid, Signal::SIGKILL);
        end.recv()
    });
    done.map_err(|_| "the thread that waits panicked")?
        .map_err(failed)
}

/// The same on a host of the lab, by its namespace: as `ip netns exec` does.
pub fn output_in(namespace: &str, seconds: u32, words: &[&str]) -> Outcome<Output> {
    let namespace = File::open(format!("/run/netns/{namespace}"))?;
    let run = || -> Outcome<Output> {
        // This thread alone, which ends here.
        setns(namespace, CloneFlags::CLONE_NEWNET)?;
        output(seconds, words)
    };
    let done = std::thread::scope(|scope| scope.spawn(run).join());
    done.map_err(|_| "the thread that starts it panicked")?
}

/// Runs the words to their end; anything but exit code 0 is a failure with what was printed.
pub fn run(words: &[&str]) -> Outcome<String> {
    well(words, &output(30, words)?)
}

/// The same, with what it reads.
pub fn run_with(words: &[&str], input: &str) -> Outcome<String> {
    well(words, &output_of(30, words, input)?)
}

/// The same on a host of the lab.
pub fn run_in(namespace: &str, words: &[&str]) -> Outcome<String> {
    well(words, &output_in(namespace, 30, words)?)
}

fn well(words: &[&str], done: &Output) -> Outcome<String> {
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    Err(format!("`{}`: {}\n{}", words.join(" "), done.status, both(done)).into())
}

/// What it printed, on either stream.
pub fn both(done: &Output) -> String {
    let mut all = String::from_utf8_lossy(&done.stdout).into_owned();
    all.push_str(&String::from_utf8_lossy(&done.stderr));
    all
}

/// Asks `what` every 20 ms until it has an answer, or says that `seconds` have gone by without `what_for`.
pub fn until<T>(
    seconds: u64,
    what_for: &str,
    mut what: impl FnMut() -> Outcome<Option<T>>,
) -> Outcome<T> {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(answer) = what()? {
            return Ok(answer);
        }
        if Instant::now() > end {
            return Err(format!("{seconds} s went by without {what_for}").into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A program in the background; it dies with its owner, and with the trial's process in any case.
pub struct Background {
    child: Child,
    name: String,
}

impl Background {
    /// Starts it in the namespace, both its streams appended to `log`.
    pub fn start(
        namespace: &str,
        log: &Path,
        environment: &[(&str, &str)],
        words: &[&str],
    ) -> Outcome<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        let child = command(&[
            "setpriv",
            "--pdeathsig",
            "KILL",
            "ip",
            "netns",
            "exec",
            namespace,
        ])
        .args(words)
        .envs(environment.iter().copied())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
        Ok(Self {
            child,
            name: words.join(" "),
        })
    }

    /// Whether it still runs; what ended it when not.
    pub fn ended(&mut self) -> Outcome<Option<String>> {
        Ok(self
            .child
            .try_wait()?
            .map(|status| format!("`{}` ended: {status}", self.name)))
    }

    /// As a loss of power: no chance to say goodbye.
    pub fn kill(&mut self) {
        // An error says that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end (SIGTERM) and waits; anything but exit code 0 is a failure.
    pub fn terminate(self) -> Outcome {
        self.end_by(Signal::SIGTERM)
    }

    /// The same as from a keyboard (SIGINT): ping and others have something to say then.
    pub fn interrupt(self) -> Outcome {
        self.end_by(Signal::SIGINT)
    }

    fn end_by(mut self, signal: Signal) -> Outcome {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), signal)?;
        let name = format!("the end of `{}`", self.name);
        let status = until(10, &name, || Ok(self.child.try_wait()?))?;
        if status.success() {
            return Ok(());
        }
        Err(format!("`{}` ended with {status}", self.name).into())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.kill();
    }
}
