//! Routes of the real protos, and of a small proto with rules of every kind.

mod parameters;
mod paths;
mod properties;
mod real;
mod requests;
mod responses;
mod rules;
pub(crate) mod support;
mod templates;
