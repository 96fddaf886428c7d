//! libreswan's daemon as the peer, from the root that `scripts/libreswan` lays out, with a `/run` of its own.

use crate::Outcome;
use crate::lab::Lab;
use crate::process::{Background, both, output, run, until};
use std::path::{Path, PathBuf};

/// A pluto that runs on one host of the lab.
pub struct Pluto {
    daemon: Background,
    directory: PathBuf,
}

/// Where `scripts/libreswan` unpacks it.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/libreswan")
}

/// Where the libraries of its own are, for the loader.
fn libraries(root: &Path) -> String {
    let folder = |usr: &str| {
        format!(
            "{}{usr}/lib/{}-linux-gnu",
            root.display(),
            std::env::consts::ARCH
        )
    };
    format!("{}:{}", folder("/usr"), folder(""))
}

/// NSS's, where pluto has its certificates and keys.
struct Database<'a> {
    root: &'a Path,
    libraries: &'a str,
    name: &'a str,
}

impl Database<'_> {
    fn tool(&self, name: &str, words: &[&str]) -> Outcome {
        let unpacked = self.root.join("usr/bin").join(name);
        // What the machine has of libreswan's packages is not unpacked once more.
        let program = if unpacked.exists() {
            unpacked.to_string_lossy().into_owned()
        } else {
            name.to_owned()
        };
        let environment = format!("LD_LIBRARY_PATH={}", self.libraries);
        let first = ["env", environment.as_str(), &program, "-d", self.name];
        run(&[&first[..], words].concat()).map(drop)
    }

    /// Takes what the trial has made for the peer, if it has: the certificate and its key as `peer`, the CA as `ca`.
    fn import(&self, directory: &Path) -> Outcome {
        let at = |name: &str| directory.join(name).to_string_lossy().into_owned();
        let (certificate, key) = (at("x509/peer.pem"), at("private/peer.key"));
        if !Path::new(&certificate).exists() {
            return Ok(());
        }
        let bundle = at("peer.p12");
        let made = ["openssl", "pkcs12", "-export", "-name", "peer"];
        let of = ["-in", &certificate, "-inkey", &key];
        let to = ["-passout", "pass:", "-out", &bundle];
        run(&[&made[..], &of, &to].concat())?;
        self.tool("pk12util", &["-i", &bundle, "-W", "", "-K", ""])?;
        // Trusted (C, T) for those who answer and those who begin.
        let ca = at("x509ca/ca.pem");
        self.tool("certutil", &["-A", "-n", "ca", "-t", "CT,,", "-i", &ca])
    }
}

impl Pluto {
    /// Starts it; `directory` holds its `ipsec.conf` and `ipsec.secrets`.
    pub fn start(lab: &Lab, host: &str, directory: &Path) -> Outcome<Self> {
        let root = root().canonicalize()?;
        let at = |name: &str| directory.join(name).to_string_lossy().into_owned();
        let libraries = libraries(&root);
        let certificates = format!("sql:{}", at("nss"));
        std::fs::create_dir_all(directory.join("nss"))?;
        let database = Database {
            root: &root,
            libraries: &libraries,
            name: &certificates,
        };
        database.tool("certutil", &["-N", "--empty-password"])?;
        database.import(directory)?;
        // pluto starts its helpers by their installed path.
        let script = format!(
            "mount -t tmpfs none /run && mount --bind {root}/usr/libexec /usr/libexec && \
             exec /usr/libexec/ipsec/pluto --nofork --stderrlog --no-dnssec --config {conf} \
             --secretsfile {secrets} --nssdir {nss} --rundir {rundir}",
            root = root.display(),
            conf = at("ipsec.conf"),
            secrets = at("ipsec.secrets"),
            nss = at("nss"),
            rundir = directory.display(),
        );
        let daemon = Background::start(
            &lab.namespace(host),
            &directory.join("pluto.log"),
            &[("LD_LIBRARY_PATH", &libraries)],
            &["unshare", "--mount", "sh", "-c", &script],
        )?;
        let mut pluto = Self {
            daemon,
            directory: directory.to_owned(),
        };
        until(10, "pluto's connection", || {
            if let Some(why) = pluto.daemon.ended()? {
                let said = std::fs::read_to_string(pluto.directory.join("pluto.log"))?;
                return Err(format!("{why}\n{said}").into());
            }
            let loaded = pluto
                .whack(&["--status"])
                .unwrap_or_default()
                .contains("oriented;");
            let listens = std::fs::read_to_string(pluto.directory.join("pluto.log"))?
                .contains("loading secrets");
            Ok((loaded && listens).then_some(()))
        })?;
        Ok(pluto)
    }

    /// Main Mode and the connection's Quick Mode; both have to come up.
    pub fn begin(&self, connection: &str) -> Outcome {
        self.whack(&["--name", connection, "--initiate", "--asynchronous"])?;
        until(15, "an IPsec SA of pluto's", || {
            Ok((self.children()? > 0).then_some(()))
        })
    }

    /// Main Mode, and then the Quick Mode of the connection; whether Main Mode came up.
    pub fn initiate(&self, connection: &str, seconds: u32) -> Outcome<bool> {
        self.whack(&["--name", connection, "--initiate", "--asynchronous"])?;
        let came = until(seconds.into(), "an SA of pluto's", || {
            Ok((self.established()? > 0).then_some(()))
        });
        Ok(came.is_ok())
    }

    /// Ends the connection's SAs with deletes.
    pub fn terminate(&self, connection: &str) -> Outcome {
        self.whack(&["--name", connection, "--terminate"]).map(drop)
    }

    /// Begins a new Main Mode beside the old SA.
    pub fn replace(&self, connection: &str) -> Outcome {
        self.whack(&["--name", connection, "--rekey-ike"]).map(drop)
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// How many established Main Mode SAs it has, in either role.
    pub fn established(&self) -> Outcome<usize> {
        Ok(self
            .whack(&["--showstates"])?
            .matches(" (IKE SA established)")
            .count())
    }

    /// How many IPsec SAs it has.
    pub fn children(&self) -> Outcome<usize> {
        // A line each.
        Ok(self.whack(&["--trafficstatus"])?.matches(", type=").count())
    }

    /// As a loss of power.
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    fn whack(&self, words: &[&str]) -> Outcome<String> {
        let root = root();
        let whack = root.join("usr/libexec/ipsec/whack");
        let environment = format!("LD_LIBRARY_PATH={}", libraries(&root));
        let (whack, rundir) = (whack.to_string_lossy(), self.directory.to_string_lossy());
        let first = ["env", environment.as_str(), &whack, "--rundir", &rundir];
        let done = output(20, &[&first[..], words].concat())?;
        // whack's exit code is the number of the last message's kind.
        Ok(both(&done))
    }
}
