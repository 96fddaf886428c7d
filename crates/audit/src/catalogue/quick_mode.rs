//! The events of IPsec Quick Mode.

#[allow(
    clippy::wildcard_imports,
    reason = "a table of fields, all by their own names"
)]
use super::fields::*;
use super::{Data, EventSpec, Governor, Provider};
use crate::policy::Subcategory;
use crate::record::Outcome;

const GOVERNOR: Governor = Governor::Setting(Subcategory::IpsecQuickMode);

pub(super) const EVENTS: &[EventSpec] = &[
    EventSpec {
        id: 4654,
        version: 1,
        level: 0,
        task: 12_549,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Failure,
        governor: GOVERNOR,
        data: Data::Event(&[
            LOCAL_TRAFFIC_ADDRESS,
            LOCAL_ADDRESS_MASK,
            LOCAL_PORT,
            LOCAL_TUNNEL_ENDPOINT,
            REMOTE_TRAFFIC_ADDRESS,
            REMOTE_ADDRESS_MASK,
            REMOTE_PORT,
            REMOTE_TUNNEL_ENDPOINT,
            PROTOCOL,
            REMOTE_PRIVATE_ADDRESS,
            KEY_MOD_NAME,
            FAILURE_POINT,
            FAILURE_REASON,
            MODE,
            STATE,
            ROLE,
            MESSAGE_ID,
            QM_FILTER_ID,
            MMSAID,
            TUNNEL_ID,
            TRAFFIC_SELECTOR_ID,
        ]),
        title: "An IPsec Quick Mode negotiation failed.",
        message: "\
An IPsec Quick Mode negotiation failed.\n\
\n\
Local Endpoint:\n\
\tNetwork Address:\t%1\n\
\tNetwork Address mask:\t%2\n\
\tPort:\t\t\t%3\n\
\tTunnel Endpoint:\t\t%4\n\
\n\
Remote Endpoint:\n\
\tNetwork Address:\t%5\n\
\tAddress Mask:\t\t%6\n\
\tPort:\t\t\t%7\n\
\tTunnel Endpoint:\t\t%8\n\
\tPrivate Address:\t\t%10\n\
\n\
Additional Information:\n\
\tProtocol:\t\t%9\n\
\tKeying Module Name:\t%11\n\
\tVirtual Interface Tunnel ID:\t%20\n\
\tTraffic Selector ID:\t%21\n\
\tMode:\t\t\t%14\n\
\tRole:\t\t\t%16\n\
\tQuick Mode Filter ID:\t%18\n\
\tMain Mode SA ID:\t%19\n\
\n\
Failure Information:\n\
\tState:\t\t\t%15\n\
\tMessage ID:\t\t%17\n\
\tFailure Point:\t\t%12\n\
\tFailure Reason:\t\t%13",
        raised: "a Quick Mode negotiation failed, in either role. Exactly one for each negotiation that does not come to 5451.",
        advice: "Look up the cause: `mainmode explain` with the code or the cause. Usually traffic selectors, ESP proposals or perfect forward secrecy differ.",
        raised_yet: true,
    },
    EventSpec {
        id: 4977,
        version: 0,
        level: 0,
        task: 12_549,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Success,
        governor: GOVERNOR,
        data: Data::Event(&[LOCAL_ADDRESS, REMOTE_ADDRESS, KEY_MOD_NAME]),
        title: "During Quick Mode negotiation, IPsec received an invalid negotiation packet.",
        message: "\
During Quick Mode negotiation, IPsec received an invalid negotiation packet. If this problem persists, it could indicate a network issue or an attempt to modify or replay this negotiation.\n\
\n\
Local Network Address:\t%1\n\
Remote Network Address:\t%2\n\
Keying Module Name:\t%3",
        raised: "an invalid packet came in during Quick Mode: malformed, out of place, tampered with, or replayed. It ends nothing. `Extra.Cause` in JSON says which. Rate-limited; what was held back is counted in 4612.",
        advice: "As for 4976.",
        raised_yet: true,
    },
    EventSpec {
        id: 5451,
        version: 1,
        level: 0,
        task: 12_549,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Success,
        governor: GOVERNOR,
        data: Data::Event(&[
            LOCAL_TRAFFIC_ADDRESS,
            LOCAL_ADDRESS_MASK,
            LOCAL_PORT,
            LOCAL_TUNNEL_ENDPOINT,
            REMOTE_TRAFFIC_ADDRESS,
            REMOTE_ADDRESS_MASK,
            REMOTE_PORT,
            PEER_PRIVATE_ADDRESS,
            REMOTE_TUNNEL_ENDPOINT,
            IP_PROTOCOL,
            KEYING_MODULE_NAME,
            AH_AUTH_TYPE,
            ESP_AUTH_TYPE,
            CIPHER_TYPE,
            LIFETIME_SECONDS,
            LIFETIME_KILOBYTES,
            LIFETIME_PACKETS,
            MODE,
            ROLE,
            TRANSPORT_FILTER_ID,
            MAIN_MODE_SA_ID,
            QUICK_MODE_SA_ID,
            INBOUND_SPI,
            OUTBOUND_SPI,
            TUNNEL_ID,
            TRAFFIC_SELECTOR_ID,
        ]),
        title: "An IPsec Quick Mode security association was established.",
        message: "\
An IPsec Quick Mode security association was established.\n\
\n\
Local Endpoint:\n\
\tNetwork Address:\t%1\n\
\tNetwork Address mask:\t%2\n\
\tPort:\t\t\t%3\n\
\tTunnel Endpoint:\t\t%4\n\
\n\
Remote Endpoint:\n\
\tNetwork Address:\t%5\n\
\tNetwork Address Mask:\t%6\n\
\tPort:\t\t\t%7\n\
\tPrivate Address:\t\t%8\n\
\tTunnel Endpoint:\t\t%9\n\
\n\
\tProtocol:\t\t%10\n\
\tKeying Module Name:\t%11\n\
\n\
Cryptographic Information:\n\
\tIntegrity Algorithm - AH:\t%12\n\
\tIntegrity Algorithm - ESP:\t%13\n\
\tEncryption Algorithm:\t%14\n\
\n\
Security Association Information:\n\
\tLifetime - seconds:\t%15\n\
\tLifetime - data:\t\t%16\n\
\tLifetime - packets:\t%17\n\
\tMode:\t\t\t%18\n\
\tRole:\t\t\t%19\n\
\tQuick Mode Filter ID:\t%20\n\
\tMain Mode SA ID:\t%21\n\
\tQuick Mode SA ID:\t%22\n\
\n\
Additional Information:\n\
\tInbound SPI:\t\t%23\n\
\tOutbound SPI:\t\t%24\n\
\tVirtual Interface Tunnel ID:\t\t%25\n\
\tTraffic Selector ID:\t\t%26",
        raised: "an IPsec SA was established, in either role. It carries nothing before this is written.",
        advice: "Nothing. It pairs with a 5452 by `QuickModeSaId`, and with a 4650 by `MainModeSaId`.",
        raised_yet: true,
    },
    EventSpec {
        id: 5452,
        version: 1,
        level: 0,
        task: 12_549,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Success,
        governor: GOVERNOR,
        data: Data::Event(&[
            LOCAL_TRAFFIC_ADDRESS,
            LOCAL_PORT,
            LOCAL_TUNNEL_ENDPOINT,
            REMOTE_TRAFFIC_ADDRESS,
            REMOTE_PORT,
            REMOTE_TUNNEL_ENDPOINT,
            IP_PROTOCOL,
            QUICK_MODE_SA_ID,
            TUNNEL_ID,
            TRAFFIC_SELECTOR_ID,
        ]),
        title: "An IPsec Quick Mode security association ended.",
        message: "\
An IPsec Quick Mode security association ended.\n\
\t\n\
Local Endpoint:\n\
\tNetwork Address:\t%1\n\
\tPort:\t\t\t%2\n\
\tTunnel Endpoint:\t\t%3\n\
\n\
Remote Endpoint:\n\
\tNetwork Address:\t%4\n\
\tPort:\t\t\t%5\n\
\tTunnel Endpoint:\t\t%6\n\
\n\
Additional Information:\n\
\tProtocol:\t\t%7\n\
\tQuick Mode SA ID:\t%8\n\
\tVirtual Interface Tunnel ID:\t\t%9\n\
\tTraffic Selector ID:\t\t%10",
        raised: "an IPsec SA ended: expired, deleted by either side, replaced, peer dead, its Main Mode SA gone, shutdown, lost by the data plane, or found orphaned by a crash at the next start. `Extra.Cause` in JSON says which. Exactly one for each SA.",
        advice: "Nothing, unless the cause is `peer-dead`, `lost-by-data-plane` or `orphaned-by-crash`.",
        raised_yet: true,
    },
];
