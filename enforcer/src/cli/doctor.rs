//! `enforcer doctor`: what is enforced here, what is not, and how to put it right.
//!
//! The daemon's account is the truth where there is one; without a daemon the host's files can say
//! what stands in the way, never that all is well.
#![forbid(unsafe_code)]

use serde::Serialize;

use super::{
    args,
    exit::{Exit, Failure},
    output::{Screen, plain, table},
    wait,
};
use crate::{
    control::{
        api::{Canary, Posture},
        client::Client,
    },
    posture::{Check, CheckState, Host, reentry},
};

/// What doctor found.
#[derive(Debug, Serialize)]
struct Report {
    /// A daemon runs and the kernel denied its latest canary.
    enforcing: bool,
    /// Every check.
    checks: Vec<Check>,
    #[serde(skip)]
    exit: Exit,
}

pub(super) fn perform(
    doctor: &args::Doctor,
    client: &Client,
    screen: &mut Screen,
) -> Result<Exit, Failure> {
    let posture = wait(async {
        if doctor.canary {
            client.canary().await
        } else {
            client.posture().await
        }
    })?;
    let report = match posture {
        Ok(posture) => with_daemon(posture),
        Err(error) => {
            let mut checks = Host::read().checks();
            checks.push(reentry());
            without_daemon(checks, error.into())
        }
    };
    screen.show(&report, text)?;
    Ok(report.exit)
}

/// Fails unless the daemon says that it enforces, and has proven it.
pub(super) fn require_enforcing(client: &Client) -> Result<(), Failure> {
    let report = with_daemon(wait(client.posture())??);
    if report.enforcing {
        return Ok(());
    }
    let failed = |check: &&Check| check.state == CheckState::Failed;
    let found: Vec<String> = report
        .checks
        .iter()
        .filter(failed)
        .map(|check| format!("{}: {}", check.name, check.detail))
        .collect();
    let message = format!("nothing can be proven: not enforcing; {}", found.join("; "));
    Err(Failure::new(Exit::NotEnforcing, message).hint("`enforcer doctor` says what to do"))
}

fn with_daemon(posture: Posture) -> Report {
    let Posture {
        enforcing,
        canary,
        mut checks,
    } = posture;
    // Said only of both: the daemon's claim, and the denial that proves it.
    let enforcing = enforcing && canary.passed;
    checks.push(canary_check(&canary));
    let exit = if enforcing {
        Exit::Ok
    } else {
        Exit::NotEnforcing
    };
    Report {
        enforcing,
        checks,
        exit,
    }
}

fn canary_check(canary: &Canary) -> Check {
    let at = canary
        .at
        .as_deref()
        .map_or_else(String::new, |at| format!(" ({at})"));
    let detail = format!("{}{at}", canary.detail);
    if canary.passed {
        Check::ok("canary", detail)
    } else {
        Check::failed(
            "canary",
            detail,
            "put right what failed above, then `enforcer doctor --canary`",
        )
    }
}

fn without_daemon(mut checks: Vec<Check>, failure: Failure) -> Report {
    let fix = failure
        .hints
        .first()
        .cloned()
        .unwrap_or_else(|| "systemctl start enforcer".to_owned());
    checks.push(Check::failed("daemon", failure.message, fix));
    let exit = match failure.exit {
        Exit::Denied | Exit::Unreachable | Exit::NotEnforcing => failure.exit,
        Exit::Ok
        | Exit::Failure
        | Exit::Usage
        | Exit::PolicyInvalid
        | Exit::NotFound
        | Exit::Conflict
        | Exit::NotHeld
        | Exit::Uninstalled
        | Exit::Tampered
        | Exit::Unverifiable
        | Exit::CannotExecute
        | Exit::NoCommand => Exit::Failure,
    };
    Report {
        enforcing: false,
        checks,
        exit,
    }
}

fn text(report: &Report) -> String {
    let rows = report.checks.iter().map(|check| {
        [
            check.name.clone(),
            check.state.name().to_owned(),
            check.detail.clone(),
        ]
    });
    let mut text = table(["CHECK", "STATE", "DETAIL"], rows);
    text.push('\n');
    for check in &report.checks {
        if let Some(fix) = &check.fix {
            text.push_str(&format!("fix {}: {}\n", plain(&check.name), plain(fix)));
        }
    }
    text.push_str(if report.enforcing {
        "enforcing\n"
    } else {
        "not enforcing\n"
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn posture(enforcing: bool, passed: bool) -> Posture {
        let canary = Canary {
            passed,
            at: Some("2026-11-24T08:00:00Z".into()),
            detail: "exec of /bin/true".into(),
        };
        Posture {
            enforcing,
            canary,
            checks: vec![Check::ok("programs", "12 attached")],
        }
    }

    #[test]
    fn enforcing_is_said_only_of_a_denied_canary() {
        for (enforcing, passed, expected) in [
            (true, true, true),
            (true, false, false),
            (false, true, false),
            (false, false, false),
        ] {
            let report = with_daemon(posture(enforcing, passed));
            assert_eq!(report.enforcing, expected, "{enforcing} {passed}");
            assert_eq!(report.exit == Exit::Ok, expected);
            assert_eq!(text(&report).lines().last() == Some("enforcing"), expected);
        }
    }

    #[test]
    fn without_a_daemon_no_host_is_enforcing() {
        let failure = Failure::new(Exit::Unreachable, "no daemon").hint("start it");
        let report = without_daemon(vec![Check::ok("kernel", "Linux 6.1")], failure);
        assert_eq!((report.enforcing, report.exit), (false, Exit::Unreachable));
        let text = text(&report);
        assert!(text.contains("daemon  failed  no daemon\n"), "{text}");
        assert!(
            text.ends_with("fix daemon: start it\nnot enforcing\n"),
            "{text}"
        );
    }
}
