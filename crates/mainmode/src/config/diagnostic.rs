//! What is wrong with a configuration, where, and what to write instead.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use super::source::{Location, Source};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, and the operator should know this.
    Warning,
}

impl Severity {
    /// The word before the message.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing to say about a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where; nowhere in particular when the file itself could not be read.
    pub location: Option<Location>,
    /// What is wrong.
    pub message: String,
    /// What to write instead, or to do.
    pub help: Option<String>,
    /// The line and the caret under it.
    excerpt: Option<String>,
}

impl Diagnostic {
    /// Something about the file as a whole.
    pub fn of_file(path: &Path, message: &str, help: Option<String>) -> Self {
        Self {
            severity: Severity::Error,
            location: None,
            message: format!("{}: {message}", path.display()),
            help,
            excerpt: None,
        }
    }

    fn at(source: &Source, severity: Severity, finding: &Finding) -> Self {
        let location = source.location(finding.span.start);
        let (line, start, len) = source.excerpt(&finding.span);
        let number = location.line.to_string();
        let margin = " ".repeat(number.len());
        let excerpt = format!(
            "{margin} |\n{number} | {line}\n{margin} | {}{}",
            " ".repeat(start),
            "^".repeat(len)
        );
        Self {
            severity,
            location: Some(location),
            message: finding.message.clone(),
            help: finding.help.clone(),
            excerpt: Some(excerpt),
        }
    }

    /// The whole of it, as it goes to a terminal: `file:line:column: error: …`, the line with a caret
    /// under what is meant, and what to write instead.
    pub fn render(&self) -> String {
        let mut text = String::new();
        if let Some(location) = &self.location {
            let _ = write!(text, "{location}: ");
        }
        let _ = writeln!(text, "{}: {}", self.severity.word(), self.message);
        if let Some(excerpt) = &self.excerpt {
            let _ = writeln!(text, "{excerpt}");
        }
        if let Some(help) = &self.help {
            let _ = writeln!(text, "  help: {help}");
        }
        text
    }

    /// The same as one JSON object.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "severity": self.severity,
            "file": self.location.as_ref().map(|l| l.file.display().to_string()),
            "line": self.location.as_ref().map(|l| l.line),
            "column": self.location.as_ref().map(|l| l.column),
            "message": self.message,
            "help": self.help,
        })
    }
}

/// What was found, before lines are counted.
#[derive(Debug, Clone)]
struct Finding {
    span: Range<usize>,
    message: String,
    help: Option<String>,
}

/// Collects everything there is to say, so that the operator hears all of it at once.
#[derive(Debug, Default)]
pub struct Findings {
    found: Vec<(Severity, Finding)>,
    /// Where secrets stand in the file.
    secrets: Vec<Range<usize>>,
}

/// The most that is said about one file; what follows a hundred errors helps nobody.
const MAX_FINDINGS: usize = 100;

impl Findings {
    /// Something that makes the configuration unusable, and what to write instead.
    pub fn error_help(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Severity::Error, span, message.into(), Some(help.into()));
    }

    /// Something that the operator should know.
    pub fn warn(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Severity::Warning, span, message.into(), Some(help.into()));
    }

    /// A key or value that is known and that a later version will have.
    pub fn not_yet(&mut self, span: Range<usize>, what: &str, help: &str) {
        self.error_help(span, format!("not yet: {what}"), help);
    }

    /// What stands in `span` is a secret, and is never shown.
    pub fn hide(&mut self, span: Range<usize>) {
        self.secrets.push(span);
    }

    fn push(
        &mut self,
        severity: Severity,
        span: Range<usize>,
        message: String,
        help: Option<String>,
    ) {
        if self.found.len() < MAX_FINDINGS {
            let finding = Finding {
                span,
                message,
                help,
            };
            self.found.push((severity, finding));
        }
    }

    /// Whether the configuration is unusable.
    pub fn has_errors(&self) -> bool {
        self.found.iter().any(|(s, _)| *s == Severity::Error)
    }

    /// Everything, in the order of the file.
    pub fn diagnostics(mut self, source: &mut Source) -> Vec<Diagnostic> {
        for span in self.secrets.drain(..) {
            source.hide(span);
        }
        let source = &*source;
        self.found.sort_by_key(|(_, finding)| finding.span.start);
        self.found
            .iter()
            .map(|(severity, finding)| Diagnostic::at(source, *severity, finding))
            .collect()
    }
}
