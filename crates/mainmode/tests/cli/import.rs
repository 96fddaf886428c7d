//! `import`.

use crate::place::Place;

const CONNECTION: &str = "connections { gw {\n version = 1\n remote_addrs = 192.0.2.1\n proposals = aes256-sha256-modp2048\n\
                          local { auth = psk }\n remote { auth = psk\n id = b.example } } }\n\
                          secrets { ike { secret = \"correct horse battery staple\" } }\n";

#[test]
fn what_has_an_equal_is_0_and_check_takes_what_was_written() {
    let place = Place::new("");
    place.write("gw.conf", CONNECTION);
    place.write("swanctl.conf", "include g*.conf\n");
    let ran = place.run(&["import", "swanctl.conf"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    place.write("imported.toml", &ran.stdout);
    let said = place.run(&["check", "-c", "imported.toml"]).good();
    assert_eq!(said, "imported.toml: good; 1 connection\n");
}

#[test]
fn a_bare_file_name_leads_to_the_folders_beside_it() {
    let place = Place::new("");
    let text = CONNECTION.replace("auth = psk", "auth = pubkey");
    let text = text.replacen("auth = pubkey", "auth = pubkey\n certs = us.pem", 1);
    place.write("swanctl.conf", &text);
    let ran = place.run(&["import", "swanctl.conf"]);
    let whole = format!("certificate = \"{}\"", place.path("x509/us.pem").display());
    assert!(ran.stdout.contains(&whole), "{}", ran.stdout);
}

#[test]
fn what_has_no_equal_is_3_and_named_with_file_and_line() {
    let place = Place::new("");
    let text = CONNECTION.replace("version = 1", "version = 1\n vips = 10.3.0.1");
    place.write("swanctl.conf", &text);
    let ran = place.run(&["import", "swanctl.conf"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stdout.contains("name = \"gw\""), "{}", ran.stdout);
    let said = "swanctl.conf:3: left out: connections.gw.vips: ";
    assert!(ran.stderr.starts_with(said), "{}", ran.stderr);
    let ran = place.run(&["import", "swanctl.conf", "--json"]);
    let facts: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(ran.code, 3);
    assert_eq!(facts["remarks"][0]["line"], 3);
    assert_eq!(facts["remarks"][0]["left_out"], true);
    assert!(
        facts["configuration"]
            .as_str()
            .is_some_and(|text| text.contains("[[connection]]"))
    );
}

#[test]
fn a_misspelt_section_is_3_and_named_with_file_and_line() {
    let place = Place::new("");
    let text = CONNECTION.replacen("connections", "\nconn", 1);
    place.write("swanctl.conf", &text);
    let ran = place.run(&["import", "swanctl.conf"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let said = "swanctl.conf:2: left out: conn: ";
    assert!(ran.stderr.starts_with(said), "{}", ran.stderr);
}

#[test]
fn a_file_that_swanctl_would_not_read_is_1_and_nothing_is_written() {
    let place = Place::new("");
    place.write("swanctl.conf", "connections {\n gw {\n");
    let ran = place.run(&["import", "swanctl.conf"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(
        ran.stderr
            .contains("swanctl.conf:2: error: this section has no }"),
        "{}",
        ran.stderr
    );
    assert_eq!(place.run(&["import", "absent.conf"]).code, 1);
}

#[test]
fn what_check_says_of_what_was_written_is_said() {
    let place = Place::new("");
    place.write(
        "swanctl.conf",
        &CONNECTION.replace("correct horse battery staple", "hunter2"),
    );
    let ran = place.run(&["import", "swanctl.conf"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("of what was written: the pre-shared key has only 7"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("hunter2"));
}
