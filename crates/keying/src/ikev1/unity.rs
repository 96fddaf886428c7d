//! What a gateway says of nets in Mode Config (Cisco Unity): those that the tunnel is for, and those that stay outside.

use isakmp::config::{ConfigAttributes, class};
use isakmp::unity::Net;

use super::transaction::bytes;
use crate::limits::MAX_UNITY_NETS;
use crate::selector::Selector;

/// What the peer said, where we are its client and wanted to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Nets {
    /// What the tunnel is for; none: all that the children are for.
    include: Vec<Selector>,
    /// What stays outside all the same.
    local_lan: Vec<Selector>,
}

impl Nets {
    /// What attributes say. What cannot be read, or is too much, counts as not said: then more is protected, not less.
    pub(crate) fn told(config: &ConfigAttributes) -> Self {
        let of = |class| nets(config, class).unwrap_or_default();
        let mut local_lan = of(class::UNITY_LOCAL_LAN);
        // All addresses stand for the networks next door, which are outside of every tunnel.
        local_lan.retain(|net| net.as_subnet().is_some_and(|(_, prefix)| prefix > 0));
        Self {
            include: of(class::UNITY_SPLIT_INCLUDE),
            local_lan,
        }
    }

    /// Whether nothing was said.
    pub(crate) fn is_empty(&self) -> bool {
        self.include.is_empty() && self.local_lan.is_empty()
    }

    /// What is left of the peer's side of a child. No attribute is about IPv6.
    pub(crate) fn narrow(&self, remotes: Vec<Selector>) -> Vec<Selector> {
        let mut left = Vec::new();
        for remote in remotes {
            if !remote.first.is_ipv4() {
                left.push(remote);
                continue;
            }
            let mut parts = vec![remote];
            if !self.include.is_empty() {
                let common = self.include.iter().filter_map(|net| remote.intersect(net));
                parts = common.collect();
            }
            parts.retain(|part| !self.local_lan.iter().any(|net| net.contains(part)));
            left.extend(parts);
        }
        left
    }

    /// Whether an SA may have this as the peer's side.
    pub(crate) fn allow(&self, remote: &Selector) -> bool {
        self.narrow(vec![*remote]).contains(remote)
    }

    /// What of the peer's side of an SA stays outside.
    pub(crate) fn outside(&self, remote: &Selector) -> Vec<Selector> {
        let within = |net: &&Selector| remote.with(0, 0).contains(net);
        self.local_lan.iter().filter(within).copied().collect()
    }
}

/// The nets of all attributes of a class.
fn nets(config: &ConfigAttributes, class: u16) -> Option<Vec<Selector>> {
    let mut all = Vec::new();
    for attribute in config.attributes.iter().filter(|a| a.class == class) {
        let nets = Net::parse_all(&bytes(attribute)).ok()?;
        all.extend(nets.into_iter().map(selector));
    }
    (all.len() <= MAX_UNITY_NETS).then_some(all)
}

fn selector(net: Net) -> Selector {
    Selector::subnet(net.address().into(), net.prefix())
}

#[cfg(test)]
mod tests {
    use isakmp::Attribute;
    use isakmp::config::ConfigType;

    use super::*;

    fn net(text: &str, prefix: u8) -> Selector {
        Selector::subnet(text.parse().expect("an address"), prefix)
    }

    fn reply(attributes: Vec<Attribute>) -> ConfigAttributes {
        ConfigAttributes {
            kind: ConfigType::REPLY,
            identifier: 1,
            attributes,
        }
    }

    fn attribute(class: u16, nets: &[(&str, u8)]) -> Attribute {
        let net = |(text, prefix): &(&str, u8)| {
            Net::new(text.parse().expect("an address"), *prefix).expect("a net")
        };
        let nets: Vec<Net> = nets.iter().map(net).collect();
        Attribute::long(class, Net::emit_all(&nets))
    }

    fn told(include: &[(&str, u8)], local_lan: &[(&str, u8)]) -> Nets {
        Nets::told(&reply(vec![
            attribute(class::UNITY_SPLIT_INCLUDE, include),
            attribute(class::UNITY_LOCAL_LAN, local_lan),
        ]))
    }

    const ALL: (&str, u8) = ("0.0.0.0", 0);

    #[test]
    fn of_a_child_is_left_what_the_gateway_has_and_no_more_than_the_child_has() {
        let nets = told(&[("10.1.0.0", 16), ("10.2.1.0", 24)], &[]);
        let narrow = |text, prefix| nets.narrow(vec![net(text, prefix)]);
        let both = [net("10.1.0.0", 16), net("10.2.1.0", 24)];
        assert_eq!(narrow(ALL.0, ALL.1), both);
        assert_eq!(narrow("10.1.7.0", 24), [net("10.1.7.0", 24)]);
        assert_eq!(narrow("172.16.0.0", 12), []);
        assert_eq!(narrow("2001:db8::", 32), [net("2001:db8::", 32)]);
        let ssh = net(ALL.0, ALL.1).with(6, 22);
        let left = nets.narrow(vec![ssh]);
        assert_eq!(left, both.map(|net| net.with(6, 22)));
        assert!(left.iter().all(|part| nets.allow(part)) && !nets.allow(&ssh));
    }

    #[test]
    fn a_gateway_that_says_nothing_leaves_all() {
        let nets = told(&[], &[]);
        assert!(nets.is_empty());
        assert!(nets.allow(&net(ALL.0, ALL.1)));
    }

    #[test]
    fn a_local_lan_stays_outside() {
        let nets = told(&[], &[("192.168.0.0", 24)]);
        let all = net(ALL.0, ALL.1);
        assert_eq!(nets.narrow(vec![all]), [all]);
        assert_eq!(nets.outside(&all), [net("192.168.0.0", 24)]);
        assert_eq!(nets.outside(&all.with(17, 53)), nets.outside(&all));
        assert_eq!(nets.outside(&net("10.1.0.0", 16)), []);
        for whole in [net("192.168.0.0", 24), net("192.168.0.7", 32).with(6, 80)] {
            assert_eq!(nets.narrow(vec![whole]), []);
        }
    }

    #[test]
    fn all_addresses_as_a_local_lan_leave_the_tunnel_as_it_is() {
        assert_eq!(told(&[], &[ALL]), Nets::default());
    }

    #[test]
    fn what_cannot_be_read_or_is_too_much_leaves_all_protected() {
        let fine = attribute(class::UNITY_SPLIT_INCLUDE, &[("10.1.0.0", 16)]);
        let cut = Attribute::long(class::UNITY_SPLIT_INCLUDE, [10, 1, 0, 0, 255]);
        let short = Attribute::short(class::UNITY_SPLIT_INCLUDE, 7);
        for bad in [cut, short] {
            assert_eq!(Nets::told(&reply(vec![fine.clone(), bad])), Nets::default());
        }
        let many = vec![("10.1.0.0", 16); MAX_UNITY_NETS + 1];
        assert_eq!(told(&many, &[]), Nets::default());
        assert_ne!(told(&many[1..], &[]), Nets::default());
    }
}
