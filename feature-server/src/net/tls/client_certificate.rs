//! The names in a client's certificate. The handshake has already verified the certificate.

use std::sync::Arc;

use x509_cert::Certificate;
use x509_cert::der::{self, Decode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// The certificate of a connection's client, in the extensions of every request on the connection.
#[derive(Debug, Clone)]
pub struct ClientCertificate(Arc<Content>);

#[derive(Debug)]
struct Content {
    subject: String,
    uris: Vec<String>,
    expires_at: u64,
}

impl ClientCertificate {
    /// The subject in the form of RFC 4514: last part first, and separators inside of a part escaped.
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The URIs among the alternative names, such as `spiffe://example.org/console`.
    pub fn uris(&self) -> &[String] {
        &self.0.uris
    }

    /// The expiry, in seconds since 1970-01-01T00:00:00Z.
    pub fn expires_at(&self) -> u64 {
        self.0.expires_at
    }

    /// Reads a certificate; `None` if it cannot be read.
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let content = content(der);
        let content = content.inspect_err(|error| tracing::debug!(%error, "a client's certificate cannot be read"));
        content.ok().map(|content| Self(Arc::new(content)))
    }

    /// A certificate with this content.
    #[cfg(test)]
    pub fn saying(subject: &str, uris: &[&str], expires_at: u64) -> Self {
        let uris = uris.iter().map(|uri| (*uri).to_owned()).collect();
        Self(Arc::new(Content { subject: subject.to_owned(), uris, expires_at }))
    }
}

fn content(der: &[u8]) -> der::Result<Content> {
    let certificate = Certificate::from_der(der)?;
    let certificate = certificate.tbs_certificate();
    let names = certificate.get_extension::<SubjectAltName>().map_err(|_| der::Error::from(der::ErrorKind::Failed))?;
    let names = names.map(|(_, SubjectAltName(names))| names).unwrap_or_default();
    let uris = names.into_iter().filter_map(|name| match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.to_string()),
        _ => None,
    });
    Ok(Content {
        subject: certificate.subject().to_string(),
        uris: uris.collect(),
        expires_at: certificate.validity().not_after.to_unix_duration().as_secs(),
    })
}
