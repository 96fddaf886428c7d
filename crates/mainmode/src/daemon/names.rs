//! Peers that are known by host name. A few threads ask the system's resolver, so that nobody else ever waits for
//! a name server; what they find is kept, and told where it changes.
//!
//! The resolver tells no lifetimes. So the names of the configuration are looked up again at an interval, when
//! somebody is about to begin with such a peer, and, not too often, when a peer came that no connection is for: it
//! may be one whose name leads elsewhere by now.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use crate::config::{Config, Connection, RemoteAddress};

/// Threads that ask the resolver. It may take half a minute where no name server answers; with so many, some are
/// free then for those who wait.
const RESOLVERS: usize = 4;
/// Lookups at the interval that are under way at once: others may wait for an answer meanwhile.
const WATCHING: usize = 2;
/// Lookups that wait for a thread. Each connection has one or two at most; beyond, they fail at once, and whoever
/// asked tries again.
const QUEUE: usize = 4_096;
/// How often a name is looked up without being asked for: as often as libreswan does.
const EVERY: Duration = Duration::from_mins(1);
/// The same for a name that stands for nothing yet.
const AGAIN: Duration = Duration::from_secs(10);
/// How long a start waits for what the names stand for: who comes before that is known is refused.
pub const AT_START: Duration = Duration::from_millis(500);
/// How often it is looked whether that is known.
const LOOK: Duration = Duration::from_millis(5);
/// How often strangers can have all names looked up.
const LEAST: Duration = Duration::from_secs(5);
/// Addresses of one name that are looked at.
const MAX_ADDRESSES: usize = keying::limits::MAX_NAME_ADDRESSES;

/// What asks the system.
type Resolver = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;
/// What is told of a name that stands for other addresses than before.
type Told = Box<dyn Fn(&str, &[IpAddr]) + Send + Sync>;
/// What is done with a name's addresses; with none where it has none, or nobody could say.
type Then = Box<dyn FnOnce(Vec<IpAddr>) + Send>;

struct Lookup {
    name: String,
    then: Then,
}

enum Order {
    /// These are the names of the configuration: look them all up.
    Watch(Vec<String>),
    /// Look them up again, if that was not done just now.
    Refresh,
    /// One was looked up, and whether it stands for something.
    Done(String, bool),
}

/// What the names of the configuration stand for; nothing where that is not known yet.
type Known = BTreeMap<String, Vec<IpAddr>>;

struct Book {
    known: Mutex<Known>,
    resolver: Box<Resolver>,
    told: Told,
}

/// The way to what names stand for.
#[derive(Clone)]
pub struct Names {
    book: Arc<Book>,
    lookups: Sender<Lookup>,
    orders: Sender<Order>,
    /// Tells the watcher that somebody still has the way.
    alive: Arc<()>,
}

/// The names of a configuration's peers.
fn names(config: &Config) -> Vec<String> {
    let mut all: Vec<String> = config.connections.iter().filter_map(name).collect();
    all.sort();
    all.dedup();
    all
}

/// The name by which a connection knows its peer.
pub fn name(connection: &Connection) -> Option<String> {
    match &connection.remote.address {
        RemoteAddress::Host(name) => Some(name.clone()),
        _ => None,
    }
}

/// Asks the system.
pub fn ask_system(name: &str) -> io::Result<Vec<IpAddr>> {
    let found = (name, 0).to_socket_addrs()?;
    Ok(found.map(|address| address.ip()).collect())
}

