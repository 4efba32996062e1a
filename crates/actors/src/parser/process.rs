//! The CPU part: one parse, links sorted, chunks made, record filled.

use super::links::{self, Sorted};
use crate::embedder::Embedder;
use crate::frontier::KnownLinks;
use crate::job::JobRuntime;
use argiope_content::chunk::{CHUNKER_VERSION, Chunk, ChunkLimits, chunk};
use argiope_content::page::{self, Depth, PageInput, ParsedPage, Problem};
use argiope_content::sitemap;
use argiope_egress::FetchResponse;
use argiope_protocol::job::Retain;
use argiope_protocol::{
    Candidate, CanonicalUrl, ChunkId, ChunkRecord, FetchFacts, Lease, PageKey, PageRecord, ProcessMode, SkipReason,
    Timestamp, UrlKind, UrlSource,
};
use argiope_store::pages::NewPage;
use std::collections::BTreeMap;

/// Media types that are kept as bytes until they can be read.
const KEPT_AS_BYTES: &[&str] = &[
    "application/pdf",
    "application/vnd.oasis.opendocument.text",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
];

/// What became of an answer.
pub(super) enum Processed {
    /// A page with text.
    Page { page: Box<NewPage>, chunks: Vec<Chunk>, links: Sorted },
    /// The body is the one that is stored.
    Same,
    /// No page of its own, but links.
    Skip { reason: SkipReason, links: Sorted, bytes: Option<Box<NewPage>> },
    /// The parser's bounds were exceeded.
    TooMuch,
}

/// What the CPU part needs besides the answer.
pub(super) struct Input<'a> {
    pub(super) job: &'a JobRuntime,
    pub(super) known: &'a KnownLinks,
    pub(super) lease: &'a Lease,
    pub(super) prior_hash: Option<[u8; 32]>,
    pub(super) response: &'a FetchResponse,
    pub(super) robots_token: &'a str,
    /// Whose tokenizer sizes chunks; asked only when there are some, since a model may have to be unpacked for it.
    pub(super) embedder: &'a dyn Embedder,
    pub(super) now: Timestamp,
}

pub(super) fn process(input: &Input<'_>) -> Processed {
    let content_type = input.response.header("content-type");
    if input.lease.candidate.kind == UrlKind::Sitemap {
        let contents = sitemap::parse(&input.response.body, content_type.as_deref(), &input.lease.candidate.url);
        let links = links::of_sitemap(input.job, input.lease, contents);
        return Processed::Skip { reason: SkipReason::SitemapRead, links, bytes: None };
    }
    let body_hash = *blake3::hash(&input.response.body).as_bytes();
    if input.prior_hash == Some(body_hash) {
        return Processed::Same;
    }
    if page::text_kind(content_type.as_deref(), &input.response.body).is_none() {
        let essence = content_type
            .as_deref()
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        let bytes = KEPT_AS_BYTES
            .contains(&essence.as_str())
            .then(|| Box::new(input.new_page(body_hash, input.parse(content_type.as_deref()), &[])));
        return Processed::Skip { reason: SkipReason::UnsupportedMedia, links: Sorted::default(), bytes };
    }
    input.html(body_hash, content_type.as_deref())
}

