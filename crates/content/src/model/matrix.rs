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
    pub(super) fn sum(&self, ids: impl Iterator<Item = u32>) -> Vec<f32> {
        let mut sum = vec![0.0; self.dimension];
        let places = ids.map(|id| id as usize).filter(|row| *row < self.n_rows);
        match &self.rows {
            Rows::Bytes { file, range } => {
                let table = file.get(range.clone()).unwrap_or_default();
                self.add_rows(&mut sum, places, table, |byte| f32::from(byte.cast_signed()));
            }
            Rows::Floats(floats) => self.add_rows(&mut sum, places, floats, |float| float),
        }
        sum
    }

    /// Four rows at a time: rows lie far apart, and one after the other each would wait for memory.
    fn add_rows<T: Copy>(
        &self,
        sum: &mut [f32],
        mut rows: impl Iterator<Item = usize>,
        table: &[T],
        number: impl Fn(T) -> f32,
    ) {
        let row = |row: usize| Row {
            components: table.get(row * self.dimension..(row + 1) * self.dimension).unwrap_or_default(),
            scale: self.scales.get(row).copied().unwrap_or(1.0),
        };
        loop {
            match [rows.next(), rows.next(), rows.next(), rows.next()] {
                [Some(a), Some(b), Some(c), Some(d)] => add_four(sum, [row(a), row(b), row(c), row(d)], &number),
                last => return last.into_iter().flatten().for_each(|last| add(sum, row(last), &number)),
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Row<'t, T> {
    components: &'t [T],
    scale: f32,
}

/// Components added at a time, so that the compiler knows the length and uses vector instructions; a model's dimension
/// is a multiple of 16 in practice, and the rest is added one by one.
const STEP: usize = 16;

fn add<T: Copy>(sum: &mut [f32], row: Row<'_, T>, number: &impl Fn(T) -> f32) {
    let (sums, last_sums) = sum.as_chunks_mut::<STEP>();
    let (parts, last_part) = row.components.as_chunks::<STEP>();
    for (sums, part) in sums.iter_mut().zip(parts) {
        for (component, value) in sums.iter_mut().zip(part) {
            *component += row.scale * number(*value);
        }
    }
    for (component, value) in last_sums.iter_mut().zip(last_part) {
        *component += row.scale * number(*value);
    }
}

/// The same sums in the same order as four calls of [`add`].
fn add_four<T: Copy>(sum: &mut [f32], rows: [Row<'_, T>; 4], number: &impl Fn(T) -> f32) {
    let parts = rows.map(|row| row.components.as_chunks::<STEP>().0);
    let [a, b, c, d] = parts;
    let [p, q, r, s] = rows.map(|row| row.scale);
    let (sums, last_sums) = sum.as_chunks_mut::<STEP>();
    for ((((sums, a), b), c), d) in sums.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        for n in 0..STEP {
            sums[n] = (((sums[n] + p * number(a[n])) + q * number(b[n])) + r * number(c[n])) + s * number(d[n]);
        }
    }
    let n_done = a.len() * STEP;
    for row in rows {
        let rest = Row { components: row.components.get(n_done..).unwrap_or_default(), ..row };
        add(last_sums, rest, number);
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
