//! `docs/configuration.md` and `docs/commands.md` against the code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use mainmode::cli::Args;
use mainmode::config::keys::{KEYS, Key};

use crate::place::Place;

fn page(name: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of the table behind each `<!-- keys: … -->`: its name, the key, the rest.
fn documented(page: &str) -> Vec<(String, String, Vec<String>)> {
    let mut rows = Vec::new();
    for part in page.split("<!-- keys:").skip(1) {
        let (table, rest) = part.split_once("-->").expect("an end");
        let lines = rest
            .trim_start()
            .lines()
            .take_while(|line| line.starts_with('|'));
        for line in lines.skip(2) {
            let cells: Vec<String> = line
                .trim_matches('|')
                .split(" | ")
                .map(|cell| cell.trim().to_owned())
                .collect();
            assert_eq!(cells.len(), 4, "{line}");
            let key = cells[0].trim_matches('`').to_owned();
            rows.push((table.trim().to_owned(), key, cells));
        }
    }
    rows
}

#[test]
fn every_key_is_documented_and_every_documented_key_exists() {
    let page = page("configuration.md");
    let rows = documented(&page);
    let documented: Vec<(&str, &str)> = rows
        .iter()
        .map(|(table, key, _)| (table.as_str(), key.as_str()))
        .collect();
    let known: Vec<(&str, &str)> = KEYS.iter().map(|key| (key.table, key.name)).collect();
    let sorted = |list: &[(&str, &str)]| -> BTreeSet<(String, String)> {
        list.iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    };
    assert_eq!(sorted(&documented), sorted(&known));
    assert_eq!(documented.len(), known.len(), "a key is documented twice");
}

#[test]
fn what_is_not_yet_there_is_documented_as_such() {
    let page = page("configuration.md");
    for (table, name, cells) in documented(&page) {
        let key: &Key = KEYS
            .iter()
            .find(|key| key.table == table && key.name == name)
            .expect("known");
        assert_eq!(
            cells[3].starts_with("Not yet"),
            key.not_yet.is_some(),
            "{table} {name}"
        );
    }
}

#[test]
fn the_documented_example_is_good() {
    let page = page("configuration.md");
    let example = page
        .split_once("```toml\n")
        .and_then(|(_, rest)| rest.split_once("```"))
        .expect("an example")
        .0;
    let place = Place::new("");
    place.write("m.toml", example);
    place.write("branch.psk", "correct horse battery staple\n");
    place.write("roaming.psk", "staple battery horse correct\n");
    assert_eq!(
        place.run(&["check"]).good(),
        "m.toml: good; 2 connections\n"
    );
}

/// A default that stands on the page as a value is the value that the program takes: written out, it
/// changes nothing.
#[test]
fn the_documented_defaults_are_the_programs() {
    let page = page("configuration.md");
    let psk = "auth = { psk = \"correct horse battery staple\" }";
    let bare =
        format!("[[connection]]\nname = \"a\"\nremote = {{ address = \"192.0.2.1\" }}\n{psk}\n");
    let load = |text: &str| {
        let loaded =
            mainmode::config::Config::from_text(Path::new("/m.toml"), text.to_owned(), false);
        let mut config = loaded
            .unwrap_or_else(|errors| panic!("{errors}\n{text}"))
            .config;
        for connection in &mut config.connections {
            connection.location.line = 0;
            connection.remote.port_written = false;
        }
        config.listen.written = false;
        format!("{config:?}")
    };
    let pki = concat!(env!("CARGO_MANIFEST_DIR"), "/../keying/src/pki");
    let mut checked = 0;
    for (table, key, cells) in documented(&page) {
        let Some(value) = cells[2].strip_prefix('`').and_then(|v| v.strip_suffix('`')) else {
            continue;
        };
        let text = match table.as_str() {
            "connection" => format!("{bare}{key} = {value}\n"),
            "connection.remote" => {
                bare.replace("\" }\nauth", &format!("\", {key} = {value} }}\nauth"))
            }
            "connection.dpd" => {
                let with = |inner: &str| format!("{bare}dpd = {{ {inner} }}\n");
                assert_eq!(
                    load(&with(&format!("{key} = {value}"))),
                    load(&with("")),
                    "{key}"
                );
                checked += 1;
                continue;
            }
            "connection.child" => {
                let child = format!("{bare}[[connection.child]]\nname = \"net\"\n");
                assert_eq!(
                    load(&format!("{child}{key} = {value}\n")),
                    load(&child),
                    "{key}"
                );
                checked += 1;
                continue;
            }
            "connection.auth" => {
                let with = |more: &str| {
                    let auth = format!(
                        "auth = {{ certificate = \"{pki}/left.pem\", ca = \"{pki}/ca.pem\"{more} }}"
                    );
                    load(&bare.replace(psk, &auth))
                };
                assert_eq!(with(&format!(", {key} = {value}")), with(""), "{key}");
                checked += 1;
                continue;
            }
            "connection.mode-config" => {
                let with =
                    |more: &str| format!("{bare}mode-config = {{ request = \"ipv4\"{more} }}\n");
                let said = format!(", {key} = {value}");
                assert_eq!(load(&with(&said)), load(&with("")), "{key}");
                checked += 1;
                continue;
            }
            inner if inner.starts_with("connection.") => {
                let name = inner.trim_start_matches("connection.");
                format!("{bare}{name} = {{ {key} = {value} }}\n")
            }
            section => format!("[{section}]\n{key} = {value}\n{bare}"),
        };
        assert_eq!(load(&text), load(&bare), "{table} {key}");
        checked += 1;
    }
    assert!(checked > 20, "{checked}");
}

/// The visible commands that do something, by their words.
fn leaves(command: &clap::Command, words: &str, found: &mut Vec<(String, clap::Command)>) {
    let mut inner = command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set() && inner.get_name() != "help")
        .peekable();
    if inner.peek().is_none() {
        found.push((words.to_owned(), command.clone()));
    }
    for inner in inner {
        leaves(inner, &format!("{words} {}", inner.get_name()), found);
    }
}

#[test]
fn every_command_is_documented_with_its_options_and_no_other() {
    let page = page("commands.md");
    let sections: Vec<(&str, &str)> = page
        .split("\n## `")
        .skip(1)
        .map(|section| section.split_once('`').expect("a title"))
        .collect();
    let mut commands = Vec::new();
    leaves(&Args::command(), "mainmode", &mut commands);
    let titles: Vec<&str> = sections.iter().map(|(title, _)| *title).collect();
    let known: Vec<&str> = commands.iter().map(|(words, _)| words.as_str()).collect();
    assert_eq!(titles, known);
    for ((words, text), (_, command)) in sections.iter().zip(&commands) {
        let options: BTreeSet<String> = command
            .get_opts()
            .filter(|option| !option.is_hide_set())
            .filter_map(|option| option.get_long())
            .map(|long| format!("--{long}"))
            .collect();
        // What is named in code of this section, less what stands with every command and less the
        // options of other commands, which are named with their command.
        let global = ["--json", "--config", "--socket"];
        let named: BTreeSet<String> = text
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|code| code.starts_with("--"))
            .filter_map(|code| code.split_whitespace().next())
            .map(str::to_owned)
            .filter(|option| !global.contains(&option.as_str()))
            .collect();
        assert_eq!(named, options, "{words}");
    }
}

#[test]
fn every_event_of_the_stream_is_documented_and_no_other() {
    let page = page("commands.md");
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let documented: Vec<&str> = rows.map(|(name, _)| name).collect();
    assert_eq!(documented, mainmode::control::monitor::Happened::NAMES);
}
