//! Which node is in which region: shares of the nodes, one region after the other.

/// Splits `total` by shares so that the parts add up: each gets the whole part, the largest remainders get one more.
#[must_use]
pub fn split(total: u32, shares: &[f64]) -> Vec<u32> {
    let exact: Vec<f64> = shares.iter().map(|share| share * f64::from(total)).collect();
    let mut parts: Vec<u32> = exact.iter().map(|part| libm::floor(*part) as u32).collect();
    let mut left = total.saturating_sub(parts.iter().sum());
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by(|a, b| {
        let remainder = |place: usize| exact[place] - libm::floor(exact[place]);
        remainder(*b).total_cmp(&remainder(*a)).then(a.cmp(b))
    });
    for place in order.into_iter().cycle().take(shares.len().max(1) * 2) {
        if left == 0 {
            break;
        }
        parts[place] += 1;
        left -= 1;
    }
    parts
}

/// The region of every node; all 0 where there are no regions.
#[must_use]
pub fn regions_of(nodes: u32, shares: &[f64]) -> Vec<u16> {
    if shares.is_empty() {
        return vec![0; nodes as usize];
    }
    let parts = split(nodes, shares);
    let mut regions: Vec<u16> = parts
        .iter()
        .enumerate()
        .flat_map(|(region, count)| std::iter::repeat_n(region as u16, *count as usize))
        .collect();
    regions.resize(nodes as usize, shares.len() as u16 - 1);
    regions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up() {
        assert_eq!(split(10, &[0.5, 0.3, 0.2]), vec![5, 3, 2]);
        assert_eq!(split(3, &[0.5, 0.25, 0.25]).iter().sum::<u32>(), 3);
        assert_eq!(split(1, &[0.4, 0.6]), vec![0, 1]);
        assert_eq!(regions_of(4, &[0.5, 0.5]), vec![0, 0, 1, 1]);
        assert_eq!(regions_of(3, &[]), vec![0, 0, 0]);
        for nodes in 1..200 {
            assert_eq!(regions_of(nodes, &[0.33, 0.33, 0.34]).len(), nodes as usize);
        }
    }
}
