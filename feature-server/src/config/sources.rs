//! Reads the configuration file and the environment: the only file of the project that does. What may stand in them
//! is for the table of keys.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, io};

use ::config::{Config, File, FileFormat, Map, Source, Value, ValueKind};

use super::keys::{self, Kind, Node};
use super::tree::{self, Place};
use super::{ConfigError, Configuration, Origins, Settings, rules};
use crate::config::text_file;

/// The file that is read when none is named and it exists.
const DEFAULT_FILE: &str = "feature-server.toml";

/// What every variable of this program begins with. A single underscore would not do: in Kubernetes a service named
/// `feature-server` puts `FEATURE_SERVER_PORT` and the like into the environment of every container.
const PREFIX: &str = "FEATURE_SERVER__";

/// What the command line says about the configuration. It counts more than every other source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--config`: the configuration file. Without it, `feature-server.toml` in the working directory if it exists.
    pub config: Option<PathBuf>,
    /// `--listen`: the key `server.listen`.
    pub listen: Option<String>,
    /// `--data`: the key `server.data`.
    pub data: Option<String>,
}

/// The configuration from defaults, file, environment and flags; the later counts.
///
/// # Errors
/// [`ConfigError`] tells the first thing that is wrong.
pub fn load(flags: &Flags) -> Result<Configuration, ConfigError> {
    load_from(flags, Path::new(DEFAULT_FILE), env::vars_os())
}

/// [`load`] with the world as arguments.
pub(super) fn load_from(
    flags: &Flags,
    default_file: &Path,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Configuration, ConfigError> {
    let mut sources = Vec::new();
    sources.extend(read_file(flags.config.as_deref(), default_file)?);
    sources.extend(read_environment(variables)?);
    sources.extend(read_flags(flags));
    combine(sources)
}

fn combine(sources: Vec<Layer>) -> Result<Configuration, ConfigError> {
    let mut origins = Origins::default();
    let mut builder = Config::builder();
    for source in sources {
        // Each source is checked before it is combined with others, so that an error can name it.
        tree::check(&source.tree, &source.origin, &mut origins)?;
        builder = builder.add_source(source);
    }
    let settings: Settings = builder.build()?.try_deserialize()?;
    rules::check(&settings, &origins)?;
    Ok(Configuration { settings, origins })
}

/// What one source says.
#[derive(Debug, Clone)]
struct Layer {
    /// The source's name: that of a file, of a variable or of a flag.
    origin: String,
    tree: Map<String, Value>,
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ::config::ConfigError> {
        Ok(self.tree.clone())
    }
}

impl Layer {
    /// A source that says one thing.
    fn of_value(origin: &str, path: &str, value: ValueKind) -> Self {
        let mut names: Vec<&str> = path.split('.').collect();
        let first = names.remove(0);
        let nested = names
            .into_iter()
            .rev()
            .fold(value, |inner, name| ValueKind::Table(Map::from_iter([(name.to_owned(), Value::new(None, inner))])));
        let tree = Map::from_iter([(first.to_owned(), Value::new(None, nested))]);
        Self { origin: origin.to_owned(), tree }
    }
}

fn read_flags(flags: &Flags) -> impl Iterator<Item = Layer> {
    let given = [("--listen", "server.listen", &flags.listen), ("--data", "server.data", &flags.data)];
    given.into_iter().filter_map(|(flag, path, text)| Some(Layer::of_value(flag, path, text.as_deref()?.into())))
}

fn read_file(named: Option<&Path>, default_file: &Path) -> Result<Option<Layer>, ConfigError> {
    let path = named.unwrap_or(default_file);
    let origin = one_line(&path.to_string_lossy());
    let text = match text_file::read_to_string(path) {
        Ok(text) => text,
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ConfigError::Unreadable { file: origin, problem: error.to_string() }),
    };
    match parse_toml(&text) {
        Ok(tree) => Ok(Some(Layer { origin, tree })),
        Err(TomlError { position, problem }) if position.is_empty() => Err(ConfigError::Syntax { origin, problem }),
        Err(TomlError { position, problem }) => {
            Err(ConfigError::Syntax { origin, problem: format!("{position}: {problem}") })
        }
    }
}

