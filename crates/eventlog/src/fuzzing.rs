//! What the fuzz targets call, and the ordinary tests with their corpora. Nothing here is for a daemon.

use audit::{ActivityId, Cause, Event, Extra, InvalidPacket, KeyMod, StoredRecord};

use crate::XPath;
use crate::encoding::Codec;
use crate::tables::peer_key;

/// 2026-11-23T09:00:00Z
const TIME: i64 = 1_795_424_400_000_000_000;

/// Reads any bytes as a query, and asks a record whether it is meant.
///
/// # Panics
///
/// When it is, and the log would not have looked at it.
pub fn xpath(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(query) = XPath::parse(text) else {
        return;
    };
    let event = Event::InvalidPacket(InvalidPacket {
        local: [192, 0, 2, 1].into(),
        remote: [198, 51, 100, 7].into(),
        key_mod: KeyMod::IkeV1,
    });
    let extra = Extra {
        cause: Some(Cause::PacketTampered),
        ..Extra::default()
    };
    let record = StoredRecord {
        record_id: 17,
        time: TIME,
        computer: "gw".to_owned(),
        process_id: 4711,
        record: event.into_record(Some(ActivityId([7; 16])), extra),
    };
    let bounds = query.bounds(TIME);
    if query.matches(&record, TIME) {
        let event = record.record.event_id;
        assert!(
            bounds.ids.contains(&record.record_id)
                && bounds.times.contains(&record.time)
                && bounds.events.is_none_or(|events| events.contains(&event))
                && bounds
                    .peer
                    .is_none_or(|peer| record.record.peer().map(peer_key) == Some(peer_key(peer))),
            "{text}"
        );
    }
}

/// Loads any bytes as a stored record; the first two are its event. What is loaded is stored, and loaded, as the same.
///
/// # Panics
///
/// When it is not.
pub fn record(data: &[u8]) {
    let Some((event, stored)) = data.split_first_chunk() else {
        return;
    };
    let event = u16::from_be_bytes(*event);
    let dictionary = crate::dictionary::BUILT_IN;
    let mut codec = Codec::writing(dictionary).expect("our own dictionary");
    if let Some(record) = codec.load(event, stored) {
        let again = codec.store(&record);
        assert_eq!(codec.load(event, &again).as_ref(), Some(&record));
    }
}
