//! KEYMAT of RFC 2409 section 5.5. Nobody publishes figures for it; these were computed from the
//! formula with the `hmac` module of Python 3.
//!
//! In all of them `SKEYID_d` is 00 01 02 …, as long as the hash's digest; the SPI is c0ffee01; `Ni_b` is the
//! sixteen bytes from 20 on, `Nr_b` the twenty from 40 on, g(qm)^xy the thirty-two from 80 on.

use crypto::esp::{Protocol, quick_mode_keymat};
use crypto::{Hash, Secret};

use crate::hex;

fn counting(start: u8, len: usize) -> Vec<u8> {
    (start..=u8::MAX).take(len).collect()
}

fn keymat(hash: Hash, protocol: Protocol, pfs: bool, len: usize) -> Vec<u8> {
    let gxy = Secret::new(counting(0x80, 32));
    quick_mode_keymat(
        hash,
        &Secret::new(counting(0, hash.row().len)),
        pfs.then_some(&gxy),
        protocol,
        [0xc0, 0xff, 0xee, 0x01],
        &counting(0x20, 16),
        &counting(0x40, 20),
        len,
    )
    .unwrap()
    .as_bytes()
    .to_vec()
}

#[test]
fn keymat_is_that_of_the_formula_with_and_without_perfect_forward_secrecy() {
    for (hash, protocol, pfs, expected) in [
        (
            Hash::Md5,
            Protocol::Esp,
            false,
            "cd8b14f783125d000128f0195a6c41fdb7439c74af73f677d865ef9dcccaf237\
             d88be146e3b5c81c",
        ),
        (
            Hash::Sha1,
            Protocol::Esp,
            false,
            "9b2bce60ee5b1b082301e739e3cb2b8a",
        ),
        (
            Hash::Sha1,
            Protocol::Ah,
            true,
            "07efa9b43345978f88f39b50455d7beb6dfa2b52",
        ),
        (
            Hash::Sha256,
            Protocol::Esp,
            false,
            "bb842539932aa0be82e53b448101d605e7fdd4a75cf7c1da8b40e1f183a026b1\
             d5699a9d",
        ),
        (
            Hash::Sha256,
            Protocol::Esp,
            true,
            "840ace360007e437a5501551c3d70673b664511097ce9f1905991193c712246c\
             cddc76a483253ccac9848cbeece8a131f08f62ad840f621fd6e6da7cef215800\
             a5f0405e617e532bea677331e222b7a7c953e6379a429e08c7de389921b39d5c",
        ),
        (
            Hash::Sha384,
            Protocol::Ah,
            false,
            "45fbf0babbcdff5c9ef7eb7787c1c89aca9f8c2a3826fa5a30a82e7924e9c07a\
             56ff011a4977ff98c1f0ee9514d17c48",
        ),
        (
            Hash::Sha512,
            Protocol::Esp,
            true,
            "804093985f3ccaf72f337e1b9be27e796fb54434",
        ),
        (
            Hash::Sha512,
            Protocol::Esp,
            false,
            "efd3fed8fd2f31556ae4823ec7ab2f4842e2ff0741a1bea9c3cf1770ecdf3f3f\
             c9a1f3d736df848ae3de0f96663c3612f2544a11e66dfb6b0241f78431c533b1\
             5559fd78b8e5e8653011ecb0f7f9e8cd3a45bacbbed5165d59051653bc485183",
        ),
    ] {
        let expected = hex(expected);
        assert_eq!(keymat(hash, protocol, pfs, expected.len()), expected);
    }
}

#[test]
fn less_keymat_is_the_beginning_of_more() {
    for hash in [Hash::Md5, Hash::Sha256, Hash::Sha512] {
        let whole = keymat(hash, Protocol::Esp, true, 200);
        for len in 0..whole.len() {
            assert_eq!(keymat(hash, Protocol::Esp, true, len), whole[..len]);
        }
    }
}
