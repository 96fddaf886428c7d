//! Every bound of the keying service, with its reason; and the token bucket that keeps the rates.

use std::time::{Duration, Instant};

/// Responder negotiations that wait for a peer's next message, in all: Windows' threshold for `DoS`
/// prevention ([MS-IKEE] appendix, 500 unfinished SAs). Each costs some 2 kB, and what its message 1 has on top of
/// that: 64 kB at most, so 32 MB in all.
pub const MAX_HALF_OPEN: usize = 500;
/// The same from one address: enough for a site behind one NAT, a tenth of the whole.
pub const MAX_HALF_OPEN_PER_SOURCE: usize = 50;
/// Established Main Mode SAs. At about 2.3 kB each, 150 MB.
pub const MAX_SAS: usize = 65_536;
/// Those of one holder: who knows a connection's pre-shared key, where that is all that a peer proves, else the identity or
/// the XAUTH user that it proves. The other half is for all others, whatever one holder does; and half is more than peers
/// behind NATs, or with one key for a whole group, have between them.
pub const MAX_SAS_PER_HOLDER: usize = MAX_SAS / 2;
/// Jobs that wait for workers: at 0.5 ms each two seconds of work for one core, which is how long an
/// initiator waits before it asks again.
pub const MAX_JOBS: usize = 4_096;
/// A job that has no answer after this is lost: a worker has died or is far behind.
pub const JOB_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for the check of a peer's certificates, which may ask a CRL's place or an OCSP responder in the
/// network. strongSwan sends its message again for 165 s.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(40);
/// CAs that a peer's certificate requests may name: Windows names all that it trusts, a hundred or more.
pub const MAX_AUTHORITIES: usize = 512;
/// CAs that we name to a peer. So many names fill several datagrams already; a peer that is told of more than it takes
/// hears none of the message.
pub const MAX_AUTHORITIES_ASKED: usize = 50;
/// Bytes of their names: half of what a message may have.
pub const MAX_AUTHORITY_BYTES: usize = 32 << 10;
/// How often one message is answered again with the same bytes. strongSwan sends a message six times.
pub const MAX_RESENDS: u32 = 20;
/// Datagrams kept for an SA while the log writes its event: a Quick Mode, a delete and some DPD.
pub const MAX_EARLY: usize = 8;
/// Addresses of a pool that are remembered with who had them: as many as there may be Main Mode SAs.
pub const MAX_LEASES: usize = MAX_SAS;
/// Name servers of a kind that are sent or taken: no resolver asks more than three.
pub const MAX_NAME_SERVERS: usize = 8;
/// Nets that a client of Mode Config is told of, those within the tunnel and those outside each: every one within is a
/// Quick Mode of its own.
pub const MAX_UNITY_NETS: usize = MAX_SELECTOR_PAIRS / 2;
/// The longest name of an XAUTH user, in bytes: what RADIUS and every system's accounts allow.
pub const MAX_USER_NAME: usize = 253;
/// How long the answer to a negotiation's last message is kept to be sent again.
pub const REPLY_HOLD: Duration = Duration::from_mins(1);
/// How long cookies of a refused or failed negotiation are remembered, so that a retransmission does
/// not begin another one. strongSwan's default goes on for 165 s.
pub const REFUSAL_HOLD: Duration = Duration::from_mins(5);
/// How long cookies of an SA that ended are remembered, so that what was still under way is no event.
pub const ENDED_HOLD: Duration = Duration::from_secs(30);
/// Refused and ended cookie pairs remembered; at some 200 bytes each 13 MB. 400 first messages a second push none of them
/// out while its peer, strongSwan for 165 s, still sends it again.
pub const MAX_REMEMBERED: usize = 65_536;
/// Message IDs remembered for an SA's life. DPD every 30 s for 8 hours uses 2,000. Past this the SA
/// takes no more exchanges.
pub const MAX_MESSAGE_IDS: usize = 16_384;
/// With so many used the SA is replaced: what is left carries it until its successor stands.
pub const REPLACE_MESSAGE_IDS: usize = MAX_MESSAGE_IDS / 8 * 7;
/// Bytes of a reassembled message: a UDP datagram's own limit.
pub const MAX_MESSAGE: usize = 65_535;
/// Fragments of one message: their number is one byte, and 0 is not used.
pub const MAX_FRAGMENTS: usize = 255;
/// Bytes that fragments of unfinished messages may hold, in all.
pub const MAX_FRAGMENT_BYTES: usize = 4 << 20;
/// Unfinished messages in fragments from one address: of all who may be half-open behind it, one each.
pub const MAX_FRAGMENTED_PER_SOURCE: usize = MAX_HALF_OPEN_PER_SOURCE;
/// Unfinished messages in fragments, in all.
pub const MAX_FRAGMENTED: usize = 512;
/// How long fragments wait for the rest of their message: past the peer's first retransmissions.
pub const FRAGMENT_HOLD: Duration = Duration::from_secs(15);
/// Nonces, RFC 2409 section 5: between 8 and 256 bytes.
pub const NONCE_LEN: std::ops::RangeInclusive<usize> = 8..=256;
/// Our own nonces, in bytes.
pub const OUR_NONCE_LEN: usize = 32;
/// NAT-D payloads of a message that are looked at: one for the destination, the rest for the addresses
/// of a sender with many.
pub const MAX_NAT_D: usize = 16;
/// Sources whose rate is kept apart. Beyond, sources share the last bucket.
pub const MAX_RATED_SOURCES: usize = 4_096;
/// 4976 per source: this many at once, then one each [`INVALID_REFILL`].
pub const INVALID_BURST: u32 = 10;
/// See [`INVALID_BURST`].
pub const INVALID_REFILL: Duration = Duration::from_secs(5);
/// Verdicts about message 1 alone, per source: this many at once, then one each [`VERDICT_REFILL`].
/// A peer with a wrong configuration that tries again all day stays below it.
pub const VERDICT_BURST: u32 = 200;
/// See [`VERDICT_BURST`].
pub const VERDICT_REFILL: Duration = Duration::from_secs(1);
/// The same from all sources, and by itself that of half-open negotiations which gave way after message 3: a thousand
/// peers may find their connection gone at once; what goes on longer is a flood, and shall not flush the log.
pub const ALL_VERDICTS_BURST: u32 = 1_000;
/// See [`ALL_VERDICTS_BURST`].
pub const ALL_VERDICTS_REFILL: Duration = Duration::from_millis(100);
/// 4976 from all sources: this many at once, then one each [`TOTAL_REFILL`].
pub const TOTAL_BURST: u32 = 200;
/// See [`TOTAL_BURST`].
pub const TOTAL_REFILL: Duration = Duration::from_millis(100);
/// Refusals in clear per source: this many at once, then one each [`REFUSAL_REFILL`], so that nobody
/// is flooded by us in another's name.
pub const REFUSAL_BURST: u32 = 10;
/// See [`REFUSAL_BURST`].
pub const REFUSAL_REFILL: Duration = Duration::from_secs(1);
/// Refusals of Quick Mode and other exchanges within an SA: authenticated, but still bounded.
pub const EXCHANGE_BURST: u32 = 20;
/// See [`EXCHANGE_BURST`].
pub const EXCHANGE_REFILL: Duration = Duration::from_millis(500);
/// When the peer of a replacement that failed is asked again: this part of what is left of the SA.
pub const REPLACE_AGAIN: f64 = 0.5;

