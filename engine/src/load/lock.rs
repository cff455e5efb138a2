//! `engine.lock`: which bytes the tags of a folder's workflows mean. Workflows that name a digest need none.
//!
//! It is written when a person says `engine lock`, and only read otherwise: that a tag was moved changes nothing until somebody has
//! seen the change in this file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use engine_core::diagnostic::{Place, Problem, Source, SourceId};
use engine_core::id::Digest;
use engine_core::syntax::{self, Node};
use engine_core::workflow::{self, Address, ArtifactVersion, ComponentSource};
use miette::Diagnostic;

use super::{LoadError, files, include};

pub const LOCK_FILE: &str = "engine.lock";

const HEADER: &str = "\
// Which bytes the tags of the workflows in this folder mean. Written by `engine lock`; `engine lock update` looks every tag up again.
// Keep this file with the workflows, and read its changes as you read theirs.
";

/// What the tags that are used in a folder mean, by their addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockFile {
    pub entries: BTreeMap<Address, Digest>,
}

/// A tag that has no meaning here.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum LockError {
    #[error("`{address}` is a tag, and {} does not say which bytes it means", path.display())]
    #[diagnostic(
        code(W025),
        help("look it up once, and keep the file with the workflow: engine lock{}", argument(.path))
    )]
    NoEntry { address: Address, path: PathBuf },

    #[error("{} cannot be read: {reason}", path.display())]
    #[diagnostic(code(W026), help("correct it, or remove it and write it again: engine lock{}", argument(.path)))]
    Unreadable { path: PathBuf, reason: String },

    #[error("{name} is no sound workflow: {reason}")]
    #[diagnostic(code(W026), help("nothing was locked; see what is wrong with it: engine check {name}"))]
    NotSound { name: String, reason: String },

    #[error("{} cannot be written", path.display())]
    #[diagnostic(code(W026), help("check that the folder may be written to and that the disk has room"))]
    Unwritable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// What `engine lock` has to be told to write this file.
fn argument(path: &Path) -> String {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => format!(" {}", folder.display()),
        _ => String::new(),
    }
}

impl LockFile {
    /// The file of a folder; where there is none, nothing is locked.
    pub fn read(folder: &Path) -> Result<LockFile, LockError> {
        let path = folder.join(LOCK_FILE);
        let unreadable = |reason: String| LockError::Unreadable { path: path.clone(), reason };
        let source = match files::read(&path) {
            Ok(source) => source,
            Err(LoadError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(LockFile::default());
            }
            Err(LoadError::Unreadable { source, .. }) => return Err(unreadable(source.to_string())),
            Err(other) => return Err(unreadable(other.to_string())),
        };
        parse(&source).map_err(unreadable)
    }

    /// Which bytes a tag means.
    pub(super) fn digest(&self, address: &Address, folder: &Path) -> Result<&Digest, LockError> {
        self.entries
            .get(address)
            .ok_or_else(|| LockError::NoEntry { address: address.clone(), path: folder.join(LOCK_FILE) })
    }

    /// Replaces the file of a folder; one that would be empty is removed.
    pub fn write(&self, folder: &Path) -> Result<(), LockError> {
        let path = folder.join(LOCK_FILE);
        let written = match self.entries.is_empty() {
            false => std::fs::write(&path, self.text()),
            true => match std::fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            },
        };
        written.map_err(|source| LockError::Unwritable { path, source })
    }

    /// One line an entry, in the order of addresses, so that a change is a line in a review.
    fn text(&self) -> String {
        let mut text = HEADER.to_owned();
        for (address, digest) in &self.entries {
            let _ = writeln!(text, "component \"{address}\" digest=\"sha256:{digest}\"");
        }
        text
    }
}

