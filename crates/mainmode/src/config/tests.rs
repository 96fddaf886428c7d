use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use eventlog::Retention;
use proptest::prelude::*;

use super::*;

fn load(text: &str) -> Result<Loaded, ConfigErrors> {
    Config::from_text(Path::new("mainmode.toml"), text.to_owned(), false)
}

fn good(text: &str) -> Config {
    load(text)
        .unwrap_or_else(|errors| panic!("{errors}"))
        .config
}

/// What `check` prints for a configuration that cannot be used.
fn bad(text: &str) -> String {
    match load(text) {
        Ok(_) => panic!("taken: {text}"),
        Err(errors) => errors.to_string(),
    }
}

fn warnings(text: &str) -> String {
    let loaded = load(text).unwrap_or_else(|errors| panic!("{errors}"));
    let rendered: Vec<String> = loaded.warnings.iter().map(Diagnostic::render).collect();
    rendered.join("\n").trim_end().to_owned()
}

const MINIMAL: &str = r#"
[[connection]]
name = "branch"
remote = { address = "198.51.100.7" }
auth = { psk = "correct horse battery staple" }
"#;

#[test]
fn what_is_left_out_has_the_documented_default() {
    let config = good(MINIMAL);
    assert!(config.audit.settings.is_empty());
    assert_eq!(config.log.directory, Path::new("/var/lib/mainmode/log"));
    assert_eq!(config.log.max_size, 128 << 20);
    assert_eq!(config.log.retention, Retention::Overwrite);
    assert_eq!(config.log.when_unwritable, WhenUnwritable::Continue);
    assert_eq!((config.listen.port, config.listen.nat_port), (500, 4500));
    assert_eq!(config.control.socket, Path::new("/run/mainmode/control"));
    let connection = config.connection("branch").expect("there");
    assert_eq!(connection.location.to_string(), "mainmode.toml:3:8");
    assert_eq!(connection.lifetime, Duration::from_hours(8));
    assert_eq!(connection.half_open_timeout, Duration::from_secs(30));
    assert_eq!(connection.evidence_hold, Duration::from_secs(5));
    let retransmit = Retransmit {
        tries: 5,
        first: Duration::from_secs(2),
        factor: 1.8,
    };
    assert_eq!(connection.retransmit, retransmit);
    assert_eq!(connection.dpd, None);
    assert_eq!(
        (connection.fragmentation, connection.fragment_size),
        (Fragmentation::Yes, 1280)
    );
    assert_eq!(
        (connection.encap, connection.start),
        (Encap::Auto, Start::Wait)
    );
    assert_eq!(
        (connection.local.address, &connection.local.id),
        (None, &None)
    );
    assert_eq!(
        (connection.remote.port, connection.remote.nat_port),
        (500, 4500)
    );
    assert!(!connection.proposals.is_empty());
    assert!(
        connection
            .proposals
            .iter()
            .all(|proposal| proposal.weak().is_empty())
    );
}

#[test]
fn every_key_is_read_into_its_place() {
    let config = good(
        r#"
[audit]
ipsec-main-mode = ["success", "failure"]
ipsec-driver = []
[log]
directory = "/tmp/log"
max-size = "64MiB"
retention = "archive"
when-unwritable = "refuse"
[listen]
addresses = ["127.0.0.1", "::1"]
port = 1500
nat-port = 14500
[control]
socket = "/tmp/control"
[[connection]]
name = "branch"
keying = ["ikev1"]
local  = { address = "127.0.0.1", id = "gw.example" }
remote = { address = "127.0.0.2", port = 2500, nat-port = 24500, id = "C=CH, CN=branch" }
auth   = [{ psk = "0x000102030405060708090a0b0c0d0e0f" }]
proposals = ["aes256-sha256-modp2048", "aes128-sha256-ecp256"]
lifetime = "1h"
retransmit = { tries = 1, first = "200ms", factor = 2 }
half-open-timeout = "3s"
evidence-hold = "300ms"
dpd = { delay = "10s", timeout = "40s" }
fragmentation = "force"
fragment-size = 600
encap = "force"
dataplane = "none"
start = "auto"
[[connection]]
name = "roaming"
remote = { address = "2001:db8::/32" }
auth   = { psk = "another key of some length" }
dpd = "none"
"#,
    );
    let at = |line, column| Location {
        file: "mainmode.toml".into(),
        line,
        column,
    };
    let main_mode = (
        audit::Subcategory::IpsecMainMode,
        audit::Setting::BOTH,
        at(3, 1),
    );
    let driver = (
        audit::Subcategory::IpsecDriver,
        audit::Setting::NO_AUDITING,
        at(4, 1),
    );
    assert_eq!(config.audit.settings, [main_mode, driver]);
    assert_eq!(config.log.retention, Retention::Archive);
    assert_eq!(config.log.when_unwritable, WhenUnwritable::Refuse);
    assert_eq!((config.listen.port, config.listen.nat_port), (1500, 14_500));
    let branch = &config.connections[0];
    assert_eq!(
        branch.psk().expect("a key").as_bytes(),
        (0..16).collect::<Vec<u8>>()
    );
    assert_eq!((branch.local.port, branch.local.nat_port), (1500, 14_500));
    assert_eq!((branch.remote.port, branch.remote.nat_port), (2500, 24_500));
    assert_eq!(
        branch.remote.id.as_ref().expect("id").to_string(),
        "C=CH, CN=branch"
    );
    assert_eq!(branch.proposals[1].to_string(), "aes128-sha256-ecp256");
    assert_eq!(branch.retransmit.first, Duration::from_millis(200));
    let dpd = Dpd {
        delay: Duration::from_secs(10),
        timeout: Duration::from_secs(40),
    };
    assert_eq!(branch.dpd, Some(dpd));
    assert_eq!(branch.start, Start::Auto);
    assert_eq!(
        config.connections[1].remote.address.to_string(),
        "2001:db8::/32"
    );
    assert_eq!(config.connections[1].dpd, None);
}

