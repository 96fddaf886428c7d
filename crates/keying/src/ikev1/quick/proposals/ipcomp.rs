//! IPComp in a bundle with ESP or AH (RFC 3173 section 4.1): offered, and what of an offer or an answer can be had.

use std::time::Duration;

use isakmp::{Proposal, ProtocolId, Transform, ipsec};

use super::{Choice, Encapsulation, Meaning, Offer};
use crate::child::Mode;

/// Each proposal in a bundle with IPComp, and behind that alone: for a peer that does without.
pub(super) fn offered_too(alone: &[Proposal], cpi: u16, offer: &Offer) -> Vec<Proposal> {
    // RFC 2409 section 5.5: with a key exchange every transform of every proposal names its group.
    let group = offer.suites.first().and_then(|suite| suite.group);
    let mut proposals = Vec::with_capacity(3 * alone.len());
    let mut numbers = 1..=u8::MAX;
    for proposal in alone {
        let (Some(bundle), Some(number)) = (numbers.next(), numbers.next()) else {
            break;
        };
        proposals.push(Proposal {
            number: bundle,
            ..proposal.clone()
        });
        proposals.push(Proposal {
            number: bundle,
            protocol: ProtocolId::IPCOMP,
            spi: cpi.to_be_bytes().to_vec(),
            transforms: vec![Transform {
                number: 1,
                id: ipsec::IPCOMP_DEFLATE,
                attributes: super::attributes_of_all(group, offer),
            }],
        });
        proposals.push(Proposal {
            number,
            ..proposal.clone()
        });
    }
    proposals
}

/// What a choice of ESP or AH is with this proposal of IPComp beside it, and its transform: DEFLATE, in the mode of the
/// other.
pub(super) fn choice<'a>(proposal: &'a Proposal, with: &Choice) -> Option<(Choice, &'a Transform)> {
    let cpi = proposal.cpi().filter(|cpi| *cpi >= ipsec::FIRST_CPI)?;
    let (transform, meaning) = proposal
        .transforms
        .iter()
        .filter(|transform| transform.id == ipsec::IPCOMP_DEFLATE)
        .map(|transform| (transform, Meaning::of(transform)))
        .find(|(_, meaning)| fits(meaning, with))?;
    let seconds = meaning.seconds.map(Duration::from_secs);
    let choice = Choice {
        cpi: Some(cpi),
        lifetime: seconds.map_or(with.lifetime, |told| told.min(with.lifetime)),
        kilobytes: with.kilobytes.into_iter().chain(meaning.kilobytes).min(),
        ..with.clone()
    };
    Some((choice, transform))
}

fn fits(meaning: &Meaning, with: &Choice) -> bool {
    let group = with.suite.group.map(|group| u64::from(group.row().number));
    let mode = match meaning.encapsulation {
        Some(number) => Encapsulation::from_number(number).map(|found| found.mode),
        // RFC 3173 section 4.1.
        None => Some(Mode::Transport),
    };
    let nothing_else = [meaning.key_length, meaning.auth, meaning.esn];
    !meaning.unusable
        && nothing_else.iter().all(Option::is_none)
        && (meaning.group.is_none() || meaning.group == group)
        && mode == Some(with.encapsulation.mode)
}
