//! Every module of the product is on a floor of docs/floors.md and imports only from floors below its own; no file is
//! longer than 400 lines.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use syn::{Attribute, ItemMod, ItemUse, UseTree, visit::Visit};

const MOST_LINES: usize = 400;

/// Modules by name (`needs::plan`; `` is the root), and what each holds.
type Sources = BTreeMap<String, String>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The floors of each folder, lowest first.
fn floors(text: &str) -> Vec<(String, Vec<Vec<String>>)> {
    let blocks = text.split("```floors ").skip(1);
    let parse = |block: &str| {
        let (folder, rest) = block.split_once('\n').unwrap();
        let lines = rest.split("```").next().unwrap().lines().filter(|line| !line.is_empty());
        let floors = lines.map(|line| line.split(',').map(|name| name.trim().to_owned()).collect());
        (folder.to_owned(), floors.collect())
    };
    blocks.map(parse).collect()
}

fn read(folder: &Path, place: &Path, found: &mut Sources) {
    for path in fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            read(folder, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(folder).unwrap().with_extension("");
            let name = name.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
            let name = name.collect::<Vec<_>>().join("::");
            let name = if name == "lib" { String::new() } else { name };
            found.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

/// What one module says: the modules that it declares, those only for tests, and every path that it names.
#[derive(Default)]
struct Said {
    children: BTreeSet<String>,
    for_tests: BTreeSet<String>,
    paths: Vec<Vec<String>>,
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|word| word == "test")
    })
}

impl Said {
    fn of(source: &str) -> Self {
        let mut said = Self::default();
        said.visit_file(&syn::parse_file(source).unwrap());
        said
    }

    fn import(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: &syn::Ident| before.iter().cloned().chain([name.to_string()]).collect::<Vec<_>>();
        match tree {
            UseTree::Path(path) => self.import(&with(&path.ident), &path.tree),
            UseTree::Name(name) => self.paths.push(with(&name.ident)),
            UseTree::Rename(name) => self.paths.push(with(&name.ident)),
            UseTree::Glob(_) => self.paths.push(before.to_vec()),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(before, tree)),
        }
    }
}

impl<'ast> Visit<'ast> for Said {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        let name = module.ident.to_string();
        if is_for_tests(&module.attrs) {
            self.for_tests.insert(name);
        } else if module.content.is_none() {
            self.children.insert(name);
        } else {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, import: &'ast ItemUse) {
        self.import(&[], &import.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.paths.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        syn::visit::visit_path(self, path);
    }
}

/// The module of this crate that a path leads into.
fn target<'s>(path: &[String], from: &str, said: &Said, sources: &'s Sources) -> Option<&'s str> {
    let mut place: Vec<&str> = from.split("::").filter(|part| !part.is_empty()).collect();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => (place, rest) = (Vec::new(), path.get(1..)?),
        "self" => rest = path.get(1..)?,
        "super" => {
            while rest.first().is_some_and(|word| word == "super") {
                place.pop();
                rest = rest.get(1..)?;
            }
        }
        child if said.children.contains(child) => {}
        _ => return None,
    }
    let whole: Vec<&str> = place.into_iter().chain(rest.iter().map(String::as_str)).collect();
    let names = (0..=whole.len()).rev().map(|length| whole.get(..length).unwrap_or_default().join("::"));
    names.into_iter().find_map(|name| sources.get_key_value(&name)).map(|(name, _)| name.as_str())
}

