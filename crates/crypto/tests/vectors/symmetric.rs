//! HMAC: RFC 2202 and RFC 4231, cases 1, 2, 3 and 6. Hashes: FIPS 180 and RFC 1321. CBC: RFC 3602 section
//! 4, NIST SP 800-38A appendix F.2, for 3DES the case of OpenSSL's own test suite, and for Camellia RFC 3713
//! appendix A and what OpenSSL's command makes of SP 800-38A's input.

use crypto::{Cipher, CryptoError, Hash, Secret};

use crate::hex;

const LONG_KEY_TEXT: &[u8] = b"Test Using Larger Than Block-Size Key - Hash Key First";
const JEFE_TEXT: &[u8] = b"what do ya want for nothing?";

fn check_hmac(hash: Hash, key: &[u8], text: &[u8], expected: &str) {
    assert_eq!(
        hex::encode(crypto::prf(hash, key, &[text]).unwrap()),
        expected
    );
    // In parts it is the same.
    let (start, end) = text.split_at(text.len() / 3);
    let parts = crypto::prf(hash, key, &[start, &[], end]).unwrap();
    assert_eq!(hex::encode(parts), expected);
}

/// The key of case 1 repeats `0x0b`, that of cases 3 and 6 `0xaa`; their lengths differ by RFC.
fn check_hmac_cases(hash: Hash, short_key: usize, long_key: usize, expected: [&str; 4]) {
    check_hmac(hash, &vec![0x0b; short_key], b"Hi There", expected[0]);
    check_hmac(hash, b"Jefe", JEFE_TEXT, expected[1]);
    check_hmac(hash, &vec![0xaa; short_key], &[0xdd; 50], expected[2]);
    check_hmac(hash, &vec![0xaa; long_key], LONG_KEY_TEXT, expected[3]);
}

#[test]
fn hmac_md5_and_sha1_are_those_of_rfc_2202() {
    check_hmac_cases(
        Hash::Md5,
        16,
        80,
        [
            "9294727a3638bb1c13f48ef8158bfc9d",
            "750c783e6ab0b503eaa86e310a5db738",
            "56be34521d144c88dbb8c733f0e8b3f6",
            "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd",
        ],
    );
    check_hmac_cases(
        Hash::Sha1,
        20,
        80,
        [
            "b617318655057264e28bc0b6fb378c8ef146be00",
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
            "125d7342b9ac11cd91a39af48aa17b4f63f175d3",
            "aa4ae5e15272d00e95705637ce8a3b55ed402112",
        ],
    );
}

#[test]
fn hmac_sha2_is_that_of_rfc_4231() {
    check_hmac_cases(
        Hash::Sha256,
        20,
        131,
        [
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ],
    );
    check_hmac_cases(
        Hash::Sha384,
        20,
        131,
        [
            "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59c\
             faea9ea9076ede7f4af152e8b2fa9cb6",
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e\
             8e2240ca5e69e2c78b3239ecfab21649",
            "88062608d3e6ad8a0aa2ace014c8a86f0aa635d947ac9febe83ef4e55966144b\
             2a5ab39dc13814b94e3ab6e101a34f27",
            "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c6\
             0c2ef6ab4030fe8296248df163f44952",
        ],
    );
    check_hmac_cases(
        Hash::Sha512,
        20,
        131,
        [
            "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde\
             daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
             9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39\
             bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb",
            "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352\
             6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
        ],
    );
}

/// "" and "", as FIPS 198 test suites have it.
#[test]
fn an_empty_key_is_a_key() {
    check_hmac(Hash::Md5, b"", b"", "74e6f7298a9c2d168935f58c001bad88");
    check_hmac(
        Hash::Sha1,
        b"",
        b"",
        "fbdb1d1b18aa6c08324b7d64b71fb76370690e1d",
    );
    check_hmac(
        Hash::Sha256,
        b"",
        b"",
        "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad",
    );
}

