//! `connections.<conn>`.

use std::collections::BTreeSet;

use super::addresses;
use super::auth::{self, Auth, Sides, Skip};
use super::child::{self, Action, Inherited};
use super::credentials::Credentials;
use super::given::{Given, Lacking, Remarks, UNUSED, YES, in_order, lacking};
use super::phase_1::{self, dpd, fragmentation, keyingtries, lifetime, send_cert, version};
use super::pools::{self, Pools};
use super::settings::{Place, Section};
use super::strays;
use super::toml::Lines;
use crate::config::child::MAX_CHILDREN;
use crate::config::{DataPlane, values};

/// The most users of all connections together: each that is a server has all of them, so that they multiply.
const MAX_USERS: usize = 50_000;

/// Keys that have no equal.
const LACKING: &[Lacking] = &[
    lacking(
        "dscp",
        &["000000", "0"],
        "IKE's own packets are not marked with a DSCP",
    ),
    lacking("mobike", UNUSED, ""),
    lacking("childless", UNUSED, ""),
    lacking("ppk_id", &[], "postquantum pre-shared keys are of IKEv2"),
    lacking("ppk_required", UNUSED, ""),
    lacking("mediation", UNUSED, ""),
    lacking("mediated_by", UNUSED, ""),
    lacking("mediation_peer", UNUSED, ""),
    lacking("send_certreq", YES, "certificates are always asked for"),
    lacking("ocsp", UNUSED, ""),
    lacking(
        "rand_time",
        &[],
        "when an SA is replaced before its end is mainmode's own choice",
    ),
    lacking(
        "unique",
        &["no"],
        "a new SA replaces others of the same peer when it says that it is its first, and not else",
    ),
];

/// A connection as it is written here: its keys, and those of its children.
pub struct Written {
    /// Its name.
    pub name: String,
    /// Its keys.
    pub lines: Lines,
    /// Those by which peers and their pre-shared keys are told apart, where it has one.
    pub meets: Option<Lines>,
    /// Those of its children.
    pub children: Vec<Lines>,
}

/// What a connection needs to know of the rest.
pub struct Rest<'a> {
    /// Where keys of children go.
    pub plane: DataPlane,
    /// `pools`.
    pub pools: &'a Pools,
    /// The names of all connections.
    pub names: &'a mut BTreeSet<String>,
    /// How many users the connections before it have, all together.
    pub users: &'a mut usize,
}

/// Reads a connection: as many as it has remote addresses.
pub fn read(
    section: &Section,
    name: &str,
    rest: &mut Rest<'_>,
    credentials: &mut Credentials<'_>,
    remarks: &mut Remarks,
) -> Vec<Written> {
    let mut given = Given::new(section, format!("connections.{name}"));
    whole(&mut given, name, rest, credentials, remarks).unwrap_or_default()
}

fn whole(
    given: &mut Given<'_>,
    name: &str,
    rest: &mut Rest<'_>,
    credentials: &mut Credentials<'_>,
    remarks: &mut Remarks,
) -> Result<Vec<Written>, Skip> {
    version(given, remarks)?;
    let local = addresses::local(given, remarks);
    let carried = rest.plane != DataPlane::None && given.section.sections.contains_key("children");
    let remotes = addresses::remotes(given, &local, carried, remarks)?;
    let local = local.address;
    let (remotes, mut ways) = ways(given, local.as_deref(), remotes, credentials, remarks);
    let auth = ways.first().cloned().ok_or(Skip)?;
    let send = send_cert(given, auth.psk, remarks);
    for way in &mut ways {
        way.lines.extend(&send);
    }
    users(given, &ways, rest, remarks)?;
    let mut body = Body::default();
    if given.flag("aggressive", false, remarks) {
        body.exchange.put("exchange", "aggressive");
        if auth.psk {
            body.exchange.put("psk-exposed-to-guessing", true);
        }
    }
    let begins = remotes.iter().any(|remote| one_peer(remote));
    phase_1::proposals(given, begins, &mut body.lines, remarks)?;
    lifetime(given, &mut body.lines, remarks);
    dpd(given, &mut body.lines, remarks);
    fragmentation(given, &mut body.lines, remarks);
    if given.flag("encap", false, remarks) {
        body.lines.put("encap", "force");
    }
    pools::mode_config(given, rest.pools, &mut body.lines, remarks);
    children(given, rest.plane, begins, &mut body, remarks);
    keyingtries(given, body.start, remarks);
    body.ports = addresses::ports(given, remarks);
    given.rest(LACKING, remarks);
    let known =
        |name: &str| name == "children" || name.starts_with("local") || name.starts_with("remote");
    given.rest_of_sections(known, remarks);
    let names = names(name, remotes.len(), rest.names);
    tell(given, name, &auth, &remotes, &names, remarks);
    let written = names.iter().zip(remotes.iter().zip(&ways)).enumerate();
    Ok(written
        .map(|(at, (name, (remote, auth)))| body.towards(name, local.as_deref(), remote, at, auth))
        .collect())
}

