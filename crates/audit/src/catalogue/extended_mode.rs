//! The events of IPsec Extended Mode (AuthIP).
//!
//! 4979 to 4982 are written instead of 4650 and 4651 when Extended Mode is enabled. Windows' own
//! 4982 has no local address, and its template numbers the remote address and port one too high;
//! the template here numbers them right.

#[allow(
    clippy::wildcard_imports,
    reason = "a table of fields, all by their own names"
)]
use super::fields::*;
use super::{Data, EventSpec, Governor, Provider};
use crate::policy::Subcategory;
use crate::record::Outcome;

const GOVERNOR: Governor = Governor::Setting(Subcategory::IpsecExtendedMode);

pub(super) const EVENTS: &[EventSpec] = &[
    EventSpec {
        id: 4978,
        version: 0,
        level: 0,
        task: 12_550,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Success,
        governor: GOVERNOR,
        data: Data::Event(&[LOCAL_ADDRESS, REMOTE_ADDRESS, KEY_MOD_NAME]),
        title: "During Extended Mode negotiation, IPsec received an invalid negotiation packet.",
        message: "\
During Extended Mode negotiation, IPsec received an invalid negotiation packet. If this problem persists, it could indicate a network issue or an attempt to modify or replay this negotiation.\n\
\n\
Local Network Address:\t%1\n\
Remote Network Address:\t%2\n\
Keying Module Name:\t%3",
        raised: "an invalid packet came in during Extended Mode.",
        advice: "As for 4976.",
        raised_yet: false,
    },
    EventSpec {
        id: 4979,
        version: 0,
        level: 0,
        task: 12_550,
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
            LOCAL_EM_PRINCIPAL_NAME,
            REMOTE_EM_PRINCIPAL_NAME,
            EM_AUTH_METHOD,
            EM_IMPERSONATION_STATE,
            QM_FILTER_ID,
        ]),
        title: "IPsec Main Mode and Extended Mode security associations were established.",
        message: "\
IPsec Main Mode and Extended Mode security associations were established.\n\
\n\
Main Mode Local Endpoint:\n\
\tPrincipal Name:\t\t%1\n\
\tNetwork Address:\t%3\n\
\tKeying Module Port:\t%4\n\
\n\
Main Mode Remote Endpoint:\n\
\tPrincipal Name:\t%2\n\
\tNetwork Address:\t%5\n\
\tKeying Module Port:\t%6\n\
\n\
Main Mode Cryptographic Information:\n\
\tCipher Algorithm:\t%8\n\
\tIntegrity Algorithm:\t%9\n\
\tDiffie-Hellman Group:\t%10\n\
\n\
Main Mode Security Association:\n\
\tLifetime (minutes):\t%11\n\
\tQuick Mode Limit:\t%12\n\
\tMain Mode SA ID:\t%16\n\
\n\
Main Mode Additional Information:\n\
\tKeying Module Name:\tAuthIP\n\
\tAuthentication Method:\t%7\n\
\tRole:\t\t\t%13\n\
\tImpersonation State:\t%14\n\
\tMain Mode Filter ID:\t%15\n\
\n\
Extended Mode Information:\n\
\tLocal Principal Name:\t%17\n\
\tRemote Principal Name:\t%18\n\
\tAuthentication Method:\t%19\n\
\tImpersonation State:\t%20\n\
\tQuick Mode Filter ID:\t%21",
        raised: "Main Mode and Extended Mode SAs were established, neither with a certificate.",
        advice: "Nothing.",
        raised_yet: false,
    },
    EventSpec {
        id: 4980,
        version: 0,
        level: 0,
        task: 12_550,
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
            LOCAL_EM_PRINCIPAL_NAME,
            LOCAL_EM_CERT_HASH,
            LOCAL_EM_ISSUING_CA,
            LOCAL_EM_ROOT_CA,
            REMOTE_EM_PRINCIPAL_NAME,
            REMOTE_EM_CERT_HASH,
            REMOTE_EM_ISSUING_CA,
            REMOTE_EM_ROOT_CA,
            EM_IMPERSONATION_STATE,
            QM_FILTER_ID,
        ]),
        title: "IPsec Main Mode and Extended Mode security associations were established.",
        message: "\
IPsec Main Mode and Extended Mode security associations were established.\n\
\n\
Main Mode Local Endpoint:\n\
\tPrincipal Name:\t\t%1\n\
\tNetwork Address:\t%3\n\
\tKeying Module Port:\t%4\n\
\n\
Main Mode Remote Endpoint:\n\
\tPrincipal Name:\t%2\n\
\tNetwork Address:\t%5\n\
\tKeying Module Port:\t%6\n\
\n\
Main Mode Cryptographic Information:\n\
\tCipher Algorithm:\t%8\n\
\tIntegrity Algorithm:\t%9\n\
\tDiffie-Hellman Group:\t%10\n\
\n\
Main Mode Security Association:\n\
\tLifetime (minutes):\t%11\n\
\tQuick Mode Limit:\t%12\n\
\tMain Mode SA ID:\t%16\n\
\n\
Main Mode Additional Information:\n\
\tKeying Module Name:\tAuthIP\n\
\tAuthentication Method:\t%7\n\
\tRole:\t\t\t%13\n\
\tImpersonation State:\t%14\n\
\tMain Mode Filter ID:\t%15\n\
\n\
Extended Mode Local Endpoint:\n\
\tPrincipal Name:\t%17\n\
\tCertificate SHA Thumbprint:\t%18\n\
\tCertificate Issuing CA:\t%19\n\
\tCertificate Root CA:\t%20\n\
\n\
Extended Mode Remote Endpoint:\n\
\tPrincipal Name:\t%21\n\
\tCertificate SHA Thumbprint:\t%22\n\
\tCertificate Issuing CA:\t%23\n\
\tCertificate Root CA:\t%24\n\
\n\
Extended Mode Additional Information:\n\
\tAuthentication Method:\tSSL\n\
\tImpersonation State:\t%25\n\
\tQuick Mode Filter ID:\t%26",
        raised: "Main Mode and Extended Mode SAs were established, Extended Mode with a certificate.",
        advice: "Nothing.",
        raised_yet: false,
    },
    EventSpec {
        id: 4981,
        version: 0,
        level: 0,
        task: 12_550,
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
            MM_CIPHER_ALG,
            MM_INTEGRITY_ALG,
            DH_GROUP,
            MM_LIFETIME,
            QM_LIMIT,
            ROLE,
            MM_IMPERSONATION_STATE,
            MM_FILTER_ID,
            MMSAID,
            LOCAL_EM_PRINCIPAL_NAME,
            REMOTE_EM_PRINCIPAL_NAME,
            EM_AUTH_METHOD,
            EM_IMPERSONATION_STATE,
            QM_FILTER_ID,
        ]),
        title: "IPsec Main Mode and Extended Mode security associations were established.",
        message: "\
IPsec Main Mode and Extended Mode security associations were established.\n\
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
\tSHA Thumbprint:\t%6\n\
\tIssuing CA:\t\t%7\n\
\tRoot CA:\t\t%8\n\
\n\
Cryptographic Information:\n\
\tCipher Algorithm:\t%13\n\
\tIntegrity Algorithm:\t%14\n\
\tDiffie-Hellman Group:\t%15\n\
\n\
Security Association Information:\n\
\tLifetime (minutes):\t%16\n\
\tQuick Mode Limit:\t%17\n\
\tMain Mode SA ID:\t%21\n\
\n\
Additional Information:\n\
\tKeying Module Name:\tAuthIP\n\
\tAuthentication Method:\tSSL\n\
\tRole:\t\t\t%18\n\
\tImpersonation State:\t%19\n\
\tMain Mode Filter ID:\t%20\n\
\n\
Extended Mode Information:\n\
\tLocal Principal Name:\t%22\n\
\tRemote Principal Name:\t%23\n\
\tAuthentication Method:\t%24\n\
\tImpersonation State:\t%25\n\
\tQuick Mode Filter ID:\t%26",
        raised: "Main Mode and Extended Mode SAs were established, Main Mode with a certificate.",
        advice: "Nothing.",
        raised_yet: false,
    },
    EventSpec {
        id: 4982,
        version: 0,
        level: 0,
        task: 12_550,
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
            LOCAL_KEY_MOD_PORT,
            REMOTE_ADDRESS,
            REMOTE_KEY_MOD_PORT,
            MM_CIPHER_ALG,
            MM_INTEGRITY_ALG,
            DH_GROUP,
            MM_LIFETIME,
            QM_LIMIT,
            ROLE,
            MM_IMPERSONATION_STATE,
            MM_FILTER_ID,
            MMSAID,
            LOCAL_EM_PRINCIPAL_NAME,
            LOCAL_EM_CERT_HASH,
            LOCAL_EM_ISSUING_CA,
            LOCAL_EM_ROOT_CA,
            REMOTE_EM_PRINCIPAL_NAME,
            REMOTE_EM_CERT_HASH,
            REMOTE_EM_ISSUING_CA,
            REMOTE_EM_ROOT_CA,
            EM_IMPERSONATION_STATE,
            QM_FILTER_ID,
        ]),
        title: "IPsec Main Mode and Extended Mode security associations were established.",
        message: "\
IPsec Main Mode and Extended Mode security associations were established.\n\
\n\
Local Endpoint:\n\
\tPrincipal Name:\t\t%1\n\
\tNetwork Address:\t\n\
\tKeying Module Port:\t%9\n\
\n\
Local Certificate:\n\
\tSHA Thumbprint:\t%2\n\
\tIssuing CA:\t\t%3\n\
\tRoot CA:\t\t%4\n\
\n\
Remote Endpoint:\n\
\tPrincipal Name:\t\t%5\n\
\tNetwork Address:\t%10\n\
\tKeying Module Port:\t%11\n\
\n\
Remote Certificate:\n\
\tSHA Thumbprint:\t%6\n\
\tIssuing CA:\t\t%7\n\
\tRoot CA:\t\t%8\n\
\n\
Cryptographic Information:\n\
\tCipher Algorithm:\t%12\n\
\tIntegrity Algorithm:\t%13\n\
\tDiffie-Hellman Group:\t%14\n\
\n\
Security Association Information:\n\
\tLifetime (minutes):\t%15\n\
\tQuick Mode Limit:\t%16\n\
\tMain Mode SA ID:\t%20\n\
\n\
Additional Information:\n\
\tKeying Module Name:\tAuthIP\n\
\tAuthentication Method:\tSSL\n\
\tRole:\t\t\t%17\n\
\tImpersonation State:\t%18\n\
\tMain Mode Filter ID:\t%19\n\
\n\
Extended Mode Local Endpoint:\n\
\tPrincipal Name:\t\t%21\n\
\tCertificate SHA Thumbprint:\t%22\n\
\tCertificate Issuing CA:\t%23\n\
\tCertificate Root CA:\t%24\n\
\n\
Extended Mode Remote Endpoint:\n\
\tPrincipal Name:\t\t%25\n\
\tCertificate SHA Thumbprint:\t%26\n\
\tCertificate Issuing CA:\t%27\n\
\tCertificate Root CA:\t%28\n\
\n\
Extended Mode Additional Information:\n\
\tAuthentication Method:\tSSL\n\
\tImpersonation State:\t%29\n\
\tQuick Mode Filter ID:\t%30",
        raised: "Main Mode and Extended Mode SAs were established, both with certificates.",
        advice: "Nothing.",
        raised_yet: false,
    },
    EventSpec {
        id: 4983,
        version: 0,
        level: 0,
        task: 12_550,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Success,
        governor: GOVERNOR,
        data: Data::Event(&[
            LOCAL_EM_PRINCIPAL_NAME,
            LOCAL_EM_CERT_HASH,
            LOCAL_EM_ISSUING_CA,
            LOCAL_EM_ROOT_CA,
            REMOTE_EM_PRINCIPAL_NAME,
            REMOTE_EM_CERT_HASH,
            REMOTE_EM_ISSUING_CA,
            REMOTE_EM_ROOT_CA,
            LOCAL_ADDRESS,
            LOCAL_KEY_MOD_PORT,
            REMOTE_ADDRESS,
            REMOTE_KEY_MOD_PORT,
            FAILURE_POINT,
            FAILURE_REASON,
            STATE,
            ROLE,
            EM_IMPERSONATION_STATE,
            QM_FILTER_ID,
        ]),
        title: "An IPsec Extended Mode negotiation failed. The corresponding Main Mode security association has been deleted.",
        message: "\
An IPsec Extended Mode negotiation failed. The corresponding Main Mode security association has been deleted.\n\
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
\tSHA Thumbprint:\t%6\n\
\tIssuing CA:\t\t%7\n\
\tRoot CA:\t\t%8\n\
\n\
Additional Information:\n\
\tKeying Module Name:\tAuthIP\n\
\tAuthentication Method:\tSSL\n\
\tRole:\t\t\t%16\n\
\tImpersonation State:\t%17\n\
\tQuick Mode Filter ID:\t%18\n\
\n\
Failure Information:\n\
\tFailure Point:\t\t%13\n\
\tFailure Reason:\t\t%14\n\
\tState:\t\t\t%15",
        raised: "Extended Mode with certificates failed; the Main Mode SA was deleted.",
        advice: "Check the certificates of both sides.",
        raised_yet: false,
    },
    EventSpec {
        id: 4984,
        version: 0,
        level: 0,
        task: 12_550,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Success,
        governor: GOVERNOR,
        data: Data::Event(&[
            LOCAL_EM_PRINCIPAL_NAME,
            REMOTE_EM_PRINCIPAL_NAME,
            LOCAL_ADDRESS,
            LOCAL_KEY_MOD_PORT,
            REMOTE_ADDRESS,
            REMOTE_KEY_MOD_PORT,
            FAILURE_POINT,
            FAILURE_REASON,
            EM_AUTH_METHOD,
            STATE,
            ROLE,
            EM_IMPERSONATION_STATE,
            QM_FILTER_ID,
        ]),
        title: "An IPsec Extended Mode negotiation failed. The corresponding Main Mode security association has been deleted.",
        message: "\
An IPsec Extended Mode negotiation failed. The corresponding Main Mode security association has been deleted.\n\
\n\
Local Endpoint:\n\
\tPrincipal Name:\t\t%1\n\
\tNetwork Address:\t%3\n\
\tKeying Module Port:\t%4\n\
\n\
Remote Endpoint:\n\
\tPrincipal Name:\t\t%2\n\
\tNetwork Address:\t%5\n\
\tKeying Module Port:\t%6\n\
\n\
Additional Information:\n\
\tKeying Module Name:\tAuthIP\n\
\tAuthentication Method:\t%9\n\
\tRole:\t\t\t%11\n\
\tImpersonation State:\t%12\n\
\tQuick Mode Filter ID:\t%13\n\
\n\
Failure Information:\n\
\tFailure Point:\t\t%7\n\
\tFailure Reason:\t\t%8\n\
\tState:\t\t\t%10",
        raised: "Extended Mode without certificates failed; the Main Mode SA was deleted.",
        advice: "Check the credentials of the user on both sides.",
        raised_yet: false,
    },
];
