//! Authentication by signatures: what is established, and each failure with its cause, in both roles.

use std::time::Duration;

use audit::{AuthMethod, Cause, Event, FailurePoint, MmCertificate};
use crypto::cert::{Credential, Fault, PrivateKey, PublicKey, Refusal, Shown, TrustStore};

use super::host::Host;
use super::net::{A, B, Net, filtered};
use super::pair_with;
use crate::config::{Auth, Connection, CredentialId, RemoteAddress, SendCertificate, Signatures};
use crate::identity::Identity;
use crate::io::Input;
use crate::job::{Job, JobResult, SignatureCredentials};
use crate::pki;

const CERTIFICATE: CredentialId = CredentialId(2);

/// Two hosts with certificates of one CA; `change` what their connections say, `keys` what they hold.
fn certified(
    change: impl Fn(usize, &mut Signatures),
    keys: impl Fn(usize, &mut SignatureCredentials),
) -> Net {
    let mut net = pair_with(77, |host, connection| {
        let mut signatures = pki::signatures(CERTIFICATE);
        change(host, &mut signatures);
        connection.auth = vec![Auth::Signatures(signatures)];
    });
    for (host, pair) in [(A, pki::LEFT), (B, pki::RIGHT)] {
        let mut side = pki::side(pair, pki::CA);
        keys(host, &mut side);
        net.hosts[host].keys.1.insert(CERTIFICATE, side);
    }
    net
}

fn as_they_are() -> Net {
    certified(|_, _| {}, |_, _| {})
}

/// The certificates of the only 4651 or 4652 of a host: ours, the peer's.
fn shown(host: &Host) -> (MmCertificate, MmCertificate) {
    let mut found = host.events.iter().filter_map(|e| match &e.event {
        Event::MainModeEstablishedByCertificate { local, remote, .. }
        | Event::MainModeFailedByCertificate { local, remote, .. } => {
            Some((local.clone(), remote.clone()))
        }
        _ => None,
    });
    let only = found.next().expect("a verdict with certificates");
    assert!(found.next().is_none(), "another one");
    only
}

#[test]
fn both_sides_sign_and_both_events_name_both_certificates() {
    let mut net = as_they_are();
    net.establish();
    for host in &net.hosts {
        assert_eq!(host.established().auth, AuthMethod::Certificate);
        assert_eq!((host.of(4651).len(), host.of(4650).len()), (1, 0));
    }
    let [a, b] = [A, B].map(|host| shown(&net.hosts[host]));
    assert_eq!((&a.0, &a.1), (&b.1, &b.0));
    for certificate in [&a.0, &a.1] {
        assert_eq!(certificate.issuing_ca.as_deref(), Some("O=Example, CN=ca"));
        assert_eq!(certificate.root_ca.as_deref(), Some("O=Example, CN=ca"));
        assert_eq!(certificate.thumbprint.as_ref().map(String::len), Some(40));
    }
    assert_ne!(a.0, a.1);
    net.finish();
}

#[test]
fn a_certificate_is_sent_to_a_peer_that_asks_for_one() {
    let mut net = certified(|_, signatures| signatures.request = false, |_, _| {});
    net.up(A);
    net.run(Duration::from_mins(1));
    // The responder misses it; the initiator hears that.
    assert_eq!(net.hosts[B].failure().cause, Cause::CertificateMissing);
    net.finish();
    for send in [SendCertificate::Always, SendCertificate::Never] {
        let mut net = certified(
            |_, signatures| {
                signatures.request = false;
                signatures.send_certificate = send;
            },
            |_, side| {
                if send == SendCertificate::Never {
                    let pairs = [pki::LEFT.0, pki::RIGHT.0];
                    side.trust.peers = pairs
                        .iter()
                        .flat_map(|pem| crypto::cert::read_certificates(pem.as_bytes()).unwrap())
                        .collect();
                }
            },
        );
        net.establish();
        net.finish();
    }
}

#[test]
fn raw_keys_need_no_certificate() {
    let public = |pair: (&str, &str)| {
        let certificates = crypto::cert::read_certificates(pair.0.as_bytes()).unwrap();
        PublicKey::read(&certificates[0].key().to_der()).unwrap()
    };
    let mut net = certified(
        |_, _| {},
        |host, side| {
            let (own, other) = [(pki::LEFT, pki::RIGHT), (pki::RIGHT, pki::LEFT)][host];
            let key = PrivateKey::read(own.1.as_bytes(), None).unwrap();
            *side = SignatureCredentials {
                own: vec![Credential::raw(key)],
                trust: TrustStore {
                    raw_keys: vec![public(other)],
                    ..TrustStore::default()
                },
                ..SignatureCredentials::default()
            };
        },
    );
    net.establish();
    let (local, remote) = shown(&net.hosts[A]);
    assert_eq!((local, remote), Default::default());
    net.finish();
}

