//! A scenario's data: `expect.toml`, and the trials that it unfolds into.

mod unfold;

pub use unfold::load_all;

use crate::vars::Vars;
use crate::wire::Change;
use crate::{Outcome, home};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A folder of `scenarios/`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// What it shows, in one sentence.
    #[serde(rename = "summary")]
    pub _summary: String,
    /// A folder of `shapes/` that has the rest: what this one sets goes before, its axes come after, and its `more`
    /// stands where the shape has a place for it.
    pub shape: Option<String>,
    /// The shapes that it has taken in, the nearest first.
    #[serde(skip)]
    shapes: Vec<String>,
    /// Of the shape's axis that has rows with these labels, only those rows.
    #[serde(default)]
    pub only: Vec<String>,
    /// Variables that differ from their defaults.
    #[serde(default)]
    pub vars: BTreeMap<String, String>,
    /// What varies: the trials are every combination of one row from each axis.
    #[serde(default)]
    pub axis: Vec<Axis>,
    /// What to do, in order. Absent: bring the SA up, see it on both sides, end it.
    pub steps: Option<Vec<Step>>,
    /// The negotiations' events, all of them, in order. Absent: established, ended.
    pub expect: Option<Vec<Expected>>,
    /// Other steps and events for the trials whose variable `play` names them.
    #[serde(default)]
    pub play: BTreeMap<String, Play>,
    /// What is done at the shape's step `more`.
    #[serde(default)]
    pub more: Vec<Step>,
}

/// What one end does and sees where the other end's trials do and see something else.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Play {
    pub steps: Option<Vec<Step>>,
    pub expect: Option<Vec<Expected>>,
}

/// One thing that varies.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Axis {
    /// One variable; the trial's name tells the value.
    Values { var: String, values: Vec<String> },
    /// Several variables together, under a `label`.
    Rows { rows: Vec<BTreeMap<String, String>> },
}

/// One thing to do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Step {
    /// `mainmode up`; its exit code, and words that its output must hold.
    Up(Command),
    /// `mainmode down`.
    Down(Command),
    /// The peer, or the second one, initiates Main Mode; whether its side comes up.
    Initiate {
        #[serde(default = "at_peer")]
        on: String,
        #[serde(default = "yes")]
        succeeds: bool,
    },
    /// The peer ends the SA.
    Terminate {},
    /// A host brings up Main Mode and a child, and both have to come; the variable `initiator` tells who, when absent.
    Begin {
        #[serde(default)]
        on: Option<String>,
        #[serde(default = "lan")]
        child: String,
    },
    /// A host ends all that it has with the other one; the variable `ender` tells who, when absent.
    Finish {
        #[serde(default)]
        on: Option<String>,
    },
    /// Here a scenario of this shape does what it has beyond it.
    More {},
    /// So many established SAs on the peer's side, soon.
    PeerSas(usize),
    /// So many IPsec SAs on the peer's side, soon.
    PeerChildSas(usize),
    /// The list of a strongSwan's SAs holds these words.
    PeerSays {
        #[serde(default = "at_peer")]
        on: String,
        words: Vec<String>,
    },
    /// What a host has, ours or a strongSwan: so many Main Mode SAs, so many IPsec SAs, and how many packets each of
    /// these has carried, each way.
    Holds(Holds),
    /// So many SAs in our `status`, soon; and what it says of the peer's software.
    OurSas {
        count: usize,
        #[serde(default)]
        software: Option<String>,
    },
    /// Lets time go by, in milliseconds.
    Wait(u64),
    /// Waits until the log has so many events with this id.
    Until { id: u16, count: usize },
    /// From now on a message of this kind gets lost on its way. By the end at least one has to have been.
    Drop(String),
    /// From now on every other message of this kind gets lost, the first among them.
    DropEveryOther(String),
    /// Counts a kind of message; by the end at least one has to have been seen.
    Watch(String),
    /// Nothing gets lost any more.
    Heal {},
    /// The peer, or our daemon, goes without goodbye.
    Kill(String),
    /// The peer, or our daemon, starts again, with the same configuration and files.
    Start(String),
    /// The peer replaces its SA by a new one.
    Replace {},
    /// A stranger at the peer's address answers every message 1 with this unprotected notification.
    Stranger { notify: String },
    /// Pings from one host to an address, through the tunnel or past it: every one is answered, or none.
    Ping(Ping),
    /// From now on pings go from one host to an address, until `answered`.
    Pinging(Pinging),
    /// The pings end, and what iperf3 does beside them: there were at least so many, and each was answered, or all but
    /// so many.
    Answered {
        least: u32,
        #[serde(default = "none")]
        but: Number,
    },
    /// iperf3 from one host to an address of another, both ways at once: bytes arrive at either end.
    Iperf(Iperf),
    /// The same beside what follows, until `answered`.
    IperfBeside(Iperf),
    /// Each IPsec SA of a host's kernel has carried at least so many bytes.
    Carried { on: String, bytes: u64 },
    /// From now on what passes this host's cable is recorded; that of `nat`: on its outer side.
    Capture(String),
    /// What has passed since, or since the last look at it.
    Wire(Wire),
    /// Sends an ESP packet that this host has sent once more, as it was or changed; of those that were seen when
    /// its cable was last looked at, the first or the last.
    Resend {
        on: String,
        #[serde(default)]
        last: bool,
        change: Change,
        #[serde(default = "one")]
        times: usize,
    },
    /// So many IPsec SAs in our `status`, soon; and how many packets each has carried, each way.
    ChildSas {
        count: usize,
        #[serde(default)]
        packets: Option<u64>,
    },
    /// A web server on a host, which answers each request with the content of a file.
    Serve {
        on: String,
        address: String,
        file: String,
    },
    /// A program on a host that runs until the trial ends.
    Background { on: String, words: Vec<String> },
    /// A program on a host; words that its output must hold.
    Run {
        on: String,
        words: Vec<String>,
        #[serde(default)]
        says: Vec<String>,
    },
}

