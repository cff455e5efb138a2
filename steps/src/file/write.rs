//! `file.write`: a file with exactly this content and mode. Nothing is written when the file is already so.

use std::path::Path;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use steps_sdk::context::{SecretBytes, StepContext};
use steps_sdk::native::{Done, Step};
use steps_sdk::outcome::FieldChange;
use steps_sdk::spec::{About, OnCluster};
use steps_sdk::{Certainty, Change, ChangeAction, Preview, StepError, UndoDefault, Value, Verdict};

use super::replace::{Found, Mode, look, remove, replace};

/// Writes a file.
pub struct Write;

#[derive(Deserialize, JsonSchema)]
pub struct Inputs {
    /// Where the file lies. A relative path starts at the directory in which the engine was started.
    path: String,
    /// The file's text, exactly as written here. Either this or `json`.
    content: Option<String>,
    /// A value that is written as indented JSON with a final line break. Either this or `content`.
    json: Option<Value>,
    /// Permission bits in octal.
    #[serde(default = "private")]
    mode: String,
}

fn private() -> String {
    Mode::PRIVATE.to_string()
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// The path as it was given.
    path: String,
    /// SHA-256 of the content, in hexadecimal.
    sha256: String,
}

#[async_trait]
impl Step for Write {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn about(&self) -> About {
        let doc = "Writes a file, whole or not at all.\n\nMissing directories are made. `undo delete` removes the file if it still has the content that was written.";
        About { undo: UndoDefault::Delete, on: OnCluster::Refused, ..About::converging("file.write", doc) }
    }

    async fn preview(&self, _cx: &StepContext, inputs: Inputs) -> Result<Preview, StepError> {
        let wanted = Wanted::of(inputs)?;
        let found = look(Path::new(&wanted.path)).await?;
        Ok(Preview::Changes(vec![wanted.change_from(&found)]))
    }

    async fn run(&self, cx: &StepContext, inputs: Inputs) -> Result<Done<Outputs>, StepError> {
        let wanted = Wanted::of(inputs)?;
        let path = Path::new(&wanted.path);
        let change = wanted.change_from(&look(path).await?);
        if let Some(conflict) = change.conflict {
            return Err(StepError::permanent("X504", conflict)
                .help("name another path, or move away what is there")
                .not_started());
        }
        let size = wanted.bytes.len();
        let (outputs, summary) = (wanted.outputs(), format!("{} ({size} bytes)", wanted.path));
        if change.action == ChangeAction::Same {
            return Ok(Done::same(outputs, summary));
        }
        replace(path, SecretBytes::new(wanted.bytes.clone()), wanted.mode, &cx.call.owner).await?;
        Ok(Done::changed(
            outputs,
            format!("{summary} {}", if change.action == ChangeAction::Create { "created" } else { "replaced" }),
        ))
    }

    async fn verify(&self, _cx: &StepContext, inputs: Inputs, _outputs: Option<Outputs>) -> Result<Verdict, StepError> {
        let wanted = Wanted::of(inputs)?;
        let change = wanted.change_from(&look(Path::new(&wanted.path)).await?);
        Ok(match change.action {
            ChangeAction::Same => Verdict::Intact,
            ChangeAction::Create => Verdict::Gone(format!("{} is not there", wanted.path)),
            _ => Verdict::Drifted(vec![change]),
        })
    }

    async fn undo(&self, _cx: &StepContext, inputs: Inputs, outputs: Option<Outputs>) -> Result<String, StepError> {
        let wanted = Wanted::of(inputs)?;
        let path = Path::new(&wanted.path);
        let written = outputs.map_or_else(|| hex_sha256(&wanted.bytes), |outputs| outputs.sha256);
        match look(path).await? {
            Found::Nothing => Ok(format!("{} is not there", wanted.path)),
            Found::File { bytes, .. } if hex_sha256(bytes.expose()) == written => {
                remove(path).await?;
                Ok(format!("{} deleted", wanted.path))
            }
            Found::File { .. } => Ok(format!("{} stays: it was changed since it was written", wanted.path)),
            Found::Other(what) => Ok(format!("{} stays: it is now {what}", wanted.path)),
        }
    }
}

/// The file as the inputs want it.
struct Wanted {
    path: String,
    bytes: Vec<u8>,
    mode: Mode,
}

impl Wanted {
    fn of(inputs: Inputs) -> Result<Wanted, StepError> {
        let Inputs { path, content, json, mode } = inputs;
        let mode = Mode::parse(&mode)?;
        let bytes = match (content, json) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(value)) => format!("{value:#}\n").into_bytes(),
            (None, None) => return Err(one_of_two(format!("`{path}` has neither `content` nor `json`"))),
            (Some(_), Some(_)) => return Err(one_of_two(format!("`{path}` has both `content` and `json`"))),
        };
        Ok(Wanted { path, bytes, mode })
    }

    fn outputs(&self) -> Outputs {
        Outputs { path: self.path.clone(), sha256: hex_sha256(&self.bytes) }
    }

    /// What writing would change. The content itself is not shown: a file may hold what should not be in a plan.
    fn change_from(&self, found: &Found) -> Change {
        let mut change = Change {
            object: self.path.clone(),
            action: ChangeAction::Create,
            certainty: Certainty::Server,
            fields: Vec::new(),
            conflict: None,
            waits_for: None,
        };
        let mut field = |path: &str, before: String, after: String| {
            if before != after {
                change.fields.push(FieldChange {
                    path: path.to_owned(),
                    before: Some(before.into()),
                    after: Some(after.into()),
                });
            }
        };
        match found {
            Found::Nothing => {}
            Found::File { bytes, mode } => {
                field("sha256", hex_sha256(bytes.expose()), hex_sha256(&self.bytes));
                field("mode", mode.to_string(), self.mode.to_string());
                change.action = if change.fields.is_empty() { ChangeAction::Same } else { ChangeAction::Update };
            }
            Found::Other(what) => {
                change.action = ChangeAction::Unknown;
                change.conflict = Some(format!("`{}` is {what}", self.path));
            }
        }
        change
    }
}

