//! The planes with a real kernel, in network namespaces: what the kernel's installs is compared with what `ip
//! xfrm` installs, packets pass through it and through the one in user space, and between the two.
//!
//! A trial needs root, `ip`, `setpriv` and `ping`, those in `traffic`, `changes`, `compress` and `between` ESP in the kernel
//! besides, those in `user` and `between` TUN devices, and those in `user_wire` tshark.
//! Where that is missing it is ignored and says why; with `MAINMODE_REQUIRE_ESP=1` it fails instead, as in
//! `scripts/xfrm-guest`. With `CI=true` the trials of `user` fail where they cannot run.

mod between;
mod capture;
mod changes;
mod compress;
mod crash;
mod lab;
mod policies;
mod sas;
mod traffic;
mod user;
mod user_refusals;
mod user_wire;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// What every step of a trial gives: its value, or the words that fail the trial.
type Outcome<T = ()> = Result<T, Failed>;

/// A trial's name and body.
type OwnTrial = (&'static str, fn() -> Outcome);

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if let [_, word, namespace, state_file] = words.as_slice()
        && word == crash::VICTIM
    {
        crash::victim(namespace, state_file.as_ref());
    }
    if let [_, word, namespace, state_file] = words.as_slice()
        && word == user::VICTIM
    {
        user::victim(namespace, state_file.as_ref());
    }
    let arguments = Arguments::from_args();
    let missing = lab::missing();
    let no_esp = missing.clone().or_else(lab::missing_esp);
    let mut trials = Vec::new();
    for (name, run) in policies::TRIALS {
        trials.push(unless(missing.clone(), format!("policies::{name}"), *run));
    }
    for (name, run) in traffic::TRIALS {
        trials.push(unless(no_esp.clone(), format!("traffic::{name}"), *run));
    }
    for (name, run) in changes::TRIALS {
        trials.push(unless(no_esp.clone(), format!("changes::{name}"), *run));
    }
    for (name, run) in compress::TRIALS {
        trials.push(unless(no_esp.clone(), format!("compress::{name}"), *run));
    }
    for (name, run) in crash::TRIALS {
        trials.push(unless(missing.clone(), format!("crash::{name}"), *run));
    }
    let no_tun = missing.clone().or_else(user::missing_tun);
    for (name, run) in user::TRIALS.iter().chain(user_refusals::TRIALS) {
        trials.push(unless(no_tun.clone(), format!("user::{name}"), *run));
    }
    // In a guest nothing may use AVX, and tshark's cryptography does.
    if std::env::var_os("MAINMODE_REQUIRE_ESP").is_none() {
        let no_tshark = no_tun.clone().or_else(capture::missing_tshark);
        for (name, run) in user_wire::TRIALS {
            trials.push(unless(no_tshark.clone(), format!("user::{name}"), *run));
        }
    }
    let neither = no_tun.or(no_esp);
    for (name, run) in between::TRIALS {
        trials.push(unless(neither.clone(), format!("between::{name}"), *run));
    }
    libtest_mimic::run(&arguments, trials).exit();
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
    let in_guest = std::env::var_os("MAINMODE_REQUIRE_ESP").is_some();
    if in_guest || name.starts_with("user::") && std::env::var_os("CI").is_some() {
        return Trial::test(name, || Err(Failed::from(why)));
    }
    Trial::ignorable_test(name, || Ok(Completion::ignored_with(why)))
        .with_ignored_flag(std::env::var_os("NEXTEST").is_some())
}
