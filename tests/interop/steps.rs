//! The steps of a scenario, done.

use crate::Outcome;
use crate::http::Server;
use crate::load;
use crate::peer::Peer;
use crate::process::{Background, both, output_in, until};
use crate::scenario::{Command, Holds, Ping, Step, Wire};
use crate::stranger::Stranger;
use crate::trial::Stage;
use crate::wire::{Capture, Shape};
use libtest_mimic::Failed;
use std::time::Duration;

/// What the peer calls its connection.
const AT_PEER: &str = "us";

/// How long a negotiation may take before its step fails: twice what the slowest of them needs.
const PATIENCE: u32 = 20;

/// Does one step, to its end.
pub fn perform(stage: &mut Stage, step: &Step) -> Outcome {
    let initiator = stage.vars.get("initiator").to_owned();
    match step {
        Step::Up(command) => ours(stage, "up", command),
        Step::Down(command) => ours(stage, "down", command),
        Step::Initiate { on, succeeds } => initiate(stage, on, *succeeds),
        Step::Terminate {} => peer(stage)?.terminate(AT_PEER),
        Step::PeerSas(count) => until(5, &format!("{count} SAs at the peer"), || {
            Ok((peer(stage)?.established()? == *count).then_some(()))
        }),
        Step::PeerChildSas(count) => until(5, &format!("{count} IPsec SAs at the peer"), || {
            Ok((peer(stage)?.children()? == *count).then_some(()))
        }),
        Step::Begin { on, child } => begin(stage, on.as_deref(), child),
        Step::Finish { on } => finish(stage, on.as_deref()),
        Step::More {} => Err("only a shape has a place for more".into()),
        Step::PeerSays { on, words } => peer_says(stage, on, words),
        Step::Holds(wanted) => host_holds(stage, wanted),
        Step::OurSas { count, software } => our_sas(stage, *count, software.as_deref()),
        Step::Wait(milliseconds) => {
            std::thread::sleep(Duration::from_millis(*milliseconds));
            Ok(())
        }
        Step::Until { id, count } => {
            until(PATIENCE.into(), &format!("{count} events {id}"), || {
                let events = stage.daemon.events()?;
                let seen = events.iter().filter(|e| e["EventID"] == *id).count();
                Ok((seen >= *count).then_some(()))
            })
        }
        Step::Drop(kind) => stage.rules.drop(&stage.lab, &initiator, kind),
        Step::DropEveryOther(kind) => {
            let kind = stage.vars.fill(kind)?;
            stage.rules.drop_every_other(&stage.lab, &initiator, &kind)
        }
        Step::Watch(kind) => stage.rules.watch(&stage.lab, &initiator, kind),
        Step::Heal {} => stage.rules.heal(&stage.lab),
        Step::Kill(host) => {
            match host.as_str() {
                "us" => stage.daemon.kill(),
                _ => stage.peer.as_mut().ok_or(NO_PEER)?.kill(),
            }
            Ok(())
        }
        Step::Start(host) => match host.as_str() {
            "us" => stage.daemon.start_again(&stage.lab),
            _ => peer_again(stage),
        },
        Step::Replace {} => peer(stage)?.replace(AT_PEER),
        Step::Stranger { notify } => {
            let address = stage.vars.get("peer").to_owned();
            let notify = stage.vars.fill(notify)?.parse()?;
            let stranger = Stranger::start(&stage.lab, "peer", &address, notify)?;
            stage.strangers.push(stranger);
            Ok(())
        }
        Step::Ping(pings) => ping(stage, pings),
        Step::Pinging(pinging) => {
            stage.pings = Some(load::pinging(stage, pinging)?);
            Ok(())
        }
        Step::Answered { least, but } => {
            let but = but.value(&stage.vars)?;
            stage.load.clear();
            let pings = stage.pings.take().ok_or("nobody pings")?;
            let outcome = pings.end(*least, but as usize);
            outcome.map_err(|why| {
                let why = why.message().unwrap_or_default();
                format!("{why}\n{}", load::dropped(stage)).into()
            })
        }
        Step::Iperf(iperf) => load::iperf(stage, iperf),
        Step::IperfBeside(iperf) => {
            let programs = load::iperf_beside(stage, iperf)?;
            stage.load.extend(programs);
            Ok(())
        }
        Step::Carried { on, bytes } => load::carried(stage, on, *bytes),
        Step::Capture(host) => {
            let host = stage.vars.host(host).to_owned();
            let capture = Capture::start(&stage.lab, &host)?;
            stage.captures.insert(host, capture);
            Ok(())
        }
        Step::Wire(expected) => wire(stage, expected),
        Step::Resend {
            on,
            last,
            change,
            times,
        } => {
            let capture = stage.captures.get(on).ok_or(NOT_RECORDED)?;
            capture.resend(&stage.lab, on, *last, *change, *times)
        }
        Step::ChildSas { count, packets } => child_sas(stage, *count, *packets),
        Step::Serve { on, address, file } => serve(stage, on, address, file),
        Step::Background { on, words } => background(stage, on, words),
        Step::Run { on, words, says } => run_on(stage, on, words, says),
    }
}

