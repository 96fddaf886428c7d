//! What a trial needs of the machine.

use crate::radius::FREERADIUS;
use crate::scenario::Variant;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Debian's place for strongSwan's daemon, which is on nobody's `PATH`.
pub const CHARON: &str = "/usr/lib/ipsec/charon";

/// Whether a trial that lacks something fails instead of being ignored.
pub fn required() -> bool {
    let set = |name: &str, value: &str| std::env::var(name).is_ok_and(|v| v == value);
    set("CI", "true") || set("MAINMODE_REQUIRE_PEERS", "1")
}

/// Why no trial with a peer can run here.
pub fn missing() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("not root: namespaces cannot be made".into());
    }
    if let Some(program) = ["ip", "nft", "unshare", "setpriv", "swanctl"]
        .iter()
        .find(|p| !on_path(p))
    {
        return Some(format!("{program} is not installed"));
    }
    if !Path::new(CHARON).exists() {
        return Some(format!("strongSwan is not installed ({CHARON} is missing)"));
    }
    if !Path::new("/usr/lib/ipsec/plugins/libstrongswan-openssl.so").exists() {
        return Some(
            "strongSwan's openssl plugin is not installed (libstrongswan-standard-plugins)".into(),
        );
    }
    let unshared = Command::new("unshare")
        .args(["--net", "--mount", "true"])
        .stderr(Stdio::null())
        .status();
    if !unshared.is_ok_and(|s| s.success()) {
        return Some("this root may not make namespaces".into());
    }
    None
}

/// Why this kernel cannot carry what the scenario sends through it. `scripts/interop-guest` brings a kernel that can,
/// and sets `MAINMODE_REQUIRE_ESP`: then it is no reason.
pub fn missing_esp(variant: &Variant) -> Option<String> {
    if variant.var("needs-esp") != "yes" || std::env::var_os("MAINMODE_REQUIRE_ESP").is_some() {
        return None;
    }
    (!HAS_ESP.get_or_init(has_esp))
        .then(|| "this kernel has no ESP; scripts/interop-guest runs it in one that has".into())
}

/// Asked once: there are many that ask.
static HAS_ESP: OnceLock<bool> = OnceLock::new();

fn has_esp() -> bool {
    let state = "ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1000 mode tunnel \
                 aead 'rfc4106(gcm(aes))' 0x000102030405060708090a0b0c0d0e0f10111213 128";
    let added = Command::new("unshare")
        .args(["--net", "sh", "-c", state])
        .stderr(Stdio::null())
        .status();
    added.is_ok_and(|s| s.success())
}

/// Why this one cannot run here although others can.
pub fn missing_for(variant: &Variant) -> Option<String> {
    if variant.var("charon") == "user" && !Path::new("/dev/net/tun").exists() {
        return Some("/dev/net/tun is missing: no ESP in user space".into());
    }
    if let Some(why) = missing_in(variant.var("peer-is")) {
        return Some(why);
    }
    let radius = (!variant.var("radius-on").is_empty()).then_some(FREERADIUS);
    variant
        .programs()
        .into_iter()
        .chain(radius)
        .find(|p| !on_path(p))
        .map(|p| format!("{p} is not installed"))
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Why what is named so cannot run here: libreswan is not among what every trial needs.
pub fn missing_in(name: &str) -> Option<String> {
    let wanted = name.contains("libreswan") || name.contains("pluto");
    let there = crate::pluto::root().join("complete").exists();
    (wanted && !there).then(|| "libreswan is not there: scripts/libreswan fetches it".into())
}
