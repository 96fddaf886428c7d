//! A record as bytes: the form that is hashed, and the compact form that is stored.

use std::io;

use audit::{ActivityId, Record, StoredExtra};
use sha2::{Digest, Sha256};

use crate::LogError;

/// Largest record that is taken, in bytes of its hashed form. The longest field is an identity that a
/// peer chose, which one UDP datagram bounds; the rest is ours.
pub const MAX_RECORD: usize = 128 * 1024;

/// Most values a stored record may claim: Windows' longest event here has 30.
const MAX_VALUES: usize = 256;

/// A hash of the chain.
pub type Hash = [u8; 32];

/// A hash in words: 64 hex digits in lower case.
pub fn hex(hash: &Hash) -> String {
    use std::fmt::Write as _;
    hash.iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// The hash that [`hex`] wrote.
pub fn hash_from_hex(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(hash)
}

/// The first byte of the hashed form, so that a later form cannot be mistaken for this one.
const FORM: u8 = 1;

/// Bits of the first byte of the stored form.
const HAS_ACTIVITY: u8 = 1;
const COMPRESSED: u8 = 2;
const KNOWN_BITS: u8 = HAS_ACTIVITY | COMPRESSED;

/// Higher levels cost a multiple in time and give a few bytes a record.
const ZSTD_LEVEL: i32 = 3;

/// Where and when a record was written: what stands beside its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp<'a> {
    pub(crate) id: u64,
    /// Nanoseconds since 1970, UTC.
    pub(crate) time: i64,
    pub(crate) computer: &'a str,
    pub(crate) process: u32,
}

/// The next hash of the chain: SHA-256 over the hash before it and the record in its hashed form.
pub(crate) fn link(before: &Hash, stamp: &Stamp<'_>, record: &Record) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(before);
    hasher.update(hashed_form(stamp, record));
    hasher.finalize().into()
}

/// The hashed form: every field with its length before it, numbers in network order. No two records
/// share one.
fn hashed_form(stamp: &Stamp<'_>, record: &Record) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    out.push(FORM);
    out.extend(stamp.id.to_be_bytes());
    out.extend(stamp.time.to_be_bytes());
    out.extend(stamp.process.to_be_bytes());
    put_text(&mut out, stamp.computer);
    out.extend(record.event_id.to_be_bytes());
    match &record.activity {
        Some(ActivityId(id)) => {
            out.push(1);
            out.extend(id);
        }
        None => out.push(0),
    }
    put_content(&mut out, record);
    out
}

/// Values and extra.
fn put_content(out: &mut Vec<u8>, record: &Record) {
    put_number(out, record.values.len() as u64);
    for value in &record.values {
        put_text(out, value);
    }
    match &record.extra {
        None => out.push(0),
        Some(extra) => {
            out.push(1);
            match extra.reason_code {
                None => out.push(0),
                Some(code) => {
                    out.push(1);
                    put_number(out, u64::from(code));
                }
            }
            for text in [
                &extra.connection,
                &extra.cause,
                &extra.advice,
                &extra.previous_head,
                &extra.exchange,
                &extra.user,
            ] {
                match text {
                    None => out.push(0),
                    Some(text) => {
                        out.push(1);
                        put_text(out, text);
                    }
                }
            }
        }
    }
}

/// A record's values and extra, as they are compressed.
pub(crate) fn content(record: &Record) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    put_content(&mut out, record);
    out
}

/// Seven bits a byte, least significant first: one form for each number.
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend(text.as_bytes());
}

/// Size of a record in its hashed form, or an error when it is larger than [`MAX_RECORD`].
pub(crate) fn check_size(record: &Record) -> Result<(), LogError> {
    let content = content(record);
    if content.len() > MAX_RECORD || record.values.len() > MAX_VALUES {
        return Err(LogError::RecordTooLarge {
            size: content.len(),
        });
    }
    Ok(())
}

