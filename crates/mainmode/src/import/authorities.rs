//! CAs in swanctl's folder `x509ca`: those above a certificate.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crypto::cert::limits::{MAX_INTERMEDIATES, MAX_TRUSTED};
use crypto::cert::{Certificate, read_certificates};

use super::credentials::{files_in, small};

/// All CAs with their files.
pub struct Authorities(Vec<(PathBuf, Certificate)>);

/// What is above a certificate, as far as it is known.
#[derive(Default)]
pub struct Above {
    /// The files of the CAs between it and the root.
    pub between: Vec<PathBuf>,
    /// Whether a root was found.
    pub root: bool,
}

impl Authorities {
    /// Reads swanctl's folder; what cannot be read is none, for charon neither.
    pub fn read(folder: &Path) -> Self {
        let files = files_in(&folder.join("x509ca")).unwrap_or_default();
        let all = files.into_iter().take(MAX_TRUSTED).filter_map(|file| {
            let certificate = first(&file)?;
            Some((file, certificate))
        });
        Authorities(all.collect())
    }

    /// The CAs above the certificate in a file.
    pub fn above(&self, file: &Path) -> Above {
        let mut above = Above::default();
        let Some(leaf) = first(file).filter(|leaf| !leaf.is_self_issued()) else {
            return above;
        };
        let mut below = vec![&leaf];
        for _ in 0..=MAX_INTERMEDIATES {
            let mut found = Vec::new();
            for (file, ca) in &self.0 {
                if !below.iter().any(|one| one.names_as_issuer(ca)) {
                    continue;
                }
                if ca.is_self_issued() {
                    above.root = true;
                } else if !above.between.contains(file) {
                    above.between.push(file.clone());
                    found.push(ca);
                }
            }
            below = found;
        }
        above
    }
}

/// What is trusted where these files or folders are, and not by charon, which takes the first certificate of each file
/// and a CA's alone: the file, and whose certificate it is.
pub fn more_than_charon(paths: &[PathBuf]) -> Option<(PathBuf, String)> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(files_in(path).unwrap_or_default());
        } else {
            files.push(path.clone());
        }
    }
    files.truncate(MAX_TRUSTED);
    let read = |file: PathBuf| {
        let found = read_certificates(&small(&file)?).ok()?;
        Some((file, found))
    };
    let all: Vec<(PathBuf, Vec<Certificate>)> = files.into_iter().filter_map(read).collect();
    let firsts: HashSet<&[u8]> = all
        .iter()
        .filter_map(|(_, found)| found.first())
        .filter(|first| first.is_ca())
        .map(Certificate::der)
        .collect();
    all.iter().find_map(|(file, found)| {
        let more = found.iter().find(|one| !firsts.contains(one.der()))?;
        Some((file.clone(), more.subject_words().to_owned()))
    })
}

/// Of files of peers' certificates the same: one behind the first that is no CA's, and so could be a peer's.
pub fn another_peer(files: &[PathBuf]) -> Option<(PathBuf, String)> {
    files.iter().find_map(|file| {
        let found = read_certificates(&small(file)?).ok()?;
        let more = found.iter().skip(1).find(|one| !one.is_ca())?;
        Some((file.clone(), more.subject_words().to_owned()))
    })
}

/// swanctl takes the first certificate of a file.
fn first(file: &Path) -> Option<Certificate> {
    let found = read_certificates(&small(file)?).ok()?;
    found.into_iter().next()
}
