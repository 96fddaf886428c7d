//! Hosts as network namespaces: ours and the peer's, joined by a cable or with a NAT between them.

use crate::Outcome;
use crate::process::{run, run_in, run_with};
use std::path::Path;

/// Where the hosts stand to each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Topology {
    /// One cable, 192.0.2.1 and 192.0.2.2, `2001:db8::1` and `::2`.
    Plain,
    /// One cable, `fe80::1` and `fe80::2` at its `eth0`.
    LinkLocal,
    /// We are 10.9.0.1 behind a box that masquerades as 192.0.2.254; the peer is 192.0.2.2.
    NatUs,
    /// The peer is 10.9.0.2 behind a box that masquerades as 192.0.2.254; we are 192.0.2.1.
    NatPeer,
    /// We, the peer and a second peer, in 192.0.2.0/24 on a switch; what passes each cable is seen there.
    Switch,
    /// As `NatPeer`, the second peer being 10.9.0.4 behind the same box.
    NatPeers,
    /// As `NatUs`, the second peer being 10.9.0.4 behind the same box.
    NatUsAndSecond,
    /// We are 10.9.0.1 behind 192.0.2.254, the peer is 10.8.0.2 behind 192.0.2.253; what comes to those on the ports
    /// of IKE is passed on to us and to it.
    NatBoth,
}

impl Topology {
    pub fn from_name(name: &str) -> Outcome<Self> {
        Ok(match name {
            "plain" => Self::Plain,
            "link-local" => Self::LinkLocal,
            "nat-us" => Self::NatUs,
            "nat-peer" => Self::NatPeer,
            "switch" => Self::Switch,
            "nat-peers" => Self::NatPeers,
            "nat-us-and-second" => Self::NatUsAndSecond,
            "nat-both" => Self::NatBoth,
            other => return Err(format!("there is no topology \"{other}\"").into()),
        })
    }

    /// Whether there is a NAT between us and the peer.
    pub fn has_nat(self) -> bool {
        !matches!(self, Self::Plain | Self::LinkLocal | Self::Switch)
    }

    /// Whether there is a second peer's host.
    pub fn has_second(self) -> bool {
        matches!(self, Self::Switch | Self::NatPeers | Self::NatUsAndSecond)
    }

    /// The addresses: ours and the peer's, each as its own host has it and as the other one sees it.
    pub fn addresses(self, version_6: bool) -> [(&'static str, &'static str); 7] {
        let (us, us_seen, peer, peer_seen) = match (self, version_6) {
            (Self::Plain, false) => ("192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2"),
            (Self::Switch, false) => ("192.0.2.1", "${us}", "192.0.2.2", "${peer}"),
            (Self::Plain | Self::Switch, true) => {
                ("2001:db8::1", "2001:db8::1", "2001:db8::2", "2001:db8::2")
            }
            (Self::LinkLocal, _) => ("fe80::1", "fe80::1", "fe80::2", "fe80::2"),
            (Self::NatUs | Self::NatUsAndSecond, _) => {
                ("10.9.0.1", "192.0.2.254", "192.0.2.2", "192.0.2.2")
            }
            (Self::NatPeer | Self::NatPeers, _) => {
                ("192.0.2.1", "192.0.2.1", "10.9.0.2", "192.0.2.254")
            }
            (Self::NatBoth, _) => ("10.9.0.1", "192.0.2.254", "10.8.0.2", "192.0.2.253"),
        };
        let (second, second_seen) = if self.has_nat() {
            ("10.9.0.4", "192.0.2.254")
        } else {
            ("192.0.2.4", "${second}")
        };
        let nobody = if version_6 {
            "2001:db8::3"
        } else {
            "192.0.2.3"
        };
        [
            ("us", us),
            ("us-seen", us_seen),
            ("peer", peer),
            ("peer-seen", peer_seen),
            ("second", second),
            ("second-seen", second_seen),
            ("nobody", nobody),
        ]
    }
}

/// The namespaces of one trial; gone when it is dropped.
pub struct Lab {
    prefix: String,
    hosts: Vec<&'static str>,
    topology: Topology,
}

impl Lab {
    /// Namespaces that bear the trial's name; those that a killed run left behind are taken away first.
    pub fn new(trial: &str, topology: Topology) -> Outcome<Self> {
        Self::with_addresses(trial, topology, ["192.0.2.1", "192.0.2.2", "192.0.2.4"])
    }

