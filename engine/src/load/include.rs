//! The files that a workflow includes, each read once however often it is named.

use std::path::{Path, PathBuf};

use engine_core::diagnostic::{Problem, Source, SourceId, Spanned};
use engine_core::limits::INCLUDED_FILES_MAX;
use engine_core::syntax::{self, Document};
use engine_core::workflow::{self, Library};

use super::{LoadError, files};

/// What was read so far, by [`SourceId`].
pub(super) struct Reader {
    pub sources: Vec<Source>,
    pub paths: Vec<Option<PathBuf>>,
    /// Where the relative paths of each source start.
    pub folders: Vec<PathBuf>,
    pub problems: Vec<Problem>,
}

impl Reader {
    /// The workflow's own file has been read; `folder` is where its relative paths start.
    pub fn new(source: Source, file: Option<PathBuf>, folder: &Path) -> Reader {
        Reader { sources: vec![source], paths: vec![file], folders: vec![folder.to_owned()], problems: Vec::new() }
    }

    /// The file that was read first, and everything that it includes.
    pub fn documents(&mut self) -> (Document, Library) {
        let (document, problems) = syntax::parse(SourceId(0), &self.sources[0]);
        self.problems.extend(problems);
        let mut library = Library::default();
        let mut open: Vec<Spanned<String>> = workflow::included(&document);
        open.reverse();
        let mut seen: Vec<PathBuf> = self.paths[0].iter().filter_map(|path| path.canonicalize().ok()).collect();
        while let Some(path) = open.pop() {
            match self.include(&path, &mut seen) {
                Ok(None) => {}
                Ok(Some(included)) => {
                    open.extend(workflow::included(&included).into_iter().rev());
                    library.documents.push(included);
                }
                Err(why) => {
                    library.has_gaps = true;
                    let message = format!("`{}` cannot be included: {why}", path.value);
                    let help = "paths are relative to the file that has the `include`";
                    self.problems.push(Problem::error("L263", path.at, message).help(help));
                }
            }
        }
        (document, library)
    }

    /// `None`: it was read before. The error says why it cannot be included.
    fn include(&mut self, written: &Spanned<String>, seen: &mut Vec<PathBuf>) -> Result<Option<Document>, String> {
        let folder = &self.folders[written.at.source.0 as usize];
        // Without the `.` of `./lib`: it is shown before every line of the file.
        let path: PathBuf = folder.join(&written.value).components().collect();
        let real = path.canonicalize().map_err(|error| error.to_string())?;
        if seen.contains(&real) {
            let is_itself = self.paths[0].as_ref().and_then(|own| own.canonicalize().ok()) == Some(real);
            return if is_itself { Err("it is the workflow itself".to_owned()) } else { Ok(None) };
        }
        if self.sources.len() > INCLUDED_FILES_MAX {
            return Err(format!("a workflow includes at most {INCLUDED_FILES_MAX} files"));
        }
        seen.push(real);
        let source = files::read(&path).map_err(|error| reason(&error))?;
        let (document, problems) = syntax::parse(self.add(path, source.clone()), &source);
        self.problems.extend(problems);
        Ok(Some(document))
    }

    /// Takes note of a file that was read.
    pub fn add(&mut self, path: PathBuf, source: Source) -> SourceId {
        let id = SourceId(u32::try_from(self.sources.len()).expect("the number of files is limited"));
        self.folders.push(path.parent().unwrap_or(Path::new("")).to_owned());
        self.sources.push(source);
        self.paths.push(Some(path));
        id
    }
}

/// Without the path, which stands before it.
fn reason(error: &LoadError) -> String {
    match error {
        LoadError::Unreadable { source, .. } => source.to_string(),
        LoadError::TooLarge { .. } | LoadError::NotText { .. } | LoadError::Kind { .. } => error.to_string(),
    }
}
