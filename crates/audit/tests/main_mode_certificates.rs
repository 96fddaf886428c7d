//! 4651 and 4652: what a 4650 and a 4653 say, with the certificates of both sides between.

use std::net::SocketAddr;
use std::time::Duration;

use audit::{
    AuthMethod, Cause, Event, Extra, FailurePoint, KeyMod, MainModeEstablished, MainModeFailed,
    MmCertificate, MmState, Record, Role, spec,
};

fn ends() -> (SocketAddr, SocketAddr) {
    (
        "192.0.2.1:4500".parse().unwrap(),
        "[2001:db8::7]:4500".parse().unwrap(),
    )
}

fn established() -> MainModeEstablished {
    let (local, remote) = ends();
    MainModeEstablished {
        local_name: Some("gw.example".to_owned()),
        remote_name: Some("C=CH, O=Example, CN=branch".to_owned()),
        local,
        remote,
        key_mod: KeyMod::IkeV1,
        auth: AuthMethod::Certificate,
        cipher: "%%8237",
        integrity: "%%8242",
        group: "%%8232",
        lifetime: Duration::from_hours(1),
        qm_limit: 0,
        role: Role::Initiator,
        filter_id: 2,
        mmsa_id: 77,
    }
}

fn failed(cause: Cause) -> MainModeFailed {
    let (local, remote) = ends();
    MainModeFailed {
        local_name: Some("gw.example".to_owned()),
        remote_name: None,
        local,
        remote,
        key_mod: KeyMod::IkeV1,
        point: FailurePoint::Local,
        cause,
        auth: AuthMethod::Certificate,
        state: MmState::SentThird,
        role: Role::Initiator,
        filter_id: 2,
        initiator_cookie: [1; 8],
        responder_cookie: [2; 8],
    }
}

fn ours() -> MmCertificate {
    MmCertificate {
        thumbprint: Some("9d4e".to_owned()),
        issuing_ca: Some("O=Example, CN=sub".to_owned()),
        root_ca: Some("O=Example, CN=root".to_owned()),
    }
}

/// Every field with its value, in the manifest's order.
fn fields(record: &Record) -> Vec<(&str, &str)> {
    spec(record.event_id)
        .unwrap()
        .fields()
        .iter()
        .map(|field| field.name)
        .zip(record.values.iter().map(String::as_str))
        .collect()
}

#[test]
fn a_4651_names_the_certificates_of_both_sides_in_the_manifests_order() {
    let remote = MmCertificate {
        thumbprint: Some("77aa".to_owned()),
        issuing_ca: Some("O=Partner, CN=root".to_owned()),
        root_ca: Some("O=Partner, CN=root".to_owned()),
    };
    let record = Event::MainModeEstablishedByCertificate {
        event: Box::new(established()),
        local: ours(),
        remote,
    }
    .into_record(None, Extra::default());
    assert_eq!(record.event_id, 4651);
    assert_eq!(
        fields(&record),
        [
            ("LocalMMPrincipalName", "gw.example"),
            ("LocalMMCertHash", "9d4e"),
            ("LocalMMIssuingCA", "O=Example, CN=sub"),
            ("LocalMMRootCA", "O=Example, CN=root"),
            ("RemoteMMPrincipalName", "C=CH, O=Example, CN=branch"),
            ("RemoteMMCertHash", "77aa"),
            ("RemoteMMIssuingCA", "O=Partner, CN=root"),
            ("RemoteMMRootCA", "O=Partner, CN=root"),
            ("LocalAddress", "192.0.2.1"),
            ("LocalKeyModPort", "4500"),
            ("RemoteAddress", "2001:db8::7"),
            ("RemoteKeyModPort", "4500"),
            ("KeyModName", "%%8222"),
            ("MMAuthMethod", "%%8227"),
            ("MMCipherAlg", "%%8237"),
            ("MMIntegrityAlg", "%%8242"),
            ("DHGroup", "%%8232"),
            ("MMLifetime", "60"),
            ("QMLimit", "0"),
            ("Role", "%%8205"),
            ("MMImpersonationState", "%%8217"),
            ("MMFilterID", "2"),
            ("MMSAID", "77"),
        ]
    );
    assert_eq!(record.peer(), Some("2001:db8::7".parse().unwrap()));
}

#[test]
fn a_4652_says_why_and_leaves_out_the_certificate_that_was_not_seen() {
    let record = Event::MainModeFailedByCertificate {
        event: Box::new(failed(Cause::CertificateMissing)),
        local: ours(),
        remote: MmCertificate::default(),
    }
    .into_record(None, Extra::default());
    assert_eq!(record.event_id, 4652);
    assert_eq!(
        fields(&record),
        [
            ("LocalMMPrincipalName", "gw.example"),
            ("LocalMMCertHash", "9d4e"),
            ("LocalMMIssuingCA", "O=Example, CN=sub"),
            ("LocalMMRootCA", "O=Example, CN=root"),
            ("RemoteMMPrincipalName", "-"),
            ("RemoteMMCertHash", "-"),
            ("RemoteMMIssuingCA", "-"),
            ("RemoteMMRootCA", "-"),
            ("LocalAddress", "192.0.2.1"),
            ("LocalKeyModPort", "4500"),
            ("RemoteAddress", "2001:db8::7"),
            ("RemoteKeyModPort", "4500"),
            ("KeyModName", "%%8222"),
            ("FailurePoint", "%%8199"),
            (
                "FailureReason",
                "Peer failed to send valid machine certificate"
            ),
            ("MMAuthMethod", "%%8227"),
            ("State", "%%8204"),
            ("Role", "%%8205"),
            ("MMImpersonationState", "%%8217"),
            ("MMFilterID", "2"),
            ("InitiatorCookie", "0101010101010101"),
            ("ResponderCookie", "0202020202020202"),
        ]
    );
    let extra = record.extra.unwrap();
    assert_eq!(extra.reason_code, Some(13_847));
    assert_eq!(extra.cause.as_deref(), Some("certificate-missing"));
    assert!(extra.advice.is_some());
}

#[test]
fn each_failure_of_a_certificate_has_the_windows_code_that_is_meant_for_it() {
    for (cause, code) in [
        (Cause::CertificateExpired, 13_801),
        (Cause::CertificateNotYetValid, 13_801),
        (Cause::CertificateNameMismatch, 13_801),
        (Cause::CertificateUntrusted, 13_887),
        (Cause::CertificateRevoked, 13_848),
        (Cause::RevocationUnknown, 13_848),
        (Cause::CertificateSignatureBad, 13_875),
        (Cause::SignatureMismatch, 13_826),
        (Cause::CertificateMissing, 13_847),
        (Cause::CertificateKeyWeak, 13_881),
        (Cause::CertificateUsage, 13_818),
        (Cause::OwnPrivateKeyMissing, 13_820),
        (Cause::OwnCertificateMissing, 13_806),
        (Cause::OwnCertificateNoneFits, 13_806),
    ] {
        assert_eq!(cause.code(), Some(code), "{cause}");
        assert_eq!(cause.event_ids(), [4652], "{cause}");
    }
}
