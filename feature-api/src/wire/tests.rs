//! Tests: known fields survive the removal of unknown ones, and malformed bytes are refused.

use prost::Message;
use prost_types::FieldMask;

use super::*;
use crate::zitadel::feature::v2::{LoginV2, SetSystemFeaturesRequest};

fn descriptor() -> MessageDescriptor {
    crate::descriptor_pool().get_message_by_name("zitadel.feature.v2.SetSystemFeaturesRequest").unwrap()
}

/// Unknown fields of each wire type, numbered 1,000 and up.
fn unknown() -> Vec<u8> {
    let varint = [0xc0, 0x3e, 0x07];
    let fixed64 = [&[0xc9, 0x3e][..], &[7; 8]].concat();
    let delimited = [0xd2, 0x3e, 0x02, 0x30, 0x01];
    let group = [0xdb, 0x3e, 0x30, 0x01, 0xdb, 0x3e, 0xdc, 0x3e, 0xdc, 0x3e];
    let fixed32 = [&[0xe5, 0x3e][..], &[7; 4]].concat();
    [&varint[..], &fixed64, &delimited, &group, &fixed32].concat()
}

#[test]
fn known_fields_stay_as_they_are_wherever_unknown_ones_stand() {
    let request = SetSystemFeaturesRequest {
        actions: Some(false),
        improved_performance: vec![1, 2],
        login_v2: Some(LoginV2 { required: true, base_uri: Some("https://a.example".into()) }),
        update_mask: Some(FieldMask { paths: vec!["actions".into()] }),
        ..SetSystemFeaturesRequest::default()
    };
    let bytes = request.encode_to_vec();
    assert!(matches!(known_fields(&descriptor(), &bytes), Ok(Cow::Borrowed(_))));
    // `login_v2` is field 11; a decoder merges its second occurrence into the first.
    let inside = [&[0x5a, unknown().len() as u8][..], &unknown()].concat();
    let table = [
        // unknown fields
        [&unknown()[..], &bytes].concat(),
        [&bytes[..], &unknown()].concat(),
        [&bytes[..], &inside].concat(),
        [&unknown()[..], &inside, &bytes, &unknown()].concat(),
    ];
    for with_unknown in table {
        let known = known_fields(&descriptor(), &with_unknown).unwrap();
        assert!(known.len() < with_unknown.len());
        assert_eq!(SetSystemFeaturesRequest::decode(known.as_ref()).unwrap(), request);
    }
}

#[test]
fn bytes_that_are_no_message_are_refused() {
    let deep = [&[0xdb, 0x3e].repeat(97)[..], &[0xdc, 0x3e].repeat(97)].concat();
    let table: [(&str, &[u8]); 9] = [
        // (what, bytes)
        ("a key without its end", &[0xff]),
        ("the field number 0", &[0x00, 0x01]),
        ("wire type 6", &[0x36, 0x01]),
        ("a varint without its end", &[0x30, 0x80]),
        ("a varint of 11 bytes", &[0x30, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
        ("a length beyond the end", &[0x5a, 0x05, 0x01]),
        ("the end of a group that has not begun", &[0xdc, 0x3e]),
        ("a group that does not end", &[0xdb, 0x3e, 0x30, 0x01]),
        ("groups nested 97 deep", &deep),
    ];
    for (what, bytes) in table {
        assert_eq!(known_fields(&descriptor(), bytes), Err(WireError::Malformed), "{what}");
    }
}

#[test]
fn the_last_text_of_a_field_counts() {
    let descriptor = crate::descriptor_pool().get_message_by_name("zitadel.feature.v2.GetUserFeaturesRequest").unwrap();
    let table: [(&[u8], Result<&str, WireError>); 5] = [
        // bytes, the text of field 1
        (b"", Ok("")),
        (b"\x0a\x03ann", Ok("ann")),
        (b"\x0a\x03ann\x10\x01\x0a\x03bob", Ok("bob")),
        (b"\x0a\x01\xff", Err(WireError::Malformed)),
        (b"\x0a\x03an", Err(WireError::Malformed)),
    ];
    for (bytes, expected) in table {
        assert_eq!(text(&descriptor, "user_id", bytes), expected.map(str::to_owned), "{bytes:?}");
    }
}
