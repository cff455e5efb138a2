//! A guest as a test writes it: for each verb what it calls, in order, and what it answers.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};
use wit_parser::Type;
use wit_parser::abi::AbiVariant;

use super::contract::{Contract, Image};
use super::pack::pack_for;

/// Where its data begins; below is nothing, so that a null pointer reads zeros.
const DATA: u32 = 1024;
/// Offset of the inputs in a `call` record: the last of its fields.
const INPUTS: &str = "inputs";

/// A guest that is about to be packed.
pub struct Guest {
    kinds: Value,
    verbs: BTreeMap<&'static str, (Vec<Do>, Value)>,
    memory: String,
    items: String,
}

/// What a verb does before it answers.
#[derive(Debug, Clone)]
pub enum Do {
    /// Instructions; `$call`, `$i` (i32) and `$n` (i64) are there.
    Wat(String),
    /// A call of the host. Of `keep` the first path that leads into the result becomes the text of the answer: a string or bytes, or
    /// the name of the last case.
    Call { interface: &'static str, function: &'static str, args: Vec<Value>, keep: Vec<Vec<&'static str>> },
    /// The inputs become the outputs.
    Inputs,
}

/// A kind with the fields that tests seldom care about filled in.
pub fn kind(verb: &str) -> Value {
    json!({
        "verb": verb, "version": 1, "accepts-from": 1, "doc": "Does what a test wants.",
        "inputs": r#"{"type":"object","properties":{"text":{"type":"string"}}}"#,
        "outputs": r#"{"type":"object","properties":{"text":{"type":"string"}}}"#,
        "effect": { "fixed": "converge" }, "undo": "keep", "time-limit": { "action": 60000 }, "on": "optional", "asks": [],
    })
}

impl Default for Guest {
    fn default() -> Guest {
        Guest {
            kinds: json!([kind("test")]),
            verbs: BTreeMap::from([
                ("preview", (Vec::new(), json!({ "ok": { "later": "nothing is known" } }))),
                ("run", (Vec::new(), json!({ "ok": { "outputs": "{}", "summary": "done", "same": false } }))),
                ("verify", (Vec::new(), json!({ "ok": { "unknown": "it was not looked at" } }))),
                ("undo", (Vec::new(), json!({ "ok": "undone" }))),
                ("release", (Vec::new(), json!({ "ok": null }))),
                ("describe", (Vec::new(), Value::Null)),
            ]),
            memory: "(memory (export \"memory\") 2)".into(),
            items: String::new(),
        }
    }
}

impl Guest {
    /// One kind, `test`, whose verbs answer and do nothing.
    pub fn new() -> Guest {
        Guest::default()
    }

    #[must_use]
    pub fn kinds(mut self, kinds: Value) -> Guest {
        self.kinds = kinds;
        self
    }

    /// What a verb does, before its answer.
    #[must_use]
    pub fn on(mut self, verb: &'static str, doing: impl IntoIterator<Item = Do>) -> Guest {
        self.verbs.get_mut(verb).expect("a verb of the contract").0.extend(doing);
        self
    }

    #[must_use]
    pub fn wat(self, verb: &'static str, instructions: &str) -> Guest {
        self.on(verb, [Do::Wat(instructions.to_owned())])
    }

    #[must_use]
    pub fn answer(mut self, verb: &'static str, answer: Value) -> Guest {
        self.verbs.get_mut(verb).expect("a verb of the contract").1 = answer;
        self
    }

    /// The whole line, with the export.
    #[must_use]
    pub fn memory(mut self, memory: &str) -> Guest {
        self.memory = memory.to_owned();
        self
    }

    /// Functions, tables and globals of its own.
    #[must_use]
    pub fn items(mut self, items: &str) -> Guest {
        self.items.push_str(items);
        self
    }

