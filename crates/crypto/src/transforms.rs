//! The one table of what an IKE phase 1 transform can name.
//!
//! A row holds a transform's number on the wire (RFC 2409 appendix A and IANA's "ipsec-registry"), the
//! name an operator writes, its sizes, and the value that audit events carry for it. Whoever needs one
//! of these reads it here.

/// An encryption algorithm that phase 1 can use. DES stands in the table, so that it can be named, and
/// is not here, so that it cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cipher {
    /// Triple DES with three keys, CBC (RFC 2409 appendix A, value 5).
    TripleDes,
    /// AES-CBC with a 128-bit key (RFC 3602).
    Aes128,
    /// AES-CBC with a 192-bit key (RFC 3602).
    Aes192,
    /// AES-CBC with a 256-bit key (RFC 3602).
    Aes256,
}

/// A hash algorithm that phase 1 can use; its HMAC is the prf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hash {
    /// MD5 (RFC 1321).
    Md5,
    /// SHA-1 (FIPS 180-4).
    Sha1,
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-384 (FIPS 180-4).
    Sha384,
    /// SHA-512 (FIPS 180-4).
    Sha512,
}

/// A Diffie-Hellman group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// Group 2, RFC 2409 section 6.2.
    Modp1024,
    /// Group 5, RFC 3526 section 2.
    Modp1536,
    /// Group 14, RFC 3526 section 3.
    Modp2048,
    /// Group 15, RFC 3526 section 4.
    Modp3072,
    /// Group 16, RFC 3526 section 5.
    Modp4096,
    /// Group 19, RFC 5903 section 3.1.
    Ecp256,
    /// Group 20, RFC 5903 section 3.2.
    Ecp384,
    /// Group 21, RFC 5903 section 3.3.
    Ecp521,
    /// Group 31, RFC 8031; its number was given for version 2 of IKE, and strongSwan uses it in
    /// version 1 too.
    X25519,
}

/// An encryption algorithm's row.
#[derive(Debug)]
pub struct CipherRow {
    /// The algorithm; `None` for one that is known by name and never used.
    pub cipher: Option<Cipher>,
    /// As an operator writes it.
    pub name: &'static str,
    /// Other spellings that strongSwan's users know.
    pub aliases: &'static [&'static str],
    /// The value of attribute class 1, Encryption Algorithm.
    pub number: u16,
    /// The value of attribute class 14, Key Length, in bits; `None` where the attribute must be absent,
    /// the key's length being fixed.
    pub key_bits: Option<u16>,
    /// The key in bytes.
    pub key_len: usize,
    /// A block, and so the IV, in bytes.
    pub block: usize,
    /// `MMCipherAlg` as stored in an event.
    pub word: &'static str,
    /// `MMCipherAlg` as shown.
    pub shown: &'static str,
    /// Used only when named, and then with a warning.
    pub weak: bool,
}

/// A hash algorithm's row.
#[derive(Debug)]
pub struct HashRow {
    /// The algorithm.
    pub hash: Hash,
    /// As an operator writes it.
    pub name: &'static str,
    /// Other spellings that strongSwan's users know.
    pub aliases: &'static [&'static str],
    /// The value of attribute class 2, Hash Algorithm.
    pub number: u16,
    /// The digest in bytes.
    pub len: usize,
    /// `MMIntegrityAlg` as stored in an event.
    pub word: &'static str,
    /// `MMIntegrityAlg` as shown.
    pub shown: &'static str,
    /// Used only when named, and then with a warning.
    pub weak: bool,
}

