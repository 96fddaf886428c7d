//! One trial from its first namespace to its last check.

use crate::check;
use crate::counting::Rules;
use crate::daemon::Daemon;
use crate::http::Server;
use crate::import;
use crate::lab::{Lab, Topology};
use crate::peer::{self, Peer};
use crate::pki;
use crate::process::Background;
use crate::scenario::Variant;
use crate::stranger::Stranger;
use crate::vars::Vars;
use crate::wire::Capture;
use crate::{Outcome, home, steps};
use libtest_mimic::Failed;
use std::collections::BTreeMap;
use std::fs::{File, create_dir};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Everything that a step can touch. What runs in the lab goes before the lab does.
pub struct Stage {
    pub daemon: Daemon,
    pub peer: Option<Peer>,
    pub strangers: Vec<Stranger>,
    pub servers: Vec<Server>,
    pub programs: Vec<Background>,
    pub rules: Rules,
    /// What is recorded, by host.
    pub captures: BTreeMap<String, Capture>,
    pub vars: Vars,
    pub lab: Lab,
}

/// Runs it; a failure tells what both sides had to say.
pub fn run(variant: &Variant) -> Outcome {
    let folder = tempfile::Builder::new()
        .prefix("mainmode-interop-")
        .tempdir()?;
    let outcome = run_in(variant, folder.path());
    outcome.map_err(|why| {
        let mut words = why.message().unwrap_or_default().to_owned();
        for log in [
            "us/mainmode.out",
            "peer/charon.out",
            "peer/charon.log",
            "peer/pluto.log",
        ] {
            if let Ok(text) = std::fs::read_to_string(folder.path().join(log)) {
                let _ = std::fmt::Write::write_fmt(
                    &mut words,
                    format_args!("\n--- {log}\n{}", tail(&text)),
                );
            }
        }
        if std::env::var_os("MAINMODE_KEEP").is_some() {
            let _ = std::fmt::Write::write_fmt(
                &mut words,
                format_args!("\nkept: {}", folder.keep().display()),
            );
        }
        Failed::from(words)
    })
}

fn run_in(variant: &Variant, folder: &Path) -> Outcome {
    let mut vars = variant.vars.clone();
    let (us, there) = (folder.join("us"), folder.join("peer"));
    create_dir(&us)?;
    create_dir(&there)?;
    let lab = Lab::new(&variant.name(), Topology::from_name(vars.get("topology"))?)?;
    vars.set("dir", us.to_string_lossy());
    vars.set("our-file", us.join("mainmode.toml").to_string_lossy());
    vars.set("mainmode", crate::daemon::MAINMODE);
    let pki = folder.join("pki");
    vars.set("pki-dir", pki.to_string_lossy());
    pki::make(&mut vars, &pki)?;
    write_filled(variant, &vars, "mainmode.toml", &us)?;
    if variant.folder.join("hosts").exists() {
        write_filled(variant, &vars, "hosts", &us)?;
    }
    let peer_is = vars.get("peer-is").to_owned();
    let peer = match peer::files(&peer_is)? {
        None => None,
        Some(files) => {
            vars.set("dir", there.to_string_lossy());
            for name in files {
                write_filled(variant, &vars, name, &there)?;
            }
            pki::give(&pki, &there)?;
            Some(Peer::start(&peer_is, &lab, &there)?)
        }
    };
    if vars.get("imported") == "yes" {
        import::write(variant, &vars, &us, &there)?;
    }
    let daemon = Daemon::start(&lab, &us)?;
    let mut stage = Stage {
        daemon,
        peer,
        strangers: Vec::new(),
        servers: Vec::new(),
        programs: Vec::new(),
        rules: Rules::default(),
        captures: BTreeMap::new(),
        vars,
        lab,
    };
    let expected = variant.expected();
    for (number, step) in variant.steps().iter().enumerate() {
        steps::perform(&mut stage, step).map_err(|why| {
            let why = why.message().unwrap_or_default();
            let seen = stage
                .daemon
                .events()
                .map(|events| check::summary(&events))
                .unwrap_or_default();
            Failed::from(format!(
                "step {}, {step:?}: {why}\nevents:\n{seen}",
                number + 1
            ))
        })?;
    }
    stage.rules.check(&stage.lab)?;
    check::settled(&stage, &expected)?;
    stage.daemon.stop()?;
    check::log(&stage, &expected)
}

/// Writes the scenario's file, or the common one, with its placeholders filled. It can hold a pre-shared key: nobody
/// else may read it.
pub fn write_filled(variant: &Variant, vars: &Vars, name: &str, to: &Path) -> Outcome {
    let own: PathBuf = variant.folder.join(name);
    let from = if own.exists() {
        own
    } else {
        home().join("common").join(name)
    };
    let text = vars.fill(&std::fs::read_to_string(from)?)?;
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to.join(name))?
        .write_all(text.as_bytes())?;
    Ok(())
}

/// Of a log, the last lines: what led to the failure.
fn tail(text: &str) -> String {
    const LINES: usize = 60;
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
