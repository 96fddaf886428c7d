//! Kernel SAs ("states"): from a child SA to the messages that add, find and delete them.

use std::net::IpAddr;

use crypto::esp::Protocol;
use netlink_packet_xfrm::constants::{
    AF_INET, AF_INET6, IPPROTO_AH, IPPROTO_COMP, IPPROTO_ESP, UDP_ENCAP_ESPINUDP, XFRM_INF,
    XFRM_MODE_TRANSPORT, XFRM_MODE_TUNNEL, XFRM_STATE_AF_UNSPEC, XFRM_STATE_ALIGN4, XFRM_STATE_ESN,
};
use netlink_packet_xfrm::state::{DelGetMessage, ModifyMessage};
use netlink_packet_xfrm::{
    Address, Alg, AlgAead, AlgAuth, EncapTmpl, Id, LifetimeConfig, Mark, ReplayEsn, UserSaId,
    UserSaInfo, XFRM_ALG_NAME_LEN, XfrmAttrs, XfrmMessage,
};
use serde::{Deserialize, Serialize};

use super::child::Child;
use super::policy::{self, PolicyKey};
use crate::{ChildSa, Cpis, Half, Limits, Mode};

/// The largest replay window that a state holds without [`XfrmAttrs::ReplayStateEsn`], in packets.
const SMALL_WINDOW: u32 = 32;
/// Sequence numbers in a word of a replay window's bitmap.
const WORD_BITS: u32 = 32;

/// Which way a state's packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    In,
    Out,
}

/// What finds a state in the kernel, and tells that it is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct StateKey {
    pub(super) destination: IpAddr,
    /// The number in the IP header.
    pub(super) protocol: u8,
    pub(super) spi: u32,
    pub(super) mark: Option<crate::Mark>,
}

/// The number in the IP header.
pub(super) fn ip_protocol(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Esp => IPPROTO_ESP,
        Protocol::Ah => IPPROTO_AH,
    }
}

pub(super) fn family(address: IpAddr) -> u16 {
    if address.is_ipv4() { AF_INET } else { AF_INET6 }
}

pub(super) fn mode_number(mode: Mode) -> u8 {
    match mode {
        Mode::Tunnel => XFRM_MODE_TUNNEL,
        Mode::Transport => XFRM_MODE_TRANSPORT,
    }
}

pub(super) fn mark(mark: crate::Mark) -> XfrmAttrs {
    XfrmAttrs::Mark(Mark {
        value: mark.value,
        mask: mark.mask,
    })
}

impl Direction {
    pub(super) fn half(self, sa: &ChildSa) -> &Half {
        match self {
            Self::In => &sa.inbound,
            Self::Out => &sa.outbound,
        }
    }

    /// Source and destination of the outer packets.
    pub(super) fn of<T>(self, local: T, remote: T) -> (T, T) {
        match self {
            Self::In => (remote, local),
            Self::Out => (local, remote),
        }
    }
}

/// What finds the state of one direction.
pub(super) fn key(sa: &ChildSa, direction: Direction) -> StateKey {
    StateKey {
        destination: direction.of(sa.local, sa.remote).1,
        protocol: ip_protocol(sa.protocol),
        spi: direction.half(sa).spi,
        mark: sa.mark,
    }
}

/// How ESP and AH wrap: what IPComp has put into another packet they do not put into one more.
pub(super) fn mode_behind(ipcomp: bool, mode: Mode) -> Mode {
    if ipcomp { Mode::Transport } else { mode }
}

/// What finds the state of IPComp of one direction. A CPI is an SPI to the kernel.
pub(super) fn ipcomp_key(
    direction: Direction,
    local: IpAddr,
    remote: IpAddr,
    cpis: Cpis,
    mark: Option<crate::Mark>,
) -> StateKey {
    StateKey {
        destination: direction.of(local, remote).1,
        protocol: IPPROTO_COMP,
        spi: match direction {
            Direction::In => cpis.inbound,
            Direction::Out => cpis.outbound,
        }
        .into(),
        mark,
    }
}

