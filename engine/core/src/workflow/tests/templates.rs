//! Templates and calls.

use super::{check, check_whole, reading};

const STORE: &str = "template store {\n doc \"Where things are kept.\"\n param on type=cluster\n param name type=dns-label\n param amount type=u8 default=3\n param note type=string default=#null\n \
    step space uses=k.apply on=\"${param.on}\" { object name=\"${param.name}\" }\n step members uses=t.every needs=space { text \"${param.name}-${inputs.domain}\"; count \"${param.amount}\" }\n \
    output endpoint \"https://${param.name}.${inputs.domain}\"\n output count \"${members.count}\"\n}\n";

fn store(text: &str, expected: &[(&str, &str)]) {
    check(&format!("{STORE}{text}"), expected);
}

#[test]
fn a_template_is_called_with_values_for_its_params_and_read_by_its_outputs() {
    store("", &[]);
    store(
        "call main uses=store { on eu; name root }\nstep a uses=t.every { text \"${main.endpoint}\"; count \"${main.count}\" }",
        &[],
    );
    store(
        "for-each r in=\"inputs.list\" as=region {\n call main uses=store needs=first { on us; name \"${r}\"; amount 1 }\n step a uses=t.every { text \"${main.endpoint}\" }\n}\n\
         step first uses=t.every\nstep last uses=t.every { text \"${region['a'].main.endpoint}\"; free \"${region.map(k, region[k].main.count)}\" }",
        &[],
    );
    store("step s uses=t.every { text x }\ncall main uses=store { on eu; name \"${s.text}\" }", &[]);
    store(
        "call main uses=store when=\"inputs.n > 1\" { on eu; name x }\nstep a uses=t.every when=\"inputs.n > 1\" { text \"${main.endpoint}\" }\nstep b uses=t.every when=\"failed(main)\"",
        &[],
    );
}

#[test]
fn what_a_call_says_is_held_against_its_template() {
    store("call main uses=store { on eu; nam root }", &[("L231", "call"), ("L230", "nam")]);
    store("call main uses=store { on eu }", &[("L231", "call")]);
    store("call main uses=store { on eu; name a_b }", &[("L233", "a_b")]);
    store("call main uses=store { on moon; name a }", &[("L210", "moon")]);
    store("call main uses=store { on eu; name a; amount 300 }", &[("L233", "300")]);
    store("call main uses=store { on eu; name a; amount \"${inputs.domain}\" }", &[("L222", "\"${inputs.domain}\"")]);
    store("call main uses=store name=a { on eu; name a }", &[("L203", "name")]);
    store("call main uses=store x { on eu; name a }", &[("L236", "x")]);
    store("call main { on eu; name a }", &[("L204", "call")]);
    store("call main uses=stor { on eu; name a }", &[("L261", "stor")]);
    store("call main uses=k.apply", &[("L261", "k.apply")]);
    store("call uses=store { on eu; name a }", &[("L204", "call")]);
    store("call main uses=store needs=nothing { on eu; name a }", &[("L212", "nothing")]);
    store("step main uses=t.every\ncall main uses=store { on eu; name a }", &[("L206", "main")]);
}

#[test]
fn callers_read_outputs_and_nothing_else() {
    let main = "call main uses=store { on eu; name a }\n";
    store(&format!("{main}step a uses=t.every {{ text \"${{main.space.ref}}\" }}"), &[("L111", "space")]);
    store(&format!("{main}step a uses=t.every {{ text \"${{members.text}}\" }}"), &[("L110", "members")]);
    store(&format!("{main}step a uses=t.every needs=space"), &[("L212", "space")]);
    store(&format!("{main}step a uses=t.every {{ free \"${{main}}\" }}"), &[("L117", "main")]);
    store(
        "call main uses=store when=\"inputs.n > 1\" { on eu; name a }\nstep a uses=t.every { text \"${main.endpoint}\" }",
        &[("L217", "main.endpoint")],
    );
}

