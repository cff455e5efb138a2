//! The flags of `engine step …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::args::{ClusterArgs, Form};

#[derive(Debug, Subcommand)]
pub enum StepCommand {
    /// Writes a small project with a step that works, and cases that pass
    New(NewArgs),
    /// Makes a component of the project, with the tools of its language
    Build(BuildArgs),
    /// Builds, then carries out the cases of the project over a mocked world
    Test(TestArgs),
    /// Calls one kind of a component in the real world, within what is granted here
    Run(RunArgs),
    /// Shows what a component provides and what it asks for
    Inspect(InspectArgs),
    /// Writes the documentation of a component as Markdown
    Doc(DocArgs),
    /// Puts a component into a registry, and prints the line that uses exactly these bytes
    Publish(PublishArgs),
    /// Fetches a component from a registry to this machine, and prints the line that uses exactly these bytes
    Pull(PullArgs),
}

#[derive(Debug, Clone, Args)]
pub struct NewArgs {
    /// The folder that is made; the last part of it names the step
    #[arg(value_name = "NAME")]
    pub name: PathBuf,
    /// The language: rust, js, python or go
    #[arg(long, value_name = "LANGUAGE", default_value = "rust")]
    pub lang: String,
}

#[derive(Debug, Clone, Args)]
pub struct BuildArgs {
    /// The project
    #[arg(value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct TestArgs {
    /// The project or a component, then the cases to carry out [default: the project here, all cases]
    #[arg(value_name = "DIR|FILE.wasm|CASE")]
    pub what: Vec<String>,
    /// Where the cases are: a file or a folder [default: tests/ of the project, or beside the component]
    #[arg(long, value_name = "PATH")]
    pub cases: Option<PathBuf>,
    /// Rewrites what the cases expect to what happened; refused in CI
    #[arg(long, conflicts_with = "record")]
    pub bless: bool,
    /// Asks the real world once, and writes its answers into the named cases, without secrets
    #[arg(long)]
    pub record: bool,
    #[command(flatten)]
    pub clusters: ClusterArgs,
}

#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The component
    #[arg(value_name = "FILE.wasm")]
    pub file: PathBuf,
    /// The kind, as the component names it [default: the only one]
    #[arg(value_name = "KIND")]
    pub kind: Option<String>,
    /// Inputs in KDL, as the body of a step: 'url "https://…"; status 204'
    #[arg(long, value_name = "KDL", default_value = "")]
    pub input: String,
    /// What it may do, as in `grant { … }` of a workflow: 'http "https://…" { methods GET }'. May be repeated
    #[arg(long, value_name = "KDL")]
    pub grant: Vec<String>,
    /// A file with `input { … }`, `grant { … }`, `secret …` and what else a case may say, instead of these flags
    #[arg(long, value_name = "FILE", conflicts_with_all = ["input", "grant"])]
    pub with: Option<PathBuf>,
    /// The verb: run, preview or verify
    #[arg(long, value_name = "VERB", default_value = "run", value_parser = ["run", "preview", "verify"])]
    pub verb: String,
    /// The cluster of the step
    #[arg(long, value_name = "CLUSTER")]
    pub on: Option<String>,
    #[command(flatten)]
    pub clusters: ClusterArgs,
}

#[derive(Debug, Clone, Args)]
pub struct InspectArgs {
    /// The component, or the project that it was built in
    #[arg(value_name = "FILE.wasm|DIR", default_value = ".")]
    pub what: PathBuf,
    /// The form of the output
    #[arg(short, long, value_enum, default_value_t = Form::Text, value_name = "FORM")]
    pub output: Form,
}

#[derive(Debug, Clone, Args)]
pub struct DocArgs {
    /// The component, or the project that it was built in
    #[arg(value_name = "FILE.wasm|DIR", default_value = ".")]
    pub what: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct PublishArgs {
    /// The component, or the project that it is built in
    #[arg(value_name = "FILE.wasm|DIR")]
    pub what: PathBuf,
    /// Where it is put; without a tag it can be had by its digest only
    #[arg(value_name = "oci://HOST/PATH[:TAG]")]
    pub to: String,
}

#[derive(Debug, Clone, Args)]
pub struct PullArgs {
    /// What is fetched
    #[arg(value_name = "oci://HOST/PATH[:TAG|@sha256:…]")]
    pub from: String,
    /// Writes the component to a file as well
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}
