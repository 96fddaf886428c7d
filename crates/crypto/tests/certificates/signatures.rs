//! Signatures: RFC 4754's vectors, and RSA's block as OpenSSL makes it and as it must not be.

use crypto::cert::{Fault, KeyKind, Method, PublicKey, check_signature, sign};
use crypto::{Hash, digest};

use super::lab::Lab;

/// RFC 4754 section 8: method, the public point, r and s; each signs "abc".
const RFC_4754: [(Method, &str, &str, &str); 3] = [
    (
        Method::Ecdsa256,
        "2442A5CC0ECD015FA3CA31DC8E2BBC70BF42D60CBCA20085E0822CB04235E9706FC98BD7E50211A4A27102FA3549DF79EBCB4BF246B80945CDDFE7D509BBFD7D",
        "CB28E0999B9C7715FD0A80D8E47A77079716CBBF917DD72E97566EA1C066957C",
        "86FA3BB4E26CAD5BF90B7F81899256CE7594BB1EA0C89212748BFF3B3D5B0315",
    ),
    (
        Method::Ecdsa384,
        "96281BF8DD5E0525CA049C048D345D3082968D10FEDF5C5ACA0C64E6465A97EA5CE10C9DFEC21797415710721F437922447688BA94708EB6E2E4D59F6AB6D7EDFF9301D249FE49C33096655F5D502FAD3D383B91C5E7EDAA2B714CC99D5743CA",
        "FB017B914E29149432D8BAC29A514640B46F53DDAB2C69948084E2930F1C8F7E08E07C9C63F2D21A07DCB56A6AF56EB3",
        "B263A1305E057F984D38726A1B46874109F417BCA112674C528262A40A629AF1CBB9F516CE0FA7D2FF630863A00E8B9F",
    ),
    (
        Method::Ecdsa521,
        "0151518F1AF0F563517EDD5485190DF95A4BF57B5CBA4CF2A9A3F6474725A35F7AFE0A6DDEB8BEDBCD6A197E592D40188901CECD650699C9B5E456AEA5ADD19052A8006F3B142EA1BFFF7E2837AD44C9E4FF6D2D34C73184BBAD90026DD5E6E85317D9DF45CAD7803C6C20035B2F3FF63AFF4E1BA64D1C077577DA3F4286C58F0AEAE643",
        "0154FD3836AF92D0DCA57DD5341D3053988534FDE8318FC6AAAAB68E2E6F4339B19F2F281A7E0B22C269D93CF8794A9278880ED7DBB8D9362CAEACEE544320552251",
        "017705A7030290D1CEB605A9A1BB03FF9CDD521E87A696EC926C8C10C8362DF4975367101F67D1CF9BCCBF2F3D239534FA509E70AAC851AE01AAC68D62F866472660",
    ),
];

/// `SubjectPublicKeyInfo` up to the point, for each curve (RFC 5480).
fn spki(method: Method, point: &[u8]) -> Vec<u8> {
    let head: &[u8] = match method {
        Method::Ecdsa256 => {
            b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04"
        }
        Method::Ecdsa384 => {
            b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00\x04"
        }
        _ => {
            b"\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23\x03\x81\x86\x00\x04"
        }
    };
    [head, point].concat()
}

#[test]
fn the_ecdsa_signatures_of_rfc_4754_are_taken_and_no_other_is() {
    for (method, point, r, s) in RFC_4754 {
        let key = PublicKey::read(&spki(method, &hex::decode(point).unwrap())).unwrap();
        let made_with = method.hash().unwrap();
        let hash = digest(made_with, &[b"abc"]).unwrap();
        let signature = hex::decode([r, s].concat()).unwrap();
        let check = |hash: &[u8], signature: &[u8]| {
            check_signature(&key, method, made_with, hash, signature)
                .map_err(|refusal| refusal.fault)
        };
        assert_eq!(check(&hash, &signature), Ok(()), "{method}");
        for at in [0, signature.len() / 2, signature.len() - 1] {
            let mut other = signature.clone();
            other[at] ^= 1;
            assert_eq!(check(&hash, &other), Err(Fault::SignatureMismatch));
        }
        let zeros = vec![0; signature.len()];
        for other in [&[][..], &signature[1..], &zeros] {
            assert_eq!(check(&hash, other), Err(Fault::SignatureMismatch));
        }
        let other = digest(made_with, &[b"abd"]).unwrap();
        assert_eq!(check(&other, &signature), Err(Fault::SignatureMismatch));
    }
}

