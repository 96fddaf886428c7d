//! The command line.

mod args;
mod audit;
mod check;
mod connection;
mod explain;
mod import;
pub(crate) mod line;
mod log;
mod monitor;
pub(crate) mod output;
mod reload;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser as _;

pub use args::{Args, Command, DemoArgs};
pub use output::Out;

use crate::config::{Config, ConfigErrors, DEFAULT_PATH, Places};
use crate::control::{Client, ClientError};

/// Why a command failed: what to say on stderr, and the exit code.
#[derive(Debug)]
pub struct Failure {
    /// What to say; nothing where all has been said.
    message: String,
    /// 1: the thing asked for failed; 2: the words were wrong; 3: it was done in part.
    code: u8,
}

impl Failure {
    /// The thing asked for failed.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: 1,
        }
    }

    /// The words were wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: 2,
        }
    }

    /// The thing asked for was done in part, and what is missing has been said.
    pub fn in_part() -> Self {
        Self {
            message: String::new(),
            code: 3,
        }
    }

    /// The thing asked for failed, and why has been said.
    pub fn said() -> Self {
        Self::new("")
    }

    /// The error and its causes.
    pub fn of(error: &dyn std::error::Error) -> Self {
        Self::new(crate::with_causes(error))
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        Self::new(errors.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            // Whoever read our output has had enough.
            return Self {
                message: String::new(),
                code: 0,
            };
        }
        Self::of(&error)
    }
}

/// What a command gives.
pub type Outcome = Result<(), Failure>;

/// What every command gets: where the configuration is, and how to print.
pub struct Context {
    file: Option<PathBuf>,
    /// The control socket, whatever the configuration says.
    socket: Option<PathBuf>,
    /// Whether JSON was asked for.
    pub json: bool,
    /// Where output goes.
    pub out: Out,
}

impl Context {
    /// The configuration's path.
    pub fn path(&self) -> &Path {
        self.file.as_deref().unwrap_or(Path::new(DEFAULT_PATH))
    }

    /// Where log and control socket are. Where the default file is absent or closed to us, they are
    /// where they are by default.
    fn places(&self) -> Result<Places, ConfigErrors> {
        if self.file.is_none() && std::fs::File::open(self.path()).is_err() {
            return Ok(Places::default());
        }
        Config::places(self.path())
    }

    /// The way to the log and the policy. With `--socket` it is the daemon there, or none.
    fn way(&self) -> Result<Way, Failure> {
        if let Some(socket) = &self.socket {
            return match daemon(socket)? {
                Some(client) => Ok(Way::Daemon(client)),
                None => Err(Failure::new(format!(
                    "no daemon answers at {}",
                    socket.display()
                ))),
            };
        }
        let places = self.places().map_err(|errors| {
            Failure::new(format!(
                "{errors}\na daemon that runs can be reached nevertheless: --socket PATH, its control socket"
            ))
        })?;
        Ok(match daemon(&places.control.socket)? {
            Some(client) => Way::Daemon(client),
            None => Way::Here(places),
        })
    }
}

/// How a command gets at what it is about.
enum Way {
    /// Through the daemon, which runs.
    Daemon(Client),
    /// Without one: it is in these places.
    Here(Places),
}

/// A connection to the daemon; nothing when none runs.
fn daemon(socket: &Path) -> Result<Option<Client>, Failure> {
    match Client::connect(socket) {
        Ok(client) => Ok(Some(client)),
        Err(ClientError::NoDaemon(_)) => Ok(None),
        Err(error) => Err(Failure::of(&error)),
    }
}

/// A connection to the daemon, for what cannot do without.
fn daemon_needed(context: &Context) -> Result<Client, Failure> {
    match context.way()? {
        Way::Daemon(client) => Ok(client),
        Way::Here(places) => Err(Failure::new(format!(
            "no daemon answers at {}; start it with: mainmode run",
            places.control.socket.display()
        ))),
    }
}

/// The program: reads the command line, does what it says, gives the exit code.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let mut context = Context {
        file: args.config,
        socket: args.socket,
        json: args.json,
        out: Out::stdout(),
    };
    let outcome = run(args.command, &mut context).and_then(|()| Ok(context.out.flush()?));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // What was printed before the failure comes first.
            let _ = context.out.flush();
            if !failure.message.is_empty() {
                output::complain(&failure.message);
            }
            ExitCode::from(failure.code)
        }
    }
}

fn run(command: Command, context: &mut Context) -> Outcome {
    if context.socket.is_some() && !command.talks_to_the_daemon() {
        return Err(Failure::usage(
            "--socket is for commands that talk to the daemon, and this one does not",
        ));
    }
    match command {
        Command::Demo(args) => crate::demo::run(&args, context),
        Command::Run => crate::daemon::run(check::load(context)?, context),
        Command::Check => check::run(context),
        Command::Import { file, dataplane } => import::run(&file, dataplane, context),
        Command::Up { name } => connection::up(&name, context),
        Command::Down { name } => connection::down(&name, context),
        Command::Reload => reload::run(context),
        Command::Monitor {
            snapshot,
            connection,
        } => monitor::run(snapshot, &connection, context),
        Command::Status => connection::status(context),
        Command::Audit { command } => audit::run(command, context),
        Command::Log { command } => log::run(command, context),
        Command::Explain { what } => explain::run(&what, context),
        Command::Inspect { .. } => Err(not_yet("reading captures")),
    }
}

fn not_yet(what: &str) -> Failure {
    Failure::new(format!("not yet: {what}"))
}