/// A Diffie-Hellman group's row.
#[derive(Debug)]
pub struct GroupRow {
    /// The group.
    pub group: Group,
    /// As an operator writes it.
    pub name: &'static str,
    /// Other spellings that strongSwan's users know.
    pub aliases: &'static [&'static str],
    /// The value of attribute class 4, Group Description.
    pub number: u16,
    /// A public value, the body of a KE payload, in bytes.
    pub public_len: usize,
    /// The shared secret g^xy in bytes; for MODP the prime's length, leading zeros included.
    pub shared_len: usize,
    /// The exponent or scalar in bytes.
    ///
    /// For MODP it is twice the strength, by the higher of two estimates: RFC 3526 section 8 says 90,
    /// 110, 130 and 150 bits for groups 5, 14, 15 and 16 (exponents of 180, 220, 260 and 300 bits), SP
    /// 800-56A revision 3, table 25, says 112, 128 and 152 for the last three. It is rounded up to
    /// whole 64-bit words, since OpenSSL's constant-time exponentiation works through whole words
    /// anyway. More costs time and gives nothing: the group itself is broken sooner.
    pub private_len: usize,
    /// Symmetric strength in bits: SP 800-57 part 1 table 2 and SP 800-56A revision 3 table 25; for
    /// group 5, which they leave out, RFC 3526 section 8's first estimate; for X25519, RFC 7748
    /// section 7.
    pub strength: u16,
    /// `DHGroup` as stored in an event.
    pub word: &'static str,
    /// `DHGroup` as shown.
    pub shown: &'static str,
    /// Used only when named, and then with a warning.
    pub weak: bool,
}

const fn aes(
    cipher: Cipher,
    name: &'static str,
    aliases: &'static [&'static str],
    key_bits: u16,
    word: &'static str,
    shown: &'static str,
) -> CipherRow {
    CipherRow {
        cipher: Some(cipher),
        name,
        aliases,
        number: 7,
        key_bits: Some(key_bits),
        key_len: key_bits as usize / 8,
        block: 16,
        word,
        shown,
        weak: false,
    }
}

/// The encryption algorithms, strongest first.
pub static CIPHERS: [CipherRow; 5] = [
    aes(Cipher::Aes256, "aes256", &[], 256, "%%8237", "AES-256"),
    aes(Cipher::Aes192, "aes192", &[], 192, "%%8236", "AES-192"),
    aes(Cipher::Aes128, "aes128", &["aes"], 128, "%%8235", "AES-128"),
    CipherRow {
        cipher: Some(Cipher::TripleDes),
        name: "3des",
        aliases: &[],
        number: 5,
        key_bits: None,
        key_len: 24,
        block: 8,
        word: "%%8196",
        shown: "3DES",
        weak: true,
    },
    CipherRow {
        cipher: None,
        name: "des",
        aliases: &[],
        number: 1,
        key_bits: None,
        key_len: 8,
        block: 8,
        word: "%%8195",
        shown: "DES",
        weak: true,
    },
];

/// The hash algorithms, strongest first.
pub static HASHES: [HashRow; 5] = [
    HashRow {
        hash: Hash::Sha512,
        name: "sha512",
        aliases: &["sha2_512"],
        number: 6,
        len: 64,
        word: "SHA 512",
        shown: "SHA 512",
        weak: false,
    },
    HashRow {
        hash: Hash::Sha384,
        name: "sha384",
        aliases: &["sha2_384"],
        number: 5,
        len: 48,
        word: "%%8243",
        shown: "SHA 384",
        weak: false,
    },
    HashRow {
        hash: Hash::Sha256,
        name: "sha256",
        aliases: &["sha2_256"],
        number: 4,
        len: 32,
        word: "%%8242",
        shown: "SHA 256",
        weak: false,
    },
    HashRow {
        hash: Hash::Sha1,
        name: "sha1",
        aliases: &["sha"],
        number: 2,
        len: 20,
        word: "%%8198",
        shown: "SHA1",
        weak: false,
    },
    HashRow {
        hash: Hash::Md5,
        name: "md5",
        aliases: &[],
        number: 1,
        len: 16,
        word: "%%8197",
        shown: "MD5",
        weak: true,
    },
];

