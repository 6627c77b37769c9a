//! Where in a JSON text something is, and what is wrong there.

use std::fmt;

use tonic_types::FieldViolation;

use crate::client_text::{MAX_CHARS, quoted};

/// So many violations are told; a client that made more of them has enough to do.
const MAX_VIOLATIONS: usize = 16;

/// A place in a JSON text. It lives on the stack, so that text without fault costs nothing.
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
    /// Notes one. Its text is made only when it will be told.
    pub(crate) fn add(&mut self, path: Path<'_>, description: impl fmt::Display) {
        if self.0.len() < MAX_VIOLATIONS {
            let path = match path {
                Path::Root => super::BODY.to_owned(),
                path => path.to_string(),
            };
            self.0.push(FieldViolation::new(path, description.to_string()));
        }
    }

    /// What was read, unless something was wrong.
    pub(crate) fn or<T>(self, read: Option<T>) -> Result<T, Vec<FieldViolation>> {
        match read {
            Some(read) if self.0.is_empty() => Ok(read),
            _ => Err(self.0),
        }
    }
}
