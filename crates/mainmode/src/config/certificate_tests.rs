use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crypto::Hash;
use crypto::cert::{CheckPeer, Method, PeerIdentity, Policy, PrivateKey, Revocation};
use keying::SendCertificate;

use super::*;

/// A folder with the keys and certificates of keying's tests, each key readable by its owner alone.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../keying/src/pki");
        for name in [
            "ca.pem",
            "other-ca.pem",
            "left.pem",
            "left.key",
            "right.pem",
            "stranger.key",
        ] {
            let to = folder.path().join(name);
            fs::copy(from.join(name), &to).expect("copied");
            let mode = fs::Permissions::from_mode(0o600);
            fs::set_permissions(to, mode).expect("mode");
        }
        Folder(folder)
    }

    /// Runs `openssl`; the words are split at blanks.
    fn openssl(&self, words: &str) {
        let output = std::process::Command::new("openssl")
            .args(words.split_whitespace())
            .current_dir(self.0.path())
            .output()
            .expect("openssl");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}: {said}");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn load(&self, local: &str, auth: &str) -> Result<Loaded, ConfigErrors> {
        let text = format!(
            "[[connection]]\nname = \"a\"\nlocal = {local}\nremote = {{ address = \"192.0.2.2\" }}\nauth = {auth}\n"
        );
        Config::from_text(&self.path("mainmode.toml"), text, false)
    }

    fn good(&self, auth: &str) -> SignatureAuth {
        let loaded = self.load("{ address = \"192.0.2.1\" }", auth);
        let config = loaded.unwrap_or_else(|errors| panic!("{errors}")).config;
        match config.connections[0].auth.first() {
            Some(Auth::Signatures(way)) => (**way).clone(),
            other => panic!("{other:?}"),
        }
    }

    fn bad(&self, auth: &str) -> String {
        match self.load("{ address = \"192.0.2.1\" }", auth) {
            Ok(_) => panic!("taken: {auth}"),
            Err(errors) => errors.to_string(),
        }
    }

    fn warnings(&self, local: &str, auth: &str) -> String {
        let loaded = self.load(local, auth);
        let warnings = loaded.unwrap_or_else(|errors| panic!("{errors}")).warnings;
        let all: Vec<String> = warnings.iter().map(Diagnostic::render).collect();
        all.join("\n")
    }
}

const PLAIN: &str = "{ certificate = \"left.pem\", key = \"left.key\", ca = \"ca.pem\" }";

#[test]
fn a_certificate_its_key_and_whom_we_trust_are_read() {
    let folder = Folder::new();
    let way = folder.good(PLAIN);
    assert_eq!(way.methods, [Method::Rsa]);
    assert_eq!(way.send_certificate, SendCertificate::IfAsked);
    assert_eq!(way.policy, Policy::default());
    assert_eq!(way.credentials.trust.anchors.len(), 1);
    let all = folder.good(
        "{ certificate = \"left.pem\", key = \"left.key\", ca = [\"ca.pem\", \"other-ca.pem\"], \
         peer-certificate = \"right.pem\", send-certificate = \"always\", revocation = \"strict\", min-rsa-bits = 3072 }",
    );
    assert_eq!(all.credentials.trust.anchors.len(), 2);
    assert_eq!(all.credentials.trust.peers.len(), 1);
    assert_eq!(all.send_certificate, SendCertificate::Always);
    assert_eq!(all.policy.revocation, Revocation::Strict);
    assert_eq!(all.policy.min_rsa_bits, 3072);
    assert_ne!(way.contents, all.contents);
    assert_eq!(way.contents, folder.good(PLAIN).contents);
    let whole = folder.good("{ certificate = \"left.pem\", key = \"left.key\", ca = \".\" }");
    assert!(whole.credentials.trust.anchors.len() >= 2);
}

#[test]
fn the_cas_above_our_certificate_come_from_files_of_their_own_too() {
    let folder = Folder::new();
    let files = "[\"left.pem\", \"other-ca.pem\", \"right.pem\", \"right.pem\"]";
    let way = folder.good(&format!(
        "{{ certificate = {files}, key = \"left.key\", ca = \"ca.pem\" }}"
    ));
    let sent: Vec<&str> = way.credentials.own[0]
        .to_send()
        .map(crypto::cert::Certificate::subject_words)
        .collect();
    // Each once, and no root.
    assert_eq!(sent, ["O=Example, CN=left", "O=Example, CN=right"]);
    for (files, said) in [
        ("[]", "\"certificate\" is empty"),
        ("[\"left.pem\", \"none.pem\"]", "cannot read"),
        (
            "[\"left.pem\", \"left.key\"]",
            "there is no certificate in the file",
        ),
    ] {
        let all = folder.bad(&format!(
            "{{ certificate = {files}, key = \"left.key\", ca = \"ca.pem\" }}"
        ));
        assert!(all.contains(said), "{files}:\n{all}");
    }
}

