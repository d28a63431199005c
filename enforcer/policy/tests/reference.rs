//! docs/policy.md says what the parser does.

use std::{fs, path::Path};

#[test]
fn the_reference_in_the_docs_is_the_one_made_from_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policy.md");
    let reference = enforcer_policy::reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &reference).expect("docs/policy.md can be written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == reference,
        "docs/policy.md is not what the code says; write it anew with\n\
         UPDATE_DOCS=1 cargo test -p enforcer-policy --test reference"
    );
}
