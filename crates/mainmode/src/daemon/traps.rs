//! Traffic that connections wait for (`start = "on-demand"`): each trap as soon as its peer has an address, and
//! anew where that or the configuration changes. On a thread of its own.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use dataplane::Trap;

use super::planes::{self, Orders};
use super::{convert, names, say};
use crate::config::{Config, Connection, DataPlane, Start};

/// How often it is looked again for what could not be set: a route may have come.
const AGAIN: Duration = Duration::from_secs(10);

enum Order {
    Configure(Arc<Config>),
    /// A host name stands for these addresses now.
    Resolved(String, Vec<IpAddr>),
}

/// The way to the thread. It ends when nobody has that any more.
#[derive(Clone)]
pub struct Traps(Sender<Order>);

impl Traps {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// When the system gives none.
    pub fn start(orders: Orders, config: Arc<Config>) -> std::io::Result<Self> {
        let (sender, inbox) = unbounded();
        let mut keeper = Keeper {
            orders,
            config,
            names: BTreeMap::new(),
            set: BTreeMap::new(),
            generation: 0,
            said: BTreeMap::new(),
        };
        thread::Builder::new()
            .name("traps".to_owned())
            .spawn(move || keeper.run(&inbox))?;
        Ok(Traps(sender))
    }

    /// Another configuration.
    pub fn configure(&self, config: Arc<Config>) {
        // The thread outlives whoever could ask.
        let _ = self.0.send(Order::Configure(config));
    }

    /// A host name stands for these addresses now.
    pub fn resolved(&self, name: &str, addresses: &[IpAddr]) {
        let _ = self
            .0
            .send(Order::Resolved(name.to_owned(), addresses.to_vec()));
    }
}

/// A connection and a child of it.
type Named = (String, String);

/// The thread's side.
struct Keeper {
    orders: Orders,
    config: Arc<Config>,
    names: BTreeMap<String, Vec<IpAddr>>,
    /// The traps that are set.
    set: BTreeMap<Named, (DataPlane, Trap)>,
    /// So that a trap is there before the one that it replaces goes: no name is used twice.
    generation: u64,
    /// Why connections have no trap, as it was told last.
    said: BTreeMap<String, String>,
}

impl Keeper {
    fn run(&mut self, inbox: &Receiver<Order>) {
        loop {
            let next = if self.arrange() {
                inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                inbox.recv_timeout(AGAIN)
            };
            match next {
                Ok(order) => self.take(order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            for order in inbox.try_iter() {
                self.take(order);
            }
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Configure(config) => {
                let of_name = |name: &String| {
                    let mut all = config.connections.iter().filter_map(names::name);
                    all.any(|other| other == *name)
                };
                self.names.retain(|name, _| of_name(name));
                self.config = config;
            }
            Order::Resolved(name, addresses) => drop(self.names.insert(name, addresses)),
        }
    }

    /// Sets the traps that there are to be, and ends the others. False: some are to be looked for again.
    fn arrange(&mut self) -> bool {
        let config = self.config.clone();
        let on_demand = |connection: &&Connection| connection.start == Start::OnDemand;
        let mut complete = true;
        let mut left = std::mem::take(&mut self.set);
        for connection in config.connections.iter().filter(on_demand) {
            let named = names::name(connection).and_then(|name| self.names.get(&name));
            let named = named.map_or(&[][..], Vec::as_slice);
            let route = convert::route(connection, named, 0, &config.listen.addresses);
            complete &= route.is_ok();
            if let Err(why) = &route
                && self
                    .said
                    .insert(connection.name.clone(), why.clone())
                    .as_ref()
                    != Some(why)
            {
                say(why);
            }
            for child in &connection.children {
                let named = (connection.name.clone(), child.name.clone());
                let before = left.remove(&named);
                let now = match &route {
                    Ok((local, remote)) => {
                        self.said.remove(&connection.name);
                        let number = self.generation + 1;
                        let trap = planes::trap(connection, child, (*local, *remote), number);
                        self.replace(before, connection.dataplane, trap)
                    }
                    // What is set stays until it is known better.
                    Err(_) => before,
                };
                self.set.extend(now.map(|now| (named, now)));
            }
        }
        for (plane, trap) in left.into_values() {
            self.orders.untrap(plane, trap.name);
        }
        self.said
            .retain(|name, _| config.connection(name).is_some_and(|c| on_demand(&c)));
        complete
    }

    /// Sets a trap in place of the one before, unless they are the same.
    fn replace(
        &mut self,
        before: Option<(DataPlane, Trap)>,
        plane: DataPlane,
        trap: Trap,
    ) -> Option<(DataPlane, Trap)> {
        if let Some((old_plane, old)) = &before {
            let same = Trap {
                name: old.name.clone(),
                ..trap.clone()
            };
            if *old_plane == plane && *old == same {
                return before;
            }
        }
        self.generation += 1;
        self.orders.trap(plane, trap.clone());
        if let Some((plane, old)) = before {
            self.orders.untrap(plane, old.name);
        }
        Some((plane, trap))
    }
}
