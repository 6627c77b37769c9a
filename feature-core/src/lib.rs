//! The domain of the feature service: levels, scopes, layers, patches, resolution and records.
//!
//! Everything here is a plain value or a pure function, without I/O, a clock, async code or protobuf. Time, revisions
//! and the set of features are arguments; the crate names no feature.

#![forbid(unsafe_code)]

pub mod continuity;
pub mod definition;
pub mod evaluate;
pub mod event;
pub mod feature;
pub mod id;
pub mod layer;
pub mod patch;
pub mod record;
pub mod resolve;
pub mod scope;
pub mod time;
pub mod value;
pub mod write;

pub use continuity::{Discontinuity, check_continuity};
pub use definition::{Constraints, Definition, DefinitionError, State, ValueType, Violation, Visibility};
pub use evaluate::{Evaluation, LevelOutcome, evaluate};
pub use event::erasure::Erasure;
pub use event::{Credential, Event, EventKind, FeatureChange};
pub use feature::{FeatureKey, FeatureSet, KeyError, Kind, OwnKey, Presence};
pub use id::{IdError, InstanceId, OrganizationId, UserId};
pub use layer::Layer;
pub use patch::{Patch, PatchError};
pub use record::idempotency::{Completed, IdempotencyKey};
pub use record::{Details, Record};
pub use resolve::{Resolved, resolve};
pub use scope::{Level, Scope};
pub use time::Timestamp;
pub use value::{Double, Value};
pub use write::{Operation, Placement, Rejection, Requirement, Write, decide};
