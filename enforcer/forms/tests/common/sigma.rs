//! The part of Sigma that our rules use, carried out: what is not of that part is no rule here.
//!
//! Maps are conjunctions, lists alternatives; modifiers `startswith`, `endswith`, `contains`; text is
//! compared without regard to case, as the specification says; conditions with `and`, `or`, `not`,
//! parentheses, `1 of NAME*` and `all of NAME*`; correlations `event_count` and `value_count`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::{Map, Value};
use yaml_rust2::{Yaml, YamlLoader};

/// One file: a rule, and a correlation over it where there is one.
pub struct Rules {
    pub rule: Value,
    pub correlation: Option<Value>,
}

impl Rules {
    pub fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).expect("a rule");
        let documents = YamlLoader::load_from_str(&text).expect("YAML");
        let mut documents = documents.iter().map(json);
        let rule = documents.next().expect("a rule");
        let correlation = documents.next();
        assert!(
            documents.next().is_none(),
            "a rule and a correlation at most"
        );
        Self { rule, correlation }
    }

    /// Whether the rule, without its correlation, holds of a record.
    pub fn matches(&self, record: &Value) -> bool {
        let mut detections = self.rule["detection"]
            .as_object()
            .expect("a detection")
            .clone();
        let condition = detections.remove("condition").expect("a condition");
        let condition = condition.as_str().expect("text");
        let mut words = Words::of(condition);
        let holds = words.alternatives(&detections, record);
        assert!(
            words.0.is_empty(),
            "what follows in `{condition}` is not understood"
        );
        holds
    }

    /// The groups of which the correlation holds, of records in the order of their times.
    pub fn correlated(&self, records: &[Value]) -> BTreeSet<String> {
        let correlation = &self.correlation.as_ref().expect("a correlation")["correlation"];
        assert_eq!(
            correlation["rules"],
            Value::from(vec![self.rule["name"].clone()])
        );
        let span = milliseconds(correlation["timespan"].as_str().expect("a span"));
        let wanted = correlation["condition"]["gte"].as_u64().expect("a number");
        let groups = correlation["group-by"].as_array().expect("fields");
        let mut seen: BTreeMap<String, Vec<(i64, String)>> = BTreeMap::new();
        let mut found = BTreeSet::new();
        for record in records.iter().filter(|record| self.matches(record)) {
            let group: Vec<String> = groups
                .iter()
                .map(|field| one(record, field.as_str().expect("a field")))
                .collect();
            let group = group.join(" ");
            let counted = match correlation["type"].as_str() {
                Some("event_count") => one(record, "metadata.uid"),
                Some("value_count") => one(
                    record,
                    correlation["condition"]["field"].as_str().expect("a field"),
                ),
                other => panic!("{other:?} is not understood"),
            };
            let time = record["time"].as_i64().expect("a time");
            let seen = seen.entry(group.clone()).or_default();
            seen.push((time, counted));
            seen.retain(|(at, _)| time - at < span);
            let distinct: BTreeSet<&str> = seen.iter().map(|(_, value)| value.as_str()).collect();
            if distinct.len() as u64 >= wanted {
                found.insert(group);
            }
        }
        found
    }
}

fn milliseconds(span: &str) -> i64 {
    let (number, unit) = span.split_at(span.len() - 1);
    let number: i64 = number.parse().expect("a number");
    number
        * match unit {
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => panic!("{unit} is not understood"),
        }
}

fn one(record: &Value, field: &str) -> String {
    let found = field
        .split('.')
        .try_fold(record, |value, name| value.get(name));
    found.map_or_else(String::new, |value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    })
}

/// The words of a condition that are not read yet.
struct Words(Vec<String>);

impl Words {
    fn of(condition: &str) -> Self {
        let spaced = condition.replace('(', " ( ").replace(')', " ) ");
        Self(spaced.split_whitespace().rev().map(str::to_owned).collect())
    }

    fn next_is(&mut self, word: &str) -> bool {
        let is = self.0.last().is_some_and(|next| next == word);
        if is {
            self.0.pop();
        }
        is
    }

    fn alternatives(&mut self, detections: &Map<String, Value>, record: &Value) -> bool {
        let mut holds = self.conjunction(detections, record);
        while self.next_is("or") {
            holds |= self.conjunction(detections, record);
        }
        holds
    }

    fn conjunction(&mut self, detections: &Map<String, Value>, record: &Value) -> bool {
        let mut holds = self.negation(detections, record);
        while self.next_is("and") {
            holds &= self.negation(detections, record);
        }
        holds
    }

    fn negation(&mut self, detections: &Map<String, Value>, record: &Value) -> bool {
        if self.next_is("not") {
            return !self.negation(detections, record);
        }
        if self.next_is("(") {
            let holds = self.alternatives(detections, record);
            assert!(self.next_is(")"), "a parenthesis is not closed");
            return holds;
        }
        let word = self.0.pop().expect("a word");
        match word.as_str() {
            "1" | "all" if self.next_is("of") => {
                let pattern = self.0.pop().expect("a pattern");
                let prefix = pattern
                    .strip_suffix('*')
                    .expect("a pattern that ends with *");
                let mut named = detections
                    .iter()
                    .filter(|(name, _)| name.starts_with(prefix))
                    .peekable();
                assert!(named.peek().is_some(), "{pattern} is no detection");
                if word == "1" {
                    named.any(|(_, detection)| holds(detection, record))
                } else {
                    named.all(|(_, detection)| holds(detection, record))
                }
            }
            name => {
                let detection = detections.get(name);
                holds(
                    detection.unwrap_or_else(|| panic!("{name} is no detection")),
                    record,
                )
            }
        }
    }
}

fn holds(detection: &Value, record: &Value) -> bool {
    let fields = detection.as_object().expect("a map of fields");
    fields.iter().all(|(field, wanted)| {
        let (path, modifier) = field.split_once('|').unwrap_or((field, ""));
        let found = path
            .split('.')
            .try_fold(record, |value, name| value.get(name));
        let Some(found) = found else { return false };
        let alternatives = wanted
            .as_array()
            .map_or(std::slice::from_ref(wanted), Vec::as_slice);
        alternatives
            .iter()
            .any(|wanted| compares(found, modifier, wanted))
    })
}

fn compares(found: &Value, modifier: &str, wanted: &Value) -> bool {
    let Some(wanted) = wanted.as_str() else {
        assert!(modifier.is_empty(), "{modifier} of what is no text");
        return found == wanted;
    };
    assert!(
        !wanted.contains(['*', '?', '\\']),
        "wildcards are not understood"
    );
    let Some(found) = found.as_str() else {
        return false;
    };
    let (found, wanted) = (found.to_lowercase(), wanted.to_lowercase());
    match modifier {
        "" => found == wanted,
        "startswith" => found.starts_with(&wanted),
        "endswith" => found.ends_with(&wanted),
        "contains" => found.contains(&wanted),
        _ => panic!("{modifier} is not understood"),
    }
}

fn json(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::String(text) => Value::from(text.as_str()),
        Yaml::Integer(number) => Value::from(*number),
        Yaml::Boolean(truth) => Value::from(*truth),
        Yaml::Array(items) => items.iter().map(json).collect(),
        Yaml::Hash(members) => members
            .iter()
            .map(|(name, value)| (name.as_str().expect("a name").to_owned(), json(value)))
            .collect(),
        Yaml::Null => Value::Null,
        Yaml::Real(_) | Yaml::Alias(_) | Yaml::BadValue => panic!("{yaml:?} is not understood"),
    }
}
