//! Percent-decoding of paths and queries. Callers split them before they decode the parts.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The place of a text, which decides what stays encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// One segment of a path: everything is decoded.
    Segment,
    /// Several segments of a path: `%2F` stays, so that it differs from a slash between segments.
    Segments,
    /// The query: everything is decoded, and `+` is a space.
    Query,
}

/// The errors of [`decode`], which complete a sentence about the text.
const MALFORMED: &str = "has a '%' that two hexadecimal digits don't follow";
const NO_UTF8: &str = "is not UTF-8 once it is percent-decoded";

/// Decodes a text.
pub(crate) fn decode(text: &str, place: Place) -> Result<Cow<'_, str>, &'static str> {
    if !text.contains(['%', '+']) {
        return Ok(Cow::Borrowed(text));
    }
    let digits = |rest: &str| matches!(rest.as_bytes(), [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    if !text.split('%').skip(1).all(digits) {
        return Err(MALFORMED);
    }
    let decoded = match place {
        Place::Segment => percent_decode_str(text).collect(),
        Place::Segments => percent_decode_str(&text.replace("%2F", "%252F").replace("%2f", "%252f")).collect(),
        Place::Query => decode_lossy(text),
    };
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| NO_UTF8)
}

/// Decodes a text of a query into bytes, of which UTF-8 is not required. A malformed `%` stays.
pub(crate) fn decode_lossy(text: &str) -> Vec<u8> {
    percent_decode_str(&text.replace('+', " ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lossy_text_keeps_what_is_malformed() {
        let table: [(&str, &[u8]); 4] =
            [("a+b%20%41", b"a b A"), ("%", b"%"), ("%zz%4", b"%zz%4"), ("%ff%2f", b"\xff/")];
        for (text, decoded) in table {
            assert_eq!(decode_lossy(text), decoded, "{text}");
        }
    }

    #[test]
    fn decodes() {
        use Place::*;
        let table = [
            // text, place, decoded
            ("plain-._~:@!", Segment, Ok("plain-._~:@!")),
            ("", Segment, Ok("")),
            ("a%20b", Segment, Ok("a b")),
            ("%c3%A4", Segment, Ok("ä")),
            ("%25", Segment, Ok("%")),
            ("%2541", Segment, Ok("%41")),
            ("%00", Segment, Ok("\0")),
            ("a%2Fb%2fc", Segment, Ok("a/b/c")),
            ("a%2Fb%2fc/%20", Segments, Ok("a%2Fb%2fc/ ")),
            ("a+b%2B", Segment, Ok("a+b+")),
            ("a+b%2B", Segments, Ok("a+b+")),
            ("a+b%2B%2F", Query, Ok("a b+/")),
            ("%", Segment, Err(MALFORMED)),
            ("a%2", Segment, Err(MALFORMED)),
            ("%zz", Query, Err(MALFORMED)),
            ("%+1", Query, Err(MALFORMED)),
            ("%2ä", Segment, Err(MALFORMED)),
            ("%ff", Segment, Err(NO_UTF8)),
            ("%c3", Segments, Err(NO_UTF8)),
        ];
        for (text, place, decoded) in table {
            assert_eq!(decode(text, place).as_deref(), decoded.as_ref().copied(), "{text} {place:?}");
        }
    }
}