#[test]
fn a_template_sees_its_params_and_the_inputs_and_nothing_else() {
    let template = |body: &str| format!("template t {{\n param p type=string default=x\n {body}\n}}");
    for (body, expected) in [
        ("step a uses=t.every { text \"${param.p} ${inputs.domain}\" }", vec![]),
        ("step a uses=t.every { text \"${param.q}\" }", vec![("L111", "q")]),
        ("step a uses=t.every { text \"${outer.text}\" }", vec![("L260", "outer.text")]),
        ("step a uses=t.every { text \"${run.id}\" }", vec![("L260", "run.id")]),
        ("step a uses=t.every { target \"${clusters.eu}\" }", vec![("L260", "clusters.eu")]),
        ("step a uses=t.every { secret token }", vec![("L260", "token")]),
        ("step a uses=t.every { secret \"${token}\" }", vec![("L260", "token")]),
        ("step a uses=k.apply on=eu", vec![("L260", "eu")]),
        ("step a uses=t.every needs=outer", vec![("L212", "outer")]),
        ("step a uses=t.every { text \"${nowhere.x}\" }", vec![("L110", "nowhere")]),
        // Names inside and outside have nothing to do with each other.
        ("step outer uses=t.every\n step a uses=t.every { text \"${outer.text}\" }", vec![]),
        ("step token uses=t.every\n step a uses=t.every { text \"${token.text}\" }", vec![]),
    ] {
        check(&format!("step outer uses=t.every\n{}", template(body)), &expected);
    }
    check("step a uses=t.every { text \"${param.p}\" }", &[("L260", "param.p")]);
}

#[test]
fn the_form_of_a_template() {
    check("template t", &[("L204", "template")]);
    check("template", &[("L204", "template"), ("L204", "template")]);
    check("template t { output x 1 }", &[("L204", "template")]);
    check("template t { step a uses=t.every; input b type=string }", &[("L203", "input")]);
    check("template t { step a uses=t.every; cluster b }", &[("L203", "cluster")]);
    check("template t { param p; step a uses=t.every }", &[("L204", "param")]);
    check("template t { param p type=strin; step a uses=t.every }", &[("L208", "strin")]);
    check("template t { param p type=string; param p type=string; step a uses=t.every }", &[("L206", "p")]);
    check("template t { param needs type=string; step a uses=t.every }", &[("L205", "needs")]);
    check("template t { param p type=cluster default=eu; step a uses=t.every }", &[("L260", "eu")]);
    check("template t { step a uses=t.every; step a uses=t.every }", &[("L206", "a")]);
    check("template t { step a uses=t.every; output x \"${b.text}\" }", &[("L110", "b")]);
    check("template t { step a uses=t.every; output x 1; output x 2 }", &[("L206", "x")]);
    check("template t { step a uses=t.every }\ntemplate t { step a uses=t.every }", &[("L206", "t")]);
    check("template t { step a uses=k.none }", &[("L209", "k.none")]);
    check(
        "template t { step a uses=t.every { text \"${b.text}\" }; step b uses=t.every { text \"${a.text}\" } }",
        &[("L214", "b.text")],
    );
}

#[test]
fn secrets_enter_a_template_by_params_that_take_them() {
    let template = "template t {\n param key type=secret\n step a uses=t.every { secret \"${param.key}\" }\n step b uses=p.leaf { common-name x; keep file=\"x\" }\n output made \"${b.key}\" secret=#true\n}\n";
    check(&format!("{template}call c uses=t {{ key token }}\nstep z uses=t.every {{ secret \"${{c.made}}\" }}"), &[]);
    check(&format!("{template}call c uses=t {{ key moon }}"), &[("L211", "moon")]);
    check(&format!("{template}call c uses=t {{ key \"${{inputs.domain}}\" }}"), &[("L222", "\"${inputs.domain}\"")]);
    check(
        &format!("{template}call c uses=t {{ key token }}\nstep z uses=t.every {{ text \"${{c.made}}\" }}"),
        &[("L218", "\"${c.made}\"")],
    );
    check(&format!("{template}call c uses=t {{ key token }}\noutput o \"${{c.made}}\""), &[("L219", "\"${c.made}\"")]);
    check(
        "template t { param key type=secret; step a uses=t.every { text \"${param.key}\" } }",
        &[("L218", "\"${param.key}\"")],
    );
    check(
        "template t { param key type=secret; step a uses=t.every { text \"x${param.key}\" } }",
        &[("L116", "param.key")],
    );
    check(
        "template t { param name type=string; step a uses=t.every { text \"${param.name}\" } }\ncall c uses=t { name \"${token}\" }",
        &[("L218", "\"${token}\"")],
    );
    check(
        "template t { step b uses=p.leaf { common-name x; keep file=\"x\" }; output made \"${b.key}\" }",
        &[("L219", "\"${b.key}\"")],
    );
    check("input key type=secret", &[("L208", "secret")]);
    check(
        "type pair { key type=secret }\ntemplate t { param p type=pair; step a uses=t.every }",
        &[("L208", "secret")],
    );
}

