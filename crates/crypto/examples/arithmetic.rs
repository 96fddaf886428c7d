//! What the arithmetic of a Main Mode costs on this machine: CPU microseconds a key share, an agreement,
//! and both in one as a responder does them, for each group; a signature and its check, for each kind of
//! key; and the symmetric rest of a negotiation, which is the same for all. And what ESP costs: Mbit/s that one core
//! seals and opens, in packets of an Ethernet frame. Plain columns, for a person or a script.
//!
//! `cargo run --release -p crypto --example arithmetic [GROUP|SUITE...]`

use std::hint::black_box;
use std::time::{Duration, Instant};

use crypto::esp::{EspProposal, Opener, Sealer};
use crypto::{Cipher, CryptoError, GROUPS, Hash, Secret};
use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::Rsa;

/// How long each figure is measured.
const MEASURE: Duration = Duration::from_millis(300);
/// Of how many runs of the whole measurement the fastest counts: the others were disturbed.
const ROUNDS: u32 = 3;
/// A packet within a tunnel over Ethernet: 1,500 bytes without the headers.
const PAYLOAD: usize = 1_420;

type Any = Box<dyn std::error::Error>;

fn main() -> Result<(), Any> {
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
    println!(
        "{:<10} {:>12} {:>12} {:>12}",
        "key", "sign_us", "verify_us", "both_us"
    );
    signatures("rsa2048", &PKey::from_rsa(Rsa::generate(2048)?)?)?;
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    signatures("ecdsa256", &PKey::from_ec_key(EcKey::generate(&curve)?)?)?;
    println!(
        "{:<12} {:>12} {:>12}",
        "suite", "seal_mbit_s", "open_mbit_s"
    );
    for suite in ["aes128gcm16", "aes256gcm16", "chacha20poly1305"] {
        if is_wanted(suite) {
            let [seal, open] = esp(suite)?;
            println!("{suite:<12} {seal:>12.0} {open:>12.0}");
        }
    }
    Ok(())
}

/// A line: a signature over a hash, as phase 1 has one each way.
fn signatures(name: &str, key: &PKey<Private>) -> Result<(), Any> {
    let hash = [7; 32];
    let mut signer = PkeyCtx::new(key)?;
    let mut made = Vec::new();
    signer.sign_init()?;
    signer.sign_to_vec(&hash, &mut made)?;
    let sign = cost(|| {
        let mut signer = PkeyCtx::new(key)?;
        signer.sign_init()?;
        signer
            .sign_to_vec(black_box(&hash), &mut Vec::new())
            .map(drop)
    })?;
    let verify = cost(|| {
        let mut verifier = PkeyCtx::new(key)?;
        verifier.verify_init()?;
        verifier.verify(&hash, &made).map(drop)
    })?;
    println!(
        "{name:<10} {sign:>12.1} {verify:>12.1} {:>12.1}",
        sign + verify
    );
    Ok(())
}

/// Mbit/s of payload that one core seals, and that one opens.
fn esp(suite: &str) -> Result<[f64; 2], Any> {
    let suite: EspProposal = suite.parse()?;
    let cipher = suite.cipher.ok_or("a cipher")?;
    let key = Secret::new(vec![5; cipher.row().keymat_len()]);
    let none = Secret::new(Vec::new());
    let mut sealer = Sealer::new(cipher, None, false, 1, &key, &none)?;
    let mut opener = Opener::new(cipher, None, false, &key, &none)?;
    let mut packet = vec![0; sealer.sealed_len(PAYLOAD)];
    let mut sequence = 0;
    let seal = cost(|| {
        sequence += 1;
        sealer.seal(&mut packet, PAYLOAD, 4, sequence).map(drop)
    })?;
    // What is opened is plain afterwards: a copy each time.
    let closed = packet.clone();
    let open = cost(|| {
        packet.copy_from_slice(&closed);
        opener.open(&mut packet, sequence).map(drop)
    })?;
    let bits = f64::from(u32::try_from(PAYLOAD)? * 8);
    Ok([bits / seal, bits / open])
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
fn cost<E>(mut work: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
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
