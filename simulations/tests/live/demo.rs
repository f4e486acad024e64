//! `griot demo`: the story that a newcomer sees, from start to clean-up.

use std::process::{Command, Stdio};

use griot_simulations::live::binaries;

#[test]
fn the_demo_tells_its_story_and_leaves_nothing_behind() {
    let temp = tempfile::tempdir().unwrap();
    let output = Command::new(binaries::find("griot").unwrap())
        .arg("demo")
        .env("TMPDIR", temp.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let story = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{story}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(story.contains("Node A is killed"), "{story}");
    assert!(story.contains("the words are in none of them"), "{story}");
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0, "the demo cleans up");
}
