//! References, types, absence, secrets, circles.

use super::{check, reading, workflow};

const A: &str = "step a uses=t.every\n";

#[test]
fn references_make_edges_and_needless_needs_are_told() {
    check("step a uses=value.set { x 1 }\nstep b uses=value.set { y \"${a.x}\" }", &[]);
    check("step a uses=value.set { x 1 }\nstep b uses=value.set needs=a { y \"${a.x}\" }", &[("L213", "a")]);
    check("step a uses=value.set { x 1 }\nstep b uses=value.set { needs a; y \"n ${a.x}\" }", &[("L213", "a")]);
    check(
        "step a uses=value.set { x 1 }\nstep b uses=value.set { needs a; free 1 }\nstep c uses=t.every { after a; needs a }",
        &[("L213", "a")],
    );
    // One instance is not the whole group.
    let group = "for-each s in=\"inputs.list\" as=g { step a uses=value.set { x 1 } }\n";
    check(&format!("{group}step b uses=value.set needs=g {{ y \"${{g['a'].a.x}}\" }}"), &[]);
    check(&format!("{group}step b uses=value.set needs=g {{ y \"${{g.map(k, g[k].a.x)}}\" }}"), &[("L213", "g")]);
}

#[test]
fn a_name_that_is_not_there_is_marked_itself() {
    check("step b uses=value.set { y \"${nobody.x}\" }", &[("L110", "nobody")]);
    check(&format!("{A}step b uses=value.set {{ y \"${{a.cuont}}\" }}"), &[("L111", "cuont")]);
    check("step b uses=value.set { y \"${inputs.domian}\" }", &[("L111", "domian")]);
    check("step b uses=value.set when=\"inputs.nn == 1\" { y 1 }", &[("L111", "nn")]);
    check("step b uses=value.set { y \"${clusters.mars}\" }", &[("L111", "mars")]);
    check("step b uses=value.set { y \"${run.id} ${run.started}\" }", &[]);
    check("step b uses=value.set { y \"${run.idd}\" }", &[("L111", "idd")]);
}

#[test]
fn a_type_is_held_to_its_place() {
    let every = |body: &str| format!("{A}step b uses=t.every {{ {body} }}");
    for sound in [
        "count \"${inputs.n}\"",
        "text \"n is ${inputs.n}\"",
        "text \"${string(inputs.n)}\"",
        "host \"${inputs.domain}\"",
        "host \"api.${inputs.domain}\"",
        "free \"${inputs.list}\"",
        "flag \"${inputs.n > 1}\"",
        "optional \"${a.text}\"",
        "text \"${a.late}\"",
        "target \"${clusters.eu}\"",
        "for-each s in=\"inputs.list\" { after a }",
        "counts \"${inputs.n}\"",
        "counts \"${inputs.n}\" 2",
        "counts \"${inputs.list.map(s, size(s))}\"",
        "ratio \"${inputs.n}\"",
    ] {
        check(&every(sound), &[]);
    }
    for (body, span) in [
        ("text \"${inputs.n}\"", "\"${inputs.n}\""),
        ("count \"${inputs.domain}\"", "\"${inputs.domain}\""),
        ("count \"n${inputs.n}\"", "\"n${inputs.n}\""),
        ("flag \"${inputs.n}\"", "\"${inputs.n}\""),
        ("counts \"${inputs.domain}\"", "\"${inputs.domain}\""),
        ("counts 1 \"${inputs.list}\"", "\"${inputs.list}\""),
        ("env A=\"${inputs.n}\"", "\"${inputs.n}\""),
        ("env \"${inputs.domain}\"", "\"${inputs.domain}\""),
        ("target \"${inputs.n}\"", "\"${inputs.n}\""),
    ] {
        check(&every(body), &[("L222", span)]);
    }
    check("step b uses=value.set when=\"inputs.n\" { y 1 }", &[("L222", "\"inputs.n\"")]);
    check("for-each s in=\"inputs.domain\" as=g { step b uses=value.set { y 1 } }", &[("L222", "\"inputs.domain\"")]);
    check("input m type=int { check \"inputs.m + 1\" }", &[("L222", "\"inputs.m + 1\"")]);
}

