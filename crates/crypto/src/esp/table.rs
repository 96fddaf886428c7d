//! The rows, in the order in which an operator is told of them: what is best first.

use super::{EspCipher, EspCipherRow, EspIntegrity, EspIntegrityRow};

/// The transform identifier of what has none: RFC 2407 section 4.4.4 reserves it.
pub(super) const NO_TRANSFORM: u8 = 0;

/// What an event says where there is no encryption, or no AH.
pub(super) const NONE: &str = "%%8229";

/// What all transforms of one mode have in common.
struct Mode {
    transform: u8,
    salt_len: usize,
    iv_len: usize,
    block: usize,
    icv_len: usize,
    kernel: &'static str,
}

impl Mode {
    const fn cbc(transform: u8, block: usize, kernel: &'static str) -> Self {
        Self {
            transform,
            salt_len: 0,
            iv_len: block,
            block,
            icv_len: 0,
            kernel,
        }
    }

    /// A mode without blocks, whose packets carry 8 bytes of the nonce.
    const fn counter(transform: u8, salt_len: usize, icv_len: usize, kernel: &'static str) -> Self {
        Self {
            transform,
            salt_len,
            iv_len: 8,
            block: 4,
            icv_len,
            kernel,
        }
    }

    /// `words` are `CipherType` stored and shown.
    const fn keyed(
        &self,
        cipher: EspCipher,
        key_bits: u16,
        name: &'static str,
        aliases: &'static [&'static str],
        words: [&'static str; 2],
    ) -> EspCipherRow {
        let aead = self.icv_len > 0;
        EspCipherRow {
            cipher,
            name,
            aliases,
            transform: self.transform,
            key_bits: Some(key_bits),
            key_len: key_bits as usize / 8,
            salt_len: self.salt_len,
            iv_len: self.iv_len,
            block: self.block,
            icv_len: self.icv_len,
            aead,
            kernel: self.kernel,
            word: words[0],
            shown: words[1],
            auth_word: if aead { Some(words[1]) } else { None },
            weak: false,
        }
    }
}

impl EspCipherRow {
    const fn without_encryption(mut self) -> Self {
        self.word = NONE;
        self.shown = "None";
        self
    }

    const fn weak(mut self) -> Self {
        self.weak = true;
        self
    }

    const fn of_fixed_key_len(mut self) -> Self {
        self.key_bits = None;
        self
    }
}

const AES_CBC: Mode = Mode::cbc(12, 16, "cbc(aes)");
const AES_CTR: Mode = Mode::counter(13, 4, 0, "rfc3686(ctr(aes))");
const AES_CCM_8: Mode = Mode::counter(14, 3, 8, "rfc4309(ccm(aes))");
const AES_CCM_12: Mode = Mode::counter(15, 3, 12, "rfc4309(ccm(aes))");
const AES_CCM_16: Mode = Mode::counter(16, 3, 16, "rfc4309(ccm(aes))");
const AES_GCM_8: Mode = Mode::counter(18, 4, 8, "rfc4106(gcm(aes))");
const AES_GCM_12: Mode = Mode::counter(19, 4, 12, "rfc4106(gcm(aes))");
const AES_GCM_16: Mode = Mode::counter(20, 4, 16, "rfc4106(gcm(aes))");
const AES_GMAC: Mode = Mode::counter(23, 4, 16, "rfc4543(gcm(aes))");
const CHACHA20_POLY1305: Mode = Mode::counter(NO_TRANSFORM, 4, 16, "rfc7539esp(chacha20,poly1305)");
const CAMELLIA_CBC: Mode = Mode::cbc(22, 16, "cbc(camellia)");
const BLOWFISH_CBC: Mode = Mode::cbc(7, 8, "cbc(blowfish)");
const TRIPLE_DES_CBC: Mode = Mode::cbc(3, 8, "cbc(des3_ede)");

