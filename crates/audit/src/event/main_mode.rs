//! What happened in Main Mode: its negotiations, and the SAs that they make.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{AuthMethod, FailurePoint, KeyMod, Role, reason};
use crate::cause::Cause;
use crate::words::Word;

/// `MMImpersonationState`: Main Mode never runs in the name of a user here.
const NOT_IMPERSONATED: Word = "%%8217";

/// The last message of Main Mode that we sent, in either role: `State`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MmState {
    /// None yet.
    None,
    /// The first, with the SA payload.
    SentFirst,
    /// The second, with the KE payload.
    SentSecond,
    /// The third, with the ID payload.
    SentThird,
}

impl MmState {
    /// As stored.
    pub fn word(self) -> Word {
        match self {
            MmState::None => "%%8201",
            MmState::SentFirst => "%%8202",
            MmState::SentSecond => "%%8203",
            MmState::SentThird => "%%8204",
        }
    }
}

/// 4650: a Main Mode SA was established without a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MainModeEstablished {
    /// The identity that we sent.
    pub local_name: Option<String>,
    /// The identity that the peer sent.
    pub remote_name: Option<String>,
    /// Our address, and the port of the last datagram that we sent.
    pub local: SocketAddr,
    /// The peer's address, and the port of the last datagram that we sent.
    pub remote: SocketAddr,
    /// The keying module.
    pub key_mod: KeyMod,
    /// How the two sides authenticated.
    pub auth: AuthMethod,
    /// The cipher, as stored: `%%8237`.
    pub cipher: Word,
    /// The hash, as stored: `%%8242`.
    pub integrity: Word,
    /// The Diffie-Hellman group, as stored: `%%8232`.
    pub group: Word,
    /// The SA's lifetime; written in minutes, rounded up.
    pub lifetime: Duration,
    /// How many Quick Modes it may carry, 0 for no limit.
    pub qm_limit: u32,
    /// Our part in it.
    pub role: Role,
    /// The number kept for the connection's name, 0 without one.
    pub filter_id: u64,
    /// The SA's number.
    pub mmsa_id: u64,
}

/// The certificate of one side, as 4651 and 4652 name it. What is not known is left out: a root, when the
/// chain did not reach one; everything, when the side showed no certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MmCertificate {
    /// The SHA-1 over its DER, in hexadecimal.
    pub thumbprint: Option<String>,
    /// The name of the CA that issued it.
    pub issuing_ca: Option<String>,
    /// The name of the CA that the chain ends in.
    pub root_ca: Option<String>,
}

/// 4653: a Main Mode negotiation without certificates failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MainModeFailed {
    /// The identity that we sent, if we did.
    pub local_name: Option<String>,
    /// The identity that the peer sent, once it was decrypted.
    pub remote_name: Option<String>,
    /// Our address, and the port of the last datagram that we sent, else of the first one.
    pub local: SocketAddr,
    /// The peer's address, and the port of the last datagram that we sent, else of the first one.
    pub remote: SocketAddr,
    /// The keying module.
    pub key_mod: KeyMod,
    /// Who found the fault.
    pub point: FailurePoint,
    /// Why it failed.
    pub cause: Cause,
    /// How the two sides meant to authenticate; unknown until a proposal is chosen.
    pub auth: AuthMethod,
    /// The last message that we sent.
    pub state: MmState,
    /// Our part in it.
    pub role: Role,
    /// The number kept for the connection's name, 0 without one.
    pub filter_id: u64,
    /// The initiator's cookie, zeros when not known yet.
    pub initiator_cookie: [u8; 8],
    /// The responder's cookie, zeros when not known yet.
    pub responder_cookie: [u8; 8],
}

/// 4655: a Main Mode SA ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MainModeEnded {
    /// Our address.
    pub local: IpAddr,
    /// The peer's address.
    pub remote: IpAddr,
    /// The keying module.
    pub key_mod: KeyMod,
    /// The SA's number, as in its 4650.
    pub mmsa_id: u64,
}

impl MainModeEstablished {
    pub(super) fn into_values(self) -> Vec<String> {
        vec![
            name(self.local_name),
            name(self.remote_name),
            self.local.ip().to_string(),
            self.local.port().to_string(),
            self.remote.ip().to_string(),
            self.remote.port().to_string(),
            self.key_mod.word().to_owned(),
            self.auth.word().to_owned(),
            self.cipher.to_owned(),
            self.integrity.to_owned(),
            self.group.to_owned(),
            minutes(self.lifetime).to_string(),
            self.qm_limit.to_string(),
            self.role.word().to_owned(),
            NOT_IMPERSONATED.to_owned(),
            self.filter_id.to_string(),
            self.mmsa_id.to_string(),
        ]
    }
}

impl MainModeFailed {
    pub(super) fn into_values(self) -> Vec<String> {
        vec![
            name(self.local_name),
            name(self.remote_name),
            self.local.ip().to_string(),
            self.local.port().to_string(),
            self.remote.ip().to_string(),
            self.remote.port().to_string(),
            self.key_mod.word().to_owned(),
            self.point.word().to_owned(),
            reason(self.cause).text().to_owned(),
            self.auth.word().to_owned(),
            self.state.word().to_owned(),
            self.role.word().to_owned(),
            NOT_IMPERSONATED.to_owned(),
            self.filter_id.to_string(),
            cookie(self.initiator_cookie),
            cookie(self.responder_cookie),
        ]
    }
}

/// How many of the manifest's fields of 4650 and 4653 come before a certificate of our own: the local name.
const LOCAL_CERTIFICATE_AT: usize = 1;

/// The same for the peer's certificate: both names.
const REMOTE_CERTIFICATE_AT: usize = 2;

/// The values of a 4651 or 4652, which are those of a 4650 or 4653 with each side's certificate after its name.
pub(super) fn with_certificates(
    mut values: Vec<String>,
    local: MmCertificate,
    remote: MmCertificate,
) -> Vec<String> {
    let fields = |side: MmCertificate| [side.thumbprint, side.issuing_ca, side.root_ca].map(name);
    values.splice(REMOTE_CERTIFICATE_AT..REMOTE_CERTIFICATE_AT, fields(remote));
    values.splice(LOCAL_CERTIFICATE_AT..LOCAL_CERTIFICATE_AT, fields(local));
    values
}

impl MainModeEnded {
    pub(super) fn into_values(self) -> Vec<String> {
        vec![
            self.local.to_string(),
            self.remote.to_string(),
            self.key_mod.word().to_owned(),
            self.mmsa_id.to_string(),
        ]
    }
}

/// An absent text is `-`.
fn name(name: Option<String>) -> String {
    name.unwrap_or_else(|| "-".to_owned())
}

/// Whole minutes, rounded up.
fn minutes(lifetime: Duration) -> u64 {
    let seconds = lifetime.as_secs() + u64::from(lifetime.subsec_nanos() > 0);
    seconds.div_ceil(60)
}

/// 16 hex digits in lower case.
fn cookie(cookie: [u8; 8]) -> String {
    format!("{:016x}", u64::from_be_bytes(cookie))
}
