//! Values of ours as bytes: the form that `postcard` reads, written by ourselves. Every event of a recording and the state
//! a segment begins with are written on the core's thread; `postcard`'s own writer goes through a buffer for each number
//! and takes a tenth longer for events, a fifth for states.
//!
//! Numbers have seven bits per byte, the lowest first, signed ones as zigzag; texts and rows begin with their length,
//! variants with their index; fields have neither names nor anything between them.

use alloc::string::ToString as _;
use alloc::vec::Vec;
use core::fmt;

use serde::ser::{
    Error as _, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// Appends a value of ours.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    value.serialize(Form(out)).expect("our types have a form");
}

/// Appends to bytes.
struct Form<'a>(&'a mut Vec<u8>);

type Written = Result<(), fmt::Error>;

impl Form<'_> {
    #[inline]
    fn number(self, mut number: u64) -> Written {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
        Ok(())
    }

    #[inline]
    fn bytes(self, bytes: &[u8]) -> Written {
        Form(self.0).number(bytes.len() as u64)?;
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// What is inside comes one after the other, with nothing between.
impl<'a> Serializer for Form<'a> {
    type Ok = ();
    type Error = fmt::Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn serialize_bool(self, v: bool) -> Written {
        self.serialize_u8(v.into())
    }

    #[inline]
    fn serialize_i8(self, v: i8) -> Written {
        self.serialize_u8(v.cast_unsigned())
    }

    #[inline]
    fn serialize_i16(self, v: i16) -> Written {
        self.serialize_i64(v.into())
    }

    #[inline]
    fn serialize_i32(self, v: i32) -> Written {
        self.serialize_i64(v.into())
    }

    #[inline]
    fn serialize_i64(self, v: i64) -> Written {
        self.number((v << 1 ^ v >> 63).cast_unsigned())
    }

    #[inline]
    fn serialize_u8(self, v: u8) -> Written {
        self.0.push(v);
        Ok(())
    }

    #[inline]
    fn serialize_u16(self, v: u16) -> Written {
        self.number(v.into())
    }

    #[inline]
    fn serialize_u32(self, v: u32) -> Written {
        self.number(v.into())
    }

    #[inline]
    fn serialize_u64(self, v: u64) -> Written {
        self.number(v)
    }

    fn serialize_u128(self, mut v: u128) -> Written {
        while v >= 0x80 {
            self.0.push(v as u8 | 0x80);
            v >>= 7;
        }
        self.0.push(v as u8);
        Ok(())
    }

    fn serialize_f32(self, v: f32) -> Written {
        self.0.extend_from_slice(&v.to_le_bytes());
        Ok(())
    }

    fn serialize_f64(self, v: f64) -> Written {
        self.0.extend_from_slice(&v.to_le_bytes());
        Ok(())
    }

    fn serialize_char(self, v: char) -> Written {
        self.serialize_str(v.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, v: &str) -> Written {
        self.bytes(v.as_bytes())
    }

    #[inline]
    fn serialize_bytes(self, v: &[u8]) -> Written {
        self.bytes(v)
    }

    #[inline]
    fn serialize_none(self) -> Written {
        self.serialize_u8(0)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        self.0.push(1);
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Written {
        Ok(())
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Written {
        Ok(())
    }

    #[inline]
    fn serialize_unit_variant(self, _: &'static str, index: u32, _: &'static str) -> Written {
        self.number(index.into())
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Written {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Written {
        Form(self.0).number(index.into())?;
        value.serialize(self)
    }

    #[inline]
    fn serialize_seq(self, length: Option<usize>) -> Result<Self, fmt::Error> {
        let length = length.ok_or_else(|| fmt::Error::custom("a row without a length"))?;
        Form(self.0).number(length as u64)?;
        Ok(self)
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Self, fmt::Error> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, fmt::Error> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, fmt::Error> {
        Form(self.0).number(index.into())?;
        Ok(self)
    }

    #[inline]
    fn serialize_map(self, length: Option<usize>) -> Result<Self, fmt::Error> {
        self.serialize_seq(length)
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, fmt::Error> {
        Ok(self)
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, fmt::Error> {
        Form(self.0).number(index.into())?;
        Ok(self)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Written {
        self.serialize_str(&value.to_string())
    }
}

impl SerializeMap for Form<'_> {
    type Ok = ();
    type Error = fmt::Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Written {
        key.serialize(Form(self.0))
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        value.serialize(Form(self.0))
    }

    #[inline]
    fn end(self) -> Written {
        Ok(())
    }
}

/// The same for everything whose parts have no keys.
macro_rules! parts {
    ($($kind:ident $part:ident $(($name:ty))?),*) => {
        $(impl $kind for Form<'_> {
            type Ok = ();
            type Error = fmt::Error;

            #[inline]
            fn $part<T: Serialize + ?Sized>(&mut self, $(_: $name,)? value: &T) -> Written {
                value.serialize(Form(self.0))
            }

            #[inline]
            fn end(self) -> Written {
                Ok(())
            }
        })*
    };
}

parts! {
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field,
    SerializeStruct serialize_field (&'static str),
    SerializeStructVariant serialize_field (&'static str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::string::String;
    use alloc::vec;
    use core::net::{IpAddr, Ipv4Addr};

    use serde::de::DeserializeOwned;
    use serde::{Deserialize, Serialize};

    #[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
    enum Kind {
        Unit,
        New(u64),
        Tuple(i16, String),
        Struct { flag: bool, other: Option<i64> },
    }

    #[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
    struct Pair(u16, IpAddr);

    #[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
    struct Empty;

    /// It is what `postcard` writes, and it comes back.
    fn goes_around<T: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(value: T) {
        let mut bytes = vec![7];
        encode(&value, &mut bytes);
        assert_eq!(
            bytes[1..],
            postcard::to_allocvec(&value).expect("a form"),
            "{value:?}"
        );
        assert_eq!(postcard::from_bytes::<T>(&bytes[1..]).as_ref(), Ok(&value));
    }

    #[test]
    fn numbers_of_every_width_go_around() {
        for bits in 0..64 {
            for near in [-1, 0, 1] {
                let wide = (1i64 << bits).wrapping_add(near);
                goes_around((wide as u8, wide as u16, wide as u32, wide as u64, wide as usize));
                goes_around((wide as i8, wide as i16, wide as i32, wide, wide as isize));
                goes_around(u128::from(wide as u64) << bits);
            }
        }
        goes_around((u128::MAX, 1.5f32, -2.25f64, 'x', 'ü', ()));
    }

    #[test]
    fn values_of_every_shape_go_around() {
        goes_around(vec![
            Kind::Unit,
            Kind::New(300),
            Kind::Tuple(-1, "text".into()),
            Kind::Struct {
                flag: true,
                other: Some(-300),
            },
            Kind::Struct {
                flag: false,
                other: None,
            },
        ]);
        goes_around(Pair(1000, IpAddr::V4(Ipv4Addr::LOCALHOST)));
        goes_around((Empty, Ok::<u8, String>(3), Err::<u8, _>(String::from("ü"))));
        goes_around(BTreeMap::from([(1u64, vec![0u8; 200]), (2, vec![])]));
    }
}
