//! Validity in time, audiences, and malformed claims.

use serde_json::json;

use super::*;

const NOW: u64 = 1_000_000;

#[derive(Debug, PartialEq)]
enum Verdict {
    Until(u64),
    Expired,
    Invalid(&'static str),
}
use Verdict::{Expired, Invalid, Until};

#[test]
fn token_is_valid_from_nbf_to_exp_with_leeway_and_for_a_limited_lifetime() {
    let long = "its lifetime is longer than allowed";
    let early = "it is not valid yet";
    let future = "it was issued in the future";
    let missing = "the claim exp is missing";
    let malformed = "its claims are malformed";
    #[rustfmt::skip]
    let table = [
        // claims                                                        verdict at NOW
        (json!({"iat": NOW, "exp": NOW + 60}),                           Until(NOW + 60)),
        (json!({"iat": NOW as f64 - 0.5, "exp": NOW as f64 + 60.5}),     Until(NOW + 60)),
        (json!({"iat": NOW - 3600, "exp": NOW}),                         Until(NOW)),
        (json!({"iat": NOW - 3600, "exp": NOW - 9}),                     Until(NOW - 9)),
        (json!({"iat": NOW - 3600, "exp": NOW - 10}),                    Expired),
        (json!({"iat": 0, "exp": 0}),                                    Expired),
        (json!({"exp": NOW - 10}),                                       Expired),
        (json!({"exp": NOW + 3600}),                                     Until(NOW + 3600)),
        (json!({"exp": NOW + 3601}),                                     Invalid(long)),
        (json!({"iat": NOW, "exp": NOW + 3600}),                         Until(NOW + 3600)),
        (json!({"iat": NOW - 1, "exp": NOW + 3600}),                     Invalid(long)),
        (json!({"iat": NOW - 7200, "exp": NOW - 100}),                   Invalid(long)),
        (json!({"iat": NOW + 10, "exp": NOW + 3610}),                    Until(NOW + 3610)),
        (json!({"iat": NOW + 11, "exp": NOW + 60}),                      Invalid(future)),
        (json!({"iat": NOW + 10_000, "exp": NOW + 10_060}),              Invalid(future)),
        (json!({"iat": NOW, "nbf": NOW + 10, "exp": NOW + 60}),          Until(NOW + 60)),
        (json!({"iat": NOW, "nbf": NOW + 11, "exp": NOW + 60}),          Invalid(early)),
        (json!({"iat": NOW}),                                            Invalid(missing)),
        (json!({"iat": NOW, "exp": null}),                               Invalid(missing)),
        (json!({"exp": (NOW + 60).to_string()}),                         Invalid(malformed)),
        (json!({"exp": -1}),                                             Invalid(malformed)),
        (json!({"exp": 1e300}),                                          Invalid(malformed)),
        (json!({"exp": u64::MAX}),                                       Invalid(malformed)),
        (json!({"exp": NOW + 60, "nbf": true}),                          Invalid(malformed)),
        (json!({"exp": NOW + 60, "iat": {}}),                            Invalid(malformed)),
    ];
    let config = Auth { leeway_s: 10, max_token_lifetime_s: 3600, ..Auth::default() };
    for (claims, expected) in table {
        let payload = claims.to_string();
        let parsed = Claims::parse(payload.as_bytes());
        let actual = match parsed.and_then(|claims| claims.check_times(&config, NOW)) {
            Ok(until) => Until(until),
            Err(AuthError::TokenExpired) => Expired,
            Err(AuthError::TokenInvalid(why)) => Invalid(why),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(actual, expected, "{claims}");
    }
}

#[test]
fn audience_must_be_one_of_the_token_s_exactly() {
    let table = [
        // aud                              meant for "features"
        (json!("features"), true),
        (json!(["other", "features"]), true),
        (json!("Features"), false),
        (json!("features "), false),
        (json!(["other"]), false),
        (json!([]), false),
        (json!(null), false),
    ];
    for (audience, meant) in table {
        let payload = json!({"aud": audience}).to_string();
        let claims = Claims::parse(payload.as_bytes()).unwrap();
        assert_eq!(claims.check_audience("features").is_ok(), meant, "{audience}");
    }
    assert!(Claims::parse(br#"{"aud": {"features": 1}}"#).is_err());
}

#[test]
fn malformed_claims_are_refused() {
    let table = [
        // payload                                              why
        ("", "no JSON"),
        ("[]", "no object"),
        (r#"{"iss": "a", "iss": "b"}"#, "a claim twice"),
        (r#"{"iss": ["a"]}"#, "an issuer that is no text"),
        (r#"{"sub": 7}"#, "a subject that is no text"),
        (r#"{"urn:zitadel:iam:user:resourceowner:id": 7}"#, "an organization that is no text"),
        (r#"{"jti": 7}"#, "an id that is a number, so that no list of revoked tokens could name it"),
    ];
    for (payload, why) in table {
        assert!(Claims::parse(payload.as_bytes()).is_err(), "{why}");
    }
}

#[test]
fn issuer_of_a_payload_is_its_one_text_iss() {
    let missing = Err("the claim iss is missing");
    let malformed = Err("its claims are malformed");
    let deep = format!(r#"{{"a": {}1{}, "iss": "i"}}"#, "[".repeat(5000), "]".repeat(5000));
    let table = [
        // payload                                  issuer, or why not
        (r#"{"iss": "i"}"#, Ok("i")),
        (r#"{"a": {"iss": "j"}, "\u0069ss": "i", "b": "iss"}"#, Ok("i")),
        (&deep, Ok("i")),
        (r#"{"ISS": "i"}"#, missing),
        (r#"{"iss": null}"#, missing),
        (r#"{"iss": "i", "iss": "i"}"#, malformed),
        (r#"{"iss": ["i"]}"#, malformed),
        (r#"["iss", "i"]"#, malformed),
        (r#"{"iss": "i"} {}"#, malformed),
        (r#"{"iss": "i""#, malformed),
        ("", malformed),
    ];
    for (payload, expected) in table {
        let actual = Claims::issuer_of(payload.as_bytes());
        let actual = actual.map_err(|failure| match failure {
            AuthError::TokenInvalid(why) => why,
            other => panic!("{other}"),
        });
        assert_eq!(actual.as_deref().map_err(|why| *why), expected, "{payload}");
    }
}
