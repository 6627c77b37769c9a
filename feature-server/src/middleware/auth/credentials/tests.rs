//! Which headers carry a token, and which of them keep a certificate from counting.

use http::HeaderValue;

use super::*;
use crate::call_context::Client;

#[test]
fn bearer_token_must_be_given_exactly_once() {
    let table: [(&[&str], Result<&str, &str>); 9] = [
        // authorization headers          token, or the error
        (&["Bearer x.y.z"], Ok("x.y.z")),
        (&["bearer x.y.z"], Ok("x.y.z")),
        (&["BEARER   x.y.z"], Ok("x.y.z")),
        (&[], Err("no credential")),
        (&["Bearer x.y.z", "Bearer x.y.z"], Err("more than one authorization header")),
        (&["x.y.z"], Err("is not 'Bearer TOKEN'")),
        (&["Basic dTpw"], Err("is not 'Bearer TOKEN'")),
        (&["Bearer"], Err("is not 'Bearer TOKEN'")),
        (&["Bearer ü"], Err("not plain ASCII")),
    ];
    for (values, expected) in table {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        match (bearer(&headers), expected) {
            (Err(error), Err(text)) => assert!(error.to_string().contains(text), "{error}"),
            (actual, expected) => assert_eq!(actual.ok(), expected.ok(), "{values:?}"),
        }
    }
}

#[test]
fn certificate_does_not_count_beside_a_token_or_for_a_page() {
    let certificate_of = |header: &str| {
        let mut request = Request::builder().header(header, "x").body(()).unwrap();
        let shown = CertificateNames { subject: "CN=ann".to_owned(), uris: Vec::new(), expires_at: 7 };
        let client = Client { certificate: Some(shown.into()), ..Client::default() };
        let context = CallContext::from_request(&request, client);
        request.extensions_mut().insert(context);
        certificate(&request).map(|names| (names.subject.clone(), names.expires_at))
    };
    let table = [("accept", true), ("authorization", false), ("origin", false)];
    for (header, counts) in table {
        assert_eq!(certificate_of(header), counts.then(|| ("CN=ann".to_owned(), 7)), "{header}");
    }
    assert!(certificate(&Request::new(())).is_none(), "a connection without a certificate");
}
