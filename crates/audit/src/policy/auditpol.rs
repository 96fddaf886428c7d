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
        for row in reader.records() {
            let row = row?;
            let line = row.position().map_or(0, csv::Position::line);
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

/// GUIDs compare without regard to case and braces.
fn same_guid(ours: &str, theirs: &str) -> bool {
    let bare = theirs
        .strip_prefix('{')
        .and_then(|g| g.strip_suffix('}'))
        .unwrap_or(theirs);
    ours[1..ours.len() - 1].eq_ignore_ascii_case(bare)
}
