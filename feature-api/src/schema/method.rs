//! What the descriptors declare about a method: the right to call it, and its operation on a level.

use feature_core::Level;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};

use super::SchemaError;
use crate::feature::v1;

/// The option that carries a [`v1::Method`].
const METHOD_OPTION: &str = "feature.v1.method";

/// One method of one service.
#[derive(Debug, Clone)]
pub struct Method {
    /// The path of the method in gRPC: `/package.Service/Method`.
    pub path: String,
    /// Who may call the method. `None` when the protos do not say: then every call is refused.
    pub access: Option<Access>,
    /// For a method of the feature service: its operation and level.
    pub operation: Option<(Operation, Level)>,
    /// For other methods: the field of the request that names the resource, whose level the right is checked on.
    pub name_field: Option<String>,
    /// Its request.
    pub request: MessageDescriptor,
    /// Its response.
    pub response: MessageDescriptor,
}

/// Who may call a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Every caller with a valid credential.
    Authenticated,
    /// Callers with a permission, and callers that the exception includes.
    Permission {
        /// The permission, such as `org.feature.read`.
        name: String,
        /// The callers that do not need the permission.
        exception: Option<Exemption>,
    },
    /// Callers who may call the method of the feature service with this operation, on the level of the resource.
    SameAs(Operation),
}

/// Callers who may call the method on resources of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exemption {
    /// Members of the organization that the request names.
    Member,
    /// The user that the request names.
    SelfAccess,
    /// Callers to whom a role in any organization gives the permission.
    Anywhere,
}

/// The operation of a method on the features of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Sets and unsets single features.
    Set,
    /// Unsets all features.
    Reset,
    /// Reads the features.
    Get,
}

impl Method {
    pub(super) fn new(pool: &DescriptorPool, descriptor: MethodDescriptor) -> Result<Self, SchemaError> {
        let path = format!("/{}/{}", descriptor.parent_service().full_name(), descriptor.name());
        let option = option(pool, &descriptor)?;
        let error = |problem: &str| SchemaError::new(descriptor.full_name(), problem);
        let access = match &option.access {
            Some(access) => Some(Access::new(access).map_err(error)?),
            None => None,
        };
        let operation = operation(&option).map_err(error)?;
        let name_field = Some(option.name_field).filter(|field| !field.is_empty());
        let has_field = |path: &str| field_at(descriptor.input(), path).is_some();
        if name_field.as_deref().is_some_and(|path| operation.is_some() || !has_field(path)) {
            return Err(error("name_field must be a text of the request, and stands beside no operation"));
        }
        if matches!(access, Some(Access::SameAs(_))) && name_field.is_none() {
            return Err(error("same_as needs a name_field"));
        }
        Ok(Self { path, access, operation, name_field, request: descriptor.input(), response: descriptor.output() })
    }

    /// The level of the method, if it is a method of the feature service.
    pub fn level(&self) -> Option<Level> {
        self.operation.map(|(_, level)| level)
    }
}

impl Access {
    fn new(access: &v1::Access) -> Result<Self, &'static str> {
        let exception = match access.exception() {
            v1::Exception::Unspecified => None,
            v1::Exception::Member => Some(Exemption::Member),
            v1::Exception::Self_ => Some(Exemption::SelfAccess),
            v1::Exception::Anywhere => Some(Exemption::Anywhere),
        };
        if let Some(operation) = Operation::new(access.same_as()) {
            let alone = access.permission.is_empty() && !access.authenticated && exception.is_none();
            return if alone { Ok(Access::SameAs(operation)) } else { Err("same_as stands alone in access") };
        }
        match (access.permission.as_str(), access.authenticated, exception) {
            ("", true, None) => Ok(Access::Authenticated),
            ("", true, Some(_)) => Err("an exception needs a permission to be excepted from"),
            ("", false, _) => Err("access needs one of permission, authenticated and same_as"),
            (_, true, _) => Err("access takes one of permission and authenticated, not both"),
            (name, false, exception) => Ok(Access::Permission { name: name.to_owned(), exception }),
        }
    }
}

fn option(pool: &DescriptorPool, descriptor: &MethodDescriptor) -> Result<v1::Method, SchemaError> {
    let missing = || SchemaError::new(METHOD_OPTION, "the option is not defined");
    let extension = pool.get_extension_by_name(METHOD_OPTION).ok_or_else(missing)?;
    let options = descriptor.options();
    let value = options.get_extension(&extension);
    let message = value.as_message().ok_or_else(missing)?;
    message.transcode_to().map_err(|_| SchemaError::new(descriptor.full_name(), "the option method can't be read"))
}

impl Operation {
    fn new(operation: v1::Operation) -> Option<Self> {
        match operation {
            v1::Operation::Unspecified => None,
            v1::Operation::Set => Some(Operation::Set),
            v1::Operation::Reset => Some(Operation::Reset),
            v1::Operation::Get => Some(Operation::Get),
        }
    }
}

/// The text field at a path such as `requests.name`, also within the elements of a list.
fn field_at(mut message: MessageDescriptor, path: &str) -> Option<FieldDescriptor> {
    let (parents, name) = path.rsplit_once('.').unwrap_or(("", path));
    for parent in parents.split('.').filter(|parent| !parent.is_empty()) {
        message = message.get_field_by_name(parent)?.kind().as_message()?.clone();
    }
    message.get_field_by_name(name).filter(|field| field.kind() == Kind::String)
}

fn operation(option: &v1::Method) -> Result<Option<(Operation, Level)>, &'static str> {
    let operation = Operation::new(option.operation());
    let level = match option.level() {
        v1::Level::Unspecified => None,
        v1::Level::System => Some(Level::System),
        v1::Level::Instance => Some(Level::Instance),
        v1::Level::Organization => Some(Level::Organization),
        v1::Level::User => Some(Level::User),
    };
    match (operation, level) {
        (None, None) => Ok(None),
        (Some(operation), Some(level)) => Ok(Some((operation, level))),
        _ => Err("operation and level belong together"),
    }
}
