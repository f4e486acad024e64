//! Who knows whom.

use crate::random::Random;

/// Draws the contacts of so many people: `mean` each, of whom `in_region` live in the same region. Knowing is mutual.
#[must_use]
pub fn contacts(people_regions: &[u16], mean: f64, in_region: f64, random: &mut Random) -> Vec<Vec<u32>> {
    let people = people_regions.len();
    let mut known: Vec<Vec<u32>> = vec![Vec::new(); people];
    let regions = usize::from(people_regions.iter().copied().max().unwrap_or(0)) + 1;
    let mut by_region: Vec<Vec<u32>> = vec![Vec::new(); regions];
    for (person, region) in people_regions.iter().enumerate() {
        by_region[usize::from(*region)].push(person as u32);
    }
    if people < 2 {
        return known;
    }
    let pairs = libm::round(mean * people as f64 / 2.0) as usize;
    for pair in 0..pairs {
        // Everybody is asked in turn, so that nobody is left alone before others have many.
        let a = (pair % people) as u32;
        let own = &by_region[usize::from(people_regions[a as usize])];
        let near = random.chance(in_region) && own.len() > 1;
        // A pair that is known already is drawn again a few times; in a village where all know all it is left out.
        for _ in 0..8 {
            let b = if near { random.pick(own).copied().unwrap_or(a) } else { random.below(people as u64) as u32 };
            if b != a && !known[a as usize].contains(&b) {
                known[a as usize].push(b);
                known[b as usize].push(a);
                break;
            }
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knowing_is_mutual_and_mostly_near() {
        let regions: Vec<u16> = (0..200).map(|person| u16::from(person >= 100)).collect();
        let known = contacts(&regions, 6.0, 0.9, &mut Random::new(1, "t"));
        let mut near = 0;
        let mut all = 0;
        for (a, friends) in known.iter().enumerate() {
            assert!(friends.len() >= 2);
            for b in friends {
                assert!(*b as usize != a && known[*b as usize].contains(&(a as u32)));
                near += usize::from(regions[a] == regions[*b as usize]);
                all += 1;
            }
        }
        assert!((1100..=1200).contains(&all), "{all}");
        // 90 %, and half of the others by chance.
        assert!((0.92..0.98).contains(&(near as f64 / all as f64)));
        assert_eq!(contacts(&[0], 5.0, 0.0, &mut Random::new(1, "t")), vec![Vec::<u32>::new()]);
    }
}
