//! Values to search by, whichever field of a record they stand in.
#![forbid(unsafe_code)]

use super::Fields;

const RELATED: [(&str, &[&str]); 4] = [
    ("related.hash", &["file.hash.sha256", "process.hash.sha256"]),
    ("related.hosts", &["host.name", "destination.domain"]),
    ("related.ip", &["destination.ip", "source.ip"]),
    ("related.user", &["user.name", "user.id"]),
];

pub fn describe(fields: &mut Fields) {
    for (related, sources) in RELATED {
        let mut values: Vec<String> = sources
            .iter()
            .filter_map(|source| fields.text(source).map(str::to_owned))
            .collect();
        values.sort_unstable();
        values.dedup();
        if !values.is_empty() {
            fields.put(related, values);
        }
    }
}