/// How the peer at each address is authenticated: each can have a pre-shared key of its own. Those without one are
/// left out.
fn ways(
    given: &Given<'_>,
    local: Option<&str>,
    remotes: Vec<String>,
    credentials: &mut Credentials<'_>,
    remarks: &mut Remarks,
) -> (Vec<String>, Vec<Auth>) {
    let alone = remotes.len() == 1;
    let mut said = Remarks::default();
    let mut found: Vec<(String, Auth)> = Vec::new();
    for remote in remotes {
        let before = found.first().map(|(_, auth)| auth);
        let same = before.filter(|auth| !auth.by_address).cloned();
        let auth = same.or_else(|| {
            let sides = Sides {
                local,
                remote: Some(&remote),
                alone,
            };
            auth::read(given, &sides, credentials, &mut said).ok()
        });
        found.extend(auth.map(|auth| (remote, auth)));
    }
    // What is wrong with all of them is said once.
    for remark in said.0 {
        if !remarks.0.contains(&remark) {
            remarks.0.push(remark);
        }
    }
    found.into_iter().unzip()
}

/// Counts the users of XAUTH: each of the connections that this one becomes has all.
fn users(
    given: &Given<'_>,
    ways: &[Auth],
    rest: &mut Rest<'_>,
    remarks: &mut Remarks,
) -> Result<(), Skip> {
    let users = ways.iter().filter_map(|way| way.xauth.as_ref());
    let sum = users.fold(*rest.users, |sum, users| sum.saturating_add(users.count));
    if sum > MAX_USERS {
        let why = format!(
            "the connection is left out: each has its own users, and with these they are more than {MAX_USERS}"
        );
        remarks.left_out(&given.section.place, given.path.clone(), why);
        return Err(Skip);
    }
    *rest.users = sum;
    Ok(())
}

/// What a connection has whatever its remote address.
#[derive(Default)]
struct Body {
    lines: Lines,
    exchange: Lines,
    children: Vec<Lines>,
    start: Action,
    /// Ours and the peer's, where they are not the usual one.
    ports: (Option<u16>, Option<u16>),
}

impl Body {
    /// The connection with one remote address; the first of them is the one to begin with.
    fn towards(
        &self,
        name: &str,
        local: Option<&str>,
        remote: &str,
        at: usize,
        auth: &Auth,
    ) -> Written {
        let mut lines = Lines::default();
        lines.put("name", name);
        let ours = side(local, self.ports.0, auth.local_id.as_deref());
        if !ours.is_empty() {
            lines.put_table("local", &ours);
        }
        lines.put_table(
            "remote",
            &side(Some(remote), self.ports.1, auth.remote_id.as_deref()),
        );
        lines.put_table("auth", &auth.lines);
        let mut meets = lines.clone();
        meets.extend(&self.exchange);
        if let Some(users) = &auth.xauth {
            lines.put_table("xauth", &users.lines);
        }
        lines.extend(&self.exchange);
        lines.extend(&self.lines);
        if at == 0 && one_peer(remote) {
            match self.start {
                Action::Start => lines.put("start", "auto"),
                Action::Trap => lines.put("start", "on-demand"),
                Action::None => {}
            }
        }
        Written {
            name: name.to_owned(),
            lines,
            meets: auth.psk.then_some(meets),
            children: self.children.clone(),
        }
    }
}

fn one_peer(remote: &str) -> bool {
    remote != "any" && !remote.contains('/')
}

fn side(address: Option<&str>, port: Option<u16>, id: Option<&str>) -> Lines {
    let mut side = Lines::default();
    if let Some(address) = address {
        side.put("address", address);
    }
    if let Some(port) = port {
        side.put("port", i64::from(port));
    }
    if let Some(id) = id {
        side.put("id", id);
    }
    side
}

