//! A MySQL client in the order of its protocol (protocol.md 7.1, 7.2): logins by both plugins, changes of user, prepared
//! statements with parameters of every type, long data, and nonsense between. Nobody is in without the password, values
//! arrive as they were sent, answers are packets numbered without gaps, and TCP's cuts change nothing.

use std::collections::BTreeMap;

use arbitrary::{Result, Unstructured};
use comet_mysql::{
    AuthPlugin, Column, Config, Connection, ErrorPacket, Input, Limits, OkPacket, Param, StatementId,
    salt_from,
};

use crate::mysql_client::{NATIVE, SHA2, Sent, change_user, execute, login, packet, proof, with_id};

const PASSWORD: &[u8] = b"secret";
/// Passwords that are not it.
const WRONG: [&[u8]; 4] = [b"", b"Secret", b"secret ", b"guess"];
const PREPARED_MAX: usize = 3;
const PACKET_MAX: usize = 512;

/// `data` is a list of choices: what the client does.
pub fn mysql_session(data: &[u8]) {
    let mut choices = Unstructured::new(data);
    let cut: u8 = choices.arbitrary().unwrap_or_default();
    let mut client = Client::new();
    let _ = client.act(&mut choices);
    let mut again = Server::new();
    for part in client.sent.chunks(usize::from(cut).max(1)) {
        again.receive(part);
    }
    assert_eq!(
        client.server.said, again.said,
        "the same answers however the bytes were cut"
    );
}

/// The application behind the connection, as small as can be.
struct Server {
    connection: Connection,
    said: Vec<u8>,
    inputs: Vec<Input>,
    /// Logins by their outcome.
    logins: Vec<bool>,
}

impl Server {
    fn new() -> Self {
        let mut connection = Connection::new(Config {
            server_version: "5.7.99-fuzz".into(),
            connection_id: 1,
            salt: salt_from([7; 20]),
            default_plugin: AuthPlugin::NativePassword,
            tls_available: false,
            limits: Limits {
                login_packet_max: 256,
                packet_max: PACKET_MAX,
                prepared_max: PREPARED_MAX,
                pipeline_max: 4,
            },
        });
        let said = connection.take_output().to_vec();
        Self {
            connection,
            said,
            inputs: Vec::new(),
            logins: Vec::new(),
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.connection.receive(bytes);
        while let Ok(Some(input)) = self.connection.next_input() {
            self.answer(&input);
            self.inputs.push(input);
        }
        self.said.extend(self.connection.take_output());
    }

    fn answer(&mut self, input: &Input) {
        let connection = &mut self.connection;
        match input {
            Input::Login(login) => {
                let right = login.password_is(PASSWORD);
                self.logins.push(right);
                match right {
                    true => connection.accept_login(),
                    false => connection.reject_login(&ErrorPacket::access_denied("x")),
                }
            }
            Input::LoginTooOld => connection.reject_login(&ErrorPacket::access_denied("x")),
            Input::Query(_) | Input::InitDb(_) => connection.ok(&OkPacket::default()),
            Input::Statistics => connection.statistics("up"),
            Input::Prepare(text) => {
                let params = text.iter().filter(|byte| **byte == b'?').count();
                let params = u16::try_from(params).expect("texts are shorter");
                let _: StatementId = connection.prepared(params, &[]);
            }
            Input::Execute { .. } => {
                connection.begin_rows(&[Column::new("a")]);
                connection.row(&[Some(b"1")]);
                connection.end_rows();
            }
            Input::TooLarge => connection.error(&ErrorPacket::new(11, b"HY000", "too long")),
            Input::TlsRequested { .. } | Input::StatementClosed(_) | Input::Reset | Input::Quit => {}
        }
    }
}

struct Client {
    server: Server,
    sent: Vec<u8>,
    salt: [u8; 20],
    is_in: bool,
    /// Whether the right proof was ever sent.
    knows: bool,
    /// Open statements and their parameters; ids ascend from 1.
    statements: BTreeMap<u32, usize>,
    last_id: u32,
}

impl Client {
    fn new() -> Self {
        let server = Server::new();
        let greeting = &server.said[4..];
        let version_end = greeting
            .iter()
            .position(|byte| *byte == 0)
            .expect("the version ends");
        let first = version_end + 5;
        let mut salt = [0; 20];
        salt[..8].copy_from_slice(&greeting[first..first + 8]);
        salt[8..].copy_from_slice(&greeting[first + 27..first + 39]);
        Self {
            server,
            sent: Vec::new(),
            salt,
            is_in: false,
            knows: false,
            statements: BTreeMap::new(),
            last_id: 0,
        }
    }

