mod remote_access;
mod trust;

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::config::{Config, Exchange, Loaded, RemoteAddress, Start};

const PSK: &str = "secrets { ike-1 { secret = \"correct horse battery staple\" } }\n";

/// Imports a text, as if it stood in that file.
fn text(path: &Path, text: &str, plane: DataPlane) -> Imported {
    let root = settings::read_text(path, text).unwrap_or_else(|why| panic!("{why}"));
    let root = references::resolve(&root).unwrap_or_else(|why| panic!("{why}"));
    import(&root, path.parent().expect("a folder"), &[], plane)
}

/// What a connection with these keys, and both rounds of a pre-shared key, becomes.
fn connection(keys: &str) -> Imported {
    let all = format!(
        "connections {{ gw {{\nversion = 1\nproposals = aes256-sha256-modp2048\n{keys}\n\
         local {{ auth = psk }}\nremote {{ auth = psk\n id = b.example }} }} }}\n{PSK}"
    );
    text(
        Path::new("/etc/swanctl/swanctl.conf"),
        &all,
        DataPlane::Kernel,
    )
}

fn loaded(imported: &Imported) -> Loaded {
    let text = imported.text.to_string();
    Config::from_text(Path::new("/m.toml"), text.clone(), false)
        .unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

fn remarks(imported: &Imported) -> Vec<(&str, bool)> {
    let remarks = imported.remarks.iter();
    remarks
        .map(|one| (one.setting.as_str(), one.left_out))
        .collect()
}

#[test]
fn a_whole_connection_becomes_its_equal() {
    let imported = text(
        Path::new("/etc/swanctl/swanctl.conf"),
        "defaults {\n version = 1\n proposals = aes256-sha256-modp2048, aes128-sha1-modp1536\n dpd_delay = 30s\n }\n\
         connections {\n gw : defaults {\n local_addrs = 192.0.2.1\n remote_addrs = 198.51.100.7\n \
         rekey_time = 2h\n over_time = 10m\n encap = yes\n fragmentation = force\n dpd_timeout = 90\n\
         local { auth = psk\n id = gw.example }\n remote { auth = psk\n id = fqdn:branch.example }\n\
         children { net {\n local_ts = 10.1.0.0/16\n remote_ts = 10.2.3.4/16[tcp/22]\n esp_proposals = aes256gcm16-ecp256\n\
         rekey_time = 30m\n life_bytes = 500M\n mark_in = 42\n mark_out = 0x2a\n start_action = start\n dpd_action = restart\n\
         if_id_in = 7\n if_id_out = 7\n replay_window = 128\n ipcomp = yes } } } }\n\
         secrets {\n ike-branch {\n id-a = gw.example\n id-b = branch.example\n secret = 0sY29ycmVjdCBob3JzZSBiYXR0ZXJ5\n } }\n",
        DataPlane::Kernel,
    );
    assert_eq!(remarks(&imported), []);
    assert!(!imported.incomplete());
    assert_eq!(
        imported.text.as_str(),
        r#"# Imported from a swanctl.conf of strongSwan's. Negotiations are audited once [audit] says so.

[[connection]]
name = "gw"
local = { address = "192.0.2.1", id = "gw.example" }
remote = { address = "198.51.100.7", id = "@branch.example" }
auth = { psk = "0sY29ycmVjdCBob3JzZSBiYXR0ZXJ5" }
proposals = ["aes256-sha256-modp2048", "aes128-sha1-modp1536"]
lifetime = "7800s"
dpd = { delay = "30s", timeout = "90s" }
fragmentation = "force"
encap = "force"
dataplane = "kernel"
start = "auto"

[[connection.child]]
name = "net"
local = ["10.1.0.0/16"]
remote = ["10.2.0.0/16[tcp/22]"]
proposals = ["aes256gcm16-ecp256"]
compress = true
lifetime = "1980s"
lifetime-bytes = "524288000B"
replay-window = 128
mark = "0x2a/0xffffffff"
interface-id = 7
"#
    );
    assert_eq!(loaded(&imported).warnings, []);
}

/// Every key of swanctl.conf(5) that has no equal is named when it asks for something.
#[test]
fn every_setting_without_an_equal_is_named_with_its_line() {
    for key in [
        "vips = 10.3.0.1",
        "vips = clients",
        "pools = a",
        "pull = maybe",
        "dscp = 101110",
        "ppk_id = a",
        "send_certreq = no",
        "rand_time = 1h",
        "unique = replace",
        "keyingtries = 3",
        "keyingtries = 0",
        "local_addrs = 10.0.0.0/8",
        "rekey_time = 0",
        "rekey_time = soon",
        "fragmentation = accept",
        "fragmentation = maybe",
        "dpd_delay = never",
        "remote_port = x",
        "encap = maybe",
        "no_such_key = 1",
        "remote_addrs = 192.0.2.0/24\nchildren { a { start_action = start } }",
    ] {
        let imported = connection(key);
        let name = key.split(' ').next().expect("a key");
        let said = imported
            .remarks
            .iter()
            .find(|one| one.setting == format!("connections.gw.{name}") || name == "remote_addrs");
        let said = said.unwrap_or_else(|| panic!("{key}: {:?}", imported.remarks));
        assert!(
            said.left_out && said.place.line == if name == "remote_addrs" { 1 } else { 4 },
            "{key}: {said:?}"
        );
        assert!(imported.incomplete());
        assert_eq!(loaded(&imported).config.connections.len(), 1, "{key}");
    }
    for key in [
        "updown = /x",
        "hostaccess = yes",
        "policies = no",
        "policies_fwd_out = yes",
        "ipcomp = maybe",
        "inactivity = 60",
        "reqid = 1",
        "priority = 1",
        "interface = eth0",
        "mark_in_sa = yes",
        "set_mark_in = 1",
        "set_mark_out = 1",
        "tfc_padding = mtu",
        "hw_offload = yes",
        "hw_offload = auto",
        "copy_df = no",
        "copy_ecn = no",
        "copy_dscp = in",
        "per_cpu_sas = yes",
        "icmp = yes",
        "sha256_96 = yes",
        "rand_time = 1",
        "rand_bytes = 1",
        "rand_packets = 1",
        "dpd_action = restart",
        "close_action = trap",
        "start_action = sometimes",
        "start_action = trap|start",
        "life_time = 0",
        "life_bytes = 5",
        "mark_in = 1",
        "mark_in = %unique",
        "if_id_in = 1",
        "if_id_in = %unique",
        "replay_window = 100000",
        "mode = beet",
        "mode = drop",
        "local_ts = 10.0.0.0/8[tcp/1-2]",
        "esp_proposals = chacha20poly1305",
        "no_such_key = 1",
    ] {
        let keys = format!("remote_addrs = 192.0.2.1\nchildren {{ net {{\n{key}\n}} }}");
        let imported = connection(&keys);
        let name = key.split(' ').next().expect("a key");
        let path = format!("connections.gw.children.net.{name}");
        let said = imported.remarks.iter().find(|one| one.setting == path);
        let said = said.unwrap_or_else(|| panic!("{key}: {:?}", imported.remarks));
        assert!(said.left_out && said.place.line == 6, "{key}: {said:?}");
        loaded(&imported);
    }
}

/// Several selectors are told of as they could be written, and what could not is told apart.
#[test]
fn what_is_said_of_more_selectors_is_what_mainmode_takes() {
    for (texts, written, cannot) in [
        (
            "10.1.0.0/16,10.2.3.4/16,10.1.9.9/16,10.3.0.1,10.3.0.1/32",
            "local = [\"10.1.0.0/16\", \"10.2.0.0/16\", \"10.3.0.1\"]",
            None,
        ),
        (
            "10.1.0.0/16,10.2.0.0/16[tcp/80-90]",
            "",
            Some("\"10.2.0.0/16[tcp/80-90]\""),
        ),
        (
            "10.1.0.0/16[udp/53], 10.2.0.0/16[tcp/80-90], 10.3.0.0/16",
            "local = [\"10.1.0.0/16[udp/53]\", \"10.3.0.0/16\"]",
            Some("\"10.2.0.0/16[tcp/80-90]\""),
        ),
    ] {
        let imported = connection(&format!(
            "remote_addrs = 192.0.2.1\nchildren {{ net {{\nlocal_ts = {texts}\n}} }}"
        ));
        assert_eq!(
            remarks(&imported),
            [("connections.gw.children.net.local_ts", false)]
        );
        let why = &imported.remarks[0].why;
        assert!(!why.contains('\\'), "{why}");
        assert_eq!(why.contains("cannot be had"), cannot.is_some(), "{why}");
        assert!(cannot.is_none_or(|text| why.contains(text)), "{why}");
        assert_eq!(why.contains("local = "), !written.is_empty(), "{why}");
        assert!(why.contains(written), "{why}");
        // Put in its place, it is taken.
        if !written.is_empty() {
            let text = imported.text.lines().map(|line| {
                if line.starts_with("local = [") {
                    written
                } else {
                    line
                }
            });
            let text = text.collect::<Vec<_>>().join("\n");
            let loaded = Config::from_text(Path::new("/m.toml"), text, false);
            loaded.unwrap_or_else(|errors| panic!("{errors}"));
        }
    }
}

/// A connection to one peer or to any, whose proposals and whose child's these are; without a key where there are none.
fn proposing(remote: &str, ike: &str, child: &str) -> Imported {
    let all = format!(
        "connections {{ gw {{ version = 1\n remote_addrs = {remote}\n proposals = {ike}\n local {{ auth = psk\n }}\n\
         remote {{ auth = psk\n id = b.example\n }}\n children {{ net {{\n {child}\n }} }} }} }}\n{PSK}"
    );
    text(
        Path::new("/etc/swanctl/swanctl.conf"),
        &all,
        DataPlane::Kernel,
    )
}

#[test]
fn without_proposals_charons_default_is_written_and_what_it_lacks_is_said_once() {
    for (remote, ike, count) in [
        ("192.0.2.1", "", 32),
        ("192.0.2.0/24, 192.0.2.1", "default", 32),
        ("%any", "", 63),
        ("192.0.2.0/24", "default, default", 63),
    ] {
        let imported = proposing(remote, ike, "");
        let said = remarks(&imported);
        let count_of = |name: &str| said.iter().filter(|(one, _)| *one == name).count();
        assert_eq!(count_of("connections.gw.proposals"), 1, "{said:?}");
        assert!(said.iter().all(|(_, left_out)| !left_out));
        for connection in loaded(&imported).config.connections {
            let texts: Vec<String> = connection
                .proposals
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(texts.len(), count, "{remote}");
            assert_eq!(texts[0], "aes128-sha256-x25519");
            let child = &connection.children[0].proposals;
            assert_eq!(child.len(), 18);
            // Without perfect forward secrecy, as charon has it.
            assert!(child.iter().all(|one| one.group.is_none()));
        }
    }
    let named = proposing(
        "%any",
        "aes128-sha1-modp1024, default",
        "ah_proposals = sha256\n esp_proposals = aes256gcm16-ecp384, default",
    );
    let connection = &loaded(&named).config.connections[0];
    assert_eq!(connection.proposals.len(), 64);
    assert_eq!(connection.proposals[0].to_string(), "aes128-sha1-modp1024");
    let child: Vec<String> = connection.children[0]
        .proposals
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        child[..3],
        ["ah-sha256", "aes256gcm16-ecp384", "aes128gcm16"]
    );
    assert_eq!(child.len(), 20);
    // A child of AH alone has no default of ESP.
    let ah = proposing("%any", "aes256-sha256-ecp256", "ah_proposals = sha256");
    assert!(ah.text.contains("proposals = [\"ah-sha256\"]"));
    assert_eq!(remarks(&ah), []);
}

