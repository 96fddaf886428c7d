//! The security association payload with its proposals and transforms (RFC 2408 sections 3.4 to 3.6,
//! RFC 2407 section 4.6.1).

use std::fmt;

use crate::{
    DOI_IPSEC, SIT_IDENTITY_ONLY,
    attribute::Attribute,
    chain::emit_payload,
    error::{Fault, ParseError},
    payload::PayloadType,
    reader::{Reader, count_field},
};

/// Proposals in one SA. Their numbers have 8 bits; Quick Mode shares a number between the protocols
/// that are wanted together, and no peer comes near.
pub const MAX_PROPOSALS: usize = 256;
/// Transforms in all the proposals of one SA. One proposal can hold 255 by its count field; scanners
/// fill a few, no honest peer does.
pub const MAX_TRANSFORMS: usize = 1024;

/// The security protocol that a proposal, notification or delete is about (RFC 2407 section 4.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ProtocolId(pub u8);

impl ProtocolId {
    /// The ISAKMP SA itself.
    pub const ISAKMP: Self = Self(1);
    /// Authentication header.
    pub const AH: Self = Self(2);
    /// Encapsulating security payload.
    pub const ESP: Self = Self(3);
    /// IP compression.
    pub const IPCOMP: Self = Self(4);
}

impl fmt::Display for ProtocolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ISAKMP => f.write_str("ISAKMP"),
            Self::AH => f.write_str("AH"),
            Self::ESP => f.write_str("ESP"),
            Self::IPCOMP => f.write_str("IPCOMP"),
            Self(other) => write!(f, "protocol {other}"),
        }
    }
}

/// A security association payload of the IPsec DOI in the situation "identity only". Another DOI
/// or situation changes the layout of what follows and is refused by
/// [`ParseError::unknown_doi`] and [`ParseError::unknown_situation`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SecurityAssociation {
    /// [`DOI_IPSEC`].
    pub doi: u32,
    /// [`SIT_IDENTITY_ONLY`].
    pub situation: u32,
    /// At least one.
    pub proposals: Vec<Proposal>,
}

/// One proposal. Those with the same number are wanted together, those with another number are the
/// alternatives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposal {
    /// Its number.
    pub number: u8,
    /// The protocol it is about.
    pub protocol: ProtocolId,
    /// The sender's SPI; in phase 1 empty, or anything, which is ignored (RFC 2408 section 3.5).
    pub spi: Vec<u8>,
    /// At least one, the preferred first.
    pub transforms: Vec<Transform>,
}

/// One transform.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transform {
    /// Its number within the proposal.
    pub number: u8,
    /// What it transforms by: `KEY_IKE` in phase 1, the cipher of ESP in phase 2.
    pub id: u8,
    /// Its attributes in the order received. A life type and duration may come twice; whether anything
    /// else repeats is for the negotiation to judge.
    pub attributes: Vec<Attribute>,
}

impl SecurityAssociation {
    /// A payload of the IPsec DOI, identity only.
    pub fn new(proposals: Vec<Proposal>) -> Self {
        Self {
            doi: DOI_IPSEC,
            situation: SIT_IDENTITY_ONLY,
            proposals,
        }
    }

    pub(crate) fn parse(body: &[u8]) -> Result<Self, ParseError> {
        let fault = |fault| ParseError::new(PayloadType::SA, fault);
        let mut reader = Reader::new(body);
        let doi = reader.u32().map_err(fault)?;
        if doi != DOI_IPSEC {
            return Err(fault(Fault::UnknownDoi(doi)));
        }
        let situation = reader.u32().map_err(fault)?;
        if situation != SIT_IDENTITY_ONLY {
            return Err(fault(Fault::UnknownSituation(situation)));
        }
        if reader.is_empty() {
            return Err(fault(Fault::Empty("proposal")));
        }
        let mut transforms_left = MAX_TRANSFORMS;
        let mut proposals = Vec::new();
        let mut more = true;
        while more {
            if proposals.len() == MAX_PROPOSALS {
                return Err(fault(Fault::TooMany {
                    what: "proposals",
                    limit: MAX_PROPOSALS,
                }));
            }
            let (content, follows) = part(&mut reader, PayloadType::PROPOSAL)?;
            proposals.push(Proposal::parse(content, &mut transforms_left)?);
            more = follows;
        }
        if !reader.is_empty() {
            return Err(fault(Fault::Trailing(reader.remaining())));
        }
        Ok(Self {
            doi,
            situation,
            proposals,
        })
    }

