//! A scenario's data: `expect.toml`, and the trials that it unfolds into.

use crate::Outcome;
use crate::vars::Vars;
use crate::wire::Change;
use libtest_mimic::Failed;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A folder of `scenarios/`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// What it shows, in one sentence.
    #[serde(rename = "summary")]
    pub _summary: String,
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
    /// The peer initiates; whether its side comes up.
    Initiate {
        #[serde(default = "yes")]
        succeeds: bool,
    },
    /// The peer ends the SA.
    Terminate {},
    /// So many established SAs on the peer's side, soon.
    PeerSas(usize),
    /// So many IPsec SAs on the peer's side, soon.
    PeerChildSas(usize),
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
    pub size: u32,
    /// Whether they are answered: all, or none.
    #[serde(default = "yes")]
    pub answered: bool,
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
    /// Packets that nobody protects.
    #[serde(default)]
    pub clear: usize,
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
    pub reason: Option<Reason>,
    /// The name in `Extra`; the connection's, when absent; empty: none.
    pub connection: Option<String>,
    /// Fields that differ from those in `common/events.toml`.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
}

/// A reason code, or the variable that holds it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Reason {
    Code(u32),
    Variable(String),
}

impl Reason {
    pub fn code(&self, vars: &Vars) -> Outcome<u32> {
        match self {
            Self::Code(code) => Ok(*code),
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

fn three() -> u32 {
    3
}

fn quickly() -> f32 {
    0.1
}

fn as_usual() -> u32 {
    56
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
        let folder = self
            .folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        std::iter::once(folder.as_ref())
            .chain(self.labels.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join("::")
    }

    pub fn var(&self, name: &str) -> &str {
        self.vars.get(name)
    }

    /// The programs its steps run, beside those that every trial needs.
    pub fn programs(&self) -> Vec<&str> {
        self.scenario
            .steps
            .iter()
            .flatten()
            .filter_map(|step| match step {
                Step::Run { words, .. } | Step::Background { words, .. } => {
                    words.first().map(String::as_str)
                }
                Step::Ping(_) => Some("ping"),
                _ => None,
            })
            .collect()
    }

    /// The steps, those of a plain success when the scenario has none of its own.
    pub fn steps(&self) -> Vec<Step> {
        if let Some(steps) = &self.scenario.steps {
            return steps.clone();
        }
        let ours = self.var("initiator") == "us";
        let ender = self.var("ender") == "us";
        vec![
            if ours {
                Step::Up(Command::default())
            } else {
                Step::Initiate { succeeds: true }
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
        let plain = |event: &str, cause: Option<&str>| Expected {
            event: event.into(),
            times: 1,
            or_more: false,
            at_end: false,
            cause: cause.map(Into::into),
            reason: None,
            connection: None,
            fields: BTreeMap::new(),
        };
        self.scenario.expect.clone().unwrap_or_else(|| {
            vec![
                plain(
                    if self.var("pki").is_empty() {
                        "established"
                    } else {
                        "established-by-certificate"
                    },
                    None,
                ),
                plain("ended", Some("${end-cause}")),
            ]
        })
    }
}

/// Every trial of every folder, in the folders' order of names.
pub fn load_all(scenarios: &Path) -> Outcome<Vec<Variant>> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(scenarios)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    folders.sort();
    let mut all = Vec::new();
    for folder in folders {
        let file = folder.join("expect.toml");
        let because = |e: &dyn std::fmt::Display| Failed::from(format!("{}: {e}", file.display()));
        let text = std::fs::read_to_string(&file).map_err(|e| because(&e))?;
        let scenario: Scenario = toml::from_str(&text).map_err(|e| because(&e))?;
        for (labels, set) in combinations(&scenario.axis) {
            let base = scenario.vars.clone();
            let vars = Vars::new(base.into_iter().chain(set))
                .map_err(|e| because(&e.message().unwrap_or_default()))?;
            all.push(Variant {
                folder: folder.clone(),
                scenario: scenario.clone(),
                vars,
                labels,
            });
        }
    }
    Ok(all)
}

type Combination = (Vec<String>, BTreeMap<String, String>);

fn combinations(axes: &[Axis]) -> Vec<Combination> {
    let mut all: Vec<Combination> = vec![Default::default()];
    for axis in axes {
        let rows = rows(axis);
        all = all
            .iter()
            .flat_map(|(labels, set)| {
                rows.iter().map(move |(label, more)| {
                    let labels = labels.iter().chain([label]).cloned().collect();
                    let mut set = set.clone();
                    set.extend(more.clone());
                    (labels, set)
                })
            })
            .collect();
    }
    all
}

fn rows(axis: &Axis) -> Vec<(String, BTreeMap<String, String>)> {
    match axis {
        Axis::Values { var, values } => values
            .iter()
            .map(|value| {
                let label = match var.as_str() {
                    // "us" or "peer" alone would not tell what of them.
                    "initiator" => format!("{value}-initiates"),
                    "ender" => format!("{value}-ends"),
                    _ => value.clone(),
                };
                (label, BTreeMap::from([(var.clone(), value.clone())]))
            })
            .collect(),
        Axis::Rows { rows } => rows
            .iter()
            .map(|row| {
                let mut row = row.clone();
                (row.remove("label").unwrap_or_default(), row)
            })
            .collect(),
    }
}
