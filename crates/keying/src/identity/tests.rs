use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Identity {
    Identity::parse(text).expect(text)
}

#[test]
fn each_way_of_writing_gives_its_type_and_bytes() {
    let cases: &[(&str, IdType, &[u8])] = &[
        ("192.0.2.1", IdType::IPV4_ADDR, &[192, 0, 2, 1]),
        ("gw.example", IdType::FQDN, b"gw.example"),
        ("gw", IdType::FQDN, b"gw"),
        ("@gw.example", IdType::FQDN, b"gw.example"),
        ("@192.0.2.1", IdType::FQDN, b"192.0.2.1"),
        ("@ops@example", IdType::FQDN, b"ops@example"),
        ("ops@example", IdType::USER_FQDN, b"ops@example"),
        ("keyid:branch 7", IdType::KEY_ID, b"branch 7"),
        ("keyid:0x00ff", IdType::KEY_ID, &[0, 255]),
    ];
    for (text, kind, data) in cases {
        let identity = parse(text);
        assert_eq!(
            (identity.kind, identity.data.as_slice()),
            (*kind, *data),
            "{text}"
        );
    }
    let v6 = parse("2001:db8::1");
    assert_eq!(v6.kind, IdType::IPV6_ADDR);
    assert_eq!(v6.data.len(), 16);
    assert_eq!(v6.to_string(), "2001:db8::1");
}

/// The subject that `openssl req` writes for C=CH, O=Example, CN=gw with `string_mask = nombstr`.
const CH_EXAMPLE_GW: &str = "302c310b3009060355040613024348\
     3110300e060355040a13074578616d706c65310b300906035504031302\
     6777";

#[test]
fn a_distinguished_name_is_encoded_in_the_order_it_is_written() {
    let identity = parse("C=CH, O=Example, CN=gw");
    assert_eq!(identity.kind, IdType::DER_ASN1_DN);
    assert_eq!(hex(&identity.data), CH_EXAMPLE_GW);
    assert_eq!(identity.to_string(), "C=CH, O=Example, CN=gw");
    assert_eq!(parse("c=CH,o=Example;cn = gw"), identity);
}

#[test]
fn special_characters_of_a_distinguished_name_survive_the_round_trip() {
    for text in [
        r"O=Sm\, Jones\+Co, CN=a\\b",
        r"CN=\#1\ ",
        r"O=Zürich, CN=gw",
        r"CN=a\0Ab",
        r"OU=x+CN=y",
        "DC=example, DC=net, UID=7, E=ops@example",
        "1.2.3.4=#0c0161, CN=x",
    ] {
        let identity = parse(text);
        assert_eq!(
            parse(&identity.to_string()),
            identity,
            "{text} -> {identity}"
        );
    }
    assert_eq!(parse(r"CN=a\0Ab").to_string(), r"CN=a\0Ab");
}

#[test]
fn what_cannot_be_seen_in_a_distinguished_name_is_escaped() {
    assert_eq!(parse(r"CN=a\00b").to_string(), r"CN=a\00b");
    assert_eq!(parse("CN=a\u{202e}b").to_string(), r"CN=a\E2\80\AEb");
}

#[test]
fn string_types_and_case_do_not_tell_distinguished_names_apart_but_attributes_do() {
    let printable = parse("C=CH, CN=Gate Way");
    // The same with UTF8String (0c) for CN, as openssl writes certificates.
    let mut data = printable.data.clone();
    let at = data.len() - "Gate Way".len() - 2;
    assert_eq!(data[at], 0x13);
    data[at] = 0x0c;
    let utf8 = Identity::from_payload(9, &data).expect("a name");
    assert_ne!(printable, utf8);
    assert!(printable.matches(&utf8));
    assert!(printable.matches(&parse("C=CH, CN=gate  way")));
    assert!(!printable.matches(&parse("CN=Gate Way, C=CH")));
    assert!(!printable.matches(&parse("C=CH, CN=Gate Way, CN=x")));
    assert!(!printable.matches(&parse("C=CH, OU=Gate Way")));
    assert!(!parse(r"CN=gw\00.evil").matches(&parse("CN=gw")));
}

#[test]
fn names_match_without_regard_to_case_and_as_a_whole() {
    assert!(parse("gw.example").matches(&parse("GW.Example")));
    assert!(!parse("gw.example").matches(&parse("gw.example.net")));
    assert!(!parse("gw.example").matches(&parse("gw.exampl")));
    assert!(!parse("192.0.2.1").matches(&parse("@192.0.2.1")));
    assert!(!parse("keyid:a").matches(&parse("keyid:A")));
}

#[test]
fn no_kind_of_identity_reads_as_another() {
    for (kind, data) in [
        (2, &b"192.0.2.1"[..]),
        (2, b"2001:db8::1"),
        (2, b"ops@example"),
        (2, b"C=CH,CN=gw"),
        (2, b"keyid:6162"),
        (2, b"%any"),
        // How events say that there is none.
        (2, b"-"),
        (3, b"gw.example"),
        (3, b"a=b@c"),
        (3, b"@x@y"),
    ] {
        let identity = Identity::from_payload(kind, data).expect("taken");
        assert!(identity.to_string().starts_with('@'), "{identity}");
        assert_eq!(parse(&identity.to_string()), identity);
    }
}

