//! Chains: what is taken, and each fault by its own name.

use crypto::cert::{
    Certificate, CheckPeer, Checked, Evidence, Fault, PeerIdentity, TrustStore, load_certificates,
};

use super::lab::{DAY, Lab, fault, fault_at, fqdn, now};

const CA: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n";

#[test]
fn a_good_chain_is_taken_and_named_as_the_openssl_command_names_it() {
    let lab = Lab::new();
    lab.root("root");
    lab.issue("sub", "root", CA);
    lab.issue("gw", "sub", "subjectAltName=DNS:gw.example\n");
    let check = lab.peer("gw", &["sub"]);
    let Checked::Accepted(shown) = check.run(&lab.trust(&["root"]), &[&Evidence::default()], now())
    else {
        panic!("refused");
    };
    lab.openssl("x509 -in gw.pem -outform DER -out gw.der");
    lab.openssl("dgst -sha1 -r -out thumbprint gw.der");
    let thumbprint = String::from_utf8(lab.read("thumbprint")).unwrap();
    assert_eq!(
        shown.thumbprint.as_deref(),
        thumbprint.split_whitespace().next()
    );
    assert_eq!(shown.subject.as_deref(), Some("C=CH, O=Example, CN=gw"));
    assert_eq!(shown.issuing_ca.as_deref(), Some("C=CH, O=Example, CN=sub"));
    assert_eq!(shown.root_ca.as_deref(), Some("C=CH, O=Example, CN=root"));
    let text = serde_json::to_string(&check).unwrap();
    assert_eq!(serde_json::from_str::<CheckPeer>(&text).unwrap(), check);
}

#[test]
fn the_ca_between_comes_from_the_peer_or_from_here_and_may_be_trusted_itself() {
    let lab = Lab::new();
    lab.root("root");
    lab.issue("sub", "root", CA);
    lab.issue("gw", "sub", "subjectAltName=DNS:gw.example\n");
    let root = lab.trust(&["root"]);
    assert_eq!(fault(&lab.peer("gw", &["sub"]), &root), None);
    assert_eq!(fault(&lab.peer("gw", &[]), &root), Some(Fault::Untrusted));
    let known = TrustStore {
        intermediates: vec![lab.certificate("sub")],
        ..root
    };
    assert_eq!(fault(&lab.peer("gw", &[]), &known), None);
    assert_eq!(fault(&lab.peer("gw", &[]), &lab.trust(&["sub"])), None);
    // What the peer sends is trusted in nothing, its root neither.
    lab.root("foreign");
    let foreign = lab.trust(&["foreign"]);
    assert_eq!(
        fault(&lab.peer("gw", &["sub", "root"]), &foreign),
        Some(Fault::Untrusted)
    );
    assert_eq!(
        fault(&lab.peer("gw", &["sub", "root"]), &TrustStore::default()),
        Some(Fault::Untrusted)
    );
}

#[test]
fn each_fault_of_a_certificate_is_told_from_the_others() {
    let lab = Lab::new();
    lab.root("root");
    lab.issue("gw", "root", "subjectAltName=DNS:gw.example\n");
    let trust = lab.trust(&["root"]);
    let good = lab.peer("gw", &[]);
    assert_eq!(fault(&good, &trust), None);
    let at = |days: i64| fault_at(&good, &trust, &Evidence::default(), now() + days * DAY);
    assert_eq!(at(101), Some(Fault::Expired));
    assert_eq!(at(-1), Some(Fault::NotYetValid));
    let named = CheckPeer {
        identity: fqdn("branch.example"),
        ..good.clone()
    };
    assert_eq!(fault(&named, &trust), Some(Fault::NameMismatch));
    let mut forged = good.clone();
    forged.signature[3] ^= 1;
    assert_eq!(fault(&forged, &trust), Some(Fault::SignatureMismatch));
    let mut broken = good.clone();
    *broken.certificates[0].last_mut().unwrap() ^= 1;
    assert_eq!(fault(&broken, &trust), Some(Fault::BadCertificateSignature));
    let garbage = CheckPeer {
        certificates: vec![vec![0x30, 0]],
        ..good.clone()
    };
    assert_eq!(fault(&garbage, &trust), Some(Fault::Malformed));
    let many = CheckPeer {
        certificates: vec![good.certificates[0].clone(); 100],
        ..good.clone()
    };
    assert_eq!(fault(&many, &trust), Some(Fault::Malformed));
    let none = CheckPeer {
        certificates: Vec::new(),
        ..good.clone()
    };
    assert_eq!(fault(&none, &trust), Some(Fault::Missing));
    let known = TrustStore {
        peers: vec![lab.certificate("gw")],
        ..lab.trust(&["root"])
    };
    assert_eq!(fault(&none, &known), None);
    let method = CheckPeer {
        method: crypto::cert::Method::Rsa,
        ..good
    };
    assert_eq!(fault(&method, &trust), Some(Fault::WrongType));
}

