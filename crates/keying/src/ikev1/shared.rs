//! Steps that both roles of Main Mode take alike.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use audit::{Cause, Role};
use crypto::cert::Method as SignatureMethod;
use crypto::{CryptoError, Hash, Secret};
use isakmp::{Cookie, Datagram, ExchangeType, Identification, Payload, RawPayload};

use super::answers::Answers;
use super::authentication::Proves;
use super::certificates;
use super::messages::{IdentityMessage, Payloads, Unread, identification, open_identity};
use super::nat::{self, Nat};
use super::negotiation::{Failure, Negotiation, Route, Step};
use super::proposals::{Chosen, Lifetime};
use super::protection::{Keys, Proof};
use super::sa::{Configuring, ProvenBy, Sa, Volume};
use super::state::{Heard, Proving, State};
use super::unity::Nets;
use crate::config::{Connection, RemoteAddress};
use crate::core::Core;
use crate::endpoint::Party;
use crate::identity::{Identity, IdentityError};
use crate::inner::Inner;
use crate::io::{JobId, Output};
use crate::job::{Derive, Job, JobResult};
use crate::limits::{Bucket, CHECK_TIMEOUT, EXCHANGE_BURST, QUICK_BURST, REPLY_HOLD, after};

/// A public value of the wrong size is refused before a worker sees it.
pub(crate) fn check_key_exchange(chosen: &Chosen, public: &[u8]) -> Result<(), Failure> {
    let row = chosen.suite.group.row();
    if public.len() == row.public_len {
        return Ok(());
    }
    Err(Failure::local(Cause::KeInvalid).with(format!(
        "the peer's public value has {} bytes; {} are right for {}",
        public.len(),
        row.public_len,
        row.name
    )))
}

/// The key pair that a job made: public and private.
pub(crate) fn share_of(result: JobResult) -> Result<(Vec<u8>, Secret), Failure> {
    match result {
        JobResult::Share { public, private } => Ok((public, private)),
        JobResult::Failed(why) => Err(Failure::local(Cause::DhFailure).with(why)),
        _ => Err(Failure::local(Cause::DhFailure)),
    }
}

/// The keys, SKEYID and our public value that a derivation gave. The operator who asks for keys gets this one.
pub(crate) fn keys_of(
    core: &mut Core,
    n: &Negotiation,
    chosen: &Chosen,
    result: JobResult,
) -> Result<(Keys, Secret, Vec<u8>), Failure> {
    match result {
        JobResult::Derived {
            public,
            skeyid,
            d,
            a,
            e,
        } => {
            let (cipher, hash) = (chosen.suite.cipher, chosen.suite.hash);
            let cipher_key = crypto::cipher_key(hash, cipher, &e)?;
            if core.log_keys {
                core.out.push_back(Output::PhaseOneKey {
                    initiator_cookie: n.initiator_cookie,
                    key: cipher_key.clone(),
                });
            }
            Ok((
                Keys {
                    cipher,
                    hash,
                    d,
                    a,
                    cipher_key,
                },
                skeyid,
                public,
            ))
        }
        JobResult::BadPublicValue(why) => Err(Failure::local(Cause::KeInvalid).with(why)),
        JobResult::NoCredential => {
            Err(Failure::local(Cause::PolicyChanged)
                .with("the pre-shared key is not there any more"))
        }
        JobResult::Failed(why) => Err(Failure::local(Cause::DhFailure).with(why)),
        _ => Err(Failure::local(Cause::DhFailure)),
    }
}

/// An encrypted message of phase 1, and the block that it ends in.
pub(crate) fn sealed(
    n: &Negotiation,
    keys: &Keys,
    iv: &[u8],
    payloads: &[RawPayload],
) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
    let (first, chain) = isakmp::emit_chain(payloads);
    let ciphertext = keys.seal(iv, &chain)?;
    let message = isakmp::build::encrypted_message(n.header(n.exchange, 0), first, &ciphertext);
    Ok((message, keys.last_block(&ciphertext)))
}

/// Message 5 or 6, decrypted. Else what is to be done: nobody has proven anything then, so that it is evidence at
/// most.
pub(crate) fn read_identity(
    proving: &Proving,
    datagram: &Datagram<'_>,
    proves: Proves,
) -> Result<IdentityMessage, Unread> {
    open_identity(&proving.keys, &proving.iv, datagram, proves)
}

