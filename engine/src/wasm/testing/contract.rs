//! The WIT contract as data: types by name, and values written as JSON laid out as the canonical ABI lays them out in memory.
//!
//! A record is an object, a variant `"case"` or `{ "case": payload }`, an enum its word, an option the value or `null`, a result
//! `{ "ok": … }` or `{ "err": … }`. A mistake in such a value is a mistake in a test, and panics.

use serde_json::Value;
use wit_parser::{Function, InterfaceId, Resolve, SizeAlign, Type, TypeDefKind, WorldId};

const WIT: &str = include_str!("../../../../steps-sdk/wit/step.wit");

/// Parts of WASI 0.2 that runtimes import, and a world with them.
const WASI: [(&str, &str); 5] = [
    (
        "io.wit",
        "package wasi:io@0.2.3;
        interface error { resource error { to-debug-string: func() -> string; } }
        interface poll { resource pollable { ready: func() -> bool; block: func(); } poll: func(in: list<borrow<pollable>>) -> list<u32>; }
        interface streams {
            use error.{error}; use poll.{pollable};
            variant stream-error { last-operation-failed(error), closed }
            resource input-stream { read: func(len: u64) -> result<list<u8>, stream-error>; subscribe: func() -> pollable; }
            resource output-stream {
                check-write: func() -> result<u64, stream-error>;
                blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>;
            }
        }",
    ),
    (
        "clocks.wit",
        "package wasi:clocks@0.2.3;
        interface wall-clock { record datetime { seconds: u64, nanoseconds: u32 } now: func() -> datetime; }
        interface monotonic-clock { use wasi:io/poll@0.2.3.{pollable}; now: func() -> u64; subscribe-duration: func(when: u64) -> pollable; }",
    ),
    ("random.wit", "package wasi:random@0.2.3; interface random { get-random-bytes: func(len: u64) -> list<u8>; get-random-u64: func() -> u64; }"),
    (
        "cli.wit",
        "package wasi:cli@0.2.3;
        interface environment { get-environment: func() -> list<tuple<string, string>>; get-arguments: func() -> list<string>; }
        interface exit { exit: func(status: result); }
        interface stdin { use wasi:io/streams@0.2.3.{input-stream}; get-stdin: func() -> input-stream; }
        interface stdout { use wasi:io/streams@0.2.3.{output-stream}; get-stdout: func() -> output-stream; }
        interface stderr { use wasi:io/streams@0.2.3.{output-stream}; get-stderr: func() -> output-stream; }",
    ),
    (
        "system.wit",
        "package test:system@0.1.0;
        interface sockets { connect: func(address: string) -> u32; }
        world system {
            include engine:step/step@0.1.0;
            import wasi:cli/environment@0.2.3; import wasi:cli/exit@0.2.3; import wasi:cli/stdin@0.2.3;
            import wasi:cli/stdout@0.2.3; import wasi:cli/stderr@0.2.3;
            import wasi:io/error@0.2.3; import wasi:io/poll@0.2.3; import wasi:io/streams@0.2.3;
            import wasi:clocks/wall-clock@0.2.3; import wasi:clocks/monotonic-clock@0.2.3; import wasi:random/random@0.2.3;
            import sockets;
        }",
    ),
];

pub(super) struct Contract {
    pub(super) resolve: Resolve,
    pub(super) world: WorldId,
    sizes: SizeAlign,
}

/// A guest's memory from `base` on, as it is before the guest starts.
pub(super) struct Image {
    pub(super) base: u32,
    pub(super) bytes: Vec<u8>,
}

/// One step from a value to a part of it: which case has to be there, if any, and where the part lies.
pub(super) struct Part {
    pub(super) tag: Option<(u32, u8)>,
    pub(super) at: u32,
    pub(super) ty: Option<Type>,
}

impl Contract {
    /// The contract, and a system around the guest.
    pub(super) fn new() -> Contract {
        Contract::edited(|wit| wit)
    }