#[test]
fn a_certificate_that_is_known_as_a_peers_is_trusted_as_itself_and_as_the_issuer_of_nothing() {
    let lab = Lab::new();
    // Of version 1, which says nothing of CAs; of a CA, as `req -x509` makes it; and one that another issued.
    lab.make_key("v1", "ec:P-256");
    lab.openssl("req -new -key v1.key -subj /CN=v1 -out v1.csr");
    lab.openssl("x509 -req -in v1.csr -signkey v1.key -out v1.pem");
    lab.make_key("itself", "ec:P-256");
    lab.openssl("req -x509 -new -key itself.key -subj /CN=itself -days 100 -out itself.pem");
    lab.root("root");
    lab.issue("sub", "root", "basicConstraints=critical,CA:TRUE\n");
    let names = ["v1", "itself", "sub"];
    let known = TrustStore {
        peers: names.map(|name| lab.certificate(name)).to_vec(),
        ..TrustStore::default()
    };
    assert!(known.requests().is_empty());
    for name in names {
        let mut check = lab.peer(name, &[]);
        check.identity = PeerIdentity {
            kind: 9,
            data: lab.certificate(name).subject().to_vec(),
        };
        assert_eq!(
            fault(&check, &TrustStore::default()),
            Some(Fault::Untrusted)
        );
        // Again, from memory; and without its certificate.
        for _ in 0..2 {
            assert_eq!(fault(&check, &known), None, "{name}");
        }
        let later = fault_at(&check, &known, &Evidence::default(), now() + 2000 * DAY);
        assert_eq!(later, Some(Fault::Expired), "{name}");
        check.certificates.clear();
        assert_eq!(fault(&check, &known), None, "{name}");

        let forged = format!("by-{name}");
        lab.issue(
            &forged,
            name,
            &format!("subjectAltName=DNS:{forged}.example\n"),
        );
        for sent in [&[][..], &[name]] {
            let check = lab.peer(&forged, sent);
            assert_eq!(fault(&check, &known), Some(Fault::Untrusted), "{name}");
            // As a CA it is trusted, and what is remembered of that is worth nothing here.
            let ca = TrustStore {
                remembered: known.remembered.clone(),
                ..lab.trust(&[name])
            };
            assert_eq!(fault(&check, &ca), None, "{name}");
            assert_eq!(fault(&check, &known), Some(Fault::Untrusted), "{name}");
        }
    }
}

#[test]
fn where_peers_are_pinned_neither_another_certificate_of_the_ca_nor_another_ca_is_taken() {
    let lab = Lab::new();
    lab.root("root");
    lab.root("foreign");
    for (name, issuer) in [("gw", "root"), ("other", "root"), ("alien", "foreign")] {
        lab.issue(
            name,
            issuer,
            &format!("subjectAltName=DNS:{name}.example\n"),
        );
    }
    let either = TrustStore {
        peers: vec![lab.certificate("gw"), lab.certificate("alien")],
        ..lab.trust(&["root"])
    };
    let names = ["gw", "other", "alien"];
    let found = |trust: &TrustStore| names.map(|name| fault(&lab.peer(name, &[]), trust));
    assert_eq!(found(&either), [None, None, None]);
    // What is remembered of one who trusts more is worth nothing.
    let both = TrustStore {
        pinned: true,
        ..either
    };
    let untrusted = Some(Fault::Untrusted);
    for _ in 0..2 {
        assert_eq!(found(&both), [None, untrusted, untrusted]);
    }
}

