//! What the kernel tells on its own, on a thread that listens for it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use netlink_packet_core::NetlinkPayload;
use netlink_packet_xfrm::constants::AF_INET;
use netlink_packet_xfrm::{Address, XfrmMessage};
use netlink_sys::{Socket, protocols::NETLINK_XFRM};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::netlink::{Failure, packets};
use super::policy;
use crate::{PlaneEvent, Selector};

/// Multicast groups of `NETLINK_XFRM` (linux/xfrm.h): acquire, expire, mapping.
const GROUPS: [u32; 3] = [1, 2, 8];
/// Bytes that wait for the listener at most. A flood of acquires is some 500 bytes each.
const BUFFER: libc::c_int = 1 << 20;

/// What finds the SA of a message, without a mark: the kernel names none in some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    pub(super) spi: u32,
}

/// What the caller was told of a child SA.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    soft: bool,
    hard: bool,
    moved: Option<SocketAddr>,
}

/// From what the kernel names to what the caller does.
#[derive(Debug, Default)]
pub(super) struct Index {
    states: BTreeMap<Name, u64>,
    told: BTreeMap<u64, Told>,
    /// Each with the `reqid` of each of its pairs, which traps for the same traffic share.
    traps: BTreeMap<String, BTreeSet<u32>>,
}

impl Index {
    pub(super) fn add(&mut self, name: Name, id: u64) {
        self.states.insert(name, id);
        self.told.entry(id).or_default();
    }

    pub(super) fn remove(&mut self, id: u64) {
        self.states.retain(|_, of| *of != id);
        self.told.remove(&id);
    }

    /// The outer addresses have changed: these are the names now.
    pub(super) fn rename(&mut self, id: u64, names: [Name; 2]) {
        self.states.retain(|_, of| *of != id);
        self.states.extend(names.map(|name| (name, id)));
        self.told.entry(id).or_default().moved = None;
    }

    pub(super) fn add_trap(&mut self, name: String, reqids: BTreeSet<u32>) {
        self.traps.insert(name, reqids);
    }

    pub(super) fn remove_trap(&mut self, name: &str) {
        self.traps.remove(name);
    }

    /// What the caller is to be told of a message; nothing of what is not ours or was told before.
    pub(super) fn event(&mut self, message: &XfrmMessage) -> Option<PlaneEvent> {
        match message {
            XfrmMessage::Expire(message) => {
                let state = &message.expire.state;
                let name = Name {
                    destination: address(state.family, &state.id.daddr),
                    protocol: state.id.proto,
                    spi: state.id.spi,
                };
                let id = *self.states.get(&name)?;
                let hard = message.expire.hard != 0;
                let told = self.told.entry(id).or_default();
                let before = if hard { &mut told.hard } else { &mut told.soft };
                (!std::mem::replace(before, true)).then_some(PlaneEvent::Expire { id, hard })
            }
            XfrmMessage::Mapping(message) => {
                let (map, id) = (&message.map, &message.map.id);
                let name = Name {
                    destination: address(id.family, &id.daddr),
                    protocol: id.proto,
                    spi: id.spi,
                };
                let remote = SocketAddr::new(address(id.family, &map.new_saddr), map.new_sport);
                let id = *self.states.get(&name)?;
                let before = &mut self.told.entry(id).or_default().moved;
                let new = before.replace(remote) != Some(remote);
                new.then_some(PlaneEvent::MappingChanged { id, remote })
            }
            XfrmMessage::Acquire(message) => {
                let wanted = policy::reqid(&message.nlas)?;
                let mut traps = self.traps.iter();
                let (trap, _) = traps.find(|(_, reqids)| reqids.contains(&wanted))?;
                let packet = &message.acquire.selector;
                let side = |address_, port| {
                    let host = address(packet.family, address_);
                    Selector {
                        first: host,
                        last: host,
                        protocol: packet.proto,
                        port,
                    }
                };
                Some(PlaneEvent::Acquire {
                    trap: trap.clone(),
                    local: side(&packet.saddr, packet.sport),
                    remote: side(&packet.daddr, packet.dport),
                })
            }
            _ => None,
        }
    }
}

fn address(family: u16, address: &Address) -> IpAddr {
    if family == AF_INET {
        address.to_ipv4().into()
    } else {
        address.to_ipv6().into()
    }
}

/// The index, also when a thread that had it has panicked: each change to it is whole.
pub(super) fn locked(index: &Mutex<Index>) -> MutexGuard<'_, Index> {
    index.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread; ends when this is dropped.
