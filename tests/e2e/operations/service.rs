//! The systemd unit in `deploy/`: systemd accepts it, it is locked down, and it matches the server's defaults.

use std::fs;
use std::process::Output;
use std::time::Duration;

use feature_server::config::Settings;

use crate::support::harness::{BINARY, Folder, limited};

/// The maximum exposure that `systemd-analyze security` may find, in tenths: 0 is none, 100 is full.
const EXPOSURE: &str = "--threshold=15";

const UNIT: &str = include_str!("../../../deploy/feature-server.service");

/// The values of a setting of the unit. A setting may occur several times.
fn values(name: &str) -> Vec<&'static str> {
    let settings = UNIT.lines().filter_map(|line| line.split_once('='));
    settings.filter(|(key, _)| *key == name).map(|(_, value)| value).collect()
}

fn value(name: &str) -> &'static str {
    let [value] = values(name).try_into().unwrap_or_else(|values| panic!("{name} is set once, not {values:?}"));
    value
}

/// Runs `systemd-analyze` on the unit, with the path of the test's binary and with additional lines.
fn analyze(arguments: &[&str], more: &str) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let unit = folder.path().join("feature-server.service");
    let text = UNIT.replace("ExecStart=/usr/bin/feature-server ", &format!("ExecStart={BINARY} "));
    assert_ne!(text, UNIT, "the unit starts the binary");
    fs::write(&unit, text + more).expect("the folder is writable");
    limited("systemd-analyze").args(arguments).arg(&unit).output().expect("systemd-analyze starts")
}

#[test]
fn systemd_understands_every_line() {
    let table = [
        // (additional lines, whether systemd complains)
        ("", false),
        ("[Service]\nProtectEverything=yes\n", true),
    ];
    for (more, complains) in table {
        let output = analyze(&["verify", "--man=no"], more);
        let said = String::from_utf8_lossy(&output.stderr);
        // systemd may also complain about other units of this machine.
        assert_eq!(said.contains("feature-server.service"), complains, "{said}");
        assert!(complains || output.status.success(), "{said}");
    }
}

#[test]
fn the_unit_is_locked_down() {
    let table = [
        // (additional lines, whether the unit is locked down well enough)
        ("", true),
        ("[Service]\nProtectSystem=no\nNoNewPrivileges=no\nSystemCallFilter=\n", false),
    ];
    for (more, good) in table {
        let output = analyze(&["security", "--offline=true", "--no-pager", EXPOSURE], more);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("Overall exposure level"), "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.success(), good, "{said}");
    }
}

#[test]
fn the_unit_fits_the_defaults_of_the_server() {
    let defaults = Settings::default();
    let stop = Duration::from_secs(value("TimeoutStopSec").parse().expect("seconds"));
    assert!(stop > Duration::from_millis(2 * defaults.server.shutdown_grace_ms), "calls may finish before a kill");
    let files: usize = value("LimitNOFILE").parse().expect("a number");
    assert!(files > defaults.limits.connections + 1024, "there is a file for every connection, and some for the store");
    assert_eq!(value("StateDirectory"), "feature-server", "it lies in /var/lib, where ExecStart looks for it");
}

#[test]
fn the_units_command_works_and_bad_configuration_is_not_retried() {
    let folder = Folder::new("[limits]\ncalls = 0\n");
    let config = folder.file("feature-server.toml");
    let mut words = value("ExecStart").split(' ');
    assert_eq!(words.next(), Some("/usr/bin/feature-server"));
    let words = words.map(|word| match word {
        "/etc/feature-server/feature-server.toml" => config.clone().into_os_string(),
        "/var/lib/feature-server" => folder.data().into_os_string(),
        word => word.into(),
    });
    let output = limited(BINARY).args(words).env_clear().output().expect("the binary starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("limits.calls = 0") && said.contains(&*config.to_string_lossy()), "{said}");
    assert_eq!(output.status.code().map(|code| code.to_string()).as_deref(), Some(value("RestartPreventExitStatus")));
}
