//! What holds of every form.

mod common;

use std::fs;

use common::{path, records};
use enforcer_forms::{Form, render};
use serde_json::Value;

#[test]
fn as_it_is_a_record_is_the_logs_line_byte_for_byte() {
    let text = fs::read_to_string(path("records.jsonl")).expect("the records");
    for (line, record) in text.lines().zip(records()) {
        assert_eq!(render(Form::Ocsf, &record).as_deref(), Ok(line));
    }
}

#[test]
fn every_record_has_every_form_in_one_line_and_the_json_forms_are_json() {
    for record in records() {
        for form in Form::ALL {
            let line = render(form, &record).expect("a record");
            assert!(!line.contains(['\n', '\r']), "{form}: {line}");
            let json: Result<Value, _> = serde_json::from_str(&line);
            assert_eq!(json.is_ok(), form.is_json(), "{form}: {line}");
        }
    }
}
