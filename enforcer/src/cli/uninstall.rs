//! `enforcer uninstall`: takes enforcement away, on the record.
#![forbid(unsafe_code)]

use super::{
    args,
    exit::{Exit, Failure},
    output::Screen,
    wait,
};
use crate::control::{
    api::{Removal, Removed},
    client::Client,
};

pub(super) fn perform(
    removal: args::Uninstall,
    client: &Client,
    screen: &mut Screen,
) -> Result<Exit, Failure> {
    let reason = removal.reason;
    let removed = wait(client.uninstall(&Removal { reason }))??;
    screen.show(&removed, text)?;
    Ok(Exit::Ok)
}

fn text(removed: &Removed) -> String {
    format!(
        "{} kernel programs detached; nothing is enforced here any more\n`systemctl disable enforcer` keeps the daemon from starting at the next boot\n",
        removed.programs
    )
}
