//! Bad input: every truncation of each of the six messages of a real negotiation, and each of its bytes
//! with each bit turned, put before clones of the endpoints.

use std::time::Duration;

use crate::fuzzing::{Bench, Packet, Proof};

/// Every truncation, and each byte changed in eight ways.
fn changes(message: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let cuts = (0..message.len()).map(|len| message[..len].to_vec());
    let bits = (0..message.len() * 8).map(|bit| {
        let mut changed = message.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        changed
    });
    cuts.chain(bits)
}

/// The states of a negotiation before each of its messages comes, with that message.
fn recording() -> Vec<(Bench, Packet)> {
    recording_of(Proof::Psk)
}

fn recording_of(proof: Proof) -> Vec<(Bench, Packet)> {
    let mut bench = Bench::with(None, proof);
    bench.initiate(0);
    let mut stages = Vec::new();
    while let Some(packet) = bench.wire.front().cloned() {
        stages.push((bench.clone(), packet));
        bench.step();
    }
    let aggressive = matches!(proof, Proof::AggressivePsk | Proof::AggressiveCertificates);
    assert_eq!(stages.len(), if aggressive { 3 } else { 6 });
    assert!(bench.established());
    stages
}

/// The states of a Quick Mode before each of its messages comes, with that message.
fn quick_recording() -> Vec<(Bench, Packet)> {
    let mut bench = Bench::new(None);
    bench.initiate(0);
    bench.settle();
    bench.initiate_child(0);
    let mut stages = Vec::new();
    while let Some(packet) = bench.wire.front().cloned() {
        stages.push((bench.clone(), packet));
        bench.step();
    }
    assert_eq!(stages.len(), 3);
    assert!(bench.child_stands());
    stages
}

/// The states before each TRANSACTION of XAUTH and of Mode Config comes, with that message.
fn transactions(proof: Proof) -> Vec<(Bench, Packet)> {
    let mut bench = Bench::with(None, proof);
    bench.initiate(0);
    let mut stages = Vec::new();
    while let Some(packet) = bench.wire.front().cloned() {
        let header = isakmp::Datagram::parse(&packet.bytes).unwrap().header;
        if header.exchange == isakmp::ExchangeType::TRANSACTION {
            stages.push((bench.clone(), packet));
        }
        bench.step();
    }
    // Question, answer, word and its acknowledgement; then an address.
    assert_eq!(stages.len(), 6, "{proof:?}");
    assert!(bench.established() && has_address(&bench));
    stages
}

fn has_address(bench: &Bench) -> bool {
    let mut sas = bench.endpoints[0].sas.values();
    sas.all(|sa| !sa.inner_local.is_empty())
}

/// State that one datagram may leave at most: a negotiation with its indices and its timer, or a
/// fragment.
const GROWTH: usize = 8;

/// Gives a changed message to a clone, and sees that the account balances and little was kept.
fn after_changed(bench: &Bench, packet: &Packet, changed: Vec<u8>) -> Bench {
    let mut clone = bench.clone();
    let before: Vec<usize> = clone
        .endpoints
        .iter()
        .map(super::super::endpoint::Endpoint::state_size)
        .collect();
    clone.deliver(&Packet {
        bytes: changed,
        ..packet.clone()
    });
    clone.check();
    for (endpoint, before) in clone.endpoints.iter().zip(before) {
        assert!(endpoint.state_size() <= before + GROWTH);
    }
    clone
}

fn one_sa_each(bench: &Bench) -> bool {
    bench
        .endpoints
        .iter()
        .all(|e| e.counters().established == 1 && e.sas.len() == 1)
}

#[test]
fn a_changed_message_after_the_true_one_harms_nothing() {
    for (number, (mut bench, packet)) in recording().into_iter().enumerate() {
        bench.step();
        for changed in changes(&packet.bytes) {
            let mut clone = after_changed(&bench, &packet, changed.clone());
            clone.settle();
            assert!(
                one_sa_each(&clone),
                "message {}: {changed:02x?}",
                number + 1
            );
        }
    }
}

#[test]
fn a_changed_message_5_or_6_before_the_true_one_harms_nothing() {
    for (number, (bench, packet)) in recording().into_iter().enumerate().skip(4) {
        for changed in changes(&packet.bytes) {
            let mut clone = after_changed(&bench, &packet, changed.clone());
            clone.settle();
            assert!(
                one_sa_each(&clone),
                "message {}: {changed:02x?}",
                number + 1
            );
        }
    }
}

/// Messages 5 and 6 of a negotiation with certificates are long, and each that decrypts has a signature checked: of
/// the changes every so manieth.
const SOME: usize = 7;

#[test]
fn a_changed_message_with_certificates_before_or_after_the_true_one_harms_nothing() {
    for (number, (bench, packet)) in recording_of(Proof::Certificates).into_iter().enumerate() {
        let mut after = bench.clone();
        after.step();
        let before = (number >= 4).then_some(bench);
        for bench in before.into_iter().chain([after]) {
            for changed in changes(&packet.bytes).step_by(SOME) {
                let mut clone = after_changed(&bench, &packet, changed.clone());
                clone.settle();
                assert!(
                    one_sa_each(&clone),
                    "message {}: {changed:02x?}",
                    number + 1
                );
            }
        }
    }
}

