//! Any server that speaks OpenAI's `/embeddings`: OpenAI itself, Text Embeddings Inference, Ollama, vLLM.
//!
//! Texts are sent in batches of like length, one batch after the other; calls that run beside each other share one
//! rate limit and one token budget. `call` sends a batch and decides what to do with its answer, `answer` reads it.
//! Nothing is sent around the egress policy: the server has an allow rule of its own.

mod answer;
mod call;
#[cfg(test)]
mod tests;

use super::adapter::{EmbedError, Embedder, index_id};
use super::batch::{InOrder, plan};
use argiope_content::model::{StaticModel, Tokenizer};
use argiope_egress::GuardedClient;
use argiope_store::vectors::IndexModel;
use async_trait::async_trait;
use call::Caller;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use ipnet::IpNet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use url::Url;

/// No published model has more components; it bounds what an answer may take.
const MAX_DIMENSION: u32 = 16_384;
/// Calls that may follow each other at once under a rate limit, so that the first minute exceeds it by this at most.
const MAX_BURST: u32 = 4;

/// Which server is asked, and how much.
#[derive(Clone)]
pub struct OpenAiOptions {
    /// Up to `/v1`, or the whole URL ending with `/embeddings`.
    pub url: Url,
    /// The model's name as the server knows it.
    pub model: String,
    /// Components of its vectors; answers of another dimension are an error.
    pub dimension: u32,
    /// Sent as `Authorization: Bearer`.
    pub api_key: Option<String>,
    /// Ranges in which the server may be, beside the public Internet.
    pub allow_cidrs: Vec<IpNet>,
    /// Most texts of a call.
    pub batch_items: usize,
    /// Most tokens of a call, by the built-in tokenizer; a longer text is sent alone.
    pub batch_tokens: usize,
    /// Most calls in a minute, retries included.
    pub max_calls_per_min: Option<NonZeroU32>,
    /// For one call.
    pub timeout: Duration,
    /// Most tokens over this embedder's life, as the server counts them.
    pub token_budget: Option<u64>,
}

impl OpenAiOptions {
    /// A server with the defaults that suit all of the named ones: 32 texts (the default cap of Text Embeddings
    /// Inference) and 8,192 tokens a call, 30 s, no limit of calls or tokens.
    #[must_use]
    pub fn new(url: Url, model: impl Into<String>, dimension: u32) -> Self {
        Self {
            url,
            model: model.into(),
            dimension,
            api_key: None,
            allow_cidrs: Vec::new(),
            batch_items: 32,
            batch_tokens: 8_192,
            max_calls_per_min: None,
            timeout: Duration::from_secs(30),
            token_budget: None,
        }
    }
}

/// The API key is never shown, nor what a URL may hide.
impl std::fmt::Debug for OpenAiOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenAiOptions")
            .field("host", &self.url.host_str())
            .field("model", &self.model)
            .field("dimension", &self.dimension)
            .field("api_key", &self.api_key.as_ref().map(|_| "***"))
            .finish_non_exhaustive()
    }
}

/// Embeds by asking a server.
pub struct OpenAiEmbedder {
    model: IndexModel,
    batch_items: usize,
    batch_tokens: usize,
    caller: Caller,
}

impl OpenAiEmbedder {
    /// Checks the options; nothing is sent yet.
    ///
    /// # Errors
    /// When an option cannot be used.
    pub fn try_new(options: OpenAiOptions, client: Arc<GuardedClient>) -> Result<Self, EmbedError> {
        check(&options)?;
        let limiter: Option<DefaultDirectRateLimiter> = options.max_calls_per_min.map(|per_minute| {
            let burst = per_minute.min(NonZeroU32::new(MAX_BURST).expect("the constant is not zero"));
            RateLimiter::direct(Quota::per_minute(per_minute).allow_burst(burst))
        });
        let model = IndexModel { id: index_id(&options.model), dimension: options.dimension };
        let budget = Budget { limit: options.token_budget, spent: AtomicU64::new(0) };
        let (batch_items, batch_tokens) = (options.batch_items, options.batch_tokens);
        let caller = Caller { url: endpoint(&options.url), options, client, limiter, budget };
        Ok(Self { model, batch_items, batch_tokens, caller })
    }

