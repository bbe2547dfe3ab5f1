//! A server to try real clients on: any user, password `secret`, answers every query with its own text.
//!
//! Promise: listens on loopback only. It shows how to drive a [`Connection`] with blocking sockets, a thread for each.
//!
//! `cargo run -p comet-mysql --example echo_server -- [PORT] [native|sha2] [tls]`, then
//! `mysql -h 127.0.0.1 -P PORT -psecret`. The scripts in `clients` try it with what drivers there are.

mod session;
mod stream;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use comet_mysql::{AuthPlugin, Config, Connection, Input, Limits, salt_from};

use session::Session;
use stream::Stream;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let port = arguments
        .first()
        .map_or(13306, |port| port.parse().expect("a port number"));
    let default_plugin = match arguments.get(1).map(String::as_str) {
        Some("sha2") => AuthPlugin::CachingSha2Password,
        _ => AuthPlugin::NativePassword,
    };
    let tls = arguments
        .get(2)
        .is_some_and(|word| word == "tls")
        .then(stream::self_signed);
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("mysql -h 127.0.0.1 -P {port} -u root -psecret");
    for (connection_id, socket) in (1..).zip(listener.incoming()) {
        let (socket, tls) = (socket?, tls.clone());
        std::thread::spawn(move || {
            if let Err(error) = serve(socket, connection_id, default_plugin, tls) {
                eprintln!("connection {connection_id}: {error}");
            }
        });
    }
    Ok(())
}

fn serve(
    socket: TcpStream,
    connection_id: u32,
    default_plugin: AuthPlugin,
    tls: Option<Arc<rustls::ServerConfig>>,
) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut stream = Stream::Plain(socket);
    let mut session = Session::new(Connection::new(Config {
        server_version: "5.7.99-echo".to_owned(),
        connection_id,
        salt: salt_from(random()),
        default_plugin,
        tls_available: tls.is_some(),
        limits: Limits {
            packet_max: 64 * 1024 * 1024,
            ..Limits::default()
        },
    }));
    let mut chunk = vec![0; 64 * 1024];
    loop {
        stream.write_all(&session.connection.take_output())?;
        if session.connection.is_closed() {
            return Ok(());
        }
        let length = stream.read(&mut chunk)?;
        if length == 0 {
            return Ok(());
        }
        session.connection.receive(&chunk[..length]);
        loop {
            match (session.connection.next_input(), &tls) {
                (Ok(Some(Input::TlsRequested { rest })), Some(tls)) => stream = stream.upgrade(tls, rest)?,
                (Ok(Some(input)), _) => session.answer(input),
                (Ok(None), _) => break,
                (Err(error), _) => {
                    eprintln!("connection {connection_id}: {error}");
                    break;
                }
            }
        }
    }
}

/// Good enough for an example: the standard library's hash keys are random.
fn random() -> [u8; 20] {
    std::array::from_fn(|_| RandomState::new().build_hasher().finish() as u8)
}
