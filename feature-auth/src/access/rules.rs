//! The rules of all methods. A method without one is closed.

use std::collections::HashMap;
use std::sync::Arc;

use super::{LevelRules, Rule};
use crate::error::AuthError;

/// The rule of a method, or its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MethodRules {
    /// A method of one level, or of none.
    One(Arc<Rule>),
    /// A method whose request names the resource.
    ByLevel(Arc<LevelRules>),
}

/// The rules of all methods, by path.
#[derive(Debug, Clone)]
pub struct AccessRules {
    by_path: HashMap<String, Option<MethodRules>>,
    public_services: Vec<&'static str>,
}

impl AccessRules {
    /// The rules of all methods.
    ///
    /// * `rules`: the path of each method, such as `/package.Service/Method`, and its rule. A method without a rule is
    ///   closed.
    /// * `public_services`: the full names of the services that need no credential.
    pub fn new(
        rules: impl IntoIterator<Item = (String, Option<MethodRules>)>,
        public_services: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        Self { by_path: rules.into_iter().collect(), public_services: public_services.into_iter().collect() }
    }

    /// The rule of the method at this path; `None` if it is public.
    ///
    /// # Errors
    /// [`AuthError::MethodUnknown`] and [`AuthError::MethodWithoutAccess`]: a path without a rule is closed.
    pub fn find(&self, path: &str) -> Result<Option<MethodRules>, AuthError> {
        let service = path.strip_prefix('/').and_then(|path| path.split_once('/')).map(|(service, _)| service);
        if service.is_some_and(|service| self.public_services.contains(&service)) {
            return Ok(None);
        }
        match self.by_path.get(path) {
            Some(Some(rules)) => Ok(Some(rules.clone())),
            Some(None) => Err(AuthError::MethodWithoutAccess(path.to_owned())),
            None => Err(AuthError::MethodUnknown(path.to_owned())),
        }
    }
}