#[test]
fn every_combination_of_a_proposal_is_written_up_to_the_limit_and_the_rest_is_named() {
    let imported = proposing(
        "192.0.2.1",
        "aes256-aes128-sha256-sha1-modp2048-modp1536",
        "esp_proposals = aes256-aes128-sha256-esn-noesn",
    );
    assert_eq!(remarks(&imported), []);
    let connection = &loaded(&imported).config.connections[0];
    assert_eq!(connection.proposals.len(), 8);
    let child = connection.children[0].proposals.iter();
    let child: Vec<String> = child.map(ToString::to_string).collect();
    assert_eq!(
        child,
        [
            "aes256-sha256-esn",
            "aes256-sha256",
            "aes128-sha256-esn",
            "aes128-sha256"
        ]
    );
    let all = "aes256-aes192-aes128-sha512-sha384-sha256-modp2048-modp3072-modp4096-ecp256";
    let many = proposing("192.0.2.1", all, "");
    assert_eq!(remarks(&many), [("connections.gw.proposals", false)]);
    assert!(many.remarks[0].why.contains("some 1432 bytes"));
    let more = proposing("%any", &format!("{all}, {all}-sha1-ecp384-ecp521"), "");
    assert_eq!(remarks(&more), [("connections.gw.proposals", true)]);
    let why = &more.remarks[0].why;
    assert!(why.starts_with("aes128-sha256-ecp384 and those"), "{why}");
    assert_eq!(loaded(&more).config.connections[0].proposals.len(), 64);
    let mixed = proposing(
        "%any",
        "aes256-sha256-ecp256",
        "esp_proposals = aes256gcm16-aes256-sha256, aes256-sha256",
    );
    let name = "connections.gw.children.net.esp_proposals";
    assert_eq!(remarks(&mixed), [(name, true)]);
}