/// The longest wait between two sendings of a message: however the operator lets waits grow, a day is
/// beyond any negotiation.
pub const MAX_WAIT: Duration = Duration::from_hours(24);
/// The shortest wait for anything that repeats itself: a timer that is due at once would never rest.
pub const MIN_WAIT: Duration = Duration::from_millis(10);
/// How long a peer that was asked whether it lives has for its answer, at least: also where the clock
/// jumped, or where the operator's time-out is shorter than the delay.
pub const PROBE_GRACE: Duration = Duration::from_secs(1);
/// Exchanges under an SA whose answers are kept, for retransmissions: a peer with several children
/// sends their Quick Modes side by side.
pub const MAX_ANSWERS: usize = 8;

/// The first SPI that may be used: RFC 2407 section 4.6.1 (RFC 4303 section 2.1) reserves those below.
pub const FIRST_SPI: u32 = 256;
/// Pairs of selectors of one child: 8 subnets on each side. Each pair is a Quick Mode and two SAs.
pub const MAX_SELECTOR_PAIRS: usize = 64;
/// Quick Modes of a peer's that wait for its message 3, under one Main Mode SA: as many as a child can
/// have pairs, and some. The oldest gives way. Each costs some 2 kB.
pub const MAX_QUICK_MODES_PER_SA: usize = 128;
/// Child SAs under one Main Mode SA, those that are being replaced with them.
pub const MAX_CHILD_SAS_PER_SA: usize = 1_024;
/// Child SAs in all. At about 600 bytes each, 80 MB.
pub const MAX_CHILD_SAS: usize = 131_072;
/// Those of one holder, as of Main Mode SAs: the other half is for all others, and for what replaces theirs.
pub const MAX_CHILD_SAS_PER_HOLDER: usize = MAX_CHILD_SAS / 2;
/// Quick Modes that a peer begins under one Main Mode SA: this many at once, then one each
/// [`QUICK_REFILL`]. What is more is not heard, and heard when it is sent again.
pub const QUICK_BURST: u32 = 128;
/// See [`QUICK_BURST`]: 20 a second, which with perfect forward secrecy is a hundredth of a core.
pub const QUICK_REFILL: Duration = Duration::from_millis(50);
/// Quick Modes that are over, whose messages are known again for [`REPLY_HOLD`], under one SA.
pub const MAX_DONE: usize = 128;
/// How long the data plane has to install a child SA: less than a peer waits for message 3.
pub const INSTALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a child SA that was replaced is kept for packets under way, by the side that is to delete it.
pub const LINGER: Duration = Duration::from_secs(5);
/// The same by the other side: so much longer that the first one's delete comes before. Some peers never
/// delete what they replaced.
pub const LINGER_LONG: Duration = Duration::from_secs(30);
/// Two SAs for the same traffic, each side having begun one, that were established closer together than
/// this are a collision: more than all sendings of a message by default, 20 s with strongSwan's first three.
pub const COLLISION: Duration = Duration::from_secs(20);
/// How long a responder of Main Mode waits for its peer's Quick Mode before it begins its own `auto`
/// children: the peer that began means to begin them.
pub const AUTO_GRACE: Duration = Duration::from_secs(3);
/// How long an `auto` child, or a connection that is kept up, is waited for once it ended: whoever ended it may be about to
/// begin it again.
pub const AUTO_AGAIN: Duration = Duration::from_secs(1);
/// One that lived shorter than this was lost in vain: the next wait is longer.
pub const AUTO_STEADY: Duration = Duration::from_mins(1);
/// The first wait before one that failed is tried again: a peer that restarts is back by then. It doubles.
pub const AUTO_RETRY_FIRST: Duration = Duration::from_secs(5);
/// The longest.
pub const AUTO_RETRY_LAST: Duration = Duration::from_mins(10);
/// How long whoever sent the last message before Quick Mode waits before it begins one: a peer that takes message 1 first
/// refuses it, and charon may while its threads are busy, though it came later. A round trip across an ocean.
pub const LAST_WORD_GRACE: Duration = Duration::from_millis(100);
/// SPIs in one delete that we send: it fits into one datagram of any path.
pub const DELETED_AT_ONCE: usize = 128;
/// The soft limit of bytes and packets: this part of the hard one.
pub const SOFT_SHARE: f64 = 0.8;

