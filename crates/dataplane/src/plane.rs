//! What every data plane does, and what it tells.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::{ChildSa, Counters, PlaneError, Selector, Trap};

/// What happened in a data plane without being asked for. Given to the function that the plane was opened
/// with, on a thread of the plane's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaneEvent {
    /// A packet came that a trap waits for, and there is no SA. The packet is lost, or waits a moment.
    Acquire {
        /// The trap.
        trap: String,
        /// The packet's source: one address, its protocol and port.
        local: Selector,
        /// Its destination.
        remote: Selector,
    },
    /// A limit of bytes or packets was reached, in either direction. Told once each, soft and hard.
    Expire {
        /// The child SA.
        id: u64,
        /// Nothing is carried in that direction any more.
        hard: bool,
    },
    /// Authentic packets come from another address or port: the peer's NAT has changed its mind. Nothing
    /// was changed; [`Plane::move_to`] does.
    MappingChanged {
        /// The child SA.
        id: u64,
        /// Where the peer now is.
        remote: SocketAddr,
    },
    /// A packet from the network was refused.
    Refused(Refused),
    /// More packets were refused than the plane tells of one by one: so many since it last said so.
    RefusedMore(Refusal, u64),
    /// Events may have been lost, or none will come any more; the words say which.
    Lost(String),
}

/// Why a packet from the network was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// It is not authentic (event 4960).
    NotAuthentic,
    /// Its sequence number came before (event 4961).
    Replayed,
    /// Its sequence number is too far behind the newest to tell (event 4962).
    TooOld,
    /// No SA has its SPI (event 4965).
    UnknownSpi,
    /// What it holds is not the SA's traffic (RFC 4301 section 5.2, step 4).
    Selectors,
    /// It is no ESP packet, or holds none of IP; also one that is authentic.
    Malformed,
    /// It is in the clear, and should have been protected (event 4963).
    ClearText,
}

impl Refusal {
    /// Every kind, in order.
    pub const ALL: [Self; 7] = [
        Self::NotAuthentic,
        Self::Replayed,
        Self::TooOld,
        Self::UnknownSpi,
        Self::Selectors,
        Self::Malformed,
        Self::ClearText,
    ];
}

/// A packet from the network that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// The child SA, where the SPI named one.
    pub id: Option<u64>,
    /// Where the packet came from; nobody vouches for it unless the packet was authentic.
    pub remote: IpAddr,
    /// The SPI that it carries; 0: it is in the clear.
    pub spi: u32,
    /// The sequence number that it carries, without its upper half.
    pub sequence: u32,
}

/// A data plane: carries what child SAs protect.
///
/// Every call has taken effect when it returns, and one that fails has changed nothing, unless it says
/// otherwise.
pub trait Plane: Send {
    /// The word of the configuration: `kernel`, `user`, `none`.
    fn name(&self) -> &'static str;

    /// Begins to carry a child SA. One that replaces another takes its outgoing traffic over, at once or when
    /// the plane knows that the peer has it; that other goes on receiving until it is removed.
    ///
    /// # Errors
    /// When the SA does not hold together, when its id is in use, or when the plane cannot carry it.
    fn install(&mut self, sa: &ChildSa) -> Result<(), PlaneError>;

    /// Begins to receive on a child SA that is to replace another, and on which is not agreed for good: the peer may
    /// send on it before this host knows that it will. [`Plane::install`] completes it, [`Plane::remove`] gives it
    /// up. Whether there is something to give up: a plane that keeps what comes too early needs nothing.
    ///
    /// # Errors
    /// As [`Plane::install`]; it can be installed nevertheless.
    fn expect(&mut self, _sa: &ChildSa) -> Result<bool, PlaneError> {
        Ok(false)
    }

    /// Does what has become due by now, and says when to ask again; `None`: not before something changes. The caller
    /// asks after every change.
    ///
    /// # Errors
    /// The first of what could not be done; it is not tried again.
    fn tend(&mut self) -> Result<Option<Duration>, PlaneError> {
        Ok(None)
    }

    /// Ends a child SA. Its keys are gone when this returns, also with an error.
    ///
    /// # Errors
    /// [`PlaneError::NoSuchSa`], or what the plane could not undo.
    fn remove(&mut self, id: u64) -> Result<(), PlaneError>;

    /// Waits for traffic: from now on such packets never leave, nor come in, unprotected, and one that
    /// finds no SA is [`PlaneEvent::Acquire`]. Child SAs for the same traffic come before it, and it is
    /// there again when they are gone. It comes before those for more.
    ///
    /// # Errors
    /// When the name is in use, or the plane cannot wait for it.
    fn trap(&mut self, trap: &Trap) -> Result<(), PlaneError>;

    /// Ends a trap.
    ///
    /// # Errors
    /// [`PlaneError::NoSuchTrap`], or what the plane could not undo.
    fn untrap(&mut self, name: &str) -> Result<(), PlaneError>;

    /// What a child SA has carried so far.
    ///
    /// # Errors
    /// [`PlaneError::NoSuchSa`], also for one whose hard limit has ended it.
    fn counters(&mut self, id: u64) -> Result<Counters, PlaneError>;

    /// The outer addresses are now these; the ports count with UDP encapsulation alone. Sequence numbers
    /// and the replay window go on, and what was counted.
    ///
    /// # Errors
    /// When it fails half-way the SA carries nothing any more and is to be removed.
    fn move_to(&mut self, id: u64, local: SocketAddr, remote: SocketAddr)
    -> Result<(), PlaneError>;

    /// Removes everything that the plane has installed.
    ///
    /// # Errors
    /// The first of what could not be undone; the rest is tried nevertheless.
    fn close(self: Box<Self>) -> Result<(), PlaneError>;
}