    fn act(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        self.log_in(choices)?;
        for _ in 0..60 {
            if choices.is_empty() || self.server.connection.is_closed() {
                break;
            }
            match choices.int_in_range(0..=11u8)? {
                0 => self.change_user(choices)?,
                1..=2 => self.prepare(choices)?,
                3..=6 => self.execute(choices)?,
                7 => self.forget(choices)?,
                8 => self.plain(choices)?,
                9 if self.is_in => self.reset(),
                _ => self.nonsense(choices)?,
            }
            assert!(
                self.knows || self.server.logins.iter().all(|right| !right),
                "in without the password"
            );
        }
        Ok(())
    }

    /// Sends a packet and shows what it caused: new inputs, and the answer.
    fn send(&mut self, sequence: u8, payload: &[u8]) -> (Vec<Input>, Vec<u8>) {
        let (before, inputs) = (self.server.said.len(), self.server.inputs.len());
        let bytes = packet(sequence, payload);
        self.server.receive(&bytes);
        self.sent.extend(bytes);
        let answer = self.server.said[before..].to_vec();
        numbered(&answer, sequence.wrapping_add(1));
        (self.server.inputs[inputs..].to_vec(), answer)
    }

    fn log_in(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        let (right, plugin, proof) = self.proof(choices)?;
        let user = *choices.choose(&["root", "", "dev1"])?;
        let payload = login(user, &proof, plugin);
        let (_, answer) = self.send(1, &payload);
        self.finish_login(right, plugin, &answer, 1, choices)
    }

    fn change_user(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        if !self.is_in {
            return Ok(());
        }
        let (right, plugin, proof) = self.proof(choices)?;
        let (_, answer) = self.send(0, &change_user("root", &proof, plugin));
        self.is_in = false;
        self.statements.clear();
        self.finish_login(right, plugin, &answer, 0, choices)
    }

    fn proof(&mut self, choices: &mut Unstructured<'_>) -> Result<(bool, &'static str, Vec<u8>)> {
        let plugin = *choices.choose(&[NATIVE, SHA2, "mysql_clear_password"])?;
        let right = choices.ratio(7, 8)?;
        let password = if right { PASSWORD } else { *choices.choose(&WRONG)? };
        self.knows |= right;
        Ok((right, plugin, proof(plugin, password, &self.salt)))
    }

    /// The server decides, or asks for another proof first.
    fn finish_login(
        &mut self,
        right: bool,
        plugin: &'static str,
        answer: &[u8],
        sequence: u8,
        choices: &mut Unstructured<'_>,
    ) -> Result<()> {
        if self.server.connection.is_closed() {
            assert!(
                !right || plugin == "mysql_clear_password",
                "the right password is refused: {answer:?}"
            );
            return Ok(());
        }
        if answer.get(4) == Some(&0xFE) {
            let asked = if answer[5..].starts_with(SHA2.as_bytes()) {
                SHA2
            } else {
                NATIVE
            };
            let salt = &answer[answer.len() - 21..answer.len() - 1];
            self.salt.copy_from_slice(salt);
            let right = choices.ratio(3, 4)?;
            let password = if right { PASSWORD } else { *choices.choose(&WRONG)? };
            self.knows |= right;
            let proof = proof(asked, password, &self.salt);
            let _ = self.send(sequence.wrapping_add(2), &proof);
            self.is_in = right;
        } else {
            self.is_in = right;
        }
        assert_eq!(
            self.is_in,
            !self.server.connection.is_closed(),
            "in exactly with the password"
        );
        assert_eq!(self.server.logins.last(), Some(&self.is_in));
        Ok(())
    }

    fn prepare(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        let params = choices.int_in_range(0..=10)?;
        let text = format!("\x16{}", "?".repeat(params));
        let (inputs, answer) = self.send(0, text.as_bytes());
        if self.is_in && self.statements.len() < PREPARED_MAX {
            self.last_id += 1;
            self.statements.insert(self.last_id, params);
            assert!(matches!(&inputs[..], [Input::Prepare(_)]));
            assert_eq!(answer[4..9], [&[0][..], &self.last_id.to_le_bytes()].concat());
        } else if self.is_in {
            assert!(inputs.is_empty() && answer[4] == 0xFF, "one statement too many");
        }
        Ok(())
    }

    /// Also statements that are gone or never were.
    fn some_id(&self, choices: &mut Unstructured<'_>) -> Result<u32> {
        choices.int_in_range(0..=self.last_id.saturating_add(1))
    }

