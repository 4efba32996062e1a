//! The parsed tree as one array in document order: a subtree is a range, a walk is a loop.

use super::Problem;
use super::guard::{MAX_DEPTH, MAX_NODES};
use super::tag::Tag;
use dom_query::{Document, NodeData, NodeId, TreeNode};
use html5ever::Attribute;
use html5ever::tendril::StrTendril;
use std::ops::Range;

/// A page's tree in document order.
pub(super) struct Dom {
    nodes: Vec<Node>,
}

struct Node {
    kind: Kind,
    parent: u32,
    end: u32,
    /// Which node of the document it was.
    id: NodeId,
}

enum Kind {
    Text(StrTendril),
    Element { tag: Tag, attributes: Vec<Attribute> },
    Other,
}

impl Dom {
    /// Lays the document out. Texts and attributes are moved, not copied: the document has none until
    /// [`Dom::give_back`].
    ///
    /// # Errors
    /// When it is deeper or larger than the guard allows: what moves whole subtrees while parsing can pass the
    /// guard's samples.
    pub(super) fn flatten(document: &Document) -> Result<Self, Problem> {
        let tree = &document.tree;
        let mut nodes: Vec<Node> = Vec::with_capacity(tree.len());
        let mut open: Vec<(u32, Option<NodeId>)> = vec![(0, Some(tree.root_id()))];
        loop {
            let depth = open.len();
            let Some((parent, next)) = open.last_mut() else { break };
            let Some(id) = *next else {
                let end = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
                if depth > 1
                    && let Some(node) = nodes.get_mut(*parent as usize)
                {
                    node.end = end;
                }
                open.pop();
                continue;
            };
            let parent = *parent;
            let Some((kind, first_child, sibling)) = tree.update_node(&id, take_node) else { break };
            *next = if depth == 1 { None } else { sibling };
            let index = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
            nodes.push(Node { kind, parent, end: index + 1, id });
            if nodes.len() > 2 * MAX_NODES {
                return Err(Problem::TooManyNodes);
            }
            if first_child.is_some() {
                if depth > MAX_DEPTH + 2 {
                    return Err(Problem::TooDeep);
                }
                open.push((index, first_child));
            }
        }
        Ok(Self { nodes })
    }

    /// Gives the document copies of what was taken of it.
    pub(super) fn give_back(&self, document: &Document) {
        for node in &self.nodes {
            document.tree.update_node(&node.id, |place| match (&node.kind, &mut place.data) {
                (Kind::Text(text), NodeData::Text { contents }) => contents.clone_from(text),
                (Kind::Element { attributes, .. }, NodeData::Element(element)) => element.attrs.clone_from(attributes),
                _ => {}
            });
        }
    }

    /// Number of nodes.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The element's name; [`Tag::Other`] for what is no element.
    pub(super) fn tag(&self, at: usize) -> Tag {
        match self.nodes.get(at).map(|node| &node.kind) {
            Some(Kind::Element { tag, .. }) => *tag,
            _ => Tag::Other,
        }
    }

    /// Whether the node is an element.
    pub(super) fn is_element(&self, at: usize) -> bool {
        matches!(self.nodes.get(at).map(|node| &node.kind), Some(Kind::Element { .. }))
    }

