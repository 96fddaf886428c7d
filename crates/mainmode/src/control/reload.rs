//! What came of reading the configuration again.

use serde::{Deserialize, Serialize};

use crate::config::{Diagnostic, Severity};

/// All of it; what `reload --json` prints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// It is in force. Otherwise nothing was changed.
    pub reloaded: bool,
    /// Connections that are as they were: nothing of them ended.
    pub kept: Vec<String>,
    /// Those of which only the children, or `start`, changed: their Main Mode SAs go on.
    pub amended: Vec<String>,
    /// Those that changed: what they had made ended.
    pub changed: Vec<String>,
    /// New ones.
    pub added: Vec<String>,
    /// Those that are gone: what they had made ended.
    pub removed: Vec<String>,
    /// What else changed, or waits for a restart; one sentence each.
    pub notes: Vec<String>,
    /// What is wrong with the file, or what its operator should know.
    pub findings: Vec<Finding>,
}

/// One thing to say about a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `error` or `warning`.
    pub severity: String,
    /// The file.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The column, from 1.
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// All of it in lines for people, as `check` shows it.
    pub text: String,
}

impl Finding {
    /// A diagnostic, ready to go to a client.
    pub fn of(diagnostic: &Diagnostic) -> Self {
        let location = diagnostic.location.as_ref();
        Self {
            severity: diagnostic.severity.word().to_owned(),
            file: location.map(|l| l.file.display().to_string()),
            line: location.map(|l| l.line),
            column: location.map(|l| l.column),
            message: diagnostic.message.clone(),
            help: diagnostic.help.clone(),
            text: diagnostic.render(),
        }
    }

    /// Whether it is no reason to refuse the file.
    pub fn is_warning(&self) -> bool {
        self.severity == Severity::Warning.word()
    }
}

impl Reloaded {
    /// Nothing was changed, and why.
    pub fn refused(findings: Vec<Finding>) -> Self {
        Self {
            findings,
            ..Self::default()
        }
    }

    /// What became of the connections: a word, and the names; those alone that have some.
    pub fn lists(&self) -> impl Iterator<Item = (&'static str, &[String])> {
        let all: [(&'static str, &[String]); 5] = [
            ("kept", &self.kept),
            ("amended", &self.amended),
            ("changed", &self.changed),
            ("added", &self.added),
            ("removed", &self.removed),
        ];
        all.into_iter().filter(|(_, names)| !names.is_empty())
    }

    /// What came of it, in one line.
    pub fn summary(&self) -> String {
        if !self.reloaded {
            return "not reloaded, and nothing was changed".to_owned();
        }
        let said: Vec<String> = self
            .lists()
            .map(|(word, names)| format!("{word}: {}", names.join(", ")))
            .collect();
        match said.len() {
            0 => "reloaded; there is no connection".to_owned(),
            _ => format!("reloaded; {}", said.join("; ")),
        }
    }
}
