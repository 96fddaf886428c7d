//! What is offered in message 1 of Quick Mode, what of it is chosen, and whether a peer's choice is one
//! of ours (RFC 2407 sections 4.4 and 4.5).

mod ipcomp;

use std::time::Duration;

use audit::Cause;
use crypto::Group;
use crypto::esp::{EspCipher, EspIntegrity, EspProposal, Protocol};
use isakmp::{Attribute, Proposal, ProtocolId, SecurityAssociation, Transform, ipsec};

use crate::child::Mode;
use crate::ikev1::negotiation::Failure;
use crate::limits::FIRST_SPI;

/// RFC 2407 section 4.5: the lifetime where nobody named one.
const DEFAULT_LIFETIME: Duration = Duration::from_hours(8);
/// How many of a peer's transforms are named in a refusal's detail.
const TRANSFORMS_SHOWN: usize = 8;
/// The value of the ESN attribute (RFC 4304 section 3): 64-bit sequence numbers.
const ESN: u64 = 1;

/// What one transform stands for, beside its algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Encapsulation {
    pub mode: Mode,
    /// In UDP.
    pub udp: bool,
}

impl Encapsulation {
    fn number(self) -> u16 {
        match (self.mode, self.udp) {
            (Mode::Tunnel, false) => ipsec::TUNNEL,
            (Mode::Transport, false) => ipsec::TRANSPORT,
            (Mode::Tunnel, true) => ipsec::UDP_TUNNEL,
            (Mode::Transport, true) => ipsec::UDP_TRANSPORT,
        }
    }

    fn from_number(number: u64) -> Option<Self> {
        let (mode, udp) = match u16::try_from(number).ok()? {
            ipsec::TUNNEL => (Mode::Tunnel, false),
            ipsec::TRANSPORT => (Mode::Transport, false),
            ipsec::UDP_TUNNEL | ipsec::UDP_TUNNEL_DRAFT => (Mode::Tunnel, true),
            ipsec::UDP_TRANSPORT | ipsec::UDP_TRANSPORT_DRAFT => (Mode::Transport, true),
            _ => return None,
        };
        Some(Encapsulation { mode, udp })
    }
}

/// What we offer.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    /// All of one group, or of none: a Quick Mode has one key exchange.
    pub suites: Vec<EspProposal>,
    pub encapsulation: Encapsulation,
    pub spi: u32,
    /// With IPComp too.
    pub cpi: Option<u16>,
    pub lifetime: Duration,
    pub kilobytes: Option<u64>,
}

/// What is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub suite: EspProposal,
    pub encapsulation: Encapsulation,
    /// The other side's SPI.
    pub spi: u32,
    /// The other side's CPI; `None`: without IPComp.
    pub cpi: Option<u16>,
    /// As named; the default where nobody named one.
    pub lifetime: Duration,
    pub kilobytes: Option<u64>,
}

/// The suites of a child that one Quick Mode can offer: those with the group of the first. Where that has
/// one, and another has the group that phase 1 agreed on, it is those with that: peers do likewise, and
/// both have it.
pub(crate) fn offerable(suites: &[EspProposal], phase_1: Group) -> Vec<EspProposal> {
    let usable: Vec<&EspProposal> = suites.iter().filter(|s| s.transform().is_some()).collect();
    let first = usable.first().and_then(|suite| suite.group);
    let like_phase_1 = usable.iter().any(|suite| suite.group == Some(phase_1));
    let group = first.map(|first| if like_phase_1 { phase_1 } else { first });
    usable
        .into_iter()
        .filter(|suite| suite.group == group)
        .copied()
        .collect()
}

/// The SA payload of message 1: suites of one protocol that stand together are transforms of one proposal; with IPComp
/// it comes twice, first in a bundle.
pub(crate) fn offer(offer: &Offer) -> SecurityAssociation {
    let mut proposals: Vec<Proposal> = Vec::new();
    for suite in &offer.suites {
        let Some(id) = suite.transform() else {
            continue;
        };
        let protocol = ProtocolId(suite.protocol.number());
        let attributes = attributes(*suite, offer);
        let room = |p: &Proposal| p.protocol == protocol && p.transforms.len() < 255;
        if !proposals.last().is_some_and(room) {
            let Ok(number) = u8::try_from(proposals.len() + 1) else {
                break;
            };
            proposals.push(Proposal {
                number,
                protocol,
                spi: offer.spi.to_be_bytes().to_vec(),
                transforms: Vec::new(),
            });
        }
        if let Some(proposal) = proposals.last_mut() {
            let number = u8::try_from(proposal.transforms.len() + 1).unwrap_or(u8::MAX);
            proposal.transforms.push(Transform {
                number,
                id,
                attributes,
            });
        }
    }
    if let Some(cpi) = offer.cpi {
        proposals = ipcomp::offered_too(&proposals, cpi, offer);
    }
    SecurityAssociation::new(proposals)
}

