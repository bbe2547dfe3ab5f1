//! What the echo server answers:
//!
//! * `insert …` → OK, 1 row, id 85791; `begin`/`commit`/… → OK with and without "in transaction"; `set …` → OK;
//! * `fail …` → error 13, error 3 if prepared; `numbers` → three rows of a number, a text and NULL;
//! * `big N` → one cell of N bytes; `show …` → four variables;
//! * anything else → one row, one column `echo`; with parameters → one column for each of them.

use std::collections::BTreeMap;

use comet_mysql::{Column, Connection, ErrorPacket, Input, Login, OkPacket, Param, StatementId};

const NUMBERS: [&str; 3] = ["n", "text", "nothing"];
const VARIABLES: [&str; 2] = ["Variable_name", "Value"];
/// What MariaDB's Java driver refuses to connect without.
const SHOWN: [(&str, &str); 4] = [
    ("max_allowed_packet", "67108864"),
    ("system_time_zone", "UTC"),
    ("time_zone", "SYSTEM"),
    ("auto_increment_increment", "1"),
];

pub(crate) struct Session {
    pub(crate) connection: Connection,
    /// The text and the number of parameters of each prepared statement.
    prepared: BTreeMap<StatementId, (Vec<u8>, u16)>,
}

impl Session {
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection,
            prepared: BTreeMap::new(),
        }
    }

    pub(crate) fn answer(&mut self, input: Input) {
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
        let client = login
            .attributes()
            .find(|(name, _)| name == "_client_name")
            .map(|(_, value)| value);
        let (plugin, tls, change) = (login.plugin().name(), login.tls, login.change_user);
        println!(
            "{user} {:?} {plugin} client={client:?} tls={tls} change={change}",
            login.database
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
        match first_word(&command) {
            "insert" => {
                connection.ok(&OkPacket {
                    affected_rows: 1,
                    last_insert_id: 85_791,
                    info: "delivered=1 queued=0",
                });
            }
            "set" => connection.ok(&OkPacket::default()),
            verb @ ("begin" | "start" | "commit" | "rollback") => {
                connection.set_in_transaction(verb == "begin" || verb == "start");
                connection.ok(&OkPacket::default());
            }
            "fail" => connection.error(&ErrorPacket::new(13, b"HY000", "key values required")),
            "numbers" => {
                connection.begin_rows(&NUMBERS.map(Column::new));
                for n in ["1", "2", "3"] {
                    connection.row(&[Some(n.as_bytes()), Some("Привет 🎉".as_bytes()), None]);
                }
                connection.end_rows();
            }
            "show" => {
                let rows = SHOWN.map(|(name, value)| vec![Some(name.as_bytes()), Some(value.as_bytes())]);
                connection.resultset(&VARIABLES.map(Column::new), &rows);
            }
            "big" => {
                let length = command[3..].trim().parse().unwrap_or(0);
                connection.resultset(&[Column::new("big")], &[vec![Some(&vec![b'x'; length])]]);
            }
            _ => connection.resultset(&[Column::new("echo")], &[vec![Some(text)]]),
        }
    }

    fn prepare(&mut self, text: &[u8]) {
        let command = String::from_utf8_lossy(text).to_lowercase();
        let count = command.matches('?').count() as u16;
        let names = param_names(count);
        let columns: Vec<&str> = match first_word(&command) {
            "fail" => {
                return self
                    .connection
                    .error(&ErrorPacket::new(3, b"HY000", "syntax error"));
            }
            "insert" | "set" | "begin" | "start" | "commit" | "rollback" => Vec::new(),
            "numbers" => NUMBERS.to_vec(),
            "show" => VARIABLES.to_vec(),
            _ if count == 0 => vec!["echo"],
            _ => names.iter().map(String::as_str).collect(),
        };
        let columns: Vec<Column<'_>> = columns.into_iter().map(Column::new).collect();
        let statement = self.connection.prepared(count, &columns);
        self.prepared.insert(statement, (text.to_vec(), count));
    }

    fn execute(&mut self, statement: StatementId, params: &[Param]) {
        let (text, count) = self
            .prepared
            .get(&statement)
            .expect("known to the connection, so known here")
            .clone();
        if count == 0 || text.to_ascii_lowercase().starts_with(b"insert") {
            return self.query(&text);
        }
        let names = param_names(count);
        let columns: Vec<Column<'_>> = names.iter().map(|name| Column::new(name)).collect();
        let cells: Vec<Option<Vec<u8>>> = params.iter().map(cell).collect();
        self.connection
            .resultset(&columns, &[cells.iter().map(Option::as_deref).collect()]);
    }
}

fn first_word(command: &str) -> &str {
    command.split_whitespace().next().unwrap_or_default()
}

fn param_names(count: u16) -> Vec<String> {
    (0..count).map(|position| format!("p{position}")).collect()
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
