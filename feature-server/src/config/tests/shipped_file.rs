//! `feature-server.toml` at the root of the repository tells the truth.

use super::*;

const SHIPPED: &str = include_str!("../../../../feature-server.toml");

#[test]
fn it_is_a_configuration_file() {
    assert_eq!(loaded(SHIPPED, &[], &[]), Settings::default());
}

#[test]
fn it_lists_every_key_with_an_allowed_value() {
    let all = schema::all();
    assert_eq!(paths(&all), paths(&Table::try_from(full()).unwrap()));
    load(&toml::to_string(&all).unwrap(), &[], &[]).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn it_tells_the_bounds_of_numbers() {
    for (key, least, most) in ranges() {
        assert!(SHIPPED.contains(&format!("{least} to {most}.\n")), "{key}: {least} to {most}");
    }
}

#[test]
fn its_defaults_of_identity_are_those_of_feature_auth() {
    assert_eq!(Settings::default().auth, feature_auth::config::Auth::default());
}
