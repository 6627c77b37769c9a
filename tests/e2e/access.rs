//! Credentials and rights: which callers may make which calls, on which resources.

mod authorization;
mod belonging;
mod issuer;
mod tokens;