/// `HASH_I` or `HASH_R` of ours, over our ID payload (RFC 2409 section 5).
pub(crate) fn own_hash(n: &Negotiation, proving: &Proving) -> Result<Vec<u8>, CryptoError> {
    let (cookies, proves) = sides(n, proving)[0];
    Proof {
        skeyid: &proving.skeyid,
        own_public: &proving.own_public,
        other_public: &proving.peer_public,
        own_cookie: &cookies.0.0,
        other_cookie: &cookies.1.0,
        sa_body: &proving.sa_body,
        id_body: &identification(&proving.local_id).body,
    }
    .compute(hash_of(proves, proving))
}

/// `HASH_I` or `HASH_R` as the peer must have it.
pub(crate) fn peers_hash(
    n: &Negotiation,
    proving: &Proving,
    id_body: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    let (cookies, proves) = sides(n, proving)[1];
    Proof {
        skeyid: &proving.skeyid,
        own_public: &proving.peer_public,
        other_public: &proving.own_public,
        own_cookie: &cookies.0.0,
        other_cookie: &cookies.1.0,
        sa_body: &proving.sa_body,
        id_body,
    }
    .compute(hash_of(proves, proving))
}

/// Our side and the peer's: the cookies, its own first, and what it proves itself with.
fn sides(n: &Negotiation, proving: &Proving) -> [((Cookie, Cookie), Proves); 2] {
    let method = proving.chosen.method;
    let initiator = (n.cookies(), method.initiator);
    let responder = ((n.responder_cookie, n.initiator_cookie), method.responder);
    match n.role {
        Role::Initiator => [initiator, responder],
        Role::Responder => [responder, initiator],
    }
}

/// The hash whose HMAC makes a proof: some signatures bring their own (RFC 4754 section 4).
fn hash_of(proves: Proves, proving: &Proving) -> Hash {
    match proves {
        Proves::Psk | Proves::Hash => proving.keys.hash,
        Proves::Signature(method) => method.hash().unwrap_or(proving.keys.hash),
    }
}

/// The peer's hash has to be right.
pub(crate) fn check_hash(
    n: &Negotiation,
    proving: &Proving,
    message: &IdentityMessage,
) -> Result<(), Step> {
    let expected = peers_hash(n, proving, &message.id_body).map_err(Failure::from)?;
    if crypto::ct_eq(&expected, &message.proof) {
        return Ok(());
    }
    // In Main Mode a wrong key shows before that: the message does not decrypt.
    let by_key =
        n.exchange == ExchangeType::AGGRESSIVE && proving.chosen.method.initiator == Proves::Psk;
    let cause = if by_key {
        Cause::PskMismatch
    } else {
        Cause::HashMismatch
    };
    Err(Step::Evidence(Failure::local(cause)))
}

/// Has the peer's signature checked: the negotiation waits for that.
pub(crate) fn check_signature(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    proving: Box<Proving>,
    nat: Nat,
    method: SignatureMethod,
    heard: Heard,
) -> Step {
    let Some(connection) = n.connection.clone() else {
        return Failure::local(Cause::PolicyChanged).into();
    };
    let job = peers_hash(n, &proving, &heard.message.id_body)
        .map_err(Failure::from)
        .and_then(|hash| certificates::check(core, n, &connection, &proving, method, &heard, hash));
    match job {
        Ok(job) => {
            n.remote_name = Some(heard.message.said());
            n.deadline = Some(now + CHECK_TIMEOUT);
            n.state = State::CheckingPeer {
                job,
                proving,
                nat,
                heard: Box::new(heard),
            };
            Step::Stay
        }
        Err(failure) => failure.into(),
    }
}

/// Who we say we are.
pub(crate) fn own_identity(n: &Negotiation, connection: &Connection) -> Identity {
    let address = || Identity::from(n.route.local.ip());
    connection.local_id.clone().unwrap_or_else(address)
}

/// Our NAT-D payloads; none where the peer does not speak of NATs (RFC 3947 section 3.2).
pub(crate) fn nat_payloads(
    n: &Negotiation,
    chosen: &Chosen,
) -> Result<Vec<RawPayload>, CryptoError> {
    if !n.peer.nat_t {
        return Ok(Vec::new());
    }
    let force = n
        .connection
        .as_ref()
        .is_some_and(|connection| connection.force_encap);
    let Route { local, remote, .. } = n.route;
    let digests = nat::payloads(chosen.suite.hash, n.cookies(), local, remote, force)?;
    Ok(digests
        .into_iter()
        .map(|digest| Payload::NatD(digest).to_raw())
        .collect())
}

