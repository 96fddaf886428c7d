//! Starting: what is in the way is named, what a crash left is replaced, and what is to be kept up is.

use std::fs;
use std::net::UdpSocket;

use crate::support::{EVERYTHING, Place, Setup, Side, alone, cause, pair, until, with_children};

fn text(side: &Side, name: &str) -> String {
    side.path(name).to_str().expect("text").to_owned()
}

#[test]
fn a_second_daemon_on_the_same_configuration_is_refused_and_the_first_goes_on() {
    let (mut first, _peer) = alone(50, EVERYTHING);
    let said = first.run(&["run"]).failed();
    assert!(said.contains("cannot listen on 127."), "{said}");
    assert!(said.contains("another IKE daemon may be running"), "{said}");
    first.counters();
    first.run(&["status"]).good();
    first.stop();
    first.verify();
}

#[test]
fn a_log_or_a_control_socket_in_use_is_named_and_left_alone() {
    let (mut first, _peer) = alone(51, EVERYTHING);
    let (a, b) = (Place::new(51, 3), Place::new(51, 4));
    let second = Side::new(a, b, EVERYTHING);
    second.edit(&text(&second, "log"), &text(&first, "log"));
    let said = second.run(&["run"]).failed();
    let holder = format!("(process {}) already writes the log", first.pid());
    assert!(said.contains(&holder), "{said}");
    // What was opened before the refusal is gone.
    assert!(!second.path("control").exists());

    let third = Side::new(a, b, EVERYTHING);
    third.edit(&text(&third, "control"), &text(&first, "control"));
    let said = third.run(&["run"]).failed();
    assert!(said.contains("another daemon already answers"), "{said}");
    first.run(&["status"]).good();
    first.stop();
    first.verify();
}

#[test]
fn a_control_socket_that_a_crash_left_is_replaced_and_any_other_file_is_not() {
    let (mut side, _peer) = alone(52, EVERYTHING);
    side.kill();
    assert!(side.path("control").exists());
    side.start();
    side.stop();
    fs::write(side.path("control"), "mine").expect("written");
    let said = side.run(&["run"]).failed();
    assert!(said.contains("is not a socket"), "{said}");
    assert_eq!(
        fs::read_to_string(side.path("control")).expect("there"),
        "mine"
    );
    side.verify();
}

#[test]
fn a_port_that_is_taken_is_named_with_what_may_hold_it() {
    let (a, b) = (Place::new(53, 1), Place::new(53, 2));
    let side = Side::new(a, b, EVERYTHING);
    let holder = UdpSocket::bind(a.socket()).expect("bound");
    let said = side.run(&["run"]).failed();
    assert!(said.contains(&a.socket().to_string()), "{said}");
    assert!(said.contains("another IKE daemon may be running"), "{said}");
    drop(holder);
}

#[test]
fn without_a_daemon_commands_that_need_one_fail_and_say_how_to_start_it() {
    let side = Side::new(Place::new(54, 1), Place::new(54, 2), EVERYTHING);
    for words in [&["up", "peer"][..], &["down", "peer"], &["status"]] {
        let said = side.run(words).failed();
        assert!(said.contains("mainmode run"), "{said}");
    }
}

#[test]
fn up_is_idempotent_down_is_too_and_an_unknown_name_is_refused() {
    let (mut north, south) = pair(55, EVERYTHING, EVERYTHING);
    north.run(&["down", "peer"]).good();
    assert!(north.run(&["up", "peer"]).good().contains("established"));
    let again = north.run(&["up", "peer"]).good();
    assert!(again.contains("established already"), "{again}");
    // The other side's SA is the same one.
    until("the peer has it", || south.counters().live == 1);
    let again = south.run(&["up", "peer"]).good();
    assert!(again.contains("established already"), "{again}");
    for words in [["up", "nobody"], ["down", "nobody"]] {
        let said = north.run(&words).failed();
        assert!(said.contains("nobody") && said.contains("peer"), "{said}");
    }
    for _ in 0..2 {
        north.run(&["down", "peer"]).good();
    }
    let status = north.run(&["status"]).good();
    assert!(
        status.contains("ended: it was brought down here"),
        "{status}"
    );
    let c = north.settled();
    assert_eq!((c.negotiations, c.established, c.ended), (1, 1, 1));
    north.stop();
    assert_eq!(north.ids(), [4650, 4655, 1100]);
    north.verify();
}

#[test]
fn up_is_answered_whoever_made_the_children() {
    let (mut north, mut south) = with_children(59);
    assert!(north.run(&["up", "peer"]).good().contains("established"));
    until("the peer has the child", || {
        south.status().quick_mode_sas.len() == 1
    });
    for side in [&south, &north] {
        let again = side.run(&["up", "peer"]).good();
        assert!(again.contains("established already"), "{again}");
        assert!(again.contains("net"), "{again}");
    }
    for side in [&north, &south] {
        assert_eq!(side.status().quick_mode_sas.len(), 1);
    }
    for side in [&mut north, &mut south] {
        side.stop();
        side.verify();
    }
}

const AUTO: Setup = Setup {
    connection: "start = \"auto\"",
    ..EVERYTHING
};

