//! XAUTH, and addresses within the tunnel.

use std::collections::BTreeSet;

use keying::{ConfigServer, ModeConfig};

use super::*;
use crate::config::{Auth, Connection, Xauth};

const USERS: &str = "xauth-carol { id = carol\n secret = 4iChxLT3 }\n eap-dave { id-a = fqdn:dave\n id-b = dave@example\n \
                     secret = 0sQXk= }\n";

/// On P-256.
const ECDSA: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEXTbaMKFmBZP/+Nubd3ZWe/JgO+qO
kkM7G21hSPyDgBntH73fXTA7zj0UIQEC0VcDowJtKYkdny1ciCVEreOQGA==
-----END PUBLIC KEY-----
";

/// What a connection with these keys and rounds becomes, with what stands in `secrets` and beside.
fn imported(keys: &str, secrets: &str, beside: &str) -> Imported {
    let all = format!(
        "connections {{ gw {{\nversion = 1\nproposals = aes256-sha256-modp2048\nremote_addrs = 192.0.2.1\n{keys}\n}} }}\n\
         secrets {{ ike-1 {{ secret = \"correct horse battery staple\" }}\n{secrets} }}\n{beside}"
    );
    text(
        Path::new("/etc/swanctl/swanctl.conf"),
        &all,
        DataPlane::Kernel,
    )
}

fn psk(local: &str, remote: &str, more: &str) -> String {
    format!(
        "local {{ auth = psk\n id = us.example }}\n remote {{ auth = psk\n id = b.example }}\n {local} {remote} {more}"
    )
}

fn only(imported: &Imported) -> Connection {
    let mut connections = loaded(imported).config.connections;
    assert_eq!(connections.len(), 1, "{}", imported.text.as_str());
    connections.remove(0)
}

/// The names and passwords of a server's users.
fn users(connection: &Connection) -> Vec<(String, Vec<u8>)> {
    let Some(Xauth::Server(users)) = &connection.xauth else {
        panic!("no server: {:?}", connection.xauth);
    };
    let both = |user: &keying::User| (user.name.clone(), user.password.as_bytes().to_vec());
    users.iter().map(both).collect()
}

fn why(imported: &Imported, setting: &str) -> String {
    let found = imported.remarks.iter().find(|one| one.setting == setting);
    let found = found.unwrap_or_else(|| panic!("{setting}: {:?}", imported.remarks));
    assert!(found.left_out, "{found:?}");
    found.why.clone()
}

#[test]
fn a_client_names_the_user_and_asks_for_an_address() {
    let imported = imported(
        &psk(
            "local-x { round = 2\n auth = xauth\n xauth_id = carol }",
            "",
            "vips = 0.0.0.0, ::\n pull = no",
        ),
        USERS,
        "",
    );
    let wanted = "xauth = { user = \"carol\", password = \"4iChxLT3\" }\n";
    assert!(imported.text.contains(wanted), "{}", imported.text.as_str());
    // The other user is somebody else's.
    assert_eq!(remarks(&imported), [("secrets.eap-dave", false)]);
    let connection = only(&imported);
    let Some(ModeConfig::Client(client)) = connection.mode_config else {
        panic!("no client");
    };
    assert!(client.v4 && client.v6 && client.push);
}

#[test]
fn the_user_is_the_identity_where_no_other_is_named_and_rounds_go_by_number() {
    let keys = "local-x { round = 2\n auth = XAuth-Generic }\n local { round = 1\n auth = psk\n id = dave@example }\n \
                remote { auth = psk\n id = b.example }";
    let all = imported(keys, USERS, "");
    let Some(Xauth::Client(user)) = only(&all).xauth else {
        panic!("no client");
    };
    assert_eq!(user.name, "dave@example");
    assert_eq!(user.password.as_bytes(), b"Ay");
    // A password of anybody is the user's, too.
    let any = imported(keys, "eap { secret = any }", "");
    assert!(any.text.contains("password = \"any\""));
    let none = imported(keys, "xauth { id = carol\n secret = x }", "");
    assert!(why(&none, "connections.gw.local-x").contains("no password of this user"));
    let unnamed = "local { auth = psk }\n local-x { auth = xauth }\n remote { auth = psk }";
    let unnamed = imported(unnamed, USERS, "");
    assert!(why(&unnamed, "connections.gw.local-x").contains("which user we are"));
}

