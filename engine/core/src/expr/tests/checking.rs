//! The static checker.

use steps_sdk::schema::{Format, Schema};

use super::marked;
use crate::expr::{Expr, Scope, Type, TypeField};

fn object(fields: &[(&str, Type)]) -> Type {
    Type::Object(fields.iter().map(|(name, ty)| TypeField::new(*name, ty.clone())).collect())
}

fn list(items: Type) -> Type {
    Type::List(Box::new(items))
}

fn step(outputs: Type) -> Type {
    Type::Step(Box::new(outputs))
}

fn scope() -> Scope {
    let shard =
        object(&[("name", Type::String(Format::DnsLabel)), ("cluster", Type::Cluster), ("replicas", Type::Int)]);
    let inputs = object(&[
        ("zone", Type::String(Format::Hostname)),
        ("n", Type::Int),
        ("ratio", Type::Float),
        ("on", Type::Bool),
        ("mode", Type::Enum(vec!["fast".into(), "slow".into()])),
        ("maybe", Type::Nullable(Box::new(Type::TEXT))),
        ("front-proxy", Type::TEXT),
        ("shards", list(shard)),
        ("labels", Type::Map(Box::new(Type::TEXT))),
    ]);
    let names = [
        ("inputs", inputs),
        ("root", step(object(&[("address", Type::TEXT), ("ports", list(Type::Int)), ("key", Type::Secret)]))),
        ("late", step(Type::Any)),
        ("region", Type::Map(Box::new(object(&[("deploy", step(object(&[("ref", Type::TEXT)])))])))),
        ("dns_key", Type::Secret),
        ("any", Type::Any),
    ];
    Scope { names: names.into_iter().map(|(name, ty)| (name.to_owned(), ty)).collect() }
}

#[test]
fn sound_expressions_have_these_types() {
    for (text, expected) in [
        ("root.address", "string"),
        ("inputs.zone", "hostname"),
        ("root.ports[0] + 1", "int"),
        ("inputs.n + 1 > 2 && inputs.on", "bool"),
        ("inputs.ratio / 2.0", "float"),
        ("inputs.n < 1.5", "bool"),
        ("inputs.zone + '.'", "string"),
        ("inputs.shards", "list<{ name: dns-label, cluster: cluster, replicas: int }>"),
        ("inputs.shards.map(s, s.name)", "list<dns-label>"),
        ("['root'] + inputs.shards.map(s, s.name)", "list<string>"),
        ("inputs.shards.filter(s, s.replicas > 1)", "list<{ name: dns-label, cluster: cluster, replicas: int }>"),
        ("inputs.shards.all(s, s.name != 'root')", "bool"),
        ("inputs.labels['a']", "string"),
        ("inputs.labels.a", "string"),
        ("inputs.labels.map(k, k + '=' + inputs.labels[k])", "list<string>"),
        ("inputs['front-proxy']", "string"),
        ("inputs.on ? 'a' : inputs.zone", "string"),
        ("inputs.on ? 1 : null", "int or null"),
        ("inputs.on ? 1 : 'a'", "any"),
        ("inputs.maybe", "string or null"),
        ("inputs.maybe == null", "bool"),
        ("inputs.maybe + 'x'", "string"),
        ("inputs.mode == 'fast'", "bool"),
        ("inputs.mode", "fast|slow"),
        ("{'a': 1, 'b': [inputs.zone]}", "{ a: int, b: list<hostname> }"),
        ("{inputs.zone: 1}", "map<int>"),
        ("[]", "list<any>"),
        ("[1, 2.5]", "list<any>"),
        ("late.whatever.it.is[0]", "any"),
        ("any.a + 1", "any"),
        ("any + 'x'", "string"),
        ("any.a.map(x, x.b)", "list<any>"),
        ("dns_key", "secret"),
        ("root.key", "secret"),
        ("exists(root) && failed(late)", "bool"),
        ("exists(region['a'].deploy)", "bool"),
        ("region[inputs.zone].deploy.ref", "string"),
        ("region.map(k, region[k].deploy.ref)", "list<string>"),
        ("has(root.address)", "bool"),
        ("size(inputs.shards)", "int"),
        ("join(inputs.shards.map(s, s.name), ',')", "string"),
        ("'%s'.format([inputs.n])", "string"),
        ("split(inputs.zone, '.')", "list<string>"),
        ("semver('1.2.3')", "version"),
        ("semver('1.2.3').major", "int"),
        ("semver(inputs.zone) < semver('2.0.0')", "bool"),
        ("cidr('10.0.0.0/8').contains('10.0.0.1')", "bool"),
        ("cidr('10.0.0.0/8').network", "string"),
        ("pem(any)[0].label", "string"),
        ("'a' in inputs.labels || 1 in root.ports", "bool"),
        ("-inputs.n", "int"),
        ("int(inputs.zone) + size('a')", "int"),
        ("string(inputs.n) + 'a'", "string"),
        ("type(any) == 'int'", "bool"),
    ] {
        let (ty, problems) = Expr::parse(text).unwrap().check(&scope());
        assert_eq!((ty.to_string().as_str(), problems), (expected, vec![]), "{text}");
    }
}

