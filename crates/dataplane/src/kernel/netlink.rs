//! Requests to the kernel over netlink, one at a time, each with its answer.

use std::io;
use std::marker::PhantomData;

use netlink_packet_core::{
    DecodeError, ErrorMessage, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer,
    NetlinkDeserializable, NetlinkMessage, NetlinkPayload, NetlinkSerializable, NlaBuffer,
    NlasIterator,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_xfrm::{XfrmAttrs, XfrmMessage};
use netlink_sys::{Socket, SocketAddr};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use zeroize::{Zeroize, Zeroizing};

use crate::PlaneError;

/// The kernel answers before the request returns; one that does not within this many seconds never will.
const ANSWER_LIMIT: i64 = 10;
/// Room for a datagram of the kernel's, in bytes: it cuts lists into pieces of 32 KiB.
const LONGEST: usize = 64 * 1024;
/// Bytes of a netlink header (`struct nlmsghdr`).
const HEADER_LEN: usize = 16;
/// In an error with attributes: the kernel's own words.
const NLMSGERR_ATTR_MSG: u16 = 1;

/// A message of one of netlink's families.
pub(crate) trait Message:
    NetlinkSerializable + NetlinkDeserializable<Error = DecodeError> + std::fmt::Debug
{
    /// Overwrites the keys in it.
    fn wipe(&mut self);
}

impl Message for XfrmMessage {
    fn wipe(&mut self) {
        let (Self::AddSa(state) | Self::UpdateSa(state)) = self else {
            return;
        };
        for attribute in &mut state.nlas {
            match attribute {
                XfrmAttrs::EncryptionAlg(alg) | XfrmAttrs::AuthenticationAlg(alg) => {
                    alg.alg_key.zeroize();
                }
                XfrmAttrs::AuthenticationAlgTrunc(alg) => alg.alg_key.zeroize(),
                XfrmAttrs::EncryptionAlgAead(alg) => alg.alg_key.zeroize(),
                _ => {}
            }
        }
    }
}

impl Message for RouteNetlinkMessage {
    fn wipe(&mut self) {}
}

/// A message whose keys are overwritten when it goes.
#[derive(Debug)]
pub(crate) struct Wiped<M: Message>(pub M);

impl<M: Message> Drop for Wiped<M> {
    fn drop(&mut self) {
        self.0.wipe();
    }
}

/// Why a request failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The kernel said no.
    Refused {
        source: io::Error,
        message: Option<String>,
    },
    /// The socket failed.
    Socket(io::Error),
    /// The answer is none.
    Answer(String),
}

impl Failure {
    /// The error number of a refusal.
    pub(crate) fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// As an error that has no words of its own.
    pub(crate) fn during(self, doing: &'static str) -> PlaneError {
        match self {
            Self::Refused { source, .. } | Self::Socket(source)
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                PlaneError::NotPermitted { doing }
            }
            Self::Refused { source, message } => PlaneError::Kernel {
                doing,
                message,
                source,
            },
            Self::Socket(source) => PlaneError::Kernel {
                doing,
                message: None,
                source,
            },
            Self::Answer(why) => PlaneError::Answer { doing, why },
        }
    }
}

/// A socket for requests of one family.
pub(crate) struct Netlink<M> {
    socket: Socket,
    /// Where answers are read into.
    answer: Vec<u8>,
    sequence: u32,
    messages: PhantomData<fn(M) -> M>,
}

