//! Reads the folders of scenarios, each with its shape, and unfolds them into trials.

use super::{Axis, Play, SEPARATOR, Scenario, Variant};
use crate::vars::Vars;
use crate::{Outcome, home};
use libtest_mimic::Failed;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Every trial of every folder, in the folders' order of names. A folder without `expect.toml` is a group: its folders
/// are scenarios, named by both. Where one trial is all that is wanted, of its folder alone: to read them all takes
/// longer than many a trial.
pub fn load_all(scenarios: &Path, wanted: Option<&str>) -> Outcome<Vec<Variant>> {
    let mut all = Vec::new();
    let mut load = |folder: &Path, names: &[String]| {
        let begins = |trial: &str| {
            let rest = trial.strip_prefix(&names.join(SEPARATOR));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(SEPARATOR))
        };
        if wanted.is_none_or(begins) {
            load(folder, names, &mut all)?;
        }
        Ok::<_, Failed>(())
    };
    for folder in folders_in(scenarios)? {
        if folder.join("expect.toml").exists() {
            load(&folder, &[name_of(&folder)])?;
            continue;
        }
        for inner in folders_in(&folder)? {
            load(&inner, &[name_of(&folder), name_of(&inner)])?;
        }
    }
    Ok(all)
}

fn folders_in(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    folders.sort();
    Ok(folders)
}

fn name_of(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn load(folder: &Path, names: &[String], all: &mut Vec<Variant>) -> Outcome {
    let scenario = read(folder, 0)?;
    for (labels, set) in combinations(&scenario.axis) {
        let base = scenario.vars.clone();
        let vars = Vars::new(base.into_iter().chain(set)).map_err(|e| {
            let why = e.message().unwrap_or_default();
            Failed::from(format!("{}: {why}", folder.display()))
        })?;
        all.push(Variant {
            folder: folder.to_owned(),
            scenario: scenario.clone(),
            vars,
            labels: names.iter().cloned().chain(labels).collect(),
        });
    }
    Ok(())
}

/// A shape of a shape, and so on, at most so deep.
const MAX_SHAPES: usize = 4;

fn read(folder: &Path, depth: usize) -> Outcome<Scenario> {
    let file = folder.join("expect.toml");
    let because = |e: &dyn std::fmt::Display| Failed::from(format!("{}: {e}", file.display()));
    let text = std::fs::read_to_string(&file).map_err(|e| because(&e))?;
    let scenario: Scenario = toml::from_str(&text).map_err(|e| because(&e))?;
    match &scenario.shape {
        Some(_) if depth == MAX_SHAPES => Err(because(&"its shapes go in a circle")),
        Some(shape) => {
            let shape = read(&home().join("shapes").join(shape), depth + 1)?;
            scenario.over(shape).map_err(|why| because(&why))
        }
        None => Ok(scenario),
    }
}

impl Scenario {
    /// What this one sets, and of the shape what it leaves open.
    fn over(self, mut shape: Self) -> Result<Self, String> {
        for label in &self.only {
            let is = |row: &BTreeMap<String, String>| row.get("label") == Some(label);
            let has = |axis: &Axis| matches!(axis, Axis::Rows { rows } if rows.iter().any(is));
            if !shape.axis.iter().any(has) {
                return Err(format!("its shape has no row \"{label}\""));
            }
        }
        for axis in &mut shape.axis {
            let wanted = |row: &BTreeMap<String, String>| {
                let label = row.get("label");
                label.is_some_and(|label| self.only.contains(label))
            };
            if let Axis::Rows { rows } = axis
                && rows.iter().any(wanted)
            {
                rows.retain(wanted);
            }
        }
        let mut vars = shape.vars;
        vars.extend(self.vars);
        let mut play = shape.play;
        for (name, own) in self.play {
            let theirs = play.remove(&name).unwrap_or_default();
            let both = Play {
                steps: own.steps.or(theirs.steps),
                expect: own.expect.or(theirs.expect),
            };
            play.insert(name, both);
        }
        let mut shapes: Vec<String> = self.shape.iter().cloned().collect();
        shapes.extend(shape.shapes);
        Ok(Self {
            vars,
            play,
            shapes,
            axis: shape.axis.into_iter().chain(self.axis).collect(),
            steps: self.steps.or(shape.steps),
            expect: self.expect.or(shape.expect),
            more: shape.more.into_iter().chain(self.more).collect(),
            ..self
        })
    }
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
