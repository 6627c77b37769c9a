//! Reads text files that people write, and skips the byte order mark that some editors add.

use std::io::{self, BufRead};
use std::path::Path;

pub use feature_auth::text_file::read;
use feature_auth::text_file::without_mark;

/// Like [`read`], for UTF-8.
///
/// # Errors
/// If the file cannot be read, or is not UTF-8.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Skips the byte order mark at the start of a file that is read in parts.
///
/// # Errors
/// If the file cannot be read.
pub fn skip_mark(source: &mut impl BufRead) -> io::Result<()> {
    let text = source.fill_buf()?;
    let mark = text.len() - without_mark(text).len();
    source.consume(mark);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn byte_order_mark_is_dropped_once_and_only_at_the_start() {
        let table: [(&[u8], &[u8]); 6] = [
            // file                                  text
            (b"", b""),
            (b"jti a\n", b"jti a\n"),
            (b"\xef\xbb\xbf", b""),
            (b"\xef\xbb\xbfjti a\n", b"jti a\n"),
            (b"\xef\xbb\xbf\xef\xbb\xbfa", b"\xef\xbb\xbfa"),
            (b"a\xef\xbb\xbf", b"a\xef\xbb\xbf"),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for (file, text) in table {
            fs::write(&path, file).unwrap();
            assert_eq!(read(&path).unwrap(), text, "{file:?}");
            let mut source = file;
            skip_mark(&mut source).unwrap();
            assert_eq!(source, text, "{file:?}");
        }
        fs::write(&path, b"\xff\xfej\0").unwrap();
        assert_eq!(read_to_string(&path).unwrap_err().to_string(), "it is not UTF-8");
    }
}
