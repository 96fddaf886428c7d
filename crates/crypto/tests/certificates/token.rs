//! Keys in a token of `SoftHSM` (Debian's package softhsm2).

use crypto::Secret;
use crypto::cert::{KeyError, Method, PrivateKey, TokenUri, check_signature, sign};
use crypto::{Hash, digest};

use super::lab::{Lab, installed};

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

#[test]
fn a_key_in_a_token_signs_as_one_in_memory_does() {
    if !installed(MODULE) {
        assert!(
            std::env::var_os("CI").is_none(),
            "softhsm2 is not installed"
        );
        eprintln!("skipped: softhsm2 is not installed");
        return;
    }
    // The library reads its configuration once, from a path in the environment; this process has it only when the
    // test is run again as its own child.
    if std::env::var_os("SOFTHSM2_CONF").is_none() {
        let lab = Lab::new();
        std::fs::create_dir(lab.path("tokens")).unwrap();
        lab.write(
            "softhsm2.conf",
            &format!("directories.tokendir = {}\n", lab.path("tokens").display()),
        );
        lab.run(
            "softhsm2-util",
            "--init-token --free --label test --pin 1234 --so-pin 5678",
        );
        for (name, kind, id) in [("rsa", "rsa:2048", "01"), ("ec", "ec:P-256", "02")] {
            lab.make_key(name, kind);
            lab.run(
                "softhsm2-util",
                &format!("--import {name}.key --token test --label {name} --id {id} --pin 1234"),
            );
        }
        let program = std::env::current_exe().unwrap();
        lab.run(
            program.to_str().unwrap(),
            "--exact token::a_key_in_a_token_signs_as_one_in_memory_does",
        );
        return;
    }
    let pin = Secret::new(b"1234".to_vec());
    let open = |object: &str, pin: Option<&Secret>| {
        let uri: TokenUri = format!("pkcs11:token=test;{object}?module-path={MODULE}")
            .parse()
            .unwrap();
        PrivateKey::in_pkcs11_token(&uri, pin, None)
    };
    for (object, method) in [("object=rsa", Method::Rsa), ("id=%02", Method::Ecdsa256)] {
        let key = open(object, Some(&pin)).unwrap();
        let hash = digest(Hash::Sha256, &[b"exchange"]).unwrap();
        let signature = sign(&key, method, &hash).unwrap();
        check_signature(key.public(), method, Hash::Sha256, &hash, &signature).unwrap();
        assert!(format!("{key:?}").contains("in a token"));
    }
    assert!(matches!(
        open("object=none", Some(&pin)),
        Err(KeyError::Token(_))
    ));
}

#[test]
fn a_uri_names_module_token_and_key() {
    let uri: TokenUri =
        "pkcs11:token=My%20Token;object=gw;id=%01%ff;type=private?module-path=/lib/x.so"
            .parse()
            .unwrap();
    assert_eq!(uri.token.as_deref(), Some("My Token"));
    assert_eq!(uri.id.as_deref(), Some(&[1, 0xff][..]));
    assert_eq!(uri.module.to_str(), Some("/lib/x.so"));
    for bad in [
        "token=x",
        "pkcs11:object=x",
        "pkcs11:token=x?module-path=/x",
        "pkcs11:objekt=x?module-path=/x",
        "pkcs11:object=%f?module-path=/x",
        "pkcs11:object?module-path=/x",
    ] {
        assert!(bad.parse::<TokenUri>().is_err(), "{bad}");
    }
}
