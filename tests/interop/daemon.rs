//! Our side: the program as its operator uses it.

use crate::Outcome;
use crate::lab::Lab;
use crate::process::{Background, both, output, until};
use libtest_mimic::Failed;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Output;

/// The program under test.
pub const MAINMODE: &str = env!("CARGO_BIN_EXE_mainmode");

/// `mainmode run` on the host "us".
pub struct Daemon {
    running: Option<Background>,
    directory: PathBuf,
}

impl Daemon {
    /// Starts it with `mainmode.toml` of the directory, and waits until it answers.
    pub fn start(lab: &Lab, directory: &Path) -> Outcome<Self> {
        let mut daemon = Self {
            running: None,
            directory: directory.to_owned(),
        };
        daemon.start_again(lab)?;
        Ok(daemon)
    }

    /// Starts it once more.
    pub fn start_again(&mut self, lab: &Lab) -> Outcome {
        let file = self.file();
        // Names that the scenario gives to hosts; it may change them in place.
        let hosts = self.directory.join("hosts");
        let own_names = format!(
            "mount --bind '{}' /etc/hosts && exec \"$@\"",
            hosts.display()
        );
        let with_names = ["sh", "-c", &own_names, "sh"];
        let prefix: &[&str] = if hosts.exists() { &with_names } else { &[] };
        let mut running = Background::start(
            &lab.namespace("us"),
            &self.directory.join("mainmode.out"),
            &[],
            &[prefix, &[MAINMODE, "run", "-c", &file]].concat(),
        )?;
        let log = self.directory.join("mainmode.out");
        until(10, "an answer of the daemon's", || {
            if let Some(why) = running.ended()? {
                let said = std::fs::read_to_string(&log)?;
                return Err(format!("{why}\n{said}").into());
            }
            Ok(self
                .command(5, &["status", "--json"])?
                .status
                .success()
                .then_some(()))
        })?;
        self.running = Some(running);
        Ok(())
    }

    /// Runs `mainmode WORDS -c FILE`.
    pub fn command(&self, seconds: u32, words: &[&str]) -> Outcome<Output> {
        output(
            seconds,
            &[&[MAINMODE], words, &["-c", &self.file()]].concat(),
        )
    }

    /// Every event of the log, oldest first.
    pub fn events(&self) -> Outcome<Vec<Value>> {
        let printed = self.facts(&["log", "query", "--json"])?;
        printed
            .lines()
            .map(|line| {
                serde_json::from_str(line)
                    .map_err(|e| format!("`log query --json` printed {line}: {e}").into())
            })
            .collect()
    }

    /// `status --json`.
    pub fn status(&self) -> Outcome<Value> {
        let printed = self.facts(&["status", "--json"])?;
        serde_json::from_str(&printed)
            .map_err(|e| Failed::from(format!("`status --json` printed {printed}: {e}")))
    }

    /// `log verify` finds nothing.
    pub fn verify(&self) -> Outcome {
        self.facts(&["log", "verify"]).map(drop)
    }

    /// As a loss of power.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Ends it as an operator does; it has to end well.
    pub fn stop(&mut self) -> Outcome {
        self.running.take().map_or(Ok(()), Background::terminate)
    }

    fn facts(&self, words: &[&str]) -> Outcome<String> {
        let done = self.command(20, words)?;
        if done.status.success() {
            return Ok(String::from_utf8(done.stdout)?);
        }
        Err(format!(
            "`mainmode {}`: {}\n{}",
            words.join(" "),
            done.status,
            both(&done)
        )
        .into())
    }

    fn file(&self) -> String {
        self.directory
            .join("mainmode.toml")
            .to_string_lossy()
            .into_owned()
    }
}