    /// The same; on a switch we, the peer and the second peer have these addresses.
    pub fn with_addresses(trial: &str, topology: Topology, addresses: [&str; 3]) -> Outcome<Self> {
        sweep();
        let slug: String = trial
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .take(MAX_SLUG)
            .collect();
        let mut lab = Self {
            prefix: format!("{PREFIX}{}-{slug}-", std::process::id()),
            hosts: Vec::new(),
            topology,
        };
        let second = topology.has_second().then_some("second");
        let between: &[_] = match topology {
            Topology::Plain | Topology::LinkLocal => &[],
            Topology::Switch => &["switch"],
            Topology::NatBoth => &["nat", "nat-peer"],
            _ => &["nat"],
        };
        lab.hosts.extend(["us", "peer"]);
        lab.hosts.extend(second);
        lab.hosts.extend(between);
        ip(&[], &lab.namespaces("netns add"))?;
        match topology {
            Topology::Plain => {
                lab.cable(
                    ("us", "eth0", &["192.0.2.1/24", "2001:db8::1/64"]),
                    ("peer", "eth0", &["192.0.2.2/24", "2001:db8::2/64"]),
                )?;
            }
            Topology::LinkLocal => {
                lab.cable(
                    ("us", "eth0", &["fe80::1/64"]),
                    ("peer", "eth0", &["fe80::2/64"]),
                )?;
            }
            Topology::NatUs => {
                lab.nat(("us", "10.9.0.1/24"), ("peer", "192.0.2.2/24"))?;
            }
            Topology::NatPeer => {
                lab.nat(("peer", "10.9.0.2/24"), ("us", "192.0.2.1/24"))?;
            }
            Topology::Switch => {
                lab.bridge("switch", &[])?;
                for (host, address) in ["us", "peer", "second"].into_iter().zip(addresses) {
                    lab.port((host, &format!("{address}/24")), ("switch", host))?;
                }
            }
            Topology::NatPeers => {
                lab.nat_of_two(
                    [("peer", "10.9.0.2/24"), ("second", "10.9.0.4/24")],
                    ("us", "192.0.2.1/24"),
                )?;
            }
            Topology::NatUsAndSecond => {
                lab.nat_of_two(
                    [("us", "10.9.0.1/24"), ("second", "10.9.0.4/24")],
                    ("peer", "192.0.2.2/24"),
                )?;
            }
            Topology::NatBoth => {
                lab.cable(
                    ("nat", "out", &["192.0.2.254/24"]),
                    ("nat-peer", "out", &["192.0.2.253/24"]),
                )?;
                for (box_, [host, inside]) in [
                    ("nat", ["us", "10.9.0.1"]),
                    ("nat-peer", ["peer", "10.8.0.2"]),
                ] {
                    let gateway = format!("{}254", inside.trim_end_matches(['1', '2']));
                    lab.cable(
                        (host, "eth0", &[&format!("{inside}/24")]),
                        (box_, "in", &[&format!("{gateway}/24")]),
                    )?;
                    lab.gateway(host, &gateway)?;
                    lab.masquerade(box_)?;
                    lab.nft(
                        box_,
                        &format!("table ip to-inside {{ chain pre {{ type nat hook prerouting priority -100; iifname \"out\" udp dport {{ 500, 4500 }} dnat to {inside}; }}; }}"),
                    )?;
                }
            }
        }
        Ok(lab)
    }

    /// Where what passes a host's cable is seen: the namespace, the device there, and whether what leaves the host
    /// comes in by it.
    pub fn cable_of(&self, host: &str) -> (String, String, bool) {
        if self.topology == Topology::Switch {
            return (self.namespace("switch"), host.to_owned(), true);
        }
        let device = if host.starts_with("nat") {
            "out"
        } else {
            "eth0"
        };
        (self.namespace(host), device.to_owned(), false)
    }

    /// The name of a host's namespace.
    pub fn namespace(&self, host: &str) -> String {
        format!("{}{host}", self.prefix)
    }

    /// Runs a program on a host to its end; it has to succeed.
    pub fn on(&self, host: &str, words: &[&str]) -> Outcome<String> {
        run_in(&self.namespace(host), words)
    }

    /// Reads nftables rules on a host.
    pub fn nft(&self, host: &str, rules: &str) -> Outcome {
        self.on(host, &["nft", rules]).map(drop)
    }

    /// For each host a line, with its namespace.
    fn namespaces(&self, what: &str) -> Vec<String> {
        let line = |host| format!("{what} {}", self.namespace(host));
        self.hosts.iter().copied().map(line).collect()
    }

    /// What `ip` is told on a host.
    fn ip_on(&self, host: &str, lines: &[String]) -> Outcome {
        ip(&["-n", &self.namespace(host)], lines)
    }

    fn cable(&self, left: End<'_>, right: End<'_>) -> Outcome {
        let [left_ns, right_ns] = [left.0, right.0].map(|host| self.namespace(host));
        let (left_device, right_device) = (left.1, right.1);
        let made = format!(
            "link add {left_device} netns {left_ns} type veth peer name {right_device} netns {right_ns}"
        );
        ip(&[], &[made])?;
        for (host, device, addresses) in [left, right] {
            let mut lines = vec!["link set lo up".to_owned()];
            for address in addresses {
                // Duplicate address detection would keep an IPv6 address unusable for a second.
                let nodad = if address.contains(':') { "nodad" } else { "" };
                lines.push(format!("addr add {address} dev {device} {nodad}"));
            }
            // A capture is to see each datagram, also of those that the host was given as one.
            lines.push(format!("link set {device} gso_max_segs 1"));
            lines.push(format!("link set {device} up"));
            self.ip_on(host, &lines)?;
        }
        Ok(())
    }

