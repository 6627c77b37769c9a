//! Which records to read from a store.

use feature_core::{FeatureKey, InstanceId, Level, OwnKey, Record, Scope};

/// Records to read from a store: those of settings or of definitions that set something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection<'a> {
    /// All definitions of an instance, or of the system.
    DefinitionsOf(Option<&'a InstanceId>),
    /// The definitions of this key in lower case, of the system and of every instance.
    DefinitionsNamed(&'a OwnKey),
    /// The definitions that have this field, of the system and of every instance.
    DefinitionsWith(&'a FeatureKey),
    /// The settings on a level.
    Settings {
        /// The level.
        level: Level,
        /// Only those of this instance. The system belongs to none.
        instance: Option<&'a InstanceId>,
        /// Only those that set this feature.
        feature: Option<&'a FeatureKey>,
    },
}

/// Records in the order of their scopes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selected {
    /// The records with their scopes.
    pub records: Vec<(Scope, Record)>,
    /// Where the search ended; further records come after this scope. `None` at the end of the selection.
    pub next_after: Option<Scope>,
}

impl Selection<'_> {
    /// Whether a record of this scope can be one of them.
    pub fn covers(self, scope: &Scope) -> bool {
        match (self, scope) {
            (Selection::DefinitionsOf(owner), Scope::Definition(of, _)) => owner == of.as_ref(),
            (Selection::DefinitionsNamed(key), Scope::Definition(_, named)) => key == named,
            (Selection::DefinitionsWith(_), Scope::Definition(..)) => true,
            (Selection::Settings { level, instance, .. }, scope) => {
                let is_definition = matches!(scope, Scope::Definition(..));
                !is_definition && scope.level() == level && (instance.is_none() || scope.instance() == instance)
            }
            _ => false,
        }
    }

    /// Whether this is one of the records.
    pub fn includes(self, scope: &Scope, record: &Record) -> bool {
        let key = match self {
            Selection::Settings { feature, .. } => feature,
            Selection::DefinitionsWith(field) => Some(field),
            Selection::DefinitionsOf(_) | Selection::DefinitionsNamed(_) => None,
        };
        let sets = |key: &FeatureKey| record.layer.get(key.as_str()).is_some();
        self.covers(scope) && key.map_or(!record.layer.is_empty(), sets)
    }
}

impl Selected {
    /// Puts records in place of older ones, or takes them out.
    ///
    /// `newer`: of scopes that the selection covers.
    pub(crate) fn update(&mut self, selection: Selection<'_>, newer: impl Iterator<Item = (Scope, Record)>) {
        for (scope, record) in newer {
            if self.next_after.as_ref().is_some_and(|end| scope > *end) {
                continue;
            }
            let place = self.records.binary_search_by(|(known, _)| known.cmp(&scope));
            match (place, selection.includes(&scope, &record)) {
                (Ok(place), true) => self.records[place].1 = record,
                (Ok(place), false) => drop(self.records.remove(place)),
                (Err(place), true) => self.records.insert(place, (scope, record)),
                (Err(_), false) => {}
            }
        }
    }
}
