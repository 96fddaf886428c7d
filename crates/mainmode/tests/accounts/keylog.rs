//! The key log: off unless the configuration names its folder, loud while it is on, and never for others to read.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::{EVERYTHING, Place, Setup, Side, alone, pair, until};

fn cookies(side: &Side) -> Vec<String> {
    let text = fs::read_to_string(side.path("keys/ikev1_decryption_table")).unwrap_or_default();
    let cookie = |line: &str| line.split_once(',').expect("a comma").0.to_owned();
    text.lines().map(cookie).collect()
}

fn up_and_down(side: &Side) -> String {
    side.run(&["up", "peer"]).good();
    let cookie = side.status().main_mode_sas[0].initiator_cookie.clone();
    side.run(&["down", "peer"]).good();
    cookie
}

#[test]
fn keys_are_written_only_while_a_setting_names_their_folder() {
    let (north, _south) = pair(85, EVERYTHING, EVERYTHING);
    up_and_down(&north);
    let status = north.status();
    assert_eq!((status.key_log, status.alerts), (None, Vec::new()));
    north.edit("[log]", "[debug]\nkey-log = \"keys\"\n[log]");
    let said = north.run(&["reload"]).good();
    assert!(said.contains("KEYS ARE LOGGED"), "{said}");
    let second = up_and_down(&north);
    until("the key is written", || cookies(&north) == [second.clone()]);
    let status = north.status();
    let folder = north.path("keys").display().to_string();
    assert_eq!(status.key_log, Some(folder));
    assert!(
        status.alerts[0].contains("KEYS ARE LOGGED"),
        "{:?}",
        status.alerts
    );
    let said = north.run(&["status"]).good();
    assert!(said.contains("! KEYS ARE LOGGED"), "{said}");
    north.edit("[debug]\nkey-log = \"keys\"\n", "");
    let said = north.run(&["reload"]).good();
    assert!(said.contains("keys are no longer logged"), "{said}");
    up_and_down(&north);
    assert_eq!(cookies(&north), [second]);
    assert!(north.status().alerts.is_empty());
}

#[test]
fn a_folder_whose_keys_others_could_read_is_refused_at_a_reload_and_at_a_start() {
    let (mut side, _peer) = alone(86, EVERYTHING);
    let (folder, file) = (side.path("keys"), side.path("keys/esp_sa"));
    fs::create_dir(&folder).expect("made");
    fs::write(&file, "").expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("mode");
    side.edit("[log]", "[debug]\nkey-log = \"keys\"\n[log]");
    let ran = side.run(&["reload"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stderr.contains("mode 0644") && ran.stderr.contains("m.toml:4"),
        "{ran:?}"
    );
    assert_eq!(side.status().key_log, None);
    side.stop();
    let ran = side.run(&["run"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("mode 0644"), "{ran:?}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("mode");
    let said = side.run(&["check"]).good();
    assert!(said.contains("KEYS ARE LOGGED"), "{said}");
}

#[test]
fn a_start_with_a_key_log_says_so_first() {
    let (a, b) = (Place::new(87, 1), Place::new(87, 2));
    let _peer = b.silent();
    let audit = Some("ipsec-main-mode = []\n[debug]\nkey-log = \"keys\"");
    let mut side = Side::new(
        a,
        b,
        Setup {
            audit,
            ..EVERYTHING
        },
    );
    side.start();
    let said = side.said();
    let (loud, started) = (said.find("KEYS ARE LOGGED"), said.find("mainmode: started"));
    assert!(loud.is_some() && loud < started, "{said}");
}
