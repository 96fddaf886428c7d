//! Child SAs with keys that both hosts know.

use crypto::Secret;
use crypto::esp::{EspCipher, EspIntegrity, Protocol};
use dataplane::{ChildSa, Cpis, Half, Limits, Mode, Selector, UdpEncap};

/// What a pair of child SAs is made of.
#[derive(Clone, Copy)]
pub struct Suite {
    pub name: &'static str,
    pub protocol: Protocol,
    pub cipher: Option<EspCipher>,
    pub integrity: Option<EspIntegrity>,
    pub esn: bool,
    pub replay_window: u32,
}

const fn esp(name: &'static str, cipher: EspCipher, integrity: Option<EspIntegrity>) -> Suite {
    Suite {
        name,
        protocol: Protocol::Esp,
        cipher: Some(cipher),
        integrity,
        esn: false,
        replay_window: 32,
    }
}

const fn esn(suite: Suite) -> Suite {
    Suite {
        esn: true,
        replay_window: 1024,
        ..suite
    }
}

use EspCipher as C;
use EspIntegrity as I;

/// ESP in UDP between the ports for it.
pub const ENCAP: UdpEncap = UdpEncap {
    local_port: 4500,
    remote_port: 4500,
};

/// Those that carry pings in both modes.
pub static SUITES: [Suite; 11] = [
    esp("aes128gcm16", C::Aes128Gcm16, None),
    esn(esp("aes256gcm16_esn", C::Aes256Gcm16, None)),
    esp("aes256_sha256", C::Aes256, Some(I::HmacSha256)),
    esp("aes128_sha1", C::Aes128, Some(I::HmacSha1)),
    esn(esp("aes128_sha384_esn", C::Aes128, Some(I::HmacSha384))),
    esp("null_sha256", C::Null, Some(I::HmacSha256)),
    esp("aes128ctr_sha512", C::Aes128Ctr, Some(I::HmacSha512)),
    esp("aes128ccm16", C::Aes128Ccm16, None),
    esp("aes256gmac", C::Aes256Gmac, None),
    esp("chacha20poly1305", C::ChaCha20Poly1305, None),
    Suite {
        name: "ah_sha256",
        protocol: Protocol::Ah,
        cipher: None,
        integrity: Some(I::HmacSha256),
        esn: false,
        replay_window: 64,
    },
];

/// The two ends of a child SA between `left` and `right`. In tunnel mode the networks behind them, in
/// transport mode the hosts themselves. `number` is the id, and gives SPIs and keys of its own.
pub fn pair(suite: &Suite, mode: Mode, number: u32) -> (ChildSa, ChildSa) {
    let half = |direction: u32| {
        let key = |len: usize, salt: u32| {
            let first = u8::try_from((number + direction * 3 + salt) % 251).expect("below 251");
            Secret::new(
                (first..=u8::MAX)
                    .cycle()
                    .filter(|byte| *byte != 0)
                    .step_by(7)
                    .take(len)
                    .collect(),
            )
        };
        Half {
            spi: 0x1000_0000 + number * 16 + direction,
            encryption: key(suite.cipher.map_or(0, |c| c.row().keymat_len()), 0),
            integrity: key(suite.integrity.map_or(0, |i| i.row().key_len), 100),
        }
    };
    let (to_left, to_right) = (half(1), half(2));
    let left = ChildSa {
        id: number.into(),
        protocol: suite.protocol,
        mode,
        local: "192.0.2.1".parse().unwrap(),
        remote: "192.0.2.2".parse().unwrap(),
        encap: None,
        cipher: suite.cipher,
        integrity: suite.integrity,
        esn: suite.esn,
        replay_window: suite.replay_window,
        inbound: to_left,
        outbound: to_right,
        cpis: None,
        local_selector: match mode {
            Mode::Tunnel => Selector::subnet("10.1.0.0/16".parse().unwrap()),
            Mode::Transport => Selector::host("192.0.2.1".parse().unwrap()),
        },
        remote_selector: match mode {
            Mode::Tunnel => Selector::subnet("10.2.0.0/16".parse().unwrap()),
            Mode::Transport => Selector::host("192.0.2.2".parse().unwrap()),
        },
        local_lan: Vec::new(),
        limits: Limits::default(),
        mark: None,
        interface_id: None,
        replaces: None,
        take_over: std::time::Duration::from_secs(2),
    };
    let right = other_end(&left);
    (left, right)
}

/// A pair with IPComp.
pub fn compressed(suite: &Suite, mode: Mode, number: u16) -> (ChildSa, ChildSa) {
    let (mut left, _) = pair(suite, mode, number.into());
    left.cpis = Some(Cpis {
        inbound: 0x2000 + number,
        outbound: 0x3000 + number,
    });
    let right = other_end(&left);
    (left, right)
}

/// The other end of a child SA.
pub fn other_end(sa: &ChildSa) -> ChildSa {
    ChildSa {
        local: sa.remote,
        remote: sa.local,
        encap: sa.encap.map(|encap| dataplane::UdpEncap {
            local_port: encap.remote_port,
            remote_port: encap.local_port,
        }),
        inbound: sa.outbound.clone(),
        outbound: sa.inbound.clone(),
        cpis: sa.cpis.map(|cpis| Cpis {
            inbound: cpis.outbound,
            outbound: cpis.inbound,
        }),
        local_selector: sa.remote_selector,
        remote_selector: sa.local_selector,
        ..sa.clone()
    }
}
