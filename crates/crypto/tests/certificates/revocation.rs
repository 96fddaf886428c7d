//! CRLs and OCSP answers that the `openssl` command made.

use crypto::cert::{Checked, Crl, Evidence, Fault, Fetch, OcspAnswer, Revocation, ocsp_request};

use super::lab::{DAY, Lab, fault_at, fault_with, now};

/// A root, a good certificate and a revoked one, the CRL, and a responder's certificate.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.root("root");
    let places = "crlDistributionPoints=URI:http://127.0.0.1/root.crl\n\
                  authorityInfoAccess=OCSP;URI:http://127.0.0.1/ocsp\n";
    for name in ["gw", "bad"] {
        lab.issue(
            name,
            "root",
            &format!("subjectAltName=DNS:{name}.example\n{places}"),
        );
    }
    lab.issue("plain", "root", "subjectAltName=DNS:plain.example\n");
    lab.issue("responder", "root", "extendedKeyUsage=OCSPSigning\n");
    for name in ["gw", "bad"] {
        lab.openssl(&format!(
            "ca -config ca.cnf -keyfile root.key -cert root.pem -valid {name}.pem"
        ));
    }
    lab.openssl("ca -config ca.cnf -keyfile root.key -cert root.pem -revoke bad.pem");
    lab.openssl("ca -config ca.cnf -keyfile root.key -cert root.pem -gencrl -out root.crl");
    lab
}

/// What `openssl ocsp` answers, from files, to our own request.
fn ocsp(lab: &Lab, name: &str, signer: &str) -> OcspAnswer {
    let request = ocsp_request(&lab.certificate(name), &lab.certificate("root")).unwrap();
    std::fs::write(lab.path("request"), request).unwrap();
    lab.openssl(&format!(
        "ocsp -index index.txt -CA root.pem -rsigner {signer}.pem -rkey {signer}.key -reqin request -respout answer -ndays 10"
    ));
    OcspAnswer::read(&lab.read("answer")).unwrap()
}

fn crl(lab: &Lab) -> Evidence {
    Evidence {
        crls: vec![Crl::read(&lab.read("root.crl")).unwrap()],
        ocsp: Vec::new(),
    }
}

#[test]
fn a_crl_tells_the_revoked_from_the_good_and_ages() {
    let lab = lab();
    let trust = lab.trust(&["root"]);
    let evidence = crl(&lab);
    let mut good = lab.peer("gw", &[]);
    let mut bad = lab.peer("bad", &[]);
    for revocation in [
        Revocation::Strict,
        Revocation::IfUri,
        Revocation::Relaxed,
        Revocation::Off,
    ] {
        good.policy.revocation = revocation;
        bad.policy.revocation = revocation;
        assert_eq!(fault_with(&good, &trust, &evidence), None);
        assert_eq!(fault_with(&bad, &trust, &evidence), Some(Fault::Revoked));
    }
    good.policy.revocation = Revocation::Strict;
    let later = now() + 11 * DAY;
    assert_eq!(
        fault_at(&good, &trust, &evidence, later),
        Some(Fault::RevocationUnknown)
    );
    // What was revoked stays so.
    let still = fault_at(&bad, &trust, &evidence, later);
    assert_eq!(still, Some(Fault::Revoked));
}

#[test]
fn the_operator_chooses_what_unknown_means() {
    let lab = lab();
    let trust = lab.trust(&["root"]);
    for (name, revocation, expected) in [
        ("gw", Revocation::Strict, Some(Fault::RevocationUnknown)),
        ("gw", Revocation::IfUri, Some(Fault::RevocationUnknown)),
        ("gw", Revocation::Relaxed, None),
        ("gw", Revocation::Off, None),
        ("plain", Revocation::Strict, Some(Fault::RevocationUnknown)),
        ("plain", Revocation::IfUri, None),
    ] {
        let mut check = lab.peer(name, &[]);
        check.policy.revocation = revocation;
        let found = fault_with(&check, &trust, &Evidence::default());
        assert_eq!(found, expected, "{name} {revocation:?}");
    }
}

#[test]
fn an_ocsp_answer_of_the_ca_or_its_delegate_is_believed_and_of_nobody_else() {
    let lab = lab();
    let trust = lab.trust(&["root"]);
    let with = |answer: OcspAnswer| Evidence {
        ocsp: vec![answer],
        crls: Vec::new(),
    };
    for signer in ["root", "responder"] {
        for (name, expected) in [("gw", None), ("bad", Some(Fault::Revoked))] {
            let mut check = lab.peer(name, &[]);
            check.policy.revocation = Revocation::Strict;
            let evidence = with(ocsp(&lab, name, signer));
            assert_eq!(
                fault_with(&check, &trust, &evidence),
                expected,
                "{signer} {name}"
            );
        }
    }
    let mut check = lab.peer("gw", &[]);
    check.policy.revocation = Revocation::Strict;
    // Issued by the CA, and not to answer for it; an answer about another; an old one.
    for evidence in [
        with(ocsp(&lab, "gw", "plain")),
        with(ocsp(&lab, "bad", "root")),
    ] {
        assert_eq!(
            fault_with(&check, &trust, &evidence),
            Some(Fault::RevocationUnknown)
        );
    }
    let evidence = with(ocsp(&lab, "gw", "root"));
    assert_eq!(
        fault_at(&check, &trust, &evidence, now() + 11 * DAY),
        Some(Fault::RevocationUnknown)
    );
}

