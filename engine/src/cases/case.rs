//! What a case says, once its text is understood.

use std::collections::BTreeMap;
use std::time::Duration;

use engine_core::diagnostic::{Place, Spanned};
use steps_sdk::error::ErrorClass;
use steps_sdk::grant::{Grants, GuestLimits, KubernetesVerb};
use steps_sdk::host::{DnsAnswer, DnsError, HttpError, HttpResponse, KubernetesError};
use steps_sdk::outcome::Change;
use steps_sdk::value::ClusterName;
use steps_sdk::{StepKind, Value};

/// One case of a file.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: Spanned<String>,
    /// The whole node.
    pub at: Place,
    pub kind: StepKind,
    pub verb: Verb,
    pub on: Option<ClusterName>,
    pub clusters: Vec<ClusterName>,
    /// From 1.
    pub attempt: u32,
    /// What an earlier attempt noted.
    pub notes: BTreeMap<String, Value>,
    /// As the kind's schema decoded it.
    pub inputs: Value,
    pub grants: Grants,
    pub limits: GuestLimits,
    /// How long the call may take, in the case's own time.
    pub time: Duration,
    /// Whether all of that is a wait (`wait for=`).
    pub is_wait: bool,
    pub answers: Vec<Answer>,
    /// The node that the answers stand in.
    pub host: Option<Place>,
    pub expected: Vec<Expected>,
}

/// The verb that a case calls, with what it takes beside the input.
#[derive(Debug, Clone, PartialEq)]
pub enum Verb {
    Run,
    Preview,
    /// With the outputs that were recorded, if any were.
    Verify(Option<Value>),
    Undo(Option<Value>),
    Release {
        name: String,
        data: Value,
    },
}

impl Verb {
    pub const WORDS: [&str; 5] = ["run", "preview", "verify", "undo", "release"];

    pub fn word(&self) -> &'static str {
        match self {
            Verb::Run => "run",
            Verb::Preview => "preview",
            Verb::Verify(_) => "verify",
            Verb::Undo(_) => "undo",
            Verb::Release { .. } => "release",
        }
    }
}

/// One answer of the outside world, given to the first request that it fits and that no answer before it was given to.
#[derive(Debug, Clone)]
pub struct Answer {
    pub at: Place,
    pub asked: Asked,
    /// What the request must carry, if the case says so.
    pub sends: Option<Sent>,
    pub reply: Reply,
}

/// A request, as a case writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    Http {
        /// Upper case.
        method: String,
        url: String,
    },
    Kubernetes {
        verb: KubernetesVerb,
        cluster: String,
        /// `Service`, or `Certificate.cert-manager.io` to name the group.
        kind: String,
        namespace: Option<String>,
        /// `None` for a list.
        name: Option<String>,
    },
    Dns {
        /// Upper case.
        record_type: String,
        name: String,
    },
}

/// What a request carried: a body, or the object that is applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    pub at: Place,
    /// Names in lower case; other headers may be there as well.
    pub headers: Vec<(String, String)>,
    pub body: Option<Body>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    Text(String),
    /// Compared as JSON, not as text.
    Json(Value),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Http(HttpResponse),
    HttpFails(HttpError),
    Object(Value),
    /// A write is answered with what was written.
    Echo,
    Objects(Vec<Value>),
    KubernetesFails(KubernetesError),
    Records(Vec<DnsAnswer>),
    DnsFails(DnsError),
}

/// One thing that must come of the call.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    pub at: Place,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// `partly`: outputs that are not named here are not looked at.
    Outputs {
        value: Value,
        partly: bool,
    },
    Summary(String),
    /// `run` found everything as wanted.
    Same,
    Failure {
        class: Option<ErrorClass>,
        code: Option<String>,
        message_has: Option<String>,
    },
    Changes(Vec<Change>),
    Later(String),
    Verdict {
        word: Word,
        /// A part of the reason.
        reason_has: Option<String>,
    },
    Undone(String),
    /// A part of a reason for waiting that was told.
    Waiting(String),
    /// A part of a line of the log.
    Log(String),
    Hold {
        name: String,
        data: Value,
    },
    Memo {
        key: String,
        value: Value,
    },
}

/// What `verify` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    Done,
    Intact,
    Drifted,
    Gone,
    Unknown,
}

impl Word {
    pub const ALL: [(&str, Word); 5] = [
        ("done", Word::Done),
        ("intact", Word::Intact),
        ("drifted", Word::Drifted),
        ("gone", Word::Gone),
        ("unknown", Word::Unknown),
    ];
}

pub const CLASSES: [(&str, ErrorClass); 3] = [
    ("transient", ErrorClass::Transient),
    ("permanent", ErrorClass::Permanent),
    ("needs-person", ErrorClass::NeedsPerson),
];

/// The word of a value in one of the tables here.
pub fn word_of<T: PartialEq + Copy>(table: &[(&'static str, T)], value: T) -> &'static str {
    table.iter().find(|(_, other)| *other == value).map_or("", |(word, _)| word)
}
