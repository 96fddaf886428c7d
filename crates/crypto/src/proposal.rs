//! One phase 1 proposal as an operator writes it: `aes256-sha256-modp2048`.

use std::fmt;
use std::str::FromStr;

use crate::transforms::CipherRow;
use crate::{CIPHERS, Cipher, GROUPS, Group, HASHES, Hash};

/// What one phase 1 transform offers, beside its lifetime and way of authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Proposal {
    /// Encrypts the ISAKMP SA.
    pub cipher: Cipher,
    /// Hashes, and is the prf's hash.
    pub hash: Hash,
    /// Gives the shared secret.
    pub group: Group,
}

impl Proposal {
    /// The names of the parts that are used only when named, and then with a warning.
    pub fn weak(&self) -> Vec<&'static str> {
        let (cipher, hash, group) = (self.cipher.row(), self.hash.row(), self.group.row());
        [
            (cipher.weak, cipher.name),
            (hash.weak, hash.name),
            (group.weak, group.name),
        ]
        .into_iter()
        .filter_map(|(weak, name)| weak.then_some(name))
        .collect()
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}-{}-{}",
            self.cipher.row().name,
            self.hash.row().name,
            self.group.row().name
        )
    }
}

/// Why a text is no proposal. The message says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProposalError {
    /// A word that is in no row of the table.
    UnknownWord(String),
    /// An algorithm that is known by name and never used.
    NeverUsed(&'static str),
    /// A prf of its own, which IKE peers do not negotiate: it is the HMAC of the hash.
    Prf(String),
    /// Two words of one kind.
    Twice {
        /// "cipher", "hash" or "group".
        kind: &'static str,
        /// The second of them.
        word: String,
    },
    /// No word of a kind.
    Missing {
        /// "cipher", "hash" or "group".
        kind: &'static str,
    },
}

impl ProposalError {
    /// The word at fault, where one is.
    pub fn word(&self) -> Option<&str> {
        match self {
            Self::UnknownWord(word) | Self::Prf(word) | Self::Twice { word, .. } => Some(word),
            Self::NeverUsed(word) => Some(word),
            Self::Missing { .. } => None,
        }
    }
}

impl std::error::Error for ProposalError {}

impl fmt::Display for ProposalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownWord(word) => write!(
                f,
                "\"{}\" is no cipher, hash or group; ciphers: {}; hashes: {}; groups: {}",
                word.escape_debug(),
                known("cipher"),
                known("hash"),
                known("group")
            ),
            Self::NeverUsed(name) => write!(
                f,
                "\"{name}\" is known, and never used: its keys can be found by trying them all; \
                 ciphers: {}",
                known("cipher")
            ),
            Self::Prf(word) => write!(
                f,
                "\"{}\": IKEv1 negotiates no pseudo-random function of its own, it is the HMAC of \
                 the hash; leave the word out",
                word.escape_debug()
            ),
            Self::Twice { kind, word } => write!(
                f,
                "\"{}\" is a second {kind}; a proposal has one, write another proposal for the other",
                word.escape_debug()
            ),
            Self::Missing { kind } => {
                write!(
                    f,
                    "there is no {kind}; a proposal is cipher-hash-group, as in \
                     aes256-sha256-modp2048; one of: {}",
                    known(kind)
                )
            }
        }
    }
}

/// The usable names of a kind, in the table's order.
fn known(kind: &str) -> String {
    let names: Vec<&str> = match kind {
        "cipher" => CIPHERS
            .iter()
            .filter(|row| row.cipher.is_some())
            .map(|row| row.name)
            .collect(),
        "hash" => HASHES.iter().map(|row| row.name).collect(),
        _ => GROUPS.iter().map(|row| row.name).collect(),
    };
    names.join(", ")
}

impl FromStr for Proposal {
    type Err = ProposalError;