/// What charon 5.9.8 offers for an SA of IKE.
#[test]
fn the_lifetime_of_an_ike_sa_is_what_charon_offers() {
    for (keys, seconds) in [
        ("", 4 * 3600 + 24 * 60),
        ("rekey_time = 1d\nreauth_time = 3h", 324 * 60),
        ("rekey_time = 1h\nreauth_time = 3h", 198 * 60),
        ("reauth_time = 3h", 198 * 60),
        ("rekey_time = 2h", 132 * 60),
        ("rekey_time = 2h\nreauth_time = 0", 132 * 60),
        ("rekey_time = 0\nreauth_time = 3h\nover_time = 0", 180 * 60),
        ("rekey_time = 2h\nreauth_time = 1h\nover_time = 5m", 65 * 60),
    ] {
        let imported = connection(keys);
        assert_eq!(remarks(&imported), [], "{keys}");
        let lifetime = loaded(&imported).config.connections[0].lifetime;
        assert_eq!(lifetime.as_secs(), seconds, "{keys}");
    }
    for key in ["rekey_time = 99999d", "reauth_time = 99999d"] {
        let imported = connection(key);
        let name = key.split(' ').next().expect("a key");
        assert_eq!(
            remarks(&imported),
            [(&*format!("connections.gw.{name}"), true)]
        );
        loaded(&imported);
    }
}

const PLANES: [DataPlane; 3] = [DataPlane::Kernel, DataPlane::User, DataPlane::None];

#[test]
fn what_a_data_plane_does_not_have_is_left_out_by_name() {
    let child = |keys: &str, plane: DataPlane| {
        let all = format!(
            "connections {{ gw {{ version = 1\n proposals = aes256-sha256-ecp256\n remote_addrs = 192.0.2.1\n\
             local {{ auth = psk\n }}\n remote {{ auth = psk\n id = b.example\n }}\n\
             children {{ good {{ esp_proposals = aes256-sha256\n }}\n net {{\n {keys}\n }} }} }} }}\n{PSK}"
        );
        text(Path::new("/etc/swanctl/swanctl.conf"), &all, plane)
    };
    let esp = "esp_proposals = aes256-sha256\n";
    for (keys, setting, children) in [
        (format!("{esp} mark_in = 5\n mark_out = 5"), "mark_in", 2),
        (format!("{esp} if_id_in = 5\n if_id_out = 5"), "if_id_in", 2),
        (format!("{esp} mode = transport"), "mode", 1),
        (
            "ah_proposals = sha256, default".to_owned(),
            "ah_proposals",
            1,
        ),
        (
            "esp_proposals = camellia256-sha256".to_owned(),
            "esp_proposals",
            1,
        ),
        (
            "esp_proposals = camellia256-aes256-aesxcbc-sha1".to_owned(),
            "esp_proposals",
            2,
        ),
    ] {
        for plane in PLANES {
            let imported = child(&keys, plane);
            let name = format!("connections.gw.children.net.{setting}");
            let said = imported
                .remarks
                .iter()
                .any(|one| one.setting == name && one.left_out);
            assert_eq!(
                said,
                plane == DataPlane::User,
                "{keys}: {:?}",
                imported.remarks
            );
            let children = if plane == DataPlane::User {
                children
            } else {
                2
            };
            let connection = &loaded(&imported).config.connections[0];
            assert_eq!(connection.children.len(), children, "{keys}");
            assert!(
                connection.children[children - 1]
                    .proposals
                    .iter()
                    .all(|one| plane != DataPlane::User || one.sealable())
            );
        }
    }
    for plane in PLANES {
        let imported = child(&format!("{esp} start_action = trap"), plane);
        let none = plane == DataPlane::None;
        assert_eq!(
            loaded(&imported).config.connections[0].start,
            if none { Start::Wait } else { Start::OnDemand }
        );
        let name = "connections.gw.children.net.start_action";
        assert_eq!(
            imported
                .remarks
                .iter()
                .any(|one| one.setting == name && one.left_out),
            none
        );
    }
}