impl<M: Message> Netlink<M> {
    /// Opens one, `protocol` being one of `netlink_sys::protocols`.
    pub(crate) fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        // The kernel's own words, and not our whole message back; and of a list only what was asked for. Old kernels
        // have none of it.
        let _ = socket.set_ext_ack(true);
        let _ = socket.set_cap_ack(true);
        let _ = socket.set_netlink_get_strict_chk(true);
        setsockopt(
            &socket,
            sockopt::ReceiveTimeout,
            &TimeVal::new(ANSWER_LIMIT, 0),
        )?;
        Ok(Self {
            socket,
            answer: Vec::with_capacity(LONGEST),
            sequence: 0,
            messages: PhantomData,
        })
    }

    /// Sends one request, gives what was answered to it.
    pub(crate) fn request(&mut self, message: M, flags: u16) -> Result<Vec<Wiped<M>>, Failure> {
        let results = self.requests([(message, flags)])?;
        let mut answers = Vec::new();
        for result in results {
            answers.extend(result?);
        }
        Ok(answers)
    }

    /// Sends requests in one piece, so that the kernel does them one right after the other. A refused one
    /// does not keep it from the next.
    #[allow(
        clippy::type_complexity,
        reason = "a result of each request, inside that of the socket"
    )]
    pub(crate) fn requests<const N: usize>(
        &mut self,
        messages: [(M, u16); N],
    ) -> Result<[Result<Vec<Wiped<M>>, Failure>; N], Failure> {
        let first = self.sequence.wrapping_add(1);
        let mut packets = messages.map(|(message, flags)| {
            self.sequence = self.sequence.wrapping_add(1);
            let mut packet = NetlinkMessage::new(
                netlink_packet_core::NetlinkHeader::default(),
                NetlinkPayload::InnerMessage(message),
            );
            packet.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
            packet.header.sequence_number = self.sequence;
            packet.finalize();
            packet
        });
        // All the room at once: a vector that grows leaves what it held behind.
        let total = packets
            .iter()
            .map(|p| p.buffer_len().next_multiple_of(4))
            .sum();
        let mut bytes = Zeroizing::new(vec![0; total]);
        let mut at = 0;
        for packet in &mut packets {
            packet.serialize(&mut bytes[at..at + packet.buffer_len()]);
            at += packet.buffer_len().next_multiple_of(4);
            if let NetlinkPayload::InnerMessage(message) = &mut packet.payload {
                message.wipe();
            }
        }
        let kernel = SocketAddr::new(0, 0);
        self.socket
            .send_to(&bytes, &kernel, 0)
            .map_err(Failure::Socket)?;
        let mut answers = [(); N].map(|()| Ok(Vec::new()));
        for (index, answer) in answers.iter_mut().enumerate() {
            let sequence = first.wrapping_add(u32::try_from(index).unwrap_or(u32::MAX));
            let dump = packets[index].header.flags & NLM_F_DUMP == NLM_F_DUMP;
            *answer = self.answer(sequence, dump)?;
        }
        Ok(answers)
    }

    /// Reads until the request with this number is answered to the end.
    #[allow(
        clippy::type_complexity,
        reason = "a refusal inside the socket's own failure"
    )]
    fn answer(
        &mut self,
        sequence: u32,
        dump: bool,
    ) -> Result<Result<Vec<Wiped<M>>, Failure>, Failure> {
        let mut messages = Vec::new();
        loop {
            for packet in self.receive()? {
                if packet.header.sequence_number != sequence {
                    continue; // of a request whose answer was given up
                }
                match packet.payload {
                    NetlinkPayload::Error(error) if error.code.is_none() && dump => {}
                    NetlinkPayload::Error(error) if error.code.is_none() => {
                        return Ok(Ok(messages));
                    }
                    NetlinkPayload::Error(error) => {
                        return Ok(Err(Failure::Refused {
                            source: error.to_io(),
                            message: words(&error),
                        }));
                    }
                    NetlinkPayload::Done(_) => return Ok(Ok(messages)),
                    NetlinkPayload::InnerMessage(message) => messages.push(Wiped(message)),
                    _ => {}
                }
            }
        }
    }

    fn receive(&mut self) -> Result<Vec<NetlinkMessage<M>>, Failure> {
        self.answer.clear();
        let (len, sender) = match self.socket.recv_from(&mut self.answer, libc::MSG_TRUNC) {
            Ok(received) => received,
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => return Ok(Vec::new()),
                io::ErrorKind::WouldBlock => {
                    return Err(Failure::Socket(io::ErrorKind::TimedOut.into()));
                }
                _ => return Err(Failure::Socket(error)),
            },
        };
        let packets = if sender.port_number() != 0 {
            // Another process may send to this socket too.
            Ok(Vec::new())
        } else if len > self.answer.len() {
            Err(Failure::Answer(format!("a datagram of {len} bytes")))
        } else {
            packets(&self.answer)
        };
        self.answer.as_mut_slice().zeroize();
        packets
    }
}

/// The messages of one datagram.
pub(crate) fn packets<M: Message>(mut bytes: &[u8]) -> Result<Vec<NetlinkMessage<M>>, Failure> {
    let answer = |error: DecodeError| Failure::Answer(error.to_string());
    let mut packets = Vec::new();
    while bytes.len() >= HEADER_LEN {
        let len = NetlinkBuffer::new_checked(bytes).map_err(answer)?.length() as usize;
        packets.push(NetlinkMessage::deserialize(&bytes[..len]).map_err(answer)?);
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(packets)
}

/// What the kernel adds to an error number.
fn words(error: &ErrorMessage) -> Option<String> {
    let attributes = error.header.get(HEADER_LEN..)?;
    let message = NlasIterator::new(attributes)
        .map_while(Result::ok)
        .find(|nla: &NlaBuffer<&[u8]>| nla.kind() == NLMSGERR_ATTR_MSG)?;
    let text = String::from_utf8_lossy(message.value());
    Some(text.trim_end_matches('\0').to_owned())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroI32;

    use super::*;

    /// What Linux 6.18 without ESP answers to a state of AES-GCM, as strace shows it.
    const REFUSED: &[u8] = b"\x4c\0\0\0\x02\0\0\x03\x02\0\0\0\x71\x1b\0\0\xda\xff\xff\xff\
        \x50\x01\0\0\x10\0\x05\0\x02\0\0\0\0\0\0\0\
        \x27\0\x01\0Requested AEAD algorithm not found\0\0";

    #[test]
    fn a_refusal_carries_the_kernels_own_words() {
        let packets = packets::<XfrmMessage>(REFUSED).unwrap();
        let [packet] = packets.as_slice() else {
            panic!("{packets:?}");
        };
        let NetlinkPayload::Error(error) = &packet.payload else {
            panic!("{packet:?}");
        };
        assert_eq!(error.code, NonZeroI32::new(-libc::ENOSYS));
        assert_eq!(words(error).unwrap(), "Requested AEAD algorithm not found");
    }

    #[test]
    fn a_datagram_that_is_cut_anywhere_is_an_error_or_none() {
        for len in 0..REFUSED.len() {
            match packets::<XfrmMessage>(&REFUSED[..len]) {
                Ok(packets) => assert!(packets.is_empty() && len < HEADER_LEN, "{len}"),
                Err(Failure::Answer(_)) => {}
                Err(other) => panic!("{len}: {other:?}"),
            }
        }
    }
}
