//! Where the keys of child SAs go: the data planes.
//!
//! - [`Plane`]: what every data plane does: install an SA pair, replace it, remove it, wait for traffic
//!   that asks for one, count.
//! - [`kernel()`]: the kernel's own IPsec.
//! - [`user()`]: ESP in user space, over a TUN device; [`bypass`] is what it needs of IKE's sockets,
//!   [`clear_user`] undoes what one has left behind.
//! - [`none()`]: a plane that carries nothing, for a daemon that only negotiates.
//! - [`Addresses`]: addresses within tunnels that this host was given.
//! - [`take_esp_from`], [`exempt`]: what the kernel's IPsec needs of IKE's sockets.
//!
//! A plane is told about whole child SAs, never about single kernel objects, and tells what happens to
//! them with a [`PlaneEvent`].

mod addresses;
mod error;
mod held;
mod kernel;
mod none;
mod plane;
mod sa;
mod selector;
mod sockets;
mod user;

pub use addresses::Addresses;
pub use error::PlaneError;
pub use kernel::{Kernel, KernelOptions, RouteTable, kernel};
pub use none::{NonePlane, none};
pub use plane::{Plane, PlaneEvent, Refusal, Refused};
pub use sa::{
    ChildSa, Counters, Cpis, Flow, Half, Limits, MAX_REPLAY_WINDOW, Mark, Mode, Trap, UdpEncap,
};
pub use selector::Selector;
pub use sockets::{exempt, take_esp_from};
pub use user::{IkeDatagram, IkeReceiver, User, UserOptions, bypass, clear_user, user};
