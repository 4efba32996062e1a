//! (being written)

/// A heading of a page's Markdown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// 1 to 6.
    pub level: u8,
    /// Its text without markup.
    pub text: String,
    /// Its fragment, where the page gives one.
    pub anchor: Option<String>,
    /// Byte offset of its line in the Markdown.
    pub offset: usize,
}