pub(super) struct Listener {
    /// Closed to end it.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It is its own caller when the function that takes events drops the plane.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

/// Starts to listen. Nothing that happens after this returns is missed.
pub(super) fn listen(
    index: Arc<Mutex<Index>>,
    events: impl Fn(PlaneEvent) + Send + 'static,
) -> io::Result<Listener> {
    let mut socket = Socket::new(NETLINK_XFRM)?;
    socket.set_rx_buf_sz(BUFFER)?;
    socket.bind_auto()?;
    for group in GROUPS {
        socket.add_membership(group)?;
    }
    let (stop, stopped) = UnixStream::pair()?;
    let thread = std::thread::Builder::new()
        .name("xfrm-events".into())
        .spawn(move || {
            if let Err(error) = run(&socket, &stopped, &index, &events) {
                events(PlaneEvent::Lost(format!(
                    "the kernel's events cannot be read any more: {error}"
                )));
            }
        })?;
    Ok(Listener {
        stop: Some(stop),
        thread: Some(thread),
    })
}

fn run(
    socket: &Socket,
    stopped: &UnixStream,
    index: &Mutex<Index>,
    events: &impl Fn(PlaneEvent),
) -> io::Result<()> {
    loop {
        let mut fds = [
            PollFd::new(socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(stopped.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => continue,
            other => other?,
        };
        if fds[1].any().unwrap_or(true) {
            return Ok(());
        }
        let (bytes, sender) = match socket.recv_from_full() {
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                events(PlaneEvent::Lost(
                    "the kernel had more events than its buffer holds".into(),
                ));
                continue;
            }
            other => other?,
        };
        // Another process may send to this socket too.
        if sender.port_number() != 0 {
            continue;
        }
        match packets::<XfrmMessage>(&bytes) {
            Ok(packets) => {
                for packet in packets {
                    if let NetlinkPayload::InnerMessage(message) = packet.payload {
                        let event = locked(index).event(&message);
                        event.into_iter().for_each(events);
                    }
                }
            }
            Err(Failure::Answer(why)) => {
                events(PlaneEvent::Lost(format!(
                    "an event of the kernel cannot be understood: {why}"
                )));
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_xfrm::{
        AcquireMessage, ExpireMessage, MappingMessage, UserTemplate, XfrmAttrs,
    };

    use super::*;

    fn name(spi: u32) -> Name {
        Name {
            destination: "192.0.2.1".parse().unwrap(),
            protocol: 50,
            spi,
        }
    }

    fn expire(spi: u32, hard: bool) -> XfrmMessage {
        let mut message = ExpireMessage::default();
        let state = &mut message.expire.state;
        state.family = AF_INET;
        state.id.daddr = Address::from_ip(&name(spi).destination);
        (state.id.proto, state.id.spi) = (50, spi);
        message.expire.hard = hard.into();
        XfrmMessage::Expire(message)
    }

    fn mapping(spi: u32, port: u16) -> XfrmMessage {
        let mut message = MappingMessage::default();
        let map = &mut message.map;
        map.id.family = AF_INET;
        map.id.daddr = Address::from_ip(&name(spi).destination);
        (map.id.proto, map.id.spi) = (50, spi);
        map.new_saddr = Address::from_ip(&"198.51.100.7".parse().unwrap());
        map.new_sport = port;
        XfrmMessage::Mapping(message)
    }

    #[test]
    fn a_limit_of_either_direction_is_told_once_soft_and_once_hard() {
        let mut index = Index::default();
        index.add(name(1), 7);
        index.add(name(2), 7);
        let told = |hard| Some(PlaneEvent::Expire { id: 7, hard });
        assert_eq!(index.event(&expire(1, false)), told(false));
        assert_eq!(index.event(&expire(2, false)), None);
        assert_eq!(index.event(&expire(2, true)), told(true));
        assert_eq!(index.event(&expire(1, true)), None);
    }

    #[test]
    fn what_is_not_ours_or_no_longer_is_nobodys_event() {
        let mut index = Index::default();
        index.add(name(1), 7);
        assert_eq!(index.event(&expire(3, true)), None);
        assert_eq!(index.event(&mapping(3, 4500)), None);
        index.remove(7);
        assert_eq!(index.event(&expire(1, true)), None);
    }

    #[test]
    fn each_new_place_of_a_peer_is_told_once_until_the_sa_has_moved() {
        let mut index = Index::default();
        index.add(name(1), 7);
        let told = |port| {
            let remote = SocketAddr::new("198.51.100.7".parse().unwrap(), port);
            Some(PlaneEvent::MappingChanged { id: 7, remote })
        };
        assert_eq!(index.event(&mapping(1, 4501)), told(4501));
        assert_eq!(index.event(&mapping(1, 4501)), None);
        assert_eq!(index.event(&mapping(1, 4502)), told(4502));
        index.rename(7, [name(1), name(2)]);
        assert_eq!(index.event(&mapping(2, 4502)), told(4502));
    }

    #[test]
    fn an_acquire_is_of_the_trap_with_its_reqid() {
        let acquire = |reqid| {
            let mut message = AcquireMessage::default();
            let packet = &mut message.acquire.selector;
            packet.family = AF_INET;
            packet.saddr = Address::from_ip(&"10.1.0.1".parse().unwrap());
            packet.daddr = Address::from_ip(&"10.2.0.1".parse().unwrap());
            (packet.proto, packet.sport, packet.dport) = (6, 1024, 80);
            let template = UserTemplate {
                reqid,
                ..UserTemplate::default()
            };
            message.nlas = vec![XfrmAttrs::Template(vec![template])];
            XfrmMessage::Acquire(message)
        };
        let mut index = Index::default();
        index.add_trap("a".into(), [4, 5].into());
        index.add_trap("b".into(), [5, 7].into());
        index.add_trap("c".into(), [6].into());
        let trap = |index: &mut Index, reqid| match index.event(&acquire(reqid)) {
            Some(PlaneEvent::Acquire {
                trap,
                local,
                remote,
            }) => {
                assert_eq!(local.to_string(), "10.1.0.1/32[6/1024]");
                assert_eq!(remote.to_string(), "10.2.0.1/32[6/80]");
                Some(trap)
            }
            None => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(trap(&mut index, 6).unwrap(), "c");
        assert_eq!(trap(&mut index, 7).unwrap(), "b");
        assert_eq!(trap(&mut index, 5).unwrap(), "a");
        index.remove_trap("a");
        assert_eq!(trap(&mut index, 5).unwrap(), "b");
        assert_eq!(trap(&mut index, 8), None);
    }
}
