//! strongSwan's daemon as the peer, without systemd, with a `/run` of its own so that several run side by side.

use crate::Outcome;
use crate::lab::Lab;
use crate::needs::CHARON;
use crate::process::{Background, both, output, until};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// A charon that runs on one host of the lab.
pub struct Charon {
    daemon: Background,
    directory: PathBuf,
}

impl Charon {
    /// Starts it and loads its configuration; `directory` holds its `strongswan.conf` and `swanctl.conf`.
    pub fn start(lab: &Lab, host: &str, directory: &Path) -> Outcome<Self> {
        let socket = directory.join("vici");
        // One that was killed leaves its socket behind.
        if socket.exists() {
            std::fs::remove_file(&socket)?;
        }
        let settings = directory.join("strongswan.conf");
        let settings = settings.to_string_lossy();
        let script = format!("mount -t tmpfs none /run && exec {CHARON}");
        let daemon = Background::start(
            &lab.namespace(host),
            &directory.join("charon.out"),
            &[("STRONGSWAN_CONF", &settings)],
            &["unshare", "--mount", "sh", "-c", &script],
        )?;
        let mut charon = Self {
            daemon,
            directory: directory.to_owned(),
        };
        until(10, "charon's vici socket", || {
            match charon.daemon.ended()? {
                Some(why) => Err(format!("{why}\n{}", charon.log()).into()),
                // It is there a moment before it is listened on.
                None => Ok(UnixStream::connect(&socket).ok().map(drop)),
            }
        })?;
        let file = directory.join("swanctl.conf");
        charon.control(&["--load-all", "--file", &file.to_string_lossy()], true)?;
        Ok(charon)
    }

    /// Main Mode alone, no children; whether it came up.
    pub fn initiate(&self, connection: &str, seconds: u32) -> Outcome<bool> {
        let seconds = seconds.to_string();
        let (came, said) =
            self.swanctl(&["--initiate", "--ike", connection, "--timeout", &seconds])?;
        if came || said.contains("establishing IKE_SA") || said.contains("not established after") {
            return Ok(came);
        }
        Err(format!("swanctl --initiate failed for a reason of its own:\n{said}").into())
    }

    /// Main Mode and a child; both have to come up.
    pub fn begin(&self, child: &str) -> Outcome {
        self.control(&["--initiate", "--child", child, "--timeout", "15"], true)
            .map(drop)
    }

    /// Ends the connection's SA with a delete; it has to be there.
    pub fn terminate(&self, connection: &str) -> Outcome {
        self.control(
            &["--terminate", "--ike", connection, "--timeout", "5"],
            true,
        )
        .map(drop)
    }

    /// Begins a new Main Mode, and ends the old SA when that has come up: without a child to take over charon would
    /// let the old one live to its end.
    pub fn replace(&self, connection: &str) -> Outcome {
        let prefix = format!("{connection}: #");
        // Number and state of each: `us: #1, ESTABLISHED, IKEv1, …`.
        let listed = || -> Outcome<Vec<(u32, bool)>> {
            let sas = self.sas()?;
            let lines = sas.lines().filter_map(|line| line.strip_prefix(&prefix));
            Ok(lines
                .filter_map(|rest| rest.split_once(", "))
                .filter_map(|(number, rest)| {
                    Some((number.parse().ok()?, rest.starts_with("ESTABLISHED,")))
                })
                .collect())
        };
        let numbers = listed()?.into_iter().map(|(number, _)| number);
        let old = numbers.max().ok_or("charon has no SA to replace")?;
        self.control(&["--rekey", "--ike", connection], true)?;
        until(5, "the new SA at charon", || {
            let stands = |(number, established)| number > old && established;
            Ok(listed()?.into_iter().any(stands).then_some(()))
        })?;
        let old = old.to_string();
        self.control(&["--terminate", "--ike-id", &old, "--timeout", "5"], true)
            .map(drop)
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// How many established SAs it has.
    pub fn established(&self) -> Outcome<usize> {
        let listed = self.control(&["--list-sas"], true)?;
        Ok(listed.matches(", ESTABLISHED,").count())
    }

    /// How many IPsec SAs it has, those that were replaced not among them.
    pub fn children(&self) -> Outcome<usize> {
        Ok(self.sas()?.matches(", INSTALLED,").count())
    }

    /// What `--list-sas` prints.
    pub fn sas(&self) -> Outcome<String> {
        self.control(&["--list-sas"], true)
    }

    /// As a loss of power.
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    /// Its log.
    pub fn log(&self) -> String {
        ["charon.out", "charon.log"]
            .iter()
            .filter_map(|name| std::fs::read_to_string(self.directory.join(name)).ok())
            .collect()
    }

    fn control(&self, words: &[&str], must: bool) -> Outcome<String> {
        let (done, said) = self.swanctl(words)?;
        if must && !done {
            return Err(format!("swanctl {}:\n{said}", words.join(" ")).into());
        }
        Ok(said)
    }

    fn swanctl(&self, words: &[&str]) -> Outcome<(bool, String)> {
        let socket = format!("unix://{}/vici", self.directory.display());
        let done = output(40, &[&["swanctl"], words, &["--uri", &socket]].concat())?;
        Ok((done.status.success(), both(&done)))
    }
}
