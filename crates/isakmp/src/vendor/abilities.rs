//! Vendor IDs that tell what a peer can do. Most are the MD5 of a text, which a test computes.

use super::{Vendor, VendorKind};

/// NAT traversal (RFC 3947 section 3.1).
pub const NAT_T_RFC3947: Vendor = Vendor::whole(
    "RFC 3947 NAT traversal",
    b"\x4a\x13\x1c\x81\x07\x03\x58\x45\x5c\x57\x28\xf2\x0e\x95\x45\x2f",
    VendorKind::NatTRfc3947,
)
.md5_of("RFC 3947", 16);

/// NAT traversal, draft 00.
pub const NAT_T_DRAFT_00: Vendor = Vendor::whole(
    "draft-ietf-ipsec-nat-t-ike-00",
    b"\x44\x85\x15\x2d\x18\xb6\xbb\xcd\x0b\xe8\xa8\x46\x95\x79\xdd\xcc",
    VendorKind::NatTDraft(0),
)
.md5_of("draft-ietf-ipsec-nat-t-ike-00", 16);

/// NAT traversal, draft 01.
pub const NAT_T_DRAFT_01: Vendor = Vendor::whole(
    "draft-ietf-ipsec-nat-t-ike-01",
    b"\x16\xf6\xca\x16\xe4\xa4\x06\x6d\x83\x82\x1a\x0f\x0a\xea\xa8\x62",
    VendorKind::NatTDraft(1),
)
.md5_of("draft-ietf-ipsec-nat-t-ike-01", 16);

/// NAT traversal, draft 02.
pub const NAT_T_DRAFT_02: Vendor = Vendor::whole(
    "draft-ietf-ipsec-nat-t-ike-02",
    b"\xcd\x60\x46\x43\x35\xdf\x21\xf8\x7c\xfd\xb2\xfc\x68\xb6\xa4\x48",
    VendorKind::NatTDraft(2),
)
.md5_of("draft-ietf-ipsec-nat-t-ike-02", 16);

/// NAT traversal, draft 02, whose text was hashed with a newline; the usual one on the wire.
pub const NAT_T_DRAFT_02N: Vendor = Vendor::whole(
    "draft-ietf-ipsec-nat-t-ike-02 (with newline)",
    b"\x90\xcb\x80\x91\x3e\xbb\x69\x6e\x08\x63\x81\xb5\xec\x42\x7b\x1f",
    VendorKind::NatTDraft(2),
)
.md5_of("draft-ietf-ipsec-nat-t-ike-02\n", 16);

/// NAT traversal, draft 03.
pub const NAT_T_DRAFT_03: Vendor = Vendor::whole(
    "draft-ietf-ipsec-nat-t-ike-03",
    b"\x7d\x94\x19\xa6\x53\x10\xca\x6f\x2c\x17\x9d\x92\x15\x52\x9d\x56",
    VendorKind::NatTDraft(3),
)
.md5_of("draft-ietf-ipsec-nat-t-ike-03", 16);

/// NAT traversal, draft 04.
pub const NAT_T_DRAFT_04: Vendor = Vendor::whole(
    "draft-ietf-ipsec-nat-t-ike-04",
    b"\x99\x09\xb6\x4e\xed\x93\x7c\x65\x73\xde\x52\xac\xe9\x52\xfa\x6b",
    VendorKind::NatTDraft(4),
)
.md5_of("draft-ietf-ipsec-nat-t-ike-04", 16);

/// NAT traversal, draft 05.
pub const NAT_T_DRAFT_05: Vendor = Vendor::whole(
    "draft-ietf-ipsec-nat-t-ike-05",
    b"\x80\xd0\xbb\x3d\xef\x54\x56\x5e\xe8\x46\x45\xd4\xc8\x5c\xe3\xee",
    VendorKind::NatTDraft(5),
)
.md5_of("draft-ietf-ipsec-nat-t-ike-05", 16);

