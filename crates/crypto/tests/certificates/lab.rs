//! A CA made with the `openssl` command in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crypto::cert::{
    Certificate, CheckPeer, Checked, Evidence, Fault, Method, PeerIdentity, Policy, PrivateKey,
    TrustStore, read_certificates, sign,
};
use crypto::{Hash, digest};

/// A day in seconds.
pub const DAY: i64 = 86_400;

pub struct Lab {
    folder: PathBuf,
}

impl Drop for Lab {
    fn drop(&mut self) {
        // A folder that stays is only untidy.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Lab {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("crypto-cert-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("index.txt"), "").unwrap();
        std::fs::write(
            folder.join("ca.cnf"),
            "[ca]\ndefault_ca=c\n[c]\ndatabase=index.txt\ndefault_md=sha256\ncrlnumber=crlnumber\ndefault_crl_days=10\n",
        )
        .unwrap();
        std::fs::write(folder.join("crlnumber"), "01\n").unwrap();
        Lab { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Runs `openssl`; the words are split at blanks.
    pub fn openssl(&self, words: &str) {
        self.run("openssl", words);
    }

    pub fn run(&self, program: &str, words: &str) {
        let output = Command::new(program)
            .args(words.split_whitespace())
            .current_dir(&self.folder)
            .env("SOFTHSM2_CONF", self.path("softhsm2.conf"))
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        assert!(
            output.status.success(),
            "{program} {words}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn certificate(&self, name: &str) -> Certificate {
        read_certificates(&self.read(&format!("{name}.pem")))
            .unwrap()
            .remove(0)
    }

    pub fn key(&self, name: &str) -> PrivateKey {
        PrivateKey::read(&self.read(&format!("{name}.key")), None).unwrap()
    }

    /// `kind`: `rsa:2048` or `ec:P-256`.
    pub fn make_key(&self, name: &str, kind: &str) {
        let (algorithm, size) = kind.split_once(':').unwrap();
        let option = match algorithm {
            "rsa" => format!("RSA -pkeyopt rsa_keygen_bits:{size}"),
            _ => format!("EC -pkeyopt ec_paramgen_curve:{size}"),
        };
        self.openssl(&format!("genpkey -algorithm {option} -out {name}.key"));
    }

    /// A root that is valid for 1000 days.
    pub fn root(&self, name: &str) {
        self.make_key(name, "ec:P-256");
        self.openssl(&format!(
            "req -x509 -new -key {name}.key -subj /C=CH/O=Example/CN={name} -days 1000 -out {name}.pem \
             -addext keyUsage=critical,keyCertSign,cRLSign"
        ));
    }

    /// A certificate by `issuer` with these extensions, valid for 100 days, for a key that is there.
    pub fn issue_for_key(&self, name: &str, issuer: &str, extensions: &str, options: &str) {
        self.write(&format!("{name}.ext"), extensions);
        self.openssl(&format!(
            "req -new -key {name}.key -subj /C=CH/O=Example/CN={name} -out {name}.csr"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {issuer}.pem -CAkey {issuer}.key -CAcreateserial -days 100 \
             -extfile {name}.ext -out {name}.pem {options}"
        ));
    }

    pub fn issue(&self, name: &str, issuer: &str, extensions: &str) {
        self.make_key(name, "ec:P-256");
        self.issue_for_key(name, issuer, extensions, "");
    }

    pub fn trust(&self, names: &[&str]) -> TrustStore {
        TrustStore {
            anchors: names.iter().map(|name| self.certificate(name)).collect(),
            ..TrustStore::default()
        }
    }

    /// What a peer with this key and certificate would have us check: a true signature and its host name.
    pub fn peer(&self, name: &str, others: &[&str]) -> CheckPeer {
        let key = self.key(name);
        let method = Method::of_key(key.kind()).unwrap();
        let made_with = method.hash().unwrap_or(Hash::Sha1);
        let hash = digest(made_with, &[b"exchange"]).unwrap();
        let mut certificates = vec![self.certificate(name).der().to_vec()];
        certificates.extend(
            others
                .iter()
                .map(|name| self.certificate(name).der().to_vec()),
        );
        CheckPeer {
            certificates,
            identity: fqdn(&format!("{name}.example")),
            method,
            made_with,
            signature: sign(&key, method, &hash).unwrap(),
            hash,
            policy: Policy::default(),
            may_fetch: false,
        }
    }
}

/// The `openssl` command makes certificates as of now.
pub fn now() -> i64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    i64::try_from(since.as_secs()).unwrap() + 1
}

pub fn fqdn(name: &str) -> PeerIdentity {
    PeerIdentity {
        kind: 2,
        data: name.as_bytes().to_vec(),
    }
}

/// Why it is refused; `None` when it is not.
pub fn fault(check: &CheckPeer, trust: &TrustStore) -> Option<Fault> {
    fault_with(check, trust, &Evidence::default())
}

pub fn fault_with(check: &CheckPeer, trust: &TrustStore, evidence: &Evidence) -> Option<Fault> {
    fault_at(check, trust, evidence, now())
}

pub fn fault_at(
    check: &CheckPeer,
    trust: &TrustStore,
    evidence: &Evidence,
    at: i64,
) -> Option<Fault> {
    match check.run(trust, &[evidence], at) {
        Checked::Accepted(_) => None,
        Checked::Refused { refusal, .. } => Some(refusal.fault),
        Checked::NeedsFetch { fetches, .. } => panic!("{fetches:?}"),
    }
}

pub fn installed(path: &str) -> bool {
    Path::new(path).exists()
}