/// Which NATs a message that came this way tells of: none, where the peer does not speak of them.
pub(crate) fn detect_nat(
    n: &Negotiation,
    chosen: &Chosen,
    route: &Route,
    payloads: &Payloads,
) -> Result<Nat, CryptoError> {
    if !n.peer.nat_t {
        return Ok(Nat::default());
    }
    let hash = chosen.suite.hash;
    let told = payloads.nat_d();
    let found = nat::detect(hash, n.cookies(), route.local, route.remote, &told)?;
    Ok(found.unwrap_or_default())
}

/// Starts the job that derives the keys.
pub(crate) fn derive(
    core: &mut Core,
    n: &Negotiation,
    connection: &Connection,
    chosen: &Chosen,
    share: Option<(Vec<u8>, Secret)>,
    peer_public: Vec<u8>,
    nonces: [Vec<u8>; 2],
) -> Result<JobId, Failure> {
    let psk = match chosen.method.signature() {
        Some(_) => None,
        None => Some(
            connection
                .psk()
                .ok_or_else(|| Failure::local(Cause::PolicyChanged))?,
        ),
    };
    let [ni, nr] = nonces;
    let derive = Derive {
        group: chosen.suite.group,
        hash: chosen.suite.hash,
        share,
        peer_public,
        psk,
        ni,
        nr,
        initiator_cookie: n.initiator_cookie.0,
        responder_cookie: n.responder_cookie.0,
    };
    core.start_job(Party::Negotiation(n.id), Job::Derive(Box::new(derive)))
        .ok_or_else(|| Failure::local(Cause::QueueFull))
}

/// UDP's protocol number.
const UDP: u8 = 17;

/// Whether the proven identity is the one that the connection names.
pub(crate) fn check_identity(
    connection: &Connection,
    presented: &Identification,
    remote: IpAddr,
    nat: Nat,
) -> Result<Identity, Failure> {
    // RFC 2407 section 4.6.2: in phase 1 both are zero, or UDP and 500; behind a NAT peers name 4500.
    if !matches!(
        (presented.protocol, presented.port),
        (0, 0) | (UDP, 0 | 500 | 4500)
    ) {
        return Err(Failure::local(Cause::MalformedId).with(format!(
            "the identity is bound to protocol {} and port {}",
            presented.protocol, presented.port
        )));
    }
    let identity =
        Identity::from_payload(presented.id_type.0, &presented.data).map_err(|error| {
            let cause = match error {
                IdentityError::Unsupported(_) => Cause::UnsupportedIdentity,
                _ => Cause::MalformedId,
            };
            Failure::local(cause).with(error.to_string())
        })?;
    if accepts(connection, &identity, remote, nat) {
        return Ok(identity);
    }
    let wanted = match &connection.remote_id {
        Some(id) => id.to_string(),
        None => remote.to_string(),
    };
    Err(Failure::local(Cause::IdentityMismatch).with(format!(
        "the peer is {identity}; the connection names {wanted}"
    )))
}

/// An identity left out is the address, any address once a NAT was detected; where the address is any,
/// any identity will do.
pub(crate) fn accepts(
    connection: &Connection,
    identity: &Identity,
    remote: IpAddr,
    nat: Nat,
) -> bool {
    match (&connection.remote_id, &connection.remote_address) {
        (Some(id), _) => id.matches(identity),
        (None, RemoteAddress::Any) => true,
        (None, _) => identity
            .address()
            .is_some_and(|address| nat.any() || address == remote),
    }
}

