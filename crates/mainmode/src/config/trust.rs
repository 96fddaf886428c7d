//! Whom `auth` trusts: CAs, certificates and keys of peers, CRLs, and what is asked of all of them.

use std::ops::Range;

use crypto::cert::{
    Certificate, Crl, Policy, PublicKey, Revocation, TrustStore, load_certificates,
};
use zeroize::Zeroizing;

use super::certificate::Files;
use super::diagnostic::Findings;
use super::table::Table;

/// The shortest RSA modulus that a policy may allow, in bits: what is shorter has been factored.
const LEAST_RSA_BITS: u64 = 1024;
/// The longest that it may demand.
const MOST_RSA_BITS: u64 = 8192;

/// Whom we trust.
pub(super) fn trust(
    table: &Table<'_>,
    policy: Policy,
    files: &mut Files<'_>,
    findings: &mut Findings,
) -> Option<TrustStore> {
    let mut sound = true;
    let mut certificates = |name: &'static str, files: &mut Files<'_>, findings: &mut Findings| {
        let mut found: Vec<Certificate> = Vec::new();
        let Some(field) = table.get(name) else {
            return found;
        };
        files.note(name.as_bytes());
        let Some(texts) = field.texts(findings, "[\"ca.pem\"]") else {
            sound = false;
            return found;
        };
        for (text, span) in texts {
            match load_certificates(&files.path(text)) {
                Ok(loaded) => {
                    for certificate in &loaded {
                        files.note(certificate.der());
                    }
                    weak(name, span, &loaded, policy, findings);
                    found.extend(loaded);
                }
                Err(error) => {
                    sound = false;
                    let why = crate::with_causes(&error);
                    findings.error_help(
                        span,
                        format!("\"{name}\": {why}"),
                        "name files of certificates in PEM or DER, or a folder of them",
                    );
                }
            }
        }
        found
    };
    let anchors = certificates("ca", files, findings);
    let peers = certificates("peer-certificate", files, findings);
    let raw_keys = peer_keys(table, policy, files, findings)?;
    if anchors.is_empty() && peers.is_empty() && raw_keys.is_empty() && sound {
        findings.error_help(
            table.span.clone(),
            "nobody is trusted here: no peer could prove who it is",
            "add ca = [\"ca.pem\"], or peer-certificate, or peer-key",
        );
        return None;
    }
    let pinned = pinned(table, findings)?;
    sound.then_some(TrustStore {
        anchors,
        peers,
        pinned,
        raw_keys,
        ..TrustStore::default()
    })
}

/// What to do about a key that is refused.
const WEAK_HELP: &str = "have another key made, and the certificate issued for it; `min-rsa-bits` is the least length of RSA";

/// Warns of certificates that no peer gets past. A folder of public CAs has a few, so that it is no error.
fn weak(
    name: &str,
    span: Range<usize>,
    loaded: &[Certificate],
    policy: Policy,
    findings: &mut Findings,
) {
    let mut refused = loaded.iter().filter_map(|certificate| {
        let whose = certificate.subject_words();
        let checked = certificate.key().check(policy.min_rsa_bits, whose);
        checked.err()
    });
    let Some(first) = refused.next() else {
        return;
    };
    let more = match refused.count() {
        0 => String::new(),
        more => format!(" (and {more} more like it)"),
    };
    let what = format!("\"{name}\": {first}{more}: each chain with it is refused");
    findings.warn(span, what, WEAK_HELP);
}

/// Whether a peer needs both, a certificate that is known and a CA above it.
fn pinned(table: &Table<'_>, findings: &mut Findings) -> Option<bool> {
    let Some(field) = table.get("pinned") else {
        return Some(false);
    };
    if !field.boolean(findings)? {
        return Some(false);
    }
    if !table.has("ca") || !table.has("peer-certificate") || table.has("peer-key") {
        findings.error_help(
            field.key_span,
            "\"pinned\" is for peers that need both, one of \"peer-certificate\" and a CA of \"ca\"",
            "write both, and no \"peer-key\"",
        );
        return None;
    }
    Some(true)
}

/// Public keys of peers: files, or the keys themselves after `0s` or `0x`.
fn peer_keys(
    table: &Table<'_>,
    policy: Policy,
    files: &mut Files<'_>,
    findings: &mut Findings,
) -> Option<Vec<PublicKey>> {
    let Some(field) = table.get("peer-key") else {
        return Some(Vec::new());
    };
    let mut keys = Vec::new();
    let mut sound = true;
    for (text, span) in field.texts(findings, "[\"peer.pub\"]")? {
        let bytes = if text.starts_with("0s") || text.starts_with("0x") {
            Ok(Zeroizing::new(text.as_bytes().to_vec()))
        } else {
            files.read(text, false)
        };
        let key = bytes.and_then(|bytes| {
            files.note(&bytes);
            PublicKey::read(&bytes).map_err(|error| error.to_string())
        });
        match key {
            Ok(key) => {
                if let Err(refusal) = key.check(policy.min_rsa_bits, "a peer") {
                    let what = format!("\"peer-key\": {refusal}: it is refused each time");
                    findings.warn(span, what, WEAK_HELP);
                }
                keys.push(key);
            }
            Err(why) => {
                sound = false;
                findings.error_help(
                    span,
                    format!("\"peer-key\": {why}"),
                    "name a file with the peer's public key in PEM or DER, or write 0s and the base64 of a DNSKEY",
                );
            }
        }
    }
    sound.then_some(keys)
}

/// CRLs in files.
pub(super) fn crls(table: &Table<'_>, files: &mut Files<'_>, findings: &mut Findings) -> Vec<Crl> {
    let Some(field) = table.get("crl") else {
        return Vec::new();
    };
    let mut crls = Vec::new();
    for (text, span) in field.texts(findings, "[\"ca.crl\"]").unwrap_or_default() {
        let crl = files
            .read(text, false)
            .and_then(|bytes| Crl::read(&bytes).map_err(|error| error.to_string()));
        match crl {
            Ok(crl) => crls.push(crl),
            Err(why) => findings.error_help(
                span,
                format!("\"crl\": {why}"),
                "name a file with a CRL in PEM or DER",
            ),
        }
    }
    crls
}

/// What is asked of certificates.
pub(super) fn policy(table: &Table<'_>, findings: &mut Findings) -> Policy {
    let mut policy = Policy::default();
    let words = [
        ("relaxed", Revocation::Relaxed),
        ("if-uri", Revocation::IfUri),
        ("strict", Revocation::Strict),
        ("off", Revocation::Off),
    ];
    if let Some(revocation) = table
        .get("revocation")
        .and_then(|field| field.word(findings, &words))
    {
        policy.revocation = revocation;
    }
    if let Some(bits) = table
        .get("min-rsa-bits")
        .and_then(|field| field.integer(findings, LEAST_RSA_BITS, MOST_RSA_BITS, "2048"))
        .and_then(|bits| u32::try_from(bits).ok())
    {
        policy.min_rsa_bits = bits;
    }
    if let Some(field) = table.get("allow-sha1")
        && field.boolean(findings) == Some(true)
    {
        policy.allow_sha1 = true;
        findings.warn(
            field.span,
            "certificates signed over SHA-1 can be forged",
            "use it only until the CA signs with SHA-256",
        );
    }
    policy
}
