//! The texts that settings take: for each kind of text what it must look like, in words and as a check.
//!
//! Only looks are checked: whether a file exists or an issuer answers is for those who use it.

use std::net::SocketAddr;

use feature_core::{InstanceId, OrganizationId, UserId};
use http::Uri;
use x509_cert::name::Name;

use super::log_filter;

/// A kind of text.
pub(super) struct Form {
    /// What is allowed, to stand after 'must be'.
    pub allowed: &'static str,
    /// Whether a text is allowed.
    pub accepts: fn(&str) -> bool,
}

pub(super) static ADDRESS: Form = Form {
    allowed: "an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080",
    accepts: |text| text.parse::<SocketAddr>().is_ok(),
};

pub(super) static PATH: Form = Form { allowed: "a path", accepts: |text| !text.is_empty() && !text.contains('\0') };

pub(super) static TEXT: Form = Form { allowed: "a text that is not empty", accepts: |text| !text.is_empty() };

pub(super) static ORIGIN: Form = Form {
    allowed: "an origin as browsers send it, such as https://console.example.com or http://10.0.0.1:3000: \
              lower case, no path, no default port",
    accepts: is_origin,
};

pub(super) static HOST: Form =
    Form { allowed: "a host in lower case and without a port, such as demo.example.com or [::1]", accepts: is_host };

pub(super) static HTTPS_URL: Form =
    Form { allowed: "an https URL such as https://id.example.com/keys", accepts: is_https_url };

pub(super) static INSTANCE: Form = Form {
    allowed: "an instance id of 1 to 200 characters without control characters",
    accepts: |text| InstanceId::new(text).is_ok(),
};

pub(super) static ORGANIZATION: Form = Form {
    allowed: "an organization id of 1 to 200 characters without control characters",
    accepts: |text| OrganizationId::new(text).is_ok(),
};

pub(super) static USER: Form = Form {
    allowed: "a user id of 1 to 200 characters without control characters",
    accepts: |text| UserId::new(text).is_ok(),
};

pub(super) static CERTIFICATE_URI: Form = Form {
    allowed: "a URI of 1 to 200 characters as it stands in the certificate, such as spiffe://example.org/console",
    accepts: is_certificate_uri,
};

pub(super) static SUBJECT: Form = Form {
    allowed: "a whole subject of 1 to 200 characters as 'openssl x509 -noout -subject -nameopt RFC2253' prints it, \
              such as CN=console,O=Example",
    accepts: is_subject,
};

pub(super) static ROLE: Form =
    Form { allowed: "a role name of 1 to 200 characters without commas and control characters", accepts: is_role };

pub(super) static PERMISSION: Form = Form {
    allowed: "one of system, iam, org or user, then .feature., then one of read, write or delete, \
              such as org.feature.read",
    accepts: is_permission,
};

pub(super) static FILTER: Form = Form {
    allowed: "off, error, warn, info, debug or trace, or a list such as info,feature_server=debug",
    accepts: log_filter::is_filter,
};

fn is_origin(text: &str) -> bool {
    let (rest, default_port) = if let Some(rest) = text.strip_prefix("https://") {
        (rest, ":443")
    } else if let Some(rest) = text.strip_prefix("http://") {
        (rest, ":80")
    } else {
        return false;
    };
    // An origin that differs from what browsers send only in its spelling would never match, without a word.
    if rest.ends_with(default_port) {
        return false;
    }
    match port_of(rest) {
        Some((host, port)) => is_host(host) && port.parse::<u16>().is_ok_and(|number| number.to_string() == port),
        None => is_host(rest),
    }
}

/// Splits `host:port`, where the host may be an address in brackets. `None`: there is no port.
fn port_of(authority: &str) -> Option<(&str, &str)> {
    authority.rsplit_once(':').filter(|(_, port)| !port.contains(']'))
}

fn is_host(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok_and(|parsed| parsed.to_string() == address);
    }
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
    };
    // With one final dot it is the same name.
    let name = text.strip_suffix('.').unwrap_or(text);
    name.len() <= 253 && name.split('.').all(is_label)
}

