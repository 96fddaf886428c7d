//! A child SA as a data plane is told of it, the trap that asks for one, and what it counted.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use crypto::Secret;
use crypto::esp::{EspCipher, EspIntegrity, Protocol};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{PlaneError, Selector};

/// How packets are wrapped (RFC 4301 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// The whole packet goes inside a new one, between the outer addresses.
    Tunnel,
    /// The packet's own header stays outside.
    Transport,
}

/// ESP goes in UDP (RFC 3948), between these ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UdpEncap {
    /// This host's port, 4500 as a rule.
    pub local_port: u16,
    /// The peer's port, as its NAT shows it.
    pub remote_port: u16,
}

/// A firewall mark that packets carry: those with `packet & mask == value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mark {
    /// The bits.
    pub value: u32,
    /// Which bits count.
    pub mask: u32,
}

/// What each direction of a child SA may carry. Time is not here: it is for whoever negotiates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes after which the plane says that the SA is about to end.
    pub soft_bytes: Option<u64>,
    /// Bytes after which it carries nothing more.
    pub hard_bytes: Option<u64>,
    /// Packets after which the plane says that the SA is about to end.
    pub soft_packets: Option<u64>,
    /// Packets after which it carries nothing more.
    pub hard_packets: Option<u64>,
}

/// One direction of a child SA.
#[derive(Clone, Debug)]
pub struct Half {
    /// What its packets carry; its receiver chose it. Never below 256 (RFC 4303 section 2.1).
    pub spi: u32,
    /// The cipher's key with its salt at the end; empty where there is none.
    pub encryption: Secret,
    /// The integrity algorithm's key; empty where there is none.
    pub integrity: Secret,
}

/// IPComp (RFC 3173) by DEFLATE, in a bundle with ESP or AH: what names it in packets of each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cpis {
    /// From the peer to here. Never below 256 (RFC 3173 section 3.3).
    pub inbound: u16,
    /// From here to the peer.
    pub outbound: u16,
}

/// Two SAs, one each way, and the traffic that is theirs.
#[derive(Clone, Debug)]
pub struct ChildSa {
    /// The caller's name for it, in every later call and event.
    pub id: u64,
    /// ESP or AH.
    pub protocol: Protocol,
    /// Tunnel or transport.
    pub mode: Mode,
    /// This host's outer address.
    pub local: IpAddr,
    /// The peer's outer address.
    pub remote: IpAddr,
    /// In UDP, when there is a NAT on the way.
    pub encap: Option<UdpEncap>,
    /// Encrypts; absent in AH.
    pub cipher: Option<EspCipher>,
    /// Authenticates; absent beside a cipher that does so itself.
    pub integrity: Option<EspIntegrity>,
    /// Extended sequence numbers (RFC 4304).
    pub esn: bool,
    /// How many sequence numbers behind the newest are still taken, once each. 0: replay is not checked,
    /// which extended sequence numbers do not allow.
    pub replay_window: u32,
    /// From the peer to here.
    pub inbound: Half,
    /// From here to the peer.
    pub outbound: Half,
    /// Packets are compressed before they are protected; in tunnel mode it is IPComp that puts them into another.
    pub cpis: Option<Cpis>,
    /// This side's traffic, with addresses as packets have them on this host before they are wrapped.
    pub local_selector: Selector,
    /// The peer's.
    pub remote_selector: Selector,
    /// Nets within the peer's side that this host's own packets go to past the SA, and come from in the clear.
    pub local_lan: Vec<IpNet>,
    /// Bytes and packets.
    pub limits: Limits,
    /// Only packets with this mark.
    pub mark: Option<Mark>,
    /// Only packets of the XFRM interface with this number (`ip link add … type xfrm if_id …`).
    pub interface_id: Option<u32>,
    /// The SA that this one takes over from. That one goes on receiving until it is removed.
    pub replaces: Option<u64>,
    /// How long that one goes on sending as well, at most: the peer may not have this one yet. It has when something
    /// comes on it.
    pub take_over: Duration,
}

