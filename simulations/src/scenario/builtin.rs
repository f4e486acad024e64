//! The scenarios that are part of the program, so that `griot-sim run smoke` works anywhere.

/// Names and texts, in the order in which they are shown.
pub const ALL: [(&str, &str); 13] = [
    ("smoke", include_str!("../../scenarios/smoke.toml")),
    ("whatsapp-2021-10-04", include_str!("../../scenarios/whatsapp-2021-10-04.toml")),
    ("whatsapp-2022-10-25", include_str!("../../scenarios/whatsapp-2022-10-25.toml")),
    ("west-africa-cables-2024-03-14", include_str!("../../scenarios/west-africa-cables-2024-03-14.toml")),
    ("egypt-2011", include_str!("../../scenarios/egypt-2011.toml")),
    ("togo-2020", include_str!("../../scenarios/togo-2020.toml")),
    ("matrix-org-2025-09-02", include_str!("../../scenarios/matrix-org-2025-09-02.toml")),
    ("rolling-restart", include_str!("../../scenarios/rolling-restart.toml")),
    ("flash-crowd", include_str!("../../scenarios/flash-crowd.toml")),
    ("sybil-flood", include_str!("../../scenarios/sybil-flood.toml")),
    ("eclipse", include_str!("../../scenarios/eclipse.toml")),
    ("split-brain-30d", include_str!("../../scenarios/split-brain-30d.toml")),
    ("dead-home", include_str!("../../scenarios/dead-home.toml")),
];

/// How unlike a name may be to still be suggested (0: nothing in common, 1: the same).
const LIKENESS_MIN: f64 = 0.7;

/// The text of one of them.
#[must_use]
pub fn text(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The one whose name is nearest to what was typed, where one is near.
#[must_use]
pub fn nearest(name: &str) -> Option<&'static str> {
    let likeness = |known: &str| if known.starts_with(name) { 1.0 } else { strsim::jaro_winkler(known, name) };
    let best = ALL.iter().map(|(known, _)| (*known, likeness(known))).max_by(|a, b| a.1.total_cmp(&b.1))?;
    (best.1 >= LIKENESS_MIN).then_some(best.0)
}
