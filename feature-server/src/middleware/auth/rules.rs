//! The rules of the methods, as the options in their protos say.

use std::sync::Arc;

use feature_api::schema::{Access, Exemption as MethodExemption, Method, Operation, Schema};
use feature_auth::access::{AccessRules, Exemption, LevelRules, MethodRules, Rule};
use feature_core::Level;

use crate::config::settings::{Reflection, Server};
use crate::services::{HEALTH, REFLECTION};

/// The rules of all methods in `schema`, of health and of reflection. The protos of the latter two cannot carry this
/// project's options.
pub fn of(schema: &Schema, settings: &Server) -> AccessRules {
    let methods = schema.methods().map(|method| (method.path.clone(), of_method(schema, method)));
    let reflection = REFLECTION.map(|service| (format!("/{service}/ServerReflectionInfo"), authenticated()));
    let reflection = reflection.into_iter().filter(|_| settings.reflection != Reflection::Off);
    let is_public = |service: &&str| *service == HEALTH || settings.has_public_reflection();
    let public = [HEALTH, REFLECTION[0], REFLECTION[1]].into_iter().filter(is_public);
    AccessRules::new(methods.chain(reflection), public)
}

/// The rule of a method that every valid credential may call.
fn authenticated() -> Option<MethodRules> {
    Some(MethodRules::One(Arc::new(Rule::new(None, None, None))))
}

/// The rules of a method; `None` if its proto says nothing about access.
fn of_method(schema: &Schema, method: &Method) -> Option<MethodRules> {
    let access = method.access.as_ref()?;
    Some(match (access, &method.name_field) {
        (Access::SameAs(operation), _) => {
            MethodRules::ByLevel(Arc::new(LevelRules::new(|level| same_as(schema, *operation, level))))
        }
        (access, Some(_)) => MethodRules::ByLevel(Arc::new(LevelRules::new(|level| rule(access, Some(level))))),
        (access, None) => MethodRules::One(Arc::new(rule(access, method.level()))),
    })
}

/// The rule of the feature service's method with this operation on a level.
pub(crate) fn same_as(schema: &Schema, operation: Operation, level: Level) -> Rule {
    let method = schema.method_of(operation, level);
    let access = method.access.as_ref().expect("the contract test knows the access of every method");
    rule(access, Some(level))
}

/// The rule of a method of this level with this access of its own.
pub(crate) fn rule(access: &Access, level: Option<Level>) -> Rule {
    let (permission, exemption) = match access {
        Access::Authenticated => (None, None),
        Access::Permission { name, exception } => (Some(name.clone()), *exception),
        Access::SameAs(_) => unreachable!("the method with the same access has an access of its own"),
    };
    let exemption = exemption.map(|exemption| match exemption {
        MethodExemption::Member => Exemption::Member,
        MethodExemption::SelfAccess => Exemption::SelfAccess,
        MethodExemption::Anywhere => Exemption::Anywhere,
    });
    Rule::new(permission, exemption, level)
}

#[cfg(test)]
mod tests;
