//! How large a segment is, how much more goes into it, and how large the next one begins.

use crate::segment::{Segment, page_size};
use crate::tables::natural;
use crate::{LogError, dictionary};

/// More bytes than a segment grows by for each byte that a record stores: beside the shortest body stand its
/// hash, its columns and its place in the index, and a page may be half full.
const BYTES_A_STORED_BYTE: u64 = 8;
/// Pages of a segment that are there without any rows: those of its tables and indexes.
const EMPTY_PAGES: u64 = 12;

impl Segment {
    /// True while what was written since [`Segment::measured`] cannot have filled the segment. To ask for its
    /// size with each append would be a good part of what an append costs.
    pub(crate) fn has_room(&self) -> bool {
        self.codec.stored < self.room
    }

    /// Notes how many bytes were left just now.
    pub(crate) fn measured(&mut self, left: u64) {
        self.room = self.codec.stored + left / BYTES_A_STORED_BYTE;
    }

    /// About how many bytes the next segment begins with: [`Segment::birth`] of it, if it is made now with pages of this size.
    pub(crate) fn birth_of_next(&self, page_size: u64) -> Result<u64, LogError> {
        // Each row's texts, and what its other columns and its place in a page take.
        let rows = self
            .connection
            .query_row(
                "SELECT
                   (SELECT coalesce(sum(31 + length(local) + length(remote)
                      + coalesce(length(connection), 0)), 0) FROM live)
                 + (SELECT coalesce(sum(45 + length(local) + length(remote)
                      + coalesce(length(local_endpoint) + length(remote_endpoint), 0)
                      + coalesce(length(connection), 0)), 0) FROM live_ipsec)
                 + (SELECT coalesce(sum(10 + length(connection)), 0) FROM filter)
                 + (SELECT coalesce(sum(10 + length(name) + length(value)), 0) FROM setting)",
                [],
                |row| natural(row, 0),
            )
            .map_err(LogError::database(&self.path))?;
        let dictionary = dictionary::BUILT_IN.len() as u64;
        Ok(EMPTY_PAGES * page_size + dictionary + rows)
    }

    /// Bytes of the database, whatever of it still stands in the write-ahead log.
    pub(crate) fn bytes(&self) -> Result<u64, LogError> {
        let count = || -> rusqlite::Result<u64> {
            let pages = self
                .connection
                .prepare_cached("PRAGMA page_count")?
                .query_row([], |row| natural(row, 0))?;
            Ok(pages.saturating_mul(page_size(&self.connection)?))
        };
        count().map_err(LogError::database(&self.path))
    }
}