#[test]
fn an_rsa_key_with_a_small_exponent_is_weak_and_the_refusal_says_which() {
    let lab = Lab::new();
    lab.openssl(
        "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3 -out e3.key",
    );
    lab.openssl("req -x509 -new -key e3.key -subj /CN=e3 -days 10 -out e3.pem");
    lab.issue("gw", "e3", "subjectAltName=DNS:gw.example\n");
    let checked = lab.peer("gw", &[]).run(&lab.trust(&["e3"]), &[], now());
    let Checked::Refused { refusal, .. } = checked else {
        panic!("taken");
    };
    assert_eq!(refusal.fault, Fault::WeakKey);
    let said = "the public exponent of the RSA key of CN=e3 is 3; 65537 is the least";
    assert_eq!(refusal.detail, said);
}

#[test]
fn a_refusal_says_whether_the_peer_proved_that_the_certificate_is_its_own() {
    let lab = Lab::new();
    lab.root("root");
    lab.issue("gw", "root", "subjectAltName=DNS:gw.example\n");
    let mut check = lab.peer("gw", &[]);
    let later = now() + 200 * DAY;
    for right in [true, false] {
        if !right {
            check.signature[0] ^= 1;
        }
        let Checked::Refused {
            refusal,
            proven,
            shown,
        } = check.run(&lab.trust(&["root"]), &[&Evidence::default()], later)
        else {
            panic!("taken");
        };
        assert_eq!((refusal.fault, proven), (Fault::Expired, right));
        assert!(refusal.detail.contains("CN=gw"), "{refusal}");
        assert!(shown.thumbprint.is_some() && shown.root_ca.is_none());
    }
    // A certificate that somebody else put in the place of the true one proves nothing.
    let check = lab.peer("gw", &[]);
    let Checked::Refused {
        refusal, proven, ..
    } = check.run(&TrustStore::default(), &[&Evidence::default()], now())
    else {
        panic!("taken");
    };
    assert_eq!((refusal.fault, proven), (Fault::Untrusted, false));
}

#[test]
fn a_forged_certificate_of_an_issuer_that_has_expired_proves_nothing() {
    let lab = Lab::new();
    lab.root("root");
    lab.issue("sub", "root", CA);
    lab.issue("gw", "sub", "subjectAltName=DNS:gw.example\n");
    let mut check = lab.peer("gw", &["sub"]);
    *check.certificates[0].last_mut().unwrap() ^= 1;
    let later = now() + 200 * DAY;
    let checked = check.run(&lab.trust(&["root"]), &[&Evidence::default()], later);
    let Checked::Refused {
        refusal, proven, ..
    } = checked
    else {
        panic!("taken");
    };
    assert_eq!((refusal.fault, proven), (Fault::Expired, false));
    assert!(refusal.detail.contains("CN=sub"), "{refusal}");
}

