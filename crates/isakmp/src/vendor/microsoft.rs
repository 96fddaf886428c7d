//! Vendor IDs of Windows ([MS-IKEE], [MS-AIPS]).

use super::{Vendor, VendorKind};

/// Windows 2000 ([MS-IKEE] appendix A).
pub const WINDOWS_2000: Vendor = Vendor::whole(
    "Windows 2000",
    b"\x1e\x2b\x51\x69\x05\x99\x1c\x7d\x7c\x96\xfc\xbf\xb5\x87\xe4\x61\x00\x00\x00\x02",
    VendorKind::Software,
)
.md5_of("MS NT5 ISAKMPOAKLEY", 16)
.software();

/// Windows XP ([MS-IKEE] appendix A).
pub const WINDOWS_XP: Vendor = Vendor::whole(
    "Windows XP",
    b"\x1e\x2b\x51\x69\x05\x99\x1c\x7d\x7c\x96\xfc\xbf\xb5\x87\xe4\x61\x00\x00\x00\x03",
    VendorKind::Software,
)
.md5_of("MS NT5 ISAKMPOAKLEY", 16)
.software();

/// Windows Server 2003 ([MS-IKEE] appendix A).
pub const WINDOWS_2003: Vendor = Vendor::whole(
    "Windows Server 2003",
    b"\x1e\x2b\x51\x69\x05\x99\x1c\x7d\x7c\x96\xfc\xbf\xb5\x87\xe4\x61\x00\x00\x00\x04",
    VendorKind::Software,
)
.md5_of("MS NT5 ISAKMPOAKLEY", 16)
.software();

/// Windows Vista ([MS-IKEE] appendix A).
pub const WINDOWS_VISTA: Vendor = Vendor::whole(
    "Windows Vista",
    b"\x1e\x2b\x51\x69\x05\x99\x1c\x7d\x7c\x96\xfc\xbf\xb5\x87\xe4\x61\x00\x00\x00\x05",
    VendorKind::Software,
)
.md5_of("MS NT5 ISAKMPOAKLEY", 16)
.software();

/// Windows Server 2008 ([MS-IKEE] appendix A).
pub const WINDOWS_2008: Vendor = Vendor::whole(
    "Windows Server 2008",
    b"\x1e\x2b\x51\x69\x05\x99\x1c\x7d\x7c\x96\xfc\xbf\xb5\x87\xe4\x61\x00\x00\x00\x06",
    VendorKind::Software,
)
.md5_of("MS NT5 ISAKMPOAKLEY", 16)
.software();

/// Windows 7 ([MS-IKEE] appendix A).
pub const WINDOWS_7: Vendor = Vendor::whole(
    "Windows 7",
    b"\x1e\x2b\x51\x69\x05\x99\x1c\x7d\x7c\x96\xfc\xbf\xb5\x87\xe4\x61\x00\x00\x00\x07",
    VendorKind::Software,
)
.md5_of("MS NT5 ISAKMPOAKLEY", 16)
.software();

/// Windows Server 2008 R2 ([MS-IKEE] appendix A).
pub const WINDOWS_2008_R2: Vendor = Vendor::whole(
    "Windows Server 2008 R2",
    b"\x1e\x2b\x51\x69\x05\x99\x1c\x7d\x7c\x96\xfc\xbf\xb5\x87\xe4\x61\x00\x00\x00\x08",
    VendorKind::Software,
)
.md5_of("MS NT5 ISAKMPOAKLEY", 16)
.software();

/// Windows 8 or later ([MS-IKEE] appendix A); 10, 11 and Server 2012 to 2025 send the same.
pub const WINDOWS_8: Vendor = Vendor::whole(
    "Windows 8 or later",
    b"\x1e\x2b\x51\x69\x05\x99\x1c\x7d\x7c\x96\xfc\xbf\xb5\x87\xe4\x61\x00\x00\x00\x09",
    VendorKind::Software,
)
.md5_of("MS NT5 ISAKMPOAKLEY", 16)
.software();

/// Windows of a version without a name here.
pub const MS_NT5_ISAKMPOAKLEY: Vendor = Vendor::prefix(
    "Windows",
    b"\x1e\x2b\x51\x69\x05\x99\x1c\x7d\x7c\x96\xfc\xbf\xb5\x87\xe4\x61",
    VendorKind::Software,
)
.md5_of("MS NT5 ISAKMPOAKLEY", 16)
.software();

/// `KEY_MODS` of Windows 8 and later ([MS-IKEE]) for 0 IKE, 1 AuthIP, 2 IKEv2, in the four bytes that follow.
pub const MS_KEY_MODS: Vendor = Vendor::prefix_of(
    20,
    "Windows keying modules",
    b"\x01\x52\x8b\xbb\xc0\x06\x96\x12\x18\x49\xab\x9a\x1c\x5b\x2a\x51",
    VendorKind::KeyMods,
)
.software();

