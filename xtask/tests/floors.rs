//! The plan of the house: which module imports which, held against the floors that `xtask/ami/src/lib.rs` lists.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Each module with those that it imports, by their paths below the crate, such as `cloud::ec2::images`.
type Graph = BTreeMap<String, BTreeSet<String>>;

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ami/src")
}

/// The modules of a folder, by their paths, with their text up to their tests.
fn modules(folder: &Path, above: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
        let module = if above.is_empty() { name.to_owned() } else { format!("{above}::{name}") };
        if path.is_dir() {
            modules(&path, &module, found);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !["lib", "main", "tests"].contains(&name)
        {
            let text = fs::read_to_string(&path).expect("a source");
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            found.insert(module, without_comments(code));
        }
    }
}

fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// All paths that begin with `crate` or `super` in a module's text, trees of `use` taken apart, below the crate.
fn paths(text: &str, module: &str) -> BTreeSet<String> {
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    let mut found = BTreeSet::new();
    for (root, prefix) in [("crate::", ""), ("super::", parent)] {
        for (at, _) in text.match_indices(root) {
            let is_word = text[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
            if !is_word {
                let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}::") };
                tree(&text[at + root.len()..], &prefix, &mut found);
            }
        }
    }
    found
}

/// Takes a tree such as `a::{b, c::d}` apart; gives back how long it is.
fn tree(text: &str, prefix: &str, found: &mut BTreeSet<String>) -> usize {
    let name_end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    let name = &text[..name_end];
    if !text[name_end..].starts_with('{') || !(name.is_empty() || name.ends_with("::")) {
        found.insert(format!("{prefix}{}", name.trim_end_matches("::")));
        return name_end;
    }
    let prefix = format!("{prefix}{name}");
    let mut at = name_end + 1;
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        match text[at..].chars().next() {
            None => return at,
            Some('}') => return at + 1,
            Some(',') => at += 1,
            Some(_) => {
                at += tree(&text[at..], &prefix, found);
                // What stands before the next comma, such as `as _`, names nothing.
                at += text[at..].find([',', '}']).unwrap_or(text.len() - at);
            }
        }
    }
}

fn graph() -> Graph {
    let mut texts = BTreeMap::new();
    modules(&source(), "", &mut texts);
    assert!(texts.len() > 80, "there are {} modules only", texts.len());
    let edges = |(module, text): (&String, &String)| {
        let imported = paths(text, module).into_iter().filter_map(|path| {
            let mut path = path.as_str();
            while !texts.contains_key(path) {
                path = path.rsplit_once("::")?.0;
            }
            (path != module).then(|| path.to_owned())
        });
        (module.clone(), imported.collect())
    };
    texts.iter().map(edges).collect()
}

/// Whether one of two modules lies directly in the other.
fn is_family(a: &str, b: &str) -> bool {
    let parent = |module: &str| module.rsplit_once("::").map(|(parent, _)| parent.to_owned());
    parent(a).as_deref() == Some(b) || parent(b).as_deref() == Some(a)
}

/// A way from a module back to itself, if there is one.
fn cycle_through(graph: &Graph, start: &str) -> Option<Vec<String>> {
    let mut ways = vec![vec![start.to_owned()]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        let last = way.last().expect("a way has a beginning");
        for next in graph.get(last).into_iter().flatten().filter(|next| !is_family(last, next)) {
            if next == start {
                return Some(way);
            }
            if seen.insert(next.clone()) {
                ways.push(way.iter().cloned().chain([next.clone()]).collect());
            }
        }
    }
    None
}

#[test]
fn no_module_imports_one_that_imports_it() {
    let graph = graph();
    let cycles: Vec<String> = graph
        .keys()
        .filter_map(|module| cycle_through(&graph, module))
        .map(|way| format!("{} -> {}", way.join(" -> "), way[0]))
        .collect();
    assert!(cycles.is_empty(), "\n{}\n", cycles.join("\n"));
}

#[test]
fn imports_go_down_the_floors() {
    let lib = fs::read_to_string(source().join("lib.rs")).expect("lib.rs");
    let floors: Vec<&str> = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let floor = |module: &str| {
        let top = module.split("::").next().unwrap_or_default();
        floors.iter().position(|floor| *floor == top)
    };
    let mut faults = Vec::new();
    for (module, imported) in graph() {
        let Some(own) = floor(&module) else { continue };
        let above = imported.iter().filter(|other| floor(other).is_some_and(|other| other < own));
        faults.extend(above.map(|other| format!("{module} imports {other}, which lies above it")));
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn a_cycle_is_found_and_a_family_is_none() {
    let edge = |(module, imported): (&str, &[&str])| {
        (module.to_owned(), imported.iter().map(|other| (*other).to_owned()).collect())
    };
    let graph: Graph =
        [("a", &["b"][..]), ("b", &["c"]), ("c", &["a"]), ("d", &["d::e"]), ("d::e", &["d", "a"])].map(edge).into();
    assert_eq!(cycle_through(&graph, "a").expect("a cycle"), ["a", "b", "c"]);
    assert_eq!(cycle_through(&graph, "d"), None);
    let text = "use crate::{a::{self, B as _}, c};\nlet x = super::d::e();\n";
    let found: Vec<String> = paths(text, "m::n").into_iter().collect();
    assert_eq!(found, ["a::B", "a::self", "c", "m::d::e"]);
}
