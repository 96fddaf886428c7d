//! Every field of every event: name, type, and what it holds. One row for each name.
//!
//! A field is a [`word`] when its values come from a fixed vocabulary of ours and may be stored as
//! parameters (`%%8222`). In a [`text`] a `%%8222` is nothing but what somebody wrote there.

use super::InType::{Guid, HexInt64, Sid, UInt32, UInt64, UnicodeString};
use super::{Field, InType};

const fn text(name: &'static str, in_type: InType, meaning: &'static str) -> Field {
    Field {
        name,
        in_type,
        word: false,
        meaning,
    }
}

const fn word(name: &'static str, in_type: InType, meaning: &'static str) -> Field {
    Field {
        name,
        in_type,
        word: true,
        meaning,
    }
}

pub(super) const SUBJECT_USER_SID: Field = text(
    "SubjectUserSid",
    Sid,
    "the SID of the account that did it; `S-1-22-1-UID` for a Unix account",
);
pub(super) const SUBJECT_USER_NAME: Field = text(
    "SubjectUserName",
    UnicodeString,
    "the name of the account that did it",
);
pub(super) const SUBJECT_DOMAIN_NAME: Field = text(
    "SubjectDomainName",
    UnicodeString,
    "the domain of that account; the host name for a Unix account",
);
pub(super) const SUBJECT_LOGON_ID: Field = text(
    "SubjectLogonId",
    HexInt64,
    "the audit session of that account, `0x0` when there is none",
);
pub(super) const CHANNEL: Field = text("Channel", UnicodeString, "the log that was archived");
pub(super) const BACKUP_PATH: Field = text(
    "BackupPath",
    UnicodeString,
    "the file that the archived part of the log is now in",
);
pub(super) const AUDITS_DISCARDED: Field = text(
    "AuditsDiscarded",
    UInt32,
    "how many events were held back or lost",
);
pub(super) const NOTIFICATION: Field = word(
    "notification",
    UnicodeString,
    "whether DoS-prevention mode started or stopped",
);
pub(super) const LOCAL_MM_PRINCIPAL_NAME: Field = text(
    "LocalMMPrincipalName",
    UnicodeString,
    "the identity that we sent, `-` when we had not sent it yet",
);
pub(super) const REMOTE_MM_PRINCIPAL_NAME: Field = text(
    "RemoteMMPrincipalName",
    UnicodeString,
    "the identity that the peer sent, `-` when none could be decrypted",
);
pub(super) const LOCAL_ADDRESS: Field = text("LocalAddress", UnicodeString, "our address");
pub(super) const LOCAL_KEY_MOD_PORT: Field = text(
    "LocalKeyModPort",
    UInt32,
    "our UDP port in this negotiation (500, or 4500 behind a NAT)",
);
pub(super) const REMOTE_ADDRESS: Field =
    text("RemoteAddress", UnicodeString, "the address of the peer");
