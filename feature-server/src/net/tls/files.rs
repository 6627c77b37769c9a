//! Reads the files of TLS and builds the configuration from them.

use std::fmt::Display;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys, RootCertStore, ServerConfig};

use super::expiry::Validity;
use crate::config::settings::{self, Presence};
use crate::config::text_file;

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

/// The files that the settings name.
#[derive(Debug)]
pub(crate) struct Files {
    certificate: File,
    key: File,
    client_ca: Option<File>,
    client_crl: Option<File>,
    client_certificate: Presence,
}

/// The contents of the files. No `Debug`, because one of them is a secret.
#[derive(Clone, PartialEq)]
pub(crate) struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
    client_crl: Option<Vec<u8>>,
}

/// The result of the contents.
pub(crate) struct Made {
    pub config: ServerConfig,
    /// When the server's certificate is valid.
    pub validity: Option<Validity>,
}

impl Files {
    /// The files that the settings name; `None` if TLS is off.
    pub(crate) fn named(settings: &settings::Tls) -> Option<Self> {
        let file = |setting, path: &Option<PathBuf>| path.clone().map(|path| File { setting, path });
        Some(Self {
            certificate: file("tls.certificate_file", &settings.certificate_file)?,
            key: file("tls.key_file", &settings.key_file)?,
            client_ca: file("tls.client_ca_file", &settings.client_ca_file),
            client_crl: file("tls.client_crl_file", &settings.client_crl_file),
            client_certificate: settings.client_certificate,
        })
    }

    /// Reads all files.
    pub(crate) fn read(&self) -> Result<Contents, TlsError> {
        let read = |file: &Option<File>| file.as_ref().map(File::read).transpose();
        Ok(Contents {
            certificate: self.certificate.read()?,
            key: self.key.read()?,
            client_ca: read(&self.client_ca)?,
            client_crl: read(&self.client_crl)?,
        })
    }

    /// Builds the configuration from the contents.
    pub(crate) fn make(&self, contents: &Contents) -> Result<Made, TlsError> {
        let key = self.certified_key(contents)?;
        let validity = key.cert.first().and_then(|leaf| Validity::of(leaf));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| self.certificate.error(error))?
            .with_client_cert_verifier(self.verifier(contents)?);
        let mut config = config.with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Made { config, validity })
    }

    /// A warning if every user of the machine may read the key.
    pub(crate) fn warning(&self) -> Option<String> {
        let File { setting, path } = &self.key;
        let mode = std::fs::metadata(path).ok()?.permissions().mode();
        (mode & 0o004 != 0).then(|| format!("{setting} = {path:?}: every user of the machine may read it (chmod o-r)"))
    }

    fn certified_key(&self, contents: &Contents) -> Result<CertifiedKey, TlsError> {
        let chain = certificates(&self.certificate, &contents.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|error| match error {
            pem::Error::NoItemsFound => self.key.error("holds no private key in PEM"),
            error => self.key.error(error),
        })?;
        let key = default_provider().key_provider.load_private_key(key).map_err(|error| self.key.error(error))?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            // A key without a readable public half is accepted: it cannot be compared.
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
            Err(Error::InconsistentKeys(_)) => {
                let certificate = &self.certificate.path;
                Err(self.key.error(format!("is not the key of the first certificate in {certificate:?}")))
            }
            Err(error) => Err(self.certificate.error(error)),
        }
    }

    fn verifier(&self, contents: &Contents) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let (Some(file), Some(pem)) = (&self.client_ca, &contents.client_ca) else {
            return Ok(WebPkiClientVerifier::no_client_auth());
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(file, pem)? {
            roots.add(certificate).map_err(|error| file.error(error))?;
        }
        let provider = Arc::new(default_provider());
        let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        if let (Some(file), Some(pem)) = (&self.client_crl, &contents.client_crl) {
            let lists = CertificateRevocationListDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
            let lists = lists.map_err(|error| file.error(error))?;
            if lists.is_empty() {
                return Err(file.error("holds no list of revoked certificates in PEM"));
            }
            verifier = verifier.with_crls(lists).enforce_revocation_expiration();
        }
        if self.client_certificate == Presence::Optional {
            verifier = verifier.allow_unauthenticated();
        }
        // The roots have been read already, so the error is in a revocation list.
        verifier.build().map_err(|error| self.client_crl.as_ref().unwrap_or(file).error(error))
    }
}

/// A file and the setting that names it.
#[derive(Debug)]
struct File {
    setting: &'static str,
    path: PathBuf,
}

impl File {
    fn read(&self) -> Result<Vec<u8>, TlsError> {
        let path: &Path = &self.path;
        text_file::read(path).map_err(|error| self.error(format!("cannot be read: {error}")))
    }

    fn error(&self, problem: impl Display) -> TlsError {
        TlsError { setting: self.setting, path: self.path.clone(), problem: problem.to_string() }
    }
}

/// The certificates in a file, at least one.
fn certificates(file: &File, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| file.error(error))?;
    if certificates.is_empty() { Err(file.error("holds no certificate in PEM")) } else { Ok(certificates) }
}