/// The error has the line and what is wrong there.
fn parse(source: &Source) -> Result<LockFile, String> {
    let (document, problems) = syntax::parse(SourceId(0), source);
    if let Some(problem) = problems.iter().find(|problem| problem.is_error()) {
        return Err(located(source, problem.at, &problem.message));
    }
    let mut entries = BTreeMap::new();
    for node in &document.nodes {
        let (address, digest) = entry(node).map_err(|reason| located(source, Some(node.at), &reason))?;
        if entries.insert(address.clone(), digest).is_some() {
            return Err(located(source, Some(node.at), &format!("`{address}` is there twice")));
        }
    }
    Ok(LockFile { entries })
}

fn located(source: &Source, at: Option<Place>, reason: &str) -> String {
    match at {
        Some(at) => format!("line {}: {reason}", source.text[..at.start].matches('\n').count() + 1),
        None => reason.to_owned(),
    }
}

fn entry(node: &Node) -> Result<(Address, Digest), String> {
    const FORM: &str = "an entry is `component \"oci://HOST/PATH:TAG\" digest=\"sha256:…\"`";
    let (Some(arg), Some(prop)) = (node.args.first(), node.prop("digest")) else { return Err(FORM.to_owned()) };
    if node.name.value != "component" || node.args.len() != 1 || node.props.len() != 1 || node.children.is_some() {
        return Err(FORM.to_owned());
    }
    let (Some(address), Some(digest)) = (arg.as_str(), prop.value.as_str()) else { return Err(FORM.to_owned()) };
    let address: Address = address.parse().map_err(|error: workflow::NotAnAddress| error.message)?;
    if !matches!(address.version, ArtifactVersion::Tag(_)) {
        return Err(format!("`{address}` has no need of an entry: it names a digest itself"));
    }
    let digest = digest.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
    Ok((address, digest.ok_or("after `digest=` come `sha256:` and 64 characters of `0-9` and `a-f`")?))
}

/// The workflows of a folder, and `also` if it is not among them: files that end in `.kdl` and begin with a node `workflow`. Gives the
/// tags that their steps need.
pub fn tags_used(folder: &Path, also: Option<&Path>) -> Result<BTreeSet<Address>, LockError> {
    let opened = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let unreadable =
        |error: io::Error| LockError::NotSound { name: folder.display().to_string(), reason: error.to_string() };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(opened).map_err(unreadable)? {
        let path = folder.join(entry.map_err(unreadable)?.file_name());
        if path.extension().is_some_and(|ending| ending == "kdl") && path.is_file() {
            paths.push(path);
        }
    }
    paths.extend(also.filter(|also| !paths.iter().any(|path| path == also)).map(Path::to_owned));
    paths.sort();
    let mut tags = BTreeSet::new();
    for path in &paths {
        let is_asked_for = also == Some(path.as_path());
        tags.extend(tags_of(path, is_asked_for)?);
    }
    Ok(tags)
}

