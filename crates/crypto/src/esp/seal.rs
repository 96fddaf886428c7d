//! ESP packets (RFC 4303), sealed and opened in place.
//!
//! A [`Sealer`] and an [`Opener`] are prepared once for each direction of an SA: they keep the contexts with
//! their key schedules, so that a packet costs the setting of an IV and no allocation. What is used most, GCM
//! with its whole ICV and ChaCha20-Poly1305, is AWS-LC's, which does a packet in one call; OpenSSL takes six,
//! and at the size of a packet they count.
//!
//! A packet, as section 2 of the RFC draws it: SPI, sequence number, IV, ciphertext (payload, padding, pad
//! length, next header), ICV. IP and UDP headers are none of this module's business, nor is replay.

use std::ffi::CStr;
use std::ops::Range;

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use openssl::cipher::{Cipher as Algorithm, CipherRef};
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;

use super::{EspCipher, EspCipherRow, EspIntegrity};
use crate::mac::Keyed;
use crate::{CryptoError, Secret, ct_eq};

/// SPI and sequence number (RFC 4303 section 2).
const HEADER: usize = 8;
/// Pad length and next header.
const TRAILER: usize = 2;
/// The longest IV on the wire, that of a cipher with blocks of 16 bytes.
const LONGEST_IV: usize = 16;
/// The longest nonce that a cipher is given: the counter block of AES-CTR.
const LONGEST_NONCE: usize = 16;
/// The longest block.
const LONGEST_BLOCK: usize = 16;
/// The longest ICV, that of HMAC-SHA-512-256.
const LONGEST_ICV: usize = 32;
/// Random bytes fetched at a time: one call of OpenSSL's generator gives the IVs of 64 packets or more.
const POOL: usize = 1024;

/// Why a packet from the network is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum OpenError {
    /// Shorter than its own header, IV and ICV, or no whole number of blocks.
    #[error("no ESP packet of this SA has this length")]
    Length,
    /// The ICV does not fit: another key, or changed on the way.
    #[error("it is not authentic")]
    NotAuthentic,
    /// Authentic, and its padding is none (RFC 4303 section 2.4): the sender is mistaken.
    #[error("its padding is wrong")]
    Padding,
}

/// Why packets cannot be sealed or opened at all.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SuiteError {
    /// An algorithm that neither library has, or algorithms that make no ESP.
    #[error("no data plane in user space has {0}; choose others in `proposals`")]
    Unsupported(&'static str),
    /// A key that is not the algorithm's, or a library failed.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

impl From<ErrorStack> for SuiteError {
    fn from(error: ErrorStack) -> Self {
        Self::Crypto(error.into())
    }
}

/// What an authentic packet holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Where in the packet the payload is.
    pub payload: Range<usize>,
    /// What it is: an IP protocol number; 4 and 41 for packets in a tunnel, 59 for a dummy.
    pub next_header: u8,
}

/// Seals the packets of one outgoing SA.
pub struct Sealer {
    suite: Suite,
    spi: u32,
    pool: [u8; POOL],
    /// Bytes of the pool that were used.
    used: usize,
}

/// Opens the packets of one incoming SA.
pub struct Opener {
    suite: Suite,
}

/// How a cipher is driven.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Aead,
    /// As AEAD; its length has to be known before anything else, and opening verifies at once.
    Ccm,
    /// The payload is authenticated and stays as it is (RFC 4543).
    Gmac,
    Cbc,
    Ctr,
    Null,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Seal,
    Open,
}

/// Who computes the cipher.
enum Engine {
    OpenSsl(CipherCtx),
    /// "Less safe" than a key that counts its own nonces: here they are counted by the SA.
    AwsLc(LessSafeKey),
    /// Nobody: NULL encryption.
    None,
}

struct Suite {
    kind: Kind,
    row: &'static EspCipherRow,
    engine: Engine,
    /// The part of the nonce that comes from the KEYMAT.
    salt: [u8; 4],
    mac: Option<Keyed>,
    icv_len: usize,
    esn: bool,
}

