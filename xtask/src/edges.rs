//! Checks the dependencies between the crates of the workspace, which point in one direction.

use anyhow::{Result, bail};
use cargo_metadata::{DependencyKind, Metadata};

/// The allowed dependencies of a crate of the workspace.
struct Rule {
    of: &'static str,
    /// The crates of the workspace that it may use, also in tests.
    members: &'static [&'static str],
    /// The external crates that it may use, except in tests; `None` allows all.
    others: Option<&'static [&'static str]>,
}

/// What the server may depend on.
const SERVER: [&str; 5] = ["feature-api", "feature-auth", "feature-core", "feature-store", "grpc-transcoding"];

const RULES: [Rule; 9] = [
    Rule { of: "feature-core", members: &[], others: Some(&["thiserror"]) },
    Rule { of: "feature-api", members: &["feature-core"], others: None },
    Rule { of: "feature-store", members: &["feature-core"], others: None },
    Rule { of: "feature-auth", members: &["feature-core"], others: None },
    // It serves any tonic service.
    Rule { of: "grpc-transcoding", members: &[], others: None },
    Rule { of: "feature-server", members: &SERVER, others: None },
    // It sees the server as its clients do.
    Rule { of: "bench", members: &["feature-api"], others: None },
    // It uses the server as an operator does: as a binary.
    Rule { of: "torture", members: &["feature-api"], others: None },
    Rule { of: "xtask", members: &[], others: None },
];

/// Fails if a crate has a dependency that its rule does not allow, or has no rule.
pub fn check(metadata: &Metadata) -> Result<()> {
    let packages = metadata.workspace_packages();
    let members: Vec<_> = packages.iter().map(|package| package.name.as_str()).collect();
    let edges = packages.iter().flat_map(|package| {
        package.dependencies.iter().map(|dependency| Edge {
            from: package.name.as_str(),
            to: &dependency.name,
            test_only: dependency.kind == DependencyKind::Development,
        })
    });
    let violations = violations(&members, &edges.collect::<Vec<_>>());
    if !violations.is_empty() {
        bail!("{}\n(the rules stand in xtask/src/edges.rs)", violations.join("\n"));
    }
    println!("{} crates keep to their edges", members.len());
    Ok(())
}

struct Edge<'a> {
    from: &'a str,
    to: &'a str,
    test_only: bool,
}

fn violations(members: &[&str], edges: &[Edge]) -> Vec<String> {
    let unruled = members.iter().filter(|member| rule(member).is_none());
    let mut violations: Vec<_> = unruled.map(|member| format!("no rule says what {member} may depend on")).collect();
    for Edge { from, to, test_only } in edges {
        let Some(rule) = rule(from) else { continue };
        let allowed = match members.contains(to) {
            true => rule.members.contains(to),
            false => *test_only || rule.others.is_none_or(|others| others.contains(to)),
        };
        if !allowed {
            violations.push(format!("{from} must not depend on {to}"));
        }
    }
    violations
}

fn rule(of: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.of == of)
}

#[cfg(test)]
mod tests {
    use super::{Edge, violations};

    #[test]
    fn edges_point_one_way() {
        let members = [
            "feature-core",
            "feature-api",
            "feature-store",
            "feature-auth",
            "grpc-transcoding",
            "feature-server",
            "xtask",
        ];
        let check = |from, to, kind, allowed| {
            let found = violations(&members, &[Edge { from, to, test_only: kind == "test" }]);
            assert_eq!(found.is_empty(), allowed, "{from} -> {to} ({kind}): {found:?}");
        };
        //    from              to                kind     allowed
        check("feature-core", "thiserror", "normal", true);
        check("feature-core", "serde", "normal", false);
        check("feature-core", "proptest", "test", true);
        check("feature-api", "feature-core", "normal", true);
        check("feature-api", "feature-store", "normal", false);
        check("feature-api", "tonic", "normal", true);
        check("feature-store", "feature-core", "normal", true);
        check("feature-store", "feature-api", "test", false);
        check("feature-auth", "feature-core", "normal", true);
        check("feature-auth", "feature-api", "normal", false);
        check("feature-server", "feature-store", "normal", true);
        check("feature-server", "feature-auth", "normal", true);
        check("grpc-transcoding", "tonic", "normal", true);
        check("grpc-transcoding", "feature-api", "test", false);
        check("feature-server", "grpc-transcoding", "normal", true);
        check("feature-server", "xtask", "normal", false);
        check("xtask", "clap", "normal", true);
        check("xtask", "feature-core", "normal", false);
    }

    #[test]
    fn a_crate_without_a_rule_is_reported() {
        assert_eq!(violations(&["feature-new"], &[]), ["no rule says what feature-new may depend on"]);
    }
}