#[test]
fn an_rsa_signature_is_the_bare_hash_that_openssl_recovers() {
    let lab = Lab::new();
    lab.make_key("rsa", "rsa:2048");
    let key = lab.key("rsa");
    let hash = digest(Hash::Sha256, &[b"exchange"]).unwrap();
    let signature = sign(&key, Method::Rsa, &hash).unwrap();
    std::fs::write(lab.path("signature"), &signature).unwrap();
    lab.openssl("pkeyutl -verifyrecover -inkey rsa.key -in signature -out recovered");
    assert_eq!(lab.read("recovered"), hash);
}

#[test]
fn an_rsa_signature_is_taken_with_and_without_digest_info_and_in_no_other_shape() {
    let lab = Lab::new();
    lab.make_key("rsa", "rsa:2048");
    let key = lab.key("rsa");
    let raw = |block: &[u8]| {
        std::fs::write(lab.path("block"), block).unwrap();
        lab.openssl(
            "pkeyutl -decrypt -inkey rsa.key -in block -pkeyopt rsa_padding_mode:none -out raw",
        );
        lab.read("raw")
    };
    for made_with in [
        Hash::Md5,
        Hash::Sha1,
        Hash::Sha256,
        Hash::Sha384,
        Hash::Sha512,
    ] {
        let name = made_with.row().name;
        std::fs::write(lab.path("data"), b"exchange").unwrap();
        lab.openssl(&format!("dgst -{name} -sign rsa.key -out dgst data"));
        let hash = digest(made_with, &[b"exchange"]).unwrap();
        let check = |signature: &[u8]| {
            check_signature(key.public(), Method::Rsa, made_with, &hash, signature)
                .map_err(|refusal| refusal.fault)
        };
        assert_eq!(check(&lab.read("dgst")), Ok(()), "{name}");
        assert_eq!(check(&sign(&key, Method::Rsa, &hash).unwrap()), Ok(()));
    }
    let hash = digest(Hash::Sha1, &[b"exchange"]).unwrap();
    let block = |padding: usize, content: &[u8], rest: usize| {
        let mut block = vec![0, 1];
        block.extend(vec![0xff; padding]);
        block.push(0);
        block.extend_from_slice(content);
        block.extend(vec![0x11; rest]);
        assert_eq!(block.len(), 256);
        block
    };
    let check = |block: &[u8]| {
        check_signature(key.public(), Method::Rsa, Hash::Sha1, &hash, &raw(block))
            .map_err(|refusal| refusal.fault)
    };
    assert_eq!(check(&block(233, &hash, 0)), Ok(()));
    // Short padding with something after the hash, a shortened hash, a padding byte that is not FF, block type 2.
    assert_eq!(check(&block(8, &hash, 225)), Err(Fault::SignatureMismatch));
    assert_eq!(
        check(&block(234, &hash[..19], 0)),
        Err(Fault::SignatureMismatch)
    );
    for (at, byte) in [(100, 0xfe), (1, 2)] {
        let mut other = block(233, &hash, 0);
        other[at] = byte;
        assert_eq!(check(&other), Err(Fault::SignatureMismatch));
    }
}

#[test]
fn a_key_signs_by_its_own_method_and_a_longer_curve_of_a_peer_is_taken() {
    let lab = Lab::new();
    lab.make_key("ec", "ec:P-521");
    let key = lab.key("ec");
    let hash = digest(Hash::Sha256, &[b"exchange"]).unwrap();
    assert!(sign(&key, Method::Ecdsa256, &hash).is_err());
    assert!(sign(&key, Method::Rsa, &hash).is_err());
    let signature = sign(&key, Method::Ecdsa521, &hash).unwrap();
    assert_eq!(signature.len(), 132);
    let check = |method| {
        check_signature(key.public(), method, Hash::Sha256, &hash, &signature)
            .map_err(|refusal| refusal.fault)
    };
    assert_eq!(check(Method::Ecdsa256), Ok(()));
    assert_eq!(check(Method::Rsa), Err(Fault::WrongType));
    assert!(!Method::Ecdsa521.accepts(KeyKind::Ecdsa(crypto::cert::Curve::P384)));
}
