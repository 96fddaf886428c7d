//! Messages that get lost, or are counted, on the way into a host: nftables rules that know an ISAKMP header.

use crate::Outcome;
use crate::lab::Lab;

/// The rules of one trial, in the order they were asked for.
#[derive(Default)]
pub struct Rules(Vec<Rule>);

struct Rule {
    host: &'static str,
    kind: String,
    counter: String,
}

/// The table on each host that has rules.
const TABLE: &str = "inet mainmode-lab";

/// Port, and at which bit after the start of the UDP header ISAKMP begins there: on 4500 the non-ESP marker goes first.
const PLACES: [(u16, u32); 2] = [(500, 64), (4500, 96)];

impl Rules {
    /// From now on messages of this kind are lost.
    pub fn drop(&mut self, lab: &Lab, initiator: &str, kind: &str) -> Outcome {
        self.add(lab, initiator, kind, "drop")
    }

    /// From now on every other message of this kind is lost, the first among them.
    pub fn drop_every_other(&mut self, lab: &Lab, initiator: &str, kind: &str) -> Outcome {
        self.add(lab, initiator, kind, "numgen inc mod 2 == 0 drop")
    }

    /// From now on messages of this kind are counted.
    pub fn watch(&mut self, lab: &Lab, initiator: &str, kind: &str) -> Outcome {
        self.add(lab, initiator, kind, "accept")
    }

    fn add(&mut self, lab: &Lab, initiator: &str, kind: &str, verdict: &str) -> Outcome {
        let (host, [one, other]) = rule(initiator, kind)?;
        let counter = format!("c{}", self.0.len());
        lab.nft(
            host,
            &format!(
                "table {TABLE} {{
                   counter {counter} {{ }}
                   chain in {{
                     type filter hook prerouting priority -400;
                     {one} counter name {counter} {verdict}
                     {other} counter name {counter} {verdict}
                   }}
                 }}"
            ),
        )?;
        self.0.push(Rule {
            host,
            kind: kind.to_owned(),
            counter,
        });
        Ok(())
    }

    /// Nothing is lost any more; what was counted so far is checked now.
    pub fn heal(&mut self, lab: &Lab) -> Outcome {
        self.check(lab)?;
        for host in ["us", "peer"] {
            if self.0.iter().any(|rule| rule.host == host) {
                lab.nft(host, &format!("delete table {TABLE}"))?;
            }
        }
        self.0.clear();
        Ok(())
    }

    /// Each rule has met a message: else the scenario did not do what it says.
    pub fn check(&self, lab: &Lab) -> Outcome {
        for rule in &self.0 {
            let listed = lab.on(
                rule.host,
                &[
                    "nft",
                    "list",
                    "counter",
                    "inet",
                    "mainmode-lab",
                    &rule.counter,
                ],
            )?;
            if listed.contains("packets 0 ") {
                return Err(format!("no {} came to {}", rule.kind, rule.host).into());
            }
        }
        Ok(())
    }
}

/// The host that the rule belongs on, and the rule for each port.
fn rule(initiator: &str, kind: &str) -> Outcome<(&'static str, [String; 2])> {
    let (to_initiator, to_responder) = match initiator {
        "us" => ("us", "peer"),
        _ => ("peer", "us"),
    };
    let main_mode = |clear: bool| {
        vec![
            ("exchange", "2"),
            ("encrypted", if clear { "0" } else { "1" }),
        ]
    };
    let (host, fields) = match kind {
        "message-1" => (
            to_responder,
            vec![("exchange", "2"), ("responder-cookie", "0")],
        ),
        "message-2" => (
            to_initiator,
            [main_mode(true), vec![("next-payload", "1")]].concat(),
        ),
        "message-3" => (
            to_responder,
            [main_mode(true), vec![("responder-cookie", "!= 0")]].concat(),
        ),
        "message-4" => (
            to_initiator,
            [main_mode(true), vec![("next-payload", "!= 1")]].concat(),
        ),
        "message-5" => (to_responder, main_mode(false)),
        "message-6" => (to_initiator, main_mode(false)),
        "fragments-from-us" => ("peer", vec![("next-payload", "132")]),
        "fragments-from-peer" => ("us", vec![("next-payload", "132")]),
        "informationals-from-us" => ("peer", vec![("exchange", "5")]),
        "informationals-from-peer" => ("us", vec![("exchange", "5")]),
        other => return Err(format!("\"{other}\" is no kind of message known here").into()),
    };
    let words = PLACES.map(|(port, start)| {
        let matches = fields.iter().map(|(field, value)| match *field {
            "responder-cookie" => format!("@th,{},64 {value}", start + 64),
            "next-payload" => format!("@th,{},8 {value}", start + 128),
            "exchange" => format!("@th,{},8 {value}", start + 144),
            // The lowest bit of the flags.
            _ => format!("@th,{},1 {value}", start + 159),
        });
        format!("udp dport {port} {}", matches.collect::<Vec<_>>().join(" "))
    });
    Ok((host, words))
}
