//! CAs in swanctl's folder `x509ca`: those above a certificate.

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

/// swanctl takes the first certificate of a file.
fn first(file: &Path) -> Option<Certificate> {
    let found = read_certificates(&small(file)?).ok()?;
    found.into_iter().next()
}
