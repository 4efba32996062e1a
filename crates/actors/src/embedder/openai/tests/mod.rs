//! The adapter against a real server on loopback.

mod server;

use super::*;
use argiope_egress::EgressConfig;
use argiope_protocol::ErrorCode;
use serde_json::json;
use server::{Answer, Call, Server, vectors};
use std::time::Duration;

fn options(server: &Server) -> OpenAiOptions {
    let url = format!("http://{}/v1", server.address).parse().unwrap();
    OpenAiOptions { allow_cidrs: vec!["127.0.0.0/8".parse().unwrap()], ..OpenAiOptions::new(url, "org/tiny", 2) }
}

fn embedder(options: OpenAiOptions) -> OpenAiEmbedder {
    let client = GuardedClient::try_new(EgressConfig::default()).unwrap();
    OpenAiEmbedder::try_new(options, Arc::new(client)).unwrap()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// What [`vectors`] comes to.
fn expected(text: &str) -> Vec<f32> {
    let mut vector = vec![f32::from(u16::try_from(text.len()).unwrap()), 1.0];
    super::super::adapter::normalise(&mut vector);
    vector
}

#[tokio::test]
async fn batches_of_like_length_come_back_in_the_order_of_the_texts() {
    let server = Server::start(|_, call| vectors(call, true)).await;
    let options = OpenAiOptions { batch_items: 2, api_key: Some("key-1".to_owned()), ..options(&server) };
    let embedder = embedder(options);
    let asked = ["one two three four", "one", " ", "one two three", "one two"];
    let found = embedder.embed(texts(&asked)).await.unwrap();
    let zero = vec![0.0, 0.0];
    assert_eq!(found, [expected(asked[0]), expected(asked[1]), zero, expected(asked[3]), expected(asked[4])]);
    let calls = server.calls();
    let inputs: Vec<_> = calls.iter().map(|call| call.input.join("|")).collect();
    assert_eq!(inputs, ["one", "one two|one two three", "one two three four"]);
    for Call { head, model, .. } in &calls {
        assert!(head.starts_with("POST /v1/embeddings HTTP/1.1\r\n") && head.contains("Bearer key-1\r\n"), "{head}");
        assert_eq!(model, "org/tiny");
    }
    assert_eq!(embedder.model(), &IndexModel { id: "org-tiny".to_owned(), dimension: 2 });
    assert_eq!(embedder.tokens_spent(), 40);
}

#[tokio::test]
async fn a_busy_server_is_asked_again_when_it_said() {
    let server = Server::start(|n, call| match n {
        0 => (429, "Retry-After: 1\r\n", json!({"error": {"message": "slow down", "code": "rate_limit_exceeded"}})),
        1 => (500, "", json!({"error": "boom"})),
        _ => vectors(call, false),
    });
    let server = server.await;
    assert_eq!(embedder(options(&server)).embed(texts(&["text"])).await.unwrap(), [expected("text")]);
    let calls = server.calls();
    assert_eq!(calls.len(), 3);
    let waited: Vec<Duration> = calls.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert!(waited[0] >= Duration::from_millis(990) && waited[1] >= Duration::from_millis(490), "{waited:?}");
}

#[tokio::test]
async fn a_server_that_refuses_a_batch_as_too_large_gets_it_in_halves() {
    let too_large = || (413, "", json!({"error": "batch size 4 > maximum allowed batch size 2"}));
    let server = Server::start(move |_, call| if call.input.len() > 2 { too_large() } else { vectors(call, false) });
    let server = server.await;
    let asked = ["a", "bb", "ccc", "dddd", "eeeee"];
    let found = embedder(options(&server)).embed(texts(&asked)).await.unwrap();
    assert_eq!(found, asked.map(expected));
    assert_eq!(server.calls().iter().map(|call| call.input.len()).collect::<Vec<_>>(), [5, 2, 3, 1, 2]);
}

#[tokio::test]
async fn what_no_other_attempt_can_help_is_told_at_once() {
    async fn check(answer: fn(&Call) -> Answer, expected: &str, code: ErrorCode) {
        let server = Server::start(move |_, call| answer(call)).await;
        let error = embedder(options(&server)).embed(texts(&["text"])).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error} does not say {expected}");
        assert_eq!((error.code(), error.is_retryable(), server.calls().len()), (code, false, 1), "{error}");
    }
    let down = ErrorCode::EmbedderUnavailable;
    check(
        |_| (401, "", json!({"error": {"message": "Incorrect API key"}})),
        "API key with status 401: Incorrect",
        down,
    )
    .await;
    check(|_| (404, "", json!({"error": {"message": "pull it first"}})), "no model \"org/tiny\"", down).await;
    check(|_| (413, "", json!({"error": "inputs must have less than 512 tokens"})), "less than 512 tokens", down).await;
    check(|_| (400, "", json!({"detail": "bad input"})), "status 400: bad input", down).await;
    check(|_| (302, "Location: http://127.0.0.1:1/\r\n", json!({})), "status 302", down).await;
    let unpaid = |_: &Call| (429, "", json!({"error": {"message": "quota", "code": "insufficient_quota"}}));
    check(unpaid, "status 429: quota", down).await;
    let wide = |_: &Call| (200, "", json!({"data": [{"index": 0, "embedding": [1, 2, 3]}]}));
    check(wide, "set the dimension to 3", ErrorCode::ModelMismatch).await;
    check(|_| (200, "", json!({"data": []})), "0 vectors for 1 texts", down).await;
}

