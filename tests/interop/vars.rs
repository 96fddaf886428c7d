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
    ("peer-local", "auth = psk"),
    ("peer-remote", "auth = psk"),
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
    ("strongswan-more", ""),
    ("strongswan-plugins", ""),
    // More of swanctl.conf: in `secrets`, and beside `connections`.
    ("peer-secrets", ""),
    ("peer-sections", ""),
    // What `Extra` of a verdict says.
    ("exchange-words", ""),
    ("user", ""),
];

/// A placeholder that names a placeholder, and so on, at most so deep: enough for every chain of the table above.
const MAX_DEPTH: usize = 8;

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
        let [cipher, integrity, group] = words::of_suite(&self.fill("${suite}")?)?;
        self.set(
            "method",
            if self.get("pki").is_empty() {
                "Preshared key"
            } else {
                "Certificate"
            },
        );
        self.set("cipher", cipher);
        self.set("integrity", integrity);
        self.set("group", group);
        // charon's user-space ESP always pretends a NAT; both sides then float to 4500.
        let floats = topology != Topology::Plain || self.get("charon") == "user";
        self.set("port", if floats { "4500" } else { "500" });
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
            let value = self
                .0
                .get(name)
                .ok_or_else(|| format!("\"{name}\" is no variable"))?;
            filled.push_str(before);
            filled.push_str(&self.fill_at(value, depth + 1)?);
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
];

fn fills() -> Outcome {
    let vars = Vars::new([("psk".into(), "a${initiator}b".into())])?;
    assert_eq!(vars.fill("<${our-psk}>")?, "<ausb>");
    assert!(vars.fill("${no-such-variable}").is_err());
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
