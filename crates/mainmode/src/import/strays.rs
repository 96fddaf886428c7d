//! What stands where swanctl reads nothing: sections that it does not know and none refers to, keys beside sections.

use std::collections::BTreeSet;

use super::given::Remarks;
use super::settings::Section;

/// The sections that swanctl reads.
const KNOWN: [&str; 4] = ["authorities", "connections", "pools", "secrets"];

/// Names what stands in the whole tree, and in the sections that swanctl knows, without being read.
pub fn name(root: &Section, remarks: &mut Remarks) {
    let referred: BTreeSet<&str> = root
        .references
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    keys(root, "", remarks);
    for known in KNOWN {
        if let Some(section) = root.sections.get(known) {
            keys(section, known, remarks);
        }
    }
    sections(root, "", &referred, remarks);
}

/// Names the keys of a section of which sections alone are read.
pub fn keys(section: &Section, path: &str, remarks: &mut Remarks) {
    for (key, value) in &section.values {
        if !value.text.is_empty() {
            let why = "swanctl reads sections alone here, and no key";
            remarks.left_out(&value.place, under(path, key), why);
        }
    }
}

/// Names sections but templates. What holds a template is none itself: what stands beside that is named.
fn sections(section: &Section, above: &str, referred: &BTreeSet<&str>, remarks: &mut Remarks) {
    for (name, section) in &section.sections {
        let path = under(above, name);
        if (above.is_empty() && KNOWN.contains(&name.as_str())) || referred.contains(path.as_str())
        {
            continue;
        }
        let inner = format!("{path}.");
        let next = referred.range(inner.as_str()..).next();
        if next.is_some_and(|next| next.starts_with(&inner)) {
            keys(section, &path, remarks);
            sections(section, &path, referred, remarks);
        } else {
            let why = "swanctl reads no such section, and no other refers to it: there are connections, secrets, pools \
                       and authorities";
            remarks.left_out(&section.place, path, why);
        }
    }
}

fn under(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
