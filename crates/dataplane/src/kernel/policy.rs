//! Kernel policies: which packets must be protected, and by which states.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_xfrm::constants::{
    IPPROTO_COMP, XFRM_POLICY_ALLOW, XFRM_POLICY_FWD, XFRM_POLICY_IN, XFRM_POLICY_OUT,
};
use netlink_packet_xfrm::policy::{DelGetMessage, ModifyMessage};
use netlink_packet_xfrm::{
    Address, Id, Selector as XfrmSelector, UserPolicyId, UserPolicyInfo, UserTemplate, XfrmAttrs,
    XfrmMessage,
};
use serde::{Deserialize, Serialize};

use super::state;
use crate::{Mark, Mode, PlaneError, Selector};

/// Kernel policies of one child SA or trap, in all directions. Two ranges of IP version 6 could need
/// 254 * 254 * 3.
const MAX_POLICIES: usize = 1024;

/// Priority of a policy for all traffic. Lower numbers come first. Far from 0, so that an operator has
/// room for policies of their own on both sides.
const WIDEST: u32 = 400_000;
/// What one more bit of a prefix is worth: more than protocol and both ports together.
const PREFIX_BIT: u32 = 1024;
/// What a protocol is worth.
const PROTOCOL: u32 = 512;
/// What each port is worth.
const PORT: u32 = 128;

/// Which packets a policy looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Path {
    /// Leaving this host.
    Out,
    /// For this host.
    In,
    /// Passing through.
    Forward,
}

impl Path {
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Out => XFRM_POLICY_OUT,
            Self::In => XFRM_POLICY_IN,
            Self::Forward => XFRM_POLICY_FWD,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::In => "in",
            Self::Forward => "fwd",
        }
    }
}

/// What makes a policy one in the kernel: a second with the same key replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct PolicyKey {
    pub(crate) path: Path,
    pub(crate) source: IpNet,
    pub(crate) destination: IpNet,
    pub(crate) protocol: u8,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) mark: Option<Mark>,
    pub(crate) interface_id: Option<u32>,
}

/// How much two sides have of which a policy is for a subnet each: ranges of which one lies within the other may have a
/// policy in common, and the lesser is then the more specific.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Breadth {
    remote: u128,
    local: u128,
}

impl Breadth {
    pub(super) fn of(local: &Selector, remote: &Selector) -> Self {
        Self {
            remote: remote.addresses(),
            local: local.addresses(),
        }
    }
}

/// How packets of a policy are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Template {
    /// Outer source.
    pub(super) source: IpAddr,
    /// Outer destination.
    pub(super) destination: IpAddr,
    /// The number in the IP header.
    pub(super) protocol: u8,
    pub(super) mode: Mode,
    /// The one state that is used; 0: any with the `reqid`.
    pub(super) spi: u32,
    pub(super) reqid: u32,
    /// With IPComp before that: the CPI of its one state; 0: any with the `reqid`.
    pub(super) ipcomp: Option<u32>,
}

impl PolicyKey {
    /// More specific traffic comes first.
    pub(crate) fn priority(&self) -> u32 {
        let bits = u32::from(self.source.prefix_len()) + u32::from(self.destination.prefix_len());
        let ports = u32::from(self.source_port != 0) + u32::from(self.destination_port != 0);
        WIDEST - bits * PREFIX_BIT - u32::from(self.protocol != 0) * PROTOCOL - ports * PORT
    }

    /// As an operator would look for it.
    pub(super) fn shown(&self) -> String {
        format!(
            "{} => {} ({})",
            self.source,
            self.destination,
            self.path.word()
        )
    }
}

