//! A RADIUS server on a host, for a gateway that asks one about its users.

use crate::Outcome;
use crate::lab::Lab;
use crate::process::{Background, until};
use std::path::{Path, PathBuf};

/// freeradius, with nothing of what the system has for it; it ends when it is dropped.
pub struct Radius {
    daemon: Background,
    log: PathBuf,
}

impl Radius {
    /// Starts it; `directory` holds its `radiusd.conf`, and gets its log.
    pub fn start(lab: &Lab, host: &str, directory: &Path) -> Outcome<Self> {
        let log = directory.join("radius.log");
        let settings = directory.to_string_lossy();
        let words = [FREERADIUS, "-f", "-l", "stdout", "-d", &settings];
        let daemon = Background::start(&lab.namespace(host), &log, &[], &words)?;
        let mut radius = Self { daemon, log };
        until(10, "the RADIUS server", || {
            let said = std::fs::read_to_string(&radius.log)?;
            match radius.daemon.ended()? {
                Some(why) => Err(format!("{why}\n{said}").into()),
                None => Ok(said.contains("Ready to process requests").then_some(())),
            }
        })?;
        Ok(radius)
    }
}

/// Debian's name for its program.
pub const FREERADIUS: &str = "freeradius";
