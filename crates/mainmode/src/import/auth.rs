//! How both sides prove who they are: the rounds of a connection, the secrets, certificates and keys.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crypto::cert::KeyKind;

use super::credentials::{self, Credentials};
use super::given::{Given, Lacking, Remarks, UNUSED, in_order, lacking};
use super::settings::Place;
use super::toml::Lines;
use super::trust;
use super::words;
use super::xauth::{self, Class, Part, Rounds, Users, Way};
use crate::config::secret;

/// Keys of a round that have no equal. What would let in more than before is not among them: see [`RESTRICTS`].
const LACKING: &[Lacking] = &[
    lacking("eap_id", UNUSED, ""),
    lacking("aaa_id", UNUSED, ""),
    lacking("xauth_id", &[], "this round is no XAUTH"),
];

/// What keeps peers out, and cannot be had: a connection without it would let in more than before.
const RESTRICTS: [(&str, &str); 3] = [
    ("groups", "there are no authorization groups"),
    ("cert_policy", "certificate policies are not looked at"),
    ("ca_id", "a CA is named by its certificate, in cacerts"),
];

/// A connection cannot be had: what has been said of it.
pub struct Skip;

/// Both rounds, as they are written here.
#[derive(Clone)]
pub struct Auth {
    /// `auth`.
    pub lines: Lines,
    /// Our `id`.
    pub local_id: Option<String>,
    /// The peer's `id`.
    pub remote_id: Option<String>,
    /// Whether it is by a pre-shared key.
    pub psk: bool,
    /// Whether it could be another one for another remote address.
    pub by_address: bool,
    /// `xauth`, if there is any.
    pub xauth: Option<Rc<Users>>,
}

/// Addresses, which are identities where there are no others.
pub struct Sides<'a> {
    /// Ours.
    pub local: Option<&'a str>,
    /// The peer's.
    pub remote: Option<&'a str>,
    /// Whether the connection has no other remote address.
    pub alone: bool,
}

/// Reads the rounds of a connection.
///
/// # Errors
///
/// The connection cannot be had; why has been said.
pub fn read(
    connection: &Given<'_>,
    sides: &Sides<'_>,
    credentials: &mut Credentials<'_>,
    remarks: &mut Remarks,
) -> Result<Auth, Skip> {
    let mut local = xauth::rounds(connection, "local", remarks)?;
    let mut remote = xauth::rounds(connection, "remote", remarks)?;
    let way = xauth::way(&local, &remote, remarks)?;
    for (key, why) in RESTRICTS {
        if remote.first.get(key).is_some() {
            let why = format!(
                "the connection is left out, since it would let in more peers than before: {why}"
            );
            remote.first.left_out(key, why, remarks);
            return Err(Skip);
        }
    }
    let local_id = identity(&mut local.first, remarks)?;
    let remote_id = identity(&mut remote.first, remarks)?;
    let alone = sides.alone;
    let sides = xauth::Sides {
        local: (local_id.as_deref(), sides.local),
        remote: (remote_id.as_deref(), sides.remote),
    };
    let mut lines = Lines::default();
    if way.psk {
        psk(connection, &sides, alone, credentials, &mut lines, remarks)?;
    } else {
        certificates(
            connection,
            way,
            (&mut local.first, &mut remote.first),
            credentials,
            &mut lines,
            remarks,
        )?;
    }
    let xauth = match way.xauth {
        None => None,
        Some(Part::Client) => xauth::client(&mut local, &sides, credentials, remarks)?,
        Some(Part::Server) => xauth::server(&mut remote, &sides, credentials, remarks)?,
    };
    for rounds in [&local, &remote] {
        rest(rounds, remarks);
    }
    Ok(Auth {
        lines,
        local_id,
        remote_id,
        psk: way.psk,
        by_address: way.psk || way.xauth == Some(Part::Client),
        xauth,
    })
}

/// Names what is left of a side's rounds.
fn rest(rounds: &Rounds<'_>, remarks: &mut Remarks) {
    let phase_1 = (rounds.class != Class::Xauth).then_some(&rounds.first);
    if let Some(round) = phase_1 {
        round.rest(LACKING, remarks);
        round.rest_of_sections(
            |name| name.starts_with("cert") || name.starts_with("cacert"),
            remarks,
        );
    }
    let xauth = match phase_1 {
        Some(_) => rounds.second.as_ref(),
        None => Some(&rounds.first),
    };
    if let Some(round) = xauth {
        round.rest(xauth::LACKING, remarks);
        round.rest_of_sections(|_| false, remarks);
    }
}

