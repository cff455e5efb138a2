//! Every lie of the real kcp-operator v0.9.0 that is told here on purpose, in one place. A step that believes one of them fails in
//! the laboratory, as it would in earnest. Sections are those of the project's reference notes on kcp and on the laboratory.
//!
//! | what is said | what is so | source | where it is told |
//! |---|---|---|---|
//! | Kubeconfig: phase `Ready` | the Secret comes half a minute later | kcp 2.2, lab | [`Quirks::kubeconfig_secret`] |
//! | RootShard: `Provisioning`, Available=False, for minutes | root-kcp is ready, if its Service is a LoadBalancer | lab | [`Quirks::root_rendered`] |
//! | Shard, RootShard: `Running`, `ReplicasUp` | the Deployment is scaled to 0/0 | kcp 2.2, lab | [`super::status::available`] |
//! | bundled Shard: `Running` | Available is left from when it was 0/0 and is not looked at again | kcp 2.2 | [`super::status`] |
//! | Bundle: printed PHASE is blank | `.status.state` is the field | lab, kcp 2.8 | [`super::bundle`] |
//! | Bundle: `Ready` with 16 entries | the Deployment mounts more, `S-mounts-proxy` for one | kcp 2.8 | [`super::bundle`] |
//! | Bundle: `Ready` stays | even if an object has gone since | kcp 2.8 | [`super::bundle`] |
//! | nothing at all | a mounted Secret is missing, so there is no Deployment | kcp 2.5 | [`super::workload`] |
//! | nothing but the condition RootShard | the reference is wrong, so there are no certificates | kcp 2.2 | [`super::config`] |
//!
//! Only the first two and the bundle take time; [`Quirks::hurried`] shortens that for those who have none.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::control::{meta, text};

/// How long the truth lags behind, or runs ahead of, what is said.
#[derive(Debug, Clone, Copy)]
pub struct Quirks {
    kubeconfig: SignedDuration,
    root: SignedDuration,
    bundle: SignedDuration,
}

impl Quirks {
    /// As the real operator was seen: 30 s, two minutes at the least, 46 s.
    pub fn as_seen() -> Quirks {
        Quirks {
            kubeconfig: SignedDuration::from_secs(30),
            root: SignedDuration::from_secs(120),
            bundle: SignedDuration::from_secs(46),
        }
    }

    /// The same lies, told for this part of the time (0: not at all, 1: as seen).
    pub fn hurried(part: f64) -> Quirks {
        let Quirks { kubeconfig, root, bundle } = Quirks::as_seen();
        let less = |whole: SignedDuration| SignedDuration::from_millis((whole.as_millis() as f64 * part) as i64);
        Quirks { kubeconfig: less(kubeconfig), root: less(root), bundle: less(bundle) }
    }

    /// Whether the Secret of this Kubeconfig may be written by now. Its phase has said `Ready` all along.
    pub fn kubeconfig_secret(&self, kubeconfig: &Value, now: Timestamp) -> bool {
        is_older(kubeconfig, self.kubeconfig, now)
    }

    /// Whether the workload controller is through with a CompiledRootShard: with a LoadBalancer it compares a node port of 0 with the
    /// allocated one, and fails for minutes before it gets to the status.
    pub fn root_rendered(&self, compiled: &Value, now: Timestamp) -> bool {
        let service = &compiled["spec"]["rootShard"]["serviceTemplate"]["spec"]["type"];
        text(service) != "LoadBalancer" || is_older(compiled, self.root, now)
    }

    /// Whether the bundle controller has come round to this Bundle.
    pub fn bundle_written(&self, bundle: &Value, now: Timestamp) -> bool {
        is_older(bundle, self.bundle, now)
    }
}

fn is_older(object: &Value, age: SignedDuration, now: Timestamp) -> bool {
    let born: Option<Timestamp> = text(meta(object, "creationTimestamp")).parse().ok();
    born.is_some_and(|born| now.duration_since(born) >= age)
}
