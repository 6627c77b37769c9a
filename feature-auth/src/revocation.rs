//! Revoked tokens: the list and its file.

pub(super) mod file;
pub(super) mod list;
