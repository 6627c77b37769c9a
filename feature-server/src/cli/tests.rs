//! Valid command lines, and the answers to invalid ones.

use super::*;

fn parse(line: &str) -> Result<CommandLine, clap::Error> {
    CommandLine::try_parse_from(std::iter::once("feature-server").chain(line.split_whitespace()))
}

#[test]
fn clap_finds_no_fault_in_the_definition() {
    Arguments::command().debug_assert();
}

#[test]
fn the_flags_of_serving_work_before_and_after_the_command() {
    let (serve, print) = (|| Command::Serve(Listen::default()), || Command::Config(Listen::default()));
    let keys = |keys| Command::Token(TokenArgs { keys: Some(keys), ..TokenArgs::default() });
    let table = [
        // (arguments, command, listen, data, config)
        ("", serve(), None, None, None),
        ("serve", serve(), None, None, None),
        ("--listen A --data B --config C", serve(), Some("A"), Some("B"), Some("C")),
        ("serve --listen A --data B --config C", serve(), Some("A"), Some("B"), Some("C")),
        ("--listen A --data B --config C serve", serve(), Some("A"), Some("B"), Some("C")),
        ("--listen A --config C serve --data B", serve(), Some("A"), Some("B"), Some("C")),
        ("--listen A --data B serve --listen A2 --data B2", serve(), Some("A2"), Some("B2"), None),
        ("config", print(), None, None, None),
        ("--listen A config --config C", print(), Some("A"), None, Some("C")),
        ("config --listen A --data B", print(), Some("A"), Some("B"), None),
        ("token keygen", keys(KeysCommand::Keygen), None, None, None),
        ("token keygen --data B --config C", keys(KeysCommand::Keygen), None, Some("B"), Some("C")),
        ("token --data B keygen", keys(KeysCommand::Keygen), None, Some("B"), None),
        ("token keys --data B", keys(KeysCommand::Keys), None, Some("B"), None),
        ("--data B token keygen", keys(KeysCommand::Keygen), None, Some("B"), None),
        ("export --data B", Command::Export { output: None }, None, Some("B"), None),
        ("export --output F", Command::Export { output: Some("F".into()) }, None, None, None),
        ("export -o F", Command::Export { output: Some("F".into()) }, None, None, None),
        ("--data B import F", Command::Import { file: "F".into() }, None, Some("B"), None),
        ("verify", Command::Verify { folder: None }, None, None, None),
        ("verify F", Command::Verify { folder: Some("F".into()) }, None, None, None),
        ("backup T", Command::Backup { target: "T".into(), without_keys: false }, None, None, None),
        (
            "backup --without-keys T --data B",
            Command::Backup { target: "T".into(), without_keys: true },
            None,
            Some("B"),
            None,
        ),
    ];
    for (line, command, listen, data, config) in table {
        let flags = Flags {
            config: config.map(PathBuf::from),
            listen: listen.map(Into::into),
            data: data.map(Into::into),
            store: None,
        };
        assert_eq!(parse(line).unwrap(), CommandLine { flags, command }, "{line:?}");
    }
}

#[test]
fn a_token_has_roles_ids_and_a_lifetime() {
    let table = [
        // (arguments, roles, instance, organization, user, seconds)
        ("token", "", None, None, None, 3600),
        ("token --role A", "A", None, None, None, 3600),
        ("token --role A,B --role C,A", "A B C", None, None, None, 3600),
        ("token --instance i --organization o --user u", "", Some("i"), Some("o"), Some("u"), 3600),
        ("token --role A --ttl 90s", "A", None, None, None, 90),
        ("token --role A --verbose", "A", None, None, None, 3600),
        ("token --ttl 1h30m --data B", "", None, None, None, 5400),
    ];
    for (line, roles, instance, organization, user, seconds) in table {
        let expected = TokenArgs {
            roles: roles.split_whitespace().map(Into::into).collect(),
            instance: instance.map(|id| InstanceId::new(id).unwrap()),
            organization: organization.map(|id| OrganizationId::new(id).unwrap()),
            user: user.map(|id| UserId::new(id).unwrap()),
            ttl: line.contains("--ttl").then_some(Duration::from_secs(seconds)),
            verbose: line.ends_with("--verbose"),
            keys: None,
        };
        assert_eq!(expected.ttl(), Duration::from_secs(seconds), "{line:?}");
        assert_eq!(parse(line).unwrap().command, Command::Token(expected), "{line:?}");
    }
}

#[test]
fn wrong_arguments_are_named() {
    let long = format!("token --instance {}", "x".repeat(201));
    let table = [
        // (arguments, what the first line says)
        ("--lisen A", "unexpected argument '--lisen' found"),
        ("serv", "unrecognized subcommand 'serv'"),
        ("serve token", "unexpected argument 'token' found"),
        ("exprot", "unrecognized subcommand 'exprot'"),
        ("--data", "a value is required for '--data <DIR>' but none was supplied"),
        ("--listen A token", "the argument '--listen' cannot be used with the subcommand 'token'"),
        ("token --listen A", "unexpected argument '--listen' found"),
        ("--listen A export", "the argument '--listen' cannot be used with the subcommand 'export'"),
        ("--listen A verify", "the argument '--listen' cannot be used with the subcommand 'verify'"),
        ("import", "the following required arguments were not provided"),
        ("backup", "the following required arguments were not provided"),
        ("export F", "unexpected argument 'F' found"),
        ("backup A B", "unexpected argument 'B' found"),
        ("token --ttl soon", "invalid value 'soon' for '--ttl <TIME>': must be a time of at least one second"),
        ("token --ttl 0s", "invalid value '0s' for '--ttl <TIME>': must be a time of at least one second"),
        ("token --ttl 1500ms", "invalid value '1500ms' for '--ttl <TIME>': must be a time of at least one second"),
        ("token --role A,", "invalid value '' for '--role <ROLE>': must not be empty"),
        ("token --user=", "invalid value '' for '--user <ID>': must not be empty"),
        (long.as_str(), "has 201 characters, at most 200 are allowed"),
        ("token --role A keygen", "the subcommands of 'token' take no argument beside '--data' and '--config'"),
        ("token --verbose keys", "the subcommands of 'token' take no argument beside '--data' and '--config'"),
        ("token keygen --role A", "unexpected argument '--role' found"),
    ];
    for (line, expected) in table {
        let error = parse(line).unwrap_err();
        let text = error.to_string();
        assert!(text.lines().next().unwrap().contains(expected), "{line:?}: {text}");
        assert!(error.use_stderr(), "{line:?}: {text}");
    }
}

#[test]
fn every_command_has_help_with_examples_on_standard_output() {
    let data = ["token keys --help", "export --help", "import --help", "verify --help", "backup --help"];
    let others = ["--help", "-h", "serve --help", "token --help", "token keygen --help", "config --help"];
    for line in others.into_iter().chain(data) {
        let help = parse(line).unwrap_err();
        assert!(!help.use_stderr(), "{line}");
        let text = help.to_string();
        assert!(text.contains("Examples:\n  feature-server"), "{line}: {text}");
        assert!(text.contains("--data <DIR>") && text.contains("--config <FILE>"), "{line}: {text}");
    }
    assert!(!parse("--version").unwrap_err().use_stderr());
}
