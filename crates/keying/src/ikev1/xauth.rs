//! XAUTH: a user name and a password under the keys of phase 1 (draft-beaulieu-ike-xauth-02), both parts. The SA
//! does not stand before that: its verdict tells of the user too, and nothing else is spoken under it until then.

use std::sync::Arc;
use std::time::Instant;

use audit::Cause;
use crypto::Secret;
use isakmp::config::{ConfigAttributes, ConfigType, class};
use isakmp::{Attribute, Datagram, Payload};

use super::authentication::Method;
use super::duplicates::{Digest, Duplicates, Seen, digest};
use super::flight::Flight;
use super::informational::failure_in;
use super::nat::Nat;
use super::negotiation::{Failure, Negotiation, Route, Step};
use super::sa::{Asked, Asking, Sa};
use super::shared::{accepts, own_identity};
use super::state::State;
use super::transaction::{self, Heard, answer_to, attribute, bytes};
use crate::config::{Connection, CredentialId, Xauth};
use crate::core::Core;
use crate::endpoint::Party;
use crate::io::JobId;
use crate::job::{Job, JobResult};
use crate::limits::{JOB_TIMEOUT, MAX_USER_NAME, after};

/// `XAUTH_TYPE`: name and password in clear under the keys.
const GENERIC: u64 = 0;
/// `XAUTH_STATUS`: the user did not pass.
const FAIL: u16 = 0;
/// `XAUTH_STATUS`: the user passed.
const OK: u16 = 1;

/// An SA that both sides proved, and whose user is being asked for.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub sa: Sa,
    /// What [`Step::Establish`] had.
    heard_block: Vec<u8>,
    initial_contact: bool,
    stage: Stage,
    /// The messages that were taken, and what answered the last.
    duplicates: Duplicates,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Server: the question is out.
    Asked {
        message_id: u32,
        next_iv: Vec<u8>,
        identifier: u16,
    },
    /// Server: the answer is here and is being checked.
    Checking { job: JobId, identifier: u16 },
    /// Client: the server's question is to come.
    AwaitingQuestion,
    /// Client: name and password are being fetched.
    Fetching {
        job: JobId,
        message_id: u32,
        next_iv: Vec<u8>,
        question: ConfigAttributes,
    },
    /// Client: the answer is out, the server's word is to come: in an exchange of its own, or in this one.
    AwaitingWord { message_id: u32, next_iv: Vec<u8> },
}

impl Pending {
    /// The job that is waited for.
    pub(crate) fn job(&self) -> Option<JobId> {
        match &self.stage {
            Stage::Checking { job, .. } | Stage::Fetching { job, .. } => Some(*job),
            _ => None,
        }
    }

    /// The exchange that goes on with the peer's next message, and the IV of that.
    pub(crate) fn begun(&self) -> Option<(u32, &[u8])> {
        match &self.stage {
            Stage::Asked {
                message_id,
                next_iv,
                ..
            }
            | Stage::AwaitingWord {
                message_id,
                next_iv,
            } => Some((*message_id, next_iv.as_slice())),
            _ => None,
        }
    }

    /// Builds a message: gives the IV of the next one and the datagrams.
    fn build(
        &self,
        n: &mut Negotiation,
        message_id: u32,
        iv: Option<&[u8]>,
        config: &ConfigAttributes,
    ) -> Result<(Vec<u8>, Vec<Vec<u8>>), Failure> {
        let (keys, block) = (&self.sa.keys, &self.sa.last_block);
        let cookies = self.sa.cookies();
        let (message, next_iv) = transaction::build(keys, block, iv, cookies, message_id, config)?;
        Ok((next_iv, n.datagrams(message)))
    }
}

/// Where things go from a stage.
enum Next {
    /// As the step says, with the stage as it is now.
    Step(Step),
    /// The user passed: the SA stands as soon as the log has it, and then this goes out.
    Passed(Vec<Vec<u8>>),
}

impl From<Step> for Next {
    fn from(step: Step) -> Self {
        Next::Step(step)
    }
}

impl From<Failure> for Next {
    fn from(failure: Failure) -> Self {
        Next::Step(Step::Fail(failure))
    }
}

