//! Nodes of one network name that disagree about its parameters say so, and do not punish each other.

use griot_simulations::live::{
    node::{NodeOptions, NodeProcess},
    wait_for,
};

#[test]
fn nodes_with_other_parameters_say_so_in_status_and_stay_connected() {
    let start = |postage: &str, peers: Vec<String>| {
        let args = vec!["--postage-bits".to_owned(), postage.to_owned()];
        NodeProcess::start(NodeOptions { peers, args, ..NodeOptions::default() }).unwrap()
    };
    let first = start("8", Vec::new());
    let second = start("4", first.addresses().unwrap());
    for node in [&first, &second] {
        let warnings = wait_for("a warning about the other's postage", || {
            node.info().ok().map(|info| info.warnings).filter(|warnings| !warnings.is_empty())
        })
        .unwrap();
        assert!(warnings.iter().any(|warning| warning.contains("postage")), "{warnings:?}");
    }
    assert_eq!(first.info().unwrap().peers, 1);
}

#[test]
fn nodes_of_another_network_do_not_stay_connected() {
    let first = NodeProcess::start(NodeOptions::default()).unwrap();
    let other = NodeProcess::start(NodeOptions {
        peers: first.addresses().unwrap(),
        network: Some("elsewhere".to_owned()),
        ..NodeOptions::default()
    })
    .unwrap();
    let third =
        NodeProcess::start(NodeOptions { peers: first.addresses().unwrap(), ..NodeOptions::default() }).unwrap();
    wait_for("the third to connect", || (third.info().unwrap().peers == 1).then_some(())).unwrap();
    assert_eq!(first.info().unwrap().peers, 1);
    assert_eq!(other.info().unwrap().peers, 0);
}
