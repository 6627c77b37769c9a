//! Whom a certificate names, when that counts, and what settings are refused.

use http::HeaderValue;

use super::*;
use crate::auth::testing::{NOW, now};

const CONSOLE: &str = "spiffe://example.org/console";

fn entry(uri: Option<&str>, subject: Option<&str>, roles: &[&str]) -> settings::Certificate {
    settings::Certificate {
        uri: uri.map(Into::into),
        subject: subject.map(Into::into),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        instance: Some("demo".to_owned()),
        ..settings::Certificate::default()
    }
}

fn certificates(entries: Vec<settings::Certificate>) -> Result<Certificates, AuthError> {
    let mut settings = Settings::default();
    settings.auth.certificates = entries;
    Certificates::new(&settings)
}

#[test]
fn a_certificate_names_a_client_by_a_uri_or_its_whole_subject() {
    let named_user = settings::Certificate { user: Some("ann".to_owned()), ..entry(None, Some("CN=ann"), &[]) };
    let entries =
        vec![entry(Some(CONSOLE), None, &["IAM_OWNER"]), entry(None, Some("CN=ops,O=Example"), &[]), named_user];
    let certificates = certificates(entries).unwrap();
    let table: [(&str, &[&str], Option<&str>); 9] = [
        // subject, URIs, whom it names
        ("CN=anything", &[CONSOLE], Some(CONSOLE)),
        ("CN=anything", &["https://example.org", CONSOLE], Some(CONSOLE)),
        ("CN=ops,O=Example", &[CONSOLE], Some(CONSOLE)),
        ("CN=ops,O=Example", &["https://example.org"], Some("CN=ops,O=Example")),
        ("CN=ann", &[], Some("ann")),
        ("CN=ops", &[], None),
        ("cn=ann", &[], None),
        ("CN=anything", &["spiffe://example.org/console/"], None),
        (CONSOLE, &["CN=ann"], None),
    ];
    for (subject, uris, named) in table {
        let mut extensions = Extensions::new();
        extensions.insert(ClientCertificate::saying(subject, uris, NOW + 1));
        let attempt = certificates.attempt(&HeaderMap::new(), &extensions, now());
        let actual = attempt.map(|known| known.unwrap().subject.clone());
        assert_eq!(actual.as_deref(), named, "{subject} {uris:?}");
    }
}

#[test]
fn the_client_has_what_its_entry_says() {
    let all = settings::Certificate {
        organization: Some("acme".to_owned()),
        user: Some("ann".to_owned()),
        ..entry(Some(CONSOLE), None, &["IAM_OWNER", "ORG_OWNER"])
    };
    let certificates = certificates(vec![all]).unwrap();
    let principal = certificates.principal(&ClientCertificate::saying("", &[CONSOLE], 0)).unwrap();
    let acme = Some(OrganizationId::new("acme").unwrap());
    assert_eq!(principal.instance, Some(InstanceId::new("demo").unwrap()));
    assert_eq!((&principal.user, &principal.organization), (&Some(UserId::new("ann").unwrap()), &acme));
    let grants: Vec<_> = principal.grants.iter().map(|grant| (grant.role.name.as_str(), &grant.organization)).collect();
    assert_eq!(grants, [("IAM_OWNER", &acme), ("ORG_OWNER", &acme)]);
}

#[test]
fn a_token_and_a_page_make_it_not_count_and_it_expires_on_an_open_connection() {
    let certificates = certificates(vec![entry(Some(CONSOLE), None, &[])]).unwrap();
    let table = [
        // header, the certificate expires at, whether it counts
        ("accept", NOW + 1, "yes"),
        ("accept", NOW, "expired"),
        ("authorization", NOW + 1, "no"),
        ("origin", NOW + 1, "no"),
    ];
    for (header, expires_at, counts) in table {
        let headers = HeaderMap::from_iter([(http::HeaderName::from_static(header), HeaderValue::from_static("x"))]);
        let mut extensions = Extensions::new();
        extensions.insert(ClientCertificate::saying("", &[CONSOLE], expires_at));
        let actual = match certificates.attempt(&headers, &extensions, now()) {
            Some(Ok(_)) => "yes",
            Some(Err(Failure::CertificateExpired)) => "expired",
            Some(Err(other)) => panic!("{other}"),
            None => "no",
        };
        assert_eq!(actual, counts, "{header} {expires_at}");
    }
    assert!(certificates.attempt(&HeaderMap::new(), &Extensions::new(), now()).is_none(), "no certificate");
}

#[test]
fn roles_that_are_unknown_or_worth_nothing_are_refused() {
    let nowhere = settings::Certificate { instance: None, ..entry(Some(CONSOLE), None, &["IAM_OWNER"]) };
    let key = "auth.certificates[0].roles";
    let table = [
        // entry, what is said
        (entry(Some(CONSOLE), None, &["ROOT"]), format!("{key} = \"ROOT\": is no role; there are IAM_LOGIN_CLIENT,")),
        (nowhere, format!("{key} = \"IAM_OWNER\": counts only in an instance, so the entry needs one")),
        (
            entry(Some(CONSOLE), None, &["ORG_OWNER"]),
            format!("{key} = \"ORG_OWNER\": counts only in an organization, so the entry needs one"),
        ),
    ];
    for (entry, said) in table {
        let error = certificates(vec![entry]).unwrap_err().to_string();
        assert!(error.starts_with(&said), "{error}");
    }
    let everywhere = settings::Certificate { instance: None, ..entry(Some(CONSOLE), None, &["SYSTEM_OWNER"]) };
    certificates(vec![everywhere]).unwrap();
}
