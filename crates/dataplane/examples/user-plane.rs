//! One end of a tunnel in user space with keys that stand on the command line: to try the plane, and to
//! measure it, without IKE. Its keys are everybody's: for nothing else.
//!
//! `user-plane LOCAL REMOTE LOCAL_NET REMOTE_NET SUITE left|right [udp|raw] [esn] [workers=N]`, the same on
//! the other side with the addresses swapped and `right`. Ends when its standard input does; then it prints
//! its counters.

use std::error::Error;
use std::io::Read;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use crypto::Secret;
use crypto::esp::{EspProposal, Protocol};
use dataplane::{
    ChildSa, Half, Limits, Mode, Plane, Refusal, Selector, UdpEncap, UserOptions, user,
};

const NAT_PORT: u16 = 4500;

fn half(suite: EspProposal, spi: u32) -> Half {
    let key = |len: usize, seed: u32| {
        let bytes = (0_u32..)
            .take(len)
            .map(|i| (i * 7 + spi + seed).to_be_bytes()[3]);
        Secret::new(bytes.collect())
    };
    Half {
        spi,
        encryption: key(
            suite.cipher.map_or(0, |cipher| cipher.row().keymat_len()),
            0,
        ),
        integrity: key(
            suite
                .integrity
                .map_or(0, |integrity| integrity.row().key_len),
            3,
        ),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [local, remote, local_net, remote_net, suite, side, rest @ ..] = arguments.as_slice()
    else {
        return Err("see the head of examples/user-plane.rs".into());
    };
    let (local, remote): (IpAddr, IpAddr) = (local.parse()?, remote.parse()?);
    let suite: EspProposal = suite.parse()?;
    let has = |word: &str| rest.iter().any(|given| given == word);
    let (into, out) = if side == "left" {
        (0x1001, 0x1002)
    } else {
        (0x1002, 0x1001)
    };
    let folder = std::env::temp_dir().join(format!("user-plane-{}", std::process::id()));
    let mut options = UserOptions::new(&folder);
    if let Some(workers) = rest.iter().find_map(|given| given.strip_prefix("workers=")) {
        options.workers = workers.parse()?;
    }
    let udp = has("udp");
    if udp {
        let socket = UdpSocket::bind(SocketAddr::new(local, NAT_PORT))?;
        options.nat_sockets.push(socket.into());
    }
    let mut plane = user(options, |event| println!("{event:?}"))?;
    plane.install(&ChildSa {
        id: 1,
        protocol: Protocol::Esp,
        mode: Mode::Tunnel,
        local,
        remote,
        encap: udp.then_some(UdpEncap {
            local_port: NAT_PORT,
            remote_port: NAT_PORT,
        }),
        cipher: suite.cipher,
        integrity: suite.integrity,
        esn: has("esn"),
        replay_window: 1024,
        inbound: half(suite, into),
        outbound: half(suite, out),
        cpis: None,
        local_selector: Selector::subnet(local_net.parse()?),
        remote_selector: Selector::subnet(remote_net.parse()?),
        local_lan: Vec::new(),
        limits: Limits::default(),
        mark: None,
        interface_id: None,
        replaces: None,
        take_over: std::time::Duration::ZERO,
    })?;
    println!("ready: {}", plane.device()?);
    std::io::stdin().read_to_end(&mut Vec::new())?;
    println!("{:?}", plane.counters(1)?);
    for refusal in Refusal::ALL {
        println!("{refusal:?}: {}", plane.refused(refusal));
    }
    Box::new(plane).close()?;
    std::fs::remove_file(&folder)?;
    Ok(())
}
