//! The forms of `enforcer-forms`, as a sink's `format` names them.
#![forbid(unsafe_code)]

use std::sync::Arc;

use enforcer_forms::Form;
use enforcer_sinks::{AsRecorded, Form as Made, Record, Render};

/// Every form; the first is the default.
const FORMS: [Form; 4] = [Form::Ocsf, Form::Ocsf17, Form::Ecs, Form::Cef];

/// The forms by name, and what each makes.
pub fn names() -> [(&'static str, Made); 4] {
    FORMS.map(|form| (form.name(), made(form)))
}

/// The renderer of this name.
pub fn render(name: &str) -> Option<Arc<dyn Render>> {
    let form: Form = name.parse().ok()?;
    Some(match form {
        // The log's line is that form, byte for byte.
        Form::Ocsf => Arc::new(AsRecorded),
        Form::Ocsf17 | Form::Ecs | Form::Cef => Arc::new(Rendered(form)),
    })
}

fn made(form: Form) -> Made {
    if form.is_json() {
        Made::Object
    } else {
        Made::Text
    }
}

struct Rendered(Form);

impl Render for Rendered {
    fn form(&self) -> Made {
        made(self.0)
    }

    fn render(&self, record: &Record) -> Result<Vec<u8>, String> {
        enforcer_forms::render(self.0, record.value())
            .map(String::into_bytes)
            .map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_has_its_renderer() {
        for (name, made) in names() {
            assert_eq!(
                render(name).map(|render| render.form()),
                Some(made),
                "{name}"
            );
        }
        assert!(render("xml").is_none());
    }
}
