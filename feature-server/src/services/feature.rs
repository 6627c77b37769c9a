//! `zitadel.feature.v2.FeatureService`: all twelve methods, from the options of their descriptors.
//!
//! A method is an operation on a level, so there is code for three operations, and none for a single method or feature.

use std::sync::Arc;
use std::time::{Duration, Instant};

use feature_api::request::Request;
use feature_api::response;
use feature_api::schema::{Method, Operation};
use feature_auth::access::Caller;
use feature_core::{Details, Level, Operation as WriteOperation, Rejection, Scope, Write, resolve};
use feature_store::{CommitError, Committed, GroupCommit};
use http::{Extensions, HeaderMap, HeaderValue};

use crate::call_context::CallContext;
use crate::error::Failure;
use crate::services::backend::Backend;
use crate::services::request::resource::Resource;
use crate::services::response_cache::{Asked, Basis, Frame, Question};
use crate::telemetry::traces::ChildSpan;

mod get;

use get::Found;

/// The service. It reads through the store's readers and writes through its committer, and never waits for a disk.
#[derive(Clone)]
pub struct FeatureService {
    backend: Arc<Backend>,
}

/// The answer to a call.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The message.
    pub frame: Frame,
    /// The value of the metadata [`REVISION`](crate::services::consistency::REVISION), in a fleet.
    pub revision: Option<HeaderValue>,
}

impl FeatureService {
    /// The service of this store.
    pub fn new(backend: Arc<Backend>) -> Self {
        Self { backend }
    }

    /// Answers one call.
    ///
    /// * `method`: the method called.
    /// * `caller`: has the right to call the method; the right on the resource is checked here.
    /// * `context`: its request id is recorded in the history of a write.
    /// * `metadata`: of the request.
    /// * `extensions`: of the request, with its deadline.
    /// * `message`: the encoded request.
    ///
    /// # Errors
    /// Any [`Failure`] of the wire contract.
    pub async fn call(
        &self,
        method: &Method,
        caller: &Caller,
        context: &CallContext,
        (metadata, extensions): (&HeaderMap, &Extensions),
        message: &[u8],
    ) -> Result<Reply, Failure> {
        let (operation, level) = method.operation.ok_or(Failure::Internal)?;
        let question = Question { asked: Asked::Features(level, caller), message };
        let mut revision = None;
        if operation == Operation::Get {
            if let Some(consistency) = &self.backend.consistency {
                if consistency.must_wait(metadata)? {
                    Box::pin(consistency.reach(metadata, extensions)).await?;
                }
                // Before the read, so that the answer has all of it.
                revision = Some(consistency.revision());
            }
            if let Some(frame) = self.backend.answers.find(&question) {
                context.counters().answered(true);
                return Ok(Reply { frame, revision });
            }
        }
        // Boxed, because most calls end before it, and every future is as large as its largest part.
        let frame = Box::pin(self.carry_out(method, (operation, level), caller, &question, context)).await?;
        let revision = revision.or_else(|| self.backend.consistency.as_ref().map(|consistency| consistency.revision()));
        Ok(Reply { frame, revision })
    }

    /// Answers a call that the cache cannot answer.
    async fn carry_out(
        &self,
        method: &Method,
        (operation, level): (Operation, Level),
        caller: &Caller,
        question: &Question<'_>,
        context: &CallContext,
    ) -> Result<Frame, Failure> {
        let message = question.message;
        // Checks the right on the resource first: only the id has to be decoded for it.
        let resource = Resource::new(caller, level, &Request::resource_id(&method.request, level, message)?)?;
        let request = Request::decode(&method.request, message)?;
        let operation = match operation {
            Operation::Get => return self.get(method, resource, &request, question, context).await,
            Operation::Set => WriteOperation::Set(request.patch(self.backend.schema.level(level))?),
            Operation::Reset => WriteOperation::Reset,
        };
        let details = self.write(caller, context, &resource, &request, operation).await?;
        Ok(Frame::of(&response::written(&details)))
    }

    async fn get(
        &self,
        method: &Method,
        resource: Resource,
        request: &Request,
        question: &Question<'_>,
        call: &CallContext,
    ) -> Result<Frame, Failure> {
        let features = self.backend.schema.level(resource.scope().level());
        let (inheritance, answers, context) = (request.inheritance(), self.backend.answers.clone(), call.clone());
        let schema = Arc::clone(&self.backend.schema);
        let span = call.trace().map(|trace| trace.child("store read"));
        let read = self.backend.readers.read(move |_| {
            let began = context.trace().map(|_| Instant::now());
            let mut basis = Basis::default();
            let record = |scope: &Scope| answers.read(scope, &mut basis);
            let features = &schema.level(resource.scope().level()).set;
            let found = context.in_span(|| Found::find(&resource, features, inheritance, record));
            (found.map(|found| (found, basis)), began)
        });
        let (found, began) = read.await?;
        if let (Some(mut span), Some(began)) = (span, began) {
            span.set("feature.queue_us", microseconds(began - span.began()));
        }
        let (Found { details, layers, every_feature }, basis) = found?;
        let resolved = resolve(layers.iter().map(|(level, layer)| (*level, layer)));
        let answer = response::features(&method.response, features, &details, &resolved, every_feature);
        let frame = Frame::of(&answer);
        self.backend.answers.keep(question, &frame, basis);
        call.counters().answered(false);
        Ok(frame)
    }

    async fn write(
        &self,
        caller: &Caller,
        context: &CallContext,
        resource: &Resource,
        request: &Request,
        operation: WriteOperation,
    ) -> Result<Details, Failure> {
        let placement = resource.placement()?;
        let write = Write {
            scope: resource.scope().clone(),
            operation,
            expected_sequence: request.expected_sequence(),
            placement: placement.clone(),
            validate_only: request.validate_only(),
            actor: caller.subject().to_owned(),
            credential: Some(caller.principal().credential()),
            request_id: context.request_id().to_owned(),
            comment: String::new(),
            requires: Vec::new(),
            idempotency_key: None,
        };
        let span = context.trace().map(|trace| trace.child("group commit"));
        let committed = self.backend.committer.commit(write).await;
        let Committed { details, group } = committed.map_err(|error| context.in_span(|| refused(caller, error)))?;
        if let Some(span) = span {
            trace_group(span, &group);
        }
        Ok(details.owned_by(resource.owner(placement.organization())))
    }
}

/// Ends the span of a write with its group's commit.
fn trace_group(mut span: ChildSpan<'_>, group: &GroupCommit) {
    span.set("feature.group_writes", group.writes as i64);
    span.set("feature.revision", group.revision as i64);
    if let Some(append) = group.append {
        span.set("feature.queue_us", microseconds(append.0.saturating_duration_since(span.began())));
        span.add_child("sync", append);
    }
}

fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn refused(caller: &Caller, error: CommitError) -> Failure {
    match error {
        CommitError::Rejected { rejection: rejection @ Rejection::SequenceMismatch { .. }, .. } => {
            Failure::SequenceMismatch(rejection)
        }
        CommitError::Rejected { rejection: Rejection::OtherOrganization, .. } => {
            caller.missing("the user belongs to another organization").into()
        }
        error => error.into(),
    }
}

#[cfg(test)]
mod tests;
