//! A child SA at work: its contexts, numbers, limits and counters, shared by the threads.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use crypto::esp::{Opener, Sealer, SuiteError};

use super::turns::Turns;
use super::window::Window;
use crate::{ChildSa, Counters, Flow, Limits, PlaneError, PlaneEvent, Selector};

/// Of the numbers that a sequence has, the last sixteenth: when it begins the plane says that the SA is about
/// to end, whatever its limits say.
const LAST_PART: u64 = 16;

/// Where the packets of an SA go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Path {
    /// Ports are 0 without UDP.
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    /// In UDP (RFC 3948).
    pub(super) udp: bool,
}

/// What arrives is opened by one thread at a time.
pub(super) struct Arriving {
    pub(super) opener: Opener,
    pub(super) window: Window,
    /// Where authentic packets came from last, when it was not the path's far end.
    pub(super) moved: Option<SocketAddr>,
    pub(super) meter: Meter,
    pub(super) replayed: u64,
    pub(super) not_authentic: u64,
    pub(super) unfit: u64,
}

/// What leaves is numbered by one thread at a time.
#[derive(Default)]
struct Leaving {
    /// The last sequence number that was taken.
    sent: u64,
    meter: Meter,
    /// Tickets that were given out.
    tickets: u64,
}

/// Sequence numbers in a row, and the turn to send the packets that have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reserved {
    pub(super) first: u64,
    pub(super) count: usize,
    pub(super) ticket: u64,
}

/// One direction's account.
#[derive(Clone, Copy, Default)]
pub(super) struct Meter {
    packets: u64,
    bytes: u64,
    /// Seconds since 1970; 0: never.
    last_used: u64,
}

/// A child SA.
pub(super) struct Association {
    pub(super) id: u64,
    pub(super) local: Selector,
    pub(super) remote: Selector,
    pub(super) inbound_spi: u32,
    /// The SA that this one takes over from, while the peer may not have this one yet.
    replaces: Option<u64>,
    /// The peer has it: something came.
    heard: AtomicBool,
    since: Instant,
    take_over: Duration,
    path: RwLock<Path>,
    /// One for each worker, so that none waits for another.
    sealers: Vec<Mutex<Sealer>>,
    leaving: Mutex<Leaving>,
    pub(super) turns: Turns,
    /// The last sequence number that there is.
    last: u64,
    arriving: Mutex<Arriving>,
    limits: Limits,
    told_soft: AtomicBool,
    told_hard: AtomicBool,
    /// The longest inner packet whose outer one fits the path.
    longest: AtomicUsize,
}

impl Association {
    /// Prepares the contexts, for so many workers.
    pub(super) fn new(sa: &ChildSa, path: Path, workers: usize) -> Result<Self, PlaneError> {
        let fault = |error| match error {
            SuiteError::Crypto(error) => PlaneError::Random(error),
            unsupported @ SuiteError::Unsupported(_) => PlaneError::Invalid {
                what: unsupported.to_string(),
            },
        };
        let Some(cipher) = sa.cipher else {
            return Err(PlaneError::Invalid {
                what: "ESP without a cipher".into(),
            });
        };
        let (send, receive) = (&sa.outbound, &sa.inbound);
        let sealer = || {
            Sealer::new(
                cipher,
                sa.integrity,
                sa.esn,
                send.spi,
                &send.encryption,
                &send.integrity,
            )
            .map(Mutex::new)
        };
        let opener = Opener::new(
            cipher,
            sa.integrity,
            sa.esn,
            &receive.encryption,
            &receive.integrity,
        );
        Ok(Self {
            id: sa.id,
            local: sa.local_selector,
            remote: sa.remote_selector,
            inbound_spi: receive.spi,
            replaces: sa.replaces,
            heard: AtomicBool::new(false),
            since: Instant::now(),
            take_over: sa.take_over,
            path: RwLock::new(path),
            sealers: (0..workers.max(1))
                .map(|_| sealer())
                .collect::<Result<_, _>>()
                .map_err(fault)?,
            leaving: Mutex::default(),
            turns: Turns::default(),
            last: if sa.esn { u64::MAX } else { u32::MAX.into() },
            arriving: Mutex::new(Arriving {
                opener: opener.map_err(fault)?,
                window: Window::new(sa.replay_window, sa.esn),
                moved: None,
                meter: Meter::default(),
                replayed: 0,
                not_authentic: 0,
                unfit: 0,
            }),
            limits: sa.limits,
            told_soft: AtomicBool::new(false),
            told_hard: AtomicBool::new(false),
            longest: AtomicUsize::new(usize::MAX),
        })
    }

