//! YAML files that a step names: parsed first, then `${…}` is looked for inside their scalar values only.
//!
//! So there is no indentation trick and nothing that a value could inject. Reading the files is the shell's part; here they are text.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use steps_sdk::Value;
use steps_sdk::schema::{Schema, Shape};

use super::decode::Decoder;
use super::fields::parse_problem;
use super::written::{Content, Formula, Written};
use crate::diagnostic::{Place, Problem, Source, SourceId, Spanned};
use crate::expr::Template;
use crate::limits::NESTING_MAX;

/// The documents of the file (or of the files) as a list; a file that is not at hand is asked for.
pub(super) fn written(decoder: &mut Decoder<'_>, path: &Spanned<String>, what: &str) -> Written {
    let mut documents = Vec::new();
    match decoder.files.read.get(&(path.at.source, path.value.clone())) {
        None => decoder.wanted_files.push(path.clone()),
        Some(Err(reason)) => {
            let problem = Problem::error("L239", path.at, format!("`{}` cannot be read: {reason}", path.value));
            decoder.problems.push(problem.help("paths are relative to the file that names them"));
        }
        Some(Ok(files)) => {
            for (id, source) in files {
                match parse(source) {
                    Ok(parsed) => documents.extend(
                        parsed
                            .iter()
                            .filter(|yaml| !yaml.value.is_null())
                            .map(|yaml| Reader { decoder, id: *id, text: &source.text, what }.value(yaml)),
                    ),
                    Err(failure) => decoder.problems.push(failure.problem(*id, path)),
                }
            }
        }
    }
    Written::new(Content::List(documents), path.at)
}

/// YAML with places.
enum Yaml {
    Scalar(Value),
    List(Vec<serde_saphyr::Spanned<Yaml>>),
    Map(Vec<(String, serde_saphyr::Spanned<Yaml>)>),
}

impl Yaml {
    fn is_null(&self) -> bool {
        matches!(self, Yaml::Scalar(Value::Null))
    }
}

struct Failure {
    message: String,
    place: Option<(usize, usize)>,
}

impl Failure {
    fn problem(self, id: SourceId, path: &Spanned<String>) -> Problem {
        let message = format!("`{}` is not valid YAML: {}", path.value, self.message);
        match self.place {
            Some((start, end)) => {
                Problem::error("L239", Place::new(id, start, end), message).related(path.at, "named here")
            }
            None => Problem::error("L239", path.at, message),
        }
    }
}

fn parse(source: &Source) -> Result<Vec<serde_saphyr::Spanned<Yaml>>, Failure> {
    // Kubernetes reads YAML 1.1: `mode: 0644` is the octal number that people mean.
    let options = serde_saphyr::options! {
        legacy_octal_numbers: true,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_depth: NESTING_MAX },
    };
    serde_saphyr::from_multiple_with_options(&source.text, options).map_err(|error| {
        let place = error.location().and_then(|location| bytes(&location, &source.text));
        Failure { message: error.to_string(), place }
    })
}

/// Bytes of a place in the file. The parser gives errors by line and column only.
fn bytes(location: &serde_saphyr::Location, text: &str) -> Option<(usize, usize)> {
    let span = location.span();
    if let (Some(start), Some(length)) = (span.byte_offset(), span.byte_len()) {
        let start = usize::try_from(start).ok()?;
        return Some((start, start + usize::try_from(length).ok()?.max(1)));
    }
    let line = usize::try_from(location.line()).ok()?.checked_sub(1)?;
    let column = usize::try_from(location.column()).ok()?.checked_sub(1)?;
    let line_start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let start = text[line_start..].char_indices().nth(column).map_or(text.len(), |(offset, _)| line_start + offset);
    let length = text[start..].chars().next().map_or(0, char::len_utf8);
    Some((start, start + length))
}

struct Reader<'r, 'a> {
    decoder: &'r mut Decoder<'a>,
    id: SourceId,
    text: &'r str,
    what: &'r str,
}

impl Reader<'_, '_> {
    fn value(&mut self, yaml: &serde_saphyr::Spanned<Yaml>) -> Written {
        let (start, end) = bytes(&yaml.referenced, self.text).unwrap_or((0, 0));
        let at = Place::new(self.id, start, end);
        match &yaml.value {
            Yaml::Scalar(Value::String(text)) => self.text(text, at),
            Yaml::Scalar(value) => Written::literal(value.clone(), at),
            Yaml::List(items) => Written::new(Content::List(items.iter().map(|item| self.value(item)).collect()), at),
            Yaml::Map(fields) => Written::new(
                Content::Map(fields.iter().map(|(name, field)| (name.clone(), self.value(field))).collect()),
                at,
            ),
        }
    }

    fn text(&mut self, text: &str, at: Place) -> Written {
        match Template::parse(text) {
            Ok(template) => match template.literal() {
                Some(literal) => Written::literal(Value::String(literal.to_owned()), at),
                None => {
                    let wants = self.decoder.wanted(&Schema::of(Shape::Any), self.what);
                    Written::new(Content::Formula(Formula::in_file(template, at, wants)), at)
                }
            },
            Err(error) => {
                let problem = parse_problem(error, |_| at);
                let help = problem.help.clone().map(|help| format!("{help}; ")).unwrap_or_default();
                self.decoder
                    .problems
                    .push(problem.help(format!("{help}where `${{` is meant as it stands, write `$${{`")));
                Written::literal(Value::Null, at)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Yaml, D::Error> {
        deserializer.deserialize_any(YamlVisitor)
    }
}

struct YamlVisitor;

impl<'de> Visitor<'de> for YamlVisitor {
    type Value = Yaml;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Yaml, E> {
        Ok(Yaml::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Yaml, E> {
        Ok(Yaml::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Yaml, E> {
        Ok(Yaml::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Yaml, E> {
        Ok(Yaml::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Yaml, E> {
        Ok(Yaml::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Yaml, D::Error> {
        Yaml::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Yaml, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Yaml::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Yaml, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Yaml::Map(fields))
    }
}
