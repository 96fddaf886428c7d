//! Whom a connection trusts: certificates and keys of peers, CAs, and what is revoked.

use std::path::PathBuf;

use crypto::cert::Crl;

use super::auth::{Skip, files};
use super::authorities::{another_peer, more_than_charon};
use super::credentials::{Credentials, files_in, small};
use super::given::{Given, Remarks};
use super::settings::Place;
use super::toml::Lines;

/// The most CRLs of a folder: each connection has them all.
const MAX_CRLS: usize = 256;

/// Reads what the round of a peer that signs asks of it.
///
/// # Errors
///
/// The connection cannot be had; why has been said.
pub fn read(
    connection: &Given<'_>,
    remote: &mut Given<'_>,
    credentials: &Credentials<'_>,
    lines: &mut Lines,
    remarks: &mut Remarks,
) -> Result<(), Skip> {
    let by_certificates = whom(remote, credentials, lines, remarks)?;
    if by_certificates {
        crls(remote, credentials, lines, remarks);
    }
    constraints(remote, lines, remarks)?;
    revocation(connection, remote, lines, remarks)
}

/// Whom we trust; whether it is by certificates at all.
fn whom(
    remote: &mut Given<'_>,
    credentials: &Credentials<'_>,
    lines: &mut Lines,
    remarks: &mut Remarks,
) -> Result<bool, Skip> {
    let folder = credentials.folder;
    let peers = all_of(remote, "certs", "cert", "x509", credentials, remarks)?;
    let named = all_of(remote, "cacerts", "cacert", "x509ca", credentials, remarks)?;
    let keys: Vec<String> = remote
        .list("pubkeys")
        .into_iter()
        .map(
            |key| match key.get(..2).map(str::to_ascii_lowercase).as_deref() {
                Some("0s" | "0x") => key.to_owned(),
                _ => folder.join("pubkey").join(key).display().to_string(),
            },
        )
        .collect();
    if !keys.is_empty() && !named.is_empty() {
        let why = "the connection is left out, since it would let in more peers than before: with cacerts charon asks a \
                   CA's certificate of a peer whose key is known, too";
        remote.left_out("pubkeys", why, remarks);
        return Err(Skip);
    }
    let paths = |found: &[(PathBuf, Place)]| -> Vec<PathBuf> {
        let paths = found.iter().map(|(path, _)| path.clone());
        paths.collect()
    };
    let every_ca = || vec![folder.join("x509ca")];
    // Of a certificate that it knows charon looks at the CAs above it, too, where it finds them.
    let issued = || {
        let root = |(path, _): &(PathBuf, Place)| credentials.authorities().above(path).root;
        peers.iter().all(root)
    };
    let anchors = match (peers.is_empty(), keys.is_empty()) {
        _ if !named.is_empty() => paths(&named),
        // Charon trusts all CAs that swanctl has loaded.
        (true, true) => every_ca(),
        (false, true) if issued() => every_ca(),
        _ => Vec::new(),
    };
    let more = more_than_charon(&anchors).or_else(|| another_peer(&paths(&peers)));
    if let Some((file, whose)) = more {
        let why = format!(
            "the connection is left out, since it would let in more peers than before: charon does not take the certificate \
             of {whose} from this file. It reads the first of a file, and for a CA what says that it is one: put each into \
             its own"
        );
        remarks.left_out(&remote.section.place, file.display().to_string(), why);
        return Err(Skip);
    }
    let pinned = !peers.is_empty() && !anchors.is_empty();
    let texts = |paths: &[PathBuf]| -> Vec<String> {
        let texts = paths.iter().map(|path| path.display().to_string());
        texts.collect()
    };
    let by_certificates = !peers.is_empty() || !anchors.is_empty();
    for (key, list) in [
        ("ca", texts(&anchors)),
        ("peer-certificate", texts(&paths(&peers))),
        ("peer-key", keys),
    ] {
        if !list.is_empty() {
            lines.put_list(key, &list);
        }
    }
    if pinned {
        lines.put("pinned", true);
    }
    Ok(by_certificates)
}