#[test]
fn a_connection_that_waits_is_told_so_once() {
    let imported = connection(
        "remote_addrs = %any\nchildren { a { start_action = trap\n esp_proposals = aes256-sha256 }\n\
         b { start_action = start\n esp_proposals = aes256-sha256 }\n c { esp_proposals = aes256-sha256 } }",
    );
    assert_eq!(remarks(&imported), [("connections.gw.children", true)]);
    assert_eq!(loaded(&imported).config.connections[0].start, Start::Wait);
}

#[test]
fn what_would_make_the_whole_refused_is_left_out_alone() {
    for (keys, setting) in [
        ("remote_port = 4500", "remote_port"),
        ("local_port = 4500", "local_port"),
        ("dpd_delay = 9d", "dpd_delay"),
        ("dpd_delay = 1h\ndpd_timeout = 9d", "dpd_timeout"),
        ("children { a! { }\na? { } }", "children.a?"),
        (
            "children { a { local_ts = 10.0.0.0/8\n remote_ts = 2001:db8::/32 } }",
            "children.a.remote_ts",
        ),
        (
            "children { a { life_time = 99999d } }",
            "children.a.life_time",
        ),
    ] {
        let imported = connection(&format!("remote_addrs = 192.0.2.1\n{keys}"));
        let all = remarks(&imported);
        let name = format!("connections.gw.{setting}");
        assert!(all.contains(&(name.as_str(), true)), "{keys}: {all:?}");
        assert_eq!(loaded(&imported).config.connections.len(), 1, "{keys}");
    }
}

#[test]
fn what_a_connection_becomes_has_the_name_of_no_other() {
    let one = |name: &str, remotes: &str| {
        format!(
            "{name} {{ version = 1\n proposals = aes256-sha256-ecp256\n remote_addrs = {remotes}\n local {{ auth = psk\n }}\n\
             remote {{ auth = psk\n id = b.example\n }} }}\n"
        )
    };
    let all = format!(
        "connections {{ {}{}{} }}\n{PSK}",
        one("gw", "192.0.2.1, 192.0.2.2"),
        one("gw-2", "192.0.2.3, 192.0.2.4"),
        one("gw-2-2", "192.0.2.5")
    );
    let imported = text(Path::new("/s.conf"), &all, DataPlane::Kernel);
    let config = loaded(&imported).config;
    let names: Vec<&str> = config
        .connections
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["gw", "gw-3", "gw-2", "gw-2-3", "gw-2-2"]);
}

#[test]
fn of_connections_whose_keys_could_not_be_told_apart_the_first_stays_and_the_others_are_named() {
    let one = |name: &str, remote: &str| {
        format!(
            "{name} {{ version = 1\n proposals = aes256-sha256-ecp256\n remote_addrs = {remote}\n local {{ auth = psk\n }}\n\
             remote {{ auth = psk\n id = {name}.example\n }} }}\n"
        )
    };
    let connections: String = [
        ("a", "192.0.2.0/24"),
        ("b", "192.0.2.1, 10.0.0.1"),
        ("c", "10.0.0.0/8"),
        ("d", "%any6"),
    ]
    .map(|(name, remote)| one(name, remote))
    .concat();
    let secrets: String = ["a", "b", "c", "d"]
        .map(|name| {
            format!(
                "ike-{name} {{ id = {name}.example\n secret = \"HUSH, the secret of {name}\" }}\n"
            )
        })
        .concat();
    let all = format!("connections {{ {connections} }}\nsecrets {{ {secrets} }}\n");
    let imported = text(Path::new("/s.conf"), &all, DataPlane::Kernel);
    let config = loaded(&imported).config;
    let names: Vec<&str> = config
        .connections
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["a", "b-2", "d"]);
    let said: Vec<&Remark> = imported.remarks.iter().filter(|one| one.left_out).collect();
    let settings: Vec<&str> = said.iter().map(|one| one.setting.as_str()).collect();
    assert_eq!(settings, ["connections.b", "connections.c"]);
    assert!(said.iter().all(|one| !one.why.contains("HUSH")), "{said:?}");
}

#[test]
fn attempts_without_an_end_are_what_start_auto_does_and_that_is_said() {
    let imported = connection(
        "remote_addrs = 192.0.2.1\nkeyingtries = 0\nchildren { net { start_action = start } }",
    );
    assert_eq!(remarks(&imported), [("connections.gw.keyingtries", false)]);
    assert!(!imported.incomplete());
}

