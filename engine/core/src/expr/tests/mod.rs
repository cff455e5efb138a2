//! Tests of the whole room, as tables: a text and what it gives.

mod checking;
mod evaluating;
mod oracle;
mod parsing;
mod referring;
mod templates;

use std::ops::Range;

/// `«…»` in the text marks the part that is to be told; without marks, nothing is.
fn marked(text: &str) -> (String, Option<Range<usize>>) {
    let Some(start) = text.find('«') else { return (text.to_owned(), None) };
    let end = text.find('»').expect("a mark is closed") - '«'.len_utf8();
    (text.replace(['«', '»'], ""), Some(start..end))
}

#[test]
fn an_expression_can_be_shared_between_threads() {
    fn shared<T: Clone + Send + Sync>() {}
    shared::<super::Expr>();
    shared::<super::Template>();
}

#[test]
fn every_function_that_is_called_by_its_name_is_reserved_as_one() {
    for function in super::functions::TABLE {
        assert_eq!(
            super::FUNCTIONS.contains(&function.name),
            function.form != super::functions::Form::Member,
            "{}",
            function.name
        );
    }
}
