//! All that is on the simulated disk: names and contents, what is seen of them, and what would survive a power cut.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::mem;
use std::path::{Path, PathBuf};

use fastrand::Rng;

use super::content::Content;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    contents: Vec<Content>,
    seen: Names,
    durable: Names,
    /// The changes of names that no sync has made durable yet, in their order.
    pending: Vec<Change>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Names {
    folders: BTreeSet<PathBuf>,
    /// Where the contents of files are.
    files: BTreeMap<PathBuf, usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    Folder(PathBuf),
    File(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl Image {
    /// Nothing but a root folder.
    pub(super) fn empty() -> Self {
        let names = Names { folders: ["/".into()].into(), files: BTreeMap::new() };
        Self { contents: Vec::new(), seen: names.clone(), durable: names, pending: Vec::new() }
    }

    pub(super) fn has_folder(&self, path: &Path) -> bool {
        self.seen.folders.contains(path)
    }

    /// The files, in the order of their paths.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.seen.files.keys().map(PathBuf::as_path)
    }

    pub(super) fn content(&mut self, path: &Path) -> io::Result<&mut Content> {
        let content = self.seen.files.get(path).ok_or(ErrorKind::NotFound)?;
        Ok(&mut self.contents[*content])
    }

    pub(super) fn create_folder(&mut self, path: &Path) {
        self.change(Change::Folder(path.to_owned()));
    }

    pub(super) fn create_file(&mut self, path: &Path) {
        self.contents.push(Content::default());
        self.change(Change::File(path.to_owned(), self.contents.len() - 1));
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) {
        self.change(Change::Rename(from.to_owned(), to.to_owned()));
    }

    pub(super) fn remove(&mut self, path: &Path) {
        self.change(Change::Remove(path.to_owned()));
    }

    fn change(&mut self, change: Change) {
        change.clone().apply(&mut self.seen);
        self.pending.push(change);
    }

    /// Makes the names in a folder durable.
    pub(super) fn sync_folder(&mut self, folder: &Path) {
        let here = self.pending.extract_if(.., |change| change.path().parent() == Some(folder));
        here.for_each(|change| change.apply(&mut self.durable));
    }

    /// Loses a file, as a careless operator might.
    pub(super) fn lose_file(&mut self, path: &Path) {
        self.seen.files.remove(path);
        self.durable.files.remove(path);
    }

    pub(super) fn lose_power(&mut self, rng: &mut Rng) {
        self.contents.iter_mut().for_each(|content| content.lose_power(rng));
        let mut survivors = mem::take(&mut self.pending);
        // A file system keeps the order of such changes.
        survivors.truncate(rng.usize(..=survivors.len()));
        survivors.into_iter().for_each(|change| change.apply(&mut self.durable));
        self.durable.retain_reachable();
        self.seen = self.durable.clone();
    }
}

impl Names {
    fn retain_reachable(&mut self) {
        let folders = self.folders.clone();
        let reachable = |path: &Path| path.ancestors().skip(1).all(|above| folders.contains(above));
        self.folders.retain(|path| reachable(path));
        self.files.retain(|path, _| reachable(path));
    }
}

impl Change {
    /// The name that it makes or removes.
    fn path(&self) -> &Path {
        match self {
            Change::Folder(path) | Change::File(path, _) | Change::Rename(_, path) | Change::Remove(path) => path,
        }
    }

    fn apply(self, names: &mut Names) {
        match self {
            Change::Folder(path) => drop(names.folders.insert(path)),
            Change::File(path, content) => drop(names.files.insert(path, content)),
            Change::Remove(path) => drop(names.files.remove(&path)),
            Change::Rename(from, to) => {
                if let Some(content) = names.files.remove(&from) {
                    names.files.insert(to, content);
                }
            }
        }
    }
}
