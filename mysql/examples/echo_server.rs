//! A server to try real clients on: any user, password `secret`, answers every query with its own text.
//!
//! Promise: listens on loopback only. It shows how to drive a [`Connection`] with blocking sockets, a thread for each.
//!
//! `cargo run -p comet-mysql --example echo_server -- [PORT] [native|sha2]`, then `mysql -h 127.0.0.1 -P PORT -psecret`.
//!
//! * `insert …` → OK, 1 row, id 85791; `begin`/`commit` → OK with and without "in transaction";
//! * `fail …` → error 13; `numbers` → three rows of a number, a text and NULL; `big N` → one cell of N bytes;
//! * anything else → one row, one column `echo`; a prepared statement → one column for each parameter, or `echo`.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use comet_mysql::{
    AuthPlugin, Column, Config, Connection, ErrorPacket, Input, Limits, Login, OkPacket, Param, StatementId,
    salt_from,
};

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments
        .next()
        .map_or(13306, |port| port.parse().expect("a port number"));
    let default_plugin = match arguments.next().as_deref() {
        Some("sha2") => AuthPlugin::CachingSha2Password,
        _ => AuthPlugin::NativePassword,
    };
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("mysql -h 127.0.0.1 -P {port} -u root -psecret");
    for (connection_id, socket) in (1..).zip(listener.incoming()) {
        let socket = socket?;
        std::thread::spawn(move || {
            if let Err(error) = serve(socket, connection_id, default_plugin) {
                eprintln!("connection {connection_id}: {error}");
            }
        });
    }
    Ok(())
}

fn serve(mut socket: TcpStream, connection_id: u32, default_plugin: AuthPlugin) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut session = Session {
        connection: Connection::new(Config {
            server_version: "5.7.99-echo".to_owned(),
            connection_id,
            salt: salt_from(random()),
            default_plugin,
            tls_available: false,
            limits: Limits {
                packet_max: 64 * 1024 * 1024,
                ..Limits::default()
            },
        }),
        prepared: BTreeMap::new(),
    };
    let mut chunk = vec![0; 64 * 1024];
    loop {
        socket.write_all(&session.connection.take_output())?;
        if session.connection.is_closed() {
            return Ok(());
        }
        let length = socket.read(&mut chunk)?;
        if length == 0 {
            return Ok(());
        }
        session.connection.receive(&chunk[..length]);
        loop {
            match session.connection.next_input() {
                Ok(Some(input)) => session.answer(input),
                Ok(None) => break,
                Err(error) => {
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

struct Session {
    connection: Connection,
    /// The text and the number of parameters of each prepared statement.
    prepared: BTreeMap<StatementId, (Vec<u8>, usize)>,
}

impl Session {
    fn answer(&mut self, input: Input) {
        match input {
            Input::Login(login) => self.login(&login),
            Input::LoginTooOld => self.connection.reject_login(&ErrorPacket::access_denied("?")),
            Input::Query(text) => self.query(&text),
            Input::InitDb(name) if name.starts_with(b"no") => {
                self.connection
                    .error(&ErrorPacket::new(15, b"HY000", "does not exist"));
            }
            Input::InitDb(_) => self.connection.ok(&OkPacket::default()),
            Input::Statistics => self.connection.statistics("Uptime: 1  Threads: 1"),
            Input::Prepare(text) => self.prepare(&text),
            Input::Execute { statement, params } => self.execute(statement, &params),
            Input::StatementClosed(statement) => {
                self.prepared.remove(&statement);
            }
            Input::Reset => self.prepared.clear(),
            Input::TooLarge => self
                .connection
                .error(&ErrorPacket::new(11, b"HY000", "data too long")),
            Input::TlsRequested { .. } => unreachable!("TLS was not offered"),
            Input::Quit => {}
        }
    }

    fn login(&mut self, login: &Login) {
        let user = String::from_utf8_lossy(&login.user);
        let program = login
            .attributes()
            .find(|(name, _)| name == "_client_name")
            .map(|(_, value)| value);
        let plugin = login.plugin().name();
        println!(
            "{user} {:?} {plugin} {program:?} change={}",
            login.database, login.change_user
        );
        if login.password_is(b"secret") {
            self.prepared.clear();
            self.connection.accept_login();
        } else {
            self.connection.reject_login(&ErrorPacket::access_denied(&user));
        }
    }

    fn query(&mut self, text: &[u8]) {
        let connection = &mut self.connection;
        let command = String::from_utf8_lossy(text).to_lowercase();
        match command.split_whitespace().next().unwrap_or_default() {
            "insert" => connection.ok(&OkPacket {
                affected_rows: 1,
                last_insert_id: 85_791,
                info: "delivered=1 queued=0",
            }),
            verb @ ("set" | "begin" | "start" | "commit" | "rollback") => {
                if verb != "set" {
                    connection.set_in_transaction(verb == "begin" || verb == "start");
                }
                connection.ok(&OkPacket::default());
            }
            "fail" => connection.error(&ErrorPacket::new(13, b"HY000", "key values required")),
            "numbers" => {
                connection.begin_rows(&["n", "text", "nothing"].map(Column::new));
                for n in ["1", "2", "3"] {
                    connection.row(&[Some(n.as_bytes()), Some("Привет 🎉".as_bytes()), None]);
                }
                connection.end_rows();
            }
            "big" => {
                let length = command[3..].trim().parse().unwrap_or(0);
                connection.resultset(&[Column::new("big")], &[vec![Some(&vec![b'x'; length])]]);
            }
            _ => connection.resultset(&[Column::new("echo")], &[vec![Some(text)]]),
        }
    }

    fn prepare(&mut self, text: &[u8]) {
        if text.starts_with(b"fail") {
            return self
                .connection
                .error(&ErrorPacket::new(3, b"HY000", "syntax error"));
        }
        let count = text.iter().filter(|byte| **byte == b'?').count() as u16;
        let names: Vec<String> = (0..count).map(|position| format!("p{position}")).collect();
        let columns: Vec<Column<'_>> = match count {
            _ if text.starts_with(b"insert") => Vec::new(),
            0 => vec![Column::new("echo")],
            _ => names.iter().map(|name| Column::new(name)).collect(),
        };
        let statement = self.connection.prepared(count, &columns);
        self.prepared
            .insert(statement, (text.to_vec(), usize::from(count)));
    }

    fn execute(&mut self, statement: StatementId, params: &[Param]) {
        let (text, count) = self
            .prepared
            .get(&statement)
            .expect("known to the connection, so known here")
            .clone();
        if text.starts_with(b"insert") || count == 0 {
            return self.query(&text);
        }
        let names: Vec<String> = (0..count).map(|position| format!("p{position}")).collect();
        let columns: Vec<Column<'_>> = names.iter().map(|name| Column::new(name)).collect();
        let cells: Vec<Option<Vec<u8>>> = params.iter().map(cell).collect();
        self.connection
            .resultset(&columns, &[cells.iter().map(Option::as_deref).collect()]);
    }
}

fn cell(param: &Param) -> Option<Vec<u8>> {
    match param {
        Param::Null => None,
        Param::Int(number) => Some(number.to_string().into_bytes()),
        Param::UInt(number) => Some(number.to_string().into_bytes()),
        Param::Float(number) => Some(number.to_string().into_bytes()),
        Param::Double(number) => Some(number.to_string().into_bytes()),
        Param::Bytes(bytes) => Some(bytes.to_vec()),
        Param::Time(text) => Some(text.clone().into_bytes()),
    }
}
