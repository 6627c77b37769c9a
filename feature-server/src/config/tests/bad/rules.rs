//! Values that are good by themselves and do not fit together.

use super::check;
use crate::config::tests::load;

#[test]
fn values_that_do_not_fit_together_are_told() {
    let issuer = |name: &str, keys: &str| format!("[[auth.issuers]]\nissuer = '{name}'\naudience = 'a'\n{keys}\n");
    let one_of_two = "accompanied by exactly one of jwks_file and jwks_url";
    let table = [
        // (file, what is said)
        (
            "server.listen = '0.0.0.0:8080'".to_owned(),
            "server.listen = \"0.0.0.0:8080\" (FILE): must be a loopback address such as 127.0.0.1:8080, unless \
             there is a tls.certificate_file, or server.allow_cleartext = true says that other machines may connect \
             without TLS"
                .to_owned(),
        ),
        (
            "limits.default_deadline_ms = 70000".to_owned(),
            "limits.default_deadline_ms = 70000 (FILE): must be at most limits.max_deadline_ms = 60000 (default)"
                .to_owned(),
        ),
        (
            "limits.max_deadline_ms = 5000".to_owned(),
            "limits.default_deadline_ms = 10000 (default): must be at most limits.max_deadline_ms = 5000 (FILE)"
                .to_owned(),
        ),
        (
            issuer("feature-server", "jwks_file = 'f'"),
            "auth.issuers[0].issuer = \"feature-server\" (FILE): must be another name than that of the server itself"
                .to_owned(),
        ),
        (
            "auth.roles_claim = 'sub'".to_owned(),
            "auth.roles_claim = \"sub\" (FILE): must be a claim that has no other meaning".to_owned(),
        ),
        (
            "limits.message_bytes = 33554433".to_owned(),
            "limits.message_bytes = 33554433 (FILE): must be at most limits.request_bytes = 33554432 (default)"
                .to_owned(),
        ),
        (
            "traces = { endpoint = 'http://one:4317', ca_file = 'c.pem' }".to_owned(),
            "traces.ca_file = \"c.pem\" (FILE): must be accompanied by an https URL in traces.endpoint".to_owned(),
        ),
        (
            "history.keep = '50 GiB'\nstore.url = 'postgres://u@db/d'".to_owned(),
            "history.keep = \"50 GiB\" (FILE): must be \"forever\" or a number of days, since store.url names a database \
             for the history"
                .to_owned(),
        ),
        (
            "store.durability = 'replicated'".to_owned(),
            "store.durability = \"replicated\" (FILE): must be accompanied by store.url".to_owned(),
        ),
        (
            "store.url = 'postgres://u:secret@db/d'".to_owned(),
            "store.url: holds a password, which would be shown with the URL: use store.password_file or the variable \
             PGPASSWORD"
                .to_owned(),
        ),
        (issuer("i", ""), format!("auth.issuers[0].issuer = \"i\" (FILE): must be {one_of_two}")),
        (
            issuer("i", "jwks_file = 'f'\njwks_url = 'https://i'"),
            format!("auth.issuers[0].issuer = \"i\" (FILE): must be {one_of_two}"),
        ),
        (
            issuer("i", "jwks_file = 'f'\njwks_ca_file = 'c'"),
            "auth.issuers[0].jwks_ca_file = \"c\" (FILE): must be accompanied by jwks_url".to_owned(),
        ),
        (
            issuer("i", "jwks_file = 'f'") + &issuer("i", "jwks_file = 'g'"),
            "auth.issuers[1].issuer = \"i\" (FILE): must be an issuer that no other entry of auth.issuers names"
                .to_owned(),
        ),
    ];
    for (file, expected) in table {
        check(&file, &[], &[], &expected);
    }
}

#[test]
fn other_machines_may_connect_in_clear_text_only_when_asked_for() {
    let table = [
        // (address, allow_cleartext, accepted)
        ("127.0.0.1:0", false, true),
        ("127.9.9.9:1", false, true),
        ("[::1]:8080", false, true),
        ("[::ffff:127.0.0.1]:8080", false, true),
        ("0.0.0.0:8080", false, false),
        ("[::]:8080", false, false),
        ("192.0.2.1:8080", false, false),
        ("0.0.0.0:8080", true, true),
    ];
    for (address, allow, accepted) in table {
        let file = format!("server.allow_cleartext = {allow}");
        assert_eq!(load(&file, &[], &[("--listen", address)]).is_ok(), accepted, "{address} {allow}");
        let tls = format!("{file}\ntls.certificate_file = 'c.pem'\ntls.key_file = 'k.pem'");
        load(&tls, &[], &[("--listen", address)]).expect("with TLS they may connect");
    }
}
