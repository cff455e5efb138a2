//! Kinds made by hand, for tests: one for each way in which a schema directs the reading.

use std::sync::Arc;

use serde_json::{Value, json};
use steps_sdk::grant::{Ask, KubernetesVerb, Permission};
use steps_sdk::spec::{About, Effect, EffectOf, OnCluster, SpecSource, StepSpec, TimeLimit};

use crate::id::Digest;
use crate::workflow::{LoadedComponent, NotLoaded, Specs};

fn kind(about: About, inputs: Value, outputs: Value) -> StepSpec {
    StepSpec::new(about, SpecSource { inputs, outputs }).unwrap()
}

/// Built-in kinds, the component `cdn`, and one that could not be loaded, `lost`.
pub(crate) fn specs() -> Specs {
    let mut specs: Specs = [set(), apply(), wait(), records(), leaf(), every(), local()].into_iter().collect();
    let custom = [cdn_record(), cdn_purge(), cdn_quiet()];
    let cdn = LoadedComponent {
        digest: Digest::of_bytes(b"cdn"),
        kinds: custom.iter().map(|spec| spec.kind.to_string()).collect(),
    };
    specs.described.extend(custom.into_iter().map(|spec| (spec.kind.to_string(), Arc::new(spec))));
    specs.components.insert("cdn".to_owned(), Ok(cdn));
    let reason = NotLoaded { code: "W001", message: "it is no component".into(), help: "build it again".into() };
    specs.components.insert("lost".to_owned(), Err(reason));
    specs
}

fn custom(kind_name: &str, asks: Vec<Ask>) -> StepSpec {
    let inputs = json!({ "type": "object", "properties": { "name": { "type": "string" } } });
    let outputs =
        json!({ "type": "object", "required": ["address"], "properties": { "address": { "type": "string" } } });
    kind(About { asks, ..About::converging(kind_name, "Custom.") }, inputs, outputs)
}

fn ask(what: Permission, why: &str) -> Ask {
    Ask { what, why: why.to_owned() }
}

fn cdn_record() -> StepSpec {
    let zones = Permission::Http {
        origin: Some("https://api.cdn.example".into()),
        methods: vec!["GET".into(), "PUT".into()],
        path: Some("/v1/zones/*".into()),
    };
    let services = Permission::Kubernetes {
        verbs: vec![KubernetesVerb::Get, KubernetesVerb::List],
        kinds: vec!["Service".into()],
    };
    custom("cdn.record", vec![ask(zones, "it reads and writes records"), ask(services, "it looks for the address")])
}

fn cdn_purge() -> StepSpec {
    let any_server = Permission::Http { origin: None, methods: vec!["POST".into()], path: None };
    let names = Permission::Dns { domains: vec!["example.io".into(), "example.org".into()] };
    custom("cdn.purge", vec![ask(any_server, "it empties caches"), ask(names, "it waits for the name")])
}

fn cdn_quiet() -> StepSpec {
    custom("cdn.quiet", Vec::new())
}

fn set() -> StepSpec {
    let map = json!({ "type": "object", "additionalProperties": true });
    let mut outputs = map.clone();
    outputs["x-same-as-inputs"] = true.into();
    kind(
        About { effect: EffectOf::Fixed(Effect::Pure), ..About::converging("value.set", "Names values.") },
        map,
        outputs,
    )
}

fn apply() -> StepSpec {
    let inputs = json!({ "type": "object", "properties": {
        "object": { "type": "array", "items": true, "default": [] },
        "manifest": { "type": "array", "default": [], "items": {
            "type": "object", "required": ["documents"], "x-kdl-args": ["documents"],
            "properties": { "documents": { "type": "array", "items": {}, "x-kdl-file": "yaml-template" } } } },
        "take-ownership": { "type": "boolean", "default": false },
        "wait": { "type": "object", "properties": {
            "condition": { "type": ["string", "null"] }, "until": { "type": "string", "x-cel": true }, "ready": { "type": "boolean" } } } } });
    let outputs = json!({ "type": "object", "required": ["ref", "object"], "properties": {
        "ref": { "type": "string" }, "object": true, "address": { "type": ["string", "null"] } } });
    kind(About { on: OnCluster::Required, ..About::converging("k.apply", "Applies.") }, inputs, outputs)
}

