//! What of the list is really in the kernel and ours, and its removal.

use std::time::{Duration, SystemTime};

use netlink_packet_xfrm::{UserSaInfo, XfrmAttrs, XfrmMessage};

use super::Kernel;
use super::ledger::Entry;
use super::netlink::Failure;
use super::policy::{self, PolicyKey};
use super::state::{self, StateKey};
use crate::PlaneError;

impl Kernel {
    /// Removes what the list holds: policies before their states, without which they would hold packets
    /// back.
    pub(super) fn remove_left_behind(&mut self) -> Result<(), PlaneError> {
        let mut result = Ok(());
        let mut entries = self.ledger.entries();
        entries.sort_by_key(|entry| match entry {
            Entry::Route(_) => 0,
            Entry::Rule(_) => 1,
            Entry::Policy { .. } => 2,
            Entry::State { .. } => 3,
        });
        for entry in entries {
            result = result.and(self.remove_entry(&entry));
        }
        result
    }

    pub(super) fn remove_entry(&mut self, entry: &Entry) -> Result<(), PlaneError> {
        match entry {
            Entry::Policy { key, reqid } if self.is_our_policy(key, *reqid)? => {
                self.delete_policy(key, *reqid)
            }
            Entry::State { key, reqid } if self.is_our_state(key, *reqid)? => {
                self.delete_state(key, *reqid)
            }
            Entry::Policy { .. } | Entry::State { .. } => self.ledger.remove(entry),
            Entry::Route(_) | Entry::Rule(_) => self.routes.remove(&mut self.ledger, entry),
        }
    }

    pub(super) fn is_our_policy(
        &mut self,
        key: &PolicyKey,
        reqid: u32,
    ) -> Result<bool, PlaneError> {
        match self.xfrm.request(policy::get(key), 0) {
            Ok(answers) => Ok(answers.iter().any(|answer| match &answer.0 {
                XfrmMessage::AddPolicy(found) => policy::reqid(&found.nlas) == Some(reqid),
                _ => false,
            })),
            Err(failure) if failure.errno() == Some(libc::ENOENT) => Ok(false),
            Err(failure) => Err(failure.during("looking for an IPsec policy")),
        }
    }

    pub(super) fn is_our_state(&mut self, key: &StateKey, reqid: u32) -> Result<bool, PlaneError> {
        match self.state(key) {
            Ok(found) => Ok(found.is_some_and(|(info, _)| info.reqid == reqid)),
            Err(failure) => Err(failure.during("looking for an IPsec SA")),
        }
    }

    /// What the kernel says of a state; nothing when there is none. Not its keys.
    pub(super) fn state(
        &mut self,
        key: &StateKey,
    ) -> Result<Option<(UserSaInfo, Option<SystemTime>)>, Failure> {
        let answers = match self.xfrm.request(state::get(key), 0) {
            Ok(answers) => answers,
            Err(failure) if failure.errno() == Some(libc::ESRCH) => return Ok(None),
            Err(failure) => return Err(failure),
        };
        Ok(answers.iter().find_map(|answer| match &answer.0 {
            XfrmMessage::AddSa(found) => {
                let seconds = found.nlas.iter().find_map(|attribute| match attribute {
                    XfrmAttrs::LastUsed(seconds) => Some(*seconds),
                    _ => None,
                });
                // The kernel tells the last use in newer versions, the first in all.
                let seconds = seconds.unwrap_or(found.user_sa_info.lifetime_cur.use_time);
                let used =
                    (seconds > 0).then(|| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
                Some((found.user_sa_info, used))
            }
            _ => None,
        }))
    }

    pub(super) fn delete_state(&mut self, key: &StateKey, reqid: u32) -> Result<(), PlaneError> {
        match self.xfrm.request(state::delete(key), 0) {
            // A hard limit has deleted it already.
            Err(failure) if failure.errno() != Some(libc::ESRCH) => {
                Err(failure.during("removing an IPsec SA"))
            }
            _ => self.ledger.remove(&Entry::State { key: *key, reqid }),
        }
    }

    pub(super) fn delete_policy(&mut self, key: &PolicyKey, reqid: u32) -> Result<(), PlaneError> {
        match self.xfrm.request(policy::delete(key), 0) {
            Err(failure) if failure.errno() != Some(libc::ENOENT) => {
                Err(failure.during("removing an IPsec policy"))
            }
            _ => self.ledger.remove(&Entry::Policy { key: *key, reqid }),
        }
    }
}
