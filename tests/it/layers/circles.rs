//! Circles among the entries of a directory: `a.rs` names an item of `b.rs`, which names an item of
//! `a.rs`, directly or over other files.
//!
//! A subdirectory counts as one entry, with everything in it. A path is a dependency on the file
//! that defines the item, also where another module re-exports it. `mod.rs` and the files below it
//! may use each other: a parent is made of its children, and its own types are theirs too.

use super::paths::Paths;
use super::{Source, Violation};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

/// A module path, which also identifies the entry of its parent's directory.
type Module = [String];

pub(super) fn circles(sources: &[Source]) -> Vec<Violation> {
    let graph = Graph::of(sources);
    let mut violations = Vec::new();
    let mut reported = BTreeSet::new();
    for start in graph.edges.keys() {
        let Some(circle) = graph.shortest_circle(start) else {
            continue;
        };
        // One report for each set of files, not one for each file of it.
        let mut members = circle.clone();
        members.sort();
        if reported.insert(members) {
            violations.push(graph.violation(&circle));
        }
    }
    violations
}

/// The files of the crate by module path, and which entry of a directory depends on which.
struct Graph<'a> {
    files: BTreeMap<&'a Module, (&'a Source, Paths)>,
    /// The first path by which an entry names an item of the other.
    edges: BTreeMap<&'a Module, BTreeMap<&'a Module, Edge>>,
}

/// Where and how one entry uses the other.
struct Edge {
    file: PathBuf,
    line: usize,
    path: String,
}