fn one_of_two(message: String) -> StepError {
    StepError::permanent("X501", message)
        .help("give the file's text in `content`, or a value in `json { … }`")
        .not_started()
}

fn hex_sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;
    use crate::testing::{Rig, World, eventually, runs_twice, survives_kills, undone_twice};
    use serde_json::json;
    use tempfile::TempDir;

    fn world(extra: Value) -> World<TempDir> {
        let outside = tempfile::tempdir().unwrap();
        let mut inputs = json!({ "path": outside.path().join("deep/er/note.txt") });
        inputs.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        World { rig: Rig::new(), inputs, outside }
    }

    fn path(world: &World<TempDir>) -> std::path::PathBuf {
        world.inputs["path"].as_str().unwrap().into()
    }

    #[tokio::test]
    async fn content_and_mode_are_as_wanted_and_a_second_run_writes_nothing() {
        let world = world(json!({ "content": "hello\n", "mode": "0640" }));
        let outcome = world.rig.run(&Write, &world.inputs).await.unwrap();
        let meta = fs::metadata(path(&world)).unwrap();
        assert_eq!(fs::read(path(&world)).unwrap(), b"hello\n");
        assert_eq!(meta.mode() & 0o777, 0o640);
        assert_eq!(outcome.outputs["sha256"], "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
        runs_twice(&Write, &world).await;
        assert_eq!(fs::metadata(path(&world)).unwrap().ino(), meta.ino(), "the same file, not a new one");
        assert_eq!(world.rig.verify(&Write, &world.inputs, None).await.unwrap(), Verdict::Intact);
    }

    #[tokio::test]
    async fn a_json_value_is_written_indented_in_its_own_order_and_private_by_default() {
        let world = world(json!({ "json": { "z": 1, "a": ["x"] } }));
        world.rig.run(&Write, &world.inputs).await.unwrap();
        assert_eq!(fs::read_to_string(path(&world)).unwrap(), "{\n  \"z\": 1,\n  \"a\": [\n    \"x\"\n  ]\n}\n");
        assert_eq!(fs::metadata(path(&world)).unwrap().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_file_of_other_mode_or_content_is_previewed_as_an_update_and_replaced() {
        let world = world(json!({ "content": "new" }));
        let preview = async || match world.rig.preview(&Write, &world.inputs).await.unwrap() {
            Preview::Changes(changes) => changes[0].clone(),
            later => panic!("{later:?}"),
        };
        assert_eq!(preview().await.action, ChangeAction::Create);
        world.rig.run(&Write, &world.inputs).await.unwrap();
        assert_eq!(preview().await.action, ChangeAction::Same);
        fs::set_permissions(path(&world), fs::Permissions::from_mode(0o644)).unwrap();
        let change = preview().await;
        assert_eq!(
            (change.action, change.fields.len(), change.fields[0].path.as_str()),
            (ChangeAction::Update, 1, "mode")
        );
        assert!(matches!(world.rig.verify(&Write, &world.inputs, None).await.unwrap(), Verdict::Drifted(_)));
        assert!(!world.rig.run(&Write, &world.inputs).await.unwrap().same);
        assert_eq!(preview().await.action, ChangeAction::Same);
    }

    #[tokio::test]
    async fn killed_anywhere_it_leaves_the_file_and_nothing_else() {
        let make = async || world(json!({ "content": "x" }));
        survives_kills(&Write, make, async |world, _| {
            assert_eq!(fs::read(path(world)).unwrap(), b"x");
            // The killed attempt's thread may still be at work beside us; it too must end without a stray file.
            let directory = path(world).parent().unwrap().to_owned();
            eventually("only the file itself is there", || fs::read_dir(&directory).unwrap().count() == 1).await;
        })
        .await;
    }

    #[tokio::test]
    async fn undo_deletes_its_own_file_and_spares_a_changed_one() {
        let world = world(json!({ "content": "x" }));
        let (first, second) = undone_twice(&Write, &world).await;
        assert!(first.ends_with("deleted") && second.ends_with("is not there"), "{first} / {second}");
        let outcome = world.rig.run(&Write, &world.inputs).await.unwrap();
        fs::write(path(&world), "somebody's own words").unwrap();
        let kept = world.rig.undo(&Write, &world.inputs, Some(&outcome.outputs)).await.unwrap();
        assert!(kept.contains("stays") && path(&world).exists(), "{kept}");
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_refused_with_its_reason() {
        let room = tempfile::tempdir().unwrap();
        for (inputs, code) in [
            (json!({ "path": "a" }), "X501"),
            (json!({ "path": "a", "content": "x", "json": {} }), "X501"),
            (json!({ "path": "a", "content": "x", "mode": "rw" }), "X502"),
            (json!({ "path": room.path(), "content": "x" }), "X504"),
        ] {
            let error = Rig::new().run(&Write, &inputs).await.unwrap_err();
            assert_eq!(error.code, code, "{inputs}");
            assert!(error.not_started && error.help.is_some(), "{inputs}");
        }
    }
}
