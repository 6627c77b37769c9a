//! The catalogue: the definitions in force, in memory.
//!
//! The definitions of an owner, the system or an instance, are read together and kept until one of them changes. The
//! store's versions tell that, so a read never works with a definition that is not the newest.

mod engine;
mod feature;
mod past;
mod schema_bounds;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use feature_api::built_in::BuiltIn;
use feature_api::schema::Schema;
use feature_core::{DefinitionError, InstanceId, OwnKey, Record, Scope};
use feature_store::{FeatureStore, Selected, Selection, StoreError, Version, Versioned};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

pub use self::engine::{Engine, Engines};
pub use self::feature::{Feature, Owner, etag, memory_bytes, sequence_of};
use crate::services::response_cache::Basis;

/// The most memory that the definitions of all owners take, roughly, in bytes. Rarely used ones are read again.
const CACHE_BYTES: u64 = 128 * 1024 * 1024;

/// The memory of a definition beside its values, roughly.
const DEFINITION_BYTES: usize = 2_048;

/// The features of one owner by their keys in lower case.
#[derive(Debug, Default)]
pub struct Catalogue {
    features: BTreeMap<String, Arc<Feature>>,
}

/// The features in force in an instance, or in the system.
#[derive(Debug, Clone)]
pub struct InForce {
    /// The most specific owner first.
    catalogues: Vec<Arc<Catalogue>>,
}

/// The catalogues of all owners.
pub struct Catalogues {
    store: Arc<Versioned>,
    built_in: Arc<Catalogue>,
    loaded: Cache<Option<InstanceId>, Loaded, Weight>,
    /// The compiled patterns and schemas.
    pub engines: Engines,
}

#[derive(Debug, Clone)]
struct Loaded {
    catalogue: Arc<Catalogue>,
    version: Version,
    /// It has all definitions up to this revision.
    revision: u64,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Option<InstanceId>, Loaded> for Weight {
    fn weight(&self, _: &Option<InstanceId>, loaded: &Loaded) -> u64 {
        (DEFINITION_BYTES + loaded.catalogue.bytes()) as u64
    }
}

impl Catalogue {
    /// The feature with this key, in any case.
    pub fn find(&self, key: &str) -> Option<&Arc<Feature>> {
        self.features.get(key).or_else(|| self.features.get(&key.to_ascii_lowercase()))
    }

    /// All features, in the order of their keys in lower case.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &Arc<Feature>)> {
        self.features.iter().map(|(key, feature)| (key.as_str(), feature))
    }

    /// The features whose keys begin with this text in lower case, in the order of their keys in lower case.
    fn beginning_with(&self, prefix: &str) -> impl Iterator<Item = (&str, &Arc<Feature>)> {
        let from = self.features.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.map(|(key, feature)| (key.as_str(), feature)).take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// The memory of all definitions, roughly, in bytes.
    pub fn bytes(&self) -> usize {
        self.features.values().map(|feature| DEFINITION_BYTES + feature.bytes()).sum()
    }

    /// The number of features, without the built-in ones.
    pub fn count(&self) -> usize {
        self.features.values().filter(|feature| feature.owner != Owner::BuiltIn).count()
    }
}

impl InForce {
    /// The feature with this key, in any case.
    pub fn find(&self, key: &str) -> Option<&Arc<Feature>> {
        self.catalogues.iter().find_map(|catalogue| catalogue.find(key))
    }

    /// All features, in the order of their keys in lower case.
    pub fn features(&self) -> BTreeMap<&str, &Arc<Feature>> {
        self.beginning_with("")
    }

    /// The features whose keys begin with this text in lower case, in the order of their keys in lower case.
    pub fn beginning_with(&self, prefix: &str) -> BTreeMap<&str, &Arc<Feature>> {
        // Should two owners have the same key, the more specific one counts.
        self.catalogues.iter().rev().flat_map(|catalogue| catalogue.beginning_with(prefix)).collect()
    }
}

impl Catalogues {
    /// The catalogues in a store, and the built-in features of a schema.
    pub fn new(store: Arc<Versioned>, schema: &Schema) -> Self {
        let features = BuiltIn::all(schema).into_iter().map(|built_in| {
            let key = built_in.key().as_str().to_ascii_lowercase();
            (key, Arc::new(Feature::built_in(built_in, Record::default())))
        });
        let built_in = Arc::new(Catalogue { features: features.collect() });
        // One shard, since an entry larger than a shard is not kept.
        let options =
            OptionsBuilder::new().estimated_items_capacity(1_024).weight_capacity(CACHE_BYTES).shards(1).build();
        let options = options.expect("the capacities are given");
        let loaded = Cache::with_options(options, Weight, DefaultHashBuilder::default(), DefaultLifecycle::default());
        Self { store, built_in, loaded, engines: Engines::default() }
    }

