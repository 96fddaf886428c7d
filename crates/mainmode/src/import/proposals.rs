//! Proposals as charon has them: several algorithms of a kind in one, and a default for where none is named.

use std::fmt;

use crypto::esp::{EspCipher, EspIntegrity, EspProposal, EspProposalError, Protocol};
use crypto::{Cipher, Group, Hash, Proposal, ProposalError};

use crate::config::{DataPlane, MAX_PROPOSALS};

/// The most words of one proposal: more than there are algorithms, of all kinds together.
const MAX_WORDS: usize = 128;

/// Proposals of phase 1 with which a first message is still carried whole by usual links and tunnels:
/// see [`message_len`].
pub const ONE_DATAGRAM: usize = 32;

/// How long a first message with so many proposals is about, with the headers of IPv4 and UDP, in bytes: 36 for each
/// transform, 136 for all that is beside them, measured.
pub fn message_len(proposals: usize) -> usize {
    136 + 36 * proposals
}

/// Of charon's default for phase 1, whose whole product is more than ten times [`MAX_PROPOSALS`], what a connection that
/// may begin has: [`ONE_DATAGRAM`].
const IKE_OF_A_PEER: &[&str] =
    &["aes128-aes256-sha256-sha384-sha512-sha1-x25519-ecp256-modp3072-modp2048"];
/// The same where only the peer can begin, so that it is not sent, but chosen from.
const IKE_OF_ANY: &[&str] = &[
    "aes128-aes256-sha256-sha384-sha512-sha1-x25519-ecp256-ecp384-ecp521-modp3072-modp4096-modp2048",
    "aes192-sha256-x25519-ecp256-ecp384-ecp521-modp3072-modp4096-modp2048",
];
/// Charon's default for ESP.
const ESP: &[&str] = &[
    "aes128gcm16-aes192gcm16-aes256gcm16",
    "aes128-aes192-aes256-sha256-sha384-sha512-sha1-aesxcbc",
];
/// Charon's default for AH.
const AH: &[&str] = &["sha256-sha384-sha512-sha1-aesxcbc"];

/// As much of charon's default for phase 1 as is written: for a connection that may begin with one peer, or for one that
/// waits.
pub fn ike_default(one_peer: bool) -> Vec<Proposal> {
    let texts = if one_peer { IKE_OF_A_PEER } else { IKE_OF_ANY };
    let read = texts.iter().filter_map(|text| Ike::read(text).ok());
    read.flat_map(|one| one.all().collect::<Vec<_>>()).collect()
}

/// Charon's default for a child, and what of it the data plane does not have.
pub fn child_default(
    protocol: Protocol,
    plane: DataPlane,
) -> (Vec<EspProposal>, Vec<&'static str>) {
    let texts = match protocol {
        Protocol::Esp => ESP,
        Protocol::Ah => AH,
    };
    let (mut all, mut out) = (Vec::new(), Vec::new());
    for mut read in texts
        .iter()
        .filter_map(|text| Child::read(protocol, text).ok())
    {
        if plane == DataPlane::User {
            match read.sealable() {
                Ok(words) => out.extend(words),
                Err(_) => continue,
            }
        }
        all.extend(read.all());
    }
    (all, out)
}

/// What a list of charon's becomes: as much as can be written, none twice, in charon's order.
pub struct List<P> {
    named: Vec<P>,
    /// Before which of those that are named charon's default stands.
    default_at: Option<usize>,
    /// The first of those that are too many.
    pub beyond: Option<P>,
}

impl<P> Default for List<P> {
    fn default() -> Self {
        Self {
            named: Vec::new(),
            default_at: None,
            beyond: None,
        }
    }
}

impl<P: Copy + PartialEq> List<P> {
    /// Those of one text. However many they are, no more are made than can be written, and one.
    pub fn add(&mut self, proposals: impl Iterator<Item = P>) {
        for proposal in proposals {
            if self.named.contains(&proposal) {
                continue;
            }
            if self.named.len() == MAX_PROPOSALS {
                self.beyond.get_or_insert(proposal);
                return;
            }
            self.named.push(proposal);
        }
    }

    /// Charon's default stands here.
    pub fn add_default(&mut self) {
        self.default_at.get_or_insert(self.named.len());
    }