const fn modp(
    group: Group,
    name: &'static str,
    number: u16,
    bits: usize,
    exponent_bits: usize,
    strength: u16,
    words: [&'static str; 2],
) -> GroupRow {
    GroupRow {
        group,
        name,
        aliases: &[],
        number,
        public_len: bits / 8,
        shared_len: bits / 8,
        private_len: exponent_bits / 8,
        strength,
        word: words[0],
        shown: words[1],
        weak: false,
    }
}

const fn ecp(
    group: Group,
    name: &'static str,
    number: u16,
    coordinate_len: usize,
    strength: u16,
    words: [&'static str; 2],
) -> GroupRow {
    GroupRow {
        group,
        name,
        aliases: &[],
        number,
        public_len: 2 * coordinate_len,
        shared_len: coordinate_len,
        private_len: coordinate_len,
        strength,
        word: words[0],
        shown: words[1],
        weak: false,
    }
}

/// The Diffie-Hellman groups, by number.
pub static GROUPS: [GroupRow; 9] = [
    GroupRow {
        weak: true,
        ..modp(
            Group::Modp1024,
            "modp1024",
            2,
            1024,
            192,
            80,
            ["%%8231", "DH group 2"],
        )
    },
    modp(
        Group::Modp1536,
        "modp1536",
        5,
        1536,
        192,
        90,
        ["DH group 5"; 2],
    ),
    modp(
        Group::Modp2048,
        "modp2048",
        14,
        2048,
        256,
        112,
        ["%%8232", "DH group 14"],
    ),
    modp(
        Group::Modp3072,
        "modp3072",
        15,
        3072,
        320,
        128,
        ["DH group 15"; 2],
    ),
    modp(
        Group::Modp4096,
        "modp4096",
        16,
        4096,
        320,
        152,
        ["DH group 16"; 2],
    ),
    ecp(
        Group::Ecp256,
        "ecp256",
        19,
        32,
        128,
        ["%%8233", "DH group ECP 256"],
    ),
    ecp(
        Group::Ecp384,
        "ecp384",
        20,
        48,
        192,
        ["%%8234", "DH group ECP 384"],
    ),
    ecp(
        Group::Ecp521,
        "ecp521",
        21,
        66,
        256,
        ["DH group ECP 521"; 2],
    ),
    GroupRow {
        group: Group::X25519,
        name: "x25519",
        aliases: &["curve25519"],
        number: 31,
        public_len: 32,
        shared_len: 32,
        private_len: 32,
        strength: 128,
        word: "DH group 31",
        shown: "DH group 31",
        weak: false,
    },
];

impl CipherRow {
    /// The row for attributes 1 and 14 as a peer sent them, DES included: for saying what was offered.
    pub fn from_wire(number: u16, key_bits: Option<u16>) -> Option<&'static Self> {
        CIPHERS
            .iter()
            .find(|row| row.number == number && row.key_bits == key_bits)
    }

    /// The row that goes by this name or alias, DES included. Case does not matter.
    pub fn from_name(name: &str) -> Option<&'static Self> {
        CIPHERS
            .iter()
            .find(|row| is_called(row.name, row.aliases, name))
    }
}

impl Cipher {
    /// This cipher's row.
    pub fn row(self) -> &'static CipherRow {
        match self {
            Self::Aes256 => &CIPHERS[0],
            Self::Aes192 => &CIPHERS[1],
            Self::Aes128 => &CIPHERS[2],
            Self::TripleDes => &CIPHERS[3],
        }
    }

    /// The usable cipher that attributes 1 and 14 name. A key length where none belongs, none where one
    /// is needed, or one that is not in the table names nothing.
    pub fn from_wire(number: u16, key_bits: Option<u16>) -> Option<Self> {
        CipherRow::from_wire(number, key_bits)?.cipher
    }

    /// The usable cipher that goes by this name or alias.
    pub fn from_name(name: &str) -> Option<Self> {
        CipherRow::from_name(name)?.cipher
    }
}

impl Hash {
    /// This hash's row.
    pub fn row(self) -> &'static HashRow {
        match self {
            Self::Sha512 => &HASHES[0],
            Self::Sha384 => &HASHES[1],
            Self::Sha256 => &HASHES[2],
            Self::Sha1 => &HASHES[3],
            Self::Md5 => &HASHES[4],
        }
    }

    /// The hash that attribute 2 names.
    pub fn from_wire(number: u16) -> Option<Self> {
        HASHES
            .iter()
            .find(|row| row.number == number)
            .map(|row| row.hash)
    }

    /// The hash that goes by this name or alias. Case does not matter.
    pub fn from_name(name: &str) -> Option<Self> {
        HASHES
            .iter()
            .find(|row| is_called(row.name, row.aliases, name))
            .map(|row| row.hash)
    }
}