/// What is not the same about the connection as a whole.
fn tell(
    given: &Given<'_>,
    name: &str,
    auth: &Auth,
    remotes: &[String],
    names: &[String],
    remarks: &mut Remarks,
) {
    let own = clean(name);
    if auth.remote_id.is_none() && remotes.iter().any(|remote| remote != "any") {
        let why = "any identity will do for charon; here the peer's is its address where none is written: add the id \
                   that it has to `remote`";
        let round = in_order(given.section)
            .into_iter()
            .find(|(name, _)| name.starts_with("remote"))
            .map_or(&given.section.place, |(_, section)| &section.place);
        remarks.left_out(round, given.name("remote.id"), why);
    }
    if let [_, .., last] = names {
        let why = format!(
            "a connection has one remote address here: this one becomes {}, \"{own}\" to \"{last}\"",
            names.len()
        );
        given.note("remote_addrs", why, remarks);
    }
    if own != name {
        let why = format!("it is called \"{own}\" here: names have letters, digits and -_.:@+");
        remarks.note(&given.section.place, given.path.clone(), why);
    }
}

/// The name of the connection, and of those that it becomes beside it: such as no other has.
fn names(name: &str, count: usize, taken: &mut BTreeSet<String>) -> Vec<String> {
    let own = clean(name);
    let mut names = vec![own.clone()];
    let mut number = 1;
    while names.len() < count {
        number += 1;
        let next = format!("{own}-{number}");
        if taken.insert(next.clone()) {
            names.push(next);
        }
    }
    names
}

/// A name as it can be had.
pub fn clean(name: &str) -> String {
    let good: String = name
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || "-_.:@+".contains(c) {
                c
            } else {
                '-'
            }
        })
        .skip_while(|c| *c == '-')
        // A few less than a name may have: a number comes behind it.
        .take(values::MAX_NAME - 8)
        .collect();
    if good.is_empty() {
        "unnamed".to_owned()
    } else {
        good
    }
}

/// The children, and when the connection begins: when the first of them does, where there is a peer to begin with.
fn children(
    given: &mut Given<'_>,
    plane: DataPlane,
    begins: bool,
    body: &mut Body,
    remarks: &mut Remarks,
) {
    let interfaces = (given.get("if_id_in"), given.get("if_id_out"));
    let inherited = Inherited {
        interfaces: (
            interfaces.0.map(|value| value.text.as_str()),
            interfaces.1.map(|value| value.text.as_str()),
        ),
    };
    let Some(section) = given.section.sections.get("children") else {
        return;
    };
    strays::keys(section, &format!("{}.children", given.path), remarks);
    let mut starts: Vec<(Action, Place, String)> = Vec::new();
    let mut names: BTreeSet<String> = BTreeSet::new();
    for (name, section) in in_order(section) {
        let own = clean(name);
        let mut child = Given::new(section, format!("{}.children.{name}", given.path));
        let cannot = if names.contains(&own) {
            Some("as it can be written here, its name is that of another".to_owned())
        } else if names.len() == MAX_CHILDREN {
            Some(format!("a connection has {MAX_CHILDREN} at most"))
        } else {
            None
        };
        if let Some(why) = cannot {
            let why = format!("the child is left out: {why}");
            remarks.left_out(&section.place, child.path, why);
            continue;
        }
        if let Some(draft) = child::read(&mut child, &own, inherited, plane, remarks) {
            names.insert(own);
            let stands = child.place("start_action").clone();
            starts.push((draft.start, stands, child.name("start_action")));
            body.children.push(draft.lines);
        }
    }
    if !body.children.is_empty() {
        body.lines.put("dataplane", plane.word());
    }
    let wanted = |action: Action| starts.iter().any(|(start, _, _)| *start == action);
    if !begins {
        if wanted(Action::Start) || wanted(Action::Trap) {
            let why = "the connection waits for the peer: its remote address is not one peer's";
            remarks.left_out(&given.section.place, given.name("children"), why);
        }
        return;
    }
    let start = [Action::Start, Action::Trap]
        .into_iter()
        .find(|action| wanted(*action))
        .unwrap_or(Action::None);
    // A connection that carries nothing has no traffic that could ask for it.
    let word = match start {
        Action::Start => "auto",
        Action::Trap if plane == DataPlane::None => "wait",
        Action::Trap | Action::None => "on-demand",
    };
    for (own, place, name) in &starts {
        let why = if *own != start {
            format!(
                "all children of a connection begin alike: with start = \"{word}\" of the connection"
            )
        } else if word == "wait" {
            "there is no traffic that could begin it where nothing is carried: import with --dataplane kernel or user".to_owned()
        } else {
            continue;
        };
        remarks.left_out(place, name.clone(), why);
    }
    if word != "wait" {
        body.start = start;
    }
}
