//! The imports between the modules of a crate: some are forbidden, and they must not form circles.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cargo_metadata::Metadata;
use syn::visit::{self, Visit};
use syn::{ItemMod, ItemUse, UseTree};

use crate::files::rust_files;

/// Two files may import each other; more in a circle can't be understood one by one.
const CIRCLE_FILES_MAX: usize = 2;

/// Modules of the server that must not import others: importer, imported, why.
const FORBIDDEN: [(&str, &str, &str); 4] = [
    ("services", "net", "a service does not know connections"),
    ("services", "middleware", "a service does not know the layers around it"),
    ("net", "error", "connections know no error of the product"),
    ("net", "services", "connections know no service"),
];

/// The crate that [`FORBIDDEN`] is about, and its module that imports none of the others.
const SERVER: &str = "feature-server";
const IMPORTS_NONE: &str = "config";

/// A module's path in its crate: empty for the crate's root.
type Module = Vec<String>;

/// Who imports whom, by the files of one crate.
type Imports = BTreeMap<Module, BTreeSet<Module>>;

/// Fails when a module imports what it must not, or when more than two files of a crate import each other in a circle.
pub fn check(metadata: &Metadata) -> Result<()> {
    let (mut violations, mut files) = (Vec::new(), 0);
    for package in metadata.workspace_packages() {
        let source = package.manifest_path.with_file_name("src");
        if !source.exists() {
            continue;
        }
        let imports = imports(source.as_std_path())?;
        files += imports.len();
        let circles = circles(&imports).into_iter().filter(|circle| circle.len() > CIRCLE_FILES_MAX);
        let names = circles.map(|circle| circle.iter().map(|module| module.join("::")).collect::<Vec<_>>().join(", "));
        violations.extend(names.map(|names| format!("{}: a circle of imports: {names}", package.name)));
        if package.name.as_str() == SERVER {
            violations.extend(forbidden(&imports));
        }
    }
    if !violations.is_empty() {
        bail!("{}\n(the rules stand in xtask/src/modules.rs)", violations.join("\n"));
    }
    println!("{files} files import each other in no circle of more than {CIRCLE_FILES_MAX}");
    Ok(())
}

fn forbidden(imports: &Imports) -> Vec<String> {
    let first = |module: &Module| module.first().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for (importer, imported) in imports.iter().flat_map(|(from, all)| all.iter().map(move |to| (from, to))) {
        let (from, to) = (first(importer), first(imported));
        let why = match FORBIDDEN.iter().find(|rule| (rule.0, rule.1) == (&*from, &*to)) {
            Some((_, _, why)) => why,
            None if from == IMPORTS_NONE && to != IMPORTS_NONE => "settings know nothing else",
            None => continue,
        };
        found.push(format!("{} imports {}: {why}", importer.join("::"), imported.join("::")));
    }
    found
}

/// The imports of all files in a crate's source folder. Modules for tests are left out. A module may import from the
/// modules that contain it: these imports are left out as well.
fn imports(source: &Path) -> Result<Imports> {
    let paths: Vec<PathBuf> = rust_files(source)?;
    let parsed = paths.iter().map(|path| {
        let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let file = syn::parse_file(&text).with_context(|| format!("parsing {}", path.display()))?;
        Ok((module_of(path.strip_prefix(source).unwrap_or(path)), file))
    });
    let parsed: BTreeMap<Module, syn::File> = parsed.collect::<Result<_>>()?;
    let mut for_tests = BTreeSet::new();
    for (module, file) in &parsed {
        for item in &file.items {
            if let syn::Item::Mod(item) = item
                && is_for_tests(item)
            {
                for_tests.insert([&module[..], &[item.ident.to_string()]].concat());
            }
        }
    }
    let counts = |module: &Module| !(1..=module.len()).any(|length| for_tests.contains(&module[..length]));
    let modules: BTreeSet<Module> = parsed.keys().filter(|module| counts(module)).cloned().collect();
    let imports = parsed.iter().filter(|(module, _)| counts(module)).map(|(module, file)| {
        let mut visitor = Paths { module, found: BTreeSet::new() };
        visitor.visit_file(file);
        let imported = visitor.found.iter().filter_map(|path| longest_module(path, &modules));
        let imported = imported.filter(|imported| !module.starts_with(imported)).collect();
        (module.clone(), imported)
    });
    Ok(imports.collect())
}

fn module_of(file: &Path) -> Module {
    let mut module: Module = file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if module == ["lib"] || module == ["main"] {
        module.clear();
    }
    module
}

/// The module that a path leads to: what follows is an item in it.
fn longest_module(path: &[String], modules: &BTreeSet<Module>) -> Option<Module> {
    (1..=path.len()).rev().map(|length| &path[..length]).find(|start| modules.contains(*start)).map(<[String]>::to_vec)
}

fn is_for_tests(item: &ItemMod) -> bool {
    item.attrs.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
    })
}

