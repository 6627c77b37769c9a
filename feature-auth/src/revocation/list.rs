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
use std::collections::HashMap;
use std::io;

use super::FILE_MAX_BYTES;

/// The most entries of a list, which take about 150 MB of memory.
pub(crate) const ENTRIES_MAX: usize = 1_000_000;

/// Tokens that are refused although they are valid otherwise.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct RevocationList {
    /// The number of each issuer, from 1: a list names few issuers many times.
    issuers: HashMap<Box<str>, u32>,
    tokens: Entries,
    subjects: Entries,
}

/// For each issuer, or 0 for all issuers, and each id the time before which issued tokens are revoked, in seconds since
/// 1970; `u64::MAX` for all.
type Entries = HashMap<(u32, Box<str>), u64>;

/// Why a list cannot be used. The errors do not repeat the line: it may be a secret in the wrong file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("has more than {FILE_MAX_BYTES} bytes: take out entries whose tokens have expired")]
    TooLarge,
    #[error("is no UTF-8 text")]
    NoText,
    /// The text is empty, which is also how a file looks that is just being written.
    #[error("is empty: if nothing is revoked, write a comment such as '# nothing is revoked'")]
    Empty,
    #[error("line {0} does not end with a line break, so it may be incomplete")]
    Incomplete(usize),
    #[error(
        "line {0} is no entry ({1}); an entry is 'jti ID [issuer ISSUER]' or \
         'subject ID [issuer ISSUER] [before UNIX_SECONDS]'"
    )]
    Line(usize, &'static str),
    #[error("has more than {ENTRIES_MAX} entries: take out those whose tokens have expired")]
    TooMany,
}

impl RevocationList {
    /// Reads a list.
    pub(crate) fn parse(text: &str, entries_max: usize) -> Result<Self, ListError> {
        if text.is_empty() {
            return Err(ListError::Empty);
        }
        if !text.ends_with('\n') {
            return Err(ListError::Incomplete(text.lines().count()));
        }
        let mut list = Self::default();
        for (index, line) in text.lines().enumerate() {
            let problem = |problem| ListError::Line(index + 1, problem);
            let Some(entry) = Entry::parse(line).map_err(problem)? else { continue };
            if list.len() == entries_max {
                return Err(ListError::TooMany);
            }
            list.add(entry);
        }
        Ok(list)
    }

    fn add(&mut self, Entry { of_subject, id, issuer, before_s }: Entry<'_>) {
        let next = self.issuers.len() as u32 + 1;
        let issuer = issuer.map_or(0, |issuer| *self.issuers.entry(issuer.into()).or_insert(next));
        let entries = if of_subject { &mut self.subjects } else { &mut self.tokens };
        let before = entries.entry((issuer, id.into())).or_default();
        *before = before_s.unwrap_or(u64::MAX).max(*before);
    }

    /// The number of its entries.
    pub(crate) fn len(&self) -> usize {
        self.tokens.len() + self.subjects.len()
    }

    /// Whether a token is revoked: by its id (`jti`), or by its subject and the time when it was issued.
    pub(crate) fn revokes(&self, issuer: &str, id: Option<&str>, subject: &str, issued_at_s: Option<u64>) -> bool {
        // A token without `iat` may be an old one.
        let issued_before = |before: &u64| issued_at_s.is_none_or(|issued| issued < *before);
        [Some(&0), self.issuers.get(issuer)].into_iter().flatten().any(|&issuer| {
            id.is_some_and(|id| self.tokens.contains_key(&(issuer, id.into())))
                || self.subjects.get(&(issuer, subject.into())).is_some_and(issued_before)
        })
    }
}

struct Entry<'l> {
    of_subject: bool,
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
        let of_subject = match word(&mut rest)?.as_deref() {
            Some("jti") => false,
            Some("subject") => true,
            _ => return Err("it begins with neither 'jti' nor 'subject'"),
        };
        let id = word(&mut rest)?.filter(|id| !id.is_empty()).ok_or("the id is missing")?;
        let mut entry = Self { of_subject, id, issuer: None, before_s: None };
        while let Some(name) = word(&mut rest)? {
            let value = word(&mut rest)?.ok_or("a value is missing at its end")?;
            if name == "issuer" && entry.issuer.is_none() {
                entry.issuer = Some(value);
            } else if name == "before" && of_subject && entry.before_s.is_none() {
                entry.before_s = Some(value.parse().map_err(|_| "'before' takes whole seconds since 1970")?);
            } else {
                return Err("it says more than belongs there, or the same twice");
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
