//! Path templates of `google.api.http`: their syntax, the paths that match, and the values of their variables.

use std::ops::Range;

use crate::percent::{self, Place};

/// How many variables a template may have.
const MAX_VARIABLES: usize = 16;

/// The characters of a literal, besides letters and digits. A colon is missing, because it begins a verb.
const LITERAL_SIGNS: &str = "-._~!$&'()+,;@";

/// A template such as `/v1/{name=shelves/*}/books/{book}:archive`.
#[derive(Debug)]
pub(crate) struct Template {
    /// The template as it was written.
    pub(crate) text: String,
    /// All segments, those of variables included.
    pub(crate) segments: Vec<Segment>,
    /// The verb after the colon.
    pub(crate) verb: Option<String>,
    /// The variables, from left to right.
    pub(crate) variables: Vec<Variable>,
}

/// One segment of a template. The variants are in the order of precedence.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Segment {
    /// This text, after percent-decoding.
    Literal(String),
    /// `*`: any one segment.
    One,
    /// `**`: any number of segments, also none. It is always the last.
    Rest,
}

/// A variable of a template.
#[derive(Debug)]
pub(crate) struct Variable {
    /// The path of the field that it binds, as the template has it.
    pub(crate) field: String,
    pub(crate) segments: Range<usize>,
    /// How its value is encoded: as one segment, or as several.
    pub(crate) place: Place,
}

/// The segments of a path, for templates without a verb and for those with one.
pub(crate) struct Path<'p> {
    plain: Option<Vec<&'p str>>,
    with_verb: Option<(Vec<&'p str>, &'p str)>,
}

impl<'p> Path<'p> {
    pub(crate) fn new(path: &'p str) -> Self {
        let verb = path.rsplit_once(':').filter(|(_, verb)| !verb.contains('/'));
        let with_verb = verb.and_then(|(path, verb)| Some((split(path)?, verb)));
        Self { plain: split(path), with_verb }
    }
}

/// The segments of a path. No template matches an empty segment, so none matches a slash at the end.
fn split(path: &str) -> Option<Vec<&str>> {
    let path = path.strip_prefix('/')?;
    if path.is_empty() {
        return Some(Vec::new());
    }
    let segments: Vec<&str> = path.split('/').collect();
    segments.iter().all(|segment| !segment.is_empty()).then_some(segments)
}

impl Template {
    /// Reads a template. The error completes a sentence that begins with 'the template'.
    pub(crate) fn new(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix('/').ok_or("does not begin with '/'")?;
        let (mut rest, verb) = match rest.rsplit_once(':') {
            Some((rest, verb)) if !verb.contains(['/', '}']) => (rest, Some(literal(verb)?)),
            _ => (rest, None),
        };
        let mut template = Self { text: text.to_owned(), segments: Vec::new(), verb, variables: Vec::new() };
        loop {
            rest = if let Some(variable) = rest.strip_prefix('{') {
                template.read_variable(variable)?
            } else {
                let (segment, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                template.segments.push(Segment::new(segment)?);
                rest
            };
            if rest.is_empty() {
                break;
            }
            rest = rest.strip_prefix('/').ok_or("has something between a '}' and the next '/'")?;
        }
        let (_, all_but_last) = template.segments.split_last().ok_or("is empty")?;
        if all_but_last.contains(&Segment::Rest) {
            return Err("has '**' where it is not the last segment");
        }
        if template.variables.len() > MAX_VARIABLES {
            return Err("has too many variables");
        }
        Ok(template)
    }

    /// Reads a variable after its brace, and returns the rest.
    fn read_variable<'t>(&mut self, text: &'t str) -> Result<&'t str, &'static str> {
        let (variable, rest) = text.split_once('}').ok_or("has a '{' without its '}'")?;
        let (field, pattern) = variable.split_once('=').unwrap_or((variable, "*"));
        let start = self.segments.len();
        for segment in pattern.split('/') {
            self.segments.push(Segment::new(segment)?);
        }
        let segments = start..self.segments.len();
        let single = segments.len() == 1 && self.segments[start] != Segment::Rest;
        let place = if single { Place::Segment } else { Place::Segments };
        self.variables.push(Variable { field: field.to_owned(), segments, place });
        Ok(rest)
    }

    /// The order of templates that match the same path: one with a verb comes first, then one with a literal at the
    /// first difference. Equal templates match the same paths.
    pub(crate) fn precedence(&self) -> impl Ord {
        (self.verb.is_none(), &self.segments, &self.verb)
    }

    /// The segments of a path that matches.
    pub(crate) fn matches<'p, 's>(&self, path: &'s Path<'p>) -> Option<&'s [&'p str]> {
        let segments = match (&self.verb, &path.with_verb) {
            (None, _) => path.plain.as_deref()?,
            (Some(own), Some((segments, verb))) if is(verb, own) => segments,
            _ => return None,
        };
        let fits = match self.segments.last() {
            Some(Segment::Rest) => segments.len() + 1 >= self.segments.len(),
            _ => segments.len() == self.segments.len(),
        };
        let matches = fits
            && self.segments.iter().zip(segments).all(|(own, segment)| match own {
                Segment::Literal(literal) => is(segment, literal),
                Segment::One | Segment::Rest => true,
            });
        matches.then_some(segments)
    }

    /// The values of the variables in a path that matches, percent-encoded.
    pub(crate) fn bind(&self, segments: &[&str]) -> Vec<String> {
        let bound = |variable: &Variable| {
            let Range { start, end } = variable.segments;
            // The last segment may match several segments, or none.
            let end = if end == self.segments.len() { segments.len() } else { end };
            segments[start..end].join("/")
        };
        self.variables.iter().map(bound).collect()
    }
}

impl Segment {
    fn new(text: &str) -> Result<Self, &'static str> {
        Ok(match text {
            "*" => Segment::One,
            "**" => Segment::Rest,
            text => Segment::Literal(literal(text)?),
        })
    }
}

fn literal(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        return Err("has an empty segment or verb");
    }
    if !text.chars().all(|sign| sign.is_ascii_alphanumeric() || LITERAL_SIGNS.contains(sign)) {
        return Err("has a segment or verb with a sign that can't stand there");
    }
    Ok(text.to_owned())
}

/// Whether a percent-encoded segment is this literal. A malformed segment is not.
fn is(encoded: &str, literal: &str) -> bool {
    encoded == literal || percent::decode(encoded, Place::Segment).is_ok_and(|decoded| decoded == literal)
}
