//! Random histories against a naive model that knows nothing but paths and texts.

use std::collections::{BTreeMap, BTreeSet};

use feature_core::{
    FeatureKey, FeatureSet, InstanceId, Kind, Layer, Level, Operation, OrganizationId, Patch, PatchError, Placement,
    Presence, Record, Scope, Timestamp, UserId, Value, Write, decide, resolve,
};
use proptest::prelude::*;

const PARTS: [&str; 2] = ["required", "uri"];
const PATHS: [&str; 10] =
    ["actions", "schema", "paths", "login", "login.required", "login.uri", "*", "login.x", "x", "actions.x"];

/// A layer as the model sees it: each path that is set, with its value as text. A message is its own path with an
/// empty text, and one path for each part.
type Paths = BTreeMap<String, String>;

#[derive(Debug, Clone)]
enum Step {
    Set { level: usize, present: Paths, mask: Option<Vec<&'static str>> },
    Reset { level: usize },
}

fn present() -> impl Strategy<Value = Paths> {
    let flag = || proptest::option::of(prop_oneof![Just("on"), Just("off")]);
    let login = proptest::option::of((any::<bool>(), proptest::option::of("[ab]")));
    (flag(), flag(), proptest::option::of("[1-3]{1,2}"), login).prop_map(|(actions, schema, paths, login)| {
        let mut present = Paths::new();
        present.extend(actions.map(|flag| ("actions".into(), flag.into())));
        present.extend(schema.map(|flag| ("schema".into(), flag.into())));
        present.extend(paths.map(|paths| ("paths".into(), paths)));
        if let Some((required, uri)) = login {
            present.insert("login".into(), String::new());
            present.extend(required.then(|| ("login.required".into(), "on".into())));
            present.extend(uri.map(|uri| ("login.uri".into(), uri)));
        }
        present
    })
}

fn step() -> impl Strategy<Value = Step> {
    let known = proptest::sample::subsequence(&PATHS[..7], 0..4);
    let any_path = proptest::sample::subsequence(&PATHS[..], 0..4);
    let mask = prop_oneof![Just(None), known.prop_shuffle().prop_map(Some), any_path.prop_map(Some)];
    prop_oneof![
        8 => (0..4usize, present(), mask).prop_map(|(level, present, mask)| Step::Set { level, present, mask }),
        1 => (0..4usize).prop_map(|level| Step::Reset { level }),
    ]
}

/// What the model makes of a Set: the new layer, or why it is refused.
fn model_set(layer: &Paths, present: &Paths, mask: Option<&[&str]>) -> Result<Paths, &'static str> {
    let belongs = |path: &str, key: &str| path == key || path.starts_with(&format!("{key}."));
    let Some(mask) = mask.filter(|mask| !mask.is_empty()) else {
        let whole: Vec<&str> = present.keys().filter(|path| !path.contains('.')).map(String::as_str).collect();
        return if whole.is_empty() { Err("no changes") } else { model_set(layer, present, Some(&whole)) };
    };
    if mask.iter().any(|path| !PATHS[..7].contains(path)) {
        return Err("unknown");
    }
    let mut after = layer.clone();
    for part in mask.iter().filter(|path| path.contains('.')) {
        // `required` is there with its message, `uri` can be absent from it.
        let sets = present.contains_key(if *part == "login.required" { "login" } else { part });
        if after.contains_key("login") || sets {
            after.insert("login".into(), String::new());
            after.remove(*part);
            after.extend(present.get(*part).map(|value| (part.to_string(), value.clone())));
        }
    }
    for key in ["actions", "schema", "paths", "login"] {
        if mask.contains(&key) || mask.contains(&"*") {
            after.retain(|path, _| !belongs(path, key));
            after.extend(present.iter().filter(|(path, _)| belongs(path, key)).map(|(p, v)| (p.clone(), v.clone())));
        }
    }
    Ok(after)
}

/// The features that differ between two layers of the model.
fn model_changes(before: &Paths, after: &Paths) -> BTreeSet<String> {
    let paths = before.keys().chain(after.keys());
    let changed = paths.filter(|path| before.get(*path) != after.get(*path));
    changed.map(|path| path.split('.').next().expect("split gives one piece at least").to_owned()).collect()
}

fn layer(paths: &Paths) -> Layer {
    let mut values: BTreeMap<FeatureKey, Value> = BTreeMap::new();
    for (path, text) in paths.iter().filter(|(path, _)| !path.contains('.')) {
        let value = match path.as_str() {
            "paths" => Value::Numbers(text.bytes().map(|digit| i32::from(digit - b'0')).collect()),
            "login" => Value::Message(
                PARTS
                    .iter()
                    .filter_map(|part| Some((*part, paths.get(&format!("login.{part}"))?)))
                    .map(|(part, text)| match part {
                        "uri" => (part.to_owned(), Value::Text(text.clone())),
                        _ => (part.to_owned(), Value::Flag(text == "on")),
                    })
                    .collect(),
            ),
            _ => Value::Flag(text == "on"),
        };
        values.insert(path.as_str().into(), value);
    }
    values.into_iter().collect()
}

