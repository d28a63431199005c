//! Records and policies, from the daemon or from what it left.
#![forbid(unsafe_code)]

use std::path::Path;

use enforcer_policy::{Facts, Parsed};
use enforcer_report::Known;
use serde_json::Value;

use super::{
    args::Evidence,
    exit::{Exit, Failure},
    wait,
};
use crate::{
    control::{
        api::LogQuery,
        client::Client,
        sources::{policy_files, read_policy},
    },
    facts::HostFacts,
    record::{Filter, ReadError, read},
};

/// Hands every record that `query` asks for to `take`, oldest first; gives the number of lines that are no
/// records.
pub fn records(
    evidence: &Evidence,
    client: &Client,
    query: &LogQuery,
    mut take: impl FnMut(Value),
) -> Result<u64, Failure> {
    match &evidence.dir {
        Some(folder) => of_folder(folder, query, take),
        None => wait(async {
            let mut malformed = 0;
            let mut lines = client.log(query).await?;
            while let Some(line) = lines.next().await? {
                match serde_json::from_str(&line) {
                    Ok(record) => take(record),
                    Err(_) => malformed += 1,
                }
            }
            Ok(malformed)
        })?,
    }
}

fn of_folder(folder: &Path, query: &LogQuery, mut take: impl FnMut(Value)) -> Result<u64, Failure> {
    let failed = |error: ReadError| Failure::new(Exit::NotFound, error.to_string());
    if let Some(count) = query.tail {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let (found, _) = read::tail(folder, count, &query.filter).map_err(failed)?;
        found.into_iter().for_each(|entry| take(entry.record));
        return Ok(0);
    }
    let mut malformed = 0;
    for entry in read::records(folder).map_err(failed)? {
        match entry {
            Ok(entry) if query.filter.matches(&entry.record) => take(entry.record),
            Ok(_) => {}
            Err(ReadError::Malformed { .. }) => malformed += 1,
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(malformed)
}

/// The last record that the filter lets through.
pub fn last(
    evidence: &Evidence,
    client: &Client,
    filter: Filter,
) -> Result<Option<Value>, Failure> {
    let query = LogQuery {
        filter,
        tail: Some(1),
        follow: false,
    };
    let mut found = None;
    records(evidence, client, &query, |record| found = Some(record))?;
    Ok(found)
}

/// Policies in force, with the host's files by which they are understood.
pub struct Policies {
    parsed: Vec<(Parsed, Option<u32>)>,
    facts: HostFacts,
}

impl Policies {
    /// Those of the files given, or else the daemon's: all of them, or `agent`'s alone. Without a daemon,
    /// and for a log that was copied from another host, there are none, which is said.
    pub fn get(evidence: &Evidence, client: &Client, agent: Option<&str>) -> Result<Self, Failure> {
        let parsed = if evidence.policy.is_empty() {
            of_daemon(client, agent).unwrap_or_else(|failure| {
                let why = failure.message;
                eprintln!("note: without the policies in force ({why}); --policy names them");
                Vec::new()
            })
        } else {
            of_files(evidence)?
        };
        Ok(Self {
            parsed,
            facts: HostFacts::by_stat(),
        })
    }

    /// Each of them.
    pub fn known(&self) -> impl Iterator<Item = Known<'_>> {
        self.parsed.iter().map(|(policy, generation)| Known {
            policy,
            facts: &self.facts as &dyn Facts,
            generation: *generation,
        })
    }
}

fn of_files(evidence: &Evidence) -> Result<Vec<(Parsed, Option<u32>)>, Failure> {
    let mut parsed = Vec::new();
    for file in policy_files(&evidence.policy)? {
        match read_policy(&file)? {
            Ok((policy, _)) => parsed.push((policy, None)),
            Err(found) => {
                return Err(Failure {
                    findings: vec![found.render(super::output::colour())],
                    ..Failure::new(
                        Exit::PolicyInvalid,
                        format!("{} has errors", file.display()),
                    )
                });
            }
        }
    }
    Ok(parsed)
}

fn of_daemon(client: &Client, agent: Option<&str>) -> Result<Vec<(Parsed, Option<u32>)>, Failure> {
    let agents = match agent {
        Some(agent) => vec![agent.to_owned()],
        None => wait(client.policies())??
            .into_iter()
            .map(|facts| facts.agent)
            .collect(),
    };
    let mut parsed = Vec::new();
    for agent in agents {
        let detail = wait(client.policy(&agent))??;
        let policy = detail.source.parse().map_err(|found| Failure {
            findings: vec![found.render(super::output::colour())],
            ..Failure::new(Exit::PolicyInvalid, format!("the policy of {agent}"))
        })?;
        parsed.push((policy, Some(detail.facts.generation)));
    }
    Ok(parsed)
}