    fn execute(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        let id = self.some_id(choices)?;
        let params = self.statements.get(&id).copied();
        let wanted: Vec<(Sent, Param)> = (0..params.unwrap_or(2))
            .map(|_| param(choices))
            .collect::<Result<_>>()?;
        let (sent, wanted): (Vec<Sent>, Vec<Param>) = wanted.into_iter().unzip();
        let payload = execute(id, &sent);
        let fits = payload.len() <= PACKET_MAX;
        let (inputs, answer) = self.send(0, &payload);
        match (&inputs[..], params) {
            ([Input::Execute { statement, params }], Some(_)) => {
                assert_eq!((statement.0, params), (id, &wanted));
            }
            ([Input::TooLarge], _) => assert!(!fits),
            ([], None) => assert!(!self.is_in || answer[4] == 0xFF, "an unknown statement"),
            (inputs, _) => panic!("{inputs:?} of {sent:?}"),
        }
        Ok(())
    }

    fn forget(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        let id = self.some_id(choices)?;
        if choices.ratio(1, 2)? {
            let (_, answer) = self.send(0, &with_id(0x19, id));
            assert!(answer.is_empty(), "COM_STMT_CLOSE has no answer");
            self.statements.remove(&id);
        } else {
            let (_, answer) = self.send(0, &with_id(0x1A, id));
            assert_eq!(
                answer[4] == 0,
                self.statements.contains_key(&id),
                "COM_STMT_RESET"
            );
        }
        Ok(())
    }

    fn plain(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        let (command, is_error) = *choices.choose(&[
            (0x03, false),
            (0x02, false),
            (0x0E, false),
            (0x7F, true),
            (0x04, false),
        ])?;
        let (_, answer) = self.send(0, &[&[command][..], b"select 1\0"].concat());
        assert!(!answer.is_empty(), "a command has an answer");
        assert!(!is_error || answer[4] == 0xFF, "an unknown command");
        Ok(())
    }

    fn reset(&mut self) {
        let (_, answer) = self.send(0, &[0x1F]);
        assert_eq!(answer[4], 0, "COM_RESET_CONNECTION");
        self.statements.clear();
    }

    /// Any command with any bytes behind it, but for those that would change what this client knows.
    fn nonsense(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        let length = choices.int_in_range(0..=40)?;
        let bytes = choices.bytes(choices.len().min(length))?;
        let harmless = [0x03, 0x02, 0x09, 0x0E, 0x17, 0x1B, 0x1C, 0x05, 0x06, 0x0D];
        let command = *choices.choose(&harmless)?;
        let _ = self.send(0, &[&[command][..], bytes].concat());
        Ok(())
    }
}

/// The packets of an answer are complete and count up.
fn numbered(mut answer: &[u8], first: u8) {
    let mut sequence = first;
    while let Some((head, rest)) = answer.split_first_chunk::<4>() {
        let length = u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize;
        assert_eq!(head[3], sequence, "sequence ids count up");
        sequence = sequence.wrapping_add(1);
        answer = rest.get(length..).expect("packets are complete");
    }
    assert!(answer.is_empty(), "nothing but packets");
}

/// A parameter and what the server must understand.
fn param(choices: &mut Unstructured<'_>) -> Result<(Sent, Param)> {
    let number: i64 = choices.arbitrary()?;
    let le = number.to_le_bytes();
    let sent = |code: u8, unsigned: bool, bytes: &[u8]| Sent {
        code: [code, if unsigned { 0x80 } else { 0 }],
        is_null: false,
        bytes: bytes.to_vec(),
    };
    Ok(match choices.int_in_range(0..=11u8)? {
        0 => (
            Sent {
                code: [6, 0],
                is_null: true,
                bytes: Vec::new(),
            },
            Param::Null,
        ),
        1 => (sent(1, false, &le[..1]), Param::Int((number as i8).into())),
        2 => (sent(1, true, &le[..1]), Param::UInt((number as u8).into())),
        3 => (sent(2, false, &le[..2]), Param::Int((number as i16).into())),
        4 => (sent(3, true, &le[..4]), Param::UInt((number as u32).into())),
        5 => (sent(8, false, &le), Param::Int(number)),
        6 => (sent(8, true, &le), Param::UInt(number as u64)),
        7 => (sent(4, false, &1.5f32.to_le_bytes()), Param::Float(1.5)),
        8 => (sent(5, false, &(-2.5f64).to_le_bytes()), Param::Double(-2.5)),
        9 => (
            Sent {
                code: [3, 0],
                is_null: true,
                bytes: Vec::new(),
            },
            Param::Null,
        ),
        _ => {
            let length = choices.int_in_range(0..=60)?;
            let text = choices.bytes(choices.len().min(length))?;
            let code = *choices.choose(&[253, 254, 252, 15, 246])?;
            let bytes = [&[text.len() as u8][..], text].concat();
            (sent(code, false, &bytes), Param::Bytes(text.to_vec().into()))
        }
    })
}
