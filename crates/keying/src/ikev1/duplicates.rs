//! Which messages were taken already, and what was answered: a duplicate gets the same bytes back and
//! is never processed twice.

use crate::limits::MAX_RESENDS;

/// A message's fingerprint: SHA-256.
pub(crate) type Digest = [u8; 32];

/// The fingerprint of a message.
pub(crate) fn digest(message: &[u8]) -> Digest {
    let mut value = [0; 32];
    // SHA-256 fails only when the library has no memory left; then messages are taken for duplicates of
    // each other, and dropped.
    if let Ok(hash) = crypto::digest(crypto::Hash::Sha256, &[message]) {
        value.copy_from_slice(&hash);
    }
    value
}

/// The messages of one negotiation that were accepted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Duplicates {
    accepted: Vec<Digest>,
    /// What answered the last one, as datagrams.
    reply: Vec<Vec<u8>>,
    resent: u32,
    /// What answered the one before, until the last one has proved acceptable.
    before: Vec<Vec<u8>>,
}

/// What a message is, seen against those that were accepted before.
pub(crate) enum Seen<'a> {
    /// Never seen.
    New,
    /// The last one again: here is what answered it.
    Last(&'a [Vec<u8>]),
    /// Seen, and nothing is to be sent.
    Before,
}

impl Duplicates {
    /// Looks a message up. Counts how often its answer was given: to copies from the peer's address
    /// alone, since others would use up what is the peer's.
    pub(crate) fn look_up(&mut self, digest: &Digest, from_peer: bool) -> Seen<'_> {
        if self.accepted.last() == Some(digest) {
            if !from_peer || self.reply.is_empty() || self.resent >= MAX_RESENDS {
                return Seen::Before;
            }
            self.resent += 1;
            return Seen::Last(&self.reply);
        }
        if self.accepted.contains(digest) {
            Seen::Before
        } else {
            Seen::New
        }
    }

    /// Whether it is the last one that was accepted.
    pub(crate) fn is_last(&self, digest: &Digest) -> bool {
        self.accepted.last() == Some(digest)
    }

    /// Remembers a message that was accepted, as yet unanswered. A negotiation accepts three at most.
    pub(crate) fn accept(&mut self, digest: Digest) {
        self.accepted.push(digest);
        self.before = std::mem::take(&mut self.reply);
        self.resent = 0;
    }

    /// Remembers message 1, whose answer is kept already.
    pub(crate) fn accept_first(&mut self, digest: Digest) {
        self.accepted.push(digest);
    }

    /// Forgets the last accepted message: it turned out not to be acceptable after all.
    pub(crate) fn retract(&mut self) {
        self.accepted.pop();
        self.reply = std::mem::take(&mut self.before);
    }

    /// Keeps what answered the last message. The answer of the responder alone: an initiator that
    /// answered duplicates would play ping-pong with the responder.
    pub(crate) fn answered(&mut self, datagrams: &[Vec<u8>]) {
        self.reply = datagrams.to_vec();
        self.before = Vec::new();
    }

    /// Drops the kept answer.
    pub(crate) fn drop_reply(&mut self) {
        self.reply = Vec::new();
    }
}
