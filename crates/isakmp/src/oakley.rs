//! Numbers of phase 1: attribute classes and values (RFC 2409 appendix A and later assignments).

/// The one transform of phase 1, `KEY_IKE` (RFC 2407 section 4.4.2.1).
pub const TRANSFORM_KEY_IKE: u8 = 1;

/// Attribute class: encryption algorithm.
pub const ENCRYPTION: u16 = 1;
/// Attribute class: hash algorithm.
pub const HASH: u16 = 2;
/// Attribute class: authentication method.
pub const AUTH_METHOD: u16 = 3;
/// Attribute class: group description.
pub const GROUP: u16 = 4;
/// Attribute class: group type.
pub const GROUP_TYPE: u16 = 5;
/// Attribute class: group prime or irreducible polynomial.
pub const GROUP_PRIME: u16 = 6;
/// Attribute class: group generator one.
pub const GROUP_GENERATOR_ONE: u16 = 7;
/// Attribute class: group generator two.
pub const GROUP_GENERATOR_TWO: u16 = 8;
/// Attribute class: group curve A.
pub const GROUP_CURVE_A: u16 = 9;
/// Attribute class: group curve B.
pub const GROUP_CURVE_B: u16 = 10;
/// Attribute class: life type, of the life duration that follows.
pub const LIFE_TYPE: u16 = 11;
/// Attribute class: life duration, in the unit of the life type before it.
pub const LIFE_DURATION: u16 = 12;
/// Attribute class: pseudo-random function.
pub const PRF: u16 = 13;
/// Attribute class: key length in bits.
pub const KEY_LENGTH: u16 = 14;
/// Attribute class: field size in bits.
pub const FIELD_SIZE: u16 = 15;
/// Attribute class: group order.
pub const GROUP_ORDER: u16 = 16;

/// Life type: seconds.
pub const LIFE_SECONDS: u16 = 1;
/// Life type: kilobytes.
pub const LIFE_KILOBYTES: u16 = 2;

/// Authentication method: pre-shared key.
pub const PRESHARED_KEY: u16 = 1;
/// Authentication method: DSS signatures.
pub const DSS_SIGNATURES: u16 = 2;
/// Authentication method: RSA signatures.
pub const RSA_SIGNATURES: u16 = 3;
/// Authentication method: encryption with RSA.
pub const RSA_ENCRYPTION: u16 = 4;
/// Authentication method: revised encryption with RSA.
pub const RSA_REVISED_ENCRYPTION: u16 = 5;
/// Authentication method: ECDSA with SHA-256 on P-256 (RFC 4754).
pub const ECDSA_P256: u16 = 9;
/// Authentication method: ECDSA with SHA-384 on P-384 (RFC 4754).
pub const ECDSA_P384: u16 = 10;
/// Authentication method: ECDSA with SHA-512 on P-521 (RFC 4754).
pub const ECDSA_P521: u16 = 11;
/// Authentication method: hybrid, the responder by RSA, initiator's side (draft-ietf-ipsec-isakmp-hybrid-auth-05).
pub const HYBRID_INIT_RSA: u16 = 64221;
/// Authentication method: hybrid, the responder by RSA, responder's side.
pub const HYBRID_RESP_RSA: u16 = 64222;
/// Authentication method: hybrid, the responder by DSS, initiator's side.
pub const HYBRID_INIT_DSS: u16 = 64223;
/// Authentication method: hybrid, the responder by DSS, responder's side.
pub const HYBRID_RESP_DSS: u16 = 64224;
/// Authentication method: XAUTH, initiator, pre-shared key (draft-beaulieu-ike-xauth-02). The number is
/// also Kerberos' of Windows 2000, to a peer with that vendor ID.
pub const XAUTH_INIT_PRESHARED: u16 = 65001;
/// Authentication method: XAUTH, responder, pre-shared key.
pub const XAUTH_RESP_PRESHARED: u16 = 65002;
/// Authentication method: XAUTH, initiator, DSS signatures.
pub const XAUTH_INIT_DSS: u16 = 65003;
/// Authentication method: XAUTH, responder, DSS signatures.
pub const XAUTH_RESP_DSS: u16 = 65004;
/// Authentication method: XAUTH, initiator, RSA signatures.
pub const XAUTH_INIT_RSA: u16 = 65005;
/// Authentication method: XAUTH, responder, RSA signatures.
pub const XAUTH_RESP_RSA: u16 = 65006;
/// Authentication method: XAUTH, initiator, encryption with RSA.
pub const XAUTH_INIT_RSA_ENCRYPTION: u16 = 65007;
/// Authentication method: XAUTH, responder, encryption with RSA.
pub const XAUTH_RESP_RSA_ENCRYPTION: u16 = 65008;
/// Authentication method: XAUTH, initiator, revised encryption with RSA.
pub const XAUTH_INIT_RSA_REVISED: u16 = 65009;
/// Authentication method: XAUTH, responder, revised encryption with RSA.
pub const XAUTH_RESP_RSA_REVISED: u16 = 65010;

/// An attribute class in words.
pub fn class_name(class: u16) -> Option<&'static str> {
    Some(match class {
        ENCRYPTION => "encryption algorithm",
        HASH => "hash algorithm",
        AUTH_METHOD => "authentication method",
        GROUP => "group description",
        GROUP_TYPE => "group type",
        GROUP_PRIME => "group prime",
        GROUP_GENERATOR_ONE => "group generator one",
        GROUP_GENERATOR_TWO => "group generator two",
        GROUP_CURVE_A => "group curve A",
        GROUP_CURVE_B => "group curve B",
        LIFE_TYPE => "life type",
        LIFE_DURATION => "life duration",
        PRF => "PRF",
        KEY_LENGTH => "key length",
        FIELD_SIZE => "field size",
        GROUP_ORDER => "group order",
        _ => return None,
    })
}

/// An authentication method in words.
pub fn auth_method_name(method: u16) -> Option<&'static str> {
    Some(match method {
        PRESHARED_KEY => "pre-shared key",
        DSS_SIGNATURES => "DSS signatures",
        RSA_SIGNATURES => "RSA signatures",
        RSA_ENCRYPTION => "RSA encryption",
        RSA_REVISED_ENCRYPTION => "revised RSA encryption",
        ECDSA_P256 => "ECDSA on P-256",
        ECDSA_P384 => "ECDSA on P-384",
        ECDSA_P521 => "ECDSA on P-521",
        HYBRID_INIT_RSA..=HYBRID_RESP_DSS => "hybrid",
        XAUTH_INIT_PRESHARED..=XAUTH_RESP_RSA_REVISED => "XAUTH",
        _ => return None,
    })
}
