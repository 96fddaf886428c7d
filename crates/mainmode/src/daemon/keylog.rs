//! The key log: keys of negotiations and of IPsec SAs as lines of Wireshark's own tables, so that a capture can be
//! read. Off unless the configuration names its folder.
//!
//! The files have the names that Wireshark looks for, so that the folder can be its profile:
//! `ikev1_decryption_table` has initiator cookie and key, `esp_sa` an SA a line. Written on a thread of its own: a disk
//! that hangs must not keep the agent.

use std::fmt::Write as _;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use crypto::Secret;
use crypto::esp::{EspCipher, EspIntegrity, Protocol};
use isakmp::Cookie;
use keying::{ChildKeys, ChildSa};
use nix::libc;
use zeroize::Zeroizing;

use super::say;
use crate::config::key_log;

/// Lines that wait for the disk: a thousand tunnels that come up at once, with a child each. What is more is lost.
const QUEUE: usize = 4_096;

/// Why there is no key log.
#[derive(Debug, thiserror::Error)]
#[error("the key log in {} cannot be written: {why}", folder.display())]
pub struct KeyLogError {
    folder: PathBuf,
    why: String,
}

/// A line, and whether it is of an IPsec SA.
type Line = (bool, Zeroizing<String>);

/// The way to the files.
#[derive(Debug)]
pub struct KeyLog {
    lines: Sender<Line>,
    folder: PathBuf,
}

impl KeyLog {
    /// Opens the files in the folder, which is made where it is absent. Nobody else can read them.
    ///
    /// # Errors
    ///
    /// When others could, or the system refuses.
    pub fn open(folder: &Path) -> Result<Self, KeyLogError> {
        let error = |why: String| KeyLogError {
            folder: folder.to_owned(),
            why,
        };
        let of_system = |source: io::Error| error(source.to_string());
        if !folder.exists() {
            DirBuilder::new()
                .mode(0o700)
                .create(folder)
                .map_err(of_system)?;
        }
        let open = |name: &str| {
            let path = folder.join(name);
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW)
                .open(&path)
                .map_err(|source| error(format!("{name}: {source}")))?;
            let meta = file.metadata().map_err(of_system)?;
            match key_log::exposed_file(&path, &meta) {
                Some(why) => Err(error(why)),
                None => Ok(file),
            }
        };
        if let Some(why) = key_log::fault(folder) {
            return Err(error(why));
        }
        let files = [open(key_log::IKE)?, open(key_log::ESP)?];
        let (lines, waiting) = bounded(QUEUE);
        thread::Builder::new()
            .name("key-log".to_owned())
            .spawn(move || write(files, &waiting))
            .map_err(of_system)?;
        Ok(KeyLog {
            lines,
            folder: folder.to_owned(),
        })
    }

    /// The key of a negotiation.
    pub fn phase_one(&self, cookie: Cookie, key: &Secret) {
        let mut line = Zeroizing::new(format!("{cookie},"));
        put_hex(&mut line, key);
        self.send((false, line));
    }

    /// The keys of an IPsec SA: a line for each direction. The addresses are left open, since a NAT shows others.
    pub fn child(&self, sa: &ChildSa) {
        let name = format!("{}/{}", sa.connection, sa.child);
        let shown = match sa.suite.protocol {
            Protocol::Ah => Err("AH is not encrypted".to_owned()),
            Protocol::Esp => match (encryption(sa.suite.cipher), sa.suite.cipher) {
                (Some(encryption), _) => Ok(encryption),
                (None, cipher) => {
                    let cipher = cipher.map_or("", |cipher| cipher.row().name);
                    Err(format!("Wireshark has no {cipher}"))
                }
            },
        };
        let version = if sa.local.is_ipv4() { "IPv4" } else { "IPv6" };
        for (way, keys) in [("in", &sa.inbound), ("out", &sa.outbound)] {
            let mut line = Zeroizing::new(String::new());
            match &shown {
                Ok(encryption) => {
                    let authentication = authentication(sa.suite.integrity);
                    esp_line(&mut line, version, keys, encryption, authentication);
                }
                Err(why) => {
                    let _ = write!(line, "# {name} {way} 0x{:08x}: {why}", keys.spi);
                }
            }
            self.send((true, line));
        }
    }

    fn send(&self, line: Line) {
        if self.lines.try_send(line).is_err() {
            let folder = self.folder.display();
            say(&format!(
                "the key log in {folder} misses a line: the disk is too slow, or gone"
            ));
        }
    }
}

