//! `engine step run FILE.wasm [KIND]`: one call in the real world, within what is granted here.
//!
//! The flags become a case, so that inputs and grants are read by the language, with its messages.

use std::path::Path;

use engine_core::diagnostic::{Problem, Source, SourceId};
use engine_core::syntax::quoted;
use steps_sdk::{Outcome, Secret, Value};

use super::args::RunArgs;
use super::{open, real};
use crate::cases::{self, Case, Ended, Happened, Kinds, Stage};
use crate::cli::config::Config;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::{Roof, print, session};
use crate::oci::Network;
use crate::report::problems::{self, Checked};
use crate::report::words;

pub fn run(args: RunArgs, config: &Config, roof: &Roof) -> Result<Exit, CliError> {
    let workshop = session::workshop(roof, config, Network::Offline);
    let opened = open::open(args.file.clone(), &workshop)?;
    let case = case(&args, &opened.kinds, config)?;
    let component = opened.component(&workshop)?;
    let handler = opened.handler(&component, &case, workshop.host().clone());
    let runtime = session::runtime()?;
    let base =
        args.with.as_deref().and_then(Path::parent).map_or(config.directory.clone(), |p| config.directory.join(p));
    let secrets = |secret: &Secret| real::secret(secret, &base, config);
    let happened = runtime.block_on(async {
        let clusters = real::clusters(&case, &args.clusters, config).await?;
        Ok::<Happened, CliError>(cases::carry_out(&case, Stage { handler, clusters, secrets: &secrets }).await)
    })?;
    tell(&happened)
}

/// What the flags say, as a case. Nothing is granted that is not written.
fn case(args: &RunArgs, kinds: &Kinds, config: &Config) -> Result<Case, CliError> {
    let mut text = format!("case run {{\nverb {}\n", args.verb);
    if let Some(kind) = &args.kind {
        text.push_str(&format!("kind {}\n", quoted(kind)));
    }
    if let Some(on) = &args.on {
        text.push_str(&format!("on {}\n", quoted(on)));
    }
    match &args.with {
        Some(path) => {
            let body = std::fs::read_to_string(path).map_err(|error| {
                CliError::new(Exit::Usage, format!("{} cannot be read", path.display()))
                    .code("A011")
                    .caused_by(Some(&error))
            })?;
            text.push_str(&body);
            if !body.lines().any(|line| line.trim_start().starts_with("grant")) {
                text.push_str("\ngrant {}\n");
            }
        }
        None => text.push_str(&format!("input {{\n{}\n}}\ngrant {{\n{}\n}}\n", args.input, args.grant.join("\n"))),
    }
    text.push_str("\n}\n");
    let name = args.with.as_ref().map_or_else(|| "the command line".to_owned(), |path| path.display().to_string());
    let source = Source { name, text };
    let (mut found, wrong) = cases::read(SourceId(0), &source, kinds);
    match found.pop() {
        Some(case) if !wrong.iter().any(Problem::is_error) => Ok(case),
        Some(_) | None => {
            let sources = [source];
            print::tell(&problems::text(&[Checked { problems: &wrong, sources: &sources }], &config.stderr));
            Err(CliError::told(Exit::Invalid))
        }
    }
}

/// Outputs to stdout, all else to stderr.
fn tell(happened: &Happened) -> Result<Exit, CliError> {
    for (level, line) in &happened.log {
        let level = format!("{level:?}").to_lowercase();
        print::tell(&format!("  {level:<5} {}\n", words::clean(line)));
    }
    for reason in &happened.waiting {
        print::tell(&format!("  WAIT  {}\n", words::clean(reason)));
    }
    for (name, data) in &happened.holds {
        print::tell(&format!("  HOLD  {} {data}: nobody gives it back now\n", words::clean(name)));
    }
    let ended = match &happened.ended {
        Ok(ended) => ended,
        Err(error) => {
            let mut told = CliError::new(Exit::StepsFailed, error.message.clone()).code(&error.code);
            told.causes.extend(error.causes.iter().cloned());
            told.hints.extend(error.help.iter().cloned());
            return Err(told);
        }
    };
    let data = match ended {
        Ended::Ran(Outcome { outputs, summary, same }) => {
            let word = if *same { "SAME" } else { "OK" };
            print::tell(&format!("  {word:<5} {}\n", words::clean(summary)));
            outputs.clone()
        }
        Ended::Previewed(preview) => serde_json::to_value(preview).map_err(|e| CliError::unexpected(&e))?,
        Ended::Verified(verdict) => serde_json::to_value(verdict).map_err(|e| CliError::unexpected(&e))?,
        Ended::Undone(summary) => Value::String(summary.clone()),
        Ended::Released => Value::Null,
    };
    let text = serde_json::to_string_pretty(&data).map_err(|e| CliError::unexpected(&e))?;
    print::data(&format!("{text}\n")).map_err(|e| CliError::unexpected(&e))?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use engine_core::id::Digest;
    use serde_json::json;
    use steps_sdk::StepSpec;
    use steps_sdk::grant::{Ask, Permission};
    use steps_sdk::spec::{About, SpecSource};

    use super::super::testing::config;
    use super::*;
    use crate::cli::args::ClusterArgs;

    fn kinds() -> Kinds {
        let mut about = About::converging("web.check", "Checks.");
        let what = Permission::Http { origin: None, methods: vec!["GET".into()], path: None };
        about.asks = vec![Ask { what, why: "to look".into() }];
        let inputs = json!({ "type": "object", "required": ["url"], "properties": { "url": { "type": "string" } } });
        let source = SpecSource { inputs, outputs: json!({ "type": "object", "properties": {} }) };
        Kinds::new("web", Digest::of_bytes(b""), [Arc::new(StepSpec::new(about, source).unwrap())])
    }

    fn read(input: &str, grant: &[&str]) -> Result<Case, CliError> {
        let args = RunArgs {
            file: "web.wasm".into(),
            kind: None,
            input: input.into(),
            grant: grant.iter().map(|grant| (*grant).to_owned()).collect(),
            with: None,
            verb: "preview".into(),
            on: None,
            clusters: ClusterArgs { context: Vec::new(), kubeconfig: None },
        };
        case(&args, &kinds(), &config(std::path::Path::new("."), &[]))
    }

    #[test]
    fn flags_are_read_by_the_language_and_nothing_is_granted_that_is_not_written() {
        let case = read("url \"https://a.example/\"", &["http \"https://a.example\" { methods GET }"]).unwrap();
        assert_eq!(case.inputs, json!({ "url": "https://a.example/" }));
        assert_eq!(case.grants.http[0].origin, "https://a.example");
        assert_eq!(read("url \"https://a.example/\"", &[]).unwrap_err().exit, Exit::Invalid, "it asks for more");
        assert_eq!(read("ulr \"x\"", &["http \"https://a.example\""]).unwrap_err().exit, Exit::Invalid);
    }
}
