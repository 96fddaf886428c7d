//! The audit policy: what is written to the log at all.
//!
//! Each subcategory is *Not configured* (the default: silence), or has a [`Setting`]. The events of
//! the log itself and of the policy are written whatever the setting says.

mod auditpol;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::catalogue::{Governor, spec};
use crate::record::Outcome;

pub use auditpol::{CsvError, UnknownRow};

/// A category of the audit policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Category {
    /// System.
    System,
    /// Logon/Logoff.
    LogonLogoff,
}

impl Category {
    /// Every category that has a subcategory here.
    pub const ALL: [Category; 2] = [Category::System, Category::LogonLogoff];

    /// The name that Windows shows.
    pub fn name(self) -> &'static str {
        match self {
            Category::System => "System",
            Category::LogonLogoff => "Logon/Logoff",
        }
    }

    /// The GUID, upper case, in braces.
    pub fn guid(self) -> &'static str {
        match self {
            Category::System => "{69979848-797A-11D9-BED3-505054503030}",
            Category::LogonLogoff => "{69979849-797A-11D9-BED3-505054503030}",
        }
    }

    /// The parameter that stands for the category in 4719.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Category::System => "%%8272",
            Category::LogonLogoff => "%%8273",
        }
    }

    /// The category of that name or GUID; case and braces do not matter.
    pub fn from_name_or_guid(text: &str) -> Option<Category> {
        Self::ALL
            .into_iter()
            .find(|c| names(text, c.name(), c.guid()))
    }

    /// The subcategories in it that this program knows.
    pub fn subcategories(self) -> impl Iterator<Item = Subcategory> {
        Subcategory::ALL
            .into_iter()
            .filter(move |s| s.category() == self)
    }
}

/// A subcategory: what one line of the audit policy is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subcategory {
    /// IPsec Main Mode, of Logon/Logoff.
    IpsecMainMode,
    /// IPsec Quick Mode, of Logon/Logoff.
    IpsecQuickMode,
    /// IPsec Extended Mode, of Logon/Logoff.
    IpsecExtendedMode,
    /// IPsec Driver, of System.
    IpsecDriver,
}

impl Subcategory {
    /// Every subcategory, in the order of the policy's listings.
    pub const ALL: [Subcategory; 4] = [
        Subcategory::IpsecDriver,
        Subcategory::IpsecMainMode,
        Subcategory::IpsecQuickMode,
        Subcategory::IpsecExtendedMode,
    ];

    /// The name that Windows shows.
    pub fn name(self) -> &'static str {
        match self {
            Subcategory::IpsecMainMode => "IPsec Main Mode",
            Subcategory::IpsecQuickMode => "IPsec Quick Mode",
            Subcategory::IpsecExtendedMode => "IPsec Extended Mode",
            Subcategory::IpsecDriver => "IPsec Driver",
        }
    }

    /// The GUID, upper case, in braces (\[MS-GPAC\] 2.2.1.2).
    pub fn guid(self) -> &'static str {
        match self {
            Subcategory::IpsecMainMode => "{0CCE9218-69AE-11D9-BED3-505054503030}",
            Subcategory::IpsecQuickMode => "{0CCE9219-69AE-11D9-BED3-505054503030}",
            Subcategory::IpsecExtendedMode => "{0CCE921A-69AE-11D9-BED3-505054503030}",
            Subcategory::IpsecDriver => "{0CCE9213-69AE-11D9-BED3-505054503030}",
        }
    }

    /// The parameter that stands for the subcategory in 4719.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Subcategory::IpsecMainMode => "%%12547",
            Subcategory::IpsecQuickMode => "%%12549",
            Subcategory::IpsecExtendedMode => "%%12550",
            Subcategory::IpsecDriver => "%%12291",
        }
    }

    /// The category it belongs to.
    pub fn category(self) -> Category {
        match self {
            Subcategory::IpsecDriver => Category::System,
            _ => Category::LogonLogoff,
        }
    }

    /// The subcategory of that name or GUID; case and braces do not matter.
    pub fn from_name_or_guid(text: &str) -> Option<Subcategory> {
        Self::ALL
            .into_iter()
            .find(|s| names(text, s.name(), s.guid()))
    }

    fn index(self) -> usize {
        match self {
            Subcategory::IpsecMainMode => 0,
            Subcategory::IpsecQuickMode => 1,
            Subcategory::IpsecExtendedMode => 2,
            Subcategory::IpsecDriver => 3,
        }
    }
}

impl fmt::Display for Subcategory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn names(text: &str, name: &str, guid: &str) -> bool {
    let text = text.trim();
    let bare = text
        .strip_prefix('{')
        .and_then(|t| t.strip_suffix('}'))
        .unwrap_or(text);
    text.eq_ignore_ascii_case(name) || bare.eq_ignore_ascii_case(&guid[1..guid.len() - 1])
}

/// What a configured subcategory audits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Setting {
    /// Success audits are written.
    pub success: bool,
    /// Failure audits are written.
    pub failure: bool,
}

