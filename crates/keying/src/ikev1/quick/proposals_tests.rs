use super::*;

fn suite(text: &str) -> EspProposal {
    text.parse().expect("a proposal")
}

fn ours(texts: &[&str], mode: Mode, udp: bool) -> Offer {
    Offer {
        suites: texts.iter().map(|text| suite(text)).collect(),
        encapsulation: Encapsulation { mode, udp },
        spi: 0x1234_5678,
        lifetime: Duration::from_hours(24),
        kilobytes: Some(500_000),
    }
}

fn policy<'a>(suites: &'a [EspProposal], mode: Mode, group: Option<&str>) -> Policy<'a> {
    let group = group.map(|name| Group::from_name(name).expect("a group"));
    Policy {
        suites,
        mode,
        udp_possible: false,
        public_len: group.map(|group| group.row().public_len),
    }
}

#[test]
fn every_suite_is_offered_and_chosen_as_itself() {
    for text in [
        "aes256gcm16",
        "aes128gcm16-x25519",
        "aes256-sha256-modp2048",
        "3des-md5-modp1024",
        "null-sha256-ecp256",
        "aes128-sha256-esn",
        "aes128ccm12-x25519",
        "aes256ctr-aesxcbc",
        "camellia192-sha384",
        "blowfish192-sha384",
        "aes128gmac",
        "ah-sha256",
        "ah-sha384-modp3072",
    ] {
        for mode in [Mode::Tunnel, Mode::Transport] {
            let offer_of = ours(&[text], mode, false);
            let sa = offer(&offer_of);
            let suites = [suite("aes128-sha1"), suite(text)];
            let group = suite(text).group.map(|group| group.row().name);
            let (choice, answer) = choose(&policy(&suites, mode, group), &sa).expect(text);
            assert_eq!(choice.suite, suite(text));
            assert_eq!(choice.spi, 0x1234_5678);
            assert_eq!(choice.lifetime, Duration::from_hours(24));
            assert_eq!(choice.kilobytes, Some(500_000));
            assert_eq!(check_answer(&offer_of, &answer), Ok(choice));
        }
    }
}

#[test]
fn suites_of_one_protocol_are_one_proposal_and_the_preference_is_the_responders() {
    let offered = ours(
        &["aes128-sha1", "aes256-sha256", "ah-sha256", "aes128gcm16"],
        Mode::Tunnel,
        false,
    );
    let sa = offer(&offered);
    let shape: Vec<(u8, u8, usize)> = sa
        .proposals
        .iter()
        .map(|p| (p.number, p.protocol.0, p.transforms.len()))
        .collect();
    assert_eq!(shape, [(1, 3, 2), (2, 2, 1), (3, 3, 1)]);
    let suites = [suite("aes128gcm16"), suite("aes128-sha1")];
    let (choice, answer) = choose(&policy(&suites, Mode::Tunnel, None), &sa).unwrap();
    assert_eq!(choice.suite, suites[0]);
    // As it was offered.
    assert_eq!(answer.proposals[0].number, 3);
    assert_eq!(
        answer.proposals[0].transforms[0],
        sa.proposals[2].transforms[0]
    );
}

#[test]
fn what_stands_in_the_way_is_named() {
    let cause = |offered: &Offer, policy: &Policy<'_>| choose(policy, &offer(offered)).unwrap_err();
    let suites = [suite("aes256-sha256-modp2048")];
    let here = policy(&suites, Mode::Tunnel, Some("modp2048"));
    let other = cause(&ours(&["aes128-sha1-modp2048"], Mode::Tunnel, false), &here);
    assert_eq!(other.cause, Cause::EspNotAcceptable);
    let detail = other.detail.unwrap();
    assert!(
        detail.contains("aes128-sha1-modp2048 in tunnel mode"),
        "{detail}"
    );
    assert!(
        detail.contains("here there is aes256-sha256-modp2048"),
        "{detail}"
    );
    let group = ours(&["aes256-sha256-ecp256"], Mode::Tunnel, false);
    let with_ecp = policy(&suites, Mode::Tunnel, Some("ecp256"));
    assert_eq!(cause(&group, &with_ecp).cause, Cause::PfsRefused);
    let none = ours(&["aes256-sha256"], Mode::Tunnel, false);
    let without = policy(&suites, Mode::Tunnel, None);
    assert_eq!(cause(&none, &without).cause, Cause::PfsRefused);
    let mode = ours(&["aes256-sha256-modp2048"], Mode::Transport, false);
    assert_eq!(cause(&mode, &here).cause, Cause::ModeRefused);
    // A group without its public value, and one of another length.
    for group in [None, Some("x25519")] {
        let here = policy(&suites, Mode::Tunnel, group);
        let offered = ours(&["aes256-sha256-modp2048"], Mode::Tunnel, false);
        assert_eq!(cause(&offered, &here).cause, Cause::EspNotAcceptable);
    }
}

