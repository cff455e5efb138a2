//! `engine step test [DIR|FILE.wasm] [CASE…] [--bless | --record]`

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use engine_core::diagnostic::{Problem, Source, SourceId, nearest};
use steps_sdk::context::SecretBytes;
use steps_sdk::{Secret, StepError};

use super::args::TestArgs;
use super::open::{self, Opened};
use super::{real, tell};
use crate::cases::judge::{self, Mismatch};
use crate::cases::record::Recorder;
use crate::cases::{self, Case, Happened, Stage, Told, World, bless};
use crate::cli::config::Config;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::{Roof, print, session};
use crate::load::Workshop;
use crate::oci::Network;
use crate::report::Look;
use crate::report::problems::{self, Checked};
use crate::report::words;
use crate::wasm::Component;

/// Files of cases, by their place in the list of sources.
struct Files {
    paths: Vec<PathBuf>,
    sources: Vec<Source>,
    /// Each with the file it is from.
    cases: Vec<(usize, Case)>,
}

/// The end of one case.
struct End {
    happened: Happened,
    told: Told,
    mismatches: Vec<Mismatch>,
    ms: u64,
}

pub fn test(args: TestArgs, config: &Config, roof: &Roof) -> Result<Exit, CliError> {
    if args.bless && config.environment.get("CI").is_some_and(|value| !value.is_empty() && value != "false") {
        return Err(CliError::new(Exit::Usage, "`--bless` is refused in CI: there the cases say what is right")
            .code("A030")
            .hint("bless on your own machine, read the difference, and commit it"));
    }
    let (what, names) = split(&args.what);
    let path = open::path_of(&what, config)?;
    let workshop = session::workshop(roof, config, Network::Offline);
    let opened = open::open(path, &workshop)?;
    let mut files = read(&folder_of_cases(&args, &what), &opened, &config.stderr)?;
    choose(&mut files, &names)?;
    let component = opened.component(&workshop)?;
    if args.record {
        return record(&args, &files, &names, &opened, &component, &workshop, config);
    }
    let ends: Vec<End> =
        files.cases.iter().map(|(_, case)| carry_out(case, &opened, &component)).collect::<Result<_, CliError>>()?;
    if args.bless {
        return blessed(&files, &ends);
    }
    let (text, exit) = transcript(&files, &ends, &args.what, &config.stdout);
    print::data(&text).map_err(|e| CliError::unexpected(&e))?;
    Ok(exit)
}

/// The first word is a project or a component when there is such a thing; all others are cases.
fn split(words: &[String]) -> (PathBuf, Vec<String>) {
    match words.split_first() {
        Some((first, rest)) if first.ends_with(".wasm") || Path::new(first).is_dir() => (first.into(), rest.to_vec()),
        Some(_) | None => (".".into(), words.to_vec()),
    }
}

fn folder_of_cases(args: &TestArgs, what: &Path) -> PathBuf {
    if let Some(path) = &args.cases {
        return path.clone();
    }
    let beside = if what.is_dir() { what } else { what.parent().unwrap_or(Path::new(".")) };
    let beside = beside.join("tests");
    if beside.is_dir() || what.is_dir() { beside } else { "tests".into() }
}

fn read(place: &Path, opened: &Opened, look: &Look) -> Result<Files, CliError> {
    let unreadable = |path: &Path, error: &std::io::Error| {
        CliError::new(Exit::Usage, format!("{} cannot be read", path.display()))
            .code("A011")
            .caused_by(Some(error))
            .hint("cases are in `tests/*.kdl` of the project, or where `--cases PATH` says")
    };
    let mut paths = Vec::new();
    if place.is_dir() {
        for entry in std::fs::read_dir(place).map_err(|error| unreadable(place, &error))? {
            let path = entry.map_err(|error| unreadable(place, &error))?.path();
            if path.extension().is_some_and(|extension| extension == "kdl") {
                paths.push(path);
            }
        }
        paths.sort();
    } else {
        paths.push(place.to_owned());
    }
    let mut files = Files { paths, sources: Vec::new(), cases: Vec::new() };
    let mut found: Vec<Problem> = Vec::new();
    for path in &files.paths {
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
        let id = SourceId(u32::try_from(files.sources.len()).expect("a folder does not have four billion files"));
        let source = Source { name: path.display().to_string(), text };
        let (cases, problems) = cases::read(id, &source, &opened.kinds);
        let at = files.sources.len();
        files.cases.extend(cases.into_iter().map(|case| (at, case)));
        files.sources.push(source);
        found.extend(problems);
    }
    if found.iter().any(Problem::is_error) {
        let checked = [Checked { problems: &found, sources: &files.sources }];
        print::tell(&problems::text(&checked, look));
        return Err(CliError::told(Exit::Invalid));
    }
    if files.cases.is_empty() {
        return Err(CliError::new(Exit::Usage, format!("there is no case in {}", place.display()))
            .code("A010")
            .hint("write `case NAME { input { … } }` into a file there; `--bless` fills in what it expects"));
    }
    Ok(files)
}

