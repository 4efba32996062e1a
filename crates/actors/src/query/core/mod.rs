//! Two ranked lists in, one out. Pure: the same hits give the same list, whatever their order among equals was.

use argiope_protocol::{ChunkHash, ChunkId};
use argiope_store::vectors::{ChunkPayload, SideHit};
use std::collections::{BTreeMap, BTreeSet};

/// Hits of each side that are fused; each side's scores are scaled over these. The model card's scores were measured
/// so, and more hits change the scale, not only the tail.
pub const BEST_OF_SIDE: usize = 100;

/// How two lists become one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fusion {
    /// `w · minmax(lexical) + (1 - w) · minmax(semantic)`; a hit that one side lacks has 0 there.
    Convex {
        /// `w`, from 0 to 1.
        lexical_weight: f32,
    },
    /// `w / (k + lexical rank) + 1 / (k + semantic rank)`, ranks from 1.
    Rrf {
        /// Damps the difference between the first ranks; positive.
        k: f32,
        /// `w`, at least 0.
        lexical_weight: f32,
    },
}

impl Fusion {
    /// The weighted sum with the weight of DESIGN §9: nDCG@10 0.482 over 11 collections.
    pub const CONVEX: Self = Self::Convex { lexical_weight: 0.6 };
    /// Ranks alone, with the model card's parameters: 0.476.
    pub const RRF: Self = Self::Rrf { k: 60.0, lexical_weight: 2.0 };

    /// Whether its numbers make sense.
    #[must_use]
    pub fn is_valid(self) -> bool {
        match self {
            Self::Convex { lexical_weight } => (0.0..=1.0).contains(&lexical_weight),
            Self::Rrf { k, lexical_weight } => {
                k.is_finite() && k > 0.0 && lexical_weight.is_finite() && lexical_weight >= 0.0
            }
        }
    }
}

impl Default for Fusion {
    fn default() -> Self {
        Self::CONVEX
    }
}

/// A chunk that at least one side found.
#[derive(Debug, Clone, PartialEq)]
pub struct Fused {
    /// The chunk.
    pub id: ChunkId,
    /// What the list is ordered by.
    pub score: f32,
    /// BM25 score, where the lexical side found it.
    pub lexical: Option<f32>,
    /// Cosine, where the semantic side found it.
    pub semantic: Option<f32>,
    /// What is kept beside the chunk.
    pub payload: ChunkPayload,
}

/// Fuses the best [`BEST_OF_SIDE`] hits of each side, best first. Hits whose score is no number are left out.
#[must_use]
pub fn fuse(lexical: Vec<SideHit>, semantic: Vec<SideHit>, fusion: Fusion) -> Vec<Fused> {
    let (lexical, semantic) = (best(lexical), best(semantic));
    let (lexical_share, semantic_share) = shares(&lexical, &semantic, fusion);
    let mut found: BTreeMap<ChunkId, Fused> = BTreeMap::new();
    for (hit, share) in lexical.into_iter().zip(lexical_share) {
        let score = Some(hit.score);
        found.insert(hit.id, Fused { id: hit.id, score: share, lexical: score, semantic: None, payload: hit.payload });
    }
    for (hit, share) in semantic.into_iter().zip(semantic_share) {
        let none = Fused { id: hit.id, score: 0.0, lexical: None, semantic: None, payload: hit.payload };
        let fused = found.entry(hit.id).or_insert(none);
        fused.score += share;
        fused.semantic = Some(hit.score);
    }
    distinct(in_order(found.into_values().collect()))
}

/// One side alone: its own scores, its own order.
#[must_use]
pub fn one_side(hits: Vec<SideHit>, is_lexical: bool) -> Vec<Fused> {
    let usable = hits.into_iter().filter(|hit| hit.score.is_finite()).map(|SideHit { id, score, payload }| Fused {
        id,
        score,
        lexical: is_lexical.then_some(score),
        semantic: (!is_lexical).then_some(score),
        payload,
    });
    distinct(in_order(usable.collect()))
}

/// Keeps the best hit of each page.
#[must_use]
pub fn one_per_page(hits: Vec<Fused>) -> Vec<Fused> {
    let mut seen = BTreeSet::new();
    hits.into_iter().filter(|hit| seen.insert(hit.payload.page)).collect()
}

/// Keeps the first of equal passages: a directory and its index page are two addresses of one text, and the copies
/// would take the places of other answers.
fn distinct(mut hits: Vec<Fused>) -> Vec<Fused> {
    let mut seen = BTreeSet::new();
    hits.retain(|Fused { payload, .. }| {
        let passage = (&payload.domain, &payload.title, &payload.heading_path, &payload.text);
        seen.insert(ChunkHash::of(0, &format!("{passage:?}")))
    });
    hits
}

/// Equal scores by URL, place and id.
fn in_order(mut hits: Vec<Fused>) -> Vec<Fused> {
    hits.sort_by(|a, b| {
        let place = |hit: &Fused| (hit.payload.position, hit.id);
        let by_score = b.score.total_cmp(&a.score);
        by_score.then_with(|| a.payload.url.cmp(&b.payload.url)).then_with(|| place(a).cmp(&place(b)))
    });
    hits
}

fn best(mut hits: Vec<SideHit>) -> Vec<SideHit> {
    hits.retain(|hit| hit.score.is_finite());
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
    let mut seen = BTreeSet::new();
    hits.retain(|hit| seen.insert(hit.id));
    hits.truncate(BEST_OF_SIDE);
    hits
}

/// What each hit of each side adds to its chunk's score.
fn shares(lexical: &[SideHit], semantic: &[SideHit], fusion: Fusion) -> (Vec<f32>, Vec<f32>) {
    match fusion {
        Fusion::Convex { lexical_weight } => (scaled(lexical, lexical_weight), scaled(semantic, 1.0 - lexical_weight)),
        Fusion::Rrf { k, lexical_weight } => (by_rank(lexical, k, lexical_weight), by_rank(semantic, k, 1.0)),
    }
}

/// Scores moved to 0 to 1, times the weight; all equal ones count as best.
fn scaled(hits: &[SideHit], weight: f32) -> Vec<f32> {
    let highest = hits.first().map_or(0.0, |hit| hit.score);
    let lowest = hits.last().map_or(0.0, |hit| hit.score);
    let range = highest - lowest;
    let scale = |hit: &SideHit| if range > 0.0 { (hit.score - lowest) / range } else { 1.0 };
    hits.iter().map(|hit| weight * scale(hit)).collect()
}

/// Equal scores share the better rank, so that the list does not hang on how a side broke its ties.
fn by_rank(hits: &[SideHit], k: f32, weight: f32) -> Vec<f32> {
    let mut shared = (f32::NAN, 0.0);
    let ranks = (1_u16..).map(f32::from).zip(hits).map(|(rank, hit)| {
        if hit.score.total_cmp(&shared.0).is_ne() {
            shared = (hit.score, rank);
        }
        weight / (k + shared.1)
    });
    ranks.collect()
}

#[cfg(test)]
mod tests;
