//! The rules of the house that a program can check: floors, first lines, names, error codes, and the KDL that we show people.

#![allow(clippy::unwrap_used, reason = "everything in this file is a test or serves one")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every Rust file of ours, with its path from the root.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for package in ["steps-sdk", "engine", "steps", "sandbox", "tests", "bench"] {
        walk(&root().join(package), &mut |path| {
            if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, std::fs::read_to_string(path).unwrap()));
            }
        });
    }
    assert!(found.len() > 50, "the sources were not found");
    found
}

fn walk(directory: &Path, visit: &mut impl FnMut(&Path)) {
    let mut entries: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.file_name().is_some_and(|name| name == "target" || name == "snapshots") {
            continue;
        }
        if path.is_dir() { walk(&path, visit) } else { visit(&path) }
    }
}

#[test]
fn every_file_says_first_what_lives_in_it() {
    let silent: Vec<_> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(name, _)| name).collect();
    assert!(silent.is_empty(), "these files do not begin with `//!`: {silent:#?}");
}

#[test]
fn files_are_named_after_what_they_do() {
    let forbidden = ["utils", "util", "helpers", "helper", "common", "misc", "manager"];
    let odd: Vec<_> = sources()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| name.split(['/', '.', '_']).any(|word| forbidden.contains(&word)))
        .collect();
    assert!(odd.is_empty(), "{odd:#?}");
}

