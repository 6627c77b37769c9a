//! Places in a JSON text, and the violations there.

use std::fmt;

use tonic_types::FieldViolation;

use crate::error::client_text::{MAX_CHARS, quoted};

/// The most violations in an answer.
const MAX_VIOLATIONS: usize = 16;

/// A place in a JSON text. It lives on the stack, so a correct text needs no allocation.
#[derive(Clone, Copy)]
pub(crate) enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Index(parent, index) => write!(f, "{parent}[{index}]"),
            Path::Key(parent, key) if !is_name(key) => write!(f, "{parent}[{}]", quoted(key)),
            Path::Key(Path::Root, key) => f.write_str(key),
            Path::Key(parent, key) => write!(f, "{parent}.{key}"),
        }
    }
}

fn is_name(key: &str) -> bool {
    let name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=MAX_CHARS).contains(&key.len()) && key.bytes().all(name)
}

/// The violations found so far.
#[derive(Default)]
pub(crate) struct Violations(Vec<FieldViolation>);

impl Violations {
    /// Adds a violation, up to the limit. Its text is written only if it is kept.
    pub(crate) fn add(&mut self, path: Path<'_>, description: impl fmt::Display) {
        if self.0.len() < MAX_VIOLATIONS {
            let path = match path {
                Path::Root => super::BODY.to_owned(),
                path => path.to_string(),
            };
            self.0.push(FieldViolation::new(path, description.to_string()));
        }
    }

    /// The value, or the violations if there are any.
    pub(crate) fn or<T>(self, read: Option<T>) -> Result<T, Vec<FieldViolation>> {
        match read {
            Some(read) if self.0.is_empty() => Ok(read),
            _ => Err(self.0),
        }
    }
}
