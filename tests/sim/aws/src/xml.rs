//! Writing the small XML documents of the query protocols.

use std::fmt::{Display, Write};

/// An XML document under construction.
#[derive(Debug, Default)]
pub(crate) struct Xml(String);

impl Xml {
    /// An empty document.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A leaf with escaped text.
    pub(crate) fn leaf(&mut self, name: &str, text: impl Display) -> &mut Self {
        let text = text.to_string();
        let escaped = quick_xml::escape::escape(text.as_str());
        let _ = write!(self.0, "<{name}>{escaped}</{name}>");
        self
    }

    /// A leaf if there is a value.
    pub(crate) fn leaf_opt(&mut self, name: &str, text: Option<impl Display>) -> &mut Self {
        if let Some(text) = text {
            self.leaf(name, text);
        }
        self
    }

    /// An element whose content `fill` writes.
    pub(crate) fn node(&mut self, name: &str, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let _ = write!(self.0, "<{name}>");
        fill(self);
        let _ = write!(self.0, "</{name}>");
        self
    }

    /// One element called `name` holding one `item` per entry.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        item: &str,
        entries: impl IntoIterator<Item = T>,
        mut fill: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.node(name, |x| {
            for entry in entries {
                x.node(item, |x| fill(x, entry));
            }
        })
    }

    /// The tags of EC2, IAM and others: `<name><item><key/><value/></item></name>`.
    pub(crate) fn tags(
        &mut self,
        name: &str,
        item: &str,
        keys: (&str, &str),
        tags: &cloudsim_core::object::Tags,
    ) -> &mut Self {
        self.list(name, item, tags, |x, (k, v)| {
            x.leaf(keys.0, k).leaf(keys.1, v);
        })
    }

    /// Text that is escaped already.
    pub(crate) fn raw(&mut self, text: &str) -> &mut Self {
        self.0.push_str(text);
        self
    }

    /// The finished text.
    #[must_use]
    pub(crate) fn finish(self) -> String {
        self.0
    }
}