#[test]
fn a_server_lets_in_all_users_of_the_secrets_or_the_one_that_its_round_names() {
    let server = |round: &str, secrets: &str| {
        let round = format!("remote-x {{ auth = xauth\n {round} }}");
        imported(&psk("", &round, ""), secrets, "")
    };
    let all = server("", USERS);
    assert_eq!(remarks(&all), []);
    let expected = [
        ("carol", &b"4iChxLT3"[..]),
        ("dave", b"Ay"),
        ("dave@example", b"Ay"),
    ];
    let expected = expected.map(|(name, password)| (name.to_owned(), password.to_vec()));
    assert_eq!(users(&only(&all)), expected);
    let one = server("xauth_id = dave\n id = b.example", USERS);
    assert_eq!(users(&only(&one)), [("dave".to_owned(), b"Ay".to_vec())]);
    // With one user the password of anybody is his.
    let any = server("xauth_id = erin", "eap { secret = any }");
    assert_eq!(users(&only(&any)), [("erin".to_owned(), b"any".to_vec())]);
    for (round, secrets, setting, said) in [
        ("", "", "connections.gw.remote-x", "no user"),
        (
            "xauth_id = erin",
            USERS,
            "connections.gw.remote-x",
            "no user",
        ),
        (
            "xauth_id = *@example",
            USERS,
            "connections.gw.remote-x.xauth_id",
            "more peers than before",
        ),
        (
            "id = c.example",
            USERS,
            "connections.gw.remote-x.id",
            "more peers than before",
        ),
        (
            "groups = staff",
            USERS,
            "connections.gw.remote-x.groups",
            "more peers than before",
        ),
        (
            "cacerts = ca.pem",
            USERS,
            "connections.gw.remote-x.cacerts",
            "more peers than before",
        ),
    ] {
        let imported = server(round, secrets);
        assert!(why(&imported, setting).contains(said), "{round}");
        assert!(!imported.text.contains("[[connection]]"), "{round}");
    }
}

#[test]
fn passwords_that_no_server_can_have_are_named() {
    let secrets = "xauth-1 { id-1 = carol\n secret = one }\n xauth-2 { id = carol\n secret = two }\n \
                   eap-3 { secret = any }\n eap-4 { id = *@example\n secret = x }\n eap-5 { id = erin\n secret = 0xg }\n \
                   eap-6 { id = \"C=CH, CN=frank\"\n secret = x }\n eap-7 { id = gina\n HUSH = HUSH\n secret = HUSH }";
    let imported = imported(&psk("", "remote-x { auth = xauth }", ""), secrets, "");
    let found = users(&only(&imported));
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["carol", "gina"]);
    assert_eq!(found[0].1, b"one");
    let left_out: BTreeSet<&str> = imported
        .remarks
        .iter()
        .filter(|one| one.left_out)
        .map(|one| one.setting.as_str())
        .collect();
    let expected = [
        "secrets.xauth-2.id",
        "secrets.eap-3",
        "secrets.eap-4.id",
        "secrets.eap-5.secret",
        "secrets.eap-6.id",
        "secrets.eap-7.HUSH",
    ];
    assert_eq!(left_out, BTreeSet::from(expected));
    let said: Vec<&str> = imported
        .remarks
        .iter()
        .map(|one| one.why.as_str())
        .collect();
    assert!(!said.concat().contains("HUSH"));
}

#[test]
fn rounds_that_ikev1_has_not_leave_the_connection_out() {
    let round = |name: &str, auth: &str| format!("{name} {{ auth = {auth}\n xauth_id = carol }}\n");
    for (rounds, setting, said) in [
        (
            [
                ("local", "psk"),
                ("local-2", "xauth-radius"),
                ("remote", "psk"),
            ],
            "connections.gw.local-2.auth",
            "RADIUS",
        ),
        (
            [
                ("local", "psk"),
                ("remote", "psk"),
                ("remote-2", "xauth-noauth"),
            ],
            "connections.gw.remote-2.auth",
            "without a password",
        ),
        (
            [("local", "psk"), ("local-2", "psk"), ("remote", "psk")],
            "connections.gw.local-2",
            "second round is XAUTH",
        ),
        (
            [("local", "xauth"), ("local-2", "psk"), ("remote", "psk")],
            "connections.gw.local-2",
            "second round is XAUTH",
        ),
        (
            [("local", "psk"), ("remote", "xauth"), ("remotely", "xauth")],
            "connections.gw.remotely",
            "second round is XAUTH",
        ),
        (
            [
                ("local", "xauth"),
                ("remote", "pubkey"),
                ("remote-2", "xauth"),
            ],
            "connections.gw.local.auth",
            "not both",
        ),
        (
            [("local", "psk"), ("local-2", "xauth"), ("remote", "xauth")],
            "connections.gw.local.auth",
            "not both",
        ),
        (
            [("local", "psk"), ("local-2", "xauth"), ("local-3", "xauth")],
            "connections.gw.local-3",
            "one of XAUTH behind it",
        ),
    ] {
        let rounds = rounds.map(|(name, auth)| round(name, auth)).concat();
        let imported = imported(&rounds, USERS, "");
        assert!(why(&imported, setting).contains(said), "{rounds}");
        assert!(!imported.text.contains("[[connection]]"), "{rounds}");
    }
}

