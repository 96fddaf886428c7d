//! The rows.

use super::{Cipher, CipherRow, Group, GroupRow, Hash, HashRow};

/// A cipher whose key length is negotiated. `words` are `MMCipherAlg` stored and shown.
const fn keyed(
    cipher: Cipher,
    number: u16,
    key_bits: u16,
    names: (&'static str, &'static [&'static str]),
    words: [&'static str; 2],
) -> CipherRow {
    CipherRow {
        cipher: Some(cipher),
        name: names.0,
        aliases: names.1,
        number,
        key_bits: Some(key_bits),
        key_len: key_bits as usize / 8,
        block: 16,
        word: words[0],
        shown: words[1],
        weak: false,
    }
}

const AES: u16 = 7;
const CAMELLIA: u16 = 8;

/// The encryption algorithms, strongest first.
pub static CIPHERS: [CipherRow; 8] = [
    keyed(
        Cipher::Aes256,
        AES,
        256,
        ("aes256", &[]),
        ["%%8237", "AES-256"],
    ),
    keyed(
        Cipher::Aes192,
        AES,
        192,
        ("aes192", &[]),
        ["%%8236", "AES-192"],
    ),
    keyed(
        Cipher::Aes128,
        AES,
        128,
        ("aes128", &["aes"]),
        ["%%8235", "AES-128"],
    ),
    keyed(
        Cipher::Camellia256,
        CAMELLIA,
        256,
        ("camellia256", &[]),
        ["Camellia-256"; 2],
    ),
    keyed(
        Cipher::Camellia192,
        CAMELLIA,
        192,
        ("camellia192", &[]),
        ["Camellia-192"; 2],
    ),
    keyed(
        Cipher::Camellia128,
        CAMELLIA,
        128,
        ("camellia128", &["camellia"]),
        ["Camellia-128"; 2],
    ),
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

impl GroupRow {
    /// For a group that is too small; and for 22 to 24, of which nobody said how their primes were made:
    /// RFC 8247 section 2.4 advises against all three.
    const fn weak(mut self) -> Self {
        self.weak = true;
        self
    }
}

/// The Diffie-Hellman groups, by number.
pub static GROUPS: [GroupRow; 16] = [
    modp(
        Group::Modp1024,
        "modp1024",
        2,
        1024,
        192,
        80,
        ["%%8231", "DH group 2"],
    )
    .weak(),
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
    modp(
        Group::Modp6144,
        "modp6144",
        17,
        6144,
        384,
        176,
        ["DH group 17"; 2],
    ),
    modp(
        Group::Modp8192,
        "modp8192",
        18,
        8192,
        448,
        200,
        ["DH group 18"; 2],
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
    modp(
        Group::Modp1024s160,
        "modp1024s160",
        22,
        1024,
        160,
        80,
        ["DH group 22"; 2],
    )
    .weak(),
    modp(
        Group::Modp2048s224,
        "modp2048s224",
        23,
        2048,
        224,
        112,
        ["DH group 23"; 2],
    )
    .weak(),
    modp(
        Group::Modp2048s256,
        "modp2048s256",
        24,
        2048,
        256,
        112,
        ["%%8248", "DH group 24"],
    )
    .weak(),
    ecp(Group::Ecp192, "ecp192", 25, 24, 96, ["DH group ECP 192"; 2]).weak(),
    ecp(
        Group::Ecp224,
        "ecp224",
        26,
        28,
        112,
        ["DH group ECP 224"; 2],
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
