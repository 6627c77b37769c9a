//! Request bodies of nearly the maximum message size that compress to about 1 KiB. `repeated` says which method each
//! body is for.

/// How many elements of this size fit into a message: 1 MiB less 1 KiB for the bytes around them.
const fn fit(bytes: usize) -> usize {
    ((1 << 20) - 1_024) / bytes
}

/// An empty message, or no content.
pub fn empty() -> Vec<u8> {
    Vec::new()
}

/// A length that points beyond the end of the message.
pub fn malformed() -> Vec<u8> {
    vec![0x0a, 0x7f]
}

/// `GetInstanceFeaturesRequest` with `inheritance`.
pub fn inheritance() -> Vec<u8> {
    vec![0x08, 1]
}

/// Numbers in field 15, which only Set requests have.
pub fn unknown_fields() -> Vec<u8> {
    [15 << 3, 0].repeat(fit(2))
}

/// A Set of the attacker's own organization with a list of a million enum members.
pub fn list_of_own() -> Vec<u8> {
    [organization("mallory"), field(8, &vec![1; 1_000_000])].concat()
}

/// The same for an organization on which the attacker has no rights.
pub fn list_of_other() -> Vec<u8> {
    [organization("acme"), field(8, &vec![1; 1_000_000])].concat()
}

/// A Set with a mask of half a million paths.
pub fn mask() -> Vec<u8> {
    [organization("mallory"), field(100, &field(1, b"").repeat(500_000))].concat()
}

/// A change of settings that unsets a third of a million features.
pub fn unset() -> Vec<u8> {
    [field(1, b"instances/demo/organizations/mallory/settings"), field(3, b"a").repeat(fit(3))].concat()
}

/// The same with as many keys as a message may have, none of which a feature has.
pub fn unset_allowed() -> Vec<u8> {
    [field(1, b"instances/demo/organizations/mallory/settings"), field(3, &[b'a'; 100]).repeat(8_000)].concat()
}

pub fn json_unset() -> Vec<u8> {
    json(r#""unset":["a""#, r#","a""#, "]")
}

pub fn json_list_of_own() -> Vec<u8> {
    json(r#""organizationId":"mallory","improvedPerformance":[1"#, ",1", "]")
}

pub fn json_list_of_other() -> Vec<u8> {
    json(r#""organizationId":"acme","improvedPerformance":[1"#, ",1", "]")
}

pub fn json_mask() -> Vec<u8> {
    json(r#""organizationId":"mallory","updateMask":"a"#, ",a", "\"")
}

/// A list of numbers in a field that no message has.
pub fn json_unknown_list() -> Vec<u8> {
    json(r#""unknown":[0"#, ",0", "]")
}

pub fn json_unknown_keys() -> Vec<u8> {
    json(r#""a":0"#, r#","a":0"#, "")
}

/// A text in which each character has its longest escape.
pub fn json_escapes() -> Vec<u8> {
    json(r#""organizationId":"mallory","loginV2":{"baseUri":""#, r"\u0061", r#""}"#)
}

/// Nested objects.
pub fn json_nested() -> Vec<u8> {
    json(r#""organizationId":"mallory","unknown":"#, r#"{"a":"#, "")
}

fn json(start: &str, element: &str, end: &str) -> Vec<u8> {
    format!("{{{start}{}{end}}}", element.repeat(fit(element.len()))).into_bytes()
}

fn organization(id: &str) -> Vec<u8> {
    field(1, id.as_bytes())
}

/// A length-delimited protobuf field.
fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut field = Vec::with_capacity(content.len() + 8);
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut field);
    prost::encoding::encode_varint(content.len() as u64, &mut field);
    field.extend_from_slice(content);
    field
}

#[cfg(test)]
mod tests {
    use feature_api::feature::v1::UpdateSettingsRequest;
    use feature_api::zitadel::feature::v2::SetOrganizationFeaturesRequest;
    use prost::Message as _;

    use super::*;

    #[test]
    fn bodies_decode_to_what_their_names_say() {
        let read = |bytes: Vec<u8>| SetOrganizationFeaturesRequest::decode(&*bytes).unwrap();
        let (list, mask) = (read(list_of_own()), read(mask()));
        assert_eq!((&*list.organization_id, list.improved_performance.len()), ("mallory", 1_000_000));
        assert_eq!(mask.update_mask.unwrap().paths.len(), 500_000);
        assert_eq!(read(list_of_other()).organization_id, "acme");
        assert!(SetOrganizationFeaturesRequest::decode(&*malformed()).is_err());
        let read = |bytes: Vec<u8>| UpdateSettingsRequest::decode(&*bytes).unwrap();
        assert_eq!((read(unset()).unset.len() / 100_000, read(unset_allowed()).unset.len()), (3, 8_000));
    }
}