/// Keeps the cases that were named; none named: all.
fn choose(files: &mut Files, names: &[String]) -> Result<(), CliError> {
    for name in names {
        if files.cases.iter().all(|(_, case)| case.name.value != *name) {
            let known: Vec<&str> = files.cases.iter().map(|(_, case)| case.name.value.as_str()).collect();
            let error = CliError::new(Exit::Usage, format!("there is no case `{name}`")).code("A010");
            return Err(match nearest(name, known.iter().copied()) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!("cases: {}", known.join(", "))),
            });
        }
    }
    if !names.is_empty() {
        files.cases.retain(|(_, case)| names.contains(&case.name.value));
    }
    Ok(())
}

/// One case over its mocked world, in its own time.
fn carry_out(case: &Case, opened: &Opened, component: &Arc<Component>) -> Result<End, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .map_err(|error| CliError::unexpected(&error))?;
    let began = Instant::now();
    runtime.block_on(async {
        let world = World::new(&case.answers);
        let stage = Stage {
            handler: opened.handler(component, case, world.host()),
            clusters: cases::stand_ins(case).map_err(|error| CliError::unexpected(&error))?,
            secrets: &cases::stand_in_secret,
        };
        let happened = cases::carry_out(case, stage).await;
        let told = world.told();
        let mismatches = judge::judge(case, &happened, &told);
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(End { happened, told, mismatches, ms })
    })
}

/// What the person sees, and how the command ends.
fn transcript(files: &Files, ends: &[End], what: &[String], look: &Look) -> (String, Exit) {
    let width = files.cases.iter().map(|(_, case)| case.name.value.chars().count()).max().unwrap_or(0);
    let place = |mismatch: &Mismatch| {
        let at = mismatch.at?;
        let source = files.sources.get(at.source.0 as usize)?;
        Some(format!("{}:{}", source.name, source.line_column(at.start).line))
    };
    let mut text = String::new();
    let mut failed = Vec::new();
    for ((_, case), end) in files.cases.iter().zip(ends) {
        let told = tell::Told {
            name: &case.name.value,
            ms: end.ms,
            asked: end.told.asked.iter().map(cases::request_as_kdl).collect(),
            mismatches: &end.mismatches,
            place: &place,
        };
        text.push_str(&tell::case(&told, width, look));
        if !end.mismatches.is_empty() {
            failed.push((case, end));
        }
    }
    text.push_str(&tell::sum(ends.len() - failed.len(), failed.len(), look));
    if let Some((case, _)) = failed.iter().find(|(_, end)| end.mismatches.iter().any(|one| one.repair.is_some())) {
        let named = what.first().filter(|word| **word != case.name.value);
        let what = named.map(|word| format!(" {word}")).unwrap_or_default();
        text.push_str(&format!("\n  if that is right: engine step test{what} {} --bless\n", case.name.value));
    }
    (text, if failed.is_empty() { Exit::Done } else { Exit::Unexpected })
}

/// Rewrites what the cases expect. What cannot be blessed, such as a request without an answer, still fails.
fn blessed(files: &Files, ends: &[End]) -> Result<Exit, CliError> {
    let mut left = 0;
    for (index, path) in files.paths.iter().enumerate() {
        let text = &files.sources[index].text;
        let mut edits = Vec::new();
        let mut names = Vec::new();
        for ((_, case), end) in files.cases.iter().zip(ends).filter(|((file, _), _)| *file == index) {
            left += end.mismatches.iter().filter(|mismatch| is_beyond(mismatch, end)).count();
            let changed = bless::edits(text, case, &end.happened, &end.mismatches);
            if !changed.is_empty() {
                names.push(case.name.value.as_str());
            }
            edits.extend(changed);
        }
        if !edits.is_empty() {
            let after = bless::apply(text, edits);
            write(path, &after)?;
            print::tell(&format!("blessed {} in {}\n", names.join(", "), path.display()));
        }
    }
    if left == 0 {
        return Ok(Exit::Done);
    }
    print::tell("\n  not all can be blessed: `engine step test` says what is left\n");
    Ok(Exit::Unexpected)
}

/// Nothing that a file could say about expectations repairs it.
fn is_beyond(mismatch: &Mismatch, end: &End) -> bool {
    // A case that expected nothing and failed learns its failure.
    let learns = mismatch.code == "A101" && end.mismatches.len() == 1 && mismatch.at.is_none();
    mismatch.repair.is_none() && !learns
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    std::fs::write(path, text).map_err(|error| {
        CliError::new(Exit::Usage, format!("{} cannot be written", path.display())).code("A023").caused_by(Some(&error))
    })
}

