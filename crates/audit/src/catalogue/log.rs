//! The log's own events, and those of the audit policy: always written, whatever the setting.

#[allow(
    clippy::wildcard_imports,
    reason = "a table of fields, all by their own names"
)]
use super::fields::*;
use super::{Data, EventSpec, Governor, Provider};
use crate::record::Outcome;

pub(super) const EVENTS: &[EventSpec] = &[
    EventSpec {
        id: 1100,
        version: 0,
        level: 4,
        task: 103,
        provider: Provider::Eventlog,
        outcome: Outcome::None,
        governor: Governor::Always,
        data: Data::User {
            element: "ServiceShutdown",
            fields: &[],
        },
        title: "The event logging service has shut down.",
        message: "The event logging service has shut down.",
        raised: "the log was closed in good order. Always written.",
        advice: "Nothing. A start without a 1100 before it follows a crash.",
        raised_yet: true,
    },
    EventSpec {
        id: 1102,
        version: 0,
        level: 4,
        task: 104,
        provider: Provider::Eventlog,
        outcome: Outcome::None,
        governor: Governor::Always,
        data: Data::User {
            element: "LogFileCleared",
            fields: &[
                SUBJECT_USER_SID,
                SUBJECT_USER_NAME,
                SUBJECT_DOMAIN_NAME,
                SUBJECT_LOGON_ID,
            ],
        },
        title: "The audit log was cleared.",
        message: "\
The audit log was cleared.\n\
Subject:\n\
\tSecurity ID:\t%1\n\
\tAccount Name:\t%2\n\
\tDomain Name:\t%3\n\
\tLogon ID:\t%4",
        raised: "the log was cleared. Always the first record of the new log; it names who did it, and in `Extra.PreviousHead` where the old one ended.",
        advice: "Check that the account in it was meant to clear the log. A backup of the old log is checked with `log verify --file FILE --head ID:HASH`: the head is `Extra.PreviousHead`.",
        raised_yet: true,
    },
    EventSpec {
        id: 1104,
        version: 0,
        level: 2,
        task: 101,
        provider: Provider::Eventlog,
        outcome: Outcome::None,
        governor: Governor::Always,
        data: Data::User {
            element: "FileIsFull",
            fields: &[],
        },
        title: "The security log is now full.",
        message: "The security log is now full.",
        raised: "the log reached its size and its retention is `stop`: nothing more is written. Always written.",
        advice: "Save the log and clear it, raise `max-size`, or choose another `retention`.",
        raised_yet: true,
    },
    EventSpec {
        id: 1105,
        version: 0,
        level: 4,
        task: 105,
        provider: Provider::Eventlog,
        outcome: Outcome::None,
        governor: Governor::Always,
        data: Data::User {
            element: "AutoBackup",
            fields: &[CHANNEL, BACKUP_PATH],
        },
        title: "Part of the event log was archived.",
        message: "\
Event log automatic backup\n\
\n\
Log:\t%1\n\
File:\t%2",
        raised: "the log reached its size and its oldest part was renamed, as retention `archive` wants. Always written.",
        advice: "Move the archived file away before the disk is full.",
        raised_yet: true,
    },
    EventSpec {
        id: 4612,
        version: 0,
        level: 0,
        task: 12_290,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Success,
        governor: Governor::Always,
        data: Data::Event(&[AUDITS_DISCARDED]),
        title: "Audit events were discarded.",
        message: "\
Internal resources allocated for the queuing of audit messages have been exhausted, leading to the loss of some audits.\n\
\n\
Number of audit messages discarded:\t%1",
        raised: "events were held back (noise from the network is rate-limited) or could not be written. Always written.",
        advice: "Find the source of the noise among the 4976 before it; if the log could not be written, look at the disk.",
        raised_yet: true,
    },
    EventSpec {
        id: 4719,
        version: 0,
        level: 0,
        task: 13_568,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Success,
        governor: Governor::Always,
        data: Data::Event(&[
            SUBJECT_USER_SID,
            SUBJECT_USER_NAME,
            SUBJECT_DOMAIN_NAME,
            SUBJECT_LOGON_ID,
            CATEGORY_ID,
            SUBCATEGORY_ID,
            SUBCATEGORY_GUID,
            AUDIT_POLICY_CHANGES,
        ]),
        title: "System audit policy was changed.",
        message: "\
System audit policy was changed.\n\
\n\
Subject:\n\
\tSecurity ID:\t\t%1\n\
\tAccount Name:\t\t%2\n\
\tAccount Domain:\t\t%3\n\
\tLogon ID:\t\t%4\n\
\n\
Audit Policy Change:\n\
\tCategory:\t\t%5\n\
\tSubcategory:\t\t%6\n\
\tSubcategory GUID:\t%7\n\
\tChanges:\t\t%8",
        raised: "a setting of the audit policy changed, by command, restore or configuration. Always written.",
        advice: "Check that the account in it was meant to change the policy.",
        raised_yet: true,
    },
];
