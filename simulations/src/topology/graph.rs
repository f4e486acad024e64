//! An undirected graph without loops and double edges, whose edges are always in the same order.

use std::collections::BTreeSet;

use crate::random::Random;

/// A graph over the nodes 0, 1, 2, …
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    nodes: u32,
    /// Each edge once, the smaller node first.
    edges: BTreeSet<(u32, u32)>,
}

impl Graph {
    /// So many nodes without an edge.
    #[must_use]
    pub fn new(nodes: u32) -> Self {
        Self { nodes, edges: BTreeSet::new() }
    }

    /// How many nodes.
    #[must_use]
    pub fn nodes(&self) -> u32 {
        self.nodes
    }

    /// All edges, in order.
    pub fn edges(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.edges.iter().copied()
    }

    /// How many edges.
    #[must_use]
    pub fn edge_count(&self) -> usize {
        self.edges.len()
    }

    /// Adds an edge; `false` where it was there, is a loop, or leads nowhere.
    pub fn add(&mut self, a: u32, b: u32) -> bool {
        a != b && a < self.nodes && b < self.nodes && self.edges.insert((a.min(b), a.max(b)))
    }

    /// Removes an edge; `false` where it was not there.
    pub fn remove(&mut self, a: u32, b: u32) -> bool {
        self.edges.remove(&(a.min(b), a.max(b)))
    }

    /// Whether there is such an edge.
    #[must_use]
    pub fn has(&self, a: u32, b: u32) -> bool {
        self.edges.contains(&(a.min(b), a.max(b)))
    }

    /// The neighbours of every node.
    #[must_use]
    pub fn neighbours(&self) -> Vec<Vec<u32>> {
        let mut neighbours = vec![Vec::new(); self.nodes as usize];
        for (a, b) in self.edges() {
            neighbours[a as usize].push(b);
            neighbours[b as usize].push(a);
        }
        neighbours
    }

    /// The pieces that hang together, each in order, ordered by their smallest node.
    #[must_use]
    pub fn pieces(&self) -> Vec<Vec<u32>> {
        let neighbours = self.neighbours();
        let mut seen = vec![false; self.nodes as usize];
        let mut pieces = Vec::new();
        for start in 0..self.nodes {
            if seen[start as usize] {
                continue;
            }
            seen[start as usize] = true;
            let mut piece = vec![start];
            let mut next = 0;
            while next < piece.len() {
                for &other in &neighbours[piece[next] as usize] {
                    if !std::mem::replace(&mut seen[other as usize], true) {
                        piece.push(other);
                    }
                }
                next += 1;
            }
            piece.sort_unstable();
            pieces.push(piece);
        }
        pieces
    }

    /// Joins all pieces to the largest by one random edge each.
    pub fn join_pieces(&mut self, random: &mut Random) {
        let mut pieces = self.pieces();
        pieces.sort_by_key(|piece| std::cmp::Reverse(piece.len()));
        let Some((largest, others)) = pieces.split_first() else { return };
        for piece in others {
            if let (Some(&a), Some(&b)) = (random.pick(largest), random.pick(piece)) {
                self.add(a, b);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_and_double_edges_are_not_added() {
        let mut graph = Graph::new(3);
        assert!(graph.add(0, 1));
        assert!(!graph.add(1, 0));
        assert!(!graph.add(2, 2));
        assert!(!graph.add(2, 3));
        assert_eq!(graph.edge_count(), 1);
    }

    #[test]
    fn islands_are_joined() {
        let mut graph = Graph::new(7);
        for (a, b) in [(0, 1), (1, 2), (3, 4)] {
            graph.add(a, b);
        }
        assert_eq!(graph.pieces(), vec![vec![0, 1, 2], vec![3, 4], vec![5], vec![6]]);
        graph.join_pieces(&mut Random::new(1, "test"));
        assert_eq!(graph.pieces().len(), 1);
        assert_eq!(graph.edge_count(), 6);
    }
}
