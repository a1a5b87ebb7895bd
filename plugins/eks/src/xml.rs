//! A small tree of elements, for the responses of the query protocol. Names, texts, children;
//! attributes and namespaces carry nothing that the plugin reads.

use quick_xml::{Reader, events::Event};

/// Deeper responses than AWS gives are refused.
const DEPTH_MAX: usize = 32;

/// One element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// The root element; `None` if the text is not one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader::from_str(text);
        let mut open: Vec<Self> = Vec::new();
        loop {
            match reader.read_event().ok()? {
                Event::Start(start) => {
                    if open.len() >= DEPTH_MAX {
                        return None;
                    }
                    open.push(Self { name: start.local_name().as_ref().to_owned(), ..Self::default() });
                }
                Event::Empty(start) => {
                    let element = Self { name: start.local_name().as_ref().to_owned(), ..Self::default() };
                    match open.last_mut() {
                        Some(parent) => parent.children.push(element),
                        None => return Some(element),
                    }
                }
                Event::Text(piece) => {
                    // Between the declaration and the root there is a line break.
                    if let Some(element) = open.last_mut() {
                        element.push(&piece.xml10_content());
                    }
                }
                Event::CData(piece) => open.last_mut()?.push(&piece.xml10_content()),
                Event::GeneralRef(entity) => {
                    let resolved = match entity.resolve_char_ref().ok()? {
                        Some(c) => c.to_string(),
                        None => quick_xml::escape::resolve_xml_entity(&entity)?.to_owned(),
                    };
                    open.last_mut()?.push(&resolved);
                }
                Event::End(_) => {
                    let mut closed = open.pop()?;
                    closed.text = closed.text.trim().to_owned();
                    match open.last_mut() {
                        Some(parent) => parent.children.push(closed),
                        None => return Some(closed),
                    }
                }
                Event::Eof => return None,
                Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Comment(_) => {}
            }
        }
    }

    fn push(&mut self, piece: &str) {
        self.text.push_str(piece);
    }

    /// Own name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Children called `name`.
    pub(crate) fn children<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> + 'a {
        self.children.iter().filter(move |c| c.name == name)
    }

    /// The first child called `name`.
    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|c| c.name == name)
    }

    /// The first descendant called `name`.
    pub(crate) fn find(&self, name: &str) -> Option<&Self> {
        self.children.iter().find_map(|c| if c.name == name { Some(c) } else { c.find(name) })
    }

    /// Text of the first child called `name`; empty if there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.child(name).map_or("", |c| &c.text)
    }

    /// Own text.
    pub(crate) fn own_text(&self) -> &str {
        &self.text
    }

    /// Value of a tag in an EC2 response's `tagSet`.
    pub(crate) fn tag(&self, key: &str) -> Option<&str> {
        let set = self.child("tagSet")?;
        set.children("item").find(|t| t.text("key") == key).map(|t| t.text("value"))
    }
}

#[cfg(test)]
mod tests {
    use super::Element;

    #[test]
    fn reads_lists_tags_and_entities() {
        let text = "<?xml version=\"1.0\"?>\n".to_owned()
            + r#"<R xmlns="x"><vpcSet><item><vpcId>vpc-1</vpcId><tagSet>
            <item><key>a</key><value>b &amp; &#99;</value></item></tagSet></item></vpcSet><empty/></R>"#;
        let root = Element::parse(&text).expect("well-formed");
        let item = root.child("vpcSet").and_then(|s| s.child("item")).expect("an item");
        assert_eq!(item.text("vpcId"), "vpc-1");
        assert_eq!(item.tag("a"), Some("b & c"));
        assert_eq!(item.tag("b"), None);
    }

    #[test]
    fn broken_and_bottomless_texts_are_refused() {
        assert_eq!(Element::parse("<a><b></a>"), None);
        assert_eq!(Element::parse(""), None);
        assert_eq!(Element::parse(&"<a>".repeat(100)), None);
    }
}