#[test]
fn paths_are_relative_to_the_file() {
    let text = "[log]\ndirectory = \"log\"\n[control]\nsocket = \"/run/x\"\n";
    let config = Config::from_text(Path::new("/etc/m/a.toml"), text.to_owned(), false);
    let config = config.expect("good").config;
    assert_eq!(config.log.directory, Path::new("/etc/m/log"));
    assert_eq!(config.control.socket, Path::new("/run/x"));
}

#[test]
fn the_file_wins_over_the_stored_policy_where_it_sets_something() {
    use audit::{Policy, Setting, Subcategory as S};
    let config = good("[audit]\nipsec-main-mode = [\"failure\"]\n");
    let mut stored = Policy::default();
    stored.set(S::IpsecMainMode, Some(Setting::BOTH));
    stored.set(S::IpsecDriver, Some(Setting::SUCCESS));
    let policy = config.audit.over(&stored);
    assert_eq!(policy.get(S::IpsecMainMode), Some(Setting::FAILURE));
    assert_eq!(policy.get(S::IpsecDriver), Some(Setting::SUCCESS));
    assert_eq!(policy.get(S::IpsecQuickMode), None);
    let location = config.audit.governs(S::IpsecMainMode).expect("governed");
    assert_eq!(location.to_string(), "mainmode.toml:2:1");
    assert_eq!(config.audit.governs(S::IpsecDriver), None);
}

fn sockets(text: &str) -> Vec<String> {
    let sockets = good(text).listen_sockets();
    let shown = |s: &ListenSocket| format!("{}{}", s.address, if s.nat { " nat" } else { "" });
    sockets.iter().map(shown).collect()
}

#[test]
fn the_sockets_are_those_of_listen_and_of_the_connections() {
    let wildcards = [
        "0.0.0.0:500",
        "0.0.0.0:4500 nat",
        "[::]:500",
        "[::]:4500 nat",
    ];
    assert_eq!(sockets(MINIMAL), wildcards);
    let local = |local: &str| MINIMAL.replace("remote", &format!("local = {local}\nremote"));
    assert_eq!(
        sockets(&local(
            "{ address = \"127.0.0.1\", port = 1500, nat-port = 14500 }"
        )),
        ["127.0.0.1:1500", "127.0.0.1:14500 nat"]
    );
    let with_listen = format!(
        "[listen]\naddresses = [\"0.0.0.0\"]\n{}",
        local("{ address = \"192.0.2.1\", nat-port = 14500 }")
    );
    assert_eq!(
        sockets(&with_listen),
        ["0.0.0.0:500", "0.0.0.0:4500 nat", "192.0.2.1:14500 nat"]
    );
}

