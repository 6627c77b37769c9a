//! The layers that every call passes; [`stack`] lists them.

pub(crate) mod admission;
pub mod auth;
pub mod browsers;
pub(crate) mod call_host;
pub(crate) mod call_log;
pub(crate) mod error_details;
pub(crate) mod identity_share;
pub mod recognise;
pub(crate) mod response_body;
pub mod stack;
pub(crate) mod stream_buffer;
#[cfg(test)]
pub(crate) mod tests;
