//! How a list is written, and which tokens it revokes.

use crate::revocation::*;

const A: &str = "https://a.example";
const B: &str = "https://b.example";

#[test]
fn entry_revokes_the_tokens_that_it_names_and_no_others() {
    #[rustfmt::skip]
    let table = [
        // the line                                issuer  jti         subject     issued at   revoked
        ("jti t1",                                 A,      Some("t1"), "ann",      Some(100),  true),
        ("jti t1",                                 B,      Some("t1"), "bob",      None,       true),
        ("jti t1",                                 A,      Some("t2"), "ann",      Some(100),  false),
        ("jti t1",                                 A,      None,       "t1",       Some(100),  false),
        ("jti t1 issuer https://a.example",        A,      Some("t1"), "ann",      Some(100),  true),
        ("jti t1 issuer https://a.example",        B,      Some("t1"), "ann",      Some(100),  false),
        ("  jti\t t1  ",                           A,      Some("t1"), "ann",      Some(100),  true),
        ("# jti t1",                               A,      Some("t1"), "ann",      Some(100),  false),
        ("jti #t1",                                A,      Some("#t1"), "ann",     Some(100),  true),
        ("subject ann",                            A,      Some("t1"), "ann",      Some(100),  true),
        ("subject ann",                            B,      None,       "ann",      None,       true),
        ("subject ann",                            A,      Some("ann"), "bob",     Some(100),  false),
        ("subject ann",                            A,      None,       "Ann",      Some(100),  false),
        ("subject ann issuer https://a.example",   A,      None,       "ann",      Some(100),  true),
        ("subject ann issuer https://a.example",   B,      None,       "ann",      Some(100),  false),
        ("subject ann before 100",                 A,      None,       "ann",      Some(99),   true),
        ("subject ann before 100",                 A,      None,       "ann",      Some(100),  false),
        ("subject ann before 100",                 A,      None,       "ann",      None,       true),
        ("subject ann before 9 issuer https://a.example", A, None,     "ann",      Some(8),    true),
        ("subject ann issuer https://a.example before 9", B, None,     "ann",      Some(8),    false),
        ("subject ann before 100\nsubject ann before 50", A, None,     "ann",      Some(99),   true),
        ("subject ann before 100\nsubject ann",    A,      None,       "ann",      Some(200),  true),
        (r#"subject "Mary \"Ann\"" before 100"#,   A,      None,       "Mary \"Ann\"", Some(1), true),
        (r#"subject "issuer""#,                    A,      None,       "issuer",   Some(1),    true),
    ];
    for (line, issuer, id, subject, issued_at_s, revoked) in table {
        let list = RevocationList::parse(&format!("{line}\n"), ENTRIES_MAX).unwrap();
        let actual = list.revokes(issuer, id, subject, issued_at_s);
        assert_eq!(actual, revoked, "{line}: {issuer} {id:?} {subject} {issued_at_s:?}");
    }
}

#[test]
fn malformed_list_is_refused_with_the_number_of_the_line() {
    let table = [
        // the text                             what the error holds
        ("", "is empty"),
        ("jti a", "line 1 does not end with a line break"),
        ("# nothing\n\njti\n", "line 3 is no entry (the id is missing)"),
        ("revoke a\n", "line 1 is no entry (it begins with neither 'jti' nor 'subject')"),
        ("JTI a\n", "line 1 is no entry (it begins with neither"),
        ("a\n", "line 1 is no entry (it begins with neither"),
        ("subject Mary Ann\n", "(a value is missing at its end)"),
        ("subject Mary Ann Lee\n", "(it says more than belongs there"),
        ("jti a before 5\n", "(it says more than belongs there"),
        ("jti a issuer b issuer c\n", "(it says more than belongs there"),
        ("subject a before 5 before 6\n", "(it says more than belongs there"),
        ("subject a before 5.5\n", "('before' takes whole seconds since 1970)"),
        ("subject a before -1\n", "('before' takes whole seconds since 1970)"),
        ("jti \"\"\n", "(the id is missing)"),
        ("jti \"a\n", "(a text in quotes is no JSON string)"),
        ("jti \"a\"b\n", "(something follows a text in quotes without a blank)"),
    ];
    for (text, expected) in table {
        let error = RevocationList::parse(text, ENTRIES_MAX).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}

#[test]
fn list_has_a_limit() {
    let four = "jti 1\nsubject 1\n# a comment\njti 2\njti 3\n";
    assert_eq!(RevocationList::parse(four, 4).unwrap().len(), 4);
    let error = RevocationList::parse(four, 3).unwrap_err();
    assert!(matches!(error, ListError::TooMany));
    assert!(error.to_string().contains("1000000 entries"), "{error}");
}