/// The policies of two sides' traffic: each subnet of one with each of the other, on each path.
///
/// # Errors
/// [`PlaneError::TooManyPolicies`].
pub(crate) fn keys(
    local: &Selector,
    remote: &Selector,
    mode: Mode,
    mark: Option<Mark>,
    interface_id: Option<u32>,
) -> Result<Vec<PolicyKey>, PlaneError> {
    // Nothing is unwrapped on its way through in transport mode.
    let paths: &[Path] = match mode {
        Mode::Tunnel => &[Path::In, Path::Forward, Path::Out],
        Mode::Transport => &[Path::In, Path::Out],
    };
    let policies = local.prefixes().count() * remote.prefixes().count() * paths.len();
    if policies > MAX_POLICIES {
        return Err(PlaneError::TooManyPolicies {
            what: format!("{local} with {remote}"),
            policies,
            limit: MAX_POLICIES,
        });
    }
    let protocol = local.protocol.max(remote.protocol);
    let mut keys = Vec::with_capacity(policies);
    for &path in paths {
        for here in local.prefixes() {
            for there in remote.prefixes() {
                let (from, to) = match path {
                    Path::Out => ((here, local.port), (there, remote.port)),
                    Path::In | Path::Forward => ((there, remote.port), (here, local.port)),
                };
                keys.push(PolicyKey {
                    path,
                    source: from.0,
                    destination: to.0,
                    protocol,
                    source_port: from.1,
                    destination_port: to.1,
                    mark,
                    interface_id,
                });
            }
        }
    }
    Ok(keys)
}

/// The policies of a trap, by its pairs of selectors of one IP version. One that several pairs want is that pair's which is
/// for the least.
///
/// # Errors
/// [`PlaneError::TooManyPolicies`], or [`PlaneError::Invalid`] when no pair fits together.
pub(super) fn trap_keys(trap: &crate::Trap) -> Result<Vec<(Breadth, Vec<PolicyKey>)>, PlaneError> {
    let mut pairs = Vec::new();
    for local in &trap.local_selectors {
        for remote in &trap.remote_selectors {
            if local.first.is_ipv4() == remote.first.is_ipv4() {
                local.check_against(remote)?;
                let keys = keys(local, remote, trap.mode, trap.mark, trap.interface_id)?;
                pairs.push((Breadth::of(local, remote), keys));
            }
        }
    }
    if pairs.is_empty() {
        return Err(PlaneError::Invalid {
            what: format!(
                "the two sides of '{}' have no IP version in common",
                trap.name
            ),
        });
    }
    pairs.sort_by_key(|(breadth, _)| *breadth);
    let mut all = BTreeSet::new();
    for (_, keys) in &mut pairs {
        keys.retain(|key| all.insert(*key));
    }
    pairs.retain(|(_, keys)| !keys.is_empty());
    if all.len() > MAX_POLICIES {
        return Err(PlaneError::TooManyPolicies {
            what: trap.name.clone(),
            policies: all.len(),
            limit: MAX_POLICIES,
        });
    }
    Ok(pairs)
}

/// The traffic of a policy.
pub(crate) fn selector(key: &PolicyKey) -> XfrmSelector {
    let port_mask = |port: u16| if port == 0 { 0 } else { u16::MAX };
    XfrmSelector {
        saddr: Address::from_ip(&key.source.network()),
        daddr: Address::from_ip(&key.destination.network()),
        sport: key.source_port,
        sport_mask: port_mask(key.source_port),
        dport: key.destination_port,
        dport_mask: port_mask(key.destination_port),
        family: state::family(key.source.addr()),
        prefixlen_s: key.source.prefix_len(),
        prefixlen_d: key.destination.prefix_len(),
        proto: key.protocol,
        ..XfrmSelector::default()
    }
}

/// Adds a policy; fails when there is one with its key.
pub(super) fn add(key: &PolicyKey, template: &Template) -> XfrmMessage {
    XfrmMessage::AddPolicy(modify(key, template))
}

/// Puts a policy in the place of the one with its key, without a gap.
pub(super) fn update(key: &PolicyKey, template: &Template) -> XfrmMessage {
    XfrmMessage::UpdatePolicy(modify(key, template))
}