#[test]
fn mistakes_are_told_where_they_are_with_what_to_do() {
    for (text, code, told) in [
        // Names.
        ("«rot».address", "L110", "did you mean `root`?"),
        ("inputs.zone + «zone»", "L110", "'zone'"),
        ("inputs.shards.map(s, «element».name)", "L110", "names that can be used here: s, any,"),
        // Fields.
        ("root.«adress»", "L111", "did you mean `address`? there is: address, ports, key"),
        ("inputs.«nope»", "L111", "there is: zone, n,"),
        ("inputs.«front-proxy»", "L111", "[\"front-proxy\"]"),
        ("inputs.shards[0].«nam»", "L111", "`name`"),
        ("inputs.shards.map(s, s.«nam»)", "L111", "`name`"),
        ("inputs.zone.«a»", "L111", "type hostname has no fields"),
        ("inputs.shards.«name»", "L111", "has no fields"),
        ("inputs['«zona»']", "L111", "`zone`"),
        ("has(inputs.«zona»)", "L111", "`zone`"),
        ("region['a'].«deplay»", "L111", "`deploy`"),
        ("semver('1.2.3').«mayor»", "L111", "`major`"),
        // Operands.
        ("inputs.n «+» 'a'", "L112", "string()"),
        ("inputs.zone «+» 1", "L112", "string()"),
        ("inputs.n «*» inputs.ratio", "L112", "double()"),
        ("inputs.zone «-» 'a'", "L112", "it takes numbers"),
        ("inputs.zone «<» 1", "L112", "semver"),
        ("inputs.shards «<» inputs.shards", "L112", "have an order"),
        ("«inputs.zone» && true", "L112", "a == 'text'"),
        ("!«inputs.n»", "L112", "a > 0"),
        ("«inputs.shards» ? 1 : 2", "L112", "size(a) > 0"),
        ("inputs.shards.filter(s, «s.name»)", "L112", "true or false"),
        ("-«inputs.zone»", "L112", "takes a number"),
        ("inputs.shards[«'a'»]", "L112", "counted from 0"),
        ("inputs.labels[«0»]", "L112", "keys are strings"),
        ("«inputs.n»[0]", "L112", "has no elements"),
        ("1 in «inputs.zone»", "L112", "contains('part')"),
        ("«inputs.n».map(x, x)", "L112", "walks through a list or a map"),
        ("{«1»: 2}", "L112", "in quotes"),
        // Calls.
        ("«siz»(inputs.shards)", "L113", "did you mean `size`?"),
        ("«now»()", "L113", "there is:"),
        ("inputs.zone.«trim»()", "L113", "there is:"),
        ("inputs.shards.«filtre»(1)", "L113", "did you mean `filter`?"),
        ("«map»(inputs.shards, 1)", "L113", "list.map(x, …)"),
        ("«size()»", "L114", "takes 1 argument, not 0"),
        ("«join(['a'])»", "L114", "write `join(list, string)`"),
        ("«inputs.zone.split()»", "L114", "takes 1 argument, not 0"),
        ("«contains('a', 'b')»", "L114", "write `string or cidr.contains(string)`"),
        ("«'a'.sha256()»", "L114", "write `sha256(string)`"),
        ("size(«inputs.n»)", "L115", "a string, a list or a map"),
        ("join(«'a'», ',')", "L115", "a list of strings or numbers"),
        ("join(«inputs.shards», ',')", "L115", "a list of strings or numbers"),
        ("sha256(«inputs.n»)", "L115", "takes a string"),
        ("semver(«'1.2'»)", "L115", "not a version"),
        ("cidr(«'10.0.0.0/99'»)", "L115", "0 to 32"),
        ("'a'.matches(«'('»)", "L115", "not a regular expression"),
        // Secrets.
        ("«dns_key» + 'a'", "L116", "pass it on as a whole"),
        ("sha256(«dns_key»)", "L116", "pass it on"),
        ("size(«root.key»)", "L116", "pass it on"),
        ("«dns_key» == 'a'", "L116", "pass it on"),
        ("string(«inputs.on ? dns_key : 'a'»)", "L116", "pass it on"),
        ("join(«[dns_key]», ',')", "L116", "pass it on"),
        ("dns_key.«a»", "L116", "pass it on"),
        // Steps.
        ("«root»", "L117", "address, ports, key"),
        ("size(«root»)", "L117", "name one of its outputs"),
        ("[«late»]", "L117", "exists(…)"),
        ("exists(«inputs.zone»)", "L118", "has(a.b)"),
        ("exists(«root.address»)", "L118", "name of a step"),
        ("failed(«'root'»)", "L118", "name of a step"),
        // Comparisons that say nothing.
        ("inputs.mode == «'fats'»", "L119", "did you mean 'fast'?"),
        ("«'medium'» != inputs.mode", "L119", "it is one of: fast, slow"),
        ("inputs.n «==» '1'", "L119", "never equal"),
        ("'a' in «root.ports»", "L119", "elements of type int"),
        ("1 in «inputs.labels»", "L119", "keys are strings"),
        // Variables.
        ("«inputs.shards».map(root, 1)", "L120", "another name"),
    ] {
        let (text, range) = marked(text);
        let (_, problems) = Expr::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}")).check(&scope());
        let [problem] = problems.as_slice() else { panic!("{text}: {problems:#?}") };
        let all = format!("{}; {}", problem.message, problem.help.clone().unwrap_or_default());
        assert_eq!(problem.code, code, "{text}: {all}");
        let range = range.unwrap();
        // A mark inside the quotes of a key stands for the key with its quotes.
        assert!(
            problem.range == range || problem.range == (range.start - 1..range.end + 1),
            "{text}: {:?} {all}",
            &text[problem.range.clone()]
        );
        assert!(all.contains(told), "{text}: {all}");
        assert!(!problem.message.ends_with('.'), "{text}");
    }
}

