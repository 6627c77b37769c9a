//! Loading from all sources together, and what is said when one of them is wrong.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use toml::{Table, Value};

use super::settings::{Bound, Limits, LogFormat, Server};
use super::sources::{load_from, variable};
use super::{Configuration, Flags, Settings, schema};

mod bad;
mod documented_limits;
mod full;
mod opentelemetry;
mod shipped_file;

use full::full;

/// The name that messages give to the configuration file of a test.
const FILE: &str = "FILE";

impl Default for Limits {
    fn default() -> Self {
        Settings::default().limits
    }
}

impl Default for Server {
    fn default() -> Self {
        Settings::default().server
    }
}

/// Loads with a configuration file of this text, in a folder of its own. Errors are as users see them, with the file's
/// path as [`FILE`].
fn load(text: &str, variables: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Configuration, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("feature-server.toml");
    fs::write(&file, text).unwrap();
    let mut given = Flags::default();
    for (flag, value) in flags {
        match *flag {
            "--listen" => given.listen = Some((*value).to_owned()),
            "--data" => given.data = Some((*value).to_owned()),
            other => panic!("{other} is no flag"),
        }
    }
    load_from(&given, &file, environment(variables))
        .map_err(|error| error.to_string().replace(file.to_str().unwrap(), FILE))
}