impl Sealer {
    /// For an SA with these algorithms and keys; `encryption` has the salt at its end, as the KEYMAT has.
    ///
    /// # Errors
    /// [`SuiteError`] says what cannot be had, or which key is not the algorithm's.
    pub fn new(
        cipher: EspCipher,
        integrity: Option<EspIntegrity>,
        esn: bool,
        spi: u32,
        encryption: &Secret,
        authentication: &Secret,
    ) -> Result<Self, SuiteError> {
        let suite = Suite::new(
            Direction::Seal,
            cipher,
            integrity,
            esn,
            encryption,
            authentication,
        )?;
        Ok(Self {
            suite,
            spi,
            pool: [0; POOL],
            used: POOL,
        })
    }

    /// Bytes before the payload: SPI, sequence number, IV.
    pub fn header_len(&self) -> usize {
        self.suite.header_len()
    }

    /// The whole packet's length for a payload of this one.
    pub fn sealed_len(&self, payload: usize) -> usize {
        self.suite.header_len() + self.suite.padded(payload) + self.suite.icv_len
    }

    /// The longest payload whose packet is no longer than this; `None` when even none at all does not fit.
    pub fn longest_payload(&self, packet: usize) -> Option<usize> {
        let room = packet.checked_sub(self.suite.header_len() + self.suite.icv_len)?;
        let block = self.suite.row.block;
        (room / block * block).checked_sub(TRAILER)
    }

    /// Seals the payload that stands in `packet` after [`Self::header_len`] bytes, in place; gives the packet's
    /// length. The same sequence number must never come twice: it is the nonce of most ciphers.
    ///
    /// # Errors
    /// [`CryptoError::WrongLength`] when there is not room for [`Self::sealed_len`] bytes,
    /// [`CryptoError::Library`] or [`CryptoError::AwsLc`] when the library fails.
    pub fn seal(
        &mut self,
        packet: &mut [u8],
        payload: usize,
        next_header: u8,
        sequence: u64,
    ) -> Result<usize, CryptoError> {
        let (header, padded) = (self.suite.header_len(), self.suite.padded(payload));
        let len = self.sealed_len(payload);
        let got = packet.len();
        let packet = packet.get_mut(..len).ok_or(CryptoError::WrongLength {
            what: "room for a packet",
            expected: len,
            got,
        })?;
        packet[..4].copy_from_slice(&self.spi.to_be_bytes());
        packet[4..HEADER].copy_from_slice(&sequence.to_be_bytes()[4..]);
        let iv_len = self.suite.row.iv_len;
        if self.suite.kind == Kind::Cbc {
            // Nobody may foretell it (RFC 3602 section 3).
            if self.used + iv_len > POOL {
                openssl::rand::rand_bytes(&mut self.pool)?;
                self.used = 0;
            }
            packet[HEADER..header].copy_from_slice(&self.pool[self.used..self.used + iv_len]);
            self.used += iv_len;
        } else if iv_len > 0 {
            // Nobody may see it twice: so it is the sequence number (RFC 4106 section 3.1).
            packet[HEADER..header].copy_from_slice(&sequence.to_be_bytes());
        }
        let trailer = header + padded - TRAILER;
        let pad_len = trailer - header - payload;
        for (byte, value) in packet[header + payload..trailer].iter_mut().zip(1..) {
            *byte = value;
        }
        // Less than a block, which has 16 bytes at most.
        packet[trailer] = u8::try_from(pad_len).unwrap_or(u8::MAX);
        packet[trailer + 1] = next_header;
        self.suite.seal(packet, sequence)?;
        Ok(len)
    }
}

impl Opener {
    /// For an SA with these algorithms and keys; as [`Sealer::new`].
    ///
    /// # Errors
    /// As [`Sealer::new`].
    pub fn new(
        cipher: EspCipher,
        integrity: Option<EspIntegrity>,
        esn: bool,
        encryption: &Secret,
        authentication: &Secret,
    ) -> Result<Self, SuiteError> {
        let suite = Suite::new(
            Direction::Open,
            cipher,
            integrity,
            esn,
            encryption,
            authentication,
        )?;
        Ok(Self { suite })
    }

