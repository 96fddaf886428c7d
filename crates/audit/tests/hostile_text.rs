//! What a peer sends as its name breaks no rendering, cannot pass for anything else, and can be
//! recovered from each.

use std::net::SocketAddr;

use audit::{
    AuthMethod, Cause, Event, Extra, FailurePoint, KeyMod, MainModeFailed, MmState, Role,
    StoredRecord, printable, recover,
};
use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::Event as Xml;
use serde_json::Value;

const HOSTILE: &[&str] = &[
    "",
    "-",
    "\0",
    "\u{1b}[2J\u{1b}]0;owned\u{7}",
    "gw\r\nEventID: 4650",
    "a\tb\u{b}c\u{c}d",
    "\u{202e}elpmaxe.wg\u{202c}\u{2066}x\u{2069}",
    "\u{85}\u{2028}\u{2029}",
    "\u{9b}31m\u{7f}",
    "\u{fffe}\u{ffff}\u{feff}\u{1fffe}",
    "\u{e0041}\u{200b}\u{ad}",
    "]]></Data><Data Name='Role'>%%8206</Data>",
    "<!-- x --><![CDATA[y]]>&lt;&amp;&#0;&bogus;",
    "\"','\"}{\\",
    "%%8222",
    "%1%2%15%%%n%",
    "$(reboot) `reboot` ; reboot | $IFS",
    "EXAMPLE\\user",
    "\\u{1b}",
    "\\u{5c}u{1b}",
    "\\\\u{",
    "C=CH, O=Gr\u{fc}n \u{1f512}, CN=\u{5d0}\u{5d1}",
];

fn record(name: &str) -> StoredRecord {
    let event = Event::MainModeFailed(MainModeFailed {
        local_name: Some("gw.example".to_owned()),
        remote_name: Some(name.to_owned()),
        local: "192.0.2.1:500".parse::<SocketAddr>().unwrap(),
        remote: "[2001:db8::7]:4500".parse().unwrap(),
        key_mod: KeyMod::IkeV1,
        point: FailurePoint::Local,
        cause: Cause::IdentityMismatch,
        auth: AuthMethod::PresharedKey,
        state: MmState::SentThird,
        role: Role::Responder,
        filter_id: 3,
        initiator_cookie: [1; 8],
        responder_cookie: [2; 8],
    });
    let extra = Extra {
        connection: Some("branch".to_owned()),
        detail: Some(format!("the peer says it is {name}")),
        ..Extra::default()
    };
    StoredRecord {
        record_id: 1,
        time: 0,
        computer: "host".to_owned(),
        process_id: 1,
        record: event.into_record(None, extra),
    }
}

/// The text of each `Data`, as any XML parser hands it on.
fn data_of(xml: &str) -> Vec<(String, String)> {
    let mut reader = Reader::from_str(xml);
    let mut data: Vec<(String, String)> = Vec::new();
    let mut inside = false;
    loop {
        match reader.read_event().expect("well-formed XML") {
            Xml::Start(tag) => {
                inside = tag.name().as_ref() == "Data";
                if inside {
                    let name = tag.attributes().next().unwrap().unwrap().value.to_string();
                    data.push((name, String::new()));
                }
            }
            Xml::End(_) => inside = false,
            Xml::Text(text) if inside => data.last_mut().unwrap().1.push_str(&text),
            Xml::GeneralRef(reference) if inside => {
                let c = match reference.resolve_char_ref().unwrap() {
                    Some(c) => c,
                    None => match &*reference {
                        "lt" => '<',
                        "gt" => '>',
                        "amp" => '&',
                        other => panic!("an entity that XML does not know: {other}"),
                    },
                };
                data.last_mut().unwrap().1.push(c);
            }
            Xml::CData(_) | Xml::Comment(_) => panic!("the value became markup"),
            Xml::Eof => return data,
            _ => {}
        }
    }
}

/// Whether a terminal shows the text as it stands, on one line.
fn harmless(text: &str) -> bool {
    !text.chars().any(|c| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    })
}

fn check(name: &str) {
    let record = record(name);

    let xml = record.xml();
    assert!(harmless(&xml), "{xml:?}");
    assert!(
        xml.chars()
            .all(|c| c >= ' ' && c != '\u{fffe}' && c != '\u{ffff}')
    );
    let data = data_of(&xml);
    assert_eq!(data.len(), 16);
    assert_eq!(data[1].0, "RemoteMMPrincipalName");
    assert_eq!(recover(&data[1].1), name);
    assert_eq!(data[11], ("Role".to_owned(), "%%8206".to_owned()));

    for raw in [false, true] {
        let line = record.json_line(raw);
        assert!(harmless(&line), "{line:?}");
        let parsed: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(parsed, record.json(raw));
        assert_eq!(parsed["EventData"]["RemoteMMPrincipalName"], name);
        assert_eq!(parsed["EventData"].as_object().unwrap().len(), 16);
        let compact = record.json(raw).to_string();
        assert_eq!(compact.lines().count(), 1);
        assert!(harmless(parsed["Extra"]["Advice"].as_str().unwrap()));
    }

    let message = record.message();
    let lines: Vec<&str> = message.split('\n').collect();
    assert_eq!(lines.len(), 25, "{message}");
    assert!(
        lines.iter().all(|line| harmless(&line.replace('\t', " "))),
        "{message}"
    );
    let shown = lines[8].strip_prefix("\tPrincipal Name:\t\t").unwrap();
    assert_eq!(recover(shown), name);

    let shown = printable(name);
    assert!(harmless(&shown), "{shown:?}");
    assert_eq!(recover(&shown), name);
}

#[test]
fn no_hostile_name_breaks_a_rendering_and_each_can_be_recovered() {
    for name in HOSTILE {
        check(name);
    }
}

#[test]
fn a_name_that_looks_like_a_parameter_is_shown_as_it_was_sent() {
    let record = record("%%8222");
    assert_eq!(
        record.json(false)["EventData"]["RemoteMMPrincipalName"],
        "%%8222"
    );
    assert!(record.message().contains("Principal Name:\t\t%%8222\n"));
}

#[test]
fn a_name_that_looks_like_an_insert_is_not_expanded_again() {
    let record = record("%1 and %16");
    assert!(record.message().contains("Principal Name:\t\t%1 and %16\n"));
}

#[test]
fn ordinary_names_are_shown_as_they_are() {
    for name in [
        "gw.example",
        "EXAMPLE\\user",
        "C=CH, O=Gr\u{fc}n, CN=gw",
        "2001:db8::1",
        "\u{5d0}",
    ] {
        assert_eq!(printable(name), name);
        assert!(record(name).xml().contains(&format!(">{name}</Data>")));
    }
}

#[test]
fn a_long_name_does_not_swell_the_advice() {
    let record = record(&"\u{1b}".repeat(60_000));
    let advice = record.record.extra.unwrap().advice.unwrap();
    assert!(advice.len() < 4_000, "{}", advice.len());
    assert!(advice.ends_with('…'));
}

proptest! {
    #[test]
    fn no_text_at_all_breaks_a_rendering(name in any::<String>()) {
        check(&name);
    }

    #[test]
    fn no_mixture_of_escapes_and_controls_breaks_a_rendering(
        name in "[\\\\ux{}0-9a-f<>&;%\\x00-\\x20\u{80}-\u{9f}\u{2028}\u{202e}\u{ffff}]{0,24}",
    ) {
        check(&name);
    }
}
