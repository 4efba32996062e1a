//! Questions to a real embedded index.

use super::evaluation::{parse_qrels, parse_questions};
use super::*;
use crate::embedder::LocalEmbedder;
use argiope_content::model::StaticModel;
use argiope_protocol::{ChunkHash, ChunkId, ErrorCode, JobId, PageKey, Timestamp};
use argiope_store::embedded::vectors::{EmbeddedVectors, VectorOptions};
use argiope_store::vectors::{ChunkPoint, IndexModel, PageHead, PageWrite};
use tempfile::TempDir;
use uuid::Uuid;

const PAGES: [(&str, &[&str]); 4] = [
    ("logging", &["Set the log level in the configuration file.", "Rotate log files every night."]),
    ("backup", &["Create a backup of the database.", "Restore the database from a backup."]),
    ("network", &["Listen on another port.", "Use a proxy server for outgoing connections."]),
    ("install", &["Install the package from the archive."]),
];

fn write(n: u8, name: &str, texts: &[&str]) -> PageWrite {
    let (tenant, page) = (TenantId::default(), PageKey::from_bytes([n; 16]));
    let url = format!("https://docs.example/{name}");
    let chunk = |(position, text): (u32, &&str)| ChunkPoint {
        id: ChunkId::of(&tenant, &page, &ChunkHash::of(1, text), 0),
        dense: StaticModel::builtin().embed(text),
        payload: ChunkPayload {
            tenant: tenant.clone(),
            job: JobId::from_uuid(Uuid::from_u128(1)),
            page,
            url: url.clone(),
            host: "docs.example".to_owned(),
            domain: "docs.example".to_owned(),
            title: name.to_owned(),
            heading_path: Vec::new(),
            anchor: None,
            text: (*text).to_owned(),
            position,
            language: Some("en".to_owned()),
            seq: 1,
            fetched_at: Timestamp::ZERO,
        },
    };
    let new_chunks: Vec<ChunkPoint> = (0..).zip(texts).map(chunk).collect();
    let chunks = new_chunks.iter().map(|chunk| chunk.id).collect();
    let head = PageHead { page, tenant: tenant.clone(), url: url.clone(), seq: 1, chunks };
    PageWrite { head, new_chunks, moved: Vec::new(), stale: Vec::new() }
}

/// An index of [`PAGES`] made for `model`; only an index of the built-in model holds them.
async fn query(model: IndexModel) -> (TempDir, Query) {
    let place = tempfile::tempdir().unwrap();
    let is_builtin = &model == LocalEmbedder::builtin().model();
    let options = VectorOptions { min_free_bytes: 0, ..VectorOptions::default() };
    let vectors = EmbeddedVectors::open(place.path().join("vectors"), model, options).unwrap();
    if is_builtin {
        let group = (0..).zip(PAGES).map(|(n, (name, texts))| write(n, name, texts)).collect();
        vectors.apply(group).await.unwrap();
    }
    (place, Query::new(Arc::new(vectors), Arc::new(LocalEmbedder::builtin())))
}

fn builtin() -> IndexModel {
    LocalEmbedder::builtin().model().clone()
}

fn request(text: &str, mode: Mode) -> SearchRequest {
    SearchRequest { mode, ..SearchRequest::new(TenantId::default(), text) }
}

#[tokio::test]
async fn each_mode_finds_the_passage_and_tells_the_scores_of_its_sides() {
    let (_place, query) = query(builtin()).await;
    for mode in Mode::ALL {
        let hits = query.search(request("restore a database backup", mode)).await.unwrap();
        let best = hits.first().unwrap();
        assert_eq!(best.payload.text, "Restore the database from a backup.", "{mode:?}");
        let sides = (best.lexical.is_some(), best.semantic.is_some());
        assert_eq!(sides, (mode != Mode::Semantic, mode != Mode::Lexical), "{mode:?}");
        assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score), "{mode:?}");
    }
    let hits = query.search(request("restore a database backup", Mode::Hybrid)).await.unwrap();
    assert!((hits[0].score - 1.0).abs() < 1e-5, "best of both sides: {}", hits[0].score);
}

#[tokio::test]
async fn limit_grouping_and_filter_are_kept() {
    let (_place, query) = query(builtin()).await;
    let mut asked = request("backup of the database", Mode::Hybrid);
    asked.limit = 2;
    let titles = |hits: Vec<SearchHit>| hits.into_iter().map(|hit| hit.payload.title).collect::<Vec<_>>();
    assert_eq!(titles(query.search(asked.clone()).await.unwrap()), ["backup", "backup"]);
    asked.one_per_page = true;
    let grouped = titles(query.search(asked.clone()).await.unwrap());
    assert!(grouped.len() == 2 && grouped[0] == "backup" && grouped[1] != "backup", "{grouped:?}");
    asked.filter.host = Some("other.example".to_owned());
    assert_eq!(query.search(asked).await.unwrap(), []);
}

#[tokio::test]
async fn a_question_without_known_words_is_no_error() {
    let (_place, query) = query(builtin()).await;
    for mode in Mode::ALL {
        assert_eq!(query.search(request("???", mode)).await.unwrap(), [], "{mode:?}");
    }
}

#[tokio::test]
async fn requests_out_of_bounds_are_refused() {
    let (_place, query) = query(builtin()).await;
    let check = async |change: &dyn Fn(&mut SearchRequest), expected: &str| {
        let mut asked = request("text", Mode::Hybrid);
        change(&mut asked);
        let error = query.search(asked).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Usage, false));
    };
    check(&|asked| asked.text = " \n".to_owned(), "empty").await;
    check(&|asked| asked.text = "x".repeat(4_097), "4097 bytes, at most 4096").await;
    check(&|asked| asked.limit = 0, "1 to 100").await;
    check(&|asked| asked.limit = 101, "1 to 100").await;
    check(&|asked| asked.fusion = Fusion::Convex { lexical_weight: 2.0 }, "no fusion").await;
}

#[tokio::test]
async fn another_model_s_index_answers_by_words_only() {
    let (_place, query) = query(IndexModel { id: "other".to_owned(), dimension: 256 }).await;
    let error = query.search(request("text", Mode::Hybrid)).await.unwrap_err();
    assert!(error.to_string().contains("index holds vectors of other (256 components)"), "{error}");
    assert_eq!(error.code(), ErrorCode::ModelMismatch);
    assert_eq!(query.search(request("text", Mode::Lexical)).await.unwrap(), []);
}

#[tokio::test]
async fn an_evaluation_asks_the_judged_questions_in_every_mode() {
    let (_place, query) = query(builtin()).await;
    let questions =
        parse_questions("1\trestore the database from a backup\n2\tlog level\n3\tnobody judged this\n").unwrap();
    let qrels = parse_qrels("1 0 https://docs.example/backup#restore 1\n2 0 https://docs.example/logging 1\n").unwrap();
    let mut n_asked = 0;
    let evaluation =
        query.evaluate(&TenantId::default(), &questions, &qrels, &Mode::ALL, |n| n_asked = n).await.unwrap();
    assert_eq!((n_asked, evaluation.n_questions, evaluation.n_unjudged, evaluation.n_unknown), (6, 2, 1, 0));
    assert_eq!(evaluation.modes.iter().map(|outcome| outcome.mode).collect::<Vec<_>>(), Mode::ALL);
    for outcome in &evaluation.modes {
        let metrics = outcome.metrics;
        assert_eq!((metrics.ndcg_at_10, metrics.recall_at_100, metrics.hit_at_5, metrics.mrr), (1.0, 1.0, 1.0, 1.0));
    }
}
