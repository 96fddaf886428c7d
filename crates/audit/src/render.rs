//! A stored record as words: Windows' message, Windows' XML, and JSON.

mod json;
mod message;
mod xml;

use jiff::Timestamp;

use crate::catalogue::{EventSpec, spec};
use crate::record::StoredRecord;

impl StoredRecord {
    pub(crate) fn spec(&self) -> Option<&'static EventSpec> {
        spec(self.record.event_id)
    }

    /// `TimeCreated` in UTC with `digits` decimals (at most nine), cut and not rounded.
    pub(crate) fn time_created(&self, digits: usize) -> String {
        let seconds = self.time.div_euclid(1_000_000_000);
        let nanoseconds = self.time.rem_euclid(1_000_000_000);
        let whole = Timestamp::from_second(seconds)
            .expect("64 bits of nanoseconds reach from 1677 to 2262");
        let decimals = format!("{nanoseconds:09}");
        format!(
            "{}.{}Z",
            whole.strftime("%Y-%m-%dT%H:%M:%S"),
            &decimals[..digits.min(9)]
        )
    }
}
