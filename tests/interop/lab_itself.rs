//! The lab, tried with strongSwan at both ends: what it shows of mainmode is worth as much as it is true.

use crate::Outcome;
use crate::charon::Charon;
use crate::counting::Rules;
use crate::home;
use crate::lab::{Lab, Topology};
use crate::peer::{self, Peer};
use crate::process::until;
use crate::stranger::Stranger;
use crate::vars::Vars;
use std::path::Path;

/// The trials' names and bodies.
pub const TRIALS: crate::OwnTrials = &[
    ("two_charons_meet_on_a_cable", || {
        meets("plain", "kernel", "500")
    }),
    ("charon_in_user_space_pretends_a_nat", || {
        meets("plain", "user", "4500")
    }),
    ("two_charons_meet_through_a_nat", || {
        meets("nat-peer", "kernel", "4500")
    }),
    ("a_lost_message_is_lost_and_counted", || loses("kernel")),
    (
        "a_lost_message_is_lost_behind_the_non_esp_marker_too",
        || loses("user"),
    ),
    ("a_rule_that_meets_nothing_is_told", meets_nothing),
    ("every_other_message_is_lost", loses_every_other),
    ("a_stranger_refuses", refuses),
    ("charon_and_pluto_meet", meets_pluto),
];

fn charon_on(lab: &Lab, host: &str, vars: &Vars, folder: &Path) -> Outcome<Charon> {
    let folder = folder.join(host);
    std::fs::create_dir(&folder)?;
    let mut vars = vars.clone();
    vars.set("dir", folder.to_string_lossy());
    if host == "us" {
        // The common configuration is the peer's: here it is turned round.
        let peers = vars.clone();
        for (name, from) in [
            ("peer", "us"),
            ("us-seen", "peer-seen"),
            ("peer-id", "us-id"),
            ("us-id-at-peer", "peer-id"),
        ] {
            vars.set(name, peers.get(from));
        }
    }
    for name in ["swanctl.conf", "strongswan.conf"] {
        let text = std::fs::read_to_string(home().join("common").join(name))?;
        std::fs::write(folder.join(name), vars.fill(&text)?)?;
    }
    Charon::start(lab, host, &folder)
}

fn lab(name: &str, set: &[(&str, &str)]) -> Outcome<(Lab, Vars, tempfile::TempDir)> {
    let vars = Vars::new(set.iter().map(|(k, v)| ((*k).into(), (*v).into())))?;
    let lab = Lab::new(name, Topology::from_name(vars.get("topology"))?)?;
    Ok((lab, vars, tempfile::tempdir()?))
}

fn meets(topology: &str, mode: &str, port: &str) -> Outcome {
    let (lab, vars, folder) = lab(
        &format!("lab-{topology}-{mode}"),
        &[("topology", topology), ("charon", mode)],
    )?;
    let us = charon_on(&lab, "us", &vars, folder.path())?;
    let peer = charon_on(&lab, "peer", &vars, folder.path())?;
    // Behind the NAT is who has to begin.
    assert!(peer.initiate("us", 10)?, "{}", peer.log());
    let sas = us.sas()?;
    assert!(
        sas.contains(&format!("@ {}[{port}]", vars.get("peer-seen"))),
        "{sas}"
    );
    assert_eq!((us.established()?, peer.established()?), (1, 1));
    peer.terminate("us")?;
    assert_eq!((us.established()?, peer.established()?), (0, 0));
    Ok(())
}

fn meets_pluto() -> Outcome {
    let suite = ("pluto-suite", "aes256-sha2_256;modp2048");
    let (lab, mut vars, folder) = lab("lab-pluto", &[suite])?;
    let us = charon_on(&lab, "us", &vars, folder.path())?;
    let there = folder.path().join("peer");
    std::fs::create_dir(&there)?;
    vars.set("dir", there.to_string_lossy());
    for name in peer::files("libreswan")?.into_iter().flatten() {
        let text = std::fs::read_to_string(home().join("common").join(name))?;
        std::fs::write(there.join(name), vars.fill(&text)?)?;
    }
    let pluto = Peer::start("libreswan", &lab, "peer", &there)?;
    assert!(us.initiate("us", 10)?, "{}", us.log());
    assert_eq!((us.established()?, pluto.established()?), (1, 1));
    us.terminate("us")?;
    assert_eq!((us.established()?, pluto.established()?), (0, 0));
    assert!(pluto.initiate("us", 10)?, "{}", us.log());
    assert_eq!(us.established()?, 1);
    pluto.terminate("us")?;
    until(5, "the end at charon", || {
        Ok((us.established()? == 0).then_some(()))
    })
}

fn loses(mode: &str) -> Outcome {
    for kind in [
        "message-1",
        "message-2",
        "message-3",
        "message-4",
        "message-5",
        "message-6",
    ] {
        let (lab, vars, folder) = lab(&format!("lab-loses-{kind}-{mode}"), &[("charon", mode)])?;
        let mut rules = Rules::default();
        let us = charon_on(&lab, "us", &vars, folder.path())?;
        let peer = charon_on(&lab, "peer", &vars, folder.path())?;
        rules.drop(&lab, "us", kind)?;
        assert!(!us.initiate("us", 1)?, "{kind} was not lost: {}", us.log());
        // While the rule stands: the initiator has not given up yet.
        rules.check(&lab)?;
        assert_eq!(
            peer.established()?,
            usize::from(kind == "message-6"),
            "{kind}: {}",
            peer.log()
        );
    }
    Ok(())
}

fn loses_every_other() -> Outcome {
    let (lab, vars, folder) = lab("lab-every-other", &[])?;
    let mut rules = Rules::default();
    let us = charon_on(&lab, "us", &vars, folder.path())?;
    let peer = charon_on(&lab, "peer", &vars, folder.path())?;
    rules.drop_every_other(&lab, "us", "message-5")?;
    assert!(us.initiate("us", 3)?, "{}", us.log());
    rules.check(&lab)?;
    assert!(
        us.log().contains("sending retransmit 1 of request"),
        "{}",
        us.log()
    );
    assert_eq!(peer.established()?, 1);
    Ok(())
}

fn meets_nothing() -> Outcome {
    let (lab, _, _) = lab("lab-meets-nothing", &[])?;
    let mut rules = Rules::default();
    rules.watch(&lab, "us", "fragments-from-peer")?;
    assert!(rules.check(&lab).is_err());
    Ok(())
}

fn refuses() -> Outcome {
    const INVALID_ID_INFORMATION: u16 = 18;
    let (lab, vars, folder) = lab("lab-stranger", &[])?;
    let us = charon_on(&lab, "us", &vars, folder.path())?;
    let _stranger = Stranger::start(&lab, "peer", vars.get("peer"), INVALID_ID_INFORMATION)?;
    assert!(!us.initiate("us", 3)?);
    assert!(
        us.log()
            .contains("received INVALID_ID_INFORMATION error notify"),
        "{}",
        us.log()
    );
    Ok(())
}
