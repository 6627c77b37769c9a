//! The table of limits in `SECURITY.md` tells the truth.

use super::*;

const DOCUMENT: &str = include_str!("../../../../SECURITY.md");

#[test]
fn it_lists_every_limit_once_with_its_default() {
    let rows =
        DOCUMENT.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | `limits.")?.1.split_once(" |"));
    let documented: Vec<(String, i64)> = rows
        .map(|(key, rest)| {
            let default = rest.split('|').next().unwrap_or_default().trim();
            (key.trim_end_matches('`').to_owned(), default.parse().unwrap_or_else(|_| panic!("{key}: {default:?}")))
        })
        .collect();
    let defaults = Table::try_from(Settings::default().limits).unwrap();
    let mut known: Vec<(String, i64)> =
        defaults.iter().map(|(key, value)| (key.clone(), value.as_integer().unwrap())).collect();
    let mut sorted = documented;
    sorted.sort();
    known.sort();
    assert_eq!(sorted, known);
}

#[test]
fn every_row_tells_what_a_client_sees() {
    for row in DOCUMENT.lines().filter(|line| line.contains("| `limits.")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert!(cells.len() == 4 && cells.iter().all(|cell| !cell.is_empty()), "{row}");
    }
}
