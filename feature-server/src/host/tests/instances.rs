//! The instance that a call is for, by token, metadata, host and default.

use std::collections::BTreeMap;
use std::sync::Arc;

use feature_auth::access::{Caller, Rule};
use feature_core::{Level, Scope};

use crate::host::*;
use crate::services::testing::{Who, metadata, outcome};

fn instances() -> Instances {
    let hosts = [("Tenant.Example", "tenant"), ("dotted.example.", "dotted"), ("::1", "six"), ("[::1]", "six")];
    let hosts = hosts.map(|(host, instance)| (host.to_owned(), instance.to_owned()));
    Instances::new(&settings::Instances { default: None, hosts: BTreeMap::from(hosts) }).unwrap()
}

fn with_default() -> Instances {
    Instances { default: Some(InstanceId::new("usual").unwrap()), ..instances() }
}

#[test]
fn instance_is_the_first_of_token_metadata_host_and_default() {
    let (id, by_host) = ("x-zitadel-instance-id", "x-zitadel-instance-host");
    let long = format!("{id}: {}", "x".repeat(201));
    let plain = "/";
    #[rustfmt::skip]
    let table: [(&str, &[&str], &str, &str, &str); 36] = [
        // The token's instance, metadata, target; the result without a default instance, and with one.
        ("",     &[],                                             plain,                        "no instance",   "usual"),
        ("own",  &[],                                             plain,                        "own",           "own"),
        ("own",  &["x-zitadel-instance-id: own"],                 plain,                        "own",           "own"),
        ("own",  &["x-zitadel-instance-id: OWN"],                 plain,                        "denied",        "denied"),
        ("own",  &["x-zitadel-instance-id: other"],               plain,                        "denied",        "denied"),
        ("own",  &["host: tenant.example"],                       plain,                        "own",           "own"),
        ("own",  &["x-zitadel-instance-host: tenant.example"],    "https://tenant.example/",    "own",           "own"),
        ("",     &["x-zitadel-instance-id: other"],               "https://tenant.example/",    "other",         "other"),
        ("",     &["x-zitadel-instance-id: tenant.example"],      plain,                        "tenant.example", "tenant.example"),
        ("",     &[],                                             "https://tenant.example/",    "tenant",        "tenant"),
        ("",     &[],                                             "https://TENANT.example:443/", "tenant",       "tenant"),
        ("",     &["host: tenant.example"],                       plain,                        "tenant",        "tenant"),
        ("",     &["host: tenant.EXAMPLE:8080"],                  plain,                        "tenant",        "tenant"),
        ("",     &["host: [::1]:8080"],                           plain,                        "six",           "six"),
        ("",     &["host: tenant.example"],                       "https://other.example/",     "bad host",      "bad host"),
        ("",     &[],                                             "https://tenant.example./",   "tenant",        "tenant"),
        ("",     &["host: tenant.example.:8080"],                 plain,                        "tenant",        "tenant"),
        ("",     &["host: tenant.example.."],                     plain,                        "no instance",   "usual"),
        ("",     &["host: dotted.example"],                       plain,                        "dotted",        "dotted"),
        ("",     &["host: dotted.example."],                      plain,                        "dotted",        "dotted"),
        ("",     &["x-zitadel-instance-host: Tenant.Example."],   "https://other.example/",     "tenant",        "tenant"),
        ("",     &["host: tenant.example.evil.example"],          plain,                        "no instance",   "usual"),
        ("",     &["host: a b"],                                  plain,                        "bad host",      "bad host"),
        ("",     &["host: me@tenant.example"],                    plain,                        "bad host",      "bad host"),
        ("",     &["x-zitadel-instance-host: tenant.example:1"],  "https://other.example/",     "tenant",        "tenant"),
        ("",     &["x-zitadel-instance-host: other.example"],     "https://tenant.example/",    "no instance",   "usual"),
        ("",     &["x-zitadel-instance-host: ["],                 "https://tenant.example/",    "bad x-zitadel-instance-host", "bad x-zitadel-instance-host"),
        ("",     &["x-zitadel-instance-host: me@tenant.example"], "https://tenant.example/",    "bad x-zitadel-instance-host", "bad x-zitadel-instance-host"),
        ("own",  &["x-zitadel-instance-host: me@tenant.example"], plain,                        "bad x-zitadel-instance-host", "bad x-zitadel-instance-host"),
        ("",     &["x-zitadel-instance-id: "],                    plain,                        "bad x-zitadel-instance-id", "bad x-zitadel-instance-id"),
        ("own",  &["x-zitadel-instance-id: "],                    plain,                        "bad x-zitadel-instance-id", "bad x-zitadel-instance-id"),
        ("",     &[&long],                                        plain,                        "bad x-zitadel-instance-id", "bad x-zitadel-instance-id"),
        ("",     &["x-zitadel-instance-id: a", "x-zitadel-instance-id: a"], plain,              "bad x-zitadel-instance-id", "bad x-zitadel-instance-id"),
        ("",     &["x-zitadel-instance-host: a", "x-zitadel-instance-host: b"], plain,          "bad x-zitadel-instance-host", "bad x-zitadel-instance-host"),
        ("",     &["x-zitadel-instance-id: a", "x-zitadel-instance-host: b"],   plain,          "a",             "a"),
        ("own",  &["x-zitadel-orgid: other"],                     plain,                        "own",           "own"),
    ];
    let rule = Arc::new(Rule::new(None, None, Some(Level::Instance)));
    for (instance, entries, target, without, with) in table {
        let principal = Who { instance, ..Who::default() }.principal();
        let mut request = Request::builder().uri(target).body(()).unwrap();
        *request.headers_mut() = metadata(entries);
        for (instances, expected) in [(instances(), without), (with_default(), with)] {
            let caller = Caller::admit(Arc::clone(&principal), Arc::clone(&rule), &instances.names(&request));
            let actual = outcome(caller.and_then(|caller| caller.instance()), |scope| match scope {
                Scope::Instance(instance) => instance.to_string(),
                other => panic!("{other:?}"),
            });
            assert_eq!(actual, expected, "{instance:?} {entries:?} {target}");
        }
    }
    assert_eq!((id, by_host), (INSTANCE_METADATA, INSTANCE_HOST_METADATA));
}