    pub(crate) fn emit(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.doi.to_be_bytes());
        out.extend_from_slice(&self.situation.to_be_bytes());
        emit_parts(
            &mut out,
            PayloadType::PROPOSAL,
            &self.proposals,
            Proposal::emit,
        );
        out
    }
}

impl Proposal {
    fn parse(content: &[u8], transforms_left: &mut usize) -> Result<Self, ParseError> {
        let fault = |fault| ParseError::new(PayloadType::PROPOSAL, fault);
        let mut reader = Reader::new(content);
        let [number, protocol, spi_size, count] = reader.array().map_err(fault)?;
        let spi = reader.take(spi_size.into()).map_err(fault)?.to_vec();
        if count == 0 {
            return Err(fault(Fault::Empty("transform")));
        }
        let mut transforms = Vec::new();
        let mut more = true;
        while more {
            if transforms.len() == usize::from(count) {
                return Err(fault(Fault::Count {
                    what: "transforms",
                    told: count.into(),
                    found: transforms.len() + 1,
                }));
            }
            *transforms_left = transforms_left.checked_sub(1).ok_or_else(|| {
                fault(Fault::TooMany {
                    what: "transforms",
                    limit: MAX_TRANSFORMS,
                })
            })?;
            let (content, follows) = part(&mut reader, PayloadType::TRANSFORM)?;
            transforms.push(Transform::parse(content)?);
            more = follows;
        }
        if transforms.len() != usize::from(count) {
            return Err(fault(Fault::Count {
                what: "transforms",
                told: count.into(),
                found: transforms.len(),
            }));
        }
        if !reader.is_empty() {
            return Err(fault(Fault::Trailing(reader.remaining())));
        }
        Ok(Self {
            number,
            protocol: ProtocolId(protocol),
            spi,
            transforms,
        })
    }

    /// The CPI of an IPComp proposal, which stands where others have their SPI: 2 bytes, or the last 2 of 4
    /// (RFC 3173 section 4.1). `None`: it is no IPComp proposal, or has another length.
    pub fn cpi(&self) -> Option<u16> {
        match (self.protocol, self.spi.as_slice()) {
            (ProtocolId::IPCOMP, &[high, low] | &[_, _, high, low]) => {
                Some(u16::from_be_bytes([high, low]))
            }
            _ => None,
        }
    }

    fn emit(&self) -> Vec<u8> {
        let mut out = vec![
            self.number,
            self.protocol.0,
            count_field(self.spi.len()),
            count_field(self.transforms.len()),
        ];
        out.extend_from_slice(&self.spi);
        emit_parts(
            &mut out,
            PayloadType::TRANSFORM,
            &self.transforms,
            Transform::emit,
        );
        out
    }
}

impl Transform {
    fn parse(content: &[u8]) -> Result<Self, ParseError> {
        let fault = |fault| ParseError::new(PayloadType::TRANSFORM, fault);
        let mut reader = Reader::new(content);
        let [number, id] = reader.array().map_err(fault)?;
        reader.reserved_u16().map_err(fault)?;
        let attributes = Attribute::parse_all(reader.rest()).map_err(fault)?;
        Ok(Self {
            number,
            id,
            attributes,
        })
    }

    fn emit(&self) -> Vec<u8> {
        let mut out = vec![self.number, self.id, 0, 0];
        Attribute::emit_all(&self.attributes, &mut out);
        out
    }

    /// The first attribute of a class.
    pub fn attribute(&self, class: u16) -> Option<&Attribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.class == class)
    }
}