    /// With a contract that somebody else wrote.
    pub(super) fn edited(edit: impl FnOnce(String) -> String) -> Contract {
        let mut resolve = Resolve::default();
        let step = resolve.push_str("step.wit", &edit(WIT.to_owned())).expect("the contract parses");
        let mut packages = vec![step];
        // The system names this version of the contract, so it is there only beside it.
        let is_ours =
            resolve.packages[step].name.version.as_ref().is_some_and(|version| version.to_string() == "0.1.0");
        for (name, wit) in WASI.iter().filter(|_| is_ours) {
            packages.push(resolve.push_str(name, wit).expect("the system parses"));
        }
        let world = packages.last().map(|last| resolve.select_world(&[*last], None)).expect("a package");
        let world = world.expect("each package that comes last has one world");
        let mut sizes = SizeAlign::default();
        sizes.fill(&resolve);
        Contract { resolve, world, sizes }
    }

    /// By its name in `engine:step`, or by its whole name.
    fn interface(&self, name: &str) -> InterfaceId {
        let whole = self.whole_name(name);
        let mut interfaces = self.resolve.interfaces.iter().map(|(id, _)| id);
        let found = interfaces.find(|id| self.resolve.id_of(*id).as_ref() == Some(&whole));
        found.unwrap_or_else(|| panic!("there is no interface `{whole}`"))
    }

    /// `engine:step/report@0.1.0` for `report`, with the version of this contract.
    pub(super) fn whole_name(&self, name: &str) -> String {
        if name.contains('/') {
            return name.to_owned();
        }
        let step =
            self.resolve.packages.iter().find(|(_, package)| package.name.name == "step").expect("the contract").1;
        step.name.interface_id(name)
    }

    pub(super) fn function(&self, interface: &str, name: &str) -> &Function {
        let interface = &self.resolve.interfaces[self.interface(interface)];
        interface.functions.get(name).unwrap_or_else(|| panic!("the contract has no function `{name}`"))
    }

    pub(super) fn size(&self, ty: &Type) -> u32 {
        u32::try_from(self.sizes.size(ty).size_wasm32()).expect("types are small")
    }

    fn align(&self, ty: &Type) -> u32 {
        u32::try_from(self.sizes.align(ty).align_wasm32()).expect("types are small")
    }

    fn kind(&self, ty: &Type) -> Option<&TypeDefKind> {
        match ty {
            Type::Id(id) => match &self.resolve.types[*id].kind {
                TypeDefKind::Type(inner) => self.kind(inner).or(Some(&self.resolve.types[*id].kind)),
                kind => Some(kind),
            },
            _ => None,
        }
    }

    /// The type behind aliases.
    fn plain(&self, ty: &Type) -> Type {
        match ty {
            Type::Id(id) => match &self.resolve.types[*id].kind {
                TypeDefKind::Type(inner) => self.plain(inner),
                _ => *ty,
            },
            _ => *ty,
        }
    }

    /// Cases of a type that has cases: name and payload.
    fn cases(&self, ty: &Type) -> Option<Vec<(String, Option<Type>)>> {
        Some(match self.kind(ty)? {
            TypeDefKind::Variant(variant) => variant.cases.iter().map(|case| (case.name.clone(), case.ty)).collect(),
            TypeDefKind::Enum(words) => words.cases.iter().map(|case| (case.name.clone(), None)).collect(),
            TypeDefKind::Option(some) => vec![("none".into(), None), ("some".into(), Some(*some))],
            TypeDefKind::Result(result) => vec![("ok".into(), result.ok), ("err".into(), result.err)],
            _ => return None,
        })
    }

    fn payload_offset(&self, cases: &[(String, Option<Type>)]) -> u32 {
        cases.iter().filter_map(|(_, ty)| ty.as_ref()).map(|ty| self.align(ty)).max().unwrap_or(1)
    }

