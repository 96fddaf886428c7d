use crate::place::Place;

const BRANCH: &str = "[[connection]]\nname = \"branch\"\nremote = { address = \"198.51.100.7\" }\n\
                      auth = { psk-file = \"branch.psk\" }\n";

#[test]
fn a_good_configuration_is_0_and_one_line() {
    let place = Place::new(BRANCH);
    place.write("branch.psk", "correct horse battery staple\n");
    assert_eq!(place.run(&["check"]).good(), "m.toml: good; 1 connection\n");
    assert!(place.run(&["check", "--json"]).json().is_empty());
}

#[test]
fn an_error_is_1_with_place_and_help_on_stderr() {
    let place = Place::new("[[connection]]\nnam = \"branch\"\n");
    let said = place.run(&["check"]).failed(1);
    let unknown = "m.toml:7:1: error: unknown key \"nam\" in a [[connection]]\n  |\n\
                   7 | nam = ********\n  | ^^^\n  help: did you mean \"name\"?\n";
    assert!(said.contains(unknown), "{said}");
    assert!(
        said.contains("m.toml:6:1: error: \"remote\" is missing"),
        "{said}"
    );
    let ran = place.run(&["check", "--json"]);
    assert_eq!(ran.code, 1);
    assert_eq!(ran.stderr, "");
    let first: serde_json::Value =
        serde_json::from_str(ran.stdout.lines().next().expect("a line")).expect("json");
    assert_eq!(first["line"], 6);
    assert_eq!(first["severity"], "error");
}

#[test]
fn a_warning_is_0() {
    let place = Place::new(BRANCH);
    place.write("branch.psk", "short\n");
    let said = place.run(&["check"]).good();
    assert!(
        said.contains("m.toml:9:21: warning: the pre-shared key has only 5 characters"),
        "{said}"
    );
    assert!(
        said.ends_with("m.toml: usable, with 1 warning; 1 connection\n"),
        "{said}"
    );
    let objects = place.run(&["check", "--json"]).json();
    assert_eq!(objects[0]["severity"], "warning");
    assert_eq!(objects[0]["column"], 21);
}

#[test]
fn run_refuses_what_check_refuses() {
    let place = Place::new(
        "[[connection]]\nname = \"branch\"\nremote = { address = \"any\" }\n\
                            auth = { kerberos = {} }\n",
    );
    for command in ["check", "run"] {
        let said = place.run(&[command]).failed(1);
        assert!(
            said.contains("m.toml:9:10: error: not yet: authentication by Kerberos"),
            "{said}"
        );
    }
}

#[test]
fn a_file_that_is_not_there_is_1_and_named() {
    let place = Place::new("");
    for command in ["check", "run", "status", "log", "audit"] {
        let words: &[&str] = match command {
            "log" => &["log", "info"],
            "audit" => &["audit", "get"],
            _ => &[command],
        };
        let said = place
            .run(&[words, &["-c", "nowhere.toml"]].concat())
            .failed(1);
        assert!(
            said.starts_with("error: nowhere.toml: cannot be read: "),
            "{said}"
        );
    }
}

#[test]
fn wrong_words_are_2() {
    let place = Place::new("");
    for words in [
        &["chek"][..],
        &["up"],
        &["check", "--jsn"],
        &["log", "query", "--id", "x"],
        &[],
    ] {
        assert_eq!(place.run(words).code, 2, "{words:?}");
    }
}

#[test]
fn without_a_daemon_connections_cannot_be_had() {
    let place = Place::new(BRANCH);
    for words in [&["up", "branch"][..], &["down", "branch"], &["status"]] {
        let said = place.run(words).failed(1);
        assert!(said.contains("no daemon answers at control"), "{said}");
    }
}

#[test]
fn what_a_later_version_does_says_not_yet() {
    let place = Place::new("");
    assert!(
        place
            .run(&["inspect", "a.pcap"])
            .failed(1)
            .contains("not yet")
    );
    assert!(
        place
            .run(&["log", "export", "a.evtx"])
            .failed(1)
            .contains("not yet")
    );
}