/// NAT traversal, draft 06.
pub const NAT_T_DRAFT_06: Vendor = Vendor::whole(
    "draft-ietf-ipsec-nat-t-ike-06",
    b"\x4d\x1e\x0e\x13\x6d\xea\xfa\x34\xc4\xf3\xea\x9f\x02\xec\x72\x85",
    VendorKind::NatTDraft(6),
)
.md5_of("draft-ietf-ipsec-nat-t-ike-06", 16);

/// NAT traversal, draft 07.
pub const NAT_T_DRAFT_07: Vendor = Vendor::whole(
    "draft-ietf-ipsec-nat-t-ike-07",
    b"\x43\x9b\x59\xf8\xba\x67\x6c\x4c\x77\x37\xae\x22\xea\xb8\xf5\x82",
    VendorKind::NatTDraft(7),
)
.md5_of("draft-ietf-ipsec-nat-t-ike-07", 16);

/// NAT traversal, draft 08.
pub const NAT_T_DRAFT_08: Vendor = Vendor::whole(
    "draft-ietf-ipsec-nat-t-ike-08",
    b"\x8f\x8d\x83\x82\x6d\x24\x6b\x6f\xc7\xa8\xa6\xa4\x28\xc1\x1d\xe8",
    VendorKind::NatTDraft(8),
)
.md5_of("draft-ietf-ipsec-nat-t-ike-08", 16);

/// NAT traversal without a draft number, as Apple's racoon sends it beside others.
pub const NAT_T_APPLE: Vendor = Vendor::whole(
    "draft-ietf-ipsec-nat-t-ike",
    b"\x4d\xf3\x79\x28\xe9\xfc\x4f\xd1\xb3\x26\x21\x70\xd5\x15\xc6\x62",
    VendorKind::Other,
)
.md5_of("draft-ietf-ipsec-nat-t-ike", 16);

/// Dead peer detection, version 1.0 (RFC 3706 section 5.1).
pub const DPD: Vendor = Vendor::whole(
    "Dead Peer Detection",
    b"\xaf\xca\xd7\x13\x68\xa1\xf1\xc9\x6b\x86\x96\xfc\x77\x57\x01\x00",
    VendorKind::Dpd,
);

/// Dead peer detection of a version that RFC 3706 does not have.
pub const DPD_OTHER: Vendor = Vendor::prefix_of(
    16,
    "Dead Peer Detection, another version",
    b"\xaf\xca\xd7\x13\x68\xa1\xf1\xc9\x6b\x86\x96\xfc\x77\x57",
    VendorKind::Other,
);

/// IKE fragmentation as Windows sends it. Four bytes of capabilities may follow: 0x80000000 with strongSwan, 0xc0000000 with Cisco.
pub const FRAGMENTATION: Vendor = Vendor::prefix(
    "IKE fragmentation",
    b"\x40\x48\xb7\xd5\x6e\xbc\xe8\x85\x25\xe7\xde\x7f\x00\xd6\xc2\xd3",
    VendorKind::Fragmentation,
)
.md5_of("FRAGMENTATION", 16);

/// XAUTH (draft-beaulieu-ike-xauth-02 section 3).
pub const XAUTH: Vendor = Vendor::whole(
    "XAUTH",
    b"\x09\x00\x26\x89\xdf\xd6\xb7\x12",
    VendorKind::XAuth,
)
.md5_of("draft-ietf-ipsra-isakmp-xauth-06.txt", 8);

/// Cisco Unity, version 1.0: 14 bytes of the hash and the version.
pub const CISCO_UNITY: Vendor = Vendor::whole(
    "Cisco Unity",
    b"\x12\xf5\xf2\x8c\x45\x71\x68\xa9\x70\x2d\x9f\xe2\x74\xcc\x01\x00",
    VendorKind::CiscoUnity,
)
.md5_of("CISCO-UNITY", 14);

/// Cisco Unity of another version.
pub const CISCO_UNITY_OTHER: Vendor = Vendor::prefix_of(
    16,
    "Cisco Unity, another version",
    b"\x12\xf5\xf2\x8c\x45\x71\x68\xa9\x70\x2d\x9f\xe2\x74\xcc",
    VendorKind::CiscoUnity,
)
.md5_of("CISCO-UNITY", 14);

/// All of them, the special before the general.
pub(super) const ALL: &[Vendor] = &[
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
];
