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
    allocate: String,
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
    /// If the result of the last call has this part, the verb ends here with this answer. A part that is a number has to be this one;
    /// an empty path is the whole result.
    AnswerIf { path: Vec<&'static str>, is: Option<u64>, answer: Value },
    /// Over and over, until an answer ends it.
    Repeat(Vec<Do>),
    /// The inputs become the outputs.
    Inputs,
    /// One of these, by the number of the attempt: one component serves many cases.
    ByAttempt(Vec<Vec<Do>>),
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
            allocate: ALLOCATE.into(),
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

    /// The body of its `cabi_realloc`, in place of one that allocates.
    #[must_use]
    pub fn allocate(mut self, body: &str) -> Guest {
        self.allocate =
            format!("(func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) (local $i i32) {body})");
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

    pub(super) fn module(&self, contract: &Contract) -> String {
        let mut image = Image::new(DATA);
        let mut imports = BTreeMap::new();
        let mut functions = String::new();
        let handler = contract.whole_name("handler");
        for (verb, (doing, answer)) in &self.verbs {
            let function = contract.function("handler", verb);
            let result = function.result.expect("every verb answers");
            let answer = if *verb == "describe" { &self.kinds } else { answer };
            let at = contract.place(&mut image, &result, answer);
            let param = if function.params.is_empty() { "" } else { "(param $call i32)" };
            let call = function.params.first().map(|param| param.ty);
            let mut body = Body {
                contract,
                image: &mut image,
                imports: &mut imports,
                verb,
                call,
                result,
                at,
                last: None,
                code: String::new(),
            };
            for one in doing {
                body.write(one);
            }
            let code = body.code;
            let _ = writeln!(
                functions,
                "(func (export \"{handler}#{verb}\") {param} (result i32) (local $i i32) (local $n i64) {code} (i32.const {at}))"
            );
        }
        let imports: String = imports.into_values().collect();
        let data: String = image.bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let (memory, allocate, items) = (&self.memory, &self.allocate, &self.items);
        let end = image.end().next_multiple_of(16);
        format!(
            "(module {imports}\n{memory}\n(global $heap (mut i32) (i32.const {end}))\n{allocate}\n{items}\n{functions}\
             (data (i32.const {DATA}) \"{data}\"))"
        )
    }
}

/// The instructions of one verb, as they are written.
struct Body<'a> {
    contract: &'a Contract,
    image: &'a mut Image,
    /// By interface and function.
    imports: &'a mut BTreeMap<(&'static str, &'static str), String>,
    verb: &'a str,
    call: Option<Type>,
    result: Type,
    /// Where the answer lies.
    at: u32,
    /// The result of the last call and where it lies; in a local when that is nowhere.
    last: Option<(Type, Option<u32>)>,
    code: String,
}

