//! One phase 2 proposal as an operator writes it: `aes256gcm16-ecp256`.

use std::fmt;
use std::str::FromStr;

use super::table::NONE;
use super::{ESP_CIPHERS, ESP_INTEGRITIES, EspCipher, EspIntegrity, Protocol};
use crate::{CryptoError, GROUPS, Group, Secret};

/// What one phase 2 transform offers, beside its lifetime and encapsulation.
///
/// One that was parsed is whole: ESP has a cipher, and an integrity algorithm exactly when the cipher does
/// not authenticate by itself; AH has an integrity algorithm alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EspProposal {
    /// What the SA is for.
    pub protocol: Protocol,
    /// Encrypts; absent in AH.
    pub cipher: Option<EspCipher>,
    /// Authenticates; absent beside a cipher that does so itself.
    pub integrity: Option<EspIntegrity>,
    /// Perfect forward secrecy: the group of Quick Mode's own exchange.
    pub group: Option<Group>,
    /// Extended sequence numbers (RFC 4304).
    pub esn: bool,
}

impl EspProposal {
    /// Bytes of KEYMAT that each direction needs: the encryption key, its salt and the integrity key, in
    /// this order (RFC 2409 section 5.5, RFC 4106 section 8.1 and their like).
    pub fn key_len(&self) -> usize {
        self.encryption_len() + self.integrity_len()
    }

    /// Cuts one direction's KEYMAT into the encryption key with its salt, and the integrity key; what the
    /// proposal does not have is empty.
    ///
    /// # Errors
    /// [`CryptoError::WrongLength`] when it is not [`key_len`](Self::key_len) bytes long.
    pub fn split_keymat(&self, keymat: &Secret) -> Result<(Secret, Secret), CryptoError> {
        if keymat.len() != self.key_len() {
            return Err(CryptoError::WrongLength {
                what: "KEYMAT",
                expected: self.key_len(),
                got: keymat.len(),
            });
        }
        let (encryption, integrity) = keymat.as_bytes().split_at(self.encryption_len());
        Ok((
            Secret::new(encryption.to_vec()),
            Secret::new(integrity.to_vec()),
        ))
    }

    /// The transform identifier: ESP's names the cipher, AH's the integrity algorithm (RFC 2407 sections
    /// 4.4.3 and 4.4.4). `None` when that is absent, or has no number in version 1 of IKE.
    pub fn transform(&self) -> Option<u8> {
        match self.protocol {
            Protocol::Esp => {
                let row = self.cipher?.row();
                row.negotiable().then_some(row.transform)
            }
            Protocol::Ah => Some(self.integrity?.row().ah_transform),
        }
    }

    /// `AhAuthType` as stored in an event.
    pub fn ah_auth_word(&self) -> &'static str {
        match (self.protocol, self.integrity) {
            (Protocol::Ah, Some(integrity)) => integrity.row().word,
            _ => NONE,
        }
    }

    /// `EspAuthType` as stored in an event: for a cipher that authenticates by itself, that cipher.
    pub fn esp_auth_word(&self) -> &'static str {
        match (self.protocol, self.integrity, self.cipher) {
            (Protocol::Esp, Some(integrity), _) => integrity.row().word,
            (Protocol::Esp, None, Some(cipher)) => cipher.row().auth_word.unwrap_or(NONE),
            _ => NONE,
        }
    }

    /// `CipherType` as stored in an event.
    pub fn cipher_word(&self) -> &'static str {
        self.cipher.map_or(NONE, |cipher| cipher.row().word)
    }

    /// The names of the parts that are used only when named, and then with a warning.
    pub fn weak(&self) -> Vec<&'static str> {
        let cipher = self.cipher.map(|c| (c.row().weak, c.row().name));
        let integrity = self.integrity.map(|i| (i.row().weak, i.row().name));
        let group = self.group.map(|g| (g.row().weak, g.row().name));
        [cipher, integrity, group]
            .into_iter()
            .flatten()
            .filter_map(|(weak, name)| weak.then_some(name))
            .collect()
    }

    /// Whether [`Sealer`](super::Sealer) and [`Opener`](super::Opener) have its algorithms: ESP that OpenSSL can.
    pub fn sealable(&self) -> bool {
        self.protocol == Protocol::Esp
            && self.cipher.is_some_and(super::seal::has_cipher)
            && self.integrity.is_none_or(super::seal::has_integrity)
    }

    fn encryption_len(self) -> usize {
        self.cipher.map_or(0, |cipher| cipher.row().keymat_len())
    }

    fn integrity_len(self) -> usize {
        self.integrity
            .map_or(0, |integrity| integrity.row().key_len)
    }
}