    pub(super) fn path(&self) -> Path {
        *self.path.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn move_to(&self, path: Path) {
        *self.path.write().unwrap_or_else(PoisonError::into_inner) = path;
        self.arriving().moved = None;
    }

    /// The SA that carries what leaves as long as the peer may not be able to open what this one seals. It is known to
    /// be when something comes from it.
    pub(super) fn still(&self) -> Option<u64> {
        let replaces = self.replaces?;
        if self.heard.load(Ordering::Relaxed) {
            return None;
        }
        if self.since.elapsed() >= self.take_over {
            self.heard.store(true, Ordering::Relaxed);
            return None;
        }
        Some(replaces)
    }

    /// The worker's own context.
    pub(super) fn sealer(&self, worker: usize) -> MutexGuard<'_, Sealer> {
        let sealer = &self.sealers[worker % self.sealers.len()];
        sealer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn arriving(&self) -> MutexGuard<'_, Arriving> {
        self.arriving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn longest(&self) -> usize {
        self.longest.load(Ordering::Relaxed)
    }

    /// The path carries outer packets of so many bytes, IP header included.
    pub(super) fn set_path_mtu(&self, mtu: usize) {
        let path = self.path();
        let ip = if path.remote.is_ipv4() { 20 } else { 40 };
        let udp = if path.udp { 8 } else { 0 };
        let room = mtu.saturating_sub(ip + udp);
        let longest = self.sealer(0).longest_payload(room).unwrap_or(0);
        // Less than IP itself promises would end the traffic: then the outer packets are fragmented.
        let least = if self.local.first.is_ipv4() {
            576
        } else {
            1280
        };
        self.longest.store(longest.max(least), Ordering::Relaxed);
    }

    /// Counts packets of these sizes that are to leave, and takes their sequence numbers: for as many, from the
    /// first on, as the SA may carry. `last`: the ticket that this worker had last and has not used, which is
    /// good for these as well when nobody came between.
    pub(super) fn reserve(
        &self,
        sizes: &[usize],
        last: Option<u64>,
        now: u64,
        tell: &dyn Fn(PlaneEvent),
    ) -> Option<Reserved> {
        let mut leaving = self.leaving();
        let first = leaving.sent.saturating_add(1);
        let mut count = 0;
        for bytes in sizes {
            if leaving.sent == self.last {
                self.tell_end(true, tell);
                break;
            }
            if !self.count(&mut leaving.meter, *bytes, now, tell) {
                break;
            }
            leaving.sent += 1;
            count += 1;
        }
        if leaving.sent > self.last - self.last / LAST_PART {
            self.tell_end(false, tell);
        }
        if count == 0 {
            return None;
        }
        let ticket = match last {
            Some(last) if last + 1 == leaving.tickets => last,
            _ => {
                leaving.tickets += 1;
                leaving.tickets - 1
            }
        };
        Some(Reserved {
            first,
            count,
            ticket,
        })
    }

    /// Counts an authentic packet that came in; whether it may pass.
    pub(super) fn came(
        &self,
        arriving: &mut Arriving,
        bytes: usize,
        now: u64,
        tell: &dyn Fn(PlaneEvent),
    ) -> bool {
        if !self.heard.load(Ordering::Relaxed) {
            self.heard.store(true, Ordering::Relaxed);
        }
        self.count(&mut arriving.meter, bytes, now, tell)
    }

    fn count(&self, meter: &mut Meter, size: usize, now: u64, tell: &dyn Fn(PlaneEvent)) -> bool {
        let (packets, bytes) = (meter.packets + 1, meter.bytes + size as u64);
        let over = |limit: Option<u64>, value: u64| limit.is_some_and(|limit| value > limit);
        if over(self.limits.hard_packets, packets) || over(self.limits.hard_bytes, bytes) {
            self.tell_end(true, tell);
            return false;
        }
        *meter = Meter {
            packets,
            bytes,
            last_used: now,
        };
        let reached = |limit: Option<u64>, value: u64| limit.is_some_and(|limit| value >= limit);
        if reached(self.limits.soft_packets, packets) || reached(self.limits.soft_bytes, bytes) {
            self.tell_end(false, tell);
        }
        true
    }

    fn tell_end(&self, hard: bool, tell: &dyn Fn(PlaneEvent)) {
        let told = if hard {
            &self.told_hard
        } else {
            &self.told_soft
        };
        if !told.load(Ordering::Relaxed) && !told.swap(true, Ordering::Relaxed) {
            tell(PlaneEvent::Expire { id: self.id, hard });
        }
    }

    pub(super) fn counters(&self) -> Counters {
        let flow = |meter: Meter| Flow {
            bytes: meter.bytes,
            packets: meter.packets,
            last_used: (meter.last_used > 0)
                .then(|| SystemTime::UNIX_EPOCH + Duration::from_secs(meter.last_used)),
        };
        let outbound = flow(self.leaving().meter);
        let arriving = self.arriving();
        Counters {
            inbound: flow(arriving.meter),
            outbound,
            replayed: arriving.replayed,
            integrity_failures: arriving.not_authentic,
            unfit: Some(arriving.unfit),
        }
    }

    fn leaving(&self) -> MutexGuard<'_, Leaving> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As if something had come.
    #[cfg(test)]
    pub(super) fn hear(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// As if so many packets had been sent.
    #[cfg(test)]
    pub(super) fn skip_to(&self, sent: u64) {
        self.leaving().sent = sent;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::RefCell;

    use crypto::Secret;
    use crypto::esp::{EspCipher, Protocol};

    use super::*;
    use crate::{Half, Mode};

    /// An SA pair between 192.0.2.1 and 192.0.2.2 with AES-GCM; the peer's has `mirrored` set.
    pub(crate) fn child(id: u64, local: &str, remote: &str, mirrored: bool) -> ChildSa {
        let half = |spi: u32| Half {
            spi,
            encryption: Secret::new(
                (0..20)
                    .map(|i| i + u8::try_from(spi & 15).unwrap())
                    .collect(),
            ),
            integrity: Secret::new(Vec::new()),
        };
        let spi = 0x1000 + u32::try_from(id).unwrap() * 2;
        let (near, far) = if mirrored { (2, 1) } else { (1, 2) };
        let (into, out) = if mirrored {
            (spi + 1, spi)
        } else {
            (spi, spi + 1)
        };
        let net = |text: &str| Selector::subnet(text.parse().unwrap());
        ChildSa {
            id,
            protocol: Protocol::Esp,
            mode: Mode::Tunnel,
            local: std::net::Ipv4Addr::new(192, 0, 2, near).into(),
            remote: std::net::Ipv4Addr::new(192, 0, 2, far).into(),
            encap: None,
            cipher: Some(EspCipher::Aes128Gcm16),
            integrity: None,
            esn: false,
            replay_window: 1024,
            inbound: half(into),
            outbound: half(out),
            cpis: None,
            local_selector: net(local),
            remote_selector: net(remote),
            local_lan: Vec::new(),
            limits: Limits::default(),
            mark: None,
            interface_id: None,
            replaces: None,
            take_over: Duration::from_secs(2),
        }
    }

    pub(crate) fn association(sa: &ChildSa) -> Association {
        let path = Path {
            local: SocketAddr::new(sa.local, 0),
            remote: SocketAddr::new(sa.remote, 0),
            udp: false,
        };
        Association::new(sa, path, 1).unwrap()
    }

    #[test]
    fn limits_are_told_once_each_and_the_hard_one_ends_the_direction() {
        let mut sa = child(1, "10.1.0.0/16", "10.2.0.0/16", false);
        sa.limits = Limits {
            soft_packets: Some(3),
            hard_packets: Some(5),
            hard_bytes: Some(10_000),
            ..Limits::default()
        };
        let association = association(&sa);
        let told = RefCell::new(Vec::new());
        let tell = |event| told.borrow_mut().push(event);
        let reserve = |count| association.reserve(&[100; 8][..count], None, 7, &tell);
        let numbers = |first, count, ticket| {
            Some(Reserved {
                first,
                count,
                ticket,
            })
        };
        assert_eq!(reserve(2), numbers(1, 2, 0));
        assert_eq!(reserve(8), numbers(3, 3, 1));
        assert_eq!(reserve(1), None);
        assert_eq!(association.counters().outbound.bytes, 500);
        // The other direction has an account of its own.
        let came = |bytes| association.came(&mut association.arriving(), bytes, 7, &tell);
        assert!(came(9_999));
        assert!(!came(2));
        let expire = |hard| PlaneEvent::Expire { id: 1, hard };
        assert_eq!(*told.borrow(), [expire(false), expire(true)]);
    }

    #[test]
    fn no_sequence_number_comes_twice_when_they_run_out() {
        for (esn, last) in [(false, u64::from(u32::MAX)), (true, u64::MAX)] {
            let mut sa = child(1, "10.1.0.0/16", "10.2.0.0/16", false);
            sa.esn = esn;
            let association = association(&sa);
            let told = RefCell::new(Vec::new());
            let tell = |event| told.borrow_mut().push(event);
            let next = |count| {
                let reserved = association.reserve(&[1; 9][..count], None, 7, &tell);
                reserved.map(|reserved| (reserved.first, reserved.count))
            };
            association.skip_to(last - last / LAST_PART - 1);
            assert!(next(1).is_some());
            assert!(told.borrow().is_empty());
            assert!(next(1).is_some());
            assert_eq!(told.borrow().len(), 1);
            association.skip_to(last - 2);
            assert_eq!(next(9), Some((last - 1, 2)));
            assert_eq!(next(1), None);
            assert_eq!(next(9), None);
            assert_eq!(
                told.borrow()[1..],
                [PlaneEvent::Expire { id: 1, hard: true }]
            );
        }
    }

    #[test]
    fn a_ticket_serves_for_more_until_somebody_else_has_one() {
        let association = association(&child(1, "10.1.0.0/16", "10.2.0.0/16", false));
        let ticket = |last| {
            let reserved = association.reserve(&[1], last, 7, &|_| {});
            reserved.unwrap().ticket
        };
        assert_eq!(ticket(None), 0);
        assert_eq!(ticket(Some(0)), 0);
        assert_eq!(ticket(None), 1);
        assert_eq!(ticket(Some(0)), 2);
    }

    #[test]
    fn what_fits_a_path_is_counted_with_all_headers_and_padding() {
        let association = association(&child(1, "10.1.0.0/16", "10.2.0.0/16", false));
        association.set_path_mtu(1500);
        // 20 IP, 8 ESP, 8 IV, 16 ICV: 1448 left, of which 2 are the trailer.
        assert_eq!(association.longest(), 1446);
        association.set_path_mtu(100);
        assert_eq!(association.longest(), 576);
    }
}
