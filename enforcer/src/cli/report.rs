//! `enforcer report`: what happened over a period.
#![forbid(unsafe_code)]

use std::{fs, path::Path};

use enforcer_evidence::verify::Verdict;
use enforcer_report::{Chain, ChainState, Collector, Moment, Options};
use jiff::Timestamp;

use super::{
    args::Report,
    evidence::{Policies, records},
    exit::{Exit, Failure},
    output::Screen,
    verify::verified,
    when,
};
use crate::{
    config::LOG_DIR,
    control::{api::LogQuery, client::Client},
    record::Filter,
};

pub(super) fn perform(
    asked: &Report,
    client: &Client,
    screen: &mut Screen,
) -> Result<Exit, Failure> {
    let now = Timestamp::now();
    let since = when(&asked.since, now)?;
    let until = asked.until.as_deref();
    let until = until.map(|until| when(until, now)).transpose()?;
    let policies = Policies::get(&asked.evidence, client, None)?;
    let mut collector = Collector::new(Options {
        generated: Some(Moment(now.as_millisecond())),
        since: Some(Moment(since)),
        until: Some(Moment(until.unwrap_or(now.as_millisecond()))),
        policies: policies.known().collect(),
        chain: chain(asked)?,
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

fn chain(asked: &Report) -> Result<Chain, Failure> {
    if !asked.verify {
        return Ok(Chain::default());
    }
    let folder = asked.evidence.dir.as_deref();
    let folder = folder.unwrap_or(Path::new(LOG_DIR));
    let report = verified(folder, &asked.trusted, None)?;
    let (state, mut told) = match report.verdict {
        Verdict::Ok => (ChainState::Ok, report.limits),
        Verdict::Tampered => {
            let findings = report.findings.iter().map(ToString::to_string);
            (ChainState::Tampered, findings.collect())
        }
        Verdict::Unverifiable => (ChainState::Unverifiable, report.unverifiable),
    };
    let size = report.newest.map_or(0, |newest| newest.size);
    told.insert(
        0,
        format!("{} records read, signed up to record {size}", report.lines),
    );
    Ok(Chain {
        state,
        text: told.join("; "),
    })
}
