//! Our XML beside records that Windows itself wrote.
//!
//! 1100 and 1102 have the form, byte for byte, in which two public test suites quote them from
//! `wevtutil` and Windows Event Forwarding; 4653 and 4719 the elements, attributes and values of a
//! record in a public test suite and of the one on Microsoft's page about 4719. Names, addresses and
//! account numbers are changed. Windows names a thread, we name 0.

use std::net::SocketAddr;

use audit::{
    ActivityId, AuthMethod, Cause, Event, Extra, FailurePoint, KeyMod, MainModeFailed, MmState,
    Policy, Record, Role, Setting, StoredRecord, Subcategory, Subject,
};
use quick_xml::Reader;
use quick_xml::events::Event as Xml;

fn stored(
    time: i64,
    record_id: u64,
    process_id: u32,
    computer: &str,
    record: Record,
) -> StoredRecord {
    StoredRecord {
        record_id,
        time,
        computer: computer.to_owned(),
        process_id,
        record,
    }
}

fn subject() -> Subject {
    Subject {
        sid: "S-1-5-21-3457937927-2839227994-823803824-1104".to_owned(),
        user: "dadmin".to_owned(),
        domain: "CONTOSO".to_owned(),
        logon_id: "0x55cd1d".to_owned(),
    }
}

#[test]
fn a_1100_is_written_byte_for_byte_as_windows_writes_it() {
    let record = Event::LogShutdown.into_record(None, Extra::default());
    // 2022-12-14T14:39:07.168618300Z
    let ours = stored(
        1_671_028_747_168_618_300,
        114_371,
        496,
        "win10.windomain.local",
        record,
    );
    assert_eq!(
        ours.xml(),
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>\
         <Provider Name='Microsoft-Windows-Eventlog' Guid='{fc65ddd8-d6ef-4962-83d5-6e5cfe9ce148}'/>\
         <EventID>1100</EventID><Version>0</Version><Level>4</Level><Task>103</Task>\
         <Opcode>0</Opcode><Keywords>0x4020000000000000</Keywords>\
         <TimeCreated SystemTime='2022-12-14T14:39:07.168618300Z'/>\
         <EventRecordID>114371</EventRecordID><Correlation/>\
         <Execution ProcessID='496' ThreadID='0'/><Channel>Security</Channel>\
         <Computer>win10.windomain.local</Computer><Security/></System>\
         <UserData><ServiceShutdown xmlns='http://manifests.microsoft.com/win/2004/08/windows/eventlog'>\
         </ServiceShutdown></UserData></Event>"
    );
    assert_eq!(ours.message(), "The event logging service has shut down.");
}

#[test]
fn a_1102_is_written_byte_for_byte_as_windows_writes_it() {
    let record = Event::LogCleared { subject: subject() }.into_record(None, Extra::default());
    // 2017-08-03T17:11:29.255592600Z
    let ours = stored(
        1_501_780_289_255_592_600,
        36_837_151,
        996,
        "host.example",
        record,
    );
    assert_eq!(
        ours.xml(),
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>\
         <Provider Name='Microsoft-Windows-Eventlog' Guid='{fc65ddd8-d6ef-4962-83d5-6e5cfe9ce148}'/>\
         <EventID>1102</EventID><Version>0</Version><Level>4</Level><Task>104</Task>\
         <Opcode>0</Opcode><Keywords>0x4020000000000000</Keywords>\
         <TimeCreated SystemTime='2017-08-03T17:11:29.255592600Z'/>\
         <EventRecordID>36837151</EventRecordID><Correlation/>\
         <Execution ProcessID='996' ThreadID='0'/><Channel>Security</Channel>\
         <Computer>host.example</Computer><Security/></System>\
         <UserData><LogFileCleared xmlns='http://manifests.microsoft.com/win/2004/08/windows/eventlog'>\
         <SubjectUserSid>S-1-5-21-3457937927-2839227994-823803824-1104</SubjectUserSid>\
         <SubjectUserName>dadmin</SubjectUserName><SubjectDomainName>CONTOSO</SubjectDomainName>\
         <SubjectLogonId>0x55cd1d</SubjectLogonId></LogFileCleared></UserData></Event>"
    );
}