/// A certificate of ours, its key and a CA.
const FILES: [(&str, &str); 3] = [
    ("left.pem", "x509/us.pem"),
    ("left.key", "private/us.key"),
    ("ca.pem", "x509ca/ca.pem"),
];

#[test]
fn hybrid_authentication_has_a_certificate_of_the_server_alone() {
    let folder = super::folder(&FILES);
    let import = |local: &str, remote: &str| {
        let all = format!(
            "connections {{ gw {{ version = 1\n proposals = aes256-sha256-modp2048\n remote_addrs = 192.0.2.1\n \
             local {{ {local} }}\n remote {{ {remote}\n id = b.example }} }} }}\n secrets {{ {USERS} }}"
        );
        text(&folder.path().join("swanctl.conf"), &all, DataPlane::Kernel)
    };
    let way = |imported: &Imported| match &only(imported).auth[..] {
        [Auth::Signatures(way)] => (
            way.hybrid,
            way.credentials.own.len(),
            way.credentials.trust.anchors.len(),
        ),
        _ => panic!("no signatures"),
    };
    let client = import("auth = xauth\n xauth_id = carol", "auth = rsa-2048");
    assert_eq!(way(&client), (true, 0, 1));
    assert!(client.text.contains("xauth = { user = \"carol\""));
    assert!(client.text.contains("min-rsa-bits = 2048, hybrid = true }"));
    let server = import("auth = pubkey\n certs = us.pem", "auth = xauth");
    assert_eq!(way(&server), (true, 1, 0));
    assert_eq!(users(&only(&server)).len(), 3);
    assert_eq!(remarks(&server), []);
    let refused = import(
        "auth = pubkey\n certs = us.pem",
        "auth = xauth\n cacerts = ca.pem",
    );
    assert!(why(&refused, "connections.gw.remote.cacerts").contains("more peers"));
    let psk = import("auth = psk", "auth = xauth");
    assert!(why(&psk, "connections.gw.local.auth").contains("hybrid"));
    // Not hybrid: both have certificates, and the client a user.
    let both = import(
        "auth = pubkey\n certs = us.pem }\n local-x { auth = xauth\n xauth_id = carol",
        "auth = pubkey",
    );
    assert_eq!(way(&both), (false, 1, 1));
}

#[test]
fn xauth_with_an_ecdsa_key_is_not_to_be_had() {
    let folder = tempfile::tempdir().expect("folder");
    let keys = folder.path().join("pubkey");
    fs::create_dir_all(&keys).expect("made");
    fs::write(keys.join("us.pub"), ECDSA).expect("written");
    let all = format!(
        "connections {{ gw {{ version = 1\n remote_addrs = 192.0.2.1\n local {{ pubkeys = us.pub }}\n \
         local-x {{ auth = xauth\n xauth_id = carol }}\n remote {{ id = b.example }} }} }}\n secrets {{ {USERS} }}"
    );
    let imported = text(&folder.path().join("swanctl.conf"), &all, DataPlane::Kernel);
    assert!(why(&imported, "connections.gw.local.pubkeys").contains("RSA"));
    assert!(!imported.text.contains("[[connection]]"));
}

#[test]
fn pools_are_written_and_named_by_the_servers_that_have_them() {
    let pools = "pools {\n v4 { addrs = 10.3.0.0/28\n dns = 10.1.0.53, 10.1.0.54\n nbns = 10.1.0.1 }\n \
                 v6 { addrs = fec3::10-fec3::20 }\n part { addrs = 10.4.0.5/24 } }";
    let imported = imported(&psk("", "", "pools = v4, v6, v4\n pull = no"), "", pools);
    assert_eq!(
        remarks(&imported),
        [
            ("connections.gw.pools", false),
            ("connections.gw.pools", false)
        ]
    );
    for line in [
        "[[pool]]\nname = \"v4\"\naddresses = \"10.3.0.0/28\"\n",
        "[[pool]]\nname = \"v6\"\naddresses = \"fec3::10-fec3::20\"\n",
        "[[pool]]\nname = \"part\"\naddresses = \"10.4.0.5-10.4.0.254\"\n",
        "mode-config = { pools = [\"v4\", \"v6\"], dns = [\"10.1.0.53\", \"10.1.0.54\"], nbns = [\"10.1.0.1\"], push = true }\n",
    ] {
        assert!(
            imported.text.contains(line),
            "{line}\n{}",
            imported.text.as_str()
        );
    }
    let Some(ModeConfig::Server(ConfigServer { pools, .. })) = only(&imported).mode_config else {
        panic!("no server");
    };
    assert_eq!(pools.len(), 2);
}

