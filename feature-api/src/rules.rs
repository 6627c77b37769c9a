//! Checks texts against the option `feature.v1.rules` of their field.

use fluent_uri::Uri;
use prost_reflect::FieldDescriptor;

use crate::feature::v1::Rules;

/// The option that carries [`Rules`].
const RULES_OPTION: &str = "feature.v1.rules";

/// Checks `text` as a value of `field`. The error says what is wrong.
pub(crate) fn check_text(field: &FieldDescriptor, text: &str) -> Result<(), String> {
    let rules = rules(field);
    let max = rules.max_characters as usize;
    if max > 0 && text.chars().count() > max {
        return Err(format!("must have at most {max} characters"));
    }
    if rules.web_uri { check_web_uri(text).map_err(str::to_owned) } else { Ok(()) }
}

/// The most elements of a list or map of this project's own messages; `None` without a limit.
pub(crate) fn max_items(field: &FieldDescriptor) -> Option<usize> {
    let is_own = field.parent_file().package_name() == "feature.v1";
    Some(rules(field).max_items as usize).filter(|max| is_own && *max > 0)
}

fn rules(field: &FieldDescriptor) -> Rules {
    let pool = field.parent_pool();
    let extension = pool.get_extension_by_name(RULES_OPTION);
    let options = field.options();
    extension
        .and_then(|extension| options.get_extension(&extension).as_message().map(|message| message.transcode_to()))
        .and_then(Result::ok)
        .unwrap_or_default()
}

fn check_web_uri(text: &str) -> Result<(), &'static str> {
    let uri =
        Uri::parse(text).map_err(|_| "must be an absolute URI (RFC 3986), such as https://login.example.com/ui")?;
    if !["http", "https"].iter().any(|scheme| uri.scheme().as_str().eq_ignore_ascii_case(scheme)) {
        return Err("must have the scheme http or https");
    }
    let authority = uri.authority().ok_or("must name a host")?;
    if authority.host().is_empty() {
        return Err("must name a host");
    }
    if authority.has_userinfo() {
        return Err("must not carry user information");
    }
    if authority.port_to_u16().is_err() {
        return Err("must have a port of at most 65535");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_web_uri;

    #[test]
    fn a_web_uri_is_absolute_http_with_a_host_and_without_user_information() {
        let table = [
            // (uri, accepted)
            ("https://login.example.com", true),
            ("http://localhost:3000/ui/v2?x=1#top", true),
            ("HTTPS://[::1]:8443/", true),
            ("https://xn--bcher-kva.example/%C3%BC", true),
            ("", false),
            ("login.example.com", false),
            ("/ui/v2", false),
            ("//login.example.com/", false),
            ("ftp://example.com/", false),
            ("javascript:alert(1)", false),
            ("https:", false),
            ("https:///path", false),
            ("https://:8080/", false),
            ("https://user@example.com/", false),
            ("https://user:secret@example.com/", false),
            ("https://example.com:99999/", false),
            ("https://exa mple.com/", false),
            ("https://example.com/ü", false),
            ("https://example.com/\n", false),
        ];
        for (uri, accepted) in table {
            assert_eq!(check_web_uri(uri).is_ok(), accepted, "{uri:?}");
        }
    }
}
