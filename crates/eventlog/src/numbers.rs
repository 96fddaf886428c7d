//! Numbers of SAs. None is in the log twice, whatever happens.

use std::ops::Range;

use crate::{LogError, Writer};

/// `MMSAID` and `QuickModeSaId` that come next.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Numbers {
    pub(crate) mmsa: u64,
    pub(crate) qmsa: u64,
}

/// One of the two.
type Of = fn(&mut Numbers) -> &mut u64;

impl Numbers {
    /// Both count from 1.
    pub(crate) const FIRST: Numbers = Numbers { mmsa: 1, qmsa: 1 };

    /// Of either the later one.
    pub(crate) fn or_later(self, other: Numbers) -> Numbers {
        Numbers {
            mmsa: self.mmsa.max(other.mmsa),
            qmsa: self.qmsa.max(other.qmsa),
        }
    }

    /// With so many left out.
    pub(crate) fn skip(self, n: u64) -> Numbers {
        Numbers {
            mmsa: self.mmsa.saturating_add(n),
            qmsa: self.qmsa.saturating_add(n),
        }
    }
}

fn take(next: &mut u64, n: u64) -> Range<u64> {
    let start = *next;
    *next = start.saturating_add(n);
    start..*next
}

impl Writer {
    /// Takes `n` numbers for Main Mode SAs. None of them is ever given again, whatever happens.
    ///
    /// # Errors
    /// What the disk said; then nothing was taken.
    pub fn reserve_mmsa_ids(&mut self, n: u64) -> Result<Range<u64>, LogError> {
        self.reserve_ids(n, |numbers| &mut numbers.mmsa)
    }

    /// The same for Quick Mode SAs.
    ///
    /// # Errors
    /// What the disk said; then nothing was taken.
    pub fn reserve_qmsa_ids(&mut self, n: u64) -> Result<Range<u64>, LogError> {
        self.reserve_ids(n, |numbers| &mut numbers.qmsa)
    }

    fn reserve_ids(&mut self, n: u64, of: Of) -> Result<Range<u64>, LogError> {
        let mut ids = 0..0;
        self.commit_kept(|_, state, _| {
            ids = take(of(&mut state.next), n);
            Ok(())
        })?;
        *of(&mut self.given) = ids.end;
        Ok(ids)
    }

    /// `n` numbers for Main Mode SAs without a word of it on the disk, for one that takes none. The next transaction
    /// that the disk takes tells it: no record with such a number is older, so that none is in the log twice.
    pub fn give_mmsa_ids(&mut self, n: u64) -> Range<u64> {
        self.give_ids(n, |numbers| &mut numbers.mmsa)
    }

    /// The same for Quick Mode SAs.
    pub fn give_qmsa_ids(&mut self, n: u64) -> Range<u64> {
        self.give_ids(n, |numbers| &mut numbers.qmsa)
    }

    fn give_ids(&mut self, n: u64, of: Of) -> Range<u64> {
        self.given = self
            .given
            .or_later(self.state.next)
            .or_later(Numbers::FIRST);
        take(of(&mut self.given), n)
    }
}
