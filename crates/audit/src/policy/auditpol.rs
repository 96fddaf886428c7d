//! The policy's file, as `auditpol /backup` writes it and `auditpol /restore` reads it.

use thiserror::Error;

use super::{Policy, Setting, Subcategory};

/// The columns, in the order in which `auditpol /backup` writes them.
const HEADER: [&str; 7] = [
    "Machine Name",
    "Policy Target",
    "Subcategory",
    "Subcategory GUID",
    "Inclusion Setting",
    "Exclusion Setting",
    "Setting Value",
];

/// The policy target of rows that hold for the whole computer.
const SYSTEM: &str = "System";

/// What Group Policy writes for a subcategory that it leaves as it is (\[MS-GPAC\] 2.2.1.3.1).
const NOT_SPECIFIED: &str = "Not Specified";

/// The Setting Value with which Group Policy says No Auditing (\[MS-GPAC\] 2.2.1.3.1).
const GROUP_POLICY_NONE: &str = "4";

/// Why a policy's file cannot be restored.
#[derive(Debug, Error)]
pub enum CsvError {
    /// The text is not CSV.
    #[error("this is not a CSV file")]
    Csv(#[from] csv::Error),
    /// A column is missing.
    #[error(
        "the first line names no column \"{0}\"; write the header that `audit backup` writes: \
         Machine Name,Policy Target,Subcategory,Subcategory GUID,Inclusion Setting,Exclusion \
         Setting,Setting Value"
    )]
    MissingColumn(&'static str),
    /// A row says neither 0 to 3 nor a setting's words.
    #[error(
        "line {line}: \"{value}\" is no setting of {subcategory}; write 0 (No Auditing), \
         1 (Success), 2 (Failure) or 3 (Success and Failure) as Setting Value"
    )]
    Setting {
        /// The line in the file, from 1.
        line: u64,
        /// The subcategory that the row's GUID names.
        subcategory: Subcategory,
        /// What stands there.
        value: String,
    },
    /// Two rows say different things of one subcategory.
    #[error("line {line}: {subcategory} was set to something else further up")]
    Contradiction {
        /// The line in the file, from 1.
        line: u64,
        /// The subcategory that both rows name.
        subcategory: Subcategory,
    },
}

/// A row of a policy's file that is not about a subcategory of this program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownRow {
    /// The line in the file, from 1.
    pub line: u64,
    /// The row's policy target: `System`, or the account of a per-user policy.
    pub target: String,
    /// The row's subcategory, by name.
    pub name: String,
    /// The row's GUID, as it stands there.
    pub guid: String,
}

impl Policy {
    /// The policy as `auditpol /backup` writes it: a row for each subcategory that is configured.
    ///
    /// Lines end in CR LF, as they do there.
    #[allow(
        clippy::missing_panics_doc,
        reason = "writing text to a Vec does not fail"
    )]
    pub fn to_csv(&self, host: &str) -> String {
        let mut writer = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .from_writer(Vec::new());
        let mut rows = vec![HEADER.map(str::to_owned)];
        for subcategory in Subcategory::ALL {
            if let Some(setting) = self.get(subcategory) {
                rows.push([
                    host.to_owned(),
                    SYSTEM.to_owned(),
                    subcategory.name().to_owned(),
                    subcategory.guid().to_owned(),
                    setting.words().to_owned(),
                    String::new(),
                    setting.value().to_string(),
                ]);
            }
        }
        for row in &rows {
            writer.write_record(row).expect("a Vec takes every write");
        }
        let bytes = writer.into_inner().expect("a Vec takes every write");
        String::from_utf8(bytes).expect("the rows were text")
    }

    /// Reads a policy's file: of `audit backup`, of `auditpol /backup`, or a Group Policy's
    /// `audit.csv`.
    ///
    /// The GUID decides what a row is about, not the name, and the Setting Value what it says; where
    /// that is empty, the Inclusion Setting. Subcategories without a row are *Not configured*. Rows
    /// about anything else come back beside the policy, to be reported.
    pub fn from_csv(text: &str) -> Result<(Policy, Vec<UnknownRow>), CsvError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let headers = reader.headers()?.clone();
        let column = |name: &'static str| {
            headers
                .iter()
                .position(|h| h.eq_ignore_ascii_case(name))
                .ok_or(CsvError::MissingColumn(name))
        };
        let (guid, value) = (column(HEADER[3])?, column(HEADER[6])?);
        let (target, name) = (column(HEADER[1])?, column(HEADER[2])?);
        let words = column(HEADER[4])?;

        let mut policy = Policy::default();
        let mut unknown = Vec::new();
        let mut lines = Lines {
            text,
            at: 0,
            line: 1,
        };
        for row in reader.records() {
            let row = row?;
            let line = lines.of(row.position());
            let cell = |at: usize| row.get(at).unwrap_or("");
            let Some(subcategory) = Subcategory::ALL
                .into_iter()
                .find(|s| same_guid(s.guid(), cell(guid)))
                .filter(|_| cell(target).eq_ignore_ascii_case(SYSTEM))
            else {
                unknown.push(UnknownRow {
                    line,
                    target: cell(target).to_owned(),
                    name: cell(name).to_owned(),
                    guid: cell(guid).to_owned(),
                });
                continue;
            };
            let said = match cell(value) {
                "" => cell(words),
                number => number,
            };
            if cell(words).eq_ignore_ascii_case(NOT_SPECIFIED)
                && matches!(said, "0" | NOT_SPECIFIED)
            {
                continue;
            }
            let setting = Setting::read(said).ok_or_else(|| CsvError::Setting {
                line,
                subcategory,
                value: said.to_owned(),
            })?;
            if policy.get(subcategory).is_some_and(|s| s != setting) {
                return Err(CsvError::Contradiction { line, subcategory });
            }
            policy.set(subcategory, Some(setting));
        }
        Ok((policy, unknown))
    }
}

