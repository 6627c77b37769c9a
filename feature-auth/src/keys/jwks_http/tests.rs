//! Which URLs are fetched from, and for how long.

use super::*;
use crate::testing::{Answer, Server};

#[tokio::test(start_paused = true)]
async fn fetch_from_a_silent_server_times_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), Answer::Never).await;
    let fetcher = Fetcher::new(&server.url, Some(&server.ca_file)).unwrap();
    let error = fetcher.fetch().await.unwrap_err();
    assert!(matches!(error, LoadError::Timeout), "{error}");
}

#[test]
fn fetcher_needs_an_https_url_and_a_file_with_certificates() {
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
        ("https://:8443/keys", None, "must be an https URL"),
        ("https://name:secret@issuer.example/", None, "must be an https URL"),
        ("file:///keys", None, "must be an https URL"),
        (url, Some(&empty), "must be a file with PEM certificates"),
        (url, Some(&missing), "must be a file with PEM certificates"),
    ];
    for (url, ca_file, expected) in table {
        let error = Fetcher::new(url, ca_file.map(|path| path.as_path())).unwrap_err().to_string();
        assert!(error.contains(expected), "{url}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}
