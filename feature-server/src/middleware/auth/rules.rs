//! The rules of the methods, as the options in their protos say.

use feature_api::schema::{Access, Exemption as MethodExemption, Method, Schema};
use feature_auth::access::{AccessRules, Exemption, Rule};

use crate::config::settings::{Reflection, Server};
use crate::services::{HEALTH, REFLECTION};

/// The rules of all methods in `schema`, of health and of reflection. The protos of the latter two cannot carry this
/// project's options.
pub fn of(schema: &Schema, settings: &Server) -> AccessRules {
    let methods = schema.methods().map(|method| (method.path.clone(), of_method(method)));
    let reflection = REFLECTION.map(|service| (format!("/{service}/ServerReflectionInfo"), authenticated()));
    let reflection = reflection.into_iter().filter(|_| settings.reflection != Reflection::Off);
    let is_public = |service: &&str| *service == HEALTH || settings.has_public_reflection();
    let public = [HEALTH, REFLECTION[0], REFLECTION[1]].into_iter().filter(is_public);
    AccessRules::new(methods.chain(reflection), public)
}

/// The rule of a method that every valid credential may call.
fn authenticated() -> Option<Rule> {
    Some(Rule::new(None, None, None))
}

/// The rule of a method; `None` if its proto says nothing about access.
fn of_method(method: &Method) -> Option<Rule> {
    method.access.as_ref().map(|access| rule(access, method))
}

/// The rule of a method with this access.
pub(crate) fn rule(access: &Access, method: &Method) -> Rule {
    let (permission, exemption) = match access {
        Access::Authenticated => (None, None),
        Access::Permission { name, exception } => (Some(name.clone()), *exception),
    };
    let exemption = exemption.map(|exemption| match exemption {
        MethodExemption::Member => Exemption::Member,
        MethodExemption::SelfAccess => Exemption::SelfAccess,
    });
    Rule::new(permission, exemption, method.level())
}

#[cfg(test)]
mod tests;
