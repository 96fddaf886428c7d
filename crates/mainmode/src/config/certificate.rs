//! `auth` by signatures: certificates, keys in files and tokens, whom to trust.

use std::ops::Range;
use std::path::PathBuf;

use crypto::cert::limits::MAX_FILE_LEN;
use crypto::cert::{
    Certificate, Credential, Evidence, KeyKind, Method, PrivateKey, TokenUri, TrustStore,
    read_certificates,
};
use crypto::{Hash, Secret, digest};
use keying::{SendCertificate, SignatureCredentials};
use zeroize::Zeroizing;

use super::diagnostic::Findings;
use super::file;
use super::model::{Config, SignatureAuth};
use super::secret;
use super::source::Source;
use super::table::{Field, Table};
use super::trust::{crls, policy, trust};

/// What to write.
pub const EXAMPLE: &str = "{ certificate = \"gw.pem\", key = \"gw.key\", ca = [\"ca.pem\"] }";
/// The keys that make a way to authenticate one by signatures.
pub const KEYS: [&str; 5] = [
    "certificate",
    "key",
    "peer-certificate",
    "peer-key",
    "hybrid",
];

/// Reads one way to authenticate by signatures; nothing when it cannot be used.
pub fn read(table: &Table<'_>, source: &Source, findings: &mut Findings) -> Option<SignatureAuth> {
    let mut files = Files {
        source,
        contents: [0; 32],
    };
    let hybrid = table
        .get("hybrid")
        .is_some_and(|field| field.boolean(findings) == Some(true));
    // Of the two sides one signs, and the other has whom to trust.
    let signs = table.has("certificate") || table.has("key");
    let trusts = ["ca", "peer-certificate", "peer-key"]
        .iter()
        .any(|name| table.has(name));
    let own = match (hybrid, signs) {
        (true, false) => Some(None),
        _ => own(table, &mut files, findings).map(Some),
    };
    let policy = policy(table, findings);
    let trust = match (hybrid && signs, trusts) {
        (true, false) => Some(TrustStore::default()),
        _ => trust(table, policy, &mut files, findings),
    };
    let crls = crls(table, &mut files, findings);
    let send_certificate = table
        .get("send-certificate")
        .and_then(|field| {
            field.word(
                findings,
                &[
                    ("if-asked", SendCertificate::IfAsked),
                    ("always", SendCertificate::Always),
                    ("never", SendCertificate::Never),
                ],
            )
        })
        .unwrap_or(SendCertificate::IfAsked);
    let (own, trust) = (own?, trust?);
    let methods: Vec<Method> = match &own {
        Some(own) => own.method().into_iter().collect(),
        None => vec![Method::Rsa],
    };
    if methods.is_empty() {
        findings.error_help(
            table.span.clone(),
            "the key is of a kind that IKEv1 cannot sign with",
            "use RSA, or ECDSA on P-256, P-384 or P-521",
        );
        return None;
    }
    if let Some(own) = &own {
        tell(own, table, findings);
    }
    Some(SignatureAuth {
        credentials: SignatureCredentials {
            own: own.into_iter().collect(),
            trust,
            evidence: Evidence {
                crls,
                ocsp: Vec::new(),
            },
        },
        methods,
        policy,
        send_certificate,
        hybrid,
        contents: files.contents,
    })
}

/// The files of one way to authenticate.
pub(super) struct Files<'a> {
    source: &'a Source,
    /// A hash over what was read: whether it is still the same at a reload.
    contents: [u8; 32],
}

impl Files<'_> {
    pub(super) fn path(&self, text: &str) -> PathBuf {
        Config::beside(self.source.path(), text)
    }

    pub(super) fn note(&mut self, bytes: &[u8]) {
        if let Ok(hash) = digest(Hash::Sha256, &[&self.contents, bytes]) {
            self.contents.copy_from_slice(&hash);
        }
    }

    /// A whole file. `secret`: its owner alone may read it.
    pub(super) fn read(&mut self, text: &str, secret: bool) -> Result<Zeroizing<Vec<u8>>, String> {
        let path = self.path(text);
        let bytes = file::whole(&path, secret, MAX_FILE_LEN)?;
        self.note(&bytes);
        Ok(bytes)
    }
}

