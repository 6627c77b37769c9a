//! Settings that differ from their defaults in every key. No test is here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::Settings;
use crate::config::headers::Headers;
use crate::config::settings::{
    Auth, Bound, Certificate, Cors, Durability, History, Instances, Issuer, Limits, Log, LogFormat, Metrics,
    MetricsListen, OwnFeatures, Presence, Reflection, RoleSettings, Server, Store, Tls, TraceSampler, Traces,
    WhenStale,
};

/// Settings in which every key has a value that is not its default.
pub(super) fn full() -> Settings {
    let issuer = |name: &str, jwks_file: Option<&str>, jwks_url: Option<&str>, jwks_ca_file: Option<&str>| Issuer {
        issuer: name.to_owned(),
        audience: "aud".to_owned(),
        instance: Some("i1".to_owned()),
        jwks_file: jwks_file.map(PathBuf::from),
        jwks_url: jwks_url.map(Into::into),
        jwks_ca_file: jwks_ca_file.map(PathBuf::from),
    };
    let certificate = |roles: &[&str]| Certificate {
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        instance: Some("i1".to_owned()),
        organization: Some("o1".to_owned()),
        user: Some("u1".to_owned()),
        ..Certificate::default()
    };
    let role = |bound_to, permission: &str| RoleSettings { bound_to, permissions: vec![permission.to_owned()] };
    Settings {
        server: Server {
            listen: "[::]:1".parse().unwrap(),
            data: "with \"quotes\", \\, ä, #, \u{7f} and\nbreaks".into(),
            allow_cleartext: true,
            allowed_hosts: vec!["features.example.com".into(), "[::1]".into()],
            reflection: Reflection::Off,
            shutdown_grace_ms: 0,
        },
        store: Store {
            cache_bytes: Some(1 << 20),
            url: Some("postgres://feature@db1,db2/feature".to_owned()),
            password_file: Some("password".into()),
            password: None,
            ca_file: Some("database-ca.pem".into()),
            allow_cleartext: true,
            durability: Durability::Replicated,
            max_staleness_ms: 24,
            when_stale: WhenStale::Refuse,
        },
        history: History { keep: "400 days".to_owned() },
        limits: Limits {
            message_bytes: 1,
            connections: 2,
            connections_per_address: 3,
            streams_per_connection: 4,
            calls: 5,
            watches: 6,
            calls_per_second_per_identity: 23,
            unauthenticated_calls: 12,
            request_bytes: 15,
            answer_cache_bytes: 0,
            header_bytes: 8_193,
            receive_timeout_ms: 7,
            send_timeout_ms: 18,
            idle_timeout_ms: 9,
            connection_age_ms: 19,
            default_deadline_ms: 10,
            max_deadline_ms: 11,
        },
        own_features: OwnFeatures { definitions: 25, values_per_scope: 26, keep_deleted_days: 27 },
        tls: Tls {
            certificate_file: Some("cert.pem".into()),
            key_file: Some("key.pem".into()),
            client_ca_file: Some("ca.pem".into()),
            client_crl_file: Some("crl.pem".into()),
            client_certificate: Presence::Optional,
        },
        cors: Cors { allowed_origins: vec!["https://a.example.com".into(), "http://b:3000".into()] },
        instances: Instances {
            default: Some("an instance, #1".to_owned()),
            hosts: BTreeMap::from([("demo.example.com".into(), "demo".into()), ("[::1]".into(), "six".into())]),
        },
        auth: Auth {
            leeway_s: 0,
            max_token_lifetime_s: 1,
            roles_claim: "https://example.com/roles".to_owned(),
            revocation_file: Some("revoked".into()),
            jwks_max_stale_s: 900,
            token_cache_entries: 0,
            issuers: vec![
                issuer("https://one", None, Some("https://one/keys"), Some("ca.pem")),
                issuer("https://two", Some("two.json"), None, None),
            ],
            certificates: vec![
                Certificate {
                    uri: Some("spiffe://example.org/console".to_owned()),
                    ..certificate(&["IAM_OWNER", "X"])
                },
                Certificate { subject: Some("CN=a \\\"b\\\"\\, c,O=d".to_owned()), ..certificate(&[]) },
            ],
        },
        roles: BTreeMap::from([
            ("IAM_OWNER".to_owned(), role(Bound::Organization, "org.feature.read")),
            ("Mixed.Case role".to_owned(), role(Bound::Everything, "system.feature.delete")),
        ]),
        log: Log { filter: "warn,feature_server=trace".to_owned(), format: LogFormat::Json },
        metrics: Metrics { listen: MetricsListen::Off },
        traces: Traces {
            endpoint: "https://127.0.0.1:4317".to_owned(),
            ca_file: Some("collector-ca.pem".into()),
            headers_file: Some("collector-headers".into()),
            headers: Headers::default(),
            service_name: "another name".to_owned(),
            sampler: TraceSampler::TraceIdRatio,
            sampler_ratio: 0.25,
        },
    }
}
