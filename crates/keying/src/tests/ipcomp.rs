//! Child SAs with IPComp.

use std::time::Duration;

use audit::Cause;
use isakmp::{Delete, ExchangeType, Payload, ProtocolId};

use super::net::{A, B, Net};
use super::quick::{in_mode, pair_of, stands, up};
use super::under_sa::protected;
use crate::child::{Cpis, Mode, SelectorConfig};
use crate::selector::Selector;

const SECOND: Duration = Duration::from_secs(1);

/// The CPIs of a host's newest child SA.
fn cpis(net: &Net, host: usize) -> Option<Cpis> {
    let newest = net.hosts[host].plane.values().next_back();
    newest.expect("a child SA").cpis
}

fn negotiable(cpi: u16) -> bool {
    (256..=61439).contains(&cpi)
}

#[test]
fn both_agree_on_ipcomp_whoever_begins() {
    for (seed, host) in [(900, A), (901, B)] {
        for mode in [Mode::Tunnel, Mode::Transport] {
            let mut net = pair_of(seed, |_, child| {
                child.compress = true;
                in_mode(child, mode);
            });
            up(&mut net, host);
            net.run(SECOND);
            assert!(stands(&net));
            net.agree();
            let found = cpis(&net, A).expect("IPComp");
            assert!(negotiable(found.inbound) && negotiable(found.outbound));
            let status = net.hosts[B].endpoint.status(net.now);
            assert_eq!(status.child_sas[0].cpis, cpis(&net, B));
            net.finish();
        }
    }
}

#[test]
fn with_a_peer_that_has_none_the_sa_is_without() {
    for (seed, host) in [(902, A), (903, B)] {
        let mut net = pair_of(seed, |host, child| child.compress = host == A);
        up(&mut net, host);
        net.run(SECOND);
        assert!(stands(&net));
        net.agree();
        assert_eq!((cpis(&net, A), cpis(&net, B)), (None, None));
        // Nothing is kept of what was offered.
        assert!(net.hosts.iter().all(|host| host.endpoint.cpis.is_empty()));
        net.finish();
    }
}

#[test]
fn packets_of_another_ip_version_than_the_tunnel_are_not_compressed() {
    for (seed, host) in [(904, A), (905, B)] {
        // Whoever answers would take it.
        let mut net = pair_of(seed, |_, child| {
            child.compress = true;
            for side in [&mut child.local, &mut child.remote] {
                let last = |selector: &SelectorConfig| match selector {
                    SelectorConfig::Fixed(selector) => selector.first,
                    SelectorConfig::Dynamic { .. } => unreachable!(),
                };
                let std::net::IpAddr::V4(net) = last(&side[0]) else {
                    unreachable!()
                };
                let six = net.to_ipv6_mapped().into();
                *side = vec![SelectorConfig::Fixed(Selector::subnet(six, 112))];
            }
        });
        up(&mut net, host);
        net.run(SECOND);
        assert!(stands(&net));
        assert_eq!((cpis(&net, A), cpis(&net, B)), (None, None));
        net.finish();
    }
}

#[test]
fn a_replacement_has_cpis_of_its_own_and_those_before_are_free_again() {
    let mut net = pair_of(906, |_, child| {
        child.compress = true;
        child.lifetime = Duration::from_secs(100);
    });
    up(&mut net, A);
    net.run(SECOND);
    let first = cpis(&net, A);
    for _ in 0..500 {
        net.run(SECOND);
        net.agree();
        for host in &net.hosts {
            // Two while one is replaced, and one more while that is negotiated.
            assert!(host.endpoint.cpis.len() <= 3);
        }
    }
    assert!(first.is_some() && cpis(&net, A).is_some() && cpis(&net, A) != first);
    assert!(net.hosts[A].of(5451).len() > 4);
    net.finish();
}

#[test]
fn whoever_deletes_ipcomp_deletes_the_bundle() {
    for four_bytes in [false, true] {
        let mut net = pair_of(907, |_, child| child.compress = true);
        up(&mut net, A);
        net.run(SECOND);
        let inbound = cpis(&net, A).expect("IPComp").inbound;
        let (a, b) = net.ends();
        for (message_id, cpi, ends) in [(0x77, inbound ^ 1, false), (0x78, inbound, true)] {
            let mut spi = cpi.to_be_bytes().to_vec();
            if four_bytes {
                spi = u32::from(cpi).to_be_bytes().to_vec();
            }
            let delete = Payload::Delete(Delete {
                doi: isakmp::DOI_IPSEC,
                protocol: ProtocolId::IPCOMP,
                spi_size: u8::try_from(spi.len()).expect("few"),
                spis: vec![spi],
            });
            let exchange = ExchangeType::INFORMATIONAL;
            let message = protected(&net, A, exchange, message_id, &[delete.to_raw()]);
            net.inject(B, a, b, &message);
            assert_eq!(net.hosts[B].plane.is_empty(), ends);
        }
        assert_eq!(net.hosts[B].causes(5452), [Cause::DeletedByPeer]);
        assert!(net.hosts[B].endpoint.cpis.is_empty());
    }
}
