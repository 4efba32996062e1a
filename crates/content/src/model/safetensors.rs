//! The safetensors container: 8 bytes little-endian header length, a JSON header, the data.
//!
//! Only the table of contents is read here; every range it names is checked against the data and against its shape.

use super::ModelError;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;

/// The format's own limit for the header, 100 MB, is far above what a table of two or three tensors needs.
const MAX_HEADER_BYTES: u64 = 1 << 20;
const LENGTH_BYTES: usize = 8;

/// One tensor's type, shape and place in the file.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    /// Element type.
    pub(super) kind: Kind,
    /// Lengths of the axes, outermost first.
    pub(super) shape: Vec<usize>,
    /// Byte range in the whole file; inside it, and exactly as long as type and shape say.
    pub(super) range: Range<usize>,
}

/// Element types that occur in model2vec files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Signed byte.
    I8,
    /// IEEE half.
    F16,
    /// IEEE single.
    F32,
    /// IEEE double.
    F64,
}

impl Kind {
    /// Bytes of one element.
    pub(super) const fn size(self) -> usize {
        match self {
            Self::I8 => 1,
            Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// The elements of little-endian `bytes` as `f32`.
    pub(super) fn floats(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::I8 => bytes.iter().map(|byte| f32::from(byte.cast_signed())).collect(),
            Self::F16 => bytes.as_chunks::<2>().0.iter().map(|pair| half(u16::from_le_bytes(*pair))).collect(),
            Self::F32 => bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect(),
            // A scale or a component beyond f32's range would be a damaged file; it becomes infinite, which is refused.
            Self::F64 => bytes.as_chunks::<8>().0.iter().map(|eight| f64::from_le_bytes(*eight) as f32).collect(),
        }
    }
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

/// The tensors of `file` by name.
pub(super) fn tensors(file: &[u8]) -> Result<BTreeMap<String, Tensor>, ModelError> {
    let length = file.first_chunk::<LENGTH_BYTES>().ok_or(ModelError::Damaged("shorter than its length field"))?;
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER_BYTES {
        return Err(ModelError::Damaged("the header is longer than 1 MiB"));
    }
    let data_start = LENGTH_BYTES + usize::try_from(length).map_err(|_| ModelError::Damaged("header length"))?;
    let header = file.get(LENGTH_BYTES..data_start).ok_or(ModelError::Damaged("cut off inside the header"))?;
    let header: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(header).map_err(|_| ModelError::Damaged("the header is not a JSON object"))?;
    let mut tensors = BTreeMap::new();
    for (name, value) in header.into_iter().filter(|(name, _)| name != "__metadata__") {
        let entry = Entry::deserialize(value).map_err(|_| ModelError::Damaged("an entry of the header"))?;
        tensors.insert(name, checked(entry, data_start, file.len())?);
    }
    Ok(tensors)
}

fn checked(entry: Entry, data_start: usize, file_bytes: usize) -> Result<Tensor, ModelError> {
    let kind = match entry.dtype.as_str() {
        "I8" => Kind::I8,
        "F16" => Kind::F16,
        "F32" => Kind::F32,
        "F64" => Kind::F64,
        other => return Err(ModelError::unsupported("model.safetensors element type", other)),
    };
    let n_bytes = entry.shape.iter().try_fold(kind.size(), |product, axis| product.checked_mul(*axis));
    let (start, end) = entry.data_offsets;
    let place = data_start.checked_add(start).zip(data_start.checked_add(end));
    let (start, end) = place.ok_or(ModelError::Damaged("an offset beyond all memory"))?;
    if start > end || end > file_bytes {
        return Err(ModelError::Damaged("a tensor lies outside the file"));
    }
    if n_bytes != Some(end - start) {
        return Err(ModelError::Damaged("a tensor's length differs from its shape"));
    }
    Ok(Tensor { kind, shape: entry.shape, range: start..end })
}

/// IEEE 754 binary16 as `f32`, exactly.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from((bits >> 10) & 0x1f);
    let fraction = f32::from(bits & 0x3ff);
    match exponent {
        // Subnormal: fraction * 2^-24.
        0 => sign * fraction * 2.0_f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2.0_f32.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, n_data: usize) -> Vec<u8> {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(header.as_bytes());
        file.resize(file.len() + n_data, 0);
        file
    }

    #[test]
    fn damaged_files_are_named_and_never_panic() {
        let check = |file: Vec<u8>, expected: &str| {
            let message = tensors(&file).map(|_| String::new()).unwrap_or_else(|error| error.to_string());
            assert!(message.contains(expected), "{message:?} does not say {expected:?}");
        };
        check(vec![1, 2, 3], "shorter than its length");
        check(u64::MAX.to_le_bytes().to_vec(), "longer than 1 MiB");
        check(100_u64.to_le_bytes().to_vec(), "cut off");
        check(file("[1]", 0), "not a JSON object");
        check(file(r#"{"a":{"dtype":"F32"}}"#, 0), "an entry");
        check(file(r#"{"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}"#, 2), "BF16");
        check(file(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 4), "outside the file");
        check(file(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, 8), "outside the file");
        check(file(r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, 8), "differs from its shape");
        check(file(r#"{"a":{"dtype":"I8","shape":[4294967296,4294967296,2],"data_offsets":[0,0]}}"#, 0), "differs");
        check(file(r#"{"a":{"dtype":"I8","shape":[1],"data_offsets":[18446744073709551615,1]}}"#, 1), "beyond");
        check(file(r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"I8","shape":[2,3],"data_offsets":[0,6]}}"#, 6), "");
    }

    #[test]
    fn halves_are_read_exactly() {
        for (bits, value) in [(0, 0.0), (0x3c00, 1.0), (0xc000, -2.0), (0x3555, 0.333_251_95), (1, 5.960_464_5e-8)] {
            assert_eq!(half(bits), value);
        }
        assert_eq!(half(0x7bff), 65_504.0);
        assert_eq!(half(0x7c00), f32::INFINITY);
        assert!(half(0x7e00).is_nan());
    }
}
