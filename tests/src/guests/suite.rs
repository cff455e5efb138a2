//! What is built and tried, and how it is told.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::language::{Language, Variables, said, written};

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    guests: usize,
    languages: BTreeSet<&'static str>,
    cases: usize,
    failed: usize,
}

impl Tally {
    pub fn is_good(&self) -> bool {
        self.failed == 0 && self.guests > 0
    }

    /// The last line of a run.
    pub fn in_words(&self) -> String {
        match self.failed {
            0 => format!("{} guests in {} languages, {} cases passed", self.guests, self.languages.len(), self.cases),
            failed => format!("{failed} guests failed"),
        }
    }

    fn passed(&mut self, language: Language, cases: usize) {
        self.guests += 1;
        self.languages.insert(language.word());
        self.cases += cases;
    }
}

/// One run over everything.
struct Suite<'a> {
    engine: PathBuf,
    /// `steps/custom` of the repository.
    custom: PathBuf,
    cache: PathBuf,
    tell: &'a mut dyn FnMut(&str),
    tally: Tally,
    /// What the conformance step says of itself in the first language, and which that is.
    kinds: Option<(Language, String)>,
}

/// Builds what can be built here and carries out all cases; tells one line for each guest.
pub fn try_all(engine: PathBuf, custom: PathBuf, cache: PathBuf, tell: &mut dyn FnMut(&str)) -> Tally {
    let mut suite = Suite { engine, custom, cache, tell, tally: Tally::default(), kinds: None };
    suite.shipped();
    for language in Language::ALL {
        suite.language(language);
    }
    suite.tally
}

impl Suite<'_> {
    fn shipped(&mut self) {
        let began = Instant::now();
        let built = match Command::new(self.custom.join("build")).env("ENGINE_GUESTS", &self.cache).output() {
            // The script's word for: there is no compiler for this here.
            Ok(output) if output.status.code() == Some(3) => {
                self.left_out("the shipped guests", &String::from_utf8_lossy(&output.stderr));
                return;
            }
            Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
            Ok(output) => return self.failed("the shipped guests", &String::from_utf8_lossy(&output.stderr)),
            Err(error) => return self.failed("the shipped guests", &error.to_string()),
        };
        (self.tell)(&format!("the shipped guests are built  {} s", began.elapsed().as_secs()));
        // It tells `built/NAME.wasm SIZE bytes` of each.
        for name in built.lines().filter_map(|line| line.strip_prefix("built/")?.split('.').next()) {
            let component = self.custom.join("built").join(format!("{name}.wasm"));
            let cases = self.custom.join(name).join("tests");
            let mut command = Command::new(&self.engine);
            command.args(["step", "test"]).arg(component).arg("--cases").arg(cases);
            self.cases(Language::Rust, name, command);
        }
    }

    /// The template's own step, and the conformance step over the template.
    fn language(&mut self, language: Language) {
        let place = self.cache.join("projects").join(language.word());
        let template = place.join("check");
        let conformance = place.join("conformance");
        let made = fresh(&place)
            .and_then(|()| self.new_project(&template, language))
            .and_then(|()| self.new_project(&conformance, language))
            .and_then(|()| self.lay_over(&conformance, language));
        if let Err(why) = made {
            return self.failed(&format!("the projects in {}", language.word()), &why);
        }
        let mut variables = Vec::new();
        for project in [&template, &conformance] {
            match language.bring(project, &self.cache, &self.custom) {
                Ok(brought) => variables = brought,
                Err(why) => return self.left_out(language.word(), &why),
            }
        }
        self.tried(language, "template", &template, &template.join("tests"), &variables);
        let cases = self.custom.join("conformance/cases");
        if let Some(component) = self.tried(language, "conformance", &conformance, &cases, &variables) {
            let mut command = Command::new(&self.engine);
            command.args(["step", "inspect", "--output", "json"]).arg(component).envs(variables);
            self.says_the_same(language, &mut command);
        }
    }

    /// Builds a project and carries out its cases; gives what can be inspected if all passed. What cannot be built twice to the same
    /// bytes is built once for the same sources.
    fn tried(
        &mut self,
        language: Language,
        name: &str,
        project: &Path,
        cases: &Path,
        variables: &Variables,
    ) -> Option<PathBuf> {
        let kept = if language.is_repeatable() { Ok(None) } else { kept(&self.cache, project).map(Some) };
        let kept = match kept {
            Ok(kept) => kept,
            Err(why) => {
                self.failed(&format!("{name} in {}", language.word()), &why);
                return None;
            }
        };
        let what = kept.clone().filter(|component| component.is_file()).unwrap_or_else(|| project.to_owned());
        let mut command = Command::new(&self.engine);
        command.args(["step", "test"]).arg(&what).arg("--cases").arg(cases).envs(variables.iter().cloned());
        if !self.cases(language, name, command) {
            return None;
        }
        let Some(kept) = kept.filter(|_| what == project) else { return Some(what) };
        match keep(project, &kept) {
            Ok(()) => Some(kept),
            Err(why) => {
                self.failed(&format!("{name} in {}", language.word()), &why);
                None
            }
        }
    }

    fn new_project(&self, project: &Path, language: Language) -> Result<(), String> {
        let mut command = Command::new(&self.engine);
        command.args(["step", "new", "--lang", language.word()]).arg(project);
        said(&mut command).map(drop)
    }

    fn lay_over(&self, project: &Path, language: Language) -> Result<(), String> {
        let name = Path::new(language.source()).file_name().expect("a source is a file");
        let source = self.custom.join("conformance").join(language.word()).join(name);
        let text = std::fs::read_to_string(&source).map_err(|error| format!("{}: {error}", source.display()))?;
        written(&project.join(language.source()), &text)
    }

    /// Carries out the cases of one guest; whether all passed.
    fn cases(&mut self, language: Language, name: &str, mut command: Command) -> bool {
        let name = format!("{name} in {}", language.word());
        let began = Instant::now();
        let output = match command.output() {
            Ok(output) => output,
            Err(error) => {
                self.failed(&name, &error.to_string());
                return false;
            }
        };
        let words =
            String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned();
        match passed(&words) {
            Some(cases) if output.status.success() => {
                (self.tell)(&format!("{name}: {cases} cases passed  {} s", began.elapsed().as_secs()));
                self.tally.passed(language, cases);
                true
            }
            _ => {
                self.failed(&name, &words);
                false
            }
        }
    }

    /// Kinds, schemas and asks are equal in every language.
    fn says_the_same(&mut self, language: Language, inspect: &mut Command) {
        let name = format!("what conformance in {} says of itself", language.word());
        let kinds = said(inspect).and_then(|text| {
            let described: serde_json::Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            Ok(format!("{:#}", described["kinds"]))
        });
        match (kinds, &self.kinds) {
            (Err(why), _) => self.failed(&name, &why),
            (Ok(kinds), None) => self.kinds = Some((language, kinds)),
            (Ok(kinds), Some((first, wanted))) if kinds != *wanted => {
                let why = format!("it is not what it says in {}:\n{kinds}\n\nbut\n{wanted}", first.word());
                self.failed(&name, &why);
            }
            (Ok(_), Some(_)) => {}
        }
    }

    fn failed(&mut self, what: &str, why: &str) {
        self.tally.failed += 1;
        (self.tell)(&format!("{what} FAILED\n{}\n", indented(why)));
    }

    fn left_out(&mut self, what: &str, why: &str) {
        (self.tell)(&format!("{what}: not built here, the tools are missing\n{}", indented(why)));
    }
}

