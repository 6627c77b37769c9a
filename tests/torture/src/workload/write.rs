//! Writes: the requests, and the state that each must lead to.

use super::feature::{LOGIN, Layer, Level, Scope, Value};

/// A write.
#[derive(Debug, Clone)]
pub struct Write {
    /// What to set, or a reset.
    pub operation: Operation,
    /// The organization that the call names, to which a user moves.
    pub organization: Option<String>,
}

/// The kind of write.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Sets features; with a mask, may also unset features.
    Set(Set),
    /// Unsets everything.
    Reset,
}

/// A Set request.
#[derive(Debug, Clone, Default)]
pub struct Set {
    /// The features in the request.
    pub features: Layer,
    /// The update mask.
    pub mask: Option<Vec<&'static str>>,
    /// The expected sequence.
    pub expected_sequence: Option<u64>,
    /// Whether the server only checks the request.
    pub validate_only: bool,
}

/// The settings of a scope at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    pub layer: Layer,
    pub sequence: u64,
    /// For a user: the recorded organization.
    pub organization: Option<String>,
}

impl Write {
    /// The state after the server has accepted the write.
    pub fn apply(&self, level: Level, state: &State) -> State {
        let layer = match &self.operation {
            Operation::Set(set) if set.validate_only => return state.clone(),
            Operation::Set(set) => set.apply(level, &state.layer),
            Operation::Reset if state.layer.is_empty() => return state.clone(),
            Operation::Reset => Layer::new(),
        };
        let changes = level.features().filter(|name| layer.get(name) != state.layer.get(name)).count() as u64;
        let steps = if matches!(self.operation, Operation::Reset) { 1 } else { changes };
        if state.sequence + steps == 0 {
            return state.clone();
        }
        let moved = if level == Level::User { self.organization.clone() } else { None };
        State { layer, sequence: state.sequence + steps, organization: moved.or(state.organization.clone()) }
    }
}

impl Set {
    fn apply(&self, level: Level, layer: &Layer) -> Layer {
        let mut result = layer.clone();
        for name in level.features() {
            let value = match &self.mask {
                None => self.features.get(name).or(layer.get(name)).cloned(),
                Some(mask) if mask.contains(&"*") || mask.contains(&name) => self.features.get(name).cloned(),
                Some(mask) if name == LOGIN => self.merged_login(mask, layer.get(name)),
                Some(_) => layer.get(name).cloned(),
            };
            match value {
                Some(value) => result.insert(name, value),
                None => result.remove(name),
            };
        }
        result
    }

    /// The login settings after a mask that names parts of them; `None` if there are none.
    fn merged_login(&self, mask: &[&str], old: Option<&Value>) -> Option<Value> {
        let sent = match self.features.get(LOGIN) {
            Some(Value::Login { required, base_uri }) => Some((*required, base_uri.clone())),
            _ => None,
        };
        let named = |part| mask.contains(&part);
        let (sent_required, sent_uri) = sent.clone().unwrap_or_default();
        let (mut required, mut base_uri) = match old {
            Some(Value::Login { required, base_uri }) => (*required, base_uri.clone()),
            // Unsetting a part of a feature that is not set leaves it not set.
            _ if named("login_v2.required") && sent.is_some() => (false, None),
            _ if named("login_v2.base_uri") && sent_uri.is_some() => (false, None),
            _ => return None,
        };
        if named("login_v2.required") {
            required = sent_required;
        }
        if named("login_v2.base_uri") {
            base_uri = sent_uri;
        }
        Some(Value::Login { required, base_uri })
    }
}

impl State {
    /// The owner of the settings, as answers name it.
    ///
    /// `named`: the organization that the call names.
    pub fn owner<'a>(&'a self, scope: &'a Scope, named: Option<&'a str>) -> &'a str {
        match scope.level {
            Level::System => "SYSTEM",
            Level::Instance | Level::Organization => &scope.instance,
            Level::User => self.organization.as_deref().or(named).unwrap_or(&scope.instance),
        }
    }
}