/// Our key with its certificate, if it has one.
fn own(table: &Table<'_>, files: &mut Files<'_>, findings: &mut Findings) -> Option<Credential> {
    let passphrase = passphrase(table, files, findings);
    let Some(certificate) = table.get("certificate") else {
        return raw_key(table, files, passphrase?.as_ref(), findings);
    };
    let passphrase = passphrase?;
    let mut texts = certificate.texts(findings, "\"gw.pem\"")?.into_iter();
    let Some((text, _)) = texts.next() else {
        findings.error_help(
            certificate.span.clone(),
            "\"certificate\" is empty",
            "name the file of our certificate, and behind it those of the CAs between it and the root",
        );
        return None;
    };
    let above: Vec<_> = texts.collect();
    // A PKCS #12 file holds the key too: what must be secret is known once it is read.
    let bytes = said(files.read(text, false), &certificate, findings)?;
    let mut chain = match read_certificates(&bytes) {
        Ok(chain) if !chain.is_empty() => chain,
        Ok(_) => {
            findings.error_help(
                certificate.span.clone(),
                "\"certificate\": there is no certificate in the file",
                "the file holds our certificate, and after it the CAs between it and the root",
            );
            return None;
        }
        Err(_) if bytes.first() == Some(&DER_SEQUENCE) => {
            if let Some((_, span)) = above.first() {
                let help = "put them into that file, or write \"certificate\" and \"key\" in PEM";
                let what = "\"certificate\" is a PKCS #12 file, which holds the CAs as well";
                findings.error_help(span.clone(), what, help);
            }
            return pkcs12(
                table,
                files,
                &certificate,
                text,
                &bytes,
                passphrase.as_ref(),
                findings,
            );
        }
        Err(error) => {
            let help = "the file holds certificates in PEM or DER, or is PKCS #12";
            findings.error_help(
                certificate.span.clone(),
                format!("\"certificate\": {error}"),
                help,
            );
            return None;
        }
    };
    add_above(&mut chain, above, files, findings)?;
    let Some(field) = table.get("key") else {
        findings.warn(
            certificate.span.clone(),
            "this certificate has no private key here: each negotiation that needs it will fail",
            "add key = \"gw.key\", or key = \"pkcs11:…\"",
        );
        return Credential::new(chain, None).ok();
    };
    let key = private_key(&field, files, passphrase.as_ref(), chain.first(), findings)?;
    said(Credential::new(chain, Some(key)), &field, findings)
}

/// Adds the CAs of further files to our certificate, each once.
fn add_above(
    chain: &mut Vec<Certificate>,
    texts: Vec<(&str, Range<usize>)>,
    files: &mut Files<'_>,
    findings: &mut Findings,
) -> Option<()> {
    for (text, span) in texts {
        let read = files.read(text, false).and_then(|bytes| {
            let found = read_certificates(&bytes).map_err(|error| error.to_string())?;
            if found.is_empty() {
                return Err("there is no certificate in the file".to_owned());
            }
            Ok(found)
        });
        match read {
            Ok(found) => {
                for ca in found {
                    if !chain.contains(&ca) {
                        chain.push(ca);
                    }
                }
            }
            Err(why) => {
                findings.error_help(
                    span,
                    format!("\"certificate\": {why}"),
                    "behind our certificate name files of the CAs between it and the root, in PEM or DER",
                );
                return None;
            }
        }
    }
    Some(())
}

/// How the DER of a PKCS #12 file begins.
const DER_SEQUENCE: u8 = 0x30;

fn pkcs12(
    table: &Table<'_>,
    files: &mut Files<'_>,
    field: &Field<'_>,
    text: &str,
    bytes: &[u8],
    passphrase: Option<&Secret>,
    findings: &mut Findings,
) -> Option<Credential> {
    said(
        file::whole(&files.path(text), true, MAX_FILE_LEN),
        field,
        findings,
    )?;
    if let Some(key) = table.get("key") {
        findings.error_help(
            key.key_span,
            "\"certificate\" is a PKCS #12 file, which holds the key as well",
            "take out \"key\"",
        );
    }
    let empty = Secret::new(Vec::new());
    said(
        Credential::from_pkcs12(bytes, passphrase.unwrap_or(&empty)),
        field,
        findings,
    )
}

