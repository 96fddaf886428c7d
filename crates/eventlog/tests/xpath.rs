//! Windows' event queries, over records.

mod support;

use audit::{Cause, Event, Extra, StoredRecord, Subject};
use eventlog::XPath;
use proptest::prelude::*;
use support::*;

/// 2026-11-23T09:00:00.5Z
const TIME: i64 = 1_795_424_400_500_000_000;
const MINUTE: i64 = 60_000_000_000;

fn stored(record: audit::Record) -> StoredRecord {
    StoredRecord {
        record_id: 17,
        time: TIME,
        computer: "gw".to_owned(),
        process_id: 4711,
        record,
    }
}

fn failure() -> StoredRecord {
    // Its peer is 10.9.0.5 and its cause "no answer".
    stored(failed(5).record.unwrap())
}

fn success() -> StoredRecord {
    stored(established(5).record.unwrap())
}

fn matches(query: &str, record: &StoredRecord) -> bool {
    query
        .parse::<XPath>()
        .unwrap_or_else(|error| panic!("{query}: {error}"))
        .matches(record, TIME + MINUTE)
}

#[test]
fn queries_as_windows_writes_them_find_a_failure() {
    for query in [
        "*",
        " * ",
        "*[System[EventID=4653]]",
        "*[System[(EventID=4653)]]",
        "*[System[(EventID=4650 or EventID=4653)]]",
        "*[System[EventID>=4650 and EventID<=4655]]",
        "*[System[(EventID >= 4650) and (EventID != 4655) and EventID < 4654 and EventID > 1]]",
        "Event/System[EventID=4653]",
        "Event[System[EventID=4653]]",
        "*/System/EventID=4653",
        "*[System/EventID=4653]",
        "*[System[Provider[@Name='Microsoft-Windows-Security-Auditing']]]",
        "*[System[Provider[@Name=\"Microsoft-Windows-Security-Auditing\" and @Guid]]]",
        "*[System[TimeCreated[timediff(@SystemTime) <= 86400000]]]",
        "*[System[TimeCreated[timediff(@SystemTime) = 60000]]]",
        "*[System[TimeCreated[timediff(@SystemTime, '2026-11-23T09:00:02.500Z') = 2000]]]",
        "*[System[TimeCreated[@SystemTime>='2026-11-23T09:00:00.000Z' and @SystemTime<='2026-11-23T09:00:01']]]",
        "*[System[TimeCreated[@SystemTime='2026-11-23T09:00:00.5000000Z']]]",
        "*[System[Level=0 and Task = 12547 and EventRecordID=17]]",
        "*[System[Keywords='0x8010000000000000']]",
        "*[System[band(Keywords,4503599627370496)=4503599627370496]]",
        "*[System[band(Keywords, 0x10000000000000) > 0]]",
        "*[System[Channel='Security' and Computer='gw']]",
        "*[System[Execution[@ProcessID=4711]]]",
        "*[System[Correlation[@ActivityID]]]",
        "*[System[Correlation]]",
        "*[EventData[Data[@Name='RemoteAddress']='10.9.0.5']]",
        "*[EventData[Data[@Name='RemoteAddress']=\"10.9.0.5\" and Data[@Name='KeyModName']='%%8222']]",
        "*[EventData[Data='10.9.0.5']]",
        "*[EventData/Data[@Name='LocalKeyModPort']=500]",
        "*[EventData[Data[@Name='LocalKeyModPort'] >= 500]]",
        "*[System[EventID=4653] and EventData[Data[@Name='RemoteAddress']='10.9.0.5']]",
        "*[System[EventID=4653]][EventData[Data[@Name='RemoteAddress']='10.9.0.5']]",
        "*[System[EventID=1] or EventData[Data='10.9.0.5']]",
        "*[*[EventID=4653]]",
    ] {
        assert!(matches(query, &failure()), "{query}");
    }
}

#[test]
fn selectors_are_connected_as_event_viewer_writes_them() {
    const YES: &str = "*[System[EventID=4653]]";
    const NO: &str = "Event/System[EventID=1]";
    for (query, holds) in [
        (
            "*[EventData[Data[@Name='RemoteAddress'] = '10.9.0.5']] and *[System[EventID=4653]]"
                .to_owned(),
            true,
        ),
        (format!("{YES} and {NO}"), false),
        (format!("{NO} or {YES}"), true),
        (format!("{YES}or {NO}"), true),
        (format!("{NO} or {NO} or {NO}"), false),
        (format!("* and {YES}"), true),
        (format!("* or {NO}"), true),
        // `and` binds closer than `or`.
        (format!("{YES} or {YES} and {NO}"), true),
        (format!("({YES} or {YES}) and {NO}"), false),
        (format!("{NO} and {NO} or {YES}"), true),
        (format!("{NO} and ({NO} or {YES})"), false),
        (format!(" ( ({YES}) and ({NO} or({YES})) ) "), true),
    ] {
        assert_eq!(matches(&query, &failure()), holds, "{query}");
    }
}