fn environment(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn loaded(text: &str, variables: &[(&str, &str)], flags: &[(&str, &str)]) -> Settings {
    load(text, variables, flags).unwrap_or_else(|error| panic!("{text} {variables:?} {flags:?}: {error}")).settings
}

#[test]
fn later_sources_count_more() {
    let file = "[server]\nlisten = '127.0.0.1:2'\ndata = 'from-file'\n[limits]\ncalls = 2";
    let variables = [("FEATURE_SERVER__SERVER__LISTEN", "127.0.0.1:3"), ("FEATURE_SERVER__LIMITS__CALLS", "3")];
    let flags = [("--listen", "127.0.0.1:4")];
    let table = [
        // (file, variables, flags, listen, data, calls)
        ("", &[][..], &[][..], "127.0.0.1:8080", "./feature-data", 2048),
        (file, &[], &[], "127.0.0.1:2", "from-file", 2),
        (file, &variables, &[], "127.0.0.1:3", "from-file", 3),
        (file, &variables, &flags, "127.0.0.1:4", "from-file", 3),
        ("", &variables, &[("--data", "d")], "127.0.0.1:3", "d", 3),
    ];
    for (file, variables, flags, listen, data, calls) in table {
        let settings = loaded(file, variables, flags);
        assert_eq!(settings.server.listen.to_string(), listen, "{file} {variables:?} {flags:?}");
        assert_eq!(settings.server.data, Path::new(data), "{file} {variables:?} {flags:?}");
        assert_eq!(settings.limits.calls, calls, "{file} {variables:?} {flags:?}");
    }
}

#[test]
fn variables_hold_every_kind_of_value() {
    type Expectation = fn(&Settings) -> bool;
    let table: [(&str, &str, Expectation); 13] = [
        // (variable without the prefix, value, what holds then)
        ("SERVER__ALLOW_CLEARTEXT", "true", |s| s.server.allow_cleartext),
        ("LIMITS__CALLS", "7", |s| s.limits.calls == 7),
        ("LOG__FORMAT", "json", |s| s.log.format == LogFormat::Json),
        ("AUTH__ROLES_CLAIM", "7", |s| s.auth.roles_claim == "7"),
        ("AUTH__ROLES_CLAIM", "true", |s| s.auth.roles_claim == "true"),
        ("INSTANCES__DEFAULT", "demo", |s| s.instances.default.as_deref() == Some("demo")),
        ("CORS__ALLOWED_ORIGINS", "[]", |s| s.cors.allowed_origins.is_empty()),
        ("CORS__ALLOWED_ORIGINS", "https://a", |s| s.cors.allowed_origins == ["https://a"]),
        ("CORS__ALLOWED_ORIGINS", "https://a, https://b,", |s| s.cors.allowed_origins == ["https://a", "https://b"]),
        ("CORS__ALLOWED_ORIGINS", "[\"https://a\", 'https://b']", |s| {
            s.cors.allowed_origins == ["https://a", "https://b"]
        }),
        ("INSTANCES__HOSTS", "{ 'demo.example.com' = 'demo' }", |s| s.instances.hosts["demo.example.com"] == "demo"),
        ("AUTH__ISSUERS", "[{ issuer = 'i', audience = 'a', jwks_file = 'f' }]", |s| s.auth.issuers[0].issuer == "i"),
        ("ROLES", "{ Mixed_CASE = { bound_to = 'instance', permissions = ['org.feature.read'] } }", |s| {
            s.roles["Mixed_CASE"].bound_to == Bound::Instance
        }),
    ];
    for (variable, value, holds) in table {
        let settings = loaded("", &[(&format!("FEATURE_SERVER__{variable}"), value)], &[]);
        assert!(holds(&settings), "{variable}={value}: {settings:?}");
    }
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let names = schema::keys();
    assert!(
        ["log.filter", "roles", "instances.hosts", "limits.calls"].iter().all(|name| names.iter().any(|it| it == name))
    );
    let variables: Vec<_> = names.iter().map(|path| variable(path)).collect();
    let variables: Vec<_> = variables.iter().map(|name| (name.as_str(), "")).collect();
    assert_eq!(loaded("", &variables, &[]), Settings::default());
    let file = "log.filter = 'warn'\nlimits.calls = 3\ncors.allowed_origins = ['https://a']";
    assert_eq!(loaded(file, &variables, &[]), loaded(file, &[], &[]), "what the file says stays");
}

#[test]
fn variables_of_others_are_ignored() {
    // Kubernetes sets the first two for a service named `feature-server`.
    let others =
        [("FEATURE_SERVER_PORT", "tcp://10.0.0.1:80"), ("FEATURE_SERVER_SERVICE_HOST", "10.0.0.1"), ("X", "y")];
    assert_eq!(loaded("", &others, &[]), Settings::default());
}

#[test]
fn names_that_the_operator_chose_keep_their_dots_and_their_case() {
    let text = "
        [instances.hosts]
        'demo.example.com' = 'demo'
        'other.example.com' = 'Other'
        [roles.IAM_OWNER]
        bound_to = 'instance'
        permissions = ['iam.feature.read']
        [roles.'Mixed.Case']
        bound_to = 'everything'
        permissions = ['system.feature.read']";
    let hosts = [("FEATURE_SERVER__INSTANCES__HOSTS", "{ 'third.example.com' = 'third' }")];
    let settings = loaded(text, &hosts, &[]);
    let expected = [("demo.example.com", "demo"), ("other.example.com", "Other"), ("third.example.com", "third")];
    assert_eq!(settings.instances.hosts, expected.map(|(host, id)| (host.to_owned(), id.to_owned())).into());
    assert_eq!(settings.roles.keys().collect::<Vec<_>>(), ["IAM_OWNER", "Mixed.Case"]);
}

#[test]
fn the_default_file_may_be_missing_and_a_named_one_counts_instead_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let default_file = folder.path().join("feature-server.toml");
    let named = folder.path().join("other.toml");
    let calls = |config: Option<&Path>| {
        let flags = Flags { config: config.map(Path::to_owned), ..Flags::default() };
        load_from(&flags, &default_file, []).map(|configuration| configuration.settings.limits.calls)
    };
    assert_eq!(calls(None).unwrap(), 2048);
    fs::write(&default_file, "limits.calls = 1").unwrap();
    fs::write(&named, "limits.connections = 1").unwrap();
    assert_eq!(calls(None).unwrap(), 1);
    assert_eq!(calls(Some(&named)).unwrap(), 2048);
    fs::write(&named, "\u{feff}limits.calls = 3").unwrap();
    assert_eq!(calls(Some(&named)).unwrap(), 3, "a byte order mark is skipped");
}

