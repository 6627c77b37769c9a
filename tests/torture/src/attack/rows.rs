//! The attacks, grouped by what they abuse.

pub mod bodies;
pub mod bombs;
pub mod calls;
pub mod floods;
pub mod handshakes;
pub mod headers;
pub mod http1;
pub mod malformed;
pub mod readers;
pub mod repeated;
pub mod resets;
pub mod silent;
pub mod unfinished;
