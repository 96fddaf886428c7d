//! The rounds of a connection, and XAUTH: a user after phase 1, whom we are or whom we let in.

use std::collections::BTreeSet;
use std::rc::Rc;

use isakmp::IdType;
use keying::identity::Identity;
use zeroize::Zeroizing;

use super::auth::Skip;
use super::credentials::{self, Credentials};
use super::given::{Given, Lacking, Remarks, UNUSED, in_order, lacking};
use super::settings::Section;
use super::toml::Lines;
use super::words;
use crate::config::remote_access::MAX_USERS;
use crate::config::secret;

/// Kinds of `secrets` that are passwords; charon has no difference between them.
pub const KINDS: [&str; 2] = ["eap", "xauth"];
/// What a round of XAUTH has not.
const NONE_OF_IT: &str = "a round of XAUTH has a user and a password, and nothing else";

/// Keys of a round of XAUTH that have no equal.
pub const LACKING: &[Lacking] = &[
    lacking("eap_id", UNUSED, ""),
    lacking("aaa_id", UNUSED, ""),
    lacking("certs", &[], NONE_OF_IT),
    lacking("pubkeys", &[], NONE_OF_IT),
];

/// Of the peer's round of XAUTH, what keeps out peers by what they were in phase 1, or by what RADIUS says of them.
const RESTRICTS: [&str; 7] = [
    "groups",
    "cert_policy",
    "ca_id",
    "certs",
    "cacerts",
    "pubkeys",
    "revocation",
];

/// How a side proves itself in a round.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// By a pre-shared key.
    Psk,
    /// By a signature.
    Pubkey,
    /// By a user and a password.
    Xauth,
}

/// The rounds of a side.
pub struct Rounds<'a> {
    /// The first: phase 1. With hybrid authentication it is the client's XAUTH as well.
    pub first: Given<'a>,
    /// How it proves itself in it.
    pub class: Class,
    /// XAUTH behind it.
    pub second: Option<Given<'a>>,
}

impl<'a> Rounds<'a> {
    /// The round that is XAUTH.
    fn xauth(&mut self) -> Option<&mut Given<'a>> {
        match self.class {
            Class::Xauth => Some(&mut self.first),
            Class::Psk | Class::Pubkey => self.second.as_mut(),
        }
    }
}

/// Our part in XAUTH.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// We name a user.
    Client,
    /// The peer does.
    Server,
}

/// What the rounds of both sides come to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Whether phase 1 is by a pre-shared key, else by signatures.
    pub psk: bool,
    /// XAUTH, if there is any.
    pub xauth: Option<Part>,
    /// Whether the server signs alone.
    pub hybrid: bool,
}

/// Users as `xauth` is written with them.
pub struct Users {
    /// `xauth`.
    pub lines: Lines,
    /// How many there are.
    pub count: usize,
}

/// The rounds of a side, in the order of their numbers.
pub fn rounds<'a>(
    connection: &Given<'a>,
    side: &str,
    remarks: &mut Remarks,
) -> Result<Rounds<'a>, Skip> {
    let mut found: Vec<(u64, Given<'a>)> = Vec::new();
    for (name, section) in in_order(connection.section) {
        if !name.starts_with(side) {
            continue;
        }
        let mut given = Given::new(section, connection.name(name));
        let number = given
            .get("round")
            .map_or(Some(0), |value| words::number(&value.text));
        let Some(number) = number else {
            let why = "the connection is left out: this is no number";
            given.left_out("round", why, remarks);
            return Err(Skip);
        };
        found.push((number, given));
    }
    found.sort_by_key(|(number, _)| *number);
    let mut found = found.into_iter().map(|(_, given)| given);
    let Some(mut first) = found.next() else {
        let why = format!("the connection is left out: it has no section \"{side}\"");
        remarks.left_out(&connection.section.place, connection.path.clone(), why);
        return Err(Skip);
    };
    let mut second = found.next();
    if let Some(third) = found.next() {
        let why =
            "the connection is left out: with IKEv1 there is one round, and one of XAUTH behind it";
        remarks.left_out(&third.section.place, third.path.clone(), why);
        return Err(Skip);
    }
    let class = class(&mut first, remarks)?;
    if let Some(second) = &mut second
        && (class == Class::Xauth || self::class(second, remarks)? != Class::Xauth)
    {
        let why =
            "the connection is left out: with IKEv1 a second round is XAUTH, and the first is not";
        remarks.left_out(&second.section.place, second.path.clone(), why);
        return Err(Skip);
    }
    Ok(Rounds {
        first,
        class,
        second,
    })
}