/// A life type and its duration.
pub(crate) fn life(kind: u16, value: u64) -> [Attribute; 2] {
    let duration = match (u16::try_from(value), u32::try_from(value)) {
        (Ok(short), _) => Attribute::short(ipsec::LIFE_DURATION, short),
        (_, Ok(long)) => Attribute::long(ipsec::LIFE_DURATION, long.to_be_bytes()),
        _ => Attribute::long(ipsec::LIFE_DURATION, u32::MAX.to_be_bytes()),
    };
    [Attribute::short(ipsec::LIFE_TYPE, kind), duration]
}

/// The attributes that transforms of every protocol have.
fn attributes_of_all(group: Option<Group>, offer: &Offer) -> Vec<Attribute> {
    let mut list = life(ipsec::LIFE_SECONDS, offer.lifetime.as_secs()).to_vec();
    if let Some(kilobytes) = offer.kilobytes {
        list.extend(life(ipsec::LIFE_KILOBYTES, kilobytes));
    }
    if let Some(group) = group {
        list.push(Attribute::short(ipsec::GROUP, group.row().number));
    }
    let encapsulation = offer.encapsulation.number();
    list.push(Attribute::short(ipsec::ENCAPSULATION_MODE, encapsulation));
    list
}

fn attributes(suite: EspProposal, offer: &Offer) -> Vec<Attribute> {
    let mut list = attributes_of_all(suite.group, offer);
    if let Some(integrity) = suite.integrity {
        let number = integrity.row().attribute;
        list.push(Attribute::short(ipsec::AUTH_ALGORITHM, number));
    }
    if let Some(bits) = suite.cipher.and_then(|cipher| cipher.row().key_bits) {
        list.push(Attribute::short(ipsec::KEY_LENGTH, bits));
    }
    if suite.esn {
        list.push(Attribute::short(ipsec::EXTENDED_SEQUENCE_NUMBER, 1));
    }
    list
}

/// A transform's attributes, each at most once, or why it cannot be chosen.
#[derive(Clone, Debug, Default)]
struct Meaning {
    key_length: Option<u64>,
    auth: Option<u64>,
    group: Option<u64>,
    encapsulation: Option<u64>,
    esn: Option<u64>,
    seconds: Option<u64>,
    kilobytes: Option<u64>,
    /// A repeated attribute, or one that would have to be honoured and cannot be.
    unusable: bool,
}

impl Meaning {
    fn of(transform: &Transform) -> Self {
        let mut meaning = Meaning::default();
        let mut life_type: Option<u64> = None;
        for attribute in &transform.attributes {
            let Some(value) = attribute.number() else {
                meaning.unusable = true;
                continue;
            };
            let slot = match attribute.class {
                ipsec::KEY_LENGTH => &mut meaning.key_length,
                ipsec::AUTH_ALGORITHM => &mut meaning.auth,
                ipsec::GROUP => &mut meaning.group,
                ipsec::ENCAPSULATION_MODE => &mut meaning.encapsulation,
                ipsec::EXTENDED_SEQUENCE_NUMBER => &mut meaning.esn,
                // Types and durations come in pairs, once for seconds and once for kilobytes.
                ipsec::LIFE_TYPE => {
                    meaning.unusable |= life_type.replace(value).is_some();
                    continue;
                }
                // An SA that ends as it begins is none.
                ipsec::LIFE_DURATION if value > 0 => {
                    match life_type.take().and_then(|kind| u16::try_from(kind).ok()) {
                        Some(ipsec::LIFE_SECONDS) => &mut meaning.seconds,
                        Some(ipsec::LIFE_KILOBYTES) => &mut meaning.kilobytes,
                        _ => {
                            meaning.unusable = true;
                            continue;
                        }
                    }
                }
                _ => {
                    meaning.unusable = true;
                    continue;
                }
            };
            meaning.unusable |= slot.replace(value).is_some();
        }
        meaning.unusable |= life_type.is_some() || meaning.esn.is_some_and(|esn| esn > ESN);
        meaning
    }

