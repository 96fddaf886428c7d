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
    md5_of: Some(("RFC 3947", 16)),
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
    md5_of: Some(("draft-ietf-ipsec-nat-t-ike-00", 16)),
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
    md5_of: Some(("draft-ietf-ipsec-nat-t-ike-01", 16)),
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
    md5_of: Some(("draft-ietf-ipsec-nat-t-ike-02", 16)),
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
    md5_of: Some(("draft-ietf-ipsec-nat-t-ike-02\n", 16)),
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
    md5_of: Some(("draft-ietf-ipsec-nat-t-ike-03", 16)),
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
    md5_of: Some(("draft-ietf-ipsec-nat-t-ike-04", 16)),
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
    md5_of: Some(("draft-ietf-ipsec-nat-t-ike-05", 16)),
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
    md5_of: Some(("draft-ietf-ipsec-nat-t-ike-06", 16)),
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
    md5_of: Some(("draft-ietf-ipsec-nat-t-ike-07", 16)),
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
    md5_of: Some(("draft-ietf-ipsec-nat-t-ike-08", 16)),
    matching: Match::Whole,
    kind: VendorKind::NatTDraft(8),
    software: false,
};

/// NAT traversal without a draft number, as Apple's racoon sends it beside others.
pub const NAT_T_APPLE: Vendor = Vendor {
    name: "draft-ietf-ipsec-nat-t-ike",
    id: &[
        0x4d, 0xf3, 0x79, 0x28, 0xe9, 0xfc, 0x4f, 0xd1, 0xb3, 0x26, 0x21, 0x70, 0xd5, 0x15, 0xc6,
        0x62,
    ],
    md5_of: Some(("draft-ietf-ipsec-nat-t-ike", 16)),
    matching: Match::Whole,
    kind: VendorKind::Other,
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

/// Dead peer detection of a version that RFC 3706 does not have.
pub const DPD_OTHER: Vendor = Vendor {
    name: "Dead Peer Detection, another version",
    id: &[
        0xaf, 0xca, 0xd7, 0x13, 0x68, 0xa1, 0xf1, 0xc9, 0x6b, 0x86, 0x96, 0xfc, 0x77, 0x57,
    ],
    md5_of: None,
    matching: Match::PrefixOf(16),
    kind: VendorKind::Other,
    software: false,
};

/// IKE fragmentation as Windows sends it. Four bytes of capabilities may follow: 0x80000000 with strongSwan, 0xc0000000 with Cisco.
pub const FRAGMENTATION: Vendor = Vendor {
    name: "IKE fragmentation",
    id: &[
        0x40, 0x48, 0xb7, 0xd5, 0x6e, 0xbc, 0xe8, 0x85, 0x25, 0xe7, 0xde, 0x7f, 0x00, 0xd6, 0xc2,
        0xd3,
    ],
    md5_of: Some(("FRAGMENTATION", 16)),
    matching: Match::Prefix,
    kind: VendorKind::Fragmentation,
    software: false,
};

/// XAUTH (draft-beaulieu-ike-xauth-02 section 3).
pub const XAUTH: Vendor = Vendor {
    name: "XAUTH",
    id: &[0x09, 0x00, 0x26, 0x89, 0xdf, 0xd6, 0xb7, 0x12],
    md5_of: Some(("draft-ietf-ipsra-isakmp-xauth-06.txt", 8)),
    matching: Match::Whole,
    kind: VendorKind::XAuth,
    software: false,
};

/// Cisco Unity, version 1.0: 14 bytes of the hash and the version.
pub const CISCO_UNITY: Vendor = Vendor {
    name: "Cisco Unity",
    id: &[
        0x12, 0xf5, 0xf2, 0x8c, 0x45, 0x71, 0x68, 0xa9, 0x70, 0x2d, 0x9f, 0xe2, 0x74, 0xcc, 0x01,
        0x00,
    ],
    md5_of: Some(("CISCO-UNITY", 14)),
    matching: Match::Whole,
    kind: VendorKind::CiscoUnity,
    software: false,
};

/// Cisco Unity of another version.
pub const CISCO_UNITY_OTHER: Vendor = Vendor {
    name: "Cisco Unity, another version",
    id: &[
        0x12, 0xf5, 0xf2, 0x8c, 0x45, 0x71, 0x68, 0xa9, 0x70, 0x2d, 0x9f, 0xe2, 0x74, 0xcc,
    ],
    md5_of: Some(("CISCO-UNITY", 14)),
    matching: Match::PrefixOf(16),
    kind: VendorKind::CiscoUnity,
    software: false,
};

/// Cisco VPN 3000; two bytes of version follow.
pub const CISCO_VPN_3000: Vendor = Vendor {
    name: "Cisco VPN 3000 Concentrator",
    id: &[
        0x1f, 0x07, 0xf7, 0x0e, 0xaa, 0x65, 0x14, 0xd3, 0xb0, 0xfa, 0x96, 0x54, 0x2a, 0x50,
    ],
    md5_of: Some(("ALTIGA GATEWAY", 14)),
    matching: Match::PrefixOf(16),
    kind: VendorKind::Software,
    software: true,
};

/// Cisco's VPN client.
pub const CISCO_VPN_CLIENT: Vendor = Vendor {
    name: "Cisco VPN Client",
    id: &[
        0xf6, 0xf7, 0xef, 0xc7, 0xf5, 0xae, 0xb8, 0xcb, 0x15, 0x8c, 0xb9, 0xd0, 0x94, 0xba, 0x69,
        0xe7,
    ],
    md5_of: Some(("ALTIGA NETWORKS", 16)),
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// Cisco VPN, revision 2.
pub const CISCO_VPN_REV_02: Vendor = Vendor {
    name: "Cisco VPN, revision 2",
    id: &[
        0x43, 0x49, 0x53, 0x43, 0x4f, 0x56, 0x50, 0x4e, 0x2d, 0x52, 0x45, 0x56, 0x2d, 0x30, 0x32,
    ],
    md5_of: None,
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// Cisco, with a reason in deletes.
pub const CISCO_DELETE_REASON: Vendor = Vendor {
    name: "Cisco, with a reason in deletes",
    id: &[
        0x43, 0x49, 0x53, 0x43, 0x4f, 0x2d, 0x44, 0x45, 0x4c, 0x45, 0x54, 0x45, 0x2d, 0x52, 0x45,
        0x41, 0x53, 0x4f, 0x4e,
    ],
    md5_of: None,
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// Cisco, with dynamic routes.
pub const CISCO_DYNAMIC_ROUTE: Vendor = Vendor {
    name: "Cisco, with dynamic routes",
    id: &[
        0x43, 0x49, 0x53, 0x43, 0x4f, 0x2d, 0x44, 0x59, 0x4e, 0x41, 0x4d, 0x49, 0x43, 0x2d, 0x52,
        0x4f, 0x55, 0x54, 0x45,
    ],
    md5_of: None,
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// Cisco FlexVPN.
pub const CISCO_FLEXVPN: Vendor = Vendor {
    name: "Cisco FlexVPN",
    id: &[
        0x46, 0x4c, 0x45, 0x58, 0x56, 0x50, 0x4e, 0x2d, 0x53, 0x55, 0x50, 0x50, 0x4f, 0x52, 0x54,
        0x45, 0x44,
    ],
    md5_of: None,
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// Cisco; its copyright notice follows.
pub const CISCO_COPYRIGHT: Vendor = Vendor {
    name: "Cisco",
    id: &[
        0x43, 0x49, 0x53, 0x43, 0x4f, 0x28, 0x43, 0x4f, 0x50, 0x59, 0x52, 0x49, 0x47, 0x48, 0x54,
        0x29,
    ],
    md5_of: None,
    matching: Match::Prefix,
    kind: VendorKind::Software,
    software: true,
};

/// Cisco IOS; bytes that change follow.
pub const CISCO_IOS: Vendor = Vendor {
    name: "Cisco IOS",
    id: &[0x3e, 0x98, 0x40, 0x48],
    md5_of: None,
    matching: Match::Prefix,
    kind: VendorKind::Software,
    software: true,
};

/// strongSwan.
pub const STRONGSWAN: Vendor = Vendor {
    name: "strongSwan",
    id: &[
        0x88, 0x2f, 0xe5, 0x6d, 0x6f, 0xd2, 0x0d, 0xbc, 0x22, 0x51, 0x61, 0x3b, 0x2e, 0xbe, 0x5b,
        0xeb,
    ],
    md5_of: Some(("strongSwan", 16)),
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// strongSwan 4.0.7.
pub const STRONGSWAN_4_0_7: Vendor = Vendor {
    name: "strongSwan 4.0.7",
    id: &[
        0xab, 0x07, 0x46, 0x22, 0x1c, 0xc8, 0xfd, 0x0d, 0x52, 0x38, 0xf7, 0x3a, 0x9b, 0x3d, 0xa5,
        0x57,
    ],
    md5_of: Some(("strongSwan 4.0.7", 16)),
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// strongSwan 4.1.11.
pub const STRONGSWAN_4_1_11: Vendor = Vendor {
    name: "strongSwan 4.1.11",
    id: &[
        0xb7, 0xbd, 0x9f, 0x2f, 0x97, 0x8e, 0x32, 0x59, 0xa7, 0xaa, 0x9f, 0x7a, 0x13, 0x96, 0xad,
        0x6c,
    ],
    md5_of: Some(("strongSwan 4.1.11", 16)),
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// strongSwan 4.2.3.
pub const STRONGSWAN_4_2_3: Vendor = Vendor {
    name: "strongSwan 4.2.3",
    id: &[
        0x2d, 0x1f, 0x40, 0x61, 0x18, 0xfb, 0xd5, 0xd2, 0x84, 0x74, 0x79, 0x1f, 0xfa, 0x00, 0x48,
        0x8a,
    ],
    md5_of: Some(("strongSwan 4.2.3", 16)),
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// libreswan; its version follows as text.
pub const LIBRESWAN: Vendor = Vendor {
    name: "libreswan",
    id: &[
        0x4f, 0x45, 0x2d, 0x4c, 0x69, 0x62, 0x72, 0x65, 0x73, 0x77, 0x61, 0x6e, 0x2d,
    ],
    md5_of: None,
    matching: Match::Prefix,
    kind: VendorKind::Software,
    software: true,
};

/// Openswan and FreeS/WAN: ten printable characters that stand for the build follow.
pub const OPENSWAN: Vendor = Vendor {
    name: "Openswan",
    id: &[0x4f, 0x45],
    md5_of: None,
    matching: Match::PrefixOf(12),
    kind: VendorKind::Software,
    software: true,
};

/// racoon (IPsec-Tools).
pub const IPSEC_TOOLS: Vendor = Vendor {
    name: "racoon (IPsec-Tools)",
    id: &[
        0x20, 0xa3, 0x62, 0x2c, 0x1c, 0xea, 0x7c, 0xe3, 0x7b, 0xee, 0x3c, 0xa4, 0x84, 0x42, 0x52,
        0x76,
    ],
    md5_of: Some(("IPSec-Tools", 16)),
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// racoon (KAME).
pub const KAME_RACOON: Vendor = Vendor {
    name: "racoon (KAME)",
    id: &[
        0x70, 0x03, 0xcb, 0xc1, 0x09, 0x7d, 0xbe, 0x9c, 0x26, 0x00, 0xba, 0x69, 0x83, 0xbc, 0x8b,
        0x35,
    ],
    md5_of: Some(("KAME/racoon", 16)),
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// Mac OS 10.
pub const APPLE_MAC_OS: Vendor = Vendor {
    name: "Mac OS 10",
    id: &[
        0x4d, 0x61, 0x63, 0x20, 0x4f, 0x53, 0x58, 0x20, 0x31, 0x30, 0x2e, 0x78,
    ],
    md5_of: None,
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// Windows 2000 ([MS-IKEE] appendix A).
pub const WINDOWS_2000: Vendor = Vendor {
    name: "Windows 2000",
    id: &[
        0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d, 0x7c, 0x96, 0xfc, 0xbf, 0xb5, 0x87, 0xe4,
        0x61, 0x00, 0x00, 0x00, 0x02,
    ],
    md5_of: Some(("MS NT5 ISAKMPOAKLEY", 16)),
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// Windows XP ([MS-IKEE] appendix A).
pub const WINDOWS_XP: Vendor = Vendor {
    name: "Windows XP",
    id: &[
        0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d, 0x7c, 0x96, 0xfc, 0xbf, 0xb5, 0x87, 0xe4,
        0x61, 0x00, 0x00, 0x00, 0x03,
    ],
    md5_of: Some(("MS NT5 ISAKMPOAKLEY", 16)),
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// Windows Server 2003 ([MS-IKEE] appendix A).
pub const WINDOWS_2003: Vendor = Vendor {
    name: "Windows Server 2003",
    id: &[
        0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d, 0x7c, 0x96, 0xfc, 0xbf, 0xb5, 0x87, 0xe4,
        0x61, 0x00, 0x00, 0x00, 0x04,
    ],
    md5_of: Some(("MS NT5 ISAKMPOAKLEY", 16)),
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// Windows Vista ([MS-IKEE] appendix A).
pub const WINDOWS_VISTA: Vendor = Vendor {
    name: "Windows Vista",
    id: &[
        0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d, 0x7c, 0x96, 0xfc, 0xbf, 0xb5, 0x87, 0xe4,
        0x61, 0x00, 0x00, 0x00, 0x05,
    ],
    md5_of: Some(("MS NT5 ISAKMPOAKLEY", 16)),
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// Windows Server 2008 ([MS-IKEE] appendix A).
pub const WINDOWS_2008: Vendor = Vendor {
    name: "Windows Server 2008",
    id: &[
        0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d, 0x7c, 0x96, 0xfc, 0xbf, 0xb5, 0x87, 0xe4,
        0x61, 0x00, 0x00, 0x00, 0x06,
    ],
    md5_of: Some(("MS NT5 ISAKMPOAKLEY", 16)),
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// Windows 7 ([MS-IKEE] appendix A).
pub const WINDOWS_7: Vendor = Vendor {
    name: "Windows 7",
    id: &[
        0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d, 0x7c, 0x96, 0xfc, 0xbf, 0xb5, 0x87, 0xe4,
        0x61, 0x00, 0x00, 0x00, 0x07,
    ],
    md5_of: Some(("MS NT5 ISAKMPOAKLEY", 16)),
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// Windows Server 2008 R2 ([MS-IKEE] appendix A).
pub const WINDOWS_2008_R2: Vendor = Vendor {
    name: "Windows Server 2008 R2",
    id: &[
        0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d, 0x7c, 0x96, 0xfc, 0xbf, 0xb5, 0x87, 0xe4,
        0x61, 0x00, 0x00, 0x00, 0x08,
    ],
    md5_of: Some(("MS NT5 ISAKMPOAKLEY", 16)),
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// Windows 8 or later ([MS-IKEE] appendix A); 10, 11 and Server 2012 to 2025 send the same.
pub const WINDOWS_8: Vendor = Vendor {
    name: "Windows 8 or later",
    id: &[
        0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d, 0x7c, 0x96, 0xfc, 0xbf, 0xb5, 0x87, 0xe4,
        0x61, 0x00, 0x00, 0x00, 0x09,
    ],
    md5_of: Some(("MS NT5 ISAKMPOAKLEY", 16)),
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
    md5_of: Some(("MS NT5 ISAKMPOAKLEY", 16)),
    matching: Match::Prefix,
    kind: VendorKind::Software,
    software: true,
};

/// KEY_MODS of Windows 8 and later ([MS-IKEE]) for 0 IKE, 1 AuthIP, 2 IKEv2, in the four bytes that follow.
pub const MS_KEY_MODS: Vendor = Vendor {
    name: "Windows keying modules",
    id: &[
        0x01, 0x52, 0x8b, 0xbb, 0xc0, 0x06, 0x96, 0x12, 0x18, 0x49, 0xab, 0x9a, 0x1c, 0x5b, 0x2a,
        0x51,
    ],
    md5_of: None,
    matching: Match::PrefixOf(20),
    kind: VendorKind::KeyMods,
    software: true,
};

/// AUTHIP_INIT_KE_DH_GROUP of Windows 8 and later ([MS-IKEE]): 0 none, 1 group 1, 2 group 2, 3 group 14, 4 ECP 256, 5 ECP 384 follow.
pub const MS_AUTHIP_INIT_KE_DH_GROUP: Vendor = Vendor {
    name: "AuthIP initial group",
    id: &[
        0x7b, 0xb9, 0x38, 0x67, 0xd7, 0x6c, 0x8d, 0x80, 0xdf, 0x0f, 0x40, 0xfa, 0xe8, 0xfc, 0x3b,
        0x19,
    ],
    md5_of: None,
    matching: Match::PrefixOf(20),
    kind: VendorKind::AuthIpInitialGroup,
    software: true,
};

/// The peer speaks AuthIP ([MS-AIPS]).
pub const MS_MAMIEEXISTS: Vendor = Vendor {
    name: "MS-MamieExists",
    id: &[
        0x21, 0x4c, 0xa4, 0xfa, 0xff, 0xa7, 0xf3, 0x2d, 0x67, 0x48, 0xe5, 0x30, 0x33, 0x95, 0xae,
        0x83,
    ],
    md5_of: Some(("MS-MamieExists", 16)),
    matching: Match::Whole,
    kind: VendorKind::AuthIp,
    software: true,
};

/// Negotiation discovery ([MS-IKEE]).
pub const MS_NEGOTIATION_DISCOVERY: Vendor = Vendor {
    name: "MS-Negotiation Discovery Capable",
    id: &[
        0xfb, 0x1d, 0xe3, 0xcd, 0xf3, 0x41, 0xb7, 0xea, 0x16, 0xb7, 0xe5, 0xbe, 0x08, 0x55, 0xf1,
        0x20,
    ],
    md5_of: Some(("MS-Negotiation Discovery Capable", 16)),
    matching: Match::Whole,
    kind: VendorKind::NegotiationDiscovery,
    software: true,
};

/// INITIAL-CONTACT as Windows announces it.
pub const VID_INITIAL_CONTACT: Vendor = Vendor {
    name: "Vid-Initial-Contact",
    id: &[
        0x26, 0x24, 0x4d, 0x38, 0xed, 0xdb, 0x61, 0xb3, 0x17, 0x2a, 0x36, 0xe3, 0xd0, 0xcf, 0xb8,
        0x19,
    ],
    md5_of: Some(("Vid-Initial-Contact", 16)),
    matching: Match::Whole,
    kind: VendorKind::InitialContact,
    software: true,
};

/// Cryptographically generated addresses ([MS-IKEE]).
pub const IKE_CGA: Vendor = Vendor {
    name: "IKE CGA version 1",
    id: &[
        0xe3, 0xa5, 0x96, 0x6a, 0x76, 0x37, 0x9f, 0xe7, 0x07, 0x22, 0x82, 0x31, 0xe5, 0xce, 0x86,
        0x52,
    ],
    md5_of: Some(("IKE CGA version 1", 16)),
    matching: Match::Whole,
    kind: VendorKind::Cga,
    software: true,
};

/// A cluster of Windows hosts that fails over.
pub const MS_NLBS_PRESENT: Vendor = Vendor {
    name: "Windows network load balancing",
    id: &[
        0x72, 0x87, 0x2b, 0x95, 0xfc, 0xda, 0x2e, 0xb7, 0x08, 0xef, 0xe3, 0x22, 0x11, 0x9b, 0x49,
        0x71,
    ],
    md5_of: Some(("NLBS_PRESENT", 16)),
    matching: Match::Whole,
    kind: VendorKind::Other,
    software: true,
};

/// A realm of Windows hosts; its name follows.
pub const MS_SECURITY_REALM: Vendor = Vendor {
    name: "Windows security realm",
    id: &[
        0x68, 0x6a, 0x8c, 0xbd, 0xfe, 0x63, 0x4b, 0x40, 0x51, 0x46, 0xfb, 0x2b, 0xaf, 0x33, 0xe9,
        0xe8,
    ],
    md5_of: Some(("MSFT IPsec Security Realm Id", 16)),
    matching: Match::Prefix,
    kind: VendorKind::Other,
    software: true,
};

/// Kerberos in IKE (draft-ietf-ipsec-isakmp-gss-auth).
pub const GSSAPI_LONG: Vendor = Vendor {
    name: "GSS-API for IKE",
    id: &[
        0xad, 0x2c, 0x0d, 0xd0, 0xb9, 0xc3, 0x20, 0x83, 0xcc, 0xba, 0x25, 0xb8, 0x86, 0x1e, 0xc4,
        0x55,
    ],
    md5_of: Some(("A GSS-API Authentication Method for IKE", 16)),
    matching: Match::Whole,
    kind: VendorKind::Other,
    software: false,
};

/// The same with a newline in the text.
pub const GSSAPI_LONG_N: Vendor = Vendor {
    name: "GSS-API for IKE (with newline)",
    id: &[
        0xb4, 0x6d, 0x89, 0x14, 0xf3, 0xaa, 0xa3, 0xf2, 0xfe, 0xde, 0xb7, 0xc7, 0xdb, 0x29, 0x43,
        0xca,
    ],
    md5_of: Some(("A GSS-API Authentication Method for IKE\n", 16)),
    matching: Match::Whole,
    kind: VendorKind::Other,
    software: false,
};

/// Kerberos in IKE, as Windows 2000 understands it.
pub const GSSAPI: Vendor = Vendor {
    name: "GSSAPI",
    id: &[
        0x62, 0x1b, 0x04, 0xbb, 0x09, 0x88, 0x2a, 0xc1, 0xe1, 0x59, 0x35, 0xfe, 0xfa, 0x24, 0xae,
        0xee,
    ],
    md5_of: Some(("GSSAPI", 16)),
    matching: Match::Whole,
    kind: VendorKind::Other,
    software: false,
};

/// ScreenOS; four bytes of version follow.
pub const HEARTBEAT_NOTIFY: Vendor = Vendor {
    name: "Juniper ScreenOS heartbeat",
    id: &[
        0x48, 0x65, 0x61, 0x72, 0x74, 0x42, 0x65, 0x61, 0x74, 0x5f, 0x4e, 0x6f, 0x74, 0x69, 0x66,
        0x79,
    ],
    md5_of: None,
    matching: Match::Prefix,
    kind: VendorKind::Software,
    software: true,
};

/// Check Point; its version follows.
pub const CHECK_POINT: Vendor = Vendor {
    name: "Check Point",
    id: &[
        0xf4, 0xed, 0x19, 0xe0, 0xc1, 0x14, 0xeb, 0x51, 0x6f, 0xaa, 0xac, 0x0e, 0xe3, 0x7d, 0xaf,
        0x28, 0x07, 0xb4, 0x38, 0x1f,
    ],
    md5_of: None,
    matching: Match::Prefix,
    kind: VendorKind::Software,
    software: true,
};

/// SonicWall.
pub const SONICWALL: Vendor = Vendor {
    name: "SonicWall",
    id: &[0x5b, 0x36, 0x2b, 0xc8, 0x20, 0xf6],
    md5_of: None,
    matching: Match::PrefixOf(8),
    kind: VendorKind::Software,
    software: true,
};

/// SonicWall (a).
pub const SONICWALL_A: Vendor = Vendor {
    name: "SonicWall (a)",
    id: &[0x40, 0x4b, 0xf4, 0x39, 0x52, 0x2c, 0xa3, 0xf6],
    md5_of: None,
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// SonicWall (b).
pub const SONICWALL_B: Vendor = Vendor {
    name: "SonicWall (b)",
    id: &[0xda, 0x8e, 0x93, 0x78, 0x80, 0x01, 0x00, 0x00],
    md5_of: None,
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// FortiGate.
pub const FORTIGATE: Vendor = Vendor {
    name: "FortiGate",
    id: &[
        0x1d, 0x6e, 0x17, 0x8f, 0x6c, 0x2c, 0x0b, 0xe2, 0x84, 0x98, 0x54, 0x65, 0x45, 0x0f, 0xe9,
        0xd4,
    ],
    md5_of: None,
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// Juniper NetScreen.
pub const NETSCREEN: Vendor = Vendor {
    name: "Juniper NetScreen",
    id: &[
        0x69, 0x93, 0x69, 0x22, 0x87, 0x41, 0xc6, 0xd4, 0xca, 0x09, 0x4c, 0x93, 0xe2, 0x42, 0xc9,
        0xde, 0x19, 0xe7, 0xb7, 0xc6,
    ],
    md5_of: None,
    matching: Match::Prefix,
    kind: VendorKind::Software,
    software: true,
};

/// Juniper SRX.
pub const JUNIPER_SRX: Vendor = Vendor {
    name: "Juniper SRX",
    id: &[
        0xfd, 0x80, 0x88, 0x04, 0xdf, 0x73, 0xb1, 0x51, 0x50, 0x70, 0x9d, 0x87, 0x80, 0x44, 0xcd,
        0xe0, 0xac, 0x1e, 0xfc, 0xde,
    ],
    md5_of: None,
    matching: Match::Prefix,
    kind: VendorKind::Software,
    software: true,
};

/// ZyXEL ZyWALL router.
pub const ZYXEL_ROUTER: Vendor = Vendor {
    name: "ZyXEL ZyWALL router",
    id: &[
        0xb8, 0x58, 0xd1, 0xad, 0xdd, 0x08, 0xc1, 0xe8, 0xad, 0xaf, 0xea, 0x15, 0x06, 0x08, 0xaa,
        0x44, 0x97, 0xaa, 0x6c, 0xc8,
    ],
    md5_of: None,
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// ZyXEL ZyWALL.
pub const ZYXEL: Vendor = Vendor {
    name: "ZyXEL ZyWALL",
    id: &[
        0x62, 0x50, 0x27, 0x74, 0x9d, 0x5a, 0xb9, 0x7f, 0x56, 0x16, 0xc1, 0x60, 0x27, 0x65, 0xcf,
        0x48, 0x0a, 0x3b, 0x7d, 0x0b,
    ],
    md5_of: None,
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
};

/// Nortel Contivity.
pub const NORTEL_CONTIVITY: Vendor = Vendor {
    name: "Nortel Contivity",
    id: &[0x42, 0x4e, 0x45, 0x53],
    md5_of: None,
    matching: Match::PrefixOf(8),
    kind: VendorKind::Software,
    software: true,
};

/// SSH Sentinel.
pub const SSH_SENTINEL: Vendor = Vendor {
    name: "SSH Sentinel",
    id: &[
        0x05, 0x41, 0x82, 0xa0, 0x7c, 0x7a, 0xe2, 0x06, 0xf9, 0xd2, 0xcf, 0x9d, 0x24, 0x32, 0xc4,
        0x82,
    ],
    md5_of: Some(("SSH Sentinel", 16)),
    matching: Match::Whole,
    kind: VendorKind::Software,
    software: true,
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
    NAT_T_APPLE,
    DPD,
    DPD_OTHER,
    FRAGMENTATION,
    XAUTH,
    CISCO_UNITY,
    CISCO_UNITY_OTHER,
    CISCO_VPN_3000,
    CISCO_VPN_CLIENT,
    CISCO_VPN_REV_02,
    CISCO_DELETE_REASON,
    CISCO_DYNAMIC_ROUTE,
    CISCO_FLEXVPN,
    CISCO_COPYRIGHT,
    CISCO_IOS,
    STRONGSWAN,
    STRONGSWAN_4_0_7,
    STRONGSWAN_4_1_11,
    STRONGSWAN_4_2_3,
    LIBRESWAN,
    OPENSWAN,
    IPSEC_TOOLS,
    KAME_RACOON,
    APPLE_MAC_OS,
    WINDOWS_2000,
    WINDOWS_XP,
    WINDOWS_2003,
    WINDOWS_VISTA,
    WINDOWS_2008,
    WINDOWS_7,
    WINDOWS_2008_R2,
    WINDOWS_8,
    MS_NT5_ISAKMPOAKLEY,
    MS_KEY_MODS,
    MS_AUTHIP_INIT_KE_DH_GROUP,
    MS_MAMIEEXISTS,
    MS_NEGOTIATION_DISCOVERY,
    VID_INITIAL_CONTACT,
    IKE_CGA,
    MS_NLBS_PRESENT,
    MS_SECURITY_REALM,
    GSSAPI_LONG,
    GSSAPI_LONG_N,
    GSSAPI,
    HEARTBEAT_NOTIFY,
    CHECK_POINT,
    SONICWALL,
    SONICWALL_A,
    SONICWALL_B,
    FORTIGATE,
    NETSCREEN,
    JUNIPER_SRX,
    ZYXEL_ROUTER,
    ZYXEL,
    NORTEL_CONTIVITY,
    SSH_SENTINEL,
];
