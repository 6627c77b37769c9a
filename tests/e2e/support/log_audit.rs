//! Searches logs for secrets: every server of these tests logs as much as possible, and its log is checked at its end.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

/// A filter for everything, including each library that handles headers, keys or records.
pub const EVERYTHING: &str =
    "trace,h2=trace,hyper=trace,hyper_util=trace,rustls=trace,sled=trace,tonic=trace,tower=trace";

/// Texts up to this length count as words and not as secrets.
const WORD_MAX_BYTES: usize = 16;

/// Texts that occur in every token, key or credential.
const LOOKS: [&str; 3] = ["PRIVATE KEY", "-----BEGIN", "eyJ"];

/// Parts of the roles in tokens, and of the values that the tests set.
const CLAIMS_AND_VALUES: [&str; 8] =
    ["_OWNER", "_VIEWER", "_MANAGER", "_LOGIN_CLIENT", "login.example.com", "//a.example", "b.example/x", "me:pw"];

static TOKENS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Records a token that a test uses.
pub fn note_secret(token: &str) {
    TOKENS.lock().expect("no code panics while it holds the tokens").insert(token.to_owned());
}

/// Fails if a log contains a token or a part of one, a key of this data folder, or anything else that looks like a
/// secret.
pub fn check(log: &str, data: &Path) {
    let tokens = TOKENS.lock().expect("no code panics while it holds the tokens").clone();
    let parts = tokens.iter().flat_map(|token| token.split('.')).map(str::to_owned);
    let secrets: BTreeSet<String> = parts.chain(keys(data)).filter(|secret| secret.len() > WORD_MAX_BYTES).collect();
    let secrets = secrets.iter().map(String::as_str).chain(LOOKS).chain(CLAIMS_AND_VALUES);
    let found: Vec<&str> = secrets.filter(|secret| log.contains(secret)).collect();
    let bearers = log.split("Bearer ").skip(1).filter(|rest| rest.starts_with(|first: char| first.is_alphanumeric()));
    let lines: Vec<&str> = log.lines().filter(|line| found.iter().any(|secret| line.contains(secret))).collect();
    assert!(found.is_empty() && bearers.count() == 0, "the log holds {found:?}:\n{}", lines.join("\n"));
}

/// The lines of all private keys in a data folder.
fn keys(data: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(data.join("keys")).into_iter().flatten().flatten();
    let texts = entries.filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
    texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn the_audit_finds_what_it_looks_for() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(folder.path().join("keys")).expect("a folder is made");
    let key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIPPP\n-----END PRIVATE KEY-----\n";
    std::fs::write(folder.path().join("keys/1.pem"), key).expect("a file is written");
    let [header, claims, signature] = ["an_ordinary_header", "not_quite_the_claims", "a_rather_long_signature"];
    note_secret(&format!("{header}.{claims}.{signature}"));
    let table = [
        // (line of the log, whether it is allowed)
        ("DEBUG call{principal=\"ann\"}: call finished", true),
        ("no Bearer … in 'authorization'", true),
        (&format!("h2: {header}"), false),
        (&format!("claims={claims}"), false),
        (&format!("signature={signature}"), false),
        ("authorization: Bearer xyz", false),
        ("key MC4CAQAwBQYDK2VwBCIEIPPP", false),
        ("eyJhbGciOiJub25lIn0", false),
        ("roles=[\"IAM_OWNER\"]", false),
        ("https://login.example.com/a", false),
    ];
    for (line, allowed) in table {
        let outcome = std::panic::catch_unwind(|| check(&format!("before\n{line}\nafter\n"), folder.path()));
        assert_eq!(outcome.is_ok(), allowed, "{line}");
    }
}
