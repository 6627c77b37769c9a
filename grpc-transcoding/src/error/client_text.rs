//! Quotes a client's text in messages, truncated so that no answer grows with the request.

use std::borrow::Cow;

/// The most characters of a name or value that are repeated.
pub const MAX_CHARS: usize = 64;

/// A text in quotation marks, escaped and truncated so that a message stays short and on one line.
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", &text[..end]),
    }
}

/// A text of at most `max_chars` characters, with an ellipsis if it was truncated.
pub fn cut(text: &str, max_chars: usize) -> Cow<'_, str> {
    match text.char_indices().nth(max_chars) {
        None => text.into(),
        Some((end, _)) => format!("{}…", &text[..end]).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut() {
        let (fits, long) = ("ü".repeat(MAX_CHARS), "ü".repeat(MAX_CHARS + 1));
        let table = [
            // text, cut, quoted
            ("", "", r#""""#.to_owned()),
            ("a\n\"b\"", "a\n\"b\"", r#""a\n\"b\"""#.to_owned()),
            (&*fits, &*fits, format!("\"{fits}\"")),
            (&*long, &*format!("{fits}…"), format!("\"{fits}\"…")),
        ];
        for (text, shown, in_quotes) in table {
            assert_eq!((&*cut(text, MAX_CHARS), quoted(text)), (shown, in_quotes), "{text}");
        }
    }
}
