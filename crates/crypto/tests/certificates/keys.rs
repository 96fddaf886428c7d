//! Keys in every wrapping that the `openssl` command makes.

use crypto::Secret;
use crypto::cert::{
    Credential, KeyError, Method, OwnFault, PrivateKey, PublicKey, Sign, TrustStore,
};

use super::lab::{DAY, Lab, fault, now};

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

#[test]
fn a_key_is_the_same_in_every_wrapping() {
    for kind in ["rsa:2048", "ec:P-384"] {
        let lab = Lab::new();
        lab.make_key("a", kind);
        let plain = lab.key("a");
        for (words, name) in [
            ("pkey -in a.key -traditional -out b.key", "b"),
            ("pkey -in a.key -outform DER -out c.key", "c"),
            (
                "pkcs8 -topk8 -nocrypt -in a.key -outform DER -out d.key",
                "d",
            ),
        ] {
            lab.openssl(words);
            assert_eq!(lab.key(name).public(), plain.public(), "{words}");
        }
        for (words, name) in [
            (
                "pkcs8 -topk8 -in a.key -passout pass:secret -out e.key",
                "e.key",
            ),
            (
                "pkcs8 -topk8 -in a.key -passout pass:secret -outform DER -out f.key",
                "f.key",
            ),
        ] {
            lab.openssl(words);
            let bytes = lab.read(name);
            let read = |passphrase: Option<&Secret>| {
                PrivateKey::read(&bytes, passphrase).map(|key| key.public().clone())
            };
            assert_eq!(
                read(Some(&secret("secret"))).as_ref(),
                Ok(plain.public()),
                "{words}"
            );
            assert_eq!(read(Some(&secret("wrong"))), Err(KeyError::WrongPassphrase));
            assert_eq!(read(None), Err(KeyError::NeedsPassphrase));
        }
        lab.openssl("pkey -in a.key -pubout -out public");
        assert_eq!(
            &PublicKey::read(&lab.read("public")).unwrap(),
            plain.public()
        );
        assert!(!format!("{plain:?}").contains("BEGIN"));
    }
    assert_eq!(
        PrivateKey::read(b"nothing", None).unwrap_err(),
        KeyError::NotAKey
    );
}

#[test]
fn a_pkcs_12_file_has_key_certificate_and_chain() {
    let lab = Lab::new();
    lab.root("root");
    lab.issue("sub", "root", "basicConstraints=critical,CA:TRUE\n");
    lab.issue("gw", "sub", "subjectAltName=DNS:gw.example\n");
    lab.openssl("pkcs12 -export -inkey gw.key -in gw.pem -certfile sub.pem -passout pass:secret -out gw.p12");
    let file = lab.read("gw.p12");
    let credential = Credential::from_pkcs12(&file, &secret("secret")).unwrap();
    let sent: Vec<_> = credential.to_send().cloned().collect();
    assert_eq!(sent, [lab.certificate("gw"), lab.certificate("sub")]);
    assert!(Credential::from_pkcs12(&file, &secret("wrong")).is_err());
    let shown = credential.shown(&lab.trust(&["root"]));
    assert_eq!(shown.issuing_ca.as_deref(), Some("C=CH, O=Example, CN=sub"));
    assert_eq!(shown.root_ca.as_deref(), Some("C=CH, O=Example, CN=root"));
}

#[test]
fn what_the_peer_asks_for_decides_among_our_certificates_and_each_lack_has_its_own_fault() {
    let lab = Lab::new();
    for root in ["one", "two", "three"] {
        lab.root(root);
    }
    lab.issue("gw1", "one", "subjectAltName=DNS:gw.example\n");
    lab.issue("gw2", "two", "subjectAltName=DNS:gw.example\n");
    let credential = |name: &str, key: bool| {
        Credential::new(vec![lab.certificate(name)], key.then(|| lab.key(name))).unwrap()
    };
    let both = [credential("gw1", true), credential("gw2", true)];
    let trust = TrustStore::default();
    let sign = |credentials: &[Credential], requests: &[&[u8]], at: i64| {
        Sign {
            method: Method::Ecdsa256,
            hash: vec![7; 32],
            requests: requests.iter().map(|name| name.to_vec()).collect(),
        }
        .run(credentials, &trust, at)
        .map(|signed| signed.certificates)
    };
    let (one, two) = (lab.certificate("one"), lab.certificate("two"));
    let (gw1, gw2) = (lab.certificate("gw1"), lab.certificate("gw2"));
    assert_eq!(sign(&both, &[], now()), Ok(vec![gw1.der().to_vec()]));
    assert_eq!(sign(&both, &[&[]], now()), Ok(vec![gw1.der().to_vec()]));
    assert_eq!(
        sign(&both, &[two.subject()], now()),
        Ok(vec![gw2.der().to_vec()])
    );
    // Who asks for another CA may know ours all the same.
    for certificates in [&both[..1], &both] {
        assert_eq!(
            sign(certificates, &[lab.certificate("three").subject()], now()),
            Ok(vec![gw1.der().to_vec()])
        );
    }
    assert_eq!(
        sign(&both[..1], &[two.subject()], now()),
        Ok(vec![gw1.der().to_vec()])
    );
    lab.make_key("rsa", "rsa:2048");
    assert!(matches!(
        sign(&[Credential::raw(lab.key("rsa"))], &[], now()),
        Err(OwnFault::NoneFits(_))
    ));
    // One that is asked for and cannot be shown gives way.
    let second = [credential("gw1", true), credential("gw2", false)];
    assert_eq!(
        sign(&second, &[two.subject()], now()),
        Ok(vec![gw1.der().to_vec()])
    );
    assert_eq!(
        sign(&[], &[one.subject()], now()),
        Err(OwnFault::NoCertificate)
    );
    let later = now() + 200 * DAY;
    assert!(matches!(sign(&both, &[], later), Err(OwnFault::Expired(_))));
    assert!(matches!(
        sign(&both, &[], now() - 200 * DAY),
        Err(OwnFault::NotYetValid(_))
    ));
    let bare = [credential("gw1", false)];
    assert!(matches!(
        sign(&bare, &[], now()),
        Err(OwnFault::NoPrivateKey(_))
    ));
    assert!(Credential::new(vec![gw1], Some(lab.key("gw2"))).is_err());
}

#[test]
fn a_raw_public_key_is_trusted_without_a_certificate_and_no_other_key_is() {
    let lab = Lab::new();
    lab.root("root");
    lab.issue("gw", "root", "subjectAltName=DNS:gw.example\n");
    lab.make_key("other", "ec:P-256");
    let mut check = lab.peer("gw", &[]);
    check.certificates.clear();
    let mut trust = TrustStore::default();
    assert_eq!(fault(&check, &trust), Some(crypto::cert::Fault::Missing));
    trust.raw_keys = vec![lab.key("other").public().clone()];
    assert_eq!(
        fault(&check, &trust),
        Some(crypto::cert::Fault::SignatureMismatch)
    );
    trust.raw_keys.push(lab.key("gw").public().clone());
    assert_eq!(fault(&check, &trust), None);
}
