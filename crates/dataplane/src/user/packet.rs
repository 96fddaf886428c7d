//! A packet for the TUN device: where it was decrypted, or, once others are joined to it, in room of its own.

use std::cell::RefCell;
use std::ops::Range;

use tun_rs::{ExpandBuffer, VIRTIO_NET_HDR_LEN};

use super::wire::MAX_DATAGRAM;

/// Room for a packet and all that may be joined to it.
const ROOM: usize = VIRTIO_NET_HDR_LEN + MAX_DATAGRAM;

/// Rooms that are kept to be used again: memory that comes and goes with each costs more than to fill it. More are not
/// in use at once, but for a moment.
const KEPT: usize = 16;

thread_local! {
    static ROOMS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A packet behind the header that the device wants.
pub(super) enum Packet<'a> {
    There(&'a mut [u8]),
    Own(Vec<u8>),
}

impl<'a> Packet<'a> {
    /// What is `inside` an ESP packet that was decrypted in place. The device's header takes the place of ESP's.
    pub(super) fn new(packet: &'a mut [u8], inside: Range<usize>) -> Self {
        if let Some(start) = inside.start.checked_sub(VIRTIO_NET_HDR_LEN) {
            let packet = &mut packet[start..inside.end];
            packet[..VIRTIO_NET_HDR_LEN].fill(0);
            return Packet::There(packet);
        }
        // ESP without an IV has a shorter header.
        let mut own = vec![0; VIRTIO_NET_HDR_LEN];
        own.extend_from_slice(&packet[inside]);
        Packet::Own(own)
    }

    /// In room of its own.
    fn own(&mut self) -> &mut Vec<u8> {
        if let Packet::There(packet) = self {
            let kept = ROOMS.with_borrow_mut(Vec::pop);
            let mut own = kept.unwrap_or_else(|| Vec::with_capacity(ROOM));
            own.clear();
            own.extend_from_slice(packet);
            *self = Packet::Own(own);
        }
        match self {
            Packet::Own(own) => own,
            Packet::There(_) => unreachable!("it has just been given room of its own"),
        }
    }
}

impl Drop for Packet<'_> {
    fn drop(&mut self) {
        if let Packet::Own(own) = self
            && own.capacity() >= ROOM
        {
            ROOMS.with_borrow_mut(|rooms| {
                if rooms.len() < KEPT {
                    rooms.push(std::mem::take(own));
                }
            });
        }
    }
}

impl AsRef<[u8]> for Packet<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Packet::There(packet) => packet,
            Packet::Own(packet) => packet,
        }
    }
}

impl AsMut<[u8]> for Packet<'_> {
    fn as_mut(&mut self) -> &mut [u8] {
        match self {
            Packet::There(packet) => packet,
            Packet::Own(packet) => packet,
        }
    }
}

impl ExpandBuffer for Packet<'_> {
    /// How far it can grow.
    fn buf_capacity(&self) -> usize {
        ROOM
    }

    fn buf_resize(&mut self, new_len: usize, value: u8) {
        self.own().resize(new_len, value);
    }

    fn buf_extend_from_slice(&mut self, more: &[u8]) {
        self.own().extend_from_slice(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_where_it_is_until_others_are_joined_to_it() {
        let mut datagram: Vec<u8> = (0..64).collect();
        let mut packet = Packet::new(&mut datagram, 16..40);
        assert!(matches!(packet, Packet::There(_)));
        assert_eq!(
            packet.as_ref()[..VIRTIO_NET_HDR_LEN],
            [0; VIRTIO_NET_HDR_LEN]
        );
        assert_eq!(
            packet.as_ref()[VIRTIO_NET_HDR_LEN..],
            (16..40).collect::<Vec<u8>>()
        );
        packet.buf_extend_from_slice(&[40, 41]);
        assert!(matches!(packet, Packet::Own(_)));
        assert_eq!(
            packet.as_ref()[VIRTIO_NET_HDR_LEN..],
            (16..42).collect::<Vec<u8>>()
        );
        assert!(packet.buf_capacity() >= ROOM);
    }

    #[test]
    fn behind_a_short_header_it_moves_at_once() {
        let mut datagram: Vec<u8> = (0..64).collect();
        let packet = Packet::new(&mut datagram, 8..20);
        assert_eq!(
            packet.as_ref()[VIRTIO_NET_HDR_LEN..],
            (8..20).collect::<Vec<u8>>()
        );
    }
}
