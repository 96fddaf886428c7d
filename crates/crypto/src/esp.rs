//! What an IPsec SA is made of: phase 2's transforms, proposals of them, and the SA's keys.
//!
//! The one table of what a Quick Mode transform can name. A row holds the number on the wire (RFC 2407
//! section 4.4 and IANA's "isakmp-registry"), the name an operator writes, its sizes, the kernel's name
//! for it, and the value that audit events carry.
//!
//! - [`EspProposal`]: one phase 2 proposal as an operator writes it, `aes256gcm16-ecp256`.
//! - [`quick_mode_keymat`]: RFC 2409 section 5.5.
//! - [`Sealer`], [`Opener`]: the packets of an SA (RFC 4303), for a data plane in user space.

mod keymat;
mod proposal;
mod seal;
mod table;

pub use keymat::quick_mode_keymat;
pub use proposal::{EspProposal, EspProposalError};
pub use seal::{OpenError, Opened, Opener, Sealer, SuiteError};
pub use table::{ESP_CIPHERS, ESP_INTEGRITIES};

use crate::transforms::is_called;

/// Which of the two protocols an IPsec SA is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// Encapsulating Security Payload (RFC 4303).
    Esp,
    /// Authentication Header (RFC 4302).
    Ah,
}

impl Protocol {
    /// The protocol identifier in ISAKMP (RFC 2407 section 4.4.1): not the number in an IP header.
    pub fn number(self) -> u8 {
        match self {
            Self::Esp => 3,
            Self::Ah => 2,
        }
    }

    /// The protocol that an identifier in ISAKMP names.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Esp, Self::Ah]
            .into_iter()
            .find(|protocol| protocol.number() == number)
    }

    /// `ESP` or `AH`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Esp => "ESP",
            Self::Ah => "AH",
        }
    }
}

/// An ESP transform: what encrypts, and for some of them also authenticates. DES is not here, so that it
/// cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EspCipher {
    /// AES-GCM with a 256-bit key and an ICV of 16 bytes (RFC 4106).
    Aes256Gcm16,
    /// AES-GCM with a 192-bit key and an ICV of 16 bytes (RFC 4106).
    Aes192Gcm16,
    /// AES-GCM with a 128-bit key and an ICV of 16 bytes (RFC 4106).
    Aes128Gcm16,
    /// AES-GCM with a 256-bit key and an ICV of 12 bytes (RFC 4106).
    Aes256Gcm12,
    /// AES-GCM with a 192-bit key and an ICV of 12 bytes (RFC 4106).
    Aes192Gcm12,
    /// AES-GCM with a 128-bit key and an ICV of 12 bytes (RFC 4106).
    Aes128Gcm12,
    /// AES-GCM with a 256-bit key and an ICV of 8 bytes (RFC 4106).
    Aes256Gcm8,
    /// AES-GCM with a 192-bit key and an ICV of 8 bytes (RFC 4106).
    Aes192Gcm8,
    /// AES-GCM with a 128-bit key and an ICV of 8 bytes (RFC 4106).
    Aes128Gcm8,
    /// AES-CCM with a 256-bit key and an ICV of 16 bytes (RFC 4309).
    Aes256Ccm16,
    /// AES-CCM with a 192-bit key and an ICV of 16 bytes (RFC 4309).
    Aes192Ccm16,
    /// AES-CCM with a 128-bit key and an ICV of 16 bytes (RFC 4309).
    Aes128Ccm16,
    /// AES-CCM with a 256-bit key and an ICV of 12 bytes (RFC 4309).
    Aes256Ccm12,
    /// AES-CCM with a 192-bit key and an ICV of 12 bytes (RFC 4309).
    Aes192Ccm12,
    /// AES-CCM with a 128-bit key and an ICV of 12 bytes (RFC 4309).
    Aes128Ccm12,
    /// AES-CCM with a 256-bit key and an ICV of 8 bytes (RFC 4309).
    Aes256Ccm8,
    /// AES-CCM with a 192-bit key and an ICV of 8 bytes (RFC 4309).
    Aes192Ccm8,
    /// AES-CCM with a 128-bit key and an ICV of 8 bytes (RFC 4309).
    Aes128Ccm8,
    /// `ChaCha20` with Poly1305 (RFC 7634). It has no number in version 1 of IKE: data planes know it,
    /// no proposal can name it.
    ChaCha20Poly1305,
    /// AES-CBC with a 256-bit key (RFC 3602).
    Aes256,
    /// AES-CBC with a 192-bit key (RFC 3602).
    Aes192,
    /// AES-CBC with a 128-bit key (RFC 3602).
    Aes128,
    /// AES in counter mode with a 256-bit key (RFC 3686).
    Aes256Ctr,
    /// AES in counter mode with a 192-bit key (RFC 3686).
    Aes192Ctr,
    /// AES in counter mode with a 128-bit key (RFC 3686).
    Aes128Ctr,
    /// Camellia-CBC with a 256-bit key (RFC 4312).
    Camellia256,
    /// Camellia-CBC with a 192-bit key (RFC 4312).
    Camellia192,
    /// Camellia-CBC with a 128-bit key (RFC 4312).
    Camellia128,
    /// AES-GMAC with a 256-bit key: authenticates and does not encrypt (RFC 4543).
    Aes256Gmac,
    /// AES-GMAC with a 192-bit key: authenticates and does not encrypt (RFC 4543).
    Aes192Gmac,
    /// AES-GMAC with a 128-bit key: authenticates and does not encrypt (RFC 4543).
    Aes128Gmac,
    /// No encryption (RFC 2410); with an integrity algorithm.
    Null,
    /// Blowfish-CBC with a 256-bit key (RFC 2451).
    Blowfish256,
    /// Blowfish-CBC with a 192-bit key (RFC 2451).
    Blowfish192,
    /// Blowfish-CBC with a 128-bit key (RFC 2451).
    Blowfish128,
    /// Triple DES with three keys, CBC (RFC 2451).
    TripleDes,
}