impl Group {
    /// This group's row.
    pub fn row(self) -> &'static GroupRow {
        match self {
            Self::Modp1024 => &GROUPS[0],
            Self::Modp1536 => &GROUPS[1],
            Self::Modp2048 => &GROUPS[2],
            Self::Modp3072 => &GROUPS[3],
            Self::Modp4096 => &GROUPS[4],
            Self::Ecp256 => &GROUPS[5],
            Self::Ecp384 => &GROUPS[6],
            Self::Ecp521 => &GROUPS[7],
            Self::X25519 => &GROUPS[8],
        }
    }

    /// The group that attribute 4 names.
    pub fn from_wire(number: u16) -> Option<Self> {
        GROUPS
            .iter()
            .find(|row| row.number == number)
            .map(|row| row.group)
    }

    /// The group that goes by this name or alias. Case does not matter.
    pub fn from_name(name: &str) -> Option<Self> {
        GROUPS
            .iter()
            .find(|row| is_called(row.name, row.aliases, name))
            .map(|row| row.group)
    }
}

fn is_called(name: &str, aliases: &[&str], asked: &str) -> bool {
    name.eq_ignore_ascii_case(asked) || aliases.iter().any(|a| a.eq_ignore_ascii_case(asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_finds_its_own_row_and_every_row_its_value() {
        for row in &CIPHERS {
            if let Some(cipher) = row.cipher {
                assert!(std::ptr::eq(cipher.row(), row), "{}", row.name);
                assert_eq!(Cipher::from_wire(row.number, row.key_bits), Some(cipher));
                assert_eq!(Cipher::from_name(row.name), Some(cipher));
            }
            assert!(
                row.key_bits
                    .is_none_or(|b| usize::from(b) == row.key_len * 8)
            );
        }
        for row in &HASHES {
            assert!(std::ptr::eq(row.hash.row(), row), "{}", row.name);
            assert_eq!(Hash::from_wire(row.number), Some(row.hash));
            assert_eq!(Hash::from_name(row.name), Some(row.hash));
        }
        for row in &GROUPS {
            assert!(std::ptr::eq(row.group.row(), row), "{}", row.name);
            assert_eq!(Group::from_wire(row.number), Some(row.group));
            assert_eq!(Group::from_name(row.name), Some(row.group));
        }
    }

    #[test]
    fn only_tabled_numbers_name_anything() {
        let known = |numbers: &[u16], found: &dyn Fn(u16) -> bool| {
            for number in 0..=u16::MAX {
                assert_eq!(found(number), numbers.contains(&number), "{number}");
            }
        };
        known(&[1, 2, 4, 5, 6], &|n| Hash::from_wire(n).is_some());
        known(&[2, 5, 14, 15, 16, 19, 20, 21, 31], &|n| {
            Group::from_wire(n).is_some()
        });
        known(&[5], &|n| Cipher::from_wire(n, None).is_some());
        known(&[128, 192, 256], &|bits| {
            Cipher::from_wire(7, Some(bits)).is_some()
        });
        known(&[], &|bits| Cipher::from_wire(5, Some(bits)).is_some());
    }

    #[test]
    fn des_is_known_by_name_and_never_usable() {
        let row = CipherRow::from_wire(1, None).unwrap();
        assert_eq!((row.name, row.shown, row.word), ("des", "DES", "%%8195"));
        assert_eq!(Cipher::from_wire(1, None), None);
        assert_eq!(Cipher::from_name("des"), None);
    }

    #[test]
    fn names_and_aliases_are_unique() {
        let mut seen = std::collections::HashSet::new();
        let names = CIPHERS
            .iter()
            .map(|r| (r.name, r.aliases))
            .chain(HASHES.iter().map(|r| (r.name, r.aliases)))
            .chain(GROUPS.iter().map(|r| (r.name, r.aliases)));
        for (name, aliases) in names {
            for word in std::iter::once(&name).chain(aliases) {
                assert!(seen.insert(*word), "{word} twice");
            }
        }
    }

    #[test]
    fn exponents_have_at_least_twice_the_strength_in_whole_words() {
        for row in &GROUPS {
            assert!(
                row.private_len * 8 >= 2 * usize::from(row.strength),
                "{}",
                row.name
            );
        }
        let bits = |group: Group| group.row().private_len * 8;
        assert_eq!(bits(Group::Modp1024), 192);
        assert_eq!(bits(Group::Modp1536), 192);
        assert_eq!(bits(Group::Modp2048), 256);
        assert_eq!(bits(Group::Modp3072), 320);
        assert_eq!(bits(Group::Modp4096), 320);
    }
}
