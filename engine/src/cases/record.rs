//! Real answers, taken once: what a step asks goes to the real host, and each answer is kept as a case would write it.
//!
//! Secrets are taken out before anything is kept: the bytes that a grant injects wherever they come back, headers that carry
//! credentials, and the data of Kubernetes Secrets.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use engine_core::diagnostic::{Place, SourceId};
use steps_sdk::Value;
use steps_sdk::context::{ClusterHandle, SecretBytes, StepContext};
use steps_sdk::grant::KubernetesVerb;
use steps_sdk::host::{
    Dns, DnsAnswer, DnsError, Host, Http, HttpError, HttpRequest, HttpResponse, Kubernetes, KubernetesError,
    ObjectSelection, ObjectTarget, WriteMode,
};
use steps_sdk::value::Predicate;

use super::bless::{self, Edit};
use super::case::{Answer, Asked, Case, Reply};
use super::kdl;
use super::mock::{asked_list, asked_object, target_of};

/// What stands where a secret stood.
const REMOVED: &str = "(removed)";

/// Headers that carry credentials, or differ with every request.
const HEADERS_LEFT_OUT: [&str; 8] =
    ["set-cookie", "authorization", "proxy-authorization", "cookie", "date", "x-request-id", "etag", "age"];

/// A shorter secret would be found everywhere.
const SECRET_BYTES_MIN: usize = 4;

/// The real host, with a memory.
#[derive(Clone)]
pub struct Recorder {
    real: Host,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    answers: Vec<Answer>,
    secrets: Vec<SecretBytes>,
}

impl Recorder {
    pub fn over(real: Host) -> Recorder {
        Recorder { real, kept: Arc::default() }
    }

    pub fn host(&self) -> Host {
        Host { http: Arc::new(self.clone()), kubernetes: Arc::new(self.clone()), dns: Arc::new(self.clone()) }
    }

    /// A secret that was opened: taken out of everything that is kept.
    pub fn knows(&self, secret: &SecretBytes) {
        if secret.expose().len() >= SECRET_BYTES_MIN {
            self.kept().secrets.push(secret.clone());
        }
    }

    /// The case's `host` as it was: what it said before is replaced.
    pub fn edit(&self, text: &str, case: &Case) -> Option<Edit> {
        let lines: Vec<String> = self.answers().iter().map(kdl::answer).collect();
        let node = match lines.is_empty() {
            true => "host {}".to_owned(),
            false => format!("host {{\n{}\n}}", kdl::indented(&lines.join("\n"))),
        };
        match case.host {
            Some(at) => Some(bless::replaced(text, at, &node)),
            None => bless::append(text, case.at, &[node]),
        }
    }

    /// What was answered, without secrets.
    pub fn answers(&self) -> Vec<Answer> {
        let kept = self.kept();
        kept.answers.iter().map(|answer| without_secrets(answer, &kept.secrets)).collect()
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().expect("nothing panics while it holds the answers")
    }

    fn keep(&self, asked: Asked, reply: Reply) {
        let nowhere = Place::new(SourceId(0), 0, 0);
        self.kept().answers.push(Answer { at: nowhere, asked, sends: None, reply });
    }

    fn keep_object(&self, asked: Asked, result: &Result<Value, KubernetesError>) {
        self.keep(
            asked,
            match result {
                Ok(object) => Reply::Object(object.clone()),
                Err(error) => Reply::KubernetesFails(error.clone()),
            },
        );
    }
}

fn without_secrets(answer: &Answer, secrets: &[SecretBytes]) -> Answer {
    let reply = match &answer.reply {
        Reply::Http(response) => Reply::Http(HttpResponse {
            status: response.status,
            headers: response
                .headers
                .iter()
                .filter(|(name, _)| !HEADERS_LEFT_OUT.contains(&name.as_str()))
                .map(|(name, value)| (name.clone(), clean(value, secrets)))
                .collect(),
            body: clean_bytes(&response.body, secrets),
        }),
        Reply::Object(object) => Reply::Object(clean_object(object, secrets)),
        Reply::Objects(objects) => Reply::Objects(objects.iter().map(|object| clean_object(object, secrets)).collect()),
        other @ (Reply::HttpFails(_)
        | Reply::Echo
        | Reply::KubernetesFails(_)
        | Reply::Records(_)
        | Reply::DnsFails(_)) => other.clone(),
    };
    let asked = match &answer.asked {
        Asked::Http { method, url } => Asked::Http { method: method.clone(), url: clean(url, secrets) },
        other @ (Asked::Kubernetes { .. } | Asked::Dns { .. }) => other.clone(),
    };
    Answer { asked, reply, ..answer.clone() }
}

