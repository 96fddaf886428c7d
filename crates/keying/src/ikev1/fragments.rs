//! IKE fragmentation as Cisco, Windows and strongSwan do it for `IKEv1` ([MS-IKEE] section 3.3.6.1):
//! payload 132 alone in a datagram, whose pieces together are a whole message, header included.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use isakmp::{Cookie, Flags, Fragment, Header, Payload};

use crate::limits::{
    FRAGMENT_HOLD, MAX_FRAGMENT_BYTES, MAX_FRAGMENTED, MAX_FRAGMENTED_PER_SOURCE, MAX_FRAGMENTS,
    MAX_MESSAGE,
};

/// Generic header and fragment header.
const OVERHEAD: usize = Header::LEN + 4 + 4;
/// So small a piece that a message of 64 KiB could not be cut into 255 of them is of no use.
const MIN_PIECE: usize = 64;

/// Cuts a message into datagrams of at most `size` bytes. A message that fits is left whole.
pub(crate) fn cut(message: Vec<u8>, size: usize, id: u16) -> Vec<Vec<u8>> {
    let Ok(header) = Header::parse(&message) else {
        return vec![message];
    };
    let piece = size.saturating_sub(OVERHEAD).max(MIN_PIECE);
    if message.len() <= size
        || message.len() <= piece
        || message.len().div_ceil(piece) > MAX_FRAGMENTS
    {
        return vec![message];
    }
    let count = message.len().div_ceil(piece);
    let template = Header {
        flags: Flags::NONE,
        ..header
    };
    (1..=u8::MAX)
        .zip(message.chunks(piece))
        .map(|(number, data)| {
            let last = usize::from(number) == count;
            let fragment = Payload::Fragment(Fragment {
                id,
                number,
                last,
                data: data.to_vec(),
            });
            isakmp::build::message(template, &[fragment.to_raw()])
        })
        .collect()
}

/// The message that a fragment is part of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    source: IpAddr,
    port: u16,
    cookies: (Cookie, Cookie),
    message_id: u32,
    id: u16,
}

#[derive(Clone, Debug)]
struct Pieces {
    begun: Instant,
    bytes: usize,
    last: Option<u8>,
    data: BTreeMap<u8, Vec<u8>>,
    /// The message was whole once; which of its pieces came again since.
    again: Option<BTreeSet<u8>>,
}

impl Pieces {
    fn new(begun: Instant) -> Self {
        Pieces {
            begun,
            bytes: 0,
            last: None,
            data: BTreeMap::new(),
            again: None,
        }
    }

    /// Whether this very piece is here; `None` where none of its number is.
    fn has(&self, fragment: &Fragment) -> Option<bool> {
        let known = self.data.get(&fragment.number)?;
        let last = self.last == Some(fragment.number);
        Some(*known == fragment.data && fragment.last == last)
    }

    /// Whether a piece of a new number fits those that are here.
    fn fits(&self, fragment: &Fragment) -> bool {
        let highest = self.data.last_key_value().map_or(0, |(n, _)| *n);
        let beyond = self.last.is_some_and(|last| fragment.number > last);
        let another_last = fragment.last && (self.last.is_some() || highest > fragment.number);
        !beyond && !another_last && self.bytes + fragment.data.len() <= MAX_MESSAGE
    }

    fn is_whole(&self) -> bool {
        self.last
            .is_some_and(|last| self.data.len() == usize::from(last))
    }

    fn whole(&self) -> Vec<u8> {
        self.data.values().flatten().copied().collect()
    }
}

/// Fragments whose messages are not whole yet, and those that were a moment ago: peers that number all
/// their messages alike send late duplicates of one that must not stand in the way of the next. Bounded
/// per source, in bytes and in time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fragments {
    sets: BTreeMap<Key, Pieces>,
    /// By age.
    order: BTreeSet<(Instant, Key)>,
    bytes: usize,
}

/// What came of a fragment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Assembled {
    /// The rest is not here yet, or the fragment was here already.
    Waiting,
    /// The whole message.
    Whole(Vec<u8>),
    /// The fragment contradicts others of its message. Those stay.
    Contradiction,
}

