//! One trial from its first namespace to its last check.

use crate::check;
use crate::counting::Rules;
use crate::daemon::Daemon;
use crate::http::Server;
use crate::import;
use crate::lab::{Lab, Topology};
use crate::load::Pings;
use crate::peer::{self, Peer};
use crate::pki;
use crate::process::Background;
use crate::radius::Radius;
use crate::scenario::Variant;
use crate::stranger::Stranger;
use crate::vars::Vars;
use crate::wire::Capture;
use crate::{Outcome, steps};
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
    /// A second strongSwan, where the topology has a host for it.
    pub second: Option<Peer>,
    pub strangers: Vec<Stranger>,
    pub servers: Vec<Server>,
    pub _radius: Option<Radius>,
    pub programs: Vec<Background>,
    /// Pings under way, and iperf3 beside them.
    pub pings: Option<Pings>,
    pub load: Vec<Background>,
    pub rules: Rules,
    /// What is recorded, by host.
    pub captures: BTreeMap<String, Capture>,
    pub vars: Vars,
    pub lab: Lab,
    /// Where the trial's files are.
    pub folder: PathBuf,
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
            "second/charon.out",
            "second/charon.log",
            "peer/pluto.log",
            "radius/radius.log",
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
    let topology = Topology::from_name(vars.get("topology"))?;
    let addresses = [vars.get("us"), vars.get("peer"), vars.get("second")];
    let lab = Lab::with_addresses(&variant.name(), topology, addresses)?;
    vars.set("dir", us.to_string_lossy());
    vars.set("our-file", us.join("mainmode.toml").to_string_lossy());
    vars.set("mainmode", crate::daemon::MAINMODE);
    let pki = folder.join("pki");
    vars.set("pki-dir", pki.to_string_lossy());
    pki::make(&mut vars, &pki)?;
    let ours = vars.fill("${our-template}")?;
    write_as(variant, &vars, &ours, &us.join("mainmode.toml"))?;
    if variant.folder.join("hosts").exists() {
        write_filled(variant, &vars, "hosts", &us)?;
    }
    let radius = radius(variant, &mut vars, &lab, &folder.join("radius"))?;
    let peer_is = vars.get("peer-is").to_owned();
    let peer = match peer::files(&peer_is)? {
        None => None,
        Some(files) => {
            vars.set("dir", there.to_string_lossy());
            let swanctl = vars.fill("${peer-template}")?;
            for name in files {
                let from = if *name == "swanctl.conf" {
                    &swanctl
                } else {
                    *name
                };
                write_as(variant, &vars, from, &there.join(name))?;
            }
            pki::give(&pki.join("swanctl"), &there)?;
            Some(Peer::start(&peer_is, &lab, "peer", &there)?)
        }
    };
    if vars.get("imported") == "yes" {
        import::write(variant, &vars, &us, &there)?;
    }
    let second = if vars.get("second-plays").is_empty() {
        None
    } else {
        let folder = folder.join("second");
        create_dir(&folder)?;
        let mut vars = vars.of_second()?;
        vars.set("dir", folder.to_string_lossy());
        for name in ["swanctl.conf", "strongswan.conf"] {
            write_filled(variant, &vars, name, &folder)?;
        }
        pki::give(&pki.join("swanctl-second"), &folder)?;
        Some(Peer::start("strongswan", &lab, "second", &folder)?)
    };
    let daemon = Daemon::start(&lab, &us)?;
    let mut stage = Stage {
        daemon,
        peer,
        second,
        strangers: Vec::new(),
        servers: Vec::new(),
        _radius: radius,
        programs: Vec::new(),
        pings: None,
        load: Vec::new(),
        rules: Rules::default(),
        captures: BTreeMap::new(),
        vars,
        lab,
        folder: folder.to_owned(),
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

/// The RADIUS server, where the scenario has one.
fn radius(variant: &Variant, vars: &mut Vars, lab: &Lab, folder: &Path) -> Outcome<Option<Radius>> {
    if vars.get("radius-on").is_empty() {
        return Ok(None);
    }
    create_dir(folder)?;
    vars.set("radius-log", folder.join("radius.log").to_string_lossy());
    let mut there = vars.clone();
    there.set("dir", folder.to_string_lossy());
    write_filled(variant, &there, "radiusd.conf", folder)?;
    let on = vars.host(vars.get("radius-on"));
    Radius::start(lab, on, folder).map(Some)
}

/// Writes the scenario's file, its shape's, or the common one, with its placeholders filled.
pub fn write_filled(variant: &Variant, vars: &Vars, name: &str, to: &Path) -> Outcome {
    write_as(variant, vars, name, &to.join(name))
}

/// The same under another name. It can hold a pre-shared key: nobody else may read it.
fn write_as(variant: &Variant, vars: &Vars, name: &str, to: &Path) -> Outcome {
    let text = vars.fill(&std::fs::read_to_string(variant.file(name))?)?;
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)?
        .write_all(text.as_bytes())?;
    Ok(())
}

/// Of a log, the last lines: what led to the failure.
fn tail(text: &str) -> String {
    const LINES: usize = 60;
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
