//! The variables of a trial: what the scenario sets, defaults, and what follows from them. In a configuration, a step
//! or an expected value, `${name}` stands for a variable's value.

use crate::Outcome;
use crate::lab::Topology;
use crate::words;
use std::collections::BTreeMap;

/// The variables by name.
#[derive(Clone, Debug, Default)]
pub struct Vars(BTreeMap<String, String>);

/// What a scenario need not say.
const DEFAULTS: &[(&str, &str)] = &[
    ("topology", "plain"),
    ("family", "4"),
    ("peer-is", "strongswan"),
    ("charon", "kernel"),
    ("initiator", "us"),
    ("ender", "us"),
    ("suite", "aes256-sha256-modp2048"),
    ("our-suite", "${suite}"),
    ("peer-suite", "${suite}"),
    ("psk", "correct horse battery staple"),
    ("our-psk", "${psk}"),
    ("peer-psk", "${psk}"),
    // Words for `common/pki`; with any, the trial has certificates.
    ("pki", ""),
    ("our-auth", "{ psk = \"${our-psk}\" }"),
    (
        "our-certificate",
        "{ certificate = \"${pki-dir}/us.pem\", key = \"${pki-dir}/us.key\", ca = \"${pki-dir}/ca.pem\" ${our-trust} }",
    ),
    ("our-trust", ""),
    // What the peer calls its connection.
    ("conn", "us"),
    // What a verdict names of them.
    ("us-cert-hash", "${us-thumbprint}"),
    ("us-cert-issuer", "${us-issuer}"),
    ("us-root", "O=Example, CN=Example CA"),
    ("peer-cert-hash", "${peer-thumbprint}"),
    ("peer-cert-issuer", "${peer-issuer}"),
    ("peer-root", "O=Example, CN=Example CA"),
    ("peer-local", "auth = psk"),
    ("peer-remote", "auth = psk"),
    // Who plays which part of a scenario that has parts: see `parts`.
    ("us-plays", ""),
    ("peer-plays", ""),
    ("second-plays", ""),
    ("second-san", ""),
    // The host that a RADIUS server runs on, and the user whom it knows.
    ("radius-on", ""),
    ("radius-secret", "a secret of gateway and server"),
    ("radius-user", ""),
    ("radius-password", ""),
    // Of one part's strongSwan alone, or of one part's mainmode.
    ("peer-strongswan", ""),
    ("second-strongswan", ""),
    ("us-extra", ""),
    ("us-rest", ""),
    // Whom a second strongSwan has as its peer.
    ("second-faces", "us"),
    ("our-template", "mainmode.toml"),
    ("ah-auth", "None"),
    ("our-mask", "${net-mask}"),
    ("peer-mask", "${net-mask}"),
    ("strongswan-load", ""),
    // What computes the groups that `gmp` does not.
    ("strongswan-groups", "openssl curve25519"),
    ("peer-remote-addrs", "${us-seen}"),
    ("peer-version", "1"),
    ("peer-template", "swanctl.conf"),
    // Of libreswan's connection: how both sides prove themselves, and its IPsec SA. Main Mode alone cannot be asked
    // for: a Quick Mode follows, and is refused where we have no child.
    ("pluto-auth", "authby=secret"),
    ("pluto-child", "esp=aes_gcm256"),
    ("peer-secrets", ""),
    ("us-id", "us.example"),
    ("us-id-at-peer", "${us-id}"),
    ("us-principal", "${us-id}"),
    ("peer-id", "peer.example"),
    ("peer-id-here", "${peer-id}"),
    ("peer-principal", "${peer-id}"),
    ("local-id", ", id = \"${us-id}\""),
    ("remote-id", ", id = \"${peer-id-here}\""),
    ("our-remote", "${peer-seen}"),
    ("our-lifetime", "28800"),
    ("peer-lifetime", "10000"),
    (
        "our-retransmit",
        "{ tries = 3, first = \"300ms\", factor = 1.2 }",
    ),
    ("peer-retransmit-tries", "3"),
    ("half-open-timeout", "3s"),
    ("evidence-hold", "1s"),
    ("our-fragmentation", "yes"),
    ("peer-fragmentation", "yes"),
    ("start", "wait"),
    ("our-audit", ""),
    ("our-more", ""),
    ("peer-more", ""),
    // "yes": our connection is imported from the swanctl.conf that strongSwan in our place would have; for its rounds
    // and for what else it has.
    ("imported", ""),
    ("import-local", "auth = psk"),
    ("import-remote", "auth = psk"),
    ("import-more", ""),
    ("import-secrets", ""),
    ("import-sections", ""),
    ("strongswan-more", ""),
    ("strongswan-plugins", ""),
    // More of swanctl.conf: in `secrets`, and beside `connections`.
    ("peer-sections", ""),
    // What `Extra` of a verdict says.
    ("exchange-words", ""),
    ("user", ""),
];

