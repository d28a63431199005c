//! `enforcer report`: what happened over a period.
#![forbid(unsafe_code)]

use std::fs;

use enforcer_report::{Chain, Collector, Moment, Options};
use jiff::Timestamp;

use super::{
    args::Report,
    evidence::{Policies, records},
    exit::{Exit, Failure},
    output::Screen,
};
use crate::{
    control::{api::LogQuery, client::Client},
    record::{Filter, read::moment},
};

pub(super) fn perform(
    asked: &Report,
    client: &Client,
    screen: &mut Screen,
) -> Result<Exit, Failure> {
    let now = Timestamp::now();
    let when = |text: &str| {
        moment(text, now).map_err(|error| Failure::new(Exit::Usage, error.to_string()))
    };
    let since = when(&asked.since)?;
    let until = asked.until.as_deref().map(when).transpose()?;
    let policies = Policies::get(&asked.evidence, client, None)?;
    let mut collector = Collector::new(Options {
        generated: Some(Moment(now.as_millisecond())),
        since: Some(Moment(since)),
        until: Some(Moment(until.unwrap_or(now.as_millisecond()))),
        policies: policies.known().collect(),
        chain: Chain::default(),
        malformed_lines: 0,
    });
    let query = LogQuery {
        filter: Filter {
            since: Some(since),
            until,
            ..Filter::default()
        },
        tail: None,
        follow: false,
    };
    let malformed = records(&asked.evidence, client, &query, |record| {
        collector.add(&record);
    })?;
    (0..malformed).for_each(|_| collector.add_malformed());
    let report = collector.finish();
    if let Some(file) = &asked.html {
        fs::write(file, report.html())
            .map_err(|error| Failure::new(Exit::Failure, format!("{}: {error}", file.display())))?;
        eprintln!("the page is {}", file.display());
        return Ok(Exit::Ok);
    }
    screen.show(&report, |report| report.text())?;
    Ok(Exit::Ok)
}
