//! The fragment that leads to a heading.

use super::super::dom::{Dom, Facts};
use super::super::tag::Tag;

/// How many elements around a heading may lend it their id.
const MAX_ANCESTORS: usize = 4;
/// How many nodes before a heading are looked at for an empty anchor.
const MAX_BEFORE: usize = 6;

/// The heading's own id, that of an anchor in it, of the section that it begins, of an empty anchor just before
/// it, or the target of its permalink.
pub(super) fn of_heading(dom: &Dom, facts: &Facts, heading: usize) -> Option<String> {
    let own = id(dom, heading).or_else(|| {
        dom.descendants(heading)
            .take(64)
            .filter(|&at| matches!(dom.tag(at), Tag::A | Tag::Span))
            .find_map(|at| id(dom, at))
    });
    let found = own
        .or_else(|| section(dom, facts, heading))
        .or_else(|| before(dom, heading))
        .or_else(|| permalink(dom, heading));
    found.map(str::to_owned)
}

fn id(dom: &Dom, at: usize) -> Option<&str> {
    let name = (dom.tag(at) == Tag::A).then(|| dom.attribute(at, "name")).flatten();
    dom.attribute(at, "id").or(name).filter(|id| !id.is_empty() && id.len() <= 512)
}

/// A surrounding element with an id in which no text comes before the heading.
fn section<'d>(dom: &'d Dom, facts: &Facts, heading: usize) -> Option<&'d str> {
    let mut at = heading;
    for _ in 0..MAX_ANCESTORS {
        let parent = dom.parent(at);
        let is_first = (parent + 1..at).take(64).all(|index| dom.text(index).is_none_or(|text| text.trim().is_empty()))
            && at - parent <= 64;
        if parent == at || !is_first || matches!(dom.tag(parent), Tag::Body | Tag::Main) || facts.at(parent).text == 0 {
            return None;
        }
        if let Some(id) = id(dom, parent) {
            return Some(id);
        }
        at = parent;
    }
    None
}

/// An empty `a` before the heading: its id, or the fragment of this page that it links to.
fn before(dom: &Dom, heading: usize) -> Option<&str> {
    (heading.saturating_sub(MAX_BEFORE)..heading)
        .rev()
        .take_while(|&at| {
            dom.text(at).is_none_or(|text| text.trim().is_empty()) && dom.tag(at).heading_level().is_none()
        })
        .filter(|&at| dom.tag(at) == Tag::A)
        .find_map(|at| id(dom, at).or_else(|| fragment(dom, at).filter(|_| dom.end(at) == at + 1)))
}

fn permalink(dom: &Dom, heading: usize) -> Option<&str> {
    let end = dom.end(heading);
    (heading..end).take(64).filter(|&at| dom.tag(at) == Tag::A).find_map(|at| fragment(dom, at))
}

fn fragment(dom: &Dom, link: usize) -> Option<&str> {
    dom.attribute(link, "href")?.strip_prefix('#').filter(|id| !id.is_empty() && id.len() <= 512)
}