/// Each case: what is written, and all that `check` says about it, word for word.
#[test]
fn errors_name_file_line_column_what_is_wrong_and_what_to_write() {
    let golden = include_str!("golden.txt");
    let mut cases = 0;
    let mut rewritten = String::new();
    for case in golden.split("=== ").skip(1) {
        let (title, rest) = case.split_once('\n').expect("a title");
        let (text, said) = rest.split_once("--- says\n").expect("an answer");
        let answer = match load(text) {
            Ok(loaded) => {
                let rendered: Vec<String> =
                    loaded.warnings.iter().map(Diagnostic::render).collect();
                rendered.join("\n").trim_end().to_owned()
            }
            Err(errors) => errors.to_string(),
        };
        for part in ["=== ", title, "\n", text, "--- says\n", &answer, "\n\n"] {
            rewritten.push_str(part);
        }
        if std::env::var_os("UPDATE_GOLDEN").is_none() {
            assert_eq!(answer, said.trim_end(), "{title}");
        }
        cases += 1;
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/golden.txt");
        fs::write(path, rewritten).expect("written");
    }
    assert!(cases > 40, "{cases}");
}

fn with_psk_file(mode: u32, content: &str) -> Result<Loaded, ConfigErrors> {
    let folder = tempfile::tempdir().expect("folder");
    let key = folder.path().join("a.psk");
    fs::write(&key, content).expect("written");
    fs::set_permissions(&key, fs::Permissions::from_mode(mode)).expect("mode");
    let file = folder.path().join("m.toml");
    let text = MINIMAL.replace(
        "psk = \"correct horse battery staple\"",
        "psk-file = \"a.psk\"",
    );
    fs::write(&file, text).expect("written");
    Config::load(&file)
}

#[test]
fn a_key_file_is_found_beside_the_configuration() {
    let loaded = with_psk_file(0o600, "correct horse battery staple\n").expect("good");
    let psk = loaded.config.connections[0]
        .psk()
        .expect("a key")
        .as_bytes()
        .to_vec();
    assert_eq!(psk, b"correct horse battery staple");
    assert!(loaded.warnings.is_empty());
}

#[test]
fn a_key_file_that_ends_in_more_than_one_newline_is_asked_about() {
    for (end, said) in [
        ("\r\n", "a carriage return, as Windows ends its lines"),
        ("\n\n", "a newline"),
        (" \n", "a blank"),
    ] {
        let content = format!("correct horse battery staple{end}");
        let loaded = with_psk_file(0o600, &content).expect("good");
        let warnings: Vec<String> = loaded.warnings.iter().map(Diagnostic::render).collect();
        let [warning] = warnings.as_slice() else {
            panic!("{warnings:?}");
        };
        assert!(
            warning.contains(&format!("warning: the key ends in {said}; is that meant?")),
            "{warning}"
        );
        assert!(!warning.contains("correct horse"), "{warning}");
    }
}

#[test]
fn a_key_file_that_others_can_read_is_an_error_that_says_what_to_do() {
    let errors = with_psk_file(0o644, "correct horse battery staple\n").expect_err("refused");
    let text = errors.to_string();
    assert!(
        text.contains("can be read or written by group or others (mode 0644)"),
        "{text}"
    );
    assert!(text.contains("help: chmod 600 the file"), "{text}");
    assert!(text.contains("m.toml:5:"), "{text}");
}

#[test]
fn an_inline_key_in_a_file_that_others_can_read_is_warned_of() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("m.toml");
    fs::write(&file, MINIMAL).expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("mode");
    assert_eq!(Config::load(&file).expect("good").warnings.len(), 1);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("mode");
    assert!(Config::load(&file).expect("good").warnings.is_empty());
}

#[test]
fn no_secret_is_shown_whatever_is_wrong_beside_it() {
    for text in [
        "[[connection]]\nauth = { psk = \"hunter2hunter2\", foo = 1 }",
        "[[connection]]\nauth = { psk = \"hunter2hunter2\", psk-file = \"x\" }",
        "[[connection]]\nauth = { psk = \"hunter2hunter2\" ",
        "[[connection]]\nauth = { psk = \"hunter2hunter2 }",
        "[[connection]]\nauth = { psk = hunter2hunter2 }",
        "[[connection]]\nauth = { psk = '''\nhunter2hunter2''' }\nx = 1",
        "[[connection]]\nauth = { psk = \"0xhunter2\" }",
        "[[connection]]\nauth = { psk = [\"hunter2\"] }",
        "[[connection]]\nauth = \"hunter2\"",
        "[[connection]]\nauth = { pks = \"hunter2\" }",
        "[[connection]]\nauth = { secret = [\"hunter2\", { of = \"hunter2\" }] }",
        "[[connection]]\nxauth = \"carol:hunter2\"",
        "[[connection]]\nxauth = { user = \"carol\", passwort = \"hunter2\" }",
        "[[connection]]\nxauth = { users = [{ name = \"carol\", passwd = \"hunter2\" }] }",
        "[[connection]]\nauth = [\"hunter2\"]",
        "[connection.auth]\npsk = \"hunter2\"\npsk = \"hunter2\"",
    ] {
        let said = bad(text);
        assert!(!said.contains("hunter2"), "{said}");
    }
    let shown = format!("{:?}", good(MINIMAL));
    assert!(!shown.contains("horse"), "{shown}");
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load(Path::new("/nonexistent/m.toml"))
        .expect_err("missing")
        .to_string();
    assert!(
        error.starts_with("error: /nonexistent/m.toml: cannot be read: "),
        "{error}"
    );
}

