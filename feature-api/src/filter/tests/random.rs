//! Tests with random filters: none of them makes the parser panic, and their logic is that of a truth table.

use super::*;

/// Numbers without a pattern that matters here, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % end as u64) as usize
    }
}

#[test]
fn filters_of_random_texts_are_read_or_refused() {
    #[rustfmt::skip]
    let tokens = [
        "owner", "state", "labels.team", "create_time", "tags", "permanent", "=", "!=", "<", ">=", ":", "*", "\"", "\\",
        "(", ")", "-", " ", "AND ", " OR ", "NOT ", "x", "ACTIVE", "true", "2026-01-01", "T12:00:00Z", "ß", "\u{2003}",
        "owner=x ", "state:* ", "\0", "+99999999999999-01-01", ".",
    ];
    let (mut random, mut read) = (Random(1), 0);
    for _ in 0..50_000 {
        let mut bytes = Vec::new();
        for _ in 0..random.below(12) {
            match random.below(10) {
                0 => bytes.push(random.below(256) as u8),
                _ => bytes.extend(tokens[random.below(tokens.len())].as_bytes()),
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        match parse(&text) {
            Ok(filter) => read += matched(&filter).len(),
            Err(error) => assert!(text.is_char_boundary(error.position), "{text:?}: {error}"),
        }
    }
    assert!(read > 1_000, "{read}");
}

/// A filter of three flags with as few parentheses as possible, and its truth table: a bit for each item, whose number
/// has a bit for each flag. `binds`: how tight what stands around the filter binds, 0 for `AND`, 1 for `OR`, 2 for
/// `NOT`.
fn random_filter(random: &mut Random, depth: usize, binds: usize) -> (String, u8) {
    const FLAGS: [(&str, u8); 3] = [("a", 0b1010_1010), ("b", 0b1100_1100), ("c", 0b1111_0000)];
    let kind = if depth == 0 { 0 } else { random.below(4) };
    let (text, items, bound) = match kind {
        0 => {
            let (name, items) = FLAGS[random.below(3)];
            return (format!("{name}=true"), items);
        }
        1 => {
            let (inner, items) = random_filter(random, depth - 1, 2);
            return (format!("{}{inner}", ["-", "NOT "][random.below(2)]), !items);
        }
        2 => {
            let (left, right) = (random_filter(random, depth - 1, 0), random_filter(random, depth - 1, 0));
            (format!("{}{}{}", left.0, [" AND ", " "][random.below(2)], right.0), left.1 & right.1, 0)
        }
        _ => {
            let (left, right) = (random_filter(random, depth - 1, 1), random_filter(random, depth - 1, 1));
            (format!("{} OR {}", left.0, right.0), left.1 | right.1, 1)
        }
    };
    if bound < binds { (format!("({text})"), items) } else { (text, items) }
}

#[test]
fn filters_agree_with_a_truth_table() {
    let fields = ["a", "b", "c"].map(|name| (name, FieldType::Flag));
    let mut random = Random(2);
    for _ in 0..5_000 {
        let (text, items) = random_filter(&mut random, 4, 0);
        let filter = Filter::parse(&text, &fields).unwrap();
        for item in 0..8_u8 {
            let flag = |name: &str| Field::Flag(item >> (name.as_bytes()[0] - b'a') & 1 == 1);
            assert_eq!(filter.matches(flag), items >> item & 1 == 1, "{text} for {item:03b}");
        }
    }
}
