//! Identifiers of instances, organizations and users. Each has its own type, so that the compiler finds swapped ids.

use std::fmt;
use std::sync::Arc;

/// The maximum number of characters in an identifier.
pub const ID_MAX_CHARS: usize = 200;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// The text has more than [`ID_MAX_CHARS`] characters.
    #[error("has {0} characters, at most {ID_MAX_CHARS} are allowed")]
    TooLong(usize),
    /// The text contains a control character, such as a line break.
    #[error("holds a control character at position {0}")]
    ControlCharacter(usize),
}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    // Counting is slow only for long texts, which are refused anyway.
    let chars = text.chars().count();
    if chars > ID_MAX_CHARS {
        return Err(IdError::TooLong(chars));
    }
    match text.chars().position(char::is_control) {
        Some(position) => Err(IdError::ControlCharacter(position)),
        None => Ok(()),
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Accepts a text of 1 to [`ID_MAX_CHARS`] characters without control characters.
            ///
            /// # Errors
            /// [`IdError`] says what is wrong with the text.
            pub fn new(text: &str) -> Result<Self, IdError> {
                check(text)?;
                Ok(Self(text.into()))
            }

            /// The identifier as the caller gave it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// The id of an instance: a tenant of the product with its own organizations and users.
    InstanceId
);
id!(
    /// The id of an organization of an instance.
    OrganizationId
);
id!(
    /// The id of a user of an instance.
    UserId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_1_to_200_characters_and_no_control_character() {
        let table = [
            // (id, accepted or why not)
            ("a".to_owned(), Ok(())),
            ("ü".repeat(200), Ok(())),
            ("a b/c:d".to_owned(), Ok(())),
            (String::new(), Err(IdError::Empty)),
            ("ü".repeat(201), Err(IdError::TooLong(201))),
            ("ab\n".to_owned(), Err(IdError::ControlCharacter(2))),
            ("\u{0}".to_owned(), Err(IdError::ControlCharacter(0))),
        ];
        for (text, expected) in table {
            assert_eq!(InstanceId::new(&text).map(|_| ()), expected, "{text:?}");
        }
    }
}