/// The paths of one file that lead into its own crate, from the crate's root.
struct Paths<'m> {
    module: &'m Module,
    found: BTreeSet<Vec<String>>,
}

impl Paths<'_> {
    fn add(&mut self, path: &[String]) {
        let mut base = self.module.clone();
        let mut rest = path;
        match rest.first().map(String::as_str) {
            Some("crate") => base.clear(),
            Some("self" | "super") => {}
            // A module of this file, or something from elsewhere: then no module is found for it.
            _ => {
                self.found.insert([&base[..], path].concat());
                return;
            }
        }
        while let Some((first, others)) = rest.split_first()
            && ["crate", "self", "super"].contains(&first.as_str())
        {
            if first == "super" {
                base.pop();
            }
            rest = others;
        }
        self.found.insert([&base[..], rest].concat());
    }

    fn add_tree(&mut self, tree: &UseTree, before: &[String]) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.add_tree(&path.tree, &with(&path.ident)),
            UseTree::Name(name) => self.add(&with(&name.ident)),
            UseTree::Rename(rename) => self.add(&with(&rename.ident)),
            UseTree::Glob(_) => self.add(before),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(tree, before)),
        }
    }
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_for_tests(item) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.add_tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let path_segments: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if path_segments.len() > 1 {
            self.add(&path_segments);
        }
        visit::visit_path(self, path);
    }
}

/// The groups of modules in which each reaches every other one.
fn circles(imports: &Imports) -> Vec<Vec<Module>> {
    let reached: BTreeMap<&Module, BTreeSet<&Module>> =
        imports.keys().map(|module| (module, reached_from(module, imports))).collect();
    let mut circles: BTreeSet<Vec<Module>> = BTreeSet::new();
    for (module, from_here) in &reached {
        let back = |other: &&&Module| reached.get(**other).is_some_and(|from_there| from_there.contains(module));
        let circle: Vec<Module> = from_here.iter().filter(back).map(|other| (*other).clone()).collect();
        if !circle.is_empty() {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

fn reached_from<'i>(module: &Module, imports: &'i Imports) -> BTreeSet<&'i Module> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![module]);
    while let Some(module) = next.pop() {
        for imported in imports.get(module).into_iter().flatten() {
            if reached.insert(imported) {
                next.push(imported);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports_of(files: &[(&str, &str)]) -> Imports {
        let root = std::env::temp_dir().join(format!("xtask-modules-{}-{:p}", std::process::id(), files));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let found = imports(&root);
        fs::remove_dir_all(&root).unwrap();
        found.unwrap()
    }

    fn names(modules: impl IntoIterator<Item = Module>) -> Vec<String> {
        modules.into_iter().map(|module| module.join("::")).collect()
    }

    #[test]
    fn imports_are_found_however_they_are_written() {
        let found = imports_of(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "mod inner; use crate::{b::{self, B}, c as d}; #[cfg(test)] mod tests { use crate::c; }"),
            ("a/inner.rs", "use super::A; fn f() -> crate::c::C { super::super::b::g() }"),
            ("b.rs", "#[cfg(test)] mod tests;"),
            ("b/tests.rs", "use crate::a;"),
            ("c.rs", "use std::fs; impl std::fmt::Debug for C {}"),
        ]);
        let table = [("a", vec!["b", "c"]), ("a::inner", vec!["b", "c"]), ("b", vec![]), ("c", vec![])];
        for (module, imported) in table {
            let module: Module = module.split("::").map(str::to_owned).collect();
            assert_eq!(names(found[&module].clone()), imported, "{module:?}");
        }
        assert!(!found.contains_key(&vec!["b".to_owned(), "tests".to_owned()]));
    }

    #[test]
    fn circles_are_found_whole() {
        let edges = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "e"), ("e", "d"), ("f", "a")];
        let mut imports = Imports::new();
        for (from, to) in edges {
            imports.entry(vec![from.to_owned()]).or_default().insert(vec![to.to_owned()]);
        }
        let found: Vec<_> = circles(&imports).into_iter().map(names).collect();
        assert_eq!(found, [vec!["a", "b", "c"], vec!["d", "e"]]);
    }

    #[test]
    fn forbidden_imports_are_named() {
        let table = [
            // importer, imported, allowed
            ("services::feature", "error", true),
            ("services::feature", "net::slots", false),
            ("services", "middleware::stack", false),
            ("net::listener", "error", false),
            ("net::listener", "config::settings", true),
            ("config::rules", "auth", false),
            ("config::rules", "config::settings", true),
        ];
        for (importer, imported, allowed) in table {
            let module = |path: &str| path.split("::").map(str::to_owned).collect::<Module>();
            let imports = Imports::from([(module(importer), BTreeSet::from([module(imported)]))]);
            assert_eq!(forbidden(&imports).is_empty(), allowed, "{importer} {imported}");
        }
    }
}
