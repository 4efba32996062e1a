//! Checks everything against everything: index records, frames, bodies, references, sums.

use super::index::{BODIES, PAGES, StoredBody, StoredPage, Totals, View};
use super::read::Shared;
use super::segment::{FrameRef, read_frame};
use super::writer::stored_segments;
use crate::{Result, pages};
use std::collections::{BTreeMap, HashMap};

/// What was found, and what was counted on the way.
#[derive(Default)]
struct Findings {
    found: pages::Findings,
    live: BTreeMap<u32, u64>,
    totals: Totals,
}

impl Findings {
    fn add(&mut self, text: String) {
        self.found.add(text);
    }

    fn count(&mut self, frame: &FrameRef) {
        *self.live.entry(frame.segment).or_default() += frame.bytes;
    }
}

impl Shared {
    /// What is wrong, in words. It sees one instant of the index; pages may be written meanwhile.
    pub(super) fn verify(&self) -> Result<Vec<String>> {
        self.with_database(|database| {
            let segments = stored_segments(database)?;
            let view = View::begin(database)?;
            let mut findings = Findings::default();
            // 40 bytes a body: 10 million bodies are 400 MB, more than one machine's store is meant for.
            let mut references: HashMap<[u8; 32], u64> = HashMap::new();
            for row in view.rows::<StoredPage>(PAGES, "pages", &[])? {
                match row {
                    Ok((_, page)) => self.verify_page(&page, &mut references, &mut findings),
                    Err(error) => findings.add(error.to_string()),
                }
            }
            for row in view.rows::<StoredBody>(BODIES, "bodies", &[])? {
                match row {
                    Ok((key, body)) => self.verify_body(&key, &body, &mut references, &mut findings),
                    Err(error) => findings.add(error.to_string()),
                }
            }
            for hash in references.keys() {
                findings.add(format!("body {} is referred to but not known", hex(hash)));
            }
            for (number, segment) in segments {
                let live = findings.live.get(&number).copied().unwrap_or(0);
                if live != segment.live {
                    findings.add(format!("segment {number:06} counts {} live bytes, it has {live}", segment.live));
                }
            }
            let totals = view.totals()?;
            if totals != findings.totals {
                findings.add(format!("the sums are {totals:?}, counted were {:?}", findings.totals));
            }
            Ok(findings.found.into_texts())
        })
    }

    fn verify_page(&self, page: &StoredPage, references: &mut HashMap<[u8; 32], u64>, findings: &mut Findings) {
        findings.totals.pages += 1;
        if let Some(hash) = page.body {
            findings.totals.body_references += 1;
            *references.entry(hash).or_default() += 1;
        }
        for frame in page.revisit.iter().chain(&page.markdown) {
            findings.count(frame);
            if let Err(error) = read_frame(&self.segments(), frame) {
                findings.add(format!("{}: {error}", page.record.url.as_str()));
            }
        }
    }

    fn verify_body(
        &self,
        key: &[u8],
        body: &StoredBody,
        references: &mut HashMap<[u8; 32], u64>,
        findings: &mut Findings,
    ) {
        findings.totals.bodies += 1;
        findings.count(&body.frame);
        match read_frame(&self.segments(), &body.frame) {
            Ok(frame) if blake3::hash(frame.payload()).as_bytes() == key => {}
            Ok(_) => findings.add(format!("{}: the body does not match its hash", body.url)),
            Err(error) => findings.add(format!("{}: {error}", body.url)),
        }
        let n_pages = <[u8; 32]>::try_from(key).ok().and_then(|hash| references.remove(&hash)).unwrap_or(0);
        if n_pages != body.n_pages {
            findings.add(format!("body {} counts {} pages, it has {n_pages}", hex(key), body.n_pages));
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
