//! `mainmode demo`: two peers on loopback negotiate for real, and every verdict is shown as it is
//! logged, with a line of plain words beside it.

mod relay;
mod show;

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use crate::cli::{Context, DemoArgs, Failure, Outcome};
use crate::config::Config;
use crate::daemon::Daemon;
use relay::{Mischief, Relay, Side, free_ports};
use show::{Expected, Show};

/// How long a scene may take before the demonstration says that it failed.
const SCENE: Duration = Duration::from_secs(15);

/// How often an interrupted demonstration tries to remove its folder, in which something may have been made meanwhile.
const REMOVALS: usize = 10;

/// A pair of addresses for each scene: connections are told apart by address.
const GOOD: u8 = 1;
const WRONG_KEY: u8 = 2;
const NO_PROPOSAL: u8 = 3;
const NOBODY: u8 = 4;
/// The pair that talks through the relay.
const WATCHED: u8 = 5;

fn north(pair: u8) -> IpAddr {
    IpAddr::from([127, 77, 1, pair])
}

fn south(pair: u8) -> IpAddr {
    IpAddr::from([127, 77, 2, pair])
}

/// Where the relay stands.
fn middle() -> IpAddr {
    IpAddr::from([127, 77, 3, 1])
}

/// Runs the demonstration.
pub fn run(_args: &DemoArgs, context: &mut Context) -> Outcome {
    let failed = |what: &str, why: &dyn std::fmt::Display| Failure::new(format!("{what}: {why}"));
    let folder = tempfile::Builder::new().prefix("mainmode-demo-").tempdir();
    let folder = folder.map_err(|error| failed("no temporary folder", &error))?;
    leave_nothing(folder.path()).map_err(|error| failed("no signals", &error))?;
    let mut addresses: Vec<IpAddr> = (1..=WATCHED)
        .flat_map(|pair| [north(pair), south(pair)])
        .collect();
    addresses.push(middle());
    let ports = free_ports(&addresses, 2).map_err(|error| failed("no ports", &error))?;
    let ports = [ports[0], ports[1]];

    let relay = Relay::start(
        middle(),
        ports,
        Side {
            address: north(WATCHED),
            ports,
        },
        Side {
            address: south(WATCHED),
            ports,
        },
    )
    .map_err(|error| failed("no relay", &error))?;
    let start = |name: &str, text: String| -> Result<(Daemon, Config), Failure> {
        let path = folder.path().join(format!("{name}.toml"));
        let loaded = Config::from_text(&path, text, false)
            .map_err(|errors| failed("the demonstration's own configuration", &errors))?;
        let daemon = Daemon::start(loaded.config.clone()).map_err(|error| Failure::of(&error))?;
        Ok((daemon, loaded.config))
    };
    let (north, north_config) = start("north", north_text(folder.path(), ports))?;
    let (south, south_config) = start("south", south_text(folder.path(), ports))?;
    let mut show = Show::new(
        context,
        &[
            ("north", &north_config.log.directory),
            ("south", &south_config.log.directory),
        ],
    );
    let outcome = scenes(&mut show, &north, &relay);
    drop(relay);
    let stopped = north.stop().and(south.stop());
    outcome?;
    stopped?;
    show.farewell()
}

/// From now on, whoever interrupts the demonstration finds nothing left of it either.
fn leave_nothing(folder: &Path) -> std::io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let folder = folder.to_owned();
    std::thread::Builder::new()
        .name("interrupts".to_owned())
        .spawn(move || {
            if let Some(signal) = signals.forever().next() {
                // The two daemons write there until the end.
                for _ in 0..REMOVALS {
                    if std::fs::remove_dir_all(&folder).is_ok() {
                        break;
                    }
                }
                std::process::exit(128 + signal);
            }
        })?;
    Ok(())
}

fn scenes(show: &mut Show<'_>, north: &Daemon, relay: &Relay) -> Outcome {
    show.welcome()?;
    let up = |name: &str| north.up(name).map(|_| ()).map_err(Failure::new);

    show.scene("Both sides hold the same key")?;
    up("good")?;
    show.until(
        &[Expected::new("north", 4650), Expected::new("south", 4650)],
        SCENE,
    )?;

    show.scene("The keys differ")?;
    up("wrong-key")?;
    show.until(
        &[
            Expected::because("north", 4653, "silence-after-message-4"),
            Expected::because("south", 4653, "psk-mismatch"),
        ],
        SCENE,
    )?;

    show.scene("North offers AES-128, south wants AES-256")?;
    up("no-proposal")?;
    show.until(
        &[
            Expected::because("north", 4653, "no-proposal-chosen"),
            Expected::because("south", 4653, "no-acceptable-proposal"),
        ],
        SCENE,
    )?;

    show.scene("Nobody is there")?;
    up("nobody")?;
    show.until(&[Expected::because("north", 4653, "no-answer")], SCENE)?;

    show.scene("A relay on the path, which looks like a NAT, flips one bit of a message")?;
    relay.plan(Mischief::None);
    up("watched")?;
    relay.plan(Mischief::Tamper);
    show.until(
        &[
            Expected::new("north", 4650),
            Expected::new("south", 4650),
            Expected::because("south", 4976, "packet-tampered"),
        ],
        SCENE,
    )?;

    show.scene("The relay sends a message twice")?;
    relay.plan(Mischief::Replay);
    show.until(
        &[Expected::because("south", 4976, "packet-replayed")],
        SCENE,
    )?;

    show.scene("North takes its connections down")?;
    for name in ["good", "watched"] {
        north.down(name).map_err(Failure::new)?;
    }
    show.until(
        &[
            Expected::because("north", 4655, "deleted-by-operator"),
            Expected::because("north", 4655, "deleted-by-operator"),
            Expected::because("south", 4655, "deleted-by-peer"),
            Expected::because("south", 4655, "deleted-by-peer"),
        ],
        SCENE,
    )
}

