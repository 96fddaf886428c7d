//! What is offered in message 1, what of it is chosen, and whether a peer's choice is one of ours
//! (RFC 2409 appendix A).

use std::time::Duration;

use audit::Cause;
use crypto::{Cipher, Group, Hash, Proposal as Suite};
use isakmp::{Attribute, Proposal, ProtocolId, SecurityAssociation, Transform, oakley};

use super::authentication::Method;
use crate::config::Connection;

/// What both sides agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub method: Method,
    pub suite: Suite,
    /// As offered; `None` where the offer named none.
    pub lifetime: Option<Duration>,
    /// As offered, in bytes; `None`: no limit.
    pub lifetime_bytes: Option<u64>,
}

/// How long an SA may live: what an offer says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    pub time: Duration,
    /// `None`: no limit.
    pub bytes: Option<u64>,
}

impl Lifetime {
    pub(crate) fn of(connection: &Connection) -> Self {
        Self {
            time: connection.lifetime,
            bytes: connection.lifetime_bytes,
        }
    }

    /// What goes into an attribute, never none at all.
    fn kilobytes(self) -> Option<u32> {
        let kilobytes = (self.bytes? / KILOBYTE).max(1);
        Some(u32::try_from(kilobytes).unwrap_or(u32::MAX))
    }
}

/// The unit of lifetimes by volume (RFC 2409 appendix A).
const KILOBYTE: u64 = 1024;

/// RFC 2407 section 4.4.4.1: the lifetime in seconds where nobody named one.
const DEFAULT_LIFETIME: Duration = Duration::from_hours(8);

impl Chosen {
    /// The lesser of what was agreed and our own.
    pub(crate) fn effective_lifetime(&self, own: Lifetime) -> Lifetime {
        Lifetime {
            time: self.lifetime.unwrap_or(DEFAULT_LIFETIME).min(own.time),
            bytes: [self.lifetime_bytes, own.bytes].into_iter().flatten().min(),
        }
    }

    /// Whether the peer, who knows its offer alone, would let an SA of this lifetime end before it replaces it.
    pub(crate) fn outlasts(&self, effective: Lifetime) -> bool {
        let longer = self.lifetime.unwrap_or(DEFAULT_LIFETIME) > effective.time;
        let more = effective
            .bytes
            .is_some_and(|bytes| self.lifetime_bytes.is_none_or(|offered| offered > bytes));
        longer || more
    }
}

/// Our offer: one proposal, a transform for each method of authentication with each suite, the best first.
pub(crate) fn offer(
    methods: &[Method],
    suites: &[Suite],
    lifetime: Lifetime,
) -> SecurityAssociation {
    let transforms = all(methods, suites)
        .zip(1..=u8::MAX)
        .map(|((method, suite), number)| Transform {
            number,
            id: oakley::TRANSFORM_KEY_IKE,
            attributes: attributes(method, suite, lifetime),
        })
        .collect();
    isakmp_sa(1, transforms)
}

/// Every method with every suite, by preference.
fn all(methods: &[Method], suites: &[Suite]) -> impl Iterator<Item = (Method, Suite)> {
    methods
        .iter()
        .flat_map(move |method| suites.iter().map(move |suite| (*method, *suite)))
}

/// The answer to an offer: the one transform, as it was offered.
pub(crate) fn answer(number: u8, transform: Transform) -> SecurityAssociation {
    isakmp_sa(number, vec![transform])
}

fn isakmp_sa(number: u8, transforms: Vec<Transform>) -> SecurityAssociation {
    SecurityAssociation {
        doi: isakmp::DOI_IPSEC,
        situation: isakmp::SIT_IDENTITY_ONLY,
        proposals: vec![Proposal {
            number,
            protocol: ProtocolId::ISAKMP,
            spi: Vec::new(),
            transforms,
        }],
    }
}

