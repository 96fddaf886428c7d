//! `[[connection]]`.

use std::ops::Range;
use std::time::Duration;

use crypto::Proposal;
use crypto::cert::{Certificate, PeerIdentity};
use isakmp::IdType;
use keying::Pool;
use keying::identity::Identity;

use super::diagnostic::Findings;
use super::model::{
    Auth, Connection, DataPlane, Dpd, Encap, Exchange, Fragmentation, IKE_PORT, ListenConfig,
    Local, NAT_PORT, Remote, RemoteAddress, Retransmit, Start,
};
use super::reach::{check_families, check_listens, initiator_only, start};
use super::sections::ports;
use super::source::Source;
use super::table::{Field, Table};
use super::{auth, child, mode_config, remote_access, values};

/// The most proposals of one connection, and of one child: transforms are numbered in one byte, and a peer
/// has to read them all.
pub(crate) const MAX_PROPOSALS: usize = 64;
/// What is offered and accepted where the file says nothing.
const DEFAULT_PROPOSALS: [&str; 4] = [
    "aes256-sha384-ecp384",
    "aes256-sha256-ecp256",
    "aes256-sha256-modp2048",
    "aes128-sha256-modp2048",
];
/// Lifetimes unless the file says otherwise.
const LIFETIME: Duration = Duration::from_hours(8);
/// The least that a Main Mode SA may carry: some dozens of Quick Modes, or it would be replaced all the time.
const MIN_LIFETIME_BYTES: u64 = 64 * 1024;
/// RFC 3948 section 4.
const NAT_KEEPALIVE: Duration = Duration::from_secs(20);
/// The largest IKE fragment that fits every link: IPv6's least MTU.
const FRAGMENT_SIZE: u16 = 1280;
/// Below this the headers of a fragment would outweigh what it carries.
const MIN_FRAGMENT_SIZE: u64 = 256;
/// The largest UDP payload of IPv4.
const MAX_FRAGMENT_SIZE: u64 = 65_507;

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

const REMOTE_EXAMPLE: &str = "{ address = \"198.51.100.7\", id = \"branch.example\" }";

/// A connection, and where in the file the parts stand that are compared with other connections'.
pub struct WrittenConnection {
    /// What it says.
    pub connection: Connection,
    /// Its name.
    pub name_span: Range<usize>,
    /// Its remote address, or what stands for it.
    pub remote_span: Range<usize>,
    /// Its local side, or what stands for it.
    pub local_span: Range<usize>,
    /// Its data plane, or what stands for it.
    pub dataplane_span: Range<usize>,
}

