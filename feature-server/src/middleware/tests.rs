//! Tests of all layers together around a small service, from the client's view.

mod browsers;
mod calls;
mod connections;
mod ends;
mod lifetimes;
mod log;
mod places;
pub(crate) mod support;
mod translated;
