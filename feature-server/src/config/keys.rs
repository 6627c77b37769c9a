//! The table of all keys: what each takes. A setting has its line here, its field in `settings` and its comment in
//! `feature-server.toml`; a test keeps the three together.
//!
//! A key's path has dots between its parts. `*` stands for a name that the operator chooses, `[]` for an entry of a
//! list.

use super::forms::{self, Form};

/// A key and what it takes.
pub(super) struct Key {
    pub path: &'static str,
    pub kind: Kind,
    /// Whether its table must have it.
    pub required: bool,
}

/// What a key takes.
pub(super) enum Kind {
    Flag,
    /// A whole number from the first to the second.
    Number(i64, i64),
    Choice(&'static [&'static str]),
    Text(&'static Form),
    /// A list of texts, with at least so many.
    Texts(&'static Form, usize),
}

/// What stands at a path.
pub(super) enum Node {
    Value(&'static Key),
    /// A table with known keys.
    Table,
    /// A table whose keys are chosen by the operator.
    Map(&'static Form),
    /// A list of tables.
    List,
}

const COUNT: Kind = Kind::Number(1, 1_000_000);
/// At most a day: longer is a typing error, and far longer overflows clocks.
const MILLISECONDS: Kind = Kind::Number(1, 86_400_000);
const INSTANCE: Kind = Kind::Text(&forms::INSTANCE);
const PATH: Kind = Kind::Text(&forms::PATH);

/// All keys, in the order in which the effective configuration shows them.
pub(super) static KEYS: &[Key] = &[
    optional("server.listen", Kind::Text(&forms::ADDRESS)),
    optional("server.data", PATH),
    optional("server.allow_cleartext", Kind::Flag),
    optional("server.allowed_hosts", Kind::Texts(&forms::HOST, 0)),
    optional("server.reflection", Kind::Choice(&["auto", "everybody", "authenticated", "off"])),
    optional("server.shutdown_grace_ms", Kind::Number(0, 86_400_000)),
    optional("store.cache_bytes", Kind::Number(1 << 20, 1 << 40)),
    optional("limits.message_bytes", Kind::Number(1, 1 << 30)),
    optional("limits.connections", COUNT),
    optional("limits.connections_per_address", COUNT),
    optional("limits.idle_connections", COUNT),
    optional("limits.streams_per_connection", COUNT),
    optional("limits.calls", COUNT),
    optional("limits.calls_per_second_per_identity", Kind::Number(0, 1_000_000)),
    optional("limits.unauthenticated_calls", COUNT),
    optional("limits.unauthenticated_calls_per_address", COUNT),
    optional("limits.unauthenticated_bytes", Kind::Number(1, 1 << 30)),
    optional("limits.request_bytes", Kind::Number(1, 1 << 40)),
    optional("limits.answer_cache_bytes", Kind::Number(0, 1 << 40)),
    optional("limits.queued_writes", COUNT),
    optional("limits.queued_reads", COUNT),
    // hyper's buffer for HTTP/1.1 cannot be smaller, so less would not be enforced there.
    optional("limits.header_bytes", Kind::Number(8_192, 1 << 24)),
    optional("limits.headers", COUNT),
    optional("limits.handshake_timeout_ms", MILLISECONDS),
    optional("limits.first_byte_timeout_ms", MILLISECONDS),
    optional("limits.header_timeout_ms", MILLISECONDS),
    optional("limits.body_timeout_ms", MILLISECONDS),
    optional("limits.send_timeout_ms", MILLISECONDS),
    optional("limits.idle_timeout_ms", MILLISECONDS),
    optional("limits.connection_age_ms", MILLISECONDS),
    optional("limits.connection_age_grace_ms", MILLISECONDS),
    optional("limits.keepalive_interval_ms", MILLISECONDS),
    optional("limits.keepalive_timeout_ms", MILLISECONDS),
    optional("limits.default_deadline_ms", MILLISECONDS),
    optional("limits.max_deadline_ms", MILLISECONDS),
    optional("tls.certificate_file", PATH),
    optional("tls.key_file", PATH),
    optional("tls.client_ca_file", PATH),
    optional("tls.client_crl_file", PATH),
    optional("tls.client_certificate", Kind::Choice(&["required", "optional"])),
    optional("cors.allowed_origins", Kind::Texts(&forms::ORIGIN, 0)),
    optional("instances.default", INSTANCE),
    optional("instances.hosts.*", INSTANCE),
    optional("auth.leeway_s", Kind::Number(0, 30)),
    // At most ten years.
    optional("auth.max_token_lifetime_s", Kind::Number(1, 315_360_000)),
    optional("auth.roles_claim", Kind::Text(&forms::TEXT)),
    optional("auth.revocation_file", PATH),
    // At least longer than the pause between two loads of keys from a URL.
    optional("auth.jwks_max_stale_s", Kind::Number(900, 31_536_000)),
    optional("auth.token_cache_entries", Kind::Number(0, 10_000_000)),
    required("auth.issuers[].issuer", Kind::Text(&forms::TEXT)),
    required("auth.issuers[].audience", Kind::Text(&forms::TEXT)),
    optional("auth.issuers[].instance", INSTANCE),
    optional("auth.issuers[].jwks_file", PATH),
    optional("auth.issuers[].jwks_url", Kind::Text(&forms::HTTPS_URL)),
    optional("auth.issuers[].jwks_ca_file", PATH),
    optional("auth.certificates[].uri", Kind::Text(&forms::CERTIFICATE_URI)),
    optional("auth.certificates[].subject", Kind::Text(&forms::SUBJECT)),
    required("auth.certificates[].roles", Kind::Texts(&forms::ROLE, 0)),
    optional("auth.certificates[].instance", INSTANCE),
    optional("auth.certificates[].organization", Kind::Text(&forms::ORGANIZATION)),
    optional("auth.certificates[].user", Kind::Text(&forms::USER)),
    required("roles.*.bound_to", Kind::Choice(&["everything", "instance", "organization"])),
    required("roles.*.permissions", Kind::Texts(&forms::PERMISSION, 1)),
    optional("log.filter", Kind::Text(&forms::FILTER)),
    optional("log.format", Kind::Choice(&["auto", "text", "json"])),
];

const fn optional(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, required: false }
}

const fn required(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, required: true }
}

/// What stands at a path, when it is known. The empty path is that of the whole.
pub(super) fn node(path: &str) -> Option<Node> {
    if let Some(key) = KEYS.iter().find(|key| key.path == path) {
        return Some(Node::Value(key));
    }
    match path {
        "" => return Some(Node::Table),
        "instances.hosts" => return Some(Node::Map(&forms::HOST)),
        "roles" => return Some(Node::Map(&forms::ROLE)),
        _ => {}
    }
    KEYS.iter().filter_map(|key| key.path.strip_prefix(path)).find_map(|rest| match rest.as_bytes()[0] {
        b'.' => Some(Node::Table),
        b'[' => Some(Node::List),
        _ => None,
    })
}

/// The names of a known table's keys, each once and in the table's order.
pub(super) fn names(table: &str) -> Vec<&'static str> {
    let mut names = Vec::new();
    for key in KEYS {
        let rest = if table.is_empty() { Some(key.path) } else { rest_of(key.path, table) };
        let name = rest.and_then(|rest| rest.split(['.', '[']).next());
        if let Some(name) = name
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}

fn rest_of(path: &'static str, table: &str) -> Option<&'static str> {
    path.strip_prefix(table)?.strip_prefix('.')
}

/// The paths that are the same in every configuration: those of plain values, and of maps and lists as a whole.
pub(super) fn fixed_paths() -> Vec<&'static str> {
    let mut paths: Vec<&str> = Vec::new();
    for key in KEYS {
        let end = key.path.find(".*").or_else(|| key.path.find("[]")).unwrap_or(key.path.len());
        if paths.last() != Some(&&key.path[..end]) {
            paths.push(&key.path[..end]);
        }
    }
    paths
}

impl Kind {
    /// What is allowed, to stand after 'must be'.
    pub(super) fn allowed(&self) -> String {
        match self {
            Kind::Flag => "true or false".to_owned(),
            Kind::Number(least, most) => format!("a whole number from {least} to {most}"),
            Kind::Choice(choices) => format!("one of {}", quoted(choices)),
            Kind::Text(form) => form.allowed.to_owned(),
            Kind::Texts(form, 0) => format!("a list, each {}", form.allowed),
            Kind::Texts(form, least) => format!("a list of at least {least}, each {}", form.allowed),
        }
    }
}

fn quoted(choices: &[&str]) -> String {
    choices.iter().map(|choice| format!("{choice:?}")).collect::<Vec<_>>().join(", ")
}