    /// Tokens spent so far, as the server counts them where it says so.
    #[must_use]
    pub fn tokens_spent(&self) -> u64 {
        self.caller.budget.spent.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Embedder for OpenAiEmbedder {
    fn model(&self) -> &IndexModel {
        &self.model
    }

    fn tokenizer(&self) -> &Tokenizer {
        StaticModel::builtin().tokenizer()
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let texts = Arc::new(texts);
        let sizes = self.count_tokens(&texts).await?;
        let mut all = InOrder::new(texts.len());
        let mut waiting = plan(&sizes, self.batch_items, self.batch_tokens);
        waiting.reverse();
        while let Some(places) = waiting.pop() {
            // Servers refuse an empty text; it has no direction anyway.
            let (empty, places): (Vec<usize>, Vec<usize>) =
                places.into_iter().partition(|place| texts.get(*place).is_none_or(|text| text.trim().is_empty()));
            all.put(&empty, vec![self.zero(); empty.len()]);
            if places.is_empty() {
                continue;
            }
            let batch: Vec<&str> = places.iter().filter_map(|place| texts.get(*place)).map(String::as_str).collect();
            let n_tokens = places.iter().filter_map(|place| sizes.get(*place)).sum();
            match self.caller.call(&batch, n_tokens).await {
                Ok(vectors) => all.put(&places, vectors),
                // Too many at once for this server: the same texts in halves.
                Err(EmbedError::TooLarge { .. }) if places.len() > 1 => {
                    let (first, second) = places.split_at(places.len() / 2);
                    waiting.extend([second.to_vec(), first.to_vec()]);
                }
                Err(error) => return Err(error),
            }
        }
        all.into_all().ok_or(EmbedError::Ended)
    }
}

impl OpenAiEmbedder {
    fn zero(&self) -> Vec<f32> {
        vec![0.0; usize::try_from(self.model.dimension).unwrap_or_default()]
    }

    async fn count_tokens(&self, texts: &Arc<Vec<String>>) -> Result<Vec<usize>, EmbedError> {
        let texts = Arc::clone(texts);
        let counted = tokio::task::spawn_blocking(move || {
            let tokenizer = StaticModel::builtin().tokenizer();
            texts.iter().map(|text| tokenizer.count(text)).collect()
        });
        counted.await.map_err(|_| EmbedError::Ended)
    }
}

fn check(options: &OpenAiOptions) -> Result<(), EmbedError> {
    let wrong = |option, why: &str| Err(EmbedError::Option { option, why: why.to_owned() });
    if !matches!(options.url.scheme(), "http" | "https") || options.url.host_str().is_none() {
        return wrong("url", "it is no http or https URL");
    }
    if options.model.trim().is_empty() {
        return wrong("model", "it has no name");
    }
    if !(1..=MAX_DIMENSION).contains(&options.dimension) {
        return wrong("dimension", "it is not between 1 and 16384");
    }
    if options.api_key.as_ref().is_some_and(|key| key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic())) {
        return wrong("API key", "it is empty or holds characters that no header may hold");
    }
    if options.batch_items == 0 || options.batch_tokens == 0 {
        return wrong("batch size", "it is zero");
    }
    if options.timeout.is_zero() {
        return wrong("timeout", "it is zero");
    }
    Ok(())
}

fn endpoint(url: &Url) -> Url {
    let mut url = url.clone();
    let path = url.path().trim_end_matches('/').to_owned();
    let path = if path.ends_with("/embeddings") { path } else { format!("{path}/embeddings") };
    url.set_path(&path);
    url
}

/// Tokens that may still be spent. Tokens are taken before a call and corrected after it, so that calls beside each
/// other cannot overdraw it by more than the two tokenizers differ.
struct Budget {
    limit: Option<u64>,
    spent: AtomicU64,
}

impl Budget {
    fn take(&self, needed: u64) -> Result<(), EmbedError> {
        let fits = |spent: u64| {
            let after = spent.saturating_add(needed);
            self.limit.is_none_or(|limit| after <= limit).then_some(after)
        };
        let taken = self.spent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        let budget = self.limit.unwrap_or(u64::MAX);
        taken.map(drop).map_err(|spent| EmbedError::Budget { budget, spent, needed })
    }

    /// Replaces what was taken by what it came to.
    fn correct(&self, taken: u64, used: u64) {
        let corrected = |spent: u64| Some(spent.saturating_sub(taken).saturating_add(used));
        // The closure always answers, so the update cannot fail.
        let _ = self.spent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, corrected);
    }
}
