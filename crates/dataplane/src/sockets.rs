//! What the kernel's IPsec needs of the sockets that IKE goes through.

use std::net::IpAddr;
use std::os::fd::AsFd;

use netlink_packet_core::Emitable;
use netlink_packet_xfrm::constants::{
    AF_INET, AF_INET6, XFRM_POLICY_ALLOW, XFRM_POLICY_IN, XFRM_POLICY_OUT,
};
use netlink_packet_xfrm::{Selector, UserPolicyInfo, XFRM_USER_POLICY_INFO_LEN};
use nix::errno::Errno;
use nix::sys::socket::setsockopt;
// The macros of nix that these need call each other by name.
use nix::{setsockopt_impl, sockopt_impl};

use crate::PlaneError;

/// A policy as a socket option takes it.
type Policy = [u8; XFRM_USER_POLICY_INFO_LEN];

sockopt_impl!(
    /// `UDP_ENCAP`: what the datagrams of a socket may hold.
    UdpEncapType,
    SetOnly,
    libc::IPPROTO_UDP,
    libc::UDP_ENCAP,
    libc::c_int
);
sockopt_impl!(
    /// `IP_XFRM_POLICY`: a policy of this socket alone.
    IpXfrmPolicy,
    SetOnly,
    libc::IPPROTO_IP,
    libc::IP_XFRM_POLICY,
    Policy
);
sockopt_impl!(
    /// `IPV6_XFRM_POLICY`: a policy of this socket alone.
    Ipv6XfrmPolicy,
    SetOnly,
    libc::IPPROTO_IPV6,
    libc::IPV6_XFRM_POLICY,
    Policy
);

/// `UDP_ENCAP_ESPINUDP` (linux/udp.h): ESP as RFC 3948 has it.
const ESP_IN_UDP: libc::c_int = 2;

/// Lets the kernel take ESP out of the datagrams of a NAT-T socket (RFC 3948). What begins with the non-ESP
/// marker still comes to the socket; ESP with an unknown SPI, and keepalives, do not.
///
/// # Errors
/// When the kernel cannot; IPv6 needs Linux 5.8.
pub fn take_esp_from(socket: &impl AsFd) -> Result<(), PlaneError> {
    let set = setsockopt(socket, UdpEncapType, &ESP_IN_UDP);
    set.map_err(|errno| fault("taking ESP from a UDP socket", errno))
}

/// Lets everything pass a socket unprotected, whatever the kernel's policies say. A socket that IKE goes
/// through needs it: a policy for all traffic between two hosts would hold IKE back as well, and without
/// IKE there would never be an SA.
///
/// `address` is one that the socket is bound to, for its IP version.
///
/// # Errors
/// [`PlaneError::NotPermitted`] without `CAP_NET_ADMIN`, and [`PlaneError::NoXfrm`].
pub fn exempt(socket: &impl AsFd, address: IpAddr) -> Result<(), PlaneError> {
    for direction in [XFRM_POLICY_IN, XFRM_POLICY_OUT] {
        let policy = allow(
            direction,
            if address.is_ipv4() { AF_INET } else { AF_INET6 },
        );
        let set = if address.is_ipv4() {
            setsockopt(socket, IpXfrmPolicy, &policy)
        } else {
            setsockopt(socket, Ipv6XfrmPolicy, &policy)
        };
        set.map_err(|errno| fault("exempting IKE's socket from IPsec policies", errno))?;
    }
    Ok(())
}

fn allow(direction: u8, family: u16) -> Policy {
    let mut bytes = [0; XFRM_USER_POLICY_INFO_LEN];
    UserPolicyInfo {
        selector: Selector {
            family,
            ..Selector::default()
        },
        direction,
        action: XFRM_POLICY_ALLOW,
        ..UserPolicyInfo::default()
    }
    .emit(&mut bytes);
    bytes
}

fn fault(doing: &'static str, errno: Errno) -> PlaneError {
    match errno {
        Errno::EPERM | Errno::EACCES => PlaneError::NotPermitted { doing },
        Errno::ENOPROTOOPT | Errno::EOPNOTSUPP => PlaneError::NoXfrm,
        errno => PlaneError::Kernel {
            doing,
            message: None,
            source: errno.into(),
        },
    }
}
