//! Changing the stored audit policy: the one way, whether the daemon does it or a command while the
//! daemon is down. The configuration's `[audit]` wins, and every change is in the log as 4719.

use audit::{Event, Extra, Policy, Setting, Subcategory, Subject};
use eventlog::{Entry, LogError, Writer};

use crate::config::{AuditConfig, Location};
use crate::control::{Governed, PolicyChange, PolicyView};

/// Why the policy was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The configuration decides this.
    #[error(
        "\"{subcategory}\" is set by the configuration, {}:{}; change it there",
        .location.file.display(),
        .location.line
    )]
    Governed {
        /// What.
        subcategory: Subcategory,
        /// Where.
        location: Location,
    },
    /// The log, which keeps the policy and records its changes.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// The policy in force, and what the configuration decides of it.
pub fn view(stored: &Policy, config: &AuditConfig) -> PolicyView {
    let governed = config
        .settings
        .iter()
        .map(|(subcategory, _, location)| Governed {
            subcategory: *subcategory,
            place: format!("{}:{}", location.file.display(), location.line),
        })
        .collect();
    PolicyView {
        effective: config.over(stored),
        governed,
    }
}

/// Changes the stored policy, writes a 4719 for each subcategory that changes, and gives the policy
/// that is in force then. The events are on disk with the policy, or neither is.
///
/// # Errors
///
/// [`PolicyError::Governed`] when the configuration decides one of the subcategories that are to be
/// changed: then nothing is. [`PolicyError::Log`] when the log cannot be written.
pub fn change(
    writer: &mut Writer,
    config: &AuditConfig,
    change: &PolicyChange,
    subject: &Subject,
) -> Result<Policy, PolicyError> {
    let stored = writer.policy()?;
    let new = changed(&stored, config, change)?;
    let told = changes(&stored, &new, subject);
    if !told.is_empty() {
        // The daemon may be down, and the configuration another one since it ran: that is told when it starts.
        let mut in_force = writer.policy_in_force()?;
        if let Some(in_force) = &mut in_force {
            for (subcategory, _, setting) in stored.changes(&new) {
                in_force.set(subcategory, setting);
            }
        }
        writer.append_policy(&told, Some(&new), in_force.as_ref())?;
    }
    Ok(config.over(&new))
}

/// Whether [`change`] would change anything of what is stored.
///
/// # Errors
///
/// [`PolicyError::Governed`], as there.
pub fn is_change(
    stored: &Policy,
    config: &AuditConfig,
    change: &PolicyChange,
) -> Result<bool, PolicyError> {
    Ok(changed(stored, config, change)? != *stored)
}

/// A daemon starts: writes a 4719 for each subcategory that is audited in another way than was in force last, in
/// whatever way that changed while no daemon ran.
///
/// # Errors
///
/// When the log cannot be written: the next start writes it.
pub fn started(writer: &mut Writer, in_force: &Policy, subject: &Subject) -> Result<(), LogError> {
    let before = writer.policy_in_force()?;
    if before.as_ref() != Some(in_force) {
        let told = before.map(|before| audible(&before, in_force, subject));
        writer.append_policy(&told.unwrap_or_default(), None, Some(in_force))?;
    }
    Ok(())
}

/// Another configuration decides: writes a 4719 for each subcategory that is audited in another way from now on, and gives
/// the policy that is in force then. The events are on disk with that, or neither is.
///
/// # Errors
///
/// When the log cannot be written: then the old policy is to stay.
pub fn reconfigure(
    writer: &mut Writer,
    in_force: &Policy,
    config: &AuditConfig,
    subject: &Subject,
) -> Result<Policy, LogError> {
    let new = config.over(&writer.policy()?);
    if new != *in_force {
        let told = audible(in_force, &new, subject);
        writer.append_policy(&told, None, Some(&new))?;
    }
    Ok(new)
}

/// A 4719 for each difference in what is audited: to the configuration No Auditing is no more than a way to write it
/// down.
fn audible(old: &Policy, new: &Policy, subject: &Subject) -> Vec<Entry> {
    let audits = |policy: &Policy| {
        let mut audits = policy.clone();
        for subcategory in Subcategory::ALL {
            let setting = policy.get(subcategory);
            audits.set(subcategory, setting.filter(|s| *s != Setting::NO_AUDITING));
        }
        audits
    };
    changes(&audits(old), &audits(new), subject)
}

