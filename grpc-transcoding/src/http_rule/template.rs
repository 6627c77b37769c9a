//! Path templates of `google.api.http`: how they are read, and which paths they match.
//!
//! What a variable is for is not known here: a template binds texts, still percent-encoded, to names of fields.

use std::ops::Range;

use super::percent::{self, Place};

/// How many variables a template may have.
const MAX_VARIABLES: usize = 16;

/// What a literal may consist of, besides letters and digits. A colon is missing: it begins a verb.
const LITERAL_SIGNS: &str = "-._~!$&'()+,;@";

/// A template such as `/v1/{name=shelves/*}/books/{book}:archive`.
#[derive(Debug)]
pub(crate) struct Template {
    text: String,
    segments: Vec<Segment>,
    verb: Option<String>,
    variables: Vec<Variable>,
}

/// What a template wants at one place of a path. In the order of precedence.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    /// Just this, once it is percent-decoded.
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
    segments: Range<usize>,
    /// How its value is encoded: as one segment, or as several.
    pub(crate) place: Place,
}

/// A path in pieces, as templates with and without a verb see it.
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

/// The segments of a path. No template matches a path with an empty one, and so none with a slash at its end.
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
            rest = match rest.strip_prefix('{') {
                Some(variable) => template.read_variable(variable)?,
                None => template.read_segment(rest)?,
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

    /// Reads a variable after its brace; what follows is left.
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

    /// Reads a segment that is no variable; what follows is left.
    fn read_segment<'t>(&mut self, text: &'t str) -> Result<&'t str, &'static str> {
        let (segment, rest) = text.split_at(text.find('/').unwrap_or(text.len()));
        self.segments.push(Segment::new(segment)?);
        Ok(rest)
    }

    /// The template as it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The variables, from left to right.
    pub(crate) fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// What comes first of two templates that match the same path: the one with a verb, else the one that has a
    /// literal where they first differ. Two that are equal match the same paths.
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

    /// What the variables stand for in the segments of a path that matches, still percent-encoded.
    pub(crate) fn bind(&self, segments: &[&str]) -> Vec<String> {
        let bound = |variable: &Variable| {
            let Range { start, end } = variable.segments;
            // What matches the last segment may be more than one segment, or none.
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

/// Whether an encoded text of a path is a literal of a template. What is malformed is none.
fn is(encoded: &str, literal: &str) -> bool {
    encoded == literal || percent::decode(encoded, Place::Segment).is_ok_and(|decoded| decoded == literal)
}