impl Names {
    /// Starts the threads. `told` is called on them, for each name of the configuration that stands for other
    /// addresses than before. They end when nobody has the way to them any more.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn start(
        config: &Config,
        resolver: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
        told: impl Fn(&str, &[IpAddr]) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let book = Arc::new(Book {
            known: Mutex::default(),
            resolver: Box::new(resolver),
            told: Box::new(told),
        });
        let (lookups, waiting) = bounded(QUEUE);
        for number in 0..RESOLVERS {
            let (book, waiting) = (book.clone(), waiting.clone());
            thread::Builder::new()
                .name(format!("resolve-{number}"))
                .spawn(move || work(&book, &waiting))?;
        }
        let (orders, inbox) = unbounded();
        let mut watcher = Watcher {
            lookups: lookups.clone(),
            orders: orders.clone(),
            names: BTreeMap::new(),
            again: BTreeMap::new(),
            under_way: 0,
            refreshed: None,
        };
        let names = Names {
            book,
            lookups,
            orders,
            alive: Arc::default(),
        };
        names.configure(config);
        let alive = Arc::downgrade(&names.alive);
        thread::Builder::new()
            .name("names".to_owned())
            .spawn(move || watcher.run(&inbox, || alive.upgrade().is_some()))?;
        Ok(names)
    }

    /// Another configuration: all its names are looked up now.
    pub fn configure(&self, config: &Config) {
        let names = names(config);
        let mut known = self.book.known();
        let mut before = std::mem::take(&mut *known);
        for name in &names {
            let found = before.remove(name).unwrap_or_default();
            known.insert(name.clone(), found);
        }
        drop(known);
        self.order(Order::Watch(names));
    }

    /// Waits until each name stands for something, for so long at most.
    pub fn settle(&self, patience: Duration) {
        let begun = Instant::now();
        while self.book.known().values().any(Vec::is_empty) && begun.elapsed() < patience {
            thread::sleep(LOOK);
        }
    }

    /// A peer came that no connection is for: names may lead elsewhere by now.
    pub fn refresh(&self) {
        self.order(Order::Refresh);
    }

    fn order(&self, order: Order) {
        // The watcher ends last.
        let _ = self.orders.send(order);
    }

    /// What a name was last found to stand for; nothing where that is not known yet.
    pub fn known(&self, name: &str) -> Vec<IpAddr> {
        self.book.known().get(name).cloned().unwrap_or_default()
    }

    /// Looks a name up. `then` is called on a thread of the resolver's, or on this one where too many wait.
    pub fn look_up(&self, name: &str, then: impl FnOnce(Vec<IpAddr>) + Send + 'static) {
        let lookup = Lookup {
            name: name.to_owned(),
            then: Box::new(then),
        };
        if let Err(refused) = self.lookups.try_send(lookup) {
            (refused.into_inner().then)(Vec::new());
        }
    }

    /// Looks a name up; the answer comes over the channel.
    pub fn ask(&self, name: &str) -> Receiver<Vec<IpAddr>> {
        let (reply, answer) = bounded(1);
        self.look_up(name, move |addresses| drop(reply.send(addresses)));
        answer
    }
}

impl Book {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the system, and keeps what it says. Where it says nothing, what was known before is still the best
    /// guess: a name server that does not answer changes no peer's address.
    fn look_up(&self, name: &str) -> Vec<IpAddr> {
        let mut found: Vec<IpAddr> = Vec::new();
        for address in (self.resolver)(name).unwrap_or_default() {
            if found.len() < MAX_ADDRESSES && !found.contains(&address) {
                found.push(address);
            }
        }
        let mut known = self.known();
        let Some(before) = known.get_mut(name) else {
            // Of no connection any more.
            return found;
        };
        if found.is_empty() {
            return before.clone();
        }
        // Name servers give them in another order each time.
        let sorted = |addresses: &[IpAddr]| {
            let mut addresses = addresses.to_vec();
            addresses.sort();
            addresses
        };
        let changed = sorted(before) != sorted(&found);
        before.clone_from(&found);
        if changed {
            // In the order in which it was found out: nobody else finds anything out meanwhile.
            (self.told)(name, &found);
        }
        found
    }
}

fn work(book: &Book, waiting: &Receiver<Lookup>) {
    for lookup in waiting {
        (lookup.then)(book.look_up(&lookup.name));
    }
}

/// When a name is looked up next; nothing while it is.
type Due = Option<Instant>;

/// The thread that looks names up at the interval.
struct Watcher {
    lookups: Sender<Lookup>,
    orders: Sender<Order>,
    names: BTreeMap<String, Due>,
    /// When those that are under way are to be looked up anew: their answer may be of before.
    again: BTreeMap<String, Instant>,
    under_way: usize,
    refreshed: Option<Instant>,
}