/// Hosts that can play a part.
const HOSTS: [&str; 3] = ["us", "peer", "second"];

/// A placeholder that names a placeholder, and so on, at most so deep: enough for every chain of the table above.
const MAX_DEPTH: usize = 12;

impl Vars {
    /// The defaults, what the scenario and its variant set, and what follows.
    pub fn new(set: impl IntoIterator<Item = (String, String)>) -> Outcome<Self> {
        let owned = |(k, v): &(&str, &str)| ((*k).to_owned(), (*v).to_owned());
        let mut vars = Self(DEFAULTS.iter().map(owned).collect());
        let set: BTreeMap<String, String> = set.into_iter().collect();
        vars.0.extend(set.clone());
        vars.follow()?;
        // What the scenario sets goes before what follows from the rest.
        vars.0.extend(set);
        Ok(vars)
    }

    /// The value, or nothing when there is no such variable.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// One more, for what is known only while the trial runs.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn follow(&mut self) -> Outcome {
        let topology = Topology::from_name(self.get("topology"))?;
        for (name, address) in topology.addresses(self.get("family") == "6") {
            self.set(name, address);
        }
        self.parts();
        let certificates = !self.get("pki").is_empty();
        let (method, established) = if certificates {
            ("Certificate", "established-by-certificate")
        } else {
            ("Preshared key", "established")
        };
        self.set("method", method);
        self.set("usual-method", method);
        self.set("established", established);
        // What was agreed with the second peer is told apart where it differs.
        for (prefix, suite, child) in [
            ("", "suite", "child-suite"),
            ("second-", "second-agreed", "second-child-agreed"),
        ] {
            if self.0.contains_key(suite) {
                let [cipher, integrity, group] =
                    words::of_suite(&self.fill(&format!("${{{suite}}}"))?)?;
                self.set(&format!("{prefix}cipher"), cipher);
                self.set(&format!("{prefix}integrity"), integrity);
                self.set(&format!("{prefix}group"), group);
            }
            if self.0.contains_key(child) {
                let [cipher, auth] = words::of_esp(&self.fill(&format!("${{{child}}}"))?)?;
                self.set(&format!("{prefix}esp-cipher"), cipher);
                self.set(&format!("{prefix}esp-auth"), auth);
            }
        }
        // charon's user-space ESP always pretends a NAT; both sides then float to 4500.
        let floats = topology.has_nat() || self.get("charon") == "user";
        self.set("port", if floats { "4500" } else { "500" });
        self.set("wire-shape", if floats { "esp-in-udp" } else { "esp" });
        let plugin = if self.get("charon") == "user" {
            "kernel-libipsec"
        } else {
            ""
        };
        self.set("esp-plugin", plugin);
        let (ours, theirs): (u64, u64) = (
            self.get("our-lifetime").parse()?,
            self.get("peer-lifetime").parse()?,
        );
        let initiates = match self.get("initiator") {
            "us" => true,
            "peer" => false,
            other => return Err(format!("initiator \"{other}\" is neither us nor peer").into()),
        };
        // The responder echoes what was offered, and each side keeps to its own when that is less.
        let agreed = if initiates { ours } else { ours.min(theirs) };
        self.set("lifetime", agreed.div_ceil(60).to_string());
        self.set("role", if initiates { "Initiator" } else { "Responder" });
        self.set(
            "end-cause",
            match self.get("ender") {
                "us" => "deleted-by-operator",
                "peer" => "deleted-by-peer",
                other => return Err(format!("ender \"{other}\" is neither us nor peer").into()),
            },
        );
        Ok(())
    }

    /// Hosts that play a part have what is the part's: where `peer-plays` is "carol", `carol-id` is `peer-id` as
    /// well, and `carol` is the peer's address.
    fn parts(&mut self) {
        for host in HOSTS {
            let part = self.get(&format!("{host}-plays")).to_owned();
            if part.is_empty() {
                continue;
            }
            let of_part: Vec<(String, String)> = self
                .0
                .keys()
                .filter_map(|name| {
                    let rest = name.strip_prefix(&part)?.strip_prefix('-')?;
                    Some((format!("{host}-{rest}"), format!("${{{name}}}")))
                })
                .collect();
            self.0.extend(of_part);
            self.set(&part, format!("${{{host}}}"));
            self.set(&format!("{part}-seen"), format!("${{{host}-seen}}"));
        }
    }

    /// The host that plays this part; a host's own name is itself.
    pub fn host<'a>(&'a self, name: &'a str) -> &'a str {
        HOSTS
            .iter()
            .find(|host| self.get(&format!("{host}-plays")) == name)
            .map_or(name, |host| host)
    }

    /// As the second strongSwan's configuration has them: it is the peer there, and who it faces is us.
    pub fn of_second(&self) -> Outcome<Self> {
        let mut vars = self.with_second()?;
        let faces = self.get("second-faces");
        for (name, from) in [
            ("us-seen", format!("${{{faces}-seen}}")),
            ("us-id-at-peer", format!("${{{faces}-id}}")),
        ] {
            vars.set(name, self.fill(&from)?);
        }
        Ok(vars)
    }

    /// As an event about the second peer has them: what is the second's is the peer's there, and what was agreed with
    /// it is what was agreed.
    pub fn with_second(&self) -> Outcome<Self> {
        let mut vars = self.clone();
        for (name, value) in &self.0 {
            if let Some(rest) = name.strip_prefix("second-") {
                vars.set(&format!("peer-{rest}"), value);
                vars.set(rest, value);
            }
        }
        vars.set("peer", self.fill("${second}")?);
        Ok(vars)
    }

    /// The text with every placeholder replaced.
    pub fn fill(&self, text: &str) -> Outcome<String> {
        self.fill_at(text, 0)
    }

    fn fill_at(&self, text: &str, depth: usize) -> Outcome<String> {
        if depth > MAX_DEPTH {
            return Err(format!("the placeholders of \"{text}\" go in a circle").into());
        }
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| format!("a placeholder in \"{text}\" does not end"))?;
            let (quoted, name) = match name.strip_prefix("quoted:") {
                Some(name) => (true, name),
                None => (false, name),
            };
            let value = self
                .0
                .get(name)
                .ok_or_else(|| format!("\"{name}\" is no variable"))?;
            let value = self.fill_at(value, depth + 1)?;
            filled.push_str(before);
            // What strongSwan has as a list with commas is a list of texts in TOML.
            let marks = if quoted { ("\"", "\", \"") } else { ("", ", ") };
            filled.push_str(marks.0);
            filled.push_str(&value.replace(", ", marks.1));
            filled.push_str(marks.0);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

