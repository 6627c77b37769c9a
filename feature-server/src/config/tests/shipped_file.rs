//! `feature-server.toml` at the root of the repository tells the truth.

use super::*;

const SHIPPED: &str = include_str!("../../../../feature-server.toml");

#[test]
fn it_holds_the_defaults() {
    assert_eq!(loaded(SHIPPED, &[], &[]), Settings::default());
}

#[test]
fn it_lists_every_key_with_an_allowed_value() {
    // '#key' is a key that has no default, '# text' is prose.
    let uncommented: Vec<&str> = SHIPPED
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with(' ')).unwrap_or(line))
        .collect();
    let text = uncommented.join("\n");
    let origins = load(&text, &[], &[]).unwrap_or_else(|error| panic!("{error}")).origins;
    let listed: BTreeSet<String> = origins.0.keys().map(|key| pattern(key)).collect();
    let known: BTreeSet<String> = KEYS.iter().map(|key| key.path.to_owned()).collect();
    assert_eq!(listed, known);
}

#[test]
fn it_tells_the_bounds_of_numbers_that_are_not_obvious() {
    for key in KEYS {
        let Kind::Number(least, most) = key.kind else { continue };
        assert!(SHIPPED.contains(&format!("{least} to {most}.\n")), "{}: {least} to {most}", key.path);
    }
}

/// The path in the table of keys for a key such as `roles.SUPPORT.bound_to`.
fn pattern(key: &str) -> String {
    if key.starts_with("instances.hosts.") {
        return "instances.hosts.*".to_owned();
    }
    key.replace("auth.issuers[0]", "auth.issuers[]")
        .replace("auth.issuers[1]", "auth.issuers[]")
        .replace("auth.certificates[0]", "auth.certificates[]")
        .replace("auth.certificates[1]", "auth.certificates[]")
        .replace("roles.SUPPORT", "roles.*")
}