    /// A host's only bridge, with these addresses.
    fn bridge(&self, host: &str, addresses: &[&str]) -> Outcome {
        let mut lines = vec![format!("link add {BRIDGE} type bridge")];
        lines.push(format!("link set {BRIDGE} up"));
        lines.extend(
            addresses
                .iter()
                .map(|a| format!("addr add {a} dev {BRIDGE}")),
        );
        self.ip_on(host, &lines)
    }

    /// A host's cable to a switch.
    fn port(&self, host: (&str, &str), switch: (&str, &str)) -> Outcome {
        self.cable((host.0, "eth0", &[host.1]), (switch.0, switch.1, &[]))?;
        let joined = format!("link set {} master {BRIDGE}", switch.1);
        self.ip_on(switch.0, &[joined])
    }

    fn gateway(&self, host: &str, via: &str) -> Outcome {
        self.ip_on(host, &[format!("route add default via {via}")])
    }

    /// A box that gives what comes from inside its own address, and ports that nobody would take for those of IKE.
    fn masquerade(&self, host: &str) -> Outcome {
        self.on(host, &["sysctl", "-qw", "net.ipv4.ip_forward=1"])?;
        self.nft(
            host,
            "table ip nat { chain post { type nat hook postrouting priority 100; oifname \"out\" meta l4proto udp masquerade to :1024-1100; }; }",
        )
    }

    /// Two hosts behind one box.
    fn nat_of_two(&self, inside: [(&str, &str); 2], outside: (&str, &str)) -> Outcome {
        self.bridge("nat", &["10.9.0.254/24"])?;
        for (host, address) in inside {
            self.port((host, address), ("nat", host))?;
            self.gateway(host, "10.9.0.254")?;
        }
        self.cable(
            (outside.0, "eth0", &[outside.1]),
            ("nat", "out", &["192.0.2.254/24"]),
        )?;
        self.masquerade("nat")
    }

    fn nat(&self, inside: (&str, &str), outside: (&str, &str)) -> Outcome {
        self.cable(
            (inside.0, "eth0", &[inside.1]),
            ("nat", "in", &["10.9.0.254/24"]),
        )?;
        self.cable(
            (outside.0, "eth0", &[outside.1]),
            ("nat", "out", &["192.0.2.254/24"]),
        )?;
        self.gateway(inside.0, "10.9.0.254")?;
        self.on("nat", &["sysctl", "-qw", "net.ipv4.ip_forward=1"])?;
        let masquerades = self.nft(
            "nat",
            "table ip nat { chain post { type nat hook postrouting priority 100; oifname \"out\" masquerade; }; }",
        );
        let address = inside.1.split('/').next().unwrap_or_default();
        // A kernel that keeps no connections in mind can still give one host another address.
        let translated = translation(address, "192.0.2.254");
        masquerades.or_else(|_| self.on("nat", &["sh", "-c", &translated]).map(drop))
    }
}

/// What gives one host another address outside, and its own back inside.
fn translation(inside: &str, outside: &str) -> String {
    format!(
        "tc qdisc add dev out clsact &&
         tc filter add dev out egress matchall action nat egress {inside} {outside} &&
         tc filter add dev out ingress matchall action nat ingress {outside} {inside}"
    )
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Nothing can be done about a namespace that does not go; the next run sweeps.
        let _ = ip(&["-force"], &self.namespaces("netns del"));
    }
}

/// A host, its device and the device's addresses.
type End<'a> = (&'a str, &'a str, &'a [&'a str]);

/// The bridge of a switch.
const BRIDGE: &str = "br0";

/// Tells `ip` all the lines in one go: to start it takes longer than what most of them do.
fn ip(options: &[&str], lines: &[String]) -> Outcome {
    let words = [&["ip"], options, &["-batch", "-"]].concat();
    run_with(&words, &lines.join("\n")).map(drop)
}

/// What every namespace of ours begins with; the owner's process id follows.
const PREFIX: &str = "mm-";

/// Of a trial's name, so much goes into its namespaces' names, which are file names of at most 255 bytes.
const MAX_SLUG: usize = 120;

/// Takes away namespaces of trials whose process is gone.
fn sweep() {
    let Ok(folder) = std::fs::read_dir("/run/netns") else {
        return;
    };
    for name in folder
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok())
    {
        let Some((pid, _)) = name.strip_prefix(PREFIX).and_then(|n| n.split_once('-')) else {
            continue;
        };
        if pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
            // Another trial may be sweeping as well.
            let _ = run(&["ip", "netns", "del", &name]);
        }
    }
}
