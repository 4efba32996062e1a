//! `argiope about`: what this program is and what is inside it, with the notices that go with every copy.

use super::Output;
use crate::errors::Result;
use argiope_content::model::{MODEL_CARD, WORDNET_NOTICE};

const LICENSE_MIT: &str = include_str!("../../../../LICENSE-MIT");
const LICENSE_APACHE: &str = include_str!("../../../../LICENSE-APACHE");

/// Prints version, licences, the built-in model's card and WordNet's notice.
#[expect(clippy::unnecessary_wraps, reason = "every verb has this shape")]
pub(crate) fn run(output: Output) -> Result<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let parts = [
        ("Licence, at your choice: MIT", LICENSE_MIT),
        ("or Apache-2.0", LICENSE_APACHE),
        ("Built-in embedding model", MODEL_CARD),
        ("Notice of WordNet, part of the text that the model was trained on", WORDNET_NOTICE),
    ];
    output.text(format!("argiope {version}"));
    for (title, text) in parts {
        output.text(format!("\n{title}\n{}\n\n{}", "=".repeat(title.len()), text.trim()));
    }
    output.object(&serde_json::json!({
        "event": "about", "version": version, "licences": [LICENSE_MIT, LICENSE_APACHE],
        "model_card": MODEL_CARD, "notices": [WORDNET_NOTICE],
    }));
    Ok(0)
}
