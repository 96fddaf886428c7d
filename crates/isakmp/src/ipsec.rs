//! Numbers of phase 2: transforms and attribute classes of the IPsec DOI (RFC 2407 sections 4.4 and 4.5).

/// Attribute class: life type, of the life duration that follows.
pub const LIFE_TYPE: u16 = 1;
/// Attribute class: life duration, in the unit of the life type before it.
pub const LIFE_DURATION: u16 = 2;
/// Attribute class: group description, for perfect forward secrecy.
pub const GROUP: u16 = 3;
/// Attribute class: encapsulation mode.
pub const ENCAPSULATION_MODE: u16 = 4;
/// Attribute class: authentication algorithm.
pub const AUTH_ALGORITHM: u16 = 5;
/// Attribute class: key length in bits.
pub const KEY_LENGTH: u16 = 6;
/// Attribute class: key rounds.
pub const KEY_ROUNDS: u16 = 7;
/// Attribute class: compression dictionary size.
pub const COMPRESSION_DICTIONARY_SIZE: u16 = 8;
/// Attribute class: private compression algorithm.
pub const COMPRESSION_PRIVATE_ALGORITHM: u16 = 9;
/// Attribute class: extended sequence numbers (RFC 4304).
pub const EXTENDED_SEQUENCE_NUMBER: u16 = 11;

/// Life type: seconds.
pub const LIFE_SECONDS: u16 = 1;
/// Life type: kilobytes.
pub const LIFE_KILOBYTES: u16 = 2;

/// Encapsulation mode: tunnel.
pub const TUNNEL: u16 = 1;
/// Encapsulation mode: transport.
pub const TRANSPORT: u16 = 2;
/// Encapsulation mode: tunnel in UDP (RFC 3947 section 5.1).
pub const UDP_TUNNEL: u16 = 3;
/// Encapsulation mode: transport in UDP (RFC 3947 section 5.1).
pub const UDP_TRANSPORT: u16 = 4;
/// Encapsulation mode: tunnel in UDP, in the drafts before RFC 3947.
pub const UDP_TUNNEL_DRAFT: u16 = 61443;
/// Encapsulation mode: transport in UDP, in the drafts before RFC 3947.
pub const UDP_TRANSPORT_DRAFT: u16 = 61444;

/// Transform of ESP: triple DES.
pub const ESP_3DES: u8 = 3;
/// Transform of ESP: none, authentication alone.
pub const ESP_NULL: u8 = 11;
/// Transform of ESP: AES-CBC (RFC 3602).
pub const ESP_AES: u8 = 12;
/// Transform of ESP: AES-GCM with a 16-byte check value (RFC 4106).
pub const ESP_AES_GCM_16: u8 = 20;

/// Transform of IPComp: DEFLATE (RFC 2394).
pub const IPCOMP_DEFLATE: u8 = 2;
/// The first CPI that can be negotiated: RFC 3173 section 3.3 reserves those below.
pub const FIRST_CPI: u16 = 256;
/// The last CPI that can be negotiated: those above are for private use.
pub const LAST_CPI: u16 = 61439;

/// Authentication algorithm: HMAC-MD5.
pub const HMAC_MD5: u16 = 1;
/// Authentication algorithm: HMAC-SHA-1.
pub const HMAC_SHA1: u16 = 2;
/// Authentication algorithm: HMAC-SHA-256 (RFC 4868).
pub const HMAC_SHA256: u16 = 5;
/// Authentication algorithm: HMAC-SHA-384 (RFC 4868).
pub const HMAC_SHA384: u16 = 6;
/// Authentication algorithm: HMAC-SHA-512 (RFC 4868).
pub const HMAC_SHA512: u16 = 7;
