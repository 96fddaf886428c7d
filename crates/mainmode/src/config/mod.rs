//! The configuration: one TOML file, read into types that cannot be wrong, with errors that name file,
//! line, column, what is wrong and what to write instead.

mod auth;
mod certificate;
pub(crate) mod child;
mod connection;
mod diagnostic;
pub(crate) mod file;
pub mod fuzzing;
pub mod key_log;
pub mod keys;
mod mode_config;
mod model;
mod overlap;
mod reach;
pub(crate) mod remote_access;
pub(crate) mod secret;
mod sections;
mod source;
mod table;
mod trust;
pub(crate) mod values;

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use keying::Pool;
use toml::de::DeTable;

pub use diagnostic::{Diagnostic, Severity};
pub use model::{
    AuditConfig, Auth, Child, Config, Connection, ControlConfig, DEFAULT_PATH, DataPlane,
    DebugConfig, Dpd, Encap, Exchange, Fragmentation, IKE_PORT, ListenConfig, ListenSocket, Local,
    LogConfig, NAT_PORT, Places, Remote, RemoteAddress, Retransmit, SignatureAuth, Start,
    WhenUnwritable, Xauth,
};
pub use source::Location;

pub(crate) use connection::MAX_PROPOSALS;
pub(crate) use overlap::clash;

use connection::WrittenConnection;
use diagnostic::Findings;
use source::Source;
use table::Table;

/// The largest configuration that is read, in bytes: room for thousands of connections.
const MAX_FILE: u64 = 4 << 20;

/// A configuration that can be used, and what its operator should know about it.
#[derive(Debug)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
}

/// Why a configuration cannot be used: every error found, and the warnings among them.
#[derive(Debug)]
pub struct ConfigErrors(pub Vec<Diagnostic>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rendered: Vec<String> = self.0.iter().map(Diagnostic::render).collect();
        f.write_str(rendered.join("\n").trim_end())
    }
}

impl std::error::Error for ConfigErrors {}

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Loaded, ConfigErrors> {
        let (text, others_read) = read(path).map_err(|why| {
            let help = (path == Path::new(DEFAULT_PATH))
                .then(|| "write one there, or name another with -c FILE".to_owned());
            ConfigErrors(vec![Diagnostic::of_file(path, &why, help)])
        })?;
        Self::from_text(path, text, others_read)
    }

    /// Checks `text` as if it stood in the file at `path`. `others_read` tells whether group or others
    /// can read that file.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub fn from_text(path: &Path, text: String, others_read: bool) -> Result<Loaded, ConfigErrors> {
        let mut source = Source::new(path, text);
        let mut findings = Findings::default();
        let config = read_document(&source, others_read, &mut findings);
        let unusable = findings.has_errors();
        let diagnostics = findings.diagnostics(&mut source);
        match config {
            Some(config) if !unusable => Ok(Loaded {
                config,
                warnings: diagnostics,
            }),
            _ => Err(ConfigErrors(diagnostics)),
        }
    }
}

impl Config {
    /// Where the file at `path` says that things are. What it says of connections is not looked at:
    /// their secrets are not for everybody who may look at the log.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not TOML, or is wrong about these places.
    pub fn places(path: &Path) -> Result<Places, ConfigErrors> {
        let (text, _) =
            read(path).map_err(|why| ConfigErrors(vec![Diagnostic::of_file(path, &why, None)]))?;
        let mut source = Source::new(path, text);
        let mut findings = Findings::default();
        let places = document(&source, &mut findings).map(|document| {
            // What else is wrong at the top is for `check` to say.
            let top = Table::new("", 0..0, document.get_ref(), &mut Findings::default());
            Places {
                audit: sections::audit(&top, &source, &mut findings),
                log: sections::log(&top, &source, &mut findings),
                control: sections::control(&top, &source, &mut findings),
            }
        });
        let unusable = findings.has_errors();
        match places {
            Some(places) if !unusable => Ok(places),
            _ => Err(ConfigErrors(findings.diagnostics(&mut source))),
        }
    }
}

fn read(path: &Path) -> Result<(String, bool), String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    let file = File::open(path).map_err(cannot)?;
    let meta = file.metadata().map_err(cannot)?;
    if meta.is_dir() {
        return Err("is a folder".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("has more than {MAX_FILE} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.split(|&byte| byte == b'\n').count();
        format!("is not UTF-8: see line {line}")
    })?;
    Ok((text, meta.mode() & 0o044 != 0))
}

/// The document, unless it is not TOML: what could still be read then may not be what was meant, and
/// more errors would only mislead.
fn document<'a>(source: &'a Source, findings: &mut Findings) -> Option<toml::Spanned<DeTable<'a>>> {
    let (document, errors) = DeTable::parse_recoverable(source.text());
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        findings.hide(source.unparsed(span.start));
        findings.error_help(
            span,
            format!("this is not TOML: {}", error.message()),
            "see https://toml.io for how TOML is written",
        );
    }
    errors.is_empty().then_some(document)
}

/// Nothing when something needed is missing or wrong; the findings say what.
fn read_document(source: &Source, others_read: bool, findings: &mut Findings) -> Option<Config> {
    let document = document(source, findings)?;
    let top = Table::new("", 0..0, document.get_ref(), findings);
    let audit = sections::audit(&top, source, findings);
    let log = sections::log(&top, source, findings);
    let listen = sections::listen(&top, findings);
    let control = sections::control(&top, source, findings);
    let debug = sections::debug(&top, source, findings);
    let pools = remote_access::pools(&top, findings);
    let written = connections(&top, source, &listen, &pools, others_read, findings);
    overlap::check(&written, findings);
    overlap::check_planes(&written, findings);
    let config = Config {
        path: source.path().to_owned(),
        audit,
        log,
        listen,
        control,
        debug,
        connections: written.iter().map(|w| w.connection.clone()).collect(),
    };
    overlap::check_sockets(&config, &written, findings);
    Some(config)
}

fn connections(
    top: &Table<'_>,
    source: &Source,
    listen: &ListenConfig,
    pools: &[Pool],
    others_read: bool,
    findings: &mut Findings,
) -> Vec<WrittenConnection> {
    let example = "{ name = \"branch\", … }, or better [[connection]]";
    let Some(tables) = top
        .get("connection")
        .and_then(|field| field.tables("connection", findings, example))
    else {
        return Vec::new();
    };
    tables
        .iter()
        .filter_map(|table| connection::read(table, source, listen, pools, others_read, findings))
        .collect()
}

#[cfg(test)]
mod certificate_tests;
#[cfg(test)]
mod tests;