fn out_of_place(why: &str) -> Next {
    Step::Invalid(Cause::PacketOutOfPlace, why.to_owned()).into()
}

/// Begins: the server asks, the client waits for that.
pub(crate) fn begin(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    sa: Sa,
    heard_block: Vec<u8>,
    initial_contact: bool,
) -> Step {
    n.flight = None;
    n.deadline = None;
    let connection = sa.connection.clone();
    let mut pending = Box::new(Pending {
        sa,
        heard_block,
        initial_contact,
        stage: Stage::AwaitingQuestion,
        duplicates: Duplicates::default(),
    });
    let step = match &connection.xauth {
        Some(Xauth::Client(_)) => {
            n.deadline = Some(after(now, connection.half_open_timeout));
            Step::Stay
        }
        Some(Xauth::Server { .. }) => match ask(core, n, now, &mut pending) {
            Ok(()) => Step::Stay,
            Err(failure) => failure.into(),
        },
        None => Failure::local(Cause::PolicyChanged).into(),
    };
    n.state = State::Xauth(pending);
    step
}

/// The server's question.
fn ask(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    pending: &mut Pending,
) -> Result<(), Failure> {
    let message_id = core.message_id();
    let identifier = core.identifier();
    let config = ConfigAttributes {
        kind: ConfigType::REQUEST,
        identifier,
        attributes: [class::XAUTH_USER_NAME, class::XAUTH_USER_PASSWORD]
            .map(|class| Attribute::long(class, []))
            .to_vec(),
    };
    let (next_iv, datagrams) = pending.build(n, message_id, None, &config)?;
    core.transmit(n.route, &datagrams);
    n.repeat(core, now, datagrams);
    pending.sa.message_ids.insert(message_id);
    pending.stage = Stage::Asked {
        message_id,
        next_iv,
        identifier,
    };
    Ok(())
}

/// A TRANSACTION that came.
pub(crate) fn message(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    datagram: &Datagram<'_>,
    route: Route,
    whole: &[u8],
) -> Step {
    let State::Xauth(mut pending) = std::mem::replace(&mut n.state, State::Moving) else {
        return Step::Stay;
    };
    let next = taken(core, n, now, &mut pending, datagram, route, whole);
    go_on(n, pending, next)
}

/// A job is done.
pub(crate) fn job_done(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    result: JobResult,
) -> Step {
    let State::Xauth(mut pending) = std::mem::replace(&mut n.state, State::Moving) else {
        return Step::Stay;
    };
    n.deadline = None;
    let next = match pending.stage {
        Stage::Checking { identifier, .. } => {
            checked(core, n, now, &mut pending, identifier, &result)
        }
        Stage::Fetching { .. } => answer(core, n, now, &mut pending, result),
        _ => Next::Step(Step::Ignore),
    };
    go_on(n, pending, next)
}

fn go_on(n: &mut Negotiation, pending: Box<Pending>, next: Next) -> Step {
    match next {
        Next::Step(step) => {
            n.state = State::Xauth(pending);
            step
        }
        Next::Passed(reply) => {
            let Pending {
                mut sa,
                heard_block,
                initial_contact,
                ..
            } = *pending;
            sa.user_due = false;
            Step::Establish {
                sa: Box::new(sa),
                reply,
                heard_block,
                initial_contact,
            }
        }
    }
}

