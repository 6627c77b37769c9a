//! `zitadel.feature.v2.FeatureService`: all twelve methods, told apart by what their options say.
//!
//! A method is an operation on a level, so there is code for three operations and none for a method or a feature.

use std::sync::Arc;

use feature_api::request::Request;
use feature_api::response;
use feature_api::schema::{Method, Operation, Schema};
use feature_auth::access::{Caller, UserAccess};
use feature_core::{
    Details, Level, Operation as WriteOperation, OrganizationId, Placement, Rejection, Scope, Write, resolve,
};
use feature_store::{CommitError, Committer, Readers};

use crate::call_context::CallContext;
use crate::error::Failure;
use crate::services::frame::Frame;

mod get;
mod response_cache;

use get::Found;
pub use response_cache::Answers;
use response_cache::{Basis, Question};

/// The service: reads through the readers of the store, writes through its committer. It never waits for a disk.
#[derive(Clone)]
pub struct FeatureService {
    schema: Arc<Schema>,
    readers: Arc<Readers>,
    committer: Arc<Committer>,
    answers: Answers,
}

/// The resource that a call is about, which the caller has been found to have a right on.
enum Resource {
    /// A resource of any level but the user's.
    Plain(Scope),
    /// A user, with what the caller may do about the user's organization.
    User(UserAccess),
}

impl FeatureService {
    /// A service of the methods in `schema`. `readers`, `committer` and `answers` must be those of one store.
    pub fn new(schema: Arc<Schema>, readers: Arc<Readers>, committer: Arc<Committer>, answers: Answers) -> Self {
        Self { schema, readers, committer, answers }
    }

    /// The method at this path, when it is one of this service.
    pub fn method(&self, path: &str) -> Option<&Method> {
        self.schema.method(path)
    }

    /// Answers one call.
    ///
    /// * `method`: the method called.
    /// * `caller`: who calls, with a right to call the method at all.
    /// * `request_id`: goes into the history with a write, and into the log with what goes wrong.
    /// * `message`: the encoded request.
    ///
    /// # Errors
    /// Any [`Failure`] of the wire contract.
    pub async fn call(
        &self,
        method: &Method,
        caller: &Caller,
        context: &CallContext,
        message: &[u8],
    ) -> Result<Frame, Failure> {
        let (operation, level) = method.operation.ok_or(Failure::Internal)?;
        let question = Question { level, caller, message };
        if operation == Operation::Get
            && let Some(answer) = self.answers.find(&question)
        {
            return Ok(answer);
        }
        // Boxed, because most calls end before it: every call takes the room of its largest part.
        Box::pin(self.carry_out(method, operation, &question, context)).await
    }

    /// Answers a call whose answer is not there yet.
    async fn carry_out(
        &self,
        method: &Method,
        operation: Operation,
        question: &Question<'_>,
        context: &CallContext,
    ) -> Result<Frame, Failure> {
        let Question { level, caller, message } = *question;
        // The right on the resource comes before the rest, which costs more to decode than the id.
        let resource = resource(caller, level, &Request::resource_id(&method.request, level, message)?)?;
        let request = Request::decode(&method.request, message)?;
        let operation = match operation {
            Operation::Get => return self.get(method, resource, &request, question, context).await,
            Operation::Set => WriteOperation::Set(request.patch(self.schema.level(level))?),
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
        context: &CallContext,
    ) -> Result<Frame, Failure> {
        let features = self.schema.level(resource.scope().level());
        let (inheritance, answers, context) = (request.inheritance(), self.answers.clone(), context.clone());
        let read = self.readers.read(move |_| {
            let mut basis = Basis::default();
            let record = |scope: &Scope| answers.read(scope, &mut basis);
            let found = context.in_span(|| Found::find(&resource, inheritance, record));
            found.map(|found| (found, basis))
        });
        let (Found { details, layers, every_feature }, basis) = read.await??;
        let resolved = resolve(layers.iter().map(|(level, layer)| (*level, layer)));
        let answer = response::features(&method.response, features, &details, &resolved, every_feature);
        let frame = Frame::of(&answer);
        self.answers.keep(question, &frame, basis);
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
        let placement = match resource {
            Resource::Plain(_) => Placement::Keep,
            Resource::User(access) => access.placement()?,
        };
        let write = Write {
            scope: resource.scope().clone(),
            operation,
            expected_sequence: request.expected_sequence(),
            placement: placement.clone(),
            validate_only: request.validate_only(),
            actor: caller.subject().to_owned(),
            request_id: context.request_id().to_owned(),
        };
        let details = self.committer.commit(write).await;
        let details = details.map_err(|error| context.in_span(|| refused(caller, error)))?;
        Ok(details.owned_by(resource.owner(placement.organization())))
    }
}

impl Resource {
    fn scope(&self) -> &Scope {
        match self {
            Resource::Plain(scope) => scope,
            Resource::User(access) => &access.scope,
        }
    }

    /// The organization that the answer names as the owner, whatever is recorded.
    fn owner<'o>(&self, organization: Option<&'o OrganizationId>) -> Option<&'o OrganizationId> {
        match self {
            Resource::Plain(_) => None,
            Resource::User(access) => access.owner(organization),
        }
    }
}

fn resource(caller: &Caller, level: Level, id: &str) -> Result<Resource, Failure> {
    Ok(match level {
        Level::System => Resource::Plain(caller.system()?),
        Level::Instance => Resource::Plain(caller.instance()?),
        Level::Organization => Resource::Plain(caller.organization(id)?),
        Level::User => Resource::User(caller.user(id)?),
    })
}

fn refused(caller: &Caller, error: CommitError) -> Failure {
    match error {
        CommitError::Rejected(rejection @ Rejection::SequenceMismatch { .. }) => Failure::SequenceMismatch(rejection),
        CommitError::Rejected(Rejection::OtherOrganization) => {
            caller.missing("the user belongs to another organization").into()
        }
        CommitError::QueueFull => Failure::Overloaded,
        CommitError::Store(error) => error.into(),
        // Whether it was closed or has ended by a defect: nobody can write here any more.
        CommitError::Closed => Failure::StoreUnavailable,
    }
}

#[cfg(test)]
mod tests;