#[test]
fn an_untrusted_certificate_is_one_4652_and_the_other_side_is_told() {
    for host in [A, B] {
        let mut net = certified(
            |_, _| {},
            |this, side| {
                if this == host {
                    side.trust = pki::side(pki::STRANGER, "").trust;
                    side.trust.anchors =
                        crypto::cert::read_certificates(include_bytes!("../pki/other-ca.pem"))
                            .unwrap();
                }
            },
        );
        // It asks for no CA in particular, so that the other side answers.
        net.up(A);
        net.run(Duration::from_secs(20));
        let failed = net.hosts[host].failure();
        assert_eq!(failed.cause, Cause::CertificateUntrusted);
        assert_eq!(failed.point, FailurePoint::Local);
        assert!(failed.remote_name.is_some());
        let (_, remote) = shown(&net.hosts[host]);
        assert_eq!(remote.issuing_ca.as_deref(), Some("O=Example, CN=ca"));
        assert_eq!(remote.root_ca, None);
        if host == B {
            let told = net.hosts[A].failure();
            assert_eq!(told.point, FailurePoint::Remote);
            assert_eq!(told.cause.token(), "peer-invalid-cert-authority");
        }
        net.finish();
    }
}

#[test]
fn a_certificate_for_another_name_is_refused_in_both_roles() {
    for host in [A, B] {
        let mut net = pair_with(78, |this, connection| {
            connection.auth = vec![Auth::Signatures(pki::signatures(CERTIFICATE))];
            if this == host {
                connection.remote_id = Some(Identity::parse("wrong.example").unwrap());
            } else {
                connection.local_id = Some(Identity::parse("wrong.example").unwrap());
            }
        });
        for (host, pair) in [(A, pki::LEFT), (B, pki::RIGHT)] {
            let side = pki::side(pair, pki::CA);
            net.hosts[host].keys.1.insert(CERTIFICATE, side);
        }
        net.up(A);
        net.run(Duration::from_secs(20));
        let failed = net.hosts[host].failure();
        assert_eq!(failed.cause, Cause::CertificateNameMismatch);
        net.finish();
    }
}

#[test]
fn a_wrong_signature_is_evidence_and_then_one_4652_in_both_roles() {
    for host in [A, B] {
        let mut net = certified(
            |_, _| {},
            |this, side| {
                if this != host {
                    // A key that is not the certificate's: what is sent is the certificate of the other.
                    let stranger = pki::side(pki::STRANGER, pki::CA);
                    side.own = stranger.own;
                }
            },
        );
        let wrong = [pki::LEFT, pki::RIGHT][1 - host].0;
        let wrong = crypto::cert::read_certificates(wrong.as_bytes()).unwrap();
        let der = wrong[0].der().to_vec();
        net.hosts[1 - host].replace_certificate = Some(der);
        net.up(A);
        net.run(Duration::from_mins(2));
        let failed = net.hosts[host].failure();
        assert_eq!(failed.cause, Cause::SignatureMismatch);
        assert_eq!(failed.point, FailurePoint::Local);
        net.finish();
    }
}

#[test]
fn a_key_that_is_not_there_is_our_own_fault_in_both_roles() {
    for host in [A, B] {
        let mut net = certified(
            |_, _| {},
            |this, side| {
                if this == host {
                    let certificates = [pki::LEFT, pki::RIGHT][host].0;
                    let chain = crypto::cert::read_certificates(certificates.as_bytes()).unwrap();
                    side.own = vec![Credential::new(chain, None).unwrap()];
                }
            },
        );
        net.up(A);
        net.run(Duration::from_mins(1));
        assert_eq!(net.hosts[host].failure().cause, Cause::OwnPrivateKeyMissing);
        if host == B {
            let told = net.hosts[A].failure();
            assert_eq!(told.cause.token(), "peer-certificate-unavailable");
        }
        net.finish();
    }
}

#[test]
fn a_peer_that_asks_for_another_ca_is_shown_our_certificate_all_the_same() {
    let mut net = certified(
        |host, signatures| {
            if host == B {
                signatures.authorities = vec![b"0\x00".to_vec()];
            }
        },
        |_, _| {},
    );
    net.establish();
    assert_eq!(net.hosts[A].of(4651).len(), 1);
    net.finish();
}

#[test]
fn a_connection_is_chosen_by_the_identity_and_trusts_what_it_trusts() {
    let mut net = as_they_are();
    let other = |name: &str, id: &str, credential| {
        let mut connection: Connection = (*net.hosts[B].connections[0]).clone();
        connection.name = name.to_owned();
        connection.remote_address = RemoteAddress::Any;
        connection.remote_id = Some(Identity::parse(id).unwrap());
        connection.auth = vec![Auth::Signatures(pki::signatures(credential))];
        std::sync::Arc::new(connection)
    };
    let connections = vec![
        other("stranger", "stranger.example", CredentialId(9)),
        other("left", "192.0.2.1", CERTIFICATE),
    ];
    net.command(B, crate::Command::Connections(connections));
    net.up(A);
    net.run(Duration::from_secs(5));
    let established = net.hosts[B].of(4651);
    assert_eq!(established.len(), 1);
    assert_eq!(established[0].extra.connection.as_deref(), Some("left"));
    net.finish();
}

