//! How many URLs of one shape a job takes.
//!
//! A site without end shows itself by many URLs that differ in numbers or parameters only. Two shapes are counted:
//! the directory (numbers in it written as `#`), and, where there is a query, the path with the set of its keys.
//! Only URLs not seen before count, since a menu links the same pages from everywhere.
//!
//! Memory is fixed. URLs seen are remembered in a Bloom filter of 1 MiB: with 1,000,000 URLs one in 50 new ones is
//! taken for an old one and not counted. Shapes are counted in a map of at most 65,536; when it is full the
//! smaller half of the counts is forgotten, so the shapes that grow are those that stay.

use super::{scope, trap};
use argiope_protocol::{CanonicalUrl, RejectReason};
use std::collections::{BTreeSet, HashMap};

/// URLs of one directory. A sitemap file may name 50,000, so a site may well have them; the largest directory of
/// the Python, Rust, PostgreSQL and Git trees holds 6,661 files.
const DIRECTORY_BUDGET: u32 = 50_000;

/// URLs of one path that differ in the value of one key: the key then names a page, as `id` or `title` do. As many
/// as a job's pages by default.
const ONE_KEY_BUDGET: u32 = 10_000;

/// With two keys: a page and one view of it.
const TWO_KEY_BUDGET: u32 = 2_000;

/// With three and more: sorting, filters and facets, whose combinations have no end.
const MANY_KEY_BUDGET: u32 = 500;

/// Pages of a calendar: the days of two years on both sides of now, and their months.
const CALENDAR_BUDGET: u32 = 1_500;

/// Shapes counted at once: under 2 MiB.
const MAX_SHAPES: usize = 65_536;

const BLOOM_WORDS: usize = 128 * 1024;
const BLOOM_HASHES: u64 = 4;

/// Counts a job's URLs by shape, in about 3 MiB at most.
#[derive(Debug)]
pub struct ShapeBudgets {
    seen: Vec<u64>,
    counts: HashMap<u64, u32>,
}

impl Default for ShapeBudgets {
    fn default() -> Self {
        Self::new()
    }
}

impl ShapeBudgets {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        Self { seen: vec![0; BLOOM_WORDS], counts: HashMap::new() }
    }

    /// Counts a URL that passed the [`UrlFilter`](super::UrlFilter). A URL that was admitted before is admitted
    /// again and counts once; one that is refused does not count.
    ///
    /// # Errors
    /// `TrapShapeBudget` or `TrapCalendar` when a budget of its shapes is used up.
    pub fn admit(&mut self, url: &CanonicalUrl) -> Result<(), RejectReason> {
        let bits = bloom_bits(url.as_str());
        if bits.iter().all(|bit| self.seen.get(bit / 64).is_some_and(|word| word & (1 << (bit % 64)) != 0)) {
            return Ok(());
        }
        let shapes = shapes(url);
        for (shape, budget, reason) in &shapes {
            if self.counts.get(shape).is_some_and(|count| count >= budget) {
                return Err(*reason);
            }
        }
        for (shape, ..) in shapes {
            self.count(shape);
        }
        for bit in bits {
            if let Some(word) = self.seen.get_mut(bit / 64) {
                *word |= 1 << (bit % 64);
            }
        }
        Ok(())
    }

    fn count(&mut self, shape: u64) {
        if self.counts.len() >= MAX_SHAPES && !self.counts.contains_key(&shape) {
            self.forget_smaller_half();
        }
        *self.counts.entry(shape).or_default() += 1;
    }

    /// By count, and among equals by shape, so that it is always half.
    fn forget_smaller_half(&mut self) {
        let mut order: Vec<(u32, u64)> = self.counts.iter().map(|(shape, count)| (*count, *shape)).collect();
        let middle = order.len() / 2;
        let (_, &mut limit, _) = order.select_nth_unstable(middle);
        self.counts.retain(|shape, count| (*count, *shape) >= limit);
    }
}

type Shape = (u64, u32, RejectReason);

fn shapes(url: &CanonicalUrl) -> Vec<Shape> {
    let origin = url.origin().to_url_prefix();
    let path = url.as_url().path();
    let directory = without_numbers(scope::directory(path));
    let mut shapes = vec![(hash(&[&origin, &directory]), DIRECTORY_BUDGET, RejectReason::TrapShapeBudget)];
    if let Some(query) = url.as_url().query() {
        let keys: BTreeSet<&str> = query.split('&').map(|pair| pair.split('=').next().unwrap_or(pair)).collect();
        let budget = match keys.len() {
            0 | 1 => ONE_KEY_BUDGET,
            2 => TWO_KEY_BUDGET,
            _ => MANY_KEY_BUDGET,
        };
        let path = without_numbers(path);
        let mut parts = vec![origin.as_str(), path.as_str(), "?"];
        parts.extend(keys);
        shapes.push((hash(&parts), budget, RejectReason::TrapShapeBudget));
    }
    if trap::is_calendar(url) && url.path_and_query().bytes().any(|byte| byte.is_ascii_digit()) {
        shapes.push((hash(&[&origin, &directory, "calendar"]), CALENDAR_BUDGET, RejectReason::TrapCalendar));
    }
    shapes
}

/// Each run of digits becomes `#`.
fn without_numbers(path: &str) -> String {
    let mut shape = String::with_capacity(path.len());
    for character in path.chars() {
        if !character.is_ascii_digit() {
            shape.push(character);
        } else if !shape.ends_with('#') {
            shape.push('#');
        }
    }
    shape
}

fn hash(parts: &[&str]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update(&[0]);
    }
    halves(&hasher.finalize()).0
}

fn halves(hash: &blake3::Hash) -> (u64, u64) {
    let half = |from: usize| hash.as_bytes().iter().skip(from).take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    (half(0), half(8))
}

/// The places of a URL in the Bloom filter, by double hashing.
fn bloom_bits(url: &str) -> Vec<usize> {
    let (first, second) = halves(&blake3::hash(url.as_bytes()));
    let n_bits = (BLOOM_WORDS * 64) as u64;
    let bit = |n: u64| first.wrapping_add(n.wrapping_mul(second | 1)) % n_bits;
    (0..BLOOM_HASHES).map(|n| usize::try_from(bit(n)).unwrap_or_default()).collect()
}