    /// The component.
    ///
    /// # Panics
    /// When what the test wrote does not fit the contract.
    pub fn pack(&self) -> Vec<u8> {
        let contract = Contract::new();
        let module = self.module(&contract);
        pack_for(&contract, module.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{module}"))
    }

    fn module(&self, contract: &Contract) -> String {
        let mut image = Image::new(DATA);
        let mut imports: BTreeMap<(&str, &str), String> = BTreeMap::new();
        let mut functions = String::new();
        for (verb, (doing, answer)) in &self.verbs {
            let function = contract.function("handler", verb);
            let result = function.result.expect("every verb answers");
            let answer = if *verb == "describe" { &self.kinds } else { answer };
            let at = contract.place(&mut image, &result, answer);
            let mut code = String::new();
            for one in doing {
                match one {
                    Do::Wat(instructions) => code.push_str(instructions),
                    Do::Inputs => {
                        let call = function.params.first().expect("a verb with a call").ty;
                        let inputs = contract.path(&call, 0, &[INPUTS])[0].at;
                        let outputs = contract.path(&result, at, &["ok", "outputs"])[1].at;
                        for part in [0, 4] {
                            let (from, to) = (inputs + part, outputs + part);
                            let _ =
                                write!(code, "(i32.store (i32.const {to}) (i32.load offset={from} (local.get $call)))");
                        }
                    }
                    Do::Call { interface, function, args, keep } => {
                        let slot = slot(contract, verb, &result, at, answer, !keep.is_empty());
                        let called = call(contract, &mut image, interface, function, args, keep, slot);
                        imports.insert((interface, function), called.0);
                        code.push_str(&called.1);
                    }
                }
            }
            let param = if function.params.is_empty() { "" } else { "(param $call i32)" };
            let _ = writeln!(
                functions,
                "(func (export \"engine:step/handler@0.1.0#{verb}\") {param} (result i32) (local $i i32) (local $n i64) \
                 {code} (i32.const {at}))"
            );
        }
        let imports: String = imports.into_values().collect();
        let data: String = image.bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let (memory, items, end) = (&self.memory, &self.items, image.end().next_multiple_of(16));
        format!(
            "(module {imports}\n{memory}\n(global $heap (mut i32) (i32.const {end}))\n{ALLOCATE}\n{items}\n{functions}\
             (data (i32.const {DATA}) \"{data}\"))"
        )
    }
}

/// The canonical ABI's allocator: memory is only ever added, since a call's instance is thrown away.
const ALLOCATE: &str = r#"
(func $allocate (export "cabi_realloc") (param $old i32) (param $size i32) (param $align i32) (param $new i32) (result i32)
  (local $at i32)
  (local.set $at (i32.and (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
                          (i32.sub (i32.const 0) (local.get $align))))
  (global.set $heap (i32.add (local.get $at) (local.get $new)))
  (if (i32.gt_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536)))
    (then (if (i32.eq (i32.const -1) (memory.grow (i32.add (i32.const 1)
            (i32.div_u (i32.sub (global.get $heap) (i32.mul (memory.size) (i32.const 65536))) (i32.const 65536)))))
      (then unreachable))))
  (memory.copy (local.get $at) (local.get $old) (local.get $size))
  (local.get $at))"#;

/// Where the text of an answer lies, for what a call keeps.
fn slot(contract: &Contract, verb: &str, result: &Type, at: u32, answer: &Value, is_needed: bool) -> u32 {
    if !is_needed {
        return 0;
    }
    let path: &[&str] = match verb {
        "run" => &["ok", "summary"],
        "undo" => &["ok"],
        "preview" => &["ok", "later"],
        "verify" => &["ok", "unknown"],
        other => panic!("`{other}` has no text to keep anything in"),
    };
    assert!(answer.get("ok").is_some(), "only a good answer keeps something");
    contract.path(result, at, path).last().expect("a path").at
}

/// The import, and the instructions of one call.
fn call(
    contract: &Contract,
    image: &mut Image,
    interface: &str,
    function: &str,
    args: &[Value],
    keep: &[Vec<&'static str>],
    slot: u32,
) -> (String, String) {
    let declared = contract.function(interface, function).clone();
    let signature = contract.resolve.wasm_signature(AbiVariant::GuestImport, &declared);
    assert!(!signature.indirect_params, "`{function}` takes more parameters than are written here");
    let mut given: Vec<(&str, u64)> = Vec::new();
    for (param, arg) in declared.params.iter().zip(args) {
        given.extend(contract.flat(image, &param.ty, arg));
    }
    let mut back = 0;
    if signature.retptr {
        back = image.room(contract.size(declared.result.as_ref().expect("a result")), 8);
        given.push(("i32", back.into()));
    }
    let params: Vec<&str> = given.iter().map(|(core, _)| *core).collect();
    let (result, after) = match (signature.retptr, &declared.result) {
        (false, Some(Type::U64)) => ("(result i64)", "(local.set $n)"),
        (false, Some(_)) => ("(result i32)", "(local.set $i)"),
        _ => ("", ""),
    };
    let name = format!("${interface}.{function}");
    let import = format!(
        "(import \"engine:step/{interface}@0.1.0\" \"{function}\" (func {name} (param {}) {result}))\n",
        params.join(" ")
    );
    let mut code: String = given.iter().map(|(core, number)| format!("({core}.const {number})")).collect();
    let _ = write!(code, "(call {name}) {after}");
    if let Some(result) = declared.result.filter(|_| signature.retptr) {
        for (number, path) in keep.iter().enumerate() {
            code.push_str(&keep_part(contract, image, &result, back, path, slot, number));
        }
    }
    (import, code)
}

fn keep_part(
    contract: &Contract,
    image: &mut Image,
    result: &Type,
    back: u32,
    path: &[&str],
    slot: u32,
    number: usize,
) -> String {
    let parts = contract.path(result, back, path);
    let mut code = format!("(block $keep{number}");
    for (at, case) in parts.iter().filter_map(|part| part.tag) {
        let _ = write!(code, "(br_if $keep{number} (i32.ne (i32.load8_u (i32.const {at})) (i32.const {case})))");
    }
    let last = parts.last().expect("a path");
    if last.ty.is_some() {
        for part in [0, 4] {
            let (from, to) = (last.at + part, slot + part);
            let _ = write!(code, "(i32.store (i32.const {to}) (i32.load (i32.const {from})))");
        }
    } else {
        let (at, len) = image.text(path.last().expect("a path"));
        let _ = write!(
            code,
            "(i32.store (i32.const {slot}) (i32.const {at})) (i32.store (i32.const {}) (i32.const {len}))",
            slot + 4
        );
    }
    code.push(')');
    code
}
