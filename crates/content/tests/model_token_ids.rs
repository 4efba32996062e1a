//! The tokenizer's ids against those of the reference implementation, `tokenizers` 0.23, on texts made to be odd (every
//! general category, marks on letters, digits of many scripts, camel case, words around the length limit, title-case
//! letters, ligatures, random bytes of ASCII) and on documentation.
//!
//! `fixtures/token_ids.tsv`: rules (`d` the built-in model's, `b` BERT's), text as JSON, ids. Left out are the 630
//! characters whose category, or whose being a mark, differs between the reference's older Unicode tables and Unicode 14.

use argiope_content::model::StaticModel;

const FIXTURE: &str = include_str!("fixtures/token_ids.tsv");

fn check(rules: &str, tokenize: impl Fn(&str) -> Vec<u32>) {
    let mut n_texts = 0;
    for line in FIXTURE.lines() {
        let mut fields = line.split('\t');
        let (Some(kind), Some(text), Some(ids)) = (fields.next(), fields.next(), fields.next()) else {
            panic!("a line without three fields: {line:?}");
        };
        if kind == rules {
            let text: String = serde_json::from_str(text).expect("the fixture holds JSON");
            let ids: Vec<u32> =
                ids.split_whitespace().map(|id| id.parse().expect("the fixture holds numbers")).collect();
            assert_eq!(tokenize(&text), ids, "{text:?}");
            n_texts += 1;
        }
    }
    assert!(n_texts > 300, "only {n_texts} texts of kind {rules}");
}

#[test]
fn the_built_in_rules_give_the_ids_of_the_reference() {
    check("d", |text| StaticModel::builtin().tokenizer().ids(text));
}

#[test]
fn bert_rules_give_the_ids_of_the_reference() {
    let mut tokenizer: serde_json::Value = serde_json::from_slice(include_bytes!("../model/tokenizer.json")).unwrap();
    tokenizer["normalizer"] = serde_json::json!({"type": "BertNormalizer"});
    tokenizer["pre_tokenizer"] = serde_json::json!({"type": "BertPreTokenizer"});
    let model = StaticModel::from_parts(
        "bert-rules",
        include_bytes!("../model/config.json"),
        include_bytes!("../model/model.safetensors").to_vec(),
        tokenizer.to_string().as_bytes(),
    )
    .unwrap();
    check("b", |text| model.tokenizer().ids(text));
}
