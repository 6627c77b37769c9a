//! Recognises which requests are calls for this server.

pub mod allowed_hosts;
pub(crate) mod prepared;
