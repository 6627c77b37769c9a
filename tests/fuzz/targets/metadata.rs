//! The head of a request: a line `VERB TARGET`, then one header per line. The first byte chooses the version of HTTP.
//!
//! Everything that the server derives from it has a bound: ids, deadlines, refusals.
#![no_main]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use feature_api::schema::Schema;
use feature_auth::access::{AccessRules, Caller};
use feature_auth::roles::Roles;
use feature_auth::{Grant, Identity, Principal};
use feature_core::{InstanceId, Scope};
use feature_server::call_context::{CallContext, Client};
use feature_server::config::Settings;
use feature_server::error::Failure;
use feature_server::host::Instances;
use feature_server::middleware::auth::rules;
use feature_server::middleware::browsers::AllowedHosts;
use feature_server::middleware::recognise::{MessageBytes, Recogniser};
use feature_server::monitoring::call_counters::{CallCounters, methods_in};
use feature_server::pages::Pages;
use feature_server::services::descriptors;
use http::{HeaderName, HeaderValue, Method, Request, Uri, Version};
use libfuzzer_sys::{Corpus, fuzz_target};

/// The longest deadline that a protocol can express: eight digits of hours.
const LONGEST: Duration = Duration::from_secs(99_999_999 * 60 * 60);

/// The maximum length of a refusal: the longest input, and some words.
const LONGEST_REFUSAL: usize = 16 * 1024;

struct Known {
    recogniser: Recogniser,
    hosts: Vec<AllowedHosts>,
    instances: Instances,
    rules: AccessRules,
    principals: Vec<Arc<Principal>>,
    counters: Arc<CallCounters>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let schema = Schema::new(feature_api::descriptor_pool()).expect("our protos fit together");
    let mut settings = Settings::default();
    settings.instances.hosts.insert("demo.example.com".to_owned(), "demo".to_owned());
    let closed = AllowedHosts::new(&settings);
    settings.server.listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080));
    let open = AllowedHosts::new(&settings);
    let pool = descriptors::pool();
    let pages = Pages::new(&pool, settings.server.listen, false);
    let roles = Roles::new(&settings.roles);
    let principal = |role: &str, instance: Option<&str>| {
        let instance = instance.map(|id| InstanceId::new(id).expect("an id"));
        let role = Arc::clone(roles.get(role).expect("a built-in role"));
        Arc::new(Principal {
            identity: Identity::new("issuer", "subject", instance.as_ref()),
            subject: "subject".to_owned(),
            user: None,
            instance,
            organization: None,
            grants: vec![Grant { role, organization: None }],
            expires_at: u64::MAX,
        })
    };
    let message_bytes = MessageBytes { default: 1 << 20, of_services: (&[], 0) };
    let recogniser = Recogniser::new(pool.clone(), message_bytes, pages, closed.clone(), Arc::default());
    Known {
        recogniser: recogniser.expect("our protos have valid rules"),
        hosts: vec![closed, open],
        instances: Instances::new(&settings.instances).expect("a valid id"),
        rules: rules::of(&schema, &Settings::default().server),
        principals: vec![principal("SYSTEM_OWNER", None), principal("IAM_OWNER", Some("demo"))],
        counters: Arc::new(CallCounters::new(methods_in(&pool).count())),
    }
});

/// The request that the input describes, as the HTTP library would pass it on.
fn request(input: &[u8]) -> Option<Request<()>> {
    let (version, input) = input.split_first()?;
    let mut lines = input.split(|byte| *byte == b'\n');
    let first = lines.next()?;
    let space = first.iter().position(|byte| *byte == b' ')?;
    let mut request = Request::new(());
    *request.version_mut() = [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2][usize::from(*version) % 3];
    *request.method_mut() = Method::from_bytes(&first[..space]).ok()?;
    *request.uri_mut() = Uri::try_from(&first[space + 1..]).ok()?;
    for line in lines.take(100) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        request.headers_mut().append(name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?);
    }
    Some(request)
}

fn told(failure: &Failure) {
    let status = failure.status("request");
    assert!(!status.message().is_empty(), "a refusal says why");
    assert!(status.message().len() + status.details().len() < LONGEST_REFUSAL, "{} bytes", status.details().len());
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let known = &*KNOWN;
    let Some(request) = request(input) else { return Corpus::Reject };

    let context = CallContext::from_request(&request, Client::default(), Arc::clone(&known.counters));
    let id = context.request_id();
    assert!((1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()), "{id:?}");

    for (hosts, grpc) in known.hosts.iter().flat_map(|hosts| [(hosts, false), (hosts, true)]) {
        if let Err(failure) = hosts.check(&request, grpc) {
            told(&failure);
        }
    }
    match known.recogniser.protocol(&request).and_then(|protocol| protocol.timeout(request.headers())) {
        Ok(timeout) => assert!(timeout.is_none_or(|timeout| timeout <= LONGEST), "{timeout:?}"),
        Err(error) => told(&Failure::from(error)),
    }

    let rule = match known.rules.find(request.uri().path()) {
        Ok(Some(rule)) => rule,
        Ok(None) => return Corpus::Keep,
        Err(error) => {
            told(&error.into());
            return Corpus::Keep;
        }
    };
    for principal in &known.principals {
        match Caller::admit(Arc::clone(principal), Arc::clone(&rule), &known.instances.names(&request)) {
            Ok(caller) => {
                if let Ok(Scope::Instance(instance)) = caller.instance() {
                    assert!((1..=200).contains(&instance.as_str().chars().count()), "{instance}");
                    let own = principal.instance.as_ref();
                    assert!(own.is_none_or(|own| *own == instance), "a call stays in the instance of its token");
                }
            }
            Err(error) => told(&error.into()),
        }
    }
    Corpus::Keep
});
