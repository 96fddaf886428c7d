//! What records have in common, for compression. Each segment keeps the dictionary that it was written
//! with, so that the built-in one may change with the words of the catalogue.

/// The dictionary for new segments: what training gives for the records of the tests below, which takes longer than
/// everything else that a daemon does before it listens.
pub(crate) const BUILT_IN: &[u8] = include_bytes!("dictionary.zstd");

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::path::Path;
    use std::time::Duration;

    use audit::{
        ActivityId, AuthMethod, Cause, Event, Extra, FailurePoint, InvalidPacket, KeyMod,
        MainModeEnded, MainModeEstablished, MainModeFailed, MmState, Record, Role,
    };

    use super::BUILT_IN;
    use crate::encoding::{Codec, content};

    /// Size in bytes: room for every advice once, and little beside the least segment.
    const SIZE: usize = 24 * 1024;

    /// How many bytes a record of a negotiation takes with this dictionary.
    fn mean(dictionary: &[u8]) -> usize {
        let mut codec = Codec::writing(dictionary).unwrap();
        let samples = samples();
        let bytes: usize = samples.iter().map(|record| codec.store(record).len()).sum();
        bytes / samples.len()
    }

    #[test]
    fn every_record_of_a_negotiation_is_small() {
        let mean = mean(BUILT_IN);
        assert!(mean < 200, "{mean} bytes");
    }

    /// `UPDATE_DICTIONARY=1` writes what training gives.
    #[test]
    fn the_dictionary_is_as_good_as_one_for_the_records_of_today() {
        let contents: Vec<Vec<u8>> = samples().iter().map(content).collect();
        let trained = zstd::dict::from_samples(&contents, SIZE).unwrap();
        if std::env::var_os("UPDATE_DICTIONARY").is_some() {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dictionary.zstd");
            return std::fs::write(path, trained).unwrap();
        }
        let (ours, best) = (mean(BUILT_IN), mean(&trained));
        assert!(
            ours <= best + best / 10,
            "{ours} bytes a record, and {best} with one that UPDATE_DICTIONARY=1 would write"
        );
    }

    /// Records as they will come, each with what varies varied.
    fn samples() -> Vec<Record> {
        let mut records = Vec::new();
        let words = [
            ("%%8237", "%%8242", "%%8232"),
            ("%%8235", "%%8198", "%%8230"),
            ("%%8237", "%%8243", "%%8233"),
            ("%%8236", "SHA 512", "DH group 31"),
            ("%%8196", "%%8198", "%%8229"),
        ];
        for n in 0..60u8 {
            let (cipher, integrity, group) = words[usize::from(n) % words.len()];
            let role = role(n);
            let established = MainModeEstablished {
                local_name: Some(name(n, "gw")),
                remote_name: Some(name(n, "branch")),
                local: address(n, 1),
                remote: address(n, 2),
                key_mod: KeyMod::IkeV1,
                auth: AuthMethod::PresharedKey,
                cipher,
                integrity,
                group,
                lifetime: Duration::from_secs(3600 * u64::from(n % 9)),
                qm_limit: 0,
                role,
                filter_id: u64::from(n % 5),
                mmsa_id: u64::from(n) * 37,
            };
            records.push(
                Event::MainModeEstablished(established)
                    .into_record(Some(activity(n)), extra(n, None)),
            );
            let ended = MainModeEnded {
                local: address(n, 1).ip(),
                remote: address(n, 2).ip(),
                key_mod: KeyMod::IkeV1,
                mmsa_id: u64::from(n) * 37,
            };
            let cause = Cause::ALL
                .iter()
                .filter(|cause| cause.event_ids().contains(&4655))
                .nth(usize::from(n) % 7);
            records.push(
                Event::MainModeEnded(ended)
                    .into_record(Some(activity(n)), extra(n, cause.copied())),
            );
            let invalid = InvalidPacket {
                local: address(n, 1).ip(),
                remote: address(n, 2).ip(),
                key_mod: KeyMod::IkeV1,
            };
            records
                .push(Event::InvalidPacket(invalid).into_record(Some(activity(n)), extra(n, None)));
        }
        for (n, cause) in (0..=u8::MAX).cycle().zip(
            Cause::ALL
                .iter()
                .filter(|cause| cause.event_ids().contains(&4653))
                .cycle()
                .take(4 * Cause::ALL.len()),
        ) {
            let state = [
                MmState::SentFirst,
                MmState::SentSecond,
                MmState::SentThird,
                MmState::None,
            ];
            let failed = MainModeFailed {
                local_name: (n % 3 != 0).then(|| name(n, "gw")),
                remote_name: (n % 4 == 0).then(|| name(n, "branch")),
                local: address(n, 1),
                remote: address(n, 2),
                key_mod: KeyMod::IkeV1,
                point: if n % 3 == 0 {
                    FailurePoint::Remote
                } else {
                    FailurePoint::Local
                },
                cause: *cause,
                auth: if n % 2 == 0 {
                    AuthMethod::PresharedKey
                } else {
                    AuthMethod::Unknown
                },
                state: state[usize::from(n) % state.len()],
                role: role(n),
                filter_id: u64::from(n % 5),
                initiator_cookie: cookie(n, 1),
                responder_cookie: if n % 3 == 0 { [0; 8] } else { cookie(n, 2) },
            };
            records
                .push(Event::MainModeFailed(failed).into_record(Some(activity(n)), extra(n, None)));
        }
        records
    }

    fn role(n: u8) -> Role {
        if n.is_multiple_of(2) {
            Role::Initiator
        } else {
            Role::Responder
        }
    }

    fn name(n: u8, host: &str) -> String {
        match n % 3 {
            0 => address(n, 3).ip().to_string(),
            1 => format!("{host}{n}.example"),
            _ => format!("{host}.example"),
        }
    }

    /// From the ranges of private and documentation addresses.
    fn address(n: u8, salt: u8) -> SocketAddr {
        let port = if n.is_multiple_of(3) { 4500 } else { 500 };
        let [a, b, ..] = cookie(n, salt);
        match n % 4 {
            0 => SocketAddr::from(([192, 0, 2, a], port)),
            1 => SocketAddr::from(([10, a, b, n], port)),
            2 => SocketAddr::from(([198, 51, 100, b], port)),
            _ => SocketAddr::from(([192, 168, a, b], port)),
        }
    }

    /// Eight bytes without a pattern (a multiplicative hash).
    fn cookie(n: u8, salt: u8) -> [u8; 8] {
        let seed = (u64::from(n) << 8 | u64::from(salt)) + 1;
        (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (seed << 31))
            .wrapping_mul(0xbf58_476d_1ce4_e5b9)
            .to_be_bytes()
    }

    fn activity(n: u8) -> ActivityId {
        ActivityId([n; 16])
    }

    fn extra(n: u8, cause: Option<Cause>) -> Extra {
        let connections = ["branch", "office", "gw", "net", "peer"];
        Extra {
            connection: Some(connections[usize::from(n) % connections.len()].to_owned()),
            cause,
            ..Extra::default()
        }
    }
}
