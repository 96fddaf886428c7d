//! What a crash must leave, checked: `check DIRECTORY LAST` opens the log as the next start would,
//! verifies it, and sees that every record up to LAST (the last that was reported durable) is there
//! and that the account balances. Exit code 1 and why, when not.

use eventlog::{LogError, Options, Query, Reader, Retention, Writer};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(directory), Some(last)) = (
        arguments.next(),
        arguments.next().and_then(|last| last.parse().ok()),
    ) else {
        eprintln!("check DIRECTORY LAST [RETENTION [MAX_SIZE]]");
        std::process::exit(2);
    };
    let retention = arguments
        .next()
        .and_then(|name| Retention::from_name(&name))
        .unwrap_or(Retention::Overwrite);
    let max_size = arguments
        .next()
        .and_then(|size| size.parse().ok())
        .unwrap_or(eventlog::MIN_SIZE);
    match check(&directory, last, retention, max_size) {
        Ok(said) => println!("{said}"),
        Err(why) => {
            eprintln!("{why}");
            std::process::exit(1);
        }
    }
}

fn check(
    directory: &str,
    last: u64,
    retention: Retention,
    max_size: u64,
) -> Result<String, String> {
    let text = |error: eventlog::LogError| format!("{error}: {error:?}");
    // As a reader finds it, before any writer has repaired anything.
    let verified = match Reader::open(directory) {
        Ok(reader) => Some(
            reader
                .verify(None)
                .map_err(|fault| format!("before the next start: {fault}"))?,
        ),
        // Killed before there was one.
        Err(LogError::NoLog(_)) if last == 0 => None,
        Err(error) => return Err(text(error)),
    };
    let head = verified.map_or((0, [0; 32]), |verified| verified.head);
    if head.0 < last {
        return Err(format!(
            "record {last} had been reported written, the log ends with {}",
            head.0
        ));
    }
    let options = Options {
        directory: directory.into(),
        max_size,
        retention,
        computer: "check".to_owned(),
        process_id: 1,
    };
    let (mut writer, recovery) = Writer::open(options).map_err(text)?;
    let reader = Reader::open(directory).map_err(text)?;
    let again = reader
        .verify(Some(head))
        .map_err(|fault| format!("after the next start: {fault}"))?;
    let counters = recovery.counters;
    let decided =
        counters.established + counters.failed + counters.superseded + counters.interrupted;
    let live = recovery.orphans.len() as u64;
    if counters.negotiations != decided || counters.live() != live {
        return Err(format!(
            "the account does not balance: {counters:?}, {live} live"
        ));
    }
    let listed = writer.live().map_err(text)?;
    if listed != recovery.orphans {
        return Err("the orphans are not those of the account".to_owned());
    }
    let mut expected = again.floor.0;
    for record in reader.query(&Query::default()) {
        expected += 1;
        let record = record.map_err(text)?;
        if record.record_id != expected {
            return Err(format!(
                "record {} comes where {expected} should",
                record.record_id
            ));
        }
    }
    Ok(format!(
        "ok: {} records, head {}, {live} orphans, {} interrupted, {} segments",
        again.records,
        again.head.0,
        recovery.interrupted,
        reader.info().map_err(text)?.segments,
    ))
}
