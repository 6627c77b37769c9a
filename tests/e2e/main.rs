//! End-to-end tests: the real binary as a process, and the clients that users have.
//!
//! `cargo xtask test` installs the clients.

mod access;
mod clients;
mod data;
mod fleet;
mod fresh_reads;
mod http;
mod limits;
mod openapi;
mod operations;
mod protocols;
mod rest;
mod support;
mod tls;
mod wire;
