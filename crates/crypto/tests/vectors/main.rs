//! Published figures come out: each module names where they stand.

mod diffie_hellman;
mod ike_kdf;
mod quick_mode;
mod rfc_5114;
mod symmetric;

fn hex(text: &str) -> Vec<u8> {
    hex::decode(text).expect("hex")
}
