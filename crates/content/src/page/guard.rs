//! The one HTML parse, under bounds: nodes, depth and CPU time, checked while the text is fed in small pieces.

use super::Problem;
use dom_query::{Document, NodeId, NodeRef};
use html5ever::interface::tree_builder::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::tree_builder::TreeBuilderOpts;
use html5ever::{Attribute, ParseOpts, QualName};
use rustix::time::{ClockId, clock_gettime};
use std::borrow::Cow;
use std::cell::Cell;
use std::time::Duration;

/// Elements and texts of one page. The largest pages of real manuals have 150,000.
pub(super) const MAX_NODES: usize = 600_000;
/// Nesting. Browsers stop at 512; real pages stay below 60.
pub(super) const MAX_DEPTH: usize = 256;
/// CPU time of the parse; 10 MiB of ordinary HTML take a quarter of it.
const MAX_CPU: Duration = Duration::from_millis(1500);
/// Bytes fed between two looks at the bounds.
const STEP: usize = 4096;
/// The same while a page makes nodes faster than it has bytes (formatting elements that every block reopens).
const SMALL_STEP: usize = 256;
/// Nodes a step from which the small step is taken; plain text of tags makes 1,300.
const SUSPICIOUS_NODES: usize = 2000;
/// How often the depth is looked at, in insertions: looking costs a walk to the root.
const DEPTH_EVERY: usize = 32;

/// Parses the text. With a problem the tree is what had been built until then.
pub(super) fn parse(html: &str) -> (Document, Option<Problem>) {
    let tree_builder = TreeBuilderOpts { scripting_enabled: false, ..TreeBuilderOpts::default() };
    let sink = Guard {
        document: Document::default(),
        n_nodes: Cell::new(0),
        n_insertions: Cell::new(0),
        problem: Cell::new(None),
    };
    let mut parser = html5ever::parse_document(sink, ParseOpts { tree_builder, ..ParseOpts::default() });
    let started = thread_cpu();
    let (mut rest, mut step, mut n_before) = (html, STEP, 0);
    let mut problem = None;
    while !rest.is_empty() && problem.is_none() {
        let (piece, tail) = rest.split_at(rest.ceil_char_boundary(step));
        rest = tail;
        parser.process(StrTendril::from_slice(piece));
        let guard = &parser.tokenizer.sink.sink;
        problem = guard
            .problem
            .get()
            .or_else(|| (thread_cpu().saturating_sub(started) > MAX_CPU).then_some(Problem::CpuTime));
        let n_nodes = guard.n_nodes.get();
        step = if n_nodes - n_before > SUSPICIOUS_NODES { SMALL_STEP } else { STEP };
        n_before = n_nodes;
    }
    (parser.finish(), problem)
}

/// CPU time of this thread. Wall time would punish a page for a busy machine.
fn thread_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// Passes everything on to the document and counts.
struct Guard {
    document: Document,
    n_nodes: Cell<usize>,
    n_insertions: Cell<usize>,
    problem: Cell<Option<Problem>>,
}

impl Guard {
    fn count_node(&self) {
        self.n_nodes.set(self.n_nodes.get() + 1);
        if self.n_nodes.get() > MAX_NODES {
            self.problem.set(Some(Problem::TooManyNodes));
        }
    }

    fn count_insertion(&self, parent: &NodeId) {
        self.n_insertions.set(self.n_insertions.get() + 1);
        if !self.n_insertions.get().is_multiple_of(DEPTH_EVERY) {
            return;
        }
        let mut depth = 0;
        let mut ancestor = self.document.tree.get(parent);
        while let Some(node) = ancestor {
            depth += 1;
            if depth > MAX_DEPTH {
                self.problem.set(Some(Problem::TooDeep));
                return;
            }
            ancestor = NodeRef::parent(&node);
        }
    }
}

impl TreeSink for Guard {
    type Handle = NodeId;
    type Output = Document;
    type ElemName<'a> = <Document as TreeSink>::ElemName<'a>;

    fn finish(self) -> Document {
        self.document
    }
    fn parse_error(&self, _message: Cow<'static, str>) {}
    fn get_document(&self) -> NodeId {
        self.document.get_document()
    }
    fn elem_name<'a>(&'a self, target: &'a NodeId) -> Self::ElemName<'a> {
        self.document.elem_name(target)
    }
    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, flags: ElementFlags) -> NodeId {
        self.count_node();
        self.document.create_element(name, attributes, flags)
    }
    fn create_comment(&self, text: StrTendril) -> NodeId {
        self.count_node();
        self.document.create_comment(text)
    }
    fn create_pi(&self, target: StrTendril, data: StrTendril) -> NodeId {
        self.count_node();
        self.document.create_pi(target, data)
    }
    fn append(&self, parent: &NodeId, child: NodeOrText<NodeId>) {
        self.count_insertion(parent);
        self.document.append(parent, child);
    }
    fn append_based_on_parent_node(&self, element: &NodeId, previous: &NodeId, child: NodeOrText<NodeId>) {
        self.count_insertion(element);
        self.document.append_based_on_parent_node(element, previous, child);
    }
    fn append_doctype_to_document(&self, name: StrTendril, public_id: StrTendril, system_id: StrTendril) {
        self.document.append_doctype_to_document(name, public_id, system_id);
    }
    fn get_template_contents(&self, target: &NodeId) -> NodeId {
        self.document.get_template_contents(target)
    }
    fn same_node(&self, one: &NodeId, other: &NodeId) -> bool {
        one == other
    }
    fn set_quirks_mode(&self, mode: QuirksMode) {
        self.document.set_quirks_mode(mode);
    }
    fn append_before_sibling(&self, sibling: &NodeId, node: NodeOrText<NodeId>) {
        self.count_insertion(sibling);
        self.document.append_before_sibling(sibling, node);
    }
    fn add_attrs_if_missing(&self, target: &NodeId, attributes: Vec<Attribute>) {
        self.document.add_attrs_if_missing(target, attributes);
    }
    fn remove_from_parent(&self, target: &NodeId) {
        TreeSink::remove_from_parent(&self.document, target);
    }
    fn reparent_children(&self, node: &NodeId, parent: &NodeId) {
        self.document.reparent_children(node, parent);
    }
    fn is_mathml_annotation_xml_integration_point(&self, handle: &NodeId) -> bool {
        self.document.is_mathml_annotation_xml_integration_point(handle)
    }
}
