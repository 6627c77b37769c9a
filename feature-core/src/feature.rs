//! The features that exist on a level. The lists themselves come from the protobuf descriptors, never from this file.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The most characters of an own feature's key.
pub const KEY_MAX_CHARS: usize = 128;

/// The key of a feature, the same on all levels. The key of a built-in feature is its field name in the protobuf
/// messages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeatureKey(Arc<str>);

/// Why a text is not the key of an own feature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text does not begin with a letter.
    #[error("must begin with a letter from A to Z or a to z")]
    Start,
    /// The text has more than [`KEY_MAX_CHARS`] characters.
    #[error("has {0} characters, at most {KEY_MAX_CHARS} are allowed")]
    TooLong(usize),
    /// The text has another character at this position, from 0.
    #[error("may have letters from A to Z, digits and . _ - only, but has another character at position {0}")]
    Character(usize),
}

impl FeatureKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for FeatureKey {
    fn from(key: &str) -> Self {
        Self(key.into())
    }
}

impl Borrow<str> for FeatureKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FeatureKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key of a feature that users define, whose form is checked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnKey(FeatureKey);

impl OwnKey {
    /// Accepts a letter and up to 127 further letters, digits, dots, underscores and hyphens, all of ASCII.
    ///
    /// # Errors
    /// [`KeyError`] says what is wrong with the text.
    pub fn new(text: &str) -> Result<Self, KeyError> {
        if !text.starts_with(|first: char| first.is_ascii_alphabetic()) {
            return Err(KeyError::Start);
        }
        let is_allowed = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
        if let Some(position) = text.chars().take(KEY_MAX_CHARS).position(|character| !is_allowed(character)) {
            return Err(KeyError::Character(position));
        }
        if text.len() > KEY_MAX_CHARS {
            return Err(KeyError::TooLong(text.len()));
        }
        Ok(Self(text.into()))
    }

    /// The key in lower case: the same for all spellings of a key.
    pub fn folded(&self) -> Self {
        Self(self.0.as_str().to_ascii_lowercase().as_str().into())
    }

    /// The key of the feature in layers.
    pub fn key(&self) -> &FeatureKey {
        &self.0
    }
}

impl fmt::Display for OwnKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The kind of value that a feature takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// On or off.
    Flag,
    /// A list of enum members. An empty list counts as absent.
    EnumList,
    /// A message with these parts. A mask can name each part.
    Message(BTreeMap<String, Presence>),
}

/// Whether a message can be without a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It can. An absent part differs from a part at its default.
    Explicit,
    /// It cannot. A message without the part has the part at its default.
    Implicit,
}

/// The features of one level with their kinds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeatureSet {
    kinds: BTreeMap<FeatureKey, Kind>,
}

impl FeatureSet {
    /// The kind of the feature with this key, if the level has the feature.
    pub fn kind(&self, key: &str) -> Option<&Kind> {
        self.kinds.get(key)
    }

    /// The keys of the level, in alphabetical order.
    pub fn keys(&self) -> impl Iterator<Item = &FeatureKey> {
        self.kinds.keys()
    }
}

impl FromIterator<(FeatureKey, Kind)> for FeatureSet {
    fn from_iter<I: IntoIterator<Item = (FeatureKey, Kind)>>(features: I) -> Self {
        Self { kinds: features.into_iter().collect() }
    }
}