/// Adds the state of IPComp of one direction.
pub(super) fn add_ipcomp(child: &Child, key: &StateKey, direction: Direction) -> XfrmMessage {
    let (source, destination) = direction.of(child.local, child.remote);
    let mut info = UserSaInfo {
        id: Id {
            daddr: Address::from_ip(&destination),
            spi: key.spi,
            proto: key.protocol,
        },
        saddr: Address::from_ip(&source),
        lifetime_cfg: lifetime(&Limits::default()),
        reqid: child.reqid,
        family: family(destination),
        mode: mode_number(child.mode),
        ..UserSaInfo::default()
    };
    bind(&mut info, child.mode, child.mode, child.bound(direction));
    let mut nlas = vec![XfrmAttrs::CompressionAlg(Alg {
        alg_name: name("deflate"),
        alg_key_len: 0,
        alg_key: Vec::new(),
    })];
    nlas.extend(child.mark.map(mark));
    nlas.extend(child.interface_id.map(XfrmAttrs::IfId));
    XfrmMessage::AddSa(ModifyMessage {
        user_sa_info: info,
        nlas,
    })
}

/// Which packets a state takes. `mode` is the child's, `own` the state's.
fn bind(info: &mut UserSaInfo, mode: Mode, own: Mode, selector: Option<&PolicyKey>) {
    match (mode, own, selector) {
        // What is inside a tunnel may be of the other IP version.
        (_, Mode::Tunnel, _) => info.flags |= XFRM_STATE_AF_UNSPEC,
        (Mode::Transport, Mode::Transport, Some(key)) => info.selector = policy::selector(key),
        // What IPComp has put into another packet is the host's own.
        (Mode::Tunnel, Mode::Transport, _) | (Mode::Transport, _, None) => {}
    }
}

/// Adds the state of one direction. `selector` is the traffic that transport mode binds it to: in tunnel
/// mode the policies do.
pub(super) fn add(
    sa: &ChildSa,
    direction: Direction,
    reqid: u32,
    selector: Option<&PolicyKey>,
) -> XfrmMessage {
    let half = direction.half(sa);
    let (source, destination) = direction.of(sa.local, sa.remote);
    let own_mode = mode_behind(sa.cpis.is_some(), sa.mode);
    let mut info = UserSaInfo {
        id: Id {
            daddr: Address::from_ip(&destination),
            spi: half.spi,
            proto: ip_protocol(sa.protocol),
        },
        saddr: Address::from_ip(&source),
        lifetime_cfg: lifetime(&sa.limits),
        reqid,
        family: family(destination),
        mode: mode_number(own_mode),
        ..UserSaInfo::default()
    };
    bind(&mut info, sa.mode, own_mode, selector);
    let mut nlas = algorithms(sa, half);
    let window = match direction {
        Direction::In => sa.replay_window,
        // Nothing is replayed to the sender; extended sequence numbers need a window nevertheless.
        Direction::Out => u32::from(sa.esn),
    };
    if sa.protocol == Protocol::Ah && destination.is_ipv4() {
        // RFC 4302 section 3.3.3.2.1: 32 bits, and 64 in IPv6 alone. The kernel has 64 for both unless told.
        info.flags |= XFRM_STATE_ALIGN4;
    }
    if sa.esn {
        info.flags |= XFRM_STATE_ESN;
    }
    if sa.esn || window > SMALL_WINDOW {
        let words = window.div_ceil(WORD_BITS);
        nlas.push(XfrmAttrs::ReplayStateEsn(ReplayEsn {
            bmp_len: words,
            replay_window: window,
            bmp: vec![0; words as usize],
            ..ReplayEsn::default()
        }));
    } else {
        info.replay_window = u8::try_from(window).unwrap_or(u8::MAX);
    }
    if let Some(encap) = sa.encap {
        let (from, to) = direction.of(encap.local_port, encap.remote_port);
        nlas.push(udp(from, to));
    }
    nlas.extend(sa.mark.map(mark));
    nlas.extend(sa.interface_id.map(XfrmAttrs::IfId));
    XfrmMessage::AddSa(ModifyMessage {
        user_sa_info: info,
        nlas,
    })
}

