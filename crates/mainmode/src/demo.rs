//! The demonstration.

use crate::cli::{Context, DemoArgs, Failure, Outcome};

/// Runs the demonstration.
pub fn run(_args: &DemoArgs, _context: &mut Context) -> Outcome {
    Err(Failure::new("not yet: the demonstration"))
}
