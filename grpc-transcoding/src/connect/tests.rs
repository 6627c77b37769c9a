//! Calls in the Connect protocol, around small services.

mod recognising;
mod streams;
mod support;
mod unary;
