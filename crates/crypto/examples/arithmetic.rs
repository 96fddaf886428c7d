//! What the arithmetic of a Main Mode costs on this machine: CPU microseconds a key share, an agreement,
//! and both in one as a responder does them, for each group; and the symmetric rest of a negotiation,
//! which is the same for all. Plain columns, for a person or a script.
//!
//! `cargo run --release -p crypto --example arithmetic [GROUP...]`

use std::hint::black_box;
use std::time::{Duration, Instant};

use crypto::{Cipher, CryptoError, GROUPS, Hash, Secret};

/// How long each figure is measured.
const MEASURE: Duration = Duration::from_millis(300);
/// Of how many runs of the whole measurement the fastest counts: the others were disturbed.
const ROUNDS: u32 = 3;

fn main() -> Result<(), CryptoError> {
    println!(
        "{:<10} {:>12} {:>12} {:>12}",
        "group", "generate_us", "agree_us", "both_us"
    );
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    for row in GROUPS.iter().filter(|row| is_wanted(row.name)) {
        let ours = crypto::generate(row.group)?;
        let theirs = crypto::generate(row.group)?;
        let generate = cost(|| crypto::generate(row.group).map(drop))?;
        let agree =
            cost(|| crypto::agree(row.group, &ours.private, black_box(&theirs.public)).map(drop))?;
        let both =
            cost(|| crypto::generate_and_agree(row.group, black_box(&theirs.public)).map(drop))?;
        println!(
            "{:<10} {generate:>12.1} {agree:>12.1} {both:>12.1}",
            row.name
        );
    }
    println!("symmetric  {:>12.1}", cost(symmetric)?);
    Ok(())
}

/// Everything of one side's Main Mode that is not Diffie-Hellman: keys, IVs, both proofs, messages 5 and
/// 6 in AES-256 and SHA-256.
fn symmetric() -> Result<(), CryptoError> {
    let (hash, cipher) = (Hash::Sha256, Cipher::Aes256);
    let (public, sa, message) = ([7; 256], [8; 52], [9; 64]);
    let gxy = Secret::new(vec![1; 256]);
    let skeyid = crypto::skeyid_psk(hash, b"a pre-shared key", &[2; 32], &[3; 32])?;
    let keys = crypto::keymat(hash, skeyid, &gxy, &[4; 8], &[5; 8])?;
    let key = crypto::cipher_key(hash, cipher, &keys.e)?;
    let iv = crypto::phase1_iv(hash, cipher, &public, &public)?;
    for _ in 0..2 {
        let parts: [&[u8]; 5] = [&public, &public, &[4; 16], &sa, &[6; 8]];
        black_box(crypto::prf(hash, keys.skeyid.as_bytes(), &parts)?);
    }
    let sent = crypto::encrypt(cipher, &key, &iv, &message)?;
    black_box(crypto::decrypt(cipher, &key, &iv, &sent)?);
    Ok(())
}

/// CPU microseconds a call.
fn cost(mut work: impl FnMut() -> Result<(), CryptoError>) -> Result<f64, CryptoError> {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let (start, wall) = (cpu(), Instant::now());
        let mut calls = 0_u32;
        while wall.elapsed() < MEASURE / ROUNDS {
            work()?;
            calls += 1;
        }
        let used = match (start, cpu()) {
            (Some(start), Some(end)) => end.saturating_sub(start),
            _ => wall.elapsed(),
        };
        best = best.min(used.as_secs_f64() * 1e6 / f64::from(calls));
    }
    Ok(best)
}

/// The CPU time of this thread so far, where Linux tells it: others on the machine do not count.
fn cpu() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}
