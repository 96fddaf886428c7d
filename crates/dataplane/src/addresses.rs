//! Addresses within tunnels that peers gave to this host (Mode Config): on the loopback interface, so that they are
//! there whichever way packets go, and as long as an SA has them. What a crash leaves behind the next start removes.

use std::net::IpAddr;
use std::path::Path;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_sys::protocols::NETLINK_ROUTE;

use crate::PlaneError;
use crate::held::Held;
use crate::kernel::ledger::Ledger;
use crate::kernel::netlink::Netlink;
use crate::kernel::route::family;

/// The loopback interface's index: the first that every network namespace has.
const LOOPBACK: u32 = 1;

/// The addresses, and which SAs have them.
pub struct Addresses {
    netlink: Netlink<RouteNetlinkMessage>,
    ledger: Ledger<IpAddr>,
    held: Held<IpAddr, u64>,
}

impl Addresses {
    /// Opens the list of what is there because of us, and removes what it holds.
    ///
    /// # Errors
    /// When the file or the kernel's addresses cannot be opened, or what is left behind cannot be removed.
    pub fn open(state_file: &Path) -> Result<Self, PlaneError> {
        let netlink = Netlink::open(NETLINK_ROUTE).map_err(|source| PlaneError::Kernel {
            doing: "opening the kernel's addresses",
            message: None,
            source,
        })?;
        let mut addresses = Addresses {
            netlink,
            ledger: Ledger::open(state_file)?,
            held: Held::default(),
        };
        addresses.close()?;
        Ok(addresses)
    }

    /// From now on an SA has these addresses, and no others. One that this host has already is left as it is.
    ///
    /// # Errors
    /// The first that cannot be set.
    pub fn set(&mut self, owner: u64, addresses: &[IpAddr]) -> Result<(), PlaneError> {
        let mut result = Ok(());
        for address in addresses {
            result = result.and(self.add(owner, *address));
        }
        for address in self.held.of(&owner) {
            if !addresses.contains(&address) && self.held.give_up(address, &owner) {
                result = result.and(self.remove(address));
            }
        }
        result
    }

    fn add(&mut self, owner: u64, address: IpAddr) -> Result<(), PlaneError> {
        if self.held.share(address, &owner) {
            return Ok(());
        }
        self.ledger.add(address)?;
        let request = RouteNetlinkMessage::NewAddress(message(address));
        match self.netlink.request(request, NLM_F_CREATE | NLM_F_EXCL) {
            Ok(_) => {
                self.held.insert(address, &owner);
                Ok(())
            }
            Err(failure) => {
                self.ledger.remove(&address)?;
                if failure.errno() == Some(libc::EEXIST) {
                    return Ok(()); // somebody else's
                }
                Err(failure.during("setting an address within a tunnel"))
            }
        }
    }

    fn remove(&mut self, address: IpAddr) -> Result<(), PlaneError> {
        let request = RouteNetlinkMessage::DelAddress(message(address));
        match self.netlink.request(request, 0) {
            // Somebody has removed it.
            Err(failure) if failure.errno() != Some(libc::EADDRNOTAVAIL) => {
                Err(failure.during("removing an address within a tunnel"))
            }
            _ => self.ledger.remove(&address),
        }
    }

    /// Removes all of them.
    ///
    /// # Errors
    /// The first that cannot be removed; the rest is tried nevertheless.
    pub fn close(&mut self) -> Result<(), PlaneError> {
        self.held = Held::default();
        let mut result = Ok(());
        for address in self.ledger.entries() {
            result = result.and(self.remove(address));
        }
        result
    }
}

fn message(address: IpAddr) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address);
    message.header.prefix_len = if address.is_ipv4() { 32 } else { 128 };
    message.header.index = LOOPBACK;
    // No other host of this link can have it: nothing is to be found out before it is used (RFC 4862 section 5.4).
    message.header.flags = AddressHeaderFlags::Nodad;
    message.attributes = vec![
        AddressAttribute::Local(address),
        AddressAttribute::Address(address),
    ];
    message
}