    /// Fields of a record or tuple: name, offset, type.
    fn fields(&self, ty: &Type) -> Option<Vec<(String, u32, Type)>> {
        let named: Vec<(String, Type)> = match self.kind(ty)? {
            TypeDefKind::Record(record) => record.fields.iter().map(|field| (field.name.clone(), field.ty)).collect(),
            TypeDefKind::Tuple(tuple) => tuple.types.iter().enumerate().map(|(i, ty)| (i.to_string(), *ty)).collect(),
            _ => return None,
        };
        let mut end = 0u32;
        let mut fields = Vec::new();
        for (name, ty) in named {
            let at = end.next_multiple_of(self.align(&ty));
            end = at + self.size(&ty);
            fields.push((name, at, ty));
        }
        Some(fields)
    }

    /// The way from a value at `at` to a part of it by names of cases and fields.
    pub(super) fn path(&self, ty: &Type, at: u32, path: &[&str]) -> Vec<Part> {
        let mut parts = Vec::new();
        let (mut ty, mut at) = (Some(*ty), at);
        for name in path {
            let here = ty.unwrap_or_else(|| panic!("`{name}` is behind a case without a payload"));
            if let Some(cases) = self.cases(&here) {
                let case =
                    cases.iter().position(|(case, _)| case == name).unwrap_or_else(|| panic!("no case `{name}`"));
                let tag = (at, u8::try_from(case).expect("few cases"));
                at += self.payload_offset(&cases);
                ty = cases[case].1;
                parts.push(Part { tag: Some(tag), at, ty });
            } else {
                let fields = self.fields(&here).unwrap_or_else(|| panic!("`{name}` is no part of a scalar"));
                let field = fields.into_iter().find(|(field, _, _)| field == name);
                let (_, offset, part) = field.unwrap_or_else(|| panic!("no field `{name}`"));
                at += offset;
                ty = Some(part);
                parts.push(Part { tag: None, at, ty });
            }
        }
        parts
    }

    /// Puts a value into the image, and gives its address.
    pub(super) fn place(&self, image: &mut Image, ty: &Type, value: &Value) -> u32 {
        let at = image.room(self.size(ty), self.align(ty));
        self.write(image, at, ty, value);
        at
    }

    fn write(&self, image: &mut Image, at: u32, ty: &Type, value: &Value) {
        let ty = self.plain(ty);
        if let Some(fields) = self.fields(&ty) {
            for (position, (name, offset, field)) in fields.iter().enumerate() {
                let part = value.get(name).or_else(|| value.get(position)).unwrap_or(&Value::Null);
                self.write(image, at + offset, field, part);
            }
            return;
        }
        if let Some(cases) = self.cases(&ty) {
            let is_option = matches!(self.kind(&ty), Some(TypeDefKind::Option(_)));
            let (case, payload) = chosen(is_option, value);
            let case =
                cases.iter().position(|(name, _)| *name == case).unwrap_or_else(|| panic!("no case for {value}"));
            image.put(at, &[u8::try_from(case).expect("few cases")]);
            if let Some(ty) = &cases[case].1 {
                self.write(image, at + self.payload_offset(&cases), ty, payload);
            }
            return;
        }
        if let Some(TypeDefKind::List(item)) = self.kind(&ty) {
            let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
            let (size, count) = (self.size(item), u32::try_from(items.len()).expect("short lists"));
            let first = image.room(size * count, self.align(item));
            for (position, part) in (0u32..).zip(items) {
                self.write(image, first + position * size, item, part);
            }
            image.put(at, &first.to_le_bytes());
            image.put(at + 4, &count.to_le_bytes());
            return;
        }
        match ty {
            Type::String => {
                let text = value.as_str().unwrap_or_else(|| panic!("{value} is no string"));
                let (start, len) = image.text(text);
                image.put(at, &start.to_le_bytes());
                image.put(at + 4, &len.to_le_bytes());
            }
            Type::Bool => image.put(at, &[u8::from(value.as_bool().unwrap_or_default())]),
            scalar => {
                let number = value.as_u64().unwrap_or_else(|| panic!("{value} is no number"));
                image.put(at, &number.to_le_bytes()[..self.size(&scalar) as usize]);
            }
        }
    }