    /// Verifies a packet and decrypts it in place. `sequence` is the whole number, of which the packet
    /// carries the lower half. What is in the buffer after a refusal is of no use.
    ///
    /// # Errors
    /// [`OpenError`] tells what is wrong with it. Should the library itself fail, the packet is as good as not
    /// authentic.
    pub fn open(&mut self, packet: &mut [u8], sequence: u64) -> Result<Opened, OpenError> {
        let (header, icv_len) = (self.suite.header_len(), self.suite.icv_len);
        let end = packet.len().checked_sub(icv_len).ok_or(OpenError::Length)?;
        let inside = end.checked_sub(header).ok_or(OpenError::Length)?;
        if inside < TRAILER || !inside.is_multiple_of(self.suite.row.block) {
            return Err(OpenError::Length);
        }
        self.suite.open(packet, sequence)?;
        let trailer = end - TRAILER;
        let pad_len = usize::from(packet[trailer]);
        let payload_end = trailer.checked_sub(pad_len).filter(|at| *at >= header);
        let payload_end = payload_end.ok_or(OpenError::Padding)?;
        let padding = packet[payload_end..trailer].iter().zip(1..=u8::MAX);
        if !padding.clone().all(|(byte, value)| *byte == value) {
            return Err(OpenError::Padding);
        }
        Ok(Opened {
            payload: header..payload_end,
            next_header: packet[trailer + 1],
        })
    }
}

impl Suite {
    fn new(
        direction: Direction,
        cipher: EspCipher,
        integrity: Option<EspIntegrity>,
        esn: bool,
        encryption: &Secret,
        authentication: &Secret,
    ) -> Result<Self, SuiteError> {
        let row = cipher.row();
        if row.aead == integrity.is_some() {
            return Err(SuiteError::Unsupported(
                "ESP that is authenticated twice, or not at all",
            ));
        }
        let (kind, name) = implementation(cipher).ok_or(SuiteError::Unsupported(row.name))?;
        check("encryption key", row.keymat_len(), encryption.len())?;
        let (key, tail) = encryption.as_bytes().split_at(row.key_len);
        let mut salt = [0; 4];
        salt[..tail.len()].copy_from_slice(tail);
        let engine = match (aws_lc(cipher), name) {
            (Some(algorithm), _) => {
                let key = UnboundKey::new(algorithm, key).map_err(|_| CryptoError::AwsLc)?;
                Engine::AwsLc(LessSafeKey::new(key))
            }
            (None, Some(name)) => Engine::OpenSsl(context(direction, kind, row, name, key)?),
            (None, None) => Engine::None,
        };
        let mac = match integrity.map(EspIntegrity::row) {
            None => None,
            Some(row) => {
                check("integrity key", row.key_len, authentication.len())?;
                let digest = digest(row.integrity).ok_or(SuiteError::Unsupported(row.name))?;
                Some(Keyed::new(digest, authentication.as_bytes())?)
            }
        };
        Ok(Self {
            kind,
            row,
            engine,
            salt,
            mac,
            icv_len: integrity.map_or(row.icv_len, |integrity| integrity.row().icv_len),
            esn,
        })
    }

    fn header_len(&self) -> usize {
        HEADER + self.row.iv_len
    }

    /// A payload with padding and trailer.
    fn padded(&self, payload: usize) -> usize {
        (payload + TRAILER).next_multiple_of(self.row.block)
    }

    /// What the cipher is given as its IV.
    fn nonce(&self, packet: &[u8]) -> ([u8; LONGEST_NONCE], usize) {
        let (salt_len, iv) = (self.row.salt_len, &packet[HEADER..self.header_len()]);
        let mut nonce = [0; LONGEST_NONCE];
        nonce[..salt_len].copy_from_slice(&self.salt[..salt_len]);
        nonce[salt_len..salt_len + iv.len()].copy_from_slice(iv);
        if self.kind == Kind::Ctr {
            // RFC 3686 section 4: the block counter begins at one.
            nonce[LONGEST_NONCE - 1] = 1;
            return (nonce, LONGEST_NONCE);
        }
        (nonce, salt_len + iv.len())
    }

