//! The layers together, around a small service, as clients see them.

mod browsers;
mod calls;
mod connections;
mod ends;
mod lifetimes;
mod log;
mod places;
pub(crate) mod support;
mod translated;