/// An integrity algorithm of ESP and AH.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EspIntegrity {
    /// HMAC-SHA-512-256 (RFC 4868).
    HmacSha512,
    /// HMAC-SHA-384-192 (RFC 4868).
    HmacSha384,
    /// HMAC-SHA-256-128 (RFC 4868).
    HmacSha256,
    /// AES-XCBC-MAC-96 (RFC 3566).
    AesXcbc,
    /// HMAC-SHA-1-96 (RFC 2404).
    HmacSha1,
    /// HMAC-MD5-96 (RFC 2403).
    HmacMd5,
}

/// An ESP transform's row.
#[derive(Debug)]
pub struct EspCipherRow {
    /// The transform.
    pub cipher: EspCipher,
    /// As an operator writes it.
    pub name: &'static str,
    /// Other spellings that strongSwan's users know.
    pub aliases: &'static [&'static str],
    /// The transform identifier (RFC 2407 section 4.4.4); 0, which is reserved, for one that has none.
    pub transform: u8,
    /// The value of attribute class 6, Key Length, in bits, without the salt; `None` where the attribute
    /// must be absent, the key's length being fixed.
    pub key_bits: Option<u16>,
    /// The key in bytes, without the salt.
    pub key_len: usize,
    /// The part of the nonce that is taken from the KEYMAT, after the key, in bytes.
    pub salt_len: usize,
    /// The IV in each packet, in bytes.
    pub iv_len: usize,
    /// Ciphertext, with padding and trailer in it, is a multiple of this many bytes: the cipher's block,
    /// and never less than the 4 that RFC 4303 section 2.4 asks for.
    pub block: usize,
    /// The ICV in bytes; 0 for a cipher that needs an integrity algorithm beside it.
    pub icv_len: usize,
    /// Whether it authenticates by itself.
    pub aead: bool,
    /// The name in the Linux kernel's crypto API, as XFRM wants it.
    pub kernel: &'static str,
    /// `CipherType` as stored in an event.
    pub word: &'static str,
    /// `CipherType` as shown.
    pub shown: &'static str,
    /// `EspAuthType` of an SA with this cipher, stored and shown; `None` where the integrity algorithm
    /// says it.
    pub auth_word: Option<&'static str>,
    /// Used only when named, and then with a warning.
    pub weak: bool,
}