    /// The algorithms, where all of them are known here.
    fn suite(&self, protocol: ProtocolId, transform: u8) -> Option<EspProposal> {
        let small = |value: u64| u16::try_from(value).ok();
        let integrity = match self.auth {
            Some(number) => Some(EspIntegrity::from_attribute(small(number)?)?),
            None => None,
        };
        let group = match self.group {
            Some(number) => Some(Group::from_wire(small(number)?)?),
            None => None,
        };
        let bits = match self.key_length {
            Some(bits) => Some(small(bits)?),
            None => None,
        };
        let protocol = Protocol::from_number(protocol.0)?;
        let cipher = match protocol {
            Protocol::Esp => Some(EspCipher::from_wire(transform, bits)?),
            // AH's transform and its attribute say the same (RFC 2407 section 4.4.3).
            Protocol::Ah if bits.is_some() => return None,
            Protocol::Ah => {
                let named = EspIntegrity::from_ah_transform(transform)?;
                (integrity == Some(named)).then_some(())?;
                None
            }
        };
        Some(EspProposal {
            protocol,
            cipher,
            integrity,
            group,
            esn: self.esn == Some(ESN),
        })
    }

    /// In the words of the configuration, for the operator.
    fn describe(&self, protocol: ProtocolId, transform: u8) -> String {
        let suite = match self.suite(protocol, transform) {
            Some(suite) => suite.to_string(),
            None => format!("{protocol} transform {transform}"),
        };
        let mode = match self.encapsulation.map(Encapsulation::from_number) {
            Some(Some(Encapsulation { mode, udp })) => format!(
                " in {} mode{}",
                mode_name(mode),
                if udp { " over UDP" } else { "" }
            ),
            Some(None) => " in a mode that is not known".to_owned(),
            None => String::new(),
        };
        format!("{suite}{mode}")
    }
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Tunnel => "tunnel",
        Mode::Transport => "transport",
    }
}

/// What of an offer could be chosen at all: transforms of proposals that stand alone, or with IPComp. Those that share a
/// number are wanted together (RFC 2408 section 4.2); other bundles we do not do.
fn alternatives(offered: &SecurityAssociation) -> impl Iterator<Item = Alternative<'_>> {
    let bundled = |proposal: &Proposal| -> Option<Option<&Proposal>> {
        let mut others = offered
            .proposals
            .iter()
            .filter(|other| other.number == proposal.number && !std::ptr::eq(*other, proposal));
        match (others.next(), others.next()) {
            (None, _) => Some(None),
            (Some(other), None) if other.protocol == ProtocolId::IPCOMP => Some(Some(other)),
            _ => None,
        }
    };
    offered
        .proposals
        .iter()
        .filter_map(move |proposal| Some((proposal, bundled(proposal)?)))
        .flat_map(|(proposal, ipcomp)| {
            proposal
                .transforms
                .iter()
                .map(move |transform| Alternative {
                    proposal,
                    transform,
                    ipcomp,
                })
        })
}

/// A transform, and the proposal of IPComp that goes with it.
#[derive(Clone, Copy)]
struct Alternative<'a> {
    proposal: &'a Proposal,
    transform: &'a Transform,
    ipcomp: Option<&'a Proposal>,
}

impl<'a> Alternative<'a> {
    /// What it stands for, where it can be chosen, and the transform of IPComp.
    fn choice(&self, default: Encapsulation) -> Option<(Choice, Option<&'a Transform>)> {
        let alone = choice(self.proposal, self.transform, default)?;
        match self.ipcomp {
            None => Some((alone, None)),
            Some(proposal) => {
                let (choice, transform) = ipcomp::choice(proposal, &alone)?;
                Some((choice, Some(transform)))
            }
        }
    }

    /// The proposals with these transforms alone, ESP or AH first.
    fn answer(&self, ipcomp: Option<&Transform>) -> Vec<Proposal> {
        let with = |proposal: &Proposal, transform: &Transform| Proposal {
            transforms: vec![transform.clone()],
            ..proposal.clone()
        };
        let mut answer = vec![with(self.proposal, self.transform)];
        answer.extend(
            self.ipcomp
                .zip(ipcomp)
                .map(|(proposal, transform)| with(proposal, transform)),
        );
        answer
    }

