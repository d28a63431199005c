//! Where a receiver is, how TLS makes sure of it, and the secrets that it is told.

use std::path::PathBuf;

use super::{
    Endpoint, SYSTEM_AUTHORITIES, SecretFile, Tls,
    diagnostic::{Fault, quoted},
    fields::{At, Fields},
    parse::{Surroundings, path},
};

pub(super) fn endpoint(
    fields: &mut Fields<'_, '_>,
    example: &str,
    schemes: &[(&str, u16)],
) -> Option<At<Endpoint>> {
    let text = fields.required("endpoint", example)?;
    match Endpoint::parse(&text.value, schemes) {
        Ok(value) => Some(At {
            value,
            span: text.span,
        }),
        Err(expected) => {
            let message = format!("{} is no endpoint of this type", quoted(&text.value));
            let fault = Fault::new(text.span, message).expected(expected);
            fields
                .faults
                .push(fault.hint(format!("for example `endpoint = \"{example}\"`")));
            None
        }
    }
}

pub(super) fn no_path(fields: &mut Fields<'_, '_>, endpoint: &At<Endpoint>) -> Option<()> {
    if endpoint.value.path.is_empty() {
        return Some(());
    }
    let fault = Fault::new(endpoint.span.clone(), "this type of endpoint has no path");
    let hint = format!("remove `{}`", endpoint.value.path);
    fields.faults.push(fault.hint(hint));
    None
}

/// The TLS of an endpoint whose scheme asks for it.
pub(super) fn tls(
    fields: &mut Fields<'_, '_>,
    endpoint: Option<At<Endpoint>>,
    around: Surroundings<'_>,
) -> Option<(At<Endpoint>, Option<Tls>)> {
    let table = fields.table("tls");
    let endpoint = endpoint?;
    let is_secure = matches!(endpoint.value.scheme.as_str(), "tls" | "https");
    let Some((span, table)) = table else {
        let tls = is_secure.then(|| Tls {
            ca: PathBuf::from(SYSTEM_AUTHORITIES),
            client: None,
            server_name: endpoint.value.host.clone(),
        });
        return Some((endpoint, tls));
    };
    let mut inner = Fields::new(table, span.clone(), "`tls`", fields.faults);
    let ca = inner.text("ca");
    let cert = inner.text("cert");
    let key = inner.text("key");
    let server_name = inner.text("server_name");
    if !is_secure {
        let message = format!("`{}://` does not use TLS", endpoint.value.scheme);
        let hint = "write `tls://` or `https://`, or remove `tls`";
        inner.faults.push(Fault::new(span, message).hint(hint));
        return None;
    }
    if cert.is_some() != key.is_some() {
        let message = "a client certificate needs both `cert` and `key`";
        let hint = "add the one that is missing";
        inner.faults.push(Fault::new(span, message).hint(hint));
        return None;
    }
    let ca = match ca {
        Some(text) => path(&mut inner, text, around)?.path,
        None => PathBuf::from(SYSTEM_AUTHORITIES),
    };
    let client = match (cert, key) {
        (Some(cert), Some(key)) => Some((
            path(&mut inner, cert, around)?.path,
            path(&mut inner, key, around)?,
        )),
        _ => None,
    };
    inner.finish();
    let server_name = server_name.map_or_else(|| endpoint.value.host.clone(), |name| name.value);
    let tls = Tls {
        ca,
        client,
        server_name,
    };
    Some((endpoint, Some(tls)))
}

/// A secret that is sent to this endpoint: not in clear through a network.
pub(super) fn secret_over(
    fields: &mut Fields<'_, '_>,
    text: At<String>,
    endpoint: &At<Endpoint>,
    around: Surroundings<'_>,
) -> Option<SecretFile> {
    let is_secure = matches!(endpoint.value.scheme.as_str(), "tls" | "https");
    if !is_secure && !endpoint.value.is_loopback() {
        let message = "the secret would go through the network in clear";
        let hint = "use `https://` or `tls://`: only to this host itself may it go without";
        let place = endpoint.span.clone();
        fields.faults.push(Fault::new(place, message).hint(hint));
        return None;
    }
    path(fields, text, around)
}