#[test]
fn all_mistakes_of_an_expression_are_told() {
    let (_, problems) = Expr::parse("nope.a + inputs.zona + size(1) + nosuch()").unwrap().check(&scope());
    assert_eq!(problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), ["L110", "L111", "L115", "L113"]);
}

#[test]
fn a_type_accepts_what_may_turn_out_right() {
    let object = |fields: &[(&str, Type, bool)]| {
        let field = |(name, ty, required): &(&str, Type, bool)| TypeField {
            required: *required,
            ..TypeField::new(*name, ty.clone())
        };
        Type::Object(fields.iter().map(field).collect())
    };
    let wanted = object(&[("a", Type::Int, true), ("b", Type::TEXT, false)]);
    let yes = [
        (Type::TEXT, Type::String(Format::Hostname)),
        (Type::String(Format::Hostname), Type::TEXT),
        (Type::String(Format::Hostname), Type::String(Format::DnsLabel)),
        (Type::TEXT, Type::Enum(vec!["a".into()])),
        (Type::TEXT, Type::Version),
        (Type::TEXT, Type::Cluster),
        (Type::Enum(vec!["a".into(), "b".into()]), Type::Enum(vec!["b".into(), "c".into()])),
        (Type::Float, Type::Int),
        (Type::Any, Type::Secret),
        (Type::Int, Type::Any),
        (Type::Nullable(Box::new(Type::Int)), Type::Null),
        (Type::Nullable(Box::new(Type::Int)), Type::Int),
        (list(Type::TEXT), list(Type::String(Format::Url))),
        (list(Type::TEXT), list(Type::Any)),
        (wanted.clone(), object(&[("a", Type::Int, true)])),
        (wanted.clone(), object(&[("a", Type::Int, true), ("b", Type::TEXT, true)])),
        (Type::Map(Box::new(Type::Int)), object(&[("a", Type::Int, true)])),
        (Type::Secret, Type::Secret),
        (Type::Cluster, Type::Cluster),
    ];
    let no = [
        (Type::Int, Type::Float),
        (Type::Int, Type::TEXT),
        (Type::TEXT, Type::Int),
        (Type::TEXT, Type::Secret),
        (Type::Secret, Type::TEXT),
        (Type::Cluster, Type::TEXT),
        (Type::String(Format::Url), Type::String(Format::Hostname)),
        (Type::Enum(vec!["a".into()]), Type::Enum(vec!["b".into()])),
        (Type::Int, Type::Null),
        (list(Type::Int), list(Type::TEXT)),
        (wanted.clone(), object(&[("b", Type::TEXT, true)])),
        (wanted.clone(), object(&[("a", Type::Int, true), ("c", Type::Int, true)])),
        (wanted, object(&[("a", Type::TEXT, true)])),
        (Type::TEXT, step(Type::Any)),
    ];
    for (wanted, given) in yes {
        assert!(wanted.accepts(&given), "{wanted} takes {given}");
    }
    for (wanted, given) in no {
        assert!(!wanted.accepts(&given), "{wanted} does not take {given}");
    }
}

#[test]
fn a_schema_has_a_type() {
    let schema = Schema::parse(&serde_json::json!({
        "type": "object", "required": ["a"],
        "properties": {
            "a": { "type": "string", "format": "hostname" }, "b": { "type": ["integer", "null"] }, "c": { "type": "array", "items": { "type": "number" } },
            "d": { "type": "object", "additionalProperties": { "type": "boolean" } }, "e": { "enum": ["x", "y"] }, "f": true,
            "g": { "type": "string", "x-ref": "cluster" }, "h": { "x-ref": "secret", "x-secret": true }, "i": { "type": "string", "x-cel": true },
        },
    }))
    .unwrap();
    assert_eq!(
        Type::of_schema(&schema).to_string(),
        "{ a: hostname, b?: int or null, c?: list<float>, d?: map<bool>, e?: x|y, f?: any, g?: cluster, h?: secret, i?: string }"
    );
}
