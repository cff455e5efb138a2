//! `engine step new NAME --lang LANGUAGE`

use std::path::Path;

use engine_core::diagnostic::nearest;

use super::args::NewArgs;
use crate::cases;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::print;

/// The contract, which every project carries beside its code.
const CONTRACT: &str = include_str!("../../../../steps-sdk/wit/step.wit");
const CASES: &str = include_str!("templates/cases.kdl");

/// A language that a step can be written in here.
struct Template {
    language: &'static str,
    /// By path; `@NAME@`, `@FAMILY@` and `@FILE@` are filled in.
    files: &'static [(&'static str, &'static str)],
    /// Where its build puts the component, from the project's folder.
    component: &'static str,
    /// What has to be there once.
    once: &'static str,
}

const TEMPLATES: [Template; 4] = [
    Template {
        language: "rust",
        files: &[
            ("Cargo.toml", include_str!("templates/rust/Cargo.toml.in")),
            ("src/lib.rs", include_str!("templates/rust/lib.rs.in")),
            ("README.md", include_str!("templates/rust/README.md.in")),
            (".gitignore", "/target\n"),
        ],
        component: "target/wasm32-wasip2/release/@CRATE@.wasm",
        once: "rustup target add wasm32-wasip2",
    },
    Template {
        language: "js",
        files: &[
            ("package.json", include_str!("templates/js/package.json.in")),
            ("step.js", include_str!("templates/js/step.js.in")),
            ("README.md", include_str!("templates/js/README.md.in")),
            (".gitignore", "/node_modules\n/*.wasm\n"),
        ],
        component: "@NAME@.wasm",
        once: "npm install",
    },
    Template {
        language: "python",
        files: &[
            ("pyproject.toml", include_str!("templates/python/pyproject.toml.in")),
            ("app.py", include_str!("templates/python/app.py.in")),
            ("README.md", include_str!("templates/python/README.md.in")),
            (".gitignore", "/.venv\n__pycache__\n/*.wasm\n"),
        ],
        component: "@NAME@.wasm",
        once: "python3 -m venv .venv && .venv/bin/pip install componentize-py==0.25.1",
    },
    Template {
        language: "go",
        files: &[
            ("go.mod", include_str!("templates/go/go.mod.in")),
            ("main.go", include_str!("templates/go/main.go.in")),
            ("step/contract.go", include_str!("templates/go/step/contract.go.in")),
            ("step/host.go", include_str!("templates/go/step/host.go.in")),
            ("step/border.go", include_str!("templates/go/step/border.go.in")),
            ("step/wasm.go", include_str!("templates/go/step/wasm.go.in")),
            ("README.md", include_str!("templates/go/README.md.in")),
            (".gitignore", "/*.wasm\n"),
        ],
        component: "@NAME@.wasm",
        once: "go version   # install Go 1.24 or newer if there is none",
    },
];

pub fn new(args: &NewArgs) -> Result<Exit, CliError> {
    let template = template(&args.lang)?;
    let name = name(&args.name)?;
    let folder = &args.name;
    if folder.exists() {
        return Err(CliError::new(Exit::Usage, format!("{} is there already", folder.display()))
            .code("A020")
            .hint("choose another name, or move it away; nothing was written"));
    }
    let family = cases::family_of(name);
    let component = template.component.replace("@CRATE@", &name.replace('-', "_")).replace("@NAME@", name);
    let fill = |text: &str| text.replace("@NAME@", name).replace("@FAMILY@", &family).replace("@FILE@", &component);
    for (path, text) in template.files {
        write(&folder.join(path), &fill(text))?;
    }
    write(&folder.join("wit/step.wit"), CONTRACT)?;
    write(&folder.join("tests/check.kdl"), CASES)?;
    let made: Vec<&str> = template.files.iter().map(|(path, _)| *path).filter(|path| !path.starts_with('.')).collect();
    print::tell(&format!("made {}/  {}  wit/step.wit  tests/check.kdl\n\n", folder.display(), made.join("  ")));
    print::tell(&format!("  once:  {}{}\n", within(template, folder), template.once));
    print::tell(&format!("  then:  engine step test {}\n", folder.display()));
    Ok(Exit::Done)
}

/// The tools of some languages work in the project's folder.
fn within(template: &Template, folder: &Path) -> String {
    match template.language {
        "rust" | "go" => String::new(),
        _ => format!("cd {} && ", folder.display()),
    }
}

fn template(language: &str) -> Result<&'static Template, CliError> {
    if let Some(found) = TEMPLATES.iter().find(|template| template.language == language) {
        return Ok(found);
    }
    let languages: Vec<&str> = TEMPLATES.iter().map(|template| template.language).collect();
    let error =
        CliError::new(Exit::Usage, format!("there is no template for `{language}`")).code("A022").hint(format!(
            "there is {}; any other language that makes components of wit/step.wit works too, without a template",
            languages.join(", ")
        ));
    Err(match nearest(language, languages) {
        Some(near) => error.hint(format!("did you mean `--lang {near}`?")),
        None => error,
    })
}

/// The last part of the path, which names packages: what all languages take.
fn name(folder: &Path) -> Result<&str, CliError> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_fit = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if is_fit {
        return Ok(name);
    }
    Err(CliError::new(Exit::Usage, format!("`{name}` cannot name a step"))
        .code("A021")
        .hint("use lower-case letters, digits and `-`, beginning with a letter: `engine step new dns-check`"))
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, text));
    made.map_err(|error| {
        CliError::new(Exit::Usage, format!("{} cannot be written", path.display())).code("A023").caused_by(Some(&error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(lang: &str, name: &Path) -> Result<Exit, CliError> {
        new(&NewArgs { name: name.to_owned(), lang: lang.to_owned() })
    }

    #[test]
    fn every_language_gets_a_project_with_the_contract_and_cases() {
        let folder = tempfile::tempdir().unwrap();
        for template in &TEMPLATES {
            let project = folder.path().join(format!("my-{}", template.language));
            assert_eq!(made(template.language, &project).unwrap(), Exit::Done);
            assert_eq!(std::fs::read_to_string(project.join("wit/step.wit")).unwrap(), CONTRACT);
            for (path, _) in template.files {
                let text = std::fs::read_to_string(project.join(path)).unwrap();
                assert!(
                    !["@NAME@", "@FAMILY@", "@FILE@", "@CRATE@"].iter().any(|mark| text.contains(mark)),
                    "{path}: {text}"
                );
            }
        }
    }

    #[test]
    fn what_cannot_be_made_is_refused_and_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |lang: &str, name: &str| made(lang, &folder.path().join(name)).unwrap_err();
        let unknown = refused("cobol", "a");
        assert_eq!(unknown.code.as_deref(), Some("A022"));
        assert!(unknown.hints[0].contains("rust, js, python, go"), "{:?}", unknown.hints);
        assert!(refused("pyhton", "a").hints.iter().any(|hint| hint.contains("--lang python")));
        assert_eq!(refused("rust", "Bad Name").code.as_deref(), Some("A021"));
        std::fs::create_dir(folder.path().join("there")).unwrap();
        assert_eq!(refused("rust", "there").code.as_deref(), Some("A020"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
