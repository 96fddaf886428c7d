//! The events of IPsec Main Mode.

#[allow(
    clippy::wildcard_imports,
    reason = "a table of fields, all by their own names"
)]
use super::fields::*;
use super::{Data, EventSpec, Governor, Provider};
use crate::policy::Subcategory;
use crate::record::Outcome;

const GOVERNOR: Governor = Governor::Setting(Subcategory::IpsecMainMode);

pub(super) const EVENTS: &[EventSpec] = &[
    EventSpec {
        id: 4646,
        version: 0,
        level: 0,
        task: 12_547,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Success,
        governor: GOVERNOR,
        data: Data::Event(&[NOTIFICATION]),
        title: "IKE/AuthIP DoS-prevention mode started or stopped.",
        message: "%1",
        raised: "DoS-prevention mode starts or stops: the half-open negotiations passed the threshold, or fell below it again.",
        advice: "Nothing while it lasts. Find the sources among the 4976 and 4653 of that time.",
        raised_yet: false,
    },
    EventSpec {
        id: 4650,
        version: 0,
        level: 0,
        task: 12_547,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Success,
        governor: GOVERNOR,
        data: Data::Event(&[
            LOCAL_MM_PRINCIPAL_NAME,
            REMOTE_MM_PRINCIPAL_NAME,
            LOCAL_ADDRESS,
            LOCAL_KEY_MOD_PORT,
            REMOTE_ADDRESS,
            REMOTE_KEY_MOD_PORT,
            KEY_MOD_NAME,
            MM_AUTH_METHOD,
            MM_CIPHER_ALG,
            MM_INTEGRITY_ALG,
            DH_GROUP,
            MM_LIFETIME,
            QM_LIMIT,
            ROLE,
            MM_IMPERSONATION_STATE,
            MM_FILTER_ID,
            MMSAID,
        ]),
        title: "An IPsec Main Mode security association was established. Extended Mode was not enabled. Certificate authentication was not used.",
        message: "\
An IPsec Main Mode security association was established. Extended Mode was not enabled.  Certificate authentication was not used.\n\
\n\
Local Endpoint:\n\
\tPrincipal Name:\t%1\n\
\tNetwork Address:\t%3\n\
\tKeying Module Port:\t%4\n\
\n\
Remote Endpoint:\n\
\tPrincipal Name:\t%2\n\
\tNetwork Address:\t%5\n\
\tKeying Module Port:\t%6\n\
\n\
Security Association Information:\n\
\tLifetime (minutes):\t%12\n\
\tQuick Mode Limit:\t%13\n\
\tMain Mode SA ID:\t%17\n\
\n\
Cryptographic Information:\n\
\tCipher Algorithm:\t%9\n\
\tIntegrity Algorithm:\t%10\n\
\tDiffie-Hellman Group:\t%11\n\
\n\
Additional Information:\n\
\tKeying Module Name:\t%7\n\
\tAuthentication Method:\t%8\n\
\tRole:\t%14\n\
\tImpersonation State:\t%15\n\
\tMain Mode Filter ID:\t%16",
        raised: "a Main Mode SA was established without a certificate, in either role.",
        advice: "Nothing. Look for ciphers, hashes and groups that you no longer want.",
        raised_yet: true,
    },
    EventSpec {
        id: 4651,
        version: 0,
        level: 0,
        task: 12_547,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Success,
        governor: GOVERNOR,
        data: Data::Event(&[
            LOCAL_MM_PRINCIPAL_NAME,
            LOCAL_MM_CERT_HASH,
            LOCAL_MM_ISSUING_CA,
            LOCAL_MM_ROOT_CA,
            REMOTE_MM_PRINCIPAL_NAME,
            REMOTE_MM_CERT_HASH,
            REMOTE_MM_ISSUING_CA,
            REMOTE_MM_ROOT_CA,
            LOCAL_ADDRESS,
            LOCAL_KEY_MOD_PORT,
            REMOTE_ADDRESS,
            REMOTE_KEY_MOD_PORT,
            KEY_MOD_NAME,
            MM_AUTH_METHOD,
            MM_CIPHER_ALG,
            MM_INTEGRITY_ALG,
            DH_GROUP,
            MM_LIFETIME,
            QM_LIMIT,
            ROLE,
            MM_IMPERSONATION_STATE,
            MM_FILTER_ID,
            MMSAID,
        ]),
        title: "An IPsec Main Mode security association was established. Extended Mode was not enabled. A certificate was used for authentication.",
        message: "\
An IPsec Main Mode security association was established. Extended Mode was not enabled.  A certificate was used for authentication.\n\
\n\
Local Endpoint:\n\
\tPrincipal Name:\t%1\n\
\tNetwork Address:\t%9\n\
\tKeying Module Port:\t%10\n\
\n\
Local Certificate:\n\
\tSHA Thumbprint:\t%2\n\
\tIssuing CA:\t\t%3\n\
\tRoot CA:\t\t%4\n\
\n\
Remote Endpoint:\n\
\tPrincipal Name:\t%5\n\
\tNetwork Address:\t%11\n\
\tKeying Module Port:\t%12\n\
\n\
Remote Certificate:\n\
\tSHA thumbprint:\t%6\n\
\tIssuing CA:\t\t%7\n\
\tRoot CA:\t\t%8\n\
\n\
Cryptographic Information:\n\
\tCipher Algorithm:\t%15\n\
\tIntegrity Algorithm:\t%16\n\
\tDiffie-Hellman Group:\t%17\n\
\n\
Security Association Information:\n\
\tLifetime (minutes):\t%18\n\
\tQuick Mode Limit:\t%19\n\
\tMain Mode SA ID:\t%23\n\
\n\
Additional Information:\n\
\tKeying Module Name:\t%13\n\
\tAuthentication Method:\t%14\n\
\tRole:\t%20\n\
\tImpersonation State:\t%21\n\
\tMain Mode Filter ID:\t%22",
        raised: "a Main Mode SA was established with a certificate on either side, in either role.",
        advice: "Nothing. Look for certificates and CAs that you do not expect.",
        raised_yet: true,
    },
    EventSpec {
        id: 4652,
        version: 0,
        level: 0,
        task: 12_547,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Failure,
        governor: GOVERNOR,
        data: Data::Event(&[
            LOCAL_MM_PRINCIPAL_NAME,
            LOCAL_MM_CERT_HASH,
            LOCAL_MM_ISSUING_CA,
            LOCAL_MM_ROOT_CA,
            REMOTE_MM_PRINCIPAL_NAME,
            REMOTE_MM_CERT_HASH,
            REMOTE_MM_ISSUING_CA,
            REMOTE_MM_ROOT_CA,
            LOCAL_ADDRESS,
            LOCAL_KEY_MOD_PORT,
            REMOTE_ADDRESS,
            REMOTE_KEY_MOD_PORT,
            KEY_MOD_NAME,
            FAILURE_POINT,
            FAILURE_REASON,
            MM_AUTH_METHOD,
            STATE,
            ROLE,
            MM_IMPERSONATION_STATE,
            MM_FILTER_ID,
            INITIATOR_COOKIE,
            RESPONDER_COOKIE,
        ]),
        title: "An IPsec Main Mode negotiation failed.",
        message: "\
An IPsec Main Mode negotiation failed.\n\
\n\
\n\
Local Endpoint:\n\
\tPrincipal Name:\t\t%1\n\
\tNetwork Address:\t%9\n\
\tKeying Module Port:\t%10\n\
\n\
Local Certificate:\n\
\tSHA Thumbprint:\t%2\n\
\tIssuing CA:\t\t%3\n\
\tRoot CA:\t\t%4\n\
\n\
Remote Endpoint:\n\
\tPrincipal Name:\t\t%5\n\
\tNetwork Address:\t%11\n\
\tKeying Module Port:\t%12\n\
\n\
Remote Certificate:\n\
\tSHA thumbprint:\t\t%6\n\
\tIssuing CA:\t\t%7\n\
\tRoot CA:\t\t%8\n\
\n\
Additional Information:\n\
\tKeying Module Name:\t%13\n\
\tAuthentication Method:\t%16\n\
\tRole:\t\t\t%18\n\
\tImpersonation State:\t%19\n\
\tMain Mode Filter ID:\t%20\n\
\n\
Failure Information:\n\
\tFailure Point:\t\t%14\n\
\tFailure Reason:\t\t%15\n\
\tState:\t\t\t%17\n\
\tInitiator Cookie:\t\t%21\n\
\tResponder Cookie:\t%22",
        raised: "a Main Mode negotiation with certificates failed, in either role. Exactly one for each negotiation, however many retransmissions there were.",
        advice: "Read `Extra.Cause` and `Extra.Advice`; `mainmode explain CAUSE` says more.",
        raised_yet: true,
    },
    EventSpec {
        id: 4653,
        version: 0,
        level: 0,
        task: 12_547,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Failure,
        governor: GOVERNOR,
        data: Data::Event(&[
            LOCAL_MM_PRINCIPAL_NAME,
            REMOTE_MM_PRINCIPAL_NAME,
            LOCAL_ADDRESS,
            LOCAL_KEY_MOD_PORT,
            REMOTE_ADDRESS,
            REMOTE_KEY_MOD_PORT,
            KEY_MOD_NAME,
            FAILURE_POINT,
            FAILURE_REASON,
            MM_AUTH_METHOD,
            STATE,
            ROLE,
            MM_IMPERSONATION_STATE,
            MM_FILTER_ID,
            INITIATOR_COOKIE,
            RESPONDER_COOKIE,
        ]),
        title: "An IPsec Main Mode negotiation failed.",
        message: "\
An IPsec Main Mode negotiation failed.\n\
\n\
Local Endpoint:\n\
\tLocal Principal Name:\t%1\n\
\tNetwork Address:\t%3\n\
\tKeying Module Port:\t%4\n\
\n\
Remote Endpoint:\n\
\tPrincipal Name:\t\t%2\n\
\tNetwork Address:\t%5\n\
\tKeying Module Port:\t%6\n\
\n\
Additional Information:\n\
\tKeying Module Name:\t%7\n\
\tAuthentication Method:\t%10\n\
\tRole:\t\t\t%12\n\
\tImpersonation State:\t%13\n\
\tMain Mode Filter ID:\t%14\n\
\n\
Failure Information:\n\
\tFailure Point:\t\t%8\n\
\tFailure Reason:\t\t%9\n\
\tState:\t\t\t%11\n\
\tInitiator Cookie:\t\t%15\n\
\tResponder Cookie:\t%16",
        raised: "a Main Mode negotiation without certificates failed, in either role. Exactly one for each negotiation, however many retransmissions there were.",
        advice: "Read `Extra.Cause` and `Extra.Advice`; `mainmode explain CAUSE` says more.",
        raised_yet: true,
    },
    EventSpec {
        id: 4655,
        version: 0,
        level: 0,
        task: 12_547,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Success,
        governor: GOVERNOR,
        data: Data::Event(&[LOCAL_ADDRESS, REMOTE_ADDRESS, KEY_MOD_NAME, MMSAID]),
        title: "An IPsec Main Mode security association ended.",
        message: "\
An IPsec Main Mode security association ended.\n\
\n\
Local Network Address:\t\t%1\n\
Remote Network Address:\t%2\n\
Keying Module Name:\t\t%3\n\
Main Mode SA ID:\t\t%4",
        raised: "a Main Mode SA ended: expired, deleted by either side, replaced, peer dead, shutdown, or found orphaned by a crash at the next start. `Extra.Cause` in JSON says which. Exactly one for each SA.",
        advice: "Nothing, unless the cause is `peer-dead` or `orphaned-by-crash`.",
        raised_yet: true,
    },
    EventSpec {
        id: 4976,
        version: 0,
        level: 0,
        task: 12_547,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Success,
        governor: GOVERNOR,
        data: Data::Event(&[LOCAL_ADDRESS, REMOTE_ADDRESS, KEY_MOD_NAME]),
        title: "During Main Mode negotiation, IPsec received an invalid negotiation packet.",
        message: "\
During Main Mode negotiation, IPsec received an invalid negotiation packet. If this problem persists, it could indicate a network issue or an attempt to modify or replay this negotiation.\n\
\n\
Local Network Address:\t%1\n\
Remote Network Address:\t%2\n\
Keying Module Name:\t%3",
        raised: "an invalid packet came in during Main Mode: malformed, out of place, tampered with, or replayed. It ends nothing. `Extra.Cause` in JSON says which. Rate-limited; what was held back is counted in 4612.",
        advice: "One alone is noise. If they persist, look at RemoteAddress: a peer that speaks something else, a path that damages packets, or an attack.",
        raised_yet: true,
    },
    EventSpec {
        id: 5049,
        version: 0,
        level: 0,
        task: 12_547,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Success,
        governor: GOVERNOR,
        data: Data::Event(&[
            PROFILE_CHANGED,
            IPSEC_SECURITY_ASSOCIATION_ID,
            IPSEC_SECURITY_ASSOCIATION_NAME,
        ]),
        title: "An IPsec Security Association was deleted.",
        message: "\
An IPsec Security Association was deleted.\n\
\t\n\
Profile Changed:\t%1\n\
\n\
Deleted SA:\n\
\tID:\t\t\t%2\n\
\tName:\t\t\t%3",
        raised: "an IPsec SA was deleted by either side, beside its 5452; not when it was replaced or expired.",
        advice: "Nothing.",
        raised_yet: true,
    },
    EventSpec {
        id: 5453,
        version: 0,
        level: 0,
        task: 12_547,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Success,
        governor: GOVERNOR,
        data: Data::Event(&[]),
        title: "An IPsec negotiation with a remote computer failed because the IKE and AuthIP IPsec Keying Modules (IKEEXT) service is not started.",
        message: "An IPsec negotiation with a remote computer failed because the IKE and AuthIP IPsec Keying Modules (IKEEXT) service is not started.",
        raised: "a negotiation was needed while the keying service was not running.",
        advice: "Find out why the service does not run; it is started again by itself, with growing pauses.",
        raised_yet: false,
    },
];
