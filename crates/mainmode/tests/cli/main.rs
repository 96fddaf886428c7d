//! The commands as their users meet them, and the pages that describe them.

mod audit;
mod check;
mod daemon;
mod documentation;
mod explain;
mod import;
mod log;
mod place;
mod scenarios;