fn modify(key: &PolicyKey, template: &Template) -> ModifyMessage {
    let one = |protocol, spi, mode| UserTemplate {
        id: Id {
            daddr: Address::from_ip(&template.destination),
            spi,
            proto: protocol,
        },
        family: state::family(template.source),
        saddr: Address::from_ip(&template.source),
        reqid: template.reqid,
        mode: state::mode_number(mode),
        ..UserTemplate::default()
    };
    // The innermost first. What does not get smaller is sent as it is (RFC 3173 section 2.2): incoming packets may do
    // without.
    let ipcomp = template.ipcomp.map(|cpi| UserTemplate {
        optional: u8::from(key.path != Path::Out),
        ..one(IPPROTO_COMP, cpi, template.mode)
    });
    let mode = state::mode_behind(template.ipcomp.is_some(), template.mode);
    let templates = ipcomp
        .into_iter()
        .chain([one(template.protocol, template.spi, mode)]);
    let mut nlas = vec![XfrmAttrs::Template(templates.collect())];
    nlas.extend(attributes(key));
    ModifyMessage {
        user_policy_info: UserPolicyInfo {
            selector: selector(key),
            priority: key.priority(),
            direction: key.path.number(),
            action: XFRM_POLICY_ALLOW,
            ..UserPolicyInfo::default()
        },
        nlas,
    }
}

/// Asks for a policy.
pub(super) fn get(key: &PolicyKey) -> XfrmMessage {
    XfrmMessage::GetPolicy(find(key))
}

/// Deletes a policy.
pub(super) fn delete(key: &PolicyKey) -> XfrmMessage {
    XfrmMessage::DeletePolicy(find(key))
}

pub(crate) fn find(key: &PolicyKey) -> DelGetMessage {
    DelGetMessage {
        user_policy_id: UserPolicyId {
            selector: selector(key),
            index: 0,
            direction: key.path.number(),
        },
        nlas: attributes(key).collect(),
    }
}

fn attributes(key: &PolicyKey) -> impl Iterator<Item = XfrmAttrs> + use<> {
    let mark = key.mark.map(state::mark);
    mark.into_iter()
        .chain(key.interface_id.map(XfrmAttrs::IfId))
}

