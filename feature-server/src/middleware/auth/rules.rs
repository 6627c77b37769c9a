//! The rules of the methods, as the options in their protos say.

use feature_api::schema::{Access, Exemption as MethodExemption, Method, Schema};
use feature_auth::access::{Exemption, Rule, Rules};

use crate::services::PUBLIC_SERVICES;

/// The rules of all methods in `schema`, and the public services.
pub fn of_schema(schema: &Schema) -> Rules {
    Rules::new(schema.methods().map(|method| (method.path.clone(), of_method(method))), &PUBLIC_SERVICES)
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