fn head(folder: &Path, name: &str, addresses: &[IpAddr], ports: [u16; 2]) -> String {
    let addresses: Vec<String> = addresses
        .iter()
        .map(|address| format!("\"{address}\""))
        .collect();
    format!(
        "[audit]\nipsec-main-mode = [\"success\", \"failure\"]\n\
         [log]\ndirectory = \"{log}\"\n[control]\nsocket = \"{socket}\"\n\
         [listen]\naddresses = [{addresses}]\nport = {port}\nnat-port = {nat}\n",
        log = folder.join(name).join("log").display(),
        socket = folder.join(name).join("control").display(),
        addresses = addresses.join(", "),
        port = ports[0],
        nat = ports[1],
    )
}

/// What one side says of a pair.
struct Half {
    name: &'static str,
    local: IpAddr,
    remote: IpAddr,
    key: &'static str,
    proposal: &'static str,
    /// Beyond a relay the peer's address is not its own: it goes by name.
    ids: Option<[&'static str; 2]>,
    more: &'static str,
}

impl Half {
    fn text(&self, ports: [u16; 2]) -> String {
        let [port, nat] = ports;
        let id = |number: usize| {
            self.ids
                .map_or_else(String::new, |ids| format!(", id = \"{}\"", ids[number]))
        };
        format!(
            "[[connection]]\nname = \"{name}\"\nkeying = [\"ikev1\"]\nstart = \"wait\"\n\
             local = {{ address = \"{local}\", port = {port}, nat-port = {nat}{own} }}\n\
             remote = {{ address = \"{remote}\", port = {port}, nat-port = {nat}{other} }}\n\
             auth = {{ psk = \"{key}\" }}\nproposals = [\"{proposal}\"]\n\
             retransmit = {{ tries = 2, first = \"400ms\", factor = 1.0 }}\n\
             evidence-hold = \"600ms\"\n{more}\n",
            name = self.name,
            local = self.local,
            remote = self.remote,
            own = id(0),
            other = id(1),
            key = self.key,
            proposal = self.proposal,
            more = self.more,
        )
    }
}

const KEY: &str = "a key that is long enough to be one";
const STRONG: &str = "aes256-sha256-x25519";

fn north_text(folder: &Path, ports: [u16; 2]) -> String {
    let pair = |name, number, key, proposal| Half {
        name,
        local: north(number),
        remote: south(number),
        key,
        proposal,
        ids: None,
        more: "",
    };
    let halves = [
        pair("good", GOOD, KEY, STRONG),
        pair(
            "wrong-key",
            WRONG_KEY,
            "a key that the other side does not have",
            STRONG,
        ),
        pair("no-proposal", NO_PROPOSAL, KEY, "aes128-sha256-x25519"),
        pair("nobody", NOBODY, KEY, STRONG),
        Half {
            remote: middle(),
            ids: Some(["north.example", "south.example"]),
            // Something for the relay to see: north asks every second whether south lives.
            more: "dpd = { delay = \"1s\", timeout = \"30s\" }",
            ..pair("watched", WATCHED, KEY, STRONG)
        },
    ];
    let locals: Vec<IpAddr> = halves.iter().map(|half| half.local).collect();
    halves
        .iter()
        .fold(head(folder, "north", &locals, ports), |text, half| {
            text + &half.text(ports)
        })
}

fn south_text(folder: &Path, ports: [u16; 2]) -> String {
    let pair = |name, number, key, proposal| Half {
        name,
        local: south(number),
        remote: north(number),
        key,
        proposal,
        ids: None,
        more: "",
    };
    // Nobody listens at the fourth pair's address.
    let halves = [
        pair("good", GOOD, KEY, STRONG),
        pair("wrong-key", WRONG_KEY, KEY, STRONG),
        pair("no-proposal", NO_PROPOSAL, KEY, STRONG),
        Half {
            remote: middle(),
            ids: Some(["south.example", "north.example"]),
            ..pair("watched", WATCHED, KEY, STRONG)
        },
    ];
    let locals: Vec<IpAddr> = halves.iter().map(|half| half.local).collect();
    halves
        .iter()
        .fold(head(folder, "south", &locals, ports), |text, half| {
            text + &half.text(ports)
        })
}