#[test]
fn what_stands_where_swanctl_reads_nothing_is_named_with_its_line() {
    let imported = text(
        Path::new("/etc/swanctl/swanctl.conf"),
        "top = 1\n\
         conn {\n a { version = 1 }\n }\n\
         defaults { version = 1 }\n\
         templates {\n used { proposals = aes256-sha256-modp2048 }\n unused { version = 1 }\n key = 1\n }\n\
         connections {\n a = b\n gw : defaults, templates.used {\n remote_addrs = 192.0.2.1\n local { auth = psk }\n\
         remote { auth = psk\n id = b.example }\n children {\n c = d\n net { }\n }\n }\n }\n\
         pools {\n e = f\n }\n\
         authorities {\n g = h\n cleared =\n }\n\
         secrets {\n i = HUSH\n ike { secret = \"correct horse battery staple\" }\n }\n",
        DataPlane::Kernel,
    );
    let said: Vec<(&str, usize, bool)> = imported
        .remarks
        .iter()
        .map(|one| (one.setting.as_str(), one.place.line, one.left_out))
        .collect();
    assert_eq!(
        said,
        [
            ("top", 1, true),
            ("conn", 2, true),
            ("templates.unused", 8, true),
            ("templates.key", 9, true),
            ("connections.a", 12, true),
            ("connections.gw.children.c", 19, true),
            ("pools.e", 25, true),
            ("authorities.g", 28, true),
            ("secrets.i", 32, true),
        ]
    );
    assert!(imported.incomplete());
    assert!(!format!("{:?}", imported.remarks).contains("HUSH"));
    assert_eq!(loaded(&imported).config.connections.len(), 1);
}

#[test]
fn ipcomp_is_left_out_where_the_kernel_does_not_carry() {
    let all = format!(
        "connections {{ gw {{ version = 1\n proposals = aes256-sha256-ecp256\n remote_addrs = 192.0.2.1\n\
         local {{ auth = psk\n }}\n remote {{ auth = psk\n id = b.example\n }}\n children {{ net {{\n ipcomp = yes\n esp_proposals = aes256-sha256\n }} }} }} }}\n{PSK}"
    );
    for (plane, left_out) in [
        (DataPlane::Kernel, false),
        (DataPlane::User, true),
        (DataPlane::None, true),
    ] {
        let imported = text(Path::new("/etc/swanctl/swanctl.conf"), &all, plane);
        let expected: &[_] = if left_out {
            &[("connections.gw.children.net.ipcomp", true)]
        } else {
            &[]
        };
        assert_eq!(remarks(&imported), expected, "{plane:?}");
        let child = &loaded(&imported).config.connections[0].children[0];
        assert_eq!(child.compress, !left_out);
    }
}

#[test]
fn what_asks_for_nothing_is_not_named() {
    let imported = connection(
        "remote_addrs = 192.0.2.1\nmobike = yes\nchildless = force\ndscp = 000000\nunique = no\nsend_cert = always\n\
         send_certreq = yes\npull = no\nkeyingtries = 1\naggressive = no\nmediation = no\nlocal_port = 500\nover_time =\n\
         children { net {\n ipcomp = no\n policies = yes\n copy_dscp = out\n inactivity = 0s\n mark_in = 0/0\n \
         start_action = none\n close_action = none\n label = x\n hw_offload = no\n mode = TUNNEL\n rekey_bytes = 0 } }",
    );
    assert_eq!(remarks(&imported), []);
}

#[test]
fn what_cannot_be_had_or_would_let_in_more_leaves_the_connection_out() {
    let with = |version: &str, local: &str, remote: &str| {
        let all = format!(
            "connections {{ gw {{ remote_addrs = 192.0.2.1\n{version}\n local {{ {local}\n }}\n remote {{ {remote}\n }} }} }}\n{PSK}"
        );
        text(
            Path::new("/etc/swanctl/swanctl.conf"),
            &all,
            DataPlane::Kernel,
        )
    };
    let (psk, peer) = ("auth = psk", "auth = psk\n id = b.example");
    assert_eq!(
        loaded(&with("version = 1", psk, peer))
            .config
            .connections
            .len(),
        1
    );
    for (version, local, remote, setting) in [
        ("version = 2", psk, peer, "connections.gw.version"),
        ("version = 3", psk, peer, "connections.gw.version"),
        (
            "version = 1",
            "auth = eap-tls",
            peer,
            "connections.gw.local.auth",
        ),
        (
            "version = 1",
            "auth = xauth",
            peer,
            "connections.gw.local.auth",
        ),
        (
            "version = 1",
            "auth = pubkey",
            peer,
            "connections.gw.local.auth",
        ),
        (
            "version = 1",
            psk,
            "auth = psk\n id = *.example",
            "connections.gw.remote.id",
        ),
        (
            "version = 1",
            psk,
            "auth = psk\n groups = staff",
            "connections.gw.remote.groups",
        ),
        (
            "version = 1",
            psk,
            "auth = psk\n ca_id = x",
            "connections.gw.remote.ca_id",
        ),
        (
            "version = 1",
            psk,
            "auth = psk } remote-2 { auth = xauth",
            "connections.gw.remote-2",
        ),
        (
            "version = 1\nproposals = aes256gcm16-prfsha256-ecp256",
            psk,
            peer,
            "connections.gw",
        ),
        (
            "version = 1\nremote_addrs = 10.0.0.9-10.0.0.1",
            psk,
            peer,
            "connections.gw.remote_addrs",
        ),
    ] {
        let imported = with(version, local, remote);
        let said = imported
            .remarks
            .iter()
            .find(|one| one.setting == setting && one.left_out);
        let said =
            said.unwrap_or_else(|| panic!("{version} {local} {remote}: {:?}", imported.remarks));
        assert!(said.why.contains("the connection is left out"), "{said:?}");
        assert!(!imported.text.contains("[[connection]]"), "{setting}");
        assert!(imported.incomplete());
    }
    let two = with("version = 2", psk, peer);
    assert!(two.remarks[0].why.contains("IKEv2"), "{:?}", two.remarks);
    // Both versions: what is of version 1 is there, and what is not is named.
    let both = with("", psk, peer);
    assert_eq!(loaded(&both).config.connections.len(), 1);
    assert!(
        both.remarks
            .iter()
            .any(|one| one.setting == "connections.gw.version" && one.left_out)
    );
}