fn attributes(method: Method, suite: Suite, lifetime: Lifetime) -> Vec<Attribute> {
    let mut list = vec![Attribute::short(
        oakley::ENCRYPTION,
        suite.cipher.row().number,
    )];
    if let Some(bits) = suite.cipher.row().key_bits {
        list.push(Attribute::short(oakley::KEY_LENGTH, bits));
    }
    list.push(Attribute::short(oakley::HASH, suite.hash.row().number));
    list.push(Attribute::short(oakley::GROUP, suite.group.row().number));
    list.push(Attribute::short(oakley::AUTH_METHOD, method.number));
    let seconds = u32::try_from(lifetime.time.as_secs()).unwrap_or(u32::MAX);
    let mut life = |kind, value| {
        list.push(Attribute::short(oakley::LIFE_TYPE, kind));
        list.push(match u16::try_from(value) {
            Ok(short) => Attribute::short(oakley::LIFE_DURATION, short),
            Err(_) => Attribute::long(oakley::LIFE_DURATION, u32::to_be_bytes(value)),
        });
    };
    life(oakley::LIFE_SECONDS, seconds);
    if let Some(kilobytes) = lifetime.kilobytes() {
        life(oakley::LIFE_KILOBYTES, kilobytes);
    }
    list
}

/// A transform's attributes, each at most once, or why it cannot be chosen.
#[derive(Debug, Default)]
struct Meaning {
    encryption: Option<u64>,
    key_length: Option<u64>,
    hash: Option<u64>,
    group: Option<u64>,
    auth: Option<u64>,
    seconds: Option<u64>,
    kilobytes: Option<u64>,
    /// A repeated attribute, or one that would have to be honoured and cannot be.
    unusable: bool,
}

impl Meaning {
    fn of(transform: &Transform) -> Self {
        let mut meaning = Meaning {
            unusable: transform.id != oakley::TRANSFORM_KEY_IKE,
            ..Meaning::default()
        };
        let mut life_type: Option<u64> = None;
        let mut life_types_seen = 0u32;
        for attribute in &transform.attributes {
            let Some(value) = attribute.number() else {
                meaning.unusable = true;
                continue;
            };
            let slot = match attribute.class {
                oakley::ENCRYPTION => &mut meaning.encryption,
                oakley::KEY_LENGTH => &mut meaning.key_length,
                oakley::HASH => &mut meaning.hash,
                oakley::GROUP => &mut meaning.group,
                oakley::AUTH_METHOD => &mut meaning.auth,
                // Types and durations come in pairs, and may come once for seconds and once for kilobytes.
                oakley::LIFE_TYPE => {
                    meaning.unusable |=
                        life_type.is_some() || life_types_seen & (1 << value.min(31)) != 0;
                    life_types_seen |= 1 << value.min(31);
                    life_type = Some(value);
                    continue;
                }
                oakley::LIFE_DURATION => {
                    match u16::try_from(life_type.take().unwrap_or(0)) {
                        // None is meant by 0: strongSwan's `rekey_time = 0` offers it.
                        Ok(oakley::LIFE_SECONDS) => meaning.seconds = (value > 0).then_some(value),
                        Ok(oakley::LIFE_KILOBYTES) => {
                            meaning.kilobytes = (value > 0).then_some(value);
                        }
                        _ => meaning.unusable = true,
                    }
                    continue;
                }
                _ => {
                    meaning.unusable = true;
                    continue;
                }
            };
            meaning.unusable |= slot.replace(value).is_some();
        }
        meaning.unusable |= life_type.is_some();
        meaning
    }

    fn is(&self, method: Method, suite: Suite) -> bool {
        self.auth == Some(u64::from(method.number)) && self.names(suite)
    }

    fn names(&self, suite: Suite) -> bool {
        !self.unusable
            && self.encryption == Some(u64::from(suite.cipher.row().number))
            && self.key_length == suite.cipher.row().key_bits.map(u64::from)
            && self.hash == Some(u64::from(suite.hash.row().number))
            && self.group == Some(u64::from(suite.group.row().number))
    }

    fn lifetime(&self) -> Option<Duration> {
        self.seconds.map(Duration::from_secs)
    }

    fn lifetime_bytes(&self) -> Option<u64> {
        self.kilobytes
            .map(|kilobytes| kilobytes.saturating_mul(KILOBYTE))
    }