fn taken(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    pending: &mut Pending,
    datagram: &Datagram<'_>,
    route: Route,
    whole: &[u8],
) -> Next {
    let header = &datagram.header;
    if !header.flags.encrypted() || header.message_id == 0 {
        return out_of_place("a TRANSACTION is encrypted and has a message ID");
    }
    let fingerprint = digest(whole);
    let from_peer = n.route.leads_to(route.remote);
    match pending.duplicates.look_up(&fingerprint, from_peer) {
        Seen::New => {}
        Seen::Last(datagrams) => {
            core.transmit(n.route, datagrams);
            return Step::Ignore.into();
        }
        Seen::Before => return Step::Ignore.into(),
    }
    let begun = match pending.begun() {
        Some((message_id, next_iv)) if message_id == header.message_id => Some(next_iv),
        _ if pending.sa.message_ids.contains(&header.message_id) => {
            return out_of_place("its exchange is over, or waits for us");
        }
        _ => None,
    };
    let (keys, block) = (&pending.sa.keys, &pending.sa.last_block);
    let heard = match transaction::open(keys, block, begun, datagram) {
        Ok(heard) => heard,
        Err((cause, why)) => return Step::Invalid(cause, why).into(),
    };
    let answers = begun.is_some();
    let stage = pending.stage.clone();
    let next = match (stage, heard.config.kind) {
        (Stage::Asked { identifier, .. }, ConfigType::REPLY) if answers => {
            check(core, n, now, pending, identifier, &heard.config)
        }
        (Stage::AwaitingQuestion, ConfigType::REQUEST) => {
            fetch(core, n, now, pending, header.message_id, &heard)
        }
        (Stage::AwaitingWord { .. }, ConfigType::REQUEST) => Failure::remote(Cause::XauthRefused)
            .with("the peer asks for a user again")
            .into(),
        (Stage::AwaitingWord { .. }, ConfigType::SET) => {
            word(core, n, pending, header.message_id, &heard, fingerprint)
        }
        (_, kind) => out_of_place(&format!("{kind} is not what XAUTH is waiting for")),
    };
    if !matches!(next, Next::Step(Step::Invalid(..))) {
        pending.sa.message_ids.insert(header.message_id);
        pending.duplicates.accept(fingerprint);
        // All is proven, the peer's new port with it.
        if pending.sa.heard(now, route.remote, datagram.body.len()) {
            n.route = pending.sa.route;
        }
    }
    next
}

/// Server: the peer's answer is checked, for the connection that names the user.
fn check(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    pending: &mut Pending,
    identifier: u16,
    config: &ConfigAttributes,
) -> Next {
    n.flight = None;
    let value = |class| attribute(config, class).map(bytes);
    let (Some(name), Some(password)) = (
        value(class::XAUTH_USER_NAME),
        value(class::XAUTH_USER_PASSWORD).map(Secret::new),
    ) else {
        let why = "the peer answered without a user name or without a password";
        return refuse(core, n, pending, identifier, why.to_owned());
    };
    let name = match String::from_utf8(name) {
        Ok(name) if name.len() <= MAX_USER_NAME => name,
        _ => {
            let why = "the user's name is too long, or is no text";
            return refuse(core, n, pending, identifier, why.to_owned());
        }
    };
    pending.sa.user = Some(name.clone());
    let Some((connection, users)) = for_user(n, &pending.sa, &name) else {
        let why = format!("no connection is for the user {name:?}");
        return refuse(core, n, pending, identifier, why);
    };
    n.connection = Some(connection.clone());
    pending.sa.connection = connection;
    let job = Job::CheckUser {
        credential: users,
        name,
        password,
    };
    match core.start_job(Party::Negotiation(n.id), job) {
        Some(job) => {
            n.deadline = Some(now + JOB_TIMEOUT);
            pending.stage = Stage::Checking { job, identifier };
            Step::Stay.into()
        }
        None => Failure::local(Cause::QueueFull).into(),
    }
}

/// Of the connections that what was agreed and proven is true for, the first that names the user. One that nobody
/// names is looked for among the first connection's users all the same, so that an answer takes as long.
fn for_user(n: &Negotiation, sa: &Sa, name: &str) -> Option<(Arc<Connection>, CredentialId)> {
    // The certificate was taken by this one's trust and by its policy.
    let signatures = |connection: &Connection| {
        let method = n.method.and_then(Method::signature)?;
        connection.signatures(method).cloned()
    };
    let by = signatures(&sa.connection);
    let nat = Nat {
        here: sa.behind_nat,
        there: sa.peer_behind_nat,
    };
    let agreed = n.connection.iter().chain(&n.alternatives).filter(|other| {
        accepts(other, &sa.remote_id, n.route.remote.ip(), nat)
            && own_identity(n, other) == sa.local_id
            && signatures(other) == by
    });
    let serving: Vec<_> = agreed
        .filter_map(|connection| match &connection.xauth {
            Some(Xauth::Server { users, names }) => Some((connection, *users, names)),
            _ => None,
        })
        .collect();
    let named = serving
        .iter()
        .find(|(_, _, names)| names.iter().any(|known| known == name));
    named
        .or(serving.first())
        .map(|(connection, users, _)| ((*connection).clone(), *users))
}

