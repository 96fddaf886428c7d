//! Main Mode from message 1 to 4655, with nothing in its way.

use std::time::Duration;

use super::net::{A, B};
use super::pair;

#[test]
fn two_endpoints_establish_and_end() {
    let mut net = pair(1);
    net.establish();
    for host in [A, B] {
        assert_eq!(net.hosts[host].of(4650).len(), 1);
        assert_eq!(net.hosts[host].verdicts.len(), 1);
    }
    net.run(Duration::from_secs(10));
    net.finish();
    for host in &net.hosts {
        assert_eq!(host.of(4655).len(), 1);
    }
}
