//! `reload`.

use std::io::Write as _;

use audit::printable;

use super::connection::{ask, unexpected};
use super::output::{CARE, GOOD, note, styled};
use super::{Context, Failure, Outcome};
use crate::control::{Finding, Reloaded, Request, Response};

/// What became of each connection; where the file is wrong, why, and 1.
pub fn run(context: &mut Context) -> Outcome {
    // Where not even the socket can be read from the file, the answer has the same form as the daemon's.
    if context.json
        && context.socket.is_none()
        && let Err(errors) = context.places()
    {
        let findings = errors.0.iter().map(Finding::of).collect();
        return print_json(&Reloaded::refused(findings), context);
    }
    let Response::Reloaded(answer) = ask(&Request::Reload, context)? else {
        return Err(unexpected());
    };
    if context.json {
        return print_json(&answer, context);
    }
    if !answer.reloaded {
        let texts: Vec<String> = answer.findings.iter().map(shown).collect();
        return Err(Failure::new(texts.join("\n").trim_end()));
    }
    for warning in &answer.findings {
        note(shown(warning).trim_end());
    }
    print(&answer, context)
}

fn print_json(answer: &Reloaded, context: &mut Context) -> Outcome {
    let text = serde_json::to_string(answer).map_err(|error| Failure::of(&error))?;
    writeln!(context.out, "{text}")?;
    answer.reloaded.then_some(()).ok_or_else(Failure::said)
}

/// The lines of a finding, each safe to show.
fn shown(finding: &Finding) -> String {
    let lines = finding.text.lines();
    let shown: Vec<String> = lines
        .map(|line| printable(line).into_owned() + "\n")
        .collect();
    shown.concat()
}

fn print(answer: &Reloaded, context: &mut Context) -> Outcome {
    writeln!(context.out, "{}", styled(GOOD, "reloaded"))?;
    for (word, names) in answer.lists() {
        let names: Vec<_> = names.iter().map(|name| printable(name)).collect();
        writeln!(context.out, "{word}: {}", names.join(", "))?;
    }
    for said in &answer.notes {
        writeln!(context.out, "{}", styled(CARE, &printable(said)))?;
    }
    Ok(())
}
