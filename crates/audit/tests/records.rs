//! From events to records, and from records to JSON and XML.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use audit::{
    ActivityId, AuthMethod, Cause, DropReason, EVENTS, Event, Extra, FailurePoint, InvalidPacket,
    IpsecSaDeleted, KeyMod, MainModeEnded, MainModeEstablished, MainModeFailed, MmCertificate,
    MmState, Mode, NotifyErr, Outcome, PacketDropped, QmState, QuickModeEnded,
    QuickModeEstablished, QuickModeFailed, Record, Role, Setting, StoredRecord, Subcategory,
    Subject, TrafficEnd, spec,
};
use serde_json::{Value, json};

fn established() -> MainModeEstablished {
    MainModeEstablished {
        local_name: Some("gw.example".to_owned()),
        remote_name: Some("branch.example".to_owned()),
        local: "192.0.2.1:4500".parse::<SocketAddr>().unwrap(),
        remote: "[2001:db8::7]:4500".parse().unwrap(),
        key_mod: KeyMod::IkeV1,
        auth: AuthMethod::PresharedKey,
        cipher: "%%8237",
        integrity: "SHA 512",
        group: "DH group 15",
        lifetime: Duration::from_secs(28_801),
        qm_limit: 0,
        role: Role::Responder,
        filter_id: 2,
        mmsa_id: 77,
    }
}

fn failed() -> MainModeFailed {
    MainModeFailed {
        local_name: None,
        remote_name: None,
        local: "192.0.2.1:500".parse::<SocketAddr>().unwrap(),
        remote: "198.51.100.7:500".parse().unwrap(),
        key_mod: KeyMod::IkeV1,
        point: FailurePoint::Remote,
        cause: Cause::NoProposalChosen,
        auth: AuthMethod::Unknown,
        state: MmState::SentFirst,
        role: Role::Initiator,
        filter_id: 1,
        initiator_cookie: [0, 1, 2, 3, 4, 5, 0xfe, 0xff],
        responder_cookie: [0; 8],
    }
}

fn tunnel() -> Mode {
    Mode::Tunnel {
        local: "192.0.2.1".parse().unwrap(),
        remote: "198.51.100.7".parse().unwrap(),
    }
}

/// 10.1.0.0/16, and TCP port 22 of one host.
fn traffic() -> [TrafficEnd; 2] {
    [
        TrafficEnd::new(
            "10.1.0.0".parse().unwrap(),
            "10.1.255.255".parse().unwrap(),
            0,
        ),
        TrafficEnd::host("10.2.0.10".parse().unwrap(), 22),
    ]
}

fn quick_mode_established() -> QuickModeEstablished {
    let [local, remote] = traffic();
    QuickModeEstablished {
        local,
        remote,
        peer_private: Some("10.0.0.9".parse().unwrap()),
        protocol: 6,
        key_mod: KeyMod::IkeV1,
        ah_auth: "%%8229",
        esp_auth: "%%8242",
        cipher: "%%8237",
        lifetime: Duration::from_mins(90),
        lifetime_kilobytes: Some(500_000),
        lifetime_packets: None,
        mode: tunnel(),
        role: Role::Initiator,
        filter_id: 3,
        mmsa_id: 77,
        qmsa_id: 105,
        inbound_spi: 0xc000_0001,
        outbound_spi: 0xc0ff_ee01,
    }
}

fn quick_mode_failed() -> QuickModeFailed {
    let [local, remote] = traffic();
    QuickModeFailed {
        local,
        remote,
        protocol: 0,
        peer_private: None,
        key_mod: KeyMod::IkeV1,
        point: FailurePoint::Remote,
        cause: Cause::SelectorsRefusedByPeer,
        mode: tunnel(),
        ends: ["192.0.2.1", "198.51.100.7"].map(|end| end.parse().unwrap()),
        state: QmState::SentFirst,
        role: Role::Initiator,
        message_id: 2_638_887_156,
        filter_id: 3,
        mmsa_id: 77,
    }
}

fn certificate(thumbprint: &str, issuing_ca: &str, root_ca: &str) -> MmCertificate {
    MmCertificate {
        thumbprint: Some(thumbprint.to_owned()),
        issuing_ca: Some(issuing_ca.to_owned()),
        root_ca: Some(root_ca.to_owned()),
    }
}

