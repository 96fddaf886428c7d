//! The keys of an IPsec SA: RFC 2409 section 5.5.

use zeroize::Zeroizing;

use super::Protocol;
use crate::{CryptoError, Hash, Secret, prf};

/// The first `len` bytes of the KEYMAT of one SA, so of one direction: prf(`SKEYID_d`, [g(qm)^xy |]
/// protocol | SPI | `Ni_b` | `Nr_b`), and, where that is too short, K1 | K2 | … with K1 that value and
/// Kn = prf(`SKEYID_d`, Kn-1 | [g(qm)^xy |] protocol | SPI | `Ni_b` | `Nr_b`).
///
/// `gxy` is the shared secret of this Quick Mode's own exchange, when it has one. The SPI is the one that
/// packets of this direction carry, so that their receiver chose it. The nonces are Quick Mode's payload
/// bodies, the initiator's first in either direction.
///
/// # Errors
/// [`CryptoError::Library`] when OpenSSL fails.
#[allow(
    clippy::too_many_arguments,
    reason = "each is a term of RFC 2409's formula, in its order"
)]
pub fn quick_mode_keymat(
    hash: Hash,
    skeyid_d: &Secret,
    gxy: Option<&Secret>,
    protocol: Protocol,
    spi: [u8; 4],
    ni: &[u8],
    nr: &[u8],
    len: usize,
) -> Result<Secret, CryptoError> {
    let protocol = [protocol.number()];
    let gxy = gxy.map_or(&[][..], Secret::as_bytes);
    let next = |previous: &[u8]| {
        let terms = [previous, gxy, &protocol, &spi, ni, nr];
        prf(hash, skeyid_d.as_bytes(), &terms).map(Zeroizing::new)
    };
    // All the room at once: a vector that grows leaves what it held behind.
    let mut keymat = Zeroizing::new(Vec::with_capacity(len));
    let mut block = Zeroizing::new(Vec::new());
    while keymat.len() < len {
        block = next(&block)?;
        let wanted = block.len().min(len - keymat.len());
        keymat.extend_from_slice(&block[..wanted]);
    }
    Ok(Secret::new(std::mem::take(&mut *keymat)))
}
