//! Who wants which policy. The kernel has room for one of each key; child SAs and traps for the same
//! traffic share it. The newest child SA's template is the one in force, and a trap's when there is none. Of ranges that
//! share a policy whoever is for less comes first, as it would if the policies were two.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::policy::{Breadth, PolicyKey, Template};

/// Whose something is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Owner {
    Child(u64),
    Trap(String),
}

/// What to do in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// There is none yet.
    Add(Template),
    /// Ours is there, with another template.
    Update(Template),
    /// Nobody wants it any more.
    Delete,
    /// It is as it should be.
    Nothing,
}

/// What [`Claims::before`] has kept.
#[derive(Clone, Debug)]
pub(super) struct Before(Vec<Claim>);

#[derive(Clone, Debug)]
struct Claim {
    owner: Owner,
    breadth: Breadth,
    template: Template,
}

impl Claim {
    /// The greater is in force.
    fn rank(&self) -> (Reverse<Breadth>, bool) {
        let is_child = matches!(self.owner, Owner::Child(_));
        (Reverse(self.breadth), is_child)
    }
}

/// The claims on each policy; the last of them is in force.
#[derive(Debug, Default)]
pub(super) struct Claims(BTreeMap<PolicyKey, Vec<Claim>>);

impl Claims {
    /// `owner` wants the policy, in place of what it wanted before, for traffic of which so much is there.
    pub(super) fn claim(
        &mut self,
        key: PolicyKey,
        owner: Owner,
        breadth: Breadth,
        template: Template,
    ) -> Change {
        self.put(key, owner, breadth, template, None)
    }

    /// The same behind somebody who has it, until that one releases it or [`Claims::raise`] says so.
    pub(super) fn claim_behind(
        &mut self,
        key: PolicyKey,
        owner: Owner,
        breadth: Breadth,
        template: Template,
        behind: &Owner,
    ) -> Change {
        self.put(key, owner, breadth, template, Some(behind))
    }

    fn put(
        &mut self,
        key: PolicyKey,
        owner: Owner,
        breadth: Breadth,
        template: Template,
        behind: Option<&Owner>,
    ) -> Change {
        let claims = self.0.entry(key).or_default();
        let before = claims.last().map(|claim| claim.template);
        if let Some(claim) = claims.iter_mut().find(|claim| claim.owner == owner) {
            claim.template = template;
        } else {
            let first = claims.iter().position(|claim| Some(&claim.owner) == behind);
            let claim = Claim {
                owner,
                breadth,
                template,
            };
            let at = first.unwrap_or_else(|| place(claims, &claim));
            claims.insert(at, claim);
        }
        change(before, claims)
    }

    /// What `owner` claimed comes before all others that are not for less.
    pub(super) fn raise(&mut self, key: &PolicyKey, owner: &Owner) -> Change {
        let Some(claims) = self.0.get_mut(key) else {
            return Change::Nothing;
        };
        let before = claims.last().map(|claim| claim.template);
        if let Some(at) = claims.iter().position(|claim| claim.owner == *owner) {
            let claim = claims.remove(at);
            claims.insert(place(claims, &claim), claim);
        }
        change(before, claims)
    }

    /// `owner` wants it no more.
    pub(super) fn release(&mut self, key: &PolicyKey, owner: &Owner) -> Change {
        let Some(claims) = self.0.get_mut(key) else {
            return Change::Nothing;
        };
        let before = claims.last().map(|claim| claim.template);
        claims.retain(|claim| claim.owner != *owner);
        let change = change(before, claims);
        if claims.is_empty() {
            self.0.remove(key);
        }
        change
    }

    /// The claims on a policy as they are now, for when the kernel refuses the next one.
    pub(super) fn before(&self, key: &PolicyKey) -> Before {
        Before(self.0.get(key).cloned().unwrap_or_default())
    }

    /// The kernel has refused what the last claim asked for: nobody has claimed it.
    pub(super) fn restore(&mut self, key: PolicyKey, before: Before) {
        if before.0.is_empty() {
            self.0.remove(&key);
        } else {
            self.0.insert(key, before.0);
        }
    }

    /// The `reqid` of those who want a policy for as much.
    pub(super) fn reqid_of(&self, key: &PolicyKey, breadth: Breadth) -> Option<u32> {
        let mut claims = self.0.get(key)?.iter().rev();
        let claim = claims.find(|claim| claim.breadth == breadth)?;
        Some(claim.template.reqid)
    }

    /// The `reqid` of whoever has the policy now.
    pub(super) fn reqid(&self, key: &PolicyKey) -> Option<u32> {
        Some(self.0.get(key)?.last()?.template.reqid)
    }
}

/// Where a claim belongs: a child SA's after its equals, a trap's before them.
fn place(claims: &[Claim], claim: &Claim) -> usize {
    let comes_after = |other: &Claim| match claim.owner {
        Owner::Child(_) => other.rank() > claim.rank(),
        Owner::Trap(_) => other.rank() >= claim.rank(),
    };
    claims.iter().position(comes_after).unwrap_or(claims.len())
}

