//! What the fuzz target calls, and the ordinary tests with its corpus. Nothing here is for a daemon.

use crate::Policy;

/// Reads any bytes as the file of a policy. What is taken is written again as the same policy.
///
/// # Panics
///
/// When that is not so.
pub fn auditpol(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok((policy, _)) = Policy::from_csv(text) {
        let written = policy.to_csv("gw");
        let read = Policy::from_csv(&written);
        assert!(
            matches!(&read, Ok((again, unknown)) if *again == policy && unknown.is_empty()),
            "{written}: {read:?}"
        );
    }
}
