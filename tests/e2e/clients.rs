//! Clients of other projects: published crates and packages, scripts, and reflection clients.

mod json_oracle;
mod reflection;
mod rust_client;
mod scripts;
