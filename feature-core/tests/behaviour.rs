//! The rules of setting and reading features, as tables that a product person can check.
//!
//! `on` and `off` are values of a flag; a dash is 'not set'. `login` is a message with the parts `required` and
//! `uri`, and `paths` a list of numbers.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use feature_core::{FeatureKey, FeatureSet, Kind, Layer, Level, Patch, PatchError, Presence, Value, resolve};

/// What a Set does to a level. In the columns 'before', 'request' and 'after' a feature that is not named is not
/// set; an empty cell is nothing at all. The mask `none` is no mask, an empty cell one without paths.
const SET: &str = "
| before                | request                  | mask                    | after                   | changes |
|                       | actions=on               | none                    | actions=on              | 1 |
|                       | actions=off              | none                    | actions=off             | 1 |
| actions=on            | actions=on               | none                    | actions=on              | 0 |
| actions=on            | actions=off              | none                    | actions=off             | 1 |
| actions=on schema=on  | actions=off              | none                    | actions=off schema=on   | 1 |
|                       | actions=on schema=off    | none                    | actions=on schema=off   | 2 |
| paths=1,2             | actions=on               | none                    | actions=on paths=1,2    | 1 |
| paths=1,2             | paths=2                  | none                    | paths=2                 | 1 |
| paths=1,2             | paths=2,1                | none                    | paths=2,1               | 1 |
| login=required        | login=uri:a              | none                    | login=uri:a             | 1 |
|                       | login=                   | none                    | login=                  | 1 |
|                       | actions=on               |                         | actions=on              | 1 |
| actions=on schema=on  | actions=off              |                         | actions=off schema=on   | 1 |
| login=required        | login=uri:a              |                         | login=uri:a             | 1 |
| actions=on            | actions=off              | actions                 | actions=off             | 1 |
| actions=on            |                          | actions                 |                         | 1 |
| actions=on schema=on  |                          | actions                 | schema=on               | 1 |
|                       |                          | actions                 |                         | 0 |
| schema=on             | actions=on schema=off    | actions                 | actions=on schema=on    | 1 |
| paths=1               |                          | paths                   |                         | 1 |
| actions=on paths=1    | schema=on                | *                       | schema=on               | 3 |
| actions=on paths=1    |                          | *                       |                         | 2 |
| actions=on            | actions=off              | *,actions               | actions=off             | 1 |
| actions=on            |                          | actions,actions         |                         | 1 |
| login=required        | login=uri:a              | login.uri               | login=required,uri:a    | 1 |
| login=required,uri:a  | login=uri:b              | login.uri               | login=required,uri:b    | 1 |
| login=required,uri:a  |                          | login.uri               | login=required          | 1 |
| login=required,uri:a  | login=                   | login.uri               | login=required          | 1 |
| login=required,uri:a  | login=                   | login.required          | login=uri:a             | 1 |
| login=required,uri:a  |                          | login.required          | login=uri:a             | 1 |
| login=uri:a           |                          | login.uri               | login=                  | 1 |
|                       |                          | login.uri               |                         | 0 |
|                       | login=uri:a              | login.uri               | login=uri:a             | 1 |
|                       | login=required,uri:a     | login.uri               | login=uri:a             | 1 |
|                       | login=                   | login.required          | login=                  | 1 |
|                       | login=                   | login.uri               |                         | 0 |
|                       | login=required           | login.uri               |                         | 0 |
|                       | login=                   | login.uri,login.required | login=                 | 1 |
| login=required,uri:a  | login=uri:b              | login,login.required    | login=uri:b             | 1 |
| login=required,uri:a  | login=uri:b              | login.required,login    | login=uri:b             | 1 |
| login=required,uri:a  |                          | login.required,login    |                         | 1 |
| login=uri:a           | login=required           | login.uri,login.required | login=required         | 1 |
| future=on             | actions=on               | *                       | actions=on future=on    | 1 |
";

/// What a Set is refused for.
const REFUSED: &str = "
| request     | mask                 | refused because of       |
|             | none                 | no changes               |
|             |                      | no changes               |
| actions=on  | nothing              | nothing                  |
| actions=on  | actions,a,*,b        | a b                      |
| actions=on  | actions.enabled      | actions.enabled          |
| actions=on  | paths.0              | paths.0                  |
| actions=on  | login.other          | login.other              |
| actions=on  | login.uri.x          | login.uri.x              |
| actions=on  | login.               | login.                   |
| actions=on  | .login               | .login                   |
| actions=on  | Actions              | Actions                  |
| actions=on  | update_mask          | update_mask              |
";