fn every_event() -> Vec<Event> {
    let local = "192.0.2.1".parse().unwrap();
    let remote = "198.51.100.7".parse().unwrap();
    let subject = Subject::unix(0, "root", "gw", None);
    let key_mod = KeyMod::IkeV1;
    let dropped = [
        DropReason::Integrity,
        DropReason::Replay,
        DropReason::TooOld,
        DropReason::ClearText,
        DropReason::UnknownSpi,
    ]
    .map(|why| {
        Event::PacketDropped(PacketDropped {
            why,
            remote,
            spi: 0x1234_5678,
        })
    });
    let mut all = dropped.to_vec();
    all.extend([
        Event::DosPrevention { started: true },
        Event::DosPrevention { started: false },
        Event::MainModeEstablished(established()),
        Event::MainModeEstablishedByCertificate {
            event: Box::new(established()),
            local: certificate("aa", "O=Ours, CN=sub", "O=Ours, CN=root"),
            remote: certificate("bb", "O=Theirs, CN=sub", "O=Theirs, CN=root"),
        },
        Event::MainModeFailed(failed()),
        Event::MainModeFailedByCertificate {
            event: Box::new(failed()),
            local: certificate("aa", "O=Ours, CN=sub", "O=Ours, CN=root"),
            remote: MmCertificate::default(),
        },
        Event::MainModeEnded(MainModeEnded {
            local,
            remote,
            key_mod,
            mmsa_id: 77,
        }),
        Event::InvalidPacket(InvalidPacket {
            local,
            remote,
            key_mod,
        }),
        Event::QuickModeEstablished(quick_mode_established()),
        Event::QuickModeFailed(quick_mode_failed()),
        Event::QuickModeEnded(QuickModeEnded {
            local: traffic()[0],
            remote: traffic()[1],
            mode: tunnel(),
            protocol: 6,
            qmsa_id: 105,
        }),
        Event::InvalidQuickMode(InvalidPacket {
            local,
            remote,
            key_mod,
        }),
        Event::IpsecSaDeleted(IpsecSaDeleted {
            qmsa_id: 105,
            child: "lan".to_owned(),
        }),
        Event::ServicesStarted,
        Event::ServicesStopped,
        Event::KeyingServiceAbsent,
        Event::PolicyChanged {
            subject: subject.clone(),
            subcategory: Subcategory::IpsecDriver,
            old: None,
            new: Some(Setting::BOTH),
        },
        Event::AuditsDiscarded(12),
        Event::LogShutdown,
        Event::LogCleared { subject },
        Event::LogFull,
        Event::LogArchived {
            path: PathBuf::from("/var/lib/mainmode/log/archive-1.db"),
        },
    ]);
    all
}

fn stored(record: Record) -> StoredRecord {
    StoredRecord {
        record_id: 1,
        // 2026-11-23T09:00:00.123456789Z
        time: 1_795_424_400_123_456_789,
        computer: "host".to_owned(),
        process_id: 42,
        record,
    }
}

#[test]
fn every_event_has_a_value_for_each_field_of_the_manifest() {
    for event in every_event() {
        let id = event.id();
        let record = event.into_record(None, Extra::default());
        assert_eq!(record.event_id, id);
        assert_eq!(
            record.values.len(),
            spec(id).unwrap().fields().len(),
            "{id}"
        );
        assert_eq!(record.outcome(), spec(id).unwrap().outcome, "{id}");
    }
}

#[test]
fn every_event_that_this_version_raises_can_be_made() {
    let made: Vec<u16> = every_event().iter().map(Event::id).collect();
    for event in EVENTS.iter().filter(|e| e.raised_yet) {
        assert!(made.contains(&event.id), "{}", event.id);
    }
}

#[test]
fn a_5451_holds_its_values_in_order() {
    let record =
        Event::QuickModeEstablished(quick_mode_established()).into_record(None, Extra::default());
    assert_eq!(
        record.values,
        [
            "10.1.0.0",
            "255.255.0.0",
            "0",
            "192.0.2.1",
            "10.2.0.10",
            "255.255.255.255",
            "22",
            "10.0.0.9",
            "198.51.100.7",
            "6",
            "%%8222",
            "%%8229",
            "%%8242",
            "%%8237",
            "5400",
            "500000",
            "0",
            "%%8213",
            "%%8205",
            "3",
            "77",
            "105",
            "3221225473",
            "3237998081",
            "0",
            "0",
        ]
    );
    for (field, value) in [
        ("RemoteTunnelEndpoint", "198.51.100.7"),
        ("CipherType", "%%8237"),
        ("MainModeSaId", "77"),
        ("QuickModeSaId", "105"),
        ("InboundSpi", "3221225473"),
    ] {
        assert_eq!(record.value(field), Some(value), "{field}");
    }
}

