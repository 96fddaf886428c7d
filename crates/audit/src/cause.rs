//! Why it happened, in this program's own words: one cause, one token.
//!
//! Windows' codes are few, and several causes share one. The cause stands in `Extra` beside the
//! code, and its row in the table here is what `explain`, the events and the documentation say.

mod table;

use std::fmt;

use crate::reason::Reason;

pub(crate) use table::CAUSES;

/// An error notification of a peer that has no cause of its own (RFC 2408 3.14.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum NotifyErr {
    /// INVALID-PAYLOAD-TYPE.
    InvalidPayloadType = 1,
    /// DOI-NOT-SUPPORTED.
    DoiNotSupported = 2,
    /// SITUATION-NOT-SUPPORTED.
    SituationNotSupported = 3,
    /// INVALID-COOKIE.
    InvalidCookie = 4,
    /// INVALID-MAJOR-VERSION.
    InvalidMajorVersion = 5,
    /// INVALID-MINOR-VERSION.
    InvalidMinorVersion = 6,
    /// INVALID-EXCHANGE-TYPE.
    InvalidExchangeType = 7,
    /// INVALID-FLAGS.
    InvalidFlags = 8,
    /// INVALID-MESSAGE-ID.
    InvalidMessageId = 9,
    /// INVALID-PROTOCOL-ID.
    InvalidProtocolId = 10,
    /// INVALID-SPI.
    InvalidSpi = 11,
    /// INVALID-TRANSFORM-ID.
    InvalidTransformId = 12,
    /// ATTRIBUTES-NOT-SUPPORTED.
    AttributesNotSupported = 13,
    /// BAD-PROPOSAL-SYNTAX.
    BadProposalSyntax = 15,
    /// PAYLOAD-MALFORMED.
    PayloadMalformed = 16,
    /// INVALID-KEY-INFORMATION.
    InvalidKeyInformation = 17,
    /// INVALID-ID-INFORMATION.
    InvalidIdInformation = 18,
    /// INVALID-CERT-ENCODING.
    InvalidCertEncoding = 19,
    /// INVALID-CERTIFICATE.
    InvalidCertificate = 20,
    /// CERT-TYPE-UNSUPPORTED.
    CertTypeUnsupported = 21,
    /// INVALID-CERT-AUTHORITY.
    InvalidCertAuthority = 22,
    /// INVALID-SIGNATURE.
    InvalidSignature = 25,
    /// ADDRESS-NOTIFICATION.
    AddressNotification = 26,
    /// NOTIFY-SA-LIFETIME.
    NotifySaLifetime = 27,
    /// CERTIFICATE-UNAVAILABLE.
    CertificateUnavailable = 28,
    /// UNSUPPORTED-EXCHANGE-TYPE.
    UnsupportedExchangeType = 29,
    /// UNEQUAL-PAYLOAD-LENGTHS.
    UnequalPayloadLengths = 30,
}

