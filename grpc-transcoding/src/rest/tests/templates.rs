//! The syntax of templates, and the values that they bind.

use crate::rest::template::{Path, Template};

#[test]
fn matches_and_binds() {
    let table: &[(&str, &str, Option<&[&str]>)] = &[
        // template, path, values of the variables
        ("/a", "/a", Some(&[])),
        ("/a", "/b", None),
        ("/a", "/a/", None),
        ("/a", "//a", None),
        ("/a", "a", None),
        ("/a", "", None),
        ("/a", "/", None),
        ("/a", "/A", None),
        ("/a", "/%61", Some(&[])),
        ("/a", "/a%2F", None),
        ("/a", "/a%", None),
        ("/a/b", "/a%2Fb", None),
        ("/a-b._~!$&'()+,;@", "/a-b._~!$&'()+,;@", Some(&[])),
        ("/a+b", "/a%2Bb", Some(&[])),
        ("/*", "/x", Some(&[])),
        ("/*", "/", None),
        ("/*/b", "/x/b", Some(&[])),
        ("/*/b", "//b", None),
        ("/{a}", "/x", Some(&["x"])),
        ("/{a}", "/x%2Fy%20z", Some(&["x%2Fy%20z"])),
        ("/{a}", "/%zz", Some(&["%zz"])),
        ("/{a}", "/x/y", None),
        ("/{a}", "/x/", None),
        ("/{a}", "/x:y", Some(&["x:y"])),
        ("/{a}", "/..", Some(&[".."])),
        ("/{a.b.c}/d/{e}", "/1/d/2", Some(&["1", "2"])),
        ("/{a=*}", "/x", Some(&["x"])),
        ("/{a=b}", "/b", Some(&["b"])),
        ("/{a=b}", "/c", None),
        ("/{a=b/*}", "/b/x", Some(&["b/x"])),
        ("/{a=b/*}", "/b", None),
        ("/{a=b/*}", "/c/x", None),
        ("/{a=b/*/c/*}/d", "/b/1/c/2/d", Some(&["b/1/c/2"])),
        ("/{a=b/*/c/*}/d", "/b/1/c/2/e", None),
        ("/{a=b/*}/{c=d/**}", "/b/1/d/2/3", Some(&["b/1", "d/2/3"])),
        ("/**", "/", Some(&[])),
        ("/**", "/x/y/z", Some(&[])),
        ("/**", "/x//z", None),
        ("/**", "/x/", None),
        ("/a/**", "/a", Some(&[])),
        ("/a/**", "/b/c", None),
        ("/a/{b=**}", "/a", Some(&[""])),
        ("/a/{b=**}", "/a/x", Some(&["x"])),
        ("/a/{b=**}", "/a/x/y%2Fz", Some(&["x/y%2Fz"])),
        ("/a/{b=**}", "/a/", None),
        ("/a:do", "/a:do", Some(&[])),
        ("/a:do", "/a:d%6F", Some(&[])),
        ("/a:do", "/a%3Ado", None),
        ("/a:do", "/a", None),
        ("/a:do", "/a:", None),
        ("/a:do", "/a:undo", None),
        ("/a:do", "/a:do/", None),
        ("/{a}:do", "/x:do", Some(&["x"])),
        ("/{a}:do", "/x:y:do", Some(&["x:y"])),
        ("/{a}:do", "/:do", None),
        ("/x/{a}:do", "/x/:do", None),
        ("/a/{b=**}:do", "/a:do", Some(&[""])),
        ("/a/{b=**}:do", "/a/x:y/z:do", Some(&["x:y/z"])),
        ("/a/{b=**}:do", "/a:do/z", None),
        ("/{a=b/*}:do", "/b/1:do", Some(&["b/1"])),
    ];
    for (template, path, bound) in table {
        let template = Template::new(template).unwrap_or_else(|problem| panic!("{template} {problem}"));
        let found = template.matches(&Path::new(path)).map(|segments| template.bind(segments));
        let expected = bound.map(|texts| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(found, expected, "{} {path}", template.text);
    }
}

#[test]
fn refuses_what_is_no_template() {
    let many = "/{a}".repeat(17);
    let table = [
        // template, problem
        ("", "does not begin with '/'"),
        ("a", "does not begin with '/'"),
        ("/", "has an empty segment or verb"),
        ("/a/", "has an empty segment or verb"),
        ("//a", "has an empty segment or verb"),
        ("/a:", "has an empty segment or verb"),
        ("/{a=}", "has an empty segment or verb"),
        ("/{a=b/}", "has an empty segment or verb"),
        ("/:do", "has an empty segment or verb"),
        ("/{a", "has a '{' without its '}'"),
        ("/a}", "has a segment or verb with a sign that can't stand there"),
        ("/x{a}", "has a segment or verb with a sign that can't stand there"),
        ("/{a=x{b}}", "has a segment or verb with a sign that can't stand there"),
        ("/{a}x", "has something between a '}' and the next '/'"),
        ("/{a}{b}", "has something between a '}' and the next '/'"),
        ("/**/a", "has '**' where it is not the last segment"),
        ("/{a=**}/b", "has '**' where it is not the last segment"),
        ("/a*", "has a segment or verb with a sign that can't stand there"),
        ("/***", "has a segment or verb with a sign that can't stand there"),
        ("/a:b/c", "has a segment or verb with a sign that can't stand there"),
        ("/a:b:c", "has a segment or verb with a sign that can't stand there"),
        ("/a:*", "has a segment or verb with a sign that can't stand there"),
        ("/a?b", "has a segment or verb with a sign that can't stand there"),
        ("/a b", "has a segment or verb with a sign that can't stand there"),
        ("/a%20b", "has a segment or verb with a sign that can't stand there"),
        ("/ä", "has a segment or verb with a sign that can't stand there"),
        (&many, "has too many variables"),
    ];
    for (template, problem) in table {
        assert_eq!(Template::new(template).map(|_| ()), Err(problem), "{template}");
    }
}