#[test]
fn what_does_not_hold_is_not_found() {
    for query in [
        "*[System[EventID=4650]]",
        "*[System[EventID=4653 and Level=4]]",
        "*[System[(EventID=4650 or EventID=4655) and Level=0]]",
        "*[System[Provider[@Name='Microsoft-Windows-Eventlog']]]",
        "*[System[TimeCreated[timediff(@SystemTime) <= 59999]]]",
        "*[System[TimeCreated[@SystemTime>'2026-11-23T09:00:00.500Z']]]",
        "*[System[Keywords='0x8020000000000000']]",
        "*[System[band(Keywords,0x20000000000000)!=0]]",
        "*[EventData[Data[@Name='LocalAddress']='10.9.0.5']]",
        "*[EventData[Data[@Name='RemoteAddress' and @Name='x']='10.9.0.5']]",
        "*[UserData]",
        "*[System[Nothing]]",
        "*[System[EventID<'x']]",
    ] {
        assert!(!matches(query, &failure()), "{query}");
    }
    assert!(!matches("*[System[EventID=4653]]", &success()));
}

#[test]
fn the_logs_own_events_have_user_data() {
    let subject = Subject::unix(0, "root", "gw", None);
    let record = Event::LogCleared { subject }.into_record(None, Extra::default());
    let cleared = stored(record);
    for query in [
        "*[UserData[LogFileCleared[SubjectUserName='root']]]",
        "*[UserData/LogFileCleared/SubjectUserName='root']",
        "*[System[Provider[@Name='Microsoft-Windows-Eventlog'] and Level=4]]",
    ] {
        assert!(matches(query, &cleared), "{query}");
    }
    assert!(!matches("*[System[Correlation]]", &cleared));
}

#[test]
fn a_bare_band_as_event_viewer_writes_it_holds_when_a_bit_is_shared() {
    const FAILURE: u64 = 4_503_599_627_370_496;
    const SUCCESS: u64 = 9_007_199_254_740_992;
    const CLASSIC: u64 = 36_028_797_018_963_968;
    let subject = Subject::unix(0, "root", "gw", None);
    let cleared = Event::LogCleared { subject }.into_record(None, Extra::default());
    // The log's own events carry the success bit too, as on Windows: 0x4020000000000000.
    for (record, failed, succeeded) in [
        (failure(), true, false),
        (success(), false, true),
        (stored(cleared), false, true),
    ] {
        for (mask, holds) in [
            (FAILURE, failed),
            (SUCCESS, succeeded),
            (FAILURE | SUCCESS, true),
            (CLASSIC, false),
            (CLASSIC | FAILURE, failed),
            (0, false),
        ] {
            for query in [
                format!("*[System[band(Keywords,{mask})]]"),
                format!("*[System[(band(Keywords, {mask:#x})) and EventID>0]]"),
                format!("*[System[EventID=1 or band(Keywords,{mask})]]"),
            ] {
                assert_eq!(matches(&query, &record), holds, "{query}");
            }
        }
        assert!(!matches("*[System[band(Computer,1)]]", &record));
        assert!(!matches("*[System[band(Nothing,1)]]", &record));
    }
}

#[test]
fn errors_name_the_place_and_what_belongs_there() {
    for (query, position, what) in [
        ("", 1, "begins with `*`"),
        ("System[EventID=1]", 1, "begins with `*`"),
        ("*[System[EventID=4653]", 23, "`]` should stand here"),
        ("*[System[EventID=]]", 18, "whole number or a text"),
        ("*[System[EventID==1]]", 18, "whole number or a text"),
        ("*[System[EventID='1]]", 18, "no closing '"),
        ("*[System[EventID=1]] x", 22, "should end here"),
        ("*[System[EventID=1]] *", 22, "`and` or `or`"),
        ("* and", 6, "begins with `*`"),
        ("* and (* or System)", 13, "begins with `*`"),
        ("(* or *", 8, "`)` should stand here"),
        ("(* and *)[System]", 10, "should end here"),
        ("*[System] android *", 11, "should end here"),
        ("*[System[]]", 10, "a name should stand here"),
        (
            "*[System[EventID=99999999999999999999]]",
            18,
            "whole number",
        ),
        ("*[System[not(EventID=1)]]", 10, "not among the functions"),
        (
            "*[System[contains(Computer,'x')]]",
            10,
            "not among the functions",
        ),
        (
            "*[System[TimeCreated[timediff(@SystemTime)]]]",
            22,
            "compare it",
        ),
        (
            "*[System[TimeCreated[timediff(@SystemTime,'x')<1]]]",
            43,
            "a time should stand here",
        ),
        (
            "*[System[EventID=1 EventID=2]]",
            20,
            "`]` should stand here, not `E`",
        ),
        (
            "*[System[Computer='ü' & Level=1]]",
            23,
            "`]` should stand here, not `&`",
        ),
    ] {
        let error = query.parse::<XPath>().unwrap_err();
        assert_eq!(error.position, position, "{query}: {error}");
        assert!(error.what.contains(what), "{query}: {error}");
    }
}