    /// SPI and sequence number as an AEAD authenticates them (RFC 4106 section 5).
    fn associated(&self, packet: &[u8], sequence: u64) -> ([u8; 12], usize) {
        let mut data = [0; 12];
        data[..4].copy_from_slice(&packet[..4]);
        if self.esn {
            data[4..8].copy_from_slice(&sequence.to_be_bytes()[..4]);
            data[8..].copy_from_slice(&packet[4..8]);
            (data, 12)
        } else {
            data[4..8].copy_from_slice(&packet[4..8]);
            (data, 8)
        }
    }

    fn seal(&mut self, packet: &mut [u8], sequence: u64) -> Result<(), CryptoError> {
        let (header, end) = (self.header_len(), packet.len() - self.icv_len);
        self.encrypt(packet, header, end, sequence)?;
        if self.mac.is_some() {
            let icv = self.mac(&packet[..end], sequence)?;
            packet[end..].copy_from_slice(&icv[..self.icv_len]);
        }
        Ok(())
    }

    fn encrypt(
        &mut self,
        packet: &mut [u8],
        header: usize,
        end: usize,
        sequence: u64,
    ) -> Result<(), CryptoError> {
        let (nonce, nonce_len) = self.nonce(packet);
        let (associated, associated_len) = self.associated(packet, sequence);
        let (nonce, associated) = (&nonce[..nonce_len], &associated[..associated_len]);
        let context = match &mut self.engine {
            Engine::None => return Ok(()),
            Engine::AwsLc(key) => {
                let (front, icv) = packet.split_at_mut(end);
                let tag = Nonce::try_assume_unique_for_key(nonce).and_then(|nonce| {
                    let associated = Aad::from(associated);
                    key.seal_in_place_separate_tag(nonce, associated, &mut front[header..])
                });
                icv.copy_from_slice(tag.map_err(|_| CryptoError::AwsLc)?.as_ref());
                return Ok(());
            }
            Engine::OpenSsl(context) => context,
        };
        context.encrypt_init(None, None, Some(nonce))?;
        match self.kind {
            Kind::Cbc => blocks(context, &mut packet[header..end], self.row.block)?,
            Kind::Ctr | Kind::Null => {
                context.cipher_update_inplace(&mut packet[header..end], end - header)?;
            }
            Kind::Aead | Kind::Ccm | Kind::Gmac => {
                if self.kind == Kind::Ccm {
                    context.set_data_len(end - header)?;
                }
                context.cipher_update(associated, None)?;
                if self.kind == Kind::Gmac {
                    context.cipher_update(&packet[HEADER..end], None)?;
                } else {
                    context.cipher_update_inplace(&mut packet[header..end], end - header)?;
                }
                if self.kind != Kind::Ccm {
                    context.cipher_final(&mut [0; LONGEST_BLOCK])?;
                }
                context.tag(&mut packet[end..])?;
            }
        }
        Ok(())
    }

    fn open(&mut self, packet: &mut [u8], sequence: u64) -> Result<(), OpenError> {
        let (header, end) = (self.header_len(), packet.len() - self.icv_len);
        if self.mac.is_some() {
            let icv = self.mac(&packet[..end], sequence);
            let icv = icv.map_err(|_| OpenError::NotAuthentic)?;
            if !ct_eq(&icv[..self.icv_len], &packet[end..]) {
                return Err(OpenError::NotAuthentic);
            }
        }
        self.decrypt(packet, header, end, sequence)
            .map_err(|_| OpenError::NotAuthentic)
    }