/// What a path leads to.
enum Target<'a> {
    Module(&'a Module),
    /// An item that this file defines.
    Item(&'a Module),
}

impl<'a> Graph<'a> {
    fn of(sources: &'a [Source]) -> Self {
        let files = sources
            .iter()
            .map(|source| (&*source.module, (source, Paths::of(&source.code))))
            .collect();
        let mut graph = Self {
            files,
            edges: BTreeMap::new(),
        };
        for source in sources {
            graph.add_edges(&source.module);
        }
        graph
    }

    fn add_edges(&mut self, module: &'a Module) {
        let Some((source, file)) = self.files.get(module) else {
            return;
        };
        for path in &file.paths {
            let Some(Target::Item(other)) = self.resolve(module, &path.segments, 0) else {
                continue;
            };
            let common = module
                .iter()
                .zip(other)
                .take_while(|(one, other)| one == other)
                .count();
            // TABLE rules over dependencies between top-level modules.
            if common == 0 || common == module.len() || common == other.len() {
                continue;
            }
            let from = self.edges.entry(&module[..=common]).or_default();
            from.entry(&other[..=common]).or_insert_with(|| Edge {
                file: source.path.clone(),
                line: path.line,
                path: path.segments.join("::"),
            });
        }
    }

    /// Follows a path from a module. `None` if it leads out of the crate.
    fn resolve(&self, from: &'a Module, path: &[String], depth: usize) -> Option<Target<'a>> {
        // A `use` that leads to itself, such as `use serde::serde`.
        if depth > 16 {
            return None;
        }
        let supers = path.iter().take_while(|name| *name == "super").count();
        let (mut at, mut rest) = match path.first()?.as_str() {
            "crate" => (&from[..0], &path[1..]),
            "self" => (from, &path[1..]),
            "super" => (&from[..from.len().checked_sub(supers)?], &path[supers..]),
            // A name in scope; other crates are none.
            name => match self.member(from, name, path.len() == 1, depth)? {
                Target::Module(module) => (module, &path[1..]),
                item @ Target::Item(_) => return Some(item),
            },
        };
        while let Some(name) = rest.first() {
            rest = &rest[1..];
            match self.member(at, name, rest.is_empty(), depth) {
                Some(Target::Module(module)) => at = module,
                Some(item) => return Some(item),
                // An item made by a macro, or a glob.
                None => return Some(Target::Item(self.files.get_key_value(at)?.0)),
            }
        }
        Some(Target::Module(at))
    }

    /// What a name means in a module. As the last name of a path it is an item rather than a module
    /// of the same name.
    fn member(
        &self,
        module: &'a Module,
        name: &str,
        last: bool,
        depth: usize,
    ) -> Option<Target<'a>> {
        let (module, (_, file)) = self.files.get_key_value(module)?;
        let child = [module, &[name.to_owned()][..]].concat();
        let child = self
            .files
            .get_key_value(&*child)
            .map(|(child, _)| Target::Module(child));
        if child.is_some() && !last {
            return child;
        }
        if file.defined.contains(name) {
            return Some(Target::Item(module));
        }
        let bound = |name: &str| {
            let uses = file.paths.iter();
            let named = uses.filter(|path| path.binds.as_deref() == Some(name));
            named.map(|path| &*path.segments).collect::<Vec<_>>()
        };
        let single = bound(name)
            .into_iter()
            .filter(|path| *path != [name])
            .find_map(|path| self.resolve(module, path, depth + 1));
        single.or(child).or_else(|| {
            bound("*").into_iter().find_map(|path| {
                let (_, path) = path.split_last()?;
                match self.resolve(module, path, depth + 1)? {
                    Target::Module(other) => self.member(other, name, last, depth + 1),
                    // The variants of an enum.
                    Target::Item(_) => None,
                }
            })
        })
    }

    /// The shortest way from a file back to itself.
    fn shortest_circle(&self, start: &'a Module) -> Option<Vec<&'a Module>> {
        let mut came_from: BTreeMap<&Module, &Module> = BTreeMap::new();
        let mut pending = VecDeque::from([start]);
        while let Some(at) = pending.pop_front() {
            for &next in self.edges.get(at).into_iter().flat_map(BTreeMap::keys) {
                if next == start {
                    let back = std::iter::successors(Some(at), |at| came_from.get(at).copied());
                    let mut circle: Vec<_> = back.collect();
                    circle.reverse();
                    return Some(circle);
                }
                if !came_from.contains_key(next) {
                    came_from.insert(next, at);
                    pending.push_back(next);
                }
            }
        }
        None
    }

    fn violation(&self, circle: &[&'a Module]) -> Violation {
        let edges: Vec<_> = (0..circle.len())
            .map(|at| &self.edges[circle[at]][circle[(at + 1) % circle.len()]])
            .collect();
        let steps: Vec<_> = edges
            .iter()
            .map(|edge| format!("{}:{} uses `{}`", edge.file.display(), edge.line, edge.path))
            .collect();
        let names: Vec<_> = circle.iter().map(|module| module.join("/")).collect();
        Violation {
            file: edges[0].file.clone(),
            line: edges[0].line,
            message: format!("circle of {}: {}", names.join(", "), steps.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::messages;
    use super::*;
    use std::path::Path;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let source = |(path, text): &(&str, &str)| Source::new(Path::new(path), text);
        let parents = [("src/lib.rs", "mod m;"), ("src/m/mod.rs", "mod a;\nmod b;")];
        let sources = parents.iter().chain(files).map(source).collect::<Vec<_>>();
        messages(&circles(&sources))
    }

    #[test]
    fn two_files_that_use_each_other_are_reported_once() {
        let files = [
            ("src/m/a.rs", "struct A;\nuse super::b::B;"),
            ("src/m/b.rs", "struct B;\nfn f(_: crate::m::a::A) {}"),
        ];
        assert_eq!(
            found(&files),
            [
                "src/m/a.rs:2: circle of m/a, m/b: src/m/a.rs:2 uses `super::b::B`; src/m/b.rs:2 uses `crate::m::a::A`"
            ]
        );
        assert!(found(&[files[0], ("src/m/b.rs", "struct B;")]).is_empty());
    }

    #[test]
    fn circle_over_three_files_and_a_re_export_is_reported() {
        let files = [
            (
                "src/m/mod.rs",
                "pub use a::{A, f as g};\npub(crate) use b::*;",
            ),
            ("src/m/a.rs", "struct A;\npub fn f() {}\nuse super::B;"),
            (
                "src/m/b.rs",
                "pub struct B;\nuse super::c;\nfn f() { c::C::new() }",
            ),
            ("src/m/c.rs", "struct C;\nuse crate::m::g;"),
        ];
        assert_eq!(
            found(&files),
            [
                "src/m/a.rs:3: circle of m/a, m/b, m/c: src/m/a.rs:3 uses `super::B`; src/m/b.rs:3 uses `c::C::new`; src/m/c.rs:2 uses `crate::m::g`"
            ]
        );
    }

    #[test]
    fn directory_counts_as_one_entry() {
        let files = [
            (
                "src/m/d/mod.rs",
                "pub mod one;\nmod two;\npub use two::Two;",
            ),
            ("src/m/d/one.rs", "pub struct One;"),
            ("src/m/d/two.rs", "struct Two;\nuse super::super::a::A;"),
            ("src/m/a.rs", "struct A;\nuse super::d::one::One;"),
        ];
        assert_eq!(
            found(&files),
            [
                "src/m/a.rs:2: circle of m/a, m/d: src/m/a.rs:2 uses `super::d::one::One`; src/m/d/two.rs:2 uses `super::super::a::A`"
            ]
        );
    }

    #[test]
    fn parent_and_children_may_use_each_other() {
        let files = [
            ("src/m/mod.rs", "mod a;\nstruct M;\nfn f() { a::f() }"),
            ("src/m/a.rs", "use super::M;\nfn f() {}"),
        ];
        assert!(found(&files).is_empty());
    }

    #[test]
    fn comments_and_names_of_other_crates_are_no_dependencies() {
        let files = [
            (
                "src/m/a.rs",
                "//! [`super::b::B`]\nstruct A;\nuse b::B;\nuse serde::serde;",
            ),
            (
                "src/m/b.rs",
                "struct B;\nuse super::a::A;\nfn f() { std::mem::take(x) }",
            ),
        ];
        assert!(found(&files).is_empty());
    }
}
