//! What the threads of the plane have in common.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::SystemTime;

use tun_rs::{SyncDevice, VIRTIO_NET_HDR_LEN};

use super::IkeReceiver;
use super::association::Path;
use super::table::Tables;
use super::tell::Teller;
use super::wire::Wire;

pub(super) struct Shared {
    /// Held for reading while packets are at work, so that whoever changes it knows that the packets of an SA
    /// that was removed are done, and its keys gone.
    tables: RwLock<Tables>,
    /// The queues of the TUN device.
    pub(super) queues: Vec<Arc<SyncDevice>>,
    pub(super) teller: Teller,
    /// NAT-T sockets, and raw ones once an SA needs them.
    wires: RwLock<Vec<Arc<Wire>>>,
    pub(super) ike: IkeReceiver,
    /// Ends when the plane is closed.
    pub(super) stopped: UnixStream,
    answers: Mutex<Vec<u8>>,
    /// What the paths to the peers carry, as it was found less than a tick ago.
    path_mtus: Mutex<BTreeMap<IpAddr, usize>>,
}

impl Shared {
    pub(super) fn new(
        queues: Vec<Arc<SyncDevice>>,
        teller: Teller,
        wires: Vec<Arc<Wire>>,
        ike: IkeReceiver,
        stopped: UnixStream,
    ) -> Self {
        Self {
            tables: RwLock::default(),
            queues,
            teller,
            wires: RwLock::new(wires),
            ike,
            stopped,
            answers: Mutex::default(),
            path_mtus: Mutex::default(),
        }
    }

    pub(super) fn tables(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn change(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The socket that packets of a path leave by.
    pub(super) fn wire(&self, path: &Path) -> Option<Arc<Wire>> {
        let wires = self.wires.read().unwrap_or_else(PoisonError::into_inner);
        wires.iter().find(|wire| wire.serves(path)).cloned()
    }

    pub(super) fn add_wire(&self, wire: Arc<Wire>) {
        self.wires
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(wire);
    }

    /// What the path to a peer carries: as it is known, or as `ask` says it.
    pub(super) fn path_mtu(&self, remote: IpAddr, ask: impl FnOnce() -> usize) -> usize {
        let mut known = self.path_mtus();
        *known.entry(remote).or_insert_with(ask)
    }

    /// All that is known of it is too old.
    pub(super) fn forget_path_mtus(&self) {
        self.path_mtus().clear();
    }

    fn path_mtus(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        let known = self.path_mtus.lock();
        known.unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the inner side a packet of our own.
    pub(super) fn answer(&self, packet: &[u8]) {
        let mut answer = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answer.clear();
        answer.resize(VIRTIO_NET_HDR_LEN, 0);
        answer.extend_from_slice(packet);
        if let Some(device) = self.queues.first() {
            // It is a courtesy: the sender finds out without it, too.
            let _ = device.send(&answer);
        }
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
