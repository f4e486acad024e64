//! Delta debugging: the smallest part of a list that still does something.

/// How often may be tried.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    left: u64,
    tries: u64,
    refused: bool,
}

impl Budget {
    /// So many tries.
    #[must_use]
    pub const fn new(tries_max: u64) -> Self {
        Self { left: tries_max, tries: 0, refused: false }
    }

    /// Takes one try; `false` where there is none left.
    pub const fn take(&mut self) -> bool {
        if self.left == 0 {
            self.refused = true;
            return false;
        }
        self.left -= 1;
        self.tries += 1;
        true
    }

    /// Tries so far.
    #[must_use]
    pub const fn tries(&self) -> u64 {
        self.tries
    }

    /// Whether one was asked for that was not there.
    #[must_use]
    pub const fn is_spent(&self) -> bool {
        self.refused
    }
}

/// A part of `items` that still fails and from which no single one can be taken (where the budget lasts that long). The
/// whole of `items` is taken to fail.
pub fn minimise<T: Copy>(items: &[T], budget: &mut Budget, fails: &mut dyn FnMut(&[T]) -> bool) -> Vec<T> {
    let mut current = items.to_vec();
    if current.is_empty() || !budget.take() {
        return current;
    }
    // Often a whole dimension does not matter.
    if fails(&[]) {
        return Vec::new();
    }
    let mut parts = 2_usize;
    while current.len() > 1 {
        let size = current.len().div_ceil(parts);
        let mut shrunk = false;
        let mut start = 0;
        while start < current.len() {
            if !budget.take() {
                return current;
            }
            let end = (start + size).min(current.len());
            let without: Vec<T> = current[..start].iter().chain(&current[end..]).copied().collect();
            if !without.is_empty() && fails(&without) {
                current = without;
                shrunk = true;
                // What follows has moved to `start`: it is tried next.
            } else {
                start = end;
            }
        }
        if size == 1 && !shrunk {
            break;
        }
        parts = if shrunk { parts.max(2) } else { (parts * 2).min(current.len()) };
    }
    current
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(wanted: &[u32], len: u32) -> (Vec<u32>, u64) {
        let items: Vec<u32> = (0..len).collect();
        let mut budget = Budget::new(100_000);
        let left = minimise(&items, &mut budget, &mut |part| wanted.iter().all(|one| part.contains(one)));
        (left, budget.tries())
    }

    #[test]
    fn exactly_what_is_needed_is_left() {
        for wanted in [vec![], vec![0], vec![999], vec![3, 500, 998], vec![1, 2, 3, 4, 5]] {
            let (left, tries) = needs(&wanted, 1000);
            assert_eq!(left, wanted);
            assert!(tries < 400, "{wanted:?}: {tries}");
        }
        assert_eq!(needs(&[0], 1).0, [0]);
        assert_eq!(needs(&[], 0).0, Vec::<u32>::new());
    }

    #[test]
    fn the_budget_is_kept() {
        let items: Vec<u32> = (0..100).collect();
        let mut budget = Budget::new(3);
        let mut asked = 0;
        minimise(&items, &mut budget, &mut |_| {
            asked += 1;
            false
        });
        assert!(asked <= 3 && budget.is_spent());
    }
}
