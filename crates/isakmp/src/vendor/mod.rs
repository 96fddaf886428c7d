//! Vendor IDs (RFC 2408 section 3.16): what a peer is or can do, by name.

mod table;

pub use table::*;

/// How an ID is compared with what was received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Match {
    /// All bytes, and no more.
    Whole,
    /// The first bytes; a version or capabilities follow, or nothing.
    Prefix,
    /// The first bytes of an ID of this many in all.
    PrefixOf(usize),
}

/// What a vendor ID means to a negotiation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum VendorKind {
    /// NAT traversal by RFC 3947.
    NatTRfc3947,
    /// NAT traversal by draft-ietf-ipsec-nat-t-ike of this number.
    NatTDraft(u8),
    /// Dead peer detection (RFC 3706).
    Dpd,
    /// IKE fragmentation.
    Fragmentation,
    /// XAUTH, extended authentication.
    XAuth,
    /// Cisco Unity: mode configuration as Cisco's clients want it.
    CiscoUnity,
    /// The peer speaks AuthIP too ([MS-AIPS] section 1.7).
    AuthIp,
    /// The peer understands negotiation discovery ([MS-IKEE]).
    NegotiationDiscovery,
    /// The peer understands INITIAL-CONTACT as a vendor ID.
    InitialContact,
    /// Cryptographically generated addresses ([MS-IKEE]).
    Cga,
    /// `KEY_MODS` of Windows; the last four bytes name a keying module.
    KeyMods,
    /// Which group a Windows initiator begins AuthIP with; the last four bytes say.
    AuthIpInitialGroup,
    /// Some other ability.
    Other,
    /// Names the peer's software and nothing else.
    Software,
}

/// One vendor ID of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vendor {
    /// What it is called.
    pub name: &'static str,
    /// Its bytes, and what one sends.
    pub id: &'static [u8],
    /// The text whose MD5 it is, and how many bytes of that it begins with.
    pub md5_of: Option<(&'static str, usize)>,
    /// How it is recognised.
    pub matching: Match,
    /// What it means.
    pub kind: VendorKind,
    /// Whether it tells what software the peer runs.
    pub software: bool,
}

impl Vendor {
    /// Whether a received ID is this one.
    pub fn matches(&self, received: &[u8]) -> bool {
        match self.matching {
            Match::Whole => received == self.id,
            Match::Prefix => received.starts_with(self.id),
            Match::PrefixOf(length) => received.len() == length && received.starts_with(self.id),
        }
    }
}

/// A vendor ID that was recognised.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct KnownVendor {
    /// What it is called.
    pub name: &'static str,
    /// Whether it tells what software the peer runs.
    pub software: bool,
    /// What it means.
    pub kind: VendorKind,
}

/// Looks a received vendor ID up. The table goes from the special to the general, so that a version that
/// is known by name is found before the product.
pub fn recognise(received: &[u8]) -> Option<KnownVendor> {
    VENDORS
        .iter()
        .find(|vendor| vendor.matches(received))
        .map(|vendor| KnownVendor {
            name: vendor.name,
            software: vendor.software,
            kind: vendor.kind,
        })
}

/// The capabilities after a fragmentation vendor ID: bit 31 says Main Mode, bit 30 Aggressive Mode.
/// None when the ID is another or has no such word.
pub fn fragmentation_capabilities(received: &[u8]) -> Option<u32> {
    let word = received.strip_prefix(FRAGMENTATION.id)?;
    <[u8; 4]>::try_from(word).ok().map(u32::from_be_bytes)
}
