//! The prose of the project: the width of comments, the length of documents, and how often banned words occur.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::files::{files_with, rust_files};

/// The most characters of a line with a comment. rustfmt looks after code, and leaves tables in tests alone.
const COMMENT_CHARACTERS_MAX: usize = 120;

/// How long documents may be: the file, what is counted, at most how many.
const LENGTHS: [(&str, Unit, usize); 2] = [("README.md", Unit::Lines, 120), ("ARCHITECTURE.md", Unit::Words, 2_300)];

/// The words that are to go, each with how often it still stands in Rust files and documents. A number only falls.
const BANNED: &str = include_str!("prose/banned.txt");
const BANNED_FILE: &str = "xtask/src/prose/banned.txt";

/// This folder has the words themselves.
const WORDS_STAND_HERE: &str = "xtask/src/prose";

#[derive(Debug, Clone, Copy)]
enum Unit {
    Lines,
    Words,
}

/// Fails where a comment is too wide, a document too long, or a banned word stands more often than its number says.
/// Where it stands less often the number has to fall.
pub fn check(root: &Path) -> Result<()> {
    let mut violations = Vec::new();
    let read = |path: &PathBuf| fs::read_to_string(path).with_context(|| format!("reading {}", path.display()));
    let mut texts = Vec::new();
    for file in rust_files(root)? {
        let name = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        let text = read(&file)?;
        violations.extend(
            wide_comments(&text)
                .map(|line| format!("{name}:{line}: the comment has more than {COMMENT_CHARACTERS_MAX} characters")),
        );
        texts.push((name, text));
    }
    for file in files_with(root, ".md")? {
        texts.push((file.strip_prefix(root).unwrap_or(&file).display().to_string(), read(&file)?));
    }
    for (file, unit, most) in LENGTHS {
        let text = read(&root.join(file))?;
        let length = length(&text, unit);
        if length > most {
            violations.push(format!("{file} has {length} {}, {most} are the most", format!("{unit:?}").to_lowercase()));
        }
    }
    texts.retain(|(name, _)| !name.starts_with(WORDS_STAND_HERE));
    violations.extend(banned(BANNED, &texts)?);
    if !violations.is_empty() {
        bail!("{}", violations.join("\n"));
    }
    println!("{} files keep to the rules of prose", texts.len());
    Ok(())
}

fn wide_comments(text: &str) -> impl Iterator<Item = usize> {
    let is_wide = |line: &str| line.trim_start().starts_with("//") && line.chars().count() > COMMENT_CHARACTERS_MAX;
    let lines = text.lines().enumerate().filter(move |(_, line)| is_wide(line));
    lines.map(|(index, _)| index + 1)
}

fn length(text: &str, unit: Unit) -> usize {
    match unit {
        Unit::Lines => text.lines().count(),
        Unit::Words => text.split_whitespace().count(),
    }
}

/// Compares how often each word of `list` stands in the texts with its number.
fn banned(list: &str, texts: &[(String, String)]) -> Result<Vec<String>> {
    let mut violations = Vec::new();
    for line in list.lines().filter(|line| !line.is_empty()) {
        let (number, words) = line.split_once(' ').with_context(|| format!("{BANNED_FILE}: '{line}' has no words"))?;
        let allowed: usize =
            number.parse().with_context(|| format!("{BANNED_FILE}: '{line}' begins with no number"))?;
        let counts: BTreeMap<&str, usize> = texts
            .iter()
            .map(|(name, text)| (name.as_str(), count(text, words)))
            .filter(|(_, count)| *count > 0)
            .collect();
        let found: usize = counts.values().sum();
        if found > allowed {
            let places = counts.iter().map(|(name, count)| format!("{name} ({count})")).collect::<Vec<_>>().join(", ");
            violations.push(format!(
                "'{words}' stands {found} times, {allowed} are allowed: say it in plain words. {places}"
            ));
        } else if found < allowed {
            violations.push(format!(
                "'{words}' stands {found} times only: write that number in {BANNED_FILE}, for {allowed}"
            ));
        }
    }
    Ok(violations)
}

/// How often words stand in a text as whole words, in whatever case and over the ends of lines.
fn count(text: &str, words: &str) -> usize {
    let plain: Vec<String> = text
        .split_whitespace()
        .filter(|word| !["//", "///", "//!", "#"].contains(word))
        .map(str::to_lowercase)
        .collect();
    let plain = plain.join(" ");
    let is_letter =
        |character: Option<char>| character.is_some_and(|character| character.is_alphanumeric() || character == '_');
    let alone = |(start, found): &(usize, &str)| {
        !is_letter(plain[..*start].chars().next_back()) && !is_letter(plain[start + found.len()..].chars().next())
    };
    plain.match_indices(words).filter(alone).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_comments_are_counted_in_characters() {
        let line =
            |start: &str, more: usize| format!("{start}{}", "ü".repeat(COMMENT_CHARACTERS_MAX - start.len() + more));
        let text = [line("    // ", 0), line("    // ", 1), line("code", 1)].join("\n");
        assert_eq!(wide_comments(&text).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn banned_words_are_whole_and_go_over_lines() {
        let table = [
            // text, how often 'is told' stands in it
            ("What is told.", 1),
            ("// It is\n    // told", 1),
            ("Is told, is told", 2),
            ("this told, is toldest, is_told", 0),
        ];
        for (text, expected) in table {
            assert_eq!(count(text, "is told"), expected, "{text:?}");
        }
    }

    #[test]
    fn numbers_of_banned_words_only_fall() {
        let texts = [("a.rs".to_owned(), "nobody nobody".to_owned())];
        let table = [("2 nobody", 0), ("1 nobody", 1), ("3 nobody", 1), ("0 whoever", 0)];
        for (list, violations) in table {
            assert_eq!(banned(list, &texts).unwrap().len(), violations, "{list}");
        }
        assert!(banned("nobody", &texts).is_err());
    }
}
