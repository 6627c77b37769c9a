//! A certificate authority for tests: certificates of servers and clients, expired and revoked ones included.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Signs certificates.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
pub struct Leaf {
    certificate: rcgen::Certificate,
    key: KeyPair,
    serial: SerialNumber,
}

impl Authority {
    pub fn new() -> Self {
        Self::named("authority of the tests")
    }

    pub fn named(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key is made");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).expect("the authority signs itself").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// The authority's own certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for a server on loopback.
    pub fn server(&self) -> Leaf {
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        self.sign(CertificateParams::new(names).expect("the names are valid"), ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client certificate with a common name, the organization `Example`, and a URI unless it is empty.
    pub fn client(&self, name: &str, uri: &str) -> Leaf {
        self.sign(client(name, uri), ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A client certificate that expired in 2024.
    pub fn expired_client(&self, name: &str, uri: &str) -> Leaf {
        let mut params = client(name, uri);
        (params.not_before, params.not_after) = (date_time_ymd(2023, 1, 1), date_time_ymd(2024, 1, 1));
        self.sign(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A revocation list with these certificates.
    pub fn revoked(&self, revoked: &[&Leaf]) -> String {
        let revoked = revoked.iter().map(|leaf| RevokedCertParams {
            serial_number: leaf.serial.clone(),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).and_then(|list| list.pem()).expect("the authority signs the list")
    }

    fn sign(&self, mut params: CertificateParams, usage: ExtendedKeyUsagePurpose) -> Leaf {
        let key = KeyPair::generate().expect("a key is made");
        let serial = SerialNumber::from(key.public_key_raw()[1..17].to_vec());
        params.serial_number = Some(serial.clone());
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&key, &self.issuer).expect("the authority signs");
        Leaf { certificate, key, serial }
    }
}

fn client(name: &str, uri: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Example");
    params.distinguished_name.push(DnType::CommonName, name);
    if !uri.is_empty() {
        params.subject_alt_names.push(SanType::URI(uri.try_into().expect("a URI is ASCII")));
    }
    params
}

impl Leaf {
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// The key, in PEM.
    pub fn key(&self) -> String {
        self.key.serialize_pem()
    }

    /// The certificate and key in the form that a TLS client needs.
    pub fn identity(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = PrivateKeyDer::from_pem_slice(self.key().as_bytes()).expect("a key is PEM");
        (vec![self.certificate.der().clone()], key)
    }
}
