"""The step of the conformance suite, in Python. It is the same in every language: `../cases` says what it does."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import clock, dns, hold, http, kubernetes, memo, random, report, types
from wit_world.imports.types import Certainty, Change, ChangeAction, Outcome, Problem

SAY_INPUTS = """{
    "type": "object",
    "required": ["text"],
    "properties": {
        "text": { "type": "string", "description": "What is said." },
        "mode": { "enum": ["free", "steady", "single"], "default": "steady", "description": "Decides the effect." },
        "pause": { "type": "integer", "default": 0, "description": "Milliseconds of sleep." },
        "fail": { "enum": ["transient", "permanent", "needs-person"], "description": "How it fails." },
        "find": { "enum": ["done", "intact", "drifted", "gone", "unknown"], "default": "intact", "description": "What verify finds." }
    }
}"""

SAY_OUTPUTS = """{
    "type": "object",
    "required": ["text", "attempt", "times", "slept", "random", "forward", "clusters"],
    "properties": {
        "text": { "type": "string", "description": "What was said." },
        "attempt": { "type": "integer", "description": "The attempt." },
        "times": { "type": "integer", "description": "How often this run has said it." },
        "slept": { "type": "boolean", "description": "Whether the pause was not cut short." },
        "random": { "type": "integer", "description": "How many random bytes came." },
        "forward": { "type": "boolean", "description": "Whether time did not go back." },
        "clusters": { "type": "integer", "description": "How many clusters the step names." }
    }
}"""

ASK_INPUTS = """{
    "type": "object",
    "required": ["what"],
    "properties": {
        "what": { "enum": ["http", "get", "list", "apply", "delete", "wait", "dns"], "description": "What the host is asked for." },
        "url": { "type": "string", "description": "http." },
        "method": { "type": "string", "default": "GET", "description": "http." },
        "body": { "type": "string", "description": "http." },
        "api-version": { "type": "string", "default": "v1", "description": "kubernetes." },
        "kind": { "type": "string", "default": "ConfigMap", "description": "kubernetes." },
        "namespace": { "type": "string", "description": "kubernetes." },
        "label": { "type": "string", "description": "kubernetes." },
        "uid": { "type": "string", "description": "kubernetes." },
        "until": { "type": "string", "default": "true", "description": "kubernetes." },
        "name": { "type": "string", "default": "a", "description": "kubernetes, dns." },
        "record-type": { "type": "string", "default": "A", "description": "dns." },
        "sure": { "type": "boolean", "default": false, "description": "kubernetes: by force. dns: at the authoritative servers." }
    }
}"""

ASK_OUTPUTS = """{
    "type": "object",
    "properties": {
        "answer": { "type": "string", "description": "What the host answered." },
        "refused": { "type": "string", "description": "The host's error." }
    }
}"""


class Handler(exports.Handler):
    def describe(self):
        effects = [("free", types.Effect.PURE), ("steady", types.Effect.CONVERGE), ("single", types.Effect.ONCE)]
        asked = [
            types.Permission_Http(types.HttpAsk("https://api.example", ["GET", "PUT"], "/v1/*")),
            types.Permission_Kubernetes(types.KubernetesAsk(["get", "list", "watch", "apply", "delete"], ["ConfigMap"])),
            types.Permission_Dns(types.DnsAsk(["example"])),
        ]
        return [
            types.Kind(
                verb="say",
                version=3,
                accepts_from=2,
                doc="Says something.\n\nIt also notes, holds and waits.",
                inputs=SAY_INPUTS,
                outputs=SAY_OUTPUTS,
                effect=types.EffectOf_FromInput(types.EffectByInput("mode", effects)),
                undo=types.UndoDefault.ASK,
                time_limit=types.TimeLimit_Action(90_000),
                on=types.OnCluster.REFUSED,
                asks=[],
            ),
            types.Kind(
                verb="ask",
                version=1,
                accepts_from=1,
                doc="Asks the host for something.",
                inputs=ASK_INPUTS,
                outputs=ASK_OUTPUTS,
                effect=types.EffectOf_Fixed(types.Effect.CONVERGE),
                undo=types.UndoDefault.DELETE,
                time_limit=types.TimeLimit_Wait(600_000),
                on=types.OnCluster.OPTIONAL,
                asks=[types.Ask(what, "to show that it can") for what in asked],
            ),
        ]

    def preview(self, call):
        inputs = json.loads(call.inputs)
        if call.kind == "ask":
            key, words = ask(call, inputs)
            action = ChangeAction.UPDATE if key == "answer" else ChangeAction.UNKNOWN
            return types.Previewed_Changes([change(words, action, Certainty.SERVER)])
        if inputs["text"] == "later":
            return types.Previewed_Later("an earlier step")
        created = change("create", ChangeAction.CREATE, Certainty.SERVER)
        created.fields.append(types.FieldChange("spec.a", None, "1"))
        updated = change("update", ChangeAction.UPDATE, Certainty.SCHEMA)
        updated.fields.append(types.FieldChange("spec.b", '"x"', '"y"'))
        updated.fields.append(types.FieldChange("spec.c", "true", None))
        updated.conflict = "owned by somebody else"
        return types.Previewed_Changes(
            [
                created,
                updated,
                change("same", ChangeAction.SAME, Certainty.LATER),
                change("delete", ChangeAction.DELETE, Certainty.SERVER),
                change("run", ChangeAction.RUN, Certainty.SCHEMA),
                change("unknown", ChangeAction.UNKNOWN, Certainty.LATER),
            ]
        )

    def run(self, call):
        inputs = json.loads(call.inputs)
        if call.kind == "ask":
            key, words = ask(call, inputs)
            return Outcome(json.dumps({key: words}), words, key == "refused")
        return say(call, inputs)

    def verify(self, call, outputs):
        found = json.loads(call.inputs)["find"]
        if found == "done":
            return types.Verdict_Done(Outcome(outputs or "{}", "it had happened", False))
        if found == "intact":
            return types.Verdict_Intact()
        if found == "drifted":
            return types.Verdict_Drifted([change("update", ChangeAction.UPDATE, Certainty.SERVER)])
        if found == "gone":
            return types.Verdict_Gone("it is gone")
        return types.Verdict_Unknown("nobody knows")

    def undo(self, call, outputs):
        record = "without" if outputs is None else "with"
        return f"took back `{json.loads(call.inputs)['text']}`, {record} a record"

    def release(self, call, name, data):
        if name != "breath":
            raise Err(types.Failure_Permanent(problem("SAY9", f"`{name}` is not held")))
        report.log(report.Level.INFO, f"gave back `{json.loads(data)['text']}`", [])


def say(call, inputs):
    text, pause = inputs["text"], inputs["pause"]
    for level in (report.Level.ERROR, report.Level.WARN, report.Level.INFO, report.Level.DEBUG):
        name = level.name.lower()
        report.log(level, f"{name}: {text}", [("step", call.step), ("level", name)])
    if "fail" in inputs:
        raise Err(failed(inputs["fail"], text))
    times = int(memo.get("times") or 0) + 1
    memo.put("times", str(times))
    hold.take("breath", json.dumps({"text": text}))
    before = clock.now_ms()
    report.waiting(f"a pause of {pause} ms")
    slept = clock.sleep_ms(pause)
    outputs = {
        "text": text,
        "attempt": call.attempt,
        "times": times,
        "slept": slept,
        "random": len(random.bytes(16)),
        "forward": clock.now_ms() >= before,
        "clusters": len(call.clusters),
    }
    return Outcome(json.dumps(outputs), f"said `{text}`", pause == 0)


def failed(how, text):
    found = problem("SAY3", f"did not say `{text}`")
    found.help = "say something else"
    found.causes = ["the nearest cause", "the root"]
    if how == "transient":
        found.retry_after_ms = 1500
        return types.Failure_Transient(found)
    if how == "permanent":
        found.not_started = True
        return types.Failure_Permanent(found)
    return types.Failure_NeedsPerson(found)


def ask(call, inputs):
    """What the host answers, or its error, both in words."""
    try:
        return "answer", asked(call, inputs)
    except Err as error:
        return "refused", refusal(error.value)


def asked(call, inputs):
    what, kind, name, sure = inputs["what"], inputs["kind"], inputs["name"], inputs["sure"]
    cluster, version, namespace = call.on or "", inputs["api-version"], inputs.get("namespace")
    target = kubernetes.Target(cluster, version, kind, namespace, name)
    if what == "http":
        return sent(inputs)
    if what == "get":
        return words(kubernetes.get(target))
    if what == "list":
        selection = kubernetes.Selection(cluster, version, kind, namespace, inputs.get("label"))
        return ", ".join(words(found) for found in kubernetes.list_objects(selection))
    if what == "apply":
        wanted = {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}}
        return written(kubernetes.apply(cluster, json.dumps(wanted), sure))
    if what == "delete":
        return written(kubernetes.delete(target, inputs.get("uid")))
    if what == "wait":
        return words(kubernetes.wait(target, inputs["until"], 30_000))
    answers = dns.query(name, inputs["record-type"], sure)
    return ", ".join(f"{a.name} {a.record_type} {a.ttl} {a.value}" for a in answers)


def sent(inputs):
    body = inputs["body"].encode() if "body" in inputs else None
    answer = http.send(http.Request(inputs["method"], inputs["url"], [("x-from", "conformance")], body, 10_000))
    if isinstance(answer, http.Answer_WouldDo):
        return "would-do"
    response = answer.value
    etag = dict(response.headers).get("etag", "none")
    return f"{response.status} etag={etag} {response.body.decode()}"


def written(answer):
    done = "done" if isinstance(answer, kubernetes.Written_Done) else "would-do"
    return f"{done} {words(answer.value)}"


def words(text):
    found = json.loads(text)
    return f"{found['kind']} {found['metadata']['name']}"


def refusal(error):
    """`Error_NotGranted` is `not-granted` in the contract."""
    case = type(error).__name__.split("_")[1]
    name = "".join(f"-{c.lower()}" if c.isupper() else c for c in case).lstrip("-")
    value = getattr(error, "value", None)
    return name if value is None else f"{name}: {value}"


def change(name, action, certainty):
    return Change(name, action, certainty, [], None)


def problem(code, message):
    return Problem(code, message, None, [], None, False)
