//! Chains that were good before: as much is asked of a peer that comes again.

use crypto::cert::{Checked, Crl, Evidence, Fault, TrustStore, limits::MAX_REMEMBERED};

use super::lab::{DAY, Lab, fault, fault_at, fault_with, now};

/// A root and a peer by name.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.root("root");
    lab.issue("gw", "root", "subjectAltName=DNS:gw.example\n");
    lab
}

fn remembered(trust: &TrustStore) -> String {
    format!("{:?}", trust.remembered)
}

#[test]
fn a_peer_that_comes_again_is_taken_and_named_as_before() {
    let lab = lab();
    let trust = lab.trust(&["root"]);
    let check = lab.peer("gw", &[]);
    let run = || check.run(&trust, &[&Evidence::default()], now());
    let first = run();
    assert!(matches!(first, Checked::Accepted(_)), "{first:?}");
    assert_eq!(remembered(&trust), "Remembered(1)");
    assert_eq!(run(), first);
    assert_eq!(remembered(&trust), "Remembered(1)");
    // Another policy is another judgement.
    let mut strict = lab.peer("gw", &[]);
    strict.policy.min_rsa_bits = 4096;
    assert_eq!(fault(&strict, &trust), None);
    assert_eq!(remembered(&trust), "Remembered(2)");
}

#[test]
fn what_can_change_is_looked_at_each_time() {
    let lab = lab();
    let trust = lab.trust(&["root"]);
    let check = lab.peer("gw", &[]);
    assert_eq!(fault(&check, &trust), None);

    let mut forged = check.clone();
    forged.signature[5] ^= 1;
    assert_eq!(fault(&forged, &trust), Some(Fault::SignatureMismatch));
    let mut other_name = check.clone();
    other_name.identity.data = b"other.example".to_vec();
    assert_eq!(fault(&other_name, &trust), Some(Fault::NameMismatch));
    let mut other_bytes = check.clone();
    let last = other_bytes.certificates[0].last_mut().unwrap();
    *last ^= 1;
    assert!(fault(&other_bytes, &trust).is_some());

    let none = Evidence::default();
    let at = |days: i64| fault_at(&check, &trust, &none, now() + days * DAY);
    assert_eq!(at(0), None);
    assert_eq!(at(101), Some(Fault::Expired));
    assert_eq!(at(0), None);
    assert_eq!(at(-1), Some(Fault::NotYetValid));
    assert_eq!(at(0), None);

    lab.openssl("ca -config ca.cnf -keyfile root.key -cert root.pem -revoke gw.pem");
    lab.openssl("ca -config ca.cnf -keyfile root.key -cert root.pem -gencrl -out root.crl");
    let crl = Evidence {
        crls: vec![Crl::read(&lab.read("root.crl")).unwrap()],
        ocsp: Vec::new(),
    };
    assert_eq!(fault_with(&check, &trust, &crl), Some(Fault::Revoked));

    // Chains that are shared with a trust that has lost their anchor are worth nothing there.
    lab.root("foreign");
    let elsewhere = TrustStore {
        remembered: trust.remembered.clone(),
        ..lab.trust(&["foreign"])
    };
    assert_eq!(fault(&check, &elsewhere), Some(Fault::Untrusted));
}

#[test]
fn only_who_has_the_key_is_remembered_and_no_more_than_the_most() {
    let lab = lab();
    let trust = lab.trust(&["root"]);
    let mut forged = lab.peer("gw", &[]);
    forged.signature[5] ^= 1;
    assert_eq!(fault(&forged, &trust), Some(Fault::SignatureMismatch));
    assert_eq!(remembered(&trust), "Remembered(0)");

    let check = lab.peer("gw", &[]);
    for least in 0..=MAX_REMEMBERED {
        let mut check = check.clone();
        check.policy.min_rsa_bits = u32::try_from(least).unwrap();
        assert_eq!(fault(&check, &trust), None);
    }
    assert_eq!(remembered(&trust), format!("Remembered({MAX_REMEMBERED})"));
}
