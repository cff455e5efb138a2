//! Nodes of the language itself.

use super::{check, check_whole};

#[test]
fn a_header_comes_first_and_once() {
    check_whole("workflow hello", &[]);
    check_whole("", &[("L207", "")]);
    check_whole("input a type=string", &[("L207", "input")]);
    check_whole("input a type=string\nworkflow b", &[("L207", "workflow")]);
    check_whole("workflow a\nworkflow b", &[("L207", "workflow")]);
    check_whole("workflow", &[("L204", "workflow")]);
    check_whole("workflow a b", &[("L236", "b")]);
    check_whole("workflow 1", &[("L205", "1")]);
    check_whole("workflow a version=\"1.4\"", &[("L233", "\"1.4\"")]);
    check_whole("workflow a colour=red", &[("L203", "colour")]);
    check_whole("workflow a { lokc x }", &[("L203", "lokc")]);
    check_whole("workflow a { engine \">=99\" }", &[("L207", "\">=99\"")]);
    check_whole("workflow a { engine \"~1\" }", &[("L205", "\"~1\"")]);
    check_whole("workflow a { engine }", &[("L204", "engine")]);
    check_whole("workflow a { limits parallel=0 per-cluster=\"4\" }", &[("L205", "0"), ("L205", "\"4\"")]);
    check_whole("workflow a { limits 4 }", &[("L236", "4")]);
    check_whole("workflow a { defaults { timeout \"5x\"; retry attempts=0 } }", &[("L233", "\"5x\""), ("L205", "0")]);
    check_whole("workflow a { defaults { wait \"5m\" } }", &[("L203", "wait")]);
    check_whole("workflow a { doc \"A thing.\" ; lock \"a/b\" ; engine \">=0.1, <1\" }", &[]);
    check_whole("workflow a { doc \"x ${y}\" }", &[("L223", "\"x ${y}\"")]);
}

#[test]
fn nodes_that_are_unknown_and_nodes_that_come_later_are_told_apart() {
    check("stepp a", &[("L201", "stepp")]);
    check("elephant", &[("L201", "elephant")]);
    check("timeout \"5m\"", &[("L201", "timeout")]);
    for later in ["preflight { x }", "approve a", "on-failure { x }", "finally { x }"] {
        let word = later.split(' ').next().unwrap();
        check(later, &[("L202", word)]);
    }
}

#[test]
fn what_a_later_node_would_name_is_not_called_unknown() {
    check("approve go\nstep a uses=value.set needs=go { x 1 }", &[("L202", "approve")]);
}

#[test]
fn names_are_words_and_mean_one_thing() {
    let set = "uses=value.set { x 1 }";
    check(&format!("step a {set}\nstep a {set}"), &[("L206", "a")]);
    check(&format!("step token {set}"), &[("L206", "token")]);
    check(&format!("step {set}"), &[("L204", "step")]);
    check("input domain type=string", &[("L206", "domain")]);
    check("cluster eu", &[("L206", "eu")]);
    check("output a 1\noutput a 2", &[("L206", "a")]);
    check(&format!("for-each s in=\"inputs.list\" as=g {{ step a {set} }}\nstep g {set}"), &[("L206", "g")]);
    check(&format!("step a {set}\nfor-each s in=\"inputs.list\" as=g {{ step a {set} }}"), &[("L206", "a")]);
    check(&format!("for-each s in=\"inputs.list\" as=g {{ step a {set}; step a {set} }}"), &[("L206", "a")]);
    check(&format!("for-each s in=\"inputs.list\" as=g {{ step s {set} }}"), &[("L206", "s")]);
    check(&format!("step s {set}\nfor-each s in=\"inputs.list\" as=g {{ step b {set} }}"), &[("L206", "s")]);
    check(
        &format!(
            "for-each s in=\"inputs.list\" as=g {{ step a {set} }}\nfor-each s in=\"inputs.list\" as=h {{ step a {set} }}"
        ),
        &[],
    );
    // A step may be called like a cluster or an input: these are named elsewhere.
    check(&format!("step eu {set}\nstep domain {set}"), &[]);
}

