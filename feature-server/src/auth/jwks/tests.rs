//! Which keys of a set are taken, and for which algorithm.

use serde_json::{Value, json};

use super::*;
use crate::auth::testing::Signer;

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
fn only_public_strong_asymmetric_signature_keys_are_taken_for_the_algorithm_of_their_type() {
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
    let bits = "an RSA key needs 2048 to 8192 bits";
    #[rustfmt::skip]
    let table = [
        // key   changed parts                                        algorithm, or why not
        (&ed,   json!({}),                                           Ok(Algorithm::EdDSA)),
        (&ed,   json!({"alg": "EdDSA", "use": "sig"}),               Ok(Algorithm::EdDSA)),
        (&ed,   json!({"key_ops": ["verify"]}),                      Ok(Algorithm::EdDSA)),
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
        (&ed,   json!({"kty": null}),                                Err("a key is malformed")),
        (&p256, json!({"alg": null}),                                Ok(Algorithm::ES256)),
        (&p256, json!({"alg": "ES256"}),                             Ok(Algorithm::ES256)),
        (&p256, json!({"alg": "ES384"}),                             Err(fits)),
        (&p256, json!({"y": short}),                                 Err("a part of the key has the wrong length")),
        (&p256, json!({"crv": "P-521"}),                             Err(kind)),
        (&p256, json!({"crv": "secp256k1"}),                         Err(kind)),
        (&p384, json!({"alg": null}),                                Ok(Algorithm::ES384)),
        (&p384, json!({"crv": "P-256"}),                             Err(fits)),
        (&rsa,  json!({"alg": null}),                                Ok(Algorithm::RS256)),
        (&rsa,  json!({"alg": "RS512"}),                             Ok(Algorithm::RS512)),
        (&rsa,  json!({"alg": "PS384"}),                             Ok(Algorithm::PS384)),
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
        let algorithm = |set: KeySet| set.find(Some("a"), Algorithm::HS256).map(|key| key.algorithm).unwrap();
        let actual = parse(set.as_bytes()).map(algorithm);
        assert_eq!(actual, expected.map_err(|why| JwksError::NoUsableKey(Some(why))), "{jwk} with {changes}");
    }
}

#[test]
fn a_key_that_cannot_be_used_does_not_spoil_the_set() {
    let good = Signer::new("good", Algorithm::EdDSA).jwk();
    let oct = json!({"kty": "oct", "k": "AAAA", "kid": "oct"});
    let set = parse(json!({"keys": [oct, 7, good], "more": true}).to_string().as_bytes()).unwrap();
    assert_eq!(set.ids().collect::<Vec<_>>(), ["good"]);
}

#[test]
fn what_is_no_key_set_is_refused() {
    let table = [
        // text                 why not
        ("", JwksError::Malformed),
        ("{}", JwksError::Malformed),
        ("<html>", JwksError::Malformed),
        (r#"{"keys": {}}"#, JwksError::Malformed),
        (r#"{"keys": []}"#, JwksError::NoUsableKey(None)),
    ];
    for (text, expected) in table {
        assert_eq!(parse(text.as_bytes()).unwrap_err(), expected, "{text}");
    }
}

#[test]
fn a_token_finds_its_key_by_id_then_algorithm_and_without_an_id_only_a_single_key() {
    let key = |id: Option<&str>, algorithm| VerifyingKey {
        id: id.map(str::to_owned),
        algorithm,
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
        let set = KeySet::new(keys.to_vec());
        assert_eq!(set.find(id, algorithm).map(|key| key.algorithm), expected, "{id:?} {algorithm:?}");
    }
}
