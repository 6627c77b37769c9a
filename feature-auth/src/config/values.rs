//! What a setting may hold. The functions are for serde's `deserialize_with`, and their errors say what is allowed.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::path::PathBuf;

use feature_core::InstanceId;
use http::Uri;
use serde::de::{Deserialize, Deserializer, Error};
use serde_json::Value;
use x509_cert::name::Name;

/// What permissions are about: first the features of each level, then definitions, then the history.
pub(crate) const RESOURCES: [&str; 6] =
    ["system.feature", "iam.feature", "org.feature", "user.feature", "feature.definition", "feature.history"];

/// What a permission allows to do with them.
pub(crate) const ACTIONS: [&str; 3] = ["read", "write", "delete"];

/// A whole number from `MIN` to `MAX`.
pub fn number<'de, const MIN: u64, const MAX: u64, T, D>(source: D) -> Result<T, D::Error>
where
    T: TryFrom<u64>,
    D: Deserializer<'de>,
{
    let number = Value::deserialize(source)?.as_u64().filter(|number| (MIN..=MAX).contains(number));
    let typed = number.and_then(|number| T::try_from(number).ok());
    typed.ok_or_else(|| Error::custom(format!("a whole number from {MIN} to {MAX}")))
}

/// A text of a form.
pub fn text<'de, F: Form, T: From<String>, D: Deserializer<'de>>(source: D) -> Result<T, D::Error> {
    Checked::<F>::deserialize(source).map(|text| text.0.into())
}

/// A path.
pub fn path<'de, T: From<PathBuf>, D: Deserializer<'de>>(source: D) -> Result<T, D::Error> {
    text::<Path, PathBuf, D>(source).map(T::from)
}

/// A list of texts of a form.
pub fn list<'de, F: Form, D: Deserializer<'de>>(source: D) -> Result<Vec<String>, D::Error> {
    Ok(Vec::<Checked<F>>::deserialize(source)?.into_iter().map(String::from).collect())
}

/// The permissions of a role.
pub fn permissions<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<String>, D::Error> {
    let permissions = list::<Permission, D>(source)?;
    if permissions.is_empty() { Err(Error::custom("a list of at least one permission")) } else { Ok(permissions) }
}

/// A table whose names are texts of a form.
pub fn map<'de, F, V, T, D>(source: D) -> Result<BTreeMap<String, T>, D::Error>
where
    F: Form + Ord,
    V: Deserialize<'de> + Into<T>,
    D: Deserializer<'de>,
{
    let map = BTreeMap::<Checked<F>, V>::deserialize(source)?;
    Ok(map.into_iter().map(|(name, value)| (name.0, value.into())).collect())
}

/// A kind of text.
pub trait Form {
    /// What is allowed, to stand after 'must be'.
    const ALLOWED: &'static str;
    /// Whether a text is allowed. Whether a file exists or an issuer answers is for those who use it.
    const ACCEPTS: fn(&str) -> bool;
}

/// A text of a form.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Checked<F>(String, PhantomData<F>);

impl<'de, F: Form> Deserialize<'de> for Checked<F> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        match Value::deserialize(source)? {
            Value::String(text) if (F::ACCEPTS)(&text) => Ok(Self(text, PhantomData)),
            _ => Err(Error::custom(F::ALLOWED)),
        }
    }
}

impl<F> From<Checked<F>> for String {
    fn from(checked: Checked<F>) -> Self {
        checked.0
    }
}

/// A path.
pub enum Path {}

impl Form for Path {
    const ALLOWED: &'static str = "a path";
    const ACCEPTS: fn(&str) -> bool = |text| !text.is_empty() && !text.contains('\0');
}

/// Any text but the empty one.
pub enum NotEmpty {}

impl Form for NotEmpty {
    const ALLOWED: &'static str = "a text that is not empty";
    const ACCEPTS: fn(&str) -> bool = |text| !text.is_empty();
}

/// The id of an instance, an organization or a user: all three have the same form.
pub enum Id {}

impl Form for Id {
    const ALLOWED: &'static str = "an id of 1 to 200 characters without control characters";
    const ACCEPTS: fn(&str) -> bool = |text| InstanceId::new(text).is_ok();
}

/// An https URL without a user.
pub enum HttpsUrl {}

impl Form for HttpsUrl {
    const ALLOWED: &'static str = "an https URL such as https://id.example.com/keys";
    const ACCEPTS: fn(&str) -> bool = |text| {
        let Ok(uri) = text.parse::<Uri>() else { return false };
        let no_user = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        uri.scheme_str() == Some("https") && no_user && uri.host().is_some_and(|host| !host.is_empty())
    };
}

/// A URI among the alternative names of a certificate.
pub enum CertificateUri {}

impl Form for CertificateUri {
    const ALLOWED: &'static str =
        "a URI of 1 to 200 characters as it stands in the certificate, such as spiffe://example.org/console";
    const ACCEPTS: fn(&str) -> bool = |text| {
        let is_scheme = |scheme: &str| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        };
        let well_formed = text.split_once(':').is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty());
        text.len() <= 200 && text.bytes().all(|b| b.is_ascii_graphic()) && well_formed
    };
}

/// The subject of a certificate.
pub enum Subject {}

impl Form for Subject {
    const ALLOWED: &'static str = "a whole subject of 1 to 200 characters as 'openssl x509 -noout -subject -nameopt \
                                   RFC2253' prints it, such as CN=console,O=Example";
    /// A subject that is spelt in any other way would never match, without a word.
    const ACCEPTS: fn(&str) -> bool = |text| {
        let spelt_so = |name: Name| !name.is_empty() && name.to_string() == text;
        text.chars().count() <= 200 && text.parse().is_ok_and(spelt_so)
    };
}

/// The name of a role.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {}

impl Form for Role {
    const ALLOWED: &'static str = "a role name of 1 to 200 characters without commas and control characters";
    const ACCEPTS: fn(&str) -> bool = |text| {
        let allowed = |c: char| c != ',' && !c.is_control();
        (1..=200).contains(&text.chars().count()) && text.chars().all(allowed) && text.trim() == text
    };
}

/// A permission.
pub enum Permission {}

impl Form for Permission {
    const ALLOWED: &'static str = "one of system.feature, iam.feature, org.feature, user.feature or \
                                   feature.definition, then .read, .write or .delete, such as org.feature.read";
    const ACCEPTS: fn(&str) -> bool = |text| {
        let Some((resource, action)) = text.rsplit_once('.') else { return false };
        RESOURCES.contains(&resource) && ACTIONS.contains(&action)
    };
}

#[cfg(test)]
mod tests;