fn features() -> FeatureSet {
    let parts = PARTS.map(str::to_owned).into_iter().zip([Presence::Implicit, Presence::Explicit]).collect();
    [("actions", Kind::Flag), ("schema", Kind::Flag), ("paths", Kind::EnumList), ("login", Kind::Message(parts))]
        .map(|(key, kind)| (key.into(), kind))
        .into_iter()
        .collect()
}

fn scopes() -> [Scope; 4] {
    let instance = InstanceId::new("i").expect("i is an id");
    let organization = OrganizationId::new("o").expect("o is an id");
    [
        Scope::System,
        Scope::Instance(instance.clone()),
        Scope::Organization(instance.clone(), organization),
        Scope::User(instance, UserId::new("u").expect("u is an id")),
    ]
}

proptest! {
    #[test]
    fn histories_agree_with_the_model(steps in proptest::collection::vec((step(), -5..50i64), 1..40)) {
        let scopes = scopes();
        let mut records = [(); 4].map(|()| Record::default());
        let mut model = [(); 4].map(|()| (Paths::new(), 0u64));
        let mut events = Vec::new();
        let mut clock = 100;
        for (step, tick) in steps {
            clock += tick;
            let (level, operation, expected) = match &step {
                Step::Reset { level } => {
                    let steps = u64::from(!model[*level].0.is_empty());
                    (*level, Ok(Operation::Reset), Ok((Paths::new(), steps)))
                }
                Step::Set { level, present, mask } => {
                    let paths: Option<Vec<String>> =
                        mask.as_ref().map(|mask| mask.iter().map(|path| path.to_string()).collect());
                    let patch = Patch::new(&features(), &layer(present), paths.as_deref());
                    let before = &model[*level].0;
                    let after = model_set(before, present, mask.as_deref())
                        .map(|after| { let steps = model_changes(before, &after).len() as u64; (after, steps) });
                    (*level, patch.map(Operation::Set), after)
                }
            };
            let operation = match (operation, expected) {
                (Ok(operation), Ok((after, steps))) => {
                    model[level].0 = after;
                    model[level].1 += steps;
                    operation
                }
                (Err(PatchError::NoChanges), Err("no changes")) | (Err(PatchError::UnknownPaths(_)), Err("unknown")) => continue,
                (actual, expected) => panic!("{step:?}: {actual:?} where the model says {expected:?}"),
            };
            let write = Write {
                scope: scopes[level].clone(),
                operation,
                expected_sequence: Some(records[level].sequence),
                placement: Placement::Keep,
                validate_only: false,
                actor: "a".into(),
                credential: None,
                request_id: "r".into(),
                comment: String::new(),
                requires: Vec::new(),
                idempotency_key: None,
            };
            let revision = events.len() as u64 + 1;
            let now = Timestamp::from_unix_nanos(clock);
            let event = decide(&write, &records[level], now, revision).expect("the sequence is the current one");
            if let Some(event) = event {
                prop_assert!(records[level].changed <= Some(event.time), "time runs backwards");
                prop_assert_eq!(event.is_first(), records[level] == Record::default());
                records[level].apply(&event);
                events.push(event);
            }
            prop_assert_eq!(&records[level].layer, &layer(&model[level].0));
            prop_assert_eq!(records[level].sequence, model[level].1);
        }

        // The records are the sum of the events.
        for (scope, record) in scopes.iter().zip(&records) {
            let mut replayed = Record::default();
            events.iter().filter(|event| event.scope == *scope).for_each(|event| replayed.apply(event));
            prop_assert_eq!(&replayed, record);
        }

        // Each level inherits what it has not set.
        for (position, level) in Level::ALL.into_iter().enumerate() {
            let layers = Level::ALL.into_iter().zip(records.iter().map(|record| &record.layer)).take(position + 1);
            let resolved = resolve(layers);
            for key in ["actions", "schema", "paths", "login"] {
                let source = (0..=position).rev().find(|level| model[*level].0.contains_key(key));
                prop_assert_eq!(resolved.get(&FeatureKey::from(key)).map(|r| r.source), source.map(|level| Level::ALL[level]));
                if let Some(source) = source {
                    let expected = layer(&model[source].0);
                    let value = resolved[&FeatureKey::from(key)].value;
                    prop_assert_eq!(Some(value), expected.get(key), "{:?}", level);
                }
            }
        }
    }
}
