//! Prepared statements as the protocol sees them: ids, parameter counts and types, long data; and the decoding of
//! COM_STMT_EXECUTE.
//!
//! Promise: ids ascend and are never used twice; the number of statements and the bytes of long data are bounded;
//! a malformed EXECUTE is an error and changes nothing.
//! Must never know: what a statement says.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use crate::wire::{Malformed, Reader};

/// What a parameter with long data costs at least, so that many empty ones count, too.
const LONG_DATA_OVERHEAD: usize = 64;

/// Names a prepared statement of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatementId(pub u32);

/// The value of one parameter of an execution, in the type the client gave it.
#[derive(Debug, Clone, PartialEq)]
pub enum Param {
    /// No value.
    Null,
    /// A signed integer of any width.
    Int(i64),
    /// An unsigned integer of any width.
    UInt(u64),
    /// A 4-byte float.
    Float(f32),
    /// An 8-byte float.
    Double(f64),
    /// Text, blob, decimal, JSON: bytes as sent.
    Bytes(Bytes),
    /// A date, date and time, or duration, as MySQL writes it: `2026-11-21`, `2026-11-21 08:41:00`,
    /// `2026-11-21 08:41:00.000001`, `-26:00:00`.
    Time(String),
}

impl Param {
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Bytes(bytes) => bytes.len(),
                Self::Time(text) => text.len(),
                Self::Null | Self::Int(_) | Self::UInt(_) | Self::Float(_) | Self::Double(_) => 0,
            }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ParamType {
    code: u8,
    unsigned: bool,
}

/// One prepared statement.
#[derive(Debug, Default)]
struct Statement {
    param_count: u16,
    /// As sent with the first execution; later ones may leave them out.
    types: Option<Vec<ParamType>>,
    long_data: LongData,
}

#[derive(Debug)]
enum LongData {
    Kept(BTreeMap<u16, BytesMut>),
    /// More than allowed came; the next execution fails.
    TooLarge,
    /// A parameter that does not exist; the next execution fails.
    Wrong,
}

impl Default for LongData {
    fn default() -> Self {
        Self::Kept(BTreeMap::new())
    }
}

impl LongData {
    fn size(&self) -> usize {
        match self {
            Self::Kept(parts) => parts.values().map(|data| LONG_DATA_OVERHEAD + data.len()).sum(),
            Self::TooLarge | Self::Wrong => 0,
        }
    }
}

/// What became of an EXECUTE.
#[derive(Debug, PartialEq)]
pub(crate) enum Execution {
    Run { id: StatementId, params: Vec<Param> },
    Unknown,
    Malformed,
    TooLarge,
}

/// All prepared statements of a connection.
#[derive(Debug, Default)]
pub(crate) struct Statements {
    open: BTreeMap<StatementId, Statement>,
    last_id: u32,
    long_data_len: usize,
}

impl Statements {
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn add(&mut self, param_count: u16) -> StatementId {
        self.last_id = self
            .last_id
            .checked_add(1)
            .expect("four billion statements take longer than a connection lives");
        let id = StatementId(self.last_id);
        self.open.insert(
            id,
            Statement {
                param_count,
                ..Statement::default()
            },
        );
        id
    }

    /// True if there was such a statement.
    pub(crate) fn close(&mut self, id: StatementId) -> bool {
        self.reset(id);
        self.open.remove(&id).is_some()
    }

    /// Ids are not reset: they are never used twice.
    pub(crate) fn close_all(&mut self) {
        self.open.clear();
        self.long_data_len = 0;
    }

    /// Bytes of long data that are kept.
    pub(crate) fn long_data_len(&self) -> usize {
        self.long_data_len
    }

    /// Forgets long data; false if there is no such statement.
    pub(crate) fn reset(&mut self, id: StatementId) -> bool {
        self.take_long_data(id).is_some()
    }

    fn take_long_data(&mut self, id: StatementId) -> Option<LongData> {
        let long_data = std::mem::take(&mut self.open.get_mut(&id)?.long_data);
        self.long_data_len -= long_data.size();
        Some(long_data)
    }

    /// COM_STMT_SEND_LONG_DATA. It has no answer, so whatever is wrong is said at the next execution.
    pub(crate) fn add_long_data(&mut self, id: StatementId, param: u16, data: &[u8], max: usize) {
        let Some(statement) = self.open.get_mut(&id) else {
            return;
        };
        let known = matches!(&statement.long_data, LongData::Kept(parts) if parts.contains_key(&param));
        let grows_by = data.len() + if known { 0 } else { LONG_DATA_OVERHEAD };
        if grows_by > max - self.long_data_len {
            return self.refuse_long_data(id);
        }
        match &mut statement.long_data {
            LongData::Kept(parts) if param < statement.param_count => {
                parts.entry(param).or_default().extend_from_slice(data);
                self.long_data_len += grows_by;
            }
            LongData::Kept(_) => {
                self.reset(id);
                if let Some(statement) = self.open.get_mut(&id) {
                    statement.long_data = LongData::Wrong;
                }
            }
            LongData::TooLarge | LongData::Wrong => {}
        }
    }

    /// Remembers that long data came which was not kept.
    pub(crate) fn refuse_long_data(&mut self, id: StatementId) {
        self.reset(id);
        if let Some(statement) = self.open.get_mut(&id) {
            statement.long_data = LongData::TooLarge;
        }
    }