impl Body<'_> {
    fn write(&mut self, one: &Do) {
        match one {
            Do::Wat(instructions) => self.code.push_str(instructions),
            Do::Inputs => {
                let (inputs, outputs) = (self.field_of_call(INPUTS), self.part_of_answer(&["ok", "outputs"]));
                for part in [0, 4] {
                    let (from, to) = (inputs + part, outputs + part);
                    let _ =
                        write!(self.code, "(i32.store (i32.const {to}) (i32.load offset={from} (local.get $call)))");
                }
            }
            Do::ByAttempt(choices) => {
                let attempt = self.field_of_call("attempt");
                for (number, choice) in choices.iter().enumerate() {
                    let number = number + 1;
                    let _ = write!(
                        self.code,
                        "(if (i32.eq (i32.load offset={attempt} (local.get $call)) (i32.const {number})) (then "
                    );
                    for one in choice {
                        self.write(one);
                    }
                    self.code.push_str("))");
                }
            }
            Do::AnswerIf { path, is, answer } => self.answer_if(path, *is, answer),
            Do::Repeat(doing) => {
                self.code.push_str("(loop $again ");
                for one in doing {
                    self.write(one);
                }
                self.code.push_str("(br $again))");
            }
            Do::Call { interface, function, args, keep } => self.call(interface, function, args, keep),
        }
    }

    fn field_of_call(&self, field: &str) -> u32 {
        let call = self.call.expect("a verb with a call");
        self.contract.path(&call, 0, &[field])[0].at
    }

    fn part_of_answer(&self, path: &[&str]) -> u32 {
        self.contract.path(&self.result, self.at, path).last().expect("a path").at
    }

    /// Where the text of the answer lies, which a call may replace.
    fn text_of_answer(&self) -> u32 {
        match self.verb {
            "run" => self.part_of_answer(&["ok", "summary"]),
            "undo" => self.part_of_answer(&["ok"]),
            "preview" => self.part_of_answer(&["ok", "later"]),
            "verify" => self.part_of_answer(&["ok", "unknown"]),
            other => panic!("`{other}` has no text to keep anything in"),
        }
    }

    fn call(&mut self, interface: &'static str, function: &'static str, args: &[Value], keep: &[Vec<&'static str>]) {
        let declared = self.contract.function(interface, function).clone();
        let signature = self.contract.resolve.wasm_signature(AbiVariant::GuestImport, &declared);
        assert!(!signature.indirect_params, "`{function}` takes more parameters than are written here");
        let mut given: Vec<(&str, u64)> = Vec::new();
        for (param, arg) in declared.params.iter().zip(args) {
            given.extend(self.contract.flat(self.image, &param.ty, arg));
        }
        let mut back = 0;
        if signature.retptr {
            back = self.image.room(self.contract.size(declared.result.as_ref().expect("a result")), 8);
            given.push(("i32", back.into()));
        }
        let (result, after) = match (signature.retptr, &declared.result) {
            (false, Some(Type::U64)) => ("(result i64)", "(local.set $n)"),
            (false, Some(_)) => ("(result i32)", "(local.set $i)"),
            _ => ("", ""),
        };
        let (whole, name) = (self.contract.whole_name(interface), plain(&format!("${interface}.{function}")));
        let params: Vec<&str> = given.iter().map(|(core, _)| *core).collect();
        self.imports.insert(
            (interface, function),
            format!("(import \"{whole}\" \"{function}\" (func {name} (param {}) {result}))\n", params.join(" ")),
        );
        for (core, number) in &given {
            let _ = write!(self.code, "({core}.const {number})");
        }
        let _ = write!(self.code, "(call {name}) {after}");
        self.last = declared.result.map(|result| (result, signature.retptr.then_some(back)));
        if let Some(result) = declared.result.filter(|_| signature.retptr) {
            for path in keep {
                self.keep(&result, back, path);
            }
        }
    }

    fn answer_if(&mut self, path: &[&str], is: Option<u64>, answer: &Value) {
        let (result, back) = self.last.expect("a call with a result before it");
        let answer = self.contract.place(self.image, &self.result, answer);
        self.code.push_str("(block $other");
        match back {
            Some(back) => {
                let parts = self.contract.path(&result, back, path);
                for (at, case) in parts.iter().filter_map(|part| part.tag) {
                    let _ =
                        write!(self.code, "(br_if $other (i32.ne (i32.load8_u (i32.const {at})) (i32.const {case})))");
                }
                if let (Some(number), Some(last)) = (is, parts.last()) {
                    let ty = last.ty.expect("a number");
                    let load = match self.contract.size(&ty) {
                        1 => "i32.load8_u",
                        2 => "i32.load16_u",
                        _ => "i32.load",
                    };
                    let at = last.at;
                    let _ = write!(self.code, "(br_if $other (i32.ne ({load} (i32.const {at})) (i32.const {number})))");
                }
            }
            None => {
                let number = is.expect("a number");
                let _ = match result {
                    Type::U64 => {
                        write!(self.code, "(br_if $other (i64.ne (local.get $n) (i64.const {number})))")
                    }
                    _ => write!(self.code, "(br_if $other (i32.ne (local.get $i) (i32.const {number})))"),
                };
            }
        }
        let _ = write!(self.code, "(return (i32.const {answer})))");
    }

    /// Makes a part of a call's result the text of the answer, if the result has that part.
    fn keep(&mut self, result: &Type, back: u32, path: &[&str]) {
        let parts = self.contract.path(result, back, path);
        let slot = self.text_of_answer();
        self.code.push_str("(block $keep");
        for (at, case) in parts.iter().filter_map(|part| part.tag) {
            let _ = write!(self.code, "(br_if $keep (i32.ne (i32.load8_u (i32.const {at})) (i32.const {case})))");
        }
        let last = parts.last().expect("a path");
        if last.ty.is_some() {
            for part in [0, 4] {
                let (from, to) = (last.at + part, slot + part);
                let _ = write!(self.code, "(i32.store (i32.const {to}) (i32.load (i32.const {from})))");
            }
        } else {
            let (at, len) = self.image.text(path.last().expect("a path"));
            let behind = slot + 4;
            let _ = write!(
                self.code,
                "(i32.store (i32.const {slot}) (i32.const {at})) (i32.store (i32.const {behind}) (i32.const {len}))"
            );
        }
        self.code.push(')');
    }
}

/// A name that the text format takes without quotes.
fn plain(name: &str) -> String {
    name.replace(['[', ']'], "_")
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