    /// Whether charon's default is in it.
    pub fn has_default(&self) -> bool {
        self.default_at.is_some()
    }

    /// All of them, with `default` where it stands: of it there is as much as those that are named leave room for.
    pub fn with_default(self, default: &[P]) -> Vec<P> {
        let Some(at) = self.default_at else {
            return self.named;
        };
        let (before, behind) = self.named.split_at(at);
        let mut room = MAX_PROPOSALS - self.named.len();
        let mut all = before.to_vec();
        for one in default.iter().filter(|one| !before.contains(one)) {
            // One that is named behind has its room already.
            if !behind.contains(one) {
                if room == 0 {
                    continue;
                }
                room -= 1;
            }
            all.push(*one);
        }
        let rest = behind.iter().filter(|one| !all.contains(one));
        let rest: Vec<P> = rest.copied().collect();
        all.extend(rest);
        all
    }
}

/// What is said of proposals that are too many.
pub fn too_many(first: &impl fmt::Display) -> String {
    format!(
        "{first} and those behind it are left out: {MAX_PROPOSALS} proposals can be had at most"
    )
}

/// Adds what is not there.
fn put<T: PartialEq>(to: &mut Vec<T>, one: T) {
    if !to.contains(&one) {
        to.push(one);
    }
}

/// The words of a proposal.
fn words(text: &str) -> Result<Vec<&str>, String> {
    let words: Vec<&str> = text.split('-').take(MAX_WORDS + 1).collect();
    if words.len() > MAX_WORDS {
        return Err(format!(
            "a proposal of more than {MAX_WORDS} words is not read"
        ));
    }
    Ok(words)
}

/// A proposal of phase 1: the algorithms of each kind.
pub struct Ike {
    ciphers: Vec<Cipher>,
    hashes: Vec<Hash>,
    groups: Vec<Group>,
    /// Pseudo-random functions that are not those of its hashes, which are the ones that are used.
    pub prfs: Vec<String>,
}

impl Ike {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// Why none of it can be had.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut read = Self {
            ciphers: Vec::new(),
            hashes: Vec::new(),
            groups: Vec::new(),
            prfs: Vec::new(),
        };
        for word in words(text)? {
            if let Some(hash) = Hash::from_name(word) {
                put(&mut read.hashes, hash);
            } else if let Some(group) = Group::from_name(word) {
                put(&mut read.groups, group);
            } else {
                // Whatever else it is, a whole proposal with it says.
                match format!("{word}-sha256-modp2048").parse::<Proposal>() {
                    Ok(proposal) => put(&mut read.ciphers, proposal.cipher),
                    Err(ProposalError::Prf(word)) => put(&mut read.prfs, word),
                    Err(error) => return Err(error.to_string()),
                }
            }
        }
        for (kind, missing) in [
            ("cipher", read.ciphers.is_empty()),
            ("hash", read.hashes.is_empty()),
            ("group", read.groups.is_empty()),
        ] {
            if missing {
                return Err(ProposalError::Missing { kind }.to_string());
            }
        }
        let hashes = &read.hashes;
        read.prfs.retain(|prf| {
            let of = prf.get(3..).and_then(Hash::from_name);
            !of.is_some_and(|hash| hashes.contains(&hash))
        });
        Ok(read)
    }

    /// Every combination, in charon's order.
    pub fn all(&self) -> impl Iterator<Item = Proposal> + '_ {
        let kinds = [self.ciphers.len(), self.hashes.len(), self.groups.len()];
        // There is one of each.
        product(kinds).map(|[cipher, hash, group]| Proposal {
            cipher: self.ciphers[cipher],
            hash: self.hashes[hash],
            group: self.groups[group],
        })
    }
}

/// A proposal of a child: the algorithms of each kind.
pub struct Child {
    protocol: Protocol,
    ciphers: Vec<EspCipher>,
    integrities: Vec<EspIntegrity>,
    groups: Vec<Group>,
    esn: Vec<bool>,
    /// What charon takes out of it: pseudo-random functions, and integrity algorithms beside a cipher that needs none.
    pub stripped: Vec<String>,
    /// Ciphers that version 1 of IKE has no number for, where there are others beside them.
    pub no_number: Vec<&'static str>,
}

