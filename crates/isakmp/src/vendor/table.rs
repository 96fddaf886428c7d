//! The table of vendor IDs. Most are the MD5 of a text, which a test computes; the others are facts
//! of public captures and specifications.

use super::{Match, Vendor, VendorKind};

/// NAT traversal (RFC 3947 section 3.1).
pub const NAT_T_RFC3947: Vendor = Vendor {
    name: "RFC 3947 NAT traversal",
    id: &[
        0x4a, 0x13, 0x1c, 0x81, 0x07, 0x03, 0x58, 0x45, 0x5c, 0x57, 0x28, 0xf2, 0x0e, 0x95, 0x45,
        0x2f,
    ],
    md5_of: Some("RFC 3947"),
    matching: Match::Whole,
    kind: VendorKind::NatTRfc3947,
    software: false,
};

/// NAT traversal, draft 00.
pub const NAT_T_DRAFT_00: Vendor = Vendor {
    name: "draft-ietf-ipsec-nat-t-ike-00",
    id: &[
        0x44, 0x85, 0x15, 0x2d, 0x18, 0xb6, 0xbb, 0xcd, 0x0b, 0xe8, 0xa8, 0x46, 0x95, 0x79, 0xdd,
        0xcc,
    ],
    md5_of: Some("draft-ietf-ipsec-nat-t-ike-00"),
    matching: Match::Whole,
    kind: VendorKind::NatTDraft(0),
    software: false,
};

/// NAT traversal, draft 01.
pub const NAT_T_DRAFT_01: Vendor = Vendor {
    name: "draft-ietf-ipsec-nat-t-ike-01",
    id: &[
        0x16, 0xf6, 0xca, 0x16, 0xe4, 0xa4, 0x06, 0x6d, 0x83, 0x82, 0x1a, 0x0f, 0x0a, 0xea, 0xa8,
        0x62,
    ],
    md5_of: Some("draft-ietf-ipsec-nat-t-ike-01"),
    matching: Match::Whole,
    kind: VendorKind::NatTDraft(1),
    software: false,
};

/// NAT traversal, draft 02.
pub const NAT_T_DRAFT_02: Vendor = Vendor {
    name: "draft-ietf-ipsec-nat-t-ike-02",
    id: &[
        0xcd, 0x60, 0x46, 0x43, 0x35, 0xdf, 0x21, 0xf8, 0x7c, 0xfd, 0xb2, 0xfc, 0x68, 0xb6, 0xa4,
        0x48,
    ],
    md5_of: Some("draft-ietf-ipsec-nat-t-ike-02"),
    matching: Match::Whole,
    kind: VendorKind::NatTDraft(2),
    software: false,
};

/// NAT traversal, draft 02, whose text was hashed with a newline; the usual one on the wire.
pub const NAT_T_DRAFT_02N: Vendor = Vendor {
    name: "draft-ietf-ipsec-nat-t-ike-02 (with newline)",
    id: &[
        0x90, 0xcb, 0x80, 0x91, 0x3e, 0xbb, 0x69, 0x6e, 0x08, 0x63, 0x81, 0xb5, 0xec, 0x42, 0x7b,
        0x1f,
    ],
    md5_of: Some("draft-ietf-ipsec-nat-t-ike-02\n"),
    matching: Match::Whole,
    kind: VendorKind::NatTDraft(2),
    software: false,
};

/// NAT traversal, draft 03.
pub const NAT_T_DRAFT_03: Vendor = Vendor {
    name: "draft-ietf-ipsec-nat-t-ike-03",
    id: &[
        0x7d, 0x94, 0x19, 0xa6, 0x53, 0x10, 0xca, 0x6f, 0x2c, 0x17, 0x9d, 0x92, 0x15, 0x52, 0x9d,
        0x56,
    ],
    md5_of: Some("draft-ietf-ipsec-nat-t-ike-03"),
    matching: Match::Whole,
    kind: VendorKind::NatTDraft(3),
    software: false,
};

