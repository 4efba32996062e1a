use super::*;
use argiope_protocol::{JobId, PageKey, TenantId, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;

/// Chunk `n` on page `n / 10`.
fn hit(n: u8, score: f32) -> SideHit {
    let payload = ChunkPayload {
        tenant: TenantId::default(),
        job: JobId::from_uuid(Uuid::from_u128(1)),
        page: PageKey::from_bytes([n / 10; 16]),
        url: format!("https://example.org/{}", n / 10),
        host: "example.org".to_owned(),
        domain: "example.org".to_owned(),
        title: String::new(),
        heading_path: Vec::new(),
        anchor: None,
        text: format!("text {n}"),
        position: u32::from(n % 10),
        language: None,
        seq: 1,
        fetched_at: Timestamp::ZERO,
    };
    SideHit { id: ChunkId(Uuid::from_u128(u128::from(n))), score, payload }
}

fn hits(pairs: &[(u8, f32)]) -> Vec<SideHit> {
    pairs.iter().map(|(n, score)| hit(*n, *score)).collect()
}

fn number(fused: &Fused) -> u8 {
    u8::try_from(fused.id.0.as_u128()).unwrap()
}

#[track_caller]
fn check(lexical: &[(u8, f32)], semantic: &[(u8, f32)], fusion: Fusion, expected: &[(u8, f32)]) {
    let fused = fuse(hits(lexical), hits(semantic), fusion);
    let found: Vec<(u8, f32)> = fused.iter().map(|fused| (number(fused), fused.score)).collect();
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((n, score), (expected_n, expected_score)) in found.iter().zip(expected) {
        assert!(n == expected_n && (score - expected_score).abs() < 1e-5, "{found:?} is not {expected:?}");
    }
}

#[test]
fn the_weighted_sum_scales_each_side_over_its_own_hits() {
    // Lexical 12, 8, 4 become 1, 0.5, 0; semantic 0.9, 0.7, 0.4 become 1, 0.6, 0.
    let (lexical, semantic) = ([(1, 12.0), (2, 8.0), (3, 4.0)], [(2, 0.9), (4, 0.7), (1, 0.4)]);
    check(&lexical, &semantic, Fusion::CONVEX, &[(2, 0.7), (1, 0.6), (4, 0.24), (3, 0.0)]);
    check(&lexical, &[], Fusion::CONVEX, &[(1, 0.6), (2, 0.3), (3, 0.0)]);
    check(&[], &semantic, Fusion::CONVEX, &[(2, 0.4), (4, 0.24), (1, 0.0)]);
    check(&[], &[], Fusion::CONVEX, &[]);
}

#[test]
fn one_text_at_two_addresses_is_one_hit() {
    let mut copy = hit(25, 12.0);
    copy.payload.text = hit(14, 0.0).payload.text;
    let numbers = |found: Vec<Fused>| found.iter().map(number).collect::<Vec<_>>();
    let lexical = [hits(&[(14, 12.0), (3, 4.0)]), vec![copy.clone()]].concat();
    assert_eq!(numbers(fuse(lexical.clone(), Vec::new(), Fusion::CONVEX)), [14, 3]);
    assert_eq!(numbers(one_side(lexical, true)), [14, 3]);
    copy.payload.domain = "other.example".to_owned();
    assert_eq!(numbers(one_side([hits(&[(14, 12.0)]), vec![copy]].concat(), true)), [14, 25]);
}

#[test]
fn equal_scores_of_a_side_all_count_as_best_and_ties_go_by_url_and_place() {
    check(&[(12, 3.0), (11, 3.0), (2, 3.0)], &[], Fusion::CONVEX, &[(2, 0.6), (11, 0.6), (12, 0.6)]);
    check(&[(5, 3.0)], &[(5, -0.2)], Fusion::CONVEX, &[(5, 1.0)]);
}

#[test]
fn rank_fusion_weighs_the_lexical_side_twice() {
    let (lexical, semantic) = ([(1, 12.0), (2, 8.0)], [(2, 0.9), (3, 0.7)]);
    let expected = [(2, 2.0 / 62.0 + 1.0 / 61.0), (1, 2.0 / 61.0), (3, 1.0 / 62.0)];
    check(&lexical, &semantic, Fusion::RRF, &expected);
    check(&[(1, 5.0), (2, 5.0), (3, 1.0)], &[], Fusion::RRF, &[(1, 2.0 / 61.0), (2, 2.0 / 61.0), (3, 2.0 / 63.0)]);
}

#[test]
fn only_the_best_hundred_count_and_what_is_no_number_is_left_out() {
    let many: Vec<(u8, f32)> = (0..120).map(|n| (n, f32::from(n))).collect();
    let fused = fuse(hits(&many), Vec::new(), Fusion::CONVEX);
    assert_eq!((fused.len(), fused.iter().map(number).min()), (100, Some(20)));
    check(&[(1, f32::NAN), (2, 1.0), (2, 0.5)], &[(3, f32::INFINITY)], Fusion::CONVEX, &[(2, 0.6)]);
}

#[test]
fn each_hit_keeps_the_scores_of_its_sides() {
    let fused = fuse(hits(&[(1, 12.0)]), hits(&[(1, 0.5), (2, 0.4)]), Fusion::CONVEX);
    let sides: Vec<_> = fused.iter().map(|fused| (fused.lexical, fused.semantic)).collect();
    assert_eq!(sides, [(Some(12.0), Some(0.5)), (None, Some(0.4))]);
    let alone = one_side(hits(&[(2, 0.1), (1, 0.3)]), false);
    let alone: Vec<_> = alone.iter().map(|fused| (number(fused), fused.score, fused.lexical, fused.semantic)).collect();
    assert_eq!(alone, [(1, 0.3, None, Some(0.3)), (2, 0.1, None, Some(0.1))]);
}

#[test]
fn grouping_keeps_the_best_hit_of_each_page() {
    let fused = fuse(hits(&[(11, 5.0), (12, 9.0), (1, 7.0), (2, 1.0)]), Vec::new(), Fusion::CONVEX);
    assert_eq!(one_per_page(fused).iter().map(number).collect::<Vec<_>>(), [12, 1]);
}

#[test]
fn weights_that_make_no_sense_are_told() {
    let check = |fusion: Fusion, expected: bool| assert_eq!(fusion.is_valid(), expected, "{fusion:?}");
    check(Fusion::default(), true);
    check(Fusion::RRF, true);
    check(Fusion::Convex { lexical_weight: 1.1 }, false);
    check(Fusion::Convex { lexical_weight: f32::NAN }, false);
    check(Fusion::Rrf { k: 0.0, lexical_weight: 1.0 }, false);
    check(Fusion::Rrf { k: 60.0, lexical_weight: -1.0 }, false);
}

proptest! {
    #[test]
    fn the_order_in_which_hits_come_does_not_matter(
        lexical in proptest::collection::vec((0_u8..40, 0_u8..5), 0..30),
        semantic in proptest::collection::vec((0_u8..40, 0_u8..5), 0..30),
    ) {
        let distinct = |pairs: Vec<(u8, u8)>| -> Vec<SideHit> {
            let by_chunk: BTreeMap<u8, u8> = pairs.into_iter().collect();
            by_chunk.into_iter().map(|(n, score)| hit(n, f32::from(score))).collect()
        };
        let (lexical, semantic) = (distinct(lexical), distinct(semantic));
        let turned = |hits: &[SideHit]| hits.iter().rev().cloned().collect::<Vec<_>>();
        for fusion in [Fusion::CONVEX, Fusion::RRF] {
            let straight = fuse(lexical.clone(), semantic.clone(), fusion);
            prop_assert_eq!(&straight, &fuse(turned(&lexical), turned(&semantic), fusion));
            prop_assert!(straight.iter().all(|fused| (0.0..=1.0001).contains(&fused.score)));
        }
    }
}
