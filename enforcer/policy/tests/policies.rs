//! The policies that are shipped ready: without errors, without lints, and true to their examples.

use std::{fs, path::Path};

use enforcer_policy::{Includes, NamedFacts, Parsed, Source, check, compile, parse, run_examples};

struct Folder;

impl Includes for Folder {
    fn read(&self, including: &str, path: &str) -> Result<Source, String> {
        let name = Path::new(including).with_file_name(path);
        let text = fs::read_to_string(&name).map_err(|error| error.to_string())?;
        Ok(Source {
            name: name.display().to_string(),
            text,
        })
    }
}

fn ready(name: &str) -> Parsed {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/");
    let source = Folder
        .read(&format!("{folder}x"), name)
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    parse(source, &Folder).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn ready_policies_have_neither_errors_nor_lints_and_keep_their_examples() {
    for (name, least) in [
        ("coding-agent.toml", 20),
        ("ci-runner.toml", 10),
        ("readonly-ops.toml", 8),
    ] {
        let parsed = ready(name);
        let facts = NamedFacts::new(&parsed.policy);
        let checked = check(&parsed, &facts);
        assert!(checked.errors.is_empty(), "{}", checked.errors);
        assert!(checked.warnings.is_empty(), "{}", checked.warnings);
        compile(&parsed.policy, &facts).unwrap_or_else(|errors| panic!("{errors}"));
        let results = run_examples(&parsed, &facts);
        assert!(
            results.len() >= least,
            "{name} has {} examples",
            results.len()
        );
        for result in results {
            assert!(result.passed(), "{result:?}");
        }
    }
}
