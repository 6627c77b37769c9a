//! Settings of TLS and of client certificates that do not fit together.

use super::check;

#[test]
fn settings_of_tls_that_do_not_fit_together_are_told() {
    let certificate = |name: &str| format!("[[auth.certificates]]\nroles = ['IAM_OWNER']\n{name}\n");
    let tls = "tls.certificate_file = 'c.pem'\ntls.key_file = 'k.pem'\n";
    let mutual = format!("{tls}tls.client_ca_file = 'a.pem'\n");
    let table = [
        // (file, what is said)
        (
            "tls.certificate_file = 'c.pem'".to_owned(),
            "tls.certificate_file = \"c.pem\" (FILE): must be accompanied by tls.key_file".to_owned(),
        ),
        (
            "tls.key_file = 'k.pem'".to_owned(),
            "tls.key_file = \"k.pem\" (FILE): must be accompanied by tls.certificate_file".to_owned(),
        ),
        (
            "tls.client_ca_file = 'a.pem'".to_owned(),
            "tls.client_ca_file = \"a.pem\" (FILE): must be accompanied by tls.certificate_file".to_owned(),
        ),
        (
            format!("{tls}tls.client_crl_file = 'l.pem'"),
            "tls.client_crl_file = \"l.pem\" (FILE): must be accompanied by tls.client_ca_file".to_owned(),
        ),
        (
            format!("{tls}{}", certificate("uri = 'a:b'")),
            "auth.certificates[0].uri = \"a:b\" (FILE): must be accompanied by tls.client_ca_file, whose certificates \
             the client's is checked against"
                .to_owned(),
        ),
        (
            certificate(""),
            "auth.certificates[0].roles = [\"IAM_OWNER\"] (FILE): must be accompanied by exactly one of uri and subject"
                .to_owned(),
        ),
        (
            certificate("uri = 'a:b'\nsubject = 'CN=c'"),
            "auth.certificates[0].roles = [\"IAM_OWNER\"] (FILE): must be accompanied by exactly one of uri and subject"
                .to_owned(),
        ),
        (
            format!("{mutual}{}{}", certificate("subject = 'CN=c'"), certificate("subject = 'CN=c'")),
            "auth.certificates[1].subject = \"CN=c\" (FILE): must be a name that no other entry of auth.certificates has"
                .to_owned(),
        ),
    ];
    for (file, expected) in table {
        check(&file, &[], &[], &expected);
    }
}
