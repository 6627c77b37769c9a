//! Reads the text of a filter: each method takes its part of the grammar from the front of what is left.

use std::cmp::Ordering;

use super::condition::{Comparison, Condition, Operator, Value, shown};
use super::{FieldType, FilterError, MAX_COMPARISONS, MAX_DEPTH, Node};

/// The operators. One that begins with another one stands before it.
const OPERATORS: [(&str, Operator); 7] = [
    ("!=", Operator::NotEqual),
    ("<=", Operator::Order(Ordering::is_le)),
    (">=", Operator::Order(Ordering::is_ge)),
    ("<", Operator::Order(Ordering::is_lt)),
    (">", Operator::Order(Ordering::is_gt)),
    ("=", Operator::Equal),
    (":", Operator::Has),
];

const AND: &str = "AND";
const OR: &str = "OR";
const NOT: &str = "NOT";

pub(super) struct Parser<'p> {
    text: &'p str,
    fields: &'p [(&'p str, FieldType<'p>)],
    position: usize,
    comparisons: usize,
}

impl<'p> Parser<'p> {
    pub(super) fn new(text: &'p str, fields: &'p [(&'p str, FieldType<'p>)]) -> Self {
        Self { text, fields, position: 0, comparisons: 0 }
    }

    /// The whole text, which is not empty.
    pub(super) fn filter(mut self) -> Result<Node, FilterError> {
        let node = self.conjunction(MAX_DEPTH)?;
        // A conjunction goes on until the end or a parenthesis.
        match self.peek() {
            None => Ok(node),
            Some(_) => Err(self.unexpected("a '(' must stand before it")),
        }
    }

    fn conjunction(&mut self, depth_left: usize) -> Result<Node, FilterError> {
        let mut nodes = vec![self.disjunction(depth_left)?];
        while self.take_keyword(AND) || !matches!(self.peek(), None | Some(')')) {
            nodes.push(self.disjunction(depth_left)?);
        }
        Ok(Node::All(nodes))
    }

    fn disjunction(&mut self, depth_left: usize) -> Result<Node, FilterError> {
        let mut nodes = vec![self.term(depth_left)?];
        while self.take_keyword(OR) {
            nodes.push(self.term(depth_left)?);
        }
        Ok(Node::Any(nodes))
    }

    fn term(&mut self, depth_left: usize) -> Result<Node, FilterError> {
        self.skip_space();
        let start = self.position;
        let too_deep = || {
            let allowed = format!("at most {MAX_DEPTH} parentheses and negations can stand within each other");
            FilterError::new(start, "is too deep", allowed)
        };
        let deeper = || depth_left.checked_sub(1).ok_or_else(too_deep);
        if self.take_keyword(NOT) || self.take("-") {
            return Ok(Node::Not(Box::new(self.term(deeper()?)?)));
        }
        if !self.take("(") {
            return self.comparison();
        }
        let node = self.conjunction(deeper()?)?;
        if self.take(")") { Ok(node) } else { Err(FilterError::new(start, "has a '('", "a ')' must stand behind it")) }
    }

    fn comparison(&mut self) -> Result<Node, FilterError> {
        let position = self.position;
        let field = self.take_word(is_in_field);
        if field.is_empty() || [AND, OR].contains(&field) {
            self.position = position;
            return Err(self.unexpected("a comparison such as field=value must stand here"));
        }
        if self.comparisons == MAX_COMPARISONS {
            let allowed = format!("at most {MAX_COMPARISONS} can be used");
            return Err(FilterError::new(position, "has too many comparisons", allowed));
        }
        self.comparisons += 1;
        self.skip_space();
        let symbol_position = self.position;
        let Some((symbol, operator)) = OPERATORS.into_iter().find(|(symbol, _)| self.take(symbol)) else {
            let problem = format!("has {} without an operator", shown(field));
            let allowed = "a field, one of =, !=, <, <=, >, >=, :, and a value can be used; \
                           a word alone is not searched for";
            return Err(FilterError::new(position, problem, allowed));
        };
        let (field_type, is_map_key) = self.field_type(field, position)?;
        let value = self.value()?;
        let comparison = Comparison { field, field_type, is_map_key, operator, symbol, symbol_position, value };
        let node = Node::Condition { field: field.to_owned(), condition: Condition::new(&comparison)? };
        Ok(if matches!(operator, Operator::NotEqual) { Node::Not(Box::new(node)) } else { node })
    }