/// An element: its name, its attributes, its own text.
type Element = (String, Vec<(String, String)>, String);

/// The elements of a document in order. White space around them does not count.
fn elements(xml: &str) -> Vec<Element> {
    let mut reader = Reader::from_str(xml);
    let mut found: Vec<Element> = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Xml::Start(tag) | Xml::Empty(tag) => {
                let attributes = tag
                    .attributes()
                    .map(|a| a.unwrap())
                    .map(|a| (a.key.as_ref().to_owned(), a.value.to_string()))
                    .collect();
                found.push((tag.name().as_ref().to_owned(), attributes, String::new()));
            }
            Xml::Text(t) => {
                let last = &mut found.last_mut().unwrap().2;
                last.push_str(t.trim());
            }
            Xml::GeneralRef(r) => panic!("no references in these records: {r:?}"),
            Xml::End(_) => {}
            Xml::Eof => return found,
            other => panic!("{other:?}"),
        }
    }
}

/// Windows 2020 still wrote the provider's GUID in upper case; newer versions, and we, in lower.
fn lower_guid(mut elements: Vec<Element>) -> Vec<Element> {
    for (_, attributes, _) in &mut elements {
        for (name, value) in attributes {
            if name == "Guid" {
                value.make_ascii_lowercase();
            }
        }
    }
    elements
}

const WINDOWS_4653: &str = "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Microsoft-Windows-Security-Auditing' Guid='{54849625-5478-4994-A5BA-3E3B0328C30D}' /><EventID>4653</EventID><Version>0</Version><Level>0</Level><Task>12547</Task><Opcode>0</Opcode><Keywords>0x8010000000000000</Keywords><TimeCreated SystemTime='2020-07-10T17:20:06.687103300Z' /><EventRecordID>100095994</EventRecordID><Correlation ActivityID='{5108737F-4EB9-0001-8473-0851B94ED601}' /><Execution ProcessID='660' ThreadID='0' /><Channel>Security</Channel><Computer>VPN.EXAMPLE</Computer><Security /></System><EventData><Data Name='LocalMMPrincipalName'>-</Data><Data Name='RemoteMMPrincipalName'>-</Data><Data Name='LocalAddress'>192.0.2.81</Data><Data Name='LocalKeyModPort'>4500</Data><Data Name='RemoteAddress'>192.0.2.82</Data><Data Name='RemoteKeyModPort'>4500</Data><Data Name='KeyModName'>%%8222</Data><Data Name='FailurePoint'>%%8199</Data><Data Name='FailureReason'>Negotiation timed out</Data><Data Name='MMAuthMethod'>%%8194</Data><Data Name='State'>%%8202</Data><Data Name='Role'>%%8205</Data><Data Name='MMImpersonationState'>%%8217</Data><Data Name='MMFilterID'>54919761</Data><Data Name='InitiatorCookie'>db55d3767e51b422</Data><Data Name='ResponderCookie'>0000000000000000</Data></EventData></Event>";

fn no_answer() -> StoredRecord {
    let event = Event::MainModeFailed(MainModeFailed {
        local_name: None,
        remote_name: None,
        local: "192.0.2.81:4500".parse::<SocketAddr>().unwrap(),
        remote: "192.0.2.82:4500".parse().unwrap(),
        key_mod: KeyMod::IkeV1,
        point: FailurePoint::Local,
        cause: Cause::NoAnswer,
        auth: AuthMethod::Unknown,
        state: MmState::SentFirst,
        role: Role::Initiator,
        filter_id: 54_919_761,
        initiator_cookie: 0xdb55_d376_7e51_b422_u64.to_be_bytes(),
        responder_cookie: [0; 8],
    });
    let activity = ActivityId(0x5108_737f_4eb9_0001_8473_0851_b94e_d601_u128.to_be_bytes());
    let record = event.into_record(Some(activity), Extra::default());
    // 2020-07-10T17:20:06.687103300Z
    stored(
        1_594_401_606_687_103_300,
        100_095_994,
        660,
        "VPN.EXAMPLE",
        record,
    )
}

