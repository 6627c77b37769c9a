//! Checks the form of every Rust file: it starts with `//!`, and is short enough to read at once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The maximum number of lines in a file.
const LINES_MAX: usize = 300;

/// The most files of a folder.
const SIBLINGS_MAX: usize = 15;

/// Folders with what is installed or built; hidden ones are left out, too.
const NOT_OURS: [&str; 2] = ["node_modules", "target"];

/// Fails if a file in the repository is too long or does not start with `//!`.
pub fn check(root: &Path) -> Result<()> {
    let files = rust_files(root)?;
    let mut violations = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        let name = file.strip_prefix(root).unwrap_or(file).display();
        violations.extend(slips(&text).into_iter().map(|slip| format!("{name} {slip}")));
    }
    if !violations.is_empty() {
        bail!("{}", violations.join("\n"));
    }
    println!("{} files say what lives in them, in at most {LINES_MAX} lines", files.len());
    Ok(())
}

/// Fails when a folder has too many files.
pub fn check_folders(root: &Path) -> Result<()> {
    let full = full_folders(root, &rust_files(root)?);
    if !full.is_empty() {
        bail!("{}", full.join("\n"));
    }
    println!("no folder has more than {SIBLINGS_MAX} files");
    Ok(())
}

fn full_folders(root: &Path, files: &[PathBuf]) -> Vec<String> {
    let mut counts: BTreeMap<&Path, usize> = BTreeMap::new();
    for folder in files.iter().filter_map(|file| file.parent()) {
        *counts.entry(folder).or_default() += 1;
    }
    let full = counts.into_iter().filter(|(_, count)| *count > SIBLINGS_MAX);
    let name = |folder: &Path| folder.strip_prefix(root).unwrap_or(folder).display().to_string();
    full.map(|(folder, count)| format!("{} has {count} files, {SIBLINGS_MAX} are the most", name(folder))).collect()
}

fn slips(text: &str) -> Vec<String> {
    let lines = text.lines().count();
    let long = (lines > LINES_MAX).then(|| format!("has {lines} lines: split it, {LINES_MAX} are the most"));
    let mute = (!text.starts_with("//! ")).then(|| "does not begin with '//!': say what lives there".to_owned());
    long.into_iter().chain(mute).collect()
}

/// Every Rust file in a folder, sorted. What is installed, built or hidden is left out.
pub fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    files_with(folder, ".rs")
}

/// Every file in a folder whose name ends so, sorted. What is installed, built or hidden is left out.
pub fn files_with(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let entry = entry.with_context(|| format!("reading {}", folder.display()))?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if name.starts_with('.') || NOT_OURS.contains(&&*name) {
            continue;
        }
        if entry.file_type().with_context(|| format!("reading {}", path.display()))?.is_dir() {
            files.extend(files_with(&path, ending)?);
        } else if name.ends_with(ending) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{LINES_MAX, check, slips};

    #[test]
    fn long_files_and_files_without_a_header_are_reported() {
        let long = |lines: usize| format!("//! What lives here.\n{}", "\n".repeat(lines - 1));
        let table = [
            // (text, what is wrong with it)
            (long(1), vec![]),
            (long(LINES_MAX), vec![]),
            (long(LINES_MAX + 1), vec!["has 301 lines: split it, 300 are the most"]),
            ("use std::fs;\n".to_owned(), vec!["does not begin with '//!': say what lives there"]),
            (String::new(), vec!["does not begin with '//!': say what lives there"]),
        ];
        for (text, expected) in table {
            assert_eq!(slips(&text), expected, "{} lines", text.lines().count());
        }
    }

    #[test]
    fn only_the_projects_own_files_are_checked() {
        let root = std::env::temp_dir().join(format!("xtask-files-{}", std::process::id()));
        let place = |path: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "mute").unwrap();
        };
        for others in ["target/debug/made.rs", "tests/node_modules/a.rs", ".hidden/a.rs", "src/text.md"] {
            place(others);
        }
        assert!(check(&root).is_ok());
        place("src/deep/a.rs");
        let error = check(&root).unwrap_err().to_string();
        fs::remove_dir_all(&root).unwrap();
        assert!(error.starts_with("src/deep/a.rs does not begin"), "{error}");
    }
}