#[test]
fn depth_and_length_are_bounded() {
    let deep = format!("*{}EventID=1{}", "[a".repeat(100), "]".repeat(100));
    assert!(deep.parse::<XPath>().unwrap_err().what.contains("deep"));
    let deep = format!("*[{}EventID=1{}]", "(".repeat(10_000), ")".repeat(10_000));
    assert!(deep.parse::<XPath>().is_err());
    let deep = format!("{}*{}", "(".repeat(8_000), ")".repeat(8_000));
    assert!(deep.parse::<XPath>().unwrap_err().what.contains("deep"));
    let long = format!("*{}", " and *".repeat(5_000));
    assert!(long.parse::<XPath>().unwrap_err().what.contains("bytes"));
    let long = format!("*[System[EventID=1{}]]", " or EventID=1".repeat(5_000));
    assert!(long.parse::<XPath>().unwrap_err().what.contains("bytes"));
    let steps = format!("*[{}a=1]", "a/".repeat(5_000));
    assert!(steps.parse::<XPath>().is_err());
}

#[test]
fn a_word_within_a_name_is_no_operator() {
    assert!(matches("*[System[orange or EventID=4653]]", &failure()));
    assert!(!matches("*[System[android and EventID=4653]]", &failure()));
    assert!(!matches("*[System[band = 3]]", &failure()));
    let ended = stored(ended(&live(3), Cause::Expired).record.unwrap());
    assert!(matches("*[EventData[Data[@Name='MMSAID']=3]]", &ended));
}

/// Selectors of which some hold for the fuzz target's record and some do not, connected in any way.
fn any_selectors() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("*"),
        Just("*[System[EventID=4976]]"),
        Just("*[System[EventID=4653]]"),
        Just("*[System[EventRecordID<=17]]"),
        Just("Event/System[EventRecordID>=18]"),
        Just("*[System[EventRecordID>=2 and EventRecordID<=3 or Level=0]]"),
        Just("*[System[TimeCreated[@SystemTime<'2026-11-23T08:00:00Z']]]"),
        Just("*[System[TimeCreated[timediff(@SystemTime) <= 1000]]]"),
        Just("*[EventData[Data[@Name='RemoteAddress']='198.51.100.7']]"),
        Just("*[EventData[Data[@Name='RemoteAddress']='192.0.2.9']]"),
    ];
    leaf.prop_map(str::to_owned)
        .prop_recursive(4, 16, 3, |inner| {
            (
                proptest::collection::vec(inner, 1..4),
                prop_oneof![Just(" and "), Just(" or ")],
            )
                .prop_map(|(parts, word)| format!("({})", parts.join(word)))
        })
}

proptest! {
    #[test]
    fn what_connected_selectors_match_the_log_looks_at(query in any_selectors()) {
        query.parse::<XPath>().unwrap();
        eventlog::fuzzing::xpath(query.as_bytes());
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in r#"[*\[\]()@/='"<>!,a-zA-Z0-9 ü.-]{0,60}"#) {
        if let Ok(query) = text.parse::<XPath>() {
            query.matches(&failure(), TIME);
        }
    }

    #[test]
    fn any_mix_of_words_is_parsed_or_refused(words in proptest::collection::vec(
        prop_oneof![
            Just("*"), Just("["), Just("]"), Just("("), Just(")"), Just("System"), Just("EventID"),
            Just("="), Just("<="), Just("4653"), Just(" and "), Just(" or "), Just("@Name"), Just("/"),
            Just("timediff("), Just("@SystemTime"), Just("band("), Just(","), Just("'x'"), Just("Data"),
        ], 0..25)) {
        if let Ok(query) = words.concat().parse::<XPath>() {
            query.matches(&failure(), TIME);
        }
    }
}