/// The pre-shared key.
fn psk(
    connection: &Given<'_>,
    sides: &xauth::Sides<'_>,
    alone: bool,
    credentials: &mut Credentials<'_>,
    lines: &mut Lines,
    remarks: &mut Remarks,
) -> Result<(), Skip> {
    let Some((name, section)) = credentials.shared(&["ike"], sides.local, sides.remote) else {
        let whose = match sides.remote.1 {
            Some(address) if !alone => format!("the connection with {address}"),
            _ => "the connection".to_owned(),
        };
        let why = format!("{whose} is left out: there is no pre-shared key for it in secrets");
        remarks.left_out(&connection.section.place, connection.path.clone(), why);
        return Err(Skip);
    };
    let value = &section.values["secret"];
    let text = credentials::normal(&value.text);
    if let Err(why) = secret::from_text(text.as_bytes()) {
        let why = format!("the connection \"{}\" is left out: {why}", connection.path);
        remarks.left_out(&value.place, format!("secrets.{name}.secret"), why);
        return Err(Skip);
    }
    credentials.used.insert(name.to_owned());
    lines.put_secret("psk", &text);
    Ok(())
}

fn identity(round: &mut Given<'_>, remarks: &mut Remarks) -> Result<Option<String>, Skip> {
    let Some(value) = round.get("id") else {
        return Ok(None);
    };
    words::identity(&value.text).map_err(|why| {
        round.left_out("id", format!("the connection is left out: {why}"), remarks);
        Skip
    })
}

/// Signatures. With hybrid authentication the server has something to sign with, and the client whom it trusts.
fn certificates(
    connection: &Given<'_>,
    way: Way,
    (local, remote): (&mut Given<'_>, &mut Given<'_>),
    credentials: &mut Credentials<'_>,
    lines: &mut Lines,
    remarks: &mut Remarks,
) -> Result<(), Skip> {
    if !way.hybrid || way.xauth == Some(Part::Server) {
        own(local, way, credentials, lines, remarks)?;
    }
    if !way.hybrid || way.xauth == Some(Part::Client) {
        trust::read(connection, remote, credentials, lines, remarks)?;
    }
    if way.hybrid {
        lines.put("hybrid", true);
    }
    Ok(())
}

/// Our certificate with its key, or a key alone.
fn own(
    local: &mut Given<'_>,
    way: Way,
    credentials: &mut Credentials<'_>,
    lines: &mut Lines,
    remarks: &mut Remarks,
) -> Result<(), Skip> {
    let mut own = files(local, "certs", "cert", "x509", credentials.folder, remarks);
    let raw = files(
        local,
        "pubkeys",
        "pubkey",
        "pubkey",
        credentials.folder,
        remarks,
    );
    let certified = !own.is_empty();
    own.extend(raw);
    let Some((first, place)) = own.first() else {
        let why = "the connection is left out: it names no certificate and no public key of ours";
        remarks.left_out(&local.section.place, local.path.clone(), why);
        return Err(Skip);
    };
    let key = if certified { "certs" } else { "pubkeys" };
    if own.len() > 1 {
        let why = "a connection has one certificate, or one key: the first is taken";
        local.left_out(key, why, remarks);
    }
    let ecdsa = || {
        let public = credentials::public(first);
        public.is_some_and(|key| !matches!(key.kind(), KeyKind::Rsa(_)))
    };
    if way.xauth.is_some() && ecdsa() {
        let why = "the connection is left out: XAUTH goes with a pre-shared key or with RSA";
        local.left_out(key, why, remarks);
        return Err(Skip);
    }
    if certified {
        // Charon finds the CAs above it, and sends them along.
        let above = credentials.authorities().above(first);
        if above.between.is_empty() {
            lines.put("certificate", first.display().to_string());
        } else {
            let files = [first].into_iter().chain(&above.between);
            let files: Vec<String> = files.map(|file| file.display().to_string()).collect();
            lines.put_list("certificate", &files);
        }
    }
    if let Some((found, passphrase)) = credentials.key_of(first) {
        lines.put("key", found.display().to_string());
        if let Some(passphrase) = passphrase {
            lines.put_secret("passphrase", passphrase);
        }
        return Ok(());
    }
    let folder = credentials.folder.display();
    let why = format!(
        "no private key of {} was found in {folder}/private, rsa, ecdsa or pkcs8: add key = \"…\" to auth",
        first.display()
    );
    remarks.left_out(place, local.name(key), why);
    if certified { Ok(()) } else { Err(Skip) }
}

/// The files that a key and sections of a round name.
pub(super) fn files(
    round: &mut Given<'_>,
    key: &'static str,
    sections: &str,
    folder_of: &str,
    folder: &Path,
    remarks: &mut Remarks,
) -> Vec<(PathBuf, Place)> {
    let place = round.place(key).clone();
    let mut found = Vec::new();
    for name in round.list(key) {
        if name.starts_with("0x") || name.starts_with("0s") {
            round.left_out(key, "a certificate is named by its file here", remarks);
        } else {
            found.push((folder.join(folder_of).join(name), place.clone()));
        }
    }
    for (name, section) in in_order(round.section) {
        if !name.starts_with(sections) {
            continue;
        }
        let mut given = Given::new(section, round.name(name));
        match given.get("file") {
            Some(file) => found.push((PathBuf::from(file.text.as_str()), file.place.clone())),
            None => remarks.left_out(
                &section.place,
                given.path.clone(),
                "certificates in tokens are not named here; a private key is: key = \"pkcs11:…\"",
            ),
        }
        for key in ["handle", "slot", "module"] {
            given.get(key);
        }
        given.rest(&[], remarks);
    }
    found
}