fn filled(stage: &Stage, texts: &[String]) -> Outcome<Vec<String>> {
    texts.iter().map(|text| stage.vars.fill(text)).collect()
}

fn begin(stage: &Stage, on: Option<&str>, child: &str) -> Outcome {
    let host = stage.vars.host(on.unwrap_or(stage.vars.get("initiator")));
    match host {
        "us" => {
            let says = vec![format!("{child}: established")];
            let command = Command {
                says,
                ..Command::default()
            };
            ours(stage, "up", &command)
        }
        host => {
            let peer = on_host(stage, host)?;
            // Two strongSwans now and then lose XAUTH's last message to one another, and then ignore the Quick Mode
            // that came with it. Where ours takes no part, that fails nothing.
            let without_us =
                host == "second" && stage.vars.host(stage.vars.get("second-faces")) != "us";
            match peer.begin(child) {
                Err(_) if without_us => {
                    peer.terminate(AT_PEER)?;
                    peer.begin(child)
                }
                outcome => outcome,
            }
        }
    }
}

fn finish(stage: &Stage, on: Option<&str>) -> Outcome {
    let on = on.unwrap_or(stage.vars.get("ender"));
    match stage.vars.host(on) {
        "us" => ours(stage, "down", &Command::default()),
        host => on_host(stage, host)?.terminate(AT_PEER),
    }
}

fn serve(stage: &mut Stage, on: &str, address: &str, file: &str) -> Outcome {
    let content = std::fs::read(stage.vars.fill(file)?)?;
    let address = stage.vars.fill(address)?.parse()?;
    let on = stage.vars.fill(on)?;
    let server = Server::start(&stage.lab, stage.vars.host(&on), address, content)?;
    stage.servers.push(server);
    Ok(())
}

fn background(stage: &mut Stage, on: &str, words: &[String]) -> Outcome {
    let words = filled(stage, words)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let log = stage.folder.join("program.out");
    let on = stage.vars.fill(on)?;
    let namespace = stage.lab.namespace(stage.vars.host(&on));
    let program = Background::start(&namespace, &log, &[], &words)?;
    stage.programs.push(program);
    Ok(())
}

fn run_on(stage: &Stage, on: &str, words: &[String], says: &[String]) -> Outcome {
    let words = filled(stage, words)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let on = stage.vars.fill(on)?;
    let namespace = stage.lab.namespace(stage.vars.host(&on));
    let done = output_in(&namespace, PATIENCE, &words)?;
    holds(stage, &both(&done), &filled(stage, says)?)
}

const NOT_RECORDED: &str = "nothing is recorded on this host";
const NO_PEER: &str = "nobody is the peer of this scenario";

