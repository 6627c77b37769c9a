//! The steps that a change must pass, and the time that each takes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::shell::{Workspace, run};
use crate::torture::torture;
use crate::{deny, dist, edges, files, install, modules, prose};

/// The name of a step, and its function.
type Step = (&'static str, fn(&Workspace) -> Result<()>);

/// The steps that need no build.
const QUICK: [Step; 6] = [
    ("format", |workspace| run(workspace.cargo("fmt").args(["--all", "--check"]))),
    ("edges", |workspace| edges::check(&workspace.metadata)),
    ("files", |workspace| files::check(&workspace.path(""))),
    ("modules", |workspace| modules::check(&workspace.metadata)),
    ("folders", |workspace| files::check_folders(&workspace.path(""))),
    ("prose", |workspace| prose::check(&workspace.path(""))),
];

/// Everything else, the quick ones first.
const SLOW: [Step; 9] = [
    ("install", install::install),
    ("supply chain", deny::deny),
    ("proto style", |workspace| run(workspace.node_program("buf").arg("lint"))),
    ("clippy", |workspace| {
        run(workspace.cargo("clippy").args(["--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))
    }),
    // Only feature-api has this test, but selecting the whole workspace avoids a second set of built dependencies.
    ("descriptors", |workspace| test(workspace, &["--test".into(), "contract".into()])),
    ("test", |workspace| test(workspace, &[])),
    ("test on postgres", test_on_postgres),
    ("torture", |workspace| torture(workspace, &["ci".into()])),
    // The release binary is the one that the campaigns have built.
    ("packages", |workspace| dist::dist(workspace, dist::RELEASE).and_then(|()| dist::check(workspace, dist::RELEASE))),
];

/// The modules of the end-to-end tests that do not run on PostgreSQL as well: they are about the data folder or do
/// without a store, or use PostgreSQL in any case.
const NOT_ON_POSTGRES: [&str; 10] = [
    "clients::json_oracle",
    "data::folder",
    "data::permissions",
    "data::tools",
    "fleet",
    "http",
    "limits",
    "openapi",
    "operations",
    "tls",
];

/// Runs every step until one fails. Prints the times in either case.
pub fn ci(workspace: &Workspace) -> Result<()> {
    let mut times = Vec::new();
    let result = QUICK.iter().chain(&SLOW).try_for_each(|step| run_step(workspace, step, &mut times));
    println!("\n{}", table(&times));
    result
}

/// Runs all steps that need no build, also after one has failed.
pub fn check(workspace: &Workspace) -> Result<()> {
    let mut times = Vec::new();
    let results = QUICK.iter().map(|step| run_step(workspace, step, &mut times));
    let failures: Vec<_> = results.filter_map(Result::err).map(|error| format!("{error:#}")).collect();
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}

fn run_step(workspace: &Workspace, (name, step): &Step, times: &mut Vec<(&str, Duration)>) -> Result<()> {
    println!("\n=== {name}");
    let start = Instant::now();
    let result = step(workspace).with_context(|| format!("the step '{name}' failed"));
    times.push((*name, start.elapsed()));
    result
}

/// `cargo test` on the whole workspace, or on the packages that the arguments name.
pub fn test(workspace: &Workspace, args: &[String]) -> Result<()> {
    let mut command = workspace.cargo("test");
    command.arg("--locked");
    if !names_a_package(args) {
        command.arg("--workspace");
    }
    run(command.args(args))
}

/// The end-to-end tests once more, with servers that keep what they know in a PostgreSQL.
pub fn test_on_postgres(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo("test");
    command.env("E2E_STORE", "postgres").args(["--locked", "--workspace", "--test", "e2e", "--"]);
    run(command.args(NOT_ON_POSTGRES.iter().flat_map(|module| ["--skip".to_owned(), format!("{module}::")])))
}

fn names_a_package(args: &[String]) -> bool {
    let cargo_args = args.iter().take_while(|arg| *arg != "--");
    cargo_args.into_iter().any(|arg| arg.starts_with("-p") || arg.starts_with("--package"))
}

fn table(times: &[(&str, Duration)]) -> String {
    let row = |name: &str, time: Duration| format!("{name:<16} {:>3} s", time.as_secs_f64().round());
    let total = row("total", times.iter().map(|(_, time)| *time).sum());
    times.iter().map(|(name, time)| row(name, *time)).chain([total]).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{names_a_package, table};

    #[test]
    fn a_package_is_named_before_the_two_dashes_only() {
        let check = |line: &str, named: bool| {
            let args: Vec<_> = line.split_whitespace().map(String::from).collect();
            assert_eq!(names_a_package(&args), named, "{line}");
        };
        //    arguments                 names a package
        check("", false);
        check("--test e2e browser", false);
        check("-p feature-core", true);
        check("--package=feature-core", true);
        check("--test e2e -- -p", false);
    }

    #[test]
    fn the_times_add_up() {
        let times = [("format", Duration::from_secs(2)), ("test", Duration::from_secs(75))];
        assert_eq!(table(&times), "format             2 s\ntest              75 s\ntotal             77 s");
    }
}
