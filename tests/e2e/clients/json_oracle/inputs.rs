//! The inputs of the comparison with the oracle.

pub mod documents;
mod fragments;
mod mutations;

use std::collections::BTreeSet;

/// A text, and the message type to decode it as.
pub struct Input {
    /// The full name of the message type.
    pub message: &'static str,
    /// The text; not always valid UTF-8.
    pub text: Vec<u8>,
}

impl Input {
    /// A text for a message type.
    pub fn new(message: &'static str, text: impl Into<Vec<u8>>) -> Self {
        Self { message, text: text.into() }
    }

    /// A printable name of the input.
    pub fn name(&self) -> String {
        let message = self.message.rsplit('.').next().unwrap_or_default();
        let shown = self.text.len().min(200);
        let text = String::from_utf8_lossy(&self.text[..shown]).escape_debug().to_string().replace("\\\"", "\"");
        match self.text.len() - shown {
            0 => format!("{message} {text}"),
            rest => format!("{message} {text}… and {rest} bytes"),
        }
    }
}

/// All inputs, without duplicates.
pub fn all() -> Vec<Input> {
    let mut inputs = fragments::all();
    inputs.extend(documents::all());
    inputs.extend(mutations::all());
    let mut seen = BTreeSet::new();
    inputs.retain(|input| seen.insert((input.message, input.text.clone())));
    inputs
}
