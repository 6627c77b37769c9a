//! The names of resources (AIP-122): of settings and of definitions, as text and as scopes.
//!
//! In an id, `/` is written `%2F` and `%` is written `%25`, because a slash ends an id within a name.

use feature_core::{IdError, InstanceId, KeyError, OrganizationId, OwnKey, Scope, UserId};

/// Stands for the instance of the call.
const CURRENT: &str = "current";

/// Why a text is not the name of a resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It has another form.
    #[error("must have the form {0}")]
    Form(&'static str),
    /// An id within it is malformed.
    #[error("has an id that {0}")]
    Id(#[from] IdError),
    /// The key within it is malformed.
    #[error("has a key that {0}")]
    Key(#[from] KeyError),
    /// An id has a percent sign that begins no escape.
    #[error("has an id with a % that begins no escape: write % as %25, and / as %2F")]
    Escape,
}

/// The instance in a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceName {
    /// The instance of the call.
    Current,
    /// This one.
    Id(InstanceId),
}

/// The name of settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingsName {
    /// Those of the system.
    System,
    /// Those of an instance.
    Instance(InstanceName),
    /// Those of an organization of an instance.
    Organization(InstanceName, OrganizationId),
    /// Those of a user of an instance.
    User(InstanceName, UserId),
}

/// The name of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionName {
    /// Who defines the feature; `None` for the system.
    pub owner: Option<InstanceName>,
    /// The key, as the name spells it.
    pub key: OwnKey,
}

impl InstanceName {
    fn new(text: &str) -> Result<Self, NameError> {
        Ok(if text == CURRENT { Self::Current } else { Self::Id(InstanceId::new(&unescape(text)?)?) })
    }
}

impl SettingsName {
    /// Reads a name.
    ///
    /// # Errors
    /// [`NameError`].
    pub fn new(text: &str) -> Result<Self, NameError> {
        let form = NameError::Form(
            "system/settings, instances/INSTANCE/settings, \
             instances/INSTANCE/organizations/ORGANIZATION/settings or instances/INSTANCE/users/USER/settings",
        );
        let scope = text.strip_suffix("/settings").ok_or(form.clone())?;
        Self::of_scope(scope)?.ok_or(form)
    }

    /// Reads the name of a scope as the parent of its changes; `None` for an empty text, which stands for everything.
    ///
    /// # Errors
    /// [`NameError`].
    pub fn of_changes(text: &str) -> Result<Option<Self>, NameError> {
        if text.is_empty() {
            return Ok(None);
        }
        let scope = Self::of_scope(text)?.filter(|scope| *scope != Self::System);
        scope.map(Some).ok_or(NameError::Form(
            "instances/INSTANCE, instances/INSTANCE/organizations/ORGANIZATION or instances/INSTANCE/users/USER, \
             or be empty for everything",
        ))
    }

    fn of_scope(text: &str) -> Result<Option<Self>, NameError> {
        let parts: Vec<_> = text.splitn(5, '/').collect();
        Ok(match parts[..] {
            ["system"] => Some(Self::System),
            ["instances", instance] => Some(Self::Instance(InstanceName::new(instance)?)),
            ["instances", instance, "organizations", id] => {
                Some(Self::Organization(InstanceName::new(instance)?, OrganizationId::new(&unescape(id)?)?))
            }
            ["instances", instance, "users", id] => {
                Some(Self::User(InstanceName::new(instance)?, UserId::new(&unescape(id)?)?))
            }
            _ => None,
        })
    }
}

impl DefinitionName {
    /// Reads a name.
    ///
    /// # Errors
    /// [`NameError`].
    pub fn new(text: &str) -> Result<Self, NameError> {
        let parts: Vec<_> = text.splitn(5, '/').collect();
        let (owner, key) = match parts[..] {
            ["features", key] => (None, key),
            ["instances", instance, "features", key] => (Some(InstanceName::new(instance)?), key),
            _ => return Err(NameError::Form("features/KEY or instances/INSTANCE/features/KEY")),
        };
        Ok(Self { owner, key: OwnKey::new(key)? })
    }
}

/// Reads the name of who defines features: empty or `system` for the system, `None` then, or of an instance.
///
/// # Errors
/// [`NameError`].
pub fn parent(text: &str) -> Result<Option<InstanceName>, NameError> {
    match text.split_once('/') {
        None if text.is_empty() || text == "system" => Ok(None),
        Some(("instances", instance)) if !instance.contains('/') => InstanceName::new(instance).map(Some),
        _ => Err(NameError::Form("instances/INSTANCE, or be empty for the system")),
    }
}

/// The name of the settings of a scope; `None` for a definition, which has none.
pub fn of_settings(scope: &Scope) -> Option<String> {
    Some(match scope {
        Scope::System => "system/settings".to_owned(),
        Scope::Instance(instance) => format!("instances/{}/settings", escape(instance.as_str())),
        Scope::Organization(instance, id) => {
            format!("instances/{}/organizations/{}/settings", escape(instance.as_str()), escape(id.as_str()))
        }
        Scope::User(instance, id) => {
            format!("instances/{}/users/{}/settings", escape(instance.as_str()), escape(id.as_str()))
        }
        Scope::Definition(..) => return None,
    })
}

