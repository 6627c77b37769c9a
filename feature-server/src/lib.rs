//! The feature server: a thin shell that authenticates, authorises, decodes, calls the core, commits and encodes.

#![forbid(unsafe_code)]

pub mod call_context;
pub mod cli;
pub mod config;
pub mod error;
pub mod host;
pub mod middleware;
pub mod monitoring;
pub mod net;
pub mod pages;
pub mod permit;
pub mod server;
pub mod services;
pub mod telemetry;
