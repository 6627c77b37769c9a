//! Reads the files of TLS and builds the configuration from them.

use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use feature_auth::text_file;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, RootCertStore, ServerConfig};
use x509_cert::Certificate;
use x509_cert::der::Decode;

use crate::config::settings::{self, Presence};

/// The ALPN protocols, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why TLS cannot be set up: the setting, its file, and the problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} = {path:?}: {problem}")]
pub struct TlsError {
    setting: &'static str,
    path: PathBuf,
    problem: String,
}

/// The files that the settings name. No `Debug`, because one of them is a secret.
#[derive(Clone, PartialEq)]
pub(crate) struct Files {
    certificate: File,
    key: File,
    client_ca: Option<File>,
    client_crl: Option<File>,
    client_certificate: Presence,
}

/// A file, and the setting that names it.
#[derive(Clone, PartialEq)]
struct File {
    setting: &'static str,
    path: PathBuf,
    content: Vec<u8>,
}

impl Files {
    /// Reads the files that the settings name; `None` if TLS is off.
    pub(crate) fn read(settings: &settings::Tls) -> Option<Result<Self, TlsError>> {
        let (certificate, key) = (settings.certificate_file.as_ref()?, settings.key_file.as_ref()?);
        let read = |setting, path: &Option<PathBuf>| path.as_ref().map(|path| File::read(setting, path)).transpose();
        let read_all = || {
            Ok(Self {
                certificate: File::read("tls.certificate_file", certificate)?,
                key: File::read("tls.key_file", key)?,
                client_ca: read("tls.client_ca_file", &settings.client_ca_file)?,
                client_crl: read("tls.client_crl_file", &settings.client_crl_file)?,
                client_certificate: settings.client_certificate,
            })
        };
        Some(read_all())
    }

    /// Builds the configuration from the contents. Returns it, and when the server's certificate is valid, if that can
    /// be read.
    pub(crate) fn make(&self) -> Result<(ServerConfig, Option<Range<SystemTime>>), TlsError> {
        let key = self.certified_key()?;
        let validity = key.cert.first().and_then(|leaf| Certificate::from_der(leaf).ok()).map(|certificate| {
            let validity = certificate.tbs_certificate().validity();
            validity.not_before.to_system_time()..validity.not_after.to_system_time()
        });
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| self.certificate.error(error))?
            .with_client_cert_verifier(self.verifier()?);
        let mut config = config.with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok((config, validity))
    }

    fn certified_key(&self) -> Result<CertifiedKey, TlsError> {
        let chain = self.certificate.sections::<CertificateDer<'_>>("certificate")?;
        let key = PrivateKeyDer::from_pem_slice(&self.key.content).map_err(|error| match error {
            pem::Error::NoItemsFound => self.key.error("holds no private key in PEM"),
            error => self.key.error(error),
        })?;
        CertifiedKey::from_der(chain, key, &default_provider()).map_err(|error| match error {
            Error::InconsistentKeys(_) => {
                let certificate = &self.certificate.path;
                self.key.error(format!("is not the key of the first certificate in {certificate:?}"))
            }
            Error::InvalidCertificate(_) => self.certificate.error(error),
            error => self.key.error(error),
        })
    }

    fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let Some(file) = &self.client_ca else { return Ok(WebPkiClientVerifier::no_client_auth()) };
        let mut roots = RootCertStore::empty();
        for certificate in file.sections::<CertificateDer<'_>>("certificate")? {
            roots.add(certificate).map_err(|error| file.error(error))?;
        }
        let provider = Arc::new(default_provider());
        let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        if let Some(file) = &self.client_crl {
            let lists = file.sections::<CertificateRevocationListDer<'_>>("list of revoked certificates")?;
            verifier = verifier.with_crls(lists).enforce_revocation_expiration();
        }
        if self.client_certificate == Presence::Optional {
            verifier = verifier.allow_unauthenticated();
        }
        // The roots have been read already, so the error is in a revocation list.
        verifier.build().map_err(|error| self.client_crl.as_ref().unwrap_or(file).error(error))
    }
}

impl File {
    fn read(setting: &'static str, path: &Path) -> Result<Self, TlsError> {
        let mut file = Self { setting, path: path.to_owned(), content: Vec::new() };
        file.content = text_file::read(path).map_err(|error| file.error(format!("cannot be read: {error}")))?;
        Ok(file)
    }

    /// The sections of one kind, at least one.
    fn sections<T: PemObject>(&self, kind: &str) -> Result<Vec<T>, TlsError> {
        let sections = T::pem_slice_iter(&self.content).collect::<Result<Vec<_>, _>>();
        let sections = sections.map_err(|error| self.error(error))?;
        if sections.is_empty() { Err(self.error(format!("holds no {kind} in PEM"))) } else { Ok(sections) }
    }

    fn error(&self, problem: impl Display) -> TlsError {
        TlsError { setting: self.setting, path: self.path.clone(), problem: problem.to_string() }
    }
}
