//! The comments of the protos, as texts of the document.

use prost_reflect::FileDescriptor;
use serde_json::Value;

/// The comment above the element at `path` of a file, or the one after it; empty if there is none.
pub(crate) fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let source = file.file_descriptor_proto().source_code_info.as_ref();
    let location = source.and_then(|source| source.location.iter().find(|location| location.path == path));
    let Some(location) = location else { return String::new() };
    let mut comments = [location.leading_comments(), location.trailing_comments()].into_iter().map(unindent);
    comments.find(|comment| !comment.is_empty()).unwrap_or_default()
}

/// Sets `description`, unless the text is empty.
pub(crate) fn describe(object: &mut Value, text: &str) {
    if !text.is_empty() {
        object["description"] = text.into();
    }
}

/// A comment up to the end of its first sentence.
pub(crate) fn first_sentence(comment: &str) -> String {
    let paragraph = comment.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    let end = paragraph.find(". ").map_or(paragraph.len(), |dot| dot + 1);
    paragraph[..end].to_owned()
}

/// Removes the space between the slashes and the text of each line.
fn unindent(comment: &str) -> String {
    let lines = comment.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end());
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_loses_its_margin_only() {
        assert_eq!(unindent(" One.\n\n   * two  \n"), "One.\n\n  * two");
    }

    #[test]
    fn a_summary_is_the_first_sentence() {
        for (comment, sentence) in [
            ("", ""),
            ("Reads it", "Reads it"),
            ("Reads it. Costs nothing.", "Reads it."),
            ("Reads v1.2 of\nit. Costs nothing.", "Reads v1.2 of it."),
            ("Reads it\n\nAnd more. And more.", "Reads it"),
        ] {
            assert_eq!(first_sentence(comment), sentence, "{comment:?}");
        }
    }
}
