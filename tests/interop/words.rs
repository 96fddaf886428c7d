//! What an audit event must say of what a scenario sets up, written down a second time: from Windows' parameter
//! strings and system error texts, not from the code under test.

use crate::Outcome;

/// The words of `MMCipherAlg` by the keyword of a proposal.
const CIPHERS: &[(&str, &str)] = &[
    ("3des", "3DES"),
    ("aes128", "AES-128"),
    ("aes192", "AES-192"),
    ("aes256", "AES-256"),
    ("camellia128", "Camellia-128"),
    ("camellia192", "Camellia-192"),
    ("camellia256", "Camellia-256"),
];

/// The words of `MMIntegrityAlg`.
const INTEGRITIES: &[(&str, &str)] = &[
    ("md5", "MD5"),
    ("sha1", "SHA1"),
    ("sha256", "SHA 256"),
    ("sha384", "SHA 384"),
    ("sha512", "SHA 512"),
];

/// The words of `DHGroup`.
const GROUPS: &[(&str, &str)] = &[
    ("modp1024", "DH group 2"),
    ("modp1536", "DH group 5"),
    ("modp2048", "DH group 14"),
    ("modp3072", "DH group 15"),
    ("modp4096", "DH group 16"),
    ("modp6144", "DH group 17"),
    ("modp8192", "DH group 18"),
    ("modp1024s160", "DH group 22"),
    ("modp2048s224", "DH group 23"),
    ("modp2048s256", "DH group 24"),
    ("ecp192", "DH group ECP 192"),
    ("ecp224", "DH group ECP 224"),
    ("ecp256", "DH group ECP 256"),
    ("ecp384", "DH group ECP 384"),
    ("ecp521", "DH group ECP 521"),
    ("x25519", "DH group 31"),
];

/// The words of 5451's `CipherType` and, for those that authenticate by themselves, of `EspAuthType`.
const ESP_CIPHERS: &[(&str, [&str; 2])] = &[
    ("3des", ["3DES", ""]),
    ("aes128", ["AES-128", ""]),
    ("aes192", ["AES-192", ""]),
    ("aes256", ["AES-256", ""]),
    ("aes256ctr", ["AES-CTR-256", ""]),
    ("blowfish128", ["Blowfish-128", ""]),
    ("blowfish192", ["Blowfish-192", ""]),
    ("camellia192", ["Camellia-192", ""]),
    ("null", ["None", ""]),
    ("aes128gcm16", ["AES-GCM-128"; 2]),
    ("aes192gcm16", ["AES-GCM-192"; 2]),
    ("aes256gcm16", ["AES-GCM-256"; 2]),
    ("aes128ccm12", ["AES-CCM-128 ICV 12"; 2]),
    ("aes128gmac", ["None", "AES-GMAC-128"]),
    ("ah", ["None", "None"]),
];

/// The texts of `FailureReason` by their code.
const REASONS: &[(u32, &str)] = &[
    (13801, "IKE authentication credentials are unacceptable"),
    (13802, "IKE security attributes are unacceptable"),
    (13805, "Negotiation timed out"),
    (
        13807,
        "IKE SA deleted by peer before establishment completed",
    ),
    (13808, "IKE SA deleted before establishment completed"),
    (13816, "Unknown error occurred"),
    (13822, "Failure in Diffie-Hellman computation"),
    (13824, "Invalid header"),
    (13825, "No policy configured"),
    (13843, "Invalid payload received"),
    (13849, "New policy invalidated SAs formed with old policy"),
    (
        13887,
        "Certificate doesn't chain to a trusted root in IPsec policy.",
    ),
    (
        13881,
        "Key length in certificate is too small for configured security requirements.",
    ),
    (13875, "Invalid certificate signature"),
    (
        13848,
        "Certification Revocation check of peer's certificate failed",
    ),
    (13847, "Peer failed to send valid machine certificate"),
    (13826, "Failed to verify signature"),
    (
        13820,
        "IKE negotiation failed because the machine certificate used does not have a private key. IPsec certificates require a private key. Contact your Network Security administrator about replacing with a certificate that has a private key.",
    ),
    (13819, "Invalid certificate type"),
    (13818, "Invalid certificate key usage"),
    (
        13806,
        "IKE failed to find valid machine certificate. Contact your Network Security Administrator about installing a valid certificate in the appropriate Certificate Store.",
    ),
    (13846, "Invalid cookie received."),
    (13850, "There is no available Main Mode IKE policy."),
    (13862, "Invalid DOI"),
    (13863, "Invalid situation"),
    (13865, "Invalid Diffie-Hellman group"),
    (13868, "Policy match error"),
    (13869, "Unsupported ID"),
    (13870, "Hash verification failed"),
    (13871, "Invalid hash algorithm"),
    (13873, "Invalid encryption algorithm"),
    (13874, "Invalid authentication algorithm"),
    (
        13880,
        "The recipient cannot handle version of IKE specified in the header.",
    ),
    (13891, "IKE service is shutting down."),
    (
        13903,
        "Incoming SA request was dropped due to peer IP address rate limiting.",
    ),
];

/// The words for cipher, integrity and group of a proposal such as `aes256-sha256-modp2048`.
pub fn of_suite(suite: &str) -> Outcome<[&'static str; 3]> {
    let parts: Vec<&str> = suite.split('-').collect();
    let [cipher, integrity, group] = parts[..] else {
        return Err(format!("suite \"{suite}\" is not of three words").into());
    };
    Ok([
        word(CIPHERS, cipher)?,
        word(INTEGRITIES, integrity)?,
        word(GROUPS, group)?,
    ])
}

/// The words for cipher and integrity of a proposal for ESP, such as `aes128gcm16-x25519` or `aes128-sha256`.
pub fn of_esp(suite: &str) -> Outcome<[&'static str; 2]> {
    let mut parts = suite.split('-');
    let [cipher, own] = word(ESP_CIPHERS, parts.next().unwrap_or_default())?;
    if !own.is_empty() {
        return Ok([cipher, own]);
    }
    let integrity = match parts.next().unwrap_or_default() {
        "aesxcbc" => "AES-XCBC",
        other => word(INTEGRITIES, other)?,
    };
    Ok([cipher, integrity])
}

fn word<T: Copy>(table: &[(&str, T)], keyword: &str) -> Outcome<T> {
    table
        .iter()
        .find(|(k, _)| *k == keyword)
        .map(|(_, word)| *word)
        .ok_or_else(|| format!("no word is known here for \"{keyword}\"").into())
}

/// The text of a reason code.
pub fn of_reason(code: u32) -> Outcome<&'static str> {
    REASONS
        .iter()
        .find(|(c, _)| *c == code)
        .map(|(_, text)| *text)
        .ok_or_else(|| format!("no text is known here for reason {code}").into())
}

/// What the tables promise, as trials of their own.
pub const TRIALS: crate::OwnTrials = &[("a_suite_has_the_words_of_its_parts", suite_words)];

fn suite_words() -> Outcome {
    assert_eq!(
        of_suite("3des-sha512-x25519")?,
        ["3DES", "SHA 512", "DH group 31"]
    );
    assert_eq!(of_esp("3des-sha256-ecp224")?, ["3DES", "SHA 256"]);
    assert_eq!(of_esp("aes192gcm16")?, ["AES-GCM-192", "AES-GCM-192"]);
    assert!(of_suite("aes256-sha256").is_err());
    assert!(of_suite("aes256-sha256-modp2047").is_err());
    Ok(())
}
