//! Vendor IDs that tell what a peer runs, other than Windows. Those without a text are facts of public
//! captures.

use super::{Vendor, VendorKind};

/// Cisco VPN 3000; two bytes of version follow.
pub const CISCO_VPN_3000: Vendor = Vendor::prefix_of(
    16,
    "Cisco VPN 3000 Concentrator",
    b"\x1f\x07\xf7\x0e\xaa\x65\x14\xd3\xb0\xfa\x96\x54\x2a\x50",
    VendorKind::Software,
)
.md5_of("ALTIGA GATEWAY", 14)
.software();

/// Cisco's VPN client.
pub const CISCO_VPN_CLIENT: Vendor = Vendor::whole(
    "Cisco VPN Client",
    b"\xf6\xf7\xef\xc7\xf5\xae\xb8\xcb\x15\x8c\xb9\xd0\x94\xba\x69\xe7",
    VendorKind::Software,
)
.md5_of("ALTIGA NETWORKS", 16)
.software();

/// Cisco VPN, revision 2.
pub const CISCO_VPN_REV_02: Vendor = Vendor::whole(
    "Cisco VPN, revision 2",
    b"CISCOVPN-REV-02",
    VendorKind::Software,
)
.software();

/// Cisco, with a reason in deletes.
pub const CISCO_DELETE_REASON: Vendor = Vendor::whole(
    "Cisco, with a reason in deletes",
    b"CISCO-DELETE-REASON",
    VendorKind::Software,
)
.software();

/// Cisco, with dynamic routes.
pub const CISCO_DYNAMIC_ROUTE: Vendor = Vendor::whole(
    "Cisco, with dynamic routes",
    b"CISCO-DYNAMIC-ROUTE",
    VendorKind::Software,
)
.software();

/// Cisco, with its flexible VPN.
pub const CISCO_FLEXVPN: Vendor =
    Vendor::whole("Cisco FlexVPN", b"FLEXVPN-SUPPORTED", VendorKind::Software).software();

/// Cisco; its copyright notice follows.
pub const CISCO_COPYRIGHT: Vendor =
    Vendor::prefix("Cisco", b"CISCO(COPYRIGHT)", VendorKind::Software).software();

/// Cisco IOS; bytes that change follow.
pub const CISCO_IOS: Vendor =
    Vendor::prefix("Cisco IOS", b"\x3e\x98\x40\x48", VendorKind::Software).software();

/// strongSwan.
pub const STRONGSWAN: Vendor = Vendor::whole(
    "strongSwan",
    b"\x88\x2f\xe5\x6d\x6f\xd2\x0d\xbc\x22\x51\x61\x3b\x2e\xbe\x5b\xeb",
    VendorKind::Software,
)
.md5_of("strongSwan", 16)
.software();

/// strongSwan 4.0.7.
pub const STRONGSWAN_4_0_7: Vendor = Vendor::whole(
    "strongSwan 4.0.7",
    b"\xab\x07\x46\x22\x1c\xc8\xfd\x0d\x52\x38\xf7\x3a\x9b\x3d\xa5\x57",
    VendorKind::Software,
)
.md5_of("strongSwan 4.0.7", 16)
.software();

/// strongSwan 4.1.11.
pub const STRONGSWAN_4_1_11: Vendor = Vendor::whole(
    "strongSwan 4.1.11",
    b"\xb7\xbd\x9f\x2f\x97\x8e\x32\x59\xa7\xaa\x9f\x7a\x13\x96\xad\x6c",
    VendorKind::Software,
)
.md5_of("strongSwan 4.1.11", 16)
.software();

/// strongSwan 4.2.3.
pub const STRONGSWAN_4_2_3: Vendor = Vendor::whole(
    "strongSwan 4.2.3",
    b"\x2d\x1f\x40\x61\x18\xfb\xd5\xd2\x84\x74\x79\x1f\xfa\x00\x48\x8a",
    VendorKind::Software,
)
.md5_of("strongSwan 4.2.3", 16)
.software();

/// libreswan; its version follows as text.
pub const LIBRESWAN: Vendor =
    Vendor::prefix("libreswan", b"OE-Libreswan-", VendorKind::Software).software();

/// Openswan and FreeS/WAN: ten printable characters that stand for the build follow.
pub const OPENSWAN: Vendor =
    Vendor::prefix_of(12, "Openswan", b"OE", VendorKind::Software).software();

