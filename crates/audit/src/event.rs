//! What happened, as types; and how it becomes a record with Windows' fields and words.

mod driver;
mod main_mode;
mod quick_mode;

use std::net::IpAddr;
use std::path::PathBuf;

use crate::activity::ActivityId;
use crate::catalogue::spec;
use crate::cause::Cause;
use crate::policy::{Setting, Subcategory};
use crate::reason::Reason;
use crate::record::{Outcome, Record, StoredExtra};
use crate::subject::Subject;
use crate::text::{peer_text, printable};
use crate::words::Word;

pub use driver::{DropReason, PacketDropped};
pub use main_mode::{MainModeEnded, MainModeEstablished, MainModeFailed, MmCertificate, MmState};
pub use quick_mode::{
    IpsecSaDeleted, Mode, QmState, QuickModeEnded, QuickModeEstablished, QuickModeFailed,
    TrafficEnd,
};

/// The keying module: `KeyModName`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyMod {
    /// IKE version 1 (RFC 2409).
    IkeV1,
    /// AuthIP (\[MS-AIPS\]).
    AuthIp,
    /// IKE version 2 (RFC 7296).
    IkeV2,
}

impl KeyMod {
    /// As stored.
    pub fn word(self) -> Word {
        match self {
            KeyMod::IkeV1 => "%%8222",
            KeyMod::AuthIp => "%%8223",
            KeyMod::IkeV2 => "%%8244",
        }
    }
}

/// Our part in a negotiation: `Role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// We began.
    Initiator,
    /// The peer began.
    Responder,
}

impl Role {
    /// As stored.
    pub fn word(self) -> Word {
        match self {
            Role::Initiator => "%%8205",
            Role::Responder => "%%8206",
        }
    }
}

/// Who found the fault: `FailurePoint`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailurePoint {
    /// We did: our policy, or a check of ours that failed.
    Local,
    /// The peer did, and told us.
    Remote,
}

impl FailurePoint {
    /// As stored.
    pub fn word(self) -> Word {
        match self {
            FailurePoint::Local => "%%8199",
            FailurePoint::Remote => "%%8200",
        }
    }
}

/// How the two sides authenticate: `MMAuthMethod`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthMethod {
    /// No proposal is chosen yet.
    Unknown,
    /// A pre-shared key.
    PresharedKey,
    /// Kerberos.
    Kerberos,
    /// NTLM version 2.
    NtlmV2,
    /// Nobody.
    Anonymous,
    /// A cryptographically generated address (RFC 3972).
    Cga,
    /// RSA certificates.
    Certificate,
    /// TLS with RSA certificates (AuthIP).
    Ssl,
    /// ECDSA certificates on P-256.
    CertificateEcdsaP256,
    /// ECDSA certificates on P-384.
    CertificateEcdsaP384,
    /// TLS with ECDSA certificates on P-256 (AuthIP).
    SslEcdsaP256,
    /// TLS with ECDSA certificates on P-384 (AuthIP).
    SslEcdsaP384,
    /// EAP (IKE version 2).
    Eap,
}

impl AuthMethod {
    /// As stored.
    pub fn word(self) -> Word {
        match self {
            AuthMethod::Unknown => "%%8194",
            AuthMethod::PresharedKey => "%%8193",
            AuthMethod::Kerberos => "%%8192",
            AuthMethod::NtlmV2 => "%%8225",
            AuthMethod::Anonymous => "%%8224",
            AuthMethod::Cga => "%%8226",
            AuthMethod::Certificate => "%%8227",
            AuthMethod::Ssl => "%%8228",
            AuthMethod::CertificateEcdsaP256 => "%%8238",
            AuthMethod::CertificateEcdsaP384 => "%%8239",
            AuthMethod::SslEcdsaP256 => "%%8240",
            AuthMethod::SslEcdsaP384 => "%%8241",
            AuthMethod::Eap => "%%8247",
        }
    }
}

/// What 1105 names as the log that was archived.
const CHANNEL: &str = "Security";

/// The longest detail that goes into an advice, in characters: what a peer sent does not swell the
/// log without bound, and a sentence of this length still reads.
const MAX_DETAIL: usize = 300;
/// The longest name of a user that is kept, in characters.
const MAX_USER: usize = 253;

/// What this program knows beside Windows' fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extra {
    /// The name of the connection in the configuration.
    pub connection: Option<String>,
    /// The cause of an SA's end or of an invalid packet; a failure brings its own.
    pub cause: Option<Cause>,
    /// Advice in place of the cause's own.
    pub advice: Option<String>,
    /// What phase 1 was, beyond the words that Windows has for it.
    pub exchange: Option<&'static str>,
    /// The user that XAUTH named. Made printable, and cut to a name's length.
    pub user: Option<String>,
    /// What was seen. Made printable, cut to a sentence's length and appended to the advice, as
    /// only failures have one.
    pub detail: Option<String>,
}