/// What placeholders promise, as trials of their own.
pub const TRIALS: crate::OwnTrials = &[
    ("placeholders_are_filled_through_each_other", fills),
    ("what_a_scenario_sets_goes_before_what_follows", set_wins),
    ("who_plays_a_part_has_what_is_the_parts", parts),
];

fn fills() -> Outcome {
    let vars = Vars::new([("psk".into(), "a${initiator}b".into())])?;
    assert_eq!(vars.fill("<${our-psk}>")?, "<ausb>");
    assert!(vars.fill("${no-such-variable}").is_err());
    let vars = Vars::new([("psk".into(), "a, b".into())])?;
    assert_eq!(vars.fill("[${quoted:our-psk}]")?, "[\"a\", \"b\"]");
    let circle = Vars::new([("psk".into(), "${our-psk}".into())])?;
    assert!(circle.fill("${psk}").is_err());
    Ok(())
}

fn set_wins() -> Outcome {
    let vars = Vars::new([
        ("charon".into(), "user".into()),
        ("initiator".into(), "peer".into()),
    ])?;
    assert_eq!((vars.get("port"), vars.get("lifetime")), ("4500", "167"));
    let vars = Vars::new([("port".into(), "1500".into())])?;
    assert_eq!((vars.get("port"), vars.get("lifetime")), ("1500", "480"));
    Ok(())
}

fn parts() -> Outcome {
    let vars = Vars::new([
        ("us-plays".into(), "moon".into()),
        ("second-plays".into(), "dave".into()),
        ("moon-id".into(), "moon.example".into()),
        ("dave-id".into(), "dave.example".into()),
    ])?;
    assert_eq!(vars.fill("${us-id} ${moon}")?, "moon.example 192.0.2.1");
    assert_eq!((vars.host("dave"), vars.host("peer")), ("second", "peer"));
    let second = vars.of_second()?;
    assert_eq!(
        second.fill("${peer} ${peer-id} ${us-seen} ${us-id-at-peer}")?,
        "192.0.2.4 dave.example 192.0.2.1 moon.example"
    );
    Ok(())
}
