//! What is for remote access: `[[pool]]` and `xauth`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crypto::Secret;
use ipnet::IpNet;
use keying::{Pool, User};

use super::diagnostic::Findings;
use super::model::{Auth, Config, Xauth};
use super::source::Source;
use super::table::{Field, Table};
use super::{secret, values};

const XAUTH_EXAMPLE: &str = "{ user = \"carol\", password-file = \"carol.password\" }";
const USERS_EXAMPLE: &str = "[{ name = \"carol\", password-file = \"carol.password\" }]";
pub(super) const POOL_EXAMPLE: &str =
    "[[pool]], with name = \"clients\" and addresses = \"10.3.0.0/24\"";
/// The most users of one connection: each is compared with every one who comes.
pub(crate) const MAX_USERS: usize = 10_000;

/// `[[pool]]`.
pub fn pools(top: &Table<'_>, findings: &mut Findings) -> Vec<Pool> {
    let Some(tables) = top
        .get("pool")
        .and_then(|field| field.tables("pool", findings, POOL_EXAMPLE))
    else {
        return Vec::new();
    };
    let mut pools: Vec<Pool> = Vec::with_capacity(tables.len());
    for table in &tables {
        let name = super::connection::required(table, "name", "\"clients\"", findings)
            .and_then(|field| Some((field.parsed(findings, "\"clients\"", values::name)?, field)));
        let addresses =
            super::connection::required(table, "addresses", "\"10.3.0.0/24\"", findings).and_then(
                |field| {
                    let range = field.parsed(findings, "\"10.3.0.0/24\"", addresses)?;
                    Some((range, field.span))
                },
            );
        let (Some((name, field)), Some(((first, last), span))) = (name, addresses) else {
            continue;
        };
        if pools.iter().any(|pool| pool.name == name) {
            findings.error_help(
                field.span,
                format!("there are two pools \"{name}\""),
                "give one of them another name",
            );
            continue;
        }
        let overlaps = |pool: &&Pool| {
            pool.first.is_ipv4() == first.is_ipv4() && pool.first <= last && first <= pool.last
        };
        if let Some(other) = pools.iter().find(overlaps) {
            findings.error_help(
                span,
                format!("these addresses are in the pool \"{}\" as well", other.name),
                "no address can be given twice: let connections share one pool, or divide the range",
            );
        }
        pools.push(Pool { name, first, last });
    }
    pools
}

/// `10.3.0.0/24`, `10.3.0.5-10.3.0.9` or one address: the first and the last that are given. Of an IPv4 subnet the
/// network's own address and the one for broadcasts are not.
pub(crate) fn addresses(text: &str) -> Result<(IpAddr, IpAddr), String> {
    let cannot = || {
        format!(
            "\"{}\" is no subnet, no address, and no range of addresses such as 10.3.0.5-10.3.0.9",
            text.escape_debug()
        )
    };
    let address = |text: &str| text.trim().parse::<IpAddr>().map_err(|_| cannot());
    if let Some((first, last)) = text.split_once('-') {
        let (first, last) = (address(first)?, address(last)?);
        if first.is_ipv4() != last.is_ipv4() || last < first {
            return Err(format!("{first} to {last} is no range"));
        }
        return Ok((first, last));
    }
    if !text.contains('/') {
        return address(text).map(|address| (address, address));
    }
    let net: IpNet = text.parse().map_err(|_| cannot())?;
    let (mut first, mut last) = (net.network(), net.broadcast());
    if net.prefix_len() + 1 < net.max_prefix_len() {
        match (&mut first, &mut last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                *first = Ipv4Addr::from_bits(first.to_bits() + 1);
                *last = Ipv4Addr::from_bits(last.to_bits() - 1);
            }
            // The first is every router's (RFC 4291 section 2.6.1).
            (IpAddr::V6(first), _) => *first = Ipv6Addr::from_bits(first.to_bits() + 1),
            _ => {}
        }
    }
    Ok((first, last))
}