/// Turns content into its stored form and back, with the dictionary that its segment keeps.
pub(crate) struct Codec {
    compressor: Option<zstd::bulk::Compressor<'static>>,
    decompressor: zstd::bulk::Decompressor<'static>,
    buffer: Vec<u8>,
    /// Bytes of all that [`Codec::store`] gave.
    pub(crate) stored: u64,
    /// The number that stands for who writes, in the segment that this codec writes into.
    pub(crate) origin: Option<i64>,
}

impl Codec {
    /// A codec that can write.
    pub(crate) fn writing(dictionary: &[u8]) -> io::Result<Codec> {
        let mut compressor = zstd::bulk::Compressor::with_dictionary(ZSTD_LEVEL, dictionary)?;
        compressor.include_checksum(false)?;
        compressor.include_dictid(false)?;
        Ok(Codec {
            compressor: Some(compressor),
            ..Codec::reading(dictionary)?
        })
    }

    /// A codec that only reads.
    pub(crate) fn reading(dictionary: &[u8]) -> io::Result<Codec> {
        Ok(Codec {
            compressor: None,
            decompressor: zstd::bulk::Decompressor::with_dictionary(dictionary)?,
            buffer: Vec::new(),
            stored: 0,
            origin: None,
        })
    }

    /// The stored form of a record's activity, values and extra.
    pub(crate) fn store(&mut self, record: &Record) -> Vec<u8> {
        let content = content(record);
        let packed = self
            .compressor
            .as_mut()
            .and_then(|compressor| compressor.compress(&content).ok())
            .filter(|packed| packed.len() < content.len());
        let mut out = Vec::with_capacity(17 + content.len());
        out.push(0);
        if let Some(ActivityId(id)) = &record.activity {
            out[0] |= HAS_ACTIVITY;
            out.extend(id);
        }
        if let Some(packed) = packed {
            out[0] |= COMPRESSED;
            out.extend(packed);
        } else {
            out.extend(content);
        }
        self.stored += out.len() as u64;
        out
    }

    /// The record that [`Codec::store`] was given. None when the bytes are not its work.
    pub(crate) fn load(&mut self, event_id: u16, stored: &[u8]) -> Option<Record> {
        let (&bits, mut rest) = stored.split_first()?;
        if bits & !KNOWN_BITS != 0 {
            return None;
        }
        let mut activity = None;
        if bits & HAS_ACTIVITY != 0 {
            let (id, after) = rest.split_first_chunk::<16>()?;
            activity = Some(ActivityId(*id));
            rest = after;
        }
        let content = if bits & COMPRESSED != 0 {
            // One buffer for all records, never larger than a record may be.
            self.buffer.clear();
            self.buffer.reserve(MAX_RECORD);
            self.decompressor
                .decompress_to_buffer(rest, &mut self.buffer)
                .ok()?;
            &self.buffer[..]
        } else {
            rest
        };
        let mut content = Content(content);
        let (values, extra) = content.take()?;
        content.0.is_empty().then_some(Record {
            event_id,
            activity,
            values,
            extra,
        })
    }
}

/// What is left to read of a record's content.
struct Content<'a>(&'a [u8]);

