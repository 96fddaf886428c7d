//! The words of the command line.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};

/// IPsec keying with an audit that says why.
///
/// Negotiates IKE Main Mode with real peers and audits every negotiation the way Windows' "Audit IPsec
/// Main Mode" setting does: the same policy, the same events, the same fields.
#[derive(Debug, Parser)]
#[command(
    name = "mainmode",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub struct Args {
    /// The configuration [default: /etc/mainmode/mainmode.toml]
    #[arg(short = 'c', long = "config", value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// The daemon's control socket; no configuration is read then. For the commands that talk to the daemon
    #[arg(long, value_name = "PATH", global = true)]
    pub socket: Option<PathBuf>,
    /// Print facts as JSON: one object, or one a line for lists
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Let two peers on loopback negotiate for real, and show every verdict, explained
    Demo(DemoArgs),
    /// Run the daemon, in the foreground
    Run,
    /// Validate a configuration: file, line, column, what is wrong, what to write
    Check,
    /// Write the configuration that is equal to a swanctl.conf of strongSwan's to stdout, and name on stderr all that
    /// has no equal
    Import {
        /// The swanctl.conf; certificates and keys are looked for in swanctl's folders beside it
        file: PathBuf,
        /// Where the keys of children go
        #[arg(
            long,
            value_name = "kernel|user|none",
            default_value = "kernel",
            hide_possible_values = true
        )]
        dataplane: PlaneWord,
    },
    /// Bring a connection up and wait for the verdict
    Up {
        /// The connection
        name: String,
    },
    /// Bring a connection down
    Down {
        /// The connection
        name: String,
    },
    /// Have the daemon read its configuration again; what did not change goes on
    Reload,
    /// Show connections, SAs and counters
    Status,
    /// Show what happens as it happens: connections and children that come up and go down, peers that move,
    /// negotiations that fail
    Monitor {
        /// First what is up already
        #[arg(long)]
        snapshot: bool,
        /// Only events of these connections, separated by commas
        #[arg(long, value_name = "NAME", value_delimiter = ',')]
        connection: Vec<String>,
    },
    /// See and change the audit policy, in auditpol's terms
    Audit {
        /// What to do with it
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Query and keep the log, in wevtutil's terms
    Log {
        /// What to do with it
        #[command(subcommand)]
        command: LogCommand,
    },
    /// Say what an event, a reason, a cause or a parameter means and what to do about it
    Explain {
        /// An event such as 4653, a reason such as 13801, a cause such as psk-mismatch, or a parameter
        /// such as %%8222
        what: String,
    },
    /// Show the verdicts of a capture
    #[command(hide = true)]
    Inspect {
        /// The capture
        file: PathBuf,
    },
}

impl Command {
    /// Whether the daemon is talked to: always, or where one runs.
    pub fn talks_to_the_daemon(&self) -> bool {
        match self {
            Self::Up { .. }
            | Self::Down { .. }
            | Self::Reload
            | Self::Status
            | Self::Monitor { .. } => true,
            Self::Audit { command } => !matches!(command, AuditCommand::List { .. }),
            Self::Log { command } => !matches!(
                command,
                LogCommand::Export { .. }
                    | LogCommand::Verify { .. }
                    | LogCommand::Query { file: Some(_), .. }
                    | LogCommand::Info { file: Some(_) }
            ),
            Self::Demo(_)
            | Self::Run
            | Self::Check
            | Self::Import { .. }
            | Self::Explain { .. }
            | Self::Inspect { .. } => false,
        }
    }
}

/// A data plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlaneWord {
    /// The kernel's IPsec.
    Kernel,
    /// ESP in user space.
    User,
    /// None.
    None,
}

/// What the demonstration takes: nothing yet.
#[derive(Debug, ClapArgs)]
pub struct DemoArgs {}