/// A key without a certificate: the peer knows its public half.
fn raw_key(
    table: &Table<'_>,
    files: &mut Files<'_>,
    passphrase: Option<&Secret>,
    findings: &mut Findings,
) -> Option<Credential> {
    let Some(field) = table.get("key") else {
        findings.error_help(
            table.span.clone(),
            "we have nothing to prove ourselves with here",
            format!("write auth = {EXAMPLE}"),
        );
        return None;
    };
    private_key(&field, files, passphrase, None, findings).map(Credential::raw)
}

/// A private key from a file or a token.
fn private_key(
    field: &Field<'_>,
    files: &mut Files<'_>,
    passphrase: Option<&Secret>,
    certificate: Option<&Certificate>,
    findings: &mut Findings,
) -> Option<PrivateKey> {
    let text = field.string(findings, "\"gw.key\"")?;
    if text.starts_with("pkcs11:") {
        files.note(text.as_bytes());
        let uri: TokenUri = said(text.parse(), field, findings)?;
        return said(
            PrivateKey::in_pkcs11_token(&uri, passphrase, certificate),
            field,
            findings,
        );
    }
    let bytes = said(files.read(text, true), field, findings)?;
    said(PrivateKey::read(&bytes, passphrase), field, findings)
}

/// The passphrase of the key, or the PIN of its token; `None` where what is written cannot be used.
#[expect(clippy::option_option, reason = "wrong, absent, there")]
fn passphrase(
    table: &Table<'_>,
    files: &mut Files<'_>,
    findings: &mut Findings,
) -> Option<Option<Secret>> {
    if let Some(field) = table.get("passphrase") {
        findings.hide(field.span.clone());
        if let Some(file) = table.get("passphrase-file") {
            findings.error_help(
                file.key_span,
                "\"passphrase\" and \"passphrase-file\" are both there",
                "keep one of them",
            );
        }
        let text = field.string(findings, "\"…\"")?;
        let psk = said(secret::from_text(text.as_bytes()), &field, findings)?;
        return Some(Some(psk.secret));
    }
    let Some(field) = table.get("passphrase-file") else {
        return Some(None);
    };
    let path = files.path(field.string(findings, "\"gw.pass\"")?);
    let psk = said(secret::from_file(&path), &field, findings)?;
    files.note(psk.secret.as_bytes());
    Some(Some(psk.secret))
}

/// What the operator should know about our own certificate and key.
fn tell(own: &Credential, table: &Table<'_>, findings: &mut Findings) {
    let span = |name| {
        table
            .get(name)
            .map_or(table.span.clone(), |field| field.span)
    };
    let Some(certificate) = own.certificate() else {
        return;
    };
    let now = crate::unix_seconds();
    let whose = certificate.subject_words();
    if now > certificate.not_after() {
        findings.warn(
            span("certificate"),
            format!("our certificate of {whose} has expired: peers will refuse it"),
            "renew it",
        );
    } else if now < certificate.not_before() {
        findings.warn(
            span("certificate"),
            format!("our certificate of {whose} is not valid yet: peers will refuse it"),
            "check the clock of this computer",
        );
    }
    if let KeyKind::Rsa(bits) = certificate.key().kind()
        && bits < crypto::cert::limits::MIN_RSA_BITS
    {
        findings.warn(
            span("certificate"),
            format!("our RSA key has only {bits} bits"),
            "make one with 3072 bits or more, or an ECDSA key",
        );
    }
}

/// The value, or what is wrong with the field.
fn said<T, E: ToString>(
    found: Result<T, E>,
    field: &Field<'_>,
    findings: &mut Findings,
) -> Option<T> {
    found
        .map_err(|why| {
            let why = why.to_string();
            let help = if why.contains("group or others") {
                "chmod 600 the file"
            } else if field.name == "key" {
                "name a file with the private key in PEM or DER, or write pkcs11:… for one in a token"
            } else {
                "name a file that the daemon can read"
            };
            findings.error_help(field.span.clone(), format!("\"{}\": {why}", field.name), help);
        })
        .ok()
}