impl Fragments {
    /// Takes a fragment.
    pub(crate) fn add(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        header: &Header,
        fragment: Fragment,
    ) -> Assembled {
        self.expire(now);
        let key = Key {
            source: remote.ip(),
            port: remote.port(),
            cookies: (header.initiator_cookie, header.responder_cookie),
            message_id: header.message_id,
            id: fragment.id,
        };
        if let Some(set) = self.sets.get_mut(&key)
            && let Some(again) = &mut set.again
        {
            let known = set.data.get(&fragment.number) == Some(&fragment.data);
            if known && fragment.last == (set.last == Some(fragment.number)) {
                again.insert(fragment.number);
                if again.len() < set.data.len() {
                    return Assembled::Waiting;
                }
                again.clear();
                return Assembled::Whole(set.whole());
            }
            // Another message under the same number.
            self.remove(&key);
        }
        if let Some(set) = self.sets.get(&key) {
            match set.has(&fragment) {
                Some(true) => return Assembled::Waiting,
                Some(false) => return Assembled::Contradiction,
                None if !set.fits(&fragment) => return Assembled::Contradiction,
                None => {}
            }
        }
        self.make_room(&key, fragment.data.len());
        let set = self.sets.entry(key.clone()).or_insert_with(|| {
            self.order.insert((now, key));
            Pieces::new(now)
        });
        if fragment.last {
            set.last = Some(fragment.number);
        }
        set.bytes += fragment.data.len();
        self.bytes += fragment.data.len();
        set.data.insert(fragment.number, fragment.data);
        if set.is_whole() {
            set.again = Some(BTreeSet::new());
            return Assembled::Whole(set.whole());
        }
        Assembled::Waiting
    }