/// Asks the real world, once for each named case, and keeps its answers.
fn record(
    args: &TestArgs,
    files: &Files,
    names: &[String],
    opened: &Opened,
    component: &Arc<Component>,
    workshop: &Workshop,
    config: &Config,
) -> Result<Exit, CliError> {
    if names.is_empty() {
        return Err(CliError::new(Exit::Usage, "`--record` asks the real world, so the cases for it are named")
            .code("A032")
            .hint(format!("write `engine step test {} --record`", files.cases[0].1.name.value)));
    }
    let runtime = session::runtime()?;
    for (index, path) in files.paths.iter().enumerate() {
        let text = &files.sources[index].text;
        let mut edits = Vec::new();
        for (_, case) in files.cases.iter().filter(|(file, _)| *file == index) {
            let recorder = Recorder::over(workshop.host().clone());
            let base = path.parent().unwrap_or(Path::new("."));
            let secrets = |secret: &Secret| -> Result<SecretBytes, StepError> {
                let bytes = real::secret(secret, base, config)?;
                recorder.knows(&bytes);
                Ok(bytes)
            };
            let happened = runtime.block_on(async {
                let clusters = real::clusters(case, &args.clusters, config).await?;
                let handler = opened.handler(component, case, recorder.host());
                Ok::<Happened, CliError>(cases::carry_out(case, Stage { handler, clusters, secrets: &secrets }).await)
            })?;
            let answers = words::count(recorder.answers().len(), "answer");
            print::tell(&format!("recorded {answers} for {}\n", case.name.value));
            if let Err(error) = &happened.ended {
                print::tell(&format!("  it failed with {}: {}\n", error.code, error.message));
            }
            edits.extend(recorder.edit(text, case));
        }
        if !edits.is_empty() {
            write(path, &bless::apply(text, edits))?;
        }
    }
    print::tell("\n  next: engine step test --bless, and read what was written before you commit it\n");
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use engine_core::diagnostic::SourceId;
    use serde_json::json;

    use super::*;
    use crate::load::WorkshopSettings;
    use crate::wasm::Compiler;
    use crate::wasm::testing::{Do, Guest, kind};

    /// A guest that asks for a page and says what it found, in a project with these cases.
    struct Project {
        folder: tempfile::TempDir,
        workshop: Workshop,
    }

    impl Project {
        fn new(cases: &str) -> Project {
            let folder = tempfile::tempdir().unwrap();
            let get = Do::Call {
                interface: "http",
                function: "send",
                args: vec![
                    json!({ "method": "GET", "url": "https://api.example/health", "headers": [], "body": null, "timeout-ms": null }),
                ],
                keep: vec![vec!["ok", "done", "body"], vec!["err", "other"], vec!["err", "connect"]],
            };
            let waiting = Do::Call {
                interface: "report",
                function: "waiting",
                args: vec![json!("the page is not there yet")],
                keep: Vec::new(),
            };
            let sleep =
                Do::Call { interface: "clock", function: "sleep-ms", args: vec![json!(3_600_000)], keep: Vec::new() };
            let mut check = kind("check");
            check["doc"] = json!("Fetches a page.");
            check["time-limit"] = json!({ "wait": 7_200_000 });
            check["asks"] = json!([{
                "what": { "http": { "origin": "https://api.example", "methods": ["GET"], "path": null } },
                "why": "the page is there",
            }]);
            let guest = Guest::new().kinds(json!([check])).on("run", [waiting, get]).on("verify", [sleep]).pack();
            std::fs::write(folder.path().join("page.wasm"), guest).unwrap();
            std::fs::create_dir(folder.path().join("tests")).unwrap();
            std::fs::write(folder.path().join("tests/page.kdl"), cases).unwrap();
            let workshop = Workshop::new(WorkshopSettings {
                cache: folder.path().join("cache"),
                compiler: || Ok(Compiler::InProcess),
                host: || World::new(&[]).host(),
                network: Network::Offline,
                credentials: None,
                tell: |_| unreachable!("nothing is waited for"),
            });
            Project { folder, workshop }
        }

        fn opened(&self) -> Opened {
            open::open(self.folder.path().join("page.wasm"), &self.workshop).unwrap()
        }

        fn ends(&self) -> (Files, Vec<End>) {
            let opened = self.opened();
            let mut files = read(&self.folder.path().join("tests"), &opened, &Look::plain()).unwrap();
            // What the person sees does not depend on where the test runs.
            for source in &mut files.sources {
                source.name = "tests/page.kdl".to_owned();
            }
            let component = opened.component(&self.workshop).unwrap();
            let carried =
                files.cases.iter().map(|(_, case)| End { ms: 0, ..carry_out(case, &opened, &component).unwrap() });
            let ends = carried.collect();
            (files, ends)
        }

        fn transcript(&self) -> (String, Exit) {
            let (files, ends) = self.ends();
            let (text, exit) = transcript(&files, &ends, &[], &Look::plain());
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
            (text, exit)
        }
    }

    const HOST: &str = "host { http GET \"https://api.example/health\" { body \"fine\" } }";

    #[test]
    fn cases_over_a_component_pass_and_fail_in_words() {
        let project = Project::new(&format!(
            "case good {{\n    {HOST}\n    expect summary \"fine\"\n    expect waiting \"not there\"\n}}\n\
             case other-words {{\n    {HOST}\n    expect summary \"better\"\n}}\n\
             case unanswered {{\n    expect same\n}}\n\
             case unasked {{\n    verb verify\n    {HOST}\n    expect verdict unknown\n}}\n"
        ));
        let (text, exit) = project.transcript();
        assert_eq!(exit, Exit::Unexpected);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_guest_that_sleeps_an_hour_is_tested_at_once() {
        let began = Instant::now();
        let project = Project::new(
            "case sleeps {\n    verb verify\n    expect verdict unknown \"not looked at\"\n    limits wall=\"2h\"\n}\n",
        );
        let (text, exit) = project.transcript();
        assert_eq!(exit, Exit::Done, "{text}");
        assert!(text.ends_with("1 case passed\n"), "{text}");
        assert!(began.elapsed().as_secs() < 600, "the hour was slept");
    }

    #[test]
    fn a_request_outside_of_a_cases_grants_fails_it() {
        let project = Project::new(&format!(
            "case narrow {{\n    grant {{ http \"https://api.example\" {{ path \"/other\" }} }}\n    {HOST}\n}}\n"
        ));
        let (_, ends) = project.ends();
        let codes: Vec<&str> = ends[0].mismatches.iter().map(|mismatch| mismatch.code).collect();
        assert!(codes.contains(&"A105"), "{:?}", ends[0].mismatches);
        assert!(ends[0].told.asked.is_empty(), "the host was asked");
    }

    #[test]
    fn blessed_cases_pass_and_keep_what_people_wrote() {
        let before = format!(
            "// ours\ncase a {{ // why\n    {HOST}\n    expect summary \"better\" // hm\n}}\n\ncase b {{\n    {HOST}\n}}\n"
        );
        let project = Project::new(&before);
        let (files, ends) = project.ends();
        assert_eq!(blessed(&files, &ends).unwrap(), Exit::Done);
        let after = std::fs::read_to_string(project.folder.path().join("tests/page.kdl")).unwrap();
        assert!(after.starts_with("// ours\ncase a { // why\n"), "{after}");
        assert!(after.contains("    expect summary \"fine\" // hm\n}\n\ncase b {"), "{after}");
        let (text, exit) = project.transcript();
        assert_eq!(exit, Exit::Done, "{text}\n{after}");
        assert_eq!(after.matches("expect summary \"fine\"").count(), 2, "{after}");
    }

    #[test]
    fn what_is_named_is_chosen_and_a_slip_is_told() {
        let project = Project::new("case one {}\ncase two {}\n");
        let opened = project.opened();
        let mut files = read(&project.folder.path().join("tests"), &opened, &Look::plain()).unwrap();
        let error = choose(&mut files, &["tow".to_owned()]).unwrap_err();
        assert_eq!((error.code.as_deref(), error.hints[0].as_str()), (Some("A010"), "did you mean `two`?"));
        choose(&mut files, &["two".to_owned()]).unwrap();
        assert_eq!(files.cases.len(), 1);
        assert_eq!(files.cases[0].1.at.source, SourceId(0));
        assert_eq!(split(&["page.wasm".into(), "one".into()]), ("page.wasm".into(), vec!["one".to_owned()]));
        assert_eq!(split(&["one".into()]), (".".into(), vec!["one".to_owned()]));
    }

    #[test]
    fn a_component_is_shown_and_documented() {
        let opened = Project::new("case one {}\n").opened();
        let opened = Opened { path: "page.wasm".into(), ..opened };
        let text = super::super::inspect::text(&opened, &Look::plain());
        assert!(text.contains("asks     http GET https://api.example for page.check: the page is there"), "{text}");
        assert!(text.contains("contract engine:step@0.1.0") && text.contains("page.check  Fetches a page."), "{text}");
        let json = super::super::inspect::json(&opened);
        assert_eq!(json["kinds"][0]["asks"][0]["why"], "the page is there");
        let markdown = super::super::doc::markdown(&opened);
        assert!(markdown.contains("## page.check\n\nFetches a page.\n"), "{markdown}");
        assert!(markdown.contains("- asks for `http GET https://api.example`: the page is there"), "{markdown}");
        assert!(markdown.contains("| `text` | "), "{markdown}");
    }
}