#[test]
fn nets_that_a_pool_tells_clients_of_are_taken_over() {
    let pools = "pools { a { addrs = 10.3.0.0/28\n split_include = 10.1.0.0/16, 10.2.1.7/24, 10.9.9.9\n \
                 split_exclude = 192.168.0.0/24 } }";
    let imported = imported(&psk("", "", "pools = a"), "", pools);
    let Some(ModeConfig::Server(server)) = &only(&imported).mode_config else {
        panic!("no server");
    };
    let written = |nets: &[isakmp::unity::Net]| -> Vec<String> {
        let nets = nets.iter();
        nets.map(|net| format!("{}/{}", net.address(), net.prefix()))
            .collect()
    };
    assert_eq!(
        written(&server.split_include),
        ["10.1.0.0/16", "10.2.1.0/24", "10.9.9.9/32"]
    );
    assert_eq!(written(&server.local_lan), ["192.168.0.0/24"]);
}

#[test]
fn of_pools_what_cannot_be_had_is_named() {
    for (pool, setting, stands) in [
        ("split_include = fec0::/16", "pools.a.split_include", true),
        ("split_exclude = lan", "pools.a.split_exclude", true),
        ("subnet = 10.0.0.0/8", "pools.a.subnet", true),
        ("netmask = 255.0.0.0", "pools.a.netmask", true),
        ("dhcp = 10.0.0.1", "pools.a.dhcp", true),
        ("28672 = banner", "pools.a.28672", true),
        ("dns = fec0::1", "pools.a.dns", true),
        ("dns = 10.0.0.0/8", "pools.a.dns", true),
        (
            "nbns = 1.1.1.1,1.1.1.2,1.1.1.3,1.1.1.4,1.1.1.5,1.1.1.6,1.1.1.7,1.1.1.8,1.1.1.9",
            "pools.a.nbns",
            true,
        ),
        ("no_such_key = 1", "pools.a.no_such_key", true),
        ("addrs =", "pools.a", false),
        ("addrs = lan", "pools.a", false),
        ("addrs = 10.3.0.9-10.3.0.5", "pools.a", false),
        ("addrs = 10.3.0.5-fec0::1", "pools.a", false),
        ("addrs = 10.3.0.15/28", "pools.a", false),
        ("addrs = 10.2.0.0/16", "pools.a", false),
    ] {
        let pools = format!(
            "pools {{ other {{ addrs = 10.2.255.1-10.2.255.9 }}\n a {{ addrs = 10.3.0.0/28\n {pool} }} }}"
        );
        let imported = imported(&psk("", "", "pools = a"), "", &pools);
        assert!(!why(&imported, setting).is_empty());
        let server = only(&imported).mode_config.is_some();
        assert_eq!(server, stands, "{pool}");
        if !stands {
            assert!(why(&imported, "connections.gw.pools").contains("\"a\""));
        }
    }
    let both = imported(
        &psk("", "", "vips = 0.0.0.0\n pools = a"),
        "",
        "pools { a { addrs = 10.3.0.1 } }",
    );
    assert!(why(&both, "connections.gw.pools").contains("client"));
    let names = imported(
        &psk("", "", ""),
        "",
        "pools { \u{a3} { addrs = 10.3.0.1 }\n $ { addrs = 10.3.0.2 } }",
    );
    assert!(why(&names, "pools.$").contains("name"));
}

#[test]
fn a_subnet_gives_what_charon_gives() {
    let given = |addrs: &str| {
        let pools = format!("pools {{ a {{ addrs = {addrs} }} }}");
        let imported = imported(&psk("", "", "pools = a"), "", &pools);
        match only(&imported).mode_config {
            Some(ModeConfig::Server(server)) => {
                let pool = &server.pools[0];
                (pool.first.to_string(), pool.last.to_string())
            }
            _ => panic!("{addrs}: no server"),
        }
    };
    for (addrs, first, last) in [
        ("10.3.0.0/24", "10.3.0.1", "10.3.0.254"),
        ("10.3.0.1/24", "10.3.0.1", "10.3.0.254"),
        ("10.3.0.9/24", "10.3.0.9", "10.3.0.254"),
        ("10.3.0.254/24", "10.3.0.254", "10.3.0.254"),
        ("10.3.0.0/31", "10.3.0.0", "10.3.0.1"),
        ("10.3.0.1/31", "10.3.0.1", "10.3.0.1"),
        ("10.3.0.7/32", "10.3.0.7", "10.3.0.7"),
        ("10.3.0.7", "10.3.0.7", "10.3.0.7"),
        ("10.3.0.7 - 10.3.0.9", "10.3.0.7", "10.3.0.9"),
        ("fec3::5/120", "fec3::5", "fec3::fe"),
    ] {
        assert_eq!(given(addrs), (first.to_owned(), last.to_owned()), "{addrs}");
    }
}