fn class(round: &mut Given<'_>, remarks: &mut Remarks) -> Result<Class, Skip> {
    let text = round
        .get("auth")
        .map_or("pubkey", |value| value.text.as_str());
    let lower = text.to_ascii_lowercase();
    let why = if lower == "psk" {
        return Ok(Class::Psk);
    } else if ["pubkey", "rsa", "ecdsa", "ike:"]
        .iter()
        .any(|start| lower.starts_with(start))
    {
        return Ok(Class::Pubkey);
    } else if let Some(rest) = lower.strip_prefix("xauth") {
        match rest.split_once('-') {
            None | Some((_, "generic")) => return Ok(Class::Xauth),
            Some(_) => {
                "XAUTH asks for a user of the configuration: there is none by RADIUS, EAP or PAM, nor without a password"
            }
        }
    } else if lower.starts_with("eap") {
        "EAP is of IKEv2"
    } else {
        "charon knows no such way to authenticate"
    };
    round.left_out(
        "auth",
        format!("the connection is left out: {why}"),
        remarks,
    );
    Err(Skip)
}

/// What both sides come to.
pub fn way(local: &Rounds<'_>, remote: &Rounds<'_>, remarks: &mut Remarks) -> Result<Way, Skip> {
    let asked = |side: &Rounds<'_>| side.class == Class::Xauth || side.second.is_some();
    let xauth = match (asked(local), asked(remote)) {
        (false, false) => Ok(None),
        (true, false) => Ok(Some(Part::Client)),
        (false, true) => Ok(Some(Part::Server)),
        (true, true) => Err("one side is the client of XAUTH and the other its server, not both"),
    };
    let classes = match (local.class, remote.class) {
        (Class::Psk, Class::Psk) => Ok((true, false)),
        (Class::Pubkey, Class::Pubkey) => Ok((false, false)),
        (Class::Xauth, Class::Pubkey) | (Class::Pubkey, Class::Xauth) => Ok((false, true)),
        (Class::Xauth, _) | (_, Class::Xauth) => Err(
            "where XAUTH is all that one side has, the other has a certificate: that is hybrid authentication",
        ),
        _ => Err("with IKEv1 both sides prove themselves in the same way"),
    };
    match (xauth, classes) {
        (Ok(xauth), Ok((psk, hybrid))) => Ok(Way { psk, xauth, hybrid }),
        (Err(why), _) | (_, Err(why)) => {
            let why = format!("the connection is left out: {why}");
            local.first.left_out("auth", why, remarks);
            Err(Skip)
        }
    }
}

/// Who takes part in XAUTH, as far as it is known: what is written as `id`, and the address.
pub struct Sides<'a> {
    /// We.
    pub local: (Option<&'a str>, Option<&'a str>),
    /// The peer.
    pub remote: (Option<&'a str>, Option<&'a str>),
}

/// `xauth` of a client: the user that we are.
pub fn client(
    rounds: &mut Rounds<'_>,
    sides: &Sides<'_>,
    credentials: &mut Credentials<'_>,
    remarks: &mut Remarks,
) -> Result<Option<Rc<Users>>, Skip> {
    let identity = rounds.first.get("id").map(|value| value.text.as_str());
    let Some(round) = rounds.xauth() else {
        return Ok(None);
    };
    // Who is known from phase 1 is not asked for again.
    round.get("id");
    let named = round.get("xauth_id").map(|value| value.text.as_str());
    let Some(text) = named.or(identity) else {
        let why =
            "the connection is left out: it says neither in xauth_id nor in id which user we are";
        remarks.left_out(&round.section.place, round.path.clone(), why);
        return Err(Skip);
    };
    let name = match user_name(text) {
        Ok(Some(name)) => name,
        Ok(None) => return Err(refuse(round, "xauth_id", "any user is none", remarks)),
        Err(why) => return Err(refuse(round, "xauth_id", &why, remarks)),
    };
    let found = credentials.shared(&KINDS, (Some(text), None), sides.remote);
    let Some(password) = password_of(found, credentials, remarks) else {
        let why = "the connection is left out: there is no password of this user in secrets";
        remarks.left_out(&round.section.place, round.path.clone(), why);
        return Err(Skip);
    };
    let mut lines = Lines::default();
    lines.put("user", name);
    lines.put_secret("password", &password);
    Ok(Some(Rc::new(Users { lines, count: 1 })))
}

