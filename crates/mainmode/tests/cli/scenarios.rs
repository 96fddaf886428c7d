//! `docs/strongswan-scenarios.md` against the trials: what it says of each of strongSwan's scenarios is what is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Every folder of strongSwan's `testing/tests/ikev1` and `testing/tests/ikev1-algs`.
const IKEV1: [&str; 40] = [
    "compress",
    "config-payload",
    "config-payload-push",
    "double-nat",
    "double-nat-net",
    "dpd-clear",
    "dpd-restart",
    "dynamic-initiator",
    "dynamic-responder",
    "ecdsa-certs",
    "host2host-ah",
    "host2host-cert",
    "host2host-transport",
    "ip-pool",
    "ip-pool-db",
    "nat-rw",
    "nat-virtual-ip",
    "net2net-ah",
    "net2net-cert",
    "net2net-esn",
    "net2net-psk",
    "net2net-psk-fail",
    "protoport-dual",
    "rw-cert",
    "rw-cert-aggressive",
    "rw-cert-unity",
    "rw-initiator-only",
    "rw-multi-ciphers",
    "rw-psk-aggressive",
    "rw-psk-fqdn",
    "rw-psk-ip-ranges",
    "rw-psk-ipv4",
    "xauth-id-psk-config",
    "xauth-id-rsa-aggressive",
    "xauth-id-rsa-config",
    "xauth-id-rsa-hybrid",
    "xauth-psk",
    "xauth-rsa",
    "xauth-rsa-eap-md5-radius",
    "xauth-rsa-radius",
];
const IKEV1_ALGS: [&str; 15] = [
    "alg-3des-md5",
    "alg-blowfish",
    "alg-camellia",
    "alg-ecp-high",
    "alg-ecp-low",
    "alg-modp-subgroup",
    "alg-sha256",
    "alg-sha384",
    "alg-sha512",
    "esp-alg-aes-ccm",
    "esp-alg-aes-ctr",
    "esp-alg-aes-gcm",
    "esp-alg-aes-gmac",
    "esp-alg-aes-xcbc",
    "esp-alg-null",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Group, name, and the cells behind: which parts mainmode has, where it runs, how it stands, what is to say.
fn rows() -> Vec<(String, String, Vec<String>)> {
    let page = read(&root().join("docs/strongswan-scenarios.md"));
    let mut rows = Vec::new();
    let mut group = String::new();
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## `") {
            heading.trim_end_matches('`').clone_into(&mut group);
        }
        if let Some(row) = line.strip_prefix("| `") {
            let cells: Vec<String> = row
                .trim_end_matches('|')
                .split(" | ")
                .map(|cell| cell.trim().to_owned())
                .collect();
            assert_eq!(cells.len(), 5, "{line}");
            let name = cells[0].trim_matches('`').to_owned();
            rows.push((group.clone(), name, cells[1..].to_vec()));
        }
    }
    rows
}

/// The labels to which a scenario, or a shape of it, narrows the rows of its shape; none: all of them.
fn only(data: &str) -> BTreeSet<&str> {
    let lists = data
        .lines()
        .filter_map(|line| line.strip_prefix("only = [")?.strip_suffix(']'));
    lists
        .flat_map(|list| list.split(", "))
        .filter_map(|label| label.trim_matches('"').strip_prefix("us-is-"))
        .collect()
}

/// A scenario's data with that of its shapes.
fn data(folder: &Path) -> String {
    let text = read(&folder.join("expect.toml"));
    let shape = text
        .lines()
        .find_map(|line| line.strip_prefix("shape = \"")?.strip_suffix('"'))
        .map(|shape| data(&root().join("tests/interop/shapes").join(shape)));
    text + &shape.unwrap_or_default()
}

#[test]
fn all_of_strongswans_scenarios_are_in_the_table_and_no_others() {
    let names: Vec<(String, String)> = rows()
        .into_iter()
        .map(|(group, name, _)| (group, name))
        .collect();
    let of = |group: &'static str, names: &[&'static str]| -> Vec<(String, String)> {
        names
            .iter()
            .map(|name| (group.to_owned(), (*name).to_owned()))
            .collect()
    };
    let all = [of("ikev1", &IKEV1), of("ikev1-algs", &IKEV1_ALGS)].concat();
    assert_eq!(names, all);
}

#[test]
fn a_scenario_that_works_has_trials_in_its_name_with_mainmode_in_these_parts() {
    for (group, name, cells) in rows() {
        let [parts, place, state, remark] = &cells[..] else {
            panic!("{name}: {cells:?}");
        };
        let folder = root()
            .join("tests/interop/scenarios")
            .join(&group)
            .join(&name);
        match state.as_str() {
            "works" | "in part" => {
                let data = data(&folder);
                let only = only(&data);
                let in_trials: BTreeSet<&str> = data
                    .match_indices("label = \"us-is-")
                    .filter_map(|(at, label)| data[at + label.len()..].split('"').next())
                    .filter(|part| only.is_empty() || only.contains(part))
                    .collect();
                let told: BTreeSet<&str> = parts.split(", ").collect();
                assert_eq!(told, in_trials, "{name}");
                let guest = data.contains("label = \"kernel-plane\", needs-esp = \"yes\"");
                let place_is = if guest { "guest" } else { "namespaces" };
                assert_eq!(place, place_is, "{name}");
                assert!(state == "works" || !remark.is_empty(), "{name}");
            }
            "not" => {
                assert!(!folder.exists(), "{name} has trials");
                assert!(!remark.is_empty(), "{name} has no reason");
            }
            other => panic!("{name}: \"{other}\" is none of works, in part, not"),
        }
    }
}

#[test]
fn every_trial_of_theirs_is_in_the_table() {
    let told: BTreeSet<(String, String)> = rows()
        .into_iter()
        .map(|(group, name, _)| (group, name))
        .collect();
    for group in ["ikev1", "ikev1-algs"] {
        let folder = root().join("tests/interop/scenarios").join(group);
        for entry in std::fs::read_dir(&folder).expect("the group") {
            let name = entry.expect("an entry").file_name();
            let name = name.to_string_lossy().into_owned();
            assert!(told.contains(&(group.to_owned(), name.clone())), "{name}");
        }
    }
}
