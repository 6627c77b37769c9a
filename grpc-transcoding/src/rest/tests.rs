//! Routes of a small proto with rules of every kind.

mod parameters;
mod paths;
mod properties;
mod requests;
mod responses;
mod rules;
pub(crate) mod support;
mod templates;