/// An integrity algorithm's row.
#[derive(Debug)]
pub struct EspIntegrityRow {
    /// The algorithm.
    pub integrity: EspIntegrity,
    /// As an operator writes it.
    pub name: &'static str,
    /// Other spellings that strongSwan's users know.
    pub aliases: &'static [&'static str],
    /// The value of attribute class 5, Authentication Algorithm (RFC 2407 section 4.5).
    pub attribute: u16,
    /// The transform identifier in AH (RFC 2407 section 4.4.3).
    pub ah_transform: u8,
    /// The key in bytes.
    pub key_len: usize,
    /// The ICV, as it is truncated for the wire, in bytes.
    pub icv_len: usize,
    /// The name in the Linux kernel's crypto API, as XFRM wants it.
    pub kernel: &'static str,
    /// `EspAuthType` or `AhAuthType` as stored in an event.
    pub word: &'static str,
    /// `EspAuthType` or `AhAuthType` as shown.
    pub shown: &'static str,
    /// Used only when named, and then with a warning.
    pub weak: bool,
}

impl EspCipherRow {
    /// Bytes of the KEYMAT that are this cipher's: the key and then the salt.
    pub fn keymat_len(&self) -> usize {
        self.key_len + self.salt_len
    }

    /// Whether version 1 of IKE has a number for it.
    pub fn negotiable(&self) -> bool {
        self.transform != table::NO_TRANSFORM
    }
}

impl EspCipher {
    /// This cipher's row.
    pub fn row(self) -> &'static EspCipherRow {
        &ESP_CIPHERS[self as usize]
    }

    /// The cipher that a transform identifier and attribute 6 name. A key length where none belongs,
    /// none where one is needed, or one that is not in the table names nothing.
    pub fn from_wire(transform: u8, key_bits: Option<u16>) -> Option<Self> {
        ESP_CIPHERS
            .iter()
            .find(|row| row.negotiable() && row.transform == transform && row.key_bits == key_bits)
            .map(|row| row.cipher)
    }

    /// The cipher that goes by this name or alias. Case does not matter.
    pub fn from_name(name: &str) -> Option<Self> {
        ESP_CIPHERS
            .iter()
            .find(|row| is_called(row.name, row.aliases, name))
            .map(|row| row.cipher)
    }
}

