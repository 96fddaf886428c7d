//! keying
