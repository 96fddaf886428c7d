//! `import`: from a swanctl.conf to a configuration.

use std::io::Write as _;
use std::path::Path;

use super::args::PlaneWord;
use super::output::{CARE, complain, note, say, styled};
use super::{Context, Failure, Outcome};
use crate::config::{Config, DEFAULT_PATH, DataPlane, Diagnostic, Severity};
use crate::import::{self, Imported, Remark};

/// `import`: the configuration to stdout, what there is to say to stderr; 3 where something is missing.
pub fn run(file: &Path, plane: PlaneWord, context: &mut Context) -> Outcome {
    let plane = match plane {
        PlaneWord::Kernel => DataPlane::Kernel,
        PlaneWord::User => DataPlane::User,
        PlaneWord::None => DataPlane::None,
    };
    let imported = import::read(file, plane).map_err(|error| Failure::new(error.to_string()))?;
    let findings = check(&imported);
    let unusable = findings
        .iter()
        .any(|finding| finding.severity == Severity::Error);
    if context.json {
        let remarks: Vec<serde_json::Value> = imported.remarks.iter().map(json).collect();
        let findings: Vec<serde_json::Value> = findings.iter().map(Diagnostic::json).collect();
        let facts = serde_json::json!({
            "configuration": imported.text.as_str(),
            "remarks": remarks,
            "findings": findings,
        });
        writeln!(context.out, "{facts}")?;
    } else {
        context.out.write_all(imported.text.as_bytes())?;
        // Who sees both sees what there is to say below.
        context.out.flush()?;
        for remark in &imported.remarks {
            say(&said(remark));
        }
        for finding in &findings {
            complain_of(finding);
        }
    }
    if unusable || imported.incomplete() {
        return Err(Failure::in_part());
    }
    Ok(())
}

/// What `check` says of what was written.
fn check(imported: &Imported) -> Vec<Diagnostic> {
    let text = imported.text.to_string();
    match Config::from_text(Path::new(DEFAULT_PATH), text, false) {
        Ok(loaded) => loaded.warnings,
        Err(errors) => errors.0,
    }
}

fn said(remark: &Remark) -> String {
    let word = if remark.left_out {
        styled(CARE, "left out:")
    } else {
        "note:".to_owned()
    };
    format!(
        "{}: {word} {}: {}",
        remark.place, remark.setting, remark.why
    )
}

/// A finding about what was written, which stands in no file yet.
fn complain_of(finding: &Diagnostic) {
    let line = finding
        .location
        .as_ref()
        .map_or(0, |location| location.line);
    let help = finding.help.as_deref().unwrap_or_default();
    let text = format!(
        "line {line} of what was written: {}; {help}",
        finding.message
    );
    match finding.severity {
        Severity::Error => complain(&text),
        Severity::Warning => note(&text),
    }
}

fn json(remark: &Remark) -> serde_json::Value {
    serde_json::json!({
        "file": remark.place.file.display().to_string(),
        "line": remark.place.line,
        "setting": remark.setting,
        "left_out": remark.left_out,
        "why": remark.why,
    })
}