    /// The payload of a COM_STMT_EXECUTE after its command byte. Long data is used up by it.
    pub(crate) fn execute(&mut self, payload: Bytes) -> Execution {
        let mut reader = Reader::new(payload);
        let Ok(id) = reader.u32().map(StatementId) else {
            return Execution::Malformed;
        };
        let Some(long_data) = self.take_long_data(id) else {
            return Execution::Unknown;
        };
        let Some(statement) = self.open.get_mut(&id) else {
            return Execution::Unknown;
        };
        let long_data = match long_data {
            LongData::Kept(parts) => parts,
            LongData::TooLarge => return Execution::TooLarge,
            LongData::Wrong => return Execution::Malformed,
        };
        match read_params(&mut reader, statement, long_data) {
            Ok(params) => Execution::Run { id, params },
            Err(Malformed) => Execution::Malformed,
        }
    }
}

fn read_params(
    reader: &mut Reader,
    statement: &mut Statement,
    mut long_data: BTreeMap<u16, BytesMut>,
) -> Result<Vec<Param>, Malformed> {
    // Cursor wish and iteration count: results are always sent whole, once.
    reader.bytes(5)?;
    let count = statement.param_count;
    if count == 0 {
        return Ok(Vec::new());
    }
    let nulls = reader.bytes(usize::from(count).div_ceil(8))?;
    let sent = match reader.u8()? {
        0 => None,
        _ => Some(
            (0..count)
                .map(|_| read_type(reader))
                .collect::<Result<Vec<_>, _>>()?,
        ),
    };
    let types = sent.as_ref().or(statement.types.as_ref()).ok_or(Malformed)?;
    let mut params = Vec::with_capacity(usize::from(count));
    for (position, param_type) in (0..count).zip(types) {
        let is_null = nulls[usize::from(position / 8)] & (1 << (position % 8)) != 0;
        params.push(match long_data.remove(&position) {
            Some(data) => Param::Bytes(data.freeze()),
            None if is_null => Param::Null,
            None => read_value(reader, *param_type)?,
        });
    }
    if sent.is_some() {
        statement.types = sent;
    }
    Ok(params)
}

fn read_type(reader: &mut Reader) -> Result<ParamType, Malformed> {
    Ok(ParamType {
        code: reader.u8()?,
        unsigned: reader.u8()? & 0x80 != 0,
    })
}

/// The type codes of the protocol that may occur in an EXECUTE.
fn read_value(reader: &mut Reader, param_type: ParamType) -> Result<Param, Malformed> {
    let unsigned = param_type.unsigned;
    Ok(match param_type.code {
        0x06 => Param::Null,
        0x01 if unsigned => Param::UInt(reader.u8()?.into()),
        0x01 => Param::Int((reader.u8()? as i8).into()),
        0x02 | 0x0D if unsigned => Param::UInt(reader.u16()?.into()),
        0x02 | 0x0D => Param::Int((reader.u16()? as i16).into()),
        0x03 | 0x09 if unsigned => Param::UInt(reader.u32()?.into()),
        0x03 | 0x09 => Param::Int((reader.u32()? as i32).into()),
        0x08 if unsigned => Param::UInt(reader.u64()?),
        0x08 => Param::Int(reader.u64()? as i64),
        0x04 => Param::Float(f32::from_bits(reader.u32()?)),
        0x05 => Param::Double(f64::from_bits(reader.u64()?)),
        0x07 | 0x0A | 0x0C => Param::Time(read_date(reader)?),
        0x0B => Param::Time(read_duration(reader)?),
        // DECIMAL, VARCHAR, BIT, JSON, NEWDECIMAL, ENUM, SET, the BLOBs, VAR_STRING, STRING, GEOMETRY.
        0x00 | 0x0F | 0x10 | 0xF5..=0xFF => Param::Bytes(reader.length_encoded_bytes()?),
        _ => return Err(Malformed),
    })
}

fn read_date(reader: &mut Reader) -> Result<String, Malformed> {
    let length = reader.u8()?;
    if ![0, 4, 7, 11].contains(&length) {
        return Err(Malformed);
    }
    let date = match length {
        0 => (0, 0, 0),
        _ => (reader.u16()?, reader.u8()?, reader.u8()?),
    };
    let mut text = format!("{:04}-{:02}-{:02}", date.0, date.1, date.2);
    if length >= 7 {
        let time = (reader.u8()?, reader.u8()?, reader.u8()?);
        text += &format!(" {:02}:{:02}:{:02}", time.0, time.1, time.2);
    }
    if length == 11 {
        text += &format!(".{:06}", reader.u32()?);
    }
    Ok(text)
}

fn read_duration(reader: &mut Reader) -> Result<String, Malformed> {
    let length = reader.u8()?;
    if ![0, 8, 12].contains(&length) {
        return Err(Malformed);
    }
    if length == 0 {
        return Ok("00:00:00".to_owned());
    }
    let sign = if reader.u8()? == 0 { "" } else { "-" };
    let days = u64::from(reader.u32()?);
    let hours = u64::from(reader.u8()?);
    let (minutes, seconds) = (reader.u8()?, reader.u8()?);
    let mut text = format!("{sign}{:02}:{minutes:02}:{seconds:02}", days * 24 + hours);
    if length == 12 {
        text += &format!(".{:06}", reader.u32()?);
    }
    Ok(text)
}
