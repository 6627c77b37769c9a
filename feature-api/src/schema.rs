//! The schema: the methods, the rights to call them, and the features of each level, as the descriptors declare them.
//!
//! The server reads it once at start. An inconsistency is an error that names the place in the protos.

pub mod features;
pub mod method;

use std::collections::{BTreeMap, HashMap};

use feature_core::Level;
use prost_reflect::DescriptorPool;

pub use self::features::LevelFeatures;
pub use self::method::{Access, Exemption, Method, Operation};

/// Why the descriptors do not form a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct SchemaError {
    /// The full name of the method, message or field.
    pub place: String,
    /// What is wrong with it.
    pub problem: String,
}

impl SchemaError {
    pub(crate) fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }
}

/// The methods and features that the descriptors declare.
#[derive(Debug, Clone)]
pub struct Schema {
    pool: DescriptorPool,
    methods: HashMap<String, Method>,
    levels: BTreeMap<Level, LevelFeatures>,
}

impl Schema {
    /// Reads the descriptors.
    ///
    /// # Errors
    /// [`SchemaError`] when the options of a method are incomplete, or the messages of a level don't match each other.
    pub fn new(pool: DescriptorPool) -> Result<Self, SchemaError> {
        let mut methods = HashMap::new();
        for descriptor in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
            let method = Method::new(&pool, descriptor)?;
            methods.insert(method.path.clone(), method);
        }
        let mut levels = BTreeMap::new();
        for level in Level::ALL {
            let message = |operation| {
                let method = methods.values().find(|method| method.operation == Some((operation, level)));
                method
                    .ok_or_else(|| SchemaError::new(level.name(), format!("no method has the operation {operation:?}")))
            };
            let (set, get) = (message(Operation::Set)?, message(Operation::Get)?);
            message(Operation::Reset)?;
            levels.insert(level, LevelFeatures::new(level, &set.request, &get.response)?);
        }
        Ok(Self { pool, methods, levels })
    }

    /// The descriptors.
    pub fn pool(&self) -> &DescriptorPool {
        &self.pool
    }

    /// The method at this path, such as `/zitadel.feature.v2.FeatureService/GetSystemFeatures`.
    pub fn method(&self, path: &str) -> Option<&Method> {
        self.methods.get(path)
    }

    /// The method of the feature service with this operation on a level.
    pub fn method_of(&self, operation: Operation, level: Level) -> &Method {
        let mut methods = self.methods.values();
        let method = methods.find(|method| method.operation == Some((operation, level)));
        method.expect("new() has found every operation on every level")
    }

    /// All methods of all services.
    pub fn methods(&self) -> impl Iterator<Item = &Method> {
        self.methods.values()
    }

    /// The features of a level.
    pub fn level(&self, level: Level) -> &LevelFeatures {
        self.levels.get(&level).expect("new() has put every level in")
    }
}
