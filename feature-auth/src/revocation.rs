//! Revoked tokens: the list, and the file that it comes from.

pub(crate) mod file;
pub(crate) mod list;