#[test]
fn a_4654_holds_its_values_in_order_and_says_why() {
    let record = Event::QuickModeFailed(quick_mode_failed()).into_record(None, Extra::default());
    assert_eq!(
        record.values,
        [
            "10.1.0.0",
            "255.255.0.0",
            "0",
            "192.0.2.1",
            "10.2.0.10",
            "255.255.255.255",
            "22",
            "198.51.100.7",
            "0",
            "-",
            "%%8222",
            "%%8200",
            "No policy configured",
            "%%8213",
            "%%8208",
            "%%8205",
            "2638887156",
            "3",
            "77",
            "0",
            "0",
        ]
    );
    let extra = record.extra.unwrap();
    assert_eq!(extra.reason_code, Some(13_825));
    assert_eq!(extra.cause.as_deref(), Some("selectors-refused-by-peer"));
    assert_eq!(
        extra.advice.as_deref(),
        Some(Cause::SelectorsRefusedByPeer.advice())
    );
}

#[test]
fn traffic_is_found_again_by_its_address_prefix_and_port() {
    let new = |first: &str, last: &str, port| {
        TrafficEnd::new(first.parse().unwrap(), last.parse().unwrap(), port)
    };
    for end in [
        new("10.1.0.0", "10.1.255.255", 0),
        new("0.0.0.0", "255.255.255.255", 0),
        new("10.1.2.3", "10.1.2.3", 22),
        new("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 0),
        new("2001:db8::", "2001:db8::ff", 443),
        new("2001:db8::1", "2001:db8::1", 0),
    ] {
        let again = TrafficEnd::subnet(end.address(), end.prefix(), end.port());
        assert_eq!(again, end);
    }
    let host = TrafficEnd::host("10.1.2.3".parse().unwrap(), 0);
    assert_eq!(TrafficEnd::subnet(host.address(), 99, 0), host);
}

#[test]
fn an_ipsec_sa_ends_with_a_5452_and_a_deleted_one_with_a_5049_beside_it() {
    let ended = Event::QuickModeEnded(QuickModeEnded {
        local: traffic()[0],
        remote: traffic()[1],
        mode: Mode::Transport,
        protocol: 6,
        qmsa_id: 105,
    });
    let extra = Extra {
        cause: Some(Cause::DeletedByPeer),
        ..Extra::default()
    };
    let record = ended.into_record(None, extra.clone());
    assert_eq!(
        record.values,
        [
            "10.1.0.0",
            "0",
            "-",
            "10.2.0.10",
            "22",
            "-",
            "6",
            "105",
            "0",
            "0"
        ]
    );
    assert_eq!(
        record.extra.unwrap().cause.as_deref(),
        Some("deleted-by-peer")
    );
    let deleted = Event::IpsecSaDeleted(IpsecSaDeleted {
        qmsa_id: 105,
        child: "lan".to_owned(),
    });
    let record = deleted.into_record(None, extra);
    assert_eq!(record.values, ["-", "105", "lan"]);
    assert_eq!(record.peer(), None);
}

#[test]
fn the_peer_is_the_end_of_the_tunnel_and_not_the_traffic_in_it() {
    let established = quick_mode_established();
    let record = Event::QuickModeEstablished(established).into_record(None, Extra::default());
    assert_eq!(record.peer(), Some("198.51.100.7".parse().unwrap()));
    let transport = QuickModeEstablished {
        mode: Mode::Transport,
        ..established
    };
    let record = Event::QuickModeEstablished(transport).into_record(None, Extra::default());
    assert_eq!(record.peer(), Some("10.2.0.10".parse().unwrap()));
}

#[test]
fn a_4650_holds_its_values_in_order() {
    let record = Event::MainModeEstablished(established()).into_record(None, Extra::default());
    assert_eq!(
        record.values,
        [
            "gw.example",
            "branch.example",
            "192.0.2.1",
            "4500",
            "2001:db8::7",
            "4500",
            "%%8222",
            "%%8193",
            "%%8237",
            "SHA 512",
            "DH group 15",
            "481",
            "0",
            "%%8206",
            "%%8217",
            "2",
            "77",
        ]
    );
    assert_eq!(record.peer(), Some("2001:db8::7".parse().unwrap()));
    assert_eq!(record.value("MMSAID"), Some("77"));
    assert_eq!(record.value("State"), None);
    assert_eq!(record.extra, None);
}

#[test]
fn a_lifetime_is_written_in_minutes_rounded_up() {
    for (lifetime, minutes) in [
        (Duration::ZERO, "0"),
        (Duration::from_secs(1), "1"),
        (Duration::from_mins(1), "1"),
        (Duration::from_millis(60_001), "2"),
        (Duration::from_hours(8), "480"),
    ] {
        let event = MainModeEstablished {
            lifetime,
            ..established()
        };
        let record = Event::MainModeEstablished(event).into_record(None, Extra::default());
        assert_eq!(record.value("MMLifetime"), Some(minutes));
    }
}

#[test]
fn a_policy_change_names_what_was_added_and_removed() {
    let no = Some(Setting::NO_AUDITING);
    let (success, failure) = (Some(Setting::SUCCESS), Some(Setting::FAILURE));
    for (old, new, changes) in [
        (None, Some(Setting::BOTH), "%%8449, %%8451"),
        (Some(Setting::BOTH), None, "%%8448, %%8450"),
        (success, failure, "%%8448, %%8451"),
        (failure, success, "%%8449, %%8450"),
        (None, no, "-"),
    ] {
        let event = Event::PolicyChanged {
            subject: Subject::unix(0, "root", "gw", Some(3)),
            subcategory: Subcategory::IpsecDriver,
            old,
            new,
        };
        let record = event.into_record(None, Extra::default());
        assert_eq!(
            record.values,
            [
                "S-1-22-1-0",
                "root",
                "gw",
                "0x3",
                "%%8272",
                "%%12291",
                "{0CCE9213-69AE-11D9-BED3-505054503030}",
                changes,
            ]
        );
    }
}

#[test]
fn a_failure_has_code_cause_and_advice_and_other_events_a_cause_alone() {
    let extra = || Extra {
        exchange: None,
        user: None,
        connection: Some("branch".to_owned()),
        cause: Some(Cause::DeletedByPeer),
        advice: None,
        detail: Some("aes128-sha1-modp1024".to_owned()),
    };
    let failure = Event::MainModeFailed(failed()).into_record(None, extra());
    let advice = format!(
        "{} Seen: aes128-sha1-modp1024.",
        Cause::NoProposalChosen.advice()
    );
    assert_eq!(
        stored(failure).json(false)["Extra"],
        json!({"Connection": "branch", "ReasonCode": 13868, "Cause": "no-proposal-chosen", "Advice": advice})
    );
    let ended = every_event()
        .into_iter()
        .find(|event| matches!(event, Event::MainModeEnded(_)))
        .unwrap()
        .into_record(None, extra());
    assert_eq!(
        stored(ended).json(false)["Extra"],
        json!({"Connection": "branch", "Cause": "deleted-by-peer"})
    );
}

#[test]
fn advice_that_is_given_takes_the_place_of_the_causes_own() {
    let extra = Extra {
        advice: Some("Ask Ann.".to_owned()),
        ..Extra::default()
    };
    let record = Event::MainModeFailed(failed()).into_record(None, extra);
    assert_eq!(record.extra.unwrap().advice.as_deref(), Some("Ask Ann."));
}

#[test]
fn every_cause_of_a_failure_gives_its_windows_text() {
    for &cause in Cause::ALL {
        let Some(reason) = cause.reason() else {
            continue;
        };
        let event = MainModeFailed { cause, ..failed() };
        let record = Event::MainModeFailed(event).into_record(None, Extra::default());
        assert_eq!(record.value("FailureReason"), Some(reason.text()));
        let extra = record.extra.unwrap();
        assert_eq!(extra.reason_code, Some(reason.0));
        assert_eq!(extra.cause.as_deref(), Some(cause.token()));
    }
    assert_eq!(
        Cause::PeerNotify(NotifyErr::InvalidCookie).code(),
        Some(13_846)
    );
}

#[test]
fn json_has_its_members_in_the_pinned_order() {
    let activity = ActivityId([0xab; 16]);
    let extra = Extra {
        connection: Some("branch".to_owned()),
        ..Extra::default()
    };
    let record = Event::MainModeFailed(failed()).into_record(Some(activity), extra);
    let line = stored(record).json_line(false);
    let advice = Cause::NoProposalChosen.advice();
    let start = concat!(
        r#"{"EventRecordID":1,"EventID":4653,"Version":0,"#,
        r#""Provider":"Microsoft-Windows-Security-Auditing","Channel":"Security","#,
        r#""TimeCreated":"2026-11-23T09:00:00.1234567Z","Computer":"host","Outcome":"failure","#,
        r#""Task":12547,"ActivityID":"{ABABABAB-ABAB-ABAB-ABAB-ABABABABABAB}","#,
        r#""EventData":{"LocalMMPrincipalName":"-","RemoteMMPrincipalName":"-","#,
        r#""LocalAddress":"192.0.2.1","LocalKeyModPort":"500","RemoteAddress":"198.51.100.7","#,
        r#""RemoteKeyModPort":"500","KeyModName":"IKEv1","FailurePoint":"Remote computer","#,
        r#""FailureReason":"Policy match error","MMAuthMethod":"Unknown authentication","#,
        r#""State":"Sent first (SA) payload","Role":"Initiator","#,
        r#""MMImpersonationState":"Not enabled","MMFilterID":"1","#,
        r#""InitiatorCookie":"000102030405feff","ResponderCookie":"0000000000000000"},"#,
        r#""Extra":{"Connection":"branch","ReasonCode":13868,"Cause":"no-proposal-chosen","Advice":""#,
    );
    let start = format!("{start}{advice}\"}},\"Message\":\"An IPsec Main Mode");
    assert!(line.starts_with(&start), "{line}\n{start}");
}

#[test]
fn raw_json_gives_the_values_as_stored_and_the_same_message() {
    for event in every_event() {
        let record = stored(event.into_record(None, Extra::default()));
        let (shown, raw) = (record.json(false), record.json(true));
        let key = if record.record.outcome() == Outcome::None {
            "UserData"
        } else {
            "EventData"
        };
        let values: Vec<&str> = raw[key]
            .as_object()
            .unwrap()
            .values()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(values, record.record.values);
        assert!(!shown[key].to_string().contains("%%"), "{shown}");
        assert_eq!(shown["Message"], raw["Message"]);
        assert!(!shown["Message"].as_str().unwrap().contains('%'), "{shown}");
    }
}

#[test]
fn the_logs_own_events_have_flat_user_data_and_no_outcome() {
    let record = stored(
        every_event()
            .pop()
            .unwrap()
            .into_record(None, Extra::default()),
    );
    let json = record.json(false);
    assert_eq!(json["Outcome"], "none");
    assert_eq!(json["Provider"], "Microsoft-Windows-Eventlog");
    assert_eq!(
        json["UserData"],
        json!({"Channel": "Security", "BackupPath": "/var/lib/mainmode/log/archive-1.db"})
    );
    let members: Vec<&String> = json.as_object().unwrap().keys().collect();
    for absent in ["EventData", "ActivityID", "Extra"] {
        assert!(!members.iter().any(|m| *m == absent), "{absent}");
    }
}

#[test]
fn xml_has_raw_values_nine_decimals_and_no_extra() {
    let extra = Extra {
        connection: Some("branch".to_owned()),
        ..Extra::default()
    };
    let activity = Some(ActivityId([0xab; 16]));
    let record = stored(Event::MainModeFailed(failed()).into_record(activity, extra));
    let xml = record.xml();
    assert!(xml.contains("<TimeCreated SystemTime='2026-11-23T09:00:00.123456789Z'/>"));
    assert!(xml.contains("<Correlation ActivityID='{ABABABAB-ABAB-ABAB-ABAB-ABABABABABAB}'/>"));
    assert!(xml.contains("<Data Name='FailurePoint'>%%8200</Data>"));
    assert!(!xml.contains("branch") && !xml.contains("no-proposal-chosen"));
    assert!(!xml.contains('\n'));
}

#[test]
fn times_before_1970_and_at_the_ends_of_the_range_are_written() {
    for (time, text) in [
        (0, "1970-01-01T00:00:00.000000000Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (i64::MAX, "2262-04-11T23:47:16.854775807Z"),
        (i64::MIN, "1677-09-21T00:12:43.145224192Z"),
    ] {
        let mut record = stored(Event::LogFull.into_record(None, Extra::default()));
        record.time = time;
        assert!(record.xml().contains(text), "{}", record.xml());
    }
}

#[test]
fn an_event_that_the_catalogue_does_not_know_is_still_rendered() {
    let record = stored(Record {
        event_id: 9999,
        activity: None,
        values: vec!["a".to_owned(), "%%8222".to_owned()],
        extra: None,
    });
    assert_eq!(record.message(), "");
    assert_eq!(
        record.json(false)["EventData"],
        json!({"Data1": "a", "Data2": "%%8222"})
    );
    assert!(
        record
            .xml()
            .ends_with("<EventData><Data>a</Data><Data>%%8222</Data></EventData></Event>")
    );
    assert_eq!(
        (record.record.peer(), record.record.outcome()),
        (None, Outcome::None)
    );
}

#[test]
fn a_record_survives_being_stored() {
    for event in every_event() {
        let extra = Extra {
            connection: Some("branch".to_owned()),
            ..Extra::default()
        };
        let record = stored(event.into_record(Some(ActivityId([7; 16])), extra));
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<StoredRecord>(&text).unwrap(), record);
    }
}
