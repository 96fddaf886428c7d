//! `check`, and reading the configuration for `run`.

use std::io::Write as _;

use super::output::{CARE, GOOD, note, styled};
use super::{Context, Failure, Outcome};
use crate::config::{Config, Diagnostic, Loaded};

/// Reads the configuration for a command that needs all of it; warnings go to stderr.
pub fn load(context: &Context) -> Result<Config, Failure> {
    let Loaded { config, warnings } =
        Config::load(context.path()).map_err(|errors| Failure::new(errors.to_string()))?;
    for warning in &warnings {
        let place = warning
            .location
            .as_ref()
            .map_or_else(String::new, |l| format!("{l}: "));
        note(&format!("{place}{}", warning.message));
    }
    Ok(config)
}

/// `check`: everything that there is to say, and 1 where the configuration cannot be used.
pub fn run(context: &mut Context) -> Outcome {
    let path = context.path().display().to_string();
    let (usable, diagnostics) = match Config::load(context.path()) {
        Ok(loaded) => (Some(loaded.config), loaded.warnings),
        Err(errors) => (None, errors.0),
    };
    if context.json {
        for diagnostic in &diagnostics {
            writeln!(context.out, "{}", diagnostic.json())?;
        }
        return usable.map(|_| ()).ok_or_else(Failure::said);
    }
    let rendered: Vec<String> = diagnostics.iter().map(Diagnostic::render).collect();
    let Some(config) = usable else {
        return Err(Failure::new(rendered.join("\n").trim_end()));
    };
    for warning in &rendered {
        writeln!(context.out, "{warning}")?;
    }
    let connections = match config.connections.len() {
        0 => "no connection: every negotiation will be refused".to_owned(),
        1 => "1 connection".to_owned(),
        n => format!("{n} connections"),
    };
    let verdict = match diagnostics.len() {
        0 => styled(GOOD, "good"),
        1 => styled(CARE, "usable, with 1 warning"),
        n => styled(CARE, &format!("usable, with {n} warnings")),
    };
    writeln!(context.out, "{path}: {verdict}; {connections}")?;
    Ok(())
}