    fn describe(&self) -> String {
        let Alternative {
            proposal,
            transform,
            ipcomp,
        } = self;
        let bundle = if ipcomp.is_some() { " with IPComp" } else { "" };
        let meaning = Meaning::of(transform);
        let odd = if meaning.unusable {
            " with an attribute that is unknown, twice there or no number"
        } else if spi(proposal).is_none() {
            " with an SPI that none may have"
        } else {
            ""
        };
        let meaning = meaning.describe(proposal.protocol, transform.id);
        format!("{meaning}{bundle}{odd}")
    }
}

/// The SPI of a proposal: four bytes, and none of those that RFC 2407 section 4.6.1 reserves.
fn spi(proposal: &Proposal) -> Option<u32> {
    let bytes = <[u8; 4]>::try_from(proposal.spi.as_slice()).ok()?;
    Some(u32::from_be_bytes(bytes)).filter(|spi| *spi >= FIRST_SPI)
}

fn choice(proposal: &Proposal, transform: &Transform, default: Encapsulation) -> Option<Choice> {
    let meaning = Meaning::of(transform);
    if meaning.unusable {
        return None;
    }
    let encapsulation = match meaning.encapsulation {
        Some(number) => Encapsulation::from_number(number)?,
        None => default,
    };
    Some(Choice {
        suite: meaning.suite(proposal.protocol, transform.id)?,
        encapsulation,
        spi: spi(proposal)?,
        cpi: None,
        lifetime: meaning
            .seconds
            .map_or(DEFAULT_LIFETIME, Duration::from_secs),
        kilobytes: meaning.kilobytes,
    })
}

/// What a responder goes by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy<'a> {
    pub suites: &'a [EspProposal],
    pub mode: Mode,
    /// IPComp is taken, and what is without it too.
    pub compress: bool,
    /// ESP in UDP is possible: IKE runs on the port for it.
    pub udp_possible: bool,
    /// How long the peer's public value is, where it sent one.
    pub public_len: Option<usize>,
}

impl Policy<'_> {
    fn takes(&self, choice: &Choice) -> bool {
        let pfs = match (choice.suite.group, self.public_len) {
            (None, None) => true,
            (Some(group), Some(len)) => group.row().public_len == len,
            _ => false,
        };
        let udp = !choice.encapsulation.udp || self.udp_possible;
        let ipcomp = choice.cpi.is_none() || self.compress;
        pfs && udp && ipcomp && choice.encapsulation.mode == self.mode
    }
}