    /// In the words of the configuration, for the operator.
    fn describe(&self) -> String {
        fn small(value: Option<u64>) -> Option<u16> {
            value.and_then(|value| u16::try_from(value).ok())
        }
        let cipher =
            small(self.encryption).map_or(
                "no-cipher".to_owned(),
                |number| match Cipher::from_wire(number, small(self.key_length)) {
                    Some(cipher) => cipher.row().name.to_owned(),
                    None if number == DES => "des".to_owned(),
                    None => format!("cipher#{number}"),
                },
            );
        let hash = small(self.hash).map_or("no-hash".to_owned(), |number| {
            Hash::from_wire(number)
                .map_or(format!("hash#{number}"), |hash| hash.row().name.to_owned())
        });
        let group = small(self.group).map_or("no-group".to_owned(), |number| {
            Group::from_wire(number).map_or(format!("group#{number}"), |group| {
                group.row().name.to_owned()
            })
        });
        let auth = match small(self.auth) {
            Some(oakley::PRESHARED_KEY) => String::new(),
            Some(number) => match oakley::auth_method_name(number) {
                Some(name) => format!(" ({name})"),
                None => format!(" (authentication method {number})"),
            },
            None => " (no authentication method)".to_owned(),
        };
        // Else the operator would read that what fits does not.
        let odd = if self.unusable {
            " with an attribute that is unknown, twice there or no number"
        } else {
            ""
        };
        format!("{cipher}-{hash}-{group}{auth}{odd}")
    }
}

/// DES-CBC's number in RFC 2409 appendix A.
const DES: u16 = 1;

/// Why nothing of an offer was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub cause: Cause,
    pub detail: String,
}

/// How many of a peer's transforms are named in a refusal's detail.
const TRANSFORMS_SHOWN: usize = 8;

/// Chooses from a peer's offer, by our preference.
pub(crate) fn choose(
    methods: &[Method],
    ours: &[Suite],
    offered: &SecurityAssociation,
) -> Result<(Chosen, SecurityAssociation), Refusal> {
    if offered.doi != isakmp::DOI_IPSEC {
        let detail = format!("the peer's DOI is {}, not 1 (IPsec)", offered.doi);
        return Err(Refusal {
            cause: Cause::UnknownDoi,
            detail,
        });
    }
    if offered.situation != isakmp::SIT_IDENTITY_ONLY {
        let detail = format!(
            "the peer's situation is {:#x}, not 1 (identity only)",
            offered.situation
        );
        return Err(Refusal {
            cause: Cause::UnknownSituation,
            detail,
        });
    }
    let meanings: Vec<(u8, &Transform, Meaning)> = offered
        .proposals
        .iter()
        .filter(|proposal| proposal.protocol == ProtocolId::ISAKMP)
        .flat_map(|proposal| {
            proposal
                .transforms
                .iter()
                .map(move |t| (proposal.number, t, Meaning::of(t)))
        })
        .collect();
    for (method, suite) in all(methods, ours) {
        if let Some((number, transform, meaning)) =
            meanings.iter().find(|(_, _, m)| m.is(method, suite))
        {
            let chosen = Chosen {
                method,
                suite,
                lifetime: meaning.lifetime(),
                lifetime_bytes: meaning.lifetime_bytes(),
            };
            return Ok((chosen, answer(*number, (*transform).clone())));
        }
    }
    let meanings: Vec<Meaning> = meanings
        .into_iter()
        .map(|(_, _, meaning)| meaning)
        .collect();
    Err(Refusal {
        cause: refusal_cause(methods, ours, &meanings),
        detail: refusal_detail(methods, ours, &meanings),
    })
}

/// The most specific cause: an authentication method or a weak algorithm that policy refuses, where that
/// alone stands in the way of every transform; else that nothing fits.
fn refusal_cause(methods: &[Method], ours: &[Suite], offered: &[Meaning]) -> Cause {
    let all = |test: &dyn Fn(&Meaning) -> bool| !offered.is_empty() && offered.iter().all(test);
    let refused_method = |m: &Meaning| {
        m.auth
            .and_then(|auth| u16::try_from(auth).ok())
            .is_some_and(|auth| {
                oakley::auth_method_name(auth).is_some()
                    && methods.iter().all(|method| method.number != auth)
            })
    };
    if all(&|m| refused_method(m) && ours.iter().any(|suite| m.names(*suite))) {
        return Cause::AuthMethodRefused;
    }
    let weak_cipher = |m: &Meaning| {
        let number = m.encryption.and_then(|number| u16::try_from(number).ok());
        number == Some(DES)
            || number
                .and_then(|n| {
                    Cipher::from_wire(n, m.key_length.and_then(|bits| u16::try_from(bits).ok()))
                })
                .is_some_and(|c| c.row().weak && ours.iter().all(|suite| suite.cipher != c))
    };
    let weak_hash = |m: &Meaning| {
        m.hash
            .and_then(|number| Hash::from_wire(u16::try_from(number).ok()?))
            .is_some_and(|h| h.row().weak && ours.iter().all(|suite| suite.hash != h))
    };
    let weak_group = |m: &Meaning| {
        m.group
            .and_then(|number| Group::from_wire(u16::try_from(number).ok()?))
            .is_some_and(|g| g.row().weak && ours.iter().all(|suite| suite.group != g))
    };
    if all(&weak_cipher) {
        Cause::CipherRefused
    } else if all(&weak_hash) {
        Cause::HashRefused
    } else if all(&weak_group) {
        Cause::GroupRefused
    } else {
        Cause::NoAcceptableProposal
    }
}

