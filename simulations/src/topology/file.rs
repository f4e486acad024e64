//! Topologies from files: GraphML, as graph programs write it, or an edge list.
//!
//! Of GraphML only what a topology needs is read: `node` and `edge` elements, and a string attribute `region` of nodes
//! (declared by a `key` with `attr.name="region"`). Everything else is skipped. Entities and documents that include others
//! are not resolved, so a hostile file can at most be wrong.

use std::collections::BTreeMap;

use super::Graph;
use crate::scenario::limits::NODES_MAX;

/// A topology read from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileGraph {
    /// The graph; nodes are numbered as they first appear.
    pub graph: Graph,
    /// The names that the file has for them.
    pub names: Vec<String>,
    /// The region of each, where the file says it.
    pub regions: Vec<Option<String>>,
}

/// Why a topology cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct FileError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

#[derive(Default)]
struct Nodes {
    places: BTreeMap<String, u32>,
    names: Vec<String>,
    regions: Vec<Option<String>>,
    edges: Vec<(u32, u32)>,
}

impl Nodes {
    fn place(&mut self, name: &str, line: usize) -> Result<u32, FileError> {
        if let Some(place) = self.places.get(name) {
            return Ok(*place);
        }
        let place = self.names.len() as u32;
        if place >= NODES_MAX {
            return Err(FileError { line, what: format!("more than {NODES_MAX} nodes") });
        }
        self.places.insert(name.to_owned(), place);
        self.names.push(name.to_owned());
        self.regions.push(None);
        Ok(place)
    }

    fn finish(self) -> FileGraph {
        let mut graph = Graph::new(self.names.len() as u32);
        for (a, b) in self.edges {
            graph.add(a, b);
        }
        FileGraph { graph, names: self.names, regions: self.regions }
    }
}

/// Reads a topology: GraphML where the text begins as XML does, else an edge list.
///
/// # Errors
/// [`FileError`]: the first line that is not as it should be.
pub fn parse(text: &str) -> Result<FileGraph, FileError> {
    let read = if text.trim_start().starts_with('<') { graphml(text)? } else { edge_list(text)? };
    if read.names.is_empty() {
        return Err(FileError { line: 1, what: "there is no node in it".into() });
    }
    Ok(read)
}

fn edge_list(text: &str) -> Result<FileGraph, FileError> {
    let mut nodes = Nodes::default();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split([' ', '\t', ',']).filter(|word| !word.is_empty());
        match (words.next(), words.next(), words.next()) {
            (None, ..) => {}
            (Some(a), Some(b), _) => {
                let edge = (nodes.place(a, number + 1)?, nodes.place(b, number + 1)?);
                nodes.edges.push(edge);
            }
            (Some(_), None, _) => {
                return Err(FileError { line: number + 1, what: "an edge is two names: `a b`".into() });
            }
        }
    }
    Ok(nodes.finish())
}

fn graphml(text: &str) -> Result<FileGraph, FileError> {
    let mut nodes = Nodes::default();
    let mut region_key: Option<String> = None;
    let mut current: Option<u32> = None;
    let mut rest = text;
    let line_at = |rest: &str| text[..text.len() - rest.len()].matches('\n').count() + 1;
    while let Some(start) = rest.find('<') {
        rest = &rest[start..];
        if let Some(after) = rest.strip_prefix("<!--") {
            rest = after.find("-->").map_or("", |end| &after[end + 3..]);
            continue;
        }
        let unclosed = || FileError { line: line_at(rest), what: "a `<` without its `>`".into() };
        let end = tag_end(rest).ok_or_else(unclosed)?;
        let (tag, after) = (&rest[1..end], &rest[end + 1..]);
        let name = tag.split([' ', '\t', '\r', '\n', '/']).find(|word| !word.is_empty()).unwrap_or_default();
        let need = |key: &str| {
            attribute(tag, key)
                .ok_or_else(|| FileError { line: line_at(rest), what: format!("a `{name}` without `{key}`") })
        };
        match (tag.starts_with('/'), name) {
            (false, "key") if attribute(tag, "attr.name").as_deref() == Some("region") => {
                region_key = Some(need("id")?)
            }
            (false, "node") => current = Some(nodes.place(&need("id")?, line_at(rest))?),
            (false, "edge") => {
                let edge =
                    (nodes.place(&need("source")?, line_at(rest))?, nodes.place(&need("target")?, line_at(rest))?);
                nodes.edges.push(edge);
            }
            (false, "data") if region_key.is_some() && attribute(tag, "key") == region_key => {
                if let Some(node) = current {
                    let value = after.split('<').next().unwrap_or_default();
                    nodes.regions[node as usize] = Some(decode(value.trim()));
                }
            }
            (true, "node") => current = None,
            _ => {}
        }
        rest = after;
    }
    Ok(nodes.finish())
}

/// Where a tag ends: the first `>` outside of quotes.
fn tag_end(text: &str) -> Option<usize> {
    let mut quote = None;
    for (place, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(place),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

/// The value of an attribute in a tag.
fn attribute(tag: &str, key: &str) -> Option<String> {
    let mut from = 0;
    while let Some(found) = tag[from..].find(key) {
        let start = from + found;
        from = start + key.len();
        let before = tag[..start].chars().next_back();
        let Some(value) = tag[from..].trim_start().strip_prefix('=') else { continue };
        let value = value.trim_start();
        let quote = value.chars().next().filter(|c| *c == '"' || *c == '\'');
        if before.is_some_and(char::is_whitespace)
            && let Some(quote) = quote
            && let Some(end) = value[1..].find(quote)
        {
            return Some(decode(&value[1..=end]));
        }
    }
    None
}

/// Replaces the five entities of XML.
fn decode(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRAPHML: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- <node id="not-this-one"/> -->
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
  <key id="d0" for="node" attr.name="region" attr.type="string"/>
  <graph edgedefault="undirected">
    <node id="Accra"><data key="d0">west-africa</data></node>
    <node id='Lom&#233; &amp; co' />
    <node id="Paris"><data key="other">x</data><data key="d0"> europe </data></node>
    <edge source="Accra" target="Lom&#233; &amp; co"/>
    <edge id="e1" source="Accra" target="Paris" label="a > b"/>
  </graph>
</graphml>"#;

    #[test]
    fn graphml_is_read() {
        let read = parse(GRAPHML).unwrap();
        assert_eq!(read.names, ["Accra", "Lom&#233; & co", "Paris"]);
        assert_eq!(read.graph.edges().collect::<Vec<_>>(), [(0, 1), (0, 2)]);
        assert_eq!(read.regions, [Some("west-africa".into()), None, Some("europe".into())]);
    }

    #[test]
    fn an_edge_list_is_read() {
        let read = parse("# mine\na b\nb, c  # a comment\n\nc\ta 17\n").unwrap();
        assert_eq!(read.names, ["a", "b", "c"]);
        assert_eq!(read.graph.edge_count(), 3);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, line) in
            [("a b\nc\n", 2), ("", 1), ("<graphml>\n<node name='x'/>", 2), ("<graphml>\n<node id=\"x", 2)]
        {
            let error = parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text:?}: {error}");
        }
    }
}