    /// Reads one word of each kind, separated by `-`, in any order and case; aliases of the table count.
    fn from_str(text: &str) -> Result<Self, ProposalError> {
        fn set<T>(
            slot: &mut Option<T>,
            kind: &'static str,
            word: &str,
            value: T,
        ) -> Result<(), ProposalError> {
            if slot.replace(value).is_some() {
                return Err(ProposalError::Twice {
                    kind,
                    word: word.to_owned(),
                });
            }
            Ok(())
        }
        let (mut cipher, mut hash, mut group) = (None, None, None);
        for word in text.trim().split('-') {
            if let Some(row) = CipherRow::from_name(word) {
                let named = row.cipher.ok_or(ProposalError::NeverUsed(row.name))?;
                set(&mut cipher, "cipher", word, named)?;
            } else if let Some(named) = Hash::from_name(word) {
                set(&mut hash, "hash", word, named)?;
            } else if let Some(named) = Group::from_name(word) {
                set(&mut group, "group", word, named)?;
            } else if word
                .get(..3)
                .is_some_and(|start| start.eq_ignore_ascii_case("prf"))
            {
                return Err(ProposalError::Prf(word.to_owned()));
            } else {
                return Err(ProposalError::UnknownWord(word.to_owned()));
            }
        }
        Ok(Self {
            cipher: cipher.ok_or(ProposalError::Missing { kind: "cipher" })?,
            hash: hash.ok_or(ProposalError::Missing { kind: "hash" })?,
            group: group.ok_or(ProposalError::Missing { kind: "group" })?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        text.parse::<Proposal>().unwrap_err().to_string()
    }

    #[test]
    fn proposals_are_read_as_strongswans_users_write_them() {
        for (text, canonical) in [
            ("aes256-sha256-modp2048", "aes256-sha256-modp2048"),
            ("3des-sha1-modp1024", "3des-sha1-modp1024"),
            ("aes-sha-modp1536", "aes128-sha1-modp1536"),
            ("aes256-sha2_256-ecp256", "aes256-sha256-ecp256"),
            ("AES192-SHA2_384-curve25519", "aes192-sha384-x25519"),
            (" aes256-sha512-ecp521 ", "aes256-sha512-ecp521"),
        ] {
            assert_eq!(text.parse::<Proposal>().unwrap().to_string(), canonical);
        }
    }

    #[test]
    fn weak_parts_are_named() {
        let weak = |text: &str| text.parse::<Proposal>().unwrap().weak();
        assert_eq!(weak("3des-md5-modp1024"), ["3des", "md5", "modp1024"]);
        assert_eq!(weak("aes128-sha1-modp1024"), ["modp1024"]);
        assert!(weak("aes256-sha256-modp2048").is_empty());
    }

    #[test]
    fn errors_name_the_word_and_what_to_write() {
        let unknown = error("aes256-sha257-modp2048");
        assert!(unknown.starts_with("\"sha257\" is no cipher, hash or group"));
        for known in [
            "aes256, aes192, aes128, camellia256, camellia192, camellia128, 3des",
            "sha512, sha384, sha256, sha1, md5",
            "x25519",
        ] {
            assert!(unknown.contains(known), "{unknown}");
        }
        assert!(!unknown.contains(" des"), "{unknown}");
        assert!(error("des-md5-modp1024").starts_with("\"des\" is known, and never used"));
        assert!(error("aes256-sha256-prfsha256-modp2048").starts_with("\"prfsha256\": IKEv1"));
        assert!(
            error("aes256-aes128-sha256-modp2048").starts_with("\"aes128\" is a second cipher")
        );
        assert!(error("aes256-sha256").starts_with("there is no group"));
        assert!(error("aes256-modp2048").starts_with("there is no hash"));
        assert!(error("sha1-modp2048").starts_with("there is no cipher"));
        assert!(error("").starts_with("\"\" is no cipher"));
        assert!(error("aes256\u{1b}[2J-sha1-modp2048").starts_with("\"aes256\\u{1b}[2J\""));
    }
}
