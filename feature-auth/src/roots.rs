//! The root certificates that other servers are checked against when this process calls them: those of a file, or the
//! machine's own.

use std::error::Error;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::text_file;

/// Why there are no root certificates.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file cannot be read, or a certificate in it cannot.
    #[error("must be a file with PEM certificates: {0}")]
    File(Box<dyn Error + Send + Sync>),
    /// The machine has none.
    #[error("the machine has no root certificates to check it with ({0})")]
    Machine(String),
}

/// The certificates of the file, or without one those of the machine.
pub fn load(ca_file: Option<&Path>) -> Result<RootCertStore, RootsError> {
    match ca_file {
        Some(file) => of_file(file).map_err(RootsError::File),
        None => of_machine(),
    }
}

fn of_file(file: &Path) -> Result<RootCertStore, Box<dyn Error + Send + Sync>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text_file::read(file)?) {
        roots.add(certificate?)?;
    }
    if roots.is_empty() { Err("it holds no certificate".into()) } else { Ok(roots) }
}

/// A few certificates that cannot be read do not matter among those of a machine.
fn of_machine() -> Result<RootCertStore, RootsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let first = found.errors.first().map(ToString::to_string);
        return Err(RootsError::Machine(first.unwrap_or_else(|| "none were found".to_owned())));
    }
    Ok(roots)
}