#[test]
fn a_4653_of_an_unanswered_initiator_is_the_one_that_windows_writes() {
    assert_eq!(
        elements(&no_answer().xml()),
        lower_guid(elements(WINDOWS_4653))
    );
}

#[test]
fn a_4653_reads_as_the_manifests_template_says() {
    // The template of 4653 as several public dumps of the manifest give it, with the values above.
    assert_eq!(
        no_answer().message(),
        "An IPsec Main Mode negotiation failed.\n\n\
         Local Endpoint:\n\tLocal Principal Name:\t-\n\tNetwork Address:\t192.0.2.81\n\tKeying Module Port:\t4500\n\n\
         Remote Endpoint:\n\tPrincipal Name:\t\t-\n\tNetwork Address:\t192.0.2.82\n\tKeying Module Port:\t4500\n\n\
         Additional Information:\n\tKeying Module Name:\tIKEv1\n\tAuthentication Method:\tUnknown authentication\n\
         \tRole:\t\t\tInitiator\n\tImpersonation State:\tNot enabled\n\tMain Mode Filter ID:\t54919761\n\n\
         Failure Information:\n\tFailure Point:\t\tLocal computer\n\tFailure Reason:\t\tNegotiation timed out\n\
         \tState:\t\t\tSent first (SA) payload\n\tInitiator Cookie:\t\tdb55d3767e51b422\n\tResponder Cookie:\t0000000000000000"
    );
}

const WINDOWS_4719: &str = r#"<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event">
 <System>
 <Provider Name="Microsoft-Windows-Security-Auditing" Guid="{54849625-5478-4994-A5BA-3E3B0328C30D}" />
 <EventID>4719</EventID>
 <Version>0</Version>
 <Level>0</Level>
 <Task>13568</Task>
 <Opcode>0</Opcode>
 <Keywords>0x8020000000000000</Keywords>
 <TimeCreated SystemTime="2015-09-30T19:57:09.668217100Z" />
 <EventRecordID>1049418</EventRecordID>
 <Correlation />
 <Execution ProcessID="516" ThreadID="0" />
 <Channel>Security</Channel>
 <Computer>DC01.contoso.local</Computer>
 <Security />
 </System>
 <EventData>
 <Data Name="SubjectUserSid">S-1-5-21-3457937927-2839227994-823803824-1104</Data>
 <Data Name="SubjectUserName">dadmin</Data>
 <Data Name="SubjectDomainName">CONTOSO</Data>
 <Data Name="SubjectLogonId">0x55cd1d</Data>
 <Data Name="CategoryId">%%8273</Data>
 <Data Name="SubcategoryId">%%12547</Data>
 <Data Name="SubcategoryGuid">{0CCE9218-69AE-11D9-BED3-505054503030}</Data>
 <Data Name="AuditPolicyChanges">%%8448, %%8450</Data>
 </EventData>
 </Event>"#;

#[test]
fn a_4719_has_the_elements_and_values_of_the_one_that_microsoft_shows() {
    let mut old = Policy::default();
    old.set(Subcategory::IpsecMainMode, Some(Setting::BOTH));
    let [(subcategory, old, new)] = old.changes(&Policy::default())[..] else {
        panic!("one subcategory changed");
    };
    let event = Event::PolicyChanged {
        subject: subject(),
        subcategory,
        old,
        new,
    };
    let record = event.into_record(None, Extra::default());
    // 2015-09-30T19:57:09.668217100Z
    let ours = stored(
        1_443_643_029_668_217_100,
        1_049_418,
        516,
        "DC01.contoso.local",
        record,
    );
    assert_eq!(elements(&ours.xml()), lower_guid(elements(WINDOWS_4719)));
    assert!(ours.message().ends_with(
        "Audit Policy Change:\n\tCategory:\t\tLogon/Logoff\n\tSubcategory:\t\tIPsec Main Mode\n\
         \tSubcategory GUID:\t{0CCE9218-69AE-11D9-BED3-505054503030}\n\
         \tChanges:\t\tSuccess removed, Failure removed"
    ));
}
