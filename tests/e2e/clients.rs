//! Clients that others wrote: published crates and packages, scripts, reflection clients.

mod json_oracle;
mod reflection;
mod rust_client;
mod scripts;