#[test]
fn inputs_have_types_and_defaults() {
    for sound in [
        "input a type=string",
        "input a type=u8 default=255",
        "input a type=bool default=#true",
        "input a type=semver default=\"1.2.3\"",
        "input a type=cluster default=eu",
        "input a type=float default=1",
        "input a type=\"map<string>\" { default x=y }",
        "input a type=\"list<list<int>>\" { default { - 1 2; - 3 } }",
        "input a type=string default=#null",
        "type shard { name type=dns-label; replicas type=u8 default=2 }\ninput a type=\"list<shard>\" { default { - name=a; - name=b replicas=3 } }",
        "type outer { inner type=inner }\ntype inner { x type=int }\ninput a type=outer { default { inner x=1 } }",
        "input a type=int doc=\"A number.\" { check \"inputs.a > 0\" message=\"must be positive\" }",
    ] {
        check(sound, &[]);
    }
    check("input a", &[("L204", "input")]);
    check("input a type=strng", &[("L208", "strng")]);
    check("input a type=\"list<shrad>\"\ntype shard { x type=int }", &[("L208", "shrad")]);
    check("input a type=list", &[("L208", "list")]);
    check("input a type=bytes", &[("L202", "bytes")]);
    check("input a type=1", &[("L205", "1")]);
    check("input a type=u8 default=256", &[("L233", "256")]);
    check("input a type=u8 default=\"1\"", &[("L232", "\"1\"")]);
    check("input a type=hostname default=\"a_b\"", &[("L233", "\"a_b\"")]);
    check("input a type=bool default=1", &[("L232", "1")]);
    check("input a type=string default=1", &[("L232", "1")]);
    check("input a type=string default=\"${inputs.domain}\"", &[("L223", "\"${inputs.domain}\"")]);
    check("input a type=string default=a { default b }", &[("L235", "default")]);
    check("input a type=cluster default=ue", &[("L210", "ue")]);
    check("input a type=string defualt=a", &[("L203", "defualt")]);
    check("input a type=int { check }", &[("L204", "check")]);
    check("input a type=int { chek \"inputs.a > 0\" }", &[("L203", "chek")]);
    check(
        "type shard { name type=dns-label }\ninput a type=\"list<shard>\" { default { - name=A_ } }",
        &[("L233", "A_")],
    );
    check(
        "type shard { name type=dns-label }\ninput a type=\"list<shard>\" { default { - nam=a } }",
        &[("L231", "-"), ("L230", "nam")],
    );
}

#[test]
fn types_are_closed_and_do_not_contain_themselves() {
    check("type a { x type=b }\ntype b { y type=a }", &[("L208", "a")]);
    check("type a { x type=\"list<a>\" }", &[("L208", "a")]);
    check("type a", &[("L204", "type")]);
    check("type a { x }", &[("L204", "x")]);
    check("type a { x type=int; x type=int }", &[("L206", "x")]);
    check("type a { x type=int defautl=1 }", &[("L203", "defautl")]);
    check("type a z=1 { x type=int }", &[("L203", "z")]);
    check("type a { x type=u8 default=300 }", &[("L233", "300")]);
}

#[test]
fn secrets_and_clusters_say_where_they_are() {
    check("secret a { from file=\"keys/a\" }", &[]);
    check("secret a", &[("L204", "secret")]);
    check("secret a { from }", &[("L204", "from")]);
    check("secret a { from env=A file=b }", &[("L204", "from")]);
    check("secret a { from enw=A }", &[("L203", "enw")]);
    check("secret a { from env=\"${inputs.domain}\" }", &[("L223", "\"${inputs.domain}\"")]);
    check("secret a default=x { from env=A }", &[("L203", "default")]);
    check(
        "cluster a\ncluster b { kubeconfig file=\"b.yaml\" context=b }\ncluster c { kubeconfig env=KUBECONFIG_C; identity uid=\"1-2\" }",
        &[],
    );
    check("cluster a { kubeconfig contxt=x }", &[("L203", "contxt")]);
    check("cluster a { kubeconfig file=a env=B }", &[("L205", "env")]);
    check("cluster a { kubeconfig file=a from=token }", &[("L205", "from")]);
    check("cluster a { kubeconfig from=token; workspace root }\nstep b uses=k.apply on=a", &[]);
    check("cluster a { kubeconfig from=moon }", &[("L211", "moon")]);
    check("cluster a { kubeconfig from=\"${inputs.domain}\" }", &[("L222", "\"${inputs.domain}\"")]);
    check("cluster a { workspace \"root:${run.id}\" }", &[("L220", "run.id")]);
    check("cluster a { workspace \"root:Team\" }", &[("L233", "\"root:Team\"")]);
    check("cluster a { workspace \"root:${s.text}\" }\nstep s uses=t.every", &[("L220", "s.text")]);
    let made = "step s uses=p.leaf { common-name x; keep file=\"x\" }\ncluster a { kubeconfig from=\"${s.key}\" }\n";
    check(made, &[]);
    check("cluster a { kubeconfig from=\"${s.text}\" }\nstep s uses=t.every", &[("L222", "\"${s.text}\"")]);
    check(&format!("{made}step b uses=k.apply on=a\nstep c uses=t.every {{ target a; needs b }}"), &[]);
    check(
        "step s uses=p.leaf needs=b { common-name x; keep file=\"x\" }\ncluster a { kubeconfig from=\"${s.key}\" }\nstep b uses=k.apply on=a",
        &[("L214", "b")],
    );
    check(
        "step s uses=p.leaf when=\"inputs.n > 1\" { common-name x; keep file=\"x\" }\ncluster a { kubeconfig from=\"${s.key}\" }",
        &[("L217", "s.key")],
    );
    check("cluster a { identity }", &[("L204", "identity")]);
    check("cluster a { identity uid=1 }", &[("L232", "1")]);
    check("cluster a { kubeconfig context=a; kubeconfig context=b }", &[("L235", "kubeconfig")]);
}

