use super::*;

fn suite(text: &str) -> EspProposal {
    text.parse().expect("a proposal")
}

fn ours(texts: &[&str], mode: Mode, udp: bool) -> Offer {
    Offer {
        suites: texts.iter().map(|text| suite(text)).collect(),
        encapsulation: Encapsulation { mode, udp },
        spi: 0x1234_5678,
        cpi: None,
        lifetime: Duration::from_hours(24),
        kilobytes: Some(500_000),
    }
}

fn policy<'a>(suites: &'a [EspProposal], mode: Mode, group: Option<&str>) -> Policy<'a> {
    let group = group.map(|name| Group::from_name(name).expect("a group"));
    Policy {
        suites,
        mode,
        compress: false,
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
        assert_eq!(cause(&offered, &here).cause, Cause::EspMalformed);
    }
    let detail = |offered: &Offer, group| {
        let here = policy(&suites, Mode::Tunnel, group);
        cause(offered, &here).detail.unwrap()
    };
    let with = ours(&["aes256-sha256-modp2048"], Mode::Tunnel, false);
    assert!(detail(&with, None).contains("with a group and no public value"));
    assert!(detail(&none, Some("x25519")).contains("with a public value and no group"));
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
    let malformed = |sa: &SecurityAssociation, why: &str| {
        let failure = choose(&here, sa).unwrap_err();
        assert_eq!(failure.cause, Cause::EspMalformed);
        assert!(failure.detail.unwrap().contains(why));
    };
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
        malformed(&sa, "with an SPI that none may have");
    }
    let attributes = good.proposals[0].transforms[0].attributes.clone();
    for extra in attributes {
        let mut sa = good.clone();
        sa.proposals.truncate(1);
        sa.proposals[0].transforms[0].attributes.push(extra);
        malformed(
            &sa,
            "with an attribute that is unknown, twice there or no number",
        );
    }
    for extra in [
        Attribute::short(ipsec::KEY_ROUNDS, 8),
        Attribute::short(77, 1),
    ] {
        let mut sa = good.clone();
        sa.proposals.truncate(1);
        sa.proposals[0].transforms[0].attributes.push(extra);
        malformed(
            &sa,
            "with an attribute that is unknown, twice there or no number",
        );
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

/// What is offered with IPComp.
fn compressed(texts: &[&str], mode: Mode) -> Offer {
    Offer {
        cpi: Some(0x1234),
        ..ours(texts, mode, false)
    }
}

/// Number, protocol and SPI of each proposal.
fn shape(sa: &SecurityAssociation) -> Vec<(u8, u8, Vec<u8>)> {
    let of = |p: &Proposal| (p.number, p.protocol.0, p.spi.clone());
    sa.proposals.iter().map(of).collect()
}

#[test]
fn with_ipcomp_each_proposal_is_offered_in_a_bundle_and_then_alone() {
    let offered = compressed(&["aes128gcm16-x25519", "ah-sha256-x25519"], Mode::Tunnel);
    let sa = offer(&offered);
    let (spi, cpi) = (vec![0x12, 0x34, 0x56, 0x78], vec![0x12, 0x34]);
    assert_eq!(
        shape(&sa),
        [
            (1, 3, spi.clone()),
            (1, 4, cpi.clone()),
            (2, 3, spi.clone()),
            (3, 2, spi.clone()),
            (3, 4, cpi),
            (4, 2, spi),
        ]
    );
    let ipcomp = &sa.proposals[1].transforms;
    assert_eq!(ipcomp.len(), 1);
    assert_eq!((ipcomp[0].number, ipcomp[0].id), (1, 2));
    let value = |class| ipcomp[0].attribute(class).and_then(Attribute::number);
    assert_eq!(value(ipsec::ENCAPSULATION_MODE), Some(1));
    assert_eq!(value(ipsec::GROUP), Some(31));
    let plain = Offer {
        cpi: None,
        ..offered
    };
    let alone: Vec<&Proposal> = sa.proposals.iter().filter(|p| p.number % 2 == 0).collect();
    for (one, other) in alone.iter().zip(&offer(&plain).proposals) {
        assert_eq!(one.transforms, other.transforms);
    }
}

#[test]
fn ipcomp_is_taken_where_it_is_wanted_and_left_where_it_is_not() {
    for (text, group) in [("aes128gcm16-x25519", Some("x25519")), ("ah-sha256", None)] {
        for mode in [Mode::Tunnel, Mode::Transport] {
            let offered = compressed(&[text], mode);
            let sa = offer(&offered);
            let suites = [suite(text)];
            let mut here = policy(&suites, mode, group);
            let (choice, answer) = choose(&here, &sa).unwrap();
            assert_eq!(choice.cpi, None);
            assert_eq!(answer.proposals, sa.proposals[2..]);
            assert_eq!(check_answer(&offered, &answer), Ok(choice));
            here.compress = true;
            let (choice, answer) = choose(&here, &sa).unwrap();
            assert_eq!(choice.cpi, Some(0x1234));
            assert_eq!(answer.proposals, sa.proposals[..2]);
            assert_eq!(check_answer(&offered, &answer), Ok(choice));
            // A peer that offers none.
            let (choice, _) = choose(&here, &offer(&ours(&[text], mode, false))).unwrap();
            assert_eq!(choice.cpi, None);
        }
    }
}

#[test]
fn algorithms_come_before_ipcomp() {
    let mut sa = offer(&compressed(&["aes128-sha256"], Mode::Tunnel));
    let strong = offer(&ours(&["aes256gcm16"], Mode::Tunnel, false));
    sa.proposals.extend(strong.proposals);
    sa.proposals[3].number = 3;
    let suites = [suite("aes256gcm16"), suite("aes128-sha256")];
    let mut here = policy(&suites, Mode::Tunnel, None);
    here.compress = true;
    assert_eq!(choose(&here, &sa).unwrap().0.suite, suites[0]);
}

#[test]
fn a_bundle_alone_is_named_to_who_wants_none() {
    let mut sa = offer(&compressed(&["aes128gcm16"], Mode::Tunnel));
    sa.proposals.truncate(2);
    let suites = [suite("aes128gcm16")];
    let mut here = policy(&suites, Mode::Tunnel, None);
    let failure = choose(&here, &sa).unwrap_err();
    assert_eq!(failure.cause, Cause::EspNotAcceptable);
    let detail = failure.detail.unwrap();
    assert!(
        detail.contains("offers aes128gcm16 in tunnel mode with IPComp; here"),
        "{detail}"
    );
    here.compress = true;
    assert!(choose(&here, &sa).is_ok());
}

#[test]
fn of_ipcomp_only_deflate_in_the_same_mode_with_a_negotiable_cpi_is_taken() {
    let suites = [suite("aes128gcm16-x25519")];
    let mut here = policy(&suites, Mode::Tunnel, Some("x25519"));
    here.compress = true;
    let good = offer(&compressed(&["aes128gcm16-x25519"], Mode::Tunnel));
    let cpi = |change: &dyn Fn(&mut Proposal)| {
        let mut sa = good.clone();
        change(&mut sa.proposals[1]);
        choose(&here, &sa).unwrap().0.cpi
    };
    let set = |p: &mut Proposal, class, value| {
        let list = &mut p.transforms[0].attributes;
        list.retain(|attribute| attribute.class != class);
        list.extend(value);
    };
    assert_eq!(cpi(&|p| p.spi = vec![0, 0, 0x43, 0x21]), Some(0x4321));
    assert_eq!(cpi(&|p| set(p, ipsec::GROUP, None)), Some(0x1234));
    // LZS first, DEFLATE behind it.
    let second = |p: &mut Proposal| {
        let mut other = p.transforms[0].clone();
        other.id = 3;
        p.transforms.insert(0, other);
    };
    assert_eq!(cpi(&second), Some(0x1234));
    assert_eq!(cpi(&|p| p.transforms[0].id = 3), None);
    for spi in [vec![], vec![1], vec![0, 2], vec![0, 255], vec![0, 0, 0, 2]] {
        assert_eq!(cpi(&|p| p.spi.clone_from(&spi)), None, "{spi:?}");
    }
    for (class, value) in [
        (ipsec::ENCAPSULATION_MODE, None),
        (ipsec::ENCAPSULATION_MODE, Some(ipsec::TRANSPORT)),
        (ipsec::GROUP, Some(19)),
        (ipsec::KEY_LENGTH, Some(128)),
        (ipsec::COMPRESSION_DICTIONARY_SIZE, Some(9)),
        (ipsec::COMPRESSION_PRIVATE_ALGORITHM, Some(1)),
    ] {
        let value = value.map(|value| Attribute::short(class, value));
        assert_eq!(cpi(&|p| set(p, class, value.clone())), None, "{value:?}");
    }
}

#[test]
fn the_lesser_lifetime_of_a_bundle_counts() {
    let suites = [suite("aes128gcm16")];
    let mut here = policy(&suites, Mode::Tunnel, None);
    here.compress = true;
    let mut sa = offer(&compressed(&["aes128gcm16"], Mode::Tunnel));
    let list = &mut sa.proposals[1].transforms[0].attributes;
    list.retain(|a| ![ipsec::LIFE_TYPE, ipsec::LIFE_DURATION].contains(&a.class));
    let before = choose(&here, &sa).unwrap().0;
    assert_eq!(before.lifetime, Duration::from_hours(24));
    let list = &mut sa.proposals[1].transforms[0].attributes;
    list.extend(life(ipsec::LIFE_SECONDS, 60));
    list.extend(life(ipsec::LIFE_KILOBYTES, 70));
    let after = choose(&here, &sa).unwrap().0;
    assert_eq!(after.lifetime, Duration::from_mins(1));
    assert_eq!(after.kilobytes, Some(70));
}

#[test]
fn an_answer_may_repeat_alone_what_it_chose_in_a_bundle_and_nothing_else() {
    let offered = compressed(&["aes128gcm16", "aes256gcm16"], Mode::Tunnel);
    let sa = |texts: &[&str]| offer(&compressed(texts, Mode::Tunnel));
    // strongSwan's.
    let good = sa(&["aes128gcm16"]);
    assert_eq!(
        check_answer(&offered, &good).map(|c| c.cpi),
        Ok(Some(0x1234))
    );
    let bundle = |sa: &SecurityAssociation| SecurityAssociation::new(sa.proposals[..2].to_vec());
    assert_eq!(
        check_answer(&offered, &bundle(&good)).map(|c| c.cpi),
        Ok(Some(0x1234))
    );
    let with = |change: &dyn Fn(&mut Vec<Proposal>)| {
        let mut sa = good.clone();
        change(&mut sa.proposals);
        check_answer(&offered, &sa).map(|choice| choice.cpi)
    };
    let other = sa(&["aes256gcm16"]).proposals;
    for wrong in [
        with(&|all| all[2].transforms.clone_from(&other[2].transforms)),
        with(&|all| all[2].spi = vec![1, 2, 3, 4]),
        with(&|all| all[1].spi = vec![0, 2]),
        with(&|all| all[1].transforms[0].id = 3),
        with(&|all| {
            let again = all[1].transforms[0].clone();
            all[1].transforms.push(again);
        }),
        with(&|all| drop(all.remove(0))),
        with(&|all| drop(all.drain(..1))),
        with(&|all| drop(all.drain(1..2))),
        with(&|all| all.extend(other.iter().cloned())),
        with(&|all| all.truncate(0)),
        // Two alike without IPComp.
        with(&|all| {
            all.remove(1);
            all[0].number = 7;
        }),
        // Bundles that we did not offer.
        check_answer(&ours(&["aes128gcm16"], Mode::Tunnel, false), &bundle(&good)).map(|c| c.cpi),
    ] {
        assert_eq!(wrong.unwrap_err().cause, Cause::ProposalAltered);
    }
}
