//! Places in a JSON text, and the violations there.

use std::cell::RefCell;
use std::fmt;

use tonic_types::FieldViolation;

use crate::error::client_text::{MAX_CHARS, quoted};

/// The most violations in an answer.
pub(crate) const MAX_VIOLATIONS: usize = 16;

/// A place in a JSON text. It lives on the stack, so a correct text needs no allocation.
pub(crate) enum Path<'a> {
    /// The whole text, and the violations at all places inside it.
    Root(&'a RefCell<Vec<FieldViolation>>),
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl Path<'_> {
    /// Adds a violation, up to the limit, in place of a value. The text of the violation is written only if it is kept.
    pub(crate) fn refuse<T>(&self, description: impl fmt::Display) -> Option<T> {
        let mut violations = self.violations().borrow_mut();
        if violations.len() < MAX_VIOLATIONS {
            let path = match self {
                Path::Root(_) => super::BODY.to_owned(),
                path => path.to_string(),
            };
            violations.push(FieldViolation::new(path, description.to_string()));
        }
        None
    }

    fn violations(&self) -> &RefCell<Vec<FieldViolation>> {
        match self {
            Path::Root(violations) => violations,
            Path::Key(parent, _) | Path::Index(parent, _) => parent.violations(),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root(_) => Ok(()),
            Path::Index(parent, index) => write!(f, "{parent}[{index}]"),
            Path::Key(parent, key) if !is_name(key) => write!(f, "{parent}[{}]", quoted(key)),
            Path::Key(Path::Root(_), key) => f.write_str(key),
            Path::Key(parent, key) => write!(f, "{parent}.{key}"),
        }
    }
}

fn is_name(key: &str) -> bool {
    let name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=MAX_CHARS).contains(&key.len()) && key.bytes().all(name)
}