/// Reads one; nothing when something without which it is none is missing or wrong.
pub fn read(
    table: &Table<'_>,
    source: &Source,
    listen: &ListenConfig,
    pools: &[Pool],
    others_read: bool,
    findings: &mut Findings,
) -> Option<WrittenConnection> {
    let name = required(table, "name", "\"branch\"", findings).and_then(|field| {
        let name = field.parsed(findings, "\"branch\"", values::name)?;
        Some((name, field.span))
    });
    keying(table, findings);
    let local = local(table, listen, findings);
    let remote = required(table, "remote", REMOTE_EXAMPLE, findings)
        .and_then(|field| remote(&field, findings));
    let auth = required(table, "auth", auth::EXAMPLE, findings)
        .and_then(|field| auth::read(&field, source, others_read, findings));
    let ways = auth.as_deref().unwrap_or_default();
    let xauth = remote_access::xauth(table, ways, source, others_read, findings);
    let mode_config = mode_config::read(table, pools, findings);
    let exchange = exchange(table, auth.as_deref().unwrap_or_default(), findings);
    let proposals = proposals(table, findings);
    let lifetime = seconds(table, "lifetime", "\"8h\"", LIFETIME, findings);
    let lifetime_bytes = lifetime_bytes(table, MIN_LIFETIME_BYTES, "\"4MB\"", findings);
    let retransmit = retransmit(table, findings);
    let half_open_timeout = wait(table, "half-open-timeout", "\"30s\"", 30, findings);
    let evidence_hold = wait(table, "evidence-hold", "\"5s\"", 5, findings);
    let nat_keepalive = seconds(table, "nat-keepalive", "\"20s\"", NAT_KEEPALIVE, findings);
    let dpd = dpd(table, findings);
    let (fragmentation, fragment_size) = fragmentation(table, findings);
    let encap = encap(table, findings);
    let dataplane = dataplane(table, findings);
    let children = child::read_all(table, dataplane, findings);
    let start = start(table, remote.as_ref().map(|(remote, _)| remote), findings);
    mode_config::check_nets(table, mode_config.as_ref(), &children, start, findings);
    let initiator_only = initiator_only(table, remote.as_ref().map(|(remote, _)| remote), findings);
    if start == Start::OnDemand && (dataplane == DataPlane::None || children.is_empty()) {
        findings.error_help(
            table.get("start").map_or(table.span.clone(), |f| f.span),
            "\"start\" is \"on-demand\", and there is no traffic that could ask for this connection",
            "give it a [[connection.child]], and dataplane = \"kernel\" or \"user\"; or write start = \"wait\"",
        );
    }

    let (name, name_span) = name?;
    let (local, local_span) = local?;
    let (remote, remote_span) = remote?;
    let auth = auth?;
    let local = with_identity(local, &auth, &local_span, findings);
    check_families(&local, &remote, &local_span, findings);
    if start != Start::Wait {
        check_listens(listen, &local, &remote, &remote_span, findings);
    }
    if matches!(remote.address, RemoteAddress::LinkLocal(..))
        && dataplane != DataPlane::None
        && !children.is_empty()
    {
        findings.not_yet(
            remote_span.clone(),
            "an IPsec SA with a peer at an address of a link",
            "write dataplane = \"none\", or an address that is not of the link",
        );
    }
    Some(WrittenConnection {
        connection: Connection {
            location: source.location(name_span.start),
            name,
            local,
            remote,
            auth,
            xauth,
            mode_config,
            exchange,
            proposals,
            lifetime,
            lifetime_bytes,
            retransmit,
            half_open_timeout,
            evidence_hold,
            dpd,
            fragmentation,
            fragment_size,
            encap,
            dataplane,
            start,
            nat_keepalive,
            initiator_only,
            children,
        },
        name_span,
        remote_span,
        local_span,
        dataplane_span: table
            .get("dataplane")
            .map_or(table.span.clone(), |field| field.span),
    })
}

pub(super) fn required<'a>(
    table: &Table<'a>,
    name: &'static str,
    example: &str,
    findings: &mut Findings,
) -> Option<Field<'a>> {
    let field = table.get(name);
    if field.is_none() {
        findings.error_help(
            table.span.clone(),
            format!("\"{name}\" is missing in this {}", table.what()),
            format!("add {name} = {example}"),
        );
    }
    field
}

fn keying(table: &Table<'_>, findings: &mut Findings) {
    let Some(field) = table.get("keying") else {
        return;
    };
    let Some(words) = field.strings(findings, "[\"ikev1\"]") else {
        return;
    };
    if words.is_empty() {
        findings.error_help(
            field.span.clone(),
            "\"keying\" is empty: the connection could never be negotiated",
            "write keying = [\"ikev1\"], or leave it out",
        );
    }
    for (word, span) in words {
        match word {
            "ikev1" => {}
            "authip" => findings.not_yet(span, "AuthIP", "write keying = [\"ikev1\"]"),
            "ikev2" => findings.not_yet(span, "IKEv2", "write keying = [\"ikev1\"]"),
            other => findings.error_help(
                span,
                format!("unknown keying module \"{}\"", other.escape_debug()),
                "write keying = [\"ikev1\"]",
            ),
        }
    }
}

