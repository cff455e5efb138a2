//! What a step costs more when it is a WASM guest: one call, a chain, loading, and a thousand that wait.
//!
//! The guest without a toolchain is packed here. The one that stands for what people write in Rust is `steps/custom/policy`; where
//! it was not built (`steps/custom/build policy`) its lines say so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::wasm::testing::{Do, Guest, World};
use engine::wasm::{Compiler, Components, Settings};
use serde_json::json;
use steps_sdk::Value;
use steps_sdk::native::StepHandler;
use tokio::task::JoinSet;

use crate::program::Program;
use crate::rounds::{Measure, median};
use crate::{CHAIN, ROUNDS, workflows};

type Failure = Box<dyn std::error::Error>;

const CALLS: usize = 2_000;
const ASLEEP: usize = 1_000;
const BUILT: &str = "steps/custom/built/policy.wasm";

pub fn measure(program: &Program, place: &Path) -> Result<Vec<Measure>, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let components = Components::new(Settings { cache: place.join("wasm"), compiler: Compiler::InProcess })?;
    let echo = Guest::new().on("run", [Do::Inputs]).pack();
    let inputs = json!({ "text": "x".repeat(1_000) });
    let native = native()?;
    let base = runtime.block_on(call_time(native.as_ref(), &inputs))?;
    let by_hand = runtime.block_on(call_time(handler(&components, &echo, "test.test")?.as_ref(), &inputs))?;
    let mut measures = vec![at_most("no-op guest by hand, 1 KiB, added to a call, p50", "µs", by_hand - base, 25.0)];
    measures.extend(rust_guest(program, place, &runtime, base)?);
    measures.push(runtime.block_on(asleep(&components))?);
    Ok(measures)
}

fn at_most(name: &'static str, unit: &'static str, found: f64, target: f64) -> Measure {
    Measure { name, unit, found, target, at_most: true, detail: String::new() }
}

/// The native step with the same inputs and outputs.
fn native() -> Result<Arc<dyn StepHandler>, Failure> {
    let found = steps::builtin().into_iter().find(|step| step.kind().as_str() == "value.set");
    found.ok_or_else(|| "there is no kind `value.set`".into())
}

fn handler(components: &Components, bytes: &[u8], kind: &str) -> Result<Arc<dyn StepHandler>, Failure> {
    let family = kind.split('.').next().unwrap_or_default();
    let handlers = components.component(bytes)?.handlers(family, World::default().bound());
    handlers.into_iter().find(|step| step.kind().as_str() == kind).ok_or_else(|| format!("no kind `{kind}`").into())
}

/// The median time of a call, in microseconds.
async fn call_time(step: &dyn StepHandler, inputs: &Value) -> Result<f64, Failure> {
    let world = World::default();
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let inputs = inputs.clone();
        let took = world
            .call(async |cx| {
                let began = Instant::now();
                step.run(cx, inputs).await.map(|_| began.elapsed())
            })
            .await?;
        times.push(took.as_secs_f64() * 1e6);
    }
    Ok(median(&mut times))
}

/// A guest as people write them: a call, a chain of the whole program, and loading it from the cache.
fn rust_guest(
    program: &Program,
    place: &Path,
    runtime: &tokio::runtime::Runtime,
    base: f64,
) -> Result<Vec<Measure>, Failure> {
    let path = std::env::current_dir()?.join(BUILT);
    let Ok(bytes) = std::fs::read(&path) else {
        let mut left_out = at_most("Rust guest on our SDK", "", f64::NAN, 0.0);
        left_out.detail = format!("left out: {BUILT} is not built (steps/custom/build policy)");
        return Ok(vec![left_out]);
    };
    let cache = place.join("wasm-of-rust");
    let settings = || Settings { cache: cache.clone(), compiler: Compiler::InProcess };
    let components = Components::new(settings())?;
    let inputs =
        json!({ "object": [{ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "x".repeat(900) } }] });
    let step = handler(&components, &bytes, "policy.check")?;
    let call = runtime.block_on(call_time(step.as_ref(), &inputs))?;
    let mut loads = Vec::new();
    for _ in 0..ROUNDS * 4 {
        let fresh = Components::new(settings())?;
        let began = Instant::now();
        fresh.component(&bytes)?;
        loads.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let mut load = at_most("load of a cached component", "ms", median(&mut loads), 1.0);
    load.detail = format!("of {} KiB", bytes.len() / 1024);
    Ok(vec![
        at_most("Rust guest on our SDK, 1 KiB, added to a call, p50", "µs", call - base, 60.0),
        chain(program, place, &path)?,
        load,
    ])
}

/// A chain of the guest against the same chain of the native kind.
fn chain(program: &Program, place: &Path, component: &Path) -> Result<Measure, Failure> {
    let native = workflows::chain(place, CHAIN)?;
    let guests: PathBuf = workflows::chain_of_guests(place, CHAIN, component)?;
    program.run(&guests, place)?;
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let bare = program.run(&native, place)?.loop_s;
        ratios.push(program.run(&guests, place)?.loop_s / bare);
    }
    Ok(at_most("chain of 1,000 of the Rust guest / native chain", "×", median(&mut ratios), 1.4))
}

/// Resident memory of guests that wait in a call of the host.
async fn asleep(components: &Components) -> Result<Measure, Failure> {
    let sleep = Do::Call { interface: "clock", function: "sleep-ms", args: vec![json!(3_000)], keep: Vec::new() };
    let step = handler(components, &Guest::new().on("run", [sleep]).pack(), "test.test")?;
    let before = resident_kib()?;
    let mut calls = JoinSet::new();
    for _ in 0..ASLEEP {
        let step = Arc::clone(&step);
        calls.spawn(async move { World::default().call(async |cx| step.run(cx, json!({})).await).await });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let each = (resident_kib()? - before) / ASLEEP as f64;
    while let Some(call) = calls.join_next().await {
        call??;
    }
    Ok(at_most("1,000 guests asleep in a call of the host, each", "KiB", each, 64.0))
}

fn resident_kib() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
