//! Which keys of a set are taken, and for which algorithm.

use serde_json::{Value, json};

use super::*;
use crate::testing::Signer;

fn with(mut jwk: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => jwk.as_object_mut().unwrap().remove(name),
            value => jwk.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    jwk
}

#[test]
fn keys_are_used_if_public_strong_and_for_signatures_with_the_algorithms_of_their_type() {
    let ed = Signer::new("a", Algorithm::EdDSA).jwk();
    let p256 = Signer::new("a", Algorithm::ES256).jwk();
    let p384 = Signer::new("a", Algorithm::ES384).jwk();
    let rsa = Signer::new("a", Algorithm::RS256).jwk();
    let modulus = |bits: usize| {
        let mut bytes = vec![0xff; bits.div_ceil(8)];
        bytes[0] >>= (8 - bits % 8) % 8;
        URL_SAFE_NO_PAD.encode(bytes)
    };
    let padded = URL_SAFE_NO_PAD.encode([vec![0; 128], vec![0xff; 128]].concat());
    let short = URL_SAFE_NO_PAD.encode([7; 31]);
    let fits = "the key's algorithm does not fit its type";
    let kind = "the key's type is not supported";
    let all = "RS256 RS384 RS512 PS256 PS384 PS512";
    let bits = "an RSA key needs 2048 to 8192 bits";
    #[rustfmt::skip]
    let table = [
        // key   changed parts                                        algorithms, or why not
        (&ed,   json!({}),                                           Ok("EdDSA")),
        (&ed,   json!({"alg": "EdDSA", "use": "sig"}),               Ok("EdDSA")),
        (&ed,   json!({"alg": "Ed25519"}),                           Ok("EdDSA")),
        (&ed,   json!({"alg": "Ed448"}),                             Err(fits)),
        (&ed,   json!({"key_ops": ["verify"]}),                      Ok("EdDSA")),
        (&ed,   json!({"alg": "ES256"}),                             Err(fits)),
        (&ed,   json!({"alg": "HS256"}),                             Err(fits)),
        (&ed,   json!({"use": "enc"}),                               Err("the key is not for signatures")),
        (&ed,   json!({"key_ops": ["sign"]}),                        Err("the key is not for verifying")),
        (&ed,   json!({"d": "AAAA"}),                                Err("the key is published with its private part")),
        (&ed,   json!({"x": null}),                                  Err("a part of the key is missing")),
        (&ed,   json!({"x": short}),                                 Err("a part of the key has the wrong length")),
        (&ed,   json!({"x": "="}),                                   Err("a part of the key is no base64url")),
        (&ed,   json!({"crv": "Ed448"}),                             Err(kind)),
        (&ed,   json!({"crv": "X25519"}),                            Err(kind)),
        (&ed,   json!({"kty": "EC"}),                                Err(kind)),
        (&ed,   json!({"kty": "oct", "k": "AAAA"}),                  Err(kind)),
        (&ed,   json!({"kty": null}),                                Err("the key is malformed")),
        (&p256, json!({"alg": null}),                                Ok("ES256")),
        (&p256, json!({"alg": "ES256"}),                             Ok("ES256")),
        (&p256, json!({"alg": "ES384"}),                             Err(fits)),
        (&p256, json!({"y": short}),                                 Err("a part of the key has the wrong length")),
        (&p256, json!({"crv": "P-521"}),                             Err(kind)),
        (&p256, json!({"crv": "secp256k1"}),                         Err(kind)),
        (&p384, json!({"alg": null}),                                Ok("ES384")),
        (&p384, json!({"crv": "P-256"}),                             Err(fits)),
        (&rsa,  json!({"alg": null}),                                Ok(all)),
        (&rsa,  json!({"alg": "RS256"}),                             Ok("RS256")),
        (&rsa,  json!({"alg": "RS512"}),                             Ok("RS512")),
        (&rsa,  json!({"alg": "PS384"}),                             Ok("PS384")),
        (&rsa,  json!({"alg": "Ed25519"}),                           Err(fits)),
        (&rsa,  json!({"alg": "RSA-OAEP"}),                          Err(fits)),
        (&rsa,  json!({"alg": "none"}),                              Err(fits)),
        (&rsa,  json!({"n": modulus(1024)}),                         Err(bits)),
        (&rsa,  json!({"n": modulus(2047)}),                         Err(bits)),
        (&rsa,  json!({"n": modulus(8193)}),                         Err(bits)),
        (&rsa,  json!({"n": padded}),                                Err(bits)),
        (&rsa,  json!({"e": null}),                                  Err("a part of the key is missing")),
    ];
    for (jwk, changes, expected) in table {
        let set = json!({"keys": [with(jwk.clone(), &changes)]}).to_string();
        let actual = parse(set.as_bytes()).map(|set| names(set.find(Some("a"), Algorithm::HS256).unwrap()));
        let actual = actual.map_err(|error| error.to_string());
        let expected = expected.map(str::to_owned);
        let expected = expected.map_err(|why| format!("the answer or file holds no usable key (kid \"a\": {why})"));
        assert_eq!(actual, expected, "{jwk} with {changes}");
    }
}

