//! Which texts the forms accept.

use super::*;

fn check<F: Form>(table: &[(&str, bool)]) {
    for (text, expected) in table {
        assert_eq!((F::ACCEPTS)(text), *expected, "{text:?} as {}", F::ALLOWED);
    }
}

#[test]
fn urls_are_https() {
    check::<HttpsUrl>(&[
        // (text, is an https URL)
        ("https://id.example.com/oauth/v2/keys", true),
        ("https://id.example.com:8443/keys?x=1", true),
        ("http://id.example.com/keys", false),
        ("https:///keys", false),
        ("https://me:secret@id.example.com/keys", false),
        ("/keys", false),
        ("id.example.com", false),
    ]);
}

#[test]
fn what_names_a_certificate_is_spelt_in_one_way() {
    check::<CertificateUri>(&[
        // (text, is a URI)
        ("spiffe://example.org/console", true),
        ("urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66", true),
        ("https://example.org", true),
        ("example.org/console", false),
        ("://example.org", false),
        ("spiffe:", false),
        ("spiffe://example.org/a b", false),
        ("spiffe://example.org/\u{e4}", false),
        ("", false),
        (&format!("urn:{}", "x".repeat(196)), true),
        (&format!("urn:{}", "x".repeat(197)), false),
    ]);
    check::<Subject>(&[
        // (text, is a subject)
        ("CN=console", true),
        ("CN=console,OU=Ops,O=Example,C=CH", true),
        ("CN=console\\, O\\=x,O=Example", false),
        ("CN=console\\, O=x,O=Example", true),
        ("UID=ann,DC=example,DC=org", true),
        ("CN=J\u{fc}rg", true),
        ("CN=a+OU=b", true),
        ("CN=console, O=Example", false),
        ("CN = console", false),
        ("cn=console", false),
        ("/C=CH/CN=console", false),
        ("console", false),
        ("", false),
        (&format!("CN={}", "x".repeat(198)), false),
    ]);
}

#[test]
fn permissions_and_roles_have_a_known_form() {
    check::<Permission>(&[
        // (text, is a permission)
        ("system.feature.read", true),
        ("iam.feature.write", true),
        ("org.feature.delete", true),
        ("user.feature.read", true),
        ("orgs.feature.read", false),
        ("org.feature.*", false),
        ("org.feature", false),
        ("org.policy.read", false),
        ("ORG.feature.read", false),
        ("", false),
    ]);
    check::<Role>(&[
        // (text, is a role name)
        ("IAM_OWNER", true),
        ("ORG.OWNER-2", true),
        ("A,B", false),
        (" A", false),
        ("A\n", false),
        ("", false),
    ]);
}