/// ESP in UDP from one port to another.
pub(super) fn udp(from: u16, to: u16) -> XfrmAttrs {
    XfrmAttrs::EncapsulationTemplate(EncapTmpl {
        encap_type: UDP_ENCAP_ESPINUDP,
        encap_sport: from,
        encap_dport: to,
        encap_oa: Address::default(),
    })
}

/// Asks for a state.
pub(super) fn get(key: &StateKey) -> XfrmMessage {
    XfrmMessage::GetSa(find(key))
}

/// Deletes a state.
pub(super) fn delete(key: &StateKey) -> XfrmMessage {
    XfrmMessage::DeleteSa(find(key))
}

fn find(key: &StateKey) -> DelGetMessage {
    DelGetMessage {
        user_sa_id: UserSaId {
            daddr: Address::from_ip(&key.destination),
            spi: key.spi,
            family: family(key.destination),
            proto: key.protocol,
        },
        nlas: key.mark.map(mark).into_iter().collect(),
    }
}

fn lifetime(limits: &Limits) -> LifetimeConfig {
    LifetimeConfig {
        soft_byte_limit: limits.soft_bytes.unwrap_or(XFRM_INF),
        hard_byte_limit: limits.hard_bytes.unwrap_or(XFRM_INF),
        soft_packet_limit: limits.soft_packets.unwrap_or(XFRM_INF),
        hard_packet_limit: limits.hard_packets.unwrap_or(XFRM_INF),
        ..LifetimeConfig::default()
    }
}

fn algorithms(sa: &ChildSa, half: &Half) -> Vec<XfrmAttrs> {
    let mut nlas = Vec::new();
    if let Some(cipher) = sa.cipher.map(crypto::esp::EspCipher::row) {
        let key = half.encryption.as_bytes().to_vec();
        nlas.push(if cipher.aead {
            XfrmAttrs::EncryptionAlgAead(AlgAead {
                alg_name: name(cipher.kernel),
                alg_key_len: bits(key.len()),
                alg_icv_len: bits(cipher.icv_len),
                alg_key: key,
            })
        } else {
            XfrmAttrs::EncryptionAlg(Alg {
                alg_name: name(cipher.kernel),
                alg_key_len: bits(key.len()),
                alg_key: key,
            })
        });
    }
    if let Some(integrity) = sa.integrity.map(crypto::esp::EspIntegrity::row) {
        let key = half.integrity.as_bytes().to_vec();
        // Never XFRMA_ALG_AUTH, which takes the kernel's default truncation: it is wrong for SHA-256.
        nlas.push(XfrmAttrs::AuthenticationAlgTrunc(AlgAuth {
            alg_name: name(integrity.kernel),
            alg_key_len: bits(key.len()),
            alg_trunc_len: bits(integrity.icv_len),
            alg_key: key,
        }));
    }
    nlas
}

/// Keys and ICVs of the table are some dozens of bytes.
fn bits(bytes: usize) -> u32 {
    u32::try_from(bytes * 8).unwrap_or(u32::MAX)
}

fn name(kernel: &str) -> [u8; XFRM_ALG_NAME_LEN] {
    let mut name = [0; XFRM_ALG_NAME_LEN];
    name[..kernel.len()].copy_from_slice(kernel.as_bytes());
    name
}

#[cfg(test)]
mod tests {
    use crypto::Secret;
    use crypto::esp::{EspCipher, EspIntegrity};
    use netlink_packet_core::Emitable;

    use super::*;
    use crate::kernel::golden;
    use crate::{Selector, UdpEncap};

    fn counting(len: u8) -> Secret {
        Secret::new((0..len).collect())
    }

