//! Published ESP packets come out: draft-mcgrew-gcm-test-01 section 4 (AES-GCM), RFC 3602 section 4 cases 5
//! and 7 (AES-CBC), RFC 7634 appendix A (`ChaCha20` with Poly1305).

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    hex::decode(digits).expect("hex")
}

/// An AES-GCM case: key, salt and IV, SPI and sequence number as they are authenticated, plaintext with its
/// trailer, ciphertext and ICV.
struct Gcm {
    cipher: EspCipher,
    key: &'static str,
    nonce: &'static str,
    associated: &'static str,
    plaintext: &'static str,
    sealed: &'static str,
}

const GCM: [Gcm; 5] = [
    Gcm {
        cipher: EspCipher::Aes128Gcm16,
        key: "4c80cdefbb5d10da906ac73c3613a634",
        nonce: "2e443b684956ed7e3b244cfe",
        associated: "000043218765432100000000",
        plaintext: "45000048699a000080114db7c0a80102c0a801010a9bf15638d301000001000000000000045f736970045f75\
            6470037369700963796265726369747902646b000021000101020201",
        sealed: "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34cfa2436f14a3f3cf65925bf1\
            f4a13c5d15b21e1884f5ff6247aeabb786b93bce61bc17d768fd9732 459018148f6cbe722fd04796562dfdb4",
    },
    Gcm {
        cipher: EspCipher::Aes128Gcm16,
        key: "feffe9928665731c6d6a8f9467308308",
        nonce: "cafebabefacedbaddecaf888",
        associated: "0000a5f80000000a",
        plaintext: "4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d00100000100000000000003736970\
            0963796265726369747902646b00000100010001",
        sealed: "deb22cd9b07c72c16e3a65beeb8df304a5a5897d33ae530f1ba76d5d114d2a5c3de81827c10e9a4f51330d0e\
            ec416642cfbb85a5b47e48a4ec3b9ba95d918bd1 83b70d3aa8bc6ee4c309e9d85a41ad4a",
    },
    Gcm {
        cipher: EspCipher::Aes192Gcm16,
        key: "feffe9928665731c6d6a8f9467308308feffe9928665731c",
        nonce: "cafebabefacedbaddecaf888",
        associated: "0000a5f80000000a",
        plaintext: "45000028a4ad4000400678800a01038f0a010612802306b8cb712602dd6bb03e501016d075680001",
        sealed: "a5b1f8066029aea40e598b8122de02420938b3ab33f828e687b8858b5bfbdbd0315b27452144cc77\
            95457b9652037f5318027b5b4cd7a636",
    },
    Gcm {
        cipher: EspCipher::Aes256Gcm16,
        key: "abbccddef00112233445566778899aababbccddef00112233445566778899aab",
        nonce: "112233440102030405060708",
        associated: "4a2cbfe300000002",
        plaintext: "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee0000000007002400020bf0000020405b4\
            0101040201020201",
        sealed: "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763748a637985771d347f054565\
            9f14e99def842d8e b335f4eecfdbf831824b4c4915956c96",
    },
    Gcm {
        cipher: EspCipher::Aes256Gcm16,
        key: "6c6567616c697a656d6172696a75616e61616e64646f69746265666f72656961",
        nonce: "7475726e333021696765746d",
        associated: "796b6963ffffffffffffffff",
        plaintext: "45000030da3a00008001df3bc0a80005c0a800010800c6cd020007006162636465666768696a6b6c6d6e6f70\
            7172737401020201",
        sealed: "f97ab2aa356d8edce17644ac8c78e25dd24dedbb29ebf1b64a274b39b49c3a864cd3d78ca4ae68a32b42458f\
            b57dbe821dcc63b9 d0937ba2945f669368661a329fb4c053",
    },
];