/// `xauth` of a server: those whom we let in, all of `secrets` or the one that the round asks for.
pub fn server(
    rounds: &mut Rounds<'_>,
    sides: &Sides<'_>,
    credentials: &mut Credentials<'_>,
    remarks: &mut Remarks,
) -> Result<Option<Rc<Users>>, Skip> {
    let identity = rounds.first.get("id").map(|value| value.text.as_str());
    let Some(round) = rounds.xauth() else {
        return Ok(None);
    };
    for key in RESTRICTS {
        if round.get(key).is_some() {
            let why = "it would let in more peers than before: of those who come to XAUTH, the user alone is asked for";
            return Err(refuse(round, key, why, remarks));
        }
    }
    let again = round.get("id").map(|value| value.text.as_str());
    if again.is_some_and(|id| id != "%any" && identity != Some(id)) {
        let why = "it would let in more peers than before: the peer's identity is asked for once, in the first round";
        return Err(refuse(round, "id", why, remarks));
    }
    let named = round.get("xauth_id").map(|value| value.text.as_str());
    let name = match named.map_or(Ok(None), user_name) {
        Ok(name) => name,
        Err(why) => {
            let why = format!("it would let in more peers than before: {why}");
            return Err(refuse(round, "xauth_id", &why, remarks));
        }
    };
    let users = match name {
        None => all(credentials, remarks),
        Some(name) => {
            let found = credentials.shared(&KINDS, sides.local, (named, None));
            let mut users = Vec::new();
            if let Some(password) = password_of(found, credentials, remarks) {
                users.push(user(&name, &password));
            }
            Rc::new(written(&users))
        }
    };
    if users.count == 0 {
        let why = "the connection is left out: there is no user for it in secrets";
        remarks.left_out(&round.section.place, round.path.clone(), why);
        return Err(Skip);
    }
    Ok(Some(users))
}

fn refuse(round: &Given<'_>, key: &str, why: &str, remarks: &mut Remarks) -> Skip {
    round.left_out(key, format!("the connection is left out: {why}"), remarks);
    Skip
}

/// A user's name, as it is said in XAUTH; nothing for any.
fn user_name(text: &str) -> Result<Option<String>, String> {
    let Some(written) = words::identity(text)? else {
        return Ok(None);
    };
    let identity = Identity::parse(&written).map_err(|error| error.to_string())?;
    let is_text = [IdType::FQDN, IdType::USER_FQDN, IdType::KEY_ID].contains(&identity.kind);
    let name = String::from_utf8(identity.data).ok().filter(|name| {
        let len = 1..=keying::limits::MAX_USER_NAME;
        is_text && len.contains(&name.len()) && !name.chars().any(char::is_control)
    });
    match name {
        Some(name) => Ok(Some(name)),
        None => Err(format!(
            "a user's name is a text of at most {} bytes",
            keying::limits::MAX_USER_NAME
        )),
    }
}

/// The password that was found; why it is none has been said.
fn password_of(
    found: Option<(&str, &Section)>,
    credentials: &mut Credentials<'_>,
    remarks: &mut Remarks,
) -> Option<Zeroizing<String>> {
    let (name, section) = found?;
    let password = password(name, section, remarks)?;
    credentials.used.insert(name.to_owned());
    Some(password)
}

fn password(name: &str, section: &Section, remarks: &mut Remarks) -> Option<Zeroizing<String>> {
    let value = section.values.get("secret")?;
    let text = credentials::normal(&value.text);
    if text.is_empty() {
        return None;
    }
    if let Err(why) = secret::from_text(text.as_bytes()) {
        let why = format!("the password is left out: {why}");
        remarks.left_out(&value.place, format!("secrets.{name}.secret"), why);
        return None;
    }
    Some(text)
}

fn user(name: &str, password: &str) -> Lines {
    let mut user = Lines::default();
    user.put("name", name);
    user.put_secret("password", password);
    user
}

fn written(users: &[Lines]) -> Users {
    let mut lines = Lines::default();
    lines.put_tables("users", users);
    Users {
        lines,
        count: users.len(),
    }
}

/// All users of `secrets`. Read once: every server of one configuration has them.
fn all(credentials: &mut Credentials<'_>, remarks: &mut Remarks) -> Rc<Users> {
    if let Some(users) = &credentials.users {
        return users.clone();
    }
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut users: Vec<Lines> = Vec::new();
    for (name, section) in credentials.secrets(&KINDS) {
        let path = format!("secrets.{name}");
        let Some(password) = password(name, section, remarks) else {
            continue;
        };
        credentials.used.insert(name.to_owned());
        let mut any = true;
        for (key, owner) in credentials::owners(section) {
            let why = match user_name(&owner.text) {
                Ok(None) => {
                    any = true;
                    break;
                }
                Ok(Some(user)) if names.contains(&user) => {
                    "this user has a password already, and there is one for each".to_owned()
                }
                Ok(Some(_)) if users.len() >= MAX_USERS => {
                    format!("a connection has at most {MAX_USERS} users")
                }
                Ok(Some(name)) => {
                    any = false;
                    users.push(user(&name, &password));
                    names.insert(name);
                    continue;
                }
                Err(why) => why,
            };
            any = false;
            remarks.left_out(&owner.place, format!("{path}.{key}"), why);
        }
        if any {
            let why = "a password of any user is left out of those whom a server of XAUTH lets in: each has a name here";
            remarks.left_out(&section.place, path, why);
        }
    }
    let users = Rc::new(written(&users));
    credentials.users = Some(users.clone());
    users
}
