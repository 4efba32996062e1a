//! Jobs that are handed in to a running node: a request becomes an order, an order becomes a job.

use super::{Service, check_seeds, parse_url};
use crate::config::{Config, Crawl, job_settings};
use crate::errors::{CliError, Result};
use argiope_actors::{Engine, How};
use argiope_protocol::{CanonicalUrl, ErrorCode, JobId, JobSpec, TenantId};
use argiope_store::frontier::JobRecord;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What a request asks for.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    spec: JobSpec,
    /// Of the request's fields as they were given: tells a repeated request from another one.
    fingerprint: blake3::Hash,
}

/// A job that was taken.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    /// How it relates to earlier ones.
    pub(crate) how: How,
    /// The job.
    pub(crate) job: JobRecord,
    /// What the user should know.
    pub(crate) warnings: Vec<String>,
}

/// The job that these seeds and this configuration ask for.
pub(crate) fn job_spec(config: &Config, seeds: Vec<CanonicalUrl>) -> JobSpec {
    spec_of(&config.tenant, &config.crawl, seeds)
}

fn spec_of(tenant: &TenantId, crawl: &Crawl, seeds: Vec<CanonicalUrl>) -> JobSpec {
    JobSpec {
        tenant: tenant.clone(),
        seeds,
        scope: crawl.scope.clone(),
        limits: crawl.limits,
        politeness: crawl.politeness,
        process: crawl.process,
        retain: crawl.retain,
        sitemaps: crawl.sitemaps,
    }
}

impl Service {
    /// Reads a request's fields: `seeds`, and settings that stand over the node's.
    ///
    /// # Errors
    /// All mistakes, each with its field.
    pub(crate) fn order(&self, mut fields: Map<String, Value>) -> std::result::Result<Order, Vec<String>> {
        let fingerprint = fingerprint(&fields);
        let mut mistakes = Vec::new();
        let seeds = read_seeds(fields.remove("seeds"), &mut mistakes);
        let mut wrong = Vec::new();
        let crawl = job_settings(&self.config, &fields, &mut wrong);
        mistakes.extend(wrong.iter().map(ToString::to_string));
        let spec = spec_of(&self.config.tenant, &crawl, seeds);
        if mistakes.is_empty() { Ok(Order { spec, fingerprint }) } else { Err(mistakes) }
    }

    /// Takes a job. With an idempotency key the same request makes one job, however often it comes, also after a
    /// restart. Without one the same crawl goes on, or is crawled again.
    ///
    /// # Errors
    /// `AR0101` and `AR0004` of its seeds, `AR0605` when the key was used for another request, `AR0606` when the node
    /// stops.
    pub(crate) async fn take(&self, order: Order, key: Option<&str>) -> Result<Taken> {
        let engine = self.working_engine()?;
        let warnings = check_seeds(&self.config, &order.spec.seeds).await?;
        // One after the other: of two requests for the same crawl the second finds the first one's job.
        let _turn = self.intake.lock().await;
        let submitted = match key {
            None => engine.submit(order.spec).await,
            Some(key) => {
                let id = job_id(&self.config.tenant, key, &order.fingerprint);
                self.check_unused(id).await?;
                engine.submit_as(id, order.spec).await
            }
        };
        let submitted = submitted.map_err(super::running::failed)?;
        let job = self.stores.frontier.job(submitted.job).await?;
        Ok(Taken { how: submitted.how, job, warnings })
    }

    /// Refuses a key under which another request made a job.
    async fn check_unused(&self, id: JobId) -> Result<()> {
        let jobs = self.stores.frontier.jobs().await?;
        let other = jobs.iter().find(|job| key_part(&job.id) == key_part(&id) && job.id != id);
        let Some(other) = other else { return Ok(()) };
        Err(CliError::new(ErrorCode::IdempotencyConflict, "the idempotency key was used for another request")
            .because(format!("it made job {}", other.id)))
    }

