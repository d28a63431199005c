//! A receiver of RELP.

use std::{io, sync::Arc, thread};

use rustls::ServerConfig;

use super::{
    server::{Account, Buffered, Connection, Fault, Server},
    syslog::message_uid,
};

pub fn server(tls: Option<Arc<ServerConfig>>) -> Server {
    Server::new(tls, serve)
}

fn serve(connection: &mut dyn Connection, account: &Account) -> io::Result<()> {
    let mut input = Buffered::new(connection);
    let mut expected = 1_u32;
    while let Some(number) = input.until(b' ')? {
        let number = String::from_utf8_lossy(&number).into_owned();
        if number != expected.to_string() {
            account.malformed(format!("frame {number} where {expected} is due"));
            return Ok(());
        }
        let command = input.until(b' ')?.unwrap_or_default();
        let mut length = Vec::new();
        let end = loop {
            match input.byte()? {
                Some(byte @ (b' ' | b'\n')) => break byte,
                Some(byte) => length.push(byte),
                None => return Ok(()),
            }
        };
        let length: usize = String::from_utf8_lossy(&length).parse().expect("a length");
        let mut data = Vec::new();
        let fault = (command == b"syslog").then(|| account.fault()).flatten();
        if fault == Some(Fault::CloseMidFrame) {
            input.exactly(length / 2)?;
            return Ok(());
        }
        if end == b' ' {
            data = input.exactly(length)?;
            if input.byte()? != Some(b'\n') {
                account.malformed(format!("frame {number} does not end"));
                return Ok(());
            }
        } else if length != 0 {
            account.malformed(format!("frame {number} has no data"));
        }
        let mut answer = |text: &str| {
            let frame = format!("{number} rsp {} {text}\n", text.len());
            input.connection.write_all(frame.as_bytes())?;
            input.connection.flush()
        };
        match command.as_slice() {
            b"open" if expected == 1 => {
                answer("200 OK\nrelp_version=0\nrelp_software=fake\ncommands=syslog")?;
            }
            b"close" => {
                input
                    .connection
                    .write_all(format!("{number} rsp 0\n0 serverclose 0\n").as_bytes())?;
                return input.connection.flush();
            }
            b"syslog" if expected > 1 => match message_uid(&data) {
                Err(why) => account.malformed(why),
                Ok(uid) if account.refuses(&uid) => answer("500 not this one")?,
                Ok(uid) => {
                    account.take(uid);
                    match fault {
                        Some(Fault::TakeAndClose) => return Ok(()),
                        Some(Fault::Slow(time)) => thread::sleep(time),
                        _ => {}
                    }
                    answer("200 OK")?;
                }
            },
            other => account.malformed(format!("command {}", other.escape_ascii())),
        }
        expected += 1;
    }
    Ok(())
}