/// One proposal or transform with its generic header, and whether another follows.
fn part<'a>(reader: &mut Reader<'a>, kind: PayloadType) -> Result<(&'a [u8], bool), ParseError> {
    let fault = |fault| ParseError::new(kind, fault);
    let next = PayloadType(reader.u8().map_err(fault)?);
    if next != kind && next != PayloadType::NONE {
        return Err(fault(Fault::NextPayload {
            found: next,
            expected: kind,
        }));
    }
    let content = reader.after_next_payload().map_err(fault)?;
    Ok((content, next == kind))
}

fn emit_parts<T>(out: &mut Vec<u8>, kind: PayloadType, parts: &[T], emit: impl Fn(&T) -> Vec<u8>) {
    for (index, part) in parts.iter().enumerate() {
        let last = index + 1 == parts.len();
        let next = if last { PayloadType::NONE } else { kind };
        emit_payload(out, next, &emit(part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(body: &[u8]) -> (PayloadType, Fault) {
        match SecurityAssociation::parse(body).expect_err("malformed") {
            ParseError::Payload { payload, fault } => (payload, fault),
            other => panic!("{other}"),
        }
    }

    /// An SA with these bytes of proposals.
    fn sa(proposals: &[u8]) -> Vec<u8> {
        [&[0, 0, 0, 1, 0, 0, 0, 1], proposals].concat()
    }

    #[test]
    fn another_doi_or_situation_is_named() {
        let error = SecurityAssociation::parse(&[0, 0, 0, 2, 1, 2, 3]).expect_err("GDOI");
        assert_eq!(error.unknown_doi(), Some(2));
        assert_eq!(error.unknown_situation(), None);
        let error = SecurityAssociation::parse(&[0, 0, 0, 1, 0, 0, 0, 3]).expect_err("secrecy");
        assert_eq!(error.unknown_situation(), Some(3));
        assert_eq!(error.unknown_doi(), None);
    }

    #[test]
    fn an_sa_without_proposals_or_a_proposal_without_transforms_is_refused() {
        assert_eq!(fault(&sa(&[])), (PayloadType::SA, Fault::Empty("proposal")));
        assert_eq!(
            fault(&sa(&[0, 0, 0, 8, 1, 1, 0, 0])),
            (PayloadType::PROPOSAL, Fault::Empty("transform"))
        );
    }

    #[test]
    fn the_count_of_transforms_must_be_right() {
        let one = [0, 0, 0, 8, 1, 1, 0, 0];
        assert_eq!(
            fault(&sa(&[&[0, 0, 0, 16, 1, 1, 0, 2][..], &one].concat())),
            (
                PayloadType::PROPOSAL,
                Fault::Count {
                    what: "transforms",
                    told: 2,
                    found: 1
                }
            )
        );
        let more = [3, 0, 0, 8, 1, 1, 0, 0];
        assert_eq!(
            fault(&sa(&[&[0, 0, 0, 24, 1, 1, 0, 1][..], &more, &one].concat())),
            (
                PayloadType::PROPOSAL,
                Fault::Count {
                    what: "transforms",
                    told: 1,
                    found: 2
                }
            )
        );
    }

    #[test]
    fn nothing_but_a_proposal_follows_a_proposal() {
        assert_eq!(
            fault(&sa(&[4, 0, 0, 8, 1, 1, 0, 0])),
            (
                PayloadType::PROPOSAL,
                Fault::NextPayload {
                    found: PayloadType::KE,
                    expected: PayloadType::PROPOSAL
                }
            )
        );
        assert_eq!(
            fault(&sa(&[0, 0, 0, 16, 1, 1, 0, 1, 2, 0, 0, 8, 1, 1, 0, 0])),
            (
                PayloadType::TRANSFORM,
                Fault::NextPayload {
                    found: PayloadType::PROPOSAL,
                    expected: PayloadType::TRANSFORM
                }
            )
        );
    }

    #[test]
    fn reserved_fields_of_a_transform_must_be_zero() {
        assert_eq!(
            fault(&sa(&[0, 0, 0, 16, 1, 1, 0, 1, 0, 0, 0, 8, 1, 1, 1, 0])),
            (PayloadType::TRANSFORM, Fault::Reserved(0x100))
        );
    }

    #[test]
    fn bytes_left_over_are_refused_where_they_are() {
        assert_eq!(
            fault(&sa(&[0, 0, 0, 17, 1, 1, 0, 1, 0, 0, 0, 8, 1, 1, 0, 0, 9])),
            (PayloadType::PROPOSAL, Fault::Trailing(1))
        );
        assert_eq!(
            fault(&sa(&[0, 0, 0, 16, 1, 1, 0, 1, 0, 0, 0, 8, 1, 1, 0, 0, 9])),
            (PayloadType::SA, Fault::Trailing(1))
        );
    }

    #[test]
    fn an_spi_longer_than_its_proposal_is_refused() {
        assert_eq!(
            fault(&sa(&[0, 0, 0, 8, 1, 1, 255, 1])),
            (
                PayloadType::PROPOSAL,
                Fault::Truncated {
                    needed: 255,
                    available: 0
                }
            )
        );
    }

    #[test]
    fn a_bundle_of_esp_and_ipcomp_is_read_and_written_as_strongswan_5_9_8_sends_it() {
        let sent = [
            2, 0, 0, 0x28, 1, 3, 4, 1, 0xcf, 0x28, 0x79, 0x5f, // ESP, number 1
            0, 0, 0, 0x1c, 1, 20, 0, 0, 0x80, 6, 0, 0x80, 0x80, 3, 0, 31, // AES-GCM
            0x80, 4, 0, 1, 0x80, 1, 0, 1, 0x80, 2, 0x0f, 0x78, //
            0, 0, 0, 0x1e, 1, 4, 2, 1, 0xbf, 0xaa, // IPCOMP, number 1
            0, 0, 0, 0x14, 1, 2, 0, 0, // DEFLATE
            0x80, 4, 0, 1, 0x80, 1, 0, 1, 0x80, 2, 0x0f, 0x78,
        ];
        let parsed = SecurityAssociation::parse(&sa(&sent)).expect("an SA");
        let [esp, ipcomp] = parsed.proposals.as_slice() else {
            panic!("{parsed:?}")
        };
        assert_eq!((esp.number, esp.protocol), (1, ProtocolId::ESP));
        assert_eq!((ipcomp.number, ipcomp.protocol), (1, ProtocolId::IPCOMP));
        assert_eq!(ipcomp.transforms[0].id, crate::ipsec::IPCOMP_DEFLATE);
        assert_eq!((esp.cpi(), ipcomp.cpi()), (None, Some(0xbfaa)));
        assert_eq!(parsed.emit(), sa(&sent));
    }

    #[test]
    fn a_cpi_has_two_bytes_or_is_the_last_two_of_four() {
        let cpi = |spi: &[u8]| {
            let proposal = Proposal {
                number: 1,
                protocol: ProtocolId::IPCOMP,
                spi: spi.to_vec(),
                transforms: Vec::new(),
            };
            proposal.cpi()
        };
        assert_eq!(cpi(&[0x12, 0x34]), Some(0x1234));
        assert_eq!(cpi(&[0, 0, 0x12, 0x34]), Some(0x1234));
        // What stands before them is ignored.
        assert_eq!(cpi(&[9, 9, 0x12, 0x34]), Some(0x1234));
        for other in [&[][..], &[1], &[1, 2, 3], &[1, 2, 3, 4, 5]] {
            assert_eq!(cpi(other), None);
        }
    }

    #[test]
    fn an_attribute_is_found_by_its_class() {
        let transform = Transform {
            number: 1,
            id: 1,
            attributes: vec![Attribute::short(1, 7), Attribute::short(14, 256)],
        };
        assert_eq!(transform.attribute(14), Some(&Attribute::short(14, 256)));
        assert_eq!(transform.attribute(2), None);
    }
}