fn read_environment(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Vec<Layer>, ConfigError> {
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
fn read_variable(name: &str, value: OsString) -> Result<Option<Layer>, ConfigError> {
    let Some(path) = keys::fixed_paths().into_iter().find(|path| variable(path) == name) else {
        return Err(ConfigError::UnknownVariable { variable: one_line(name), nearest: nearest_variable(name) });
    };
    let Ok(text) = value.into_string() else {
        return Err(ConfigError::NotUnicode { variable: name.to_owned() });
    };
    if text.is_empty() {
        return Ok(None);
    }
    let node = keys::node(path).expect("a fixed path is known");
    Ok(Some(Layer::of_value(name, path, parse_variable(&text, &node, name)?)))
}

/// The value that a variable's text stands for. What is no such value stays a text, and is refused as one later.
fn parse_variable(text: &str, node: &Node, name: &str) -> Result<ValueKind, ConfigError> {
    let is_toml = text.trim_start().starts_with(['[', '{']);
    match node {
        Node::Value(key) => match &key.kind {
            Kind::Flag => Ok(text.parse::<bool>().map_or_else(|_| text.into(), ValueKind::Boolean)),
            Kind::Number(..) => Ok(text.parse::<i64>().map_or_else(|_| text.into(), ValueKind::I64)),
            Kind::Texts(..) if is_toml => parse_toml_value(text, name),
            Kind::Texts(..) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                Ok(parts.collect::<Vec<_>>().into())
            }
            Kind::Choice(_) | Kind::Text(_) => Ok(text.into()),
        },
        Node::Table | Node::Map(_) | Node::List if is_toml => parse_toml_value(text, name),
        Node::Table | Node::Map(_) | Node::List => Ok(text.into()),
    }
}

fn parse_toml_value(text: &str, origin: &str) -> Result<ValueKind, ConfigError> {
    let problem = match parse_toml(&format!("value = {text}")) {
        Ok(mut tree) => match tree.remove("value") {
            Some(value) if tree.is_empty() => return Ok(value.kind),
            _ => "more than one value".to_owned(),
        },
        // Its position counts from the word 'value', which the operator does not see.
        Err(TomlError { problem, .. }) => problem,
    };
    Err(ConfigError::Syntax { origin: origin.to_owned(), problem })
}

/// What the parser says about a text that is no TOML, each in one line.
struct TomlError {
    /// Such as 'line 3, column 5'; empty when it is not known.
    position: String,
    problem: String,
}

fn parse_toml(text: &str) -> Result<Map<String, Value>, TomlError> {
    File::from_str(text, FileFormat::Toml).collect().map_err(|error| {
        let message = error.to_string();
        // With a position the parser draws a picture: a line with the position, three that show the place, and then
        // what is wrong.
        let (position, problem) = match message.strip_prefix("TOML parse error at ") {
            Some(picture) => (picture.lines().next(), picture.lines().skip(4).collect::<Vec<_>>().join("; ")),
            None => (None, message.trim().to_owned()),
        };
        TomlError { position: position.unwrap_or_default().to_owned(), problem: one_line(&problem) }
    })
}

/// The name of a key's variable.
pub(super) fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "__").to_uppercase())
}

fn nearest_variable(name: &str) -> String {
    let known: Vec<String> = keys::fixed_paths().into_iter().map(variable).collect();
    // Below a map or a list there are no variables: the one for the whole is meant.
    if let Some(whole) = known.iter().find(|known| name.starts_with(&format!("{known}__"))) {
        return whole.clone();
    }
    let path = name[PREFIX.len()..].to_lowercase().replace("__", ".");
    variable(&tree::nearest(&Place::root(), &path))
}

/// Names of files and variables may hold line breaks; messages and comments are single lines.
fn one_line(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}