pub(super) const REMOTE_KEY_MOD_PORT: Field = text(
    "RemoteKeyModPort",
    UInt32,
    "the UDP port of the peer in this negotiation",
);
pub(super) const KEY_MOD_NAME: Field = word(
    "KeyModName",
    UnicodeString,
    "the keying module: IKEv1, AuthIP or IKEv2",
);
pub(super) const MM_AUTH_METHOD: Field = word(
    "MMAuthMethod",
    UnicodeString,
    "how the two sides authenticate in Main Mode; unknown until a proposal is chosen",
);
pub(super) const MM_CIPHER_ALG: Field = word(
    "MMCipherAlg",
    UnicodeString,
    "the cipher of the Main Mode SA",
);
pub(super) const MM_INTEGRITY_ALG: Field = word(
    "MMIntegrityAlg",
    UnicodeString,
    "the hash of the Main Mode SA",
);
pub(super) const DH_GROUP: Field = word(
    "DHGroup",
    UnicodeString,
    "the Diffie-Hellman group of the Main Mode SA",
);
pub(super) const MM_LIFETIME: Field = text(
    "MMLifetime",
    UInt32,
    "the lifetime of the Main Mode SA in minutes, rounded up",
);
pub(super) const QM_LIMIT: Field = text(
    "QMLimit",
    UInt32,
    "how many Quick Modes the SA may carry, 0 for no limit",
);
pub(super) const ROLE: Field = word(
    "Role",
    UnicodeString,
    "whether we were the initiator or the responder",
);
pub(super) const MM_IMPERSONATION_STATE: Field = word(
    "MMImpersonationState",
    UnicodeString,
    "whether Main Mode ran in the name of a user; here never",
);
pub(super) const MM_FILTER_ID: Field = text(
    "MMFilterID",
    UInt64,
    "the number kept for the name of the connection, 0 when no connection matched",
);
pub(super) const MMSAID: Field = text(
    "MMSAID",
    UInt64,
    "the number of the Main Mode SA, never used twice; it pairs a 4655 with its 4650",
);
pub(super) const LOCAL_MM_CERT_HASH: Field = text(
    "LocalMMCertHash",
    UnicodeString,
    "the SHA thumbprint of our certificate",
);
pub(super) const LOCAL_MM_ISSUING_CA: Field = text(
    "LocalMMIssuingCA",
    UnicodeString,
    "the CA that issued our certificate",
);
pub(super) const LOCAL_MM_ROOT_CA: Field = text(
    "LocalMMRootCA",
    UnicodeString,
    "the root CA of our certificate",
);
pub(super) const REMOTE_MM_CERT_HASH: Field = text(
    "RemoteMMCertHash",
    UnicodeString,
    "the SHA thumbprint of the certificate of the peer",
);
pub(super) const REMOTE_MM_ISSUING_CA: Field = text(
    "RemoteMMIssuingCA",
    UnicodeString,
    "the CA that issued the certificate of the peer",
);
pub(super) const REMOTE_MM_ROOT_CA: Field = text(
    "RemoteMMRootCA",
    UnicodeString,
    "the root CA of the certificate of the peer",
);
pub(super) const FAILURE_POINT: Field = word(
    "FailurePoint",
    UnicodeString,
    "who found the fault: the local computer (our policy or our check) or the remote one (the peer told us)",
);
pub(super) const FAILURE_REASON: Field = text(
    "FailureReason",
    UnicodeString,
    "the text of the Windows error; the code is `Extra.ReasonCode` in JSON",
);
pub(super) const STATE: Field = word("State", UnicodeString, "the last message that we sent");
pub(super) const INITIATOR_COOKIE: Field = text(
    "InitiatorCookie",
    UnicodeString,
    "the cookie of the initiator, 16 hex digits",
);
pub(super) const RESPONDER_COOKIE: Field = text(
    "ResponderCookie",
    UnicodeString,
    "the cookie of the responder, zeros when it was not known yet",
);
pub(super) const LOCAL_TRAFFIC_ADDRESS: Field = text(
    "LocalAddress",
    UnicodeString,
    "our side of the traffic: a host, or the first address of a subnet; for a range, of the smallest subnet that holds it",
);
pub(super) const REMOTE_TRAFFIC_ADDRESS: Field = text(
    "RemoteAddress",
    UnicodeString,
    "the side of the peer: a host, or the first address of a subnet; for a range, of the smallest subnet that holds it",
);
pub(super) const LOCAL_ADDRESS_MASK: Field = text(
    "LocalAddressMask",
    UnicodeString,
    "the mask of our side, `255.255.255.255` for one host; for IPv6 it is written as an address too",
);
pub(super) const LOCAL_PORT: Field = text(
    "LocalPort",
    UInt32,
    "the port on our side of the traffic, 0 for any",
);
pub(super) const LOCAL_TUNNEL_ENDPOINT: Field = text(
    "LocalTunnelEndpoint",
    UnicodeString,
    "our end of the tunnel, `-` when there is none",
);
pub(super) const REMOTE_ADDRESS_MASK: Field = text(
    "RemoteAddressMask",
    UnicodeString,
    "the mask of the side of the peer, written as ours is",
);
pub(super) const REMOTE_PORT: Field = text(
    "RemotePort",
    UInt32,
    "the port on the side of the peer, 0 for any",
);
pub(super) const REMOTE_TUNNEL_ENDPOINT: Field = text(
    "RemoteTunnelEndpoint",
    UnicodeString,
    "the end of the tunnel at the peer, `-` when there is none",
);
pub(super) const PROTOCOL: Field = text(
    "Protocol",
    UnicodeString,
    "the IP protocol of the traffic, as a number, 0 for any",
);
pub(super) const REMOTE_PRIVATE_ADDRESS: Field = text(
    "RemotePrivateAddress",
    UnicodeString,
    "the address of the peer behind its NAT, `-` when it did not say",
);
pub(super) const MODE: Field = word(
    "Mode",
    UnicodeString,
    "transport or tunnel; unknown until the proposals were read",
);
pub(super) const MESSAGE_ID: Field = text(
    "MessageID",
    UnicodeString,
    "the message ID of the exchange, decimal",
);
pub(super) const QM_FILTER_ID: Field = text(
    "QMFilterID",
    UInt64,
    "the number kept for the name of the child, 0 when none matched",
);
pub(super) const TUNNEL_ID: Field = text(
    "TunnelId",
    UInt64,
    "always 0 here: the number of a virtual interface, which Windows has for IKEv2 alone",
);
pub(super) const TRAFFIC_SELECTOR_ID: Field =
    text("TrafficSelectorId", UInt64, "always 0 here, as `TunnelId`");
pub(super) const CATEGORY_ID: Field = word(
    "CategoryId",
    UnicodeString,
    "the category of the audit policy",
);
pub(super) const SUBCATEGORY_ID: Field = word(
    "SubcategoryId",
    UnicodeString,
    "the subcategory whose setting changed",
);
pub(super) const SUBCATEGORY_GUID: Field =
    text("SubcategoryGuid", Guid, "the GUID of that subcategory");