    /// The engine, while it takes work.
    pub(super) fn working_engine(&self) -> Result<&Engine> {
        let engine = self.engine.as_deref();
        let engine = engine.ok_or_else(|| CliError::new(ErrorCode::Internal, "no crawl runs in this process"))?;
        if engine.is_draining() {
            return Err(CliError::new(ErrorCode::NodeBusy, "the node stops and takes no more work"));
        }
        Ok(engine)
    }
}

/// Seeds without doubles, in order.
fn read_seeds(given: Option<Value>, mistakes: &mut Vec<String>) -> Vec<CanonicalUrl> {
    let (mut seen, mut seeds) = (BTreeSet::new(), Vec::new());
    let Some(Value::Array(items)) = given else {
        mistakes.push("seeds: must be a list of URLs, at least one".to_owned());
        return seeds;
    };
    if items.is_empty() {
        mistakes.push("seeds: must hold at least one URL".to_owned());
    }
    for item in &items {
        let parsed = item.as_str().map_or_else(|| Err(format!("{item} is no text")), parse_url);
        match parsed {
            Ok(url) if seen.insert(url.as_str().to_owned()) => seeds.push(url),
            Ok(_) => {}
            Err(mistake) => mistakes.push(format!("seeds: {mistake}")),
        }
    }
    seeds
}

/// In the order of names, so that two spellings of the same object are the same.
fn fingerprint(fields: &Map<String, Value>) -> blake3::Hash {
    let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
    blake3::hash(serde_json::to_string(&sorted).unwrap_or_default().as_bytes())
}

/// The id of a key's job: a UUIDv8 whose first half comes from tenant and key and whose second half from the request.
/// So the frontier, which makes no id twice, keeps the promise of the key without a table of its own, and a
/// key that comes again with another request is recognised by the first half.
fn job_id(tenant: &TenantId, key: &str, fingerprint: &blake3::Hash) -> JobId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(tenant.as_str().as_bytes()).update(&[0]).update(key.as_bytes());
    let mut bytes = [0_u8; 16];
    bytes[..8].copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    bytes[8..].copy_from_slice(&fingerprint.as_bytes()[..8]);
    JobId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// The half of an id that its key decides; `None` for jobs without a key.
fn key_part(id: &JobId) -> Option<[u8; 8]> {
    let uuid = Uuid::from_bytes(*id.as_bytes());
    let half = <[u8; 8]>::try_from(&uuid.as_bytes()[..8]).ok();
    half.filter(|_| uuid.get_version_num() == 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_keys_and_the_requests() {
        let (tenant, other) = (TenantId::default(), TenantId::try_new("other").unwrap());
        let fields = |text: &str| fingerprint(&serde_json::from_str(text).unwrap());
        let id = |tenant: &TenantId, key: &str, text: &str| job_id(tenant, key, &fields(text));
        let first = id(&tenant, "k", r#"{"a": 1, "b": 2}"#);
        assert_eq!(first, id(&tenant, "k", r#"{"b": 2, "a": 1}"#));
        let changed = id(&tenant, "k", r#"{"a": 1, "b": 3}"#);
        assert_ne!(first, changed);
        assert_eq!(key_part(&first), key_part(&changed));
        assert_ne!(key_part(&first), key_part(&id(&tenant, "l", "{}")));
        assert_ne!(key_part(&first), key_part(&id(&other, "k", "{}")));
        assert_eq!(key_part(&JobId::from_uuid(Uuid::now_v7())), None);
    }

    #[test]
    fn every_bad_seed_is_told() {
        let mut mistakes = Vec::new();
        let given = serde_json::json!(["a.example", "https://a.example/", "ftp://b.example/", 7]);
        assert_eq!(read_seeds(Some(given), &mut mistakes).len(), 1);
        assert_eq!(mistakes.len(), 2, "{mistakes:?}");
        for given in [None, Some(serde_json::json!("a.example")), Some(serde_json::json!([]))] {
            let mut mistakes = Vec::new();
            assert_eq!(read_seeds(given, &mut mistakes), []);
            assert_eq!(mistakes.len(), 1);
        }
    }
}
