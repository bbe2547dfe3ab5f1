//! The alphabet of the protocol: little-endian integers, length-encoded integers and strings, NUL-terminated strings.
//!
//! Promise: a reader never looks beyond its packet and never panics; whatever does not fit is [`Malformed`].
//! Must never know: what a packet means.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// A packet whose content does not fit its own length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads one payload from front to back.
#[derive(Debug)]
pub(crate) struct Reader {
    rest: Bytes,
}

impl Reader {
    pub(crate) fn new(payload: Bytes) -> Self {
        Self { rest: payload }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn rest(self) -> Bytes {
        self.rest
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.rest.try_get_u8().map_err(|_| Malformed)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.rest.try_get_u16_le().map_err(|_| Malformed)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.rest.try_get_u32_le().map_err(|_| Malformed)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.rest.try_get_u64_le().map_err(|_| Malformed)
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Result<Bytes, Malformed> {
        if length > self.rest.len() {
            return Err(Malformed);
        }
        Ok(self.rest.split_to(length))
    }

    /// Text up to a NUL, which must be there and is consumed.
    pub(crate) fn until_nul(&mut self) -> Result<Bytes, Malformed> {
        let end = self.rest.iter().position(|byte| *byte == 0).ok_or(Malformed)?;
        let text = self.rest.split_to(end);
        self.rest.advance(1);
        Ok(text)
    }

    /// FB (NULL) and FF are no lengths and therefore malformed here.
    pub(crate) fn length_encoded(&mut self) -> Result<u64, Malformed> {
        match self.u8()? {
            short @ 0..=0xFA => Ok(u64::from(short)),
            0xFC => self.u16().map(u64::from),
            0xFD => {
                let bytes = self.bytes(3)?;
                Ok(u64::from(bytes[0]) | u64::from(bytes[1]) << 8 | u64::from(bytes[2]) << 16)
            }
            0xFE => self.u64(),
            0xFB | 0xFF => Err(Malformed),
        }
    }

    pub(crate) fn length_encoded_bytes(&mut self) -> Result<Bytes, Malformed> {
        let length = usize::try_from(self.length_encoded()?).map_err(|_| Malformed)?;
        self.bytes(length)
    }
}

/// protocol.md 7.2: one byte up to 250, then FC and 2, FD and 3, FE and 8 bytes.
pub(crate) fn put_length_encoded(out: &mut BytesMut, value: u64) {
    match value {
        0..=0xFA => out.put_uint_le(value, 1),
        0xFB..=0xFFFF => {
            out.put_u8(0xFC);
            out.put_uint_le(value, 2);
        }
        0x1_0000..=0xFF_FFFF => {
            out.put_u8(0xFD);
            out.put_uint_le(value, 3);
        }
        0x100_0000.. => {
            out.put_u8(0xFE);
            out.put_u64_le(value);
        }
    }
}

pub(crate) fn put_length_encoded_bytes(out: &mut BytesMut, bytes: &[u8]) {
    put_length_encoded(out, bytes.len() as u64);
    out.put_slice(bytes);
}

pub(crate) fn put_nul_terminated(out: &mut BytesMut, text: &[u8]) {
    out.put_slice(text);
    out.put_u8(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(value: u64) -> Vec<u8> {
        let mut out = BytesMut::new();
        put_length_encoded(&mut out, value);
        out.to_vec()
    }

    /// Q40: the widths change exactly at these values.
    #[test]
    fn length_encoded_integers_at_their_borders() {
        let cases: [(u64, &[u8]); 11] = [
            (0, &[0]),
            (250, &[0xFA]),
            (251, &[0xFC, 0xFB, 0]),
            (252, &[0xFC, 0xFC, 0]),
            (65_535, &[0xFC, 0xFF, 0xFF]),
            (65_536, &[0xFD, 0, 0, 1]),
            (85_791, &[0xFD, 0x1F, 0x4F, 0x01]),
            (16_777_215, &[0xFD, 0xFF, 0xFF, 0xFF]),
            (16_777_216, &[0xFE, 0, 0, 0, 1, 0, 0, 0, 0]),
            (u64::from(u32::MAX), &[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]),
            (u64::MAX, &[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
        ];
        for (value, bytes) in cases {
            assert_eq!(encoded(value), bytes, "{value}");
            let mut reader = Reader::new(Bytes::copy_from_slice(bytes));
            assert_eq!(reader.length_encoded(), Ok(value));
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn what_is_cut_off_is_malformed() {
        for bytes in [
            &[][..],
            &[0xFB],
            &[0xFF],
            &[0xFC, 1],
            &[0xFD, 1, 2],
            &[0xFE, 1, 2, 3, 4, 5, 6, 7],
        ] {
            let mut reader = Reader::new(Bytes::copy_from_slice(bytes));
            assert_eq!(reader.length_encoded(), Err(Malformed), "{bytes:?}");
        }
        let mut reader = Reader::new(Bytes::from_static(&[3, b'a', b'b']));
        assert_eq!(reader.length_encoded_bytes(), Err(Malformed));
        let mut reader = Reader::new(Bytes::from_static(b"no end"));
        assert_eq!(reader.until_nul(), Err(Malformed));
    }
}