/// What a read with inheritance answers, and which level it names as the source.
const INHERIT: &str = "
| system     | instance    | organization | user        | answer                                 |
|            |             |              |             |                                        |
| actions=on |             |              |             | actions=on@system                      |
| actions=on | actions=off |              |             | actions=off@instance                   |
| actions=on |             | actions=off  |             | actions=off@organization               |
| actions=on | actions=off | actions=off  | actions=on  | actions=on@user                        |
| actions=on |             | schema=on    |             | actions=on@system schema=on@organization |
|            |             |              | actions=off | actions=off@user                       |
| paths=1,2  |             |              | paths=3     | paths=3@user                           |
| login=uri:a |            | login=required |           | login=required@organization            |
";

#[test]
fn a_set_changes_what_it_names_and_nothing_else() {
    for row in rows(SET) {
        let [before, request, mask, after, changes] = row.as_slice() else { panic!("{row:?}") };
        let mut layer = layer(before);
        let patch = patch(request, mask).unwrap_or_else(|error| panic!("{row:?}: {error}"));
        let changed = patch.changes_to(&layer);
        assert_eq!(changed.len().to_string(), *changes, "{row:?}");
        layer.apply(&changed);
        assert_eq!(layer, self::layer(after), "{row:?}");
        assert_eq!(patch.changes_to(&layer), [], "a repeated Set changes nothing: {row:?}");
    }
}

#[test]
fn a_set_that_names_nothing_or_the_unknown_is_refused() {
    for row in rows(REFUSED) {
        let [request, mask, because] = row.as_slice() else { panic!("{row:?}") };
        let refused = match patch(request, mask) {
            Err(PatchError::NoChanges) => "no changes".to_owned(),
            Err(PatchError::UnknownPaths(paths)) => {
                paths.into_iter().map(|(_, path)| path).collect::<Vec<_>>().join(" ")
            }
            Ok(patch) => panic!("{row:?}: {patch:?}"),
        };
        assert_eq!(refused, *because, "{row:?}");
    }
}

#[test]
fn the_most_specific_level_wins_and_is_the_source() {
    for row in rows(INHERIT) {
        let (levels, answer) = row.split_at(4);
        let layers: Vec<Layer> = levels.iter().map(|cell| layer(cell)).collect();
        let resolved = resolve(Level::ALL.into_iter().zip(&layers));
        let shown: Vec<String> = answer[0].split_whitespace().map(str::to_owned).collect();
        let expected: BTreeMap<FeatureKey, (Value, &str)> = shown
            .iter()
            .map(|entry| {
                let (setting, source) = entry.split_once('@').expect("an answer has a source");
                let (key, value) = setting_of(setting);
                (key, (value, source))
            })
            .collect();
        let actual: BTreeMap<FeatureKey, (Value, &str)> =
            resolved.into_iter().map(|(key, r)| (key.clone(), (r.value.clone(), r.source.name()))).collect();
        assert_eq!(actual, expected, "{row:?}");
    }
}

/// The cells of a table, without its header row.
fn rows(table: &str) -> Vec<Vec<&str>> {
    table
        .lines()
        .filter(|line| !line.is_empty())
        .skip(1)
        .map(|line| line.strip_prefix('|').and_then(|line| line.strip_suffix('|')).expect("a row stands between bars"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect()
}

fn patch(request: &str, mask: &str) -> Result<Patch, PatchError> {
    let parts = BTreeMap::from([("required".into(), Presence::Implicit), ("uri".into(), Presence::Explicit)]);
    let features: FeatureSet = [
        ("actions".into(), Kind::Flag),
        ("schema".into(), Kind::Flag),
        ("paths".into(), Kind::EnumList),
        ("login".into(), Kind::Message(parts)),
    ]
    .into_iter()
    .collect();
    let paths: Vec<String> = mask.split(',').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    Patch::new(&features, &layer(request), (mask != "none").then_some(paths.as_slice()))
}

fn layer(cell: &str) -> Layer {
    cell.split_whitespace().map(setting_of).collect()
}

fn setting_of(setting: &str) -> (FeatureKey, Value) {
    let (key, value) = setting.split_once('=').unwrap_or_else(|| panic!("{setting} is no setting"));
    let value = match (key, value) {
        ("paths", list) => Value::Numbers(list.split(',').map(|number| number.parse().unwrap()).collect()),
        ("login", parts) => {
            let part = |part: &str| match part.split_once(':') {
                Some((name, text)) => (name.to_owned(), Value::Text(text.to_owned())),
                None => (part.to_owned(), Value::Flag(true)),
            };
            Value::Message(parts.split(',').filter(|name| !name.is_empty()).map(part).collect())
        }
        (_, flag) => Value::Flag(flag == "on"),
    };
    (key.into(), value)
}
