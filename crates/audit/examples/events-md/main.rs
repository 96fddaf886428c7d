//! Writes the tables of `docs/events.md` anew from the code; what stands around them is kept.
//!
//! `cargo run -p audit --example events-md`

mod tables;

use std::path::Path;

fn main() -> std::io::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/events.md");
    let old = std::fs::read_to_string(&path)?;
    let new = tables::rewritten(&old).map_err(std::io::Error::other)?;
    if new != old {
        std::fs::write(&path, new)?;
    }
    Ok(())
}
