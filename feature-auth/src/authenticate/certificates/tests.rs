//! Which clients are recognised by which certificates, and which settings are refused.

use feature_core::Credential;

use super::*;
use crate::testing::{NOW, now, roles};

const CONSOLE: &str = "spiffe://example.org/console";

fn entry(uri: Option<&str>, subject: Option<&str>, roles: &[&str]) -> config::Certificate {
    config::Certificate {
        uri: uri.map(Into::into),
        subject: subject.map(Into::into),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        instance: Some("demo".to_owned()),
        ..config::Certificate::default()
    }
}

fn certificates(entries: Vec<config::Certificate>) -> Result<Certificates, SetupError> {
    Certificates::new(&entries, &roles())
}

fn names(subject: &str, uris: &[&str], expires_at: u64) -> CertificateNames {
    let uris = uris.iter().map(|uri| (*uri).to_owned()).collect();
    CertificateNames { subject: subject.to_owned(), uris, expires_at }
}

#[test]
fn certificate_names_a_client_by_a_uri_or_the_whole_subject() {
    let named_user = config::Certificate { user: Some("ann".to_owned()), ..entry(None, Some("CN=ann"), &[]) };
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
        let names = names(subject, uris, NOW + 1);
        let actual = certificates.authenticate(&names, now()).map(|principal| principal.unwrap().subject.clone());
        assert_eq!(actual.as_deref(), named, "{subject} {uris:?}");
    }
}

#[test]
fn client_has_what_its_entry_says() {
    let all = config::Certificate {
        organization: Some("acme".to_owned()),
        user: Some("ann".to_owned()),
        ..entry(Some(CONSOLE), None, &["IAM_OWNER", "ORG_OWNER"])
    };
    let certificates = certificates(vec![all]).unwrap();
    let principal = certificates.authenticate(&names("", &[CONSOLE], NOW + 1), now()).unwrap().unwrap();
    let acme = Some(OrganizationId::new("acme").unwrap());
    assert_eq!(principal.instance, Some(InstanceId::new("demo").unwrap()));
    assert_eq!((&principal.user, &principal.organization), (&Some(UserId::new("ann").unwrap()), &acme));
    let grants: Vec<_> = principal.grants.iter().map(|grant| (grant.role.name.as_str(), &grant.organization)).collect();
    assert_eq!(grants, [("IAM_OWNER", &acme), ("ORG_OWNER", &acme)]);
    assert_eq!(principal.credential(), Credential::Certificate);
}

#[test]
fn certificate_expires_on_an_open_connection() {
    let certificates = certificates(vec![entry(Some(CONSOLE), None, &[])]).unwrap();
    for (expires_at, expired) in [(NOW + 1, false), (NOW, true)] {
        let actual = certificates.authenticate(&names("", &[CONSOLE], expires_at), now()).unwrap();
        assert_eq!(actual.is_err_and(|error| error == AuthError::CertificateExpired), expired, "{expires_at}");
    }
}

#[test]
fn unknown_roles_and_roles_without_effect_are_refused() {
    let nowhere = config::Certificate { instance: None, ..entry(Some(CONSOLE), None, &["IAM_OWNER"]) };
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
    let everywhere = config::Certificate { instance: None, ..entry(Some(CONSOLE), None, &["SYSTEM_OWNER"]) };
    certificates(vec![everywhere]).unwrap();
}
