//! Who changed something: the Subject of 4719 and 1102.

/// The account behind a change of the policy or of the log, in Windows' four fields.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// `SubjectUserSid`.
    pub sid: String,
    /// `SubjectUserName`.
    pub user: String,
    /// `SubjectDomainName`.
    pub domain: String,
    /// `SubjectLogonId`, as `0x…`.
    pub logon_id: String,
}

impl Subject {
    /// The subject that stands for a Unix account.
    ///
    /// The SID is the one that Samba gives a Unix user, `S-1-22-1-UID`; the domain is the host's
    /// name; the logon id is the audit session (`/proc/PID/sessionid`), 0 when there is none.
    pub fn unix(uid: u32, name: &str, host: &str, audit_session: Option<u32>) -> Subject {
        Subject {
            sid: format!("S-1-22-1-{uid}"),
            user: name.to_owned(),
            domain: host.to_owned(),
            logon_id: format!("{:#x}", audit_session.unwrap_or(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unix_account_has_the_sid_that_samba_gives_it() {
        let root = Subject::unix(0, "root", "gw", None);
        assert_eq!(root.sid, "S-1-22-1-0");
        assert_eq!(root.logon_id, "0x0");
        let ops = Subject::unix(1000, "ops", "gw", Some(42));
        assert_eq!((ops.user.as_str(), ops.domain.as_str()), ("ops", "gw"));
        assert_eq!(ops.logon_id, "0x2a");
    }
}