impl Child {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// Why none of it can be had.
    pub fn read(protocol: Protocol, text: &str) -> Result<Self, String> {
        let mut read = Self {
            protocol,
            ciphers: Vec::new(),
            integrities: Vec::new(),
            groups: Vec::new(),
            esn: Vec::new(),
            stripped: Vec::new(),
            no_number: Vec::new(),
        };
        for word in words(text)? {
            read.word(word)?;
        }
        read.whole()?;
        Ok(read)
    }

    fn word(&mut self, word: &str) -> Result<(), String> {
        let is = |name: &str| word.eq_ignore_ascii_case(name);
        if is("esn") || is("noesn") {
            put(&mut self.esn, is("esn"));
        } else if let Some(cipher) = EspCipher::from_name(word) {
            if cipher.row().negotiable() {
                put(&mut self.ciphers, cipher);
            } else {
                put(&mut self.no_number, cipher.row().name);
            }
        } else if let Some(integrity) = EspIntegrity::from_name(word) {
            put(&mut self.integrities, integrity);
        } else if let Some(group) = Group::from_name(word) {
            put(&mut self.groups, group);
        } else {
            // Charon has no words for the protocol.
            let error = match word.parse::<EspProposal>() {
                Err(EspProposalError::Prf(word)) => {
                    put(&mut self.stripped, word);
                    return Ok(());
                }
                Err(error @ EspProposalError::NeverUsed(_)) => error,
                _ => EspProposalError::UnknownWord(word.to_owned()),
            };
            return Err(error.to_string());
        }
        Ok(())
    }

    /// Whether the kinds go together, as charon has it.
    fn whole(&mut self) -> Result<(), String> {
        if self.protocol == Protocol::Ah {
            let wrong = match (self.ciphers.first(), self.integrities.is_empty()) {
                (Some(cipher), _) => EspProposalError::CipherInAh(cipher.row().name),
                (None, true) => EspProposalError::NoIntegrityInAh,
                (None, false) => return Ok(()),
            };
            return Err(wrong.to_string());
        }
        let Some(first) = self.ciphers.first().map(|cipher| cipher.row()) else {
            let none = self.no_number.first();
            let wrong = none.map_or(EspProposalError::NoCipher, |name| {
                EspProposalError::NoNumber(name)
            });
            return Err(wrong.to_string());
        };
        let mut rows = self.ciphers.iter().map(|cipher| cipher.row());
        // Those without a number authenticate by themselves, too.
        let mixed = !self.no_number.is_empty() && !first.aead;
        if mixed || rows.any(|row| row.aead != first.aead) {
            let why = "charon takes no proposal in which some ciphers authenticate by themselves and others do not";
            return Err(why.to_owned());
        }
        if first.aead {
            let needless = self.integrities.drain(..);
            let words = needless.map(|integrity| integrity.row().name.to_owned());
            self.stripped.extend(words);
        } else if self.integrities.is_empty() {
            return Err(EspProposalError::NoIntegrity(first.name).to_string());
        }
        Ok(())
    }

    /// Takes out what the data plane in user space does not have.
    ///
    /// # Errors
    ///
    /// Why nothing is left.
    pub fn sealable(&mut self) -> Result<Vec<&'static str>, String> {
        let mut out: Vec<&'static str> = Vec::new();
        let integrity = Some(EspIntegrity::HmacSha256);
        self.ciphers.retain(|cipher| {
            let row = cipher.row();
            let integrity = integrity.filter(|_| !row.aead);
            let good = sealable(self.protocol, Some(*cipher), integrity);
            if !good {
                out.push(row.name);
            }
            good
        });
        let cipher = Some(EspCipher::Aes256);
        let needed = !self.integrities.is_empty();
        self.integrities.retain(|integrity| {
            let good = sealable(self.protocol, cipher, Some(*integrity));
            if !good {
                out.push(integrity.row().name);
            }
            good
        });
        if self.ciphers.is_empty() || (needed && self.integrities.is_empty()) {
            let what = match self.protocol {
                Protocol::Ah => "AH".to_owned(),
                Protocol::Esp => format!("a proposal with {} alone", out.join(" and ")),
            };
            return Err(what);
        }
        Ok(out)
    }

    /// Every combination, in charon's order. What is not taken is not made.
    pub fn all(&self) -> impl Iterator<Item = EspProposal> + '_ {
        let esn: &[bool] = if self.esn.is_empty() {
            &[false]
        } else {
            &self.esn
        };
        let kinds = [
            self.ciphers.len(),
            self.integrities.len(),
            self.groups.len(),
            esn.len(),
        ];
        product(kinds).map(move |[cipher, integrity, group, number]| EspProposal {
            protocol: self.protocol,
            cipher: self.ciphers.get(cipher).copied(),
            integrity: self.integrities.get(integrity).copied(),
            group: self.groups.get(group).copied(),
            esn: esn.get(number).is_some_and(|esn| *esn),
        })
    }
}

