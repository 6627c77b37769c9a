//! End-to-end tests: the real binary as a process, and the clients that users have.
//!
//! `cargo xtask test` installs the clients.

mod access;
mod clients;
mod data;
mod fleet;
mod http;
mod limits;
mod operations;
mod own_features;
mod protocols;
mod rest;
mod support;
mod tls;
mod watch;
mod wire;
