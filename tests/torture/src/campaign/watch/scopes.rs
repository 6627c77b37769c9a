//! The scopes and own features of the campaign, and what its streams show of them.

use feature_api::feature::v1::{ChangeKind, Level};

use super::record::Selection;
use super::streams::Pace;
use crate::workload::feature::Scope;

/// The own feature that each write gives a value that it never had.
pub const MARK: &str = "campaign.mark";
/// The own feature whose definition changes.
pub const SEATS: &str = "campaign.seats";
/// The own feature with large values.
pub const LARGE: &str = "campaign.large";
/// The own feature of one instance.
pub const LOCAL: &str = "campaign.local";

/// The instances.
pub const INSTANCES: [&str; 2] = ["instances/i0", "instances/i1"];

/// The users of the second instance that no client writes to: their values make up a large state.
const CROWD: usize = 150;

/// The names of the settings that are written.
pub fn written() -> Vec<String> {
    let mut names = vec![system()];
    for instance in INSTANCES {
        names.push(format!("{instance}/settings"));
        names.extend((0..2).map(|number| format!("{instance}/organizations/o{number}/settings")));
        names.extend((0..6).map(|number| format!("{instance}/users/u{number}/settings")));
    }
    names
}

/// The settings of the system.
pub fn system() -> String {
    "system/settings".to_owned()
}

/// The scope with this name.
pub fn scope(name: &str) -> Scope {
    match name.split('/').collect::<Vec<_>>()[..] {
        [_, instance, "organizations", id, _] => Scope::organization(instance, id),
        [_, instance, "users", id, _] => Scope::user(instance, id),
        [_, instance, _] => Scope::instance(instance),
        _ => Scope::system(),
    }
}

/// The streams of changes. Those that read the whole store come first, and the first one learns all changes.
pub fn changes() -> Vec<(Pace, Selection)> {
    let all = Selection::default;
    let within = |parent: &str| Selection { parent: parent.to_owned(), ..all() };
    vec![
        (Pace::Fast, all()),
        (Pace::Slow, all()),
        (Pace::Absent(3_000), all()),
        (Pace::Cut, within(INSTANCES[0])),
        (Pace::Slow, within(INSTANCES[1])),
        (Pace::Cut, within("instances/i0/organizations/o0")),
        (Pace::Absent(1_000), within("instances/i1/users/u1")),
        (Pace::Cut, Selection { feature: Some(MARK.to_owned()), level: Some(Level::User), ..all() }),
        (Pace::Slow, Selection { feature: Some(SEATS.to_owned()), ..all() }),
        (Pace::Fast, Selection { kind: Some(ChangeKind::Reset), ..within(INSTANCES[1]) }),
    ]
}

/// The streams of values: their scopes, and their features.
pub fn values() -> Vec<(Pace, Vec<String>, &'static [&'static str])> {
    let of = |start: &str| written().into_iter().filter(|name| name.starts_with(start)).collect::<Vec<_>>();
    let crowd = (0..CROWD).map(|number| format!("{}/users/p{number}/settings", INSTANCES[1]));
    vec![
        (Pace::Fast, of(""), &[]),
        (Pace::Slow, of(INSTANCES[0]), &[]),
        (Pace::Cut, of("instances/i1/users"), &[MARK, SEATS, "actions", "login_v2"]),
        (Pace::Absent(1_000), [system()].into_iter().chain(of("instances/i0/users")).collect(), &[]),
        (Pace::Slow, crowd.collect(), &[LARGE, "actions"]),
    ]
}
