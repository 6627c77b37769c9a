//! Reads text files that people write. Some editors put a byte order mark at the start, which is skipped.

use std::path::Path;
use std::{fs, io};

/// Reads a file without its byte order mark.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    Ok(without_mark(&fs::read(path)?).to_vec())
}

/// A text without its byte order mark, which is U+FEFF in UTF-8.
pub fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}
