//! What `load` reads, and what it says when it cannot.

use std::fs;
use std::sync::Arc;

use engine_core::diagnostic::SourceId;
use engine_core::plan;
use serde_json::json;
use steps_sdk::context::StepContext;
use steps_sdk::native::StepHandler;
use steps_sdk::schema::SchemaError;
use steps_sdk::spec::{About, SpecSource};
use steps_sdk::{Outcome, Preview, StepError, StepKind, StepSpec, Value, Verdict};

use super::*;
use crate::oci::Network;

/// A kind that takes the documents of YAML files; it is never run here.
struct Documents;

#[async_trait::async_trait]
impl StepHandler for Documents {
    fn kind(&self) -> StepKind {
        "test.documents".parse().unwrap()
    }

    fn describe(&self) -> Result<StepSpec, SchemaError> {
        let inputs = json!({ "type": "object", "required": ["files"], "properties": {
            "files": { "type": "array", "items": {}, "x-kdl-file": "yaml-template" } } });
        let outputs = json!({ "type": "object", "properties": {}, "additionalProperties": false });
        StepSpec::new(About::converging("test.documents", "Takes documents."), SpecSource { inputs, outputs })
    }

    async fn preview(&self, _: &StepContext, _: Value) -> Result<Preview, StepError> {
        unreachable!()
    }

    async fn run(&self, _: &StepContext, _: Value) -> Result<Outcome, StepError> {
        unreachable!()
    }

    async fn verify(&self, _: &StepContext, _: Value, _: Option<Value>) -> Result<Verdict, StepError> {
        unreachable!()
    }

    async fn release(&self, _: &StepContext, _: &str, _: Value) -> Result<(), StepError> {
        unreachable!()
    }

    async fn undo(&self, _: &StepContext, _: Value, _: Option<Value>) -> Result<String, StepError> {
        unreachable!()
    }
}

/// A workflow over `m` with these files beside it.
fn with_files(files: &[(&str, &str)], written: &str) -> (tempfile::TempDir, Loaded) {
    let room = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = room.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let path = room.path().join("w.kdl");
    fs::write(
        &path,
        format!("workflow w\ninput n type=int default=2\nstep a uses=test.documents {{ files \"{written}\" }}\n"),
    )
    .unwrap();
    let handlers: [Arc<dyn StepHandler>; 1] = [Arc::new(Documents)];
    let loaded = load(path.to_str().unwrap(), &registry_of(handlers)).unwrap();
    (room, loaded)
}

#[test]
fn files_that_a_step_names_are_read_beside_the_workflow() {
    let files = [("m/b.yaml", "b: ${inputs.n}\n"), ("m/a.yaml", "a: 1\n---\na: 2\n"), ("m/notes.txt", "x")];
    let (_room, loaded) = with_files(&files, "m");
    assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    assert_eq!(loaded.sources.len(), 3);
    assert!(loaded.paths[1].as_ref().unwrap().ends_with("m/a.yaml"));
    let plan = plan::compile(&loaded.workflow.unwrap(), Default::default()).unwrap();
    assert_eq!(plan.steps[0].inputs, plan::Input::Known(json!({ "files": [{ "a": 1 }, { "a": 2 }, { "b": 2 }] })));
}

#[test]
fn what_is_wrong_with_such_a_file_is_told_at_its_name_or_in_it() {
    let (_room, loaded) = with_files(&[], "m.yaml");
    assert_eq!(
        loaded.problems.iter().map(|problem| (problem.code, problem.at.unwrap().source)).collect::<Vec<_>>(),
        [("L239", SourceId(0))]
    );
    let (_room, loaded) = with_files(&[("m.yaml", "a: ${inputs.m}\n")], "m.yaml");
    let problem = &loaded.problems[0];
    let at = problem.at.unwrap();
    assert_eq!(&loaded.sources[at.source.0 as usize].text[at.start..at.end], "${inputs.m}");
    assert!(loaded.workflow.is_none());
}

fn registry() -> Registry {
    registry_of([])
}

fn registry_of(handlers: impl IntoIterator<Item = Arc<dyn StepHandler>>) -> Registry {
    registry_at(Path::new("not-used"), handlers)
}

fn registry_at(cache: &Path, handlers: impl IntoIterator<Item = Arc<dyn StepHandler>>) -> Registry {
    let compiler = || Ok(crate::wasm::Compiler::InProcess);
    let host = || crate::wasm::testing::World::default().bound().host;
    let settings = WorkshopSettings {
        cache: cache.to_owned(),
        compiler,
        host,
        network: Network::Offline,
        credentials: None,
        tell: |_| unreachable!("nothing is waited for"),
    };
    Registry::new(handlers, Workshop::new(settings))
}