fn write([ike, esp]: [File; 2], waiting: &Receiver<Line>) {
    for (of_child, mut line) in waiting {
        line.push('\n');
        let mut file = if of_child { &esp } else { &ike };
        // One call a line: who reads along never sees half of one.
        if let Err(error) = file.write_all(line.as_bytes()) {
            say(&format!("the key log cannot be written: {error}"));
        }
    }
}

fn put_hex(line: &mut String, key: &Secret) {
    for byte in key.as_bytes() {
        let _ = write!(line, "{byte:02x}");
    }
}

/// A line of `esp_sa`.
fn esp_line(
    line: &mut String,
    version: &str,
    keys: &ChildKeys,
    encryption: &str,
    authentication: &str,
) {
    let _ = write!(
        line,
        "\"{version}\",\"*\",\"*\",\"0x{:08x}\",\"{encryption}\",\"",
        keys.spi
    );
    put_key(line, &keys.encryption);
    let _ = write!(line, "\",\"{authentication}\",\"");
    put_key(line, &keys.integrity);
    line.push('"');
}

fn put_key(line: &mut String, key: &Secret) {
    if !key.is_empty() {
        line.push_str("0x");
        put_hex(line, key);
    }
}

/// What Wireshark calls a cipher; nothing where it has none.
fn encryption(cipher: Option<EspCipher>) -> Option<&'static str> {
    use EspCipher as C;
    Some(match cipher? {
        C::Null => "NULL",
        C::TripleDes => "TripleDES-CBC [RFC2451]",
        C::Aes128 | C::Aes192 | C::Aes256 => "AES-CBC [RFC3602]",
        C::Aes128Ctr | C::Aes192Ctr | C::Aes256Ctr => "AES-CTR [RFC3686]",
        C::Blowfish128 | C::Blowfish192 | C::Blowfish256 => "BLOWFISH-CBC [RFC2451]",
        C::Aes128Gcm8 | C::Aes192Gcm8 | C::Aes256Gcm8 => "AES-GCM with 8 octet ICV [RFC4106]",
        C::Aes128Gcm12 | C::Aes192Gcm12 | C::Aes256Gcm12 => "AES-GCM with 12 octet ICV [RFC4106]",
        C::Aes128Gcm16 | C::Aes192Gcm16 | C::Aes256Gcm16 => "AES-GCM with 16 octet ICV [RFC4106]",
        _ => return None,
    })
}