fn change(before: Option<Template>, claims: &[Claim]) -> Change {
    match (before, claims.last().map(|claim| claim.template)) {
        (None, Some(template)) => Change::Add(template),
        (Some(_), None) => Change::Delete,
        (Some(before), Some(template)) if before != template => Change::Update(template),
        _ => Change::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::policy;
    use crate::{Mode, Selector};

    fn key() -> PolicyKey {
        let any = Selector::any_v4();
        policy::keys(&any, &any, Mode::Tunnel, None, None).unwrap()[0]
    }

    fn all() -> Breadth {
        Breadth::of(&Selector::any_v4(), &Selector::any_v4())
    }

    fn template(spi: u32) -> Template {
        Template {
            source: "192.0.2.1".parse().unwrap(),
            destination: "192.0.2.2".parse().unwrap(),
            protocol: 50,
            mode: Mode::Tunnel,
            spi,
            reqid: 1,
            ipcomp: None,
        }
    }

    #[test]
    fn a_replacement_takes_the_policy_over_and_the_replaced_leaves_without_a_trace() {
        let mut claims = Claims::default();
        let (old, new) = (Owner::Child(1), Owner::Child(2));
        assert_eq!(
            claims.claim(key(), old.clone(), all(), template(7)),
            Change::Add(template(7))
        );
        assert_eq!(
            claims.claim(key(), new.clone(), all(), template(8)),
            Change::Update(template(8))
        );
        assert_eq!(claims.release(&key(), &old), Change::Nothing);
        assert_eq!(claims.release(&key(), &new), Change::Delete);
        assert_eq!(claims.release(&key(), &new), Change::Nothing);
    }

    #[test]
    fn a_replacement_behind_the_replaced_takes_over_when_it_may_or_when_that_one_goes() {
        for goes in [false, true] {
            let mut claims = Claims::default();
            let (old, new) = (Owner::Child(1), Owner::Child(2));
            claims.claim(key(), old.clone(), all(), template(7));
            assert_eq!(
                claims.claim_behind(key(), new.clone(), all(), template(8), &old),
                Change::Nothing
            );
            if goes {
                assert_eq!(claims.release(&key(), &old), Change::Update(template(8)));
            }
            let raised = claims.raise(&key(), &new);
            assert_eq!(raised == Change::Update(template(8)), !goes);
            assert_eq!(claims.raise(&key(), &new), Change::Nothing);
            if !goes {
                assert_eq!(claims.release(&key(), &old), Change::Nothing);
            }
            assert_eq!(claims.release(&key(), &new), Change::Delete);
        }
    }

    #[test]
    fn when_the_newest_goes_first_the_older_is_in_force_again() {
        let mut claims = Claims::default();
        claims.claim(key(), Owner::Child(1), all(), template(7));
        claims.claim(key(), Owner::Child(2), all(), template(8));
        assert_eq!(
            claims.release(&key(), &Owner::Child(2)),
            Change::Update(template(7))
        );
    }

    #[test]
    fn a_trap_never_comes_before_a_child_sa_and_is_there_again_after_it() {
        let mut claims = Claims::default();
        let trap = Owner::Trap("net".into());
        claims.claim(key(), Owner::Child(1), all(), template(7));
        assert_eq!(
            claims.claim(key(), trap.clone(), all(), template(0)),
            Change::Nothing
        );
        assert_eq!(
            claims.release(&key(), &Owner::Child(1)),
            Change::Update(template(0))
        );
        claims.claim(key(), Owner::Child(2), all(), template(9));
        assert_eq!(claims.release(&key(), &trap), Change::Nothing);
    }

    #[test]
    fn a_claim_that_the_kernel_refused_is_never_released() {
        let mut claims = Claims::default();
        let before = claims.before(&key());
        claims.claim(key(), Owner::Child(1), all(), template(7));
        claims.restore(key(), before);
        assert_eq!(claims.release(&key(), &Owner::Child(1)), Change::Nothing);
        claims.claim(key(), Owner::Child(2), all(), template(8));
        let before = claims.before(&key());
        claims.claim(key(), Owner::Child(3), all(), template(9));
        claims.restore(key(), before);
        assert_eq!(claims.release(&key(), &Owner::Child(3)), Change::Nothing);
        assert_eq!(claims.release(&key(), &Owner::Child(2)), Change::Delete);
    }

    #[test]
    fn a_claim_of_the_same_owner_is_in_place_of_its_earlier_one() {
        let mut claims = Claims::default();
        claims.claim(key(), Owner::Child(1), all(), template(7));
        let moved = Template {
            destination: "192.0.2.3".parse().unwrap(),
            ..template(7)
        };
        assert_eq!(
            claims.claim(key(), Owner::Child(1), all(), moved),
            Change::Update(moved)
        );
        assert_eq!(
            claims.claim(key(), Owner::Child(1), all(), moved),
            Change::Nothing
        );
        assert_eq!(claims.release(&key(), &Owner::Child(1)), Change::Delete);
    }

    #[test]
    fn of_ranges_that_share_a_policy_the_lesser_has_it_whoever_came_first() {
        let less = Breadth::of(&Selector::any_v4(), &Selector::host([10, 0, 0, 1].into()));
        let (wide, trap) = (Owner::Child(1), Owner::Trap("narrow".into()));
        for child_first in [true, false] {
            let mut claims = Claims::default();
            if child_first {
                claims.claim(key(), wide.clone(), all(), template(7));
            }
            claims.claim(key(), trap.clone(), less, template(0));
            if !child_first {
                claims.claim(key(), wide.clone(), all(), template(7));
            }
            let narrow = claims.claim(key(), Owner::Child(2), less, template(8));
            assert_eq!(narrow, Change::Update(template(8)));
            // A replacement of the wide one does not come before it either.
            let behind = claims.claim_behind(key(), Owner::Child(3), all(), template(9), &wide);
            assert_eq!(behind, Change::Nothing);
            assert_eq!(claims.raise(&key(), &Owner::Child(3)), Change::Nothing);
            assert_eq!(claims.release(&key(), &wide), Change::Nothing);
            let waits = claims.release(&key(), &Owner::Child(2));
            assert_eq!(waits, Change::Update(template(0)));
            assert_eq!(claims.release(&key(), &trap), Change::Update(template(9)));
            assert_eq!(claims.release(&key(), &Owner::Child(3)), Change::Delete);
        }
    }
}
