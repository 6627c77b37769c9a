//! What requests of `feature.v1` have in common: names of resources, moments in the history, and pages.

pub(super) mod moment;
pub(super) mod page_token;
pub(super) mod resource;