fn refusal_detail(methods: &[Method], ours: &[Suite], offered: &[Meaning]) -> String {
    let mut theirs: Vec<String> = offered
        .iter()
        .take(TRANSFORMS_SHOWN)
        .map(Meaning::describe)
        .collect();
    if offered.len() > TRANSFORMS_SHOWN {
        theirs.push(format!("and {} more", offered.len() - TRANSFORMS_SHOWN));
    }
    if theirs.is_empty() {
        theirs.push("nothing for ISAKMP".to_owned());
    }
    let own: Vec<String> = ours.iter().map(ToString::to_string).collect();
    let how: Vec<&str> = methods
        .iter()
        .filter(|method| method.number != oakley::PRESHARED_KEY)
        .filter_map(|method| oakley::auth_method_name(method.number))
        .collect();
    let how = if how.is_empty() {
        String::new()
    } else {
        format!(" ({})", how.join(", "))
    };
    format!(
        "the peer offered {}; the connection has {}{how}",
        theirs.join(", "),
        own.join(", ")
    )
}

/// Checks message 2's choice against what was offered.
pub(crate) fn check_answer(
    methods: &[Method],
    ours: &[Suite],
    lifetime: Lifetime,
    answer: &SecurityAssociation,
) -> Result<Chosen, Refusal> {
    let altered = |detail: String| Refusal {
        cause: Cause::ProposalAltered,
        detail,
    };
    let [
        Proposal {
            protocol: ProtocolId::ISAKMP,
            transforms,
            ..
        },
    ] = answer.proposals.as_slice()
    else {
        return Err(altered(
            "the peer's answer is not one proposal for ISAKMP".to_owned(),
        ));
    };
    let [transform] = transforms.as_slice() else {
        return Err(altered(format!(
            "the peer's answer has {} transforms, not one",
            transforms.len()
        )));
    };
    if answer.doi != isakmp::DOI_IPSEC || answer.situation != isakmp::SIT_IDENTITY_ONLY {
        return Err(altered(
            "the peer's answer has another DOI or situation".to_owned(),
        ));
    }
    let meaning = Meaning::of(transform);
    let Some((method, suite)) =
        all(methods, ours).find(|(method, suite)| meaning.is(*method, *suite))
    else {
        return Err(altered(format!(
            "the peer chose {}, which was not offered",
            meaning.describe()
        )));
    };
    if let Some(theirs) = meaning.lifetime()
        && theirs != lifetime.time
    {
        return Err(altered(format!(
            "the peer changed the lifetime of {} s to {} s",
            lifetime.time.as_secs(),
            theirs.as_secs()
        )));
    }
    if let Some(theirs) = meaning.kilobytes
        && lifetime.kilobytes().map(u64::from) != Some(theirs)
    {
        return Err(altered(match lifetime.kilobytes() {
            Some(own) => {
                format!("the peer changed the lifetime of {own} kilobytes to {theirs} kilobytes")
            }
            None => format!("the peer added a lifetime of {theirs} kilobytes"),
        }));
    }
    Ok(Chosen {
        method,
        suite,
        lifetime: meaning.lifetime().or(Some(lifetime.time)),
        lifetime_bytes: meaning.lifetime_bytes().or(lifetime.bytes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suites(names: &[&str]) -> Vec<Suite> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn time(time: Duration) -> Lifetime {
        Lifetime { time, bytes: None }
    }

    #[test]
    fn a_lifetime_in_kilobytes_is_offered_and_may_be_left_out_of_the_answer_but_not_changed() {
        let ours = suites(&["aes256-sha256-modp2048"]);
        let own = Lifetime {
            time: HOUR,
            bytes: Some(100_000),
        };
        let offered = offer(&psk(), &ours, own);
        let (chosen, answer) = choose(&psk(), &ours, &offered).unwrap();
        assert_eq!(chosen.lifetime_bytes, Some(97 * 1024));
        let checked = check_answer(&psk(), &ours, own, &answer).unwrap();
        assert_eq!(checked.lifetime_bytes, Some(97 * 1024));
        let without = offer(&psk(), &ours, time(HOUR));
        let checked = check_answer(&psk(), &ours, own, &without).unwrap();
        assert_eq!(checked.lifetime_bytes, Some(100_000));
        for bytes in [50_000, 200_000] {
            let bytes = Some(bytes);
            let changed = offer(&psk(), &ours, Lifetime { time: HOUR, bytes });
            assert!(check_answer(&psk(), &ours, own, &changed).is_err());
            assert!(check_answer(&psk(), &ours, time(HOUR), &changed).is_err());
        }
    }

    fn psk() -> [Method; 1] {
        [Method::psk(None)]
    }
    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn the_responders_preference_decides() {
        let offered = offer(
            &psk(),
            &suites(&["aes128-sha1-modp2048", "aes256-sha256-modp2048"]),
            time(HOUR),
        );
        let ours = suites(&["aes256-sha256-modp2048", "aes128-sha1-modp2048"]);
        let (chosen, answer) = choose(&psk(), &ours, &offered).unwrap();
        assert_eq!(chosen.suite, ours[0]);
        assert_eq!(chosen.lifetime, Some(HOUR));
        assert_eq!(
            answer.proposals[0].transforms[0],
            offered.proposals[0].transforms[1]
        );
    }

    #[test]
    fn what_was_chosen_is_accepted_and_anything_else_is_named() {
        let ours = suites(&["aes256-sha256-modp2048", "3des-sha1-modp1024"]);
        let offered = offer(&psk(), &ours, time(HOUR));
        for suite in &ours {
            let (_, answer) = choose(&psk(), &[*suite], &offered).unwrap();
            assert_eq!(
                check_answer(&psk(), &ours, time(HOUR), &answer)
                    .unwrap()
                    .suite,
                *suite
            );
        }
        assert_eq!(
            check_answer(&psk(), &ours, time(HOUR), &offered)
                .unwrap_err()
                .cause,
            Cause::ProposalAltered
        );
        let (_, mut answer) = choose(&psk(), &ours, &offered).unwrap();
        answer.proposals[0].transforms[0].attributes[2] = Attribute::short(oakley::HASH, 1);
        let refusal = check_answer(&psk(), &ours, time(HOUR), &answer).unwrap_err();
        assert!(
            refusal.detail.contains("aes256-md5-modp2048"),
            "{}",
            refusal.detail
        );
        let (_, answer) = choose(&psk(), &ours, &offer(&psk(), &ours, time(HOUR / 2))).unwrap();
        assert!(
            check_answer(&psk(), &ours, time(HOUR), &answer)
                .unwrap_err()
                .detail
                .contains("lifetime")
        );
    }

    #[test]
    fn a_refused_offer_names_the_most_specific_cause() {
        let ours = suites(&["aes256-sha256-modp2048"]);
        let cause = |offered: &[&str]| {
            choose(&psk(), &ours, &offer(&psk(), &suites(offered), time(HOUR)))
                .unwrap_err()
                .cause
        };
        assert_eq!(
            cause(&["aes128-sha1-modp3072"]),
            Cause::NoAcceptableProposal
        );
        assert_eq!(cause(&["3des-sha256-modp2048"]), Cause::CipherRefused);
        assert_eq!(cause(&["aes256-md5-modp2048"]), Cause::HashRefused);
        assert_eq!(cause(&["aes256-sha256-modp1024"]), Cause::GroupRefused);
        assert_eq!(
            cause(&["aes256-sha256-modp1024", "aes128-sha256-modp2048"]),
            Cause::NoAcceptableProposal
        );
        assert_eq!(cause(&[]), Cause::NoAcceptableProposal);
        let mut rsa = offer(&psk(), &ours, time(HOUR));
        for attribute in &mut rsa.proposals[0].transforms[0].attributes {
            if attribute.class == oakley::AUTH_METHOD {
                *attribute = Attribute::short(oakley::AUTH_METHOD, 3);
            }
        }
        assert_eq!(
            choose(&psk(), &ours, &rsa).unwrap_err().cause,
            Cause::AuthMethodRefused
        );
        rsa.doi = 2;
        assert_eq!(
            choose(&psk(), &ours, &rsa).unwrap_err().cause,
            Cause::UnknownDoi
        );
    }

    #[test]
    fn a_method_of_authentication_is_chosen_by_our_preference_too() {
        use crypto::cert::Method as SignatureMethod;
        let ours = suites(&["aes256-sha256-modp2048", "aes128-sha256-modp2048"]);
        let [rsa, ecdsa] = [SignatureMethod::Rsa, SignatureMethod::Ecdsa256]
            .map(|method| Method::signatures(method, None).unwrap());
        let offered = offer(&[Method::psk(None), rsa], &ours, time(HOUR));
        assert_eq!(offered.proposals[0].transforms.len(), 4);
        let (chosen, answer) = choose(&[ecdsa, rsa, Method::psk(None)], &ours, &offered).unwrap();
        assert_eq!((chosen.method, chosen.suite), (rsa, ours[0]));
        let checked = check_answer(&[Method::psk(None), rsa], &ours, time(HOUR), &answer).unwrap();
        assert_eq!(checked.method, rsa);
        assert!(check_answer(&psk(), &ours, time(HOUR), &answer).is_err());
        let refusal = choose(&[ecdsa], &ours, &offered).unwrap_err();
        assert_eq!(refusal.cause, Cause::AuthMethodRefused);
        assert!(
            refusal.detail.contains("RSA signatures"),
            "{}",
            refusal.detail
        );
        assert!(
            refusal.detail.contains("ECDSA on P-256"),
            "{}",
            refusal.detail
        );
    }

    #[test]
    fn a_repeated_or_unknown_attribute_is_never_chosen() {
        let ours = suites(&["aes256-sha256-modp2048"]);
        for extra in [
            Attribute::short(oakley::HASH, 4),
            Attribute::short(oakley::KEY_LENGTH, 256),
            Attribute::short(oakley::LIFE_TYPE, 1),
            Attribute::short(oakley::PRF, 1),
            Attribute::short(16_384, 1),
            Attribute::long(oakley::ENCRYPTION, vec![0; 9]),
        ] {
            let mut offered = offer(&psk(), &ours, time(HOUR));
            offered.proposals[0].transforms[0]
                .attributes
                .push(extra.clone());
            assert!(choose(&psk(), &ours, &offered).is_err(), "{extra:?}");
        }
    }

    #[test]
    fn a_lifetime_of_zero_is_none_and_ours_counts() {
        let ours = suites(&["aes256-sha256-modp2048"]);
        let offered = offer(&psk(), &ours, time(Duration::ZERO));
        let (chosen, answer) = choose(&psk(), &ours, &offered).unwrap();
        assert_eq!(chosen.lifetime, None);
        assert_eq!(chosen.effective_lifetime(time(HOUR)).time, HOUR);
        assert_eq!(
            answer.proposals[0].transforms,
            offered.proposals[0].transforms
        );
    }

    #[test]
    fn what_would_fit_but_for_an_odd_attribute_is_told_so() {
        let ours = suites(&["aes256-sha256-modp2048"]);
        let mut offered = offer(&psk(), &ours, time(HOUR));
        let list = &mut offered.proposals[0].transforms[0].attributes;
        list.push(Attribute::short(16_384, 1));
        let refusal = choose(&psk(), &ours, &offered).unwrap_err();
        let odd = "aes256-sha256-modp2048 with an attribute that is unknown";
        assert!(refusal.detail.contains(odd), "{}", refusal.detail);
    }

    #[test]
    fn lifetimes_may_come_in_seconds_and_kilobytes() {
        let ours = suites(&["aes256-sha256-modp2048"]);
        let mut offered = offer(&psk(), &ours, time(HOUR * 48));
        let list = &mut offered.proposals[0].transforms[0].attributes;
        list.push(Attribute::short(oakley::LIFE_TYPE, oakley::LIFE_KILOBYTES));
        list.push(Attribute::long(oakley::LIFE_DURATION, vec![0, 1, 0, 0]));
        let (chosen, _) = choose(&psk(), &ours, &offered).unwrap();
        assert_eq!(chosen.lifetime, Some(HOUR * 48));
        assert_eq!(chosen.lifetime_bytes, Some(0x1_0000 * 1024));
        let own = |time, bytes| chosen.effective_lifetime(Lifetime { time, bytes });
        assert_eq!(own(HOUR, None).time, HOUR);
        assert_eq!(own(HOUR * 100, None).time, HOUR * 48);
        assert_eq!(own(HOUR, None).bytes, Some(0x1_0000 * 1024));
        assert_eq!(own(HOUR, Some(70_000)).bytes, Some(70_000));
    }
}
