//! Percent-decoding of paths and queries. Callers split them before they decode the parts.

use std::borrow::Cow;

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

/// Why a text can't be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("has a '%' that two hexadecimal digits don't follow")]
    Percent,
    #[error("is not UTF-8 once it is percent-decoded")]
    Utf8,
}

/// Decodes a text.
pub(crate) fn decode(text: &str, place: Place) -> Result<Cow<'_, str>, Malformed> {
    if !text.contains(['%', '+']) {
        return Ok(Cow::Borrowed(text));
    }
    let (bytes, malformed) = decode_bytes(text, place);
    if malformed {
        return Err(Malformed::Percent);
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| Malformed::Utf8)
}

/// Decodes a text of a query into bytes, of which UTF-8 is not required. A malformed `%` stays.
pub(crate) fn decode_lossy(text: &str) -> Vec<u8> {
    decode_bytes(text, Place::Query).0
}

/// The decoded bytes, and whether there is a `%` without its digits.
fn decode_bytes(text: &str, place: Place) -> (Vec<u8>, bool) {
    let mut bytes = Vec::with_capacity(text.len());
    let mut malformed = false;
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' if place == Place::Query => bytes.push(b' '),
            b'%' => {
                match rest.split_first_chunk().and_then(|(digits, after)| Some((hexadecimal(*digits)?, digits, after)))
                {
                    Some((decoded, digits, after)) => {
                        match decoded {
                            b'/' if place == Place::Segments => bytes.extend([b'%', digits[0], digits[1]]),
                            decoded => bytes.push(decoded),
                        }
                        rest = after;
                    }
                    None => {
                        malformed = true;
                        bytes.push(b'%');
                    }
                }
            }
            byte => bytes.push(byte),
        }
    }
    (bytes, malformed)
}

fn hexadecimal(digits: [u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? * 16 + low?).ok()
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
            ("%", Segment, Err(Malformed::Percent)),
            ("a%2", Segment, Err(Malformed::Percent)),
            ("%zz", Query, Err(Malformed::Percent)),
            ("%+1", Query, Err(Malformed::Percent)),
            ("%2ä", Segment, Err(Malformed::Percent)),
            ("%ff", Segment, Err(Malformed::Utf8)),
            ("%c3", Segments, Err(Malformed::Utf8)),
        ];
        for (text, place, decoded) in table {
            assert_eq!(decode(text, place).as_deref(), decoded.as_ref().copied(), "{text} {place:?}");
        }
    }
}
