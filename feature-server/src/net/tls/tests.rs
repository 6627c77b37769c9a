//! Which files are refused and with what message, and when a change applies.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyIdMethod, KeyPair};
use rcgen::{KeyUsagePurpose, SerialNumber, date_time_ymd};
use tempfile::TempDir;

use super::TlsError;
use super::reload::{Reload, key_warning};
use crate::config::settings;

/// A folder with the files of TLS.
struct Folder(TempDir);

impl Folder {
    /// With every file that can be configured.
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.renew();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        folder.write("ca.pem", &params.self_signed(&key).unwrap().pem());
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        folder.write("crl.pem", &list.signed_by(&Issuer::new(params, key)).unwrap().pem().unwrap());
        folder
    }

    /// A new certificate and its key.
    fn renew(&self) {
        let (certificate, key) = pair();
        self.write("cert.pem", &certificate);
        self.write("key.pem", &key);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn begin(&self) -> Result<Reload, TlsError> {
        begin_in(self.0.path())
    }
}

fn begin_in(folder: &Path) -> Result<Reload, TlsError> {
    let path = |name| Some(folder.join(name));
    let settings = settings::Tls {
        certificate_file: path("cert.pem"),
        key_file: path("key.pem"),
        client_ca_file: path("ca.pem"),
        client_crl_file: path("crl.pem"),
        ..settings::Tls::default()
    };
    Reload::begin(&settings).map(|begun| begun.unwrap().0)
}

fn pair() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

#[test]
fn files_that_cannot_be_used_are_named_with_their_setting_and_reason() {
    let (other_certificate, other_key) = pair();
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let table = [
        // file, its new content, the setting, the reason
        ("cert.pem", Some(""), "tls.certificate_file", "holds no certificate in PEM"),
        ("cert.pem", Some(nonsense), "tls.certificate_file", "invalid peer certificate: BadEncoding"),
        ("cert.pem", None, "tls.certificate_file", "cannot be read: No such file or directory (os error 2)"),
        ("cert.pem", Some(&other_certificate), "tls.key_file", "is not the key of the first certificate in"),
        ("key.pem", Some(&other_key), "tls.key_file", "is not the key of the first certificate in"),
        ("key.pem", Some(nonsense), "tls.key_file", "holds no private key in PEM"),
        ("key.pem", None, "tls.key_file", "cannot be read: No such file or directory (os error 2)"),
        ("ca.pem", Some("no PEM"), "tls.client_ca_file", "holds no certificate in PEM"),
        ("ca.pem", Some(nonsense), "tls.client_ca_file", "invalid peer certificate: BadEncoding"),
        ("crl.pem", Some(&other_certificate), "tls.client_crl_file", "holds no list of revoked certificates in PEM"),
        ("crl.pem", None, "tls.client_crl_file", "cannot be read: No such file or directory (os error 2)"),
    ];
    for (file, content, setting, reason) in table {
        let folder = Folder::new();
        folder.begin().map(|_| ()).expect("the files can be used before one is spoilt");
        match content {
            Some(content) => folder.write(file, content),
            None => fs::remove_file(folder.path(file)).unwrap(),
        }
        let error = folder.begin().map(|_| ()).unwrap_err().to_string();
        let named = if setting == "tls.key_file" { "key.pem" } else { file };
        let expected = format!("{setting} = {:?}: {reason}", folder.path(named));
        assert!(error.starts_with(&expected), "{error}\n{expected}");
        assert!(!error.contains("BEGIN") && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn byte_order_mark_of_each_file_is_skipped() {
    let folder = Folder::new();
    for file in ["cert.pem", "key.pem", "ca.pem", "crl.pem"] {
        let text = fs::read_to_string(folder.path(file)).unwrap();
        folder.write(file, &format!("\u{feff}{text}"));
        folder.begin().map(|_| ()).expect(file);
    }
}

/// The results of the next reads: a change that applies, one that is refused, or nothing.
fn looks(reload: &mut Reload, times: usize) -> String {
    let look = |_| match reload.look() {
        Some(Ok(_)) => '+',
        Some(Err(_)) => '!',
        None => '.',
    };
    (0..times).map(look).collect()
}

#[test]
fn a_change_is_tried_once_and_only_when_it_has_settled() {
    let folder = Folder::new();
    let mut reload = folder.begin().unwrap();
    assert_eq!(looks(&mut reload, 2), "..", "nothing has changed");

    folder.renew();
    assert_eq!(looks(&mut reload, 4), ".+..");

    // A certificate that is replaced one read before its key is not tried alone.
    let (certificate, key) = pair();
    folder.write("cert.pem", &certificate);
    assert_eq!(looks(&mut reload, 1), ".");
    folder.write("key.pem", &key);
    assert_eq!(looks(&mut reload, 3), ".+.");

    folder.write("cert.pem", "broken");
    assert_eq!(looks(&mut reload, 5), ".!...", "it is reported once");
    fs::remove_file(folder.path("cert.pem")).unwrap();
    assert_eq!(looks(&mut reload, 3), ".!.", "another mistake is reported too");
    folder.write("cert.pem", &certificate);
    assert_eq!(looks(&mut reload, 3), ".+.");
}

#[test]
fn a_change_is_seen_for_each_way_of_replacing_files() {
    let (first, second, third) = (Folder::new(), Folder::new(), Folder::new());
    let outside = tempfile::tempdir().unwrap();
    let current = outside.path().join("current");
    std::os::unix::fs::symlink(first.0.path(), &current).unwrap();
    let mut reload = begin_in(&current).unwrap();

    // As Kubernetes does: the folder is a link, and another link takes its place.
    let next = outside.path().join("next");
    std::os::unix::fs::symlink(second.0.path(), &next).unwrap();
    fs::rename(&next, &current).unwrap();
    assert_eq!(looks(&mut reload, 3), ".+.");

    // As certbot does: each file is a link, which is replaced.
    for name in ["cert.pem", "key.pem"] {
        fs::remove_file(second.path(name)).unwrap();
        std::os::unix::fs::symlink(third.path(name), second.path(name)).unwrap();
    }
    assert_eq!(looks(&mut reload, 3), ".+.");
}

#[test]
fn a_key_that_every_user_may_read_causes_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    for (mode, told) in [(0o600, false), (0o640, false), (0o644, true), (0o604, true)] {
        fs::set_permissions(folder.path("key.pem"), fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(key_warning(&folder.path("key.pem")).is_some(), told, "{mode:o}");
    }
}