#[test]
fn metadata_must_be_utf_8() {
    let headers = HeaderMap::from_iter([(
        http::HeaderName::from_static(INSTANCE_METADATA),
        HeaderValue::from_bytes(b"\xff\xfe").unwrap(),
    )]);
    let actual = metadata_of(&headers);
    assert_eq!(outcome(actual, |_| String::new()), "bad x-zitadel-instance-id");
    let headers = HeaderMap::from_iter([(
        http::HeaderName::from_static(INSTANCE_METADATA),
        HeaderValue::from_bytes("zürich".as_bytes()).unwrap(),
    )]);
    assert_eq!(outcome(metadata_of(&headers), |id| id.unwrap().to_string()), "zürich");
}

fn metadata_of(headers: &HeaderMap) -> Result<Option<InstanceId>, AuthError> {
    id(headers, INSTANCE_METADATA, InstanceId::new)
}

#[test]
fn instances_without_valid_ids_are_refused_by_name() {
    let empty = settings::Instances { default: Some(String::new()), ..Default::default() };
    let error = Instances::new(&empty).unwrap_err().to_string();
    assert_eq!(error, "instances.default = \"\": must not be empty");
    let hosts = BTreeMap::from([("a.example".to_owned(), "a\n".to_owned())]);
    let error = Instances::new(&settings::Instances { hosts, ..Default::default() }).unwrap_err().to_string();
    assert!(error.starts_with("instances.hosts.\"a.example\" = \"a\\n\""), "{error}");
    let twice = [("a.example", "one"), ("a.example.", "two")];
    let hosts = twice.map(|(host, instance)| (host.to_owned(), instance.to_owned())).into();
    let error = Instances::new(&settings::Instances { hosts, ..Default::default() }).unwrap_err().to_string();
    assert!(error.starts_with("instances.hosts.\"a.example.\" = \"two\": the same host has the instance"), "{error}");
}
