//! Where the keys of child SAs go: the data planes.
//!
//! - [`Plane`]: what every data plane does: install an SA pair, replace it, remove it, wait for traffic
//!   that asks for one, count.
//! - [`none`]: a plane that carries nothing, for a daemon that only negotiates.
//!
//! A plane is told about whole child SAs, never about single kernel objects, and tells what happens to
//! them with a [`PlaneEvent`].

mod error;
mod none;
mod plane;
mod sa;
mod selector;

pub use error::PlaneError;
pub use none::{NonePlane, none};
pub use plane::{Plane, PlaneEvent};
pub use sa::{ChildSa, Counters, Flow, Half, Limits, Mark, Mode, Trap, UdpEncap};
pub use selector::Selector;