/// Traffic for which an SA shall be negotiated when it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trap {
    /// The caller's name for it.
    pub name: String,
    /// ESP or AH.
    pub protocol: Protocol,
    /// Tunnel or transport.
    pub mode: Mode,
    /// The SA is likely to have IPComp.
    pub compress: bool,
    /// This host's outer address.
    pub local: IpAddr,
    /// The peer's outer address.
    pub remote: IpAddr,
    /// This side's traffic; each with each of the peer's of the same IP version.
    pub local_selectors: Vec<Selector>,
    /// The peer's.
    pub remote_selectors: Vec<Selector>,
    /// Only packets with this mark.
    pub mark: Option<Mark>,
    /// Only packets of this XFRM interface.
    pub interface_id: Option<u32>,
}

/// What one direction has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Bytes, as the plane counts them for its limits.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// When the last of them passed; `None` when none did, or the plane cannot tell.
    pub last_used: Option<SystemTime>,
}

/// What a child SA has carried and refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// From the peer.
    pub inbound: Flow,
    /// To the peer.
    pub outbound: Flow,
    /// Packets refused because their sequence number was seen before, or is too old to tell.
    pub replayed: u64,
    /// Packets refused because they were not authentic.
    pub integrity_failures: u64,
    /// Authentic packets refused for what was in them: outside of the selectors, or no packet. `None` where the plane
    /// does not count them for each SA: the kernel's does not.
    pub unfit: Option<u64>,
}

/// The replay window that no plane exceeds: Linux's own limit, in packets.
pub const MAX_REPLAY_WINDOW: u32 = 4096;

/// SPIs below are reserved (RFC 4303 section 2.1).
const FIRST_SPI: u32 = 256;
/// CPIs below are reserved (RFC 3173 section 3.3).
const FIRST_CPI: u16 = 256;

impl ChildSa {
    /// Whether it holds together: algorithms for the protocol, keys of their lengths, addresses and
    /// selectors of one IP version each.
    ///
    /// # Errors
    /// [`PlaneError::Invalid`] says what does not.
    pub fn check(&self) -> Result<(), PlaneError> {
        let fault = |what: String| Err(PlaneError::Invalid { what });
        match (self.protocol, self.cipher, self.integrity) {
            (Protocol::Ah, None, Some(_)) => {}
            (Protocol::Ah, ..) => return fault("AH is an integrity algorithm alone".into()),
            (Protocol::Esp, Some(cipher), integrity)
                if cipher.row().aead == integrity.is_none() => {}
            (Protocol::Esp, ..) => {
                return fault(
                    "ESP is a cipher, with an integrity algorithm unless it authenticates".into(),
                );
            }
        }
        let encryption = self.cipher.map_or(0, |cipher| cipher.row().keymat_len());
        let integrity = self
            .integrity
            .map_or(0, |integrity| integrity.row().key_len);
        for half in [&self.inbound, &self.outbound] {
            if half.spi < FIRST_SPI {
                return fault(format!("SPI {:#x} is reserved", half.spi));
            }
            if half.encryption.len() != encryption || half.integrity.len() != integrity {
                return fault(format!(
                    "the keys of SPI {:#010x} have {} and {} bytes, not {encryption} and {integrity}",
                    half.spi,
                    half.encryption.len(),
                    half.integrity.len()
                ));
            }
        }
        if self.local.is_ipv4() != self.remote.is_ipv4() {
            return fault(format!(
                "{} and {} are of two IP versions",
                self.local, self.remote
            ));
        }
        if self.replay_window > MAX_REPLAY_WINDOW || (self.esn && self.replay_window == 0) {
            return fault(format!(
                "a replay window of {} is not between {} and {MAX_REPLAY_WINDOW}",
                self.replay_window,
                u8::from(self.esn)
            ));
        }
        if self.encap.is_some() && self.protocol == Protocol::Ah {
            return fault("AH cannot go in UDP".into());
        }
        if let Some(Cpis { inbound, outbound }) = self.cpis {
            if inbound.min(outbound) < FIRST_CPI {
                return fault(format!("CPI {:#x} is reserved", inbound.min(outbound)));
            }
            if self.local.is_ipv4() != self.local_selector.first.is_ipv4() {
                return fault(format!(
                    "IPComp cannot put {} into packets of another IP version",
                    self.local_selector
                ));
            }
        }
        self.local_selector.check_against(&self.remote_selector)
    }

    /// The peer's address and port where packets of this SA go to; port 0 without UDP.
    pub fn remote_endpoint(&self) -> SocketAddr {
        SocketAddr::new(self.remote, self.encap.map_or(0, |encap| encap.remote_port))
    }
}
