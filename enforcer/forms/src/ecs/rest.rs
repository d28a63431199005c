//! What of a record is not written yet.
#![forbid(unsafe_code)]

use serde_json::Value;

use super::Fields;
use crate::head::at;

/// Where what is left of an attribute goes below `enforcer.`: the first that fits.
const RENAMED: [(&str, &str); 4] = [
    ("unmapped.", ""),
    ("actor.process.ancestry", "ancestry"),
    ("actor.session.", "session."),
    ("process.", "target."),
];

/// A record from which attributes are taken as they are written.
pub struct Rest(Value);

impl Rest {
    pub fn of(record: &Value) -> Self {
        Self(record.clone())
    }

    /// Takes what stands at a path; what is empty then is no longer there.
    pub fn take(&mut self, path: &str) -> Option<Value> {
        take(&mut self.0, path)
    }

    pub fn get(&self, path: &str) -> Option<&Value> {
        at(&self.0, path)
    }

    pub fn text(&self, path: &str) -> Option<&str> {
        self.get(path).and_then(Value::as_str)
    }

    pub fn number(&self, path: &str) -> Option<u64> {
        self.get(path).and_then(Value::as_u64)
    }

    /// Writes all that is left.
    pub fn write(self, fields: &mut Fields) {
        write(&self.0, "", fields);
    }
}

fn take(value: &mut Value, path: &str) -> Option<Value> {
    let members = value.as_object_mut()?;
    let Some((name, below)) = path.split_once('.') else {
        return members.remove(path);
    };
    let member = members.get_mut(name)?;
    let taken = take(member, below);
    if member.as_object().is_some_and(serde_json::Map::is_empty) {
        members.remove(name);
    }
    taken
}

/// Arrays stay whole: flattened, it would no longer be told which of their members belong together.
fn write(value: &Value, path: &str, fields: &mut Fields) {
    if let Value::Object(members) = value {
        for (name, member) in members {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            write(member, &path, fields);
        }
    } else if !path.is_empty() {
        fields.put_own(&renamed(path), value.clone());
    }
}

fn renamed(path: &str) -> String {
    RENAMED
        .iter()
        .find_map(|(from, to)| path.strip_prefix(from).map(|left| format!("{to}{left}")))
        .unwrap_or_else(|| path.to_owned())
}
