//! Whether a certificate holds the identity that a peer gave (RFC 4945 section 3.1).

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::certificate::{AltName, Certificate};
use super::dn;
use super::fault::{Fault, Refusal};

/// An identity as the Identification payload carries it (RFC 2407 section 4.6.2).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerIdentity {
    /// The ID type: 1 and 5 addresses, 2 a host name, 3 a mailbox, 9 a distinguished name, 11 a key ID.
    pub kind: u8,
    /// The identification data.
    pub data: Vec<u8>,
}

const IPV4_ADDR: u8 = 1;
const FQDN: u8 = 2;
const USER_FQDN: u8 = 3;
const IPV6_ADDR: u8 = 5;
const DER_ASN1_DN: u8 = 9;
const KEY_ID: u8 = 11;

impl PeerIdentity {
    /// Whether the certificate holds this identity: an address, a host name or a mailbox as the whole of a
    /// subjectAltName of its kind, a distinguished name as the subject or a subjectAltName, a key ID as the
    /// subject's key identifier.
    ///
    /// Nothing else counts: not a host name in the subject's CN, no wildcard, no part of a name.
    pub fn is_in(&self, certificate: &Certificate) -> bool {
        let names = certificate.alt_names();
        let same_text = |name: &str| name.as_bytes().eq_ignore_ascii_case(&self.data);
        if self.data.is_empty() {
            return false;
        }
        match self.kind {
            IPV4_ADDR | IPV6_ADDR => names
                .iter()
                .any(|name| matches!(name, AltName::Ip(address) if *address == self.data)),
            FQDN => names
                .iter()
                .any(|name| matches!(name, AltName::Dns(name) if same_text(name))),
            USER_FQDN => names
                .iter()
                .any(|name| matches!(name, AltName::Email(name) if same_text(name))),
            DER_ASN1_DN => {
                self.is_name(certificate.subject())
                    || names
                        .iter()
                        .any(|name| matches!(name, AltName::Directory(name) if self.is_name(name)))
            }
            KEY_ID => certificate.subject_key_id() == Some(&self.data),
            _ => false,
        }
    }

    fn is_name(&self, name: &[u8]) -> bool {
        dn::check(name).is_ok() && (self.data == name || dn::same(&self.data, name))
    }

    /// Refuses a certificate that does not hold this identity.
    pub(crate) fn check(&self, certificate: &Certificate) -> Result<(), Refusal> {
        if self.is_in(certificate) {
            return Ok(());
        }
        Err(Refusal::new(
            Fault::NameMismatch,
            format!(
                "the peer gave {self}; its certificate is for {}",
                held(certificate)
            ),
        ))
    }
}

impl std::fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            IPV4_ADDR | IPV6_ADDR => f.write_str(&address(&self.data)),
            FQDN | USER_FQDN => f.write_str(&printable(&String::from_utf8_lossy(&self.data))),
            DER_ASN1_DN => f.write_str(&super::certificate::words(&self.data)),
            KEY_ID => write!(f, "keyid:{}", dn::hex(&self.data)),
            kind => write!(f, "type {kind}: {}", dn::hex(&self.data)),
        }
    }
}

impl std::fmt::Debug for PeerIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PeerIdentity({self})")
    }
}

/// The most names of a certificate that a refusal lists: an operator sees what it is for.
const NAMES_TOLD: usize = 4;

/// The names that a certificate holds, in words.
fn held(certificate: &Certificate) -> String {
    let mut names = vec![certificate.subject_words().to_owned()];
    names.extend(
        certificate
            .alt_names()
            .iter()
            .take(NAMES_TOLD)
            .map(|name| match name {
                AltName::Dns(name) | AltName::Email(name) => printable(name),
                AltName::Ip(bytes) => address(bytes),
                AltName::Directory(name) => super::certificate::words(name),
            }),
    );
    if certificate.alt_names().len() > NAMES_TOLD {
        names.push("…".to_owned());
    }
    names.join(" and ")
}

fn address(bytes: &[u8]) -> String {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        IpAddr::from(octets).to_string()
    } else if let Ok(octets) = <[u8; 16]>::try_from(bytes) {
        IpAddr::from(octets).to_string()
    } else {
        dn::hex(bytes)
    }
}

/// What a peer wrote, without characters that would deceive a reader.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() || dn::is_deceptive(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}