impl Setting {
    /// The Setting Value of the policy's file: 0 to 3.
    fn value(self) -> u8 {
        u8::from(self.success) | u8::from(self.failure) << 1
    }

    fn read(text: &str) -> Option<Setting> {
        if text == GROUP_POLICY_NONE {
            return Some(Setting::NO_AUDITING);
        }
        [
            Setting::NO_AUDITING,
            Setting::SUCCESS,
            Setting::FAILURE,
            Setting::BOTH,
        ]
        .into_iter()
        .find(|s| text == s.value().to_string() || text.eq_ignore_ascii_case(s.words()))
    }
}

/// Counts lines for rows that come in order. `csv`'s own count is one short after a CR LF.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line, from 1, of the row that starts at this position or after its line ends.
    fn of(&mut self, row: Option<&csv::Position>) -> u64 {
        let bytes = self.text.as_bytes();
        let start = row.map_or(self.at, |p| usize::try_from(p.byte()).unwrap_or(usize::MAX));
        while let Some(byte) = bytes.get(self.at)
            && (self.at < start || matches!(byte, b'\r' | b'\n'))
        {
            self.line += u64::from(*byte == b'\n');
            self.at += 1;
        }
        self.line
    }
}

/// GUIDs compare without regard to case and braces.
fn same_guid(ours: &str, theirs: &str) -> bool {
    let bare = theirs
        .strip_prefix('{')
        .and_then(|g| g.strip_suffix('}'))
        .unwrap_or(theirs);
    ours[1..ours.len() - 1].eq_ignore_ascii_case(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(settings: &[(Subcategory, Setting)]) -> Policy {
        let mut policy = Policy::default();
        for &(subcategory, setting) in settings {
            policy.set(subcategory, Some(setting));
        }
        policy
    }

    #[test]
    fn a_backup_reads_as_auditpol_writes_it() {
        let policy = policy(&[
            (Subcategory::IpsecDriver, Setting::NO_AUDITING),
            (Subcategory::IpsecMainMode, Setting::BOTH),
            (Subcategory::IpsecQuickMode, Setting::SUCCESS),
            (Subcategory::IpsecExtendedMode, Setting::FAILURE),
        ]);
        assert_eq!(
            policy.to_csv("gw"),
            "Machine Name,Policy Target,Subcategory,Subcategory GUID,Inclusion Setting,Exclusion Setting,Setting Value\r\n\
             gw,System,IPsec Driver,{0CCE9213-69AE-11D9-BED3-505054503030},No Auditing,,0\r\n\
             gw,System,IPsec Main Mode,{0CCE9218-69AE-11D9-BED3-505054503030},Success and Failure,,3\r\n\
             gw,System,IPsec Quick Mode,{0CCE9219-69AE-11D9-BED3-505054503030},Success,,1\r\n\
             gw,System,IPsec Extended Mode,{0CCE921A-69AE-11D9-BED3-505054503030},Failure,,2\r\n"
        );
    }

    #[test]
    fn every_policy_comes_back_from_its_backup() {
        let settings = [
            None,
            Some(Setting::NO_AUDITING),
            Some(Setting::SUCCESS),
            Some(Setting::FAILURE),
            Some(Setting::BOTH),
        ];
        for number in 0..settings.len().pow(4) {
            let mut policy = Policy::default();
            let mut rest = number;
            for subcategory in Subcategory::ALL {
                policy.set(subcategory, settings[rest % settings.len()]);
                rest /= settings.len();
            }
            let csv = policy.to_csv("a, \"quoted\" host");
            let (back, unknown) = Policy::from_csv(&csv).unwrap();
            assert_eq!((back, unknown), (policy, vec![]), "{csv}");
        }
    }

    #[test]
    fn what_is_not_configured_has_no_row() {
        let csv = Policy::default().to_csv("gw");
        assert_eq!(csv.lines().count(), 1);
        assert_eq!(Policy::from_csv(&csv).unwrap().0, Policy::default());
    }

    const HEAD: &str = "Machine Name,Policy Target,Subcategory,Subcategory GUID,Inclusion Setting,Exclusion Setting,Setting Value\n";

    #[test]
    fn the_guid_decides_and_not_the_name() {
        let text = format!(
            "{HEAD}WS1,System,IPsec Quick Mode,{{0cce9218-69ae-11d9-bed3-505054503030}},Success,,3\n\
             WS1,System,IPsec Main Mode,{{0CCE9215-69AE-11D9-BED3-505054503030}},Success,,1\n"
        );
        let (restored, unknown) = Policy::from_csv(&text).unwrap();
        assert_eq!(
            restored,
            policy(&[(Subcategory::IpsecMainMode, Setting::BOTH)])
        );
        assert_eq!(
            unknown,
            [UnknownRow {
                line: 3,
                target: "System".to_owned(),
                name: "IPsec Main Mode".to_owned(),
                guid: "{0CCE9215-69AE-11D9-BED3-505054503030}".to_owned(),
            }]
        );
    }

    #[test]
    fn options_and_per_user_rows_of_windows_are_reported_and_left_alone() {
        let text = format!(
            "\u{feff}{HEAD}WS1,System,IPsec Main Mode,{{0CCE9218-69AE-11D9-BED3-505054503030}},Failure,,2\r\n\
             WS1,S-1-5-21-1-2-3-500,IPsec Main Mode,{{0CCE9218-69AE-11D9-BED3-505054503030}},Success,,1\r\n\
             WS1,,Option:CrashOnAuditFail,,Disabled,,0\r\n"
        );
        let (restored, unknown) = Policy::from_csv(&text).unwrap();
        assert_eq!(
            restored,
            policy(&[(Subcategory::IpsecMainMode, Setting::FAILURE)])
        );
        let lines: Vec<u64> = unknown.iter().map(|row| row.line).collect();
        assert_eq!(lines, [3, 4]);
    }

    #[test]
    fn a_group_policys_file_is_read_as_group_policy_means_it() {
        let text = format!(
            "{HEAD},System,Audit IPsec Main Mode,{{0cce9218-69ae-11d9-bed3-505054503030}},Not Specified,,0\n\
             ,System,Audit IPsec Driver,{{0cce9213-69ae-11d9-bed3-505054503030}},No Auditing,,4\n\
             ,System,Audit IPsec Quick Mode,{{0cce9219-69ae-11d9-bed3-505054503030}},Success,,\n"
        );
        let (restored, _) = Policy::from_csv(&text).unwrap();
        assert_eq!(
            restored,
            policy(&[
                (Subcategory::IpsecDriver, Setting::NO_AUDITING),
                (Subcategory::IpsecQuickMode, Setting::SUCCESS),
            ])
        );
    }

    #[test]
    fn what_cannot_be_meant_is_an_error_that_names_the_line() {
        let row = "gw,System,IPsec Main Mode,{0CCE9218-69AE-11D9-BED3-505054503030}";
        let odd = Policy::from_csv(&format!("{HEAD}{row},,,7\n")).unwrap_err();
        assert!(matches!(odd, CsvError::Setting { line: 2, .. }), "{odd}");
        let both = Policy::from_csv(&format!("{HEAD}{row},,,1\n{row},,,2\n")).unwrap_err();
        assert!(
            matches!(both, CsvError::Contradiction { line: 3, .. }),
            "{both}"
        );
        for text in ["", "a,b,c\n", "hello"] {
            let headless = Policy::from_csv(text).unwrap_err();
            assert!(matches!(headless, CsvError::MissingColumn(_)), "{headless}");
        }
    }
}
