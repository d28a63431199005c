//! The files that a configuration names, looked at before anything is shipped.

use super::{Config, NatsAuth, SecretFile, Target, Tls};
use crate::net::tls;

impl Config {
    /// Reads the certificates, keys and secrets that the sinks name, as they would. Gives the sink's
    /// name and what is wrong, for each that could not work; sends nothing and connects to nothing.
    #[must_use]
    pub fn check_files(&self) -> Vec<(String, String)> {
        self.sinks
            .iter()
            .filter_map(|sink| Some((sink.name.clone(), wrong_file(&sink.target)?)))
            .collect()
    }
}

fn wrong_file(target: &Target) -> Option<String> {
    let (tls, secret) = files(target);
    tls.and_then(|tls| tls::client(tls).err())
        .or_else(|| secret.and_then(|secret| secret.line().err()))
}

fn files(target: &Target) -> (Option<&Tls>, Option<&SecretFile>) {
    let http = match target {
        Target::File(_) | Target::Journald(_) => return (None, None),
        Target::Syslog(target) => return (target.tls.as_ref(), None),
        Target::Relp(target) => return (target.tls.as_ref(), None),
        Target::Nats(target) => {
            let secret = target.auth.as_ref().map(|auth| match auth {
                NatsAuth::Token(file) | NatsAuth::User(_, file) => file,
            });
            return (target.tls.as_ref(), secret);
        }
        Target::Otlp(target) => &target.http,
        Target::Hec(target) => &target.http,
        Target::Elastic(target) => &target.http,
    };
    let secret = http.auth.as_ref().map(|(_, file)| file);
    (http.tls.as_ref(), secret)
}