fn sealable(
    protocol: Protocol,
    cipher: Option<EspCipher>,
    integrity: Option<EspIntegrity>,
) -> bool {
    let proposal = EspProposal {
        protocol,
        cipher,
        integrity,
        group: None,
        esn: false,
    };
    proposal.sealable()
}

/// Which of each kind, of so many: the last kind varies fastest. Of a kind of which there is none, the first is none.
fn product<const N: usize>(kinds: [usize; N]) -> impl Iterator<Item = [usize; N]> {
    let kinds = kinds.map(|kind| kind.max(1));
    let count: usize = kinds.iter().product();
    (0..count).map(move |mut turn| {
        let mut which = [0; N];
        for (at, kind) in kinds.iter().enumerate().rev() {
            which[at] = turn % kind;
            turn /= kind;
        }
        which
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ike(texts: &[&str]) -> List<Proposal> {
        let mut list = List::default();
        for text in texts {
            list.add(Ike::read(text).expect(text).all());
        }
        list
    }

    fn child(protocol: Protocol, text: &str) -> Vec<String> {
        let read = Child::read(protocol, text).expect(text);
        read.all().map(|one| one.to_string()).collect()
    }

    #[test]
    fn every_combination_is_there_in_charons_order() {
        let ike = ike(&["aes256-aes128-sha256-sha1-modp2048-modp1536"]).with_default(&[]);
        let ike: Vec<String> = ike.iter().map(ToString::to_string).collect();
        assert_eq!(
            ike,
            [
                "aes256-sha256-modp2048",
                "aes256-sha256-modp1536",
                "aes256-sha1-modp2048",
                "aes256-sha1-modp1536",
                "aes128-sha256-modp2048",
                "aes128-sha256-modp1536",
                "aes128-sha1-modp2048",
                "aes128-sha1-modp1536",
            ]
        );
        let esp = child(Protocol::Esp, "AES128-aes-sha2_256-ecp256-x25519-esn-noesn");
        assert_eq!(
            esp,
            [
                "aes128-sha256-ecp256-esn",
                "aes128-sha256-ecp256",
                "aes128-sha256-x25519-esn",
                "aes128-sha256-x25519",
            ]
        );
        let ah = child(Protocol::Ah, "sha256-sha1-noesn");
        assert_eq!(ah, ["ah-sha256", "ah-sha1"]);
    }

    #[test]
    fn a_word_that_charon_takes_out_is_taken_out() {
        let own = Ike::read("aes256-sha256-sha1-prfsha1-prfsha2_256-ecp256").expect("one");
        assert!(own.prfs.is_empty());
        let other = Ike::read("aes256-sha256-prfsha1-PRFaesxcbc-ecp256").expect("one");
        assert_eq!(other.prfs, ["prfsha1", "PRFaesxcbc"]);
        let aead =
            Child::read(Protocol::Esp, "aes256gcm16-sha256-prfsha256-modp2048").expect("one");
        assert_eq!(aead.stripped, ["prfsha256", "sha256"]);
        let all: Vec<String> = aead.all().map(|one| one.to_string()).collect();
        assert_eq!(all, ["aes256gcm16-modp2048"]);
        let chacha = Child::read(Protocol::Esp, "chacha20poly1305-aes256gcm16").expect("one");
        assert_eq!(chacha.no_number, ["chacha20poly1305"]);
        assert_eq!(chacha.all().count(), 1);
    }

    #[test]
    fn what_charon_or_we_do_not_take_is_refused_with_its_reason() {
        for (text, why) in [
            ("", "is no cipher"),
            ("-", "is no cipher"),
            ("aes256gcm16-prfsha256-ecp256", "aes256gcm16"),
            ("aes256-sha256", "there is no group"),
            ("aes256-ecp256", "there is no hash"),
            ("sha256-ecp256", "there is no cipher"),
            ("des-sha256-ecp256", "\"des\" is known"),
            ("ü-sha256-ecp256", "ü"),
        ] {
            let said = Ike::read(text).err().expect(text);
            assert!(said.contains(why), "{text}: {said}");
        }
        for (text, why) in [
            ("", "is no cipher"),
            ("sha256", "there is no cipher"),
            ("aes256", "does not authenticate by itself"),
            ("aes256-aes256gcm16-sha256", "some ciphers authenticate"),
            (
                "aes256-chacha20poly1305-sha256",
                "some ciphers authenticate",
            ),
            ("chacha20poly1305", "has a number in IKEv2"),
            ("ah-sha256", "\"ah\" is no cipher"),
            ("des-sha1", "\"des\" is known"),
        ] {
            let said = Child::read(Protocol::Esp, text).err().expect(text);
            assert!(said.contains(why), "{text}: {said}");
        }
        for text in ["aes256-sha256", "modp2048"] {
            assert!(Child::read(Protocol::Ah, text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_more_are_made_than_can_be_written_and_the_first_beyond_is_told() {
        let all = "aes256-aes192-aes128-camellia256-sha512-sha384-sha256-sha1-modp2048-modp3072-modp4096-ecp256-ecp384";
        let list = ike(&["aes256-md5-modp1024", all, all]);
        let beyond = list.beyond.expect("more");
        let written = list.with_default(&ike_default(true));
        assert_eq!(written.len(), MAX_PROPOSALS);
        assert!(!written.contains(&beyond));
        let exact = ike(&[
            "aes256-aes192-aes128-camellia256-sha512-sha384-sha256-sha1-modp2048-modp3072-ecp256-ecp384",
        ]);
        assert!(exact.beyond.is_none());
        let long = "aes256-".repeat(MAX_WORDS) + "sha256-modp2048";
        assert!(Ike::read(&long).is_err_and(|why| why.contains("128 words")));
        assert!(Child::read(Protocol::Esp, &long).is_err());
    }

    #[test]
    fn charons_default_stands_where_it_is_named_and_leaves_the_others_their_room() {
        let default = ike_default(true);
        assert_eq!(default.len(), ONE_DATAGRAM);
        assert_eq!(default[0].to_string(), "aes128-sha256-x25519");
        assert_eq!(default[1].to_string(), "aes128-sha256-ecp256");
        let any = ike_default(false);
        assert_eq!(any.len(), MAX_PROPOSALS - 1);
        let mut list = ike(&["aes128-sha1-modp1024"]);
        list.add_default();
        list.add(
            Ike::read("3des-sha1-modp1024-modp2048-x25519")
                .expect("three")
                .all(),
        );
        list.add(Ike::read("aes256-sha256-modp2048").expect("one").all());
        let all = list.with_default(&any);
        assert_eq!(all.len(), MAX_PROPOSALS);
        assert_eq!(all[0].to_string(), "aes128-sha1-modp1024");
        assert_eq!(all[1], any[0]);
        assert_eq!(all[MAX_PROPOSALS - 1].to_string(), "3des-sha1-x25519");
        let mut seen = all.clone();
        seen.sort_by_key(ToString::to_string);
        seen.dedup();
        assert_eq!(seen.len(), all.len());
    }

    #[test]
    fn charons_default_for_children_has_no_group_and_is_whole_but_in_user_space() {
        for plane in [DataPlane::Kernel, DataPlane::None, DataPlane::User] {
            let (esp, out) = child_default(Protocol::Esp, plane);
            let user = plane == DataPlane::User;
            assert_eq!(esp.len(), if user { 15 } else { 18 });
            assert_eq!(out, if user { vec!["aesxcbc"] } else { vec![] });
            assert_eq!(esp[0].to_string(), "aes128gcm16");
            assert_eq!(esp[3].to_string(), "aes128-sha256");
            assert!(esp.iter().all(|one| one.group.is_none() && !one.esn));
            let (ah, _) = child_default(Protocol::Ah, plane);
            assert_eq!(ah.len(), if user { 0 } else { 5 });
        }
    }
}