#[test]
fn udp_is_taken_where_ike_runs_on_its_port_in_both_numberings() {
    let suites = [suite("aes128gcm16")];
    let mut here = policy(&suites, Mode::Transport, None);
    let mut sa = offer(&ours(&["aes128gcm16"], Mode::Transport, true));
    assert!(choose(&here, &sa).is_err());
    here.udp_possible = true;
    assert!(choose(&here, &sa).unwrap().0.encapsulation.udp);
    for attribute in &mut sa.proposals[0].transforms[0].attributes {
        if attribute.class == ipsec::ENCAPSULATION_MODE {
            *attribute = Attribute::short(attribute.class, ipsec::UDP_TRANSPORT_DRAFT);
        }
    }
    assert!(choose(&here, &sa).unwrap().0.encapsulation.udp);
}

#[test]
fn proposals_that_are_wanted_together_reserved_spis_and_repeated_attributes_are_not_chosen() {
    let suites = [suite("aes128gcm16"), suite("ah-sha256")];
    let here = policy(&suites, Mode::Tunnel, None);
    let good = offer(&ours(&["aes128gcm16", "ah-sha256"], Mode::Tunnel, false));
    assert!(choose(&here, &good).is_ok());
    let mut together = good.clone();
    together.proposals[1].number = 1;
    assert!(choose(&here, &together).is_err());
    for bad in [
        vec![],
        vec![1, 2, 3],
        vec![0, 0, 0, 255],
        vec![0; 4],
        vec![1; 5],
    ] {
        let mut sa = good.clone();
        sa.proposals.truncate(1);
        sa.proposals[0].spi = bad;
        assert!(choose(&here, &sa).is_err());
    }
    let attributes = good.proposals[0].transforms[0].attributes.clone();
    for extra in attributes {
        let mut sa = good.clone();
        sa.proposals.truncate(1);
        sa.proposals[0].transforms[0].attributes.push(extra);
        assert!(choose(&here, &sa).is_err());
    }
    for extra in [
        Attribute::short(ipsec::KEY_ROUNDS, 8),
        Attribute::short(77, 1),
    ] {
        let mut sa = good.clone();
        sa.proposals.truncate(1);
        sa.proposals[0].transforms[0].attributes.push(extra);
        assert!(choose(&here, &sa).is_err());
    }
}

#[test]
fn an_answer_that_was_not_offered_is_none() {
    let offered = ours(&["aes256gcm16", "aes128-sha256"], Mode::Tunnel, false);
    let answer = |texts: &[&str], mode, udp| {
        check_answer(&offered, &offer(&ours(texts, mode, udp))).map(|choice| choice.suite)
    };
    assert_eq!(
        answer(&["aes128-sha256"], Mode::Tunnel, false),
        Ok(suite("aes128-sha256"))
    );
    for wrong in [
        answer(&["aes128-sha1"], Mode::Tunnel, false),
        answer(&["aes128-sha256-modp2048"], Mode::Tunnel, false),
        answer(&["aes128-sha256-esn"], Mode::Tunnel, false),
        answer(&["aes256gcm16"], Mode::Transport, false),
        answer(&["aes256gcm16"], Mode::Tunnel, true),
        answer(&["aes256gcm16", "aes128-sha256"], Mode::Tunnel, false),
        answer(&["aes256gcm16", "ah-sha256"], Mode::Tunnel, false),
    ] {
        assert_eq!(wrong.unwrap_err().cause, Cause::ProposalAltered);
    }
}

#[test]
fn one_quick_mode_offers_suites_of_one_group() {
    let list = [
        "aes128gcm16-ecp256",
        "aes256gcm16-ecp384",
        "aes256gcm16",
        "aes128-sha1-ecp384",
    ];
    let all: Vec<EspProposal> = list.iter().map(|text| suite(text)).collect();
    let with = |name: &str| {
        let group = Group::from_name(name).unwrap();
        let texts: Vec<String> = offerable(&all, group)
            .iter()
            .map(ToString::to_string)
            .collect();
        texts.join(" ")
    };
    assert_eq!(with("ecp384"), "aes256gcm16-ecp384 aes128-sha1-ecp384");
    assert_eq!(with("modp2048"), "aes128gcm16-ecp256");
    let no_pfs_first = [suite("aes256gcm16"), suite("aes128gcm16-ecp256")];
    for group in [Group::X25519, Group::Ecp256] {
        assert_eq!(offerable(&no_pfs_first, group), [suite("aes256gcm16")]);
    }
}