impl EspIntegrity {
    /// This algorithm's row.
    pub fn row(self) -> &'static EspIntegrityRow {
        &ESP_INTEGRITIES[self as usize]
    }

    /// The algorithm that attribute 5 names.
    pub fn from_attribute(attribute: u16) -> Option<Self> {
        ESP_INTEGRITIES
            .iter()
            .find(|row| row.attribute == attribute)
            .map(|row| row.integrity)
    }

    /// The algorithm that a transform identifier of AH names.
    pub fn from_ah_transform(transform: u8) -> Option<Self> {
        ESP_INTEGRITIES
            .iter()
            .find(|row| row.ah_transform == transform)
            .map(|row| row.integrity)
    }

    /// The algorithm that goes by this name or alias. Case does not matter.
    pub fn from_name(name: &str) -> Option<Self> {
        ESP_INTEGRITIES
            .iter()
            .find(|row| is_called(row.name, row.aliases, name))
            .map(|row| row.integrity)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use super::*;
    use crate::GROUPS;

    #[test]
    fn every_value_finds_its_own_row_and_every_row_its_value() {
        for row in &ESP_CIPHERS {
            assert!(std::ptr::eq(row.cipher.row(), row), "{}", row.name);
            assert_eq!(EspCipher::from_name(row.name), Some(row.cipher));
            let found = EspCipher::from_wire(row.transform, row.key_bits);
            assert_eq!(found, row.negotiable().then_some(row.cipher));
        }
        for row in &ESP_INTEGRITIES {
            let integrity = row.integrity;
            assert!(std::ptr::eq(integrity.row(), row), "{}", row.name);
            assert_eq!(EspIntegrity::from_name(row.name), Some(integrity));
            assert_eq!(EspIntegrity::from_attribute(row.attribute), Some(integrity));
            assert_eq!(
                EspIntegrity::from_ah_transform(row.ah_transform),
                Some(integrity)
            );
        }
        for protocol in [Protocol::Esp, Protocol::Ah] {
            assert_eq!(Protocol::from_number(protocol.number()), Some(protocol));
        }
    }

    #[test]
    fn only_tabled_numbers_name_anything() {
        let fixed: BTreeSet<u8> = (0..=u8::MAX)
            .filter(|&n| EspCipher::from_wire(n, None).is_some())
            .collect();
        assert_eq!(fixed, BTreeSet::from([3, 11]));
        for n in 0..=u8::MAX {
            let keyed: Vec<u16> = (0..=u16::MAX)
                .filter(|&bits| EspCipher::from_wire(n, Some(bits)).is_some())
                .collect();
            let expected: &[u16] = match n {
                7 | 12..=16 | 18..=20 | 22 | 23 => &[128, 192, 256],
                _ => &[],
            };
            assert_eq!(keyed, expected, "{n}");
        }
        let named =
            |found: &dyn Fn(u16) -> bool| (0..300).filter(|&n| found(n)).collect::<Vec<_>>();
        assert_eq!(
            named(&|n| EspIntegrity::from_attribute(n).is_some()),
            [1, 2, 5, 6, 7, 9]
        );
        assert_eq!(
            named(&|n| u8::try_from(n).is_ok_and(|n| EspIntegrity::from_ah_transform(n).is_some())),
            [2, 3, 5, 6, 7, 9]
        );
        assert_eq!(
            named(&|n| u8::try_from(n).is_ok_and(|n| Protocol::from_number(n).is_some())),
            [2, 3]
        );
    }

    #[test]
    fn names_and_aliases_of_ciphers_integrities_and_groups_are_unique() {
        let mut seen = HashSet::new();
        let names = ESP_CIPHERS
            .iter()
            .map(|r| (r.name, r.aliases))
            .chain(ESP_INTEGRITIES.iter().map(|r| (r.name, r.aliases)))
            .chain(GROUPS.iter().map(|r| (r.name, r.aliases)));
        for (name, aliases) in names {
            for word in std::iter::once(&name).chain(aliases) {
                assert!(seen.insert(*word), "{word} twice");
            }
        }
    }

    #[test]
    fn keys_ivs_and_icvs_have_the_lengths_of_their_rfcs() {
        let sizes = |name: &str| {
            let row = EspCipher::from_name(name).unwrap().row();
            [
                row.key_len,
                row.salt_len,
                row.iv_len,
                row.block,
                row.icv_len,
            ]
        };
        assert_eq!(sizes("aes128"), [16, 0, 16, 16, 0]);
        assert_eq!(sizes("aes192ctr"), [24, 4, 8, 4, 0]);
        assert_eq!(sizes("aes256gcm8"), [32, 4, 8, 4, 8]);
        assert_eq!(sizes("aes128gcm"), [16, 4, 8, 4, 16]);
        assert_eq!(sizes("aes128ccm12"), [16, 3, 8, 4, 12]);
        assert_eq!(sizes("aes192gmac"), [24, 4, 8, 4, 16]);
        assert_eq!(sizes("chacha20poly1305"), [32, 4, 8, 4, 16]);
        assert_eq!(sizes("camellia192"), [24, 0, 16, 16, 0]);
        assert_eq!(sizes("blowfish192"), [24, 0, 8, 8, 0]);
        assert_eq!(sizes("3des"), [24, 0, 8, 8, 0]);
        assert_eq!(sizes("null"), [0, 0, 0, 4, 0]);
        for row in &ESP_CIPHERS {
            assert_eq!(row.aead, row.icv_len > 0, "{}", row.name);
            assert_eq!(row.aead, row.auth_word.is_some(), "{}", row.name);
            assert!(
                row.key_bits
                    .is_none_or(|bits| usize::from(bits) == row.key_len * 8)
            );
        }
        let truncated = |name: &str| {
            let row = EspIntegrity::from_name(name).unwrap().row();
            [row.key_len, row.icv_len * 8]
        };
        assert_eq!(truncated("md5"), [16, 96]);
        assert_eq!(truncated("sha1"), [20, 96]);
        assert_eq!(truncated("sha256"), [32, 128]);
        assert_eq!(truncated("sha384"), [48, 192]);
        assert_eq!(truncated("sha512"), [64, 256]);
        assert_eq!(truncated("aesxcbc"), [16, 96]);
    }
}
