//! `enforcer doctor --prove`: every attack of the catalogue, tried here.
#![forbid(unsafe_code)]

use std::{io, path::Path};

use super::{
    doctor,
    exit::{Exit, Failure},
    output::{Screen, table},
    wait,
};
use crate::{
    control::{api::LaunchRequest, client::Client},
    daemon::CANARY,
    posture::Host,
    prove::{self, Part, Report, Tried},
};

pub(super) fn perform(
    only: &[String],
    client: &Client,
    socket: &Path,
    screen: &mut Screen,
) -> Result<Exit, Failure> {
    doctor::require_enforcing(client)?;
    if !nix::unistd::geteuid().is_root() {
        return Err(Failure::new(
            Exit::Denied,
            "only root can make the attacks that an agent of root's could",
        ));
    }
    let status = wait(client.status())??;
    let kernel = Host::read().version().unwrap_or_default();
    let (tries, session) = prove::prove(status.pid, socket, only).map_err(failed)?;
    if tries.is_empty() {
        return Err(Failure::new(Exit::Usage, "no attack has such a name"));
    }
    let records = wait(prove::denials_of(client, session))??;
    let report = prove::judged(kernel, session, tries, &records);
    screen.show(&report, text)?;
    Ok(if report.as_told {
        Exit::Ok
    } else {
        Exit::NotHeld
    })
}

fn failed(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::Interrupted {
        return Failure::new(Exit::Failure, "interrupted; nothing is left behind");
    }
    Failure::new(Exit::Failure, format!("nothing was proven: {error}"))
}

fn text(report: &Report) -> String {
    let rows = report.rows.iter().map(|line| {
        [
            line.attack.to_owned(),
            line.technique.to_owned(),
            line.state.name().to_owned(),
            came_out(line.as_root.as_ref()).to_owned(),
            came_out(line.as_user.as_ref()).to_owned(),
            line.why.clone(),
        ]
    });
    let head = ["ATTACK", "TECHNIQUE", "STATE", "ROOT", "USER", "WHY"];
    let table = table(head, rows);
    format!("{table}\n{}", prove::text(report))
}

/// What came of an attack inside, in a word.
fn came_out(tried: Option<&Tried>) -> &'static str {
    match tried {
        Some(tried) if tried.effect => "through",
        Some(tried) if tried.is_denied() => "denied",
        Some(_) => "failed",
        None => "-",
    }
}

/// The hidden verb `attack`.
pub(super) fn play(part: &Part, client: &Client) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::new(Exit::Failure, format!("attack: {error}"));
    match part {
        Part::Enter => {
            let request = LaunchRequest {
                agent: CANARY.to_owned(),
                task: None,
                command: vec!["enforcer".to_owned(), "attack".to_owned()],
            };
            let launched = wait(client.launch(&request))??;
            let error = prove::enter(&launched);
            if error.raw_os_error() == Some(nix::libc::EPERM) {
                return Ok(()); // whoever gives the orders says what that means
            }
            Err(failed(error))
        }
        Part::Serve | Part::Do { .. } | Part::Victim => prove::play(part).map_err(failed),
    }
}
