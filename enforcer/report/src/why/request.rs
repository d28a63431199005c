//! A decision as a request that [`enforcer_policy::judge`] can be asked about.

use enforcer_common::verdict::Reason;
use enforcer_policy::{Request, Subject};

use super::{facts::Seen, line::Line};
use crate::{
    object::{Endpoint, Object, UnixName},
    record::Decision,
};

/// A request, and what of it a policy would name.
pub(super) struct Asked {
    /// Who asks.
    pub subject: Subject,
    /// The acting executable's path; `None` = the launcher's image, or not known.
    pub actor: Option<String>,
    /// Running the acting executable, to ask whether a rule denies that.
    pub acting: Option<Request>,
    /// What is asked.
    pub request: Request,
    /// What a policy would write for the object.
    object: Named,
}

enum Named {
    Run(Option<String>),
    Reach(Endpoint),
    Listen(Endpoint),
    Unix(Option<String>),
}

impl Asked {
    /// The narrowest line about the object; `None` when no line can name it.
    pub(super) fn line(&self) -> Option<Line> {
        match &self.object {
            Named::Run(path) => path.clone().map(Line::exec),
            Named::Reach(to) => Line::internet("connect", *to, self.actor.clone()),
            Named::Listen(at) => Line::internet("listen", *at, self.actor.clone()),
            Named::Unix(peer) => peer.clone().map(Line::Unix),
        }
    }

    /// The destination, of a request to reach one.
    pub(super) fn destination(&self) -> Option<Endpoint> {
        match self.object {
            Named::Reach(to) => Some(to),
            Named::Run(_) | Named::Listen(_) | Named::Unix(_) => None,
        }
    }
}

/// The request of a decision.
///
/// # Errors
/// Why no rule is about it.
pub(super) fn of(decision: &Decision<'_>, seen: &mut Seen<'_>) -> Result<Asked, &'static str> {
    let (request, object) = match decision.object {
        Object::Run(file) | Object::Code(file, "mapped") => {
            let (id, stamp) = seen.file(file);
            if file.name().is_none() {
                return Err("The record does not say which file it was, so no line can name it.");
            }
            (
                Request::Exec { file: id, stamp },
                Named::Run(file.policy_path()),
            )
        }
        Object::Reach(to) => {
            let (protocol, address) = judged(to)?;
            (
                Request::Connect {
                    protocol,
                    address,
                    port: to.port,
                },
                Named::Reach(to),
            )
        }
        Object::Listen(at) => {
            let (protocol, address) = judged(at)?;
            (
                Request::Listen {
                    protocol,
                    address,
                    port: at.port,
                },
                Named::Listen(at),
            )
        }
        Object::Unix(socket) => {
            let peer = seen.peer(socket);
            let peer = peer.ok_or("The socket has no name that a policy could list.")?;
            (Request::Unix { peer }, Named::Unix(peer_text(socket)))
        }
        Object::Code(..)
        | Object::Socket(..)
        | Object::Write(..)
        | Object::Number(..)
        | Object::Nothing => return executable_only(decision, seen),
    };
    let is_code = matches!(decision.object, Object::Code(..));
    if is_code || decision.is_launcher() || decision.actor.name().is_none() {
        return Ok(Asked {
            subject: Subject::launcher(),
            actor: None,
            acting: None,
            request,
            object,
        });
    }
    let (file, stamp) = seen.file(decision.actor);
    Ok(Asked {
        subject: Subject::from(file),
        actor: decision.actor.policy_path(),
        acting: Some(Request::Exec { file, stamp }),
        request,
        object,
    })
}

/// What no rule is about can be denied because of the executable alone: then its own listing is what is
/// asked about.
fn executable_only(decision: &Decision<'_>, seen: &mut Seen<'_>) -> Result<Asked, &'static str> {
    if decision.reason != Some(Reason::ExecutableNotListed) || decision.actor.name().is_none() {
        return Err("No rule is about this.");
    }
    let (file, stamp) = seen.file(decision.actor);
    let path = decision.actor.policy_path();
    Ok(Asked {
        subject: Subject::from(file),
        actor: path.clone(),
        acting: None,
        request: Request::Exec { file, stamp },
        object: Named::Run(path),
    })
}

fn judged(
    endpoint: Endpoint,
) -> Result<(enforcer_policy::Protocol, std::net::IpAddr), &'static str> {
    let protocol = endpoint.transport();
    let protocol = protocol.ok_or("Rules are about TCP and UDP alone.")?;
    let address = endpoint.address;
    let address =
        address.ok_or("The record does not say which address it was, so no line can name it.")?;
    Ok((protocol, address))
}

fn peer_text(socket: UnixName<'_>) -> Option<String> {
    match socket {
        UnixName::Path { path, uid } => crate::object::FileRef {
            path: Some(path),
            uid,
            sha256: None,
        }
        .policy_path(),
        UnixName::Abstract(name) => {
            let name = String::from_utf8(crate::object::unescaped(name)?).ok()?;
            Some(format!("@{name}"))
        }
        UnixName::Unnamed | UnixName::Unknown => None,
    }
}
