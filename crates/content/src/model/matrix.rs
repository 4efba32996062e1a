//! The rows of the embedding table, and their sum.

use super::ModelError;
use super::safetensors::{Kind, Tensor, tensors};
use std::borrow::Cow;
use std::ops::Range;

/// Longest vector taken; the largest model2vec models have 1,024 components.
const MAX_DIMENSION: usize = 4_096;

/// One vector a token: `[n_rows, dimension]`, each row times its scale.
pub(super) struct Matrix {
    rows: Rows,
    /// One factor a row; empty when the file has none and all are 1.
    scales: Vec<f32>,
    n_rows: usize,
    dimension: usize,
}

enum Rows {
    /// Signed bytes, left where they lie in the file: the built-in table is never copied.
    Bytes {
        file: Cow<'static, [u8]>,
        range: Range<usize>,
    },
    Floats(Vec<f32>),
}

impl Matrix {
    /// Reads `embeddings` and, where present, `weights`.
    pub(super) fn from_safetensors(file: Cow<'static, [u8]>) -> Result<Self, ModelError> {
        let mut tensors = tensors(&file)?;
        let embeddings = tensors.remove("embeddings").ok_or(ModelError::Damaged("no tensor named embeddings"))?;
        let [n_rows, dimension] = *embeddings.shape.as_slice() else {
            return Err(ModelError::Mismatch(format!("embeddings has {} axes, not 2", embeddings.shape.len())));
        };
        if dimension == 0 || dimension > MAX_DIMENSION || n_rows == 0 {
            return Err(ModelError::Mismatch(format!("embeddings of shape [{n_rows}, {dimension}]")));
        }
        let scales = match tensors.remove("weights") {
            Some(weights) => scales(&weights, &file, n_rows)?,
            None => Vec::new(),
        };
        if let Some(name) = tensors.keys().next() {
            // E.g. `mapping`, which sends several tokens to one row.
            return Err(ModelError::unsupported("model.safetensors tensor", name));
        }
        let rows = match embeddings.kind {
            Kind::I8 => Rows::Bytes { file, range: embeddings.range },
            _ => Rows::Floats(finite(&embeddings, &file)?),
        };
        Ok(Self { rows, scales, n_rows, dimension })
    }

    /// Number of rows, i.e. of token ids.
    pub(super) const fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Components of a row.
    pub(super) const fn dimension(&self) -> usize {
        self.dimension
    }

    /// The sum of the rows of `ids`; an id without a row adds nothing.
    pub(super) fn sum(&self, ids: &[u32]) -> Vec<f32> {
        let mut sum = vec![0.0; self.dimension];
        for id in ids {
            let row = *id as usize;
            if row >= self.n_rows {
                continue;
            }
            let scale = self.scales.get(row).copied().unwrap_or(1.0);
            let place = row * self.dimension..(row + 1) * self.dimension;
            match &self.rows {
                Rows::Bytes { file, range } => {
                    let row = file.get(range.clone()).and_then(|bytes| bytes.get(place)).unwrap_or_default();
                    add(&mut sum, row, |byte| scale * f32::from(byte.cast_signed()));
                }
                Rows::Floats(floats) => {
                    add(&mut sum, floats.get(place).unwrap_or_default(), |float| scale * float);
                }
            }
        }
        sum
    }
}

/// Sixteen at a time, so that the compiler knows the length and uses vector instructions; a model's dimension is
/// a multiple of 16 in practice, and the rest is added one by one.
fn add<T: Copy>(sum: &mut [f32], row: &[T], scaled: impl Fn(T) -> f32) {
    let (sums, last_sums) = sum.as_chunks_mut::<16>();
    let (parts, last_part) = row.as_chunks::<16>();
    for (sums, part) in sums.iter_mut().zip(parts) {
        for (component, value) in sums.iter_mut().zip(part) {
            *component += scaled(*value);
        }
    }
    for (component, value) in last_sums.iter_mut().zip(last_part) {
        *component += scaled(*value);
    }
}

fn scales(weights: &Tensor, file: &[u8], n_rows: usize) -> Result<Vec<f32>, ModelError> {
    if weights.shape != [n_rows] {
        return Err(ModelError::Mismatch(format!("weights of shape {:?} for {n_rows} rows", weights.shape)));
    }
    finite(weights, file)
}

fn finite(tensor: &Tensor, file: &[u8]) -> Result<Vec<f32>, ModelError> {
    let bytes = file.get(tensor.range.clone()).ok_or(ModelError::Damaged("a tensor lies outside the file"))?;
    let floats = tensor.kind.floats(bytes);
    if floats.iter().all(|float| float.is_finite()) {
        Ok(floats)
    } else {
        Err(ModelError::Damaged("a number that is not finite"))
    }
}
