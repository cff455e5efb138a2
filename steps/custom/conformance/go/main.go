// The step of the conformance suite, in Go. It is the same in every language: `../cases` says what it does.
package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"conformance/step"
)

const sayInputSchema = `{
	"type": "object",
	"required": ["text"],
	"properties": {
		"text": { "type": "string", "description": "What is said." },
		"mode": { "enum": ["free", "steady", "single"], "default": "steady", "description": "Decides the effect." },
		"pause": { "type": "integer", "default": 0, "description": "Milliseconds of sleep." },
		"fail": { "enum": ["transient", "permanent", "needs-person"], "description": "How it fails." },
		"find": { "enum": ["done", "intact", "drifted", "gone", "unknown"], "default": "intact", "description": "What verify finds." }
	}
}`

const sayOutputSchema = `{
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
}`

const askInputSchema = `{
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
}`

const askOutputSchema = `{
	"type": "object",
	"properties": {
		"answer": { "type": "string", "description": "What the host answered." },
		"refused": { "type": "string", "description": "The host's error." }
	}
}`

type sayInputs struct {
	Text  string  `json:"text"`
	Pause uint64  `json:"pause"`
	Fail  *string `json:"fail"`
	Find  string  `json:"find"`
}

type askInputs struct {
	What       string  `json:"what"`
	URL        string  `json:"url"`
	Method     string  `json:"method"`
	Body       *string `json:"body"`
	APIVersion string  `json:"api-version"`
	Kind       string  `json:"kind"`
	Namespace  *string `json:"namespace"`
	Label      *string `json:"label"`
	UID        *string `json:"uid"`
	Until      string  `json:"until"`
	Name       string  `json:"name"`
	RecordType string  `json:"record-type"`
	Sure       bool    `json:"sure"`
}

type object struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string  `json:"name"`
		Namespace *string `json:"namespace"`
	} `json:"metadata"`
}

type handler struct{}

func init() { step.Provide(handler{}) }

func main() {}

func (handler) Describe() []step.Kind {
	why := "to show that it can"
	effects := []step.InputEffect{{Value: "free", Effect: step.Pure}, {Value: "steady", Effect: step.Converge}, {Value: "single", Effect: step.Once}}
	return []step.Kind{{
		Verb:        "say",
		Version:     3,
		AcceptsFrom: 2,
		Doc:         "Says something.\n\nIt also notes, holds and waits.",
		Inputs:      sayInputSchema,
		Outputs:     sayOutputSchema,
		Effect:      step.EffectOf{FromInput: &step.EffectByInput{Input: "mode", Effects: effects}},
		Undo:        step.UndoAsk,
		TimeLimit:   step.TimeLimit{Action: step.To[uint64](90_000)},
		On:          step.OnRefused,
	}, {
		Verb:        "ask",
		Version:     1,
		AcceptsFrom: 1,
		Doc:         "Asks the host for something.",
		Inputs:      askInputSchema,
		Outputs:     askOutputSchema,
		Effect:      step.EffectOf{Fixed: step.To(step.Converge)},
		Undo:        step.UndoDelete,
		TimeLimit:   step.TimeLimit{Wait: step.To[uint64](600_000)},
		On:          step.OnOptional,
		Asks: []step.Ask{
			{What: step.Permission{HTTP: &step.HTTPAsk{
				Origin:  step.To("https://api.example"),
				Methods: []string{"GET", "PUT"},
				Path:    step.To("/v1/*"),
			}}, Why: why},
			{What: step.Permission{Kubernetes: &step.KubernetesAsk{
				Verbs: []string{"get", "list", "watch", "apply", "delete"},
				Kinds: []string{"ConfigMap"},
			}}, Why: why},
			{What: step.Permission{DNS: &step.DNSAsk{Domains: []string{"example"}}}, Why: why},
		},
	}}
}