/// `xauth`.
pub fn xauth(
    table: &Table<'_>,
    auth: &[Auth],
    source: &Source,
    others_read: bool,
    findings: &mut Findings,
) -> Option<Xauth> {
    let hybrid = auth
        .iter()
        .any(|auth| matches!(auth, Auth::Signatures(way) if way.hybrid));
    let Some(field) = table.get("xauth") else {
        if hybrid {
            let span = table.get("auth").map_or(table.span.clone(), |f| f.span);
            findings.error_help(
                span,
                "hybrid authentication is with XAUTH: without it one side proves nothing",
                format!("add xauth = {XAUTH_EXAMPLE}, or take out \"hybrid\""),
            );
        }
        return None;
    };
    let xauth = field.table("connection.xauth", findings, XAUTH_EXAMPLE)?;
    let rsa = |auth: &Auth| match auth {
        Auth::Psk(_) => true,
        Auth::Signatures(way) => way.methods.contains(&crypto::cert::Method::Rsa),
    };
    if !auth.iter().all(rsa) {
        findings.error_help(
            field.key_span.clone(),
            "XAUTH goes with a pre-shared key or with RSA: there is no number for it with ECDSA",
            "use an RSA key, or certificates without XAUTH",
        );
    }
    let read = Secrets {
        source,
        others_read,
    };
    match (xauth.get("user"), xauth.get("users")) {
        (Some(_), Some(users)) => {
            findings.error_help(
                users.key_span,
                "\"user\" and \"users\" are both there",
                "\"user\" is who we are at the peer, \"users\" are those whom we let in: keep one",
            );
            None
        }
        (None, None) => {
            findings.error_help(
                field.span,
                "this names no user",
                format!("write xauth = {XAUTH_EXAMPLE}, or users = {USERS_EXAMPLE}"),
            );
            None
        }
        (Some(user), None) => {
            let name = user_name(&user, findings)?;
            let password = read.password(&xauth, findings)?;
            Some(Xauth::Client(User { name, password }))
        }
        (None, Some(users)) => {
            for name in ["password", "password-file"] {
                if let Some(field) = xauth.get(name) {
                    findings.error_help(
                        field.key_span,
                        format!("\"{name}\" is for \"user\": each of \"users\" has one of its own"),
                        format!("write users = {USERS_EXAMPLE}"),
                    );
                }
            }
            let tables = users.tables("connection.xauth.users", findings, USERS_EXAMPLE)?;
            if tables.is_empty() || tables.len() > MAX_USERS {
                findings.error_help(
                    users.span.clone(),
                    format!("\"users\" must have between 1 and {MAX_USERS} of them"),
                    format!("write users = {USERS_EXAMPLE}"),
                );
            }
            let mut all: Vec<User> = Vec::with_capacity(tables.len());
            for table in &tables {
                let field = super::connection::required(table, "name", "\"carol\"", findings);
                let name = field.as_ref().and_then(|field| user_name(field, findings));
                let password = read.password(table, findings);
                let (Some(field), Some(name), Some(password)) = (field, name, password) else {
                    continue;
                };
                if all.iter().any(|user| user.name == name) {
                    findings.error_help(
                        field.span,
                        format!("there are two users {name:?}"),
                        "keep one of them",
                    );
                    continue;
                }
                all.push(User { name, password });
            }
            Some(Xauth::Server(all))
        }
    }
}

fn user_name(field: &Field<'_>, findings: &mut Findings) -> Option<String> {
    field.parsed(findings, "\"carol\"", |text| {
        let len = 1..=keying::limits::MAX_USER_NAME;
        if len.contains(&text.len()) && !text.chars().any(char::is_control) {
            Ok(text.to_owned())
        } else {
            Err(format!(
                "a user's name has between 1 and {} bytes, and no control characters",
                keying::limits::MAX_USER_NAME
            ))
        }
    })
}

/// Where passwords are read.
struct Secrets<'a> {
    source: &'a Source,
    others_read: bool,
}

impl Secrets<'_> {
    /// `password` or `password-file`.
    fn password(&self, table: &Table<'_>, findings: &mut Findings) -> Option<Secret> {
        match (table.get("password"), table.get("password-file")) {
            (Some(_), Some(file)) => {
                findings.error_help(
                    file.key_span,
                    "\"password\" and \"password-file\" are both there",
                    "keep one of them",
                );
                None
            }
            (None, None) => {
                findings.error_help(
                    table.span.clone(),
                    "this user has no password",
                    "add password-file = \"carol.password\"",
                );
                None
            }
            (Some(field), None) => {
                findings.hide(field.span.clone());
                if self.others_read {
                    findings.warn(
                        field.key_span.clone(),
                        "this file holds a password, and others than its owner can read it",
                        "chmod 600 the file, or put the password into a password-file of its own",
                    );
                }
                let text = field.string(findings, "\"…\"")?;
                let secret = secret::from_text(text.as_bytes());
                said(secret, &field, findings)
            }
            (None, Some(field)) => {
                let text = field.string(findings, "\"carol.password\"")?;
                let path = Config::beside(self.source.path(), text);
                said(secret::from_file(&path), &field, findings)
            }
        }
    }
}

fn said(
    secret: Result<secret::Psk, String>,
    field: &Field<'_>,
    findings: &mut Findings,
) -> Option<Secret> {
    match secret {
        Ok(secret) => Some(secret.secret),
        Err(why) => {
            findings.error_help(
                field.span.clone(),
                format!("\"{}\": {why}", field.name),
                "write the password itself, or 0x and hexadecimal digits, or 0s and base64",
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_a_subnet_without_its_ends_a_range_or_an_address() {
        let read =
            |text: &str| addresses(text).map(|(first, last)| (first.to_string(), last.to_string()));
        for (text, first, last) in [
            ("10.3.0.0/28", "10.3.0.1", "10.3.0.14"),
            ("10.3.0.0/31", "10.3.0.0", "10.3.0.1"),
            ("10.3.0.7/32", "10.3.0.7", "10.3.0.7"),
            ("10.3.0.7", "10.3.0.7", "10.3.0.7"),
            ("10.3.0.5-10.3.0.9", "10.3.0.5", "10.3.0.9"),
            ("fec3::/120", "fec3::1", "fec3::ff"),
            ("fec3::8/127", "fec3::8", "fec3::9"),
            ("::/0", "::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("0.0.0.0/0", "0.0.0.1", "255.255.255.254"),
        ] {
            assert_eq!(
                read(text),
                Ok((first.to_owned(), last.to_owned())),
                "{text}"
            );
        }
        for text in [
            "",
            "10.3.0.9-10.3.0.5",
            "10.3.0.1-::1",
            "10.3.0.0/33",
            "clients",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
