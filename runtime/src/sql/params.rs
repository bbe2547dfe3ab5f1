//! Parameters of prepared statements: from the types of the MySQL protocol to those of CometQL.

use comet_core::cometql::Param;
use comet_core::{ErrorCode, QueryError};

/// Converts the parameters of one execution. Text that is not UTF-8: error 12 (protocol.md 7.2).
pub(crate) fn params(sent: &[comet_mysql::Param]) -> Result<Vec<Param>, QueryError> {
    sent.iter().map(param).collect()
}

fn param(sent: &comet_mysql::Param) -> Result<Param, QueryError> {
    Ok(match sent {
        comet_mysql::Param::Null => Param::Null,
        comet_mysql::Param::Int(number) => Param::Int(*number),
        comet_mysql::Param::UInt(number) => Param::UInt(*number),
        comet_mysql::Param::Float(number) => Param::Text(number.to_string().into()),
        comet_mysql::Param::Double(number) => Param::Text(number.to_string().into()),
        comet_mysql::Param::Bytes(bytes) => {
            let invalid = QueryError::new(ErrorCode::InvalidData, "a parameter is not valid UTF-8");
            Param::Text(std::str::from_utf8(bytes).map_err(|_| invalid)?.into())
        }
        comet_mysql::Param::Time(text) => Param::Text(text.as_str().into()),
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn every_type_has_a_meaning() {
        let sent = [
            comet_mysql::Param::Null,
            comet_mysql::Param::Int(-5),
            comet_mysql::Param::UInt(u64::MAX),
            comet_mysql::Param::Double(1.5),
            comet_mysql::Param::Float(2.0),
            comet_mysql::Param::Bytes(Bytes::from_static("ü".as_bytes())),
            comet_mysql::Param::Time("2026-11-21".to_owned()),
        ];
        let expected = [
            Param::Null,
            Param::Int(-5),
            Param::UInt(u64::MAX),
            Param::Text("1.5".into()),
            Param::Text("2".into()),
            Param::Text("ü".into()),
            Param::Text("2026-11-21".into()),
        ];
        assert_eq!(params(&sent).unwrap(), expected);
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let sent = [comet_mysql::Param::Bytes(Bytes::from_static(b"\xff"))];
        assert_eq!(params(&sent).unwrap_err().code, ErrorCode::InvalidData);
    }
}