fn is_https_url(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let no_user = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    uri.scheme_str() == Some("https") && no_user && uri.host().is_some_and(|host| !host.is_empty())
}

fn is_certificate_uri(text: &str) -> bool {
    let is_scheme = |scheme: &str| {
        let mut bytes = scheme.bytes();
        bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
            && bytes.all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    };
    let well_formed = text.split_once(':').is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty());
    text.len() <= 200 && text.bytes().all(|b| b.is_ascii_graphic()) && well_formed
}

/// A subject that is spelt in any other way would never match, without a word.
fn is_subject(text: &str) -> bool {
    let spelt_so = |name: Name| !name.is_empty() && name.to_string() == text;
    text.chars().count() <= 200 && text.parse().is_ok_and(spelt_so)
}

fn is_role(text: &str) -> bool {
    let allowed = |c: char| c != ',' && !c.is_control();
    (1..=200).contains(&text.chars().count()) && text.chars().all(allowed) && text.trim() == text
}

fn is_permission(text: &str) -> bool {
    let Some((resource, action)) = text.split_once(".feature.") else { return false };
    ["system", "iam", "org", "user"].contains(&resource) && ["read", "write", "delete"].contains(&action)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(form: &Form, table: &[(&str, bool)]) {
        for (text, expected) in table {
            assert_eq!((form.accepts)(text), *expected, "{text:?} as {}", form.allowed);
        }
    }

    #[test]
    fn origins_are_spelt_as_browsers_spell_them() {
        let table = [
            // (text, is an origin)
            ("https://console.example.com", true),
            ("http://10.0.0.1:3000", true),
            ("http://[::1]:3000", true),
            ("https://[::1]", true),
            ("https://console.example.com.", true),
            ("https://localhost", true),
            ("*", false),
            ("null", false),
            ("", false),
            ("console.example.com", false),
            ("https://", false),
            ("https://console.example.com/", false),
            ("https://console.example.com/app", false),
            ("https://Console.example.com", false),
            ("HTTPS://console.example.com", false),
            ("https://console.example.com:443", false),
            ("http://console.example.com:80", false),
            ("http://console.example.com:", false),
            ("http://console.example.com:0800", false),
            ("http://console.example.com:65536", false),
            ("https://me@console.example.com", false),
            ("https://a..b", false),
            ("ftp://console.example.com", false),
            ("https://[0:0:0:0:0:0:0:1]", false),
        ];
        check(&ORIGIN, &table);
    }

    #[test]
    fn hosts_have_no_port_and_urls_are_https() {
        let hosts = [
            // (text, is a host)
            ("demo.example.com", true),
            ("localhost", true),
            ("10.0.0.1", true),
            ("[::1]", true),
            ("my_host", true),
            ("Demo.example.com", false),
            ("demo.example.com:8080", false),
            ("demo.example.com/", false),
            ("demo.example.com.", true),
            ("demo.example.com..", false),
            (".", false),
            ("::1", false),
            ("", false),
        ];
        check(&HOST, &hosts);
        let urls = [
            // (text, is an https URL)
            ("https://id.example.com/oauth/v2/keys", true),
            ("https://id.example.com:8443/keys?x=1", true),
            ("http://id.example.com/keys", false),
            ("https:///keys", false),
            ("https://me:secret@id.example.com/keys", false),
            ("/keys", false),
            ("id.example.com", false),
        ];
        check(&HTTPS_URL, &urls);
    }

    #[test]
    fn what_names_a_certificate_is_spelt_in_one_way() {
        let uris = [
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
        ];
        check(&CERTIFICATE_URI, &uris);
        let subjects = [
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
        ];
        check(&SUBJECT, &subjects);
    }

    #[test]
    fn permissions_and_roles_have_a_known_form() {
        let permissions = [
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
        ];
        check(&PERMISSION, &permissions);
        let roles = [
            // (text, is a role name)
            ("IAM_OWNER", true),
            ("ORG.OWNER-2", true),
            ("A,B", false),
            (" A", false),
            ("A\n", false),
            ("", false),
        ];
        check(&ROLE, &roles);
    }
}
