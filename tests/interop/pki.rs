//! The certificates of a trial: `common/pki` makes them, with the `openssl` command.

use crate::vars::Vars;
use crate::{Outcome, home};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::Duration;

/// Makes what the variable `pki` asks for, and adds its facts to the variables.
pub fn make(vars: &mut Vars, directory: &Path) -> Outcome {
    let words = vars.fill("${pki}")?;
    if words.is_empty() {
        return Ok(());
    }
    let script = home().join("common/pki");
    let (script, place) = (script.to_string_lossy(), directory.to_string_lossy());
    let mut all: Vec<&str> = vec!["bash", &script, &place];
    all.extend(words.split_whitespace().filter(|word| *word != "yes"));
    made(&all, directory)?;
    for line in std::fs::read_to_string(directory.join("vars"))?.lines() {
        let (name, value) = line.split_once('=').ok_or("a line of vars is none")?;
        vars.set(name, value);
    }
    Ok(())
}

/// What was made lately by the same words is made again by copying it: new keys take most of a trial's time, and no
/// trial needs keys that no other one has.
fn made(words: &[&str], directory: &Path) -> Outcome {
    let mut hasher = DefaultHasher::new();
    std::fs::read(words[1])?.hash(&mut hasher);
    words[3..].hash(&mut hasher);
    let key = format!("{:016x}", hasher.finish());
    // The guest sees this machine's disk, and writes to its own.
    let ours = concat!(env!("CARGO_TARGET_TMPDIR"), "/pki").to_owned();
    let places = [std::env::var("MAINMODE_PKI").ok(), Some(ours)];
    let mut places = places
        .into_iter()
        .flatten()
        .map(|place| Path::new(&place).join(&key));
    if let Some(made) = places.clone().find(|place| is_fresh(place)) {
        let (from, to) = (made.to_string_lossy(), directory.to_string_lossy());
        return crate::process::run(&["cp", "-a", &from, &to]).map(drop);
    }
    crate::process::run(words)?;
    // Where it cannot be kept (no room, a disk that is read-only, another trial that kept its own first), the next trial
    // makes it.
    let _ = places.next().map(|place| keep(directory, &place));
    Ok(())
}

/// The certificates were valid an hour before they were made, and their CRLs are for days.
const LATELY: Duration = Duration::from_hours(1);

fn is_fresh(made: &Path) -> bool {
    let age = std::fs::metadata(made).and_then(|is| is.modified());
    age.is_ok_and(|age| age.elapsed().is_ok_and(|age| age < LATELY))
}

fn keep(made: &Path, kept: &Path) -> Outcome {
    let folder = kept.parent().ok_or("no folder to keep it in")?;
    std::fs::create_dir_all(folder)?;
    let new = tempfile::tempdir_in(folder)?;
    let copy = new.path().join("made");
    let (from, to) = (made.to_string_lossy(), copy.to_string_lossy());
    crate::process::run(&["cp", "-a", &from, &to])?;
    if kept.exists() {
        std::fs::rename(kept, new.path().join("old"))?;
    }
    Ok(std::fs::rename(copy, kept)?)
}

/// Gives a peer what is its own: strongSwan reads it from folders beside its configuration.
pub fn give(made: &Path, peer: &Path) -> Outcome {
    let Ok(made) = std::fs::read_dir(made) else {
        return Ok(());
    };
    for folder in made {
        let folder = folder?;
        std::fs::rename(folder.path(), peer.join(folder.file_name()))?;
    }
    Ok(())
}