/// NAT traversal, draft 04.
pub const NAT_T_DRAFT_04: Vendor = Vendor {
    name: "draft-ietf-ipsec-nat-t-ike-04",
    id: &[
        0x99, 0x09, 0xb6, 0x4e, 0xed, 0x93, 0x7c, 0x65, 0x73, 0xde, 0x52, 0xac, 0xe9, 0x52, 0xfa,
        0x6b,
    ],
    md5_of: Some("draft-ietf-ipsec-nat-t-ike-04"),
    matching: Match::Whole,
    kind: VendorKind::NatTDraft(4),
    software: false,
};

/// NAT traversal, draft 05.
pub const NAT_T_DRAFT_05: Vendor = Vendor {
    name: "draft-ietf-ipsec-nat-t-ike-05",
    id: &[
        0x80, 0xd0, 0xbb, 0x3d, 0xef, 0x54, 0x56, 0x5e, 0xe8, 0x46, 0x45, 0xd4, 0xc8, 0x5c, 0xe3,
        0xee,
    ],
    md5_of: Some("draft-ietf-ipsec-nat-t-ike-05"),
    matching: Match::Whole,
    kind: VendorKind::NatTDraft(5),
    software: false,
};

/// NAT traversal, draft 06.
pub const NAT_T_DRAFT_06: Vendor = Vendor {
    name: "draft-ietf-ipsec-nat-t-ike-06",
    id: &[
        0x4d, 0x1e, 0x0e, 0x13, 0x6d, 0xea, 0xfa, 0x34, 0xc4, 0xf3, 0xea, 0x9f, 0x02, 0xec, 0x72,
        0x85,
    ],
    md5_of: Some("draft-ietf-ipsec-nat-t-ike-06"),
    matching: Match::Whole,
    kind: VendorKind::NatTDraft(6),
    software: false,
};

/// NAT traversal, draft 07.
pub const NAT_T_DRAFT_07: Vendor = Vendor {
    name: "draft-ietf-ipsec-nat-t-ike-07",
    id: &[
        0x43, 0x9b, 0x59, 0xf8, 0xba, 0x67, 0x6c, 0x4c, 0x77, 0x37, 0xae, 0x22, 0xea, 0xb8, 0xf5,
        0x82,
    ],
    md5_of: Some("draft-ietf-ipsec-nat-t-ike-07"),
    matching: Match::Whole,
    kind: VendorKind::NatTDraft(7),
    software: false,
};

/// NAT traversal, draft 08.
pub const NAT_T_DRAFT_08: Vendor = Vendor {
    name: "draft-ietf-ipsec-nat-t-ike-08",
    id: &[
        0x8f, 0x8d, 0x83, 0x82, 0x6d, 0x24, 0x6b, 0x6f, 0xc7, 0xa8, 0xa6, 0xa4, 0x28, 0xc1, 0x1d,
        0xe8,
    ],
    md5_of: Some("draft-ietf-ipsec-nat-t-ike-08"),
    matching: Match::Whole,
    kind: VendorKind::NatTDraft(8),
    software: false,
};

/// Dead peer detection, version 1.0 (RFC 3706 section 5.1).
pub const DPD: Vendor = Vendor {
    name: "Dead Peer Detection",
    id: &[
        0xaf, 0xca, 0xd7, 0x13, 0x68, 0xa1, 0xf1, 0xc9, 0x6b, 0x86, 0x96, 0xfc, 0x77, 0x57, 0x01,
        0x00,
    ],
    md5_of: None,
    matching: Match::Whole,
    kind: VendorKind::Dpd,
    software: false,
};

/// IKE fragmentation; four bytes of capabilities may follow.
pub const FRAGMENTATION: Vendor = Vendor {
    name: "IKE fragmentation",
    id: &[
        0x40, 0x48, 0xb7, 0xd5, 0x6e, 0xbc, 0xe8, 0x85, 0x25, 0xe7, 0xde, 0x7f, 0x00, 0xd6, 0xc2,
        0xd3,
    ],
    md5_of: Some("FRAGMENTATION"),
    matching: Match::Prefix,
    kind: VendorKind::Fragmentation,
    software: false,
};