/// Server: the name and the password were looked at.
fn checked(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    pending: &mut Pending,
    identifier: u16,
    result: &JobResult,
) -> Next {
    let user = pending.sa.user.clone().unwrap_or_default();
    match result {
        JobResult::UserAccepted => {}
        JobResult::UserRefused => {
            let why = format!("the user {user:?} is not known, or the password is another");
            return refuse(core, n, pending, identifier, why);
        }
        JobResult::NoCredential => return Failure::local(Cause::PolicyChanged).into(),
        _ => return Failure::local(Cause::EncryptFailure).into(),
    }
    let retransmit = pending.sa.connection.retransmit;
    match tell(core, n, pending, identifier, OK) {
        Ok((message_id, next_iv, datagrams)) => {
            pending.sa.asked = Some(Asked {
                message_id,
                next_iv,
                what: Asking::UserStatus,
                flight: Flight::new(core, now, retransmit, datagrams.clone()),
            });
            Next::Passed(datagrams)
        }
        Err(failure) => failure.into(),
    }
}

/// Server: the peer is told, and that is the end of it.
fn refuse(
    core: &mut Core,
    n: &mut Negotiation,
    pending: &mut Pending,
    identifier: u16,
    why: String,
) -> Next {
    match tell(core, n, pending, identifier, FAIL) {
        Ok((_, _, datagrams)) => {
            core.transmit(n.route, &datagrams);
            Failure::local(Cause::XauthFailed).with(why).into()
        }
        Err(failure) => failure.into(),
    }
}

/// The message ID, the IV of the answer, and the datagrams.
type Told = (u32, Vec<u8>, Vec<Vec<u8>>);

/// Server: builds what tells whether the user passed, in an exchange of its own.
fn tell(
    core: &mut Core,
    n: &mut Negotiation,
    pending: &mut Pending,
    identifier: u16,
    status: u16,
) -> Result<Told, Failure> {
    let message_id = core.message_id();
    let config = ConfigAttributes {
        kind: ConfigType::SET,
        identifier,
        attributes: vec![Attribute::short(class::XAUTH_STATUS, status)],
    };
    let (next_iv, datagrams) = pending.build(n, message_id, None, &config)?;
    pending.sa.message_ids.insert(message_id);
    Ok((message_id, next_iv, datagrams))
}

/// Client: what is asked for is fetched.
fn fetch(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    pending: &mut Pending,
    message_id: u32,
    heard: &Heard,
) -> Next {
    let question = &heard.config;
    let kind = attribute(question, class::XAUTH_TYPE).and_then(Attribute::number);
    let asks = |class| attribute(question, class).is_some();
    if !asks(class::XAUTH_USER_NAME) && !asks(class::XAUTH_USER_PASSWORD) {
        let else_asked = [class::XAUTH_PASSCODE, class::XAUTH_CHALLENGE]
            .into_iter()
            .any(asks);
        if else_asked {
            return Failure::local(Cause::XauthUnsupported)
                .with("the peer asks for a passcode, or for the answer to a challenge")
                .into();
        }
        return out_of_place("a request that is not for a user, before there is one");
    }
    if kind.is_some_and(|kind| kind != GENERIC) || asks(class::XAUTH_CHALLENGE) {
        return Failure::local(Cause::XauthUnsupported)
            .with("the peer asks for an answer to a challenge, or for a one-time password")
            .into();
    }
    let Some(Xauth::Client(credential)) = pending.sa.connection.xauth else {
        return Failure::local(Cause::PolicyChanged).into();
    };
    match core.start_job(Party::Negotiation(n.id), Job::FetchUser { credential }) {
        Some(job) => {
            n.deadline = Some(now + JOB_TIMEOUT);
            pending.stage = Stage::Fetching {
                job,
                message_id,
                next_iv: heard.next_iv.clone(),
                question: question.clone(),
            };
            Step::Stay.into()
        }
        None => Failure::local(Cause::QueueFull).into(),
    }
}

