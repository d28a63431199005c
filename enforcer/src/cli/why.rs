//! `enforcer why`: one decision explained.
#![forbid(unsafe_code)]

use serde_json::Value;

use super::{
    args::Why,
    evidence::{Policies, last},
    exit::{Exit, Failure},
    output::Screen,
};
use crate::{control::client::Client, record::Filter};

pub(super) fn perform(
    question: &Why,
    client: &Client,
    screen: &mut Screen,
) -> Result<Exit, Failure> {
    let record = asked_for(question, client)?;
    let agent = record["ai_agent"]["name"].as_str().map(str::to_owned);
    let policies = Policies::get(&question.evidence, client, agent.as_deref())?;
    let own = policies
        .known()
        .find(|known| Some(&known.policy.policy.agent.name.value) == agent.as_ref());
    let answer = enforcer_report::why(&record, own.as_ref())
        .map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    screen.show(&answer, |answer| answer.text())?;
    Ok(Exit::Ok)
}

fn asked_for(question: &Why, client: &Client) -> Result<Value, Failure> {
    let get = |filter| last(&question.evidence, client, filter);
    if question.event != "last" {
        let filter = Filter {
            event: Some(question.event.clone()),
            ..Filter::default()
        };
        return get(filter)?.ok_or_else(|| {
            Failure::new(Exit::NotFound, format!("no record {}", question.event))
                .hint("`enforcer log show --verdict deny --output json` shows ids as metadata.uid")
        });
    }
    let with = |verdict: &str| Filter {
        verdict: Some(verdict.to_owned()),
        agent: question.agent.clone(),
        session: question.session.clone(),
        ..Filter::default()
    };
    let (denied, would) = (get(with("deny"))?, get(with("would-deny"))?);
    let time = |record: &Value| record["time"].as_i64();
    match (denied, would) {
        (Some(denied), Some(would)) if time(&would) > time(&denied) => Ok(would),
        (Some(one), _) | (None, Some(one)) => Ok(one),
        (None, None) => Err(Failure::new(Exit::NotFound, "nothing was denied")),
    }
}