fn wait() -> StepSpec {
    let inputs = json!({ "type": "object", "properties": { "until": { "type": "string", "x-cel": true } } });
    let outputs = json!({ "type": "object", "required": ["object"], "properties": { "object": true } });
    kind(
        About { time_limit: TimeLimit::Wait { for_ms: 60_000 }, ..About::converging("k.wait", "Waits.") },
        inputs,
        outputs,
    )
}

fn records() -> StepSpec {
    let inputs = json!({ "type": "object", "required": ["zone"], "properties": {
        "zone": { "type": "object", "required": ["name"], "x-kdl-args": ["name"], "description": "Where the records go.", "properties": {
            "name": { "type": "string", "format": "hostname" }, "server": { "type": "string" },
            "key": { "type": "object", "x-ref": "secret", "x-secret": true } } },
        "record": { "type": "array", "items": { "type": "object", "required": ["type", "name", "value"], "x-kdl-args": ["type", "name", "value"], "properties": {
            "type": { "enum": ["A", "AAAA", "auto"] }, "name": { "type": "string", "format": "hostname" }, "value": { "type": "string" },
            "ttl": { "type": "integer", "minimum": 1, "maximum": 86400, "default": 300 } } } },
        "wait": { "type": "object", "properties": { "resolves": { "type": "boolean" } } } } });
    let outputs = json!({ "type": "object", "required": ["serial", "names"], "properties": {
        "serial": { "type": "integer" }, "names": { "type": "array", "items": { "type": "string" } } } });
    kind(About::converging("d.records", "Writes records."), inputs, outputs)
}

fn leaf() -> StepSpec {
    let place = json!({ "type": "object", "required": ["on", "name"], "properties": {
        "on": { "type": "string", "x-ref": "cluster" }, "namespace": { "type": "string" }, "name": { "type": "string", "format": "dns-label" } } });
    let inputs = json!({ "type": "object", "required": ["common-name", "keep"], "properties": {
        "common-name": { "type": "string" },
        "dns": { "type": "array", "items": { "type": "string", "format": "hostname" }, "default": [] },
        "usage": { "type": "array", "items": { "enum": ["server", "client"] } },
        "valid": { "type": "string", "format": "duration", "default": "2160h" },
        "keep": { "oneOf": [
            { "type": "object", "required": ["secret"], "properties": { "secret": place } },
            { "type": "object", "required": ["file"], "properties": { "file": { "type": "string" } } } ] } } });
    let outputs = json!({ "type": "object", "required": ["certificate", "key", "not_after"], "properties": {
        "certificate": { "type": "string" }, "not_after": { "type": "string" },
        "key": { "type": "object", "x-ref": "secret", "x-secret": true } } });
    kind(About::converging("p.leaf", "Issues."), inputs, outputs)
}

fn every() -> StepSpec {
    let inputs = json!({ "type": "object", "properties": {
        "count": { "type": "integer", "minimum": 0, "maximum": 255 }, "ratio": { "type": "number" }, "flag": { "type": "boolean" },
        "mode": { "enum": ["fast", "slow"] }, "text": { "type": "string" }, "host": { "type": "string", "format": "hostname" },
        "label": { "type": "string", "format": "dns-label" }, "span": { "type": "string", "format": "duration" },
        "amount": { "type": "string", "format": "quantity" }, "version": { "type": "string", "format": "semver" }, "address": { "type": "string", "format": "url" },
        "target": { "type": "string", "x-ref": "cluster" }, "targets": { "type": "array", "items": { "type": "string", "x-ref": "cluster" } },
        "after": { "type": "array", "items": { "type": "string", "x-ref": "step" } }, "counts": { "type": "array", "items": { "type": "integer" } },
        "env": { "type": "object", "additionalProperties": { "type": "string" } }, "free": true, "optional": { "type": ["string", "null"] },
        "secret": { "type": "object", "x-ref": "secret" } } });
    let outputs = json!({ "type": "object", "required": ["count", "text"], "properties": {
        "count": { "type": "integer" }, "text": { "type": "string" }, "late": true, "list": { "type": "array", "items": { "type": "string" } } } });
    kind(About::converging("t.every", "Takes everything."), inputs, outputs)
}

fn local() -> StepSpec {
    let inputs = json!({ "type": "object", "properties": {} , "additionalProperties": false });
    kind(
        About { on: OnCluster::Refused, ..About::converging("t.local", "Touches no cluster.") },
        inputs,
        json!({ "type": "object", "properties": {}, "additionalProperties": false }),
    )
}