/// A workflow that uses the component in `guest.wasm`.
fn with_component(bytes: Option<&[u8]>) -> (tempfile::TempDir, Registry, Loaded) {
    let room = tempfile::tempdir().unwrap();
    if let Some(bytes) = bytes {
        fs::write(room.path().join("guest.wasm"), bytes).unwrap();
    }
    let path = room.path().join("w.kdl");
    let text = "workflow w\nuse \"guest.wasm\" as=guest { grant { dns \"example.io\" } }\nstep a uses=guest.test { text hello }\n";
    fs::write(&path, text).unwrap();
    let registry = registry_at(&room.path().join("cache"), []);
    let loaded = load(path.to_str().unwrap(), &registry).unwrap();
    (room, registry, loaded)
}

#[test]
fn a_component_is_described_for_the_plan_and_bound_to_what_it_grants() {
    let (_room, registry, loaded) = with_component(Some(&crate::wasm::testing::Guest::new().pack()));
    let codes: Vec<&str> = loaded.problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["L250"], "the grant is asked for by no kind: {:?}", loaded.problems);
    let plan = plan::compile(&loaded.workflow.unwrap(), Default::default()).unwrap();
    assert_eq!(plan.components[0].digest, loaded.components[0].digest);
    let kind: StepKind = "guest.test".parse().unwrap();
    assert!(registry.handler(&kind).is_none());
    let bound = registry.bound(&plan, &loaded.components).unwrap();
    assert!(bound.handler(&kind).is_some());
    assert_eq!(bound.unused_grants(&plan), [("guest".to_owned(), "dns example.io and below".to_owned())]);
}