pub(super) const AUDIT_POLICY_CHANGES: Field = word(
    "AuditPolicyChanges",
    UnicodeString,
    "what changed: success or failure auditing, added or removed; `-` when the subcategory was only configured or unconfigured",
);
pub(super) const SPI: Field = text("SPI", UInt32, "the SPI of the packet");
pub(super) const LOCAL_EM_PRINCIPAL_NAME: Field = text(
    "LocalEMPrincipalName",
    UnicodeString,
    "our identity in Extended Mode",
);
pub(super) const REMOTE_EM_PRINCIPAL_NAME: Field = text(
    "RemoteEMPrincipalName",
    UnicodeString,
    "the identity of the peer in Extended Mode",
);
pub(super) const EM_AUTH_METHOD: Field = word(
    "EMAuthMethod",
    UnicodeString,
    "how the two sides authenticate in Extended Mode",
);
pub(super) const EM_IMPERSONATION_STATE: Field = word(
    "EMImpersonationState",
    UnicodeString,
    "whether Extended Mode ran in the name of a user",
);
pub(super) const LOCAL_EM_CERT_HASH: Field = text(
    "LocalEMCertHash",
    UnicodeString,
    "the SHA thumbprint of our certificate in Extended Mode",
);
pub(super) const LOCAL_EM_ISSUING_CA: Field = text(
    "LocalEMIssuingCA",
    UnicodeString,
    "the CA that issued our certificate in Extended Mode",
);
pub(super) const LOCAL_EM_ROOT_CA: Field = text(
    "LocalEMRootCA",
    UnicodeString,
    "the root CA of our certificate in Extended Mode",
);
pub(super) const REMOTE_EM_CERT_HASH: Field = text(
    "RemoteEMCertHash",
    UnicodeString,
    "the SHA thumbprint of the certificate of the peer in Extended Mode",
);
pub(super) const REMOTE_EM_ISSUING_CA: Field = text(
    "RemoteEMIssuingCA",
    UnicodeString,
    "the CA that issued the certificate of the peer in Extended Mode",
);
pub(super) const REMOTE_EM_ROOT_CA: Field = text(
    "RemoteEMRootCA",
    UnicodeString,
    "the root CA of the certificate of the peer in Extended Mode",
);
pub(super) const PROFILE_CHANGED: Field = text("ProfileChanged", UnicodeString, "always `-` here");
pub(super) const IPSEC_SECURITY_ASSOCIATION_ID: Field = text(
    "IpSecSecurityAssociationId",
    UnicodeString,
    "the number of the IPsec SA, as in `QuickModeSaId`",
);
pub(super) const IPSEC_SECURITY_ASSOCIATION_NAME: Field = text(
    "IpSecSecurityAssociationName",
    UnicodeString,
    "the name of the child in the configuration",
);
pub(super) const PEER_PRIVATE_ADDRESS: Field = text(
    "PeerPrivateAddress",
    UnicodeString,
    "the address of the peer behind its NAT, `-` when it did not say",
);
pub(super) const IP_PROTOCOL: Field = text(
    "IpProtocol",
    UnicodeString,
    "the IP protocol of the traffic, as a number, 0 for any",
);
pub(super) const KEYING_MODULE_NAME: Field = word(
    "KeyingModuleName",
    UnicodeString,
    "the keying module: IKEv1, AuthIP or IKEv2",
);
pub(super) const AH_AUTH_TYPE: Field = word(
    "AhAuthType",
    UnicodeString,
    "the integrity algorithm of AH, None without AH",
);
pub(super) const ESP_AUTH_TYPE: Field = word(
    "EspAuthType",
    UnicodeString,
    "the integrity algorithm of ESP; the cipher where that authenticates by itself",
);
pub(super) const CIPHER_TYPE: Field = word(
    "CipherType",
    UnicodeString,
    "the cipher of ESP, None where nothing is encrypted",
);
pub(super) const LIFETIME_SECONDS: Field = text(
    "LifetimeSeconds",
    UInt32,
    "the lifetime of the SA in seconds, rounded up",
);
pub(super) const LIFETIME_KILOBYTES: Field = text(
    "LifetimeKilobytes",
    UInt32,
    "how many kilobytes the SA may carry, 0 for no limit",
);
pub(super) const LIFETIME_PACKETS: Field = text(
    "LifetimePackets",
    UInt32,
    "how many packets the SA may carry, 0 for no limit",
);
pub(super) const TRANSPORT_FILTER_ID: Field = text(
    "TransportFilterId",
    UInt64,
    "the number kept for the name of the child",
);
pub(super) const MAIN_MODE_SA_ID: Field = text(
    "MainModeSaId",
    UInt64,
    "the number of the Main Mode SA that made it",
);
pub(super) const QUICK_MODE_SA_ID: Field = text(
    "QuickModeSaId",
    UInt64,
    "the number of the IPsec SA, never used twice; it pairs a 5452 with its 5451",
);
pub(super) const INBOUND_SPI: Field = text("InboundSpi", UInt32, "the SPI of packets to us");
pub(super) const OUTBOUND_SPI: Field =
    text("OutboundSpi", UInt32, "the SPI of packets to the peer");
pub(super) const ERROR: Field = text("Error", UnicodeString, "the Windows error that ended it");