fn pair(a: &str, b: &str) -> String {
    format!(
        "[[connection]]\nname = \"a\"\n{a}\nauth = {{ psk = \"the first key of these two\" }}\n\
         [[connection]]\nname = \"b\"\n{b}\nauth = {{ psk = \"the other key of these two\" }}\n"
    )
}

#[test]
fn remotes_that_overlap_must_share_their_secret() {
    let remote = |address: &str| format!("remote = {{ address = {address} }}");
    for (a, b) in [
        ("\"any\"", "\"198.51.100.7\""),
        ("\"any\"", "\"any\", id = \"b.example\""),
        ("\"198.51.100.0/24\"", "\"198.51.100.7\""),
        ("\"198.51.100.0/24\"", "\"198.51.0.0/16\""),
        ("\"198.51.100.5-198.51.100.9\"", "\"198.51.100.0/29\""),
        ("\"198.51.100.5-198.51.100.9\"", "\"198.51.100.9\""),
        ("\"198.51.100.7\"", "\"198.51.100.7\", id = \"b.example\""),
        ("\"198.51.100.7\"", "\"198.51.100.7\", port = 1500"),
        ("\"b.example\"", "\"B.example\""),
        ("\"any\"", "\"b.example\""),
    ] {
        let text = pair(&remote(a), &remote(b));
        assert!(bad(&text).contains("pre-shared keys differ"), "{a} {b}");
        let shared = text.replace("the other key", "the first key");
        assert_eq!(warnings(&shared), "", "{a} {b}");
    }
    for (a, b) in [
        ("\"198.51.100.6\"", "\"198.51.100.7\""),
        ("\"198.51.100.0/25\"", "\"198.51.100.128/25\""),
        ("\"0.0.0.0/0\"", "\"2001:db8::1\""),
        ("\"198.51.100.5-198.51.100.9\"", "\"198.51.100.16/28\""),
        ("\"127.0.0.1\", port = 1500", "\"127.0.0.1\", port = 2500"),
    ] {
        assert_eq!(warnings(&pair(&remote(a), &remote(b))), "", "{a} {b}");
    }
    let two_locals = pair(
        "local = { address = \"192.0.2.1\" }\nremote = { address = \"any\" }",
        "local = { address = \"192.0.2.2\" }\nremote = { address = \"any\" }",
    );
    assert_eq!(warnings(&two_locals), "");
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _ = load(&text);
    }

    #[test]
    fn no_value_of_any_key_panics(
        at in 0..keys::KEYS.len(),
        value in prop_oneof![
            Just("1".to_owned()), Just("-1".to_owned()), Just("0xff".to_owned()), Just("1.5".to_owned()),
            Just("nan".to_owned()), Just("99999999999999999999".to_owned()), Just("true".to_owned()),
            Just("[]".to_owned()), Just("[1]".to_owned()), Just("[[]]".to_owned()), Just("{}".to_owned()),
            Just("[{}]".to_owned()), Just("{ a = 1 }".to_owned()), Just("1979-05-27".to_owned()),
            "\"[ -~]{0,20}\"", "\\PC{0,20}", "[0-9]{0,20}[a-z]{0,3}",
        ],
    ) {
        let key = keys::KEYS[at];
        let text = match key.table {
            "" => format!("{} = {value}\n", key.name),
            "connection" => format!("[[connection]]\n{} = {value}\n", key.name),
            table => match table.strip_prefix("connection.") {
                Some(inner) => format!("[[connection]]\n{inner} = {{ {} = {value} }}\n", key.name),
                None => format!("[{table}]\n{} = {value}\n", key.name),
            },
        };
        let _ = load(&text);
    }

    #[test]
    fn a_changed_byte_of_a_good_file_never_panics(at in 0..MINIMAL.len(), to in any::<char>()) {
        let mut text = MINIMAL.to_owned();
        text.replace_range(at..=at, &to.to_string());
        let _ = load(&text);
    }
}