/// The ESP transforms, in the order of [`EspCipher`].
#[rustfmt::skip] // A row a line.
pub static ESP_CIPHERS: [EspCipherRow; 36] = {
    use EspCipher as C;
    [
        AES_GCM_16.keyed(C::Aes256Gcm16, 256, "aes256gcm16", &["aes256gcm", "aes256gcm128"], ["AES-GCM-256"; 2]),
        AES_GCM_16.keyed(C::Aes192Gcm16, 192, "aes192gcm16", &["aes192gcm", "aes192gcm128"], ["AES-GCM-192"; 2]),
        AES_GCM_16.keyed(C::Aes128Gcm16, 128, "aes128gcm16", &["aes128gcm", "aes128gcm128"], ["AES-GCM-128"; 2]),
        AES_GCM_12.keyed(C::Aes256Gcm12, 256, "aes256gcm12", &["aes256gcm96"], ["AES-GCM-256 ICV 12"; 2]),
        AES_GCM_12.keyed(C::Aes192Gcm12, 192, "aes192gcm12", &["aes192gcm96"], ["AES-GCM-192 ICV 12"; 2]),
        AES_GCM_12.keyed(C::Aes128Gcm12, 128, "aes128gcm12", &["aes128gcm96"], ["AES-GCM-128 ICV 12"; 2]),
        AES_GCM_8.keyed(C::Aes256Gcm8, 256, "aes256gcm8", &["aes256gcm64"], ["AES-GCM-256 ICV 8"; 2]),
        AES_GCM_8.keyed(C::Aes192Gcm8, 192, "aes192gcm8", &["aes192gcm64"], ["AES-GCM-192 ICV 8"; 2]),
        AES_GCM_8.keyed(C::Aes128Gcm8, 128, "aes128gcm8", &["aes128gcm64"], ["AES-GCM-128 ICV 8"; 2]),
        AES_CCM_16.keyed(C::Aes256Ccm16, 256, "aes256ccm16", &["aes256ccm128"], ["AES-CCM-256"; 2]),
        AES_CCM_16.keyed(C::Aes192Ccm16, 192, "aes192ccm16", &["aes192ccm128"], ["AES-CCM-192"; 2]),
        AES_CCM_16.keyed(C::Aes128Ccm16, 128, "aes128ccm16", &["aes128ccm128"], ["AES-CCM-128"; 2]),
        AES_CCM_12.keyed(C::Aes256Ccm12, 256, "aes256ccm12", &["aes256ccm96"], ["AES-CCM-256 ICV 12"; 2]),
        AES_CCM_12.keyed(C::Aes192Ccm12, 192, "aes192ccm12", &["aes192ccm96"], ["AES-CCM-192 ICV 12"; 2]),
        AES_CCM_12.keyed(C::Aes128Ccm12, 128, "aes128ccm12", &["aes128ccm96"], ["AES-CCM-128 ICV 12"; 2]),
        AES_CCM_8.keyed(C::Aes256Ccm8, 256, "aes256ccm8", &["aes256ccm64"], ["AES-CCM-256 ICV 8"; 2]),
        AES_CCM_8.keyed(C::Aes192Ccm8, 192, "aes192ccm8", &["aes192ccm64"], ["AES-CCM-192 ICV 8"; 2]),
        AES_CCM_8.keyed(C::Aes128Ccm8, 128, "aes128ccm8", &["aes128ccm64"], ["AES-CCM-128 ICV 8"; 2]),
        CHACHA20_POLY1305
            .keyed(C::ChaCha20Poly1305, 256, "chacha20poly1305", &[], ["ChaCha20-Poly1305"; 2])
            .of_fixed_key_len(),
        AES_CBC.keyed(C::Aes256, 256, "aes256", &[], ["%%8237", "AES-256"]),
        AES_CBC.keyed(C::Aes192, 192, "aes192", &[], ["%%8236", "AES-192"]),
        AES_CBC.keyed(C::Aes128, 128, "aes128", &["aes"], ["%%8235", "AES-128"]),
        AES_CTR.keyed(C::Aes256Ctr, 256, "aes256ctr", &[], ["AES-CTR-256"; 2]),
        AES_CTR.keyed(C::Aes192Ctr, 192, "aes192ctr", &[], ["AES-CTR-192"; 2]),
        AES_CTR.keyed(C::Aes128Ctr, 128, "aes128ctr", &[], ["AES-CTR-128"; 2]),
        CAMELLIA_CBC.keyed(C::Camellia256, 256, "camellia256", &[], ["Camellia-256"; 2]),
        CAMELLIA_CBC.keyed(C::Camellia192, 192, "camellia192", &[], ["Camellia-192"; 2]),
        CAMELLIA_CBC.keyed(C::Camellia128, 128, "camellia128", &["camellia"], ["Camellia-128"; 2]),
        AES_GMAC.keyed(C::Aes256Gmac, 256, "aes256gmac", &[], ["AES-GMAC-256"; 2]).without_encryption(),
        AES_GMAC.keyed(C::Aes192Gmac, 192, "aes192gmac", &[], ["AES-GMAC-192"; 2]).without_encryption(),
        AES_GMAC.keyed(C::Aes128Gmac, 128, "aes128gmac", &[], ["AES-GMAC-128"; 2]).without_encryption(),
        EspCipherRow {
            cipher: C::Null,
            name: "null",
            aliases: &[],
            transform: 11,
            key_bits: None,
            key_len: 0,
            salt_len: 0,
            iv_len: 0,
            block: 4,
            icv_len: 0,
            aead: false,
            kernel: "ecb(cipher_null)",
            word: NONE,
            shown: "None",
            auth_word: None,
            weak: false,
        },
        BLOWFISH_CBC.keyed(C::Blowfish256, 256, "blowfish256", &[], ["Blowfish-256"; 2]).weak(),
        BLOWFISH_CBC.keyed(C::Blowfish192, 192, "blowfish192", &[], ["Blowfish-192"; 2]).weak(),
        BLOWFISH_CBC.keyed(C::Blowfish128, 128, "blowfish128", &["blowfish"], ["Blowfish-128"; 2]).weak(),
        TRIPLE_DES_CBC.keyed(C::TripleDes, 192, "3des", &[], ["%%8196", "3DES"]).of_fixed_key_len().weak(),
    ]
};

