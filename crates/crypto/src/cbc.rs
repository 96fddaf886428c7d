//! CBC over whole blocks. RFC 2409 appendix B pads with zeros before encryption; how much is the
//! message's business, so that there is no padding here.

use openssl::symm;

use crate::{Cipher, CryptoError, Secret};

fn algorithm(cipher: Cipher) -> symm::Cipher {
    match cipher {
        Cipher::TripleDes => symm::Cipher::des_ede3_cbc(),
        Cipher::Aes128 => symm::Cipher::aes_128_cbc(),
        Cipher::Aes192 => symm::Cipher::aes_192_cbc(),
        Cipher::Aes256 => symm::Cipher::aes_256_cbc(),
    }
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
    run(cipher, symm::Mode::Encrypt, key, iv, plaintext)
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
    run(cipher, symm::Mode::Decrypt, key, iv, ciphertext)
}

fn run(
    cipher: Cipher,
    mode: symm::Mode,
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
    let mut crypter = symm::Crypter::new(algorithm(cipher), mode, key, Some(iv))?;
    crypter.pad(false);
    // OpenSSL wants room for one block more than it fills.
    let mut output = vec![0; input.len() + row.block];
    let mut len = crypter.update(input, &mut output)?;
    len += crypter.finalize(&mut output[len..])?;
    output.truncate(len);
    Ok(output)
}
