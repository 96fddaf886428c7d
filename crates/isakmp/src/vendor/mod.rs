//! Vendor IDs (RFC 2408 section 3.16): what a peer is or can do, by name.

mod abilities;
mod microsoft;
mod products;

pub use abilities::{
    CISCO_UNITY, CISCO_UNITY_OTHER, DPD, DPD_OTHER, FRAGMENTATION, NAT_T_APPLE, NAT_T_DRAFT_00,
    NAT_T_DRAFT_01, NAT_T_DRAFT_02, NAT_T_DRAFT_02N, NAT_T_DRAFT_03, NAT_T_DRAFT_04,
    NAT_T_DRAFT_05, NAT_T_DRAFT_06, NAT_T_DRAFT_07, NAT_T_DRAFT_08, NAT_T_RFC3947, XAUTH,
};
pub use microsoft::{
    GSSAPI, GSSAPI_LONG, GSSAPI_LONG_N, IKE_CGA, MS_AUTHIP_INIT_KE_DH_GROUP, MS_KEY_MODS,
    MS_MAMIEEXISTS, MS_NEGOTIATION_DISCOVERY, MS_NLBS_PRESENT, MS_NT5_ISAKMPOAKLEY,
    MS_SECURITY_REALM, VID_INITIAL_CONTACT, WINDOWS_7, WINDOWS_8, WINDOWS_2000, WINDOWS_2003,
    WINDOWS_2008, WINDOWS_2008_R2, WINDOWS_VISTA, WINDOWS_XP,
};
pub use products::{
    APPLE_MAC_OS, CHECK_POINT, CISCO_COPYRIGHT, CISCO_DELETE_REASON, CISCO_DYNAMIC_ROUTE,
    CISCO_FLEXVPN, CISCO_IOS, CISCO_VPN_3000, CISCO_VPN_CLIENT, CISCO_VPN_REV_02, FORTIGATE,
    HEARTBEAT_NOTIFY, IPSEC_TOOLS, JUNIPER_SRX, KAME_RACOON, LIBRESWAN, NETSCREEN,
    NORTEL_CONTIVITY, OPENSWAN, SONICWALL, SONICWALL_A, SONICWALL_B, SSH_SENTINEL, STRONGSWAN,
    STRONGSWAN_4_0_7, STRONGSWAN_4_1_11, STRONGSWAN_4_2_3, ZYXEL, ZYXEL_ROUTER,
};

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
    const fn new(name: &'static str, id: &'static [u8], kind: VendorKind, matching: Match) -> Self {
        Self {
            name,
            id,
            md5_of: None,
            matching,
            kind,
            software: matches!(kind, VendorKind::Software),
        }
    }

    const fn whole(name: &'static str, id: &'static [u8], kind: VendorKind) -> Self {
        Self::new(name, id, kind, Match::Whole)
    }

    const fn prefix(name: &'static str, id: &'static [u8], kind: VendorKind) -> Self {
        Self::new(name, id, kind, Match::Prefix)
    }

    const fn prefix_of(
        length: usize,
        name: &'static str,
        id: &'static [u8],
        kind: VendorKind,
    ) -> Self {
        Self::new(name, id, kind, Match::PrefixOf(length))
    }

    const fn md5_of(self, text: &'static str, bytes: usize) -> Self {
        Self {
            md5_of: Some((text, bytes)),
            ..self
        }
    }

    /// Sent by one product alone, though it names an ability.
    const fn software(self) -> Self {
        Self {
            software: true,
            ..self
        }
    }

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

/// Every vendor ID that is known here.
pub fn all() -> impl Iterator<Item = &'static Vendor> {
    [abilities::ALL, microsoft::ALL, products::ALL]
        .into_iter()
        .flatten()
}

/// Looks a received vendor ID up. Each list goes from the special to the general, so that a version that
/// is known by name is found before the product.
pub fn recognise(received: &[u8]) -> Option<KnownVendor> {
    all()
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

#[cfg(test)]
mod tests {
    use md5::{Digest, Md5};

    use super::*;

    #[test]
    fn an_id_that_is_the_hash_of_a_text_is_that_hash() {
        let mut hashed = 0;
        for vendor in all() {
            if let Some((text, bytes)) = vendor.md5_of {
                let digest = Md5::digest(text.as_bytes());
                assert_eq!(vendor.id[..bytes], digest[..bytes], "{text}");
                hashed += 1;
            }
        }
        assert!(hashed >= 40, "most of the table");
    }

    #[test]
    fn every_id_is_recognised_as_itself() {
        for vendor in all() {
            let mut received = vendor.id.to_vec();
            if let Match::PrefixOf(length) = vendor.matching {
                // No version that has a row of its own.
                received.resize(length, 0xee);
            }
            let known = recognise(&received).expect("in the table");
            assert_eq!(known.name, vendor.name);
            assert_eq!(known.kind, vendor.kind);
            assert_eq!(known.software, vendor.software);
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = all().map(|vendor| vendor.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all().count());
    }

    #[test]
    fn windows_is_named_by_its_version_and_known_without() {
        let windows = |version: u32| {
            let id = [MS_NT5_ISAKMPOAKLEY.id, &version.to_be_bytes()].concat();
            recognise(&id).expect("Windows").name
        };
        assert_eq!(windows(2), "Windows 2000");
        assert_eq!(windows(7), "Windows 7");
        assert_eq!(windows(9), "Windows 8 or later");
        assert_eq!(windows(0x4711), "Windows");
        assert_eq!(
            recognise(MS_NT5_ISAKMPOAKLEY.id).expect("Windows").name,
            "Windows"
        );
    }

    #[test]
    fn libreswan_is_known_in_any_version_and_openswan_by_its_form() {
        let name = |id: &[u8]| recognise(id).map(|known| known.name);
        assert_eq!(name(b"OE-Libreswan-4.12"), Some("libreswan"));
        assert_eq!(name(b"OEhbSQ_[OAM["), Some("Openswan"));
        assert_eq!(name(b"OEhbSQ_[OAM"), None);
    }

    #[test]
    fn fragmentation_tells_its_capabilities() {
        let with = |word: &[u8]| [FRAGMENTATION.id, word].concat();
        assert_eq!(
            fragmentation_capabilities(&with(&[0x80, 0, 0, 0])),
            Some(0x8000_0000)
        );
        assert_eq!(
            fragmentation_capabilities(&with(&[0xc0, 0, 0, 0])),
            Some(0xc000_0000)
        );
        assert_eq!(fragmentation_capabilities(FRAGMENTATION.id), None);
        assert_eq!(fragmentation_capabilities(b"else"), None);
        for id in [with(&[]), with(&[0x80, 0, 0, 0])] {
            let known = recognise(&id).expect("fragmentation");
            assert_eq!(known.kind, VendorKind::Fragmentation);
            assert!(!known.software);
        }
    }

    #[test]
    fn what_nobody_knows_is_not_recognised() {
        assert_eq!(recognise(&[]), None);
        assert_eq!(recognise(b"nobody's"), None);
        // One byte short, one too many.
        assert_eq!(recognise(&NAT_T_RFC3947.id[..15]), None);
        assert_eq!(recognise(&[NAT_T_RFC3947.id, &[0]].concat()), None);
    }
}