fn local(
    table: &Table<'_>,
    listen: &ListenConfig,
    findings: &mut Findings,
) -> Option<(Local, Range<usize>)> {
    let Some(field) = table.get("local") else {
        let local = Local {
            address: None,
            port: listen.port,
            nat_port: listen.nat_port,
            id: None,
        };
        return Some((local, table.span.clone()));
    };
    let example = "{ address = \"192.0.2.1\", id = \"gw.example\" }";
    let side = field.table("connection.local", findings, example)?;
    let address = match side.get("address") {
        Some(field) => field.parsed(findings, "\"192.0.2.1\" or \"any\"", values::local_address),
        None => Some(None),
    };
    let (port, nat_port) = ports(&side, (listen.port, listen.nat_port), findings);
    let id = identity(&side, findings);
    let span = side.get("address").map_or(field.span, |field| field.span);
    let local = Local {
        address: address?,
        port,
        nat_port,
        id: id.ok()?,
    };
    Some((local, span))
}

/// Who we are where the file does not say: with a certificate that does not hold our address, its subject.
/// Where it does say, the certificate should hold it: peers look for it there.
fn with_identity(
    local: Local,
    auth: &[Auth],
    span: &Range<usize>,
    findings: &mut Findings,
) -> Local {
    let certificates: Vec<&Certificate> = auth
        .iter()
        .filter_map(|auth| match auth {
            Auth::Signatures(way) => way.credentials.own.first()?.certificate(),
            Auth::Psk(_) => None,
        })
        .collect();
    let holds = |identity: &Identity, certificate: &Certificate| {
        PeerIdentity {
            kind: identity.kind.0,
            data: identity.data.clone(),
        }
        .is_in(certificate)
    };
    let Some(first) = certificates.first() else {
        return local;
    };
    let id = match (&local.id, local.address) {
        (Some(id), _) => Some(id.clone()),
        (None, Some(address)) if holds(&Identity::from(address), first) => None,
        (None, _) => Identity::from_payload(IdType::DER_ASN1_DN.0, first.subject()).ok(),
    };
    if let Some(id) = &id {
        for certificate in certificates
            .iter()
            .filter(|certificate| !holds(id, certificate))
        {
            findings.warn(
                span.clone(),
                format!(
                    "the certificate of {} does not hold the identity {id}: peers that look for it there refuse us",
                    certificate.subject_words()
                ),
                "write an id that the certificate has as subjectAltName or subject, or issue it anew",
            );
        }
    }
    Local { id, ..local }
}

fn remote(field: &Field<'_>, findings: &mut Findings) -> Option<(Remote, Range<usize>)> {
    let side = field.table("connection.remote", findings, REMOTE_EXAMPLE)?;
    let example = "\"198.51.100.7\", \"any\", a subnet or a host name";
    let address = if let Some(field) = side.get("address") {
        let address = field.parsed(findings, example, values::remote_address);
        address.map(|address| (address, field.span))
    } else {
        findings.error_help(
            field.span.clone(),
            "\"address\" is missing in \"remote\"",
            format!("add address = {example}"),
        );
        None
    };
    let (port, nat_port) = ports(&side, (IKE_PORT, NAT_PORT), findings);
    let id = identity(&side, findings);
    let (address, span) = address?;
    let remote = Remote {
        address,
        port,
        port_written: side.has("port"),
        nat_port,
        id: id.ok()?,
    };
    Some((remote, span))
}

/// What is wrong has been said.
struct Wrong;

/// `id`, where there is one.
fn identity(side: &Table<'_>, findings: &mut Findings) -> Result<Option<Identity>, Wrong> {
    let Some(field) = side.get("id") else {
        return Ok(None);
    };
    let id = field.parsed(findings, "\"gw.example\"", |text| {
        Identity::parse(text).map_err(|error| error.to_string())
    });
    id.map(Some).ok_or(Wrong)
}