/// Client: the answer goes out.
fn answer(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    pending: &mut Pending,
    result: JobResult,
) -> Next {
    let Stage::Fetching {
        message_id,
        next_iv,
        question,
        ..
    } = pending.stage.clone()
    else {
        return Step::Ignore.into();
    };
    let (name, password) = match result {
        JobResult::User { name, password } => (name, password),
        JobResult::NoCredential => return Failure::local(Cause::PolicyChanged).into(),
        _ => return Failure::local(Cause::EncryptFailure).into(),
    };
    pending.sa.user = Some(name.clone());
    let mut attributes = Vec::new();
    for asked in &question.attributes {
        attributes.extend(match asked.class {
            class::XAUTH_TYPE => Some(asked.clone()),
            class::XAUTH_USER_NAME => Some(Attribute::long(asked.class, name.as_bytes())),
            class::XAUTH_USER_PASSWORD => Some(Attribute::long(asked.class, password.as_bytes())),
            _ => None,
        });
    }
    let reply = answer_to(&question, attributes);
    match pending.build(n, message_id, Some(&next_iv), &reply) {
        Ok((next_iv, datagrams)) => {
            core.transmit(n.route, &datagrams);
            pending.duplicates.answered(&datagrams);
            pending.stage = Stage::AwaitingWord {
                message_id,
                next_iv,
            };
            n.deadline = Some(after(now, pending.sa.connection.half_open_timeout));
            Step::Stay.into()
        }
        Err(failure) => failure.into(),
    }
}

/// Client: the server's word about the user.
fn word(
    core: &mut Core,
    n: &mut Negotiation,
    pending: &mut Pending,
    message_id: u32,
    heard: &Heard,
    fingerprint: Digest,
) -> Next {
    let status = attribute(&heard.config, class::XAUTH_STATUS).and_then(Attribute::number);
    let Some(status) = status else {
        return out_of_place("a SET without status while a user is asked for");
    };
    let ack = answer_to(
        &heard.config,
        vec![Attribute::long(class::XAUTH_STATUS, [])],
    );
    let datagrams = match pending.build(n, message_id, Some(&heard.next_iv), &ack) {
        Ok((_, datagrams)) => datagrams,
        Err(failure) => return failure.into(),
    };
    if status == u64::from(OK) {
        pending.sa.answers.remember(fingerprint, datagrams.clone());
        return Next::Passed(datagrams);
    }
    core.transmit(n.route, &datagrams);
    let message = attribute(&heard.config, class::XAUTH_MESSAGE).map(bytes);
    let failure = Failure::remote(Cause::XauthRefused);
    match message.map(|text| String::from_utf8_lossy(&text).into_owned()) {
        Some(text) => failure.with(format!("the peer says {text:?}")).into(),
        None => failure.into(),
    }
}

/// An INFORMATIONAL while the user is being asked for. What is not the end of it is for the SA, once it stands.
pub(crate) fn informational(
    n: &mut Negotiation,
    datagram: &Datagram<'_>,
    route: Route,
    whole: &[u8],
) -> Step {
    let State::Xauth(pending) = &n.state else {
        return Step::Ignore;
    };
    let message_id = datagram.header.message_id;
    let sa = &pending.sa;
    let opened = sa
        .keys
        .exchange_iv(&sa.last_block, message_id)
        .ok()
        .and_then(|iv| sa.keys.open(&datagram.header, &iv, datagram.body).ok());
    let rest = opened.and_then(|opened| sa.keys.authenticated(message_id, &opened));
    let Some(rest) = rest else {
        let why = "an INFORMATIONAL that is not the peer's".to_owned();
        return Step::Invalid(Cause::PacketTampered, why);
    };
    let failure = rest
        .iter()
        .filter_map(|raw| Payload::parse(raw).ok())
        .find_map(|told| failure_in(n, &told));
    if let Some(failure) = failure {
        return failure.into();
    }
    n.keep_early(route, whole);
    Step::Ignore
}
