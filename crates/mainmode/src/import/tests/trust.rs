//! Whom a connection trusts, and who else could come in.

use super::*;

/// swanctl's folder: a root, a CA of it between, our certificate of that one, and two of one peer by the root.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    for name in ["x509", "x509ca", "x509crl", "x509ocsp", "private", "pubkey"] {
        fs::create_dir(folder.path().join(name)).expect("made");
    }
    let at = folder.path();
    let openssl = |words: &str| {
        let output = std::process::Command::new("openssl")
            .args(words.split_whitespace())
            .current_dir(at)
            .output()
            .expect("openssl");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}: {said}");
    };
    let write = |name: &str, text: &str| fs::write(at.join(name), text).expect("written");
    write("ca.ext", "basicConstraints=critical,CA:TRUE\n");
    write("end.ext", "basicConstraints=CA:FALSE\n");
    write("index.txt", "");
    write(
        "ca.cnf",
        "[ca]\ndefault_ca=c\n[c]\ndatabase=index.txt\ndefault_md=sha256\ndefault_crl_days=10\n",
    );
    let key = |name: &str| {
        openssl(&format!(
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out private/{name}.key"
        ));
    };
    for root in ["root", "lonely"] {
        key(root);
        openssl(&format!(
            "req -x509 -new -key private/{root}.key -subj /CN={root} -days 10 -out x509ca/{root}.pem"
        ));
    }
    fs::rename(at.join("x509ca/lonely.pem"), at.join("x509/lonely.pem")).expect("moved");
    for (number, (file, subject, issuer, extensions)) in [
        ("x509ca/inter", "inter", "root", "ca.ext"),
        ("x509/us", "us", "inter", "end.ext"),
        ("x509/peer", "peer", "root", "end.ext"),
        ("x509/peer-2", "peer", "root", "end.ext"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = file.split('/').next_back().expect("a name");
        key(name);
        openssl(&format!(
            "req -new -key private/{name}.key -subj /CN={subject} -out {name}.csr"
        ));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA x509ca/{issuer}.pem -CAkey private/{issuer}.key -set_serial {} -days 9 \
             -extfile {extensions} -out {file}.pem",
            number + 1
        ));
    }
    openssl(
        "ca -config ca.cnf -keyfile private/root.key -cert x509ca/root.pem -revoke x509/peer-2.pem",
    );
    openssl(
        "ca -config ca.cnf -keyfile private/root.key -cert x509ca/root.pem -gencrl -out x509crl/root.crl",
    );
    for file in fs::read_dir(at.join("private")).expect("a folder") {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(file.expect("a file").path(), mode).expect("mode");
    }
    folder
}

fn import(folder: &tempfile::TempDir, remote: &str) -> Imported {
    let all = format!(
        "connections {{ gw {{ version = 1\n proposals = aes256-sha256-ecp256\n remote_addrs = 192.0.2.1\n\
         local {{ auth = pubkey\n certs = us.pem }}\n remote {{ auth = pubkey\n id = \"CN=peer\"\n {remote} }} }} }}"
    );
    text(&folder.path().join("swanctl.conf"), &all, DataPlane::Kernel)
}

/// Who is let in by what was written, of the peer's certificates: as the daemon would decide it.
fn let_in(folder: &tempfile::TempDir, imported: &Imported, names: &[&str]) -> Vec<bool> {
    let loaded = loaded(imported);
    let Some(crate::config::Auth::Signatures(way)) = loaded.config.connections[0].auth.first()
    else {
        panic!("no signatures");
    };
    let read = |name: &str| fs::read(folder.path().join(name)).expect("a file");
    let decide = |name: &&str| {
        let certificate = crypto::cert::read_certificates(&read(&format!("x509/{name}.pem")))
            .expect("certificates")
            .remove(0);
        let key = crypto::cert::PrivateKey::read(&read(&format!("private/{name}.key")), None);
        let method = crypto::cert::Method::Ecdsa256;
        let hash = vec![7; 32];
        let check = crypto::cert::CheckPeer {
            certificates: vec![certificate.der().to_vec()],
            identity: crypto::cert::PeerIdentity {
                kind: 9,
                data: certificate.subject().to_vec(),
            },
            method,
            made_with: crypto::Hash::Sha256,
            signature: crypto::cert::sign(&key.expect("a key"), method, &hash).expect("signed"),
            hash,
            policy: way.policy,
            may_fetch: false,
        };
        let evidence = &way.credentials.evidence;
        let now = crate::unix_seconds() + 1;
        let checked = check.run(&way.credentials.trust, &[evidence], now);
        matches!(checked, crypto::cert::Checked::Accepted(_))
    };
    names.iter().map(decide).collect()
}

