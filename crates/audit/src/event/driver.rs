//! 4960 to 4963 and 4965: what a data plane has dropped.

use std::net::IpAddr;

/// Why a data plane dropped a packet that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// 4960: it is not authentic.
    Integrity,
    /// 4961: it came before.
    Replay,
    /// 4962: its sequence number is too low to tell whether it came before.
    TooOld,
    /// 4963: it is in the clear, and should have been protected.
    ClearText,
    /// 4965: no SA has its SPI.
    UnknownSpi,
}

/// A packet that a data plane dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketDropped {
    /// Why.
    pub why: DropReason,
    /// Where it came from. Nobody vouches for it, unless the packet was authentic.
    pub remote: IpAddr,
    /// The SPI that it carries; 0 for one in the clear.
    pub spi: u32,
}

impl DropReason {
    /// The id of its event.
    pub fn event_id(self) -> u16 {
        match self {
            DropReason::Integrity => 4960,
            DropReason::Replay => 4961,
            DropReason::TooOld => 4962,
            DropReason::ClearText => 4963,
            DropReason::UnknownSpi => 4965,
        }
    }
}

impl PacketDropped {
    pub(super) fn into_values(self) -> Vec<String> {
        vec![self.remote.to_string(), self.spi.to_string()]
    }
}