func (handler) Preview(call *step.Call) (step.Previewed, error) {
	if call.Kind == "ask" {
		words, err := ask(call)
		action := step.Update
		if err != nil {
			words, action = err.Error(), step.Unknown
		}
		return step.Previewed{Changes: &[]step.Change{change(words, action, step.Server)}}, nil
	}
	if read[sayInputs](call.Inputs).Text == "later" {
		return step.Previewed{Later: step.To("an earlier step")}, nil
	}
	created := change("create", step.Create, step.Server)
	created.Fields = []step.FieldChange{{Path: "spec.a", After: step.To("1")}}
	updated := change("update", step.Update, step.Schema)
	updated.Fields = []step.FieldChange{
		{Path: "spec.b", Before: step.To(`"x"`), After: step.To(`"y"`)},
		{Path: "spec.c", Before: step.To("true")},
	}
	updated.Conflict = step.To("owned by somebody else")
	return step.Previewed{Changes: &[]step.Change{
		created,
		updated,
		change("same", step.Same, step.Later),
		change("delete", step.Delete, step.Server),
		change("run", step.Run, step.Schema),
		change("unknown", step.Unknown, step.Later),
	}}, nil
}

func (handler) Run(call *step.Call) (step.Outcome, error) {
	if call.Kind == "ask" {
		key := "answer"
		words, err := ask(call)
		if err != nil {
			key, words = "refused", err.Error()
		}
		return step.Outcome{Outputs: write(map[string]string{key: words}), Summary: words, Same: key == "refused"}, nil
	}
	return say(call, read[sayInputs](call.Inputs))
}

func (handler) Verify(call *step.Call, outputs *step.JSON) (step.Verdict, error) {
	switch read[sayInputs](call.Inputs).Find {
	case "done":
		if outputs == nil {
			outputs = step.To("{}")
		}
		return step.Verdict{Done: &step.Outcome{Outputs: *outputs, Summary: "it had happened"}}, nil
	case "intact":
		return step.Verdict{Intact: &step.Nothing{}}, nil
	case "drifted":
		return step.Verdict{Drifted: &[]step.Change{change("update", step.Update, step.Server)}}, nil
	case "gone":
		return step.Verdict{Gone: step.To("it is gone")}, nil
	default:
		return step.Verdict{Unknown: step.To("nobody knows")}, nil
	}
}

func (handler) Undo(call *step.Call, outputs *step.JSON) (string, error) {
	record := "with"
	if outputs == nil {
		record = "without"
	}
	return fmt.Sprintf("took back `%s`, %s a record", read[sayInputs](call.Inputs).Text, record), nil
}

func (handler) Release(call *step.Call, name string, data step.JSON) error {
	if name != "breath" {
		return step.Permanent("SAY9", fmt.Sprintf("`%s` is not held", name))
	}
	step.Log(step.Info, fmt.Sprintf("gave back `%s`", read[sayInputs](data).Text))
	return nil
}

func say(call *step.Call, in sayInputs) (step.Outcome, error) {
	for level, name := range []string{"error", "warn", "info", "debug"} {
		step.Log(step.Level(level), name+": "+in.Text, step.Field{Key: "step", Value: call.Step}, step.Field{Key: "level", Value: name})
	}
	if in.Fail != nil {
		return step.Outcome{}, failed(*in.Fail, in.Text)
	}
	times := 1
	if before := step.MemoGet("times"); before != nil {
		times = read[int](*before) + 1
	}
	if err := step.MemoPut("times", strconv.Itoa(times)); err != nil {
		return step.Outcome{}, step.Transient("SAY1", err.Error())
	}
	if err := step.HoldTake("breath", write(map[string]string{"text": in.Text})); err != nil {
		return step.Outcome{}, step.Transient("SAY2", err.Error())
	}
	before := step.NowMS()
	step.Waiting(fmt.Sprintf("a pause of %d ms", in.Pause))
	slept := step.SleepMS(in.Pause)
	outputs := write(map[string]any{
		"text":     in.Text,
		"attempt":  call.Attempt,
		"times":    times,
		"slept":    slept,
		"random":   len(step.RandomBytes(16)),
		"forward":  step.NowMS() >= before,
		"clusters": len(call.Clusters),
	})
	return step.Outcome{Outputs: outputs, Summary: fmt.Sprintf("said `%s`", in.Text), Same: in.Pause == 0}, nil
}

