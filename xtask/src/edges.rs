//! The dependency edges of the workspace, which point one way.

use anyhow::{Result, bail};
use cargo_metadata::{DependencyKind, Metadata};

/// What a crate of the workspace may depend on.
struct Rule {
    of: &'static str,
    /// The crates of the workspace that it may use, for any purpose.
    members: &'static [&'static str],
    /// The crates from elsewhere that it may be built of; `None` allows all. Its tests are free.
    others: Option<&'static [&'static str]>,
}

const RULES: [Rule; 8] = [
    Rule { of: "feature-core", members: &[], others: Some(&["thiserror"]) },
    Rule { of: "feature-api", members: &["feature-core"], others: None },
    Rule { of: "feature-store", members: &["feature-core"], others: None },
    // It serves any tonic service.
    Rule { of: "grpc-transcoding", members: &[], others: None },
    Rule {
        of: "feature-server",
        members: &["feature-api", "feature-core", "feature-store", "grpc-transcoding"],
        others: None,
    },
    // It sees the server as its clients do.
    Rule { of: "bench", members: &["feature-api"], others: None },
    // It sees the server as an operator does: as a binary.
    Rule { of: "torture", members: &["feature-api"], others: None },
    Rule { of: "xtask", members: &[], others: None },
];

/// Fails when a crate depends on what it must not, or is missing from the rules.
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
        let members = ["feature-core", "feature-api", "feature-store", "grpc-transcoding", "feature-server", "xtask"];
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
        check("grpc-transcoding", "tonic", "normal", true);
        check("grpc-transcoding", "feature-api", "test", false);
        check("feature-server", "feature-store", "normal", true);
        check("feature-server", "grpc-transcoding", "normal", true);
        check("feature-server", "xtask", "normal", false);
        check("xtask", "clap", "normal", true);
        check("xtask", "feature-core", "normal", false);
    }

    #[test]
    fn a_crate_without_a_rule_is_told() {
        assert_eq!(violations(&["feature-new"], &[]), ["no rule says what feature-new may depend on"]);
    }
}