/// What a host has.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holds {
    pub on: String,
    pub sas: Option<usize>,
    pub children: Option<usize>,
    pub packets: Option<u64>,
}

/// A series of pings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ping {
    /// The host.
    pub from: String,
    /// The address that they come from; the host's choice, when absent.
    pub source: Option<String>,
    /// The address that they go to.
    pub to: String,
    #[serde(default = "three")]
    pub count: u32,
    /// Seconds between them.
    #[serde(default = "quickly")]
    pub interval: f32,
    /// Bytes of payload.
    #[serde(default = "as_usual")]
    pub size: Number,
    /// Whether they are answered: all, or none.
    #[serde(default = "yes")]
    pub answered: bool,
}

/// Pings without an end.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinging {
    /// The host.
    pub from: String,
    /// The address that they come from.
    pub source: String,
    /// The address that they go to.
    pub to: String,
    /// Seconds between them.
    #[serde(default = "at_once")]
    pub interval: f32,
}

/// What iperf3 does.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Iperf {
    /// The host that begins, and the address that it comes from.
    pub from: String,
    pub source: String,
    /// The host that listens, and its address.
    pub with: String,
    pub to: String,
    #[serde(default = "two")]
    pub seconds: u32,
    /// Bytes that have to arrive, each way.
    #[serde(default)]
    pub least: u64,
    /// Bits in a second, each way, beside other things: it leaves room for them.
    #[serde(default = "gently")]
    pub rate: String,
}

/// What must be seen on a cable: at least so many packets of each shape that is named, and none of those that are
/// not. IKE, fragments and the search for neighbours are free.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Wire {
    /// The host whose cable it is.
    pub on: String,
    /// ESP as an IP protocol of its own.
    #[serde(default)]
    pub esp: usize,
    /// ESP in UDP.
    #[serde(default)]
    pub esp_in_udp: usize,
    #[serde(default)]
    pub ah: usize,
    /// Of whichever of them the variable `wire-shape` names.
    #[serde(default)]
    pub protected: usize,
    /// How long each of those is, from the SPI to the last byte of the ICV; empty: as long as it likes.
    #[serde(default)]
    pub length: String,
    /// Packets that nobody protects.
    #[serde(default)]
    pub clear: usize,
    /// What keeps a NAT's mapping; free as IKE is.
    #[serde(default)]
    pub keepalives: usize,
}

/// A command of mainmode's that names the connection.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Command {
    pub connection: String,
    pub exit: i32,
    pub says: Vec<String>,
}

impl Default for Command {
    fn default() -> Self {
        Self {
            connection: "peer".into(),
            exit: 0,
            says: Vec::new(),
        }
    }
}

/// One event, or several equal ones.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Its kind in `common/events.toml`, which has the whole of it.
    pub event: String,
    /// With the second peer: what a scenario says of "peer" is there what it says of "second", and a pattern's name
    /// is another name.
    #[serde(default)]
    pub with_second: bool,
    /// How many of them, one after the other.
    #[serde(default = "one")]
    pub times: usize,
    /// As many of them as there are from `times` on.
    #[serde(default)]
    pub or_more: bool,
    /// It is written when the daemon ends.
    #[serde(default)]
    pub at_end: bool,
    pub cause: Option<String>,
    pub reason: Option<Number>,
    /// What phase 1 was, where it is not what the variable `exchange-words` says.
    pub exchange: Option<String>,
    /// The name in `Extra`; the connection's, when absent; empty: none.
    pub connection: Option<String>,
    /// Fields that differ from those in `common/events.toml`.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
}

