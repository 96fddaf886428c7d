//! `auth`: how both sides prove who they are.

use crypto::Secret;

use super::certificate;
use super::diagnostic::Findings;
use super::keys::keys_of;
use super::model::{Auth, Config};
use super::secret;
use super::source::Source;
use super::table::{Field, Table};

/// What to write.
pub const EXAMPLE: &str = "{ psk-file = \"/etc/mainmode/branch.psk\" }";
/// A key of fewer characters can be guessed from one recorded negotiation.
const SHORT_PSK: usize = 20;
/// The same for keys that are written as bytes, and so are random rather than thought up.
const SHORT_BINARY_PSK: usize = 16;

/// The ways to authenticate, in order of preference; nothing when none is good.
pub fn read(
    field: &Field<'_>,
    source: &Source,
    others_read: bool,
    findings: &mut Findings,
) -> Option<Vec<Auth>> {
    field.hide_texts(findings);
    let tables = field.tables("connection.auth", findings, EXAMPLE)?;
    if tables.is_empty() {
        findings.error_help(
            field.span.clone(),
            "\"auth\" is empty: no peer could prove who it is",
            format!("write auth = {EXAMPLE}"),
        );
        return None;
    }
    let mut ways: Vec<Auth> = Vec::with_capacity(tables.len());
    for table in &tables {
        let psks = ["psk", "psk-file"].map(|name| table.get(name));
        if let Some(psk) = psks.iter().flatten().next()
            && table
                .get("hybrid")
                .is_some_and(|field| field.boolean(findings) == Some(true))
        {
            findings.error_help(
                psk.key_span.clone(),
                "hybrid authentication has no pre-shared key: one side signs, and the other is a user (XAUTH)",
                "write `certificate` and `key` on the side that signs, `ca` on the user's, or take out \"hybrid\"",
            );
            continue;
        }
        if certificate::KEYS.iter().any(|name| table.has(name)) {
            let signatures = certificate::read(table, source, findings);
            ways.extend(signatures.map(|way| Auth::Signatures(Box::new(way))));
            for field in psks.into_iter().flatten() {
                findings.error_help(
                    field.key_span,
                    format!(
                        "\"{}\" and a key to sign with are two ways to authenticate",
                        field.name
                    ),
                    "make auth a list of two tables: the one that is preferred first",
                );
            }
            continue;
        }
        without_meaning(table, findings);
        let Some(secret) = psk(table, source, others_read, findings) else {
            continue;
        };
        if ways.iter().any(|way| matches!(way, Auth::Psk(_))) {
            findings.error_help(
                table.span.clone(),
                "a second pre-shared key: a peer cannot tell which one is meant",
                "keep one, or make two connections with remotes of their own",
            );
        } else {
            ways.push(Auth::Psk(secret));
        }
    }
    (!ways.is_empty()).then_some(ways)
}

/// Keys of signatures beside a pre-shared key: who writes them believes that they are asked for.
fn without_meaning(table: &Table<'_>, findings: &mut Findings) {
    let Some(psk) = ["psk", "psk-file"].into_iter().find(|name| table.has(name)) else {
        return;
    };
    let others = keys_of("connection.auth")
        .filter(|key| !key.name.starts_with("psk") && key.not_yet.is_none());
    for field in others.filter_map(|key| table.get(key.name)) {
        findings.error_help(
            field.key_span,
            format!(
                "\"{}\" is of certificates and keys to sign with, and beside \"{psk}\" nothing asks for it",
                field.name
            ),
            "take it out; or make auth a list of two tables, one for each way to authenticate",
        );
    }
}

/// The pre-shared key of one way to authenticate.
fn psk(
    table: &Table<'_>,
    source: &Source,
    others_read: bool,
    findings: &mut Findings,
) -> Option<Secret> {
    let (field, inline) = match (table.get("psk"), table.get("psk-file")) {
        (Some(_), Some(file)) => {
            findings.error_help(
                file.key_span,
                "\"psk\" and \"psk-file\" are both there",
                "keep one of them",
            );
            return None;
        }
        (Some(field), None) => (field, true),
        (None, Some(field)) => (field, false),
        (None, None) => {
            if !table.has("kerberos") {
                findings.error_help(
                    table.span.clone(),
                    "this names no way to authenticate",
                    format!("write auth = {EXAMPLE}, or auth = {}", certificate::EXAMPLE),
                );
            }
            return None;
        }
    };
    if inline {
        findings.hide(field.span.clone());
        if others_read {
            findings.warn(
                field.key_span.clone(),
                "this file holds a pre-shared key, and others than its owner can read it",
                "chmod 600 the file, or put the key into a psk-file of its own",
            );
        }
    }
    let text = field.string(findings, "\"…\"")?;
    let psk = if inline {
        secret::from_text(text.as_bytes())
    } else {
        secret::from_file(&Config::beside(source.path(), text))
    };
    let psk = psk.map_err(|why| {
        let help = if why.contains("group or others") {
            "chmod 600 the file"
        } else if inline {
            "write the characters themselves, or 0x and hexadecimal digits, or 0s and base64"
        } else {
            "the file holds one line: the key itself, or 0x and hexadecimal digits, or 0s and base64"
        };
        findings.error_help(field.span.clone(), format!("\"{}\": {why}", field.name), help);
    });
    let psk = psk.ok()?;
    if let Some(end) = &psk.unseen_end {
        findings.warn(
            field.span.clone(),
            format!("the key ends in {end}; is that meant?"),
            "remove it, or write the whole key as 0x and hexadecimal digits",
        );
    }
    warn_if_short(&psk.secret, &field, findings);
    Some(psk.secret)
}

fn warn_if_short(secret: &Secret, field: &Field<'_>, findings: &mut Findings) {
    let text = std::str::from_utf8(secret.as_bytes()).ok();
    let typed = text.filter(|text| !text.chars().any(char::is_control));
    let (len, least, unit) = match typed {
        Some(text) => (text.chars().count(), SHORT_PSK, "characters"),
        None => (secret.as_bytes().len(), SHORT_BINARY_PSK, "bytes"),
    };
    if len < least {
        findings.warn(
            field.span.clone(),
            format!(
                "the pre-shared key has only {len} {unit}; who records one negotiation can guess it"
            ),
            format!("use {SHORT_PSK} random characters or more, as from: openssl rand -base64 24"),
        );
    }
}
