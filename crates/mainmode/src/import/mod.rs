//! `mainmode import`: the configuration that is equal to a swanctl.conf of strongSwan's, and the names of all settings
//! that have no equal.

mod addresses;
mod auth;
mod authorities;
mod child;
mod connection;
mod credentials;
pub mod fuzzing;
mod given;
mod overlap;
mod phase_1;
mod pools;
mod proposals;
mod references;
mod settings;
mod strays;
mod toml;
mod trust;
mod words;
mod xauth;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use zeroize::Zeroizing;

pub use given::Remark;
pub use settings::{Place, SettingsError};

use crate::config::DataPlane;
use connection::Written;
use credentials::Credentials;
use given::{Given, Remarks, in_order};
use settings::{Missing, Section};

/// How what is written begins.
const HEAD: &str = "# Imported from a swanctl.conf of strongSwan's. Negotiations are audited once [audit] says so.\n";

/// What an import gives.
pub struct Imported {
    /// The configuration: TOML, with secrets in it.
    pub text: Zeroizing<String>,
    /// What there is to say, in the order of the files.
    pub remarks: Vec<Remark>,
}

impl Imported {
    /// Whether something of the swanctl.conf is missing in the configuration.
    pub fn incomplete(&self) -> bool {
        self.remarks.iter().any(|remark| remark.left_out)
    }
}

/// Reads a swanctl.conf. Certificates and keys are where swanctl looks for them: in folders beside the file. Keys of
/// children go into `plane`.
///
/// # Errors
///
/// The file, or one that it includes, cannot be read, or is not what swanctl would read.
pub fn read(path: &Path, plane: DataPlane) -> Result<Imported, SettingsError> {
    let (root, missing) = settings::read(path)?;
    // A path in what is written has to lead there from any folder. The folder of a bare name has none.
    let folder = eventlog::folder_of(path);
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    Ok(import(
        &references::resolve(&root)?,
        &folder,
        &missing,
        plane,
    ))
}

fn import(root: &Section, folder: &Path, missing: &[Missing], plane: DataPlane) -> Imported {
    let mut remarks = Remarks::default();
    for one in missing {
        let name = format!("include {}", one.pattern.escape_debug());
        remarks.left_out(&one.place, name, "there is no such file");
    }
    let mut credentials = Credentials::new(root, folder);
    let pools = pools::read(root, &mut remarks);
    let mut parts = vec![Zeroizing::new(HEAD.to_owned())];
    parts.extend(pools.written.iter().map(|pool| table("[[pool]]", pool)));
    let mut users = 0;
    let mut written: Vec<(&Section, &String, Written)> = Vec::new();
    let mut names: BTreeMap<String, Place> = BTreeMap::new();
    if let Some(connections) = root.sections.get("connections") {
        // What one becomes beside itself has the name of no other.
        let mut all: BTreeSet<String> = connections
            .sections
            .keys()
            .map(|name| connection::clean(name))
            .collect();
        for (name, section) in in_order(connections) {
            if let Some(other) = names.insert(connection::clean(name), section.place.clone()) {
                let why = format!(
                    "the connection is left out: as it can be written here, its name is that of {other}"
                );
                remarks.left_out(&section.place, format!("connections.{name}"), why);
                continue;
            }
            let mut rest = connection::Rest {
                plane,
                pools: &pools,
                names: &mut all,
                users: &mut users,
            };
            let all = connection::read(section, name, &mut rest, &mut credentials, &mut remarks);
            written.extend(all.into_iter().map(|one| (section, name, one)));
        }
    }
    told_apart(&mut written, &mut remarks);
    for (_, _, one) in &written {
        parts.push(table("[[connection]]", &one.lines));
        let children = one.children.iter();
        parts.extend(children.map(|child| table("[[connection.child]]", child)));
    }
    others(root, &credentials, &mut remarks);
    strays::name(root, &mut remarks);
    let mut remarks = remarks.0;
    remarks.sort_by(|a, b| a.place.cmp(&b.place));
    remarks.dedup();
    // As long as its parts: a string that grows leaves copies of secrets behind.
    let len = parts.iter().map(|part| part.len()).sum();
    let mut text = Zeroizing::new(String::with_capacity(len));
    for part in &parts {
        text.push_str(part);
    }
    Imported { text, remarks }
}

/// Leaves out the connections whose pre-shared keys could not be told from those of others.
fn told_apart(written: &mut Vec<(&Section, &String, Written)>, remarks: &mut Remarks) {
    let meets = |(at, (_, _, one)): (usize, &(_, _, Written))| one.meets.as_ref().map(|_| at);
    let with: Vec<usize> = written.iter().enumerate().filter_map(meets).collect();
    let lines: Vec<&toml::Lines> = written
        .iter()
        .filter_map(|(_, _, one)| one.meets.as_ref())
        .collect();
    let mut out: BTreeSet<usize> = BTreeSet::new();
    for (at, why) in overlap::find(&lines) {
        let at = with[at];
        let (section, name, one) = &written[at];
        let why = format!("the connection \"{}\" is left out: {why}", one.name);
        remarks.left_out(&section.place, format!("connections.{name}"), why);
        out.insert(at);
    }
    let mut at = 0;
    written.retain(|_| {
        at += 1;
        !out.contains(&(at - 1))
    });
}

/// A table of TOML.
fn table(title: &str, lines: &toml::Lines) -> Zeroizing<String> {
    let len: usize = lines.lines().map(|line| line.len() + 1).sum();
    let mut table = Zeroizing::new(String::with_capacity(title.len() + len + 4));
    for line in ["", title].into_iter().chain(lines.lines()) {
        table.push_str(line);
        table.push('\n');
    }
    table
}

/// What stands beside the connections.
fn others(root: &Section, credentials: &Credentials<'_>, remarks: &mut Remarks) {
    if let Some(authorities) = root.sections.get("authorities") {
        for (name, section) in in_order(authorities) {
            let why = "a CA is named in `ca` of a connection; where CRLs and OCSP are asked for stands in certificates, or \
                       in `crl`";
            remarks.left_out(&section.place, format!("authorities.{name}"), why);
        }
    }
    for (name, section) in credentials.secrets(&[""]) {
        let path = format!("secrets.{name}");
        if credentials.used.contains(name) {
            let mut given = Given::new(section, path);
            given.get("file");
            let rest: Vec<&String> = section
                .values
                .keys()
                .filter(|key| {
                    !key.starts_with("id") && !key.starts_with("secret") && *key != "file"
                })
                .collect();
            for key in rest {
                given.left_out(key, "a secret has no such key", remarks);
            }
            continue;
        }
        if ["ike", "private", "rsa", "ecdsa", "pkcs8", "eap", "xauth"]
            .iter()
            .any(|kind| name.starts_with(kind))
        {
            let why = "no connection that was written needs this secret";
            remarks.note(&section.place, path, why);
            continue;
        }
        let kinds = [
            ("ntlm", "there is no EAP"),
            ("ppk", "postquantum pre-shared keys are of IKEv2"),
            (
                "token",
                "a key in a token is named by its URI: key = \"pkcs11:…\" in `auth`",
            ),
            (
                "pkcs12",
                "a PKCS #12 file is named in `certificate` of `auth`, its passphrase beside it",
            ),
        ];
        let kind = kinds.iter().find(|(kind, _)| name.starts_with(kind));
        let why = kind.map_or("swanctl has no such secret", |(_, why)| why);
        remarks.left_out(&section.place, path, why);
    }
}

#[cfg(test)]
mod tests;
