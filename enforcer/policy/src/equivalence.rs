//! The compiled tables say what `judge` says.

use std::collections::BTreeMap;

use enforcer_common::verdict::Reason;
use proptest::{collection::vec, prelude::*, test_runner::Config};

use crate::{
    Request, Tables,
    arbitrary::{ASKS, Case, Choices, PoolFacts},
    compile, judge, parse,
    source::NoIncludes,
};

const BASE: &str = "/pool";
/// Cases a run: with [`ASKS`] requests each, more than 20,000 pairs.
const CASES: u32 = 256;
/// Cases that are the same in every run: enough for each reason to come often.
const SEEDS: u16 = 300;

/// What a request was about, as far as it has to be reached often enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    WildcardListen,
    Listen,
    Connect,
    Other,
}

impl About {
    fn of(request: &Request) -> Self {
        match request {
            Request::Listen { address, .. } if address.to_canonical().is_unspecified() => {
                Self::WildcardListen
            }
            Request::Listen { .. } => Self::Listen,
            Request::Connect { .. } => Self::Connect,
            Request::Exec { .. } | Request::Unix { .. } => Self::Other,
        }
    }
}

type Counts = BTreeMap<(About, Reason), usize>;

/// Puts every request of a case to both, and counts the reasons.
fn compare(case: &Case) -> Result<Counts, String> {
    let facts = PoolFacts::new(BASE);
    let text = &case.source.text;
    let parsed = parse(case.source.clone(), &NoIncludes).map_err(|e| format!("{e}\n{text}"))?;
    let tables: Tables = compile(&parsed.policy, &facts).map_err(|e| format!("{e}\n{text}"))?;
    let mut counts = Counts::new();
    for ask in &case.asks {
        let (subject, request) = ask.resolve(&facts)?;
        let meant = judge(&parsed.policy, &facts, &subject, &request);
        let decision = tables.decide(&subject, &request);
        let decided = (decision.allowed, decision.reason, tables.rule(&decision));
        if decided != (meant.allowed, meant.reason, meant.rule.as_deref()) {
            return Err(format!(
                "{ask:?}\njudge: {meant:?}\ntables: {decided:?}\n{text}"
            ));
        }
        *counts
            .entry((About::of(&request), meant.reason))
            .or_default() += 1;
    }
    Ok(counts)
}

proptest! {
    #![proptest_config(Config { cases: CASES, failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_tables_decide_as_judge_means(bytes in vec(any::<u8>(), 500..1200)) {
        let case = Case::generate(&mut Choices::from_bytes(bytes), BASE);
        prop_assert_eq!(case.asks.len(), ASKS);
        if let Err(difference) = compare(&case) {
            prop_assert!(false, "{}", difference);
        }
    }
}

#[test]
fn the_same_seeds_agree_on_every_host_and_reach_every_reason() {
    let mut counts = Counts::new();
    for seed in 0..SEEDS {
        let case = Case::generate(&mut Choices::from_seed(seed.into()), BASE);
        let counted = compare(&case).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        for (what, count) in counted {
            *counts.entry(what).or_default() += count;
        }
    }
    assert_eq!(counts.values().sum::<usize>(), usize::from(SEEDS) * ASKS);
    let reached = [
        Reason::RuleAllows,
        Reason::RuleDenies,
        Reason::NotListed,
        Reason::NotForThisBinary,
        Reason::FileChanged,
        Reason::ExecutableNotListed,
        Reason::AddressNotJudgeable,
    ];
    for reason in reached {
        let of_reason = counts.iter().filter(|((_, counted), _)| *counted == reason);
        let count: usize = of_reason.map(|(_, count)| count).sum();
        assert!(
            count >= 100,
            "{} came {count} times: {counts:?}",
            reason.name()
        );
    }
    for about in [About::WildcardListen, About::Listen, About::Connect] {
        for reason in &reached[..4] {
            let count = counts.get(&(about, *reason)).copied().unwrap_or(0);
            assert!(count >= 50, "{about:?} {reason:?}: {counts:?}");
        }
    }
    for about in [About::Listen, About::Connect] {
        let refused = counts.get(&(about, Reason::AddressNotJudgeable));
        assert!(
            refused.is_some_and(|count| *count >= 50),
            "{about:?}: {counts:?}"
        );
    }
}