impl Input<'_> {
    fn html(&self, body_hash: [u8; 32], content_type: Option<&str>) -> Processed {
        let (spec, mut parsed) = (&self.job.spec, self.parse(content_type));
        if parsed.problems.iter().any(Problem::is_fatal) {
            return Processed::TooMuch;
        }
        let mut links = links::of_page(self.job, self.known, self.lease, &mut parsed);
        if spec.politeness.robots && parsed.directives.noindex {
            return Processed::Skip { reason: SkipReason::NoIndex, links, bytes: None };
        }
        if let Some(canonical) = self.canonical_elsewhere(&parsed) {
            links.offered.push(canonical);
            return Processed::Skip { reason: SkipReason::CanonicalElsewhere, links, bytes: None };
        }
        if spec.process != ProcessMode::Links && parsed.markdown.trim().is_empty() {
            return Processed::Skip { reason: SkipReason::Empty, links, bytes: None };
        }
        let chunks = if spec.process == ProcessMode::Links { Vec::new() } else { self.chunks(&parsed) };
        let mut page = self.new_page(body_hash, parsed, &chunks);
        page.record.outlinks = std::mem::take(&mut links.followed);
        Processed::Page { page: Box::new(page), chunks, links }
    }

    fn chunks(&self, parsed: &ParsedPage) -> Vec<Chunk> {
        let tokenizer = self.embedder.tokenizer();
        chunk(&parsed.markdown, &parsed.headings, &parsed.title, tokenizer, ChunkLimits::default())
    }

    fn parse(&self, content_type: Option<&str>) -> ParsedPage {
        let spec = &self.job.spec;
        let tags = self.response.headers.iter().filter(|(name, _)| name == "x-robots-tag");
        let x_robots_tag: Vec<String> = tags.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect();
        page::parse(&PageInput {
            url: &self.lease.candidate.url,
            body: &self.response.body,
            content_type,
            x_robots_tag: &x_robots_tag,
            robots_token: self.robots_token,
            depth: if spec.process == ProcessMode::Links { Depth::Links } else { Depth::Markdown },
            max_links: usize::try_from(spec.limits.max_outlinks).unwrap_or(usize::MAX),
        })
    }

    /// The page's other name on the same host, when the job may fetch it and did not come from it.
    fn canonical_elsewhere(&self, parsed: &ParsedPage) -> Option<Candidate> {
        let (here, target) = (&self.lease.candidate, parsed.canonical.as_ref()?);
        let mut chain = here.redirect_chain.clone();
        chain.push(PageKey::of(&here.url));
        let is_elsewhere =
            *target != here.url && target.host() == here.url.host() && !chain.contains(&PageKey::of(target));
        let may_go_on = chain.len() <= usize::from(self.job.spec.limits.max_redirects);
        if !is_elsewhere || !may_go_on || self.job.check(target, here.depth, UrlSource::Redirect).is_err() {
            return None;
        }
        Some(Candidate { url: target.clone(), source: UrlSource::Redirect, redirect_chain: chain, ..here.clone() })
    }

    fn new_page(&self, body_hash: [u8; 32], parsed: ParsedPage, chunks: &[Chunk]) -> NewPage {
        let (lease, response, spec) = (self.lease, self.response, &self.job.spec);
        let key = PageKey::of(&lease.candidate.url);
        let record = PageRecord {
            key,
            tenant: lease.tenant.clone(),
            job: lease.job,
            url: lease.candidate.url.clone(),
            depth: lease.candidate.depth,
            seq: lease.token.fence(),
            process: spec.process,
            chunker_version: CHUNKER_VERSION,
            fetch: FetchFacts {
                fetched_at: self.now,
                status: response.status,
                content_type: response.header("content-type"),
                remote: response.remote,
                wire_bytes: response.wire_bytes,
                elapsed_ms: u32::try_from(response.elapsed.as_millis()).unwrap_or(u32::MAX),
            },
            validators: response.validators.clone(),
            body_hash,
            title: parsed.title,
            language: parsed.language,
            charset: parsed.charset.to_owned(),
            simhash: parsed.simhash,
            extraction: parsed.extraction.code().to_owned(),
            chunks: chunk_records(lease, &key, chunks),
            outlinks: Vec::<CanonicalUrl>::new(),
            problems: parsed.problems.iter().map(|problem| problem.code().to_owned()).collect(),
        };
        // What does not stay takes no room on its way.
        let (headers, body) = match spec.retain {
            Retain::Raw => (response.headers.clone(), response.body.clone()),
            Retain::Markdown | Retain::None => Default::default(),
        };
        NewPage { record, headers, body, markdown: parsed.markdown, retain: spec.retain }
    }
}

/// Ids of the chunks: the nth chunk with equal text on a page has the number n.
fn chunk_records(lease: &Lease, key: &PageKey, chunks: &[Chunk]) -> Vec<ChunkRecord> {
    let mut n_equal: BTreeMap<[u8; 32], u32> = BTreeMap::new();
    let records = chunks.iter().map(|chunk| {
        let nth = n_equal.entry(chunk.hash.0).or_default();
        let id = ChunkId::of(&lease.tenant, key, &chunk.hash, *nth);
        *nth += 1;
        ChunkRecord {
            id,
            hash: chunk.hash,
            heading_path: chunk.heading_path.clone(),
            anchor: chunk.anchor.clone(),
            range: chunk.range,
            tokens: chunk.n_tokens(),
        }
    });
    records.collect()
}