/// The files that a key and sections name. Where none of those that are named can be had, neither can the connection:
/// without them anybody else would do.
fn all_of(
    remote: &mut Given<'_>,
    key: &'static str,
    sections: &str,
    folder_of: &str,
    credentials: &Credentials<'_>,
    remarks: &mut Remarks,
) -> Result<Vec<(PathBuf, Place)>, Skip> {
    let found = files(
        remote,
        key,
        sections,
        folder_of,
        credentials.folder,
        remarks,
    );
    let mut names = remote.section.sections.keys();
    let asked = !remote.list(key).is_empty() || names.any(|name| name.starts_with(sections));
    if found.is_empty() && asked {
        let why = "the connection is left out, since it would let in more peers than before: none of these can be had";
        remote.left_out(key, why, remarks);
        return Err(Skip);
    }
    Ok(found)
}

/// The CRLs in swanctl's folder: charon heeds each, whatever the connection.
fn crls(
    remote: &Given<'_>,
    credentials: &Credentials<'_>,
    lines: &mut Lines,
    remarks: &mut Remarks,
) {
    let place = &remote.section.place;
    let folder = credentials.folder.join("x509crl");
    let name = |path: &std::path::Path| path.display().to_string();
    let files = match files_in(&folder) {
        Ok(files) => files,
        Err(why) => {
            let why = format!("what it revokes is left out: it cannot be read: {why}");
            remarks.left_out(place, name(&folder), why);
            return;
        }
    };
    if files.len() > MAX_CRLS {
        let why = format!("the rest of it is left out: there are more CRLs than {MAX_CRLS}");
        remarks.left_out(place, name(&folder), why);
    }
    let mut good = Vec::new();
    for file in files.iter().take(MAX_CRLS) {
        let read = small(file)
            .ok_or_else(|| "it cannot be read".to_owned())
            .and_then(|bytes| Crl::read(&bytes).map_err(|why| why.to_string()));
        match read {
            Ok(_) => good.push(name(file)),
            Err(why) => {
                let why = format!("what it revokes is left out: {why}");
                remarks.left_out(place, name(file), why);
            }
        }
    }
    if !good.is_empty() {
        lines.put_list("crl", &good);
    }
    let responders = credentials.folder.join("x509ocsp");
    if files_in(&responders).is_ok_and(|files| !files.is_empty()) {
        let why = "certificates of OCSP responders are left out: an answer counts where the CA has signed it, or a \
                   responder that the CA has named";
        remarks.left_out(place, name(&responders), why);
    }
}

/// What `auth` of the peer's side asks of keys: the least length of RSA can be had.
fn constraints(
    remote: &mut Given<'_>,
    lines: &mut Lines,
    remarks: &mut Remarks,
) -> Result<(), Skip> {
    let Some(value) = remote.get("auth") else {
        return Ok(());
    };
    let mut words = value.text.split('-');
    let least = match (words.next(), words.next(), words.next()) {
        (Some("pubkey"), None, None) => return Ok(()),
        (Some("rsa"), Some(bits), None) => bits.parse::<i64>().ok(),
        _ => None,
    };
    let Some(bits) = least else {
        let why = "the connection is left out, since it would let in more peers than before: of keys the least \
                       length of RSA can be asked for, as in rsa-3072, and nothing else";
        remote.left_out("auth", why, remarks);
        return Err(Skip);
    };
    lines.put("min-rsa-bits", bits);
    Ok(())
}

fn revocation(
    connection: &Given<'_>,
    remote: &mut Given<'_>,
    lines: &mut Lines,
    remarks: &mut Remarks,
) -> Result<(), Skip> {
    if let Some(value) = remote.get("revocation") {
        match value.text.to_ascii_lowercase().as_str() {
            "strict" => lines.put("revocation", "strict"),
            "ifuri" => lines.put("revocation", "if-uri"),
            "relaxed" => {}
            _ => {
                let why = format!(
                    "the connection \"{}\" is left out: no such policy",
                    connection.path
                );
                remote.left_out("revocation", why, remarks);
                return Err(Skip);
            }
        }
    }
    Ok(())
}