    /// A text node's text.
    pub(super) fn text(&self, at: usize) -> Option<&str> {
        match self.nodes.get(at).map(|node| &node.kind) {
            Some(Kind::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// An attribute's value.
    pub(super) fn attribute(&self, at: usize, name: &str) -> Option<&str> {
        match self.nodes.get(at).map(|node| &node.kind) {
            Some(Kind::Element { attributes, .. }) => {
                attributes.iter().find(|attribute| &*attribute.name.local == name).map(|attribute| &*attribute.value)
            }
            _ => None,
        }
    }

    /// Whether its `class` holds one of the given words.
    pub(super) fn has_class(&self, at: usize, words: &[&str]) -> bool {
        self.attribute(at, "class")
            .is_some_and(|class| class.split_ascii_whitespace().any(|word| words.contains(&word)))
    }

    /// The parent; the root is its own.
    pub(super) fn parent(&self, at: usize) -> usize {
        self.nodes.get(at).map_or(0, |node| node.parent as usize)
    }

    /// The index after the node's last descendant.
    pub(super) fn end(&self, at: usize) -> usize {
        self.nodes.get(at).map_or(at + 1, |node| node.end as usize)
    }

    /// The node's descendants in document order.
    pub(super) fn descendants(&self, at: usize) -> Range<usize> {
        at + 1..self.end(at)
    }

    /// The `body` element.
    pub(super) fn body(&self) -> Option<usize> {
        (0..self.len()).find(|&at| self.tag(at) == Tag::Body)
    }

    /// Text below a node, whitespace collapsed, at most `max_bytes`; `skip` prunes subtrees.
    pub(super) fn plain_text(&self, at: usize, max_bytes: usize, skip: impl Fn(usize) -> bool) -> String {
        let mut out = String::new();
        let (mut index, end) = (at + 1, self.end(at));
        let mut space = false;
        while index < end && out.len() < max_bytes {
            if self.is_element(index) && (skip(index) || self.tag(index).is_silent()) {
                index = self.end(index);
                continue;
            }
            if let Some(text) = self.text(index) {
                space |= text.starts_with(char::is_whitespace);
                for word in text.split_whitespace() {
                    if space && !out.is_empty() {
                        out.push(' ');
                    }
                    out.extend(word.chars().filter(|c| !is_invisible(*c)));
                    space = true;
                }
                space = text.ends_with(char::is_whitespace) || (space && text.trim().is_empty());
            } else {
                space |= self.tag(index).is_block() || self.tag(index) == Tag::Br;
            }
            index += 1;
        }
        out.truncate(out.floor_char_boundary(max_bytes));
        out
    }
}

/// Zero-width characters and soft hyphens, which break words for a search.
pub(super) const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}' | '\u{AD}' | '\u{FEFF}' | '\u{2060}')
}

fn take_node(node: &mut TreeNode) -> (Kind, Option<NodeId>, Option<NodeId>) {
    let kind = match &mut node.data {
        NodeData::Text { contents } => Kind::Text(std::mem::take(contents)),
        NodeData::Element(element) => {
            Kind::Element { tag: Tag::of(&element.name.local), attributes: std::mem::take(&mut element.attrs) }
        }
        _ => Kind::Other,
    };
    (kind, node.first_child, node.next_sibling)
}

/// Counts over a node's subtree. Text is counted in characters without white space, plus one a word.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Count {
    /// All text.
    pub(super) text: u32,
    /// Text within links.
    pub(super) linked: u32,
    /// Links.
    pub(super) n_links: u32,
    /// Text within `pre`.
    pub(super) pre: u32,
    /// `pre` elements of several lines.
    pub(super) n_listings: u32,
    /// `h1` to `h6`.
    pub(super) n_headings: u32,
    /// Tables, itself included.
    pub(super) n_tables: u32,
    /// Table rows.
    pub(super) n_rows: u32,
    /// Table cells.
    pub(super) n_cells: u32,
    /// Header cells.
    pub(super) n_header_cells: u32,
    /// Lists.
    pub(super) n_lists: u32,
    /// Images.
    pub(super) n_images: u32,
}

/// [`Count`] for every node, made in one pass from the last node to the first.
pub(super) struct Facts {
    counts: Vec<Count>,
}

impl Facts {
    /// Counts.
    pub(super) fn of(dom: &Dom) -> Self {
        let mut counts = vec![Count::default(); dom.len()];
        for at in (0..dom.len()).rev() {
            let mut count = counts.get(at).copied().unwrap_or_default();
            count.finish(dom, at);
            if let Some(slot) = counts.get_mut(at) {
                *slot = count;
            }
            if at > 0
                && let Some(parent) = counts.get_mut(dom.parent(at))
            {
                parent.add(&count);
            }
        }
        Self { counts }
    }