    /// A value as parameters of a core function: type and number of each.
    pub(super) fn flat(&self, image: &mut Image, ty: &Type, value: &Value) -> Vec<(&'static str, u64)> {
        let ty = self.plain(ty);
        if let Some(fields) = self.fields(&ty) {
            let part = |(position, (name, _, field)): (usize, &(String, u32, Type))| {
                let part = value.get(name).or_else(|| value.get(position)).unwrap_or(&Value::Null);
                (*field, part.clone())
            };
            let parts: Vec<(Type, Value)> = fields.iter().enumerate().map(part).collect();
            return parts.iter().flat_map(|(field, part)| self.flat(image, field, part)).collect();
        }
        match self.kind(&ty) {
            Some(TypeDefKind::Option(some)) if value.is_null() => {
                let some = *some;
                let nothing = zero(self, &some);
                let payload = self.flat(image, &some, &nothing).into_iter().map(|(core, _)| (core, 0));
                std::iter::once(("i32", 0)).chain(payload).collect()
            }
            Some(TypeDefKind::Option(some)) => {
                let some = *some;
                std::iter::once(("i32", 1)).chain(self.flat(image, &some, value)).collect()
            }
            Some(TypeDefKind::List(_)) => {
                let at = self.place(image, &ty, value);
                vec![("i32", image.word(at)), ("i32", image.word(at + 4))]
            }
            Some(TypeDefKind::Enum(words)) => {
                let case = words.cases.iter().position(|case| Some(case.name.as_str()) == value.as_str());
                vec![("i32", case.expect("a word of the enum") as u64)]
            }
            _ => match ty {
                Type::String => {
                    let (start, len) = image.text(value.as_str().unwrap_or_else(|| panic!("{value} is no string")));
                    vec![("i32", start.into()), ("i32", len.into())]
                }
                Type::U64 | Type::S64 => vec![("i64", value.as_u64().expect("a number"))],
                Type::Bool => vec![("i32", value.as_bool().unwrap_or_default().into())],
                _ => vec![("i32", value.as_u64().expect("a number"))],
            },
        }
    }
}

/// The case that a value chooses, and the payload.
fn chosen(is_option: bool, value: &Value) -> (&str, &Value) {
    match value {
        Value::Null if is_option => ("none", &Value::Null),
        some if is_option => ("some", some),
        Value::String(word) => (word, &Value::Null),
        Value::Object(one) => one.iter().next().map(|(case, payload)| (case.as_str(), payload)).expect("one case"),
        other => panic!("{other} chooses no case"),
    }
}

/// Some value of a type, to learn how it is flattened.
fn zero(contract: &Contract, ty: &Type) -> Value {
    match contract.kind(ty) {
        Some(TypeDefKind::List(_)) => Value::Array(Vec::new()),
        _ if contract.plain(ty) == Type::String => Value::String(String::new()),
        _ => Value::from(0),
    }
}

impl Image {
    pub(super) fn new(base: u32) -> Image {
        Image { base, bytes: Vec::new() }
    }

    /// Free bytes at the end.
    pub(super) fn room(&mut self, size: u32, align: u32) -> u32 {
        let at = self.end().next_multiple_of(align.max(1));
        self.bytes.resize((at - self.base + size) as usize, 0);
        at
    }

    pub(super) fn end(&self) -> u32 {
        self.base + u32::try_from(self.bytes.len()).expect("images are small")
    }

    pub(super) fn text(&mut self, text: &str) -> (u32, u32) {
        let len = u32::try_from(text.len()).expect("texts are small");
        let at = self.room(len, 1);
        self.put(at, text.as_bytes());
        (at, len)
    }

    fn put(&mut self, at: u32, bytes: &[u8]) {
        let at = (at - self.base) as usize;
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn word(&self, at: u32) -> u64 {
        let at = (at - self.base) as usize;
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().expect("four bytes")).into()
    }
}
