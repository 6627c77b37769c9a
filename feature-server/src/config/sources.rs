//! Reads the configuration file and the environment: the only file of the project that does.

use std::env;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use feature_auth::text_file;
use toml::{Table, Value};

use super::check::{check, merge};
use super::headers::Headers;
use super::settings::Password;
use super::{ConfigError, Configuration, Origins, Settings, rules, schema};

/// The file that is read when none is named and it exists.
const DEFAULT_FILE: &str = "feature-server.toml";

/// What every variable of this program begins with. A single underscore would not do: in Kubernetes a service named
/// `feature-server` puts `FEATURE_SERVER_PORT` and the like into the environment of every container.
const PREFIX: &str = "FEATURE_SERVER__";

/// OpenTelemetry's own variables, each with its key. Of two for one key the later counts.
const OPENTELEMETRY: [(&str, &str); 7] = [
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "traces.endpoint"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "traces.endpoint"),
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", "traces.ca_file"),
    ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "traces.ca_file"),
    ("OTEL_SERVICE_NAME", "traces.service_name"),
    ("OTEL_TRACES_SAMPLER", "traces.sampler"),
    ("OTEL_TRACES_SAMPLER_ARG", "traces.sampler_ratio"),
];

/// Those that hold headers themselves, where a setting only names a file with some. The later counts.
const OPENTELEMETRY_HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"];

/// The key that names a file with headers.
const HEADERS_FILE: &str = "traces.headers_file";

/// PostgreSQL's own variable for a password. It is set for all programs on a machine, so a file counts more.
const PASSWORD: &str = "PGPASSWORD";

/// What the command line says about the configuration. It counts more than every other source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--config`: the configuration file. Without it, `feature-server.toml` in the working directory if it exists.
    pub config: Option<PathBuf>,
    /// `--listen`: the key `server.listen`.
    pub listen: Option<String>,
    /// `--data`: the key `server.data`.
    pub data: Option<String>,
    /// `--store`: the key `store.url`.
    pub store: Option<String>,
}

/// The configuration from defaults, file, environment and flags; the later counts. The error is the first thing that is
/// wrong.
pub fn load(flags: &Flags) -> Result<Configuration, ConfigError> {
    load_from(flags, Path::new(DEFAULT_FILE), env::vars_os())
}

/// [`load`] with the world as arguments.
pub(super) fn load_from(
    flags: &Flags,
    default_file: &Path,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Configuration, ConfigError> {
    let variables: Vec<(OsString, OsString)> = variables.into_iter().collect();
    let mut sources = Vec::new();
    sources.extend(read_file(flags.config.as_deref(), default_file)?);
    // Variables count more than the file, and those of this server more than those that all programs read. What only
    // other programs understand is left out, as OpenTelemetry demands.
    let mut ignored_variables = Vec::new();
    for (name, path) in OPENTELEMETRY {
        if let Some((_, value)) = variables.iter().find(|(known, _)| known == name) {
            match read_text(name, path, value.clone()) {
                Ok(source) => sources.extend(source),
                Err(_) => ignored_variables.push(name),
            }
        }
    }
    let mut headers = read_headers(&variables, &mut ignored_variables);
    let password = variables.iter().find(|(name, _)| name == PASSWORD).and_then(|(_, value)| value.to_str());
    let password = password.filter(|value| !value.is_empty()).map(|value| Password(value.to_owned()));
    sources.extend(read_environment(variables)?);
    let flags = [
        ("--listen", "server.listen", &flags.listen),
        ("--data", "server.data", &flags.data),
        ("--store", "store.url", &flags.store),
    ];
    for (flag, path, text) in flags {
        if let Some(text) = text {
            sources.push(one_value(flag, path, text.as_str().into())?);
        }
    }
    let (mut values, mut origins) = (schema::defaults(), Origins::default());
    for (origin, source) in sources {
        merge(&mut values, &source);
        origins.record("", &Value::Table(source), &origin);
    }
    // As with other keys, variables of OpenTelemetry count more than the file, and those of this server more than both.
    if origins.of(HEADERS_FILE).starts_with(PREFIX) {
        headers = None;
    } else if let (Some(_), Some(Value::Table(traces))) = (&headers, values.get_mut("traces")) {
        traces.remove("headers_file");
    }
    let settings = values.clone().try_into();
    let mut settings: Settings = settings.expect("values that are allowed one by one are allowed together");
    settings.traces.headers = headers.unwrap_or_default();
    settings.store.password = password.filter(|_| settings.store.password_file.is_none());
    rules::check(&settings, &origins)?;
    Ok(Configuration { settings, values, origins, ignored_variables })
}

/// What a file, a variable or a flag says, with its name. It is allowed by itself.
type Source = (String, Table);

/// A source that says one thing.
fn one_value(origin: &str, path: &str, value: Value) -> Result<Source, ConfigError> {
    let source = path.rsplit('.').fold(value, |value, name| Table::from_iter([(name.to_owned(), value)]).into());
    let source = source.as_table().cloned().unwrap_or_default();
    check(&source, origin)?;
    Ok((origin.to_owned(), source))
}

fn read_file(named: Option<&Path>, default_file: &Path) -> Result<Option<Source>, ConfigError> {
    let path = named.unwrap_or(default_file);
    let origin = one_line(&path.to_string_lossy());
    let utf8 = |bytes| String::from_utf8(bytes).map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"));
    let text = match text_file::read(path).and_then(utf8) {
        Ok(text) => text,
        Err(error) if named.is_none() && error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ConfigError::new(origin, format!("the configuration file cannot be read: {error}"))),
    };
    let source = text.parse().map_err(|error: toml::de::Error| {
        let whole = error.to_string();
        let place =
            whole.lines().next().and_then(|line| line.strip_prefix("TOML parse error at ")).unwrap_or("somewhere");
        ConfigError::new(&*origin, format!("not valid TOML: {place}: {}", one_line(error.message())))
    })?;
    check(&source, &origin)?;
    Ok(Some((origin, source)))
}