/// Each server has users of its own: what a few lines could ask for has an end.
#[test]
fn users_do_not_multiply_without_end() {
    let many: Vec<String> = (0..1000)
        .map(|n| format!("xauth-{n} {{ id = user-{n}\n secret = {n} }}"))
        .collect();
    let all = format!(
        "base {{ version = 1\n remote_addrs = 10.0.0.1-10.0.1.254\n local {{ auth = psk }}\n remote {{ auth = psk }}\n \
         remote-x {{ auth = xauth }} }}\n connections {{ {} }}\n secrets {{ ike {{ secret = x }}\n {} }}",
        (0..20)
            .map(|n| format!("c{n} : base {{ }}"))
            .collect::<Vec<_>>()
            .join("\n"),
        many.join("\n")
    );
    let imported = text(Path::new("/s.conf"), &all, DataPlane::Kernel);
    assert!(imported.text.len() < 4 << 20, "{}", imported.text.len());
    assert!(why(&imported, "connections.c19").contains("more than"));
    assert!(imported.text.contains("[[connection]]"));
}

/// A name, now and then one that is no user's.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-e]{1,2}",
        1 => prop::sample::select(vec![
            "%any", "*", "a@b", "@a", "@@a", "@#6162", "10.0.0.1", "a/b", "a:b", "CN=a", "fqdn:a", "keyid:#00", "1", "\u{fc}",
        ]).prop_map(str::to_owned),
    ]
}

proptest! {
    /// Whatever users, passwords, pools and rounds there are: what is written passes the checker.
    #[test]
    fn what_is_written_for_remote_access_is_a_configuration(
        secrets in prop::collection::vec((name(), "0x[0-9a-z]{0,2}|0s[a-z=]{0,4}|[ -~&&[^\"#{}\\\\]]{1,6}"), 0..6),
        pools in prop::collection::vec(
            ("[a-c$%]{1,2}", "10\\.0\\.[01]\\.[0-9]{1,2}(/[0-9]{2}|-10\\.0\\.[01]\\.[0-9]{1,2})?|fec0::[0-9](/12[0-9])?", "10\\.0\\.0\\.[0-9]"),
            0..5
        ),
        names in prop::collection::vec("[a-c$%]{1,2}", 0..4),
        vips in prop::sample::select(vec!["", "0.0.0.0", "::", "0.0.0.0, ::", "10.0.0.1", "%any, 10.0.0.1", "x"]),
        user in prop::option::of(name()),
        id in prop::option::of("[a-c]{1}"),
        client in any::<bool>(),
        backend in prop::sample::select(vec!["xauth", "xauth-generic", "XAUTH", "xauth-pam"]),
        pull in prop::sample::select(vec!["yes", "no", "x"]),
    ) {
        let side = if client { "local" } else { "remote" };
        let user = user.map_or(String::new(), |user| format!("xauth_id = \"{user}\""));
        let id = id.map_or(String::new(), |id| format!("id = {id}"));
        let keys = format!(
            "local {{ auth = psk\n {id} }}\n remote {{ auth = psk\n id = b.example }}\n {side}-x {{ auth = {backend}\n {user} }}\n\
             pull = {pull}\n vips = {vips}\n pools = {}",
            names.join(", ")
        );
        let secrets: Vec<String> = secrets
            .iter()
            .enumerate()
            .map(|(at, (id, secret))| format!("xauth-{at} {{ id = \"{id}\"\n secret = \"{secret}\" }}"))
            .collect();
        let pools: Vec<String> = pools
            .iter()
            .map(|(name, addrs, dns)| format!("{name} {{ addrs = {addrs}\n dns = {dns} }}"))
            .collect();
        let imported = imported(&keys, &secrets.join("\n"), &format!("pools {{ {} }}", pools.join("\n")));
        loaded(&imported);
        // And where the connection is not there, it says so.
        let there = imported.text.contains("[[connection]]");
        prop_assert!(there || imported.incomplete());
    }
}
