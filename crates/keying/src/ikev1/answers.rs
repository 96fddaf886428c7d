//! Answers under an SA that are given again, byte for byte, to whoever did not get them.

use std::collections::VecDeque;

use super::duplicates::{Digest, digest};
use crate::limits::{MAX_ANSWERS, MAX_RESENDS};

/// The last exchanges of the peer's that were answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers(VecDeque<Answer>);

#[derive(Clone, Debug)]
struct Answer {
    /// Of the message that was answered.
    message: Digest,
    /// As datagrams.
    datagrams: Vec<Vec<u8>>,
    /// How often it was given again.
    resent: u32,
}

impl Answers {
    /// Keeps the answer to a message.
    pub(crate) fn remember(&mut self, message: Digest, datagrams: Vec<Vec<u8>>) {
        if self.0.len() >= MAX_ANSWERS {
            self.0.pop_front();
        }
        self.0.push_back(Answer {
            message,
            datagrams,
            resent: 0,
        });
    }

    /// What is to be sent, where a message was answered before: nothing, if that was done too often or
    /// this copy is not from the peer's address.
    pub(crate) fn again(&mut self, whole: &[u8], from_peer: bool) -> Option<&[Vec<u8>]> {
        if self.0.is_empty() {
            return None;
        }
        let message = digest(whole);
        let answer = self.0.iter_mut().find(|a| a.message == message)?;
        if !from_peer || answer.resent >= MAX_RESENDS {
            return Some(&[]);
        }
        answer.resent += 1;
        Some(&answer.datagrams)
    }
}