/// Why a negotiation failed, an SA ended, or a packet was invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The peer did not answer the first message.
    NoAnswer,
    /// The peer answered message 1 and then nothing to message 3.
    SilenceAfterMessage2,
    /// The peer answered message 3 and then nothing to message 5.
    SilenceAfterMessage4,
    /// The peer proposed, we answered, and its message 3 never came.
    SilenceAfterMessage1,
    /// The peer sent its key exchange, we answered, and its message 5 never came.
    SilenceAfterMessage3,
    /// The pre-shared keys of the two sides differ.
    PskMismatch,
    /// The peer refused our proof of identity.
    AuthenticationRefused,
    /// The keys agree, but the hash of the peer is wrong.
    HashMismatch,
    /// Nothing that the peer proposes is allowed here.
    NoAcceptableProposal,
    /// The peer answered NO-PROPOSAL-CHOSEN.
    NoProposalChosen,
    /// The peer chose something that we did not offer.
    ProposalAltered,
    /// No connection here covers the address of the peer.
    NoConnection,
    /// The connection for this peer does not allow this keying module.
    KeyingModuleRefused,
    /// The peer asked for Aggressive Mode.
    AggressiveModeRefused,
    /// The peer proved the key, but gave an identity that the connection does not name.
    IdentityMismatch,
    /// The peer sent a type of identity that is not known here.
    UnsupportedIdentity,
    /// The peer proposes only ciphers that the policy refuses.
    CipherRefused,
    /// The peer proposes only hashes that the policy refuses.
    HashRefused,
    /// The peer proposes only Diffie-Hellman groups that the policy refuses.
    GroupRefused,
    /// The peer proposes only methods of authentication that the connection does not have.
    AuthMethodRefused,
    /// The peer speaks for another domain of interpretation than IPsec.
    UnknownDoi,
    /// The peer asks for labelled security, which RFC 2407 allows and nobody uses.
    UnknownSituation,
    /// The Diffie-Hellman value of the peer is of wrong size, out of range or not on the curve.
    KeInvalid,
    /// The peer proved the key, but an SA payload in its message is missing, doubled or broken.
    MalformedSa,
    /// The peer proved the key, but a Proposal payload in its message is missing, doubled or broken.
    MalformedProposal,
    /// The peer proved the key, but a Transform payload in its message is missing, doubled or broken.
    MalformedTransform,
    /// The peer proved the key, but a KE payload in its message is missing, doubled or broken.
    MalformedKe,
    /// The peer proved the key, but an ID payload in its message is missing, doubled or broken.
    MalformedId,
    /// The peer proved the key, but a Certificate payload in its message is missing, doubled or broken.
    MalformedCert,
    /// The peer proved the key, but a Certificate Request payload in its message is missing, doubled or broken.
    MalformedCertRequest,
    /// The peer proved the key, but a Hash payload in its message is missing, doubled or broken.
    MalformedHash,
    /// The peer proved the key, but a Signature payload in its message is missing, doubled or broken.
    MalformedSig,
    /// The peer proved the key, but a Nonce payload in its message is missing, doubled or broken.
    MalformedNonce,
    /// The peer proved the key, but a Notify payload in its message is missing, doubled or broken.
    MalformedNotify,
    /// The peer proved the key, but a Delete payload in its message is missing, doubled or broken.
    MalformedDelete,
    /// The peer proved the key, but a Vendor ID payload in its message is missing, doubled or broken.
    MalformedVendor,
    /// The peer proved the key, but a payload in its message is missing, doubled or broken.
    MalformedPayload,
    /// The peer deleted the SA before it was established.
    DeletedEarly,
    /// The connection was brought down here while it was negotiating.
    StoppedByOperator,
    /// The configuration changed while this was negotiating.
    PolicyChanged,
    /// The daemon shut down while this was negotiating.
    ShuttingDown,
    /// Too many negotiations were half-open.
    TooManyHalfOpen,
    /// This peer begins negotiations faster than it is allowed to.
    RateLimited,
    /// The computation for this negotiation took too long.
    WorkerTimeout,
    /// Too many computations were waiting.
    QueueFull,
    /// Our own Diffie-Hellman computation failed.
    DhFailure,
    /// Our own encryption failed.
    EncryptFailure,
    /// Memory ran out.
    OutOfMemory,
    /// The event could not be written, and the log must be written first.
    LogUnwritable,
    /// The peer sent this error notification.
    PeerNotify(NotifyErr),
    /// The peer sent an error notification that RFC 2408 does not name.
    PeerNotifyOther,
    /// 4655: its lifetime ended.
    Expired,
    /// 4655: the peer deleted it.
    DeletedByPeer,
    /// 4655: it was brought down here.
    DeletedByOperator,
    /// 4655: a new SA with the same peer took its place.
    Replaced,
    /// 4655: the peer stopped answering.
    PeerDead,
    /// 4655: the daemon shut down.
    Shutdown,
    /// 4655: it was alive when the daemon died; this was found at the next start.
    OrphanedByCrash,
    /// 4976: a packet that does not parse.
    PacketMalformed,
    /// 4976: a well-formed packet that this negotiation does not expect.
    PacketOutOfPlace,
    /// 4976: a packet that was changed on its way, or was made by somebody without the key.
    PacketTampered,
    /// 4976: an old packet that was sent again.
    PacketReplayed,
}

/// A row of the table of causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CauseRow {
    /// The cause.
    pub cause: Cause,
    /// Its token in kebab-case: `Extra.Cause`.
    pub token: &'static str,
    /// The Windows code of `FailureReason`; `None` for causes of 4655 and 4976.
    pub code: Option<u32>,
    /// What happened, as the end of a sentence.
    pub title: &'static str,
    /// What to change.
    pub advice: &'static str,
}