/// A digest over the files of a fresh project; folders that are links hold tools, which the files name by their versions.
fn fingerprint(project: &Path) -> Result<String, String> {
    let mut files = Vec::new();
    let mut folders = vec![project.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for entry in entries {
            let entry = entry.map_err(|error| format!("{}: {error}", folder.display()))?;
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files.sort();
    let mut digest = Sha256::new();
    for file in files {
        let bytes = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        digest.update(file.strip_prefix(project).unwrap_or(&file).as_os_str().as_encoded_bytes());
        digest.update(bytes.len().to_le_bytes());
        digest.update(bytes);
    }
    Ok(hex::encode(digest.finalize()))
}

/// Where the component of a project's sources is kept. Its name stays, because kinds are called after it.
fn kept(cache: &Path, project: &Path) -> Result<PathBuf, String> {
    Ok(cache.join("kept").join(fingerprint(project)?).join(component(project)))
}

fn component(project: &Path) -> PathBuf {
    Path::new(project.file_name().expect("a project has a name")).with_extension("wasm")
}

/// Copies the component that a project was built to.
fn keep(project: &Path, kept: &Path) -> Result<(), String> {
    let built = project.join(component(project));
    let copied = kept.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::copy(&built, kept));
    copied.map(drop).map_err(|error| format!("{}: {error}", built.display()))
}

/// An empty folder.
fn fresh(folder: &Path) -> Result<(), String> {
    let emptied = match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => std::fs::create_dir_all(folder),
    };
    emptied.map_err(|error| format!("{}: {error}", folder.display()))
}

/// The number of `3 cases passed`, the last line of `engine step test`.
fn passed(words: &str) -> Option<usize> {
    let line = words.lines().find(|line| line.ends_with(" passed") && line.contains(" case"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn indented(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_cases_is_read_from_the_words_of_the_program() {
        assert_eq!(passed(" OK    passed   1 ms\n3 cases passed\n"), Some(3));
        assert_eq!(passed("1 case passed\n"), Some(1));
        assert_eq!(passed("1 of 3 failed\n"), None);
    }

    #[test]
    fn the_same_sources_have_the_same_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
        for project in [&one, &two] {
            written(&project.join("step/a.go"), "a").unwrap();
            written(&project.join("main.go"), "b").unwrap();
        }
        assert_eq!(fingerprint(&one), fingerprint(&two));
        written(&two.join("main.go"), "c").unwrap();
        assert_ne!(fingerprint(&one), fingerprint(&two));
    }

    #[test]
    fn a_run_is_good_if_something_was_tried_and_nothing_failed() {
        let mut tally = Tally::default();
        assert!(!tally.is_good());
        tally.passed(Language::Go, 3);
        tally.passed(Language::Rust, 4);
        tally.passed(Language::Rust, 1);
        assert!(tally.is_good());
        assert_eq!(tally.in_words(), "3 guests in 2 languages, 8 cases passed");
        tally.failed += 1;
        assert!(!tally.is_good());
        assert_eq!(tally.in_words(), "1 guests failed");
    }
}