#[test]
fn addresses_become_connections_of_their_own() {
    let imported = connection(
        "remote_addrs = 10.0.0.4-10.0.0.9, peer.example\nchildren { a { start_action = trap } }",
    );
    let config = loaded(&imported).config;
    let found: Vec<(&str, String, Start)> = config
        .connections
        .iter()
        .map(|one| (one.name.as_str(), one.remote.address.to_string(), one.start))
        .collect();
    let net = |text: &str| text.to_owned();
    assert_eq!(
        found,
        [
            ("gw", net("peer.example"), Start::OnDemand),
            ("gw-2", net("10.0.0.4/30"), Start::Wait),
            ("gw-3", net("10.0.0.8/31"), Start::Wait)
        ]
    );
    assert_eq!(remarks(&imported), [("connections.gw.remote_addrs", false)]);
    let any = loaded(&connection("remote_addrs = %any")).config;
    assert_eq!(any.connections[0].remote.address, RemoteAddress::Any);
}

#[test]
fn each_of_several_remote_addresses_has_the_key_that_is_its_own() {
    let import = |secrets: &str| {
        let all = format!(
            "connections {{ two {{ version = 1\n proposals = aes256-sha256-ecp256\n\
             remote_addrs = 192.0.2.1, 192.0.2.2\n local {{ auth = psk }}\n\
             remote {{ auth = psk }} }} }}\nsecrets {{\n ike-1 {{ id = 192.0.2.1\n secret = \"key of the first one, long\" }}\n\
             {secrets} }}"
        );
        text(
            Path::new("/etc/swanctl/swanctl.conf"),
            &all,
            DataPlane::Kernel,
        )
    };
    let keys = |imported: &Imported| -> Vec<(String, String)> {
        let table: ::toml::Table = imported.text.parse().expect("TOML");
        let connections = table["connection"].as_array().expect("connections");
        let text = |value: &::toml::Value| value.as_str().expect("a text").to_owned();
        let each = connections.iter();
        each.map(|one| (text(&one["remote"]["address"]), text(&one["auth"]["psk"])))
            .collect()
    };
    let own = |address: &str, key: &str| (address.to_owned(), key.to_owned());
    let first = own("192.0.2.1", "key of the first one, long");
    let both = import("ike-2 { id = 192.0.2.2\n secret = \"key of the second, long\" }");
    let second = own("192.0.2.2", "key of the second, long");
    assert_eq!(keys(&both), [first.clone(), second]);
    assert_eq!(
        remarks(&both),
        [
            ("connections.two.remote_addrs", false),
            ("connections.two.remote.id", true)
        ]
    );
    // One without a key is left out alone.
    let one = import("");
    assert_eq!(keys(&one), [first]);
    let said = one.remarks.iter().find(|one| one.left_out).expect("said");
    assert_eq!(said.setting, "connections.two");
    assert!(said.why.contains("with 192.0.2.2 is left out"), "{said:?}");
}

#[test]
fn aggressive_mode_keeps_the_name_of_what_it_costs() {
    let loaded = loaded(&connection("remote_addrs = 192.0.2.1\naggressive = yes"));
    assert_eq!(loaded.config.connections[0].exchange, Exchange::Aggressive);
    assert!(loaded.warnings[0].message.contains("Aggressive Mode"));
}

/// swanctl's folder with keys and certificates that are no secret: which, and where they are in it.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    let pki = Path::new(env!("CARGO_MANIFEST_DIR")).join("../keying/src/pki");
    for (from, to) in files {
        let to = folder.path().join(to);
        fs::create_dir_all(to.parent().expect("a folder")).expect("made");
        fs::copy(pki.join(from), &to).expect(from);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&to, mode).expect("mode");
    }
    folder
}

#[test]
fn certificates_and_their_keys_are_found_where_swanctl_has_them() {
    let folder = folder(&[
        ("left.pem", "x509/us.pem"),
        ("left.key", "private/b.key"),
        ("right.key", "private/a.key"),
        ("ca.pem", "x509ca/ca.pem"),
    ]);
    let conf = folder.path().join("swanctl.conf");
    let import = |remote: &str, more: &str| {
        let all = format!(
            "connections {{ gw {{ version = 1\n proposals = aes256-sha256-modp2048\n remote_addrs = 192.0.2.1\n send_cert = always\n\
             local {{ auth = pubkey\n certs = us.pem }}\n remote {{ {remote}\n id = b.example }} }} }}\n{more}"
        );
        text(&conf, &all, DataPlane::Kernel)
    };
    let path = |name: &str| folder.path().join(name).display().to_string();
    let imported = import(
        "auth = rsa-3072\n revocation = ifuri\n cacerts = ca.pem",
        "",
    );
    assert_eq!(remarks(&imported), []);
    for line in [
        format!("certificate = \"{}\"", path("x509/us.pem")),
        format!("key = \"{}\"", path("private/b.key")),
        format!("ca = [\"{}\"]", path("x509ca/ca.pem")),
        "min-rsa-bits = 3072, revocation = \"if-uri\", send-certificate = \"always\"".to_owned(),
    ] {
        assert!(
            imported.text.contains(&line),
            "{line}\n{}",
            imported.text.as_str()
        );
    }
    loaded(&imported);
    // Where none is named, charon trusts all.
    let imported = import("auth = pubkey", "");
    let all = format!("ca = [\"{}\"]", path("x509ca"));
    assert!(imported.text.contains(&all), "{}", imported.text.as_str());
    loaded(&imported);
    // What restricts the peer's keys and cannot be had.
    for auth in [
        "auth = pubkey-sha384",
        "auth = ecdsa-384",
        "auth = rsa-2048-sha256",
    ] {
        let imported = import(auth, "");
        assert_eq!(
            remarks(&imported),
            [("connections.gw.remote.auth", true)],
            "{auth}"
        );
    }
    fs::remove_file(folder.path().join("private/b.key")).expect("gone");
    let imported = import("auth = pubkey", "secrets { token-1 { handle = 01 } }");
    assert_eq!(
        remarks(&imported),
        [
            ("connections.gw.local.certs", true),
            ("secrets.token-1", true)
        ]
    );
}