/// The integrity algorithms, in the order of [`EspIntegrity`].
pub static ESP_INTEGRITIES: [EspIntegrityRow; 6] = [
    EspIntegrityRow {
        integrity: EspIntegrity::HmacSha512,
        name: "sha512",
        aliases: &["sha2_512"],
        attribute: 7,
        ah_transform: 7,
        key_len: 64,
        icv_len: 32,
        kernel: "hmac(sha512)",
        word: "SHA 512",
        shown: "SHA 512",
        weak: false,
    },
    EspIntegrityRow {
        integrity: EspIntegrity::HmacSha384,
        name: "sha384",
        aliases: &["sha2_384"],
        attribute: 6,
        ah_transform: 6,
        key_len: 48,
        icv_len: 24,
        kernel: "hmac(sha384)",
        word: "%%8243",
        shown: "SHA 384",
        weak: false,
    },
    EspIntegrityRow {
        integrity: EspIntegrity::HmacSha256,
        name: "sha256",
        aliases: &["sha2_256"],
        attribute: 5,
        ah_transform: 5,
        key_len: 32,
        icv_len: 16,
        kernel: "hmac(sha256)",
        word: "%%8242",
        shown: "SHA 256",
        weak: false,
    },
    EspIntegrityRow {
        integrity: EspIntegrity::AesXcbc,
        name: "aesxcbc",
        aliases: &[],
        attribute: 9,
        ah_transform: 9,
        key_len: 16,
        icv_len: 12,
        kernel: "xcbc(aes)",
        word: "AES-XCBC",
        shown: "AES-XCBC",
        weak: false,
    },
    EspIntegrityRow {
        integrity: EspIntegrity::HmacSha1,
        name: "sha1",
        aliases: &["sha"],
        attribute: 2,
        ah_transform: 3,
        key_len: 20,
        icv_len: 12,
        kernel: "hmac(sha1)",
        word: "%%8198",
        shown: "SHA1",
        weak: false,
    },
    EspIntegrityRow {
        integrity: EspIntegrity::HmacMd5,
        name: "md5",
        aliases: &[],
        attribute: 1,
        ah_transform: 2,
        key_len: 16,
        icv_len: 12,
        kernel: "hmac(md5)",
        word: "%%8197",
        shown: "MD5",
        weak: true,
    },
];
