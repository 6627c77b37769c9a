//! Accepts, encrypts, serves and closes connections. The content of a call is opaque here.

pub(crate) mod activity;
pub(crate) mod connection;
pub(crate) mod connection_age;
mod http_limits;
pub(crate) mod idle_connections;
pub(crate) mod inline_executor;
pub mod listener;
pub(crate) mod shutdown;
pub(crate) mod slots;
pub mod tls;
pub mod workers;