/// A 4719 for each difference.
fn changes(old: &Policy, new: &Policy, subject: &Subject) -> Vec<Entry> {
    old.changes(new)
        .into_iter()
        .map(|(subcategory, old, new)| {
            let event = Event::PolicyChanged {
                subject: subject.clone(),
                subcategory,
                old,
                new,
            };
            Entry {
                record: Some(event.into_record(None, Extra::default())),
                account: Vec::new(),
            }
        })
        .collect()
}

/// What the stored policy will be.
fn changed(
    stored: &Policy,
    config: &AuditConfig,
    change: &PolicyChange,
) -> Result<Policy, PolicyError> {
    let mut new = stored.clone();
    match change {
        PolicyChange::Set {
            subcategories,
            success,
            failure,
        } => {
            for &subcategory in subcategories {
                refuse_governed(config, subcategory)?;
                let old = stored.get(subcategory).unwrap_or(Setting::NO_AUDITING);
                let setting = Setting {
                    success: success.unwrap_or(old.success),
                    failure: failure.unwrap_or(old.failure),
                };
                new.set(subcategory, Some(setting));
            }
        }
        PolicyChange::Restore { policy } => {
            for subcategory in Subcategory::ALL {
                let wanted = policy.get(subcategory);
                if config.governs(subcategory).is_none() {
                    new.set(subcategory, wanted);
                } else if wanted.is_some() && wanted != config.over(stored).get(subcategory) {
                    // What the file says is what the configuration says already: nothing is asked.
                    refuse_governed(config, subcategory)?;
                }
            }
        }
        PolicyChange::Clear => {
            for subcategory in Subcategory::ALL {
                refuse_governed(config, subcategory)?;
                new.set(subcategory, None);
            }
        }
    }
    Ok(new)
}

fn refuse_governed(config: &AuditConfig, subcategory: Subcategory) -> Result<(), PolicyError> {
    match config.governs(subcategory) {
        None => Ok(()),
        Some(location) => Err(PolicyError::Governed {
            subcategory,
            location: location.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use audit::Subcategory as S;

    use super::*;

    fn governed() -> AuditConfig {
        let location = Location {
            file: "m.toml".into(),
            line: 2,
            column: 1,
        };
        AuditConfig {
            settings: vec![(S::IpsecMainMode, Setting::BOTH, location)],
        }
    }

    fn set(subcategory: S, success: Option<bool>, failure: Option<bool>) -> PolicyChange {
        PolicyChange::Set {
            subcategories: vec![subcategory],
            success,
            failure,
        }
    }

    #[test]
    fn setting_one_half_leaves_the_other() {
        let free = AuditConfig::default();
        let mut stored = Policy::default();
        let one = changed(&stored, &free, &set(S::IpsecMainMode, Some(true), None)).expect("set");
        assert_eq!(one.get(S::IpsecMainMode), Some(Setting::SUCCESS));
        stored.set(S::IpsecMainMode, Some(Setting::BOTH));
        let one = changed(&stored, &free, &set(S::IpsecMainMode, Some(false), None)).expect("set");
        assert_eq!(one.get(S::IpsecMainMode), Some(Setting::FAILURE));
    }

    #[test]
    fn what_the_configuration_sets_is_changed_there_alone() {
        let stored = Policy::default();
        let error = changed(
            &stored,
            &governed(),
            &set(S::IpsecMainMode, Some(true), None),
        )
        .expect_err("refused");
        assert_eq!(
            error.to_string(),
            "\"IPsec Main Mode\" is set by the configuration, m.toml:2; change it there"
        );
        assert!(changed(&stored, &governed(), &set(S::IpsecDriver, Some(true), None)).is_ok());
        assert!(changed(&stored, &governed(), &PolicyChange::Clear).is_err());
    }

    #[test]
    fn restoring_what_is_in_force_already_is_no_conflict() {
        let stored = Policy::default();
        let mut policy = Policy::default();
        policy.set(S::IpsecMainMode, Some(Setting::BOTH));
        policy.set(S::IpsecDriver, Some(Setting::FAILURE));
        let restore = PolicyChange::Restore {
            policy: policy.clone(),
        };
        let new = changed(&stored, &governed(), &restore).expect("restored");
        assert_eq!(new.get(S::IpsecMainMode), None);
        assert_eq!(new.get(S::IpsecDriver), Some(Setting::FAILURE));
        policy.set(S::IpsecMainMode, Some(Setting::SUCCESS));
        let restore = PolicyChange::Restore { policy };
        assert!(changed(&stored, &governed(), &restore).is_err());
    }
}