#[test]
fn no_secret_is_shown_beside_what_is_written() {
    let all = "connections { gw { version = 1\n remote_addrs = 192.0.2.1\n local { auth = psk }\n remote { auth = psk } } }\n\
               secrets { ike { secret = 0xHUSH }\n eap-1 { secret = HUSH\n id = x\n HUSHED = 1 }\n ike-9 { secret = \"HUSH\"\n id = z } }";
    let imported = text(Path::new("/s.conf"), all, DataPlane::Kernel);
    for remark in &imported.remarks {
        assert!(
            !remark.why.contains("HUSH") && !remark.setting.contains("HUSH"),
            "{remark:?}"
        );
    }
    assert!(!format!("{:?}", imported.remarks).contains("HUSH"));
}

/// Words that mean something somewhere.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "connections",
            "children",
            "local",
            "remote",
            "secrets",
            "ike",
            "xauth",
            "eap",
            "pools",
            "vips",
            "addrs",
            "dns",
            "include",
            "version",
            "auth",
            "psk",
            "pubkey",
            "id",
            "certs",
            "remote_addrs",
            "proposals",
            "aes128-sha256-ecp256",
            "default",
            "esp_proposals",
            "local_ts",
            "start_action",
            "mark_in",
            "0x",
            "0s",
            "%any",
            "1",
            "rekey_time",
            "secret",
            "10.0.0.0/8",
            "10.0.0.1-10.0.0.9",
        ])
        .prop_map(str::to_owned),
        "[a-z0-9*%@#:/-]{0,6}",
    ]
}