#[test]
fn aes_gcm_packets_of_the_draft_open_with_and_without_extended_sequence_numbers() {
    for case in GCM {
        let (salt, iv) = case.nonce.split_at(8);
        let keymat = Secret::new(hex(&[case.key, salt].concat()));
        let none = Secret::new(Vec::new());
        let associated = hex(case.associated);
        let esn = associated.len() == 12;
        let sequence = associated[4..]
            .iter()
            .fold(0, |n, b| n << 8 | u64::from(*b));
        let (spi, low) = (&associated[..4], &associated[associated.len() - 4..]);
        let mut packet = [spi, low, &hex(iv), &hex(case.sealed)].concat();
        let mut opener = Opener::new(case.cipher, None, esn, &keymat, &none).unwrap();
        let found = opener.open(&mut packet, sequence).unwrap();
        let plaintext = hex(case.plaintext);
        assert!(plaintext.starts_with(&packet[found.payload.clone()]));
        assert_eq!(&packet[16..packet.len() - 16], plaintext);
        assert_eq!(found.next_header, 1);
    }
}

#[test]
fn aes_cbc_packets_of_rfc_3602_come_out_in_both_directions() {
    let cases = [
        (
            "90d382b4 10eeba7a d938c46c ec1a82bf",
            "00004321 00000001 e96e8c08 ab465763 fd098d45 dd3ff893",
            "f663c25d 325c18c6 a9453e19 4e120849 a4870b66 cc6b9965 330013b4 898dc856 a4699e52 3a55db08
            0b59ec3a 8e4b7e52 775b07d1 db34ed9c 538ab50c 551b874a a269add0 47ad2d59 13ac19b7 cfbad4a6",
            "08000ebd a70a0000 8e9c083d b95b0700 08090a0b 0c0d0e0f 10111213 14151617 18191a1b 1c1d1e1f
            20212223 24252627 28292a2b 2c2d2e2f 30313233 34353637 01020304 05060708 090a0b0c 0d0e0e01",
        ),
        (
            "01234567 89abcdef 01234567 89abcdef",
            "00008765 00000002 f4e76524 4f6407ad f13dc138 0f673f37",
            "773b5241 a4c44922 5e4f3ce5 ed611b0c 237ca96c f74a9301 3c1b0ea1 a0cf70f8 e4ecaec7 8ac53aad
            7a0f022b 859243c6 47752e94 a859352b 8a4d4d2d ecd136e5 c177f132 ad3fbfb2 201ac990 4c74ee0a
            109e0ca1 e4dfe9d5 a100b842 f1c22f0d",
            "45000054 09040000 4001f988 c0a87b03 c0a87bc8 08009f76 a90a0100 b49c083d 02a20400 08090a0b
            0c0d0e0f 10111213 14151617 18191a1b 1c1d1e1f 20212223 24252627 28292a2b 2c2d2e2f 30313233
            34353637 01020304 05060708 090a0a04",
        ),
    ];
    for (key, header, ciphertext, plaintext) in cases {
        // They have no ICV, which an SA must have: so the cipher alone, as a suite has it.
        let suite = |direction| Suite {
            kind: Kind::Cbc,
            row: EspCipher::Aes128.row(),
            engine: Engine::OpenSsl(
                context(
                    direction,
                    Kind::Cbc,
                    EspCipher::Aes128.row(),
                    "AES-128-CBC",
                    &hex(key),
                )
                .unwrap(),
            ),
            salt: [0; 4],
            mac: None,
            icv_len: 0,
            esn: false,
        };
        let sealed = [hex(header), hex(ciphertext)].concat();
        let clear = [hex(header), hex(plaintext)].concat();
        let mut packet = clear.clone();
        suite(Direction::Seal).seal(&mut packet, 1).unwrap();
        assert_eq!(packet, sealed);
        suite(Direction::Open).open(&mut packet, 1).unwrap();
        assert_eq!(packet, clear);
    }
}

#[test]
fn the_chacha20_poly1305_packet_of_rfc_7634_opens() {
    let keymat: Vec<u8> = (0x80..=0x9f).chain(0xa0..=0xa3).collect();
    let (keymat, none) = (Secret::new(keymat), Secret::new(Vec::new()));
    let mut opener = Opener::new(EspCipher::ChaCha20Poly1305, None, false, &keymat, &none).unwrap();
    let mut packet = hex("01020304 00000005 1011121314151617
        24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c6
        14ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3
        cbec163fac469b502773f6fb94e664da9165b82829f641e0
        76aaa8266b7fb0f7b11b369907e1ad43");
    let found = opener.open(&mut packet, 5).unwrap();
    assert_eq!(found.next_header, 4);
    let echo_request = "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec1000073627
        08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637";
    assert_eq!(&packet[found.payload], hex(echo_request));
}