#[test]
fn what_value_set_is_given_is_what_it_gives() {
    let text = "step a uses=value.set { count \"${inputs.n}\"; words \"${inputs.list}\"; deep { x 1 } }\n";
    check(&format!("{text}step b uses=t.every {{ count \"${{a.count}}\"; host \"${{a.words[0]}}\" }}"), &[]);
    check(&format!("{text}step b uses=t.every {{ text \"${{a.count}}\" }}"), &[("L222", "\"${a.count}\"")]);
    check(&format!("{text}step b uses=t.every {{ free \"${{a.deep.y}}\" }}"), &[("L111", "y")]);
    // Also when the file names the giver last.
    check(&format!("step b uses=t.every {{ text \"${{a.count}}\" }}\n{text}"), &[("L222", "\"${a.count}\"")]);
}

#[test]
fn absence_is_typed() {
    let ha = "step ha uses=t.every when=\"inputs.n == 1\"\n";
    let after = |text: &str| format!("{ha}{text}");
    check(&after("step b uses=t.every { text \"${ha.text}\" }"), &[("L217", "ha.text")]);
    check(&after("step b uses=t.every { text \"x ${ha.text}\" }"), &[("L217", "ha.text")]);
    check(&after("step b uses=t.every { text \"${exists(ha) ? ha.text : 'none'}\" }"), &[]);
    check(&after("step b uses=t.every when=\"inputs.n == 1\" { text \"${ha.text}\" }"), &[]);
    check(&after("step b uses=t.every when=\"inputs.n == 2\" { text \"${ha.text}\" }"), &[("L217", "ha.text")]);
    check(&after("step b uses=t.every when=\"exists(ha) && ha.count > 1\""), &[]);
    check(&after("step b uses=t.every when=\"failed(ha) || skipped(ha)\""), &[]);
    check(&after("step b uses=t.every needs=ha"), &[]);
    let group = "for-each s in=\"inputs.list\" as=g { step ha uses=t.every when=\"s == 'a'\"; step b uses=t.every when=\"s == 'a'\" { text \"${ha.text}\" } }\n";
    check(group, &[]);
    check(&format!("{group}step c uses=t.every {{ text \"${{g['a'].ha.text}}\" }}"), &[("L217", "g['a'].ha.text")]);
    check(&format!("{group}step c uses=t.every {{ free \"${{exists(g['a'].ha) ? g['a'].ha.text : ''}}\" }}"), &[]);
    check(
        &format!(
            "{group}for-each s in=\"inputs.list\" as=h {{ step c uses=t.every when=\"s == 'a'\" {{ text \"${{g[s].ha.text}}\" }} }}"
        ),
        &[("L217", "g[s].ha.text")],
    );
}

#[test]
fn secrets_go_only_where_they_are_taken() {
    let leaf = "step leaf uses=p.leaf { common-name a; keep file=k }\n";
    check("step a uses=d.records { zone \"a.b\" key=\"${token}\" }", &[]);
    check(&format!("{leaf}step a uses=t.every {{ secret \"${{leaf.key}}\" }}"), &[]);
    check("step a uses=t.every { text \"x ${token}\" }", &[("L116", "token")]);
    check("step a uses=value.set { x \"${token}\" }", &[("L218", "\"${token}\"")]);
    check("step a uses=value.set { x \"${[token]}\" }", &[("L218", "\"${[token]}\"")]);
    check(&format!("{leaf}step a uses=t.every {{ free \"${{leaf.key}}\" }}"), &[("L218", "\"${leaf.key}\"")]);
    check(&format!("{leaf}output key \"${{leaf.key}}\""), &[("L219", "\"${leaf.key}\"")]);
    check(&format!("{leaf}output key \"${{leaf.key}}\" secret=#true"), &[]);
    check(&format!("{leaf}output cert \"${{leaf.certificate}}\""), &[]);
}

#[test]
fn what_shapes_the_plan_is_known_early() {
    check("step a uses=t.every on=\"${clusters.eu}\"", &[]);
    check(&format!("{A}step b uses=t.every on=\"${{a.late}}\""), &[("L220", "a.late")]);
    check(&format!("{A}step b uses=t.every {{ target \"${{a.late}}\" }}"), &[("L220", "a.late")]);
    check(&format!("{A}for-each s in=\"a.list\" as=g {{ step b uses=value.set {{ y 1 }} }}"), &[("L220", "a.list")]);
    check(
        &format!("{A}for-each s in=\"inputs.list\" key=\"a.text\" as=g {{ step b uses=value.set {{ y 1 }} }}"),
        &[("L220", "a.text")],
    );
    check(&format!("{A}cluster x {{ identity uid=\"${{a.text}}\" }}"), &[("L220", "a.text")]);
    check(
        &format!("{A}step b uses=t.every {{ for-each s in=\"a.list\" {{ targets \"${{s}}\" }} }}"),
        &[("L222", "\"${s}\"")],
    );
    check(&format!("{A}step b uses=t.every {{ for-each s in=\"a.list\" {{ free2 1 }} }}"), &[("L230", "free2")]);
    check(
        &format!(
            "{A}step b uses=d.records {{ zone \"a.b\"; for-each s in=\"a.list\" {{ record A \"${{s}}.a.b\" \"1\" }} }}"
        ),
        &[],
    );
}