#[test]
fn pinned_peers_need_a_certificate_that_is_known_and_a_ca() {
    let folder = Folder::new();
    let own = "{ certificate = \"left.pem\", key = \"left.key\", pinned = true";
    let way = folder.good(&format!(
        "{own}, ca = \"ca.pem\", peer-certificate = \"right.pem\" }}"
    ));
    assert!(way.credentials.trust.pinned);
    folder.openssl("pkey -in left.key -pubout -out left.pub");
    for rest in [
        "ca = \"ca.pem\"",
        "peer-certificate = \"right.pem\"",
        "ca = \"ca.pem\", peer-certificate = \"right.pem\", peer-key = \"left.pub\"",
    ] {
        let all = folder.bad(&format!("{own}, {rest} }}"));
        assert!(
            all.contains("\"pinned\" is for peers that need both"),
            "{all}"
        );
    }
}

#[test]
fn who_we_are_is_in_our_certificate() {
    let folder = Folder::new();
    let id = |local: &str| {
        let loaded = folder.load(local, PLAIN);
        let config = loaded.unwrap_or_else(|errors| panic!("{errors}")).config;
        config.connections[0]
            .local
            .id
            .as_ref()
            .map(ToString::to_string)
    };
    // It holds this address.
    assert_eq!(id("{ address = \"192.0.2.1\" }"), None);
    let subject = Some("O=Example, CN=left".to_owned());
    assert_eq!(id("{ address = \"192.0.2.9\" }"), subject);
    assert_eq!(id("{}"), subject);
    assert_eq!(
        id("{ id = \"left.example\" }").as_deref(),
        Some("left.example")
    );
    assert_eq!(folder.warnings("{ id = \"left.example\" }", PLAIN), "");
    let warned = folder.warnings("{ id = \"other.example\" }", PLAIN);
    assert!(
        warned.contains("does not hold the identity other.example"),
        "{warned}"
    );
}