fn peer(stage: &Stage) -> Outcome<&Peer> {
    stage.peer.as_ref().ok_or_else(|| NO_PEER.into())
}

fn on_host<'a>(stage: &'a Stage, host: &str) -> Outcome<&'a Peer> {
    match host {
        "second" => stage.second.as_ref().ok_or_else(|| NO_PEER.into()),
        _ => peer(stage),
    }
}

fn peer_says(stage: &Stage, on: &str, words: &[String]) -> Outcome {
    let sas = on_host(stage, stage.vars.host(on))?.sas()?;
    holds(stage, &sas, words)
}

fn host_holds(stage: &Stage, wanted: &Holds) -> Outcome {
    let host = stage.vars.host(&wanted.on);
    if host == "us" {
        if let Some(count) = wanted.sas {
            our_sas_are(stage, count)?;
        }
        return wanted
            .children
            .map_or(Ok(()), |count| child_sas(stage, count, wanted.packets));
    }
    let peer = on_host(stage, host)?;
    until(5, &format!("{wanted:?}"), || {
        let as_many = wanted
            .sas
            .is_none_or(|n| peer.established().ok() == Some(n))
            && wanted
                .children
                .is_none_or(|n| peer.children().ok() == Some(n));
        Ok(as_many.then_some(()))
    })
    .map_err(|why| match peer.sas() {
        Ok(sas) => Failed::from(format!(
            "{}; it has {sas}",
            why.message().unwrap_or_default()
        )),
        Err(_) => why,
    })?;
    let Some(packets) = wanted.packets else {
        return Ok(());
    };
    // `in  c0ffee,    252 bytes,     3 packets,     1s ago`, and `out` likewise.
    let sas = peer.sas()?;
    let right = format!(" {packets} packets");
    let mut carried = sas
        .lines()
        .filter(|line| line.contains(" bytes,"))
        .peekable();
    if carried.peek().is_some() && carried.all(|line| line.contains(&right)) {
        return Ok(());
    }
    Err(format!("not each way has carried {packets} packets: {sas}").into())
}

fn peer_again(stage: &mut Stage) -> Outcome {
    let directory = peer(stage)?.directory().to_owned();
    // The old one's namespace, sockets and files have to be free.
    stage.peer = None;
    stage.peer = Some(Peer::start(
        stage.vars.get("peer-is"),
        &stage.lab,
        "peer",
        &directory,
    )?);
    Ok(())
}

fn ours(stage: &Stage, verb: &str, command: &Command) -> Outcome {
    let done = stage
        .daemon
        .command(PATIENCE, &[verb, &command.connection])?;
    let said = both(&done);
    if done.status.code() != Some(command.exit) {
        return Err(format!("`mainmode {verb}`: {}, said: {said}", done.status).into());
    }
    holds(stage, &said, &command.says)
}

fn ping(stage: &Stage, pings: &Ping) -> Outcome {
    let from = stage.vars.fill(&pings.from)?;
    let namespace = stage.lab.namespace(stage.vars.host(&from));
    let (count, interval, size) = (
        pings.count.to_string(),
        pings.interval.to_string(),
        pings.size.value(&stage.vars)?.to_string(),
    );
    let to = stage.vars.fill(&pings.to)?;
    let mut words = vec!["ping", "-n", "-q"];
    // The last answer may take its time on a busy machine; one that does not come is not waited for so long.
    let patience = if pings.answered { "5" } else { "1" };
    words.extend(["-W", patience, "-c", &count, "-i", &interval, "-s", &size]);
    let source = pings
        .source
        .as_ref()
        .map(|s| stage.vars.fill(s))
        .transpose()?;
    words.extend(source.iter().flat_map(|source| ["-I", source]));
    words.push(&to);
    let said = both(&output_in(&namespace, PATIENCE, &words)?);
    let loss = if pings.answered {
        ", 0% packet loss"
    } else {
        ", 100% packet loss"
    };
    if said.contains(loss) {
        return Ok(());
    }
    Err(format!("{pings:?}: {said}").into())
}

