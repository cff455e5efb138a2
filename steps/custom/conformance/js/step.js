// The step of the conformance suite, in JavaScript. It is the same in every language: `../cases` says what it does.

import { nowMs, sleepMs } from "engine:step/clock@0.1.0";
import { query } from "engine:step/dns@0.1.0";
import { take } from "engine:step/hold@0.1.0";
import { send } from "engine:step/http@0.1.0";
import * as kubernetes from "engine:step/kubernetes@0.1.0";
import * as memo from "engine:step/memo@0.1.0";
import { bytes } from "engine:step/random@0.1.0";
import { log, waiting } from "engine:step/report@0.1.0";

const SAY_INPUTS = `{
    "type": "object",
    "required": ["text"],
    "properties": {
        "text": { "type": "string", "description": "What is said." },
        "mode": { "enum": ["free", "steady", "single"], "default": "steady", "description": "Decides the effect." },
        "pause": { "type": "integer", "default": 0, "description": "Milliseconds of sleep." },
        "fail": { "enum": ["transient", "permanent", "needs-person"], "description": "How it fails." },
        "find": { "enum": ["done", "intact", "drifted", "gone", "unknown"], "default": "intact", "description": "What verify finds." }
    }
}`;

const SAY_OUTPUTS = `{
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
}`;

const ASK_INPUTS = `{
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
}`;

const ASK_OUTPUTS = `{
    "type": "object",
    "properties": {
        "answer": { "type": "string", "description": "What the host answered." },
        "refused": { "type": "string", "description": "The host's error." }
    }
}`;

export const handler = {
    describe() {
        const why = "to show that it can";
        const verbs = ["get", "list", "watch", "apply", "delete"];
        return [{
            verb: "say",
            version: 3,
            acceptsFrom: 2,
            doc: "Says something.\n\nIt also notes, holds and waits.",
            inputs: SAY_INPUTS,
            outputs: SAY_OUTPUTS,
            effect: {
                tag: "from-input",
                val: { input: "mode", effects: [["free", "pure"], ["steady", "converge"], ["single", "once"]] },
            },
            undo: "ask",
            timeLimit: { tag: "action", val: 90000 },
            on: "refused",
            asks: [],
        }, {
            verb: "ask",
            version: 1,
            acceptsFrom: 1,
            doc: "Asks the host for something.",
            inputs: ASK_INPUTS,
            outputs: ASK_OUTPUTS,
            effect: { tag: "fixed", val: "converge" },
            undo: "delete",
            timeLimit: { tag: "wait", val: 600000 },
            on: "optional",
            asks: [
                { what: { tag: "http", val: { origin: "https://api.example", methods: ["GET", "PUT"], path: "/v1/*" } }, why },
                { what: { tag: "kubernetes", val: { verbs, kinds: ["ConfigMap"] } }, why },
                { what: { tag: "dns", val: { domains: ["example"] } }, why },
            ],
        }];
    },

    preview(call) {
        const inputs = JSON.parse(call.inputs);
        if (call.kind === "ask") {
            const { answer, refused } = ask(call, inputs);
            return { tag: "changes", val: [change(answer ?? refused, answer === undefined ? "unknown" : "update", "server")] };
        }
        if (inputs.text === "later") {
            return { tag: "later", val: "an earlier step" };
        }
        return {
            tag: "changes",
            val: [
                change("create", "create", "server", [{ path: "spec.a", after: "1" }]),
                change("update", "update", "schema", [
                    { path: "spec.b", before: '"x"', after: '"y"' },
                    { path: "spec.c", before: "true" },
                ], "owned by somebody else"),
                change("same", "same", "later"),
                change("delete", "delete", "server"),
                change("run", "run", "schema"),
                change("unknown", "unknown", "later"),
            ],
        };
    },

    run(call) {
        const inputs = JSON.parse(call.inputs);
        if (call.kind === "ask") {
            const told = ask(call, inputs);
            return { outputs: JSON.stringify(told), summary: told.answer ?? told.refused, same: told.refused !== undefined };
        }
        return say(call, inputs);
    },

    verify(call, outputs) {
        switch (JSON.parse(call.inputs).find) {
            case "done":
                return { tag: "done", val: { outputs: outputs ?? "{}", summary: "it had happened", same: false } };
            case "intact":
                return { tag: "intact" };
            case "drifted":
                return { tag: "drifted", val: [change("update", "update", "server")] };
            case "gone":
                return { tag: "gone", val: "it is gone" };
            default:
                return { tag: "unknown", val: "nobody knows" };
        }
    },

    undo(call, outputs) {
        const record = outputs === null ? "without" : "with";
        return `took back \`${JSON.parse(call.inputs).text}\`, ${record} a record`;
    },

    release(call, name, data) {
        if (name !== "breath") {
            throw { tag: "permanent", val: problem("SAY9", `\`${name}\` is not held`) };
        }
        log("info", `gave back \`${JSON.parse(data).text}\``, []);
    },
};