#[test]
fn whom_a_crl_of_swanctls_folder_revokes_is_not_let_in() {
    let folder = folder();
    // Under any CA, under one that is named, and where the peer's certificate is known.
    for remote in [
        "",
        "cacerts = root.pem",
        "certs = peer.pem, peer-2.pem",
        "cacerts = root.pem\n certs = peer.pem, peer-2.pem",
    ] {
        let imported = import(&folder, remote);
        assert_eq!(remarks(&imported), [], "{remote}");
        let found = let_in(&folder, &imported, &["peer", "peer-2"]);
        assert_eq!(found, [true, false], "{remote}");
    }
    // What cannot be heeded is named.
    fs::write(folder.path().join("x509crl/bad.crl"), "none").expect("written");
    fs::write(folder.path().join("x509ocsp/responder.pem"), "any").expect("written");
    let imported = import(&folder, "");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (crl, responders) = (path("x509crl/bad.crl"), path("x509ocsp"));
    assert_eq!(
        remarks(&imported),
        [(crl.as_str(), true), (responders.as_str(), true)]
    );
    assert_eq!(
        let_in(&folder, &imported, &["peer", "peer-2"]),
        [true, false]
    );
}

#[test]
fn a_peer_whose_certificate_is_named_cannot_show_another_one_of_its_ca() {
    let folder = folder();
    fs::remove_file(folder.path().join("x509crl/root.crl")).expect("gone");
    let names = ["peer", "peer-2"];
    for (remote, expected) in [
        ("cacerts = root.pem", [true, true]),
        ("certs = peer.pem", [true, false]),
        ("certs = peer.pem\n cacerts = root.pem", [true, false]),
    ] {
        let imported = import(&folder, remote);
        assert_eq!(remarks(&imported), [], "{remote}");
        assert_eq!(let_in(&folder, &imported, &names), expected, "{remote}");
    }
    // One that no CA here has issued is trusted as itself, unless a CA is asked for.
    for (remote, expected) in [
        ("certs = lonely.pem", [true]),
        ("certs = lonely.pem\n cacerts = root.pem", [false]),
    ] {
        let imported = import(&folder, remote);
        assert_eq!(
            let_in(&folder, &imported, &["lonely"]),
            expected,
            "{remote}"
        );
    }
    // What is named and cannot be had lets in nobody, rather than everybody.
    for (remote, setting) in [
        ("certs = 0sAAAA\n cacerts = root.pem", "certs"),
        ("cacerts = 0sAAAA", "cacerts"),
        ("pubkeys = peer.pub\n cacerts = root.pem", "pubkeys"),
    ] {
        let imported = import(&folder, remote);
        assert!(!imported.text.contains("[[connection]]"), "{remote}");
        let setting = format!("connections.gw.remote.{setting}");
        let said = imported.remarks.iter().find(|one| {
            one.setting == setting && one.left_out && one.why.contains("let in more peers")
        });
        assert!(said.is_some(), "{remote}: {:?}", imported.remarks);
    }
}

#[test]
fn the_cas_above_our_certificate_are_sent_as_charon_sends_them() {
    let folder = folder();
    let imported = import(&folder, "cacerts = root.pem");
    let loaded = loaded(&imported);
    let Some(crate::config::Auth::Signatures(way)) = loaded.config.connections[0].auth.first()
    else {
        panic!("no signatures");
    };
    let sent: Vec<&str> = way.credentials.own[0]
        .to_send()
        .map(crypto::cert::Certificate::subject_words)
        .collect();
    assert_eq!(sent, ["CN=us", "CN=inter"]);
}

/// swanctl reads the first certificate of a file, and only a CA's in `x509ca`; `ca` takes all.
#[test]
fn a_file_of_which_charon_takes_less_than_ca_would_leaves_the_connection_out() {
    let folder = folder();
    let read = |name: &str| fs::read(folder.path().join(name)).expect("a file");
    let (root, lonely) = (read("x509ca/root.pem"), read("x509/lonely.pem"));
    let bundle = folder.path().join("x509ca/bundle.pem");
    for (text, left_out) in [
        ([root.clone(), read("x509ca/inter.pem")].concat(), false),
        ([root, lonely].concat(), true),
        (read("x509/peer.pem"), true),
    ] {
        fs::write(&bundle, text).expect("written");
        let imported = import(&folder, "");
        assert_eq!(!imported.text.contains("[[connection]]"), left_out);
        let name = bundle.display().to_string();
        let named: &[(&str, bool)] = if left_out { &[(&name, true)] } else { &[] };
        assert_eq!(remarks(&imported), named);
    }
    // Nor is another peer behind the one that is named.
    let peers = [read("x509/peer.pem"), read("x509/peer-2.pem")].concat();
    fs::write(folder.path().join("x509/peers.pem"), peers).expect("written");
    fs::remove_file(&bundle).expect("gone");
    let imported = import(&folder, "certs = peers.pem");
    assert!(!imported.text.contains("[[connection]]"));
    assert!(imported.incomplete());
}