#[test]
fn a_step_has_a_kind_and_four_properties() {
    check("step a", &[("L204", "step")]);
    check("step a uses=value.sett", &[("L209", "value.sett")]);
    check("step a uses=helm.release { anything 1; wait ready for=\"5m\" }", &[("L209", "helm.release")]);
    check("step a uses=\"value.${inputs.n}\"", &[("L223", "\"value.${inputs.n}\"")]);
    check("step a b uses=value.set { x 1 }", &[("L236", "b")]);
    check("step a uses=value.set timeout=\"5m\" { x 1 }", &[("L203", "timeout")]);
    check("step a uses=t.every text=x", &[("L203", "text")]);
    check("step a use=value.set { x 1 }", &[("L204", "step"), ("L203", "use")]);
    check("step a uses=k.apply { object a=1 }", &[("L215", "step")]);
    check("step a uses=k.apply on=ue { object a=1 }", &[("L210", "ue")]);
    check("step a uses=k.apply on=1 { object a=1 }", &[("L232", "1")]);
    check("step a uses=t.local on=eu", &[("L215", "on")]);
    check("step a uses=t.local when=#true", &[("L205", "#true")]);
}

#[test]
fn shared_children_are_the_same_in_every_kind() {
    let step = |children: &str| format!("step a uses=d.records {{ zone \"a.b\"; {children} }}");
    for sound in [
        "timeout \"5m\"",
        "retry attempts=5 backoff=exponential first=\"2s\" cap=\"1m\" on=transient",
        "retry on=any",
        "wait for=\"5m\"",
        "wait resolves=#true for=\"5m\"",
        "wait { resolves; for \"5m\" }",
        "undo keep",
        "doc \"Why.\"",
        "tags a b",
    ] {
        check(&step(sound), &[]);
    }
    check(&step("timeout"), &[("L204", "timeout")]);
    check(&step("timeout 5"), &[("L205", "5")]);
    check(&step("timeout \"5m\" \"6m\""), &[("L236", "\"6m\"")]);
    check(&step("timeout \"0s\""), &[("L205", "\"0s\"")]);
    check(&step("timeout \"five\""), &[("L233", "\"five\"")]);
    check(&step("timeout \"5m\"; timeout \"6m\""), &[("L235", "timeout")]);
    check(&step("retry atempts=3"), &[("L203", "atempts")]);
    check(&step("retry attempts=2000"), &[("L205", "2000")]);
    check(&step("retry backoff=linear"), &[("L234", "linear")]);
    check(&step("retry first=\"1m\" cap=\"2s\""), &[("L205", "\"2s\"")]);
    check(&step("wait resolvs=#true"), &[("L230", "resolvs")]);
    check(&step("wait for=5"), &[("L205", "5")]);
    check(&step("verify get=\"/readyz\""), &[("L202", "verify")]);
    check(&step("undo delete"), &[("L202", "delete")]);
    check(&step("undo kep"), &[("L234", "kep")]);
    check(&step("undo"), &[("L204", "undo")]);
    check(&step("undo keep volumes=all"), &[("L203", "volumes")]);
    check(&step("tags"), &[("L204", "tags")]);
    check(&step("doc 5"), &[("L205", "5")]);
    check("step a uses=value.set { x 1; wait for=\"5m\" }", &[("L221", "wait")]);
    check("step a uses=k.wait { timeout \"5m\" }", &[("L221", "timeout")]);
    check("step a uses=k.wait { wait for=\"5m\" }", &[]);
    check("step a uses=k.wait { wait for=\"5m\" ready=#true }", &[("L230", "ready")]);
}

