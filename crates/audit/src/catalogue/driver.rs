//! The events of IPsec Driver: what a data plane dropped, and the start and end of the services.

#[allow(
    clippy::wildcard_imports,
    reason = "a table of fields, all by their own names"
)]
use super::fields::*;
use super::{Data, EventSpec, Governor, Provider};
use crate::policy::Subcategory;
use crate::record::Outcome;

const GOVERNOR: Governor = Governor::Setting(Subcategory::IpsecDriver);

pub(super) const EVENTS: &[EventSpec] = &[
    EventSpec {
        id: 4960,
        version: 0,
        level: 0,
        task: 12_291,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Success,
        governor: GOVERNOR,
        data: Data::Event(&[REMOTE_ADDRESS, SPI]),
        title: "IPsec dropped an inbound packet that failed an integrity check.",
        message: "\
IPsec dropped an inbound packet that failed an integrity check. If this problem persists, it could indicate a network issue or that packets are being modified in transit to this computer. Verify that the packets sent from the remote computer are the same as those received by this computer. This error might also indicate interoperability problems with other IPsec implementations.\n\
\n\
Remote Network Address:\t%1\n\
Inbound SA SPI:\t\t%2",
        raised: "the data plane in user space dropped a packet whose integrity check failed. Rate-limited; what was held back is counted in 4612.",
        advice: "If it goes on, look for a path that changes packets, or for keys that differ.",
        raised_yet: true,
    },
    EventSpec {
        id: 4961,
        version: 0,
        level: 0,
        task: 12_291,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Success,
        governor: GOVERNOR,
        data: Data::Event(&[REMOTE_ADDRESS, SPI]),
        title: "IPsec dropped an inbound packet that failed a replay check.",
        message: "\
IPsec dropped an inbound packet that failed a replay check. If this problem persists, it could indicate a replay attack against this computer.\n\
\n\
Remote Network Address:\t%1\n\
Inbound SA SPI:\t\t%2",
        raised: "the data plane in user space dropped a packet that it had seen before. Rate-limited; what was held back is counted in 4612.",
        advice: "If it goes on, look for a path that duplicates packets, or for a replay.",
        raised_yet: true,
    },
    EventSpec {
        id: 4962,
        version: 0,
        level: 0,
        task: 12_291,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Success,
        governor: GOVERNOR,
        data: Data::Event(&[REMOTE_ADDRESS, SPI]),
        title: "IPsec dropped an inbound packet that failed a replay check.",
        message: "\
IPsec dropped an inbound packet that failed a replay check. The inbound packet had too low a sequence number to ensure it was not a replay.\n\
\n\
Remote Network Address:\t%1\n\
Inbound SA SPI:\t\t%2",
        raised: "the data plane in user space dropped a packet older than the replay window. Rate-limited; what was held back is counted in 4612.",
        advice: "If it goes on, look for a path that reorders packets, or widen the window.",
        raised_yet: true,
    },
    EventSpec {
        id: 4963,
        version: 0,
        level: 0,
        task: 12_291,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Success,
        governor: GOVERNOR,
        data: Data::Event(&[REMOTE_ADDRESS, SPI]),
        title: "IPsec dropped an inbound clear text packet that should have been secured.",
        message: "\
IPsec dropped an inbound clear text packet that should have been secured. This is usually due to the remote computer changing its IPsec policy without informing this computer. This could also be a spoofing attack attempt.\n\
\n\
Remote Network Address:\t%1\n\
Inbound SA SPI:\t\t%2",
        raised: "a packet came in clear text whose traffic the data plane in user space protects, and the kernel dropped it (IPv4). Rate-limited; what was held back is counted in 4612.",
        advice: "Check that the policy of the peer still protects this traffic.",
        raised_yet: true,
    },
    EventSpec {
        id: 4965,
        version: 0,
        level: 0,
        task: 12_291,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Success,
        governor: GOVERNOR,
        data: Data::Event(&[REMOTE_ADDRESS, SPI]),
        title: "IPsec received a packet from a remote computer with an incorrect Security Parameter Index (SPI).",
        message: "\
IPsec received a packet from a remote computer with an incorrect Security Parameter Index (SPI). This is usually caused by malfunctioning hardware that is corrupting packets. If these errors persist, verify that the packets sent from the remote computer are the same as those received by this computer. This error may also indicate interoperability problems with other IPsec implementations. In that case, if connectivity is not impeded, then these events can be ignored.\n\
\n\
Remote Network Address:\t%1\n\
Inbound SA SPI:\t\t%2",
        raised: "the data plane in user space dropped a packet with an SPI that it does not know. Rate-limited; what was held back is counted in 4612.",
        advice: "Usually the peer still uses an SA that we lost: it ends with the next rekey. Else bring the connection down at the peer.",
        raised_yet: true,
    },
    EventSpec {
        id: 5478,
        version: 0,
        level: 0,
        task: 12_291,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Success,
        governor: GOVERNOR,
        data: Data::Event(&[]),
        title: "IPsec Services has started successfully.",
        message: "IPsec Services has started successfully.",
        raised: "the daemon started: sockets open, log open, configuration read.",
        advice: "Nothing.",
        raised_yet: true,
    },
    EventSpec {
        id: 5479,
        version: 0,
        level: 0,
        task: 12_291,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Success,
        governor: GOVERNOR,
        data: Data::Event(&[]),
        title: "IPsec Services has been shut down successfully.",
        message: "IPsec Services has been shut down successfully. The shutdown of IPsec Services can put the computer at greater risk of network attack or expose the computer to potential security risks.",
        raised: "the daemon shut down in good order.",
        advice: "Nothing, if it was meant to stop.",
        raised_yet: true,
    },
    EventSpec {
        id: 5484,
        version: 0,
        level: 0,
        task: 12_291,
        provider: Provider::SecurityAuditing,
        outcome: Outcome::Failure,
        governor: GOVERNOR,
        data: Data::Event(&[ERROR]),
        title: "IPsec Services has experienced a critical failure and has been shut down.",
        message: "\
IPsec Services has experienced a critical failure and has been shut down. The shutdown of IPsec Services can put the computer at greater risk of network attack or expose the computer to potential security risks.\n\
\n\
Error Code:\t\t%1",
        raised: "the keying service failed and could not be started again.",
        advice: "Read the daemon's messages of that moment.",
        raised_yet: false,
    },
];