fn clean(text: &str, secrets: &[SecretBytes]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter_map(|secret| std::str::from_utf8(secret.expose()).ok()) {
        text = text.replace(secret, REMOVED);
    }
    text
}

fn clean_bytes(bytes: &[u8], secrets: &[SecretBytes]) -> Vec<u8> {
    match std::str::from_utf8(bytes) {
        Ok(text) => clean(text, secrets).into_bytes(),
        // Bytes that are no text are not kept at all; see `kdl`.
        Err(_) => Vec::new(),
    }
}

/// Without what only the server cares about, and without the data of a Secret.
fn clean_object(object: &Value, secrets: &[SecretBytes]) -> Value {
    let mut object = object.clone();
    if object.get("kind").and_then(Value::as_str) == Some("Secret") {
        for part in ["data", "stringData"] {
            if let Some(Value::Object(data)) = object.get_mut(part) {
                data.values_mut().for_each(|value| *value = Value::String(String::new()));
            }
        }
    }
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.remove("managedFields");
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    clean_value(&mut object, secrets);
    object
}

fn clean_value(value: &mut Value, secrets: &[SecretBytes]) {
    match value {
        Value::String(text) => *text = clean(text, secrets),
        Value::Array(items) => items.iter_mut().for_each(|item| clean_value(item, secrets)),
        Value::Object(map) => map.values_mut().for_each(|item| clean_value(item, secrets)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[async_trait]
impl Http for Recorder {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if let Some((_, secret)) = &request.secret_header {
            self.knows(secret);
        }
        let asked = Asked::Http { method: request.method.clone(), url: request.url.clone() };
        let result = self.real.http.send(request).await;
        self.keep(
            asked,
            match &result {
                Ok(response) => Reply::Http(response.clone()),
                Err(error) => Reply::HttpFails(error.clone()),
            },
        );
        result
    }
}

#[async_trait]
impl Kubernetes for Recorder {
    async fn get(&self, cx: &StepContext, on: &ClusterHandle, target: ObjectTarget) -> Result<Value, KubernetesError> {
        let asked = asked_object(on, KubernetesVerb::Get, &target);
        let result = self.real.kubernetes.get(cx, on, target).await;
        self.keep_object(asked, &result);
        result
    }

    async fn list(
        &self,
        cx: &StepContext,
        on: &ClusterHandle,
        selection: ObjectSelection,
    ) -> Result<Vec<Value>, KubernetesError> {
        let asked = asked_list(on, &selection);
        let result = self.real.kubernetes.list(cx, on, selection).await;
        self.keep(
            asked,
            match &result {
                Ok(objects) => Reply::Objects(objects.clone()),
                Err(error) => Reply::KubernetesFails(error.clone()),
            },
        );
        result
    }

    async fn apply(
        &self,
        cx: &StepContext,
        on: &ClusterHandle,
        object: Value,
        force: bool,
        mode: WriteMode,
    ) -> Result<Value, KubernetesError> {
        let asked = asked_object(on, KubernetesVerb::Apply, &target_of(&object));
        let result = self.real.kubernetes.apply(cx, on, object, force, mode).await;
        self.keep_object(asked, &result);
        result
    }

    async fn delete(
        &self,
        cx: &StepContext,
        on: &ClusterHandle,
        target: ObjectTarget,
        uid: Option<String>,
        mode: WriteMode,
    ) -> Result<Value, KubernetesError> {
        let asked = asked_object(on, KubernetesVerb::Delete, &target);
        let result = self.real.kubernetes.delete(cx, on, target, uid, mode).await;
        self.keep_object(asked, &result);
        result
    }

    async fn wait(
        &self,
        cx: &StepContext,
        on: &ClusterHandle,
        target: ObjectTarget,
        until: Predicate,
        timeout: Duration,
    ) -> Result<Value, KubernetesError> {
        let asked = asked_object(on, KubernetesVerb::Watch, &target);
        let result = self.real.kubernetes.wait(cx, on, target, until, timeout).await;
        self.keep_object(asked, &result);
        result
    }
}

#[async_trait]
impl Dns for Recorder {
    async fn query(
        &self,
        name: &str,
        record_type: &str,
        authoritative: bool,
        timeout: Duration,
    ) -> Result<Vec<DnsAnswer>, DnsError> {
        let asked = Asked::Dns { record_type: record_type.to_ascii_uppercase(), name: name.to_owned() };
        let result = self.real.dns.query(name, record_type, authoritative, timeout).await;
        self.keep(
            asked,
            match &result {
                Ok(records) => Reply::Records(records.clone()),
                Err(error) => Reply::DnsFails(error.clone()),
            },
        );
        result
    }
}
