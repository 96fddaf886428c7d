//! The one table of what an IKE phase 1 transform can name.
//!
//! A row holds a transform's number on the wire (RFC 2409 appendix A and IANA's "ipsec-registry"), the
//! name an operator writes, its sizes, and the value that audit events carry for it. Whoever needs one
//! of these reads it here.

mod table;

pub use table::{CIPHERS, GROUPS, HASHES};

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
    /// Camellia-CBC with a 128-bit key (RFC 4312).
    Camellia128,
    /// Camellia-CBC with a 192-bit key (RFC 4312).
    Camellia192,
    /// Camellia-CBC with a 256-bit key (RFC 4312).
    Camellia256,
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
    /// Group 17, RFC 3526 section 6.
    Modp6144,
    /// Group 18, RFC 3526 section 7.
    Modp8192,
    /// Group 22, RFC 5114 section 2.1: its subgroup has a prime order of 160 bits.
    Modp1024s160,
    /// Group 23, RFC 5114 section 2.2: its subgroup has a prime order of 224 bits.
    Modp2048s224,
    /// Group 24, RFC 5114 section 2.3: its subgroup has a prime order of 256 bits.
    Modp2048s256,
    /// Group 25, RFC 5114 section 2.4.
    Ecp192,
    /// Group 26, RFC 5114 section 2.5.
    Ecp224,
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
    /// 110, 130, 150, 170 and 190 bits for groups 5 and 14 to 18 (exponents of 180 to 380 bits), SP
    /// 800-56A revision 3, table 25, says 112, 128, 152, 176 and 200 for the last five. It is rounded up
    /// to whole 64-bit words, since OpenSSL's constant-time exponentiation works through whole words
    /// anyway. More costs time and gives nothing: the group itself is broken sooner. For groups 22 to
    /// 24 it is the length of the subgroup's order.
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
            Self::Camellia256 => &CIPHERS[3],
            Self::Camellia192 => &CIPHERS[4],
            Self::Camellia128 => &CIPHERS[5],
            Self::TripleDes => &CIPHERS[6],
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
            Self::Modp6144 => &GROUPS[5],
            Self::Modp8192 => &GROUPS[6],
            Self::Ecp256 => &GROUPS[7],
            Self::Ecp384 => &GROUPS[8],
            Self::Ecp521 => &GROUPS[9],
            Self::Modp1024s160 => &GROUPS[10],
            Self::Modp2048s224 => &GROUPS[11],
            Self::Modp2048s256 => &GROUPS[12],
            Self::Ecp192 => &GROUPS[13],
            Self::Ecp224 => &GROUPS[14],
            Self::X25519 => &GROUPS[15],
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

/// Whether a name or one of its aliases is what was asked for. Case does not matter.
pub(crate) fn is_called(name: &str, aliases: &[&str], asked: &str) -> bool {
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
        let groups = [2, 5, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 31];
        known(&groups, &|n| Group::from_wire(n).is_some());
        known(&[5], &|n| Cipher::from_wire(n, None).is_some());
        for number in [7, 8] {
            known(&[128, 192, 256], &|bits| {
                Cipher::from_wire(number, Some(bits)).is_some()
            });
        }
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
        assert_eq!(bits(Group::Modp6144), 384);
        assert_eq!(bits(Group::Modp8192), 448);
        assert_eq!(bits(Group::Modp1024s160), 160);
    }
}
