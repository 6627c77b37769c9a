//! End-to-end tests: the real binary as a process of its own, and the real clients that people use with it.
//!
//! The clients are installed by `cargo xtask test`.

mod authorization;
mod belonging;
mod clients;
mod curl;
mod folder;
mod fresh_reads;
mod harness;
mod http;
mod issuer;
mod json_oracle;
mod limits;
mod log_audit;
mod logs;
mod openapi;
mod permissions;
mod protocols;
mod raw;
mod reflection;
mod rest;
mod restart;
mod rust_client;
mod scripts;
mod service;
mod startup;
mod tls;
mod tokens;
mod tools;
mod wire;