/// 4976 and 4977: an invalid packet came in during Main Mode, or during Quick Mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidPacket {
    /// Our address.
    pub local: IpAddr,
    /// The address that the packet came from.
    pub remote: IpAddr,
    /// The keying module.
    pub key_mod: KeyMod,
}

/// Something that is to be audited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// 4646: DoS-prevention mode started or stopped.
    DosPrevention {
        /// It started.
        started: bool,
    },
    /// 4650.
    MainModeEstablished(MainModeEstablished),
    /// 4651: what a 4650 says, and the certificates. A side that proved itself without one is empty.
    MainModeEstablishedByCertificate {
        /// What a 4650 says.
        event: Box<MainModeEstablished>,
        /// Ours.
        local: MmCertificate,
        /// The peer's.
        remote: MmCertificate,
    },
    /// 4653.
    MainModeFailed(MainModeFailed),
    /// 4652: what a 4653 says, and the certificates that had been seen by then.
    MainModeFailedByCertificate {
        /// What a 4653 says.
        event: Box<MainModeFailed>,
        /// Ours.
        local: MmCertificate,
        /// The peer's.
        remote: MmCertificate,
    },
    /// 4655.
    MainModeEnded(MainModeEnded),
    /// 4976.
    InvalidPacket(InvalidPacket),
    /// 5451.
    QuickModeEstablished(QuickModeEstablished),
    /// 4654.
    QuickModeFailed(QuickModeFailed),
    /// 5452.
    QuickModeEnded(QuickModeEnded),
    /// 4977.
    InvalidQuickMode(InvalidPacket),
    /// 5049.
    IpsecSaDeleted(IpsecSaDeleted),
    /// 4960 to 4963, and 4965.
    PacketDropped(PacketDropped),
    /// 5478: the daemon started.
    ServicesStarted,
    /// 5479: the daemon shut down.
    ServicesStopped,
    /// 5453: a negotiation was needed and the keying service is not started.
    KeyingServiceAbsent,
    /// 4719: the setting of one subcategory changed.
    PolicyChanged {
        /// Who changed it.
        subject: Subject,
        /// What was changed.
        subcategory: Subcategory,
        /// The setting before; `None` is *Not configured*.
        old: Option<Setting>,
        /// The setting now.
        new: Option<Setting>,
    },
    /// 4612: so many events were discarded.
    AuditsDiscarded(u32),
    /// 1100: the log was closed.
    LogShutdown,
    /// 1102: the log was cleared.
    LogCleared {
        /// Who cleared it.
        subject: Subject,
    },
    /// 1104: the log is full.
    LogFull,
    /// 1105: a part of the log was archived.
    LogArchived {
        /// Where it is now.
        path: PathBuf,
    },
}

impl Event {
    /// The event's id.
    pub fn id(&self) -> u16 {
        match self {
            Event::DosPrevention { .. } => 4646,
            Event::MainModeEstablished(_) => 4650,
            Event::MainModeEstablishedByCertificate { .. } => 4651,
            Event::MainModeFailed(_) => 4653,
            Event::MainModeFailedByCertificate { .. } => 4652,
            Event::MainModeEnded(_) => 4655,
            Event::InvalidPacket(_) => 4976,
            Event::QuickModeEstablished(_) => 5451,
            Event::QuickModeFailed(_) => 4654,
            Event::QuickModeEnded(_) => 5452,
            Event::InvalidQuickMode(_) => 4977,
            Event::IpsecSaDeleted(_) => 5049,
            Event::PacketDropped(dropped) => dropped.why.event_id(),
            Event::ServicesStarted => 5478,
            Event::ServicesStopped => 5479,
            Event::KeyingServiceAbsent => 5453,
            Event::PolicyChanged { .. } => 4719,
            Event::AuditsDiscarded(_) => 4612,
            Event::LogShutdown => 1100,
            Event::LogCleared { .. } => 1102,
            Event::LogFull => 1104,
            Event::LogArchived { .. } => 1105,
        }
    }

    /// The Main Mode SA that was established, with a certificate (4651) or without (4650).
    pub fn main_mode_established(&self) -> Option<&MainModeEstablished> {
        match self {
            Event::MainModeEstablished(event) => Some(event),
            Event::MainModeEstablishedByCertificate { event, .. } => Some(event),
            _ => None,
        }
    }

    /// The Main Mode negotiation that failed, with certificates (4652) or without (4653).
    pub fn main_mode_failed(&self) -> Option<&MainModeFailed> {
        match self {
            Event::MainModeFailed(event) => Some(event),
            Event::MainModeFailedByCertificate { event, .. } => Some(event),
            _ => None,
        }
    }