/// What is wrong with the floors of one folder.
fn wrong(floors: &[Vec<String>], sources: &Sources) -> Vec<String> {
    let mut wrong = Vec::new();
    let level = |name: &str| floors.iter().position(|floor| floor.iter().any(|one| one == name));
    let said: BTreeMap<&str, Said> =
        sources.iter().map(|(name, source)| (name.as_str(), Said::of(source))).collect();
    let is_test = |name: &str| {
        let mut parent = name;
        while let Some((above, own)) =
            parent.rsplit_once("::").or_else(|| (!parent.is_empty()).then_some(("", parent)))
        {
            if said.get(above).is_some_and(|above| above.for_tests.contains(own)) {
                return true;
            }
            parent = above;
        }
        false
    };
    for (name, source) in sources {
        if is_test(name) {
            continue;
        }
        let lines = source.lines().count();
        if lines > MOST_LINES {
            wrong.push(format!("{name} has {lines} lines"));
        }
        // The root names everything.
        if name.is_empty() {
            continue;
        }
        let Some(own) = level(name) else {
            wrong.push(format!("{name} is on no floor"));
            continue;
        };
        let said = said.get(name.as_str()).unwrap();
        let imports: BTreeSet<&str> =
            said.paths.iter().filter_map(|path| target(path, name, said, sources)).collect();
        for import in imports.into_iter().filter(|import| *import != name.as_str() && !is_test(import)) {
            if level(import).is_none_or(|level| level >= own) {
                wrong.push(format!("{name} imports {import}, which is not below it"));
            }
        }
    }
    let listed: Vec<&String> = floors.iter().flatten().collect();
    wrong.extend(
        listed.iter().filter(|name| !sources.contains_key(**name)).map(|name| format!("{name} is no module")),
    );
    let twice = |name: &&&String| listed.iter().filter(|other| other == name).count() > 1;
    wrong.extend(listed.iter().filter(twice).map(|name| format!("{name} is on two floors")));
    wrong
}

#[test]
fn no_module_imports_from_its_own_floor_or_one_above_and_no_file_is_too_long() {
    let text = fs::read_to_string(root().join("docs/floors.md")).unwrap();
    let all = floors(&text);
    let folders: Vec<&str> = all.iter().map(|(folder, _)| folder.as_str()).collect();
    assert_eq!(
        folders,
        ["crds/src", "controller/core/src", "controller/ec2/src", "controller/src", "controller/cmd/src"]
    );
    for (folder, floors) in &all {
        let (place, mut sources) = (root().join(folder), Sources::new());
        read(&place, &place, &mut sources);
        assert_eq!(wrong(floors, &sources), Vec::<String>::new(), "{folder}");
    }
}

#[test]
fn an_import_that_runs_up_or_sideways_a_module_on_no_floor_and_a_long_file_are_told() {
    let floors =
        vec![vec!["low".to_owned(), "beside".to_owned()], vec!["high".to_owned(), "high::room".to_owned()]];
    let house = |module: &str, source: &str| {
        let sources = [
            ("", ""),
            ("low", ""),
            ("beside", ""),
            ("high", "mod room; use crate::low::x;"),
            ("high::room", ""),
        ];
        let mut sources: Sources = sources.map(|(name, source)| (name.to_owned(), source.to_owned())).into();
        sources.insert(module.to_owned(), source.to_owned());
        wrong(&floors, &sources)
    };
    let up = "low imports high, which is not below it";
    for (module, source, expected) in [
        ("high", "use crate::low::x; use std::fmt; mod room;", vec![]),
        ("low", "use crate::high::x;", vec![up]),
        (
            "low",
            "use crate::{beside, high::{a, b as c}};",
            vec!["low imports beside, which is not below it", up],
        ),
        ("low", "fn f() { crate::high::x(); }", vec![up]),
        ("low", "fn f(x: super::high::X) {}", vec![up]),
        ("low", "#[cfg(test)] mod tests { use crate::high::x; }", vec![]),
        ("low", "#[cfg(test)] mod tests; ", vec![]),
        ("high", "mod room; use room::x;", vec!["high imports high::room, which is not below it"]),
        ("high::room", "use super::x;", vec!["high::room imports high, which is not below it"]),
        ("high::room", "use super::super::low::x;", vec![]),
        ("new", "", vec!["new is on no floor"]),
        ("low", &"\n".repeat(MOST_LINES + 1), vec!["low has 401 lines"]),
    ] {
        assert_eq!(house(module, source), expected, "{module}: {source:.60}");
    }
    let sources: Sources = [
        ("high::tests".to_owned(), "use crate::top::x;".to_owned()),
        ("high".to_owned(), "#[cfg(test)] mod tests;".to_owned()),
    ]
    .into();
    assert_eq!(wrong(&[vec!["high".to_owned(), "gone".to_owned()]], &sources), ["gone is no module"]);
}
