//! URLs of databases: what they may say, and which hosts are called over TLS.

use crate::{PostgresOptions, PostgresUrl};

#[test]
fn a_url_is_refused_with_what_to_write_instead() {
    // the URL | a part of the error
    let table = [
        ("", "must be a URL such as postgres://USER@HOST/DATABASE"),
        ("mysql://u@h/d", "must be a URL such as"),
        ("host=h user=u dbname=d", "must be a URL such as"),
        ("postgres://h/d", "names no user"),
        ("postgres://@h/d", "names no user"),
        ("postgres://u@h", "names no database"),
        ("postgres://u@h/", "names no database"),
        ("postgres://u@/d", "names no host, or an empty one"),
        ("postgres://u@h1,,h3/d", "names no host, or an empty one"),
        ("postgres://u:secret@h/d", "holds a password, which would be shown with the URL: use store.password_file"),
        ("postgres://u:se?cret@h/d", "holds a password"),
        ("postgres://u:@h/d", "holds a password"),
        ("postgres://u@h/d?password=secret", "holds a password"),
        ("postgres://u@h:port/d", "cannot be read: invalid connection string: invalid value for option"),
        ("postgres://u@[::1/d", "cannot be read: invalid connection string: invalid value for option"),
        ("postgres://u@h/d?port=1&port=2", "has 3 ports for 1 hosts"),
        ("postgres://u@h/d?connect_timeout=10", "sets connect_timeout, which this server sets itself: leave it out"),
        ("postgres://u@h/d?target_session_attrs=any", "sets target_session_attrs, which"),
        ("postgres://u@h/d?sslrootcert=a.pem", "has the parameter sslrootcert, and may have only channel_binding,"),
        ("postgres://u@h/d?%70assword=secret", "has the parameter %70assword"),
        ("postgres://u@h/d?sslmode=verify-ca", "has sslmode=verify-ca, which must be disable, prefer, require or"),
    ];
    for (url, part) in table {
        let error = url.parse::<PostgresUrl>().expect_err(url).to_string();
        assert!(error.contains(part), "{url}: {error}");
        assert!(!error.contains("secret") && !error.contains("cret@"), "{url}: {error}");
        assert!(!error.contains('\n'), "{url}: {error}");
    }
}

#[test]
fn a_url_says_which_hosts_are_local_and_called_over_tls() {
    let tls_needed = Some(true);
    // the URL | whether it is local | TLS, and TLS where clear text is allowed: None is an error
    let table = [
        ("postgres://u@localhost/d", true, Some(false), Some(false)),
        ("postgres://u@127.1.2.3,[::1]:5433/d", true, Some(false), Some(false)),
        ("postgresql://u@%2Frun%2Fpostgresql/d", true, Some(false), Some(false)),
        ("postgres://u@/d?host=/run/postgresql", true, Some(false), Some(false)),
        ("postgres:///d?user=u&host=/run/postgresql&port=5433", true, Some(false), Some(false)),
        ("postgres://u@%2Frun%2Fpostgresql/d?sslmode=require", true, Some(false), Some(false)),
        ("postgres://u@localhost/d?sslmode=prefer", true, Some(false), Some(false)),
        ("postgres://u@localhost/d?sslmode=require", true, tls_needed, tls_needed),
        ("postgres://u@db1,db2:5433,db3/d", false, tls_needed, Some(false)),
        ("postgres://u@localhost,db2/d?options=-c%20search_path%3Dx", false, tls_needed, Some(false)),
        ("postgres://u@10.0.0.1/d?sslmode=prefer&channel_binding=require", false, tls_needed, tls_needed),
        ("postgres://u@db1/d?sslmode=verify-full", false, tls_needed, tls_needed),
        ("postgres://u@db1/d?sslmode=disable", false, None, Some(false)),
        ("postgres://u@localhost.example/d", false, tls_needed, Some(false)),
    ];
    for (text, is_local, tls, tls_if_cleartext) in table {
        let url: PostgresUrl = text.parse().expect(text);
        assert_eq!(url.is_local(), is_local, "{text}");
        assert_eq!(url.uses_tls(false).ok(), tls, "{text}");
        assert_eq!(url.uses_tls(true).ok(), tls_if_cleartext, "{text}");
        assert_eq!(url.to_string(), text);
    }
}

#[test]
fn options_do_not_show_the_password() {
    let url = "postgres://u@db1/d".parse().unwrap();
    let options = PostgresOptions { password: Some("secret".to_owned()), ..PostgresOptions::new(url) };
    let shown = format!("{options:?}");
    assert!(shown.contains("postgres://u@db1/d") && !shown.contains("secret"), "{shown}");
}