#[test]
fn a_connection_with_start_auto_comes_up_comes_back_when_the_peer_ends_it_and_stays_down_when_told()
{
    let (north, south) = pair(56, AUTO, EVERYTHING);
    north.account("it is up", |c| c.live == 1);
    south.account("the peer has it", |c| c.live == 1);
    let before = north.status().main_mode_sas[0].id;
    south.run(&["down", "peer"]).good();
    until("it is up again", || {
        let sas = north.status().main_mode_sas;
        sas.len() == 1 && sas[0].id > before
    });
    assert_eq!(cause(&north.of(4655)[0]), "deleted-by-peer");
    let begun = north.counters().negotiations;
    north.run(&["down", "peer"]).good();
    // Longer than it waited before it came back.
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    let c = north.settled();
    assert_eq!((c.negotiations, c.live), (begun, 0));
    north.verify();
    south.verify();
}

#[test]
fn a_connection_with_start_auto_that_failed_is_tried_again() {
    let (a, b) = (Place::new(57, 1), Place::new(57, 2));
    let (mut north, mut south) = (Side::new(a, b, AUTO), Side::new(b, a, EVERYTHING));
    north.start();
    north.account("nobody answers", |c| c.failed == 1);
    south.start();
    let c = north.account("it is up", |c| c.live == 1);
    assert!(c.negotiations >= 2, "{c:?}");
    assert_eq!(cause(&north.of(4653)[0]), "no-answer");
    north.stop();
    north.verify();
}

#[test]
fn both_sides_with_start_auto_end_with_as_many_sas_as_each_other_and_two_at_most() {
    let (mut north, mut south) = pair(58, AUTO, AUTO);
    let lives = || {
        let (n, s) = (north.settled(), south.settled());
        (n.live, s.live)
    };
    until("both are up", || {
        let (n, s) = lives();
        n == s && (1..=2).contains(&n)
    });
    for side in [&mut north, &mut south] {
        let c = side.settled();
        assert!(c.established <= 2, "{c:?}");
        side.stop();
        let count = |id| side.of(id).len() as u64;
        assert_eq!(count(4650), count(4655));
        side.verify();
    }
}

#[test]
fn a_client_that_got_no_address_asks_again_by_itself() {
    const CLIENT: Setup = Setup {
        connection: "start = \"auto\"\nmode-config = { request = \"ipv4\" }",
        ..EVERYTHING
    };
    let (mut north, south) = pair(44, CLIENT, EVERYTHING);
    north.account("it ended without an address", |c| c.ended >= 1);
    let ended = cause(&north.of(4655)[0]).to_owned();
    assert!(ended.starts_with("inner-address-"), "{ended}");
    let status = north.run(&["status"]).good();
    assert!(status.contains("(Mode Config)"), "{status}");
    south.edit(
        "[[connection]]\n",
        "[[pool]]\nname = \"clients\"\naddresses = \"10.3.0.0/24\"\n[[connection]]\nmode-config = { pools = [\"clients\"] }\n",
    );
    south.run(&["reload"]).good();
    north.account("it stands", |c| c.live == 1);
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(north.counters().live, 1);
    north.stop();
    north.verify();
}

#[test]
fn up_fails_where_part_of_a_child_does() {
    let (mut north, south) = with_children(46);
    for locals in [
        "[\"10.1.0.0/16\", \"10.5.0.0/16\"]",
        "[\"10.5.0.0/16\", \"10.1.0.0/16\"]",
    ] {
        north.edit("local = [\"10.1.0.0/16\"]", &format!("local = {locals}"));
        north.run(&["reload"]).good();
        let said = north.run(&["up", "peer"]).failed();
        assert!(said.contains("INVALID-ID-INFORMATION"), "{said}");
        north.edit(&format!("local = {locals}"), "local = [\"10.1.0.0/16\"]");
        north.run(&["down", "peer"]).good();
    }
    drop(south);
    north.stop();
    north.verify();
}

#[test]
fn a_reload_that_takes_a_peers_address_brings_a_connection_that_is_kept_up_back() {
    const SERVER: Setup = Setup {
        connection: "start = \"auto\"\nmode-config = { pools = [\"clients\"], push = true }",
        ..EVERYTHING
    };
    const CLIENT: Setup = Setup {
        connection: "mode-config = { request = \"ipv4\", push = true }",
        ..EVERYTHING
    };
    let (a, b) = (Place::new(47, 1), Place::new(47, 2));
    let (mut north, mut south) = (Side::new(a, b, SERVER), Side::new(b, a, CLIENT));
    north.append("[[pool]]\nname = \"clients\"\naddresses = \"10.3.0.0/24\"\n");
    south.start();
    north.start();
    north.account("it is up", |c| c.live == 1);
    let has = |address: &str| {
        let sas = south.status().main_mode_sas;
        format!("{sas:?}").contains(address)
    };
    until("the peer has an address", || has("10.3.0."));
    north.edit("10.3.0.0/24", "10.4.0.0/24");
    let said = north.run(&["reload"]).good();
    assert!(said.contains("amended"), "{said}");
    until("the peer has another", || has("10.4.0."));
    north.stop();
    north.verify();
}