    /// The built-in features.
    pub fn built_in(&self) -> &Arc<Catalogue> {
        &self.built_in
    }

    /// The features in force in an instance, or in the system. This may wait for a disk.
    ///
    /// `basis`: gets the versions of all that was read.
    ///
    /// # Errors
    /// [`StoreError`] when a definition cannot be read.
    pub fn in_force(&self, instance: Option<&InstanceId>, basis: &mut Basis) -> Result<InForce, StoreError> {
        let mut catalogues = Vec::with_capacity(3);
        if instance.is_some() {
            catalogues.push(self.of(instance, basis)?);
        }
        catalogues.push(self.of(None, basis)?);
        catalogues.push(Arc::clone(&self.built_in));
        Ok(InForce { catalogues })
    }

    /// The features that an instance, or the system, defines itself. This may wait for a disk.
    ///
    /// # Errors
    /// As for [`Catalogues::in_force`].
    pub fn of(&self, owner: Option<&InstanceId>, basis: &mut Basis) -> Result<Arc<Catalogue>, StoreError> {
        let key = owner.cloned();
        if let Some(loaded) = self.loaded.get(&key)
            && self.store.is_current(loaded.version)
        {
            basis.add(Some(loaded.version));
            return Ok(loaded.catalogue);
        }
        let version = self.store.version_of_definitions(owner);
        basis.add(version);
        // Taken before the definitions are read: the next call reads again what changes after it.
        let revision = self.store.revision();
        let catalogue = match self.loaded.get(&key) {
            Some(earlier) => self.refresh(owner, &earlier)?,
            None => None,
        };
        let catalogue = Arc::new(catalogue.map_or_else(|| self.load(owner), Ok)?);
        // What is read during a write is not kept.
        if let Some(version) = version.filter(|version| self.store.is_current(*version)) {
            self.loaded.insert(key, Loaded { catalogue: Arc::clone(&catalogue), version, revision });
        }
        Ok(catalogue)
    }

    /// Reads all definitions of an owner.
    fn load(&self, owner: Option<&InstanceId>) -> Result<Catalogue, StoreError> {
        let mut catalogue = Catalogue::default();
        // Also a built-in feature whose fields were all unset again: it has an etag.
        let built_in = self.built_in.features.values().filter(|_| owner.is_none());
        for scope in built_in.filter_map(|feature| feature.scope()) {
            if let Scope::Definition(_, key) = &scope {
                let record = self.store.record(&scope)?;
                if record.sequence > 0 {
                    self.put(&mut catalogue, owner, key, &record);
                }
            }
        }
        let mut after = None;
        loop {
            let selection = Selection::DefinitionsOf(owner);
            let Selected { records, next_after } = self.store.select(selection, after.as_ref(), usize::MAX)?;
            for (scope, record) in records {
                if let Scope::Definition(_, key) = scope {
                    self.put(&mut catalogue, owner, &key, &record);
                }
            }
            if next_after.is_none() {
                return Ok(catalogue);
            }
            after = next_after;
        }
    }

    /// Reads the definitions that have changed since an earlier reading; `None` when it is not known which ones.
    fn refresh(&self, owner: Option<&InstanceId>, earlier: &Loaded) -> Result<Option<Catalogue>, StoreError> {
        let Some(changed) = self.store.definitions_changed(earlier.revision, owner) else { return Ok(None) };
        let mut features = earlier.catalogue.features.clone();
        for key in &changed {
            features.remove(key.key().as_str());
        }
        let mut catalogue = Catalogue { features };
        for key in changed {
            let record = self.store.record(&scope(owner, &key))?;
            self.put(&mut catalogue, owner, &key, &record);
        }
        Ok(Some(catalogue))
    }

    /// Adds a feature, if the record of its definition has one.
    fn put(&self, catalogue: &mut Catalogue, owner: Option<&InstanceId>, key: &OwnKey, record: &Record) {
        let key = key.key().as_str();
        match self.feature(owner, key, record) {
            Ok(Some(feature)) => drop(catalogue.features.insert(key.to_owned(), Arc::new(feature))),
            Ok(None) => {}
            Err(problem) => tracing::warn!(key, %problem, "a definition is left out"),
        }
    }

    fn feature(
        &self,
        owner: Option<&InstanceId>,
        key: &str,
        record: &Record,
    ) -> Result<Option<Feature>, DefinitionError> {
        match self.built_in.find(key).filter(|_| owner.is_none()) {
            Some(built_in) => Ok(built_in.built_in_with(record)),
            None => Feature::new(owner, record),
        }
    }
}

/// The scope of a definition.
pub fn scope(owner: Option<&InstanceId>, key: &OwnKey) -> Scope {
    Scope::Definition(owner.cloned(), key.folded())
}
