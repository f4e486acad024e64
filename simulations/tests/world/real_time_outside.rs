//! In the very program that simulates, keys drawn outside of a simulation cannot be guessed, and time is real: before
//! a run, beside it, and after it. `griot-sim live` and `load` are that program.

use std::{
    collections::BTreeSet,
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use super::support::*;
use griot_simulations::world;

fn draw() -> [u8; 32] {
    let mut key = [0; 32];
    getrandom::fill(&mut key).unwrap();
    key
}

#[test]
fn keys_and_clocks_are_real_before_beside_and_after_a_run() {
    let plan = village(4, 9, 2);
    let mut keys = vec![draw()];
    let started = SystemTime::now();
    let mut beside = Scribe::default();
    thread::scope(|scope| {
        let run = scope.spawn(|| world::run(&plan, &mut beside).unwrap());
        for _ in 0..100 {
            keys.push(draw());
            assert!(SystemTime::now() >= started, "the clock beside a run is real");
        }
        assert_eq!(run.join().unwrap().virtual_ms, 120_000);
    });
    keys.push(draw());
    let different: BTreeSet<_> = keys.iter().collect();
    assert_eq!(different.len(), keys.len());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(started.duration_since(UNIX_EPOCH).unwrap().as_secs()) < 3600);

    // The same program, the same seed: only a simulation may repeat itself.
    let again = run(&plan);
    assert_eq!(again.virtual_ms, 120_000);
    assert!(!keys.contains(&draw()));
}
