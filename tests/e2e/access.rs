//! Credentials and rights: which callers may make which calls, about which resources.

mod authorization;
mod belonging;
mod issuer;
mod tokens;