#[test]
fn the_effective_configuration_names_origins() {
    let file = "[limits]\ncalls = 2\n[instances.hosts]\n'demo.example.com' = 'demo'";
    let variables = [("FEATURE_SERVER__CORS__ALLOWED_ORIGINS", "https://a,https://b")];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("my.toml");
    fs::write(&path, file).unwrap();
    let flags = Flags { config: Some(path.clone()), listen: Some("127.0.0.1:0".to_owned()), ..Flags::default() };
    let text = load_from(&flags, Path::new("none.toml"), environment(&variables)).unwrap().to_toml();
    let text = text.replace(path.to_str().unwrap(), FILE);
    for line in [
        "[server]\nlisten = \"127.0.0.1:0\"  # --listen\ndata = \"./feature-data\"  # default\n",
        "\ncalls = 2  # FILE\n",
        "\nallowed_origins = [\"https://a\", \"https://b\"]  # FEATURE_SERVER__CORS__ALLOWED_ORIGINS\n",
        "\n[instances]\n# default is not set\n\n[instances.hosts]\n\"demo.example.com\" = \"demo\"  # FILE\n",
        "\n# issuers is not set\n",
        "\n# roles is not set\n",
        "\nformat = \"auto\"  # default\n",
    ] {
        assert!(text.contains(line), "{line}\nis not in\n{text}");
    }
}

#[test]
fn the_effective_configuration_can_be_fed_back() {
    for settings in [Settings::default(), full()] {
        let values = Table::try_from(&settings).unwrap();
        let text = Configuration {
            settings: settings.clone(),
            values,
            origins: Default::default(),
            ignored_variables: Vec::new(),
        }
        .to_toml();
        assert_eq!(loaded(&text, &[], &[]), settings, "{text}");
    }
}

/// The paths of a tree, with `*` for a name that the operator chooses and `[]` for an entry of a list.
fn paths(tree: &Table) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    collect_paths(&Value::Table(tree.clone()), "", &mut paths);
    paths
}

fn collect_paths(value: &Value, path: &str, paths: &mut BTreeSet<String>) {
    match value {
        Value::Table(table) => {
            for (name, value) in table {
                let name = if ["roles", "instances.hosts"].contains(&path) { "*" } else { name };
                collect_paths(value, &schema::join(path, name), paths);
            }
        }
        Value::Array(entries) if !entries.is_empty() && entries.iter().all(Value::is_table) => {
            entries.iter().for_each(|entry| collect_paths(entry, &format!("{path}[]"), paths));
        }
        _ => {
            paths.insert(path.to_owned());
        }
    }
}

/// The keys that take numbers, with the least and the most that each takes, from what is said about others.
fn ranges() -> Vec<(String, String, String)> {
    let range = |key: String| {
        let said = load(&format!("{key} = -1"), &[], &[]).unwrap_err();
        let (least, most) = said.rsplit_once("a whole number from ")?.1.split_once(" to ").unwrap();
        Some((key, least.to_owned(), most.to_owned()))
    };
    let ranges: Vec<_> = schema::keys().into_iter().filter_map(range).collect();
    assert!(ranges.len() > 20, "{ranges:?}");
    ranges
}

#[test]
fn the_least_and_the_most_of_every_number_fit_into_its_type() {
    for (key, least, most) in ranges() {
        for number in [least, most] {
            // So that the rules about two keys hold whichever of them is set.
            let file = "limits.default_deadline_ms = 1\nlimits.max_deadline_ms = 86400000\n\
                        limits.message_bytes = 1\nlimits.request_bytes = 1099511627776\n\
                        store.url = 'postgres://u@localhost/d'";
            loaded(file, &[(&variable(&key), &number)], &[]);
        }
    }
}
