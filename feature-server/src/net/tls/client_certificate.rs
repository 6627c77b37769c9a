//! The names in a client's certificate. The handshake has already verified the certificate.

use x509_cert::Certificate;
use x509_cert::der::{self, Decode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// The certificate of a connection's client.
#[derive(Debug)]
pub struct ClientCertificate {
    /// The subject in the form of RFC 4514: last part first, and separators inside of a part escaped.
    pub subject: String,
    /// The URIs among the alternative names, such as `spiffe://example.org/console`.
    pub uris: Vec<String>,
    /// The expiry, in seconds since 1970-01-01T00:00:00Z.
    pub expires_at: u64,
}

impl ClientCertificate {
    /// Reads a certificate; `None` if it cannot be read.
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let read = Self::decode(der);
        read.inspect_err(|error| tracing::debug!(%error, "a client's certificate cannot be read")).ok()
    }

    fn decode(der: &[u8]) -> der::Result<Self> {
        let certificate = Certificate::from_der(der)?;
        let certificate = certificate.tbs_certificate();
        let names =
            certificate.get_extension::<SubjectAltName>().map_err(|_| der::Error::from(der::ErrorKind::Failed))?;
        let names = names.map(|(_, SubjectAltName(names))| names).unwrap_or_default();
        let uris = names.into_iter().filter_map(|name| match name {
            GeneralName::UniformResourceIdentifier(uri) => Some(uri.to_string()),
            _ => None,
        });
        Ok(Self {
            subject: certificate.subject().to_string(),
            uris: uris.collect(),
            expires_at: certificate.validity().not_after.to_unix_duration().as_secs(),
        })
    }
}