/// The headers in variables of OpenTelemetry. One that is not valid is ignored as a whole.
fn read_headers(variables: &[(OsString, OsString)], ignored: &mut Vec<&'static str>) -> Option<Headers> {
    let mut headers = None;
    for name in OPENTELEMETRY_HEADERS {
        let value = variables.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        let Some(value) = value.filter(|value| !value.is_empty()) else { continue };
        match value.to_str().and_then(Headers::from_variable) {
            Some(read) => headers = Some(read),
            None => ignored.push(name),
        }
    }
    headers
}

fn read_environment(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Vec<Source>, ConfigError> {
    let mut ours: Vec<(String, OsString)> = variables
        .into_iter()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect();
    // In a fixed order, so that the same one of several errors is always reported.
    ours.sort();
    ours.into_iter().filter_map(|(name, value)| read_variable(&name, value).transpose()).collect()
}

/// What a variable says. An empty one says nothing: templates of deployments set variables whose value is left open.
fn read_variable(name: &str, value: OsString) -> Result<Option<Source>, ConfigError> {
    let Some(path) = schema::keys().into_iter().find(|path| variable(path) == name) else {
        let problem = format!("unknown environment variable; the nearest known one is {}", nearest_variable(name));
        return Err(ConfigError::new(one_line(name), problem));
    };
    read_text(name, &path, value)
}

/// What a variable says about a key.
fn read_text(name: &str, path: &str, value: OsString) -> Result<Option<Source>, ConfigError> {
    let Ok(text) = value.into_string() else {
        return Err(ConfigError::new(name, "the environment variable must be valid Unicode"));
    };
    if text.is_empty() { Ok(None) } else { parse_variable(name, path, &text).map(Some) }
}

/// What a variable says whose text is a plain text, TOML or a list with commas: the first of these that is allowed.
fn parse_variable(name: &str, path: &str, text: &str) -> Result<Source, ConfigError> {
    let no_text = match one_value(name, path, text.into()) {
        Ok(source) => return Ok(source),
        Err(error) => error,
    };
    let (is_list, is_table) = (no_text.problem.starts_with("must be a list"), no_text.problem == "must be a table");
    let list: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    match text.trim().parse::<Value>() {
        Ok(value) => {
            one_value(name, path, value).or_else(|error| one_value(name, path, list.into()).map_err(|_| error))
        }
        Err(error) if (is_list || is_table) && text.trim().starts_with(['[', '{']) => {
            Err(ConfigError::new(name, format!("not valid TOML: {}", one_line(error.message()))))
        }
        Err(_) if is_list => one_value(name, path, list.into()),
        Err(_) => Err(no_text),
    }
}

/// The name of a key's variable.
pub(super) fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "__").to_uppercase())
}

fn nearest_variable(name: &str) -> String {
    // Below a map or a list there are no variables: the one for the whole is meant.
    let whole = schema::keys().into_iter().find(|key| name.starts_with(&format!("{}__", variable(key))));
    let path = name[PREFIX.len()..].to_lowercase().replace("__", ".");
    variable(&whole.unwrap_or_else(|| schema::nearest(&path, &path, std::iter::empty())))
}

/// Names of files and variables may hold line breaks; messages and comments are single lines.
fn one_line(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}
