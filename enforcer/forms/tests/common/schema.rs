//! OCSF 1.7.0 as far as records use it: a checker over `facts/ocsf-1.7.0.json`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{members, texts};

/// Everything that is wrong with a record, one line a fault.
pub fn faults(facts: &Value, record: &Value) -> Vec<String> {
    let mut checker = Checker {
        facts,
        profiles: texts(&record["metadata"]["profiles"]),
        faults: Vec::new(),
    };
    let class = record["class_uid"].to_string();
    match facts["classes"].get(&class) {
        None => checker.fault("class_uid", "is no class in the facts"),
        Some(class) => checker.thing(class, record, "", true),
    }
    if record["metadata"]["version"] != facts["version"] {
        checker.fault("metadata.version", "is another version");
    }
    let kind = record["class_uid"]
        .as_u64()
        .zip(record["activity_id"].as_u64());
    if record["type_uid"].as_u64() != kind.map(|(class, activity)| class * 100 + activity) {
        checker.fault("type_uid", "is not class_uid * 100 + activity_id");
    }
    let known: BTreeSet<&str> = members(&facts["profiles"])
        .keys()
        .map(String::as_str)
        .collect();
    for profile in checker.profiles.clone() {
        if !known.contains(profile) {
            checker.fault(
                "metadata.profiles",
                &format!("names {profile}, which is no profile"),
            );
        }
    }
    checker.faults
}

struct Checker<'a> {
    facts: &'a Value,
    profiles: BTreeSet<&'a str>,
    faults: Vec<String>,
}

impl Checker<'_> {
    fn fault(&mut self, path: &str, what: &str) {
        self.faults.push(format!("{path}: {what}"));
    }

    /// A class (`top`) or an object.
    fn thing(&mut self, facts: &Value, value: &Value, path: &str, top: bool) {
        let Some(found) = value.as_object() else {
            return self.fault(path, "is not an object");
        };
        let attributes = members(&facts["attributes"]);
        for (name, item) in found {
            let path = format!("{path}.{name}");
            match attributes.get(name) {
                None => self.fault(&path, "1.7.0 has no such attribute"),
                Some(spec) => {
                    let profile = spec["profile"].as_str();
                    if top && profile.is_some_and(|profile| !self.profiles.contains(profile)) {
                        self.fault(&path, "needs a profile that the record does not name");
                    }
                    self.attribute(spec, item, &path);
                }
            }
        }
        for (name, spec) in attributes {
            if spec["required"] == true && spec["profile"].is_null() && !found.contains_key(name) {
                self.fault(&format!("{path}.{name}"), "is required");
            }
        }
        let wanted = texts(&facts["at_least_one"]);
        if !wanted.is_empty() && !wanted.iter().any(|name| found.contains_key(*name)) {
            self.fault(path, &format!("needs one of {wanted:?}"));
        }
    }

    fn attribute(&mut self, spec: &Value, value: &Value, path: &str) {
        if spec["array"] != true {
            return self.value(spec, value, path);
        }
        match value.as_array() {
            None => self.fault(path, "is not an array"),
            Some(items) => items.iter().for_each(|item| self.value(spec, item, path)),
        }
    }

    fn value(&mut self, spec: &Value, value: &Value, path: &str) {
        if spec["enum"]
            .as_array()
            .is_some_and(|members| !members.contains(value))
        {
            self.fault(path, &format!("{value} is no member of the enum"));
        }
        let kind = spec["type"].as_str().expect("a type");
        if let Some(object) = self.facts["objects"].get(kind) {
            return self.thing(object, value, path, false);
        }
        match self.base(kind) {
            Some(fits) if fits(value) => {}
            Some(_) => self.fault(path, &format!("{value} is not {kind}")),
            None => self.fault(path, &format!("is of {kind}, which is not in the facts")),
        }
        let range = &self.facts["types"][kind]["range"];
        if let Some((low, high)) = range[0].as_i64().zip(range[1].as_i64())
            && !value.as_i64().is_some_and(|n| (low..=high).contains(&n))
        {
            self.fault(path, &format!("{value} is out of range"));
        }
    }

    /// What values of a type are, by the type that it is made of.
    fn base(&self, kind: &str) -> Option<fn(&Value) -> bool> {
        Some(match kind {
            "object" | "json_t" => |_| true,
            "string_t" => Value::is_string,
            "boolean_t" => Value::is_boolean,
            "integer_t" | "long_t" => Value::is_i64,
            "float_t" => Value::is_number,
            _ => {
                let facts = self.facts["types"].get(kind)?;
                return self.base(facts["type"].as_str().unwrap_or("string_t"));
            }
        })
    }
}
