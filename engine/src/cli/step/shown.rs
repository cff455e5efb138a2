//! What `step publish` and `step pull` tell of a component, and the line to paste.

use engine_core::id::Digest;
use engine_core::workflow::{Address, NotAnAddress};

use super::inspect;
use super::open::Opened;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::oci::OciError;
use crate::report::line::Line;
use crate::report::look::{Look, Style};
use crate::report::sheet::Sheet;

pub fn text(opened: &Opened, pinned: &Address, tagged: Option<&Address>, digest: &Digest, look: &Look) -> String {
    let description = &opened.description;
    let mut sheet = Sheet::new(look);
    sheet.push(Line::new().with(Style::Strong, opened.path.display().to_string()));
    let family = &opened.kinds.family;
    let kinds: Vec<String> = opened.kinds.specs().map(|spec| spec.kind.to_string()).collect();
    sheet.labelled("kinds", Style::Normal, &kinds.join(", "));
    let mut asks_nothing = true;
    for spec in opened.kinds.specs() {
        for ask in &spec.asks {
            asks_nothing = false;
            sheet.labelled("asks", Style::Normal, &format!("{} for {}: {}", inspect::asked(ask), spec.kind, ask.why));
        }
    }
    if asks_nothing {
        sheet.labelled("asks", Style::Normal, "nothing: it computes");
    }
    sheet.labelled("size", Style::Normal, &inspect::size(description.size));
    if let Some(tagged) = tagged {
        sheet.labelled_as_is("tag", &tagged.to_string());
    }
    sheet.labelled_as_is("digest", &format!("sha256:{digest}"));
    // As it is pasted: not wrapped, not indented.
    format!("{}\nuse \"{pinned}\" as={family}\n", sheet.render())
}

/// Nothing was changed by any of these.
pub fn failed(error: &OciError) -> CliError {
    let exit = match error {
        OciError::Cache { .. } => Exit::State,
        OciError::NotHere { .. } | OciError::NotAComponent { .. } => Exit::Invalid,
        OciError::Unreachable { .. }
        | OciError::Denied { .. }
        | OciError::Absent { .. }
        | OciError::OtherBytes { .. }
        | OciError::TooLarge { .. }
        | OciError::Answer { .. }
        | OciError::Credentials { .. }
        | OciError::NotReady { .. } => Exit::Preflight,
    };
    CliError::of(exit, error)
}

pub fn not_an_address(error: NotAnAddress) -> CliError {
    CliError::new(Exit::Usage, error.message).hint(error.help)
}
