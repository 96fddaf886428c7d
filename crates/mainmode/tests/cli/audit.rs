use std::fs;

use crate::place::Place;

const MAIN_MODE: &str = "IPsec Main Mode";
const MAIN_MODE_GUID: &str = "{0CCE9218-69AE-11D9-BED3-505054503030}";

fn setting(place: &Place, subcategory: &str) -> String {
    let rows = place
        .run(&["audit", "get", "--json", "--subcategory", subcategory])
        .json();
    assert_eq!(rows.len(), 1);
    rows[0]["setting"].as_str().expect("a text").to_owned()
}

fn changes(place: &Place) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    place
        .run(&["log", "query", "--json", "--id", "4719"])
        .json()
        .iter()
        .map(|event| &event["EventData"])
        .map(|data| {
            (
                text(&data["SubcategoryId"]),
                text(&data["AuditPolicyChanges"]),
            )
        })
        .collect()
}

#[test]
fn nothing_is_configured_until_somebody_says_so_and_looking_makes_no_log() {
    let place = Place::new("");
    for row in place.run(&["audit", "get", "--json"]).json() {
        assert_eq!(row["setting"], "Not configured");
        assert!(row["success"].is_null() && row["governed_by"].is_null());
    }
    assert!(!place.path("log").exists());
}

#[test]
fn each_half_is_set_alone_and_each_change_is_a_4719() {
    let place = Place::new("");
    let set = |words: &[&str]| {
        let words = [&["audit", "set", "--subcategory"], words].concat();
        place.run(&words).good();
        setting(&place, MAIN_MODE)
    };
    assert_eq!(set(&[MAIN_MODE, "--failure", "enable"]), "Failure");
    assert_eq!(
        set(&[MAIN_MODE_GUID, "--success", "enable"]),
        "Success and Failure"
    );
    assert_eq!(set(&["ipsec main mode", "--failure", "disable"]), "Success");
    // No change, no event.
    assert_eq!(set(&[MAIN_MODE]), "Success");
    assert_eq!(set(&[MAIN_MODE, "--success", "disable"]), "No Auditing");
    let change = |what: &str| (MAIN_MODE.to_owned(), what.to_owned());
    let expected = [
        "Failure added",
        "Success Added",
        "Failure removed",
        "Success removed",
    ]
    .map(change);
    let seen = changes(&place);
    let lower = |pairs: &[(String, String)]| -> Vec<String> {
        pairs
            .iter()
            .map(|(a, b)| format!("{a} {}", b.to_lowercase()))
            .collect()
    };
    assert_eq!(lower(&seen), lower(&expected));
    let table = place.run(&["log", "query", "--id", "4719"]).good();
    assert!(table.contains("IPsec Main Mode: Failure added"), "{table}");
}

#[test]
fn a_subcategory_that_does_not_exist_is_a_wrong_word() {
    let place = Place::new("");
    let said = place
        .run(&[
            "audit",
            "set",
            "--subcategory",
            "IPsec",
            "--success",
            "enable",
        ])
        .failed(2);
    assert!(
        said.contains("there are: IPsec Driver, IPsec Main Mode"),
        "{said}"
    );
    place
        .run(&["audit", "get", "--category", "System Integrity"])
        .failed(2);
    assert_eq!(
        place
            .run(&["audit", "get", "--category", "*", "--json"])
            .json()
            .len(),
        4
    );
    assert_eq!(place.run(&["audit", "get", "*", "--json"]).json().len(), 4);
    assert_eq!(
        place
            .run(&["audit", "get", "--category", "Logon/Logoff", "--json"])
            .json()
            .len(),
        3
    );
    for which in ["--subcategory", "--category"] {
        let words = ["audit", "list", which, "*", "--json"];
        assert_eq!(place.run(&words).json().len(), 4);
    }
    assert_eq!(place.run(&["audit", "list", "--json"]).json().len(), 4);
}

#[test]
fn a_category_is_set_whole_and_nothing_is_set_where_none_is_named() {
    let place = Place::new("");
    let said = place
        .run(&["audit", "set", "--failure", "enable"])
        .failed(2);
    assert!(said.contains("--subcategory NAME"), "{said}");
    let words = [
        "audit",
        "set",
        "--category",
        "Logon/Logoff",
        "--failure",
        "enable",
    ];
    place.run(&words).good();
    for (subcategory, expected) in [
        (MAIN_MODE, "Failure"),
        ("IPsec Extended Mode", "Failure"),
        ("IPsec Driver", "Not configured"),
    ] {
        assert_eq!(setting(&place, subcategory), expected, "{subcategory}");
    }
}

#[test]
fn what_is_refused_or_changes_nothing_makes_no_log() {
    let place = Place::new("[audit]\nipsec-main-mode = [\"success\"]\n");
    let said = place.run(&["audit", "clear"]).failed(1);
    assert!(said.contains("m.toml:7"), "{said}");
    let words = ["audit", "set", "--subcategory", MAIN_MODE];
    place.run(&words).failed(1);
    let free = Place::new("");
    free.run(&["audit", "clear"]).good();
    assert!(!place.path("log").exists() && !free.path("log").exists());
    // Nor does a folder make it one.
    std::fs::create_dir(free.path("log")).expect("made");
    free.run(&["audit", "clear"]).good();
    free.run(&["audit", "get"]).good();
    let within = std::fs::read_dir(free.path("log")).expect("listed");
    assert_eq!(within.count(), 0);
}

