//! Every attack in turn, outside and inside.
#![forbid(unsafe_code)]

use std::{io, path::Path};

use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};

use super::{
    attacks::Attack,
    catalogue,
    party::{Order, Party},
    records::ByOrder,
    report::{Line, Pair, Report, Tried},
    scene::Scene,
};
use crate::control::api::{Launched, SessionId};

/// The prover with all that it needs, while the session lasts.
pub struct Prover {
    scene: Scene,
    outside: Party,
    inside: Party,
    session: SessionId,
    stop: SignalFd,
    serial: u32,
}

/// Attacks with what came of them.
pub type Tries = Vec<(&'static catalogue::Row, &'static Attack, Pair, Pair)>;

/// Makes every attack whose name begins with one of `only`, or all. `daemon` is the daemon's process,
/// `control` its socket.
///
/// # Errors
/// When the scene cannot be made, the session does not begin, or a signal came to end it.
pub fn prove(daemon: u32, control: &Path, only: &[String]) -> io::Result<(Tries, SessionId)> {
    let mut prover = Prover::begin(daemon, control)?;
    let mut tries = Tries::new();
    let is_wanted =
        |id: &str| only.is_empty() || only.iter().any(|begin| id.starts_with(begin.as_str()));
    for (row, attack) in catalogue::attacks().filter(|(_, attack)| is_wanted(attack.id)) {
        let root = prover.pair(attack, false)?;
        let user = prover.pair(attack, true)?;
        tries.push((row, attack, root, user));
    }
    prover.inside.end()?;
    Ok((tries, prover.session))
}

impl Prover {
    fn begin(daemon: u32, control: &Path) -> io::Result<Self> {
        // Signals wait until an attack is over, so that the scene is taken away.
        let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
        signals.thread_block()?;
        let stop = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let scene = Scene::make(daemon, control)?;
        let outside = Party::start(&["attack", "serve"], &scene.passed_on())?;
        let socket = control.to_string_lossy();
        let enter = ["--socket", &socket, "attack", "enter"];
        let mut inside = Party::start(&enter, &scene.passed_on())?;
        let launched: Launched = inside
            .hear()
            .map_err(|error| io::Error::other(format!("no session was granted: {error}")))?;
        Ok(Self {
            scene,
            outside,
            inside,
            session: launched.session,
            stop,
            serial: 0,
        })
    }

    /// Makes an attack outside, and inside if that shows anything.
    fn pair(&mut self, attack: &Attack, as_user: bool) -> io::Result<Pair> {
        if self.stop.read_signal()?.is_some() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let outside = self.tried(attack, as_user, false)?;
        let inside = outside
            .effect
            .then(|| self.tried(attack, as_user, true))
            .transpose()?;
        Ok(Pair { outside, inside })
    }

    fn tried(&mut self, attack: &Attack, as_user: bool, is_inside: bool) -> io::Result<Tried> {
        self.serial += 1;
        let doors = self.scene.ready(attack, as_user)?;
        let order = Order {
            serial: self.serial,
            attack: attack.id.to_owned(),
            as_user,
            doors,
        };
        let answer = if is_inside {
            self.inside.order(&order).map_err(not_inside)?
        } else {
            self.outside.order(&order)?
        };
        let effect = self.scene.happened(attack.effect, &answer, as_user)?;
        Ok(Tried::of(self.serial, answer, effect))
    }
}

/// Why the party inside took no order.
fn not_inside(error: io::Error) -> io::Error {
    use io::ErrorKind::{BrokenPipe, UnexpectedEof};
    if [BrokenPipe, UnexpectedEof].contains(&error.kind()) {
        return io::Error::other(
            "the kernel does not run this program as the daemon's own agent: it is not the daemon's binary, or that has changed since the daemon started (then: systemctl restart enforcer)",
        );
    }
    error
}

/// Judges what was tried, with what was recorded of it.
pub fn judged(kernel: (u32, u32), session: SessionId, tries: Tries, records: &ByOrder) -> Report {
    let add = |pair: &mut Pair| {
        if let Some(inside) = &mut pair.inside {
            inside.recorded(&records.get(&inside.serial).cloned().unwrap_or_default());
        }
    };
    let lines = tries.into_iter().map(|(row, attack, mut root, mut user)| {
        add(&mut root);
        add(&mut user);
        Line::of(row, attack, kernel, root, user)
    });
    let denials = records.values().map(|denials| denials.count).sum();
    Report::of(kernel, session.to_string(), lines.collect(), denials)
}
