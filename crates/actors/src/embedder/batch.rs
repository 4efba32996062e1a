//! Which texts are computed together: neighbours in length, so that a server that pads a batch pads little.

/// Splits texts, given by their sizes, into batches of at most `max_items` texts and `max_size` in all. A text that is
/// larger alone is a batch of its own. Each batch lists places in `sizes`; every place stands in exactly one.
pub(super) fn plan(sizes: &[usize], max_items: usize, max_size: usize) -> Vec<Vec<usize>> {
    let mut by_size: Vec<(usize, usize)> =
        sizes.iter().copied().enumerate().map(|(place, size)| (size, place)).collect();
    by_size.sort_unstable();
    let mut batches = Vec::new();
    let (mut batch, mut total) = (Vec::new(), 0_usize);
    for (size, place) in by_size {
        if !batch.is_empty() && (batch.len() >= max_items || total.saturating_add(size) > max_size) {
            batches.push(std::mem::take(&mut batch));
            total = 0;
        }
        batch.push(place);
        total = total.saturating_add(size);
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

/// Vectors that arrive batch by batch, brought back into the order of their texts.
pub(super) struct InOrder(Vec<Option<Vec<f32>>>);

impl InOrder {
    pub(super) fn new(n_texts: usize) -> Self {
        Self(vec![None; n_texts])
    }

    /// Puts the vectors of the texts at `places`.
    pub(super) fn put(&mut self, places: &[usize], vectors: Vec<Vec<f32>>) {
        for (place, vector) in places.iter().zip(vectors) {
            if let Some(slot) = self.0.get_mut(*place) {
                *slot = Some(vector);
            }
        }
    }

    /// All vectors, or `None` when one is missing.
    pub(super) fn into_all(self) -> Option<Vec<Vec<f32>>> {
        self.0.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(sizes: &[usize], max_items: usize, max_size: usize, expected: &[&[usize]]) {
        assert_eq!(plan(sizes, max_items, max_size), expected);
    }

    #[test]
    fn texts_of_like_length_share_a_batch() {
        check(&[], 2, 10, &[]);
        check(&[5, 1, 4, 2], 2, 10, &[&[1, 3], &[2, 0]]);
        check(&[5, 1, 4, 2], 9, 7, &[&[1, 3, 2], &[0]]);
        check(&[50, 1], 9, 7, &[&[1], &[0]]);
        check(&[3, 3, 3], 0, 0, &[&[0], &[1], &[2]]);
    }

    proptest! {
        #[test]
        fn every_text_is_in_one_batch_and_batches_keep_their_bounds(
            sizes in proptest::collection::vec(0_usize..100, 0..60), max_items in 1_usize..10, max_size in 1_usize..200,
        ) {
            let batches = plan(&sizes, max_items, max_size);
            let mut places: Vec<usize> = batches.concat();
            places.sort_unstable();
            prop_assert_eq!(places, (0..sizes.len()).collect::<Vec<_>>());
            for batch in batches {
                let total: usize = batch.iter().map(|place| sizes[*place]).sum();
                prop_assert!(batch.len() <= max_items && (total <= max_size || batch.len() == 1));
            }
        }
    }
}