impl Setting {
    /// No Auditing: configured to write nothing.
    pub const NO_AUDITING: Setting = Setting {
        success: false,
        failure: false,
    };
    /// Success alone.
    pub const SUCCESS: Setting = Setting {
        success: true,
        failure: false,
    };
    /// Failure alone.
    pub const FAILURE: Setting = Setting {
        success: false,
        failure: true,
    };
    /// Success and Failure.
    pub const BOTH: Setting = Setting {
        success: true,
        failure: true,
    };

    /// The words that `auditpol` shows and writes.
    pub fn words(self) -> &'static str {
        match (self.success, self.failure) {
            (false, false) => "No Auditing",
            (true, false) => "Success",
            (false, true) => "Failure",
            (true, true) => "Success and Failure",
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// The setting of every subcategory. The default is *Not configured*: silence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Policy([Option<Setting>; 4]);

impl Policy {
    /// The subcategory's setting; `None` is *Not configured*.
    pub fn get(&self, subcategory: Subcategory) -> Option<Setting> {
        self.0[subcategory.index()]
    }

    /// Sets the subcategory; `None` makes it *Not configured*.
    pub fn set(&mut self, subcategory: Subcategory, setting: Option<Setting>) {
        self.0[subcategory.index()] = setting;
    }

    /// Whether an event of this id is to be written.
    ///
    /// True for the events that are always written (the log's own and those of the policy), false
    /// for ids that the catalogue does not know.
    pub fn asks_for(&self, event_id: u16) -> bool {
        let Some(event) = spec(event_id) else {
            return false;
        };
        match event.governor {
            Governor::Always => true,
            Governor::Setting(subcategory) => {
                self.get(subcategory)
                    .is_some_and(|setting| match event.outcome {
                        Outcome::Success => setting.success,
                        Outcome::Failure => setting.failure,
                        Outcome::None => true,
                    })
            }
        }
    }

    /// What differs in `new`: the subcategory, its setting here, its setting there.
    pub fn changes(&self, new: &Policy) -> Vec<(Subcategory, Option<Setting>, Option<Setting>)> {
        Subcategory::ALL
            .into_iter()
            .map(|s| (s, self.get(s), new.get(s)))
            .filter(|(_, old, new)| old != new)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unconfigured_policy_is_silent_but_for_what_is_always_written() {
        let policy = Policy::default();
        for event in crate::EVENTS {
            let always = event.governor == Governor::Always;
            assert_eq!(policy.asks_for(event.id), always, "{}", event.id);
        }
        for id in [1100, 1102, 1104, 1105, 4612, 4719] {
            assert!(policy.asks_for(id), "{id}");
        }
        for id in [4646, 4650, 4653, 4655, 4976, 5478, 5479] {
            assert!(!policy.asks_for(id), "{id}");
        }
    }

    #[test]
    fn failure_alone_asks_for_4652_and_4653_and_no_other_event_of_main_mode() {
        let mut policy = Policy::default();
        policy.set(Subcategory::IpsecMainMode, Some(Setting::FAILURE));
        let asked: Vec<u16> = crate::EVENTS
            .iter()
            .filter(|e| e.governor == Governor::Setting(Subcategory::IpsecMainMode))
            .filter(|e| policy.asks_for(e.id))
            .map(|e| e.id)
            .collect();
        assert_eq!(asked, [4652, 4653]);
    }

    #[test]
    fn success_alone_asks_for_the_others() {
        let mut policy = Policy::default();
        policy.set(Subcategory::IpsecMainMode, Some(Setting::SUCCESS));
        for id in [4646, 4650, 4651, 4655, 4976, 5049, 5453] {
            assert!(policy.asks_for(id), "{id}");
        }
        assert!(!policy.asks_for(4652) && !policy.asks_for(4653));
        assert!(!policy.asks_for(4654) && !policy.asks_for(5478));
    }

    #[test]
    fn no_auditing_is_silent_and_yet_configured() {
        let mut policy = Policy::default();
        policy.set(Subcategory::IpsecDriver, Some(Setting::NO_AUDITING));
        assert!(!policy.asks_for(5478));
        assert_eq!(
            Policy::default().changes(&policy),
            [(Subcategory::IpsecDriver, None, Some(Setting::NO_AUDITING))]
        );
    }

    #[test]
    fn an_unknown_event_is_not_asked_for() {
        let mut policy = Policy::default();
        for s in Subcategory::ALL {
            policy.set(s, Some(Setting::BOTH));
        }
        assert!(!policy.asks_for(9999));
    }

    #[test]
    fn a_subcategory_is_found_by_name_and_by_guid_in_any_case() {
        for s in Subcategory::ALL {
            let guid = s.guid();
            let bare = &guid[1..guid.len() - 1];
            for text in [s.name(), guid, bare] {
                assert_eq!(Subcategory::from_name_or_guid(text), Some(s));
                let lower = text.to_lowercase();
                assert_eq!(Subcategory::from_name_or_guid(&lower), Some(s));
            }
        }
        assert_eq!(Subcategory::from_name_or_guid("IPsec"), None);
        assert_eq!(
            Subcategory::from_name_or_guid("0CCE9217-69AE-11D9-BED3-505054503030"),
            None
        );
    }
}