#[test]
fn params_that_decide_about_the_plan_are_known_before_it() {
    let first = "step first uses=t.every\n";
    store(
        &format!("{first}call main uses=store {{ on \"${{first.text}}\"; name a }}"),
        &[("L222", "\"${first.text}\"")],
    );
    let late = "step first uses=value.set { where \"${inputs.n}\"; list a }\n";
    for (body, value, expected) in [
        ("step a uses=k.apply on=\"${param.p}\"", "cluster", true),
        ("step a uses=t.every { target \"${param.p}\" }", "cluster", true),
        ("step a uses=t.every { text \"${param.p}\" }", "any", false),
        ("for-each x in=\"param.p\" as=g { step a uses=t.every }", "list<string>", true),
        ("for-each x in=\"inputs.list\" key=\"x + string(param.p)\" as=g { step a uses=t.every }", "any", true),
        ("call inner uses=inside { q \"${param.p}\" }", "cluster", true),
    ] {
        let inside = "template inside { param q type=cluster; step a uses=k.apply on=\"${param.q}\" }\n";
        let template = format!("{inside}template t {{ param p type=\"{value}\"; {body} }}\n");
        // `object` is of any type, so that only the time is wrong.
        let call = "step first uses=k.wait\ncall c uses=t { p \"${first.object}\" }";
        let expected: &[(&str, &str)] = if expected { &[("L220", "first.object")] } else { &[] };
        check(&format!("{template}{call}"), expected);
    }
    check(
        &format!(
            "{late}template t {{ param p type=int {{ check \"param.p > 1\" }}; step a uses=t.every }}\ncall c uses=t {{ p \"${{first.where}}\" }}"
        ),
        &[("L220", "first.where")],
    );
    check("template t { param p type=int { check \"param.q > 1\" }; step a uses=t.every }", &[("L111", "q")]);
}

#[test]
fn templates_do_not_call_themselves() {
    check("template a { call x uses=a }", &[("L262", "call x uses=a")]);
    check(
        "template a { call x uses=b }\ntemplate b { call x uses=a }\ntemplate c { call x uses=a }\ncall y uses=c",
        &[("L262", "call x uses=b")],
    );
}

#[test]
fn calls_and_steps_do_not_wait_for_each_other_in_a_circle() {
    check(
        "template t { param p type=string default=x; step a uses=t.every; output o \"${a.text}\" }\ncall c uses=t { p \"${b.text}\" }\nstep b uses=t.every { text \"${c.o}\" }",
        &[("L214", "c.o")],
    );
    check("template t { step a uses=t.every; output o \"${a.text}\" }\ncall c uses=t needs=c", &[("L214", "c")]);
}

#[test]
fn groups_may_stand_in_groups() {
    check(
        "for-each a in=\"inputs.list\" as=outer {\n step first uses=t.every\n for-each b in=\"inputs.list\" as=inner {\n  step second uses=t.every { text \"${a}-${b}-${first.text}\" }\n }\n step third uses=t.every needs=inner\n}\n\
         step last uses=t.every { text \"${outer['a'].inner['b'].second.text}\" }",
        &[],
    );
    check(
        "for-each a in=\"inputs.list\" as=outer { for-each a in=\"inputs.list\" as=inner { step s uses=t.every } }",
        &[("L206", "a")],
    );
    check(
        "for-each a in=\"inputs.list\" as=outer { for-each b in=\"inputs.list\" as=inner { step s uses=t.every { text \"${outer['a'].inner['a'].s.text}\" } } }",
        &[("L216", "outer['a'].inner['a'].s.text")],
    );
}

#[test]
fn the_texts_of_what_is_wrong_between_a_template_and_its_calls() {
    let text = format!(
        "workflow test\ncluster eu\ninput domain type=hostname\nsecret token {{ from env=T }}\nstep first uses=k.wait\n{STORE}\
         template bad {{ step a uses=t.every {{ text \"${{first.object}}\"; secret token }} }}\n\
         call main uses=store {{ on \"${{first.object}}\"; nme root; name a }}\nstep a uses=t.every {{ text \"${{param.x}}\" }}\ncall other uses=stoer"
    );
    let (reading, source) = reading(&text);
    let mut found = String::new();
    for problem in &reading.problems {
        found.push_str(&format!("{} {}\n", problem.code, problem.message));
        for (at, words) in &problem.related {
            found.push_str(&format!("  at `{}`: {words}\n", &source.text[at.start..at.end]));
        }
        found.push_str(&format!("  help: {}\n", problem.help.as_deref().unwrap_or("none")));
    }
    insta::assert_snapshot!(found);
    check_whole("workflow t", &[]);
}
