//! The connection to the collector: TLS for an https endpoint, and the headers that it wants.

use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use feature_auth::roots::{self, RootsError};
use feature_auth::text_file;
use http::header::USER_AGENT;
use http::uri::Scheme;
use http::{HeaderValue, Uri};
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig, WithTonicConfig};
use tonic::Request;

use crate::config::headers::{HEADERS_MAX_BYTES, Headers, HeadersError};
use crate::config::settings::Traces;

/// The name and the version of this program, for the collector.
const PROGRAM: &str = concat!("feature-server/", env!("CARGO_PKG_VERSION"));

/// Why calls cannot be traced as configured. No text has a part of the file with headers.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The endpoint is not one that can be connected to.
    #[error("traces.endpoint cannot be used: {0}")]
    Endpoint(#[from] ExporterBuildError),
    /// The endpoint is https, and the machine has no root certificates.
    #[error("traces.endpoint cannot be used: {0}, name some in traces.ca_file")]
    NoRoots(RootsError),
    /// The file with root certificates cannot be used.
    #[error("traces.ca_file = {0:?}: {1}; the variable OTEL_EXPORTER_OTLP_CERTIFICATE sets it, too")]
    CaFile(PathBuf, RootsError),
    /// The file with headers cannot be read.
    #[error("traces.headers_file = {0:?}: cannot be read: {1}")]
    HeadersUnreadable(PathBuf, io::Error),
    /// The file with headers has something else.
    #[error("traces.headers_file = {0:?}: {1}")]
    Headers(PathBuf, HeadersError),
}

/// An exporter to the collector, which connects when it has spans. It reads the files that the settings name.
pub(super) fn exporter(settings: &Traces) -> Result<SpanExporter, TracesError> {
    let mut exporter = SpanExporter::builder().with_tonic().with_endpoint(&settings.endpoint);
    if settings.endpoint.starts_with("https:") {
        let roots = roots::load(settings.ca_file.as_deref()).map_err(|problem| match &settings.ca_file {
            Some(file) => TracesError::CaFile(file.clone(), problem),
            None => TracesError::NoRoots(problem),
        })?;
        exporter = exporter.with_tls_config(ClientTlsConfig::new().trust_anchors(roots.roots));
    }
    let mut headers = match &settings.headers_file {
        Some(file) => read(file)?,
        None => settings.headers.clone(),
    }
    .into_map();
    if !headers.is_empty() && goes_in_clear_text(&settings.endpoint) {
        let endpoint = &settings.endpoint;
        tracing::warn!(
            endpoint,
            "the headers for the collector go out in clear text: use an https URL in traces.endpoint"
        );
    }
    headers.insert(USER_AGENT, HeaderValue::from_static(PROGRAM));
    let metadata = MetadataMap::from_headers(headers);
    // The library adds the headers in variables by itself. They give way to these: the variables may not be valid, or a
    // file may count more.
    let exporter = exporter.with_interceptor(move |mut request: Request<()>| {
        *request.metadata_mut() = metadata.clone();
        Ok(request)
    });
    Ok(exporter.build()?)
}

/// Whether a network sees what is sent to this URL.
fn goes_in_clear_text(endpoint: &str) -> bool {
    let uri: Uri = endpoint.parse().unwrap_or_default();
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let stays_here = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    uri.scheme() == Some(&Scheme::HTTP) && !stays_here
}

fn read(path: &Path) -> Result<Headers, TracesError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEADERS_MAX_BYTES as u64 + 1).read_to_end(&mut bytes));
    read.map_err(|error| TracesError::HeadersUnreadable(path.to_owned(), error))?;
    // Where it is not UTF-8 it is not ASCII either, so the error names the line.
    let text = String::from_utf8_lossy(text_file::without_mark(&bytes));
    Headers::from_lines(&text).map_err(|problem| TracesError::Headers(path.to_owned(), problem))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ENDPOINT: &str = "https://localhost:4317";

    /// The error of settings with these files, named as in their folder.
    fn error(endpoint: &str, ca_file: Option<&str>, headers_file: Option<&str>, folder: &Path) -> String {
        let path = |name: Option<&str>| name.map(|name| folder.join(name));
        let settings = Traces {
            endpoint: endpoint.to_owned(),
            ca_file: path(ca_file),
            headers_file: path(headers_file),
            ..crate::config::Settings::default().traces
        };
        let error = exporter(&settings).err().map(|error| error.to_string()).unwrap_or_default();
        error.replace(&format!("{}/", folder.display()), "")
    }

    #[test]
    fn headers_in_clear_text_are_noticed_beyond_this_machine() {
        for (endpoint, expected) in [
            ("http://collector:4317", true),
            ("http://192.0.2.1:4317", true),
            ("https://collector:4317", false),
            ("http://localhost:4317", false),
            ("http://127.0.0.2:4317", false),
            ("http://[::1]:4317", false),
        ] {
            assert_eq!(goes_in_clear_text(endpoint), expected, "{endpoint}");
        }
    }

    #[tokio::test]
    async fn files_that_cannot_be_used_are_named_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
        let broken = certificate.replacen("MII", "MIJ", 1);
        let long = format!("api-key: {}", "c2VjcmV0".repeat(2_000));
        let files: [(&str, &[u8]); 8] = [
            ("ca", certificate.as_bytes()),
            ("none", b""),
            ("broken", broken.as_bytes()),
            ("headers", b"\xef\xbb\xbf# for the collector\napi-key: c2VjcmV0\n"),
            ("no-colon", b"\napi-key=c2VjcmV0"),
            ("no-text", b"a: 1\napi-key: c2VjcmV0\xff\n"),
            ("long", long.as_bytes()),
            ("blank", b"\n"),
        ];
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        let (http, missing) = ("http://localhost:4317", "No such file or directory (os error 2)");
        let table = [
            // endpoint, ca_file, headers_file, the error begins with; empty: there is none
            (ENDPOINT, Some("ca"), Some("headers"), String::new()),
            (http, None, Some("headers"), String::new()),
            (http, Some("missing"), None, String::new()),
            (
                ENDPOINT,
                Some("missing"),
                None,
                format!("traces.ca_file = \"missing\": must be a file with PEM certificates: {missing}"),
            ),
            (
                ENDPOINT,
                Some("none"),
                None,
                "traces.ca_file = \"none\": must be a file with PEM certificates: it holds".to_owned(),
            ),
            (
                ENDPOINT,
                Some("broken"),
                None,
                "traces.ca_file = \"broken\": must be a file with PEM certificates: ".to_owned(),
            ),
            (http, None, Some("missing"), format!("traces.headers_file = \"missing\": cannot be read: {missing}")),
            (
                http,
                None,
                Some("no-colon"),
                "traces.headers_file = \"no-colon\": line 2: must be a name, a colon".to_owned(),
            ),
            (http, None, Some("no-text"), "traces.headers_file = \"no-text\": line 2: the value must be".to_owned()),
            (http, None, Some("long"), "traces.headers_file = \"long\": has more than 8192 bytes".to_owned()),
            (http, None, Some("blank"), "traces.headers_file = \"blank\": holds no header".to_owned()),
        ];
        for (endpoint, ca_file, headers_file, expected) in table {
            let said = error(endpoint, ca_file, headers_file, folder.path());
            assert_eq!(said.is_empty(), expected.is_empty(), "{ca_file:?} {headers_file:?}: {said}");
            assert!(said.starts_with(&expected) && !said.contains("c2VjcmV0"), "{said}");
        }
    }
}
