//! The number that ties the events of one negotiation, and of the SA it made, together.

use std::fmt;

use serde::{Deserialize, Serialize};

/// `Correlation ActivityID`: the same on every event of one negotiation and of its SA.
///
/// The sixteen bytes are the GUID's in the order in which it is written. `Display` writes it as
/// Windows does: upper case, in braces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ActivityId(pub [u8; 16]);

impl fmt::Display for ActivityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02X}")?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_activity_id_is_written_in_upper_case_and_braces() {
        let id = ActivityId([
            0x54, 0x84, 0x96, 0x25, 0x54, 0x78, 0x49, 0x94, 0xa5, 0xba, 0x3e, 0x3b, 0x03, 0x28,
            0xc3, 0x0d,
        ]);
        assert_eq!(id.to_string(), "{54849625-5478-4994-A5BA-3E3B0328C30D}");
    }
}