/// racoon (IPsec-Tools).
pub const IPSEC_TOOLS: Vendor = Vendor::whole(
    "racoon (IPsec-Tools)",
    b"\x20\xa3\x62\x2c\x1c\xea\x7c\xe3\x7b\xee\x3c\xa4\x84\x42\x52\x76",
    VendorKind::Software,
)
.md5_of("IPSec-Tools", 16)
.software();

/// racoon (KAME).
pub const KAME_RACOON: Vendor = Vendor::whole(
    "racoon (KAME)",
    b"\x70\x03\xcb\xc1\x09\x7d\xbe\x9c\x26\x00\xba\x69\x83\xbc\x8b\x35",
    VendorKind::Software,
)
.md5_of("KAME/racoon", 16)
.software();

/// Mac OS 10.
pub const APPLE_MAC_OS: Vendor =
    Vendor::whole("Mac OS 10", b"Mac OSX 10.x", VendorKind::Software).software();

/// Juniper's `ScreenOS`; four bytes of version follow.
pub const HEARTBEAT_NOTIFY: Vendor = Vendor::prefix(
    "Juniper ScreenOS heartbeat",
    b"HeartBeat_Notify",
    VendorKind::Software,
)
.software();

/// Check Point; its version follows.
pub const CHECK_POINT: Vendor = Vendor::prefix(
    "Check Point",
    b"\xf4\xed\x19\xe0\xc1\x14\xeb\x51\x6f\xaa\xac\x0e\xe3\x7d\xaf\x28\x07\xb4\x38\x1f",
    VendorKind::Software,
)
.software();

/// SonicWall.
pub const SONICWALL: Vendor = Vendor::prefix_of(
    8,
    "SonicWall",
    b"\x5b\x36\x2b\xc8\x20\xf6",
    VendorKind::Software,
)
.software();

/// SonicWall (a).
pub const SONICWALL_A: Vendor = Vendor::whole(
    "SonicWall (a)",
    b"\x40\x4b\xf4\x39\x52\x2c\xa3\xf6",
    VendorKind::Software,
)
.software();

/// SonicWall (b).
pub const SONICWALL_B: Vendor = Vendor::whole(
    "SonicWall (b)",
    b"\xda\x8e\x93\x78\x80\x01\x00\x00",
    VendorKind::Software,
)
.software();

/// Fortinet.
pub const FORTIGATE: Vendor = Vendor::whole(
    "FortiGate",
    b"\x1d\x6e\x17\x8f\x6c\x2c\x0b\xe2\x84\x98\x54\x65\x45\x0f\xe9\xd4",
    VendorKind::Software,
)
.software();

/// Juniper, before it ran Junos.
pub const NETSCREEN: Vendor = Vendor::prefix(
    "Juniper NetScreen",
    b"\x69\x93\x69\x22\x87\x41\xc6\xd4\xca\x09\x4c\x93\xe2\x42\xc9\xde\x19\xe7\xb7\xc6",
    VendorKind::Software,
)
.software();

/// Juniper SRX.
pub const JUNIPER_SRX: Vendor = Vendor::prefix(
    "Juniper SRX",
    b"\xfd\x80\x88\x04\xdf\x73\xb1\x51\x50\x70\x9d\x87\x80\x44\xcd\xe0\xac\x1e\xfc\xde",
    VendorKind::Software,
)
.software();

/// A router of Zyxel.
pub const ZYXEL_ROUTER: Vendor = Vendor::whole(
    "ZyXEL ZyWALL router",
    b"\xb8\x58\xd1\xad\xdd\x08\xc1\xe8\xad\xaf\xea\x15\x06\x08\xaa\x44\x97\xaa\x6c\xc8",
    VendorKind::Software,
)
.software();

/// A gateway of Zyxel.
pub const ZYXEL: Vendor = Vendor::whole(
    "ZyXEL ZyWALL",
    b"\x62\x50\x27\x74\x9d\x5a\xb9\x7f\x56\x16\xc1\x60\x27\x65\xcf\x48\x0a\x3b\x7d\x0b",
    VendorKind::Software,
)
.software();

/// Nortel Contivity.
pub const NORTEL_CONTIVITY: Vendor =
    Vendor::prefix_of(8, "Nortel Contivity", b"BNES", VendorKind::Software).software();

/// SSH Sentinel.
pub const SSH_SENTINEL: Vendor = Vendor::whole(
    "SSH Sentinel",
    b"\x05\x41\x82\xa0\x7c\x7a\xe2\x06\xf9\xd2\xcf\x9d\x24\x32\xc4\x82",
    VendorKind::Software,
)
.md5_of("SSH Sentinel", 16)
.software();

/// All of them, the special before the general.
pub(super) const ALL: &[Vendor] = &[
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