/// The floors of docs/architecture.md. `use` goes down; the adapters on floor 3 are strangers to each other.
#[test]
fn arrows_of_use_go_down_only() {
    const CORE: &[(&str, u8)] = &[
        ("diagnostic", 0),
        ("id", 0),
        ("limits", 0),
        ("terminal", 0),
        ("syntax", 2),
        ("expr", 1),
        ("workflow", 3),
        ("plan", 4),
        ("run", 5),
    ];
    const SHELL: &[(&str, u8)] = &[
        ("disk", 0),
        ("journal", 3),
        ("report", 3),
        ("cluster", 3),
        ("seal", 3),
        ("wasm", 3),
        ("oci", 3),
        ("load", 4),
        ("cases", 5),
        ("run", 5),
        ("cases", 5),
        ("cli", 6),
    ];
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let (floors, inside) = match (name.strip_prefix("engine/core/src/"), name.strip_prefix("engine/src/")) {
            (Some(inside), _) => (CORE, inside),
            (_, Some(inside)) => (SHELL, inside),
            _ => continue,
        };
        let own = inside.split('/').next().unwrap().trim_end_matches(".rs");
        let Some(&(_, floor)) = floors.iter().find(|(module, _)| *module == own) else {
            assert!(["lib", "main"].contains(&own), "{name}: this test does not know the floor of `{own}`");
            continue;
        };
        for used in paths_after(&text, "crate::") {
            if let Some(&(_, other)) = floors.iter().find(|(module, _)| *module == used)
                && used != own
                && other >= floor
            {
                wrong.push(format!("{name} (floor {floor}) uses `{used}` (floor {other})"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// First segments of the paths that begin with `prefix`, those in braces too.
fn paths_after(text: &str, prefix: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices(prefix) {
        let rest = &text[at + prefix.len()..];
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(inside) => inside.split('}').next().unwrap().split(',').collect(),
            None => vec![rest],
        };
        for name in names {
            found.insert(name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    found
}

#[test]
fn the_pure_half_and_the_library_know_no_concrete_step() {
    for (name, text) in sources() {
        if name.starts_with("engine/core/") {
            for part in ["native", "context", "host"] {
                assert!(
                    !text.contains(&format!("steps_sdk::{part}")),
                    "{name} uses steps_sdk::{part}, which the pure half does not have"
                );
            }
        }
        let is_roof = name == "engine/src/main.rs";
        if name.starts_with("engine/") && !is_roof {
            assert!(
                !text.contains("use steps::") && !text.contains("use sandbox"),
                "{name} names `steps` or `sandbox`"
            );
        }
        if name.starts_with("steps/") || name.starts_with("steps-sdk/") || name.starts_with("sandbox/") {
            assert!(!text.contains("engine_core::") && !text.contains("use engine::"), "{name} stands on the engine");
        }
    }
}

#[test]
fn every_error_code_has_a_section_that_says_what_to_do() {
    let page = std::fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let sections: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("### ")?.split(' ').next()).collect();
    let mut missing = BTreeSet::new();
    for (name, text) in sources() {
        if name.starts_with("tests/")
            || name.starts_with("bench/")
            || name.contains("/tests")
            || name.contains("generated")
        {
            continue;
        }
        // Stand-ins for tests, which whole modules are.
        if ["steps-sdk/src/testing.rs", "engine/src/report/sample.rs"].contains(&name.as_str())
            || name.starts_with("steps/src/cluster/scripted")
        {
            continue;
        }
        // What stands in a file's own tests is not shown to anybody.
        let shown = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        missing.extend(codes(shown).filter(|code| !sections.contains(code.as_str())));
    }
    assert!(missing.is_empty(), "docs/errors.md has no section for {missing:?}");
}

/// String literals that have the form of a code, and miette's `code(X123)`.
fn codes(text: &str) -> impl Iterator<Item = String> {
    let is_code = |word: &str| {
        let digits = word.strip_prefix(|c| "AGLPKCSJEDTWX".contains(c));
        digits.is_some_and(|digits| digits.len() == 3 && digits.chars().all(|c| c.is_ascii_digit()))
    };
    text.split(['"', '(', ')']).filter(move |word| is_code(word)).map(str::to_owned).collect::<Vec<_>>().into_iter()
}

#[test]
fn nothing_is_left_to_do_in_finished_code() {
    let marks = ["TODO", "FIXME", "XXX", "todo!(", "unimplemented!("];
    let left: Vec<_> = sources()
        .into_iter()
        .filter(|(name, _)| name != "tests/tests/tidy.rs")
        .flat_map(|(name, text)| {
            marks
                .iter()
                .filter(move |mark| text.contains(**mark))
                .map(move |mark| format!("{name}: {mark}"))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(left.is_empty(), "{left:#?}");
}

/// Every KDL file that we ship, and every KDL block in our documents that is a whole workflow, passes `engine check`. Files that use a
/// component of steps/custom are left out, loudly, as long as that is not built.
#[test]
fn the_kdl_that_we_show_passes_check() {
    let place = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    walk(&root().join("workflows"), &mut |path| {
        if path.extension().is_some_and(|e| e == "kdl") {
            match component_not_built(path) {
                None => files.push(path.to_owned()),
                Some(absent) => {
                    eprintln!("LEFT OUT: {} needs {absent}, which steps/custom/build makes", path.display());
                }
            }
        }
    });
    let mut documents = vec![root().join("README.md")];
    walk(&root().join("docs"), &mut |path| documents.push(path.to_owned()));
    for document in documents.iter().filter(|path| path.extension().is_some_and(|e| e == "md")) {
        let text = std::fs::read_to_string(document).unwrap();
        for (n, block) in text.split("```kdl\n").skip(1).enumerate() {
            let block = block.split("```").next().unwrap();
            if block.lines().any(|line| line.starts_with("workflow ")) {
                let name = format!("{}-{n}.kdl", document.file_stem().unwrap().to_string_lossy());
                let path = place.path().join(name);
                std::fs::write(&path, block).unwrap();
                files.push(path);
            }
        }
    }
    assert!(files.len() >= 4, "the workflows were not found");
    let checked = std::process::Command::new(engine_tests::program()).arg("check").args(&files).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

/// The component that a workflow uses and that has not been built.
fn component_not_built(workflow: &Path) -> Option<String> {
    let text = std::fs::read_to_string(workflow).unwrap();
    let sources = text.lines().filter_map(|line| line.strip_prefix("use \"")?.split('"').next());
    let absent =
        sources.filter(|source| source.contains("/built/") && !workflow.parent().unwrap().join(source).is_file());
    absent.map(str::to_owned).next()
}
