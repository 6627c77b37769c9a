//! Calls in the Connect protocol, of a greeter.

mod recognising;
mod streams;
mod support;
mod unary;
