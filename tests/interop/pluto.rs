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

impl Pluto {
    /// Starts it; `directory` holds its `ipsec.conf` and `ipsec.secrets`.
    pub fn start(lab: &Lab, host: &str, directory: &Path) -> Outcome<Self> {
        let root = root().canonicalize()?;
        let at = |name: &str| directory.join(name).to_string_lossy().into_owned();
        let libraries = libraries(&root);
        let certificates = format!("sql:{}", at("nss"));
        std::fs::create_dir_all(directory.join("nss"))?;
        let certutil = root.join("usr/bin/certutil");
        run(&[
            "env",
            &format!("LD_LIBRARY_PATH={libraries}"),
            &certutil.to_string_lossy(),
            "-N",
            "-d",
            &certificates,
            "--empty-password",
        ])?;
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
