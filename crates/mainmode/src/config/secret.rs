//! Pre-shared keys: inline or from a file, as strongSwan writes them.

use std::path::Path;

use crypto::Secret;
use zeroize::Zeroizing;

use super::file;

/// The longest pre-shared key file, in bytes; keys have some dozens.
const MAX_FILE: u64 = 4096;

/// A pre-shared key as it was written.
#[derive(Debug)]
pub struct Psk {
    /// The key.
    pub secret: Secret,
    /// What the text ends in that nobody sees and that is part of the key all the same, in words.
    pub unseen_end: Option<String>,
}

/// A pre-shared key from its text: `0x` and hexadecimal digits, `0s` and base64, or else the characters
/// themselves.
///
/// # Errors
///
/// Says what is wrong, without showing any of it.
pub fn from_text(text: &[u8]) -> Result<Psk, String> {
    let mut unseen_end = None;
    let secret = if let Some(digits) = text.strip_prefix(b"0x") {
        unhex(digits).ok_or("after \"0x\" come pairs of hexadecimal digits")?
    } else if let Some(digits) = text.strip_prefix(b"0s") {
        unbase64(digits).ok_or("after \"0s\" comes base64")?
    } else {
        unseen_end = self::unseen_end(text);
        Zeroizing::new(text.to_vec())
    };
    if secret.is_empty() {
        return Err("the pre-shared key is empty".to_owned());
    }
    Ok(Psk {
        secret: Secret::new(secret.to_vec()),
        unseen_end,
    })
}

/// The control character or white space at the end of a text, in words.
fn unseen_end(text: &[u8]) -> Option<String> {
    let last = text.utf8_chunks().last()?;
    let last = last
        .valid()
        .chars()
        .last()
        .filter(|_| last.invalid().is_empty())?;
    Some(match last {
        '\n' => "a newline".to_owned(),
        '\r' => "a carriage return, as Windows ends its lines".to_owned(),
        '\t' => "a tab".to_owned(),
        ' ' => "a blank".to_owned(),
        '\0' => "a NUL".to_owned(),
        _ if last.is_control() => format!("the control character U+{:04X}", u32::from(last)),
        _ if last.is_whitespace() => format!("the white space U+{:04X}", u32::from(last)),
        _ => return None,
    })
}

/// A pre-shared key from a file that only its owner can read. One newline at the end is not part of it; a
/// carriage return before it is.
///
/// # Errors
///
/// The file cannot be read, or others can read it, or its text is no key.
pub fn from_file(path: &Path) -> Result<Psk, String> {
    let text = file::whole(path, true, MAX_FILE)?;
    let text = text.strip_suffix(b"\n").unwrap_or(&text);
    from_text(text).map_err(|why| format!("{}: {why}", path.display()))
}

fn unhex(digits: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(digits.len() / 2));
    for pair in digits.chunks_exact(2) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(bytes)
}

fn unbase64(digits: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    use base64::Engine as _;
    use base64::engine::DecodePaddingMode;
    use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, config);
    engine.decode(digits).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn bytes(text: &str) -> Result<Vec<u8>, String> {
        from_text(text.as_bytes()).map(|psk| psk.secret.as_bytes().to_vec())
    }

    #[test]
    fn a_key_is_text_hexadecimal_or_base64() {
        assert_eq!(bytes("hunter2"), Ok(b"hunter2".to_vec()));
        assert_eq!(bytes(" 0x "), Ok(b" 0x ".to_vec()));
        assert_eq!(bytes("0x00fFaB"), Ok(vec![0, 255, 0xab]));
        assert_eq!(bytes("0sAP+r"), Ok(vec![0, 255, 0xab]));
        assert_eq!(bytes("0sAA=="), Ok(vec![0]));
        assert_eq!(bytes("0sAA"), Ok(vec![0]));
        for bad in ["", "0x", "0s", "0x0", "0xzz", "0s*"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_newline_at_the_end_of_a_file_is_not_part_of_the_key() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.psk");
        for (text, key) in [
            ("abc", &b"abc"[..]),
            ("abc\n", b"abc"),
            ("abc\n\n", b"abc\n"),
            ("abc\r\n", b"abc\r"),
            ("abc ", b"abc "),
            ("0x6162\n", b"ab"),
        ] {
            fs::write(&path, text).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("mode");
            let psk = from_file(&path).expect("a key");
            assert_eq!(psk.secret.as_bytes(), key, "{text:?}");
        }
    }

    #[test]
    fn a_pipe_is_no_key_file_and_nobody_waits_for_it() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.psk");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).expect("a pipe");
        let why = from_file(&path).expect_err("no key");
        assert!(why.ends_with("is not a file"), "{why}");
    }

    #[test]
    fn a_key_that_ends_in_what_nobody_sees_is_told_apart() {
        let end = |text: &[u8]| from_text(text).expect("a key").unseen_end;
        for (text, said) in [
            (&b"abc\n"[..], "a newline"),
            (b"abc\r", "a carriage return, as Windows ends its lines"),
            (b"abc\t", "a tab"),
            (b"abc ", "a blank"),
            (b"abc\0", "a NUL"),
            (b"abc\x07", "the control character U+0007"),
            (b"abc\xc2\xa0", "the white space U+00A0"),
            (b"\xff\n", "a newline"),
        ] {
            assert_eq!(end(text).as_deref(), Some(said), "{text:?}");
        }
        // Bytes that are no text, and keys whose bytes were meant one by one, end as they end.
        for text in [
            &b"abc"[..],
            b" a b",
            b"abc\xff",
            b"\n\xc2",
            b"0x610a",
            b"0sYQo=",
        ] {
            assert_eq!(end(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.psk");
        fs::write(&path, "abc").expect("written");
        for mode in [0o640, 0o604, 0o620, 0o644, 0o601] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode");
            let why = from_file(&path).expect_err("refused");
            assert!(why.contains(&format!("mode {mode:04o}")), "{why}");
        }
        for mode in [0o600, 0o400] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode");
            assert!(from_file(&path).is_ok());
        }
        assert!(from_file(folder.path()).is_err());
    }
}