    /// The type of a field, and whether it is the key of a map.
    fn field_type(&self, field: &str, position: usize) -> Result<(FieldType<'p>, bool), FilterError> {
        let is_key_of = |name: &str| {
            let key = name.strip_suffix('*').filter(|map| map.ends_with('.')).and_then(|map| field.strip_prefix(map));
            key.is_some_and(|key| !key.is_empty())
        };
        if let Some((_, found)) = self.fields.iter().find(|(name, _)| *name == field) {
            return Ok((*found, false));
        }
        if let Some((_, found)) = self.fields.iter().find(|(name, _)| is_key_of(name)) {
            return Ok((*found, true));
        }
        let names: Vec<_> = self.fields.iter().map(|(name, _)| *name).collect();
        let problem = format!("has an unknown field {}", shown(field));
        Err(FilterError::new(position, problem, format!("{} can be used", names.join(", "))))
    }

    fn value(&mut self) -> Result<Value, FilterError> {
        if self.peek() == Some('"') {
            return self.quoted();
        }
        let position = self.position;
        let word = self.take_word(is_in_value);
        if word.is_empty() || [AND, OR, NOT].contains(&word) {
            self.position = position;
            let allowed = "a value must stand here: a word of letters, digits and _-./:+@*, or a text in double quotes";
            return Err(self.unexpected(allowed));
        }
        Ok(Value { text: word.to_owned(), position, star: word.find('*') })
    }

    fn quoted(&mut self) -> Result<Value, FilterError> {
        let position = self.position;
        let (mut text, mut star) = (String::new(), None);
        let mut characters = self.text[position..].char_indices().skip(1);
        while let Some((offset, character)) = characters.next() {
            match character {
                '"' => {
                    self.position = position + offset + 1;
                    return Ok(Value { text, position, star });
                }
                '\\' => match characters.next() {
                    Some((_, escaped @ ('"' | '\\' | '*'))) => text.push(escaped),
                    _ => {
                        let allowed = "\\\", \\\\, \\* can be used in double quotes";
                        return Err(FilterError::new(position + offset, "has a '\\'", allowed));
                    }
                },
                _ => {
                    if character == '*' {
                        star.get_or_insert(text.len());
                    }
                    text.push(character);
                }
            }
        }
        Err(FilterError::new(position, "has a '\"'", "a second one must stand behind the text"))
    }

    fn skip_space(&mut self) {
        self.position = self.text.len() - self.rest().trim_start().len();
    }

    /// The next character that is not white space.
    fn peek(&mut self) -> Option<char> {
        self.skip_space();
        self.rest().chars().next()
    }

    fn take(&mut self, symbol: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(symbol);
        self.position += if found { symbol.len() } else { 0 };
        found
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        self.skip_space();
        let found = word(self.rest(), is_in_field) == keyword;
        self.position += if found { keyword.len() } else { 0 };
        found
    }

    fn take_word(&mut self, is_in: fn(char) -> bool) -> &'p str {
        let word = word(self.rest(), is_in);
        self.position += word.len();
        word
    }

    fn rest(&self) -> &'p str {
        &self.text[self.position..]
    }

    /// The error that what stands at the position is not `allowed`.
    fn unexpected(&self, allowed: &str) -> FilterError {
        let problem = match (word(self.rest(), is_in_field), self.rest().chars().next()) {
            (_, None) => "ends".to_owned(),
            ("", Some(character)) => format!("has {}", shown(character.encode_utf8(&mut [0; 4]))),
            (word, _) => format!("has {}", shown(word)),
        };
        FilterError::new(self.position, problem, allowed)
    }
}

/// The characters at the start of `text` that may be in a word.
fn word(text: &str, is_in: fn(char) -> bool) -> &str {
    &text[..text.find(|character| !is_in(character)).unwrap_or(text.len())]
}

fn is_in_field(character: char) -> bool {
    character.is_alphanumeric() || "_-./".contains(character)
}

fn is_in_value(character: char) -> bool {
    is_in_field(character) || ":+@*".contains(character)
}
