//! The stored and exported forms of events, records, scopes and a folder's identity.

pub(crate) mod encoding;
pub(crate) mod export_format;
pub(crate) mod identity;
pub(crate) mod scope_key;