/// The revision of the change with this name.
///
/// # Errors
/// [`NameError`].
pub fn revision_of_change(text: &str) -> Result<u64, NameError> {
    let digits = text.strip_prefix("changes/").filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or(NameError::Form("changes/REVISION"))
}

/// The name of a scope: of settings, or of a definition.
pub fn of_scope(scope: &Scope) -> String {
    match scope {
        Scope::Definition(owner, key) => of_definition(owner.as_ref(), key.key().as_str()),
        settings => of_settings(settings).unwrap_or_default(),
    }
}

/// The name of the definition of a feature by an instance, or by the system.
pub fn of_definition(owner: Option<&InstanceId>, key: &str) -> String {
    match owner {
        None => format!("features/{key}"),
        Some(instance) => format!("instances/{}/features/{key}", escape(instance.as_str())),
    }
}

fn escape(id: &str) -> String {
    id.replace('%', "%25").replace('/', "%2F")
}

fn unescape(text: &str) -> Result<String, NameError> {
    let (mut id, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once('%') {
        let code = after.get(..2).ok_or(NameError::Escape)?;
        id.push_str(before);
        id.push(match code {
            "25" => '%',
            "2F" | "2f" => '/',
            _ => return Err(NameError::Escape),
        });
        rest = &after[2..];
    }
    id.push_str(rest);
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_settings_is_a_scope_and_comes_back() {
        let instance = || InstanceId::new("a/b%").unwrap();
        let table = [
            // (name, scope)
            ("system/settings", Scope::System),
            ("instances/a%2Fb%25/settings", Scope::Instance(instance())),
            (
                "instances/a%2Fb%25/organizations/ü x/settings",
                Scope::Organization(instance(), OrganizationId::new("ü x").unwrap()),
            ),
            ("instances/a%2Fb%25/users/u:1/settings", Scope::User(instance(), UserId::new("u:1").unwrap())),
        ];
        for (text, scope) in table {
            assert_eq!(of_settings(&scope).unwrap(), text);
            let id = |instance| match instance {
                InstanceName::Id(id) => id,
                InstanceName::Current => panic!("{text}"),
            };
            let read = match SettingsName::new(text).unwrap() {
                SettingsName::System => Scope::System,
                SettingsName::Instance(instance) => Scope::Instance(id(instance)),
                SettingsName::Organization(instance, organization) => Scope::Organization(id(instance), organization),
                SettingsName::User(instance, user) => Scope::User(id(instance), user),
            };
            assert_eq!(read, scope);
        }
        assert_eq!(SettingsName::new("instances/current/settings"), Ok(SettingsName::Instance(InstanceName::Current)),);
        let changes = SettingsName::of_changes("instances/current");
        assert_eq!(changes, Ok(Some(SettingsName::Instance(InstanceName::Current))));
        assert_eq!(SettingsName::of_changes(""), Ok(None));
        for text in ["system", "instances/a/settings", "instances", "instances/a/users/b/c"] {
            assert!(matches!(SettingsName::of_changes(text), Err(NameError::Form(_))), "{text}");
        }
        assert_eq!(revision_of_change("changes/12"), Ok(12));
        for text in ["12", "changes/", "changes/+1", "changes/99999999999999999999"] {
            assert!(revision_of_change(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_malformed_name_is_refused_with_what_is_wrong() {
        let table = [
            // (name, what is said)
            ("", "must have the form system/settings, "),
            ("system", "must have the form"),
            ("system/settings/", "must have the form"),
            ("instances/a", "must have the form"),
            ("instances//settings", "has an id that must not be empty"),
            ("instances/a/users/b", "must have the form"),
            ("instances/a/users/b/c/settings", "must have the form"),
            ("instances/a%/settings", "has an id with a % that begins no escape"),
            ("instances/a%2/settings", "has an id with a % that begins no escape"),
            ("instances/a%ü/settings", "has an id with a % that begins no escape"),
            ("instances/a\n/settings", "has an id that holds a control character"),
        ];
        for (text, says) in table {
            let error = SettingsName::new(text).unwrap_err().to_string();
            assert!(error.starts_with(says), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_definition_is_the_system_s_or_an_instance_s() {
        let read = |text| DefinitionName::new(text).map(|name| (name.owner, name.key.to_string()));
        let demo = || InstanceName::Id(InstanceId::new("demo").unwrap());
        assert_eq!(read("features/a.B-c_1"), Ok((None, "a.B-c_1".to_owned())));
        assert_eq!(read("instances/demo/features/a"), Ok((Some(demo()), "a".to_owned())));
        assert_eq!(read("instances/current/features/a"), Ok((Some(InstanceName::Current), "a".to_owned())));
        for text in ["features", "features/a/b", "system/features/a", "instances/demo/features"] {
            assert!(matches!(read(text), Err(NameError::Form(_))), "{text}");
        }
        assert!(matches!(read("features/1"), Err(NameError::Key(KeyError::Start))));
        assert_eq!((parent(""), parent("system"), parent("instances/demo")), (Ok(None), Ok(None), Ok(Some(demo()))));
        assert!(parent("instances/demo/x").is_err() && parent("organizations/a").is_err());
        assert_eq!(of_definition(None, "a"), "features/a");
        assert_eq!(of_definition(InstanceId::new("a/b").ok().as_ref(), "a"), "instances/a%2Fb/features/a");
    }
}
