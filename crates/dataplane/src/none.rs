//! The plane that carries nothing: negotiations alone, as with `dataplane = "none"`.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::{ChildSa, Counters, Plane, PlaneError, Trap};

/// Takes SAs, forgets their keys at once, and carries nothing. No traffic ever asks for an SA.
#[derive(Debug, Default)]
pub struct NonePlane {
    children: BTreeSet<u64>,
    traps: BTreeSet<String>,
}

/// A plane that carries nothing.
pub fn none() -> NonePlane {
    NonePlane::default()
}

impl NonePlane {
    fn installed(&self, id: u64) -> Result<(), PlaneError> {
        let installed = self.children.contains(&id);
        installed.then_some(()).ok_or(PlaneError::NoSuchSa(id))
    }
}

impl Plane for NonePlane {
    fn name(&self) -> &'static str {
        "none"
    }

    fn install(&mut self, sa: &ChildSa) -> Result<(), PlaneError> {
        sa.check()?;
        if self.children.insert(sa.id) {
            Ok(())
        } else {
            Err(PlaneError::AlreadyInstalled(format!("child SA {}", sa.id)))
        }
    }

    fn remove(&mut self, id: u64) -> Result<(), PlaneError> {
        let removed = self.children.remove(&id);
        removed.then_some(()).ok_or(PlaneError::NoSuchSa(id))
    }

    fn trap(&mut self, trap: &Trap) -> Result<(), PlaneError> {
        if self.traps.insert(trap.name.clone()) {
            Ok(())
        } else {
            Err(PlaneError::AlreadyInstalled(format!(
                "trap '{}'",
                trap.name
            )))
        }
    }

    fn untrap(&mut self, name: &str) -> Result<(), PlaneError> {
        let removed = self.traps.remove(name);
        removed
            .then_some(())
            .ok_or_else(|| PlaneError::NoSuchTrap(name.to_owned()))
    }

    fn counters(&mut self, id: u64) -> Result<Counters, PlaneError> {
        self.installed(id).map(|()| Counters::default())
    }

    fn move_to(&mut self, id: u64, _: SocketAddr, _: SocketAddr) -> Result<(), PlaneError> {
        self.installed(id)
    }

    fn close(self: Box<Self>) -> Result<(), PlaneError> {
        Ok(())
    }
}