func failed(how, text string) error {
	problem := &step.Problem{
		Code:    "SAY3",
		Message: fmt.Sprintf("did not say `%s`", text),
		Help:    step.To("say something else"),
		Causes:  []string{"the nearest cause", "the root"},
	}
	switch how {
	case "transient":
		problem.RetryAfterMS = step.To[uint64](1500)
		return &step.Failure{Transient: problem}
	case "permanent":
		problem.NotStarted = true
		return &step.Failure{Permanent: problem}
	default:
		return &step.Failure{NeedsPerson: problem}
	}
}

// ask gives what the host answers, or its error, both in words.
func ask(call *step.Call) (string, error) {
	in := read[askInputs](call.Inputs)
	cluster := ""
	if call.On != nil {
		cluster = *call.On
	}
	target := step.Target{Cluster: cluster, APIVersion: in.APIVersion, Kind: in.Kind, Namespace: in.Namespace, Name: in.Name}
	switch in.What {
	case "http":
		return sent(in)
	case "get":
		return words(step.Get(target))
	case "list":
		list, err := step.ListObjects(step.Selection{
			Cluster: cluster, APIVersion: in.APIVersion, Kind: in.Kind, Namespace: in.Namespace, LabelSelector: in.Label,
		})
		return joined(list, named), err
	case "apply":
		wanted := object{APIVersion: in.APIVersion, Kind: in.Kind}
		wanted.Metadata.Name, wanted.Metadata.Namespace = in.Name, in.Namespace
		return written(step.Apply(cluster, write(wanted), in.Sure))
	case "delete":
		return written(step.Remove(target, in.UID))
	case "wait":
		return words(step.Wait(target, in.Until, 30_000))
	default:
		answers, err := step.Query(in.Name, in.RecordType, in.Sure)
		return joined(answers, func(a step.Record) string {
			return fmt.Sprintf("%s %s %d %s", a.Name, a.RecordType, a.TTL, a.Value)
		}), err
	}
}

func sent(in askInputs) (string, error) {
	request := step.Request{
		Method:    in.Method,
		URL:       in.URL,
		Headers:   []step.Header{{Name: "x-from", Value: "conformance"}},
		TimeoutMS: step.To[uint32](10_000),
	}
	if in.Body != nil {
		request.Body = step.To([]byte(*in.Body))
	}
	answer, err := step.Send(request)
	if err != nil {
		return "", err
	}
	if answer.Done == nil {
		return "would-do", nil
	}
	etag := "none"
	for _, header := range answer.Done.Headers {
		if header.Name == "etag" {
			etag = header.Value
		}
	}
	return fmt.Sprintf("%d etag=%s %s", answer.Done.Status, etag, answer.Done.Body), nil
}

func written(answer step.Written, err error) (string, error) {
	switch {
	case err != nil:
		return "", err
	case answer.Done != nil:
		return "done " + named(*answer.Done), nil
	default:
		return "would-do " + named(*answer.WouldDo), nil
	}
}

func words(found step.JSON, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return named(found), nil
}

func named(text step.JSON) string {
	found := read[object](text)
	return found.Kind + " " + found.Metadata.Name
}

func joined[T any](list []T, word func(T) string) string {
	var all []string
	for _, one := range list {
		all = append(all, word(one))
	}
	return strings.Join(all, ", ")
}

func change(object string, action step.ChangeAction, certainty step.Certainty) step.Change {
	return step.Change{Object: object, Action: action, Certainty: certainty}
}

func read[T any](text step.JSON) (value T) {
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		panic(err)
	}
	return value
}

func write(value any) step.JSON {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}
