//! A server's answer, taken apart without trust in its shape.

use crate::redis::codes;
use crate::{Error, Result};
use argiope_protocol::Timestamp;
use redis::Value;
use std::collections::HashMap;

/// An answer and the name of what was called, for messages.
#[derive(Debug)]
pub(in crate::redis) struct Reply {
    name: &'static str,
    value: Value,
}

impl Reply {
    pub(super) const fn new(name: &'static str, value: Value) -> Self {
        Self { name, value }
    }

    fn odd(&self, wanted: &str) -> Error {
        let mut shown = format!("{:?}", self.value);
        shown.truncate(shown.char_indices().nth(200).map_or(shown.len(), |(at, _)| at));
        Error::Corrupt { what: format!("answer of {}", self.name), detail: format!("expected {wanted}, got {shown}") }
    }

    /// Nothing.
    pub(in crate::redis) const fn is_nil(&self) -> bool {
        matches!(self.value, Value::Nil)
    }

    /// A row of answers.
    pub(in crate::redis) fn list(self) -> Result<Vec<Self>> {
        let name = self.name;
        match self.value {
            Value::Array(values) | Value::Set(values) => {
                Ok(values.into_iter().map(|value| Self { name, value }).collect())
            }
            Value::Nil => Ok(Vec::new()),
            _ => Err(self.odd("a list")),
        }
    }

    /// A row of exactly so many answers.
    pub(in crate::redis) fn parts<const N: usize>(self) -> Result<[Self; N]> {
        let name = self.name;
        let wrong = |list: Vec<Self>| Error::Corrupt {
            what: format!("answer of {name}"),
            detail: format!("expected {N} parts, got {}", list.len()),
        };
        <[Self; N]>::try_from(self.list()?).map_err(wrong)
    }

    /// Bytes.
    pub(in crate::redis) fn bytes(self) -> Result<Vec<u8>> {
        match self.value {
            Value::BulkString(bytes) => Ok(bytes),
            Value::SimpleString(text) => Ok(text.into_bytes()),
            Value::Okay => Ok(b"OK".to_vec()),
            Value::Int(number) => Ok(number.to_string().into_bytes()),
            _ => Err(self.odd("text")),
        }
    }

    /// Text.
    pub(in crate::redis) fn text(self) -> Result<String> {
        let name = self.name;
        let odd = |_| Error::Corrupt { what: format!("answer of {name}"), detail: "text is not UTF-8".to_owned() };
        String::from_utf8(self.bytes()?).map_err(odd)
    }

    /// A number, as integer or as decimal text.
    pub(in crate::redis) fn num(self) -> Result<u64> {
        let name = self.name;
        let text = self.text()?;
        let odd = |_| Error::Corrupt { what: format!("answer of {name}"), detail: format!("{text:?} is no number") };
        text.parse().map_err(odd)
    }

    /// A time.
    pub(in crate::redis) fn time(self) -> Result<Timestamp> {
        Ok(codes::time(self.num()?))
    }

    /// Names and values in turn.
    pub(in crate::redis) fn fields(self) -> Result<HashMap<String, Vec<u8>>> {
        let mut fields = HashMap::new();
        let mut list = self.list()?.into_iter();
        while let (Some(name), Some(value)) = (list.next(), list.next()) {
            fields.insert(name.text()?, value.bytes()?);
        }
        Ok(fields)
    }

    /// Keys and numbers in turn.
    pub(in crate::redis) fn pairs(self) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut pairs = Vec::new();
        let mut list = self.list()?.into_iter();
        while let (Some(key), Some(value)) = (list.next(), list.next()) {
            pairs.push((key.bytes()?, value.bytes()?));
        }
        Ok(pairs)
    }
}