/// Chooses from a peer's offer, by our preference: of one suite what is with IPComp comes first. The answer has each
/// transform as it was offered; its SPI and CPI are for the caller to set.
pub(crate) fn choose(
    policy: &Policy<'_>,
    offered: &SecurityAssociation,
) -> Result<(Choice, SecurityAssociation), Failure> {
    let default = Encapsulation {
        mode: policy.mode,
        udp: false,
    };
    let choices: Vec<(Choice, Option<&Transform>, Alternative<'_>)> = alternatives(offered)
        .filter_map(|alternative| {
            let (choice, ipcomp) = alternative.choice(default)?;
            Some((choice, ipcomp, alternative))
        })
        .collect();
    for suite in policy.suites {
        let fits = choices
            .iter()
            .filter(|(choice, ..)| choice.suite == *suite && policy.takes(choice));
        // Of several the first.
        let found = fits.min_by_key(|(choice, ..)| choice.cpi.is_none());
        if let Some((choice, ipcomp, alternative)) = found {
            let answer = SecurityAssociation::new(alternative.answer(*ipcomp));
            return Ok((choice.clone(), answer));
        }
    }
    let choices: Vec<&Choice> = choices.iter().map(|(choice, ..)| choice).collect();
    let cause = match refusal_cause(policy, &choices) {
        Cause::EspNotAcceptable if is_malformed(policy, offered) => Cause::EspMalformed,
        cause => cause,
    };
    Err(Failure::local(cause).with(refusal_detail(policy, offered)))
}

/// The most specific cause: what alone stands in the way of every transform that has algorithms of ours.
fn refusal_cause(policy: &Policy<'_>, choices: &[&Choice]) -> Cause {
    let without_group = |suite: &EspProposal| EspProposal {
        group: None,
        ..*suite
    };
    let known: Vec<&&Choice> = choices
        .iter()
        .filter(|choice| {
            let same = |ours: &EspProposal| without_group(ours) == without_group(&choice.suite);
            policy.suites.iter().any(same)
        })
        .collect();
    let all = |test: &dyn Fn(&Choice) -> bool| !known.is_empty() && known.iter().all(|c| test(c));
    if all(&|choice| choice.encapsulation.mode != policy.mode) {
        Cause::ModeRefused
    } else if all(&|choice| !policy.suites.contains(&choice.suite)) {
        Cause::PfsRefused
    } else {
        Cause::EspNotAcceptable
    }
}

/// Whether one of our suites is offered as this child has it, and only its form keeps it from being taken.
fn is_malformed(policy: &Policy<'_>, offered: &SecurityAssociation) -> bool {
    alternatives(offered).any(
        |Alternative {
             proposal,
             transform,
             ipcomp,
         }| {
            let meaning = Meaning::of(transform);
            let suite = meaning.suite(proposal.protocol, transform.id);
            let encapsulation = meaning.encapsulation.map(Encapsulation::from_number);
            let carried = encapsulation.flatten().is_none_or(|encapsulation| {
                encapsulation.mode == policy.mode && (!encapsulation.udp || policy.udp_possible)
            });
            carried && ipcomp.is_none() && suite.is_some_and(|suite| policy.suites.contains(&suite))
        },
    )
}

/// What is wrong with the peer's public value beside its offer.
fn odd_public(policy: &Policy<'_>, offered: &SecurityAssociation) -> &'static str {
    let mut groups = alternatives(offered).map(|one| Meaning::of(one.transform).group.is_some());
    match policy.public_len {
        Some(_) if !groups.any(|named| named) => ", with a public value and no group",
        None if groups.any(|named| named) => ", with a group and no public value",
        _ => "",
    }
}

fn refusal_detail(policy: &Policy<'_>, offered: &SecurityAssociation) -> String {
    let all: Vec<Alternative<'_>> = alternatives(offered).collect();
    let mut theirs: Vec<String> = all
        .iter()
        .take(TRANSFORMS_SHOWN)
        .map(Alternative::describe)
        .collect();
    if all.len() > TRANSFORMS_SHOWN {
        theirs.push(format!("{} more", all.len() - TRANSFORMS_SHOWN));
    }
    if theirs.is_empty() {
        theirs.push("nothing that stands alone or with IPComp".to_owned());
    }
    let ours: Vec<String> = policy.suites.iter().map(ToString::to_string).collect();
    format!(
        "the peer offers {}{}; here there is {} in {} mode",
        theirs.join(", "),
        odd_public(policy, offered),
        ours.join(", "),
        mode_name(policy.mode)
    )
}

/// What the responder chose, where it is one of ours. The lifetimes may be less than what we offered.
///
/// strongSwan 5.9.8 answers with all that we offered of what it chose: the bundle with IPComp, and the same without.
pub(crate) fn check_answer(offer: &Offer, answer: &SecurityAssociation) -> Result<Choice, Failure> {
    let altered = |why: String| Failure::local(Cause::ProposalAltered).with(why);
    let counts = answer.proposals.iter().map(|p| p.transforms.len());
    if let Some(count) = counts.into_iter().find(|count| *count != 1) {
        return Err(altered(format!(
            "the peer answered with {count} transforms"
        )));
    }
    let all: Vec<Alternative<'_>> = alternatives(answer).collect();
    let used: usize = all
        .iter()
        .map(|one| 1 + usize::from(one.ipcomp.is_some()))
        .sum();
    if used != answer.proposals.len() || !(1..=2).contains(&all.len()) {
        let count = answer.proposals.len();
        return Err(altered(format!("the peer answered with {count} proposals")));
    }
    let mut choices: Vec<Choice> = Vec::new();
    for one in all {
        let Some((choice, _)) = one.choice(offer.encapsulation) else {
            return Err(altered(format!(
                "the peer answered with {}",
                one.describe()
            )));
        };
        let offered = choice.encapsulation == offer.encapsulation
            && offer.suites.contains(&choice.suite)
            && (choice.cpi.is_none() || offer.cpi.is_some());
        if !offered {
            let why = format!("the peer chose {}, which we did not offer", one.describe());
            return Err(altered(why));
        }
        choices.push(choice);
    }
    choices.sort_by_key(|choice| choice.cpi.is_none());
    let [choice, rest @ ..] = choices.as_slice() else {
        return Err(altered("the peer chose nothing".to_owned()));
    };
    let repeats = |other: &Choice| {
        choice.cpi.is_some()
            && other.cpi.is_none()
            && (other.suite, other.spi) == (choice.suite, choice.spi)
    };
    if !rest.iter().all(repeats) {
        return Err(altered("the peer chose two different proposals".to_owned()));
    }
    Ok(choice.clone())
}

#[cfg(test)]
#[path = "proposals_tests.rs"]
mod tests;