/// Addresses of one host name that are kept: the answers of one DNS message have room for some more.
pub const MAX_NAME_ADDRESSES: usize = 16;

/// `now + wait`, or so far away that nobody will see it where the clock cannot hold that.
pub fn after(now: Instant, wait: Duration) -> Instant {
    const FAR: Duration = Duration::from_hours(876_000);
    now.checked_add(wait).unwrap_or(now + FAR)
}

/// So many at once, then one more each so often.
#[derive(Clone, Debug)]
pub struct Bucket {
    level: u32,
    filled: Instant,
}

impl Bucket {
    /// A full bucket.
    pub fn new(now: Instant, burst: u32) -> Self {
        Bucket {
            level: burst,
            filled: now,
        }
    }

    /// Takes one token if there is one.
    pub fn take(&mut self, now: Instant, burst: u32, refill: Duration) -> bool {
        let passed = now.saturating_duration_since(self.filled);
        let gained =
            u32::try_from(passed.as_nanos() / refill.as_nanos().max(1)).unwrap_or(u32::MAX);
        if gained > 0 {
            self.level = self.level.saturating_add(gained).min(burst);
            self.filled = if self.level == burst {
                now
            } else {
                self.filled + refill * gained
            };
        }
        let some = self.level > 0;
        self.level = self.level.saturating_sub(1);
        some
    }

    /// Whether the bucket is full by now, and so need not be kept.
    pub fn is_full(&self, now: Instant, burst: u32, refill: Duration) -> bool {
        now.saturating_duration_since(self.filled) >= refill * burst.saturating_sub(self.level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut bucket = Bucket::new(start, 3);
        let taken = (0..10).filter(|_| bucket.take(start, 3, second)).count();
        assert_eq!(taken, 3);
        assert!(!bucket.take(start + second / 2, 3, second));
        assert!(bucket.take(start + second, 3, second));
        assert!(!bucket.take(start + second, 3, second));
        let later = start + second * 3600;
        assert!(bucket.is_full(later, 3, second));
        assert_eq!((0..10).filter(|_| bucket.take(later, 3, second)).count(), 3);
    }
}
