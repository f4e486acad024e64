//! People whose home is gone for ever look for another one.

use super::Crowd;
use crate::{
    plan::{EventPlan, NodeIndex, PersonIndex, VirtualMs},
    random::Random,
    scenario::{FaultKind, FaultSection, clock::Clock},
};

/// The moves that follow deaths: for each death of a fault with `rehome_after`, everybody who had that node among its homes
/// takes a random honest node instead, so long after.
#[must_use]
pub fn rehome(
    faults: &[FaultSection],
    events: &[(VirtualMs, EventPlan)],
    homes: &[Vec<NodeIndex>],
    crowd: &Crowd,
    clock: Clock,
    random: &mut Random,
) -> Vec<(VirtualMs, EventPlan)> {
    // Faults of one kind are not told apart in the events, so all deaths wait equally long: the shortest that is asked for.
    let waits = faults.iter().filter(|fault| fault.kind == FaultKind::Die).filter_map(|fault| fault.rehome_after);
    let Some(wait) = waits.map(|span| clock.ms(span)).min() else { return Vec::new() };
    let mut deaths: Vec<(VirtualMs, NodeIndex)> = events
        .iter()
        .filter_map(|(at, event)| if let EventPlan::Die(node) = event { Some((*at, *node)) } else { None })
        .collect();
    deaths.sort_unstable();
    let mut alive: Vec<NodeIndex> =
        (0..crowd.honest.len()).filter(|node| crowd.honest[*node]).map(|node| NodeIndex(node as u32)).collect();
    let mut homes = homes.to_vec();
    let mut moves = Vec::new();
    for (at, dead) in deaths {
        alive.retain(|node| *node != dead);
        for (person, own) in homes.iter_mut().enumerate().filter(|(_, own)| own.contains(&dead)) {
            own.retain(|home| *home != dead);
            let free: Vec<NodeIndex> = alive.iter().copied().filter(|node| !own.contains(node)).collect();
            own.extend(random.pick(&free));
            if !own.is_empty() {
                moves.push((VirtualMs(at.0 + wait), EventPlan::Homes(PersonIndex(person as u32), own.clone())));
            }
        }
    }
    moves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_lived_there_moves_and_nobody_else() {
        let faults: Vec<FaultSection> = {
            #[derive(serde::Deserialize)]
            struct File {
                faults: Vec<FaultSection>,
            }
            let text = "[[faults]]\nkind = 'die'\nat = '1m'\nrehome_after = '10m'\n";
            toml::from_str::<File>(text).unwrap().faults
        };
        let crowd = Crowd {
            regions: vec![0; 4],
            region_names: vec![],
            people: vec![1; 4],
            honest: vec![true, true, true, false],
        };
        let events = [(VirtualMs(60_000), EventPlan::Die(NodeIndex(0)))];
        let homes = [vec![NodeIndex(0), NodeIndex(1)], vec![NodeIndex(1)], vec![NodeIndex(0)]];
        let moves = rehome(&faults, &events, &homes, &crowd, Clock::new(1, 0), &mut Random::new(1, "t"));
        assert_eq!(moves.len(), 2);
        assert_eq!(moves[0], (VirtualMs(660_000), EventPlan::Homes(PersonIndex(0), vec![NodeIndex(1), NodeIndex(2)])));
        let EventPlan::Homes(PersonIndex(2), new) = &moves[1].1 else { panic!() };
        assert!(new.len() == 1 && (1..=2).contains(&new[0].0));
    }
}
