//! What a client's certificate says of who it is. That it is to be believed was found in the handshake; what its owner
//! may do is not known here.

use std::sync::Arc;

use x509_cert::Certificate;
use x509_cert::der::{self, Decode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// The certificate of a connection's client. It is in the extensions of every request on the connection.
#[derive(Debug, Clone)]
pub struct ClientCertificate(Arc<Content>);

#[derive(Debug)]
struct Content {
    subject: String,
    uris: Vec<String>,
    expires_at: u64,
}

impl ClientCertificate {
    /// Its subject as RFC 4514 spells it: the last part first, and whatever could be taken for another part escaped.
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The URIs among its alternative names, such as `spiffe://example.org/console`.
    pub fn uris(&self) -> &[String] {
        &self.0.uris
    }

    /// When it expires, in seconds since 1970-01-01T00:00:00Z.
    pub fn expires_at(&self) -> u64 {
        self.0.expires_at
    }

    /// Reads a certificate. One that cannot be read names nobody.
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let content = content(der);
        let content = content.inspect_err(|error| tracing::debug!(%error, "a client's certificate cannot be read"));
        content.ok().map(|content| Self(Arc::new(content)))
    }

    /// A certificate that says this.
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
