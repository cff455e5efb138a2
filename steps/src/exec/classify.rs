//! What a failure of a program means: the family's one table.
//!
//! | what happened | code | class |
//! |---|---|---|
//! | the program, or its directory, is not there or may not be started | X510 | permanent, nothing was started |
//! | the operating system has no room for another process | X510 | transient, nothing was started |
//! | it ended with another exit code than expected | X511 | permanent |
//! | it was ended by a signal | X512 | permanent |
//! | its output is not JSON | X513 | permanent |
//! | its output is too long to be JSON that is used | X514 | permanent |
//! | what an earlier attempt started cannot be ended | X515 | needs a person |
//! | it was stopped | X516 | transient |

use std::io;

use steps_sdk::StepError;

/// The failures of this family.
#[derive(Debug)]
pub enum Trouble {
    NotFound {
        program: String,
        help: String,
    },
    Start {
        program: String,
        error: io::Error,
    },
    Exit {
        program: String,
        code: i32,
        expected: i32,
        last_words: Vec<String>,
    },
    Signal {
        program: String,
        signal: i32,
        last_words: Vec<String>,
    },
    NotJson {
        program: String,
        error: serde_json::Error,
    },
    TooLong {
        program: String,
        limit: usize,
    },
    Survivor {
        program: String,
        pid: i32,
    },
    Stopped {
        program: String,
    },
    /// The operating system does not say what is known of processes and files of its own.
    System {
        deed: &'static str,
        error: io::Error,
    },
}

impl From<Trouble> for StepError {
    fn from(trouble: Trouble) -> StepError {
        match trouble {
            Trouble::NotFound { program, help } => {
                StepError::permanent("X510", format!("cannot start `{program}`")).help(help).not_started()
            }
            Trouble::Start { program, error } => StepError::transient("X510", format!("cannot start `{program}`"))
                .caused_by(&error)
                .help("the operating system's own words stand in the cause")
                .not_started(),
            Trouble::Exit { program, code, expected, last_words } => with_last_words(
                StepError::permanent(
                    "X511",
                    format!("`{program}` ended with exit code {code}, expected was {expected}"),
                )
                .help("the step's log has all that it said; another code can be expected with `expect-exit`"),
                last_words,
            ),
            Trouble::Signal { program, signal, last_words } => with_last_words(
                StepError::permanent("X512", format!("`{program}` was ended by signal {signal}"))
                    .help("signal 9 without a hint in the log is most often the kernel, out of memory"),
                last_words,
            ),
            Trouble::NotJson { program, error } => {
                StepError::permanent("X513", format!("the output of `{program}` is not JSON"))
                    .caused_by(&error)
                    .help("see the step's log; many programs need a flag for it, and must print nothing else on stdout")
            }
            Trouble::TooLong { program, limit } => StepError::permanent(
                "X514",
                format!("the output of `{program}` is longer than {limit} bytes and cannot be used as JSON"),
            )
            .help("let the program print less, or write to a file"),
            Trouble::Survivor { program, pid } => {
                StepError::needs_person("X515", format!("`{program}` still runs as process {pid} and cannot be ended"))
                    .help(format!("see why with `ps -o stat,wchan -p {pid}`; when it is gone, resume"))
            }
            Trouble::Stopped { program } => StepError::transient("X516", format!("`{program}` was stopped")),
            Trouble::System { deed, error } => StepError::transient("X503", format!("cannot {deed}"))
                .caused_by(&error)
                .help("the operating system's own words stand in the cause"),
        }
    }
}

fn with_last_words(error: StepError, last_words: Vec<String>) -> StepError {
    last_words.into_iter().fold(error, |error, line| error.cause(line))
}
