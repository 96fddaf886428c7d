//! Our connection from a swanctl.conf, by `mainmode import`.

use crate::Outcome;
use crate::daemon::MAINMODE;
use crate::process::{both, output, run};
use crate::scenario::Variant;
use crate::trial::write_filled;
use crate::vars::Vars;
use std::fs::{File, copy, create_dir_all, read_to_string};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What each side's swanctl.conf says of itself and of the other, and which variable has it for our side.
const SWAPPED: [(&str, &str); 15] = [
    ("conn", "our-connection"),
    ("peer", "us"),
    ("us-seen", "our-remote"),
    ("peer-suite", "our-suite"),
    ("peer-lifetime", "our-lifetime"),
    ("peer-fragmentation", "our-fragmentation"),
    ("peer-more", "import-more"),
    ("peer-local", "import-local"),
    ("peer-remote", "import-remote"),
    ("peer-id", "us-id"),
    ("us-id-at-peer", "peer-id-here"),
    ("peer-psk", "our-psk"),
    ("peer-secrets", "import-secrets"),
    ("peer-sections", "import-sections"),
    ("dir", "dir-of-us"),
];

/// Adds our connection to `mainmode.toml` of `us`: what strongSwan in our place would have, imported. What the peer has
/// is imported too, and has to be good.
pub fn write(variant: &Variant, vars: &Vars, us: &Path, peer: &Path) -> Outcome {
    let mut ours = vars.clone();
    ours.set("our-connection", "peer");
    ours.set("dir-of-us", us.to_string_lossy());
    let swapped: Vec<(&str, String)> = SWAPPED
        .iter()
        .map(|(name, from)| Ok((*name, ours.fill(&format!("${{{from}}}"))?)))
        .collect::<Outcome<_>>()?;
    for (name, value) in swapped {
        ours.set(name, value);
    }
    write_filled(variant, &ours, "swanctl.conf", us)?;
    let pki = Path::new(vars.get("pki-dir"));
    for (folder, file) in [
        ("x509", "us.pem"),
        ("private", "us.key"),
        ("x509", "peer.pem"),
        ("x509", "peer-known.pem"),
        ("x509ca", "ca.pem"),
        ("x509ca", "us-sub.pem"),
        ("x509crl", "ca.crl"),
        ("pubkey", "us.pub"),
        ("pubkey", "peer.pub"),
    ] {
        if pki.join(file).exists() {
            create_dir_all(us.join(folder))?;
            copy(pki.join(file), us.join(folder).join(file))?;
        }
    }
    if us.join("x509ca/us-sub.pem").exists() {
        // swanctl reads one certificate of a file: the CA between comes from its own.
        let own = us.join("x509/us.pem").to_string_lossy().into_owned();
        run(&["openssl", "x509", "-in", &own, "-out", &own])?;
    }
    let plane = if vars.get("charon") == "user" {
        "user"
    } else {
        "kernel"
    };
    let theirs = us.join("peers.toml");
    append(&theirs, &imported(&peer.join("swanctl.conf"), plane)?)?;
    let checked = output(5, &[MAINMODE, "check", "-c", &theirs.to_string_lossy()])?;
    if !checked.status.success() {
        return Err(format!("what the peer has, imported: {}", both(&checked)).into());
    }
    append(
        &us.join("mainmode.toml"),
        &imported(&us.join("swanctl.conf"), plane)?,
    )
}

/// What an import gives, of which nothing may be left out.
fn imported(file: &Path, plane: &str) -> Outcome<String> {
    let done = output(
        5,
        &[
            MAINMODE,
            "import",
            &file.to_string_lossy(),
            "--dataplane",
            plane,
        ],
    )?;
    if !done.status.success() {
        let text = read_to_string(file)?;
        return Err(format!("{}: {}\n{text}", done.status, both(&done)).into());
    }
    Ok(String::from_utf8(done.stdout)?)
}

fn append(file: &Path, text: &str) -> Outcome {
    let mut options = File::options();
    let mut file = options.append(true).create(true).mode(0o600).open(file)?;
    Ok(file.write_all(text.as_bytes())?)
}
