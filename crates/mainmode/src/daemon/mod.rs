//! The daemon.

use crate::cli::{Context, Failure, Outcome};
use crate::config::Config;

/// Runs the daemon.
pub fn run(_config: Config, _context: &mut Context) -> Outcome {
    Err(Failure::new("not yet: the daemon"))
}
