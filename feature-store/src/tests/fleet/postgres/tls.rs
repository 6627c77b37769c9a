//! Connections over TLS: the certificate of the host has to be right in every way.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;

use super::cluster::{Cluster, PORT, id_of_user, open, options};
use crate::PostgresOptions;

/// An issuer of certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    roots: RootCertStore,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(params.self_signed(&key).unwrap().der().clone()).unwrap();
        Self { issuer: Issuer::new(params, key), roots }
    }

    /// Writes a certificate for this address, and returns the arguments of a server that uses it.
    fn certify(&self, address: &str, folder: &Path) -> Vec<String> {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([address.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            chown(&path, Some(id_of_user("postgres")), None).unwrap();
            path.display().to_string()
        };
        let certificate = write("server.pem", certificate.pem());
        let key = write("server.key", key.serialize_pem());
        ["ssl=on".to_owned(), format!("ssl_cert_file={certificate}"), format!("ssl_key_file={key}")].into()
    }
}

/// An address of the loopback network for this process alone, in which the last part is this one.
fn address(last: u8) -> String {
    let id = process::id();
    format!("127.{}.{}.{last}", 1 + (id >> 8) % 254, id % 256)
}

#[test]
fn a_host_is_called_over_tls_only_with_its_own_certificate_of_a_known_authority() {
    let (right, wrong) = (address(1), address(2));
    let (known, unknown) = (Authority::new("known"), Authority::new("unknown"));
    let cluster = Cluster::start_with(|folder| {
        let mut settings = known.certify(&right, folder);
        settings.push(format!("listen_addresses={right},{wrong}"));
        settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]).collect()
    });
    let database = cluster.database();
    let admin = cluster.connect("postgres").unwrap();
    let over_tls = "
        SELECT bool_and(ssl) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)
        WHERE application_name = 'feature-server'";
    // the host | its sslmode | the roots | a part of the error, or whether TLS is used
    let table = [
        (&right, "require", Some(&known), Ok(true)),
        (&right, "verify-full", Some(&known), Ok(true)),
        (&right, "prefer", None, Ok(false)),
        (&wrong, "require", Some(&known), Err("not valid for name")),
        (&right, "require", Some(&unknown), Err("UnknownIssuer")),
        (&right, "require", None, Err("there are no root certificates to check it with")),
    ];
    for (host, sslmode, authority, expected) in table {
        let url = format!("postgres://postgres@{host}:{PORT}/{database}?sslmode={sslmode}");
        let roots = authority.map(|authority| authority.roots.clone());
        let opened = open(&PostgresOptions { roots, ..options(&url) });
        let is_over_tls = || cluster.runtime.block_on(admin.query_one(over_tls, &[])).unwrap().get::<_, bool>(0);
        match (opened, expected) {
            (Ok(_engine), Ok(tls)) => assert_eq!(is_over_tls(), tls, "{url}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{url}: {error}"),
            (opened, expected) => panic!("{url}: {:?} instead of {expected:?}", opened.err()),
        }
    }
}
