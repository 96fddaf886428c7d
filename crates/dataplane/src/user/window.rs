//! The replay window (RFC 4303 section 3.4.3), and the upper halves of extended sequence numbers that
//! packets do not carry (appendix A).

/// Sequence numbers in a word of the bitmap.
const WORD: u64 = 64;

/// Why a sequence number is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stale {
    /// It came before.
    Seen,
    /// It is too far behind the newest to tell.
    TooOld,
}

/// Which sequence numbers were seen: a ring of bits that the newest number moves through.
#[derive(Debug)]
pub(super) struct Window {
    /// Numbers behind the newest that are still taken, and the newest. 0: everything is taken.
    size: u64,
    newest: u64,
    /// A power of two of words, at least one more than the window needs, so that a whole word can be
    /// cleared before it is used.
    words: Vec<u64>,
    esn: bool,
}

impl Window {
    pub(super) fn new(size: u32, esn: bool) -> Self {
        let words = (u64::from(size).div_ceil(WORD) + 1).next_power_of_two();
        Self {
            size: size.into(),
            newest: 0,
            words: vec![0; usize::try_from(words).unwrap_or(1)],
            esn,
        }
    }

    /// The whole number of a packet that carries this lower half; `None` when it can only be one from
    /// before the first packet, or beyond the last.
    pub(super) fn whole(&self, low: u32) -> Option<u64> {
        if !self.esn {
            return Some(low.into());
        }
        let low = u64::from(low);
        let (high_newest, low_newest) = (self.newest >> 32, self.newest & 0xffff_ffff);
        // The window's lower edge, as a whole number; it may lie before the first.
        let high = if low_newest >= self.size.saturating_sub(1) {
            // All of the window has the same upper half.
            let edge = low_newest + 1 - self.size;
            if low >= edge {
                Some(high_newest)
            } else {
                high_newest.checked_add(1)
            }
        } else {
            let edge = (1_u64 << 32) + low_newest + 1 - self.size;
            if low >= edge {
                high_newest.checked_sub(1)
            } else {
                Some(high_newest)
            }
        };
        high.filter(|high| u32::try_from(*high).is_ok())
            .map(|high| high << 32 | low)
    }

    /// Whether a number would be taken.
    pub(super) fn check(&self, number: u64) -> Result<(), Stale> {
        if self.size == 0 {
            return Ok(());
        }
        // The first packet has number one (RFC 4303 section 2.2).
        if number == 0 {
            return Err(Stale::TooOld);
        }
        let Some(behind) = self.newest.checked_sub(number) else {
            return Ok(());
        };
        if behind >= self.size {
            return Err(Stale::TooOld);
        }
        let (word, bit) = self.place(number);
        if self.words[word] & bit != 0 {
            return Err(Stale::Seen);
        }
        Ok(())
    }

    /// Takes the number of a packet that has proved authentic.
    pub(super) fn take(&mut self, number: u64) -> Result<(), Stale> {
        self.check(number)?;
        if self.size == 0 {
            self.newest = self.newest.max(number);
            return Ok(());
        }
        if number > self.newest {
            let (from, to) = (self.newest / WORD, number / WORD);
            let count = self.words.len() as u64;
            for word in (from + 1..=to).take(self.words.len()) {
                self.words[index(word % count)] = 0;
            }
            self.newest = number;
        }
        let (word, bit) = self.place(number);
        self.words[word] |= bit;
        Ok(())
    }

    /// Whether none with a higher number has proved authentic.
    pub(super) fn is_newest(&self, number: u64) -> bool {
        number == self.newest
    }

    fn place(&self, number: u64) -> (usize, u64) {
        let word = number / WORD % self.words.len() as u64;
        (index(word), 1 << (number % WORD))
    }
}

/// A remainder of a length.
fn index(word: u64) -> usize {
    usize::try_from(word).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// What the RFC says, with a set of everything that was ever seen.
    struct Naive {
        size: u64,
        newest: u64,
        seen: HashSet<u64>,
    }

    impl Naive {
        fn take(&mut self, number: u64) -> Result<(), Stale> {
            if number == 0 || self.newest >= number + self.size {
                return Err(Stale::TooOld);
            }
            if !self.seen.insert(number) {
                return Err(Stale::Seen);
            }
            self.newest = self.newest.max(number);
            Ok(())
        }
    }

    /// Steps of a sender with loss and reordering around its newest number: far ahead now and then.
    fn steps() -> impl Strategy<Value = Vec<i64>> {
        let step = prop_oneof![
            8 => -40..40_i64,
            2 => -1500..1500_i64,
            1 => -10_000..10_000_i64,
        ];
        prop::collection::vec(step, 1..400)
    }

    proptest! {
        #[test]
        fn the_window_takes_what_a_set_of_all_numbers_would(
            size in prop_oneof![Just(1_u32), Just(32), Just(64), Just(1024), 1..=4096_u32],
            start in 1..100_000_u64,
            steps in steps(),
        ) {
            let mut window = Window::new(size, false);
            let mut naive = Naive { size: size.into(), newest: 0, seen: HashSet::new() };
            let mut newest = start;
            for step in steps {
                let number = newest.saturating_add_signed(step);
                newest = newest.max(number);
                let expected = naive.take(number);
                prop_assert_eq!(window.check(number), expected);
                prop_assert_eq!(window.take(number), expected);
            }
        }

        #[test]
        fn an_extended_number_is_found_again_from_its_lower_half(
            size in prop_oneof![Just(1_u32), Just(64), Just(1024), Just(4096)],
            newest in prop_oneof![
                1..1_u64 << 34,
                (1_u64 << 32) - 5000..(1_u64 << 32) + 5000,
                (7_u64 << 32) - 5000..(7_u64 << 32) + 5000,
            ],
            step in prop_oneof![-4000..5000_i64, 0..1_i64 << 31],
        ) {
            let mut window = Window::new(size, true);
            window.take(newest).unwrap();
            let number = newest.saturating_add_signed(step);
            let low = u32::try_from(number & 0xffff_ffff).unwrap();
            let taken = number > newest || newest - number < u64::from(size);
            if taken {
                prop_assert_eq!(window.whole(low), Some(number));
            } else if let Some(whole) = window.whole(low) {
                // What is behind the window counts as far ahead, and cannot be authentic.
                prop_assert!(whole > newest);
            }
        }
    }

    #[test]
    fn the_first_packets_of_an_extended_sequence_are_not_from_before_it() {
        let window = Window::new(1024, true);
        assert_eq!(window.whole(1), Some(1));
        assert_eq!(window.whole(u32::MAX), None);
        assert_eq!(window.check(0), Err(Stale::TooOld));
    }

    #[test]
    fn nothing_lies_beyond_the_last_extended_number() {
        let mut window = Window::new(64, true);
        window.take(u64::MAX).unwrap();
        assert_eq!(window.whole(u32::MAX), Some(u64::MAX));
        assert_eq!(window.whole(5), None);
        assert_eq!(window.take(u64::MAX), Err(Stale::Seen));
        assert_eq!(window.take(u64::MAX - 63), Ok(()));
        assert_eq!(window.take(u64::MAX - 64), Err(Stale::TooOld));
    }

    #[test]
    fn without_a_window_everything_is_taken() {
        let mut window = Window::new(0, false);
        for number in [5, 5, 1, 0, 9] {
            assert_eq!(window.take(number), Ok(()));
        }
    }
}