#[tokio::test]
async fn a_server_that_stays_busy_beyond_the_deadline_is_told_with_its_wish() {
    let server = Server::start(|_, _| (503, "Retry-After: 600\r\n", json!({"error": "loading the model"}))).await;
    let error = embedder(options(&server)).embed(texts(&["text"])).await.unwrap_err();
    assert_eq!((error.retry_after(), error.is_retryable()), (Some(Duration::from_secs(600)), true));
    assert_eq!((error.code(), server.calls().len()), (ErrorCode::EmbedderUnavailable, 1));
}

#[tokio::test]
async fn the_token_budget_ends_the_calls_and_a_failed_call_spends_nothing() {
    let server = Server::start(|n, call| if n == 0 { (400, "", json!({})) } else { vectors(call, false) }).await;
    let embedder = embedder(OpenAiOptions { token_budget: Some(11), ..options(&server) });
    assert!(embedder.embed(texts(&["one"])).await.is_err());
    assert_eq!(embedder.tokens_spent(), 0);
    embedder.embed(texts(&["one"])).await.unwrap();
    let error = embedder.embed(texts(&["one two"])).await.unwrap_err();
    let told = "the token budget of 11 is used up: 10 are spent, the next batch needs about 2";
    assert_eq!((error.to_string().as_str(), error.is_retryable(), server.calls().len()), (told, false, 2));
}

#[tokio::test]
async fn calls_beyond_the_rate_wait_for_their_turn() {
    let server = Server::start(|_, call| vectors(call, false)).await;
    let per_minute = NonZeroU32::new(120);
    let embedder = embedder(OpenAiOptions { batch_items: 1, max_calls_per_min: per_minute, ..options(&server) });
    embedder.embed(texts(&["a"; 6])).await.unwrap();
    let calls = server.calls();
    let whole = calls[5].at - calls[0].at;
    // Four at once, then one every half second.
    assert!(whole >= Duration::from_millis(900), "{whole:?}");
}

#[tokio::test]
async fn the_egress_policy_judges_the_server_and_options_are_checked() {
    let server = Server::start(|_, call| vectors(call, false)).await;
    let closed = OpenAiOptions { allow_cidrs: Vec::new(), ..options(&server) };
    let error = embedder(closed).embed(texts(&["text"])).await.unwrap_err();
    assert_eq!((error.code(), error.is_retryable(), server.calls().len()), (ErrorCode::EgressDenied, false, 0));
    let check = |change: &dyn Fn(&mut OpenAiOptions), option: &str| {
        let mut options = options(&server);
        change(&mut options);
        let shown = format!("{options:?}");
        let client = Arc::new(GuardedClient::try_new(EgressConfig::default()).unwrap());
        let error = OpenAiEmbedder::try_new(options, client).err().unwrap();
        assert!(error.to_string().contains(option) && error.code() == ErrorCode::Config, "{error}");
        assert!(!shown.contains("secret"), "{shown}");
    };
    check(&|options| options.model = " ".to_owned(), "model");
    check(&|options| options.dimension = 0, "dimension");
    check(&|options| options.api_key = Some("secret\n".to_owned()), "API key");
    check(&|options| options.batch_tokens = 0, "batch size");
    check(&|options| options.timeout = Duration::ZERO, "timeout");
    check(&|options| options.url = "ftp://h/".parse().unwrap(), "url");
}

#[test]
fn the_endpoint_is_found_from_either_form_of_url() {
    let check = |url: &str, expected: &str| assert_eq!(endpoint(&url.parse().unwrap()).as_str(), expected);
    check("https://h/v1", "https://h/v1/embeddings");
    check("https://h/v1/", "https://h/v1/embeddings");
    check("https://h", "https://h/embeddings");
    check("https://h/x/embeddings?api-version=1", "https://h/x/embeddings?api-version=1");
}