    /// When the oldest message is dropped.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.order.first().map(|(begun, _)| *begun + FRAGMENT_HOLD)
    }

    /// Drops what waited too long.
    pub(crate) fn expire(&mut self, now: Instant) {
        while self.next_timeout().is_some_and(|at| at <= now) {
            self.remove_oldest();
        }
    }

    /// How many messages are kept.
    pub(crate) fn len(&self) -> usize {
        self.sets.len()
    }

    /// One of the same source goes when that has its share, and one of whoever has most, in number or in bytes, when all
    /// is full: first what was whole already, then the oldest. The set that is to grow stays.
    fn make_room(&mut self, key: &Key, bytes: usize) {
        if !self.sets.contains_key(key) {
            if self.of_source(key.source).count() >= MAX_FRAGMENTED_PER_SOURCE {
                self.remove_one_of(key.source, None);
            }
            if self.sets.len() >= MAX_FRAGMENTED
                && let Some(source) = self.greatest(|_| 1)
            {
                self.remove_one_of(source, None);
            }
        }
        while self.bytes + bytes > MAX_FRAGMENT_BYTES {
            let source = self.greatest(|set| set.bytes);
            let removed = source.is_some_and(|source| self.remove_one_of(source, Some(key)));
            if !removed {
                // What is left of the greatest is the set that is to grow.
                let oldest = self.order.iter().find(|(_, other)| other != key);
                let Some((_, oldest)) = oldest.cloned() else {
                    break;
                };
                self.remove(&oldest);
            }
        }
    }

    fn of_source(&self, source: IpAddr) -> impl Iterator<Item = (&Key, &Pieces)> {
        let first = Key {
            source,
            port: 0,
            cookies: (Cookie::ZERO, Cookie::ZERO),
            message_id: 0,
            id: 0,
        };
        let from = self.sets.range(first..);
        from.take_while(move |(other, _)| other.source == source)
    }

    /// The source that has most, as `size` measures its sets.
    fn greatest(&self, size: impl Fn(&Pieces) -> usize) -> Option<IpAddr> {
        let mut sizes: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for (key, set) in &self.sets {
            *sizes.entry(key.source).or_default() += size(set);
        }
        let greatest = sizes.into_iter().max_by_key(|(_, size)| *size);
        greatest.map(|(source, _)| source)
    }

    /// Whether there was one beside that which is to stay.
    fn remove_one_of(&mut self, source: IpAddr, stays: Option<&Key>) -> bool {
        let all = self.of_source(source);
        let all = all.filter(|(key, _)| stays != Some(*key));
        let one = all.min_by_key(|(_, set)| (set.again.is_none(), set.begun));
        let one = one.map(|(key, _)| key.clone());
        if let Some(one) = &one {
            self.remove(one);
        }
        one.is_some()
    }

    fn remove_oldest(&mut self) {
        if let Some((_, key)) = self.order.pop_first()
            && let Some(set) = self.sets.remove(&key)
        {
            self.bytes -= set.bytes;
        }
    }

    fn remove(&mut self, key: &Key) {
        if let Some(set) = self.sets.remove(key) {
            self.order.remove(&(set.begun, key.clone()));
            self.bytes -= set.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MAX_HALF_OPEN_PER_SOURCE;
    use isakmp::{Datagram, ExchangeType, PayloadType, RawPayload, Trailing, parse_chain};

    fn message(len: usize) -> Vec<u8> {
        let header = Header {
            initiator_cookie: Cookie([1; 8]),
            responder_cookie: Cookie([2; 8]),
            next_payload: PayloadType::NONE,
            major: 1,
            minor: 0,
            exchange: ExchangeType::IDENTITY_PROTECTION,
            flags: Flags::NONE,
            message_id: 0,
            length: 0,
        };
        let body = (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect();
        isakmp::build::message(
            header,
            &[RawPayload {
                kind: PayloadType::HASH,
                body,
            }],
        )
    }

    fn parse(datagram: &[u8]) -> (Header, Fragment) {
        let datagram = Datagram::parse(datagram).unwrap();
        let chain = parse_chain(
            datagram.header.next_payload,
            datagram.body,
            Trailing::Alignment,
        )
        .unwrap();
        let Payload::Fragment(fragment) = Payload::parse(&chain.payloads[0]).unwrap() else {
            panic!("not a fragment")
        };
        (datagram.header, fragment)
    }

    fn remote() -> SocketAddr {
        "192.0.2.1:500".parse().unwrap()
    }

    #[test]
    fn a_message_that_fits_is_left_whole() {
        assert_eq!(cut(message(100), 1280, 1), vec![message(100)]);
    }

    #[test]
    fn fragments_in_any_order_and_after_a_loss_give_the_message() {
        let whole = message(500);
        let cuts = cut(whole.clone(), 236, 7);
        assert_eq!(cuts.len(), 3);
        assert!(cuts.iter().all(|datagram| datagram.len() <= 236));
        let orders = [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ];
        for order in orders {
            for lost in 0..4 {
                let mut fragments = Fragments::default();
                let mut got = Vec::new();
                let first: Vec<usize> = order.iter().copied().filter(|i| *i != lost).collect();
                for i in first.into_iter().chain(order) {
                    let (header, fragment) = parse(&cuts[i]);
                    if let Assembled::Whole(bytes) =
                        fragments.add(Instant::now(), remote(), &header, fragment)
                    {
                        got.push(bytes);
                        break;
                    }
                }
                assert_eq!(got, vec![whole.clone()], "order {order:?}, lost {lost}");
            }
        }
    }

    #[test]
    fn a_contradiction_neither_kills_nor_replaces() {
        let whole = message(500);
        let cuts = cut(whole.clone(), 236, 7);
        let mut fragments = Fragments::default();
        let now = Instant::now();
        let (header, first) = parse(&cuts[0]);
        assert_eq!(
            fragments.add(now, remote(), &header, first.clone()),
            Assembled::Waiting
        );
        let other = Fragment {
            data: vec![9; 20],
            ..first.clone()
        };
        assert_eq!(
            fragments.add(now, remote(), &header, other),
            Assembled::Contradiction
        );
        assert_eq!(
            fragments.add(now, remote(), &header, first.clone()),
            Assembled::Waiting
        );
        let last = Fragment {
            last: true,
            ..first
        };
        assert_eq!(
            fragments.add(now, remote(), &header, last),
            Assembled::Contradiction
        );
        let (_, third) = parse(&cuts[2]);
        assert_eq!(
            fragments.add(now, remote(), &header, third.clone()),
            Assembled::Waiting
        );
        let beyond = Fragment {
            number: 9,
            last: false,
            ..third
        };
        assert_eq!(
            fragments.add(now, remote(), &header, beyond),
            Assembled::Contradiction
        );
        let (_, second) = parse(&cuts[1]);
        assert_eq!(
            fragments.add(now, remote(), &header, second),
            Assembled::Whole(whole)
        );
    }

    #[test]
    fn unfinished_messages_are_bounded_and_forgotten() {
        let mut fragments = Fragments::default();
        let now = Instant::now();
        let (header, _) = parse(&cut(message(500), 236, 7)[0]);
        for source in 0..200u32 {
            let remote = SocketAddr::new(IpAddr::V4(source.into()), 500);
            for id in 0..60 {
                let fragment = Fragment {
                    id,
                    number: 1,
                    last: false,
                    data: vec![0; 1_200],
                };
                fragments.add(now, remote, &header, fragment);
            }
        }
        assert!(fragments.bytes <= MAX_FRAGMENT_BYTES);
        assert!(fragments.len() <= MAX_FRAGMENTED);
        assert_eq!(fragments.len(), fragments.order.len());
        let one = SocketAddr::new(IpAddr::V4(199u32.into()), 500);
        assert!(
            fragments
                .sets
                .keys()
                .filter(|key| key.source == one.ip())
                .count()
                <= MAX_FRAGMENTED_PER_SOURCE
        );
        fragments.expire(now + FRAGMENT_HOLD);
        assert_eq!((fragments.len(), fragments.bytes), (0, 0));
    }

    #[test]
    fn as_many_peers_behind_one_address_as_may_be_half_open_get_through_though_their_pieces_come_mixed()
     {
        let pieces = cut(message(500), 236, 1);
        let mut fragments = Fragments::default();
        let now = Instant::now();
        for round in 0..2u8 {
            let mut whole = 0;
            for piece in &pieces {
                for port in 1..=u16::try_from(MAX_HALF_OPEN_PER_SOURCE).unwrap() {
                    let remote = SocketAddr::new(remote().ip(), port);
                    let (mut header, fragment) = parse(piece);
                    header.initiator_cookie = Cookie([round; 8]);
                    let assembled = fragments.add(now, remote, &header, fragment);
                    whole += usize::from(matches!(assembled, Assembled::Whole(_)));
                }
            }
            assert_eq!(whole, MAX_HALF_OPEN_PER_SOURCE);
        }
    }

    #[test]
    fn who_begins_many_messages_takes_the_room_of_nobody_who_begins_few() {
        let pieces = cut(message(500), 236, 1);
        let mut fragments = Fragments::default();
        let now = Instant::now();
        let (header, first) = parse(&pieces[0]);
        fragments.add(now, remote(), &header, first.clone());
        for source in 0..20u8 {
            for port in 1..=100 {
                let remote = SocketAddr::new([198, 51, 100, source].into(), port);
                fragments.add(now, remote, &header, first.clone());
            }
        }
        assert_eq!(fragments.len(), MAX_FRAGMENTED);
        for piece in &pieces[1..pieces.len() - 1] {
            let (header, fragment) = parse(piece);
            fragments.add(now, remote(), &header, fragment);
        }
        let (header, last) = parse(&pieces[pieces.len() - 1]);
        let assembled = fragments.add(now, remote(), &header, last);
        assert_eq!(assembled, Assembled::Whole(message(500)));
    }

    #[test]
    fn unfinished_messages_that_grow_are_bounded_in_bytes() {
        let mut fragments = Fragments::default();
        let now = Instant::now();
        let (header, _) = parse(&cut(message(500), 236, 7)[0]);
        for number in 1..=50 {
            for source in 0..500u32 {
                let remote = SocketAddr::new(IpAddr::V4(source.into()), 500);
                let fragment = Fragment {
                    id: 1,
                    number,
                    last: false,
                    data: vec![0; 1_300],
                };
                fragments.add(now, remote, &header, fragment);
            }
        }
        assert!(fragments.bytes <= MAX_FRAGMENT_BYTES);
        let counted: usize = fragments.sets.values().map(|set| set.bytes).sum();
        assert_eq!(fragments.bytes, counted);
    }

    #[test]
    fn a_late_duplicate_of_a_whole_message_is_not_in_the_way_of_the_next_with_its_number() {
        let (first, second) = (message(500), message(600));
        let (a, b) = (cut(first.clone(), 236, 1), cut(second.clone(), 236, 1));
        let mut fragments = Fragments::default();
        let now = Instant::now();
        let mut add = |datagram: &[u8]| {
            let (header, fragment) = parse(datagram);
            fragments.add(now, remote(), &header, fragment)
        };
        assert_eq!(add(&a[0]), Assembled::Waiting);
        assert_eq!(add(&a[1]), Assembled::Waiting);
        assert_eq!(add(&a[2]), Assembled::Whole(first.clone()));
        // Sent again as a whole, it is put together again: its answer may have been lost.
        assert_eq!(add(&a[1]), Assembled::Waiting);
        assert_eq!(add(&a[1]), Assembled::Waiting);
        assert_eq!(add(&a[2]), Assembled::Waiting);
        assert_eq!(add(&a[0]), Assembled::Whole(first));
        // One piece of it is late; then the next message comes.
        assert_eq!(add(&a[2]), Assembled::Waiting);
        let last = b.len() - 1;
        for piece in &b[..last] {
            assert_eq!(add(piece), Assembled::Waiting);
        }
        assert_eq!(add(&b[last]), Assembled::Whole(second));
    }
}