impl fmt::Display for EspProposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            (self.protocol == Protocol::Ah).then_some("ah"),
            self.cipher.map(|cipher| cipher.row().name),
            self.integrity.map(|integrity| integrity.row().name),
            self.group.map(|group| group.row().name),
            self.esn.then_some("esn"),
        ];
        let words: Vec<&str> = words.into_iter().flatten().collect();
        f.write_str(&words.join("-"))
    }
}

/// Why a text is no proposal. The message says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EspProposalError {
    /// A word that is in no row of the table.
    UnknownWord(String),
    /// An algorithm that is known by name and never used.
    NeverUsed(&'static str),
    /// A cipher that version 1 of IKE has no number for.
    NoNumber(&'static str),
    /// A prf, which phase 2 does not negotiate.
    Prf(String),
    /// Two words of one kind.
    Twice {
        /// "protocol", "cipher", "integrity algorithm", "group" or "choice of sequence numbers".
        kind: &'static str,
        /// The second of them.
        word: String,
    },
    /// An integrity algorithm beside a cipher that authenticates by itself.
    NeedsNoIntegrity {
        /// The cipher's name.
        cipher: &'static str,
        /// The integrity algorithm's.
        integrity: &'static str,
    },
    /// A cipher in AH.
    CipherInAh(&'static str),
    /// ESP without a cipher.
    NoCipher,
    /// A cipher that does not authenticate by itself, and nothing that does.
    NoIntegrity(&'static str),
    /// AH without an integrity algorithm.
    NoIntegrityInAh,
}

impl EspProposalError {
    /// The word at fault, where one is.
    pub fn word(&self) -> Option<&str> {
        match self {
            Self::UnknownWord(word) | Self::Prf(word) | Self::Twice { word, .. } => Some(word),
            Self::NeverUsed(word)
            | Self::NoNumber(word)
            | Self::CipherInAh(word)
            | Self::NoIntegrity(word)
            | Self::NeedsNoIntegrity {
                integrity: word, ..
            } => Some(word),
            Self::NoCipher | Self::NoIntegrityInAh => None,
        }
    }
}

impl std::error::Error for EspProposalError {}

impl fmt::Display for EspProposalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownWord(word) => write!(
                f,
                "\"{}\" is no cipher, integrity algorithm or group; ciphers: {}; integrity \
                 algorithms: {}; groups: {}; beside them \"esn\", and \"ah\" in front",
                word.escape_debug(),
                ciphers(),
                integrities(),
                groups()
            ),
            Self::NeverUsed(name) => write!(
                f,
                "\"{name}\" is known, and never used: its keys can be found by trying them all; \
                 ciphers: {}",
                ciphers()
            ),
            Self::NoNumber(name) => write!(
                f,
                "\"{name}\" cannot be negotiated: it has a number in IKEv2 and none in IKEv1, so \
                 that no peer would understand it; write aes256gcm16 in its place"
            ),
            Self::Prf(word) => write!(
                f,
                "\"{}\": phase 2 negotiates no pseudo-random function, phase 1's is used; leave \
                 the word out",
                word.escape_debug()
            ),
            Self::Twice { kind, word } => write!(
                f,
                "\"{}\" is a second {kind}; a proposal has one, write another proposal for the other",
                word.escape_debug()
            ),
            Self::NeedsNoIntegrity { cipher, integrity } => write!(
                f,
                "\"{cipher}\" authenticates by itself; leave \"{integrity}\" out"
            ),
            Self::CipherInAh(name) => write!(
                f,
                "\"{name}\" encrypts, and AH does not; write ah-sha256, or leave \"ah\" out for ESP"
            ),
            Self::NoCipher => write!(
                f,
                "there is no cipher; a proposal is aes256gcm16, or cipher-integrity as in \
                 aes256-sha256, with -group for perfect forward secrecy; one of: {}",
                ciphers()
            ),
            Self::NoIntegrity(cipher) => write!(
                f,
                "\"{cipher}\" does not authenticate by itself, and there is no integrity \
                 algorithm beside it; one of: {}",
                integrities()
            ),
            Self::NoIntegrityInAh => write!(
                f,
                "there is no integrity algorithm; AH is ah-integrity, as in ah-sha256; one of: {}",
                integrities()
            ),
        }
    }
}

