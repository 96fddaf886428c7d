//! The certificates of a trial: `common/pki` makes them, with the `openssl` command.

use crate::vars::Vars;
use crate::{Outcome, home};
use std::path::Path;

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
    crate::process::run(&all)?;
    for line in std::fs::read_to_string(directory.join("vars"))?.lines() {
        let (name, value) = line.split_once('=').ok_or("a line of vars is none")?;
        vars.set(name, value);
    }
    Ok(())
}

/// Gives the peer what is its own: strongSwan reads it from folders beside its configuration.
pub fn give(pki: &Path, peer: &Path) -> Outcome {
    let Ok(made) = std::fs::read_dir(pki.join("swanctl")) else {
        return Ok(());
    };
    for folder in made {
        let folder = folder?;
        std::fs::rename(folder.path(), peer.join(folder.file_name()))?;
    }
    Ok(())
}
