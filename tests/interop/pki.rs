//! The certificates of a trial: `common/pki` makes them, with the `openssl` command.

use crate::process::run;
use crate::vars::Vars;
use crate::{Outcome, home};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
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
    let name = format!("{:016x}", hasher.finish());
    // The guest sees this machine's disk, and writes to its own.
    let here = Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/pki")).to_owned();
    let there = std::env::var_os("MAINMODE_PKI").map(PathBuf::from);
    let keeps = there.clone().unwrap_or_else(|| here.clone());
    // Those who want the same at the same time wait for the one who makes it.
    let _lock = lock(&keeps, &name);
    for made in there.iter().chain([&here]).map(|place| place.join(&name)) {
        if is_fresh(&made) {
            let (from, to) = (made.to_string_lossy(), directory.to_string_lossy());
            return run(&["cp", "-a", &from, &to]).map(drop);
        }
    }
    let keys = format!("PKI_KEYS={}", here.join("keys").display());
    run(&[&["env", &keys], words].concat())?;
    // Where it cannot be kept (no room, a disk that is read-only), the next trial makes it.
    let _ = keep(directory, &keeps.join(&name));
    Ok(())
}

/// A lock for what has this name, as long as it is there; none where there can be none.
fn lock(folder: &Path, name: &str) -> Option<File> {
    std::fs::create_dir_all(folder).ok()?;
    let lock = File::create(folder.join(format!("{name}.lock"))).ok()?;
    lock.lock().ok()?;
    Some(lock)
}

/// The certificates were valid an hour before they were made, and their CRLs are for days.
const LATELY: Duration = Duration::from_hours(1);

fn is_fresh(made: &Path) -> bool {
    let age = std::fs::metadata(made).and_then(|is| is.modified());
    age.is_ok_and(|age| age.elapsed().is_ok_and(|age| age < LATELY))
}

fn keep(made: &Path, kept: &Path) -> Outcome {
    let folder = kept.parent().ok_or("no folder to keep it in")?;
    let new = tempfile::tempdir_in(folder)?;
    let copy = new.path().join("made");
    let (from, to) = (made.to_string_lossy(), copy.to_string_lossy());
    run(&["cp", "-a", &from, &to])?;
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