impl Cause {
    /// Every cause, in the order of the table.
    pub const ALL: &'static [Cause] = &{
        let mut all = [Cause::NoAnswer; CAUSES.len()];
        let mut i = 0;
        while i < all.len() {
            all[i] = CAUSES[i].cause;
            i += 1;
        }
        all
    };

    /// The cause's row.
    pub fn row(self) -> &'static CauseRow {
        CAUSES
            .iter()
            .find(|row| row.cause == self)
            .expect("a test shows that every cause has its row")
    }

    /// The token in kebab-case.
    pub fn token(self) -> &'static str {
        self.row().token
    }

    /// The Windows code, for causes of a failure.
    pub fn code(self) -> Option<u32> {
        self.row().code
    }

    /// The Windows reason, for causes of a failure.
    pub fn reason(self) -> Option<Reason> {
        self.code().map(Reason)
    }

    /// What happened, as the end of a sentence.
    pub fn title(self) -> &'static str {
        self.row().title
    }

    /// What to change.
    pub fn advice(self) -> &'static str {
        self.row().advice
    }

    /// The events that can carry this cause.
    pub fn event_ids(self) -> &'static [u16] {
        match self {
            Cause::Expired
            | Cause::DeletedByPeer
            | Cause::DeletedByOperator
            | Cause::Replaced
            | Cause::PeerDead
            | Cause::Shutdown
            | Cause::OrphanedByCrash => &[4655],
            Cause::PacketMalformed
            | Cause::PacketOutOfPlace
            | Cause::PacketTampered
            | Cause::PacketReplayed => &[4976],
            _ => &[4652, 4653],
        }
    }

    /// Title and advice, as two sentences.
    pub fn explain(self) -> String {
        let row = self.row();
        let mut title = row.title.chars();
        let first = title.next().map(|c| c.to_ascii_uppercase());
        format!(
            "{}{}. {}",
            first.unwrap_or_default(),
            title.as_str(),
            row.advice
        )
    }

    /// The cause of that token.
    pub fn from_token(token: &str) -> Option<Cause> {
        CAUSES
            .iter()
            .find(|row| row.token == token)
            .map(|row| row.cause)
    }

    /// The cause that an error notification of the peer stands for (RFC 2408 3.14.1).
    ///
    /// It goes by the number alone. A PAYLOAD-MALFORMED that answers message 5 in readable form is
    /// [`Cause::AuthenticationRefused`]: only the negotiation knows what it answers.
    pub fn from_peer_notify(notify: u16) -> Cause {
        match notify {
            14 => Cause::NoProposalChosen,
            23 | 24 => Cause::AuthenticationRefused,
            _ => CAUSES
                .iter()
                .map(|row| row.cause)
                .find(|cause| matches!(cause, Cause::PeerNotify(n) if *n as u16 == notify))
                .unwrap_or(Cause::PeerNotifyOther),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_cause_has_one_token_and_is_found_by_it() {
        let mut seen = HashSet::new();
        for &cause in Cause::ALL {
            let token = cause.token();
            assert!(seen.insert(token), "{token} twice");
            assert_eq!(Cause::from_token(token), Some(cause));
            assert!(
                token
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{token} is not kebab-case"
            );
        }
        assert_eq!(Cause::from_token("sunspots"), None);
    }

    #[test]
    fn a_cause_has_a_listed_code_exactly_when_it_is_of_a_failure() {
        for &cause in Cause::ALL {
            let failure = cause.event_ids().contains(&4653);
            assert_eq!(cause.code().is_some(), failure, "{cause}");
            if let Some(reason) = cause.reason() {
                assert!(reason.symbol().is_some(), "{cause}");
            }
        }
    }

    #[test]
    fn every_error_notification_has_a_cause() {
        for notify in 1..=30 {
            let cause = Cause::from_peer_notify(notify);
            assert_ne!(cause, Cause::PeerNotifyOther, "{notify}");
            if let Cause::PeerNotify(name) = cause {
                assert_eq!(name as u16, notify);
            }
        }
        assert_eq!(Cause::from_peer_notify(14), Cause::NoProposalChosen);
        assert_eq!(Cause::from_peer_notify(24), Cause::AuthenticationRefused);
        for notify in [0, 31, 8191, 8192, 24_578, u16::MAX] {
            assert_eq!(Cause::from_peer_notify(notify), Cause::PeerNotifyOther);
        }
    }

    #[test]
    fn the_advice_for_no_proposal_chosen_names_both_reasons() {
        let advice = Cause::NoProposalChosen.advice();
        assert!(advice.contains("proposals"), "{advice}");
        assert!(advice.contains("no connection for our address"), "{advice}");
    }

    #[test]
    fn every_advice_is_whole_sentences() {
        for &cause in Cause::ALL {
            assert!(cause.advice().ends_with('.'), "{cause}");
            assert!(!cause.title().ends_with('.'), "{cause}");
            assert!(
                cause.title().starts_with(char::is_lowercase) || cause.token().starts_with("peer")
            );
        }
    }
}
