//! Who wants which policy. The kernel has room for one of each key; child SAs and traps for the same
//! traffic share it. The newest child SA's template is the one in force, and a trap's when there is none.

use std::collections::BTreeMap;

use super::policy::{PolicyKey, Template};

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
    template: Template,
}

/// The claims on each policy; the last of them is in force.
#[derive(Debug, Default)]
pub(super) struct Claims(BTreeMap<PolicyKey, Vec<Claim>>);

impl Claims {
    /// `owner` wants the policy, in place of what it wanted before.
    pub(super) fn claim(&mut self, key: PolicyKey, owner: Owner, template: Template) -> Change {
        self.put(key, owner, template, None)
    }

    /// The same behind somebody who has it, until that one releases it or [`Claims::raise`] says so.
    pub(super) fn claim_behind(
        &mut self,
        key: PolicyKey,
        owner: Owner,
        template: Template,
        behind: &Owner,
    ) -> Change {
        self.put(key, owner, template, Some(behind))
    }

    fn put(
        &mut self,
        key: PolicyKey,
        owner: Owner,
        template: Template,
        behind: Option<&Owner>,
    ) -> Change {
        let claims = self.0.entry(key).or_default();
        let before = claims.last().map(|claim| claim.template);
        if let Some(claim) = claims.iter_mut().find(|claim| claim.owner == owner) {
            claim.template = template;
        } else {
            let first = claims.iter().position(|claim| Some(&claim.owner) == behind);
            let at = match owner {
                Owner::Child(_) => first.unwrap_or(claims.len()),
                Owner::Trap(_) => 0,
            };
            claims.insert(at, Claim { owner, template });
        }
        change(before, claims)
    }

    /// What `owner` claimed comes before all others.
    pub(super) fn raise(&mut self, key: &PolicyKey, owner: &Owner) -> Change {
        let Some(claims) = self.0.get_mut(key) else {
            return Change::Nothing;
        };
        let before = claims.last().map(|claim| claim.template);
        if let Some(at) = claims.iter().position(|claim| claim.owner == *owner) {
            claims[at..].rotate_left(1);
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

    /// The `reqid` of whoever has the policy now.
    pub(super) fn reqid(&self, key: &PolicyKey) -> Option<u32> {
        Some(self.0.get(key)?.last()?.template.reqid)
    }
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
            claims.claim(key(), old.clone(), template(7)),
            Change::Add(template(7))
        );
        assert_eq!(
            claims.claim(key(), new.clone(), template(8)),
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
            claims.claim(key(), old.clone(), template(7));
            assert_eq!(
                claims.claim_behind(key(), new.clone(), template(8), &old),
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
        claims.claim(key(), Owner::Child(1), template(7));
        claims.claim(key(), Owner::Child(2), template(8));
        assert_eq!(
            claims.release(&key(), &Owner::Child(2)),
            Change::Update(template(7))
        );
    }

    #[test]
    fn a_trap_never_comes_before_a_child_sa_and_is_there_again_after_it() {
        let mut claims = Claims::default();
        let trap = Owner::Trap("net".into());
        claims.claim(key(), Owner::Child(1), template(7));
        assert_eq!(
            claims.claim(key(), trap.clone(), template(0)),
            Change::Nothing
        );
        assert_eq!(
            claims.release(&key(), &Owner::Child(1)),
            Change::Update(template(0))
        );
        claims.claim(key(), Owner::Child(2), template(9));
        assert_eq!(claims.release(&key(), &trap), Change::Nothing);
    }

    #[test]
    fn a_claim_that_the_kernel_refused_is_never_released() {
        let mut claims = Claims::default();
        let before = claims.before(&key());
        claims.claim(key(), Owner::Child(1), template(7));
        claims.restore(key(), before);
        assert_eq!(claims.release(&key(), &Owner::Child(1)), Change::Nothing);
        claims.claim(key(), Owner::Child(2), template(8));
        let before = claims.before(&key());
        claims.claim(key(), Owner::Child(3), template(9));
        claims.restore(key(), before);
        assert_eq!(claims.release(&key(), &Owner::Child(3)), Change::Nothing);
        assert_eq!(claims.release(&key(), &Owner::Child(2)), Change::Delete);
    }

    #[test]
    fn a_claim_of_the_same_owner_is_in_place_of_its_earlier_one() {
        let mut claims = Claims::default();
        claims.claim(key(), Owner::Child(1), template(7));
        let moved = Template {
            destination: "192.0.2.3".parse().unwrap(),
            ..template(7)
        };
        assert_eq!(
            claims.claim(key(), Owner::Child(1), moved),
            Change::Update(moved)
        );
        assert_eq!(claims.claim(key(), Owner::Child(1), moved), Change::Nothing);
        assert_eq!(claims.release(&key(), &Owner::Child(1)), Change::Delete);
    }
}