/// A command of `audit`.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Show the policy in force, and who decides it
    Get {
        #[command(flatten)]
        which: Which,
    },
    /// Change the setting of subcategories
    Set {
        #[command(flatten)]
        which: Which,
        /// Success audits; enabled where neither this nor --failure is given
        #[arg(
            long,
            value_name = "enable|disable",
            hide_possible_values = true,
            ignore_case = true
        )]
        success: Option<Switch>,
        /// Failure audits
        #[arg(
            long,
            value_name = "enable|disable",
            hide_possible_values = true,
            ignore_case = true
        )]
        failure: Option<Switch>,
    },
    /// List categories and subcategories with their GUIDs
    List {
        #[command(flatten)]
        which: Which,
    },
    /// Write the policy in force to a file, as auditpol does
    Backup {
        /// The file
        file: PathBuf,
    },
    /// Take the policy from such a file
    Restore {
        /// The file
        file: PathBuf,
    },
    /// Make every subcategory Not configured
    Clear,
}

/// Which part of the policy.
#[derive(Debug, ClapArgs)]
pub struct Which {
    /// Subcategories, by name or GUID, separated by commas; "*" is all of them
    #[arg(
        long,
        value_name = "NAME|GUID|*",
        value_delimiter = ',',
        conflicts_with = "category"
    )]
    pub subcategory: Vec<String>,
    /// Categories, by name or GUID, separated by commas; "*" is all of them
    #[arg(long, value_name = "NAME|GUID|*", value_delimiter = ',')]
    pub category: Vec<String>,
    /// "*": everything
    #[arg(hide = true, value_parser = ["*"])]
    pub all: Option<String>,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// On.
    Enable,
    /// Off.
    Disable,
}

/// A command of `log`.
#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Print records, oldest first
    Query {
        #[command(flatten)]
        filter: Filter,
        /// Newest first; turned round before --limit counts
        #[arg(long)]
        reverse: bool,
        /// Not the log, but this file: a backup, or an archive
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        #[command(flatten)]
        format: Format,
    },
    /// Print records as they are written; with --since the older ones first
    Follow {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        format: Format,
    },
    /// Say how many records there are, how large the log is, and its head
    Info {
        /// Not the log, but this file: a backup, or an archive
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Write records to a file of Windows' format
    #[command(hide = true)]
    Export {
        /// The file
        file: PathBuf,
    },
    /// Remove all records; the next one says who did it
    Clear {
        /// First copy all records to this new file
        #[arg(long, value_name = "FILE")]
        backup: Option<PathBuf>,
    },
    /// Check that no record was changed, removed or moved
    Verify {
        /// The head that `log info` gave once, kept elsewhere
        #[arg(long, value_name = "ID:HASH", value_parser = head)]
        head: Option<Head>,
        /// Not the log, but this file: a backup, or an archive
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

/// Which records.
#[derive(Debug, ClapArgs)]
pub struct Filter {
    /// An event query of Windows, such as "*[System[EventID=4653]]"
    #[arg(value_name = "XPATH", value_parser = xpath)]
    pub xpath: Option<String>,
    /// Event IDs, separated by commas
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub id: Vec<u16>,
    /// Not before: RFC 3339, a date, a time of day, or how long ago ("1h")
    #[arg(long, value_name = "WHEN", value_parser = when)]
    pub since: Option<Timestamp>,
    /// Not after: the same
    #[arg(long, value_name = "WHEN", value_parser = when)]
    pub until: Option<Timestamp>,
    /// The peer's address
    #[arg(long, value_name = "ADDRESS")]
    pub peer: Option<IpAddr>,
    /// Success audits, failure audits, or the log's own events
    #[arg(long, value_name = "success|failure|none", hide_possible_values = true)]
    pub outcome: Option<OutcomeWord>,
    /// No more records than this
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
}

/// How records are printed.
#[derive(Debug, ClapArgs)]
pub struct Format {
    /// How to print: a line each, JSON objects, or Windows' XML
    #[arg(long, value_name = "table|json|xml", hide_possible_values = true)]
    pub format: Option<FormatWord>,
    /// In JSON, values as stored (%%8222), not as shown
    #[arg(long)]
    pub raw: bool,
}

/// A kind of audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutcomeWord {
    /// Success audits.
    Success,
    /// Failure audits.
    Failure,
    /// Neither.
    None,
}

/// A way to print records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatWord {
    /// A line each.
    Table,
    /// A JSON object each.
    Json,
    /// Windows' XML.
    Xml,
}

