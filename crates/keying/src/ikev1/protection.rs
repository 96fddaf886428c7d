//! Keys of a Main Mode SA in use: encryption with its chain of IVs, `HASH_I`, `HASH_R` and HASH(1)
//! (RFC 2409 section 5 and appendix B).

use crypto::{Cipher, CryptoError, Hash, Secret};
use isakmp::{Chain, Header, PayloadType, RawPayload, Trailing, parse_chain};
use zeroize::Zeroizing;

/// What phase 1 leaves for the exchanges under it.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub cipher: Cipher,
    pub hash: Hash,
    /// `SKEYID_d`: what the keys of child SAs are derived from.
    pub d: Secret,
    /// `SKEYID_a`: authenticates the exchanges of phase 2 and INFORMATIONAL.
    pub a: Secret,
    /// The cipher's key, made of `SKEYID_e`.
    pub cipher_key: Secret,
}

/// What one side's `HASH_I` or `HASH_R` is made of (RFC 2409 section 5).
pub(crate) struct Proof<'a> {
    pub skeyid: &'a Secret,
    pub own_public: &'a [u8],
    pub other_public: &'a [u8],
    pub own_cookie: &'a [u8; 8],
    pub other_cookie: &'a [u8; 8],
    /// `SAi_b`: the body of message 1's SA payload.
    pub sa_body: &'a [u8],
    /// `IDii_b` or `IDir_b`.
    pub id_body: &'a [u8],
}

impl Proof<'_> {
    pub(crate) fn compute(&self, hash: Hash) -> Result<Vec<u8>, CryptoError> {
        let parts: [&[u8]; 6] = [
            self.own_public,
            self.other_public,
            self.own_cookie,
            self.other_cookie,
            self.sa_body,
            self.id_body,
        ];
        crypto::prf(hash, self.skeyid.as_bytes(), &parts)
    }
}

/// A decrypted message.
pub(crate) struct Opened {
    pub chain: Chain,
    /// The decrypted bytes, padding included: what HASH(1) is computed over.
    pub plaintext: Zeroizing<Vec<u8>>,
}

/// Why a ciphertext gave no payloads.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// Not a whole number of blocks, or empty.
    Length,
    /// Decrypted into what is no payload chain: another key, or other bytes.
    Nonsense,
    /// The first payload was sound and a later one was not.
    Broken(PayloadType),
    /// Our own machinery failed.
    Crypto(CryptoError),
}

impl Keys {
    /// Decrypts a message's body. The caller's IV stays as it is: a failure must not move the chain.
    pub(crate) fn open(
        &self,
        header: &Header,
        iv: &[u8],
        body: &[u8],
    ) -> Result<Opened, OpenError> {
        let block = self.cipher.row().block;
        if body.is_empty() || !body.len().is_multiple_of(block) {
            return Err(OpenError::Length);
        }
        // It may hold a user's password (XAUTH).
        let plaintext = Zeroizing::new(
            crypto::decrypt(self.cipher, &self.cipher_key, iv, body).map_err(OpenError::Crypto)?,
        );
        match parse_chain(header.next_payload, &plaintext, Trailing::Padding) {
            Ok(chain) => Ok(Opened { chain, plaintext }),
            Err(error) if first_payload_sound(header.next_payload, &plaintext) => Err(
                OpenError::Broken(error.payload().unwrap_or(header.next_payload)),
            ),
            Err(_) => Err(OpenError::Nonsense),
        }
    }

    /// Encrypts a payload chain, padded with zeros to whole blocks. Gives the ciphertext, whose last
    /// block is the next IV of the chain.
    pub(crate) fn seal(&self, iv: &[u8], chain: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let block = self.cipher.row().block;
        let len = chain.len().next_multiple_of(block);
        // With room at once: what grows leaves a copy behind.
        let mut plaintext = Zeroizing::new(Vec::with_capacity(len));
        plaintext.extend_from_slice(chain);
        plaintext.resize(len, 0);
        crypto::encrypt(self.cipher, &self.cipher_key, iv, &plaintext)
    }

    /// The last block of a ciphertext.
    pub(crate) fn last_block(&self, ciphertext: &[u8]) -> Vec<u8> {
        let block = self.cipher.row().block;
        ciphertext[ciphertext.len().saturating_sub(block)..].to_vec()
    }

    /// HASH(1) of an INFORMATIONAL or Quick Mode message: over the message ID and all that follows
    /// the HASH payload.
    pub(crate) fn hash_1(&self, message_id: u32, rest: &[u8]) -> Result<Vec<u8>, CryptoError> {
        crypto::prf(
            self.hash,
            self.a.as_bytes(),
            &[&message_id.to_be_bytes(), rest],
        )
    }

    /// The IV of a phase 2 or INFORMATIONAL exchange's first message.
    pub(crate) fn exchange_iv(
        &self,
        last_block: &[u8],
        message_id: u32,
    ) -> Result<Vec<u8>, CryptoError> {
        crypto::phase2_iv(self.hash, self.cipher, last_block, message_id)
    }

    /// Checks that a decrypted message begins with HASH(1) and that it is right; gives the other
    /// payloads.
    pub(crate) fn authenticated(
        &self,
        message_id: u32,
        opened: &Opened,
    ) -> Option<Vec<RawPayload>> {
        let (first, rest) = opened.chain.payloads.split_first()?;
        if first.kind != PayloadType::HASH {
            return None;
        }
        let start = 4 + first.body.len();
        let covered = opened.plaintext.get(start..opened.chain.consumed)?;
        let expected = self.hash_1(message_id, covered).ok()?;
        crypto::ct_eq(&expected, &first.body).then(|| rest.to_vec())
    }
}

/// Whether the first payload of a decrypted chain is what its type says. By chance, under a wrong key,
/// that is so once in some 2^18 times.
fn first_payload_sound(kind: PayloadType, plaintext: &[u8]) -> bool {
    let [_, 0, high, low, rest @ ..] = plaintext else {
        return false;
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    length
        .checked_sub(4)
        .and_then(|length| rest.get(..length))
        .is_some_and(|body| {
            isakmp::Payload::parse(&RawPayload {
                kind,
                body: body.to_vec(),
            })
            .is_ok()
        })
}
