//! The stored form of a scope: a letter for the level, then its ids, separated by NUL.
//!
//! Ids have no control characters, so the form is unambiguous. All scopes of one level of one instance stand together,
//! and so do its definitions.

use feature_core::{InstanceId, Level, OrganizationId, OwnKey, Scope, UserId};

use crate::store::selection::Selection;

const SEPARATOR: char = '\0';

/// The stored form of a scope.
pub(crate) fn encode(scope: &Scope) -> Vec<u8> {
    match scope {
        Scope::System => "s".to_owned(),
        Scope::Instance(instance) => format!("i{instance}"),
        Scope::Organization(instance, organization) => format!("o{instance}{SEPARATOR}{organization}"),
        Scope::User(instance, user) => format!("u{instance}{SEPARATOR}{user}"),
        Scope::Definition(None, key) => format!("d{SEPARATOR}{key}"),
        Scope::Definition(Some(instance), key) => format!("d{instance}{SEPARATOR}{key}"),
    }
    .into_bytes()
}

/// The beginning of the stored forms of all scopes that a selection covers, and perhaps of other ones.
pub(crate) fn prefix(selection: Selection<'_>) -> Vec<u8> {
    match selection {
        Selection::DefinitionsOf(owner) => format!("d{}{SEPARATOR}", owner.map_or("", InstanceId::as_str)),
        Selection::DefinitionsNamed(_) | Selection::DefinitionsWith(_) => "d".to_owned(),
        Selection::Settings { level, instance, .. } => {
            let letter = match level {
                Level::System => 's',
                Level::Instance => 'i',
                Level::Organization => 'o',
                Level::User => 'u',
            };
            match instance {
                Some(instance) if level > Level::Instance => format!("{letter}{instance}{SEPARATOR}"),
                instance => format!("{letter}{}", instance.map_or("", InstanceId::as_str)),
            }
        }
    }
    .into_bytes()
}

/// The key of the definition whose scope has this stored form; `None` for the scope of settings.
pub(crate) fn key_of_definition(key: &[u8]) -> Option<&str> {
    let definition = str::from_utf8(key).ok()?.strip_prefix('d')?;
    definition.split_once(SEPARATOR).map(|(_, key)| key)
}

/// The scope with this stored form; `None` when this version writes no such form.
pub(crate) fn decode(key: &[u8]) -> Option<Scope> {
    let key = str::from_utf8(key).ok()?;
    let level = key.chars().next()?;
    let ids = key.get(1..)?;
    let (instance, id) = ids.split_once(SEPARATOR).unwrap_or((ids, ""));
    Some(match level {
        's' if ids.is_empty() => Scope::System,
        'i' => Scope::Instance(InstanceId::new(ids).ok()?),
        'o' => Scope::Organization(InstanceId::new(instance).ok()?, OrganizationId::new(id).ok()?),
        'u' => Scope::User(InstanceId::new(instance).ok()?, UserId::new(id).ok()?),
        'd' if instance.is_empty() => Scope::Definition(None, OwnKey::new(id).ok()?),
        'd' => Scope::Definition(Some(InstanceId::new(instance).ok()?), OwnKey::new(id).ok()?),
        _ => return None,
    })
}

/// The scope in words, for the text of an error.
pub(crate) fn describe(scope: &Scope) -> String {
    match scope {
        Scope::System => "the system".to_owned(),
        Scope::Instance(instance) => format!("instance {instance}"),
        Scope::Organization(instance, organization) => format!("organization {organization} of instance {instance}"),
        Scope::User(instance, user) => format!("user {user} of instance {instance}"),
        Scope::Definition(None, key) => format!("the system's definition of {key}"),
        Scope::Definition(Some(instance), key) => format!("the definition of {key} in instance {instance}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_has_its_own_key_and_comes_back() {
        let instance = |id| InstanceId::new(id).unwrap();
        let scopes = [
            Scope::System,
            Scope::Instance(instance("a")),
            Scope::Instance(instance("ab")),
            Scope::Organization(instance("a"), OrganizationId::new("b").unwrap()),
            Scope::Organization(instance("ab"), OrganizationId::new("ü").unwrap()),
            Scope::User(instance("a"), UserId::new("b").unwrap()),
            Scope::User(instance("a b"), UserId::new("u:b/c").unwrap()),
            Scope::Definition(None, OwnKey::new("b").unwrap()),
            Scope::Definition(Some(instance("a")), OwnKey::new("b").unwrap()),
        ];
        let keys: Vec<_> = scopes.iter().map(encode).collect();
        let decoded: Vec<_> = keys.iter().map(|key| decode(key).unwrap()).collect();
        assert_eq!(decoded, scopes);
        for unknown in ["", "x", "sx", "i", "oa", "oa\0", "ua\0b\0c", "db", "d\0", "d\0\0b", "da\0b c"] {
            assert_eq!(decode(unknown.as_bytes()), None, "{unknown:?}");
        }
    }
}