    /// The record of this event: raw values in the manifest's order.
    ///
    /// `ReasonCode` and `Advice` go into the record of a failure alone; `PreviousHead` is the log's to
    /// add to a 1102.
    pub fn into_record(self, activity: Option<ActivityId>, extra: Extra) -> Record {
        let event_id = self.id();
        let cause = match &self {
            Event::MainModeFailed(failed) => Some(failed.cause),
            Event::MainModeFailedByCertificate { event, .. } => Some(event.cause),
            Event::QuickModeFailed(failed) => Some(failed.cause),
            _ => extra.cause,
        };
        let failure = spec(event_id).is_some_and(|event| event.outcome == Outcome::Failure);
        let stored = StoredExtra {
            connection: extra.connection,
            reason_code: cause.filter(|_| failure).map(|cause| reason(cause).0),
            cause: cause.map(|c| c.token().to_owned()),
            advice: cause
                .filter(|_| failure)
                .map(|cause| advice(cause, extra.advice, extra.detail.as_deref())),
            exchange: extra.exchange.map(str::to_owned),
            user: extra.user.map(|user| cut(&user, MAX_USER)),
            previous_head: None,
        };
        Record {
            event_id,
            activity,
            values: self.into_values(),
            extra: Some(stored).filter(|e| *e != StoredExtra::default()),
        }
    }

    fn into_values(self) -> Vec<String> {
        match self {
            Event::DosPrevention { started } => {
                vec![if started { "%%8214" } else { "%%8215" }.to_owned()]
            }
            Event::MainModeEstablished(event) => event.into_values(),
            Event::MainModeFailed(event) => event.into_values(),
            Event::MainModeEstablishedByCertificate {
                event,
                local,
                remote,
            } => main_mode::with_certificates(event.into_values(), local, remote),
            Event::MainModeFailedByCertificate {
                event,
                local,
                remote,
            } => main_mode::with_certificates(event.into_values(), local, remote),
            Event::MainModeEnded(event) => event.into_values(),
            Event::QuickModeEstablished(event) => event.into_values(),
            Event::QuickModeFailed(event) => event.into_values(),
            Event::QuickModeEnded(event) => event.into_values(),
            Event::IpsecSaDeleted(event) => event.into_values(),
            Event::InvalidPacket(event) | Event::InvalidQuickMode(event) => vec![
                event.local.to_string(),
                event.remote.to_string(),
                event.key_mod.word().to_owned(),
            ],
            Event::PacketDropped(event) => event.into_values(),
            Event::PolicyChanged {
                subject,
                subcategory,
                old,
                new,
            } => {
                let mut values = subject_values(subject);
                values.extend([
                    subcategory.category().word().to_owned(),
                    subcategory.word().to_owned(),
                    subcategory.guid().to_owned(),
                    policy_changes(old, new),
                ]);
                values
            }
            Event::AuditsDiscarded(count) => vec![count.to_string()],
            Event::LogCleared { subject } => subject_values(subject),
            Event::LogArchived { path } => {
                let path = peer_text(path.as_os_str().as_encoded_bytes());
                vec![CHANNEL.to_owned(), path]
            }
            Event::ServicesStarted
            | Event::ServicesStopped
            | Event::KeyingServiceAbsent
            | Event::LogShutdown
            | Event::LogFull => Vec::new(),
        }
    }
}

/// The Windows reason of a failure. Causes of an SA's end have none, and are not given here.
fn reason(cause: Cause) -> Reason {
    cause.reason().unwrap_or(Reason::UNKNOWN)
}

fn subject_values(subject: Subject) -> Vec<String> {
    vec![subject.sid, subject.user, subject.domain, subject.logon_id]
}

/// `AuditPolicyChanges`. *Not configured* audits as little as No Auditing: between the two there is
/// no change that Windows has a word for.
fn policy_changes(old: Option<Setting>, new: Option<Setting>) -> String {
    let (old, new) = (
        old.unwrap_or(Setting::NO_AUDITING),
        new.unwrap_or(Setting::NO_AUDITING),
    );
    let mut changes = Vec::new();
    match (old.success, new.success) {
        (true, false) => changes.push("%%8448"),
        (false, true) => changes.push("%%8449"),
        _ => {}
    }
    match (old.failure, new.failure) {
        (true, false) => changes.push("%%8450"),
        (false, true) => changes.push("%%8451"),
        _ => {}
    }
    if changes.is_empty() {
        changes.push("-");
    }
    changes.join(", ")
}

/// A text that a peer may have written, printable and of at most so many characters.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", printable(&text[..at])),
        None => printable(text).into_owned(),
    }
}

/// The advice of a failure: the one given, else the cause's own; then what was seen.
fn advice(cause: Cause, given: Option<String>, detail: Option<&str>) -> String {
    let mut advice = given.unwrap_or_else(|| cause.advice().to_owned());
    if let Some(detail) = detail {
        let seen = cut(detail, MAX_DETAIL);
        advice.push_str(" Seen: ");
        advice.push_str(&seen);
        if !seen.ends_with(['.', '…']) {
            advice.push('.');
        }
    }
    advice
}
