//! Generated workflows of `value.set`, the cheapest step there is.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

/// Every step takes the value of the one before it.
pub fn chain(place: &Path, steps: usize) -> io::Result<PathBuf> {
    let mut text = String::from("workflow chain\n");
    for i in 0..steps {
        let value = if i == 0 { "0".to_owned() } else { format!("\"${{s{}.n}}\"", i - 1) };
        writeln!(text, "step s{i} uses=value.set {{ n {value} }}").expect("writing to a string does not fail");
    }
    write(place, &format!("chain-{steps}.kdl"), &text)
}

/// A chain of `policy.check`, the custom step that only computes.
pub fn chain_of_guests(place: &Path, steps: usize, component: &Path) -> io::Result<PathBuf> {
    let mut text = format!("workflow guests\nuse \"{}\" as=policy\n", component.display());
    for i in 0..steps {
        let needs = if i == 0 { String::new() } else { format!(" needs=s{}", i - 1) };
        writeln!(
            text,
            "step s{i} uses=policy.check{needs} {{ object apiVersion=v1 kind=ConfigMap {{ metadata name=c{i} }} }}"
        )
        .expect("writing to a string does not fail");
    }
    write(place, &format!("guests-{steps}.kdl"), &text)
}

/// Steps that need nothing.
pub fn wide(place: &Path, steps: usize, parallel: usize) -> io::Result<PathBuf> {
    let mut text = format!("workflow wide {{ limits parallel={parallel} }}\n");
    for i in 0..steps {
        writeln!(text, "step s{i} uses=value.set {{ n {i} }}").expect("writing to a string does not fail");
    }
    write(place, &format!("wide-{steps}.kdl"), &text)
}

fn write(place: &Path, name: &str, text: &str) -> io::Result<PathBuf> {
    let path = place.join(name);
    std::fs::write(&path, text)?;
    Ok(path)
}
