//! Main Mode with peers that we did not write. Each folder of `scenarios/` is one scenario: the data of both ends,
//! what to do, and what must be seen; see `README.md` beside this file.
//!
//! A trial needs root, network namespaces and strongSwan. Where they are missing it is ignored and says why; with
//! `CI=true` or `MAINMODE_REQUIRE_PEERS=1` it fails instead.

mod charon;
mod check;
mod counting;
mod daemon;
mod http;
mod import;
mod lab;
mod lab_itself;
mod load;
mod needs;
mod peer;
mod pki;
mod pluto;
mod process;
mod radius;
mod scenario;
mod steps;
mod stranger;
mod trial;
mod vars;
mod wire;
mod words;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::path::{Path, PathBuf};

/// What every step of a trial gives: its value, or the words that fail the trial.
type Outcome<T = ()> = Result<T, Failed>;

/// Trials that are code, not a scenario's data: name and body.
type OwnTrials = &'static [(&'static str, fn() -> Outcome)];

/// The trial that there is where a scenario cannot be read, and that fails with the reason.
const CAN_BE_READ: &str = "scenarios::can_be_read";

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop")
}

/// What the trials of the same names need is made and kept, and no more: a guest finds it there, which is slower at it.
fn certificates() -> Vec<Trial> {
    let variants = scenario::load_all(&home().join("scenarios"), None).unwrap_or_default();
    let trial = |mut variant: scenario::Variant| {
        Trial::test(variant.name(), move || {
            let made = tempfile::tempdir()?;
            pki::make(&mut variant.vars, &made.path().join("pki"))
        })
    };
    variants.into_iter().map(trial).collect()
}

fn main() {
    let arguments = Arguments::from_args();
    if std::env::var_os("MAINMODE_MAKE_PKI").is_some() {
        libtest_mimic::run(&arguments, certificates()).exit();
    }
    let missing = needs::missing();
    let mut trials = Vec::new();
    let wanted = arguments.filter.as_deref();
    let wanted = wanted.filter(|name| arguments.exact && *name != CAN_BE_READ);
    match scenario::load_all(&home().join("scenarios"), wanted) {
        Ok(variants) => {
            for variant in variants {
                let missing = missing.clone().or_else(|| needs::missing_for(&variant));
                let name = variant.name();
                if let Some(why) = needs::missing_esp(&variant) {
                    trials.push(ignored(why, name));
                    continue;
                }
                trials.push(unless(missing, name, move || trial::run(&variant)));
            }
        }
        Err(why) => trials.push(Trial::test(CAN_BE_READ, move || Err(why))),
    }
    for (name, run) in lab_itself::TRIALS {
        let missing = missing.clone().or_else(|| needs::missing_in(name));
        trials.push(unless(missing, format!("lab::{name}"), *run));
    }
    for (name, run) in check::TRIALS
        .iter()
        .chain(words::TRIALS)
        .chain(vars::TRIALS)
        .chain(wire::TRIALS)
        .chain(load::TRIALS)
    {
        trials.push(Trial::test(format!("harness::{name}"), *run));
    }
    if let Ok(part) = std::env::var("MAINMODE_PART") {
        let asked_for = arguments.filter.clone().unwrap_or_default();
        trials.retain(|trial| trial.name().contains(&asked_for));
        trials = part_of(trials, &part);
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// "2/3": of three parts the second, every third trial from the second on. So guests side by side share what was asked
/// for.
fn part_of(trials: Vec<Trial>, part: &str) -> Vec<Trial> {
    let numbers = part.split_once('/');
    let numbers = numbers.and_then(|(this, of)| Some((this.parse().ok()?, of.parse().ok()?)));
    let (this, of): (usize, usize) = match numbers {
        Some((this, of)) if (1..=of).contains(&this) => (this, of),
        _ => {
            let why = format!("MAINMODE_PART={part} is no part");
            return vec![Trial::test("parts", || Err(Failed::from(why)))];
        }
    };
    trials.into_iter().skip(this - 1).step_by(of).collect()
}

/// The trial, or, where something it needs is `missing`, its place with the reason.
fn unless(
    missing: Option<String>,
    name: String,
    run: impl FnOnce() -> Outcome + Send + 'static,
) -> Trial {
    let Some(why) = missing else {
        return Trial::test(name, run);
    };
    if needs::required() {
        return Trial::test(name, || Err(Failed::from(why)));
    }
    ignored(why, name)
}

/// The place of a trial that is not run here, with the reason.
fn ignored(why: String, name: String) -> Trial {
    // nextest knows what to skip from the list alone; libtest's own runner prints the reason of one that ran.
    Trial::ignorable_test(name, || Ok(Completion::ignored_with(why)))
        .with_ignored_flag(std::env::var_os("NEXTEST").is_some())
}
