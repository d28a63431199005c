//! Records of the audit log.

mod log;
mod ocsf;

use std::fmt;

use serde_json::Value;

pub(crate) use self::log::segments_in;
pub use self::{
    log::{keep, of_ended_task, show, until},
    ocsf::assert_ocsf,
};

/// A record of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Record(pub Value);

impl Record {
    /// `exec`, `connect`, `send`, `send-connected`, `unix`, `socket`, `fork`, `session-start`, `session-end`...
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text("/metadata/event_code")
    }

    /// `allow`, `deny`, `would-deny`.
    #[must_use]
    pub fn verdict(&self) -> &str {
        self.text("/unmapped/verdict")
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.text("/unmapped/reason")
    }

    /// Id of the rule that decided; empty when none did.
    #[must_use]
    pub fn rule(&self) -> &str {
        self.text("/firewall_rule/uid")
    }

    /// Id of the session.
    #[must_use]
    pub fn session(&self) -> &str {
        self.text("/actor/session/uid")
    }

    /// Sequence number of the kernel's event; 0 for a record that no event is behind.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.0["metadata"]["sequence"].as_u64().unwrap_or(0)
    }

    /// Generation of the policy that decided; 0 when none did.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.text("/policy/version").parse().unwrap_or(0)
    }

    /// Id of the acting process.
    #[must_use]
    pub fn pid(&self) -> u64 {
        self.0["actor"]["process"]["pid"].as_u64().unwrap_or(0)
    }

    /// What was acted on: the path of a file to be run, `tcp:127.0.0.1:80` or `udp:[::1]:53`, a unix
    /// socket's path or `@name`, `family 16 type 3 protocol 0` of a socket.
    #[must_use]
    pub fn target(&self) -> String {
        match self.kind() {
            "exec" => self.text("/process/file/path").to_owned(),
            "unix" => self.text("/dst_endpoint/name").to_owned(),
            "socket" => self.text("/connection_info/protocol_name").to_owned(),
            "connect" | "send" | "send-connected" => self.destination(),
            _ => String::new(),
        }
    }

    fn destination(&self) -> String {
        let ip = self.text("/dst_endpoint/ip");
        let ip = if ip.contains(':') {
            format!("[{ip}]")
        } else {
            ip.to_owned()
        };
        let protocol = self.text("/connection_info/protocol_name");
        format!("{protocol}:{ip}:{}", self.0["dst_endpoint"]["port"])
    }

    /// A text by its JSON pointer; empty when it is not there.
    #[must_use]
    pub fn text(&self, pointer: &str) -> &str {
        self.0
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or("")
    }
}

impl fmt::Display for Record {
    /// `kind target verdict reason rule`, without what is empty.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target();
        let words = [
            self.kind(),
            &target,
            self.verdict(),
            self.reason(),
            self.rule(),
        ];
        let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
        f.write_str(&words.join(" "))
    }
}

/// Records as lines, as [`Record`] displays them.
#[must_use]
pub fn lines(records: &[Record]) -> Vec<String> {
    records.iter().map(Record::to_string).collect()
}