#[test]
fn a_pre_shared_key_and_certificates_on_one_connection_go_by_preference() {
    let both = |host: usize, connection: &mut Connection| {
        let psk = Auth::Psk(CredentialId(1));
        let signatures = Auth::Signatures(pki::signatures(CERTIFICATE));
        connection.auth = if host == A {
            vec![psk, signatures]
        } else {
            vec![signatures, psk]
        };
    };
    let mut net = pair_with(79, both);
    for (host, pair) in [(A, pki::LEFT), (B, pki::RIGHT)] {
        let side = pki::side(pair, pki::CA);
        net.hosts[host].keys.1.insert(CERTIFICATE, side);
    }
    net.establish();
    // The responder's.
    assert_eq!(net.hosts[A].of(4651).len(), 1);
    net.finish();
}

#[test]
fn a_message_5_that_comes_again_while_it_is_checked_is_not_checked_twice() {
    let mut net = as_they_are();
    net.hosts[B].hold_jobs = true;
    net.up(A);
    net.run(Duration::from_millis(100));
    let give = |net: &mut Net| {
        let held = std::mem::take(&mut net.hosts[B].held_jobs);
        assert_eq!(held.len(), 1);
        for (id, result) in held {
            net.input(B, Input::JobDone(id, result));
        }
    };
    give(&mut net); // The derivation; message 4 goes out.
    net.run(Duration::from_secs(6));
    // Message 5 came three times by now, and waits for one check.
    give(&mut net);
    net.run(Duration::from_secs(1));
    give(&mut net); // The signature.
    net.hosts[B].hold_jobs = false;
    net.run(Duration::from_secs(5));
    for host in &net.hosts {
        assert_eq!(host.of(4651).len(), 1);
        assert_eq!(host.of(4976).len(), 0);
    }
    net.finish();
}

#[test]
fn a_check_that_never_ends_is_a_worker_that_took_too_long() {
    let mut net = as_they_are();
    net.hosts[A].lose_checks = true;
    net.up(A);
    net.run(Duration::from_mins(2));
    assert_eq!(net.hosts[A].failure().cause, Cause::WorkerTimeout);
    net.finish();
}

#[test]
fn when_our_own_signing_or_checking_fails_it_is_called_so_in_both_roles() {
    let spoils: [fn(&Job) -> Option<JobResult>; 2] = [
        |job| {
            let failed = || JobResult::Failed("no provider".to_owned());
            matches!(job, Job::Sign { .. }).then(failed)
        },
        |job| {
            let failed = || JobResult::PeerRefused {
                refusal: Refusal::new(Fault::Internal, "no provider"),
                shown: Shown::default(),
                proven: false,
            };
            matches!(job, Job::CheckPeer { .. }).then(failed)
        },
    ];
    for (host, spoil) in [A, B]
        .into_iter()
        .flat_map(|host| spoils.map(|s| (host, s)))
    {
        let mut net = as_they_are();
        net.hosts[host].spoil = Some(spoil);
        net.up(A);
        net.run(Duration::from_mins(2));
        assert_eq!(net.hosts[host].of(4652).len(), 1);
        let failed = net.hosts[host].failure();
        assert_eq!(failed.cause, Cause::EncryptFailure);
        assert_eq!(failed.cause.code(), Some(13_866));
        assert_eq!(failed.point, FailurePoint::Local);
        net.finish();
    }
}

#[test]
fn a_lost_message_of_each_kind_is_made_good() {
    for lost in 1..=6 {
        let mut net = as_they_are();
        let mut count = 0;
        net.path = filtered(move |_| {
            count += 1;
            count != lost
        });
        net.up(A);
        net.run(Duration::from_secs(20));
        for host in &net.hosts {
            assert_eq!(host.of(4651).len(), 1, "message {lost}");
        }
        net.finish();
    }
}

#[test]
fn jobs_about_certificates_cross_a_border_between_processes_whole() {
    let sign = Job::Sign {
        credential: CERTIFICATE,
        sign: crypto::cert::Sign {
            method: crypto::cert::Method::Rsa,
            hash: vec![1; 20],
            requests: vec![Vec::new()],
        },
    };
    let bytes = serde_json::to_vec(&sign).unwrap();
    let back: Job = serde_json::from_slice(&bytes).unwrap();
    let side = pki::side(pki::LEFT, pki::CA);
    let mut keys = super::host::Keyring::default();
    keys.1.insert(CERTIFICATE, side);
    let (JobResult::Signed(here), JobResult::Signed(there)) = (sign.run(&keys), back.run(&keys))
    else {
        panic!("not signed");
    };
    assert_eq!(here, there);
    let refused = JobResult::PeerRefused {
        refusal: Refusal::new(crypto::cert::Fault::Expired, "over"),
        shown: Shown::default(),
        proven: true,
    };
    let bytes = serde_json::to_vec(&refused).unwrap();
    assert!(matches!(
        serde_json::from_slice(&bytes).unwrap(),
        JobResult::PeerRefused { proven: true, .. }
    ));
}