/// `exchange`. Aggressive Mode with a pre-shared key takes a second word, which names what it costs.
fn exchange(table: &Table<'_>, auth: &[Auth], findings: &mut Findings) -> Exchange {
    let accepted = table
        .get("psk-exposed-to-guessing")
        .is_some_and(|field| field.boolean(findings) == Some(true));
    let Some(field) = table.get("exchange") else {
        return Exchange::Main;
    };
    let words = [
        ("main", Exchange::Main),
        ("aggressive", Exchange::Aggressive),
    ];
    let exchange = field.word(findings, &words).unwrap_or(Exchange::Main);
    let psk = auth.iter().any(|auth| matches!(auth, Auth::Psk(_)));
    if exchange == Exchange::Aggressive && psk {
        let what = "Aggressive Mode shows a hash made with the pre-shared key to whoever asks: the key can be guessed offline, without limit";
        if accepted {
            let help = "use Main Mode or certificates if the peer can; else a key of 32 random characters or more";
            findings.warn(field.span, what, help);
        } else {
            let help = "use Main Mode or certificates; where the peer can do neither, add psk-exposed-to-guessing = true";
            findings.error_help(field.span, what, help);
        }
    }
    exchange
}

fn proposals(table: &Table<'_>, findings: &mut Findings) -> Vec<Proposal> {
    let defaults = || {
        DEFAULT_PROPOSALS
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect()
    };
    let Some(field) = table.get("proposals") else {
        return defaults();
    };
    let Some(texts) = field.strings(findings, "[\"aes256-sha256-modp2048\"]") else {
        return defaults();
    };
    if texts.is_empty() || texts.len() > MAX_PROPOSALS {
        findings.error_help(
            field.span.clone(),
            format!("\"proposals\" must have between 1 and {MAX_PROPOSALS} of them"),
            "write proposals = [\"aes256-sha256-modp2048\"], or leave it out",
        );
    }
    let mut proposals: Vec<Proposal> = Vec::with_capacity(texts.len());
    for (text, span) in texts {
        match text.parse::<Proposal>() {
            Ok(proposal) if proposals.contains(&proposal) => {
                findings.error_help(
                    span,
                    format!("{proposal} stands here twice"),
                    "take one out",
                );
            }
            Ok(proposal) => {
                let weak = proposal.weak();
                if !weak.is_empty() {
                    findings.warn(
                        span,
                        format!(
                            "{} {} weak",
                            weak.join(" and "),
                            if weak.len() == 1 { "is" } else { "are" }
                        ),
                        "use it only with a peer that knows nothing better",
                    );
                }
                proposals.push(proposal);
            }
            Err(error) => findings.error_help(
                word_span(&span, text, error.word()),
                error.to_string(),
                "write cipher-hash-group, for example \"aes256-sha256-modp2048\"",
            ),
        }
    }
    proposals
}

/// Where `word` stands in the text at `span`; the whole of it when the text has escapes.
pub(super) fn word_span(span: &Range<usize>, text: &str, word: Option<&str>) -> Range<usize> {
    let plain = span.len() == text.len() + 2;
    match word.and_then(|word| Some((text.find(word)?, word.len()))) {
        Some((at, len)) if plain && len > 0 => span.start + 1 + at..span.start + 1 + at + len,
        _ => span.clone(),
    }
}

/// A duration in whole seconds that goes into a payload.
pub(super) fn seconds(
    table: &Table<'_>,
    name: &'static str,
    example: &str,
    default: Duration,
    findings: &mut Findings,
) -> Duration {
    table
        .get(name)
        .and_then(|field| {
            field.parsed(findings, example, |text| {
                values::whole_seconds(text, SECOND, values::MAX_DURATION)
            })
        })
        .unwrap_or(default)
}

/// How many bytes something may carry; `None`: no limit.
pub(super) fn lifetime_bytes(
    table: &Table<'_>,
    least: u64,
    example: &str,
    findings: &mut Findings,
) -> Option<u64> {
    table
        .get("lifetime-bytes")?
        .parsed(findings, example, |text| match values::size(text)? {
            bytes if bytes < least => Err(format!("must be at least {least} bytes")),
            bytes => Ok(bytes),
        })
}