#[test]
fn a_changed_message_of_aggressive_mode_after_the_true_one_or_a_changed_2_or_3_before_it_harms_nothing()
 {
    // Whether a certificate is asked for no signature covers: a message 2 without its request ends the negotiation
    // as one that nobody answers.
    for (proof, first, every) in [
        (Proof::AggressivePsk, 1, 1),
        (Proof::AggressiveCertificates, 2, SOME),
    ] {
        for (number, (bench, packet)) in recording_of(proof).into_iter().enumerate() {
            let mut after = bench.clone();
            after.step();
            let before = (number >= first).then_some(bench);
            for bench in before.into_iter().chain([after]) {
                for changed in changes(&packet.bytes).step_by(every) {
                    let mut clone = after_changed(&bench, &packet, changed.clone());
                    clone.settle();
                    clone.pass(Duration::from_secs(4));
                    let at = changed.iter().zip(&packet.bytes).position(|(a, b)| a != b);
                    assert!(
                        one_sa_each(&clone),
                        "{proof:?}, message {}, {at:?} of {}: {changed:02x?}",
                        number + 1,
                        packet.bytes.len(),
                    );
                }
            }
        }
    }
}

#[test]
fn a_changed_message_1_to_4_that_comes_first_leaves_exactly_one_verdict_on_each_side() {
    one_verdict_each(Proof::Psk, 4, 1);
}

#[test]
fn so_does_a_changed_message_with_certificates_and_one_of_aggressive_mode() {
    one_verdict_each(Proof::Certificates, 4, SOME);
    one_verdict_each(Proof::AggressivePsk, 3, SOME);
    one_verdict_each(Proof::AggressiveCertificates, 3, SOME);
}

fn one_verdict_each(proof: Proof, messages: usize, every: usize) {
    for (number, (bench, packet)) in recording_of(proof).into_iter().enumerate().take(messages) {
        for changed in changes(&packet.bytes).step_by(every) {
            let mut clone = after_changed(&bench, &packet, changed.clone());
            // Then the true one comes, and time passes.
            clone.settle();
            clone.pass(Duration::from_mins(1));
            let why = format!("message {}: {changed:02x?}", number + 1);
            for (endpoint, verdicts) in clone.endpoints.iter().zip(&clone.verdicts) {
                let counters = endpoint.counters();
                assert_eq!(
                    counters.negotiations,
                    counters.established + counters.failed,
                    "{why}"
                );
                assert!(verdicts.values().all(|count| *count == 1), "{why}");
            }
            // The initiator began one; a changed cookie makes another of message 1 for the responder.
            assert_eq!(clone.endpoints[0].counters().negotiations, 1, "{why}");
            let most = if number == 0 { 2 } else { 1 };
            assert!(clone.endpoints[1].counters().negotiations <= most, "{why}");
        }
    }
}

/// Each message of a recording in each of its changed forms, before the true one and after it; `check` what comes of it.
fn changed_before_or_after(recording: Vec<(Bench, Packet)>, check: impl Fn(&Bench, &str)) {
    for (number, (before, packet)) in recording.into_iter().enumerate() {
        let mut after = before.clone();
        after.step();
        for bench in [before, after] {
            for changed in changes(&packet.bytes) {
                let mut clone = after_changed(&bench, &packet, changed.clone());
                clone.settle();
                check(&clone, &format!("message {}: {changed:02x?}", number + 1));
            }
        }
    }
}

#[test]
fn a_changed_message_of_xauth_or_mode_config_before_or_after_the_true_one_harms_nothing() {
    for proof in [Proof::User, Proof::Hybrid] {
        changed_before_or_after(transactions(proof), |clone, why| {
            assert!(one_sa_each(clone) && has_address(clone), "{proof:?}, {why}");
        });
    }
}

#[test]
fn a_changed_message_of_quick_mode_before_or_after_the_true_one_harms_nothing() {
    changed_before_or_after(quick_recording(), |clone, why| {
        assert!(one_sa_each(clone) && clone.child_stands(), "{why}");
        for endpoint in &clone.endpoints {
            let counters = endpoint.counters();
            assert_eq!(
                (counters.quick_modes, counters.quick_failed),
                (1, 0),
                "{why}"
            );
        }
    });
}

#[test]
fn nothing_stays_of_any_changed_message_of_quick_mode() {
    for (bench, packet) in quick_recording() {
        let all: Vec<Vec<u8>> = changes(&packet.bytes).collect();
        for some in all.chunks(400) {
            let mut clone = bench.clone();
            for changed in some {
                clone.deliver(&Packet {
                    bytes: changed.clone(),
                    ..packet.clone()
                });
            }
            clone.finish();
        }
    }
}

#[test]
fn nothing_stays_of_any_changed_message() {
    for (bench, packet) in recording() {
        let all: Vec<Vec<u8>> = changes(&packet.bytes).collect();
        for some in all.chunks(400) {
            let mut clone = bench.clone();
            for changed in some {
                clone.deliver(&Packet {
                    bytes: changed.clone(),
                    ..packet.clone()
                });
            }
            for endpoint in &clone.endpoints {
                // Half-open negotiations are bounded by source.
                assert!(endpoint.state_size() < 600);
            }
            clone.finish();
        }
    }
}
