//! A node's disk burns; a backup and an empty machine make the same node again: members, mailboxes, mail.

use griot_client::core::SendState;
use griot_protocol::api::{MemberInfo, NodeInfo};
use griot_simulations::live::{
    node::{NodeOptions, NodeProcess},
    person::Person,
    wait_for,
};

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Members with a token. (Whoever opens the socket is listed too, as of now.)
fn members_of(node: &NodeProcess) -> Vec<MemberInfo> {
    let lines = node.command(&["member", "list", "--json"]).unwrap();
    let members = lines.lines().map(|line| serde_json::from_str::<MemberInfo>(line).unwrap());
    members.filter(|member| member.id.bytes().any(|digit| digit != b'0')).collect()
}

#[test]
fn a_backup_of_a_running_node_makes_the_same_node_on_an_empty_disk() {
    let port = free_port();
    let api = Some(format!("127.0.0.1:{port}"));
    let mut node = NodeProcess::start(NodeOptions { api, ..NodeOptions::default() }).unwrap();
    // Kofi is a member with a token, Awa uses the socket.
    let token = node.command(&["member", "add", "Kofi"]).unwrap().trim().to_owned();
    let url = format!("http://127.0.0.1:{port}");
    let kofi = Person::uninitialised().unwrap();
    kofi.run(&["init", "--name", "Kofi", "--node", &url, "--token", &token]).unwrap();
    let awa = Person::init("Awa", &[node.url()]).unwrap();
    kofi.befriend(&awa).unwrap();
    awa.send("Kofi", "read before", "stored").unwrap();
    assert_eq!(kofi.texts().unwrap(), ["read before"]);
    let ids: Vec<_> = (0..3).map(|n| awa.send("Kofi", &format!("waiting {n}"), "stored").unwrap()).collect();

    let before = node.info().unwrap();
    let members = members_of(&node);
    assert_eq!(members.len(), 1, "Kofi: {members:?}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.bak").display().to_string();
    node.command(&["backup", &file]).unwrap();
    node.kill();
    // Onto a directory that holds a node it is refused, and that node is left as it is.
    assert!(node.command(&["restore", &file]).unwrap_err().to_string().contains("empty --data-dir"));
    std::fs::remove_dir_all(node.data_dir()).unwrap();
    node.command(&["restore", &file]).unwrap();
    node.launch().unwrap();

    let after = node.info().unwrap();
    assert_eq!((&after.node_id, &after.peer_id), (&before.node_id, &before.peer_id), "the same node");
    let counts = |info: &NodeInfo| (info.records, info.bytes, info.mailboxes, info.outbox);
    assert_eq!(counts(&after), counts(&before));
    assert_eq!(members_of(&node), members);
    let verified: serde_json::Value = serde_json::from_str(&node.command(&["verify"]).unwrap()).unwrap();
    assert_eq!((verified["records"].as_u64(), verified["damaged"].as_u64()), (Some(after.records), Some(0)));

    // Kofi's token is good, his mailbox is there, and nothing comes twice although every cursor is of another epoch.
    let expected = ["read before", "waiting 0", "waiting 1", "waiting 2"];
    assert_eq!(kofi.texts().unwrap(), expected);
    for id in &ids {
        wait_for("the acks", || (awa.state_of(id).unwrap() == Some(SendState::Delivered)).then_some(())).unwrap();
    }
    // And life goes on in both directions.
    awa.send("Kofi", "after", "stored").unwrap();
    assert_eq!(kofi.texts().unwrap().last().map(String::as_str), Some("after"));
    kofi.send("Awa", "here I am", "stored").unwrap();
    assert_eq!(awa.texts().unwrap(), ["here I am"]);
    // A member who was not in the backup is none.
    let eve = Person::uninitialised().unwrap();
    let init = eve.output(&["init", "--name", "Eve", "--node", &url, "--token", "grt_wrong"]).unwrap();
    let link = kofi.run(&["invite"]).unwrap();
    let connected = eve.output(&["connect", link.trim()]).unwrap();
    assert!(!init.status.success() || !connected.status.success());
}
