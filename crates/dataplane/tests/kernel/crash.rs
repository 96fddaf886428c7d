//! A process that has installed what it could is killed; the next one finds the kernel as it was before.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use dataplane::{ChildSa, Mode, Plane, PlaneError, Trap};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::{Host, Lab, ensure, same};
use crate::policies::{foreign, net, trap};
use crate::{Outcome, OwnTrial, sas};

/// The word that makes this program such a process.
pub const VICTIM: &str = "--victim";
/// What it says when it has installed everything.
const READY: &str = "ready";

pub const TRIALS: &[OwnTrial] = &[(
    "a_killed_plane_leaves_nothing_that_the_next_does_not_remove",
    a_killed_plane_leaves_nothing_that_the_next_does_not_remove,
)];

/// Opens a plane, installs four child SAs (where there is ESP), one of which has replaced another and one of which has IPComp, and two
/// traps; then waits to be killed.
pub fn victim(namespace: &str, state_file: &Path) -> ! {
    let plane = Host(namespace.to_owned()).plane(state_file);
    let said = plane.and_then(|mut opened| {
        install_everything(&mut *opened.plane)?;
        println!("{READY}");
        loop {
            std::thread::park();
        }
    });
    let Err::<std::convert::Infallible, PlaneError>(error) = said;
    println!("{error}");
    std::process::exit(1);
}

fn install_everything(plane: &mut dyn Plane) -> Result<(), PlaneError> {
    let (first, _) = sas::pair(&sas::SUITES[0], Mode::Tunnel, 1);
    let (mut second, _) = sas::pair(&sas::SUITES[1], Mode::Tunnel, 2);
    second.replaces = Some(1);
    let (third, _) = sas::pair(&sas::SUITES[2], Mode::Transport, 3);
    let (fourth, _) = sas::compressed(&sas::SUITES[0], Mode::Tunnel, 4);
    let fourth = ChildSa {
        remote_selector: net("10.11.0.0/16"),
        ..fourth
    };
    for sa in [first, second, third, fourth] {
        match plane.install(&sa) {
            Err(PlaneError::NoProtocol { .. }) => {}
            other => other?,
        }
    }
    plane.trap(&trap(Mode::Tunnel))?;
    plane.trap(&Trap {
        name: "other".into(),
        remote_selectors: vec![net("10.7.0.0/16"), net("10.8.0.0/15")],
        ..trap(Mode::Tunnel)
    })
}

fn spawn(words: &[&str]) -> Outcome<std::process::Child> {
    let program = Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    Ok(program?)
}

/// What a plane says in a process without `CAP_NET_ADMIN`.
pub fn victim_without_privilege(host: &Host, state_file: &Path) -> Outcome<String> {
    let program = std::env::current_exe()?;
    let words = [
        "setpriv",
        "--bounding-set=-net_admin",
        "--inh-caps=-net_admin",
        &program.to_string_lossy(),
        VICTIM,
        &host.0,
        &state_file.to_string_lossy(),
    ];
    let done = spawn(&words)?.wait_with_output()?;
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

fn a_killed_plane_leaves_nothing_that_the_next_does_not_remove() -> Outcome {
    let lab = Lab::new()?;
    foreign(&lab.left)?;
    let has_esp = crate::lab::missing_esp().is_none();
    if has_esp {
        lab.left.ip(
            "xfrm state add src 192.0.2.1 dst 192.0.2.9 proto esp spi 0x1234 reqid 1 mode tunnel \
             aead rfc4106(gcm(aes)) 0x000102030405060708090a0b0c0d0e0f10111213 128",
        )?;
    }
    let routes = || lab.left.routes();
    let (before, routes_before) = (lab.left.xfrm()?, routes()?);
    let program = std::env::current_exe()?;
    let state_file = lab.state_file(&lab.left);
    let mut victim = spawn(&[
        &program.to_string_lossy(),
        VICTIM,
        &lab.left.0,
        &state_file.to_string_lossy(),
    ])?;
    let mut line = String::new();
    let out = victim.stdout.take().ok_or("it has an output")?;
    BufReader::new(out).read_line(&mut line)?;
    same("what it says", line.trim(), READY)?;
    // One state file, one process.
    match lab.plane(&lab.left) {
        Err(why) => ensure(
            why.message().is_some_and(|w| w.contains("another process")),
            || format!("{why:?}"),
        )?,
        Ok(_) => return Err("two planes with one state file".into()),
    }
    kill(Pid::from_raw(victim.id().cast_signed()), Signal::SIGKILL)?;
    victim.wait()?;
    let stray = lab.left.xfrm()?;
    let states = ["esp spi 0x1", "comp spi 0x00002", "comp spi 0x00003"]
        .map(|words| stray.matches(&format!("\n\tproto {words}")).count());
    ensure(states == if has_esp { [8, 1, 1] } else { [0; 3] }, || {
        format!("{states:?} states:\n{stray}")
    })?;
    ensure(
        stray.contains("10.8.0.0/15") && routes()? != routes_before,
        || stray.clone(),
    )?;
    let mut next = lab.plane(&lab.left)?;
    same(
        "the kernel, after the next start",
        &lab.left.xfrm()?,
        &before,
    )?;
    same(
        "the routes, after the next start",
        &routes()?,
        &routes_before,
    )?;
    install_everything(&mut *next.plane)?;
    next.plane.close()?;
    same("the kernel, after its end", &lab.left.xfrm()?, &before)?;
    same("the routes, after its end", &routes()?, &routes_before)
}
