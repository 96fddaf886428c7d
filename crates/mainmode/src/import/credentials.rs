//! Secrets, and the private keys of certificates.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crypto::Secret;
use crypto::cert::limits::MAX_FILE_LEN;
use crypto::cert::{PrivateKey, PublicKey, read_certificates};
use keying::identity::Identity;
use zeroize::Zeroizing;

use super::authorities::Authorities;
use super::given::in_order;
use super::settings::{Section, Value};
use super::words;
use super::xauth::Users;

/// The most files that are tried for the key of a certificate.
const MAX_KEY_FILES: usize = 256;
/// swanctl's folders of private keys.
const KEY_FOLDERS: [&str; 4] = ["private", "rsa", "ecdsa", "pkcs8"];

/// The whole configuration, as far as rounds need it.
pub struct Credentials<'a> {
    /// Its root.
    pub root: &'a Section,
    /// swanctl's folder, where certificates and keys are.
    pub folder: &'a Path,
    /// Names of secrets that a connection has used.
    pub used: BTreeSet<String>,
    /// Those whom a server of XAUTH lets in, once it is known.
    pub users: Option<Rc<Users>>,
    authorities: OnceCell<Authorities>,
}

/// A section of `secrets` with its name.
type Named<'a> = (&'a str, &'a Section);

/// How well an owner of a secret fits an identity or, where there is none, an address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Not,
    Any,
    Net,
    Is,
}

fn fit(owner: &str, side: (Option<&str>, Option<&str>)) -> Fit {
    if owner == "%any" {
        return Fit::Any;
    }
    let parse = |text: &str| {
        let written = words::identity(text).ok().flatten()?;
        Identity::parse(&written).ok()
    };
    let same =
        |text: &str| owner == text || parse(owner).is_some_and(|owner| Some(owner) == parse(text));
    if side.0.is_some_and(same) {
        return Fit::Is;
    }
    let Some(address) = side.1 else {
        return Fit::Not;
    };
    if same(address) {
        return Fit::Is;
    }
    let within = || -> Option<bool> {
        let address: IpAddr = address.parse().ok()?;
        if let Some((first, last)) = owner.split_once('-') {
            let (first, last): (IpAddr, IpAddr) = (first.parse().ok()?, last.parse().ok()?);
            return Some(first <= address && address <= last);
        }
        let net: ipnet::IpNet = owner.parse().ok()?;
        Some(net.contains(&address))
    };
    if within() == Some(true) {
        Fit::Net
    } else {
        Fit::Not
    }
}

/// Those to whom a secret belongs, each with its key.
pub fn owners(section: &Section) -> impl Iterator<Item = (&str, &Value)> {
    let ids = section.values.iter();
    ids.filter(|(key, value)| key.starts_with("id") && !value.text.is_empty())
        .map(|(key, value)| (key.as_str(), value))
}

impl<'a> Credentials<'a> {
    /// Nothing of it used.
    pub fn new(root: &'a Section, folder: &'a Path) -> Self {
        Self {
            root,
            folder,
            used: BTreeSet::new(),
            users: None,
            authorities: OnceCell::new(),
        }
    }

    /// The CAs in swanctl's folder.
    pub fn authorities(&self) -> &Authorities {
        self.authorities
            .get_or_init(|| Authorities::read(self.folder))
    }

    /// Sections of `secrets` whose names begin with one of these.
    pub fn secrets(&self, kinds: &[&str]) -> Vec<Named<'a>> {
        let Some(secrets) = self.root.sections.get("secrets") else {
            return Vec::new();
        };
        in_order(secrets)
            .into_iter()
            .filter(|(name, _)| kinds.iter().any(|kind| name.starts_with(kind)))
            .map(|(name, section)| (name.as_str(), section))
            .collect()
    }

    /// The secret of one of these kinds that charon would take: whose owners fit the peer best, and then us.
    pub fn shared(
        &self,
        kinds: &[&str],
        local: (Option<&str>, Option<&str>),
        remote: (Option<&str>, Option<&str>),
    ) -> Option<Named<'a>> {
        let mut best: Option<((Fit, Fit), Named<'a>)> = None;
        for (name, section) in self.secrets(kinds) {
            let Some(value) = section.values.get("secret") else {
                continue;
            };
            let of = |side| {
                owners(section)
                    .map(|(_, owner)| fit(&owner.text, side))
                    .max()
            };
            let (peer, us) = match (of(remote), of(local)) {
                (Some(peer), Some(us)) => (peer, us),
                _ => (Fit::Any, Fit::Any),
            };
            let fits = (peer, us) != (Fit::Not, Fit::Not) && !value.text.is_empty();
            if fits && best.is_none_or(|(other, _)| (peer, us) > other) {
                best = Some(((peer, us), (name, section)));
            }
        }
        best.map(|(_, found)| found)
    }

    /// The passphrase of a file of a private key.
    fn passphrase(&mut self, folder: &str, file: &str) -> Option<&'a Zeroizing<String>> {
        let found = self
            .secrets(&KEY_FOLDERS)
            .into_iter()
            .find(|(name, section)| {
                let named = section.values.get("file").map(|value| value.text.as_str());
                name.starts_with(folder) && named == Some(file)
            });
        let (name, section) = found?;
        self.used.insert(name.to_owned());
        let (_, value) = section
            .values
            .iter()
            .find(|(key, _)| key.starts_with("secret"))?;
        Some(&value.text)
    }

    /// The private key of a certificate, or of a public key of ours, as swanctl finds it: in its folders. With the
    /// passphrase, if it has one.
    pub fn key_of(&mut self, own: &Path) -> Option<(PathBuf, Option<&'a Zeroizing<String>>)> {
        let public = public(own)?;
        let mut tried = 0;
        for folder in KEY_FOLDERS {
            let Ok(entries) = fs::read_dir(self.folder.join(folder)) else {
                continue;
            };
            let mut files: Vec<PathBuf> = entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .take(MAX_KEY_FILES)
                .collect();
            files.sort();
            for file in files {
                tried += 1;
                if tried > MAX_KEY_FILES {
                    return None;
                }
                let name = file.file_name()?.to_string_lossy().into_owned();
                let passphrase = self.passphrase(folder, &name);
                let secret = passphrase.map(|text| Secret::new(text.as_bytes().to_vec()));
                let key =
                    small(&file).and_then(|bytes| PrivateKey::read(&bytes, secret.as_ref()).ok());
                if key.is_some_and(|key| *key.public() == public) {
                    return Some((file, passphrase));
                }
            }
        }
        None
    }
}

