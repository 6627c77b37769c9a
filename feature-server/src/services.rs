//! The gRPC services: features, health and reflection.

pub mod codec;
pub mod feature_service;
pub mod grpc;
pub mod health;
pub mod reflection;