    /// The counts of one node.
    pub(super) fn at(&self, at: usize) -> Count {
        self.counts.get(at).copied().unwrap_or_default()
    }

    /// Text of the body outside links.
    pub(super) fn unlinked_text(&self, dom: &Dom) -> u32 {
        dom.body().map_or(0, |body| self.at(body).unlinked())
    }
}

impl Count {
    /// Text outside links.
    pub(super) const fn unlinked(&self) -> u32 {
        self.text.saturating_sub(self.linked)
    }

    /// All text.
    pub(super) const fn all(&self) -> u32 {
        self.text
    }

    /// Share of the text that is linked, 0 to 1.
    pub(super) fn link_density(&self) -> f32 {
        if self.text == 0 { 0.0 } else { self.linked as f32 / self.text as f32 }
    }

    fn finish(&mut self, dom: &Dom, at: usize) {
        if let Some(text) = dom.text(at) {
            self.text = text_weight(text);
            self.n_listings = 0;
            return;
        }
        let tag = dom.tag(at);
        match tag {
            _ if tag.is_silent() => *self = Self::default(),
            Tag::A if dom.attribute(at, "href").is_some() => {
                self.linked = self.text;
                self.n_links = 1;
            }
            Tag::Pre => {
                self.pre = self.text;
                self.n_listings = u32::from(
                    dom.descendants(at).any(|index| {
                        dom.tag(index) == Tag::Br || dom.text(index).is_some_and(|text| text.trim().contains('\n'))
                    }) || (dom
                        .descendants(at)
                        .filter(|&index| dom.text(index).is_some_and(|text| text.contains('\n')))
                        .count()
                        > 1),
                );
            }
            Tag::Table => self.n_tables += 1,
            Tag::Tr => self.n_rows += 1,
            Tag::Td => self.n_cells += 1,
            Tag::Th => (self.n_cells, self.n_header_cells) = (self.n_cells + 1, self.n_header_cells + 1),
            Tag::Ul | Tag::Ol | Tag::Dl => self.n_lists += 1,
            Tag::Img => self.n_images += 1,
            _ if tag.heading_level().is_some() => self.n_headings += 1,
            _ => {}
        }
    }

    fn add(&mut self, child: &Self) {
        self.text = self.text.saturating_add(child.text);
        self.linked = self.linked.saturating_add(child.linked);
        self.n_links = self.n_links.saturating_add(child.n_links);
        self.pre = self.pre.saturating_add(child.pre);
        self.n_listings = self.n_listings.saturating_add(child.n_listings);
        self.n_headings = self.n_headings.saturating_add(child.n_headings);
        self.n_tables = self.n_tables.saturating_add(child.n_tables);
        self.n_rows = self.n_rows.saturating_add(child.n_rows);
        self.n_cells = self.n_cells.saturating_add(child.n_cells);
        self.n_header_cells = self.n_header_cells.saturating_add(child.n_header_cells);
        self.n_lists = self.n_lists.saturating_add(child.n_lists);
        self.n_images = self.n_images.saturating_add(child.n_images);
    }
}

fn text_weight(text: &str) -> u32 {
    if text.is_ascii() {
        let (mut weight, mut is_in_word) = (0, false);
        for byte in text.bytes() {
            let is_word = !matches!(byte, b' ' | b'\t'..=b'\r');
            weight += u32::from(is_word) + u32::from(is_word && !is_in_word);
            is_in_word = is_word;
        }
        return weight;
    }
    let weight = text.split_whitespace().map(|word| word.chars().count() + 1).sum::<usize>();
    u32::try_from(weight).unwrap_or(u32::MAX)
}
