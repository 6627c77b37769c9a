//! Starts with an invalid configuration: each ends with the documented exit code and one line that says what to do.

use crate::support::harness::Folder;

/// Runs the server on this folder. It must refuse to start. Returns its exit code and its last line.
fn refused(folder: &Folder, line: &str) -> (Option<i32>, String) {
    let output = folder.run(line);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.stdout.is_empty(), "nothing is listening: {}", String::from_utf8_lossy(&output.stdout));
    (output.status.code(), words)
}

#[test]
fn bad_configuration_is_64_and_names_key_value_and_what_is_allowed() {
    let table = [
        // (file, command, parts of the line)
        ("[server]\nlisen = \"127.0.0.1:0\"\n", "serve", ["server.lisen", "server.listen", "feature-server.toml"]),
        ("[limits]\ncalls = 0\n", "serve", ["limits.calls", "0", "1"]),
        ("[server]\nlisten = \"0.0.0.0:0\"\n", "serve", ["server.listen", "0.0.0.0:0", "server.allow_cleartext"]),
        ("[auth]\nleeway_s = 31\n", "serve", ["auth.leeway_s", "31", "30"]),
        ("not toml", "serve", ["feature-server.toml", "", ""]),
        ("", "serve --listen nowhere", ["server.listen", "nowhere", "--listen"]),
        ("", "token --role ROOT", ["ROOT", "IAM_OWNER", "ORG_OWNER"]),
        ("", "token --ttl 48h", ["auth.max_token_lifetime_s", "172800", "86400"]),
    ];
    for (config, line, says) in table {
        let folder = Folder::new(config);
        let (code, words) = refused(&folder, line);
        assert_eq!(code, Some(64), "{line}, {config:?}: {words}");
        assert_eq!(words.lines().count(), 1, "{words}");
        assert!(says.iter().all(|text| words.contains(text)), "{line}, {config:?}: {words} lacks one of {says:?}");
        assert!(!folder.data().join("journal").exists(), "{line}, {config:?} made a data folder");
    }
}

#[test]
fn an_issuer_whose_keys_cannot_be_read_is_64_before_the_server_says_that_it_listens() {
    let issuer =
        "[[auth.issuers]]\nissuer = \"https://id.example\"\naudience = \"features\"\njwks_file = \"no.json\"\n";
    let (code, words) = refused(&Folder::new(issuer), "serve --listen 127.0.0.1:0");
    assert_eq!(code, Some(64), "{words}");
    let last = words.lines().last().unwrap_or_default();
    assert!(last.contains("auth.issuers[0].jwks_file") && last.contains("no.json"), "{last}");
}
