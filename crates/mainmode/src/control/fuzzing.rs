//! What the fuzz target calls, and the ordinary tests with its corpus. Nothing here is for a daemon.

use super::protocol::{MAX_REQUEST, Request, read_line, write_line};

/// Reads any bytes as what a client sends to the control socket. A request that is understood is the same after it was
/// sent on, and a query of it is understood or refused with words.
///
/// # Panics
///
/// When that is not so.
pub fn request(data: &[u8]) {
    let Ok(Some(line)) = read_line(&mut &*data, MAX_REQUEST) else {
        return;
    };
    assert!(line.len() as u64 <= MAX_REQUEST);
    let Ok(request) = serde_json::from_slice::<Request>(&line) else {
        return;
    };
    let mut sent = Vec::new();
    write_line(&mut sent, &request).expect("memory takes it");
    let again = read_line(&mut &sent[..], u64::MAX - 1).expect("a line");
    let again = again.map(|line| serde_json::from_slice::<Request>(&line));
    assert!(matches!(again, Some(Ok(again)) if again == request));
    if let Request::LogQuery { query } | Request::LogFollow { query } = request
        && let Err(why) = query.query()
    {
        assert!(!why.is_empty());
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_corpus_file_is_taken_or_refused_with_words() {
        crate::corpus::replay("request", super::request);
    }
}
