//! Why a negotiation failed, in Windows' own codes and texts.
//!
//! From Microsoft's page "System Error Codes (12000-15999)". The text is what `FailureReason`
//! holds, and nothing else, so that rules written for Windows match.

use std::fmt;

use crate::text::number;

/// A Windows system error of IPsec, 13800 to 13999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reason(
    /// The code.
    pub u32,
);

impl Reason {
    /// 13816, for what has no code of its own.
    pub const UNKNOWN: Reason = Reason(13_816);
}

/// What every symbol begins with in Windows' headers.
const PREFIX: &str = "ERROR_IPSEC_";

impl Reason {
    /// The text that stands in `FailureReason`; "Unknown error occurred" for a code not listed.
    pub fn text(self) -> &'static str {
        self.row().map_or("Unknown error occurred", |row| row.2)
    }

    /// The symbol of Windows' headers, such as `ERROR_IPSEC_IKE_AUTH_FAIL`.
    pub fn symbol(self) -> Option<String> {
        self.row().map(|row| format!("{PREFIX}{}", row.1))
    }

    /// The reason that a code (decimal, or hexadecimal as `0x35E9`), or a symbol with or without its
    /// prefix, names; case does not matter.
    pub fn from_code_or_symbol(text: &str) -> Option<Reason> {
        let text = text.trim();
        if let Some(code) = number(text) {
            return Reason(code).row().map(|row| Reason(row.0));
        }
        let bare = match text.get(..PREFIX.len()) {
            Some(head) if head.eq_ignore_ascii_case(PREFIX) => &text[PREFIX.len()..],
            _ => text,
        };
        REASONS
            .iter()
            .find(|row| row.1.eq_ignore_ascii_case(bare))
            .map(|row| Reason(row.0))
    }

    fn row(self) -> Option<&'static (u32, &'static str, &'static str)> {
        REASONS
            .binary_search_by_key(&self.0, |row| row.0)
            .ok()
            .map(|i| &REASONS[i])
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Code, symbol less `ERROR_IPSEC_`, text; by code.
pub static REASONS: &[(u32, &str, &str)] = &[
    (
        13_801,
        "IKE_AUTH_FAIL",
        "IKE authentication credentials are unacceptable",
    ),
    (
        13_802,
        "IKE_ATTRIB_FAIL",
        "IKE security attributes are unacceptable",
    ),
    (
        13_803,
        "IKE_NEGOTIATION_PENDING",
        "IKE Negotiation in progress",
    ),
    (
        13_804,
        "IKE_GENERAL_PROCESSING_ERROR",
        "General processing error",
    ),
    (13_805, "IKE_TIMED_OUT", "Negotiation timed out"),
    (
        13_806,
        "IKE_NO_CERT",
        "IKE failed to find valid machine certificate. Contact your Network Security Administrator about installing a valid certificate in the appropriate Certificate Store.",
    ),
    (
        13_807,
        "IKE_SA_DELETED",
        "IKE SA deleted by peer before establishment completed",
    ),
    (
        13_808,
        "IKE_SA_REAPED",
        "IKE SA deleted before establishment completed",
    ),
    (
        13_809,
        "IKE_MM_ACQUIRE_DROP",
        "Negotiation request sat in Queue too long",
    ),
    (
        13_810,
        "IKE_QM_ACQUIRE_DROP",
        "Negotiation request sat in Queue too long",
    ),
    (
        13_811,
        "IKE_QUEUE_DROP_MM",
        "Negotiation request sat in Queue too long",
    ),
    (
        13_812,
        "IKE_QUEUE_DROP_NO_MM",
        "Negotiation request sat in Queue too long",
    ),
    (13_813, "IKE_DROP_NO_RESPONSE", "No response from peer"),
    (13_814, "IKE_MM_DELAY_DROP", "Negotiation took too long"),
    (13_815, "IKE_QM_DELAY_DROP", "Negotiation took too long"),
    (13_816, "IKE_ERROR", "Unknown error occurred"),
    (
        13_817,
        "IKE_CRL_FAILED",
        "Certificate Revocation Check failed",
    ),
    (
        13_818,
        "IKE_INVALID_KEY_USAGE",
        "Invalid certificate key usage",
    ),
    (13_819, "IKE_INVALID_CERT_TYPE", "Invalid certificate type"),
    (
        13_820,
        "IKE_NO_PRIVATE_KEY",
        "IKE negotiation failed because the machine certificate used does not have a private key. IPsec certificates require a private key. Contact your Network Security administrator about replacing with a certificate that has a private key.",
    ),
    (
        13_821,
        "IKE_SIMULTANEOUS_REKEY",
        "Simultaneous rekeys were detected.",
    ),
    (
        13_822,
        "IKE_DH_FAIL",
        "Failure in Diffie-Hellman computation",
    ),
    (
        13_823,
        "IKE_CRITICAL_PAYLOAD_NOT_RECOGNIZED",
        "Don't know how to process critical payload",
    ),
    (13_824, "IKE_INVALID_HEADER", "Invalid header"),
    (13_825, "IKE_NO_POLICY", "No policy configured"),
    (
        13_826,
        "IKE_INVALID_SIGNATURE",
        "Failed to verify signature",
    ),
    (
        13_827,
        "IKE_KERBEROS_ERROR",
        "Failed to authenticate using Kerberos",
    ),
    (
        13_828,
        "IKE_NO_PUBLIC_KEY",
        "Peer's certificate did not have a public key",
    ),
    (13_829, "IKE_PROCESS_ERR", "Error processing error payload"),
    (13_830, "IKE_PROCESS_ERR_SA", "Error processing SA payload"),
    (
        13_831,
        "IKE_PROCESS_ERR_PROP",
        "Error processing Proposal payload",
    ),
    (
        13_832,
        "IKE_PROCESS_ERR_TRANS",
        "Error processing Transform payload",
    ),
    (13_833, "IKE_PROCESS_ERR_KE", "Error processing KE payload"),
    (13_834, "IKE_PROCESS_ERR_ID", "Error processing ID payload"),
    (
        13_835,
        "IKE_PROCESS_ERR_CERT",
        "Error processing Cert payload",
    ),
    (
        13_836,
        "IKE_PROCESS_ERR_CERT_REQ",
        "Error processing Certificate Request payload",
    ),
    (
        13_837,
        "IKE_PROCESS_ERR_HASH",
        "Error processing Hash payload",
    ),
    (
        13_838,
        "IKE_PROCESS_ERR_SIG",
        "Error processing Signature payload",
    ),
    (
        13_839,
        "IKE_PROCESS_ERR_NONCE",
        "Error processing Nonce payload",
    ),
    (
        13_840,
        "IKE_PROCESS_ERR_NOTIFY",
        "Error processing Notify payload",
    ),
    (
        13_841,
        "IKE_PROCESS_ERR_DELETE",
        "Error processing Delete Payload",
    ),
    (
        13_842,
        "IKE_PROCESS_ERR_VENDOR",
        "Error processing VendorId payload",
    ),
    (13_843, "IKE_INVALID_PAYLOAD", "Invalid payload received"),
    (13_844, "IKE_LOAD_SOFT_SA", "Soft SA loaded"),
    (13_845, "IKE_SOFT_SA_TORN_DOWN", "Soft SA torn down"),
    (13_846, "IKE_INVALID_COOKIE", "Invalid cookie received."),
    (
        13_847,
        "IKE_NO_PEER_CERT",
        "Peer failed to send valid machine certificate",
    ),
    (
        13_848,
        "IKE_PEER_CRL_FAILED",
        "Certification Revocation check of peer's certificate failed",
    ),
    (
        13_849,
        "IKE_POLICY_CHANGE",
        "New policy invalidated SAs formed with old policy",
    ),
    (
        13_850,
        "IKE_NO_MM_POLICY",
        "There is no available Main Mode IKE policy.",
    ),
    (
        13_855,
        "IKE_SRVACQFAIL",
        "Failed to obtain Kerberos server credentials for ISAKMP/ERROR_IPSEC_IKE service. Kerberos authentication will not function. The most likely reason for this is lack of domain membership. This is normal if your computer is a member of a workgroup.",
    ),
    (
        13_857,
        "IKE_GETSPIFAIL",
        "Failed to obtain new SPI for the inbound SA from IPsec driver. The most common cause for this is that the driver does not have the correct filter. Check your policy to verify the filters.",
    ),
    (13_858, "IKE_INVALID_FILTER", "Given filter is invalid"),
    (13_859, "IKE_OUT_OF_MEMORY", "Memory allocation failed."),
    (
        13_860,
        "IKE_ADD_UPDATE_KEY_FAILED",
        "Failed to add Security Association to IPsec Driver. The most common cause for this is if the IKE negotiation took too long to complete. If the problem persists, reduce the load on the faulting machine.",
    ),
    (13_861, "IKE_INVALID_POLICY", "Invalid policy"),
    (13_862, "IKE_UNKNOWN_DOI", "Invalid DOI"),
    (13_863, "IKE_INVALID_SITUATION", "Invalid situation"),
    (13_864, "IKE_DH_FAILURE", "Diffie-Hellman failure"),
    (13_865, "IKE_INVALID_GROUP", "Invalid Diffie-Hellman group"),
    (13_866, "IKE_ENCRYPT", "Error encrypting payload"),
    (13_867, "IKE_DECRYPT", "Error decrypting payload"),
    (13_868, "IKE_POLICY_MATCH", "Policy match error"),
    (13_869, "IKE_UNSUPPORTED_ID", "Unsupported ID"),
    (13_870, "IKE_INVALID_HASH", "Hash verification failed"),
    (13_871, "IKE_INVALID_HASH_ALG", "Invalid hash algorithm"),
    (13_872, "IKE_INVALID_HASH_SIZE", "Invalid hash size"),
    (
        13_873,
        "IKE_INVALID_ENCRYPT_ALG",
        "Invalid encryption algorithm",
    ),
    (
        13_874,
        "IKE_INVALID_AUTH_ALG",
        "Invalid authentication algorithm",
    ),
    (13_875, "IKE_INVALID_SIG", "Invalid certificate signature"),
    (13_876, "IKE_LOAD_FAILED", "Load failed"),
    (13_877, "IKE_RPC_DELETE", "Deleted via RPC call"),
    (
        13_878,
        "IKE_BENIGN_REINIT",
        "Temporary state created to perform reinitialization. This is not a real failure.",
    ),
    (
        13_879,
        "IKE_INVALID_RESPONDER_LIFETIME_NOTIFY",
        "The lifetime value received in the Responder Lifetime Notify is below the Windows 2000 configured minimum value. Please fix the policy on the peer machine.",
    ),
    (
        13_880,
        "IKE_INVALID_MAJOR_VERSION",
        "The recipient cannot handle version of IKE specified in the header.",
    ),
    (
        13_881,
        "IKE_INVALID_CERT_KEYLEN",
        "Key length in certificate is too small for configured security requirements.",
    ),
    (
        13_882,
        "IKE_MM_LIMIT",
        "Max number of established MM SAs to peer exceeded.",
    ),
    (
        13_883,
        "IKE_NEGOTIATION_DISABLED",
        "IKE received a policy that disables negotiation.",
    ),
    (
        13_884,
        "IKE_QM_LIMIT",
        "Reached maximum quick mode limit for the main mode. New main mode will be started.",
    ),
    (
        13_885,
        "IKE_MM_EXPIRED",
        "Main mode SA lifetime expired or peer sent a main mode delete.",
    ),
    (
        13_886,
        "IKE_PEER_MM_ASSUMED_INVALID",
        "Main mode SA assumed to be invalid because peer stopped responding.",
    ),
    (
        13_887,
        "IKE_CERT_CHAIN_POLICY_MISMATCH",
        "Certificate doesn't chain to a trusted root in IPsec policy.",
    ),
    (
        13_888,
        "IKE_UNEXPECTED_MESSAGE_ID",
        "Received unexpected message ID.",
    ),
    (
        13_889,
        "IKE_INVALID_AUTH_PAYLOAD",
        "Received invalid authentication offers.",
    ),
    (
        13_890,
        "IKE_DOS_COOKIE_SENT",
        "Sent DoS cookie notify to initiator.",
    ),
    (13_891, "IKE_SHUTTING_DOWN", "IKE service is shutting down."),
    (
        13_892,
        "IKE_CGA_AUTH_FAILED",
        "Could not verify binding between CGA address and certificate.",
    ),
    (
        13_893,
        "IKE_PROCESS_ERR_NATOA",
        "Error processing NatOA payload.",
    ),
    (
        13_894,
        "IKE_INVALID_MM_FOR_QM",
        "Parameters of the main mode are invalid for this quick mode.",
    ),
    (
        13_895,
        "IKE_QM_EXPIRED",
        "Quick mode SA was expired by IPsec driver.",
    ),
    (
        13_896,
        "IKE_TOO_MANY_FILTERS",
        "Too many dynamically added IKEEXT filters were detected.",
    ),
    (
        13_899,
        "IKE_INNER_IP_ASSIGNMENT_FAILURE",
        "Error in assigning inner IP address to initiator in tunnel mode.",
    ),
    (
        13_900,
        "IKE_REQUIRE_CP_PAYLOAD_MISSING",
        "Require configuration payload missing.",
    ),
    (
        13_901,
        "KEY_MODULE_IMPERSONATION_NEGOTIATION_PENDING",
        "A negotiation running as the security principle who issued the connection is in progress",
    ),
    (
        13_902,
        "IKE_COEXISTENCE_SUPPRESS",
        "SA was deleted due to IKEv1/AuthIP co-existence suppress check.",
    ),
    (
        13_903,
        "IKE_RATELIMIT_DROP",
        "Incoming SA request was dropped due to peer IP address rate limiting.",
    ),
    (
        13_904,
        "IKE_PEER_DOESNT_SUPPORT_MOBIKE",
        "Peer does not support MOBIKE.",
    ),
    (
        13_905,
        "IKE_AUTHORIZATION_FAILURE",
        "SA establishment is not authorized.",
    ),
    (
        13_906,
        "IKE_STRONG_CRED_AUTHORIZATION_FAILURE",
        "SA establishment is not authorized because there is not a sufficiently strong PKINIT-based credential.",
    ),
    (
        13_907,
        "IKE_AUTHORIZATION_FAILURE_WITH_OPTIONAL_RETRY",
        "SA establishment is not authorized.  You may need to enter updated or different credentials such as a smartcard.",
    ),
    (
        13_908,
        "IKE_STRONG_CRED_AUTHORIZATION_AND_CERTMAP_FAILURE",
        "SA establishment is not authorized because there is not a sufficiently strong PKINIT-based credential. This might be related to certificate-to-account mapping failure for the SA.",
    ),
    (
        13_910,
        "BAD_SPI",
        "The SPI in the packet does not match a valid IPsec SA.",
    ),
    (
        13_911,
        "SA_LIFETIME_EXPIRED",
        "Packet was received on an IPsec SA whose lifetime has expired.",
    ),
    (
        13_912,
        "WRONG_SA",
        "Packet was received on an IPsec SA that does not match the packet characteristics.",
    ),
    (
        13_913,
        "REPLAY_CHECK_FAILED",
        "Packet sequence number replay check failed.",
    ),
    (
        13_914,
        "INVALID_PACKET",
        "IPsec header and/or trailer in the packet is invalid.",
    ),
    (
        13_915,
        "INTEGRITY_CHECK_FAILED",
        "IPsec integrity check failed.",
    ),
    (
        13_916,
        "CLEAR_TEXT_DROP",
        "IPsec dropped a clear text packet.",
    ),
    (
        13_918,
        "THROTTLE_DROP",
        "IPsec dropped a packet due to DoS throttling.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_found_by_code_and_by_symbol() {
        for text in [
            "13801",
            "IKE_AUTH_FAIL",
            "0x35E9",
            "0X35e9",
            "ike_auth_fail",
            "ERROR_IPSEC_IKE_AUTH_FAIL",
        ] {
            assert_eq!(
                Reason::from_code_or_symbol(text),
                Some(Reason(13_801)),
                "{text}"
            );
        }
        assert_eq!(Reason(13_805).text(), "Negotiation timed out");
        let symbol = Reason(13_868).symbol();
        assert_eq!(symbol.as_deref(), Some("ERROR_IPSEC_IKE_POLICY_MATCH"));
        assert_eq!(Reason::from_code_or_symbol("13800"), None);
        assert_eq!(Reason::from_code_or_symbol("ERROR_IPSEC_"), None);
        assert_eq!(Reason::from_code_or_symbol("é"), None);
    }

    #[test]
    fn the_table_is_in_order_of_code() {
        assert!(REASONS.is_sorted_by(|a, b| a.0 < b.0));
    }
}
