//! What makes several processes one cluster: the list of nodes, the link between them, and who answers for what.
//!
//! [`Member`] is a node's part in it: [`membership`] tells of the node and learns of the others, [`link`] carries calls,
//! [`peers`] is how this node's frontier asks other owners, [`answer`] what others may ask of this one, [`view`] what an
//! operator sees.

mod answer;
pub(crate) mod authority;
mod embeds;
pub(crate) mod link;
mod member;
mod membership;
mod peers;
mod view;

pub(crate) use member::Member;