#[test]
fn a_key_id_is_shown_in_hexadecimal() {
    assert_eq!(parse("keyid:ab").to_string(), "keyid:6162");
}

#[test]
fn malformed_identities_are_refused_with_the_reason() {
    use IdentityError as E;
    for (text, why) in [
        ("", E::Empty),
        ("@", E::Empty),
        ("keyid:", E::Empty),
        ("keyid:0x6", E::BadKeyId),
        ("keyid:0xzz", E::BadKeyId),
        ("@#6162", E::HashKeyId),
        ("192.0.2.300", E::NotAnAddress("192.0.2.300".into())),
        ("2001:db8::g", E::NotAnAddress("2001:db8::g".into())),
        ("10.0.0.0/8", E::Subnet("10.0.0.0/8".into())),
        ("*.example", E::Pattern("*.example".into())),
        ("%any", E::Pattern("%any".into())),
        ("gw example", E::BadCharacter("U+0020".into())),
        ("gw\u{202e}", E::BadCharacter("U+202E".into())),
        ("CN=", E::BadDn(DnError::NoValue("CN".into()))),
        ("CN=a, b", E::BadDn(DnError::NoEquals("b".into()))),
        ("XX=a", E::BadDn(DnError::UnknownType("XX".into()))),
        (r"CN=a\z", E::BadDn(DnError::BadEscape("CN".into()))),
        ("CN=#zz", E::BadDn(DnError::BadEscape("CN".into()))),
        ("C=Ü", E::BadDn(DnError::BadValue("C".into()))),
    ] {
        assert_eq!(Identity::parse(text), Err(why), "{text}");
    }
    assert_eq!(Identity::parse(&"a".repeat(2049)), Err(E::TooLong(2049)));
}

#[test]
fn malformed_payloads_are_refused() {
    use IdentityError as E;
    let wrong = |kind, len, expected| E::WrongLength {
        kind,
        len,
        expected,
    };
    for (kind, data, why) in [
        (1, &[1, 2, 3][..], wrong(1, 3, 4)),
        (5, &[0; 4], wrong(5, 4, 16)),
        (2, b"gw\0.evil", E::BadCharacter("U+0000".into())),
        (2, b"@gw", E::BadCharacter("\"@\" at its beginning".into())),
        (
            3,
            &[0xff, b'@'],
            E::BadCharacter("bytes that are not UTF-8".into()),
        ),
        (2, b"", E::Empty),
        (11, b"", E::Empty),
        (9, &[0x30, 0x00], E::BadDn(DnError::NotDer)),
        (9, &[0x30, 0x03, 1], E::BadDn(DnError::NotDer)),
        (9, b"CN=gw", E::BadDn(DnError::NotDer)),
        (4, &[10, 0, 0, 0, 255, 0, 0, 0], E::Unsupported(4)),
        (10, &[1], E::Unsupported(10)),
        (0, &[1], E::Unsupported(0)),
    ] {
        assert_eq!(
            Identity::from_payload(kind, data),
            Err(why),
            "{kind} {data:?}"
        );
    }
    let mut trailing = parse("CN=gw").data;
    trailing.push(0);
    assert_eq!(
        Identity::from_payload(9, &trailing),
        Err(E::BadDn(DnError::NotDer))
    );
}

#[test]
fn what_is_refused_can_still_be_described_safely() {
    assert_eq!(
        Identity::describe(4, &[10, 0, 0, 0, 255, 0, 0, 0]),
        "type 4: 0a000000ff000000"
    );
    assert_eq!(
        Identity::describe(2, b"gw\0.evil"),
        "type 2: 6777002e6576696c"
    );
    assert_eq!(Identity::describe(2, b"gw.example"), "gw.example");
}

proptest! {
    #[test]
    fn no_text_panics_and_what_is_read_is_shown_so_that_it_reads_back(text in "\\PC{0,40}|[CNO=, +\\\\#a0]{0,24}|.*") {
        if let Ok(identity) = Identity::parse(&text)
            && identity.kind != IdType::KEY_ID
        {
            prop_assert_eq!(Identity::parse(&identity.to_string()), Ok(identity));
        }
    }

    #[test]
    fn no_payload_panics_and_none_prints_a_control_character(kind in 0_u8..13, data in proptest::collection::vec(any::<u8>(), 0..80)) {
        let text = Identity::describe(kind, &data);
        prop_assert!(!text.chars().any(|c| c.is_control() || is_deceptive(c)), "{}", text);
    }

    #[test]
    fn changed_names_never_panic_and_never_print_a_control_character(at in 0_usize..46, to in any::<u8>()) {
        let mut data = parse("C=CH, O=Example, CN=gw").data;
        let last = data.len() - 1;
        data[at.min(last)] = to;
        let text = Identity::describe(9, &data);
        prop_assert!(!text.chars().any(|c| c.is_control() || is_deceptive(c)), "{}", text);
        if let Ok(identity) = Identity::from_payload(9, &data) {
            prop_assert!(identity.matches(&identity));
        }
    }
}