#[test]
fn hashes_of_abc_are_those_of_the_standards_and_as_long_as_the_table_says() {
    for (hash, expected) in [
        (Hash::Md5, "900150983cd24fb0d6963f7d28e17f72"),
        (Hash::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (
            Hash::Sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            Hash::Sha384,
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed\
             8086072ba1e7cc2358baeca134c825a7",
        ),
        (
            Hash::Sha512,
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
    ] {
        let digest = crypto::digest(hash, &[b"a", b"", b"bc"]).unwrap();
        assert_eq!(hex::encode(&digest), expected);
        assert_eq!(digest.len(), hash.row().len);
        assert_eq!(crypto::prf(hash, b"k", &[]).unwrap().len(), hash.row().len);
    }
}

fn check_cbc(cipher: Cipher, key: &str, iv: &str, plaintext: &[u8], ciphertext: &str) {
    let (key, iv) = (Secret::new(hex(key)), hex(iv));
    let encrypted = crypto::encrypt(cipher, &key, &iv, plaintext).unwrap();
    assert_eq!(hex::encode(&encrypted), ciphertext);
    let decrypted = crypto::decrypt(cipher, &key, &iv, &encrypted).unwrap();
    assert_eq!(decrypted, plaintext);
}

#[test]
fn aes_128_cbc_is_that_of_rfc_3602() {
    check_cbc(
        Cipher::Aes128,
        "06a9214036b8a15b512e03d534120006",
        "3dafba429d9eb430b422da802c9fac41",
        b"Single block msg",
        "e353779c1079aeb82708942dbe77181a",
    );
    let counting: Vec<u8> = (0x00..0x20).collect();
    check_cbc(
        Cipher::Aes128,
        "c286696d887c9aa0611bbb3e2025a45a",
        "562e17996d093d28ddb3ba695a2e6f58",
        &counting,
        "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1",
    );
    check_cbc(
        Cipher::Aes128,
        "6c3ea0477630ce21a2ce334aa746c2cd",
        "c782dc4c098c66cbd9cd27d825682c81",
        b"This is a 48-byte message (exactly 3 AES blocks)",
        "d0a02b3836451753d493665d33f0e8862dea54cdb293abc7506939276772f8d5\
         021c19216bad525c8579695d83ba2684",
    );
    let counting: Vec<u8> = (0xa0..0xe0).collect();
    check_cbc(
        Cipher::Aes128,
        "56e47a38c5598974bc46903dba290349",
        "8ce82eefbea0da3c44699ed7db51b7d9",
        &counting,
        "c30e32ffedc0774e6aff6af0869f71aa0f3af07a9a31a9c684db207eb0ef8e4e\
         35907aa632c3ffdf868bb7b29d3d46ad83ce9f9a102ee99d49a53e87f4c3da55",
    );
}

#[test]
fn aes_192_and_256_cbc_are_those_of_sp_800_38a() {
    let iv = "000102030405060708090a0b0c0d0e0f";
    let plaintext = hex(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
         30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
    );
    check_cbc(
        Cipher::Aes192,
        "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
        iv,
        &plaintext,
        "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a\
         571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd",
    );
    check_cbc(
        Cipher::Aes256,
        "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
        iv,
        &plaintext,
        "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d\
         39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
    );
}

/// One block under an IV of zeros is the bare cipher.
#[test]
fn camellia_is_that_of_rfc_3713_appendix_a() {
    let plaintext = hex("0123456789abcdeffedcba9876543210");
    let iv = "00000000000000000000000000000000";
    for (cipher, more_key, ciphertext) in [
        (Cipher::Camellia128, "", "67673138549669730857065648eabe43"),
        (
            Cipher::Camellia192,
            "0011223344556677",
            "b4993401b3e996f84ee5cee7d79b09b9",
        ),
        (
            Cipher::Camellia256,
            "00112233445566778899aabbccddeeff",
            "9acc237dff16d76c20ef7c919e3a7509",
        ),
    ] {
        let key = format!("0123456789abcdeffedcba9876543210{more_key}");
        check_cbc(cipher, &key, iv, &plaintext, ciphertext);
    }
}

#[test]
fn camellia_cbc_is_that_of_openssl() {
    let iv = "000102030405060708090a0b0c0d0e0f";
    let plaintext = hex(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
         30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
    );
    check_cbc(
        Cipher::Camellia128,
        "2b7e151628aed2a6abf7158809cf4f3c",
        iv,
        &plaintext,
        "1607cf494b36bbf00daeb0b503c831aba2f2cf671629ef7840c5a5dfb5074887\
         0f06165008cf8b8b5a63586362543e54e7208a2ca89cc21aacd56aaa6fb98259",
    );
    check_cbc(
        Cipher::Camellia192,
        "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
        iv,
        &plaintext,
        "2a4830ab5ac4a1a2405955fd2195cf935d5a869bd14ce54264f892a6dd2ec3d5\
         37d359c3349836d884e310addf68c44901faaa930b4ab9916e9668e1428c6b08",
    );
    check_cbc(
        Cipher::Camellia256,
        "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
        iv,
        &plaintext,
        "e6cfa35fc02b134a4d2c0b6737ac3eda36cbeb73bd504b4070b1b7de2b21eb50\
         e31a6055297d96ca3330cdf1b1860a835d563f6d1cccf236051c0c5c1c58f28f",
    );
}

#[test]
fn triple_des_cbc_is_that_of_openssls_test_suite() {
    check_cbc(
        Cipher::TripleDes,
        "0123456789abcdeff1e0d3c2b5a49786fedcba9876543210",
        "fedcba9876543210",
        &hex("37363534333231204e6f77206973207468652074696d6520666f722000000000"),
        "3fe301c962ac01d02213763c1cbd4cdc799657c064ecf5d41c673812cfde9675",
    );
}

#[test]
fn triple_des_ignores_the_parity_bits_of_its_key() {
    let key: Vec<u8> = (0..24).map(|i| i * 7 + 3).collect();
    let parity_changed = key.iter().map(|byte| byte ^ 1).collect();
    let encrypt =
        |key| crypto::encrypt(Cipher::TripleDes, &Secret::new(key), &[0; 8], &[0x42; 16]).unwrap();
    assert_eq!(encrypt(key), encrypt(parity_changed));
}

#[test]
fn only_whole_blocks_with_the_right_key_and_iv_are_taken() {
    for row in &crypto::CIPHERS {
        let Some(cipher) = row.cipher else { continue };
        let key = Secret::new(vec![1; row.key_len]);
        let iv = vec![2; row.block];
        for len in [0, 1, row.block - 1, row.block + 1, 3 * row.block - 1] {
            for result in [
                crypto::encrypt(cipher, &key, &iv, &vec![0; len]),
                crypto::decrypt(cipher, &key, &iv, &vec![0; len]),
            ] {
                assert!(
                    matches!(result, Err(CryptoError::NotWholeBlocks { len: l, block }) if l == len && block == row.block)
                );
            }
        }
        let blocks = vec![0; 2 * row.block];
        for key_len in [0, row.key_len - 1, row.key_len + 1] {
            let key = Secret::new(vec![1; key_len]);
            let result = crypto::decrypt(cipher, &key, &iv, &blocks);
            assert!(
                matches!(result, Err(CryptoError::WrongLength { what: "key", got, .. }) if got == key_len)
            );
        }
        for iv_len in [0, row.block - 1, row.block + 1] {
            let result = crypto::decrypt(cipher, &key, &vec![2; iv_len], &blocks);
            assert!(
                matches!(result, Err(CryptoError::WrongLength { what: "IV", got, .. }) if got == iv_len)
            );
        }
    }
}
