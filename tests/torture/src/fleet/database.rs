//! The database of a fleet: three PostgreSQL servers, one of which leads, and what may happen to them.

pub mod cluster;
pub mod network;
pub mod node;
pub mod patroni;
pub mod processes;
pub mod session;
pub mod table;