#[test]
fn usages_and_lengths_are_checked() {
    let lab = Lab::new();
    lab.root("root");
    let trust = lab.trust(&["root"]);
    for (usage, expected) in [
        ("keyUsage=digitalSignature", None),
        ("keyUsage=nonRepudiation", None),
        ("keyUsage=keyEncipherment", Some(Fault::WrongUsage)),
        ("extendedKeyUsage=1.3.6.1.5.5.7.3.17", None),
        ("extendedKeyUsage=serverAuth", None),
        ("extendedKeyUsage=codeSigning,clientAuth", None),
        ("extendedKeyUsage=codeSigning", Some(Fault::WrongUsage)),
        ("1.2.3.4=critical,DER:0500", Some(Fault::UnknownExtension)),
    ] {
        lab.issue(
            "gw",
            "root",
            &format!("subjectAltName=DNS:gw.example\n{usage}\n"),
        );
        assert_eq!(fault(&lab.peer("gw", &[]), &trust), expected, "{usage}");
    }
    let san = "subjectAltName=DNS:gw.example\n";
    lab.make_key("gw", "rsa:1024");
    lab.issue_for_key("gw", "root", san, "");
    assert_eq!(fault(&lab.peer("gw", &[]), &trust), Some(Fault::WeakKey));
    let mut allowed = lab.peer("gw", &[]);
    allowed.policy.min_rsa_bits = 1024;
    assert_eq!(fault(&allowed, &trust), None);
    lab.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3 -out gw.key");
    lab.issue_for_key("gw", "root", san, "");
    assert_eq!(fault(&lab.peer("gw", &[]), &trust), Some(Fault::WeakKey));
    lab.make_key("gw", "rsa:2048");
    lab.issue_for_key("gw", "root", san, "-sha1");
    let mut check = lab.peer("gw", &[]);
    assert_eq!(fault(&check, &trust), Some(Fault::WeakHash));
    check.policy.allow_sha1 = true;
    assert_eq!(fault(&check, &trust), None);
    // That it may be SHA-1 is not that it may be any key.
    lab.make_key("sub", "ec:P-192");
    let ca = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n";
    lab.issue_for_key("sub", "root", ca, "");
    lab.issue("gw", "sub", san);
    let mut check = lab.peer("gw", &["sub"]);
    check.policy.allow_sha1 = true;
    assert_eq!(fault(&check, &trust), Some(Fault::WeakKey));
    // ECDSA over MD5 does not exist.
    lab.make_key("old", "rsa:2048");
    lab.openssl("req -x509 -new -key old.key -subj /CN=old -days 1000 -out old.pem");
    let trust = lab.trust(&["old"]);
    let pss = "-sigopt rsa_padding_mode:pss";
    for (options, expected) in [
        ("-md5", Some(Fault::WeakHash)),
        (&*format!("-sha1 {pss}"), None),
        (&*format!("-sha256 {pss}"), None),
    ] {
        lab.issue_for_key("gw", "old", san, options);
        let mut check = lab.peer("gw", &[]);
        check.policy.allow_sha1 = true;
        assert_eq!(fault(&check, &trust), expected, "{options}");
    }
}

#[test]
fn only_a_ca_issues_and_only_what_it_may() {
    let lab = Lab::new();
    lab.root("root");
    let trust = lab.trust(&["root"]);
    for (ca, expected) in [
        ("basicConstraints=critical,CA:TRUE", None),
        (
            "basicConstraints=critical,CA:TRUE\nextendedKeyUsage=emailProtection",
            Some(Fault::WrongUsage),
        ),
        ("basicConstraints=CA:FALSE", Some(Fault::IssuerRefused)),
        ("keyUsage=keyCertSign", Some(Fault::IssuerRefused)),
        (
            "basicConstraints=critical,CA:TRUE\nkeyUsage=cRLSign",
            Some(Fault::IssuerRefused),
        ),
        (
            "basicConstraints=critical,CA:TRUE\nnameConstraints=critical,permitted;DNS:other.test",
            Some(Fault::IssuerRefused),
        ),
        (
            "basicConstraints=critical,CA:TRUE\nnameConstraints=critical,permitted;DNS:example",
            None,
        ),
    ] {
        lab.issue("sub", "root", &format!("{ca}\n"));
        lab.issue("gw", "sub", "subjectAltName=DNS:gw.example\n");
        assert_eq!(fault(&lab.peer("gw", &["sub"]), &trust), expected, "{ca}");
    }
    lab.issue(
        "sub",
        "root",
        "basicConstraints=critical,CA:TRUE,pathlen:0\n",
    );
    lab.issue("below", "sub", CA);
    lab.issue("gw", "below", "subjectAltName=DNS:gw.example\n");
    assert_eq!(
        fault(&lab.peer("gw", &["sub", "below"]), &trust),
        Some(Fault::IssuerRefused)
    );
}

#[test]
fn a_ca_of_the_same_name_is_not_the_ca() {
    let (lab, other) = (Lab::new(), Lab::new());
    for lab in [&lab, &other] {
        lab.root("root");
        lab.issue(
            "gw",
            "root",
            "subjectAltName=DNS:gw.example\nauthorityKeyIdentifier=none\n",
        );
    }
    let refused = fault(&other.peer("gw", &[]), &lab.trust(&["root"]));
    assert!(
        matches!(
            refused,
            Some(Fault::BadCertificateSignature | Fault::Untrusted)
        ),
        "{refused:?}"
    );
}

