//! `engine step inspect [FILE.wasm]`

use serde_json::json;
use steps_sdk::grant::{Ask, Permission};

use super::args::InspectArgs;
use super::open::{self, Opened};
use crate::cli::args::Form;
use crate::cli::config::Config;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::{Roof, print, session};
use crate::oci::Network;
use crate::report::explain::{self, Topic};
use crate::report::line::Line;
use crate::report::look::{Look, Style};
use crate::report::sheet::Sheet;

pub fn inspect(args: &InspectArgs, config: &Config, roof: &Roof) -> Result<Exit, CliError> {
    let workshop = session::workshop(roof, config, Network::Offline);
    let opened = open::open(open::path_of(&args.what, config)?, &workshop)?;
    let text = match args.output {
        Form::Text => text(&opened, &config.stdout),
        Form::Json => format!("{}\n", json(&opened)),
    };
    print::data(&text).map_err(|e| CliError::unexpected(&e))?;
    Ok(Exit::Done)
}

pub(super) fn text(opened: &Opened, look: &Look) -> String {
    let description = &opened.description;
    let mut sheet = Sheet::new(look);
    sheet.push(Line::new().with(Style::Strong, opened.path.display().to_string()));
    sheet.labelled("digest", Style::Normal, &format!("sha256:{}", description.digest));
    sheet.labelled("size", Style::Normal, &size(description.size));
    sheet.labelled("contract", Style::Normal, &description.wit);
    sheet.labelled("imports", Style::Normal, &imports(&description.imports));
    for spec in opened.kinds.specs() {
        for ask in &spec.asks {
            sheet.labelled("asks", Style::Normal, &format!("{} for {}: {}", asked(ask), spec.kind, ask.why));
        }
    }
    if opened.kinds.specs().all(|spec| spec.asks.is_empty()) {
        sheet.labelled("asks", Style::Normal, "nothing: it computes");
    }
    sheet.gap();
    let mut text = sheet.render();
    for spec in opened.kinds.specs() {
        text.push_str(&explain::text(&Topic::Kind(spec), look));
        text.push('\n');
    }
    text
}

pub(super) fn json(opened: &Opened) -> serde_json::Value {
    let kinds: Vec<serde_json::Value> = opened
        .kinds
        .specs()
        .map(|spec| {
            let mut kind = explain::json(&Topic::Kind(spec));
            kind["asks"] = spec.asks.iter().map(|ask| json!({ "what": ask.what, "why": ask.why })).collect();
            kind
        })
        .collect();
    let description = &opened.description;
    json!({
        "schema": "engine.component/v1", "path": opened.path, "digest": description.digest, "size": description.size,
        "contract": description.wit, "imports": description.imports, "kinds": kinds,
    })
}

/// `1620480 bytes (1.5 MiB)`
pub fn size(bytes: u64) -> String {
    match bytes {
        small if small < 1 << 20 => format!("{bytes} bytes ({} KiB)", small >> 10),
        large => format!("{bytes} bytes ({}.{} MiB)", large >> 20, (large % (1 << 20)) * 10 / (1 << 20)),
    }
}

/// Of the contract by their short names; others whole.
pub fn imports(names: &[String]) -> String {
    let short: Vec<&str> = names
        .iter()
        // The contract's types are no power.
        .filter(|name| !name.starts_with("engine:step/types@"))
        .map(|name| match name.strip_prefix("engine:step/") {
            Some(rest) => rest.split('@').next().unwrap_or(rest),
            None => name.as_str(),
        })
        .collect();
    if short.is_empty() { "nothing".to_owned() } else { short.join(", ") }
}

/// What is asked for, as a grant of a file would say it.
pub fn asked(ask: &Ask) -> String {
    match &ask.what {
        Permission::Http { origin, methods, path } => {
            let place = origin.as_deref().unwrap_or("a server of your choice");
            format!("http {} {place}{}", methods.join(" "), path.as_deref().unwrap_or_default())
        }
        Permission::Kubernetes { verbs, kinds } => {
            let verbs: Vec<&str> = verbs.iter().map(|verb| verb.word()).collect();
            format!("k8s {} {}", verbs.join(" "), kinds.join(", "))
        }
        Permission::Dns { domains } if domains.is_empty() => "dns any name".to_owned(),
        Permission::Dns { domains } => format!("dns {}", domains.join(", ")),
    }
}
