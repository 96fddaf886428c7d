//! What the two are: their keys, certificates and user, the connection of each and its child.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crypto::Secret;
use crypto::cert::Evidence;
use isakmp::unity::Net;

use super::Proof;
use crate::child::{Child, Mode, SelectorConfig};
use crate::config::{
    Auth, ConfigClient, ConfigServer, Connection, CredentialId, Dpd, Fragmentation, ModeConfig,
    RemoteAddress, Retransmit, Signatures, Xauth,
};
use crate::inner::Pool;
use crate::job::{Credentials, SignatureCredentials, User};
use crate::pki;
use crate::selector::Selector;
/// The pre-shared key of both, the certificates of each, and the user.
#[derive(Clone, Debug)]
pub(super) struct Keyring(Secret, [SignatureCredentials; 2], [User; 1]);

const SHARED: CredentialId = CredentialId(0);
const USERS: CredentialId = CredentialId(3);
const USER: &str = "carol";

/// The handle of a side's certificate.
fn certificate(host: usize) -> CredentialId {
    CredentialId(if host == 0 { 1 } else { 2 })
}

impl Keyring {
    pub(super) fn of_both() -> Self {
        Keyring(
            Secret::new(b"an open secret".to_vec()),
            pki::both().clone(),
            [User {
                name: USER.to_owned(),
                password: Secret::new(b"another".to_vec()),
            }],
        )
    }
}

impl Credentials for Keyring {
    fn preshared_key(&self, _: CredentialId) -> Option<&Secret> {
        Some(&self.0)
    }

    fn signatures(&self, id: CredentialId) -> Option<&SignatureCredentials> {
        [0, 1]
            .into_iter()
            .find(|host| certificate(*host) == id)
            .and_then(|host| self.1.get(host))
    }

    fn users(&self, id: CredentialId) -> Option<&[User]> {
        (id == USERS).then_some(&self.2)
    }

    fn fetched(&self) -> Arc<Evidence> {
        Arc::default()
    }

    fn at(&self) -> i64 {
        pki::AT
    }
}
pub(super) fn address(host: usize) -> IpAddr {
    IpAddr::from([192, 0, 2, if host == 0 { 1 } else { 2 }])
}

pub(super) fn connection(host: usize, fragment_size: Option<usize>, proof: Proof) -> Connection {
    let auth = match proof {
        Proof::Psk | Proof::AggressivePsk | Proof::User => Auth::Psk(SHARED),
        Proof::Certificates | Proof::AggressiveCertificates => {
            Auth::Signatures(pki::signatures(certificate(host)))
        }
        Proof::Hybrid => Auth::Signatures(Signatures {
            hybrid: true,
            ..pki::signatures(certificate(host))
        }),
    };
    let fragmentation = match fragment_size {
        Some(_) => Fragmentation::Force,
        None => Fragmentation::Yes,
    };
    Connection {
        xauth: proof.has_user().then(|| xauth(host)),
        mode_config: proof
            .has_user()
            .then(|| mode_config(host, proof == Proof::Hybrid)),
        name: "peer".to_owned(),
        filter_id: 1,
        local_address: None,
        local_nat_port: 4500,
        remote_address: RemoteAddress::Host(address(1 - host)),
        remote_port: 500,
        remote_nat_port: 4500,
        local_id: None,
        remote_id: None,
        auth: vec![auth],
        proposals: ["aes128-sha256-x25519", "aes256-sha1-x25519"]
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect(),
        lifetime: Duration::from_mins(10),
        lifetime_bytes: None,
        retransmit: Retransmit {
            tries: 2,
            first: Duration::from_secs(2),
            factor: 1.5,
        },
        half_open_timeout: Duration::from_secs(20),
        evidence_hold: Duration::from_secs(5),
        dpd: Some(Dpd {
            delay: Duration::from_mins(1),
            timeout: Duration::from_mins(3),
        }),
        fragmentation,
        // Whole, with certificates too, unless cutting is what is tried.
        fragment_size: fragment_size.unwrap_or(4_000),
        force_encap: false,
        may_initiate: true,
        nat_keepalive: Duration::from_secs(20),
        initiator_only: false,
        aggressive: matches!(proof, Proof::AggressivePsk | Proof::AggressiveCertificates),
        children: vec![Arc::new(child(host, proof))],
    }
}

/// The first is the client.
fn xauth(host: usize) -> Xauth {
    if host == 0 {
        return Xauth::Client(USERS);
    }
    Xauth::Server {
        users: USERS,
        names: vec![USER.to_owned()],
    }
}

/// The first is the client, and there is one address.
fn mode_config(host: usize, push: bool) -> ModeConfig {
    if host == 0 {
        return ModeConfig::Client(ConfigClient {
            v4: true,
            v6: true,
            unity: true,
            push,
        });
    }
    let address = IpAddr::from([10, 3, 0, 1]);
    ModeConfig::Server(ConfigServer {
        pools: vec![Pool {
            name: "clients".to_owned(),
            first: address,
            last: address,
        }],
        dns: vec![IpAddr::from([10, 2, 0, 53])],
        nbns: Vec::new(),
        split_include: Net::new([10, 2, 0, 0].into(), 16).into_iter().collect(),
        local_lan: Net::new([10, 2, 9, 0].into(), 24).into_iter().collect(),
        push,
    })
}

/// What both protect: a net behind each, or the address that the first was given.
pub(super) fn child(host: usize, proof: Proof) -> Child {
    let net = |host: usize| {
        if host == 0 && proof.has_user() {
            return vec![SelectorConfig::Dynamic {
                protocol: 0,
                port: 0,
            }];
        }
        let network = IpAddr::from([10, if host == 0 { 1 } else { 2 }, 0, 0]);
        vec![SelectorConfig::Fixed(Selector::subnet(network, 16))]
    };
    Child {
        name: "net".to_owned(),
        filter_id: 1,
        local: net(host),
        remote: net(1 - host),
        mode: Mode::Tunnel,
        proposals: ["aes128gcm16-x25519", "aes256-sha256-x25519", "ah-sha256"]
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect(),
        compress: true,
        lifetime: Duration::from_mins(2),
        lifetime_bytes: None,
        lifetime_packets: None,
        replay_window: 64,
        auto: false,
        plane: String::new(),
    }
}