impl Watcher {
    fn run(&mut self, inbox: &Receiver<Order>, alive: impl Fn() -> bool) {
        while alive() {
            let now = Instant::now();
            self.begin(now);
            let next = self.names.values().flatten().min();
            // What is due and has no place begins when another is done.
            let wait = next
                .filter(|_| self.under_way < WATCHING)
                .map_or(EVERY, |at| at.saturating_duration_since(now).min(EVERY));
            match inbox.recv_timeout(wait) {
                Ok(order) => self.take(order, Instant::now()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Looks up what is due, as many as may be.
    fn begin(&mut self, now: Instant) {
        let due: Vec<String> = self
            .names
            .iter()
            .filter(|(_, due)| due.is_some_and(|at| at <= now))
            .map(|(name, _)| name.clone())
            .take(WATCHING.saturating_sub(self.under_way))
            .collect();
        for name in due {
            let (orders, done) = (self.orders.clone(), name.clone());
            let lookup = Lookup {
                name: name.clone(),
                then: Box::new(move |found| {
                    drop(orders.send(Order::Done(done, !found.is_empty())));
                }),
            };
            let begun = self.lookups.try_send(lookup).is_ok();
            self.under_way += usize::from(begun);
            let due = (!begun).then_some(now + AGAIN);
            self.names.insert(name, due);
        }
    }

    fn take(&mut self, order: Order, now: Instant) {
        match order {
            Order::Watch(names) => {
                self.refreshed = Some(now);
                let before = std::mem::take(&mut self.names);
                for name in names {
                    let under_way = before.get(&name).is_some_and(Option::is_none);
                    if under_way {
                        self.again.insert(name.clone(), now);
                    }
                    self.names.insert(name, (!under_way).then_some(now));
                }
            }
            Order::Refresh => {
                let last = self.refreshed;
                if last.is_none_or(|last| last <= now) {
                    let at = last.map_or(now, |last| (last + LEAST).max(now));
                    self.refreshed = Some(at);
                    for (name, due) in &mut self.names {
                        match due {
                            Some(due) => *due = (*due).min(at),
                            None => {
                                self.again.entry(name.clone()).or_insert(at);
                            }
                        }
                    }
                }
            }
            Order::Done(name, found) => {
                self.under_way -= 1;
                let again = self.again.remove(&name);
                if let Some(due) = self.names.get_mut(&name) {
                    let at = now + if found { EVERY } else { AGAIN };
                    *due = Some(again.map_or(at, |again| at.min(again)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn config(names: &[&str]) -> Config {
        let psk = "auth = { psk = \"correct horse battery staple\" }";
        let one = |name: &&str| {
            format!(
                "[[connection]]\nname = \"{name}\"\nremote = {{ address = \"{name}\" }}\n{psk}\n"
            )
        };
        let text: String = names.iter().map(one).collect();
        Config::from_text(Path::new("/m.toml"), text, false)
            .unwrap_or_else(|errors| panic!("{errors}"))
            .config
    }

    fn addresses(all: &[&str]) -> Vec<IpAddr> {
        all.iter()
            .map(|one| one.parse().expect("an address"))
            .collect()
    }

    /// A world in which names stand for what a test says, and what was told of it.
    struct World {
        truth: Arc<Mutex<BTreeMap<String, Vec<IpAddr>>>>,
        asked: Arc<AtomicUsize>,
        told: Receiver<(String, Vec<IpAddr>)>,
        names: Names,
    }

    impl World {
        fn new(watched: &[&str], truth: &[(&str, &[&str])]) -> Self {
            let (tell, told) = unbounded();
            let world = Arc::new(Mutex::new(BTreeMap::new()));
            let asked = Arc::new(AtomicUsize::new(0));
            let (seen, counted) = (world.clone(), asked.clone());
            for (name, all) in truth {
                world
                    .lock()
                    .unwrap()
                    .insert((*name).to_owned(), addresses(all));
            }
            let resolver = move |name: &str| {
                counted.fetch_add(1, Ordering::SeqCst);
                let found = seen.lock().unwrap().get(name).cloned();
                found.ok_or_else(|| io::Error::other("no such name"))
            };
            let names = Names::start(&config(watched), resolver, move |name, all| {
                drop(tell.send((name.to_owned(), all.to_vec())));
            });
            World {
                truth: world,
                asked,
                told,
                names: names.expect("threads"),
            }
        }

        fn says(&self, name: &str, all: &[&str]) {
            let mut truth = self.truth.lock().unwrap();
            truth.insert(name.to_owned(), addresses(all));
        }

        fn tells(&self) -> (String, Vec<IpAddr>) {
            self.told
                .recv_timeout(Duration::from_secs(20))
                .expect("told")
        }
    }

    #[test]
    fn each_name_of_the_configuration_is_told_once_and_again_when_it_changes() {
        let world = World::new(
            &["a.example", "b.example"],
            &[("a.example", &["192.0.2.1", "192.0.2.1", "2001:db8::1"])],
        );
        let first = (
            "a.example".to_owned(),
            addresses(&["192.0.2.1", "2001:db8::1"]),
        );
        assert_eq!(world.tells(), first);
        assert_eq!(world.names.known("a.example"), first.1);
        assert!(world.names.known("b.example").is_empty());
        // In another order it is the same.
        world.says("a.example", &["2001:db8::1", "192.0.2.1"]);
        assert_eq!(world.names.ask("a.example").recv().unwrap().len(), 2);
        world.says("a.example", &["192.0.2.9"]);
        assert_eq!(
            world.names.ask("a.example").recv().unwrap(),
            addresses(&["192.0.2.9"])
        );
        assert_eq!(
            world.tells(),
            ("a.example".to_owned(), addresses(&["192.0.2.9"]))
        );
        assert!(world.told.try_recv().is_err());
    }

    #[test]
    fn a_start_waits_until_its_names_stand_for_something_and_not_for_ever() {
        let truth: &[(&str, &[&str])] = &[("a.example", &["192.0.2.1"])];
        let world = World::new(&["a.example"], truth);
        world.names.settle(Duration::from_secs(20));
        assert_eq!(
            world.told.try_recv(),
            Ok(("a.example".to_owned(), addresses(&["192.0.2.1"])))
        );
        let world = World::new(&["a.example", "nowhere.example"], truth);
        world.names.settle(Duration::from_millis(20));
        assert!(world.names.known("nowhere.example").is_empty());
    }

    #[test]
    fn what_was_known_stays_while_nobody_answers() {
        let world = World::new(&["a.example"], &[("a.example", &["192.0.2.1"])]);
        world.tells();
        world.truth.lock().unwrap().clear();
        assert_eq!(
            world.names.ask("a.example").recv().unwrap(),
            addresses(&["192.0.2.1"])
        );
        assert!(world.names.ask("c.example").recv().unwrap().is_empty());
        assert!(world.told.try_recv().is_err());
    }

    #[test]
    fn another_configuration_has_its_names_looked_up_at_once_and_forgets_the_others() {
        let world = World::new(
            &["a.example"],
            &[("a.example", &["192.0.2.1"]), ("b.example", &["192.0.2.2"])],
        );
        world.tells();
        world.names.configure(&config(&["b.example"]));
        assert_eq!(world.tells().0, "b.example");
        assert!(world.names.known("a.example").is_empty());
        world.says("b.example", &["192.0.2.3"]);
        world.names.configure(&config(&["b.example"]));
        assert_eq!(world.tells().1, addresses(&["192.0.2.3"]));
    }

    #[test]
    fn strangers_have_names_looked_up_once_in_a_while_however_many_they_are() {
        let world = World::new(&["a.example"], &[("a.example", &["192.0.2.1"])]);
        world.tells();
        world.says("a.example", &["192.0.2.2"]);
        for _ in 0..1_000 {
            world.names.refresh();
        }
        assert_eq!(world.tells().1, addresses(&["192.0.2.2"]));
        // At the start, and once for all of them.
        assert_eq!(world.asked.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_name_has_no_more_addresses_than_are_looked_at() {
        let many: Vec<String> = (0..200).map(|n| format!("192.0.2.{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let world = World::new(&["a.example"], &[("a.example", &many)]);
        assert_eq!(world.tells().1.len(), MAX_ADDRESSES);
    }
}
