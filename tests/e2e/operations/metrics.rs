//! Metrics of the real server: read by promtool and by a real Prometheus, counted right, and bounded.

use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use feature_api::zitadel::feature::v2::feature_service_client::FeatureServiceClient;
use feature_api::zitadel::feature::v2::{GetInstanceFeaturesRequest, SetInstanceFeaturesRequest};
use serde_json::{Value as Json, json};

use crate::support::curl::{Curl, Version};
use crate::support::harness::{Bearer, Folder, Server, limited};
use crate::support::raw::Raw;

/// How long a condition may take to come about before a test fails.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// What curl prints for a URL.
fn get(url: &str, more: &[&str]) -> String {
    let output = limited("curl").args(["--disable", "--silent", "--show-error"]).args(more).arg(url).output();
    let output = output.expect("curl starts");
    assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("metrics are text")
}

pub(super) fn scrape(server: &Server) -> String {
    get(&format!("{}/metrics", server.monitoring()), &[])
}

/// The value of a series, 0 if there is none.
fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap_or_else(|_| panic!("{series} has the value {value}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_count_by_method_code_and_protocol() {
    const GET: &str =
        r#"grpc_type="unary",grpc_service="zitadel.feature.v2.FeatureService",grpc_method="GetInstanceFeatures""#;
    const SET: &str =
        r#"grpc_type="unary",grpc_service="zitadel.feature.v2.FeatureService",grpc_method="SetInstanceFeatures""#;
    let server = Folder::embedded("").serve();
    let token = server.token("--role IAM_OWNER --instance demo");
    let mut client = FeatureServiceClient::with_interceptor(server.channel().await, Bearer::new(&token));
    for value in [true, false, true] {
        let request = SetInstanceFeaturesRequest { login_default_org: Some(value), ..Default::default() };
        client.set_instance_features(request).await.expect("a write");
    }
    for _ in 0..5 {
        client.get_instance_features(GetInstanceFeaturesRequest { inheritance: true }).await.expect("a read");
    }
    let curl = Curl { server: &server, version: Version::Http1 };
    assert_eq!(curl.call("GET", "/v2/features/instance?inheritance=true", &[&token], None).status, 200);
    assert_eq!(curl.call("GET", "/v2/features/instance", &["no-token"], None).status, 401);
    assert_eq!(curl.call("GET", "/nowhere", &[], None).status, 404);

    let metrics = scrape(&server);
    let table = [
        // series, value
        (format!("grpc_server_started_total{{{GET}}}"), 7.0),
        (format!("grpc_server_handled_total{{{GET},grpc_code=\"OK\"}}"), 6.0),
        (format!("grpc_server_handled_total{{{GET},grpc_code=\"Unauthenticated\"}}"), 1.0),
        (format!("grpc_server_handling_seconds_count{{{GET}}}"), 7.0),
        (format!("grpc_server_msg_received_total{{{GET}}}"), 6.0),
        (format!("grpc_server_msg_sent_total{{{GET}}}"), 6.0),
        (format!("grpc_server_handled_total{{{SET},grpc_code=\"OK\"}}"), 3.0),
        ("feature_server_requests_total{protocol=\"grpc\"}".to_owned(), 8.0),
        ("feature_server_requests_total{protocol=\"rest\"}".to_owned(), 2.0),
        ("feature_server_requests_total{protocol=\"none\"}".to_owned(), 1.0),
        ("feature_auth_failures_total{reason=\"TOKEN_INVALID\"}".to_owned(), 1.0),
        ("feature_answers_total{hit=\"false\"}".to_owned(), 1.0),
        ("feature_answers_total{hit=\"true\"}".to_owned(), 5.0),
        ("feature_store_revision".to_owned(), 3.0),
        ("feature_store_group_size_count".to_owned(), 3.0),
        ("feature_store_durable_seconds_count".to_owned(), 3.0),
        ("feature_store_poisoned".to_owned(), 0.0),
        ("feature_store_accepts_writes".to_owned(), 1.0),
    ];
    for (series, expected) in table {
        assert_eq!(value(&metrics, &series), expected, "{series} in\n{metrics}");
    }
    for series in ["process_resident_memory_bytes", "process_open_fds", "feature_store_journal_bytes"] {
        assert!(value(&metrics, series) > 0.0, "{series} in\n{metrics}");
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_count_while_they_are_open_and_at_their_end() {
    let server = Folder::new("auth.leeway_s = 0").serve();
    let raw = Raw::new(&server).await;
    let (short, long) = ("--role IAM_OWNER --instance demo --ttl 2s", "--role IAM_OWNER --instance demo");
    let mut streams = Vec::new();
    for (token, method, request) in [
        (short, "WatchService/WatchValues", json!({"names": ["instances/demo/settings"]})),
        (long, "WatchService/WatchChanges", json!({"parent": "instances/demo"})),
    ] {
        let mut stream = raw.stream(method, request, &[&server.token(token)]).await.expect("the call succeeds");
        stream.next().await.expect("a first message");
        streams.push(stream);
    }
    let count = |series: &str| value(&scrape(&server), &format!("feature_watch_{series}"));
    let open = || [r#"streams{kind="values"}"#, r#"streams{kind="changes"}"#].map(count);
    assert_eq!(open(), [1.0, 1.0]);
    assert_eq!(count(r#"messages_total{type="snapshot"}"#), 1.0);
    assert_eq!(count(r#"messages_total{type="heartbeat"}"#), 1.0);
    drop(streams.pop());
    streams[0].next().await.expect_err("the token expires");
    let deadline = Instant::now() + PATIENCE;
    while open() != [0.0, 0.0] {
        assert!(Instant::now() < deadline, "the server does not see that its clients have left");
    }
    assert_eq!(count(r#"closed_total{reason="client"}"#), 1.0);
    assert_eq!(count(r#"closed_total{reason="credential"}"#), 1.0);
    server.stop();
}

#[test]
fn promtool_finds_nothing_wrong_and_openmetrics_is_served_on_request() {
    let server = Server::new();
    let mut promtool = limited("promtool");
    let mut check = promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    check.stdin.take().expect("it is piped").write_all(scrape(&server).as_bytes()).expect("promtool reads");
    let checked = check.wait_with_output().expect("promtool ends");
    assert!(checked.status.success() && checked.stdout.is_empty(), "{}", String::from_utf8_lossy(&checked.stdout));

    let accept = ["--header", "accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "--include"];
    let open = get(&format!("{}/metrics", server.monitoring()), &accept);
    assert!(open.to_ascii_lowercase().contains("content-type: application/openmetrics-text; version=1.0.0"), "{open}");
    assert!(open.ends_with("# EOF\n"), "{open}");
    server.stop();
}

/// A Prometheus that scrapes a server. It ends with this.
pub(super) struct Prometheus {
    process: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    pub(super) fn of(server: &Server) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let target = server.monitoring().trim_start_matches("http://");
        let config = format!(
            "global: {{ scrape_interval: 1s }}\n\
             scrape_configs: [{{ job_name: feature-server, static_configs: [{{ targets: ['{target}'] }}] }}]\n"
        );
        std::fs::write(folder.path().join("prometheus.yml"), config).expect("the folder is writable");
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}/prometheus.yml", folder.path().display()));
        command.arg(format!("--storage.tsdb.path={}/data", folder.path().display()));
        command.arg("--web.listen-address=127.0.0.1:0").stderr(Stdio::piped());
        let process = command.spawn().expect("prometheus starts");
        let mut prometheus = Self { process, address: String::new(), _folder: folder };
        let log = BufReader::new(prometheus.process.stderr.take().expect("it is piped"));
        let (found, address) = mpsc::channel();
        // To the end, since a full pipe would stop it.
        thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("msg=\"Listening on\" address=") {
                    let _ = found.send(address.split_whitespace().next().unwrap_or_default().to_owned());
                }
            }
        });
        prometheus.address = address.recv_timeout(PATIENCE).expect("prometheus says where it listens");
        prometheus
    }

    /// The value of a query's first result, if it has one.
    pub(super) fn query(&self, query: &str) -> Option<String> {
        let url = format!("http://{}/api/v1/query", self.address);
        let query = format!("query={query}");
        let arguments = ["--disable", "--silent", "--get", "--data-urlencode", &query, &url];
        let output = limited("curl").args(arguments).output().expect("curl starts");
        let answer: Json = serde_json::from_slice(&output.stdout).ok()?;
        answer["data"]["result"][0]["value"][1].as_str().map(str::to_owned)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn prometheus_scrapes_the_server() {
    let server = Server::new();
    let prometheus = Prometheus::of(&server);
    let deadline = Instant::now() + PATIENCE;
    while prometheus.query("up").as_deref() != Some("1") {
        assert!(Instant::now() < deadline, "Prometheus does not find the server up");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(prometheus.query("feature_store_accepts_writes").as_deref(), Some("1"));
    assert_eq!(prometheus.query("count(grpc_server_started_total)").as_deref(), Some("43"));
    server.stop();
}

#[test]
fn scrapers_that_hang_hold_nothing() {
    let server = Server::new();
    let address = server.monitoring().trim_start_matches("http://");
    let mut hanging: Vec<_> = (0..20).map(|_| TcpStream::connect(address).expect("a connection")).collect();
    for socket in &mut hanging {
        socket.write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\n").expect("a part of a request");
    }
    assert!(scrape(&server).contains("feature_store_revision 0"));
    server.stop();
}

#[test]
fn a_page_that_points_its_own_name_here_reads_nothing() {
    let server = Server::new();
    let status = |host: &str| {
        let more = ["--header", &format!("host: {host}"), "--output", "/dev/null", "--write-out", "%{http_code}"];
        get(&format!("{}/metrics", server.monitoring()), &more)
    };
    for (host, expected) in [("localhost:9464", "200"), ("127.0.0.1", "200"), ("evil.example", "421")] {
        assert_eq!(status(host), expected, "{host}");
    }
    server.stop();
}

#[test]
fn a_taken_port_ends_the_start_with_a_line() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    let folder = Folder::new("");
    let output = folder.run_by(&["env", &format!("FEATURE_SERVER__METRICS__LISTEN={address}")], "serve");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.contains(&address.to_string()) && last.contains("metrics.listen") && last.contains("off"), "{said}");
    assert!(!folder.data().join("journal").exists(), "a data folder was made");
}