    fn decrypt(
        &mut self,
        packet: &mut [u8],
        header: usize,
        end: usize,
        sequence: u64,
    ) -> Result<(), CryptoError> {
        let (nonce, nonce_len) = self.nonce(packet);
        let (associated, associated_len) = self.associated(packet, sequence);
        let (nonce, associated) = (&nonce[..nonce_len], &associated[..associated_len]);
        let context = match &mut self.engine {
            Engine::None => return Ok(()),
            Engine::AwsLc(key) => {
                let opened = Nonce::try_assume_unique_for_key(nonce).and_then(|nonce| {
                    key.open_in_place(nonce, Aad::from(associated), &mut packet[header..])
                });
                return opened.map(drop).map_err(|_| CryptoError::AwsLc);
            }
            Engine::OpenSsl(context) => context,
        };
        let (front, icv) = packet.split_at_mut(end);
        if self.kind == Kind::Ccm {
            context.set_tag(icv)?;
        }
        context.decrypt_init(None, None, Some(nonce))?;
        match self.kind {
            Kind::Cbc => blocks(context, &mut front[header..], self.row.block)?,
            Kind::Ctr | Kind::Null => {
                context.cipher_update_inplace(&mut front[header..], end - header)?;
            }
            Kind::Ccm => {
                context.set_data_len(end - header)?;
                context.cipher_update(associated, None)?;
                context.cipher_update_inplace(&mut front[header..], end - header)?;
            }
            Kind::Aead | Kind::Gmac => {
                context.cipher_update(associated, None)?;
                if self.kind == Kind::Gmac {
                    context.cipher_update(&front[HEADER..], None)?;
                } else {
                    context.cipher_update_inplace(&mut front[header..], end - header)?;
                }
                context.set_tag(icv)?;
                context.cipher_final(&mut [0; LONGEST_BLOCK])?;
            }
        }
        Ok(())
    }

    /// The ICV of an HMAC: over the packet up to it, and the upper half of an extended sequence number, which
    /// is not in the packet (RFC 4303 section 2.2.1).
    fn mac(&mut self, data: &[u8], sequence: u64) -> Result<[u8; LONGEST_ICV], CryptoError> {
        let mut icv = [0; LONGEST_ICV];
        if let Some(mac) = &mut self.mac {
            let high = &sequence.to_be_bytes()[..if self.esn { 4 } else { 0 }];
            mac.mac(&[data, high], &mut icv)?;
        }
        Ok(icv)
    }
}

/// Whether packets can be sealed with this cipher.
pub(super) fn has_cipher(cipher: EspCipher) -> bool {
    implementation(cipher).is_some()
}

/// Whether packets can be sealed with this integrity algorithm.
pub(super) fn has_integrity(integrity: EspIntegrity) -> bool {
    digest(integrity).is_some()
}

/// OpenSSL's name for the hash of an HMAC; `None` for what is no HMAC.
fn digest(integrity: EspIntegrity) -> Option<&'static CStr> {
    Some(match integrity {
        EspIntegrity::HmacMd5 => c"MD5",
        EspIntegrity::HmacSha1 => c"SHA1",
        EspIntegrity::HmacSha256 => c"SHA256",
        EspIntegrity::HmacSha384 => c"SHA384",
        EspIntegrity::HmacSha512 => c"SHA512",
        EspIntegrity::AesXcbc => return None,
    })
}

