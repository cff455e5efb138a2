//! The whole way of a component: described, bound, called by every verb.

use std::sync::Arc;

use serde_json::json;
use steps_sdk::native::StepHandler;
use steps_sdk::{Preview, Value, Verdict};
use tempfile::TempDir;

use super::testing::{Do, Guest, World, kind};
use super::{Compiler, Components, Settings};

fn components(directory: &TempDir) -> Components {
    let settings = Settings { cache: directory.path().join("cache"), compiler: Compiler::InProcess };
    Components::new(settings).unwrap()
}

fn step(component: &[u8], world: &World) -> Arc<dyn StepHandler> {
    let directory = tempfile::tempdir().unwrap();
    let component = components(&directory).component(component).unwrap();
    component.handlers("custom", world.bound()).remove(0)
}

#[tokio::test]
async fn every_verb_of_a_guest_is_called_and_answers() {
    let guest = Guest::new().on("run", [Do::Inputs]).answer("verify", json!({ "ok": "intact" })).answer(
        "preview",
        json!({ "ok": { "changes": [{
            "object": "A api.example.io", "action": "create", "certainty": "server",
            "fields": [{ "path": "ttl", "before": null, "after": "60" }], "conflict": "another" }] } }),
    );
    let world = World::default();
    let step = step(&guest.pack(), &world);
    assert_eq!(step.kind().as_str(), "custom.test");
    let spec = step.describe().unwrap();
    assert_eq!((spec.version, spec.doc.as_str()), (1, "Does what a test wants."));
    let inputs = json!({ "text": "hello" });
    let outcome = world.call(async |cx| step.run(cx, inputs.clone()).await).await.unwrap();
    assert_eq!((outcome.outputs, outcome.summary.as_str(), outcome.same), (inputs.clone(), "done", false));
    let preview = world.call(async |cx| step.preview(cx, inputs.clone()).await).await.unwrap();
    let Preview::Changes(changes) = preview else { panic!("changes") };
    assert_eq!(changes[0].fields[0].after, Some(Value::from(60)));
    let verdict = world.call(async |cx| step.verify(cx, inputs.clone(), Some(json!({}))).await).await.unwrap();
    assert_eq!(verdict, Verdict::Intact);
    let undone = world.call(async |cx| step.undo(cx, inputs.clone(), None).await).await.unwrap();
    assert_eq!(undone, "undone");
    world.call(async |cx| step.release(cx, "hold", json!({ "a": 1 })).await).await.unwrap();
}

#[test]
fn a_component_is_compiled_and_described_once() {
    let directory = tempfile::tempdir().unwrap();
    let guest = Guest::new().kinds(json!([kind("one"), kind("two")])).pack();
    let first = components(&directory);
    let described = first.describe(&guest).unwrap();
    assert_eq!(described.kinds.iter().map(|kind| kind.verb.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(described.specs("cdn").unwrap()[1].kind.as_str(), "cdn.two");
    assert_eq!(described.wit, "engine:step@0.1.0");
    assert_eq!(first.compilations(), 1);
    let second = components(&directory);
    assert_eq!(second.describe(&guest).unwrap(), described);
    second.component(&guest).unwrap();
    assert_eq!(second.compilations(), 0, "the compiled code is in the cache");
    for entry in std::fs::read_dir(directory.path().join("cache")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "code") {
            let mut code = std::fs::read(&path).unwrap();
            let middle = code.len() / 2;
            code[middle] ^= 1;
            std::fs::write(&path, code).unwrap();
        }
    }
    let third = components(&directory);
    assert_eq!(third.describe(&guest).unwrap(), described);
    assert_eq!(third.compilations(), 0, "a description needs no code");
    third.component(&guest).unwrap();
    assert_eq!(third.compilations(), 1, "damaged code is compiled again");
}
