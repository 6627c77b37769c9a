//! The list of revoked tokens: how it is written, and which tokens it revokes.
//!
//! A line is an entry, a comment after `#`, or blank. An id with blanks or quotes is written as a JSON string.
//!
//! ```text
//! # what      id                                    of one issuer alone           issued before (Unix time)
//! jti         0b7c62be-4b0c-4f43-9d39-3f1c2b9d6f10  issuer https://id.example.com
//! subject     ann                                   issuer https://id.example.com before 1800000000
//! subject     "Mary Ann"
//! ```

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The most entries of a list, which take about 150 MB of memory.
const ENTRIES_MAX: usize = 1_000_000;

/// Tokens that are refused although they are valid otherwise.
#[derive(Debug, Default)]
pub(crate) struct RevocationList {
    tokens: HashSet<Id>,
    /// For each subject the time before which issued tokens are revoked, in seconds since 1970; `u64::MAX` for all.
    subjects: HashMap<Id, u64>,
}

/// An issuer, or `None` for all issuers, and an id.
type Id = (Option<Arc<str>>, Box<str>);

/// Why a text is no list. The errors do not repeat the line: it may be a secret in the wrong file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ListError {
    /// The text is empty, which is also how a file looks that is just being written.
    #[error("is empty: if nothing is revoked, write a comment such as '# nothing is revoked'")]
    Empty,
    /// The last line may be incomplete.
    #[error("line {0} does not end with a line break, so it may be incomplete")]
    Incomplete(usize),
    /// A line is no entry.
    #[error(
        "line {line} is no entry ({problem}); an entry is 'jti ID [issuer ISSUER]' or \
         'subject ID [issuer ISSUER] [before UNIX_SECONDS]'"
    )]
    Line {
        /// The number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There are too many entries.
    #[error("has more than {ENTRIES_MAX} entries: take out those whose tokens have expired")]
    TooMany,
}

/// The parts of a token that a list can name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenIds<'t> {
    /// The issuer.
    pub issuer: &'t str,
    /// The id of the token (`jti`), if it has one.
    pub id: Option<&'t str>,
    /// The subject.
    pub subject: &'t str,
    /// When the token was issued (`iat`), in seconds since 1970, if it says so.
    pub issued_at_s: Option<u64>,
}

impl RevocationList {
    /// Reads a list.
    ///
    /// # Errors
    /// [`ListError`] names the first line that is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, ListError> {
        Self::parse_up_to(ENTRIES_MAX, text)
    }

    fn parse_up_to(entries_max: usize, text: &str) -> Result<Self, ListError> {
        if text.is_empty() {
            return Err(ListError::Empty);
        }
        if !text.ends_with('\n') {
            return Err(ListError::Incomplete(text.lines().count()));
        }
        let mut list = Self::default();
        let mut issuers = HashSet::new();
        for (index, line) in text.lines().enumerate() {
            let entry = Entry::parse(line).map_err(|problem| ListError::Line { line: index + 1, problem })?;
            let Some(Entry { kind, id, issuer, before_s }) = entry else { continue };
            if list.len() == entries_max {
                return Err(ListError::TooMany);
            }
            let id = (issuer.map(|issuer| shared(&mut issuers, &issuer)), Box::from(id));
            match kind {
                EntryKind::Token => drop(list.tokens.insert(id)),
                EntryKind::Subject => {
                    let before = list.subjects.entry(id).or_default();
                    *before = (*before).max(before_s.unwrap_or(u64::MAX));
                }
            }
        }
        Ok(list)
    }

    /// The number of its entries.
    pub(crate) fn len(&self) -> usize {
        self.tokens.len() + self.subjects.len()
    }

    /// Whether a token is revoked.
    pub(crate) fn revokes(&self, token: TokenIds<'_>) -> bool {
        let issuers = || [None, Some(Arc::from(token.issuer))].into_iter();
        let by_id = |id: &str| issuers().any(|issuer| self.tokens.contains(&(issuer, Box::from(id))));
        // A token without `iat` may be an old one.
        let issued_before = |before: &u64| token.issued_at_s.is_none_or(|issued| issued < *before);
        (!self.tokens.is_empty() && token.id.is_some_and(by_id))
            || (!self.subjects.is_empty()
                && issuers()
                    .filter_map(|issuer| self.subjects.get(&(issuer, Box::from(token.subject))))
                    .any(issued_before))
    }
}

/// The one shared copy of an issuer's name: a list names few issuers many times.
fn shared(known: &mut HashSet<Arc<str>>, issuer: &str) -> Arc<str> {
    if let Some(issuer) = known.get(issuer) {
        return Arc::clone(issuer);
    }
    let issuer: Arc<str> = Arc::from(issuer);
    known.insert(Arc::clone(&issuer));
    issuer
}

enum EntryKind {
    Token,
    Subject,
}

struct Entry<'l> {
    kind: EntryKind,
    id: Cow<'l, str>,
    issuer: Option<Cow<'l, str>>,
    before_s: Option<u64>,
}

impl<'l> Entry<'l> {
    /// `None` for a line without an entry.
    fn parse(line: &'l str) -> Result<Option<Self>, &'static str> {
        let mut rest = line.trim();
        if rest.is_empty() || rest.starts_with('#') {
            return Ok(None);
        }
        let kind = match word(&mut rest)?.as_deref() {
            Some("jti") => EntryKind::Token,
            Some("subject") => EntryKind::Subject,
            _ => return Err("it begins with neither 'jti' nor 'subject'"),
        };
        let id = word(&mut rest)?.filter(|id| !id.is_empty()).ok_or("the id is missing")?;
        let mut entry = Self { kind, id, issuer: None, before_s: None };
        while let Some(name) = word(&mut rest)? {
            let value = word(&mut rest)?.ok_or("a value is missing at its end")?;
            match (&*name, &entry) {
                ("issuer", Self { issuer: None, .. }) => entry.issuer = Some(value),
                ("before", Self { kind: EntryKind::Subject, before_s: None, .. }) => {
                    entry.before_s = Some(value.parse().map_err(|_| "'before' takes whole seconds since 1970")?);
                }
                _ => return Err("it says more than belongs there, or the same twice"),
            }
        }
        Ok(Some(entry))
    }
}

/// Takes the next word, or the next JSON string, from a trimmed text.
fn word<'l>(rest: &mut &'l str) -> Result<Option<Cow<'l, str>>, &'static str> {
    if rest.is_empty() {
        return Ok(None);
    }
    if !rest.starts_with('"') {
        let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        *rest = after.trim_start();
        return Ok(Some(Cow::Borrowed(word)));
    }
    let mut strings = serde_json::Deserializer::from_str(rest).into_iter::<String>();
    let word = strings.next().and_then(Result::ok).ok_or("a text in quotes is no JSON string")?;
    let after = &rest[strings.byte_offset()..];
    if !after.is_empty() && !after.starts_with(char::is_whitespace) {
        return Err("something follows a text in quotes without a blank");
    }
    *rest = after.trim_start();
    Ok(Some(Cow::Owned(word)))
}

#[cfg(test)]
mod tests;
