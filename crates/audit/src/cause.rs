//! Why it happened, in this program's own words: one cause, one token.
//!
//! Windows' codes are few, and several causes share one. The cause stands in `Extra` beside the
//! code, and its row in the table here is what `explain`, the events and the documentation say.

mod table;

use std::fmt;

use crate::reason::Reason;

pub(crate) use table::CAUSES;
pub use table::{Cause, NotifyErr};

/// A row of the table of causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CauseRow {
    /// The cause.
    pub cause: Cause,
    /// Its token in kebab-case: `Extra.Cause`.
    pub token: &'static str,
    /// The Windows code of `FailureReason`; `None` for causes of an SA's end and of an invalid packet.
    pub code: Option<u32>,
    /// The events that can carry it.
    pub events: &'static [u16],
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
    #[allow(
        clippy::missing_panics_doc,
        reason = "every cause has its row: both are made of one list"
    )]
    pub fn row(self) -> &'static CauseRow {
        CAUSES
            .iter()
            .find(|row| row.cause == self)
            .expect("the types and the table are made of one list")
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
        self.row().events
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

    /// The cause that an error notification of the peer stands for in Main Mode (RFC 2408 3.14.1).
    ///
    /// It goes by the number alone. A PAYLOAD-MALFORMED that answers message 5 in readable form is
    /// [`Cause::AuthenticationRefused`]: only the negotiation knows what it answers.
    pub fn from_peer_notify(notify: u16) -> Cause {
        match notify {
            14 => Cause::NoProposalChosen,
            23 | 24 => Cause::AuthenticationRefused,
            _ => Self::from_other_notify(notify),
        }
    }

    /// The same before we have sent a proof of our identity: what says that a hash or an authentication failed is then
    /// told as what the peer said, not as a refusal of that proof.
    pub fn from_early_notify(notify: u16) -> Cause {
        match notify {
            23 | 24 => Self::from_other_notify(notify),
            _ => Self::from_peer_notify(notify),
        }
    }

    /// The cause that an error notification of the peer stands for in Quick Mode, where an ID is a
    /// traffic selector (RFC 2409 5.5) and who the peer is has long been settled.
    pub fn from_quick_mode_notify(notify: u16) -> Cause {
        match notify {
            14 => Cause::EspNotChosen,
            18 => Cause::SelectorsRefusedByPeer,
            23 | 24 => Cause::HashRefusedByPeer,
            _ => Self::from_other_notify(notify),
        }
    }

    fn from_other_notify(notify: u16) -> Cause {
        CAUSES
            .iter()
            .map(|row| row.cause)
            .find(|cause| matches!(cause, Cause::PeerNotify(n) if *n as u16 == notify))
            .unwrap_or(Cause::PeerNotifyOther)
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
            let ids = cause.event_ids();
            let failure = [4652, 4653, 4654].iter().any(|id| ids.contains(id));
            assert_eq!(cause.code().is_some(), failure, "{cause}");
            if let Some(reason) = cause.reason() {
                assert!(reason.symbol().is_some(), "{cause}");
            }
        }
    }

    #[test]
    fn every_error_notification_has_a_cause() {
        for (from, event) in [
            (Cause::from_peer_notify as fn(u16) -> Cause, 4653),
            (Cause::from_early_notify, 4653),
            (Cause::from_quick_mode_notify, 4654),
        ] {
            for notify in 1..=30 {
                let cause = from(notify);
                assert_ne!(cause, Cause::PeerNotifyOther, "{notify}");
                assert!(cause.event_ids().contains(&event), "{cause}");
                if let Cause::PeerNotify(name) = cause {
                    assert_eq!(name as u16, notify);
                }
            }
        }
        assert_eq!(Cause::from_peer_notify(14), Cause::NoProposalChosen);
        assert_eq!(Cause::from_peer_notify(24), Cause::AuthenticationRefused);
        let early = Cause::from_early_notify;
        assert_eq!(early(23).token(), "peer-invalid-hash-information");
        assert_eq!(early(24).token(), "peer-authentication-failed");
        let quick = Cause::from_quick_mode_notify;
        assert_eq!(quick(14), Cause::EspNotChosen);
        assert_eq!(quick(18), Cause::SelectorsRefusedByPeer);
        for notify in [0, 31, 7777, 8191, 8192, 24_578, u16::MAX] {
            assert_eq!(Cause::from_peer_notify(notify), Cause::PeerNotifyOther);
            assert_eq!(Cause::from_early_notify(notify), Cause::PeerNotifyOther);
            assert_eq!(quick(notify), Cause::PeerNotifyOther);
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
