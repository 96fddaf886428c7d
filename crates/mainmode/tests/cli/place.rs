//! A folder with a configuration, and the program run on it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

/// What a run of the program gave.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// The standard output of a run that must have gone well.
    pub fn good(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// The standard error of a run that must have failed with this code.
    pub fn failed(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        self.stderr
    }

    /// The standard output as JSON, an object a line.
    pub fn json(self) -> Vec<serde_json::Value> {
        let read =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        self.good().lines().map(read).collect()
    }
}

/// A folder of its own for each test.
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// With a configuration whose log and control socket are in the folder, and this besides.
    pub fn new(besides: &str) -> Self {
        let place = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        let places =
            "[log]\ndirectory = \"log\"\nmax-size = \"4MiB\"\n[control]\nsocket = \"control\"\n";
        place.write("m.toml", &format!("{places}{besides}"));
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file that only its owner can read.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("mode");
    }

    /// Runs the program in the folder, on its configuration.
    pub fn run(&self, words: &[&str]) -> Ran {
        let output: Output = Command::new(env!("CARGO_BIN_EXE_mainmode"))
            .current_dir(self.folder.path())
            .env("TZ", "UTC")
            .args(["-c", "m.toml"])
            .args(words)
            .output()
            .expect("started");
        Ran {
            code: output.status.code().expect("an exit code"),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// The log, open for writing as the daemon has it.
    pub fn writer(&self) -> eventlog::Writer {
        let options = eventlog::Options {
            directory: self.path("log"),
            max_size: 4 << 20,
            retention: eventlog::Retention::Overwrite,
            computer: "gw".to_owned(),
            process_id: 7,
        };
        eventlog::Writer::open(options).expect("open").0
    }
}