#[test]
fn a_component_that_cannot_be_used_is_one_problem_at_its_use() {
    for (bytes, code) in
        [(None, "W014"), (Some(b"\0asm\x01\0\0\0".as_slice()), "W003"), (Some(b"text".as_slice()), "W004")]
    {
        let (_room, _, loaded) = with_component(bytes);
        let found: Vec<&str> = loaded.problems.iter().map(|problem| problem.code).collect();
        assert_eq!(found, [code]);
        let at = loaded.problems[0].at.unwrap();
        assert!(loaded.sources[0].text[at.start..at.end].contains("guest.wasm"), "{at:?}");
        assert!(loaded.workflow.is_none());
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_and_not_a_problem_in_it() {
    let room = tempfile::tempdir().unwrap();
    let path = |name: &str| room.path().join(name).display().to_string();
    fs::write(path("binary.kdl"), b"workflow a\n\xff").unwrap();
    fs::write(path("large.kdl"), vec![b' '; SOURCE_BYTES_MAX + 1]).unwrap();
    assert!(matches!(load(&path("absent.kdl"), &registry()), Err(LoadError::Unreadable { .. })));
    assert!(matches!(load(&path("binary.kdl"), &registry()), Err(LoadError::NotText { at: 11, .. })));
    assert!(matches!(load(&path("large.kdl"), &registry()), Err(LoadError::TooLarge { .. })));
}

#[test]
fn a_path_stands_for_a_file_a_directory_or_the_files_of_a_pattern() {
    let room = tempfile::tempdir().unwrap();
    for name in ["b.yaml", "a.yml", "c.json", "notes.txt", ".hidden.yaml"] {
        fs::write(room.path().join(name), "a: 1\n").unwrap();
    }
    fs::create_dir(room.path().join("sub")).unwrap();
    let names = |written: &str| -> Result<Vec<String>, String> {
        let found = files::read_all(room.path(), written)?;
        Ok(found.into_iter().map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned()).collect())
    };
    assert_eq!(names("b.yaml").unwrap(), ["b.yaml"]);
    assert_eq!(names(".").unwrap(), ["a.yml", "b.yaml", "c.json"]);
    assert_eq!(names("*.y*ml").unwrap(), ["a.yml", "b.yaml"]);
    assert!(names("absent.yaml").unwrap_err().contains("no such file"));
    assert!(names("sub").unwrap_err().contains("no file there fits"));
    assert!(names("*/a.yml").is_err());
}

/// Codes, files and marked words of what is wrong with a workflow that has these files beside it.
fn including(files: &[(&str, &str)], text: &str) -> (Loaded, Vec<(String, String, String)>) {
    let room = tempfile::tempdir().unwrap();
    for (name, text) in files.iter().chain(&[("a.kdl", text)]) {
        let path = room.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let loaded =
        load(room.path().join("a.kdl").to_str().unwrap(), &registry_of([Arc::new(Documents) as Arc<dyn StepHandler>]))
            .unwrap();
    let found = loaded
        .problems
        .iter()
        .map(|problem| {
            let at = problem.at.unwrap();
            let source = &loaded.sources[at.source.0 as usize];
            let name = source.name.strip_prefix(room.path().to_str().unwrap()).unwrap().to_owned();
            (problem.code.to_owned(), name, source.text[at.start..at.end].to_owned())
        })
        .collect();
    (loaded, found)
}

fn wrong(files: &[(&str, &str)], text: &str) -> Vec<(String, String, String)> {
    including(files, text).1
}

fn at(code: &str, file: &str, words: &str) -> Vec<(String, String, String)> {
    vec![(code.to_owned(), file.to_owned(), words.to_owned())]
}

const LIBRARY: &str = "include \"../types.kdl\"\ntemplate t {\n param p type=pair\n step s uses=test.documents { files \"m.yaml\" }\n output o \"${param.p.left}\"\n}\n";
const TYPES: &str = "type pair { left type=string; right type=string default=x }\n";

#[test]
fn an_included_file_brings_templates_and_types() {
    let files = [("lib/t.kdl", LIBRARY), ("types.kdl", TYPES), ("lib/m.yaml", "host: ${param.p.right}\n")];
    let text =
        "workflow t\ninclude \"./lib/t.kdl\"\ninclude \"types.kdl\"\ncall c uses=t { p left=a }\noutput o \"${c.o}\"\n";
    let (loaded, found) = including(&files, text);
    assert_eq!(found, []);
    let names: Vec<_> =
        loaded.paths.iter().map(|path| path.as_ref().unwrap().file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["a.kdl", "t.kdl", "types.kdl", "m.yaml"], "each is read once, and pinned with the run");
    let plan = plan::compile(&loaded.workflow.unwrap(), Default::default()).unwrap();
    assert_eq!(plan.steps[0].id.as_str(), "c.s");
    assert_eq!(serde_json::to_value(&plan.steps[0].inputs).unwrap()["known"]["files"], json!([{ "host": "x" }]));
    assert_eq!(plan.steps[0].at.source, SourceId(1));
}

#[test]
fn what_is_wrong_with_an_include_is_told_where_it_stands() {
    let head = "workflow t\ninclude \"./lib/t.kdl\"\n";
    assert_eq!(wrong(&[], head), at("L263", "/a.kdl", "\"./lib/t.kdl\""));
    assert_eq!(wrong(&[], "workflow t\ninclude \"a.kdl\""), at("L263", "/a.kdl", "\"a.kdl\""));
    assert_eq!(
        wrong(&[], "workflow t\ninclude \"https://example.io/a.kdl\""),
        at("L263", "/a.kdl", "\"https://example.io/a.kdl\"")
    );
    assert_eq!(wrong(&[], "workflow t\ninclude \"lib/*.kdl\""), at("L263", "/a.kdl", "\"lib/*.kdl\""));
    assert_eq!(wrong(&[], "workflow t\ninclude"), at("L204", "/a.kdl", "include"));
    assert_eq!(wrong(&[("lib/t.kdl", "step a uses=test.documents")], head), at("L264", "/lib/t.kdl", "step"));
    assert_eq!(wrong(&[("lib/t.kdl", "workflow u")], head), at("L264", "/lib/t.kdl", "workflow"));
    assert_eq!(wrong(&[("lib/t.kdl", "include \"none.kdl\"")], head), at("L263", "/lib/t.kdl", "\"none.kdl\""));
    assert_eq!(wrong(&[("lib/t.kdl", "type a { b type=string")], head)[0].1, "/lib/t.kdl");
    let twice = [("lib/t.kdl", "type pair { a type=string }")];
    assert_eq!(wrong(&twice, &format!("{head}{TYPES}")), at("L206", "/lib/t.kdl", "pair"));
}

#[test]
fn files_that_include_each_other_are_read_once() {
    let files = [("lib/t.kdl", "include \"u.kdl\"\ntype a { b type=string }"), ("lib/u.kdl", "include \"t.kdl\"")];
    assert_eq!(wrong(&files, "workflow t\ninclude \"./lib/t.kdl\""), []);
}

#[test]
fn a_template_that_is_not_called_need_not_fit_the_workflow() {
    let template = "template t { step s uses=cdn.record { name \"${inputs.zone}\" }; output z \"${inputs.zone}\" }\ntemplate u { call c uses=t }";
    let files = [("t.kdl", template)];
    assert_eq!(wrong(&files, "workflow t\ninclude \"t.kdl\""), []);
    let codes: Vec<String> =
        wrong(&files, "workflow t\ninclude \"t.kdl\"\ncall x uses=u").into_iter().map(|(code, ..)| code).collect();
    assert_eq!(codes, ["L209", "L111"], "the kind and the input that it needs");
}