/// The `reqid` of the first template in what the kernel says of a policy.
pub(super) fn reqid(attributes: &[XfrmAttrs]) -> Option<u32> {
    attributes.iter().find_map(|attribute| match attribute {
        XfrmAttrs::Template(templates) => Some(templates.first()?.reqid),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::Emitable;
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::golden;

    fn net(words: &str) -> Selector {
        Selector::subnet(words.parse().unwrap())
    }

    #[test]
    fn a_policy_with_everything_is_to_the_byte_what_ip_xfrm_sends() {
        let web = Selector {
            protocol: 6,
            port: 443,
            ..net("10.2.0.0/16")
        };
        let mark = Some(Mark {
            value: 5,
            mask: 0xff,
        });
        let keys = keys(&net("10.1.0.0/16"), &web, Mode::Tunnel, mark, Some(9)).unwrap();
        let key = keys.iter().find(|key| key.path == Path::Out).unwrap();
        let template = Template {
            source: "192.0.2.1".parse().unwrap(),
            destination: "192.0.2.2".parse().unwrap(),
            protocol: 50,
            mode: Mode::Tunnel,
            spi: 0x1000_0012,
            reqid: 7,
            ipcomp: None,
        };
        let message = add(key, &template);
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        assert_eq!(bytes, golden(include_str!("../../tests/data/policy.hex")));
    }

    #[test]
    fn one_more_bit_counts_more_than_protocol_and_ports() {
        let bare = Selector {
            protocol: 6,
            port: 1,
            ..net("10.0.0.0/15")
        };
        let narrow = net("10.0.0.0/16");
        let priority = |remote: &Selector| {
            keys(&net("10.9.0.0/16"), remote, Mode::Tunnel, None, None).unwrap()[0].priority()
        };
        assert!(priority(&narrow) < priority(&bare));
        assert!(priority(&bare) < priority(&net("10.0.0.0/15")));
        let host = Selector {
            protocol: 6,
            port: 1,
            ..Selector::host("2001:db8::1".parse().unwrap())
        };
        let most = keys(&host, &host, Mode::Transport, None, None).unwrap()[0].priority();
        assert!(most > 0 && most < WIDEST);
    }

    #[test]
    fn ranges_that_need_too_many_policies_are_refused_before_any_is_made() {
        let all_but_ends = Selector {
            first: "0.0.0.1".parse().unwrap(),
            last: "255.255.255.254".parse().unwrap(),
            protocol: 0,
            port: 0,
        };
        let error = keys(&all_but_ends, &all_but_ends, Mode::Tunnel, None, None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "0.0.0.1-255.255.255.254 with 0.0.0.1-255.255.255.254 needs 11532 IPsec policies, \
             more than 1024; write subnets in place of ranges"
        );
    }

    fn trap(remotes: &[Selector]) -> crate::Trap {
        crate::Trap {
            name: "net".into(),
            protocol: crypto::esp::Protocol::Esp,
            mode: Mode::Tunnel,
            compress: false,
            local: "192.0.2.1".parse().unwrap(),
            remote: "192.0.2.2".parse().unwrap(),
            local_selectors: vec![net("10.1.0.0/16")],
            remote_selectors: remotes.to_vec(),
            mark: None,
            interface_id: None,
        }
    }

    #[test]
    fn a_trap_has_for_each_pair_the_policies_of_its_sa() {
        let remotes = [net("10.0.0.0/8"), net("10.2.0.0/16")];
        let pairs = trap_keys(&trap(&remotes)).unwrap();
        for remote in &remotes {
            let local = &net("10.1.0.0/16");
            let keys = keys(local, remote, Mode::Tunnel, None, None).unwrap();
            assert!(pairs.contains(&(Breadth::of(local, remote), keys)));
        }
        assert_eq!(pairs.len(), 2);
    }

    #[test]
    fn a_policy_of_two_ranges_of_a_trap_is_of_the_lesser() {
        let (mut wide, narrow) = (net("10.2.0.0/23"), net("10.2.0.0/23"));
        wide.last = "10.2.2.255".parse().unwrap();
        let pairs = trap_keys(&trap(&[wide, narrow])).unwrap();
        let remotes: Vec<Vec<String>> = pairs
            .iter()
            .map(|(_, keys)| {
                let out = keys.iter().filter(|key| key.path == Path::Out);
                out.map(|key| key.destination.to_string()).collect()
            })
            .collect();
        assert_eq!(remotes, [["10.2.0.0/23"], ["10.2.2.0/24"]]);
    }

    /// A side's traffic, and what lies within it.
    fn nested() -> impl Strategy<Value = (Selector, Selector)> {
        let v4 = (any::<u32>(), 0..=32_u8, 0..=32_u8).prop_map(|(address, a, b)| {
            let net = |prefix| IpNet::new(IpAddr::from(address.to_be_bytes()), prefix).unwrap();
            [net(a.min(b)), net(a.max(b))]
        });
        let ports = prop_oneof![
            Just([(0, 0), (0, 0)]),
            Just([(0, 0), (6, 0)]),
            Just([(0, 0), (6, 443)]),
            Just([(6, 0), (6, 443)]),
            Just([(6, 443), (6, 443)]),
        ];
        (v4, ports).prop_map(|(nets, ports)| {
            let side = |n: usize| Selector {
                protocol: ports[n].0,
                port: ports[n].1,
                ..Selector::subnet(nets[n])
            };
            (side(0), side(1))
        })
    }

    proptest! {
        #[test]
        fn what_lies_within_other_traffic_comes_before_it_trap_or_sa(
            (local, less_local) in nested(),
            (remote, less_remote) in nested(),
        ) {
            let key = |local, remote| keys(local, remote, Mode::Tunnel, None, None).unwrap()[0];
            let (wide, narrow) = (key(&local, &remote), key(&less_local, &less_remote));
            prop_assert_eq!(narrow.priority() < wide.priority(), narrow != wide);
        }
    }
}