#[test]
fn an_identity_is_the_whole_of_a_name_of_its_kind() {
    let lab = Lab::new();
    lab.root("root");
    lab.issue(
        "gw",
        "root",
        "subjectAltName=DNS:gw.example,DNS:*.wild.example,email:ops@example,IP:192.0.2.1,IP:2001:db8::1\n",
    );
    let gw = lab.certificate("gw");
    let is = |kind: u8, data: &[u8]| {
        PeerIdentity {
            kind,
            data: data.to_vec(),
        }
        .is_in(&gw)
    };
    assert!(is(2, b"gw.example") && is(2, b"GW.Example"));
    assert!(is(3, b"ops@example") && is(1, &[192, 0, 2, 1]));
    let v6: std::net::Ipv6Addr = "2001:db8::1".parse().unwrap();
    assert!(is(5, &v6.octets()));
    assert!(is(9, gw.subject()));
    for (kind, data) in [
        (2, &b"gw.example.evil"[..]),
        (2, b"example"),
        (2, b""),
        (2, b"gw.example\0"),
        (2, b"gw"),
        (2, b"a.wild.example"),
        (2, b"ops@example"),
        (3, b"gw.example"),
        (1, &[192, 0, 2, 2]),
        (1, &[]),
        (2, &[192, 0, 2, 1]),
        (9, b""),
        (9, &[0x30, 0]),
        (4, &[192, 0, 2, 1, 255, 255, 255, 0]),
        (11, b"x"),
    ] {
        assert!(!is(kind, data), "{kind} {data:?}");
    }
    assert!(!is(9, lab.certificate("root").subject()));
}

#[test]
fn a_folder_of_certificates_is_read_once_each_and_a_bad_file_is_named() {
    let lab = Lab::new();
    lab.root("one");
    lab.root("two");
    std::fs::create_dir(lab.path("cas")).unwrap();
    let bundle = [lab.read("one.pem"), lab.read("two.pem")].concat();
    std::fs::write(lab.path("cas/bundle.crt"), &bundle).unwrap();
    std::fs::write(lab.path("cas/one.pem"), lab.read("one.pem")).unwrap();
    std::fs::write(lab.path("cas/notes.txt"), "not one").unwrap();
    let found = load_certificates(&lab.path("cas")).unwrap();
    assert_eq!(found, [lab.certificate("one"), lab.certificate("two")]);
    std::fs::write(lab.path("cas/bad.der"), "not one").unwrap();
    let error = load_certificates(&lab.path("cas")).unwrap_err().to_string();
    assert!(error.contains("bad.der"), "{error}");
    assert!(load_certificates(&lab.path("nowhere")).is_err());
    let trust = TrustStore {
        anchors: found,
        ..TrustStore::default()
    };
    assert_eq!(
        trust.requests(),
        [
            lab.certificate("one").subject(),
            lab.certificate("two").subject()
        ]
    );
}

#[test]
fn no_byte_of_a_certificate_can_be_changed_or_cut_so_that_it_panics() {
    let lab = Lab::new();
    lab.root("root");
    lab.issue(
        "gw",
        "root",
        "subjectAltName=DNS:gw.example,dirName:d\ncrlDistributionPoints=URI:http://x/a.crl\nauthorityInfoAccess=OCSP;URI:http://x/\n[d]\nCN=x\n",
    );
    let trust = lab.trust(&["root"]);
    let check = lab.peer("gw", &[]);
    let der = check.certificates[0].clone();
    for at in 0..der.len() {
        assert!(Certificate::from_der(&der[..at]).is_err());
        for byte in [0, 0x7f, 0x80, 0xff, der[at] ^ 1] {
            let mut changed = check.clone();
            changed.certificates[0][at] = byte;
            if changed == check {
                continue;
            }
            assert!(fault(&changed, &trust).is_some(), "{at}: {byte}");
        }
    }
}
