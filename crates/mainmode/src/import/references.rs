//! Sections that inherit from others: `name : other { … }`.

use super::settings::{Place, Section, SettingsError};

/// How long a chain of references is followed: a circle ends there.
const MAX_CHAIN: usize = 32;
/// The most bytes that following all references may copy: they multiply. Some sixty times the longest file.
const MAX_COPIED: usize = 64 << 20;
/// What a section or a key weighs beside its text, in bytes.
const WEIGHT: usize = 64;
/// What is inherited comes behind what a section has itself: more than any order of the files.
const BEHIND: usize = 1 << 24;

/// The tree with everything in each section that it inherits. What a section has itself counts before what it inherits,
/// and of that what the first of the sections has that it names; sections of one name are joined.
///
/// # Errors
///
/// A circle, or more than can be meant.
pub fn resolve(root: &Section) -> Result<Section, SettingsError> {
    let mut resolver = Resolver { root, copied: 0 };
    let mut whole = resolver.section(root, 0)?;
    gather(root, &mut whole.references);
    Ok(whole)
}

/// All references of a tree.
fn gather(section: &Section, all: &mut Vec<(String, Place)>) {
    all.extend(section.references.iter().cloned());
    for inner in section.sections.values() {
        gather(inner, all);
    }
}

struct Resolver<'a> {
    root: &'a Section,
    copied: usize,
}

impl Resolver<'_> {
    fn section(&mut self, section: &Section, chain: usize) -> Result<Section, SettingsError> {
        self.count(section, &section.place)?;
        let mut whole = Section {
            place: section.place.clone(),
            order: section.order,
            values: section.values.clone(),
            sections: std::collections::BTreeMap::new(),
            references: Vec::new(),
        };
        for (name, inner) in &section.sections {
            let inner = self.section(inner, chain)?;
            whole.sections.insert(name.clone(), inner);
        }
        for (name, place) in &section.references {
            if chain >= MAX_CHAIN {
                let what =
                    format!("the references go in a circle, or are more than {MAX_CHAIN} long");
                return Err(SettingsError::new(place, what));
            }
            let mut found = self.root;
            for part in name.split('.') {
                found = found.sections.get(part).ok_or_else(|| {
                    let name = name.escape_debug();
                    SettingsError::new(place, format!("there is no section \"{name}\" to refer to"))
                })?;
            }
            let inherited = self.section(found, chain + 1)?;
            self.inherit(&mut whole, inherited, place)?;
        }
        Ok(whole)
    }

    fn inherit(
        &mut self,
        into: &mut Section,
        from: Section,
        place: &Place,
    ) -> Result<(), SettingsError> {
        self.count(&from, place)?;
        for (name, value) in from.values {
            into.values.entry(name).or_insert(value);
        }
        for (name, mut section) in from.sections {
            section.order += BEHIND;
            match into.sections.get_mut(&name) {
                Some(own) => self.inherit(own, section, place)?,
                None => {
                    into.sections.insert(name, section);
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, section: &Section, place: &Place) -> Result<(), SettingsError> {
        let texts = section.values.iter();
        let texts: usize = texts
            .map(|(name, value)| WEIGHT + name.len() + value.text.len())
            .sum();
        self.copied += WEIGHT + texts;
        if self.copied > MAX_COPIED {
            let what = format!("with all references followed this is more than {MAX_COPIED} bytes");
            return Err(SettingsError::new(place, what));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::settings::read_text;
    use super::*;

    fn tree(text: &str) -> Result<Section, SettingsError> {
        resolve(&read_text(Path::new("a.conf"), text)?)
    }

    fn at<'a>(root: &'a Section, path: &str) -> Option<&'a str> {
        let (sections, key) = path.rsplit_once('.')?;
        let mut section = root;
        for part in sections.split('.') {
            section = section.sections.get(part)?;
        }
        section.values.get(key).map(|value| value.text.as_str())
    }

    #[test]
    fn a_section_has_what_it_inherits_and_its_own_counts_first() {
        let root = tree(
            "base { version = 1\n over_time = 9\n local { auth = psk\n id = base } }\n\
             more { version = 2\n encap = yes }\n\
             connections {\n a : base, more { over_time =\n local { id = a } }\n b : connections.a { version = 0\n } }",
        )
        .expect("read");
        for (path, value) in [
            ("connections.a.version", Some("1")),
            ("connections.a.encap", Some("yes")),
            ("connections.a.over_time", Some("")),
            ("connections.a.local.auth", Some("psk")),
            ("connections.a.local.id", Some("a")),
            ("connections.b.version", Some("0")),
            ("connections.b.local.id", Some("a")),
            ("connections.b.over_time", Some("")),
            ("connections.b.rand_time", None),
        ] {
            assert_eq!(at(&root, path), value, "{path}");
        }
    }

    #[test]
    fn circles_and_what_multiplies_end_with_an_error() {
        let why = |text: &str| tree(text).err().expect("refused").to_string();
        assert!(why("a : b { }\nb : a { }").contains("error: the references go in a circle"));
        assert!(why("a { b : a { } }").contains("circle"));
        assert!(why("a : gone { }").contains("no section \"gone\""));
        let chain = (1..30).map(|n| {
            let before = n - 1;
            format!("s{n} : s{before}, s{before}, s{before} {{ x{n} : s{before} {{ }} }}")
        });
        let text = format!(
            "s0 {{ a = 1 }}
{}",
            chain.collect::<Vec<_>>().join(
                "
"
            )
        );
        assert!(why(&text).contains("more than"));
    }
}
