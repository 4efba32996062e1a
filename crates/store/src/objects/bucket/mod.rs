//! Objects of an S3-compatible bucket, with conditional writes (`If-None-Match: *`, `If-Match`).

mod fault;
mod http;
mod roots;

use super::fault::{server, timeout};
use super::options::{BucketOptions, ObjectOptions};
use super::place::{Object, Place, Tag, When};
use crate::error::ServerFault;
use crate::{Error, Result};
use argiope_protocol::Timestamp;
use async_trait::async_trait;
use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, RetryConfig, UpdateVersion};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// What S3 lists at once.
const MAX_LISTED: usize = 1_000;
/// Attempts at one request while the server is busy or away. Whoever called tries again later, as long as it takes.
const MAX_ATTEMPTS: u32 = 4;
/// Before the second attempt; doubles for each.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// A bucket that holds objects.
pub(super) struct Bucket {
    store: AmazonS3,
    /// Empty, or ends in `/`.
    prefix: String,
    call_timeout: Duration,
    requests: Semaphore,
}

type Answer<T> = object_store::Result<T>;

impl Bucket {
    /// Connects with the first call.
    pub(super) fn open(bucket: &BucketOptions, options: &ObjectOptions) -> Result<Self> {
        let context = "set up the client of the object store";
        let refused = |error: &dyn std::fmt::Display| server(context, ServerFault::Refused, error);
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&bucket.bucket)
            .with_region(&bucket.region)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_disable_tagging(true)
            // We remove one at a time, and not every server knows the call for many.
            .with_disable_bulk_delete(true)
            .with_http_connector(http::Connector::new(options.max_requests))
            // Ours knows the deadline of the whole operation.
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() });
        if let Some(endpoint) = &bucket.endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
            builder = builder.with_allow_http(endpoint.starts_with("http://"));
        }
        if let Some((id, secret)) = &bucket.keys {
            // The client would repeat a key that it cannot send.
            if ![id, secret].iter().all(|key| key.bytes().all(|byte| byte.is_ascii_graphic())) {
                return Err(refused(&"an access key has characters that cannot be sent"));
            }
            builder = builder.with_access_key_id(id).with_secret_access_key(secret);
        }
        let store = builder.build().map_err(|error| refused(&error))?;
        let prefix = Path::from(bucket.prefix.as_str()).to_string();
        let prefix = if prefix.is_empty() { prefix } else { prefix + "/" };
        let requests = Semaphore::new(options.max_requests.max(1));
        Ok(Self { store, prefix, call_timeout: options.call_timeout, requests })
    }

    fn path(&self, name: &str) -> Path {
        Path::from(format!("{}{name}", self.prefix))
    }

    /// Asks until there is an answer, the fault is none that passes, or the time is up.
    ///
    /// # Cancel
    /// The server may do what was asked all the same.
    async fn call<T, Asked>(&self, context: &'static str, until: Instant, ask: impl Fn() -> Asked + Send) -> Result<T>
    where
        T: Send,
        Asked: Future<Output = Answer<T>> + Send,
    {
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let error = match self.attempt(context, until, &ask).await {
                Err(error) if error.is_retryable() => error,
                answer => return answer,
            };
            if attempt >= MAX_ATTEMPTS || Instant::now() + pause >= until {
                return Err(error);
            }
            tracing::debug!(%error, attempt, "the object store did not answer, trying again");
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Err(timeout(context, self.call_timeout))
    }

    async fn attempt<T, Asked>(
        &self,
        context: &'static str,
        until: Instant,
        ask: &(impl Fn() -> Asked + Send),
    ) -> Result<T>
    where
        Asked: Future<Output = Answer<T>> + Send,
    {
        let begin = Instant::now();
        let permit = tokio::time::timeout_at(until.into(), self.requests.acquire()).await;
        let _permit = permit.map_err(|_| timeout(context, begin.elapsed()))?.map_err(|_| Error::Closed)?;
        let wait = self.call_timeout.min(until.saturating_duration_since(Instant::now()));
        // Boxed: the client's futures have many kilobytes, and each caller would carry them.
        match tokio::time::timeout(wait, Box::pin(ask())).await {
            Ok(answer) => answer.map_err(|error| fault::of(context, &error)),
            Err(_) => Err(timeout(context, wait)),
        }
    }
}

/// An object that is not there is an answer.
fn found<T>(answer: Answer<T>) -> Answer<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl Place for Bucket {
    async fn get(&self, name: &str, until: Instant) -> Result<Option<Object>> {
        let path = self.path(name);
        let read = async || {
            let Some(answer) = found(self.store.get(&path).await)? else { return Ok(None) };
            let tag = answer.meta.e_tag.clone();
            Ok(Some((answer.bytes().await?, tag)))
        };
        let Some((bytes, tag)) = self.call("read an object", until, read).await? else { return Ok(None) };
        let without = || server("read an object", ServerFault::Refused, "the server gives no entity tags (ETag)");
        Ok(Some(Object { bytes, tag: Tag(tag.ok_or_else(without)?) }))
    }

    async fn put(&self, name: &str, bytes: Bytes, when: When, until: Instant) -> Result<bool> {
        let path = self.path(name);
        let mode = match when {
            When::Absent => PutMode::Create,
            When::Unchanged(Tag(tag)) => PutMode::Update(UpdateVersion { e_tag: Some(tag), version: None }),
            When::Always => PutMode::Overwrite,
        };
        let write = async || match self.store.put_opts(&path, bytes.clone().into(), mode.clone().into()).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(error),
        };
        self.call("write an object", until, write).await
    }

    async fn delete(&self, name: &str, until: Instant) -> Result<()> {
        let path = self.path(name);
        let delete = async || found(self.store.delete(&path).await).map(|_| ());
        self.call("remove an object", until, delete).await
    }

    async fn list(&self, folder: &str, after: Option<&str>, limit: usize, until: Instant) -> Result<Vec<String>> {
        let folder = format!("{}{folder}", self.prefix);
        let mut after = after.map(|after| format!("{}{after}", self.prefix));
        let mut names = Vec::new();
        while names.len() < limit {
            let wanted = (limit - names.len()).min(MAX_LISTED);
            let list = async || {
                let offset = after.clone();
                let options = PaginatedListOptions { offset, max_keys: Some(wanted), ..Default::default() };
                self.store.list_paginated(Some(&folder), options).await
            };
            let listed = self.call("list objects", until, list).await?;
            let objects = listed.result.objects;
            let Some(last) = objects.last() else { break };
            after = Some(last.location.to_string());
            let own = objects.iter().filter_map(|object| object.location.as_ref().strip_prefix(&self.prefix));
            names.extend(own.map(str::to_owned));
            if listed.page_token.is_none() {
                break;
            }
        }
        Ok(names)
    }

    async fn written_at(&self, name: &str, until: Instant) -> Result<Option<Timestamp>> {
        let path = self.path(name);
        let look = async || found(self.store.head(&path).await);
        let found = self.call("look at an object", until, look).await?;
        let millis = found.map(|found| u64::try_from(found.last_modified.timestamp_millis()).unwrap_or(0));
        Ok(millis.map(Timestamp::from_millis))
    }

    async fn tidy(&self, _before: Timestamp, _until: Instant) -> Result<u64> {
        // Objects are written in one request, so nothing is ever left half done.
        Ok(0)
    }
}