#[test]
fn needs_name_steps_and_groups() {
    let set = "uses=value.set { x 1 }";
    let base = format!("step a {set}\nstep bee {set}\nfor-each s in=\"inputs.list\" as=g {{ step c {set} }}\n");
    let with = |more: &str| format!("{base}{more}");
    check(&with("step z uses=value.set needs=a { x 1; needs bee g }"), &[]);
    check(&with("step z uses=value.set needs=be { x 1 }"), &[("L212", "be")]);
    check(&with("step z uses=value.set { x 1; needs a nope }"), &[("L212", "nope")]);
    check(&with("step z uses=value.set { x 1; needs }"), &[("L204", "needs")]);
    check(&with("step z uses=value.set { x 1; needs a b=1 }"), &[("L203", "b")]);
    check(&with("step z uses=value.set needs=c { x 1 }"), &[("L216", "c")]);
    check(
        &with(&format!(
            "for-each s in=\"inputs.list\" as=h {{ needs a g; step d {set}; step e uses=value.set needs=d {{ x 1 }} }}"
        )),
        &[],
    );
    check(&with(&format!("for-each s in=\"inputs.list\" as=h {{ needs d; step d {set} }}")), &[("L216", "d")]);
    check(&with("for-each s in=\"inputs.list\" as=h { step d uses=value.set needs=h { x 1 } }"), &[("L216", "h")]);
    check(
        &with(&format!("for-each s in=\"inputs.list\" as=h {{ needs nope; step d {set}; step e {set} }}")),
        &[("L212", "nope")],
    );
}

#[test]
fn a_group_has_a_variable_a_list_and_a_name() {
    let set = "step a uses=value.set { x 1 }";
    check(
        &format!("for-each s in=\"inputs.list\" key=\"s\" as=g parallel=2 on-failure=finish-others {{ {set} }}"),
        &[],
    );
    check(&format!("for-each in=\"inputs.list\" as=g {{ {set} }}"), &[("L204", "for-each")]);
    check(&format!("for-each s as=g {{ {set} }}"), &[("L204", "for-each")]);
    check(&format!("for-each s in=\"inputs.list\" {{ {set} }}"), &[("L204", "for-each")]);
    check("for-each s in=\"inputs.list\" as=g", &[("L204", "for-each")]);
    check(&format!("for-each s in=\"inputs.list\" as=g paralel=2 {{ {set} }}"), &[("L203", "paralel")]);
    check(&format!("for-each s in=\"inputs.list\" as=g on-failure=ignore {{ {set} }}"), &[("L234", "ignore")]);
    check(&format!("for-each s in=\"inputs.list\" as=g {{ {set}; timeout \"5m\" }}"), &[("L203", "timeout")]);
    check(
        &format!(
            "for-each s in=\"inputs.list\" as=g {{ {set}; for-each t in=\"inputs.list\" as=h {{ step b uses=value.set {{ x 1 }} }} }}"
        ),
        &[],
    );
    check(&format!("for-each s in=\"inputs.list\" as=g {{ {set}; approve x }}"), &[("L202", "approve")]);
    check(
        &format!("type t {{ n type=string }}\ninput ts type=\"list<t>\"\nfor-each s in=\"inputs.ts\" as=g {{ {set} }}"),
        &[("L204", "g")],
    );
}

#[test]
fn outputs_have_a_name_and_a_value() {
    check("output a 1\noutput b { x 1 }\noutput c x y\noutput d a=1 secret=#true", &[]);
    check("output", &[("L204", "output")]);
    check("output a", &[("L231", "output")]);
    check("output a 1 secret=1", &[("L205", "1")]);
    check("output a 1 secrt=#true", &[("L203", "secrt")]);
    check("output a 1 { b 2 }", &[("L203", "b")]);
}
