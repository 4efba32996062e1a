//! What a check of a page store found, in words, and bounded.

/// Findings kept; the rest is counted. A damaged disk can make millions.
const MAX_FINDINGS: usize = 1_000;

/// What is wrong.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    texts: Vec<String>,
    n_more: u64,
}

impl Findings {
    pub(crate) fn add(&mut self, text: String) {
        if self.texts.len() < MAX_FINDINGS {
            self.texts.push(text);
        } else {
            self.n_more += 1;
        }
    }

    pub(crate) fn into_texts(mut self) -> Vec<String> {
        if self.n_more > 0 {
            self.texts.push(format!("and {} more", self.n_more));
        }
        self.texts
    }
}