/// How a cipher is driven, and OpenSSL's name for it; `None` for what OpenSSL does not have.
fn implementation(cipher: EspCipher) -> Option<(Kind, Option<&'static str>)> {
    use EspCipher as E;
    Some(match cipher {
        E::Aes256Gcm16 | E::Aes256Gcm12 | E::Aes256Gcm8 => (Kind::Aead, Some("AES-256-GCM")),
        E::Aes192Gcm16 | E::Aes192Gcm12 | E::Aes192Gcm8 => (Kind::Aead, Some("AES-192-GCM")),
        E::Aes128Gcm16 | E::Aes128Gcm12 | E::Aes128Gcm8 => (Kind::Aead, Some("AES-128-GCM")),
        E::Aes256Ccm16 | E::Aes256Ccm12 | E::Aes256Ccm8 => (Kind::Ccm, Some("AES-256-CCM")),
        E::Aes192Ccm16 | E::Aes192Ccm12 | E::Aes192Ccm8 => (Kind::Ccm, Some("AES-192-CCM")),
        E::Aes128Ccm16 | E::Aes128Ccm12 | E::Aes128Ccm8 => (Kind::Ccm, Some("AES-128-CCM")),
        E::ChaCha20Poly1305 => (Kind::Aead, Some("ChaCha20-Poly1305")),
        E::Aes256Gmac => (Kind::Gmac, Some("AES-256-GCM")),
        E::Aes192Gmac => (Kind::Gmac, Some("AES-192-GCM")),
        E::Aes128Gmac => (Kind::Gmac, Some("AES-128-GCM")),
        E::Aes256 => (Kind::Cbc, Some("AES-256-CBC")),
        E::Aes192 => (Kind::Cbc, Some("AES-192-CBC")),
        E::Aes128 => (Kind::Cbc, Some("AES-128-CBC")),
        E::TripleDes => (Kind::Cbc, Some("DES-EDE3-CBC")),
        E::Aes256Ctr => (Kind::Ctr, Some("AES-256-CTR")),
        E::Aes192Ctr => (Kind::Ctr, Some("AES-192-CTR")),
        E::Aes128Ctr => (Kind::Ctr, Some("AES-128-CTR")),
        E::Null => (Kind::Null, None),
        E::Camellia256
        | E::Camellia192
        | E::Camellia128
        | E::Blowfish256
        | E::Blowfish192
        | E::Blowfish128 => return None,
    })
}

/// AWS-LC's algorithm, for what it has.
fn aws_lc(cipher: EspCipher) -> Option<&'static aead::Algorithm> {
    match cipher {
        EspCipher::Aes256Gcm16 => Some(&aead::AES_256_GCM),
        EspCipher::Aes192Gcm16 => Some(&aead::AES_192_GCM),
        EspCipher::Aes128Gcm16 => Some(&aead::AES_128_GCM),
        EspCipher::ChaCha20Poly1305 => Some(&aead::CHACHA20_POLY1305),
        _ => None,
    }
}

fn context(
    direction: Direction,
    kind: Kind,
    row: &EspCipherRow,
    name: &str,
    key: &[u8],
) -> Result<CipherCtx, CryptoError> {
    let init: fn(&mut CipherCtx, Option<&CipherRef>, Option<&[u8]>) -> _ = match direction {
        Direction::Seal => |context, cipher, key| context.encrypt_init(cipher, key, None),
        Direction::Open => |context, cipher, key| context.decrypt_init(cipher, key, None),
    };
    let algorithm = Algorithm::fetch(None, name, None)?;
    let mut context = CipherCtx::new()?;
    init(&mut context, Some(&algorithm), None)?;
    match kind {
        Kind::Ccm => {
            context.set_iv_length(row.salt_len + row.iv_len)?;
            match direction {
                Direction::Seal => context.set_tag_length(row.icv_len)?,
                // Its length counts: the tag itself comes with each packet.
                Direction::Open => context.set_tag(&[0; LONGEST_BLOCK][..row.icv_len])?,
            }
        }
        Kind::Cbc => context.set_padding(false),
        Kind::Aead | Kind::Gmac | Kind::Ctr | Kind::Null => {}
    }
    init(&mut context, None, Some(key))?;
    Ok(context)
}

/// Runs whole blocks through CBC in place. The binding asks for a block of room behind what it is given, so
/// that the last one goes by way of a copy.
fn blocks(context: &mut CipherCtx, data: &mut [u8], block: usize) -> Result<(), CryptoError> {
    let Some(last) = data.len().checked_sub(block) else {
        return Ok(());
    };
    if last > 0 {
        context.cipher_update_inplace(data, last)?;
    }
    let mut room = [0; 2 * LONGEST_BLOCK];
    room[..block].copy_from_slice(&data[last..]);
    context.cipher_update_inplace(&mut room, block)?;
    data[last..].copy_from_slice(&room[..block]);
    Ok(())
}

fn check(what: &'static str, expected: usize, got: usize) -> Result<(), CryptoError> {
    if expected == got {
        Ok(())
    } else {
        Err(CryptoError::WrongLength {
            what,
            expected,
            got,
        })
    }
}

const _: () = assert!(POOL >= LONGEST_IV);

#[cfg(test)]
mod published;
#[cfg(test)]
mod tests;
