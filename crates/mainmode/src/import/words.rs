//! Values as swanctl writes them, and as mainmode does: numbers, times, marks, identities, selectors.

use std::fmt::Write as _;
use std::net::IpAddr;

use ipnet::IpNet;
use keying::identity::{Identity, IdentityError};

use crate::config::child;

/// A number: decimal, `0x` and hexadecimal, or `0` and octal digits.
pub fn number(text: &str) -> Option<u64> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u64::from_str_radix(digits, 16).ok();
    }
    match text.strip_prefix('0') {
        Some(digits) if !digits.is_empty() => u64::from_str_radix(digits, 8).ok(),
        _ => text.parse().ok(),
    }
}

/// A number with the unit of its last character.
fn with_unit(text: &str, units: &[(char, u64)]) -> Option<u64> {
    let text = text.trim();
    let last = text.chars().last()?;
    let unit = units
        .iter()
        .find(|(unit, _)| last.eq_ignore_ascii_case(unit));
    match unit {
        Some((_, factor)) => {
            number(text[..text.len() - last.len_utf8()].trim_end())?.checked_mul(*factor)
        }
        None => number(text),
    }
}

/// A time, in seconds.
pub fn seconds(text: &str) -> Option<u64> {
    with_unit(text, &[('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)])
}

/// A volume, in bytes.
pub fn bytes(text: &str) -> Option<u64> {
    with_unit(text, &[('k', 1 << 10), ('m', 1 << 20), ('g', 1 << 30)])
}

/// A firewall mark as value and mask; nothing for one that means none.
pub fn mark(text: &str) -> Result<Option<String>, String> {
    if text.starts_with('%') {
        return Err(format!(
            "there is no \"{}\" here: marks are numbers",
            text.escape_debug()
        ));
    }
    let (value, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
    let part = |text: &str| {
        let number = number(text).and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| format!("\"{}\" is no mark", text.escape_debug()))
    };
    let (value, mask) = (part(value)?, part(mask)?);
    if (value, mask) == (0, 0) {
        return Ok(None);
    }
    Ok(Some(format!("{:#x}/{mask:#x}", value & mask)))
}

/// An identity; nothing for any.
pub fn identity(text: &str) -> Result<Option<String>, String> {
    if text == "%any" {
        return Ok(None);
    }
    // A value that is * alone is any to charon, and a star here.
    let parts = text
        .split([',', '/'])
        .filter_map(|part| part.split_once('='));
    if parts.into_iter().any(|(_, value)| value.trim() == "*") {
        return Err(
            "a distinguished name with * is a pattern, and an identity here is one peer's"
                .to_owned(),
        );
    }
    let hex = |digits: &str| format!("keyid:0x{}", digits.replace(':', ""));
    let typed = text.split_once(':').and_then(|(kind, rest)| {
        let bytes = rest.strip_prefix('#');
        Some(match (kind.to_ascii_lowercase().as_str(), bytes) {
            ("fqdn" | "dns", None) => Ok(format!("@{rest}")),
            ("rfc822" | "email" | "userfqdn", None) => Ok(format!("@@{rest}")),
            ("keyid", None) => Ok(format!("keyid:{rest}")),
            ("keyid", Some(digits)) => Ok(hex(digits)),
            ("ipv4" | "ipv6", Some(digits)) => address(digits).ok_or("this is no address"),
            (
                "ipv4" | "ipv6" | "asn1dn" | "asn1gn" | "fqdn" | "dns" | "rfc822" | "email"
                | "userfqdn",
                _,
            ) => Err("an identity of this type is not written as bytes here"),
            (kind, _) if kind.starts_with('{') => {
                Err("the type of an identity cannot be a number here")
            }
            _ => return None,
        })
    });
    let written = match typed {
        Some(typed) => typed.map_err(str::to_owned)?,
        None => match text.strip_prefix("@#") {
            Some(digits) => hex(digits),
            None => text.to_owned(),
        },
    };
    match Identity::parse(&written) {
        Ok(_) => Ok(Some(written)),
        // What charon takes for a key ID, or for a name whatever it looks like.
        Err(IdentityError::NotAnAddress(_)) if written.contains(':') => {
            Ok(Some(format!("keyid:{written}")))
        }
        Err(IdentityError::NotAnAddress(_)) => Ok(Some(format!("@{written}"))),
        Err(error) => Err(error.to_string()),
    }
}

/// An address from its bytes in hexadecimal.
fn address(digits: &str) -> Option<String> {
    let number = |len| {
        let good = digits.len() == len && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        good.then(|| u128::from_str_radix(digits, 16).ok())
            .flatten()
    };
    let v4 = number(8).and_then(|bits| u32::try_from(bits).ok());
    let v4 = v4.map(|bits| IpAddr::from(bits.to_be_bytes()));
    let v6 = || number(32).map(|bits| IpAddr::from(bits.to_be_bytes()));
    v4.or_else(v6).map(|address| address.to_string())
}

/// A traffic selector. Charon cuts off the host bits of a subnet.
pub fn selector(text: &str) -> Result<String, String> {
    let (addresses, behind) = match text.find('[') {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let mut written = match addresses.parse::<IpNet>() {
        Ok(net) => net.trunc().to_string(),
        Err(_) => addresses.to_owned(),
    };
    // `[/53]` and `[tcp/]`: any protocol, any port.
    let inner = behind
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match inner.map(|inner| inner.split_once('/').unwrap_or((inner, ""))) {
        None => written.push_str(behind),
        Some(("" | "any", "" | "any")) => {}
        Some((protocol, "" | "any")) => {
            let _ = write!(written, "[{protocol}]");
        }
        Some((protocol, port)) => {
            let protocol = if protocol.is_empty() { "any" } else { protocol };
            let _ = write!(written, "[{protocol}/{port}]");
        }
    }
    child::selector(&written).map(|_| written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_times_and_volumes_have_charons_units() {
        for (text, value) in [("10", 10), ("0x10", 16), ("010", 8), ("0", 0)] {
            assert_eq!(number(text), Some(value), "{text}");
        }
        for (text, value) in [
            ("4h", 14_400),
            ("90 s", 90),
            ("1D", 86_400),
            ("7", 7),
            ("2m", 120),
        ] {
            assert_eq!(seconds(text), Some(value), "{text}");
        }
        assert_eq!(bytes("2k"), Some(2048));
        assert_eq!(bytes("1G"), Some(1 << 30));
        for bad in [
            "",
            "h",
            "1w",
            "-1",
            "4 hours",
            "99999999999999999999",
            "20000000000000000000d",
            "ü",
        ] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn marks_have_a_mask() {
        assert_eq!(mark("42"), Ok(Some("0x2a/0xffffffff".to_owned())));
        assert_eq!(mark("0x2a/0xff"), Ok(Some("0x2a/0xff".to_owned())));
        assert_eq!(mark("0/0x00000000"), Ok(None));
        assert!(mark("%unique").is_err() && mark("").is_err() && mark("1/x").is_err());
    }

    #[test]
    fn identities_are_of_the_type_that_charon_takes_them_for() {
        let parsed = |text: &str| {
            let written = identity(text).expect(text).expect(text);
            Identity::parse(&written).expect(text)
        };
        for (text, same) in [
            ("gw.example", "gw.example"),
            ("fqdn:gw.example", "@gw.example"),
            ("email:ops@example", "ops@example"),
            ("@#0aFF", "keyid:0x0aff"),
            ("keyid:#0a:ff", "keyid:0x0aff"),
            ("keyid:group", "keyid:group"),
            ("ipv4:#c0000201", "192.0.2.1"),
            ("ipv6:#20010db8000000000000000000000001", "2001:db8::1"),
            ("C=CH, O=Example, CN=gw", "C=CH, O=Example, CN=gw"),
            ("12345", "@12345"),
            ("a:b", "keyid:a:b"),
        ] {
            assert_eq!(parsed(text), Identity::parse(same).expect(same), "{text}");
        }
        assert_eq!(identity("%any"), Ok(None));
        for bad in [
            "*.example",
            "C=CH, CN=*",
            "{17}:x",
            "asn1dn:#3000",
            "ipv4:10.0.0.1",
            "ipv4:#c0",
            "10.0.0.0/8",
        ] {
            assert!(identity(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn selectors_lose_their_host_bits() {
        for (text, written) in [
            ("10.1.2.3/16", "10.1.0.0/16"),
            ("10.1.0.1", "10.1.0.1"),
            ("dynamic[tcp/22]", "dynamic[tcp/22]"),
            ("10.1.0.0/16[icmp]", "10.1.0.0/16[icmp]"),
            ("10.1.0.0/16[udp/]", "10.1.0.0/16[udp]"),
            ("10.1.0.5-10.1.0.9", "10.1.0.5-10.1.0.9"),
        ] {
            assert_eq!(selector(text).as_deref(), Ok(written), "{text}");
        }
        for bad in [
            "10.1.0.0/16[/53]",
            "10.1.0.0/16[tcp/1-9]",
            "10.1.0.0/16[tcp/opaque]",
            "lan",
            "",
            "[",
            "10.0.0.0/8[tcp",
        ] {
            assert!(selector(bad).is_err(), "{bad}");
        }
    }
}
