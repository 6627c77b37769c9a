//! The texts that the server and the oracle are asked about.

pub mod documents;
mod fragments;
mod mutations;

use std::collections::BTreeSet;

/// A text, and what it should be a message of.
pub struct Input {
    /// The full name of the message.
    pub message: &'static str,
    /// The text; not always UTF-8.
    pub text: Vec<u8>,
}

impl Input {
    /// A text for a message.
    pub fn new(message: &'static str, text: impl Into<Vec<u8>>) -> Self {
        Self { message, text: text.into() }
    }

    /// What identifies the input, in print.
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

/// All of them, each once.
pub fn all() -> Vec<Input> {
    let mut inputs = fragments::all();
    inputs.extend(documents::all());
    inputs.extend(mutations::all());
    let mut seen = BTreeSet::new();
    inputs.retain(|input| seen.insert((input.message, input.text.clone())));
    inputs
}