#[test]
fn steps_of_groups_are_named_from_outside_and_from_inside() {
    let group =
        "for-each s in=\"inputs.list\" as=g { step a uses=t.every; step b uses=t.every { text \"${a.text}\" } }\n";
    check(group, &[]);
    check(&format!("{group}step c uses=t.every {{ text \"${{a.text}}\" }}"), &[("L216", "a.text")]);
    check(&format!("{group}step c uses=t.every {{ text \"${{g['a'].a.text}}\" }}"), &[]);
    check(&format!("{group}step c uses=t.every {{ text \"${{g.a.b.text}}\" }}"), &[]);
    check(&format!("{group}step c uses=t.every {{ text \"${{g['a'].c.text}}\" }}"), &[("L111", "c")]);
    check(&format!("{group}step c uses=t.every {{ free \"${{g.map(k, g[k].b.count)}}\" }}"), &[]);
    check(
        "for-each s in=\"inputs.list\" as=g { step a uses=t.every { text \"${g['a'].a.text}\" } }",
        &[("L216", "g['a'].a.text")],
    );
    check(
        &format!("{group}for-each t in=\"inputs.list\" as=h {{ step c uses=t.every {{ text \"${{g[t].a.text}}\" }} }}"),
        &[],
    );
    check(&format!("{group}step c uses=t.every {{ text \"${{s}}\" }}"), &[("L110", "s")]);
}

#[test]
fn a_circle_is_shown_whole() {
    check("step a uses=value.set { x \"${a.x}\" }", &[("L214", "a.x")]);
    check("step a uses=value.set { x \"${b.x}\" }\nstep b uses=value.set { x \"${a.x}\" }", &[("L214", "b.x")]);
    check(
        "step a uses=value.set needs=c { x 1 }\nstep b uses=value.set needs=a { x 1 }\nstep c uses=value.set when=\"failed(b)\" { x 1 }",
        &[("L214", "c")],
    );
    let (reading, _) = reading(
        "workflow t\nstep a uses=value.set needs=c { x 1 }\nstep b uses=value.set needs=a { x 1 }\nstep c uses=value.set needs=b { x 1 }\nstep z uses=value.set needs=c { x 1 }",
    );
    let problem = reading.problems.iter().find(|problem| problem.code == "L214").unwrap();
    assert!(problem.message.contains("a → c → b → a"), "{}", problem.message);
    assert_eq!(problem.related.len(), 2);
    check(
        "for-each s in=\"inputs.list\" as=g { step a uses=value.set { x \"${z.x}\" } }\nstep z uses=value.set { x \"${g['a'].a.x}\" }",
        &[("L214", "z.x")],
    );
}

#[test]
fn conditions_over_objects_are_read_when_the_file_is() {
    check("step a uses=k.wait { until \"object.status.ready == true\" }", &[]);
    let (reading, source) = reading(
        "workflow t\nstep a uses=k.wait { until \"object.status. == true\" }\nstep b uses=k.wait { until \"inputs.x\" }",
    );
    let marked: Vec<&str> =
        reading.problems.iter().map(|problem| problem.at.map(|at| &source.text[at.start..at.end]).unwrap()).collect();
    assert_eq!(marked.len(), 2, "{:?}", reading.problems);
    assert!(marked[1].contains("inputs"), "{marked:?}");
}

#[test]
fn retry_conditions_are_over_the_error() {
    check("step a uses=value.set { x 1; retry on=\"error.code == 'K201'\" }", &[]);
    check("step a uses=value.set { x 1; retry on=\"error.kode == 'K201'\" }", &[("L111", "kode")]);
    check("step a uses=value.set { x 1; retry on=\"error.code\" }", &[("L222", "\"error.code\"")]);
}

#[test]
fn an_order_that_does_not_follow_the_file_is_fine() {
    let workflow = workflow("workflow t\nstep b uses=value.set { y \"${a.x}\" }\nstep a uses=value.set { x 1 }");
    assert_eq!(workflow.steps.iter().map(|step| step.id.value.as_str()).collect::<Vec<_>>(), ["b", "a"]);
}