    fn sa(cipher: EspCipher, integrity: Option<EspIntegrity>) -> ChildSa {
        let half = Half {
            spi: 0x1000_0011,
            encryption: counting(u8::try_from(cipher.row().keymat_len()).unwrap()),
            integrity: counting(integrity.map_or(0, |i| u8::try_from(i.row().key_len).unwrap())),
        };
        ChildSa {
            id: 1,
            protocol: Protocol::Esp,
            mode: Mode::Tunnel,
            local: "192.0.2.1".parse().unwrap(),
            remote: "192.0.2.2".parse().unwrap(),
            encap: None,
            cipher: Some(cipher),
            integrity,
            esn: false,
            replay_window: 32,
            inbound: half.clone(),
            outbound: half,
            cpis: None,
            local_selector: Selector::host("192.0.2.1".parse().unwrap()),
            remote_selector: Selector::host("192.0.2.2".parse().unwrap()),
            local_lan: Vec::new(),
            limits: Limits::default(),
            mark: None,
            interface_id: None,
            replaces: None,
            take_over: std::time::Duration::ZERO,
        }
    }

    fn bytes(message: &XfrmMessage) -> Vec<u8> {
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        bytes
    }

    #[test]
    fn ah_is_padded_to_32_bits_in_ipv4_and_to_64_in_ipv6() {
        let flags = |protocol, remote: &str| {
            let mut sa = sa(EspCipher::Null, Some(EspIntegrity::HmacSha256));
            sa.protocol = protocol;
            sa.remote = remote.parse().unwrap();
            match add(&sa, Direction::Out, 1, None) {
                XfrmMessage::AddSa(message) => message.user_sa_info.flags & XFRM_STATE_ALIGN4,
                _ => unreachable!(),
            }
        };
        assert_eq!(flags(Protocol::Ah, "192.0.2.2"), XFRM_STATE_ALIGN4);
        assert_eq!(flags(Protocol::Ah, "2001:db8::2"), 0);
        assert_eq!(flags(Protocol::Esp, "192.0.2.2"), 0);
    }

    #[test]
    fn a_state_with_everything_is_to_the_byte_what_ip_xfrm_sends() {
        let mut sa = sa(EspCipher::Aes128, Some(EspIntegrity::HmacSha256));
        sa.mode = Mode::Transport;
        sa.encap = Some(UdpEncap {
            local_port: 4501,
            remote_port: 4500,
        });
        sa.limits.soft_bytes = Some(100);
        sa.limits.hard_bytes = Some(200);
        sa.mark = Some(crate::Mark {
            value: 5,
            mask: 0xff,
        });
        sa.interface_id = Some(9);
        let (local, remote) = (&sa.local_selector, &sa.remote_selector);
        let keys = policy::keys(local, remote, sa.mode, sa.mark, sa.interface_id).unwrap();
        let incoming = keys.iter().find(|key| key.path == policy::Path::In);
        let message = add(&sa, Direction::In, 7, incoming);
        assert_eq!(
            bytes(&message),
            golden(include_str!("../../tests/data/state-transport.hex"))
        );
    }

    #[test]
    fn a_state_with_extended_sequence_numbers_is_what_ip_xfrm_sends_with_its_bitmap() {
        let mut sa = sa(EspCipher::Aes128Gcm16, None);
        (sa.esn, sa.replay_window) = (true, 64);
        let mut expected = golden(include_str!("../../tests/data/state-esn.hex"));
        // `ip` leaves the empty bitmap out, which the kernel takes as well.
        let at = expected.len() - 28;
        expected[at] += 8;
        expected.extend([0; 8]);
        assert_eq!(bytes(&add(&sa, Direction::In, 7, None)), expected);
    }

    #[test]
    fn keys_are_wiped_from_a_message() {
        use crate::kernel::netlink::Message;
        let sa = sa(EspCipher::Aes128, Some(EspIntegrity::HmacSha256));
        let mut message = add(&sa, Direction::Out, 7, None);
        let before = bytes(&message);
        let key = counting(16);
        assert!(before.windows(16).any(|window| window == key.as_bytes()));
        message.wipe();
        let XfrmMessage::AddSa(state) = &message else {
            panic!("{message:?}")
        };
        for attribute in &state.nlas {
            match attribute {
                XfrmAttrs::EncryptionAlg(alg) => assert!(alg.alg_key.is_empty()),
                XfrmAttrs::AuthenticationAlgTrunc(alg) => assert!(alg.alg_key.is_empty()),
                other => panic!("{other:?}"),
            }
        }
    }
}
