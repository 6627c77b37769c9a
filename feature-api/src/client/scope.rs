//! Reads of one scope.

use std::sync::Arc;

use prost_types::value::Kind;

use crate::client::shared::Shared;
use crate::client::values::Values;
use crate::feature::v1::ResolvedValue;

/// The largest number of which every smaller one is exact.
const INTEGER_MAX: f64 = feature_core::definition::INTEGER_MAX as f64;

/// The values of one scope, as they are at each read.
#[derive(Clone)]
pub struct Scope {
    shared: Arc<Shared>,
    name: String,
}

/// Why a read has no value. The application then uses its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There are no values yet.
    #[error("there are no values yet")]
    NotReady,
    /// The client does not watch this scope.
    #[error("the client does not watch this scope; the server answers instances/current with the id of the instance")]
    ScopeNotWatched,
    /// The scope has no such feature. In OpenFeature it is `FLAG_NOT_FOUND`.
    #[error("the scope has no such feature")]
    NotFound,
    /// The value has another type. In OpenFeature it is `TYPE_MISMATCH`.
    #[error("the value has another type")]
    TypeMismatch,
}

impl Scope {
    pub(super) fn new(shared: Arc<Shared>, name: String) -> Self {
        Self { shared, name }
    }

    /// The value of a feature, with its source and the revision of the change that has set it.
    ///
    /// # Errors
    /// Every [`ReadError`] but [`ReadError::TypeMismatch`].
    pub fn value(&self, key: &str) -> Result<Arc<ResolvedValue>, ReadError> {
        find(&self.shared.values().load(), &self.name, key).cloned()
    }

    /// The value of a feature of the type boolean.
    ///
    /// # Errors
    /// Every [`ReadError`].
    pub fn boolean(&self, key: &str) -> Result<bool, ReadError> {
        self.read(key, |kind| match kind {
            Kind::BoolValue(flag) => Some(*flag),
            _ => None,
        })
    }

    /// The value of a feature of the type string.
    ///
    /// # Errors
    /// Every [`ReadError`].
    pub fn string(&self, key: &str) -> Result<String, ReadError> {
        self.read(key, |kind| match kind {
            Kind::StringValue(text) => Some(text.clone()),
            _ => None,
        })
    }

    /// The value of a feature of the type integer.
    ///
    /// # Errors
    /// Every [`ReadError`]. A number with a fraction has another type.
    pub fn integer(&self, key: &str) -> Result<i64, ReadError> {
        self.read(key, |kind| match kind {
            Kind::NumberValue(number) if number.fract() == 0.0 && number.abs() <= INTEGER_MAX => Some(*number as i64),
            _ => None,
        })
    }

    /// The value of a feature of the type number or integer.
    ///
    /// # Errors
    /// Every [`ReadError`].
    pub fn number(&self, key: &str) -> Result<f64, ReadError> {
        self.read(key, |kind| match kind {
            Kind::NumberValue(number) => Some(*number),
            _ => None,
        })
    }

    fn read<T>(&self, key: &str, as_type: impl FnOnce(&Kind) -> Option<T>) -> Result<T, ReadError> {
        let values = self.shared.values().load();
        let value = find(&values, &self.name, key)?.value.as_ref();
        value.and_then(|value| value.kind.as_ref()).and_then(as_type).ok_or(ReadError::TypeMismatch)
    }
}

fn find<'v>(values: &'v Values, scope: &str, key: &str) -> Result<&'v Arc<ResolvedValue>, ReadError> {
    if values.is_empty() {
        return Err(ReadError::NotReady);
    }
    values.scope(scope).ok_or(ReadError::ScopeNotWatched)?.get(key).ok_or(ReadError::NotFound)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prost_types::Value;

    use super::*;
    use crate::client::state::Limits;
    use crate::client::values::Assembly;
    use crate::feature::v1::watch_values_response::Event;
    use crate::feature::v1::{ScopeValues, Values as Message, WatchValuesResponse};

    fn shown(scopes: Vec<ScopeValues>) -> Arc<Shared> {
        let hour = Duration::from_secs(3_600);
        let shared = Shared::new(Limits { start: hour, silence: hour, stale: hour });
        let event = Some(Event::Snapshot(Message { scopes }));
        let mut assembly = Assembly::default();
        let applied = assembly.apply(WatchValuesResponse { event, synced: true, ..Default::default() });
        shared.show(&assembly, applied);
        Arc::new(shared)
    }

    #[test]
    fn a_value_is_read_by_its_own_type_alone() {
        use ReadError::TypeMismatch;
        let table = [
            // the value, as a boolean, string, integer and number
            (Kind::BoolValue(true), Ok(true), Err(TypeMismatch), Err(TypeMismatch), Err(TypeMismatch)),
            (
                Kind::StringValue("7".into()),
                Err(TypeMismatch),
                Ok("7".to_owned()),
                Err(TypeMismatch),
                Err(TypeMismatch),
            ),
            (Kind::NumberValue(7.0), Err(TypeMismatch), Err(TypeMismatch), Ok(7), Ok(7.0)),
            (Kind::NumberValue(7.5), Err(TypeMismatch), Err(TypeMismatch), Err(TypeMismatch), Ok(7.5)),
            (Kind::NumberValue(1e300), Err(TypeMismatch), Err(TypeMismatch), Err(TypeMismatch), Ok(1e300)),
            (Kind::NullValue(0), Err(TypeMismatch), Err(TypeMismatch), Err(TypeMismatch), Err(TypeMismatch)),
        ];
        for (kind, boolean, string, integer, number) in table {
            let value = ResolvedValue { value: Some(Value { kind: Some(kind) }), ..Default::default() };
            let values = [("key".to_owned(), value.clone())].into();
            let scope = ScopeValues { settings: "system/settings".to_owned(), values, removed: Vec::new() };
            let scope = Scope::new(shown(vec![scope]), "system".to_owned());
            assert_eq!(scope.value("key").as_deref(), Ok(&value));
            let read = (scope.boolean("key"), scope.string("key"), scope.integer("key"), scope.number("key"));
            assert_eq!(read, (boolean, string, integer, number), "{value:?}");
        }
    }

    #[test]
    fn a_missing_value_says_why() {
        let system = ScopeValues { settings: "system/settings".to_owned(), ..Default::default() };
        let table = [
            (Vec::new(), "system", ReadError::NotReady),
            (vec![system.clone()], "system", ReadError::NotFound),
            (vec![system], "instances/demo", ReadError::ScopeNotWatched),
        ];
        for (scopes, name, error) in table {
            let scope = Scope::new(shown(scopes), name.to_owned());
            assert_eq!((scope.value("key"), scope.boolean("key")), (Err(error), Err(error)), "{name}");
        }
    }
}
