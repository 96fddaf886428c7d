//! CBC over whole blocks. RFC 2409 appendix B pads with zeros before encryption; how much is the
//! message's business, so that there is no padding here.
//!
//! Camellia is not OpenSSL's, which is built without it: the `camellia` crate has it.

use std::sync::LazyLock;

use camellia::{Camellia128, Camellia192, Camellia256};
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, KeyInit, KeyIvInit,
};
use cbc::{Decryptor, Encryptor};
use openssl::cipher::{Cipher as Algorithm, CipherRef};
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;

use crate::{Cipher, CryptoError, Secret};

type Fetched = LazyLock<Result<Algorithm, ErrorStack>>;

/// The algorithm, fetched from OpenSSL once: it would look it up by name for each message again. `None`
/// for one that OpenSSL does not have.
fn algorithm(cipher: Cipher) -> Result<Option<&'static CipherRef>, CryptoError> {
    static TRIPLE_DES: Fetched = fetched(|| Algorithm::fetch(None, "DES-EDE3-CBC", None));
    static AES128: Fetched = fetched(|| Algorithm::fetch(None, "AES-128-CBC", None));
    static AES192: Fetched = fetched(|| Algorithm::fetch(None, "AES-192-CBC", None));
    static AES256: Fetched = fetched(|| Algorithm::fetch(None, "AES-256-CBC", None));
    let fetched = match cipher {
        Cipher::TripleDes => &TRIPLE_DES,
        Cipher::Aes128 => &AES128,
        Cipher::Aes192 => &AES192,
        Cipher::Aes256 => &AES256,
        Cipher::Camellia128 | Cipher::Camellia192 | Cipher::Camellia256 => return Ok(None),
    };
    match &**fetched {
        Ok(algorithm) => Ok(Some(algorithm)),
        Err(error) => Err(error.clone().into()),
    }
}

const fn fetched(fetch: fn() -> Result<Algorithm, ErrorStack>) -> Fetched {
    LazyLock::new(fetch)
}

#[derive(Clone, Copy)]
enum Direction {
    Encrypt,
    Decrypt,
}

/// Encrypts whole blocks.
///
/// # Errors
/// [`CryptoError::NotWholeBlocks`] for plaintext that is empty or not padded,
/// [`CryptoError::WrongLength`] for a key or IV that is not the cipher's, [`CryptoError::Library`] when
/// OpenSSL fails.
pub fn encrypt(
    cipher: Cipher,
    key: &Secret,
    iv: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    run(cipher, Direction::Encrypt, key, iv, plaintext)
}

/// Decrypts whole blocks. Nothing here tells whether the key was right: that shows in the payloads.
///
/// # Errors
/// [`CryptoError::NotWholeBlocks`] for ciphertext that is empty or no multiple of the block,
/// [`CryptoError::WrongLength`] for a key or IV that is not the cipher's, [`CryptoError::Library`] when
/// OpenSSL fails.
pub fn decrypt(
    cipher: Cipher,
    key: &Secret,
    iv: &[u8],
    ciphertext: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    run(cipher, Direction::Decrypt, key, iv, ciphertext)
}

fn run(
    cipher: Cipher,
    direction: Direction,
    key: &Secret,
    iv: &[u8],
    input: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    let row = cipher.row();
    let key = key.as_bytes();
    for (what, expected, got) in [("key", row.key_len, key.len()), ("IV", row.block, iv.len())] {
        if expected != got {
            return Err(CryptoError::WrongLength {
                what,
                expected,
                got,
            });
        }
    }
    if input.is_empty() || !input.len().is_multiple_of(row.block) {
        return Err(CryptoError::NotWholeBlocks {
            len: input.len(),
            block: row.block,
        });
    }
    let Some(algorithm) = algorithm(cipher)? else {
        return match cipher {
            Cipher::Camellia128 => run_camellia::<Camellia128>(direction, key, iv, input),
            Cipher::Camellia192 => run_camellia::<Camellia192>(direction, key, iv, input),
            _ => run_camellia::<Camellia256>(direction, key, iv, input),
        };
    };
    let mut context = CipherCtx::new()?;
    match direction {
        Direction::Encrypt => context.encrypt_init(Some(algorithm), Some(key), Some(iv))?,
        Direction::Decrypt => context.decrypt_init(Some(algorithm), Some(key), Some(iv))?,
    }
    context.set_padding(false);
    let mut output = Vec::with_capacity(input.len() + row.block);
    context.cipher_update_vec(input, &mut output)?;
    context.cipher_final_vec(&mut output)?;
    Ok(output)
}

/// The key, the IV and the input have the lengths that the cipher wants.
fn run_camellia<C>(
    direction: Direction,
    key: &[u8],
    iv: &[u8],
    input: &[u8],
) -> Result<Vec<u8>, CryptoError>
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + KeyInit,
    Encryptor<C>: KeyIvInit + BlockModeEncrypt,
    Decryptor<C>: KeyIvInit + BlockModeDecrypt,
{
    let wrong_length = |_| CryptoError::WrongLength {
        what: "key",
        expected: C::key_size(),
        got: key.len(),
    };
    match direction {
        Direction::Encrypt => Ok(Encryptor::<C>::new_from_slices(key, iv)
            .map_err(wrong_length)?
            .encrypt_padded_vec::<NoPadding>(input)),
        Direction::Decrypt => Decryptor::<C>::new_from_slices(key, iv)
            .map_err(wrong_length)?
            .decrypt_padded_vec::<NoPadding>(input)
            .map_err(|_| CryptoError::NotWholeBlocks {
                len: input.len(),
                block: iv.len(),
            }),
    }
}