/// The SA that a negotiation with both proofs makes.
#[expect(
    clippy::too_many_arguments,
    reason = "everything that the last state of a negotiation held"
)]
pub(crate) fn new_sa(
    core: &mut Core,
    n: &Negotiation,
    now: Instant,
    proving: &Proving,
    nat: Nat,
    last_block: Vec<u8>,
    connection: &Arc<Connection>,
    remote_id: Identity,
) -> Result<Sa, Failure> {
    let mmsa_id = core.mm_id().ok_or_else(|| {
        Failure::local(Cause::LogUnwritable).with("no Main Mode SA ID could be reserved on disk")
    })?;
    let lifetime = proving.chosen.effective_lifetime(Lifetime::of(connection));
    let part = core.rekey_part(n.role);
    // Whoever began keeps it up, whether the daemon or the operator asked for it. A client of remote access is not to be
    // asked.
    let alone = proving.chosen.outlasts(lifetime)
        && connection.xauth.is_none()
        && connection.mode_config.is_none();
    let replaces = n.role == Role::Initiator || connection.may_initiate || alone;
    let replace_at = replaces.then(|| after(now, lifetime.time.mul_f64(part)));
    Ok(Sa {
        mmsa_id,
        role: n.role,
        connection: connection.clone(),
        route: n.route,
        origin: n.origin,
        begun: n.begun,
        initiator_cookie: n.initiator_cookie,
        responder_cookie: n.responder_cookie,
        activity: n.activity,
        suite: proving.chosen.suite,
        keys: proving.keys.clone(),
        last_block,
        local_id: proving.local_id.clone(),
        remote_id,
        proven_by: ProvenBy {
            credential: proving.chosen.method.credential(connection),
            signed: proving.chosen.method.is_signed_by_peer_of(n.role),
        },
        peer: n.peer.clone(),
        behind_nat: nat.here,
        peer_behind_nat: nat.there,
        lifetime: lifetime.time,
        established: now,
        replace_at,
        volume: Volume::new(lifetime.bytes, replaces.then_some(part)),
        last_heard: now,
        probe: None,
        keepalive_at: (nat.here && n.route.marked).then(|| after(now, connection.nat_keepalive)),
        message_ids: BTreeSet::new(),
        exchanges: Bucket::new(now, EXCHANGE_BURST),
        duplicates: n.duplicates.clone(),
        reply_until: Some(now + REPLY_HOLD),
        fragment_id: n.fragment_id,
        answers: Answers::default(),
        asked: None,
        user: None,
        user_due: proving.chosen.method.xauth.is_some(),
        configuring: match connection.mode_config {
            Some(_) => Configuring::Awaited,
            None => Configuring::Done,
        },
        inner_local: Inner::default(),
        inner_remote: Inner::default(),
        nets: Nets::default(),
        done: BTreeMap::new(),
        quick_modes: Bucket::new(now, QUICK_BURST),
        retire_at: None,
        auto_at: None,
        again: BTreeMap::new(),
        unanswered: None,
        children_at: None,
    })
}

#[cfg(test)]
mod tests {
    use isakmp::IdType;

    use super::*;
    use crate::config::{Auth, CredentialId, Fragmentation, Retransmit};

    fn connection() -> Connection {
        Connection {
            name: "any".to_owned(),
            filter_id: 1,
            local_address: None,
            local_nat_port: 4500,
            remote_address: RemoteAddress::Any,
            remote_port: 500,
            remote_nat_port: 4500,
            local_id: None,
            remote_id: None,
            auth: vec![Auth::Psk(CredentialId(0))],
            xauth: None,
            mode_config: None,
            proposals: Vec::new(),
            lifetime: std::time::Duration::from_hours(1),
            lifetime_bytes: None,
            retransmit: Retransmit {
                tries: 1,
                first: std::time::Duration::from_secs(1),
                factor: 1.0,
            },
            half_open_timeout: std::time::Duration::from_secs(30),
            evidence_hold: std::time::Duration::from_secs(5),
            dpd: None,
            fragmentation: Fragmentation::Yes,
            fragment_size: 1280,
            force_encap: false,
            may_initiate: false,
            nat_keepalive: std::time::Duration::from_secs(20),
            initiator_only: false,
            aggressive: false,
            children: Vec::new(),
        }
    }

    #[test]
    fn an_identity_is_bound_to_nothing_or_to_ikes_own_ports() {
        let remote: IpAddr = "192.0.2.1".parse().unwrap();
        let check = |protocol, port| {
            let presented = Identification {
                id_type: IdType::IPV4_ADDR,
                protocol,
                port,
                data: vec![192, 0, 2, 1],
            };
            check_identity(&connection(), &presented, remote, Nat::default())
        };
        for (protocol, port) in [(0, 0), (17, 0), (17, 500), (17, 4500)] {
            assert!(check(protocol, port).is_ok(), "{protocol}/{port}");
        }
        for (protocol, port) in [(0, 500), (6, 0), (6, 77), (17, 501), (255, 65_535)] {
            let failure = check(protocol, port).unwrap_err();
            assert_eq!(failure.cause, Cause::MalformedId, "{protocol}/{port}");
        }
    }
}