/// A head of the log: record and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head(pub u64, pub eventlog::Hash);

fn head(text: &str) -> Result<Head, String> {
    text.split_once(':')
        .and_then(|(id, hash)| Some(Head(id.parse().ok()?, eventlog::hash_from_hex(hash)?)))
        .ok_or_else(|| {
            "a head is a record's ID, a colon and 64 hexadecimal digits, as `log info` prints it"
                .to_owned()
        })
}

fn xpath(text: &str) -> Result<String, eventlog::XPathError> {
    text.parse::<eventlog::XPath>().map(|_| text.to_owned())
}

fn when(text: &str) -> Result<Timestamp, String> {
    instant(text, Timestamp::now(), &TimeZone::system())
}

/// A point in time: RFC 3339, a date with or without a time (of this host's zone), a time of today, or
/// how long before `now`.
fn instant(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let local = |at: civil::DateTime| {
        let at = zone.to_ambiguous_zoned_datetime(at).compatible();
        at.map(|at| at.timestamp())
            .map_err(|error| error.to_string())
    };
    if let Ok(at) = text.parse::<civil::DateTime>() {
        return local(at);
    }
    if let Ok(time) = text.parse::<civil::Time>() {
        return local(zone.to_datetime(now).date().to_datetime(time));
    }
    let ago =
        humantime::parse_duration(text.strip_suffix(" ago").unwrap_or(text)).map_err(|_| {
            "write 2026-11-23T09:00:00Z, 2026-11-23, 09:00 or how long ago, such as 1h".to_owned()
        })?;
    jiff::SignedDuration::try_from(ago)
        .ok()
        .and_then(|ago| now.checked_sub(ago).ok())
        .ok_or_else(|| "that is too long ago".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_words_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_point_in_time_is_written_in_many_ways() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let now: Timestamp = "2026-11-23T09:30:00Z".parse().expect("now");
        for (text, at) in [
            ("2026-11-23T09:00:00Z", "2026-11-23T09:00:00Z"),
            ("2026-11-23T09:00:00.5+02:00", "2026-11-23T07:00:00.5Z"),
            ("2026-11-23T09:00:00", "2026-11-23T08:00:00Z"),
            ("2026-11-23 09:00", "2026-11-23T08:00:00Z"),
            ("2026-11-23", "2026-11-22T23:00:00Z"),
            ("09:15", "2026-11-23T08:15:00Z"),
            ("1h", "2026-11-23T08:30:00Z"),
            ("90s ago", "2026-11-23T09:28:30Z"),
            ("1day 2h", "2026-11-22T07:30:00Z"),
        ] {
            assert_eq!(
                instant(text, now, &zone),
                Ok(at.parse().expect(at)),
                "{text}"
            );
        }
        for bad in [
            "",
            "yesterday",
            "2026-13-01",
            "-1h",
            "25:00",
            "99999999999years",
        ] {
            assert!(instant(bad, now, &zone).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_head_is_an_id_and_a_hash() {
        let text = format!("17:{}", "ab".repeat(32));
        assert_eq!(head(&text), Ok(Head(17, [0xab; 32])));
        for bad in [
            "",
            "17",
            "17:ab",
            "x:00",
            &format!("-1:{}", "ab".repeat(32)),
        ] {
            assert!(head(bad).is_err(), "{bad}");
        }
    }
}