/// What Wireshark calls an integrity algorithm.
fn authentication(integrity: Option<EspIntegrity>) -> &'static str {
    match integrity {
        Some(EspIntegrity::HmacMd5) => "HMAC-MD5-96 [RFC2403]",
        Some(EspIntegrity::HmacSha1) => "HMAC-SHA-1-96 [RFC2404]",
        Some(EspIntegrity::HmacSha256) => "HMAC-SHA-256-128 [RFC4868]",
        Some(EspIntegrity::HmacSha384) => "HMAC-SHA-384-192 [RFC4868]",
        Some(EspIntegrity::HmacSha512) => "HMAC-SHA-512-256 [RFC4868]",
        Some(EspIntegrity::AesXcbc) => "ANY 96 bit authentication [no checking]",
        None => "NULL",
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn lines(folder: &Path, name: &str, count: usize) -> Vec<String> {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            let text = fs::read_to_string(folder.join(name)).expect("there");
            if text.lines().count() >= count {
                return text.lines().map(str::to_owned).collect();
            }
            assert!(std::time::Instant::now() < end, "{text}");
            thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    fn keys(spi: u32, encryption: usize, integrity: usize) -> ChildKeys {
        ChildKeys {
            spi,
            encryption: Secret::new(vec![0xab; encryption]),
            integrity: Secret::new(vec![0xcd; integrity]),
        }
    }

    fn sa(suite: &str) -> ChildSa {
        let suite: crypto::esp::EspProposal = suite.parse().expect("a proposal");
        let cipher = suite.cipher.map_or(0, |cipher| cipher.row().keymat_len());
        let integrity = suite.integrity.map_or(0, |one| one.row().key_len);
        let address = |text: &str| text.parse().expect("an address");
        let net = keying::Selector::host(address("10.0.0.1"));
        ChildSa {
            id: keying::ChildSaId(1),
            connection: "branch".to_owned(),
            child: "net".to_owned(),
            mmsa_id: 1,
            role: audit::Role::Initiator,
            mode: keying::Mode::Tunnel,
            suite,
            local: std::net::SocketAddr::new(address("192.0.2.1"), 500),
            remote: std::net::SocketAddr::new(address("192.0.2.2"), 500),
            udp_encap: false,
            local_selector: net,
            remote_selector: net,
            local_lan: Vec::new(),
            inbound: keys(0x0102_0304, cipher, integrity),
            outbound: keys(0xa0b0_c0d0, cipher, integrity),
            cpis: None,
            replay_window: 64,
            soft_bytes: None,
            hard_bytes: None,
            soft_packets: None,
            hard_packets: None,
            peer_original: None,
            own_original: None,
            replaces: None,
        }
    }

    #[test]
    fn the_lines_are_those_of_wiresharks_tables() {
        let folder = tempfile::tempdir().expect("folder");
        let place = folder.path().join("keys");
        let log = KeyLog::open(&place).expect("open");
        log.phase_one(
            Cookie([1, 2, 3, 4, 5, 6, 7, 0xff]),
            &Secret::new(vec![0x0a, 0xb0]),
        );
        assert_eq!(lines(&place, key_log::IKE, 1), ["01020304050607ff,0ab0"]);
        log.child(&sa("aes128gcm16-ecp256"));
        log.child(&sa("null-sha1"));
        log.child(&sa("aes256ccm16"));
        log.child(&sa("ah-sha256"));
        let (gcm, sha1) = ("ab".repeat(20), "cd".repeat(20));
        let lines = lines(&place, key_log::ESP, 8);
        assert_eq!(
            lines[..3],
            [
                format!(
                    "\"IPv4\",\"*\",\"*\",\"0x01020304\",\"AES-GCM with 16 octet ICV [RFC4106]\",\"0x{gcm}\",\"NULL\",\"\""
                ),
                format!(
                    "\"IPv4\",\"*\",\"*\",\"0xa0b0c0d0\",\"AES-GCM with 16 octet ICV [RFC4106]\",\"0x{gcm}\",\"NULL\",\"\""
                ),
                format!(
                    "\"IPv4\",\"*\",\"*\",\"0x01020304\",\"NULL\",\"\",\"HMAC-SHA-1-96 [RFC2404]\",\"0x{sha1}\""
                ),
            ]
        );
        assert_eq!(
            lines[4],
            "# branch/net in 0x01020304: Wireshark has no aes256ccm16"
        );
        assert_eq!(lines[7], "# branch/net out 0xa0b0c0d0: AH is not encrypted");
        // It goes on where it was.
        drop(log);
        let log = KeyLog::open(&place).expect("open again");
        log.phase_one(Cookie([9; 8]), &Secret::new(vec![1]));
        assert_eq!(
            self::lines(&place, key_log::IKE, 2)[1],
            "0909090909090909,01"
        );
        for name in [key_log::IKE, key_log::ESP] {
            let mode = fs::metadata(place.join(name))
                .expect("there")
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        let mode = fs::metadata(&place).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn what_others_can_read_is_no_place_for_keys() {
        let folder = tempfile::tempdir().expect("folder");
        let place = folder.path().join("keys");
        drop(KeyLog::open(&place).expect("open"));
        let why = || KeyLog::open(&place).expect_err("refused").to_string();
        for (name, mode) in [(key_log::IKE, 0o640), (key_log::ESP, 0o604)] {
            let path = place.join(name);
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode");
            assert!(why().contains(&format!("mode {mode:04o}")), "{}", why());
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("mode");
        }
        fs::set_permissions(&place, fs::Permissions::from_mode(0o770)).expect("mode");
        assert!(why().contains("mode 0770"), "{}", why());
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).expect("mode");
        // A link may lead anywhere.
        fs::remove_file(place.join(key_log::IKE)).expect("gone");
        std::os::unix::fs::symlink("/dev/null", place.join(key_log::IKE)).expect("a link");
        assert!(why().contains(key_log::IKE), "{}", why());
        fs::remove_file(place.join(key_log::IKE)).expect("gone");
        KeyLog::open(&place).expect("as it should be");
        let file = folder.path().join("file");
        fs::write(&file, "").expect("written");
        assert!(
            KeyLog::open(&file)
                .expect_err("refused")
                .to_string()
                .contains("is no folder")
        );
    }
}