#[test]
fn a_backup_of_the_policy_overwrites_no_file_of_the_log() {
    let place = Place::new("");
    let words = ["audit", "set", "--subcategory", MAIN_MODE];
    place.run(&words).good();
    for name in ["security-0000000001.db", "next.tmp"] {
        let file = format!("log/../log/{name}");
        let said = place.run(&["audit", "backup", &file]).failed(1);
        assert!(said.contains("one of the log's own files"), "{said}");
    }
    // Through a link too.
    let segment = place.path("log/security-0000000001.db");
    std::os::unix::fs::symlink(&segment, place.path("link")).expect("linked");
    let said = place.run(&["audit", "backup", "link"]).failed(1);
    assert!(said.contains("one of the log's own files"), "{said}");
    place.run(&["log", "verify"]).good();
    place.run(&["audit", "backup", "log/policy.csv"]).good();
}

#[test]
fn what_the_configuration_decides_is_refused_with_file_and_line() {
    let place = Place::new("[audit]\nipsec-main-mode = [\"success\"]\n");
    assert_eq!(setting(&place, MAIN_MODE), "Success");
    let words = [
        "audit",
        "set",
        "--subcategory",
        MAIN_MODE,
        "--failure",
        "enable",
    ];
    let said = place.run(&words).failed(1);
    assert_eq!(
        said,
        "error: \"IPsec Main Mode\" is set by the configuration, m.toml:7; change it there\n"
    );
    place.run(&["audit", "clear"]).failed(1);
    let rows = place
        .run(&["audit", "get", "--json", "--subcategory", MAIN_MODE])
        .json();
    assert_eq!(rows[0]["governed_by"], "m.toml:7");
    // Its neighbours are free.
    place
        .run(&["audit", "set", "--subcategory", "IPsec Driver"])
        .good();
    assert_eq!(setting(&place, "IPsec Driver"), "Success");
    assert_eq!(changes(&place).len(), 1);
}

#[test]
fn a_policy_is_backed_up_cleared_and_restored() {
    let place = Place::new("");
    place
        .run(&[
            "audit",
            "set",
            "--subcategory",
            "IPsec Main Mode,IPsec Driver",
            "--failure",
            "enable",
        ])
        .good();
    place.run(&["audit", "backup", "policy.csv"]).good();
    place.run(&["audit", "clear"]).good();
    assert_eq!(setting(&place, MAIN_MODE), "Not configured");
    place.run(&["audit", "restore", "policy.csv"]).good();
    assert_eq!(setting(&place, MAIN_MODE), "Failure");
    assert_eq!(setting(&place, "IPsec Driver"), "Failure");
    assert_eq!(changes(&place).len(), 6);
}

#[test]
fn a_file_without_a_row_for_what_the_configuration_decides_says_that_it_stays() {
    let place = Place::new("[audit]\nipsec-main-mode = [\"success\", \"failure\"]\n");
    place.write(
        "part.csv",
        "Machine Name,Policy Target,Subcategory,Subcategory GUID,Inclusion Setting,Exclusion Setting,Setting Value\n",
    );
    let ran = place.run(&["audit", "restore", "part.csv"]);
    let said = "part.csv has no row for \"IPsec Main Mode\", which the configuration decides: it stays as it is";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    ran.good();
    assert_eq!(setting(&place, MAIN_MODE), "Success and Failure");
}

#[test]
fn a_backup_goes_where_a_link_leads_and_into_what_is_no_file() {
    let place = Place::new("");
    // As auditpol, which takes the words as they are typed.
    let set = [
        "audit",
        "set",
        "--subcategory",
        MAIN_MODE,
        "--failure",
        "Enable",
    ];
    place.run(&set).good();
    place.write("policy.csv", "old");
    std::os::unix::fs::symlink("policy.csv", place.path("link.csv")).expect("a link");
    place.run(&["audit", "backup", "link.csv"]).good();
    let link = fs::symlink_metadata(place.path("link.csv")).expect("still there");
    assert!(link.is_symlink());
    let written = fs::read_to_string(place.path("policy.csv")).expect("written");
    assert!(written.contains(MAIN_MODE_GUID));
    let printed = place.run(&["audit", "backup", "/dev/stdout"]).good();
    assert_eq!(printed, written);
}

#[test]
fn rows_about_something_else_are_named_and_left_alone() {
    let place = Place::new("");
    let csv = format!(
        "Machine Name,Policy Target,Subcategory,Subcategory GUID,Inclusion Setting,Exclusion Setting,Setting Value\r\n\
         DC,System,Logon,{{0CCE9215-69AE-11D9-BED3-505054503030}},Success,,1\r\n\
         DC,System,{MAIN_MODE},{MAIN_MODE_GUID},Success and Failure,,3\r\n\
         DC,S-1-5-21-1-2-3-1104,{MAIN_MODE},{MAIN_MODE_GUID},Success,,1\r\n"
    );
    // As tools on Windows write it.
    let mut wide = vec![0xff, 0xfe];
    wide.extend(csv.encode_utf16().flat_map(u16::to_le_bytes));
    fs::write(place.path("windows.csv"), wide).expect("written");
    let ran = place.run(&["audit", "restore", "windows.csv"]);
    assert!(
        ran.stderr.contains("windows.csv:2: \"Logon\""),
        "{}",
        ran.stderr
    );
    let user =
        "{0CCE9218-69AE-11D9-BED3-505054503030}) is for the account S-1-5-21-1-2-3-1104 alone";
    assert!(ran.stderr.contains(user), "{}", ran.stderr);
    ran.good();
    assert_eq!(setting(&place, MAIN_MODE), "Success and Failure");
    place.write("bad.csv", "not,a,policy\n1,2,3\n");
    assert!(
        place
            .run(&["audit", "restore", "bad.csv"])
            .failed(1)
            .contains("bad.csv")
    );
    assert_eq!(setting(&place, MAIN_MODE), "Success and Failure");
}