function say(call, { text, fail, pause }) {
    for (const level of ["error", "warn", "info", "debug"]) {
        log(level, `${level}: ${text}`, [["step", call.step], ["level", level]]);
    }
    if (fail !== undefined) {
        throw failed(fail, text);
    }
    const times = Number(memo.get("times") ?? 0) + 1;
    memo.put("times", String(times));
    take("breath", JSON.stringify({ text }));
    const before = nowMs();
    waiting(`a pause of ${pause} ms`);
    const slept = sleepMs(pause);
    const outputs = {
        text,
        attempt: call.attempt,
        times,
        slept,
        random: bytes(16).length,
        forward: nowMs() >= before,
        clusters: call.clusters.length,
    };
    return { outputs: JSON.stringify(outputs), summary: `said \`${text}\``, same: pause === 0 };
}

function failed(tag, text) {
    const val = problem("SAY3", `did not say \`${text}\``);
    val.help = "say something else";
    val.causes = ["the nearest cause", "the root"];
    if (tag === "transient") {
        val.retryAfterMs = 1500;
    }
    val.notStarted = tag === "permanent";
    return { tag, val };
}

// What the host answers, or its error, both in words.
function ask(call, inputs) {
    try {
        return { answer: asked(call, inputs) };
    } catch (error) {
        const { tag, val } = error.payload ?? error;
        if (tag === undefined) {
            throw error;
        }
        return { refused: val === undefined ? tag : `${tag}: ${val}` };
    }
}

function asked(call, inputs) {
    const { kind, namespace, name, sure, "api-version": apiVersion } = inputs;
    const target = { cluster: call.on ?? "", apiVersion, kind, namespace, name };
    switch (inputs.what) {
        case "http":
            return sent(inputs);
        case "get":
            return words(kubernetes.get(target));
        case "list":
            return kubernetes.listObjects({ ...target, labelSelector: inputs.label }).map(words).join(", ");
        case "apply":
            return written(kubernetes.apply(target.cluster, JSON.stringify({ apiVersion, kind, metadata: { name, namespace } }), sure));
        case "delete":
            return written(kubernetes["delete"](target, inputs.uid));
        case "wait":
            return words(kubernetes.wait(target, inputs.until, 30000));
        default:
            return query(name, inputs["record-type"], sure).map((a) => `${a.name} ${a.recordType} ${a.ttl} ${a.value}`).join(", ");
    }
}

function sent({ method, url, body }) {
    const { tag, val } = send({
        method,
        url,
        headers: [["x-from", "conformance"]],
        body: body === undefined ? undefined : encoded(body),
        timeoutMs: 10000,
    });
    if (tag === "would-do") {
        return tag;
    }
    const etag = val.headers.find(([name]) => name === "etag")?.[1] ?? "none";
    return `${val.status} etag=${etag} ${decoded(val.body)}`;
}

// QuickJS has no TextEncoder and no TextDecoder.
function encoded(text) {
    return Uint8Array.from(unescape(encodeURIComponent(text)), (c) => c.charCodeAt(0));
}

function decoded(bytes) {
    return decodeURIComponent(escape(String.fromCharCode(...bytes)));
}

function written({ tag, val }) {
    return `${tag} ${words(val)}`;
}

function words(object) {
    const { kind, metadata } = JSON.parse(object);
    return `${kind} ${metadata.name}`;
}

function change(object, action, certainty, fields = [], conflict = undefined) {
    return { object, action, certainty, fields, conflict };
}

function problem(code, message) {
    return { code, message, causes: [], notStarted: false };
}