#[test]
fn what_is_wrong_with_a_file_is_said_at_its_place() {
    let folder = Folder::new();
    for (auth, said) in [
        (
            "{ certificate = \"none.pem\", key = \"left.key\", ca = \"ca.pem\" }",
            "5:24: error: \"certificate\": cannot read",
        ),
        (
            "{ certificate = \"left.key\", key = \"left.key\", ca = \"ca.pem\" }",
            "there is no certificate in the file",
        ),
        (
            "{ certificate = \"left.pem\", key = \"stranger.key\", ca = \"ca.pem\" }",
            "the private key does not belong to the certificate of O=Example, CN=left",
        ),
        (
            "{ certificate = \"left.pem\", key = \"ca.pem\", ca = \"ca.pem\" }",
            "this is no private key",
        ),
        (
            "{ certificate = \"left.pem\", key = \"left.key\" }",
            "nobody is trusted here",
        ),
        (
            "{ certificate = \"left.pem\", key = \"left.key\", ca = \"left.key\" }",
            "\"ca\":",
        ),
        (
            "{ key = \"pkcs11:object=x\", ca = \"ca.pem\" }",
            "the URI of the token needs ?module-path",
        ),
        (
            "{ certificate = \"left.pem\", key = \"left.key\", ca = \"ca.pem\", psk = \"x\" }",
            "two ways to authenticate",
        ),
        (
            "{ certificate = \"left.pem\", key = \"left.key\", ca = \"ca.pem\", crl = \"ca.pem\" }",
            "\"crl\":",
        ),
        (
            "{ certificate = \"left.pem\", key = \"left.key\", ca = \"ca.pem\", revocation = \"maybe\" }",
            "write one of",
        ),
        ("{ ca = \"ca.pem\" }", "this names no way to authenticate"),
    ] {
        let all = folder.bad(auth);
        assert!(all.contains(said), "{auth}:\n{all}");
    }
    let key = folder.path("left.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("mode");
    let all = folder.bad(PLAIN);
    assert!(
        all.contains("mode 0640") && all.contains("chmod 600"),
        "{all}"
    );
}

#[test]
fn a_certificate_without_its_key_is_warned_of_and_taken() {
    let folder = Folder::new();
    let auth = "{ certificate = \"left.pem\", ca = \"ca.pem\" }";
    let warned = folder.warnings("{}", auth);
    assert!(warned.contains("no private key here"), "{warned}");
    let sha1 =
        "{ certificate = \"left.pem\", key = \"left.key\", ca = \"ca.pem\", allow-sha1 = true }";
    let warned = folder.warnings("{}", sha1);
    assert!(warned.contains("can be forged"), "{warned}");
}

#[test]
fn a_key_that_is_always_refused_is_warned_of_where_it_is_trusted() {
    let folder = Folder::new();
    folder.openssl(
        "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3 -out e3.key",
    );
    folder.openssl("req -x509 -new -key e3.key -subj /CN=e3 -days 10 -out e3.pem");
    folder.openssl("pkey -in e3.key -pubout -out e3.pub");
    let own = "certificate = \"left.pem\", key = \"left.key\"";
    for (trust, said) in [
        (
            "ca = [\"ca.pem\", \"e3.pem\"]",
            "\"ca\": the public exponent of the RSA key of CN=e3 is 3; 65537 is the least",
        ),
        ("ca = \".\"", "\"ca\": the public exponent"),
        (
            "peer-certificate = \"e3.pem\"",
            "\"peer-certificate\": the public exponent",
        ),
        (
            "peer-key = \"e3.pub\"",
            "\"peer-key\": the public exponent of the RSA key of a peer",
        ),
        (
            "ca = \"ca.pem\", min-rsa-bits = 8192",
            "has 2048 bits; 8192 are the least",
        ),
    ] {
        let warned = folder.warnings("{}", &format!("{{ {own}, {trust} }}"));
        assert!(warned.contains(said), "{trust}: {warned}");
    }
    assert_eq!(folder.warnings("{}", PLAIN), "");
}

#[test]
fn two_connections_may_differ_in_their_certificates_where_their_remotes_overlap() {
    let folder = Folder::new();
    let connection = |name: &str, auth: &str| {
        format!(
            "[[connection]]\nname = \"{name}\"\nremote = {{ address = \"any\" }}\nauth = {auth}\n"
        )
    };
    let other = "{ certificate = \"left.pem\", key = \"left.key\", ca = \"other-ca.pem\" }";
    let text = connection("a", PLAIN) + &connection("b", other);
    let loaded = Config::from_text(&folder.path("mainmode.toml"), text, false);
    assert!(loaded.is_ok());
}

/// What a peer with this certificate and key has us check: a true signature, and its subject as identity.
fn peer(folder: &Folder, name: &str) -> CheckPeer {
    let file = |kind: &str| fs::read(folder.path(&format!("{name}.{kind}"))).expect("a file");
    let certificate = crypto::cert::read_certificates(&file("pem"))
        .expect("certificates")
        .remove(0);
    let key = PrivateKey::read(&file("key"), None).expect("a key");
    let hash = vec![7; 32];
    CheckPeer {
        certificates: vec![certificate.der().to_vec()],
        identity: PeerIdentity {
            kind: 9,
            data: certificate.subject().to_vec(),
        },
        method: Method::Ecdsa256,
        made_with: Hash::Sha256,
        signature: crypto::cert::sign(&key, Method::Ecdsa256, &hash).expect("signed"),
        hash,
        policy: Policy::default(),
        may_fetch: false,
    }
}

#[test]
fn a_peers_certificate_is_trusted_as_itself_and_as_the_issuer_of_nothing() {
    let folder = Folder::new();
    for name in ["alice", "bob", "mallory"] {
        folder.openssl(&format!(
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {name}.key"
        ));
    }
    // Alice's is of version 1, which says nothing of CAs; Bob's is as `req -x509` makes it, a CA's.
    folder.openssl("req -new -key alice.key -subj /CN=alice -out alice.csr");
    folder.openssl("x509 -req -in alice.csr -signkey alice.key -out alice.pem");
    folder.openssl("req -x509 -new -key bob.key -subj /CN=bob -days 10 -out bob.pem");
    folder.openssl("req -new -key mallory.key -subj /CN=bob -out mallory.csr");
    folder.openssl(
        "x509 -req -in mallory.csr -CA alice.pem -CAkey alice.key -set_serial 7 -out mallory.pem",
    );
    let way = folder.good(
        "{ certificate = \"left.pem\", key = \"left.key\", peer-certificate = [\"alice.pem\", \"bob.pem\"] }",
    );
    let taken = |name: &str| {
        let now = crate::unix_seconds() + 1;
        let checked = peer(&folder, name).run(&way.credentials.trust, &[], now);
        matches!(checked, crypto::cert::Checked::Accepted(_))
    };
    assert!(taken("alice") && taken("bob"));
    assert!(!taken("mallory"));
}
