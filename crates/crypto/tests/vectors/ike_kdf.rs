//! Key derivation: NIST's CAVS figures for both ways of authentication (`tests/data`), and appendix B.

use crypto::{Cipher, Hash, Secret};
use serde::Deserialize;

use crate::hex;

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    auth: String,
    hash: String,
    pre_shared_key: Option<String>,
    g_xy: String,
    ni: String,
    nr: String,
    cky_i: String,
    cky_r: String,
    skeyid: String,
    skeyid_d: String,
    skeyid_a: String,
    skeyid_e: String,
}

fn hash(name: &str) -> Hash {
    match name {
        "SHA-1" => Hash::Sha1,
        "SHA-256" => Hash::Sha256,
        "SHA-384" => Hash::Sha384,
        "SHA-512" => Hash::Sha512,
        other => panic!("no hash {other}"),
    }
}

fn cookie(text: &str) -> [u8; 8] {
    hex(text).try_into().expect("eight bytes")
}

fn check(vector: &Vector) {
    let hash = hash(&vector.hash);
    let (ni, nr) = (hex(&vector.ni), hex(&vector.nr));
    let gxy = Secret::new(hex(&vector.g_xy));
    let skeyid = match (vector.auth.as_str(), &vector.pre_shared_key) {
        ("preshared key", Some(psk)) => crypto::skeyid_psk(hash, &hex(psk), &ni, &nr),
        ("signature", None) => crypto::skeyid_signature(hash, &ni, &nr, &gxy),
        other => panic!("no such authentication: {other:?}"),
    }
    .unwrap();
    let (cky_i, cky_r) = (cookie(&vector.cky_i), cookie(&vector.cky_r));
    let keys = crypto::keymat(hash, skeyid, &gxy, &cky_i, &cky_r).unwrap();
    assert_eq!(hex::encode(keys.skeyid.as_bytes()), vector.skeyid);
    assert_eq!(hex::encode(keys.d.as_bytes()), vector.skeyid_d);
    assert_eq!(hex::encode(keys.a.as_bytes()), vector.skeyid_a);
    assert_eq!(hex::encode(keys.e.as_bytes()), vector.skeyid_e);
}

fn check_file(text: &str, expected: usize) -> Vec<Vector> {
    let file: File = serde_json::from_str(text).unwrap();
    assert_eq!(file.vectors.len(), expected);
    file.vectors.iter().for_each(check);
    file.vectors
}

#[test]
fn skeyid_and_its_children_are_those_of_cavs_15() {
    check_file(include_str!("../data/ikev1-kdf.json"), 2);
}

#[test]
fn skeyid_and_its_children_are_those_of_cavs_17_for_every_hash_and_size() {
    let vectors = check_file(include_str!("../data/ikev1-kdf-cavs.json"), 68);
    for auth in ["preshared key", "signature"] {
        for hash in ["SHA-1", "SHA-256", "SHA-384", "SHA-512"] {
            let of_this = vectors.iter().filter(|v| v.auth == auth && v.hash == hash);
            assert!(of_this.count() >= 8, "{auth} {hash}");
        }
    }
}

/// The figures are those of the `IkeV1AppB` tests in Mozilla's NSS (`gtests/common/testvectors`).
#[test]
fn keys_longer_than_skeyid_e_are_expanded_as_in_appendix_b() {
    let seed = Secret::new(hex("63e81194946ebd05df7df5ebf5d8750056bf1f1d"));
    let expanded =
        hex("933347a07de5782247dd36d1562ffe0eecade1eb4134165257e3af1000af8ae3f165063828cbb60d");
    for cipher in [Cipher::TripleDes, Cipher::Aes192, Cipher::Aes256] {
        let key = crypto::cipher_key(Hash::Sha1, cipher, &seed).unwrap();
        assert_eq!(key.as_bytes(), &expanded[..cipher.row().key_len]);
    }
    let key = crypto::cipher_key(Hash::Sha1, Cipher::Aes128, &seed).unwrap();
    assert_eq!(key.as_bytes(), &seed.as_bytes()[..16]);
}

#[test]
fn a_long_enough_skeyid_e_gives_its_first_bytes() {
    for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
        let seed = Secret::new((0..=255).take(hash.row().len).collect());
        for cipher in [
            Cipher::TripleDes,
            Cipher::Aes128,
            Cipher::Aes192,
            Cipher::Aes256,
        ] {
            let key = crypto::cipher_key(hash, cipher, &seed).unwrap();
            assert_eq!(key.as_bytes(), &seed.as_bytes()[..cipher.row().key_len]);
        }
    }
}

/// MD5 gives 16 bytes a step: two steps for 3DES, AES-192 and AES-256, none for AES-128.
#[test]
fn each_step_of_the_expansion_feeds_the_one_before_back() {
    let seed = Secret::new(vec![0x5a; 16]);
    let first = crypto::prf(Hash::Md5, seed.as_bytes(), &[&[0]]).unwrap();
    let second = crypto::prf(Hash::Md5, seed.as_bytes(), &[&first]).unwrap();
    let key = crypto::cipher_key(Hash::Md5, Cipher::Aes256, &seed).unwrap();
    assert_eq!(key.as_bytes(), [first, second].concat());
    let key = crypto::cipher_key(Hash::Md5, Cipher::Aes128, &seed).unwrap();
    assert_eq!(key.as_bytes(), seed.as_bytes());
}

#[test]
fn ivs_are_hashes_cut_to_the_block() {
    let hash_of = |bytes: &[u8]| crypto::digest(Hash::Sha1, &[bytes]).unwrap();
    let iv = crypto::phase1_iv(Hash::Sha1, Cipher::Aes256, b"g^xi", b"g^xr").unwrap();
    assert_eq!(iv, &hash_of(b"g^xig^xr")[..16]);
    let iv = crypto::phase1_iv(Hash::Sha1, Cipher::TripleDes, b"g^xi", b"g^xr").unwrap();
    assert_eq!(iv, &hash_of(b"g^xig^xr")[..8]);
    let iv = crypto::phase2_iv(Hash::Sha1, Cipher::Aes128, &[7; 16], 0x0102_0304).unwrap();
    let last_block_and_id = [&[7; 16][..], &[1, 2, 3, 4]].concat();
    assert_eq!(iv, &hash_of(&last_block_and_id)[..16]);
}

#[test]
fn every_cipher_with_every_hash_comes_to_a_key_and_ivs_that_encrypt() {
    for hash in &crypto::HASHES {
        let seed = Secret::new(vec![0x33; hash.len]);
        for row in &crypto::CIPHERS {
            let Some(cipher) = row.cipher else { continue };
            let key = crypto::cipher_key(hash.hash, cipher, &seed).unwrap();
            let iv = crypto::phase1_iv(hash.hash, cipher, &[1; 32], &[2; 32]).unwrap();
            let sent = crypto::encrypt(cipher, &key, &iv, &[0; 48]).unwrap();
            let last_block = &sent[48 - row.block..];
            let iv = crypto::phase2_iv(hash.hash, cipher, last_block, 1).unwrap();
            assert_eq!((key.len(), iv.len()), (row.key_len, row.block));
            crypto::encrypt(cipher, &key, &iv, &[0; 48]).unwrap();
        }
    }
}
