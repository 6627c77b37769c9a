//! The gRPC services: features, their settings, definitions and history, health and reflection.

use std::future::Future;
use std::pin::Pin;

/// The largest request of a service that may need no credential, in bytes: such a request is hardly more than a name.
pub const PUBLIC_MESSAGE_BYTES: usize = 16 * 1024;

/// The feature service.
pub const FEATURES: &str = "zitadel.feature.v2.FeatureService";

/// The service of settings.
pub const SETTINGS: &str = "feature.v1.SettingsService";

/// The service of definitions.
pub const DEFINITIONS: &str = "feature.v1.DefinitionService";

/// The service of the history.
pub const HISTORY: &str = "feature.v1.HistoryService";

/// The service of watches.
pub const WATCH: &str = "feature.v1.WatchService";

/// The health service. It needs no credential: load balancers have none.
pub const HEALTH: &str = "grpc.health.v1.Health";

/// Server reflection. It shows only the protos, which are public; a setting says who may use it.
pub const REFLECTION: [&str; 2] = ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

/// The future of an answer.
type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

pub mod backend;
pub mod catalogue;
pub mod consistency;
pub mod definitions;
pub mod descriptors;
pub mod feature;
pub mod grpc;
pub mod health;
pub mod history;
pub mod reflection;
mod request;
pub mod response_cache;
pub mod settings;
#[cfg(test)]
pub(crate) mod testing;
pub mod watch;