/// A duration that we wait: `default` in seconds.
fn wait(
    table: &Table<'_>,
    name: &'static str,
    example: &str,
    default: u64,
    findings: &mut Findings,
) -> Duration {
    table
        .get(name)
        .and_then(|field| {
            field.parsed(findings, example, |text| {
                values::duration(text, MILLISECOND, Duration::from_hours(24))
            })
        })
        .unwrap_or(Duration::from_secs(default))
}

fn retransmit(table: &Table<'_>, findings: &mut Findings) -> Retransmit {
    /// The most sendings of one message; with any back-off the last is long past caring.
    const MAX_TRIES: u64 = 100;
    let mut retransmit = Retransmit {
        tries: 5,
        first: Duration::from_secs(2),
        factor: 1.8,
    };
    let example = "{ tries = 5, first = \"2s\", factor = 1.8 }";
    let Some(inner) = table
        .get("retransmit")
        .and_then(|field| field.table("connection.retransmit", findings, example))
    else {
        return retransmit;
    };
    if let Some(tries) = inner
        .get("tries")
        .and_then(|field| field.integer(findings, 0, MAX_TRIES, "5"))
        .and_then(|tries| u32::try_from(tries).ok())
    {
        retransmit.tries = tries;
    }
    retransmit.first = wait(&inner, "first", "\"2s\"", 2, findings);
    if let Some(factor) = inner
        .get("factor")
        .and_then(|field| field.number(findings, 1.0, 10.0, "1.8"))
    {
        retransmit.factor = factor;
    }
    retransmit
}

fn dpd(table: &Table<'_>, findings: &mut Findings) -> Option<Dpd> {
    let field = table.get("dpd")?;
    if field.as_text() == Some("none") {
        return None;
    }
    let example = "{ delay = \"30s\", timeout = \"150s\" }";
    let inner = field.table("connection.dpd", findings, example)?;
    let dpd = Dpd {
        delay: wait(&inner, "delay", "\"30s\"", 30, findings),
        timeout: wait(&inner, "timeout", "\"150s\"", 150, findings),
    };
    if dpd.timeout <= dpd.delay {
        findings.error_help(
            field.span,
            "\"dpd\": the timeout is not longer than the delay, so that every probe would come too late",
            format!("write, for example, dpd = {example}"),
        );
    }
    Some(dpd)
}

fn fragmentation(table: &Table<'_>, findings: &mut Findings) -> (Fragmentation, u16) {
    let words = [
        ("yes", Fragmentation::Yes),
        ("no", Fragmentation::No),
        ("force", Fragmentation::Force),
    ];
    let fragmentation = table
        .get("fragmentation")
        .and_then(|field| field.word(findings, &words))
        .unwrap_or(Fragmentation::Yes);
    let size = table
        .get("fragment-size")
        .and_then(|field| field.integer(findings, MIN_FRAGMENT_SIZE, MAX_FRAGMENT_SIZE, "1280"))
        .and_then(|size| u16::try_from(size).ok())
        .unwrap_or(FRAGMENT_SIZE);
    (fragmentation, size)
}

fn encap(table: &Table<'_>, findings: &mut Findings) -> Encap {
    let words = [
        ("auto", Encap::Auto),
        ("nat", Encap::Nat),
        ("force", Encap::Force),
    ];
    table
        .get("encap")
        .and_then(|field| field.word(findings, &words))
        .unwrap_or(Encap::Auto)
}

fn dataplane(table: &Table<'_>, findings: &mut Findings) -> DataPlane {
    let Some(field) = table.get("dataplane") else {
        return DataPlane::None;
    };
    let words = [
        ("none", DataPlane::None),
        ("kernel", DataPlane::Kernel),
        ("user", DataPlane::User),
    ];
    field.word(findings, &words).unwrap_or(DataPlane::None)
}
