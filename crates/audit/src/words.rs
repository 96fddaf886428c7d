//! The parameter strings: what a stored `%%8222` is shown as.

use std::borrow::Cow;

use crate::policy::Subcategory;

/// A stored value of a field with a fixed vocabulary: a parameter such as `%%8237`, or plain text
/// in the same style where Windows has none (`SHA 512`).
pub type Word = &'static str;

/// The string of parameter `%%n` in the message table of the Security-Auditing provider.
pub fn parameter(n: u32) -> Option<&'static str> {
    PARAMETERS
        .binary_search_by_key(&n, |&(number, _)| number)
        .ok()
        .map(|i| PARAMETERS[i].1)
}

/// The fields in which parameter `%%n` stands. The states of the three modes have numbers of their own:
/// then also the subcategory whose events are meant.
pub(crate) fn fields_of(n: u32) -> (&'static [&'static str], Option<Subcategory>) {
    match n {
        8192..=8194 | 8224..=8228 | 8238..=8241 | 8247 => (&["MMAuthMethod", "EMAuthMethod"], None),
        8195 | 8196 | 8235..=8237 => (&["MMCipherAlg", "CipherType"], None),
        8197 | 8198 | 8242 | 8243 => (&["MMIntegrityAlg", "AhAuthType", "EspAuthType"], None),
        8199 | 8200 => (&["FailurePoint"], None),
        8201..=8204 => (&["State"], Some(Subcategory::IpsecMainMode)),
        8205 | 8206 => (&["Role"], None),
        8207..=8210 => (&["State"], Some(Subcategory::IpsecQuickMode)),
        8211..=8213 => (&["Mode"], None),
        8214 | 8215 => (&["notification"], None),
        8216 | 8217 => (&["MMImpersonationState", "EMImpersonationState"], None),
        8218..=8221 | 8245 | 8246 => (&["State"], Some(Subcategory::IpsecExtendedMode)),
        8222 | 8223 | 8244 => (&["KeyModName", "KeyingModuleName"], None),
        8229 => (
            &["DHGroup", "AhAuthType", "EspAuthType", "CipherType"],
            None,
        ),
        8230..=8234 | 8248 => (&["DHGroup"], None),
        8272 | 8273 => (&["CategoryId"], None),
        8448..=8451 => (&["AuditPolicyChanges"], None),
        12_290..=12_550 => (&["SubcategoryId"], None),
        _ => (&[], None),
    }
}

/// Shows a stored value of a field whose values are ours: each `%%n` as its string, in one pass.
///
/// Parameters without a string stay as they are. Not for fields that hold a peer's words.
pub(crate) fn shown(stored: &str) -> Cow<'_, str> {
    if !stored.contains("%%") {
        return Cow::Borrowed(stored);
    }
    let mut out = String::with_capacity(stored.len() + 16);
    let mut rest = stored;
    while let Some(at) = rest.find("%%") {
        out.push_str(&rest[..at]);
        let after = &rest[at + 2..];
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        match after[..digits].parse().ok().and_then(parameter) {
            Some(string) => out.push_str(string),
            None => out.push_str(&rest[at..at + 2 + digits]),
        }
        rest = &after[digits..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Every parameter that an event of the catalogue can hold, by number.
pub(crate) static PARAMETERS: &[(u32, &str)] = &[
    (8192, "Kerberos"),
    (8193, "Preshared key"),
    (8194, "Unknown authentication"),
    (8195, "DES"),
    (8196, "3DES"),
    (8197, "MD5"),
    (8198, "SHA1"),
    (8199, "Local computer"),
    (8200, "Remote computer"),
    (8201, "No state"),
    (8202, "Sent first (SA) payload"),
    (8203, "Sent second (KE) payload"),
    (8204, "Sent third (ID) payload"),
    (8205, "Initiator"),
    (8206, "Responder"),
    (8207, "No state"),
    (8208, "Sent first (SA) payload"),
    (8209, "Sent final payload"),
    (8210, "Complete"),
    (8211, "Unknown"),
    (8212, "Transport"),
    (8213, "Tunnel"),
    (8214, "IKE/AuthIP DoS prevention mode started"),
    (8215, "IKE/AuthIP DoS prevention mode stopped"),
    (8216, "Enabled"),
    (8217, "Not enabled"),
    (8218, "No state"),
    (8219, "Sent first (EM attributes) payload"),
    (8220, "Sent second (SSPI) payload"),
    (8221, "Sent third (hash) payload"),
    (8222, "IKEv1"),
    (8223, "AuthIP"),
    (8224, "Anonymous"),
    (8225, "NTLM V2"),
    (8226, "CGA"),
    (8227, "Certificate"),
    (8228, "SSL"),
    (8229, "None"),
    (8230, "DH group 1"),
    (8231, "DH group 2"),
    (8232, "DH group 14"),
    (8233, "DH group ECP 256"),
    (8234, "DH group ECP 384"),
    (8235, "AES-128"),
    (8236, "AES-192"),
    (8237, "AES-256"),
    (8238, "Certificate ECDSA P256"),
    (8239, "Certificate ECDSA P384"),
    (8240, "SSL ECDSA P256"),
    (8241, "SSL ECDSA P384"),
    (8242, "SHA 256"),
    (8243, "SHA 384"),
    (8244, "IKEv2"),
    (8245, "EAP payload sent"),
    (8246, "Authentication payload sent"),
    (8247, "EAP"),
    (8248, "DH group 24"),
    (8272, "System"),
    (8273, "Logon/Logoff"),
    (8448, "Success removed"),
    (8449, "Success added"),
    (8450, "Failure removed"),
    (8451, "Failure added"),
    (12_290, "System Integrity"),
    (12_291, "IPsec Driver"),
    (12_544, "Logon"),
    (12_547, "IPsec Main Mode"),
    (12_549, "IPsec Quick Mode"),
    (12_550, "IPsec Extended Mode"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_shown_as_its_string() {
        assert_eq!(parameter(8222), Some("IKEv1"));
        assert_eq!(parameter(12_547), Some("IPsec Main Mode"));
        assert_eq!(parameter(1), None);
        assert_eq!(shown("%%8222"), "IKEv1");
        assert_eq!(shown("%%8448, %%8451"), "Success removed, Failure added");
        assert_eq!(shown("SHA 512"), "SHA 512");
    }

    #[test]
    fn what_is_no_parameter_stays_as_it_is() {
        for text in [
            "%%",
            "%%x",
            "%%99999",
            "%%99999999999999999999",
            "100%",
            "%%%",
        ] {
            assert_eq!(shown(text), text);
        }
    }
}