fn names(key: &VerifyingKey) -> String {
    key.algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn unusable_keys_are_skipped_with_kid_and_reason() {
    let good = Signer::new("good", Algorithm::EdDSA).jwk();
    let oct = |kid: &str| json!({"kty": "oct", "k": "AAAA", "kid": kid});
    let long = "x".repeat(100);
    let keys = json!([oct("o"), 7, good, oct("two\nlines \u{202e}"), oct(&long), 8, {"kid": 9}, oct("o")]);
    let set = parse(json!({"keys": keys, "more": true}).to_string().as_bytes()).unwrap();
    assert_eq!(set.ids().collect::<Vec<_>>(), ["good"]);
    let expected = [
        "kid \"o\": the key's type is not supported",
        "without kid: the key is malformed",
        "kid \"two\\nlines \\u{202e}\": the key's type is not supported",
        &format!("kid \"{}...\": the key's type is not supported", &long[..64]),
    ];
    assert_eq!(set.skipped, expected);

    let many: Vec<_> = (0..1000).map(|index| oct(&index.to_string())).collect();
    let error = parse(json!({"keys": many}).to_string().as_bytes()).unwrap_err();
    assert!(matches!(&error, LoadError::NoUsableKey(skipped) if skipped.len() == SKIPPED_MAX), "{error}");
    let why = "the key's type is not supported";
    let expected =
        format!("the answer or file holds no usable key (kid \"0\": {why}; kid \"1\": {why}; kid \"2\": {why})");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn byte_order_mark_of_a_set_is_skipped() {
    let set = json!({"keys": [Signer::new("a", Algorithm::EdDSA).jwk()]}).to_string();
    assert_eq!(parse(format!("\u{feff}{set}").as_bytes()).unwrap(), parse(set.as_bytes()).unwrap());
}

#[test]
fn what_is_no_key_set_is_refused() {
    let table = [
        // text                 why not
        ("", "the answer or file is no JSON Web Key Set"),
        ("{}", "the answer or file is no JSON Web Key Set"),
        ("<html>", "the answer or file is no JSON Web Key Set"),
        (r#"{"keys": {}}"#, "the answer or file is no JSON Web Key Set"),
        (r#"{"keys": []}"#, "the answer or file holds no usable key"),
    ];
    for (text, expected) in table {
        assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), expected, "{text}");
    }
}

#[test]
fn key_is_found_by_id_then_algorithm_and_without_an_id_only_if_single() {
    let key = |id: Option<&str>, algorithm| VerifyingKey {
        id: id.map(str::to_owned),
        algorithms: vec![algorithm],
        key: DecodingKey::from_ed_der(&[]),
    };
    let none: Vec<VerifyingKey> = vec![];
    let one = vec![key(None, Algorithm::EdDSA)];
    let two = vec![key(Some("a"), Algorithm::EdDSA), key(Some("b"), Algorithm::EdDSA)];
    let twins = vec![key(Some("a"), Algorithm::EdDSA), key(Some("a"), Algorithm::ES256)];
    #[rustfmt::skip]
    let table = [
        // keys   the token's id and algorithm       the found key's algorithm
        (&none,   None,      Algorithm::EdDSA,       None),
        (&one,    None,      Algorithm::EdDSA,       Some(Algorithm::EdDSA)),
        (&one,    None,      Algorithm::ES256,       Some(Algorithm::EdDSA)),
        (&one,    Some("a"), Algorithm::EdDSA,       None),
        (&two,    None,      Algorithm::EdDSA,       None),
        (&two,    Some("b"), Algorithm::EdDSA,       Some(Algorithm::EdDSA)),
        (&two,    Some("c"), Algorithm::EdDSA,       None),
        (&twins,  Some("a"), Algorithm::ES256,       Some(Algorithm::ES256)),
        (&twins,  Some("a"), Algorithm::RS256,       Some(Algorithm::EdDSA)),
    ];
    for (keys, id, algorithm, expected) in table {
        let set = KeySet { keys: keys.to_vec(), ..KeySet::default() };
        assert_eq!(set.find(id, algorithm).map(|key| key.algorithms[0]), expected, "{id:?} {algorithm:?}");
    }
}
