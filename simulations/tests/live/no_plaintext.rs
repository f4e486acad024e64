//! Nodes are blind: no plaintext, name or global id of a person is in any file of a node, nor on the wire.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
};

use griot_simulations::live::{
    node::{NodeOptions, NodeProcess},
    person::Person,
};

const TEXT: &str = "MARKER-text-harmattan-7731";
const SENDER: &str = "MARKER-name-Awa-4410";
const RECIPIENT: &str = "MARKER-name-Kofi-9902";
const GREETING: &str = "MARKER-greeting-2288";

/// Passes bytes on between clients and one server, and keeps a copy.
struct Tap {
    port: u16,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    fn start(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let copy = Arc::clone(&seen);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&target)) else { return };
                pump(client.try_clone().unwrap(), server.try_clone().unwrap(), Arc::clone(&copy));
                pump(server, client, Arc::clone(&copy));
            }
        });
        Self { port, seen }
    }

    fn bytes(&self) -> Vec<u8> {
        self.seen.lock().unwrap().clone()
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, seen: Arc<Mutex<Vec<u8>>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(count) = from.read(&mut buffer) {
            if count == 0 || to.write_all(&buffer[..count]).is_err() {
                break;
            }
            seen.lock().unwrap().extend_from_slice(&buffer[..count]);
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// Every regular file below `folder`.
fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.is_file() {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
}

fn port_of(node: &NodeProcess) -> (String, u16) {
    let address = node.addresses().unwrap().into_iter().find(|address| address.contains("/tcp/")).unwrap();
    let port = address.split("/tcp/").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
    let peer = address.split("/p2p/").nth(1).unwrap().to_owned();
    (peer, port)
}

#[test]
fn planted_markers_are_found_in_no_file_of_a_node_and_on_no_wire() {
    let first = NodeProcess::start(NodeOptions::default()).unwrap();
    let (peer, port) = port_of(&first);
    let between_nodes = Tap::start(format!("127.0.0.1:{port}"));
    let second = NodeProcess::start(NodeOptions {
        peers: vec![format!("/ip4/127.0.0.1/tcp/{}/p2p/{peer}", between_nodes.port)],
        ..NodeOptions::default()
    })
    .unwrap();

    let awa = Person::init(SENDER, &[first.url()]).unwrap();
    let kofi = Person::init(RECIPIENT, &[second.url()]).unwrap();
    let link = kofi.run(&["invite"]).unwrap();
    awa.run(&["connect", link.trim(), "--message", GREETING]).unwrap();
    let request = griot_simulations::live::wait_for("the request", || {
        kofi.json::<griot_client::core::RequestInfo>(&["requests"]).unwrap().into_iter().next()
    })
    .unwrap();
    // The test would prove nothing if the markers had not been sent.
    assert_eq!((request.name.as_str(), request.message.as_deref()), (SENDER, Some(GREETING)));
    kofi.run(&["accept", &request.id]).unwrap();
    griot_simulations::live::wait_for("the acceptance", || {
        awa.output(&["send", RECIPIENT, TEXT, "--wait", "stored"]).unwrap().status.success().then_some(())
    })
    .unwrap();
    assert_eq!(kofi.texts().unwrap(), [TEXT]);

    let wire = between_nodes.bytes();
    assert!(wire.len() > 1000, "the two nodes spoke through the tap");
    let mut found = Vec::new();
    files(first.folder(), &mut found);
    files(second.folder(), &mut found);
    assert!(found.iter().any(|(_, bytes)| bytes.len() > 1000), "the nodes wrote files");
    found.push(("the wire between the nodes".to_owned(), wire));
    for home in [&awa, &kofi] {
        // At rest on the person's own machine everything is encrypted as well.
        files(&home.home(), &mut found);
    }
    for (place, bytes) in &found {
        for marker in [TEXT, SENDER, RECIPIENT, GREETING] {
            assert!(!contains(bytes, marker), "{marker} is readable in {place}");
        }
    }
}