impl Content<'_> {
    fn take(&mut self) -> Option<(Vec<String>, Option<StoredExtra>)> {
        let count = usize::try_from(self.number()?).ok()?;
        if count > MAX_VALUES {
            return None;
        }
        let values = (0..count).map(|_| self.text()).collect::<Option<_>>()?;
        let extra = if self.flag()? {
            let reason_code = if self.flag()? {
                Some(u32::try_from(self.number()?).ok()?)
            } else {
                None
            };
            let mut texts = [const { None }; 6];
            for text in &mut texts {
                if self.flag()? {
                    *text = Some(self.text()?);
                }
            }
            let [connection, cause, advice, previous_head, exchange, user] = texts;
            Some(StoredExtra {
                connection,
                reason_code,
                cause,
                advice,
                exchange,
                user,
                previous_head,
            })
        } else {
            None
        };
        Some((values, extra))
    }

    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits.checked_shl(shift)? >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_record() -> impl Strategy<Value = Record> {
        let extra = (
            proptest::option::of(".{0,20}"),
            proptest::option::of(any::<u32>()),
            proptest::option::of("[a-z-]{1,20}"),
            proptest::option::of(".{0,200}"),
            proptest::option::of("[0-9]{1,3}:[0-9a-f]{4}"),
            proptest::option::of(".{0,20}"),
            proptest::option::of(".{0,20}"),
        )
            .prop_map(
                |(connection, reason_code, cause, advice, previous_head, exchange, user)| {
                    StoredExtra {
                        connection,
                        reason_code,
                        cause,
                        advice,
                        exchange,
                        user,
                        previous_head,
                    }
                },
            );
        (
            any::<u16>(),
            proptest::option::of(any::<[u8; 16]>()),
            proptest::collection::vec(".{0,40}", 0..20),
            proptest::option::of(extra),
        )
            .prop_map(|(event_id, activity, values, extra)| Record {
                event_id,
                activity: activity.map(ActivityId),
                values,
                extra,
            })
    }

    const STAMP: Stamp<'_> = Stamp {
        id: 7,
        time: 1,
        computer: "gw",
        process: 9,
    };

    proptest! {
        #[test]
        fn what_is_stored_is_what_is_loaded(record in any_record()) {
            let mut codec = Codec::writing(crate::dictionary::BUILT_IN).unwrap();
            let stored = codec.store(&record);
            prop_assert_eq!(codec.load(record.event_id, &stored), Some(record));
        }

        #[test]
        fn any_bytes_load_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300), event: u16) {
            let mut codec = Codec::reading(crate::dictionary::BUILT_IN).unwrap();
            codec.load(event, &bytes);
        }

        #[test]
        fn different_records_have_different_hashes(a in any_record(), b in any_record()) {
            prop_assume!(a != b);
            prop_assert_ne!(link(&[0; 32], &STAMP, &a), link(&[0; 32], &STAMP, &b));
        }
    }

    #[test]
    fn every_part_of_the_stamp_is_hashed() {
        let record = Record {
            event_id: 1100,
            activity: None,
            values: vec![],
            extra: None,
        };
        let whole = link(&[0; 32], &STAMP, &record);
        for stamp in [
            Stamp { id: 8, ..STAMP },
            Stamp { time: 2, ..STAMP },
            Stamp {
                computer: "gx",
                ..STAMP
            },
            Stamp {
                process: 8,
                ..STAMP
            },
        ] {
            assert_ne!(whole, link(&[0; 32], &stamp, &record));
        }
        assert_ne!(whole, link(&[1; 32], &STAMP, &record));
    }

    #[test]
    fn every_text_of_extra_is_hashed_in_its_place() {
        let text = || Some("1:ab".to_owned());
        let extra = StoredExtra::default;
        let hashes: std::collections::HashSet<Hash> = [
            extra(),
            StoredExtra {
                connection: text(),
                ..extra()
            },
            StoredExtra {
                cause: text(),
                ..extra()
            },
            StoredExtra {
                advice: text(),
                ..extra()
            },
            StoredExtra {
                previous_head: text(),
                ..extra()
            },
            StoredExtra {
                exchange: text(),
                ..extra()
            },
            StoredExtra {
                user: text(),
                ..extra()
            },
        ]
        .into_iter()
        .map(|extra| {
            let record = Record {
                event_id: 1102,
                activity: None,
                values: vec![],
                extra: Some(extra),
            };
            link(&[0; 32], &STAMP, &record)
        })
        .collect();
        assert_eq!(hashes.len(), 7);
    }

    #[test]
    fn a_record_larger_than_the_limit_is_refused() {
        let mut record = Record {
            event_id: 4653,
            activity: None,
            values: vec!["x".repeat(MAX_RECORD)],
            extra: None,
        };
        assert!(matches!(
            check_size(&record),
            Err(LogError::RecordTooLarge { .. })
        ));
        record.values[0].truncate(MAX_RECORD - 100);
        check_size(&record).unwrap();
        let mut codec = Codec::writing(crate::dictionary::BUILT_IN).unwrap();
        let stored = codec.store(&record);
        assert_eq!(codec.load(4653, &stored), Some(record));
    }
}