fn tags_of(path: &Path, is_asked_for: bool) -> Result<Vec<Address>, LockError> {
    let name = path.display().to_string();
    let not_sound = |reason: String| LockError::NotSound { name: name.clone(), reason };
    let source = files::read(path).map_err(|error| not_sound(error.to_string()))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut reader = include::Reader::new(source, Some(path.to_owned()), folder);
    let (document, library) = reader.documents();
    let is_workflow = document.nodes.first().is_some_and(|node| node.name.value == "workflow");
    // Of a file that is not even KDL nobody knows whether it was meant as a workflow, and a tag in it would be forgotten.
    if let Some(problem) = reader.problems.iter().find(|problem| Problem::is_error(problem))
        && (is_workflow || document.nodes.is_empty() || is_asked_for)
    {
        let source = &reader.sources[problem.at.map_or(0, |at| at.source.0 as usize)];
        return Err(not_sound(located(source, problem.at, &problem.message)));
    }
    if !is_workflow {
        return match is_asked_for {
            true => Err(not_sound("it does not begin with a node `workflow`".to_owned())),
            false => Ok(Vec::new()),
        };
    }
    let tag = |used: workflow::UsedComponent| match used.source {
        ComponentSource::Registry(address) if matches!(address.version, ArtifactVersion::Tag(_)) => Some(address),
        ComponentSource::Registry(_) | ComponentSource::File(_) => None,
    };
    Ok(workflow::components_used(&document, &library).into_iter().filter_map(tag).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn parsed(text: &str) -> Result<LockFile, String> {
        parse(&Source { name: LOCK_FILE.into(), text: text.into() })
    }

    #[test]
    fn what_is_written_is_read_again_in_one_order() {
        let mut lock = LockFile::default();
        for address in ["oci://h.example/b:v1", "oci://h.example/a:v2", "oci://h.example/a:v1"] {
            lock.entries.insert(address.parse().unwrap(), DIGEST.parse().unwrap());
        }
        let folder = tempfile::tempdir().unwrap();
        lock.write(folder.path()).unwrap();
        let text = std::fs::read_to_string(folder.path().join(LOCK_FILE)).unwrap();
        let order: Vec<&str> = text.lines().filter(|line| !line.starts_with("//")).collect();
        assert_eq!(order.len(), 3);
        assert_eq!(order[0], format!("component \"oci://h.example/a:v1\" digest=\"sha256:{DIGEST}\""));
        assert!(order[1].contains("a:v2") && order[2].contains("b:v1"));
        assert_eq!(LockFile::read(folder.path()).unwrap(), lock);
        LockFile::default().write(folder.path()).unwrap();
        assert!(!folder.path().join(LOCK_FILE).exists());
        assert_eq!(LockFile::read(folder.path()).unwrap(), LockFile::default());
    }

    #[test]
    fn a_damaged_entry_is_told_with_its_line() {
        let entry = format!("component \"oci://h.example/a:v1\" digest=\"sha256:{DIGEST}\"\n");
        for (second, part) in [
            (entry.as_str(), "twice"),
            ("component \"oci://h.example/a:v1\"\n", "an entry is"),
            ("componet \"oci://h.example/a:v2\" digest=\"sha256:00\"\n", "an entry is"),
            ("component \"oci://h.example/a:v2\" digest=\"sha256:00\"\n", "64 characters"),
            ("component \"h.example/a:v2\" digest=\"sha256:00\"\n", "no address"),
            ("component 1 digest=2\n", "an entry is"),
            (&entry.replace(":v1", &format!("@sha256:{DIGEST}")), "no need of an entry"),
            ("component \"\n", "line 3"),
        ] {
            let refused = parsed(&format!("// one\n{entry}{second}")).unwrap_err();
            assert!(refused.starts_with("line 3: ") && refused.contains(part), "{second}{refused}");
        }
    }

    #[test]
    fn tags_are_those_that_steps_of_the_folders_workflows_use() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write(
            "w.kdl",
            &format!(
                "workflow w\nuse \"oci://h.example/a:v1\" as=a\nuse \"oci://h.example/idle:v1\" as=idle\n\
                 use \"oci://h.example/b@sha256:{DIGEST}\" as=b\nuse \"./c.wasm\" as=c\n\
                 step one uses=a.x\nstep two uses=b.x\nstep three uses=c.x\n"
            ),
        );
        write("x.kdl", "workflow x\nuse \"oci://h.example/x:v1\" as=x\nstep one uses=x.x\n");
        write("vars.kdl", "region eu\n");
        write("other.txt", "workflow y\n");
        let shown = |also: Option<&str>| {
            let also = also.map(|name| folder.path().join(name));
            let tags = tags_used(folder.path(), also.as_deref()).map_err(|error| error.to_string())?;
            Ok::<_, String>(tags.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(shown(None).unwrap(), ["oci://h.example/a:v1", "oci://h.example/x:v1"]);
        assert_eq!(shown(Some("w.kdl")).unwrap().len(), 2);
        assert!(shown(Some("vars.kdl")).unwrap_err().contains("does not begin with"));
        assert!(shown(Some("lost.kdl")).is_err());
        write("x.kdl", "workflow x\nuse \"oci://h.example/x:v1 as=x\n");
        assert!(shown(None).unwrap_err().contains("x.kdl is no sound workflow"), "its tags would be forgotten");
    }
}