/// A number, or the variable that holds it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Number {
    Written(u32),
    Variable(String),
}

impl Number {
    pub fn value(&self, vars: &Vars) -> Outcome<u32> {
        match self {
            Self::Written(number) => Ok(*number),
            Self::Variable(text) => Ok(vars.fill(text)?.parse()?),
        }
    }
}

fn yes() -> bool {
    true
}

fn one() -> usize {
    1
}

fn none() -> Number {
    Number::Written(0)
}

fn two() -> u32 {
    2
}

fn three() -> u32 {
    3
}

fn quickly() -> f32 {
    0.1
}

fn at_once() -> f32 {
    0.01
}

fn gently() -> String {
    "5M".into()
}

fn lan() -> String {
    "lan".into()
}

fn at_peer() -> String {
    "peer".into()
}

fn as_usual() -> Number {
    Number::Written(56)
}

/// One trial of a scenario.
#[derive(Clone, Debug)]
pub struct Variant {
    pub folder: PathBuf,
    pub scenario: Scenario,
    pub vars: Vars,
    labels: Vec<String>,
}

impl Variant {
    /// The folder's name and the rows' names.
    pub fn name(&self) -> String {
        self.labels.join(SEPARATOR)
    }

    /// A file of the scenario's: its own, its shape's, or the common one.
    pub fn file(&self, name: &str) -> PathBuf {
        let shapes = self.scenario.shapes.iter();
        let shapes = shapes.map(|shape| home().join("shapes").join(shape).join(name));
        std::iter::once(self.folder.join(name))
            .chain(shapes)
            .find(|file| file.exists())
            .unwrap_or_else(|| home().join("common").join(name))
    }

    fn play(&self) -> Option<&Play> {
        self.scenario.play.get(self.var("play"))
    }

    pub fn var(&self, name: &str) -> &str {
        self.vars.get(name)
    }

    /// The programs its steps run, beside those that every trial needs.
    pub fn programs(&self) -> Vec<&str> {
        let plays = self.scenario.play.values().map(|play| &play.steps);
        self.scenario
            .steps
            .iter()
            .chain(plays.flatten())
            .chain([&self.scenario.more])
            .flatten()
            .filter_map(|step| match step {
                Step::Run { words, .. } | Step::Background { words, .. } => {
                    words.first().map(String::as_str)
                }
                Step::Ping(_) | Step::Pinging(_) => Some("ping"),
                Step::Iperf(_) | Step::IperfBeside(_) => Some("iperf3"),
                _ => None,
            })
            .collect()
    }

    /// The steps, those of a plain success when the scenario has none of its own.
    pub fn steps(&self) -> Vec<Step> {
        let own = self.play().and_then(|play| play.steps.as_ref());
        if let Some(steps) = own.or(self.scenario.steps.as_ref()) {
            let more = |step: &Step| match step {
                Step::More {} => self.scenario.more.clone(),
                other => vec![other.clone()],
            };
            return steps.iter().flat_map(more).collect();
        }
        let ours = self.var("initiator") == "us";
        let ender = self.var("ender") == "us";
        vec![
            if ours {
                Step::Up(Command::default())
            } else {
                Step::Initiate {
                    on: at_peer(),
                    succeeds: true,
                }
            },
            Step::PeerSas(1),
            Step::OurSas {
                count: 1,
                software: None,
            },
            if ender {
                Step::Down(Command::default())
            } else {
                Step::Terminate {}
            },
            Step::PeerSas(0),
            Step::OurSas {
                count: 0,
                software: None,
            },
        ]
    }

    /// The events, those of a plain success when the scenario has none of its own.
    pub fn expected(&self) -> Vec<Expected> {
        if let Some(own) = self.play().and_then(|play| play.expect.as_ref()) {
            return own.clone();
        }
        let plain = |event: &str, cause: Option<&str>| Expected {
            event: event.into(),
            with_second: false,
            times: 1,
            or_more: false,
            at_end: false,
            cause: cause.map(Into::into),
            reason: None,
            exchange: None,
            connection: None,
            fields: BTreeMap::new(),
        };
        self.scenario.expect.clone().unwrap_or_else(|| {
            vec![
                plain("${established}", None),
                plain("ended", Some("${end-cause}")),
            ]
        })
    }
}

/// Between the words of a trial's name.
const SEPARATOR: &str = "::";
