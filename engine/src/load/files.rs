//! Files within limits: one, all of a directory, or those that a pattern names.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use engine_core::diagnostic::Source;
use engine_core::limits::{MANIFEST_BYTES_MAX, MANIFEST_FILES_MAX, SOURCE_BYTES_MAX};

use super::LoadError;

/// The workflow's own file.
pub(super) fn read(path: &Path) -> Result<Source, LoadError> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|source| LoadError::Unreadable { name: name.clone(), source })?;
    read_stream(&name, file)
}

pub(super) fn read_stream(name: &str, stream: impl Read) -> Result<Source, LoadError> {
    let bytes =
        bounded(stream, SOURCE_BYTES_MAX).map_err(|source| LoadError::Unreadable { name: name.to_owned(), source })?;
    let bytes = bytes.ok_or_else(|| LoadError::TooLarge { name: name.to_owned() })?;
    let text = String::from_utf8(bytes)
        .map_err(|error| LoadError::NotText { name: name.to_owned(), at: error.utf8_error().valid_up_to() })?;
    Ok(Source { name: name.to_owned(), text })
}

/// The YAML files that a path stands for, sorted by name. The error reads after "cannot be read: ".
pub(super) fn read_all(folder: &Path, written: &str) -> Result<Vec<(PathBuf, Source)>, String> {
    let paths = find(folder, written)?;
    if paths.len() > MANIFEST_FILES_MAX {
        return Err(format!("it stands for {} files, at most {MANIFEST_FILES_MAX} are read", paths.len()));
    }
    let mut left = MANIFEST_BYTES_MAX;
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let name = path.display().to_string();
        let bytes =
            File::open(&path).and_then(|file| bounded(file, left)).map_err(|error| format!("{name}: {error}"))?;
        let bytes =
            bytes.ok_or_else(|| format!("its files are larger than {} MiB together", MANIFEST_BYTES_MAX >> 20))?;
        left -= bytes.len();
        let text = String::from_utf8(bytes).map_err(|error| {
            format!("{name} is not text in UTF-8: byte {} is no part of a character", error.utf8_error().valid_up_to())
        })?;
        files.push((path, Source { name, text }));
    }
    Ok(files)
}

/// `None` when there is more than `max`; no more than that is ever held.
fn bounded(stream: impl Read, max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    stream.take(max as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= max).then_some(bytes))
}

fn find(folder: &Path, written: &str) -> Result<Vec<PathBuf>, String> {
    let path = folder.join(written);
    let pattern =
        Path::new(written).file_name().and_then(|name| name.to_str()).filter(|name| name.contains(['*', '?']));
    let found = if let Some(pattern) = pattern {
        let parent = path.parent().unwrap_or(folder);
        if parent.to_string_lossy().contains(['*', '?']) {
            return Err("`*` and `?` may stand in the last part of a path only".to_owned());
        }
        listed(parent, |name| matches(pattern, name))?
    } else if path.is_dir() {
        listed(&path, |name| [".yaml", ".yml", ".json"].iter().any(|ending| name.ends_with(ending)))?
    } else if path.exists() {
        vec![path]
    } else {
        return Err("there is no such file".to_owned());
    };
    if found.is_empty() { Err("no file there fits".to_owned()) } else { Ok(found) }
}

fn listed(folder: &Path, fits: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, String> {
    // A bare file name has the empty path as its parent, which no call opens.
    let opened = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = fs::read_dir(opened).map_err(|error| format!("{}: {error}", opened.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| format!("{}: {error}", opened.display()))?;
        let name = entry.file_name();
        let path = folder.join(&name);
        if name.to_str().is_some_and(|name| !name.starts_with('.') && fits(name)) && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// `*` stands for any characters, `?` for one.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // The position after the last `*`, and how far it has eaten: on a mismatch it eats one more.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p + 1, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((after, eaten)) => {
                    star = Some((after, eaten + 1));
                    p = after;
                    n = eaten + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_stand_for_names() {
        for (pattern, name, wanted) in [
            ("*.yaml", "a.yaml", true),
            ("*.yaml", "a.yml", false),
            ("crd-??.yaml", "crd-01.yaml", true),
            ("crd-??.yaml", "crd-1.yaml", false),
            ("*a*b", "xaxxab", true),
            ("*a*b", "xaxxabc", false),
            ("*", "anything", true),
            ("a", "a", true),
            ("a*", "b", false),
        ] {
            assert_eq!(matches(pattern, name), wanted, "{pattern} {name}");
        }
    }
}
