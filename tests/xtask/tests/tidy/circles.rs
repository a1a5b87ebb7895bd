//! No import circle inside a crate: who reads a file must be able to read what it uses first, and so on to an end.
//!
//! An arrow goes from the file that names something to the file that defines it. A name that a parent re-exports is
//! followed to where it is defined. Neither `mod` nor `pub use` is an arrow, nor is what a module takes from those around
//! it: a part belongs to its whole. Read as text, since rustfmt keeps it in one form; code under `#[cfg(test)]` may look where it likes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use crate::{code_of, metadata, show, sources};

/// Crates that still have circles. It only gets shorter: a crate that is clean leaves the list.
const NOT_YET: &[&str] = &[];

/// Path of a module inside its crate; empty for the root.
type Module = Vec<String>;

/// One file of a crate.
#[derive(Default)]
struct File {
    shown: String,
    /// What a name of this file stands for: imports, re-exports, as full paths inside the crate.
    names: BTreeMap<String, Module>,
    /// Full paths that its code mentions.
    mentions: BTreeSet<Module>,
}

#[test]
fn no_import_circle_inside_a_crate() {
    let (mut problems, mut seen) = (Vec::new(), BTreeSet::new());
    for package in metadata().workspace_packages() {
        let src = package.manifest_path.parent().unwrap().join("src");
        let found = circles(&read(src.as_std_path()));
        seen.insert(package.name.to_string());
        match (found.is_empty(), NOT_YET.contains(&package.name.as_str())) {
            (true, true) => problems.push(format!("{} has no circle any more: take it off the list", package.name)),
            (false, false) => problems.push(format!("{}:\n  {}", package.name, found.join("\n  "))),
            _ => {}
        }
    }
    problems.extend(
        NOT_YET.iter().filter(|name| !seen.contains(**name)).map(|name| format!("{name} is no crate any more")),
    );
    assert!(problems.is_empty(), "import circles, as file -> file (names):\n{}", problems.join("\n"));
}

fn read(src: &Path) -> BTreeMap<Module, File> {
    let mut files = BTreeMap::from([(Module::new(), File::default())]);
    for path in sources(&show(src), &["rs"]) {
        // Beside a library, the program's file is a crate of its own.
        if path == src.join("main.rs") && src.join("lib.rs").is_file() {
            continue;
        }
        let inside = path.strip_prefix(src).unwrap().with_extension("");
        let mut module: Module = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if module.last().is_some_and(|last| last == "mod") || matches!(module.join("/").as_str(), "lib" | "main") {
            module.pop();
        }
        files.insert(module, File { shown: show(&path), ..File::default() });
    }
    let modules: BTreeSet<Module> = files.keys().cloned().collect();
    for (module, file) in &mut files {
        let text = fs::read_to_string(crate::checkout().join(&file.shown)).unwrap_or_default();
        let code: String = code_of(&text)
            .lines()
            .map(|line| line.split("//").next().unwrap_or(line))
            .fold(String::new(), |code, line| code + line + "\n");
        read_code(&code, module, &modules, file);
    }
    files
}

/// Imports first, then every path that the rest of the code mentions.
fn read_code(code: &str, module: &Module, modules: &BTreeSet<Module>, file: &mut File) {
    let mut rest = String::new();
    for statement in code.split_inclusive(';') {
        let start = statement.rfind("use ").filter(|&start| {
            let before = statement[..start].trim_end();
            before.is_empty() || before.ends_with(['\n', '}', '{', ']', ';', ')']) || before.ends_with("pub")
        });
        let (Some(start), true) = (start, statement.ends_with(';')) else {
            rest.push_str(statement);
            continue;
        };
        rest.push_str(&statement[..start]);
        let is_reexport = statement[..start].trim_end().ends_with([')']) || statement[..start].ends_with("pub ");
        for (path, name) in expand(statement[start + 4..].trim_end_matches(';')) {
            let Some(full) = absolute(&path, module, modules, &BTreeMap::new()) else { continue };
            // A module is no use by itself: what is taken from it is.
            if !is_reexport && !modules.contains(&full) {
                file.mentions.insert(full.clone());
            }
            file.names.insert(name, full);
        }
    }
    for word in rest.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
        let path: Module = word.split("::").map(str::to_owned).collect();
        if path.len() > 1
            && let Some(full) = absolute(&path, module, modules, &file.names)
        {
            file.mentions.insert(full);
        }
    }
}