/// The public key of a certificate in a file, or the file's own.
pub fn public(own: &Path) -> Option<PublicKey> {
    let bytes = small(own)?;
    let chain = read_certificates(&bytes).unwrap_or_default();
    match chain.first() {
        Some(certificate) => Some(certificate.key().clone()),
        None => PublicKey::read(&bytes).ok(),
    }
}

/// The files in a folder, in order of their names; none where there is no such folder.
pub(super) fn files_in(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A file that is as small as a certificate or key is.
pub(super) fn small(path: &Path) -> Option<Zeroizing<Vec<u8>>> {
    let meta = fs::metadata(path).ok()?;
    let good = meta.is_file() && meta.len() <= MAX_FILE_LEN;
    good.then(|| fs::read(path).ok().map(Zeroizing::new))
        .flatten()
}

/// `0X` and `0S` are what `0x` and `0s` are, and colons may stand between bytes.
pub fn normal(text: &str) -> Zeroizing<String> {
    let mut normal = Zeroizing::new(String::with_capacity(text.len() + 1));
    match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => {
            normal.push_str("0x");
            let digits = text[2..].chars().filter(|c| *c != ':');
            // Charon takes an odd number of digits for one with a zero before it.
            if !digits.clone().count().is_multiple_of(2) {
                normal.push('0');
            }
            normal.extend(digits);
        }
        [b'0', b's' | b'S', ..] => {
            normal.push_str("0s");
            normal.push_str(&text[2..]);
        }
        _ => normal.push_str(text),
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::settings::read_text;

    #[test]
    fn the_key_is_the_one_whose_owners_fit_best() {
        let text = "secrets {\n ike-1 { secret = any }\n ike-2 { secret = net\n id-1 = 10.0.0.0/8 }\n \
                    ike-3 { secret = peer\n id-1 = fqdn:b.example }\n \
                    ike-4 { secret = both\n id-1 = a.example\n id-2 = b.example }\n ike-5 { secret = us\n id-1 = a.example }\n \
                    ike-6 { secret = range\n id = 10.0.0.5-10.0.0.9 }\n ike-7 { secret = address\n id = 10.0.0.7 } }";
        let root = read_text(Path::new("a.conf"), text).expect("read");
        let credentials = Credentials::new(&root, Path::new(""));
        for (us, id, address, found) in [
            (
                Some("a.example"),
                Some("b.example"),
                Some("192.0.2.1"),
                "both",
            ),
            (
                Some("c.example"),
                Some("b.example"),
                Some("192.0.2.1"),
                "peer",
            ),
            (
                Some("a.example"),
                Some("c.example"),
                Some("192.0.2.1"),
                "any",
            ),
            (
                Some("c.example"),
                Some("c.example"),
                Some("192.0.2.1"),
                "any",
            ),
            (None, None, Some("10.0.0.1"), "net"),
            (None, None, Some("10.0.0.7"), "address"),
        ] {
            let (_, section) = credentials
                .shared(&["ike"], (us, None), (id, address))
                .expect("a key");
            assert_eq!(
                section.values["secret"].text.as_str(),
                found,
                "{us:?} {id:?} {address:?}"
            );
        }
    }

    #[test]
    fn keys_in_hexadecimal_are_read_as_charon_reads_them() {
        for (text, normal) in [
            ("0X0aB", "0x00aB"),
            ("0x0a:0b", "0x0a0b"),
            ("0SAA==", "0sAA=="),
            ("0xz", "0x0z"),
            ("a", "a"),
            ("", ""),
        ] {
            assert_eq!(super::normal(text).as_str(), normal, "{text}");
        }
    }
}