/// `AUTHIP_INIT_KE_DH_GROUP` of Windows 8 and later ([MS-IKEE]): the group in the four bytes that follow.
pub const MS_AUTHIP_INIT_KE_DH_GROUP: Vendor = Vendor::prefix_of(
    20,
    "AuthIP initial group",
    b"\x7b\xb9\x38\x67\xd7\x6c\x8d\x80\xdf\x0f\x40\xfa\xe8\xfc\x3b\x19",
    VendorKind::AuthIpInitialGroup,
)
.software();

/// The peer speaks AuthIP ([MS-AIPS]).
pub const MS_MAMIEEXISTS: Vendor = Vendor::whole(
    "MS-MamieExists",
    b"\x21\x4c\xa4\xfa\xff\xa7\xf3\x2d\x67\x48\xe5\x30\x33\x95\xae\x83",
    VendorKind::AuthIp,
)
.md5_of("MS-MamieExists", 16)
.software();

/// Negotiation discovery ([MS-IKEE]).
pub const MS_NEGOTIATION_DISCOVERY: Vendor = Vendor::whole(
    "MS-Negotiation Discovery Capable",
    b"\xfb\x1d\xe3\xcd\xf3\x41\xb7\xea\x16\xb7\xe5\xbe\x08\x55\xf1\x20",
    VendorKind::NegotiationDiscovery,
)
.md5_of("MS-Negotiation Discovery Capable", 16)
.software();

/// INITIAL-CONTACT as Windows announces it.
pub const VID_INITIAL_CONTACT: Vendor = Vendor::whole(
    "Vid-Initial-Contact",
    b"\x26\x24\x4d\x38\xed\xdb\x61\xb3\x17\x2a\x36\xe3\xd0\xcf\xb8\x19",
    VendorKind::InitialContact,
)
.md5_of("Vid-Initial-Contact", 16)
.software();

/// Cryptographically generated addresses ([MS-IKEE]).
pub const IKE_CGA: Vendor = Vendor::whole(
    "IKE CGA version 1",
    b"\xe3\xa5\x96\x6a\x76\x37\x9f\xe7\x07\x22\x82\x31\xe5\xce\x86\x52",
    VendorKind::Cga,
)
.md5_of("IKE CGA version 1", 16)
.software();

/// A cluster of Windows hosts that fails over.
pub const MS_NLBS_PRESENT: Vendor = Vendor::whole(
    "Windows network load balancing",
    b"\x72\x87\x2b\x95\xfc\xda\x2e\xb7\x08\xef\xe3\x22\x11\x9b\x49\x71",
    VendorKind::Other,
)
.md5_of("NLBS_PRESENT", 16)
.software();

/// A realm of Windows hosts; its name follows.
pub const MS_SECURITY_REALM: Vendor = Vendor::prefix(
    "Windows security realm",
    b"\x68\x6a\x8c\xbd\xfe\x63\x4b\x40\x51\x46\xfb\x2b\xaf\x33\xe9\xe8",
    VendorKind::Other,
)
.md5_of("MSFT IPsec Security Realm Id", 16)
.software();

/// Kerberos in IKE (draft-ietf-ipsec-isakmp-gss-auth).
pub const GSSAPI_LONG: Vendor = Vendor::whole(
    "GSS-API for IKE",
    b"\xad\x2c\x0d\xd0\xb9\xc3\x20\x83\xcc\xba\x25\xb8\x86\x1e\xc4\x55",
    VendorKind::Other,
)
.md5_of("A GSS-API Authentication Method for IKE", 16);

/// The same with a newline in the text.
pub const GSSAPI_LONG_N: Vendor = Vendor::whole(
    "GSS-API for IKE (with newline)",
    b"\xb4\x6d\x89\x14\xf3\xaa\xa3\xf2\xfe\xde\xb7\xc7\xdb\x29\x43\xca",
    VendorKind::Other,
)
.md5_of("A GSS-API Authentication Method for IKE\n", 16);

/// Kerberos in IKE, as Windows 2000 understands it.
pub const GSSAPI: Vendor = Vendor::whole(
    "GSSAPI",
    b"\x62\x1b\x04\xbb\x09\x88\x2a\xc1\xe1\x59\x35\xfe\xfa\x24\xae\xee",
    VendorKind::Other,
)
.md5_of("GSSAPI", 16);

/// All of them, the special before the general.
pub(super) const ALL: &[Vendor] = &[
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
];
