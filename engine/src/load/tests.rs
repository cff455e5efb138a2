//! What `load` reads, and what it says when it cannot.

use std::fs;

use super::*;

fn registry() -> Registry {
    Registry::new([])
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_and_not_a_problem_in_it() {
    let room = tempfile::tempdir().unwrap();
    let path = |name: &str| room.path().join(name).display().to_string();
    fs::write(path("binary.kdl"), b"workflow a\n\xff").unwrap();
    fs::write(path("large.kdl"), vec![b' '; SOURCE_BYTES_MAX + 1]).unwrap();
    assert!(matches!(load(&path("absent.kdl"), &registry()), Err(LoadError::Unreadable { .. })));
    assert!(matches!(load(&path("binary.kdl"), &registry()), Err(LoadError::NotText { at: 11, .. })));
    assert!(matches!(load(&path("large.kdl"), &registry()), Err(LoadError::TooLarge { .. })));
}

#[test]
fn a_path_stands_for_a_file_a_directory_or_the_files_of_a_pattern() {
    let room = tempfile::tempdir().unwrap();
    for name in ["b.yaml", "a.yml", "c.json", "notes.txt", ".hidden.yaml"] {
        fs::write(room.path().join(name), "a: 1\n").unwrap();
    }
    fs::create_dir(room.path().join("sub")).unwrap();
    let names = |written: &str| -> Result<Vec<String>, String> {
        let found = files::read_all(room.path(), written)?;
        Ok(found.into_iter().map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned()).collect())
    };
    assert_eq!(names("b.yaml").unwrap(), ["b.yaml"]);
    assert_eq!(names(".").unwrap(), ["a.yml", "b.yaml", "c.json"]);
    assert_eq!(names("*.y*ml").unwrap(), ["a.yml", "b.yaml"]);
    assert!(names("absent.yaml").unwrap_err().contains("no such file"));
    assert!(names("sub").unwrap_err().contains("no file there fits"));
    assert!(names("*/a.yml").is_err());
}