fn wire(stage: &Stage, expected: &Wire) -> Outcome {
    let host = stage.vars.host(&expected.on);
    let capture = stage.captures.get(host).ok_or(NOT_RECORDED)?;
    let passed = capture.look()?;
    let named = stage.vars.get("wire-shape");
    let or_named = |least: usize, name: &str| {
        if expected.protected > 0 && named == name {
            expected.protected
        } else {
            least
        }
    };
    let length = stage.vars.fill(&expected.length)?;
    if passed.count(Shape::Keepalive) < expected.keepalives {
        return Err(format!("{expected:?} is not what passed: {passed:?}").into());
    }
    for (shape, least) in [
        (Shape::Esp, or_named(expected.esp, "esp")),
        (Shape::EspInUdp, or_named(expected.esp_in_udp, "esp-in-udp")),
        (Shape::Ah, or_named(expected.ah, "ah")),
        (Shape::Clear, expected.clear),
    ] {
        let count = passed.count(shape);
        let lengths = passed.lengths.get(&shape).map_or(&[][..], Vec::as_slice);
        let other_length = !length.is_empty()
            && shape != Shape::Clear
            && lengths.iter().any(|one| one.to_string() != length);
        if count < least || least == 0 && count > 0 || other_length {
            return Err(format!("{expected:?}, {length}, is not what passed: {passed:?}").into());
        }
    }
    Ok(())
}

fn child_sas(stage: &Stage, count: usize, packets: Option<u64>) -> Outcome {
    until(5, &format!("{count} IPsec SAs in our status"), || {
        let status = stage.daemon.status()?;
        let sas = status["quick_mode_sas"].as_array();
        if sas.map(Vec::len) != Some(count) {
            return Ok(None);
        }
        for sa in sas.into_iter().flatten() {
            if sa["state"] == "installing" {
                return Ok(None);
            }
            for way in ["inbound_packets", "outbound_packets"] {
                if packets.is_some_and(|packets| sa[way] != packets) {
                    return Err(format!("{way} is not {packets:?} in {sa}").into());
                }
            }
        }
        Ok(Some(()))
    })
}

fn holds(stage: &Stage, said: &str, words: &[String]) -> Outcome {
    for word in words {
        let word = stage.vars.fill(word)?;
        if !said.contains(&word) {
            return Err(format!("\"{word}\" is not in what it said: {said}").into());
        }
    }
    Ok(())
}

fn initiate(stage: &Stage, on: &str, succeeds: bool) -> Outcome {
    let peer = on_host(stage, stage.vars.host(on))?;
    let came = peer.initiate(AT_PEER, 10)?;
    if came == succeeds {
        return Ok(());
    }
    Err(Failed::from(if came {
        "the peer says it came up"
    } else {
        "the peer says it did not come up"
    }))
}

fn our_sas_are(stage: &Stage, count: usize) -> Outcome<serde_json::Value> {
    until(5, &format!("{count} SAs in our status"), || {
        let status = stage.daemon.status()?;
        let sas = status["main_mode_sas"].as_array().map(Vec::len);
        Ok((sas == Some(count)).then_some(status))
    })
}

fn our_sas(stage: &Stage, count: usize, software: Option<&str>) -> Outcome {
    let status = our_sas_are(stage, count)?;
    for sa in status["main_mode_sas"].as_array().into_iter().flatten() {
        let says = sa["peer_software"].as_str().unwrap_or_default();
        if software.is_some_and(|software| !says.contains(software)) {
            return Err(format!("peer_software of {sa} does not hold {software:?}").into());
        }
        for (key, var) in [
            ("cipher", "cipher"),
            ("integrity", "integrity"),
            ("dh_group", "group"),
        ] {
            if sa[key] != stage.vars.fill(&format!("${{{var}}}"))? {
                return Err(format!("{key} is wrong in {sa}").into());
            }
        }
    }
    Ok(())
}
