//! The header `authorization`: the unchanged input, or a valid token with the changes that the input describes.
//!
//! Only the one token that was made here authenticates.
#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use feature_auth::config::Auth;
use feature_auth::keys::KeyFolder;
use feature_auth::mint::{TokenRequest, mint};
use feature_auth::roles::Roles;
use feature_auth::{Authentication, Authenticator, Timestamp};
use feature_server::middleware::auth::bearer;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::{Corpus, fuzz_target};
use tempfile::TempDir;
use tokio::runtime::Runtime;

struct Known {
    runtime: Runtime,
    authenticator: Authenticator,
    token: String,
    at: Timestamp,
    /// The keys are read again from here if a token names an unknown one.
    _data: TempDir,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let runtime = Runtime::new().expect("a runtime starts");
    let data = tempfile::tempdir().expect("there is room for a key");
    let (config, roles, at) = (Auth::default(), Roles::new(&BTreeMap::new()), Timestamp::now());
    let keys = KeyFolder::open_or_create(data.path()).expect("a key can be made");
    let asked = TokenRequest {
        roles: vec!["SYSTEM_OWNER".to_owned()],
        lifetime: Duration::from_secs(86_400),
        ..TokenRequest::default()
    };
    let key = keys.signing().expect("there is a key");
    let token = mint(&key, &config, &roles, &asked, at).expect("a token can be made").token;
    let authenticator = Authenticator::new(&config, &roles, keys, at).expect("the default settings work");
    let known = Known { runtime, authenticator, token, at, _data: data };
    assert!(known.lets_in(&header(known.token.as_bytes()).expect("a token is a header")), "the token is valid");
    known
});

impl Known {
    fn lets_in(&self, value: &HeaderValue) -> bool {
        let _entered = self.runtime.enter();
        let headers = HeaderMap::from_iter([(AUTHORIZATION, value.clone())]);
        let Ok(token) = bearer(&headers) else { return false };
        match self.authenticator.authenticate(token, self.at) {
            Authentication::Ready(principal) => principal.is_ok(),
            Authentication::Pending(pending) => self.runtime.block_on(pending.finish()).is_ok(),
        }
    }
}

fn header(token: &[u8]) -> Option<HeaderValue> {
    HeaderValue::from_bytes(&[b"Bearer ", token].concat()).ok()
}

/// The valid token, changed. The first byte chooses the kind of change, the second byte the place.
fn changed(token: &str, input: &[u8]) -> Option<Vec<u8>> {
    let (&[how, place], rest) = input.split_first_chunk()?;
    let mut bytes = token.as_bytes().to_vec();
    let mut parts: Vec<_> = token.split('.').map(str::to_owned).collect();
    let at = usize::from(place) * bytes.len() / 256;
    let part = usize::from(place) % parts.len();
    match how % 7 {
        // Replaces, inserts or removes bytes.
        0 => drop(bytes.splice(at..(at + rest.len()).min(bytes.len()), rest.iter().copied())),
        1 => drop(bytes.splice(at..at, rest.iter().copied())),
        2 => drop(bytes.drain(at..(at + rest.len()).min(bytes.len()))),
        // Flips a bit.
        3 => bytes[at] ^= 1 << (rest.first()? % 8),
        // Replaces a part with other bytes, correctly encoded.
        4 => parts[part] = URL_SAFE_NO_PAD.encode(rest),
        // Changes bytes inside an encoded part.
        5 => {
            let mut decoded = URL_SAFE_NO_PAD.decode(&parts[part]).expect("a part of a token is encoded like this");
            let at = usize::from(*rest.first()?) * decoded.len() / 256;
            decoded.splice(at..(at + rest.len() - 1).min(decoded.len()), rest[1..].iter().copied());
            parts[part] = URL_SAFE_NO_PAD.encode(decoded);
        }
        // Omits, repeats or reorders parts.
        _ => parts = rest.iter().take(8).map(|part| parts[usize::from(*part) % parts.len()].clone()).collect(),
    }
    Some(if matches!(how % 7, 4..) { parts.join(".").into_bytes() } else { bytes })
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let known = &*KNOWN;
    let Some((choice, rest)) = input.split_first() else { return Corpus::Reject };
    let value = match choice % 2 {
        0 => HeaderValue::from_bytes(rest).ok(),
        _ => changed(&known.token, rest).and_then(|token| header(&token)),
    };
    let Some(value) = value else { return Corpus::Reject };
    if known.lets_in(&value) {
        let token = value.as_bytes().split_at(7).1.trim_ascii();
        assert_eq!(token, known.token.as_bytes(), "only the valid token is good");
    }
    Corpus::Keep
});