/// `a::{b, c as d}` as its paths, each with the name that it brings.
fn expand(tree: &str) -> Vec<(Module, String)> {
    let tree = tree.trim();
    if let Some((head, inner)) = tree.split_once('{') {
        let inner = inner.trim_end().strip_suffix('}').unwrap_or(inner);
        let (mut depth, mut start, mut parts) = (0_i32, 0, Vec::new());
        for (at, c) in inner.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => parts.push(&inner[std::mem::replace(&mut start, at + 1)..at]),
                _ => {}
            }
        }
        parts.push(&inner[start..]);
        return parts
            .into_iter()
            .filter(|part| !part.trim().is_empty())
            .flat_map(|part| expand(&format!("{}{}", head.trim(), part.trim())))
            .collect();
    }
    let (path, alias) = tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias)));
    let mut parts: Module = path.split("::").map(|part| part.trim().to_owned()).collect();
    if parts.len() > 1 && parts.last().is_some_and(|last| last == "self") {
        parts.pop();
    }
    let name = alias.map_or_else(|| parts.last().cloned().unwrap_or_default(), |alias| alias.trim().to_owned());
    vec![(parts, name)]
}

/// The path from the root of the crate; none if it leads to another crate.
fn absolute(
    path: &[String],
    module: &Module,
    modules: &BTreeSet<Module>,
    names: &BTreeMap<String, Module>,
) -> Option<Module> {
    let mut base = module.clone();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => base.clear(),
        "self" => {}
        "super" => {
            base.pop();
            while rest.get(1).is_some_and(|part| part == "super") {
                base.pop();
                rest = &rest[1..];
            }
        }
        first => {
            let child: Module = module.iter().cloned().chain([first.to_owned()]).collect();
            let full = names.get(first).cloned().or_else(|| modules.contains(&child).then_some(child))?;
            return Some(full.into_iter().chain(path[1..].iter().cloned()).collect());
        }
    }
    Some(base.into_iter().chain(rest[1..].iter().cloned()).collect())
}

/// The module that defines what the path names.
fn defining(path: &[String], files: &BTreeMap<Module, File>) -> Module {
    let prefix =
        |path: &[String]| (0..=path.len()).rev().find(|&length| files.contains_key(&path[..length])).unwrap_or(0);
    let mut path = path.to_vec();
    // As many re-exports as a path can pass; a circle of them would not compile.
    for _ in 0..16 {
        let (module, rest) = path.split_at(prefix(&path));
        let next = rest.first().and_then(|name| files.get(module).and_then(|file| file.names.get(name)));
        match next {
            Some(full) if *full != path => path = full.iter().cloned().chain(rest[1..].iter().cloned()).collect(),
            _ => return module.to_vec(),
        }
    }
    path[..prefix(&path)].to_vec()
}

fn circles(files: &BTreeMap<Module, File>) -> Vec<String> {
    let mut arrows: BTreeMap<&Module, BTreeMap<Module, BTreeSet<&str>>> = BTreeMap::new();
    for (from, file) in files {
        for path in &file.mentions {
            let to = defining(path, files);
            if !from.starts_with(&to) {
                let names = arrows.entry(from).or_default().entry(to).or_default();
                names.insert(path.last().map_or("", String::as_str));
            }
        }
    }
    let reach = |start: &Module| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![start.clone()]);
        while let Some(module) = open.pop() {
            for next in arrows.get(&module).into_iter().flat_map(BTreeMap::keys) {
                if seen.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&Module, BTreeSet<Module>> = files.keys().map(|module| (module, reach(module))).collect();
    let mut found = Vec::new();
    for (from, targets) in &arrows {
        for (to, names) in targets {
            if reached[to].contains(*from) {
                let names: Vec<&str> = names.iter().copied().collect();
                found.push(format!("{} -> {}: {}", files[*from].shown, files[to].shown, names.join(", ")));
            }
        }
    }
    found
}

#[test]
fn circles_are_found_through_imports_paths_and_reexports() {
    let check = |sources: &[(&str, &str)]| {
        let module =
            |name: &str| name.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Module>();
        let modules: BTreeSet<Module> = sources.iter().map(|(name, _)| module(name)).collect();
        let mut files = BTreeMap::new();
        for (name, code) in sources {
            let mut file = File { shown: (*name).to_owned(), ..File::default() };
            read_code(code, &module(name), &modules, &mut file);
            files.insert(module(name), file);
        }
        circles(&files)
    };
    let parent = ("", "mod a;\nmod b;\npub use a::{A, Other as O};\nfn f() {}\n");
    assert!(check(&[parent, ("a", "pub struct A;\n"), ("b", "use crate::A;\nuse super::f;\n")]).is_empty());
    let found = check(&[parent, ("a", "use crate::b;\nfn g() { b::go() }\n"), ("b", "use crate::{\n    A,\n};\n")]);
    assert_eq!(found, ["a -> b: go", "b -> a: A"]);
    assert!(check(&[("", "mod a;\nfn f() { a::go() }\n"), ("a", "fn go() { super::f() }\n")]).is_empty());
}
