//! Text that somebody else chose, on its way to a terminal, a message or XML.
//!
//! One notation serves all: a character that must not be shown as it is becomes `\u{1b}`, a byte
//! that was no UTF-8 becomes `\x{ff}`. Where the text itself holds `\u{` or `\x{`, the backslash is
//! written `\u{5c}`. So whatever was sent can be [recovered](recover), and ordinary text, Windows'
//! `DOMAIN\user` too, stays as it is.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character can be shown: not a control character of C0 or C1, nothing that reorders or
/// hides other characters (bidirectional controls, zero width, tags), no line or paragraph
/// separator, no noncharacter.
pub(crate) fn is_plain(c: char) -> bool {
    !matches!(u32::from(c),
        0x00..=0x1f | 0x7f..=0x9f | 0xad | 0x61c | 0x180e
        | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f
        | 0xfdd0..=0xfdef | 0xfeff | 0xfff9..=0xfffb | 0xe0000..=0xe0fff)
        && u32::from(c) & 0xfffe != 0xfffe
}

/// Whether a backslash that `rest` follows would read as the beginning of an escape.
fn begins_escape(rest: &str) -> bool {
    rest.starts_with("u{") || rest.starts_with("x{")
}

fn escape(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    let ok = |at: usize, c: char| keep(c) && !(c == '\\' && begins_escape(&text[at + 1..]));
    let Some(first) = text.char_indices().find(|&(at, c)| !ok(at, c)) else {
        return Cow::Borrowed(text);
    };
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(&text[..first.0]);
    for (at, c) in text[first.0..].char_indices() {
        if ok(first.0 + at, c) {
            out.push(c);
        } else {
            write!(out, "\\u{{{:x}}}", u32::from(c)).expect("a String takes every write");
        }
    }
    Cow::Owned(out)
}

/// A number as people copy it: decimal, or hexadecimal after `0x`.
pub(crate) fn number(text: &str) -> Option<u32> {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, radix) = hex.map_or((text, 10), |digits| (digits, 16));
    // Reading takes a sign, which no code has.
    let unsigned = !digits.starts_with('+');
    unsigned.then(|| u32::from_str_radix(digits, radix).ok())?
}

/// The text as a terminal, or a line of a message, may show it.
///
/// Control characters (ESC, NUL, line ends and tabs among them) and characters that reorder or hide
/// others become escapes such as `\u{1b}`; [`recover`] gives the text back.
pub fn printable(text: &str) -> Cow<'_, str> {
    escape(text, is_plain)
}

/// The text with what XML 1.0 cannot hold (section 2.2) as escapes.
pub(crate) fn xml_legal(text: &str) -> Cow<'_, str> {
    escape(text, |c| {
        matches!(c, '\t' | '\n' | '\r') || (c >= ' ' && c != '\u{fffe}' && c != '\u{ffff}')
    })
}

/// Bytes of a peer that should be text: what is not UTF-8 becomes `\x{ff}`.
///
/// Everything else stays, control characters too: they are made harmless where they are shown.
pub fn peer_text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid();
        for (at, c) in valid.char_indices() {
            if c == '\\' && valid[at + 1..].starts_with("x{") {
                out.push_str("\\x{5c}");
            } else {
                out.push(c);
            }
        }
        for byte in chunk.invalid() {
            write!(out, "\\x{{{byte:02x}}}").expect("a String takes every write");
        }
    }
    out
}

/// Undoes [`printable`] and the escapes in XML: each `\u{…}` becomes its character again.
pub fn recover(shown: &str) -> Cow<'_, str> {
    if !shown.contains("\\u{") {
        return Cow::Borrowed(shown);
    }
    let mut out = String::with_capacity(shown.len());
    let mut rest = shown;
    while let Some(at) = rest.find("\\u{") {
        out.push_str(&rest[..at]);
        let digits = &rest[at + 3..];
        let escaped = digits.split_once('}').and_then(|(hex, after)| {
            let c = char::from_u32(u32::from_str_radix(hex, 16).ok()?)?;
            Some((c, after))
        });
        if let Some((c, after)) = escaped {
            out.push(c);
            rest = after;
        } else {
            out.push_str("\\u{");
            rest = digits;
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_written_out() {
        assert_eq!(printable("a\u{1b}[31m\n\0"), "a\\u{1b}[31m\\u{a}\\u{0}");
        assert_eq!(printable("\u{202e}txt.exe"), "\\u{202e}txt.exe");
        assert_eq!(printable("\\u{41}"), "\\u{5c}u{41}");
        assert!(matches!(printable("EXAMPLE\\user"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_is_no_escape_is_recovered_as_it_stands() {
        for text in [
            "\\u{}",
            "\\u{d800}",
            "\\u{110000}",
            "\\u{zz}",
            "\\u{41",
            "\\u{ffffffffff}",
        ] {
            assert_eq!(recover(text), text);
        }
        assert_eq!(recover("\\u{\\u{41}"), "\\u{A");
    }

    #[test]
    fn bytes_that_are_no_text_are_told_from_text_that_looks_like_them() {
        assert_eq!(peer_text(b"gw.example"), "gw.example");
        assert_eq!(peer_text(b"gw\xff\xfe"), "gw\\x{ff}\\x{fe}");
        assert_eq!(peer_text(b"gw\\x{ff}"), "gw\\x{5c}x{ff}");
        // A lone surrogate in UTF-8 clothes.
        assert_eq!(peer_text(b"\xed\xa0\x80"), "\\x{ed}\\x{a0}\\x{80}");
    }

    proptest! {
        #[test]
        fn printable_text_is_plain_and_comes_back(text in any::<String>()) {
            let shown = printable(&text);
            prop_assert!(shown.chars().all(is_plain));
            prop_assert_eq!(recover(&shown).into_owned(), text.as_str());
        }

        #[test]
        fn different_bytes_of_a_peer_are_different_text(
            a in proptest::collection::vec(any::<u8>(), 0..12),
            b in proptest::collection::vec(any::<u8>(), 0..12),
        ) {
            prop_assert_eq!(a == b, peer_text(&a) == peer_text(&b));
        }
    }
}
