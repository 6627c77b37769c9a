//! Which URLs are fetched from, and for how long.

use super::*;
use crate::auth::testing::{Answer, Server};

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), Answer::Never).await;
    let fetcher = Fetcher::new(&server.url, Some(&server.ca_file)).unwrap();
    let error = fetcher.within(Duration::from_millis(50)).fetch().await.unwrap_err();
    assert!(matches!(error, FetchError::Timeout), "{error}");
}

#[test]
fn only_https_urls_and_files_with_certificates_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let missing = folder.path().join("missing.pem");
    let url = "https://issuer.example/keys";
    let table = [
        // url                                     certificates  the error holds
        ("http://issuer.example/keys", None, "must be an https URL"),
        ("issuer.example", None, "must be an https URL"),
        ("/keys", None, "must be an https URL"),
        ("https://", None, "must be an https URL"),
        ("https://name:secret@issuer.example/", None, "must be an https URL"),
        ("file:///keys", None, "must be an https URL"),
        (url, Some(&empty), "is no file with PEM certificates"),
        (url, Some(&missing), "is no file with PEM certificates"),
    ];
    for (url, ca_file, expected) in table {
        let error = Fetcher::new(url, ca_file.map(|path| path.as_path())).unwrap_err().to_string();
        assert!(error.contains(expected), "{url}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}