#[test]
fn places_are_asked_only_for_a_chain_that_is_trusted_and_proven() {
    let lab = lab();
    let trust = lab.trust(&["root"]);
    let mut check = lab.peer("gw", &[]);
    check.may_fetch = true;
    let Checked::NeedsFetch { fetches, .. } = check.run(&trust, &[&Evidence::default()], now())
    else {
        panic!("nothing to fetch");
    };
    assert_eq!(fetches.len(), 2);
    assert!(matches!(&fetches[0], Fetch::Ocsp { url, .. } if url == "http://127.0.0.1/ocsp"));
    let Fetch::Crl { url, issuer } = &fetches[1] else {
        panic!("no CRL");
    };
    assert_eq!(url, "http://127.0.0.1/root.crl");
    // What comes from there is that CA's, or nobody's.
    let other = &check.certificates[0];
    let list = &crl(&lab).crls[0];
    assert!(list.is_signed_by(issuer) && !list.is_signed_by(other));
    let answer = ocsp(&lab, "gw", "root");
    assert!(answer.is_signed_by(issuer, now()) && !answer.is_signed_by(other, now()));
    assert!(matches!(
        check.run(&trust, &[&crl(&lab)], now()),
        Checked::Accepted(_)
    ));
    assert!(matches!(
        check.run(
            &crypto::cert::TrustStore::default(),
            &[&Evidence::default()],
            now()
        ),
        Checked::Refused { .. }
    ));
    check.signature[5] ^= 1;
    assert!(matches!(
        check.run(&trust, &[&Evidence::default()], now()),
        Checked::Refused { .. }
    ));
}

#[test]
fn a_crl_or_an_answer_that_is_signed_over_md5_says_nothing() {
    let lab = Lab::new();
    lab.make_key("root", "rsa:2048");
    lab.openssl(
        "req -x509 -new -key root.key -subj /C=CH/O=Example/CN=root -days 1000 -out root.pem \
         -addext keyUsage=critical,keyCertSign,cRLSign",
    );
    lab.issue("gw", "root", "subjectAltName=DNS:gw.example\n");
    let ca = "ca -config ca.cnf -keyfile root.key -cert root.pem";
    lab.openssl(&format!("{ca} -valid gw.pem"));
    let request = ocsp_request(&lab.certificate("gw"), &lab.certificate("root")).unwrap();
    std::fs::write(lab.path("request"), request).unwrap();
    let trust = lab.trust(&["root"]);
    let mut check = lab.peer("gw", &[]);
    check.policy.revocation = Revocation::Strict;
    for (hash, expected) in [("md5", Some(Fault::RevocationUnknown)), ("sha256", None)] {
        lab.openssl(&format!("{ca} -gencrl -md {hash} -out root.crl"));
        let found = fault_with(&check, &trust, &crl(&lab));
        assert_eq!(found, expected, "CRL, {hash}");
        lab.openssl(&format!(
            "ocsp -index index.txt -CA root.pem -rsigner root.pem -rkey root.key -rmd {hash} \
             -reqin request -respout answer -ndays 10"
        ));
        let evidence = Evidence {
            crls: Vec::new(),
            ocsp: vec![OcspAnswer::read(&lab.read("answer")).unwrap()],
        };
        let found = fault_with(&check, &trust, &evidence);
        assert_eq!(found, expected, "OCSP, {hash}");
    }
}

#[test]
fn a_crl_or_an_answer_that_was_changed_says_nothing_good() {
    let lab = lab();
    let trust = lab.trust(&["root"]);
    lab.openssl("crl -in root.crl -outform DER -out root.der");
    let list = lab.read("root.der");
    ocsp(&lab, "gw", "responder");
    let answer = lab.read("answer");
    let mut check = lab.peer("gw", &[]);
    check.policy.revocation = Revocation::Strict;
    for at in (0..list.len().max(answer.len())).step_by(3) {
        let mut evidence = Evidence::default();
        let changed = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 0x41;
            } else {
                bytes.truncate(bytes.len() / 2);
            }
            bytes
        };
        evidence.crls.extend(Crl::read(&changed(&list)));
        // The responder's certificate stands outside of what is signed, and after it.
        if at < answer.len() / 3 {
            evidence.ocsp.extend(OcspAnswer::read(&changed(&answer)));
        }
        assert!(
            matches!(
                fault_with(&check, &trust, &evidence),
                Some(Fault::RevocationUnknown | Fault::Revoked)
            ),
            "{at}"
        );
    }
}