fn ciphers() -> String {
    listed(
        ESP_CIPHERS
            .iter()
            .filter(|row| row.negotiable())
            .map(|row| row.name),
    )
}

fn integrities() -> String {
    listed(ESP_INTEGRITIES.iter().map(|row| row.name))
}

fn groups() -> String {
    listed(GROUPS.iter().map(|row| row.name))
}

fn listed(names: impl Iterator<Item = &'static str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// What has been read of a proposal.
#[derive(Default)]
struct Words {
    protocol: Option<Protocol>,
    cipher: Option<EspCipher>,
    integrity: Option<EspIntegrity>,
    group: Option<Group>,
    esn: Option<bool>,
}

impl Words {
    fn read(&mut self, word: &str) -> Result<(), EspProposalError> {
        let is = |name: &str| word.eq_ignore_ascii_case(name);
        if is("ah") || is("esp") {
            let protocol = if is("ah") {
                Protocol::Ah
            } else {
                Protocol::Esp
            };
            set(&mut self.protocol, "protocol", word, protocol)
        } else if is("esn") || is("noesn") {
            set(&mut self.esn, "choice of sequence numbers", word, is("esn"))
        } else if is("des") {
            Err(EspProposalError::NeverUsed("des"))
        } else if let Some(cipher) = EspCipher::from_name(word) {
            if !cipher.row().negotiable() {
                return Err(EspProposalError::NoNumber(cipher.row().name));
            }
            set(&mut self.cipher, "cipher", word, cipher)
        } else if let Some(integrity) = EspIntegrity::from_name(word) {
            set(&mut self.integrity, "integrity algorithm", word, integrity)
        } else if let Some(group) = Group::from_name(word) {
            set(&mut self.group, "group", word, group)
        } else if word
            .get(..3)
            .is_some_and(|start| start.eq_ignore_ascii_case("prf"))
        {
            Err(EspProposalError::Prf(word.to_owned()))
        } else {
            Err(EspProposalError::UnknownWord(word.to_owned()))
        }
    }
}

fn set<T>(
    slot: &mut Option<T>,
    kind: &'static str,
    word: &str,
    value: T,
) -> Result<(), EspProposalError> {
    if slot.replace(value).is_some() {
        return Err(EspProposalError::Twice {
            kind,
            word: word.to_owned(),
        });
    }
    Ok(())
}

impl FromStr for EspProposal {
    type Err = EspProposalError;

    /// Reads words separated by `-`, in any order and case, aliases of the table included: `ah` for AH; a
    /// cipher; an integrity algorithm; a group for perfect forward secrecy; `esn`.
    fn from_str(text: &str) -> Result<Self, EspProposalError> {
        let mut words = Words::default();
        for word in text.trim().split('-') {
            words.read(word)?;
        }
        let protocol = words.protocol.unwrap_or(Protocol::Esp);
        match (protocol, words.cipher, words.integrity) {
            (Protocol::Ah, Some(cipher), _) => {
                return Err(EspProposalError::CipherInAh(cipher.row().name));
            }
            (Protocol::Ah, None, None) => return Err(EspProposalError::NoIntegrityInAh),
            (Protocol::Esp, None, _) => return Err(EspProposalError::NoCipher),
            (Protocol::Esp, Some(cipher), None) if !cipher.row().aead => {
                return Err(EspProposalError::NoIntegrity(cipher.row().name));
            }
            (Protocol::Esp, Some(cipher), Some(integrity)) if cipher.row().aead => {
                return Err(EspProposalError::NeedsNoIntegrity {
                    cipher: cipher.row().name,
                    integrity: integrity.row().name,
                });
            }
            _ => {}
        }
        Ok(Self {
            protocol,
            cipher: words.cipher,
            integrity: words.integrity,
            group: words.group,
            esn: words.esn.unwrap_or(false),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposal(text: &str) -> EspProposal {
        text.parse().unwrap()
    }

    fn error(text: &str) -> String {
        text.parse::<EspProposal>().unwrap_err().to_string()
    }

    #[test]
    fn proposals_are_read_as_strongswans_users_write_them() {
        for (text, canonical) in [
            ("aes256gcm16-ecp256", "aes256gcm16-ecp256"),
            ("aes128gcm128-x25519", "aes128gcm16-x25519"),
            ("aes128ccm96-curve25519", "aes128ccm12-x25519"),
            ("aes256ctr-aesxcbc-x25519", "aes256ctr-aesxcbc-x25519"),
            ("aes128-sha256-modp3072", "aes128-sha256-modp3072"),
            ("AES-SHA2_256-X25519-ESN", "aes128-sha256-x25519-esn"),
            ("camellia192-sha384", "camellia192-sha384"),
            ("blowfish-sha256-modp1536", "blowfish128-sha256-modp1536"),
            ("3des-md5-modp1024", "3des-md5-modp1024"),
            ("aes128gmac-x25519", "aes128gmac-x25519"),
            ("null-sha256", "null-sha256"),
            ("esp-null-sha-noesn", "null-sha1"),
            (" ah-sha256 ", "ah-sha256"),
            ("sha384-ah-modp2048-esn", "ah-sha384-modp2048-esn"),
        ] {
            assert_eq!(proposal(text).to_string(), canonical);
            assert_eq!(proposal(canonical), proposal(text));
        }
    }

    #[test]
    fn every_part_is_where_it_belongs() {
        assert_eq!(
            proposal("aes128-sha256-modp3072-esn"),
            EspProposal {
                protocol: Protocol::Esp,
                cipher: Some(EspCipher::Aes128),
                integrity: Some(EspIntegrity::HmacSha256),
                group: Some(Group::Modp3072),
                esn: true,
            }
        );
        assert_eq!(
            proposal("ah-sha1"),
            EspProposal {
                protocol: Protocol::Ah,
                cipher: None,
                integrity: Some(EspIntegrity::HmacSha1),
                group: None,
                esn: false,
            }
        );
    }

    #[test]
    fn weak_parts_are_named() {
        assert_eq!(
            proposal("3des-md5-modp1024").weak(),
            ["3des", "md5", "modp1024"]
        );
        assert_eq!(proposal("blowfish256-sha1").weak(), ["blowfish256"]);
        assert!(proposal("aes128-sha1").weak().is_empty());
        assert_eq!(proposal("ah-md5").weak(), ["md5"]);
    }

    #[test]
    fn transforms_name_the_cipher_in_esp_and_the_integrity_algorithm_in_ah() {
        assert_eq!(proposal("aes256gcm16").transform(), Some(20));
        assert_eq!(proposal("aes128-sha1").transform(), Some(12));
        assert_eq!(proposal("ah-sha1").transform(), Some(3));
        let chacha = EspProposal {
            cipher: Some(EspCipher::ChaCha20Poly1305),
            ..proposal("aes128gcm16")
        };
        assert_eq!(chacha.transform(), None);
    }

    #[test]
    fn events_say_none_where_nothing_does_the_work() {
        let words = |text: &str| {
            let p = proposal(text);
            [p.ah_auth_word(), p.esp_auth_word(), p.cipher_word()]
        };
        assert_eq!(words("aes256-sha1"), ["%%8229", "%%8198", "%%8237"]);
        assert_eq!(words("null-sha512"), ["%%8229", "SHA 512", "%%8229"]);
        assert_eq!(words("ah-sha256"), ["%%8242", "%%8229", "%%8229"]);
        assert_eq!(
            words("aes128gcm16"),
            ["%%8229", "AES-GCM-128", "AES-GCM-128"]
        );
        assert_eq!(words("aes128gmac"), ["%%8229", "AES-GMAC-128", "%%8229"]);
    }

    #[test]
    fn keymat_is_cut_into_the_key_with_its_salt_and_the_integrity_key() {
        for (text, encryption, integrity) in [
            ("aes256gcm16", 36, 0),
            ("aes128ccm8", 19, 0),
            ("aes128gmac", 20, 0),
            ("aes192ctr-aesxcbc", 28, 16),
            ("aes256-sha512", 32, 64),
            ("3des-md5", 24, 16),
            ("null-sha384", 0, 48),
            ("ah-sha256", 0, 32),
        ] {
            let proposal = proposal(text);
            assert_eq!(proposal.key_len(), encryption + integrity, "{text}");
            let bytes: Vec<u8> = (0..=u8::MAX).take(proposal.key_len()).collect();
            let keymat = Secret::new(bytes.clone());
            let (first, second) = proposal.split_keymat(&keymat).unwrap();
            assert_eq!(first.as_bytes(), &bytes[..encryption], "{text}");
            assert_eq!(second.as_bytes(), &bytes[encryption..], "{text}");
            let longer = Secret::new(vec![0; proposal.key_len() + 1]);
            assert!(proposal.split_keymat(&longer).is_err());
        }
    }

    #[test]
    fn errors_name_the_word_and_what_to_write() {
        let unknown = error("aes256-sha257");
        assert!(unknown.starts_with("\"sha257\" is no cipher, integrity algorithm or group"));
        for known in ["aes256gcm16, ", "sha512, sha384, sha256", "x25519", "null"] {
            assert!(unknown.contains(known), "{unknown}");
        }
        assert!(!unknown.contains(" des") && !unknown.contains("chacha"));
        for (text, start) in [
            ("des-sha1", "\"des\" is known, and never used"),
            (
                "chacha20poly1305",
                "\"chacha20poly1305\" cannot be negotiated",
            ),
            ("aes256-sha256-prfsha256", "\"prfsha256\": phase 2"),
            ("aes256-aes128-sha1", "\"aes128\" is a second cipher"),
            ("aes256-sha1-md5", "\"md5\" is a second integrity algorithm"),
            ("ah-ah-sha1", "\"ah\" is a second protocol"),
            ("aes256gcm16-esn-noesn", "\"noesn\" is a second choice"),
            (
                "aes256gcm16-sha256",
                "\"aes256gcm16\" authenticates by itself; leave \"sha256\"",
            ),
            ("ah-aes128-sha256", "\"aes128\" encrypts, and AH does not"),
            ("aes128", "\"aes128\" does not authenticate by itself"),
            ("null-modp2048", "\"null\" does not authenticate by itself"),
            ("sha256-modp2048", "there is no cipher"),
            ("ah-modp2048", "there is no integrity algorithm; AH is"),
            ("", "\"\" is no cipher"),
            ("aes\u{1b}[2J", "\"aes\\u{1b}[2J\" is no cipher"),
        ] {
            assert!(error(text).starts_with(start), "{}", error(text));
        }
    }
}
