//! End-to-end tests: the real binary as a process of its own, and the real clients that people use with it.
//!
//! The clients are installed by `cargo xtask test`.

mod access;
mod clients;
mod data;
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