/// XAUTH (draft-beaulieu-ike-xauth-02 section 3).
pub const XAUTH: Vendor = Vendor {
    name: "XAUTH",
    id: &[0x09, 0x00, 0x26, 0x89, 0xdf, 0xd6, 0xb7, 0x12],
    md5_of: None,
    matching: Match::Whole,
    kind: VendorKind::XAuth,
    software: false,
};

/// Cisco Unity, version 1.0.
pub const CISCO_UNITY: Vendor = Vendor {
    name: "Cisco Unity",
    id: &[
        0x12, 0xf5, 0xf2, 0x8c, 0x45, 0x71, 0x68, 0xa9, 0x70, 0x2d, 0x9f, 0xe2, 0x74, 0xcc, 0x01,
        0x00,
    ],
    md5_of: None,
    matching: Match::Whole,
    kind: VendorKind::CiscoUnity,
    software: false,
};

/// strongSwan.
pub const STRONGSWAN: Vendor = Vendor {
    name: "strongSwan",
    id: &[
        0x88, 0x2f, 0xe5, 0x6d, 0x6f, 0xd2, 0x0d, 0xbc, 0x22, 0x51, 0x61, 0x3b, 0x2e, 0xbe, 0x5b,
        0xeb,
    ],
    md5_of: Some("strongSwan"),
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// Windows 2000.
pub const WINDOWS_2000: Vendor = Vendor {
    name: "Windows 2000",
    id: &[
        0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d, 0x7c, 0x96, 0xfc, 0xbf, 0xb5, 0x87, 0xe4,
        0x61, 0x00, 0x00, 0x00, 0x02,
    ],
    md5_of: Some("MS NT5 ISAKMPOAKLEY"),
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// Windows XP.
pub const WINDOWS_XP: Vendor = Vendor {
    name: "Windows XP",
    id: &[
        0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d, 0x7c, 0x96, 0xfc, 0xbf, 0xb5, 0x87, 0xe4,
        0x61, 0x00, 0x00, 0x00, 0x03,
    ],
    md5_of: Some("MS NT5 ISAKMPOAKLEY"),
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// Windows Server 2003.
pub const WINDOWS_2003: Vendor = Vendor {
    name: "Windows Server 2003",
    id: &[
        0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d, 0x7c, 0x96, 0xfc, 0xbf, 0xb5, 0x87, 0xe4,
        0x61, 0x00, 0x00, 0x00, 0x04,
    ],
    md5_of: Some("MS NT5 ISAKMPOAKLEY"),
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// Windows Vista.
pub const WINDOWS_VISTA: Vendor = Vendor {
    name: "Windows Vista",
    id: &[
        0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d, 0x7c, 0x96, 0xfc, 0xbf, 0xb5, 0x87, 0xe4,
        0x61, 0x00, 0x00, 0x00, 0x05,
    ],
    md5_of: Some("MS NT5 ISAKMPOAKLEY"),
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// Windows Server 2008.
pub const WINDOWS_2008: Vendor = Vendor {
    name: "Windows Server 2008",
    id: &[
        0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d, 0x7c, 0x96, 0xfc, 0xbf, 0xb5, 0x87, 0xe4,
        0x61, 0x00, 0x00, 0x00, 0x06,
    ],
    md5_of: Some("MS NT5 ISAKMPOAKLEY"),
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// Windows 7.
pub const WINDOWS_7: Vendor = Vendor {
    name: "Windows 7",
    id: &[
        0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d, 0x7c, 0x96, 0xfc, 0xbf, 0xb5, 0x87, 0xe4,
        0x61, 0x00, 0x00, 0x00, 0x07,
    ],
    md5_of: Some("MS NT5 ISAKMPOAKLEY"),
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// Windows Server 2008 R2.
pub const WINDOWS_2008_R2: Vendor = Vendor {
    name: "Windows Server 2008 R2",
    id: &[
        0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d, 0x7c, 0x96, 0xfc, 0xbf, 0xb5, 0x87, 0xe4,
        0x61, 0x00, 0x00, 0x00, 0x08,
    ],
    md5_of: Some("MS NT5 ISAKMPOAKLEY"),
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// Windows 8 or later.
pub const WINDOWS_8: Vendor = Vendor {
    name: "Windows 8 or later",
    id: &[
        0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d, 0x7c, 0x96, 0xfc, 0xbf, 0xb5, 0x87, 0xe4,
        0x61, 0x00, 0x00, 0x00, 0x09,
    ],
    md5_of: Some("MS NT5 ISAKMPOAKLEY"),
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// Windows of a version without a name here.
pub const MS_NT5_ISAKMPOAKLEY: Vendor = Vendor {
    name: "Windows",
    id: &[
        0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d, 0x7c, 0x96, 0xfc, 0xbf, 0xb5, 0x87, 0xe4,
        0x61,
    ],
    md5_of: Some("MS NT5 ISAKMPOAKLEY"),
    matching: Match::Prefix,
    kind: VendorKind::Software,
    software: true,
};

/// The peer speaks AuthIP ([MS-AIPS]).
pub const MS_MAMIEEXISTS: Vendor = Vendor {
    name: "MS-MamieExists",
    id: &[
        0x21, 0x4c, 0xa4, 0xfa, 0xff, 0xa7, 0xf3, 0x2d, 0x67, 0x48, 0xe5, 0x30, 0x33, 0x95, 0xae,
        0x83,
    ],
    md5_of: Some("MS-MamieExists"),
    matching: Match::Whole,
    kind: VendorKind::AuthIp,
    software: false,
};

/// Negotiation discovery ([MS-IKEE]).
pub const MS_NEGOTIATION_DISCOVERY: Vendor = Vendor {
    name: "MS-Negotiation Discovery Capable",
    id: &[
        0xfb, 0x1d, 0xe3, 0xcd, 0xf3, 0x41, 0xb7, 0xea, 0x16, 0xb7, 0xe5, 0xbe, 0x08, 0x55, 0xf1,
        0x20,
    ],
    md5_of: Some("MS-Negotiation Discovery Capable"),
    matching: Match::Whole,
    kind: VendorKind::NegotiationDiscovery,
    software: false,
};

/// INITIAL-CONTACT of Windows.
pub const VID_INITIAL_CONTACT: Vendor = Vendor {
    name: "Vid-Initial-Contact",
    id: &[
        0x26, 0x24, 0x4d, 0x38, 0xed, 0xdb, 0x61, 0xb3, 0x17, 0x2a, 0x36, 0xe3, 0xd0, 0xcf, 0xb8,
        0x19,
    ],
    md5_of: Some("Vid-Initial-Contact"),
    matching: Match::Whole,
    kind: VendorKind::InitialContact,
    software: false,
};

/// Cryptographically generated addresses ([MS-IKEE]).
pub const IKE_CGA: Vendor = Vendor {
    name: "IKE CGA version 1",
    id: &[
        0xe3, 0xa5, 0x96, 0x6a, 0x76, 0x37, 0x9f, 0xe7, 0x07, 0x22, 0x82, 0x31, 0xe5, 0xce, 0x86,
        0x52,
    ],
    md5_of: Some("IKE CGA version 1"),
    matching: Match::Whole,
    kind: VendorKind::Cga,
    software: false,
};

/// Every known vendor ID, the special before the general.
pub const VENDORS: &[Vendor] = &[
    NAT_T_RFC3947,
    NAT_T_DRAFT_00,
    NAT_T_DRAFT_01,
    NAT_T_DRAFT_02,
    NAT_T_DRAFT_02N,
    NAT_T_DRAFT_03,
    NAT_T_DRAFT_04,
    NAT_T_DRAFT_05,
    NAT_T_DRAFT_06,
    NAT_T_DRAFT_07,
    NAT_T_DRAFT_08,
    DPD,
    FRAGMENTATION,
    XAUTH,
    CISCO_UNITY,
    STRONGSWAN,
    WINDOWS_2000,
    WINDOWS_XP,
    WINDOWS_2003,
    WINDOWS_VISTA,
    WINDOWS_2008,
    WINDOWS_7,
    WINDOWS_2008_R2,
    WINDOWS_8,
    MS_NT5_ISAKMPOAKLEY,
    MS_MAMIEEXISTS,
    MS_NEGOTIATION_DISCOVERY,
    VID_INITIAL_CONTACT,
    IKE_CGA,
];
