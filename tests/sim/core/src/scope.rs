//! One account in one Region: its objects, with the indexes that keep every lookup off full scans.

use crate::{
    clock::Micros,
    kind::Kind,
    object::{Object, Tags},
    scope_key::ScopeKey,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An object that is gone but that indexes of tags still show for a while.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tombstone {
    /// Its ARN.
    pub arn: String,
    /// Its kind.
    pub kind: Kind,
    /// Its last tags.
    pub tags: Tags,
    /// When they forget it.
    pub until_us: Micros,
}

#[derive(Debug, Default)]
struct Index {
    kind: HashMap<Kind, BTreeSet<String>>,
    vpc: HashMap<String, BTreeSet<String>>,
    name: BTreeMap<(Kind, String), String>,
    tag: HashMap<(String, String), BTreeSet<String>>,
}

/// The objects of one account in one Region.
#[derive(Debug, Serialize, Deserialize)]
pub struct Scope {
    /// Which account and Region.
    pub key: ScopeKey,
    objects: HashMap<String, Object>,
    /// What indexes of tags still show.
    pub tombstones: Vec<Tombstone>,
    #[serde(skip)]
    index: Index,
}

impl Scope {
    /// An empty scope.
    #[must_use]
    pub fn new(key: ScopeKey) -> Self {
        Self { key, objects: HashMap::new(), tombstones: Vec::new(), index: Index::default() }
    }

    /// Rebuilds the indexes after loading.
    pub fn reindex(&mut self) {
        self.index = Index::default();
        let objects = std::mem::take(&mut self.objects);
        for object in objects.into_values() {
            self.put(object);
        }
    }

    /// Adds or replaces.
    pub fn put(&mut self, object: Object) {
        if let Some(old) = self.objects.remove(&object.id) {
            self.unindex(&old);
        }
        let id = object.id.clone();
        self.index.kind.entry(object.kind).or_default().insert(id.clone());
        for (k, v) in &object.tags {
            self.index.tag.entry((k.clone(), v.clone())).or_default().insert(id.clone());
        }
        if object.is_live() {
            if let Some(vpc) = &object.vpc {
                self.index.vpc.entry(vpc.clone()).or_default().insert(id.clone());
            }
            if let Some(name) = &object.name {
                self.index.name.insert((object.kind, name.clone()), id.clone());
            }
        }
        self.objects.insert(id, object);
    }

    /// Removes.
    pub fn take(&mut self, id: &str) -> Option<Object> {
        let object = self.objects.remove(id)?;
        self.unindex(&object);
        Some(object)
    }

    fn unindex(&mut self, object: &Object) {
        fn drop_from<K: std::hash::Hash + Eq>(map: &mut HashMap<K, BTreeSet<String>>, key: K, id: &str) {
            if let Some(set) = map.get_mut(&key) {
                set.remove(id);
                if set.is_empty() {
                    map.remove(&key);
                }
            }
        }
        drop_from(&mut self.index.kind, object.kind, &object.id);
        for (k, v) in &object.tags {
            drop_from(&mut self.index.tag, (k.clone(), v.clone()), &object.id);
        }
        if let Some(vpc) = &object.vpc {
            drop_from(&mut self.index.vpc, vpc.clone(), &object.id);
        }
        if let Some(name) = &object.name
            && self.index.name.get(&(object.kind, name.clone())) == Some(&object.id)
        {
            self.index.name.remove(&(object.kind, name.clone()));
        }
    }

    /// The object `id`, also if only described as gone.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Object> {
        self.objects.get(id)
    }

    /// The live object `id`.
    #[must_use]
    pub fn live(&self, id: &str) -> Option<&Object> {
        self.get(id).filter(|o| o.is_live())
    }

    /// The live object of `kind` called `name`.
    #[must_use]
    pub fn named(&self, kind: impl Into<Kind>, name: &str) -> Option<&Object> {
        self.live(self.index.name.get(&(kind.into(), name.to_owned()))?)
    }

    /// Live objects of `kind` whose name starts with `prefix`, in order of name.
    pub fn named_under<'a>(&'a self, kind: impl Into<Kind>, prefix: &'a str) -> impl Iterator<Item = &'a Object> {
        let kind = kind.into();
        self.index
            .name
            .range((kind, prefix.to_owned())..)
            .take_while(move |((k, n), _)| *k == kind && n.starts_with(prefix))
            .filter_map(|(_, id)| self.live(id))
    }

    /// All objects of `kind`, those described as gone too.
    pub fn of_kind(&self, kind: impl Into<Kind>) -> impl Iterator<Item = &Object> {
        self.index.kind.get(&kind.into()).into_iter().flatten().filter_map(|id| self.get(id))
    }

    /// The ids of `kind` that start with `prefix`, in order: of use where ids are resource names.
    pub fn ids_under<'a>(&'a self, kind: impl Into<Kind>, prefix: &'a str) -> impl Iterator<Item = &'a String> {
        let all = self.index.kind.get(&kind.into()).into_iter();
        all.flat_map(move |ids| ids.range(prefix.to_owned()..).take_while(move |id| id.starts_with(prefix)))
    }

    /// All objects of `kind` whose ids start with `prefix`, those described as gone too.
    pub fn under<'a>(&'a self, kind: impl Into<Kind>, prefix: &'a str) -> impl Iterator<Item = &'a Object> {
        self.ids_under(kind, prefix).filter_map(|id| self.get(id))
    }

    /// How many live objects of `kind` there are.
    #[must_use]
    pub fn count(&self, kind: impl Into<Kind>) -> u64 {
        self.of_kind(kind).filter(|o| o.is_live()).count() as u64
    }

    /// Live objects in a VPC.
    pub fn in_vpc<'a>(&'a self, vpc: &str) -> impl Iterator<Item = &'a Object> {
        self.index.vpc.get(vpc).into_iter().flatten().filter_map(|id| self.live(id))
    }

    /// All objects with this tag, those described as gone too.
    pub fn tagged<'a>(&'a self, key: &str, value: &str) -> impl Iterator<Item = &'a Object> {
        self.index.tag.get(&(key.to_owned(), value.to_owned())).into_iter().flatten().filter_map(|id| self.get(id))
    }

    /// Everything.
    pub fn all(&self) -> impl Iterator<Item = &Object> {
        self.objects.values()
    }
}