/// A key, and what it may have.
type Key = (&'static str, &'static [&'static str]);

const CONNECTION_KEYS: &[Key] = &[
    ("version", &["0", "1", "2"]),
    (
        "local_addrs",
        &[
            "192.0.2.9",
            "2001:db8::9",
            "%any",
            "%any4",
            "::/0",
            "192.0.2.0/24",
            "192.0.2.9, 192.0.2.8",
            "fe80::1",
        ],
    ),
    (
        "remote_addrs",
        &[
            "192.0.2.1",
            "2001:db8::1",
            "%any",
            "%any6",
            "0.0.0.0/0",
            "192.0.2.0/24, 192.0.2.1",
            "10.0.0.4-10.0.0.9",
            "peer.example",
            "fe80::1%eth0",
            "224.0.0.1",
            "peer.example, %any4",
            "::ffff:10.0.0.1",
        ],
    ),
    ("local_port", &["0", "500", "4500", "1500", "x"]),
    ("remote_port", &["0", "500", "4500", "1500", "99999"]),
    (
        "proposals",
        &[
            "",
            "default",
            "aes256-aes128-sha256-sha1-modp2048-modp1536",
            "aes256gcm16-ecp256",
            "aes128-sha1-modp1024, default",
            "aes256-sha256-ecp256, x",
            "camellia256-sha512-modp8192",
        ],
    ),
    ("aggressive", &["yes", "no", "maybe"]),
    ("encap", &["yes", "no"]),
    ("dpd_delay", &["0", "30s", "1d", "99999999d", "x"]),
    ("dpd_timeout", &["0", "10s", "2m", "9d"]),
    ("fragmentation", &["yes", "no", "force", "accept"]),
    ("keyingtries", &["0", "1", "3"]),
    (
        "rekey_time",
        &["0", "1h", "99999d", "18446744073709551615", "x"],
    ),
    ("reauth_time", &["0", "3h", "99999d"]),
    ("over_time", &["0", "5m", "99999d"]),
    ("if_id_in", &["5", "%unique"]),
    ("if_id_out", &["5"]),
    ("vips", &["0.0.0.0", "::", "10.3.0.1, ::, ::", "x"]),
    ("pools", &["p", "p, q", "z"]),
    ("pull", &["no", "yes"]),
    ("send_cert", &["never"]),
];

const CHILD_KEYS: &[Key] = &[
    ("mode", &["tunnel", "transport", "pass"]),
    (
        "local_ts",
        &[
            "10.1.0.0/16",
            "dynamic",
            "2001:db8::/32",
            "10.1.0.0/16[tcp/22]",
            "10.1.0.5-10.1.0.1",
            "x",
            "::/0, 10.0.0.0/8",
        ],
    ),
    (
        "remote_ts",
        &[
            "10.2.0.1/16",
            "dynamic[udp]",
            "2001:db8:1::/48",
            "0.0.0.0/0",
            "10.2.0.0/16[udp/53], 10.3.0.0/16",
        ],
    ),
    (
        "esp_proposals",
        &[
            "",
            "default",
            "aes256-aes128-sha256-sha1-esn-noesn",
            "camellia256-sha256",
            "aes256gcm16-sha256-modp2048",
            "aes256-aesxcbc",
            "chacha20poly1305",
            "chacha20poly1305-aes128gcm8",
            "null-sha256",
            "aes256gcm16-aes128-sha1, default",
            "3des-md5",
            "blowfish-sha1",
            "aes128gmac",
            "aes256ctr-sha384",
        ],
    ),
    (
        "ah_proposals",
        &["default", "sha256-sha1", "aesxcbc-modp2048", "aes128-sha1"],
    ),
    (
        "rekey_time",
        &["0", "10m", "99999d", "18446744073709551615"],
    ),
    ("life_time", &["0", "30m", "99999d"]),
    (
        "life_bytes",
        &["0", "5", "1g", "18446744073709551615", "99999999999g"],
    ),
    ("rekey_packets", &["1", "1000000", "18446744073709551615"]),
    ("mark_in", &["5", "0/0", "%unique", "0xffffffff/0xff"]),
    ("mark_out", &["5", "0xffffffff/0xff"]),
    ("if_id_in", &["0", "7", "%unique"]),
    ("if_id_out", &["7", "4294967295"]),
    ("replay_window", &["0", "32", "4096", "4097"]),
    ("start_action", &["none", "start", "trap", "trap|start"]),
    ("dpd_action", &["restart", "trap"]),
    ("ipcomp", &["yes", "no"]),
];

/// Some of these keys, with one of their values each.
fn keys(all: &'static [Key]) -> impl Strategy<Value = String> {
    let each = all.iter().map(|(key, values)| {
        let value = prop::option::weighted(0.3, prop::sample::select(*values));
        value.prop_map(move |value| value.map(|value| format!("{key} = {value}\n")))
    });
    each.collect::<Vec<_>>()
        .prop_map(|lines| lines.into_iter().flatten().collect())
}

/// A connection that is one but for some of its values.
fn plausible() -> impl Strategy<Value = String> {
    let child = (
        prop::sample::select(vec!["a", "a!", "a?", "b"]),
        keys(CHILD_KEYS),
    )
        .prop_map(|(name, keys)| format!("{name} {{\n{keys} }}\n"));
    let id = || {
        prop::sample::select(vec![
            "",
            "id = b.example",
            "id = 192.0.2.1",
            "id = keyid:x",
            "id = *.example",
            "id = %any",
        ])
    };
    let more = prop::sample::select(vec![
        "",
        "local-x { auth = xauth\n xauth_id = carol\n }",
        "remote-x { auth = xauth\n }",
    ]);
    let parts = (
        prop::sample::select(vec!["gw", "gw-2", "gw!", "gw?", "-"]),
        keys(CONNECTION_KEYS),
        (id(), id()),
        more,
        prop::collection::vec(child, 0..4),
    );
    parts.prop_map(|(name, keys, (ours, theirs), more, children)| {
        format!(
            "{name} {{\n version = 1\n{keys} local {{ auth = psk\n{ours}\n }}\n remote {{ auth = psk\n{theirs}\n }}\n{more}\n\
             children {{\n{}}}\n}}\n",
            children.concat()
        )
    })
}

proptest! {
    /// Whatever could not be had was left out before.
    #[test]
    fn what_is_written_is_a_configuration_for_each_data_plane(
        connections in prop::collection::vec(plausible(), 1..4),
        own in prop::sample::select(vec!["", "ike-2 { id = 192.0.2.1\n secret = \"another one, long enough, too\" }"]),
    ) {
        let all = format!(
            "connections {{\n{}}}\n pools {{ p {{ addrs = 10.3.0.0/24\n dns = 10.1.0.1 }}\n q {{ addrs = 10.4.0.0/24 }} }}\n\
             secrets {{ ike-1 {{ secret = \"correct horse battery staple\" }}\n {own}\n xauth {{ id = carol\n secret = x }} }}\n",
            connections.concat()
        );
        for plane in PLANES {
            let imported = text(Path::new("/etc/swanctl/swanctl.conf"), &all, plane);
            let written = imported.text.to_string();
            let read = Config::from_text(Path::new("/m.toml"), written.clone(), false);
            prop_assert!(read.is_ok(), "{}\n{written}", read.err().map(|errors| errors.to_string()).unwrap_or_default());
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = settings::read_text(Path::new("/a.conf"), &text);
    }

    /// Nor does what looks like settings, to its end: what is written is TOML whatever went in.
    #[test]
    fn no_settings_panic_and_what_is_written_is_toml(
        pieces in prop::collection::vec((word(), prop::sample::select(vec![" = ", " {\n", " }\n", "\n", " : ", ", ", "\"", " # "])), 0..60)
    ) {
        let mut all = String::new();
        for (word, glue) in &pieces {
            all.push_str(word);
            all.push_str(glue);
        }
        let open = all.matches('{').count().saturating_sub(all.matches('}').count());
        all += &"\n}".repeat(open);
        if let Ok(root) = settings::read_text(Path::new("/a.conf"), &all)
            && let Ok(root) = references::resolve(&root)
        {
            let imported = import(&root, Path::new("/nowhere"), &[], DataPlane::Kernel);
            let table: Result<::toml::Table, _> = imported.text.parse();
            prop_assert!(table.is_ok(), "{}", imported.text.as_str());
        }
    }

    /// Any value of any key.
    #[test]
    fn no_value_of_any_key_panics(value in "[^\\n#{}\"]{0,40}", key in prop::sample::select(vec![
        "version", "local_addrs", "remote_addrs", "local_port", "remote_port", "proposals", "aggressive", "encap",
        "dpd_delay", "dpd_timeout", "fragmentation", "keyingtries", "rekey_time", "reauth_time", "over_time", "if_id_in",
        "vips", "pools", "pull",
    ]), child in prop::sample::select(vec![
        "mode", "local_ts", "remote_ts", "esp_proposals", "ah_proposals", "rekey_time", "life_time", "life_bytes",
        "rekey_packets", "mark_in", "mark_out", "if_id_out", "replay_window", "start_action", "dpd_action",
        "ipcomp",
    ])) {
        let imported = connection(&format!("{key} = {value}\nchildren {{ net {{ {child} = {value}\n }} }}"));
        let table: Result<::toml::Table, _> = imported.text.parse();
        prop_assert!(table.is_ok(), "{}", imported.text.as_str());
    }
}
